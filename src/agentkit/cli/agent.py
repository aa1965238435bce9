"""`agentkit agent`: a task done with tools, each step shown as it happens."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from agentkit._sync import run_sync
from agentkit._text import shortened
from agentkit.cli.console import (
    JsonOption,
    ModelOption,
    PromptsOption,
    QuietOption,
    common_event,
    err,
    follow_to_end,
    no_event,
    out,
    print_json,
)
from agentkit.cli.documents import DEFAULT_INDEX, IndexOption
from agentkit.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


_KEPT = ("answer", "citations", "trace")
_SHOWN_CHARS = 200


def agent(
    task: Annotated[str, typer.Argument(help="What to do, or the question.")],
    *,
    tools: Annotated[
        str,
        typer.Option(
            help="Which tools, by commas: web, wikipedia, python, documents, sql, cypher."
        ),
    ] = "web,python",
    model: ModelOption = None,
    index: IndexOption = DEFAULT_INDEX,
    database: Annotated[
        str | None, typer.Option(help="What `sql` reads: a SQLAlchemy URL, or a SQLite file.")
    ] = None,
    graph: Annotated[
        str | None, typer.Option(help="What `cypher` reads: a Neo4j URI, or a Ladybug graph.")
    ] = None,
    mcp: Annotated[
        Path | None,
        typer.Option(help="A JSON file of MCP servers, as `mcpServers`.", dir_okay=False),
    ] = None,
    approve: Annotated[
        list[str] | None, typer.Option(help="A tool that may write without asking; repeatable.")
    ] = None,
    max_calls: Annotated[int, typer.Option(help="Calls of tools before it has to answer.")] = 50,
    prompts: PromptsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Do a task with tools, and say what was used for it."""
    from langgraph.checkpoint.memory import InMemorySaver

    from agentkit import create_tool_agent

    places = {"documents": index, "sql": database, "cypher": graph}
    given = [tool for name in _names(tools) for tool in _made(name, places)]
    made = create_tool_agent(
        model,
        [*given, *_from_servers(mcp)],
        prompts=prompts,
        checkpointer=InMemorySaver(),
        approved=frozenset(approve or ()),
        max_tool_calls=max_calls,
    )
    on_event = no_event if quiet else _told
    result = run_sync(
        lambda: follow_to_end(made, task, decide=_decided, show=False, on_event=on_event)
    )
    if as_json:
        kept = {key: result[key] for key in _KEPT}
        print_json(kept)
    else:
        _print(result)


def _names(tools: str) -> list[str]:
    names = [name.strip() for name in tools.split(",") if name.strip()]
    return list(dict.fromkeys(names))


def _made(name: str, places: Mapping[str, Any]) -> Sequence[BaseTool]:
    """The tools of a kind.

    Raises:
        ConfigurationError: When there is no such kind, or what it reads is not given.
    """
    from agentkit import tools

    if name in places and places[name] is None:
        option = {"sql": "--database", "cypher": "--graph"}[name]
        raise ConfigurationError(f"The tools {name!r} need {option}.")
    kinds: dict[str, Callable[[], Sequence[BaseTool]]] = {
        "web": lambda: [tools.web_search(), tools.read_page()],
        "wikipedia": lambda: [tools.wikipedia()],
        "python": lambda: [tools.python_tool()],
        "documents": lambda: [tools.search_documents(_index(places["documents"]))],
        "sql": lambda: tools.sql_tools(places["sql"]),
        "cypher": lambda: tools.graph_tools(places["cypher"]),
    }
    if name not in kinds:
        raise ConfigurationError(f"There are no tools {name!r}. There are: {', '.join(kinds)}.")
    return kinds[name]()


def _index(path: Path) -> Any:
    from agentkit import Index

    return Index.open(path, create=False)


def _from_servers(file: Path | None) -> Sequence[BaseTool]:
    if file is None:
        return []
    from agentkit.tools import mcp_tools

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        servers = dict(content.get("mcpServers", content))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"No MCP servers can be read from {file}: {error}") from error
    return mcp_tools(servers)


def _decided(request: Mapping[str, Any]) -> dict[str, Any]:
    """What the person at the terminal says to a call; nobody there says no."""
    from agentkit.middleware.permissions import without_how

    err.print(escape(without_how(request["description"])))
    if not sys.stdin.isatty():
        return {"type": "reject", "message": "Nobody is there to approve it."}
    said = typer.prompt("Run this call? [y]es, or why not", default="no", err=True)
    if said.strip().lower() in ("y", "yes"):
        return {"type": "approve"}
    return {"type": "reject", "message": said}


def _told(event: Mapping[str, Any]) -> str | None:
    if event["type"] == "tool_called":
        return f"→ {event['tool']} {_short(event['arguments'])}"
    if event["type"] == "tool_finished":
        how = "" if event["outcome"] == "ok" else f" {event['outcome']}"
        return f"  [{event['number']}] {event['tool']}{how}, {event['seconds']:.1f} s"
    if event["type"] == "tools_selected":
        return "choosing among " + ", ".join(event["tools"])
    return common_event(event)


def _short(arguments: Any) -> str:
    return shortened(json.dumps(arguments, ensure_ascii=False, default=str), _SHOWN_CHARS)


def _print(result: Mapping[str, Any]) -> None:
    out.print(escape(result["answer"]))
    for citation in result["citations"]:
        listed = citation["sources"] or [{"title": _short(citation["arguments"])}]
        told = "; ".join(_source(each) for each in listed[:3])
        out.print(f"[dim]\\[{citation['number']}] {escape(citation['tool'])}: {escape(told)}[/]")


def _source(source: Mapping[str, Any]) -> str:
    title = " ".join(str(source.get("title", "")).split())
    return " ".join(filter(None, [shortened(title, _SHOWN_CHARS), str(source.get("url", ""))]))
