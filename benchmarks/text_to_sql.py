"""Execution accuracy of text-to-SQL, beside one zero-shot call and a SQL agent on the same model.

The folder holds databases as `NAME.sqlite` and `NAME_postgres.sql`, and `questions_KIND.jsonl` with
`db`, `question`, `instructions`, `gold_sql` and `gold_runs`. `gold_sql` may hold alternatives,
parted by `;`, and `{a, b}` for any of these columns. A query is right when its rows are those of an
alternative: some choice of its columns holds the expected ones, in any order of rows, except where
the question itself asks for one and the alternative ends in ORDER BY.

With `--oracle` the model knows each query and makes a fault in every first draft. With `--ablate`
each part of the graph is switched off in turn.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from sqlalchemy import URL, NullPool, create_engine, make_url

from agentkit import SQLDatabase, chat_model, create_text_to_sql
from agentkit.testing import NoisyOracle
from agentkit.tools import sql_tools
from benchmarks._queries import (
    ABLATIONS,
    Answers,
    Item,
    Setting,
    graph_answers,
    measured,
    zero_shot_answers,
)
from benchmarks._report import parser, report

KINDS = {"sqlite": "questions_sqlite.jsonl", "postgresql": "questions_postgres.jsonl"}


def load(folder: Path, kind: str) -> list[Item]:
    """The questions whose reference queries all run."""
    lines = (folder / KINDS[kind]).read_text(encoding="utf-8").splitlines()
    rows = (json.loads(line) for line in lines)
    return [
        Item(
            db=row["db"],
            question=" ".join(f"{row['question']} {row.get('instructions', '')}".split()),
            gold=list(alternatives(row["gold_sql"])),
        )
        for row in rows
        if row["gold_runs"]
    ]


def alternatives(gold: str) -> Iterator[str]:
    """Each acceptable query: by `;`, and by each and all of the columns of `{a, b}`."""
    for query in (part.strip() for part in gold.split(";")):
        if not query:
            continue
        choices = re.search(r"\{([^}]+)\}", query)
        if choices is None:
            yield query
            continue
        columns = [column.strip() for column in choices[1].split(",")]
        for chosen in dict.fromkeys([choices[1], *columns]):
            yield query.replace(choices[0], chosen).replace("{}", chosen)


@contextmanager
def opened(folder: Path, kind: str, names: Sequence[str]) -> Iterator[dict[str, SQLDatabase]]:
    """The databases; PostgreSQL's are made on the server that the environment names."""
    with ExitStack() as stack:
        databases = {}
        for name in names:
            if kind == "sqlite":
                given: URL | str = str(folder / f"{name}.sqlite")
            else:
                given = stack.enter_context(_loaded(folder / f"{name}_postgres.sql"))
            databases[name] = stack.enter_context(SQLDatabase(given, timeout=20))
        yield databases


@contextmanager
def _loaded(script: Path) -> Iterator[URL]:
    server = make_url(os.environ["AGENTKIT_TEST_POSTGRESQL"])
    name = f"benchmark_{uuid.uuid4().hex[:12]}"
    _execute(server, f"CREATE DATABASE {name}")
    url = server.set(database=name)
    try:
        _execute(url, script.read_text(encoding="utf-8"))
        yield url
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(url: URL, script: str) -> None:
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.connection.driver_connection.execute(script)  # type: ignore[union-attr]
    engine.dispose()


# -- the systems -----------------------------------------------------------------------------------


def graph(model: BaseChatModel, databases: Mapping[str, SQLDatabase], **options: Any) -> Answers:
    """`create_text_to_sql`, up to its rows."""
    return graph_answers(create_text_to_sql, model, databases, **options)


def zero_shot(model: BaseChatModel, databases: Mapping[str, SQLDatabase]) -> Answers:
    """One call with the whole schema."""
    dialect = next(iter(databases.values())).dialect
    return zero_shot_answers(model, databases, dialect)


def sql_agent(model: BaseChatModel, databases: Mapping[str, SQLDatabase]) -> Answers:
    """LangChain's recipe: an agent that lists tables, reads schemas, checks and runs queries."""

    @tool
    async def check_query(query: str) -> str:
        """Have a query looked through for common mistakes before it is run."""
        told = "Look for mistakes in this SQL query. Reply with the corrected query alone."
        return (await model.ainvoke([SystemMessage(told), HumanMessage(query)])).text

    agents = {
        name: create_agent(
            model,
            [*sql_tools(database), check_query],
            system_prompt=(
                "You answer questions from a database. List its tables first, look at those that "
                "matter, write a query, check it, run it, and correct it when it fails. Never "
                "change data. Unless asked otherwise, ask for the columns that matter alone."
            ),
        )
        for name, database in databases.items()
    }

    async def ask(item: Item) -> tuple[str, int]:
        messages = [HumanMessage(item.question)]
        state = await agents[item.db].ainvoke({"messages": messages}, {"recursion_limit": 30})
        ran = [m for m in state["messages"] if m.type == "tool" and m.name == "query_database"]
        queries = [message.artifact["query"] for message in ran if message.artifact]
        return (queries[-1] if queries else ""), len(ran)

    return ask


async def measure(setting: Setting, given: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of the table."""
    databases = setting.databases
    dialect = next(iter(databases.values())).dialect
    answers = {item.question: item.gold[0] for item in setting.items}

    def model() -> BaseChatModel:
        if given.oracle:
            return NoisyOracle(answers, dialect=dialect, seed=given.seed).model()
        return chat_model(given.model)

    systems: dict[str, Answers] = {"create_text_to_sql": graph(model(), databases)}
    if given.oracle:
        systems["without repair"] = graph(model(), databases, repair=False)
    else:
        systems["zero-shot"] = zero_shot(model(), databases)
        systems["SQL agent"] = sql_agent(model(), databases)
    for name, options in ABLATIONS.items() if given.ablate else ():
        systems[name] = graph(model(), databases, **options)
    return [
        await measured(name, ask, setting, concurrency=given.concurrency)
        for name, ask in systems.items()
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, required=True, help="the folder of databases")
    options.add_argument("--model", help="a chat model: provider:model, or local")
    options.add_argument("--oracle", action="store_true", help="a model that errs at first")
    options.add_argument("--database-kind", choices=list(KINDS), default="sqlite")
    options.add_argument("--ablate", action="store_true", help="switch each part off in turn")
    options.add_argument("--questions", type=int, help="how many questions to ask; all by default")
    options.add_argument("--concurrency", type=int, default=4)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    if given.database_kind == "postgresql" and "AGENTKIT_TEST_POSTGRESQL" not in os.environ:
        options.error("AGENTKIT_TEST_POSTGRESQL is not set: scripts/postgresql.sh start prints it")
    items = list(itertools.islice(load(given.data, given.database_kind), given.questions))
    names = sorted({item.db for item in items})
    with opened(given.data, given.database_kind, names) as databases:
        rows = asyncio.run(measure(Setting(databases, items), given))
    settings = {
        "model": "oracle" if given.oracle else given.model,
        "database": given.database_kind,
        "seed": given.seed,
    }
    report(f"text-to-SQL: {given.database_kind}", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
