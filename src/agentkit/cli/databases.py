"""`agentkit sql` and `agentkit cypher`: answers from databases, which are only read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from agentkit._sync import run_sync
from agentkit.cli.console import (
    JsonOption,
    ModelOption,
    PromptsOption,
    QuietOption,
    common_event,
    err,
    follow_to_end,
    harmless,
    no_event,
    out,
    print_failures,
    print_json,
)
from agentkit.errors import ConfigurationError

if TYPE_CHECKING:
    from agentkit.graphs.querying import QueryGraph

_MOST_ROWS_SHOWN = 50
_KEPT = ("answer", "query", "columns", "rows", "truncated", "assumptions", "attempts", "failures")

Patterns = list[str] | None

GlossaryOption = Annotated[
    Path | None,
    typer.Option(help="A text file: what is known about the terms.", exists=True, dir_okay=False),
]
CandidatesOption = Annotated[int, typer.Option(help="Queries to draft at once.")]
RowsOption = Annotated[int, typer.Option(help="Rows to keep of the result.")]
TimeoutOption = Annotated[float, typer.Option(help="Seconds that one query may take.")]
ApproveOption = Annotated[bool, typer.Option("--approve", help="Ask before a query runs.")]


def sql(
    database: Annotated[str, typer.Argument(help="A SQLAlchemy URL, or a SQLite file.")],
    question: Annotated[str, typer.Argument(help="The question.")],
    *,
    model: ModelOption = None,
    include: Annotated[
        Patterns, typer.Option(help="Only tables that match this pattern; repeatable.")
    ] = None,
    exclude: Annotated[
        Patterns, typer.Option(help="No table that matches this pattern; repeatable.")
    ] = None,
    schema: Annotated[
        Patterns, typer.Option(help="A schema to read instead of the default one; repeatable.")
    ] = None,
    private: Annotated[
        Patterns,
        typer.Option(help="Columns whose values are not sampled or looked up: table.column."),
    ] = None,
    glossary: GlossaryOption = None,
    candidates: CandidatesOption = 1,
    rows: RowsOption = 200,
    timeout: TimeoutOption = 30,
    approve: ApproveOption = False,
    prompts: PromptsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer a question from a SQL database, which is only read."""
    from agentkit import SQLDatabase, create_text_to_sql

    with SQLDatabase(
        database, include=include, exclude=exclude or (), schemas=schema, private=private or ()
    ) as opened:
        graph = create_text_to_sql(
            model,
            opened,
            candidates=candidates,
            prompts=prompts,
            **_options(glossary, approve=approve, rows=rows, timeout=timeout),
        )
        _ask(graph, question, language="sql", as_json=as_json, quiet=quiet)


def cypher(
    database: Annotated[str, typer.Argument(help="A Neo4j URI, or the path of a Ladybug graph.")],
    question: Annotated[str, typer.Argument(help="The question.")],
    *,
    model: ModelOption = None,
    user: Annotated[str | None, typer.Option(envvar="NEO4J_USERNAME", help="Neo4j's user.")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="NEO4J_PASSWORD", help="The user's password.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(envvar="NEO4J_DATABASE", help="The database on Neo4j's server.")
    ] = None,
    include: Annotated[
        Patterns, typer.Option(help="Only labels and types that match this; repeatable.")
    ] = None,
    exclude: Annotated[
        Patterns, typer.Option(help="No label or type that matches this; repeatable.")
    ] = None,
    private: Annotated[
        Patterns,
        typer.Option(help="Properties whose values are not sampled or looked up: Label.property."),
    ] = None,
    glossary: GlossaryOption = None,
    candidates: CandidatesOption = 1,
    rows: RowsOption = 200,
    timeout: TimeoutOption = 30,
    approve: ApproveOption = False,
    prompts: PromptsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer a question from a property graph, which is only read."""
    from agentkit import create_text_to_cypher
    from agentkit.databases.graphs import graph_database, is_neo4j

    options: dict[str, Any] = {
        "include": include,
        "exclude": exclude or (),
        "private": private or (),
    }
    if is_neo4j(database):
        given = (user or "neo4j", password) if password and "@" not in database else None
        options |= {"auth": given, "name": name}
    with graph_database(database, **options) as opened:
        graph = create_text_to_cypher(
            model,
            opened,
            candidates=candidates,
            prompts=prompts,
            **_options(glossary, approve=approve, rows=rows, timeout=timeout),
        )
        _ask(graph, question, language="cypher", as_json=as_json, quiet=quiet)


def _options(glossary: Path | None, *, approve: bool, rows: int, timeout: float) -> dict[str, Any]:
    """The options of the factory that the commands have in common."""
    from langgraph.checkpoint.memory import InMemorySaver

    return {
        "glossary": _text_of(glossary) if glossary else "",
        "approve": "always" if approve else "never",
        "checkpointer": InMemorySaver(),
        "max_rows": rows,
        "timeout": timeout,
    }


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error}. A glossary is a text file in UTF-8."
        ) from error


def _ask(graph: QueryGraph, question: str, *, language: str, as_json: bool, quiet: bool) -> None:
    """Run the graph and print what it answers."""
    on_event = no_event if quiet else _told
    result = run_sync(
        lambda: follow_to_end(graph, question, decide=_decided, show=not as_json, on_event=on_event)
    )
    if as_json:
        kept = {key: result[key] for key in _KEPT}
        print_json(kept)
    else:
        _print_result(result, language=language)


def _decided(request: Mapping[str, Any]) -> dict[str, str]:
    """What the person at the terminal says to a query."""
    if problem := request.get("problem"):
        err.print(f"[red]{escape(problem)}[/]")
    for query in request["queries"]:
        err.print(_highlighted(query, "sql"))
    said = typer.prompt("Run this query? [y]es, [n]o, or another query", default="n", err=True)
    if said.strip().lower() in ("y", "yes"):
        return {"decision": "accept"}
    if said.strip().lower() in ("n", "no"):
        return {"decision": "decline"}
    return {"decision": "edit", "query": said}


def _told(event: Mapping[str, Any]) -> str | None:
    kind = event["type"]
    if kind == "schema_linked":
        return "reading " + ", ".join(event["tables"])
    if kind == "values_found" and event["values"]:
        found = (
            f"{value['table']}.{value['column']} {value['value']}" for value in event["values"]
        )
        return "found " + " · ".join(found)
    if kind == "query_tried" and event["outcome"] != "rows":
        return f"{event['outcome']}: {event['problem']}"
    return common_event(event)


def _print_result(result: Mapping[str, Any], *, language: str) -> None:
    if result["query"]:
        out.print()
        out.print(_highlighted(result["query"], language))
    if result["rows"]:
        out.print(_table(result))
    for assumption in result["assumptions"]:
        out.print(f"[dim]Assumed:[/] {escape(assumption)}")
    print_failures(result)


def _highlighted(query: str, language: str) -> Syntax:
    return Syntax(harmless(query), language, background_color="default", word_wrap=True)


def _table(result: Mapping[str, Any]) -> Table:
    from agentkit.databases.answering import cell_text

    rows, columns = result["rows"], result["columns"]
    shown = rows[:_MOST_ROWS_SHOWN]
    table = Table(*(escape(column) for column in columns), box=SIMPLE_HEAD)
    for row in shown:
        table.add_row(*(escape(cell_text(value)) for value in row))
    if len(shown) < len(rows) or result["truncated"]:
        more = "more than " if result["truncated"] else ""
        table.caption = f"the first {len(shown):,} of {more}{len(rows):,} rows"
    return table
