"""Execution accuracy of text-to-Cypher, beside other libraries on the same model and server.

The folder holds a graph of movies as `movies.cypher`, and `questions_movies.jsonl` with `question`
and `gold_cypher`. A question that stands there more than once may be answered by any of its
queries; one whose queries the database cannot run is left out. A query is right when some choice
of its columns holds the rows of a reference query, in any order, except where the question itself
asks for one and the reference query has ORDER BY.

Neo4j is the server that `NEO4J_URI` names, with an empty database, which is left empty. There the
graph is measured beside langchain-neo4j's chain and neo4j-graphrag's retriever, which both see
their fullest schema, with sample values; the chain's check of directions is on and what it runs
can only read. Ladybug is a database of its own, in a folder that is removed.

With `--oracle` the model knows each query and makes a fault in every first draft. With `--ablate`
each part of the graph is switched off in turn.
"""

import argparse
import asyncio
import itertools
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import ladybug
import neo4j
from langchain_core.language_models import BaseChatModel

from agentkit import LadybugDatabase, Neo4jDatabase, chat_model, create_text_to_cypher
from agentkit.databases.cypher_tokens import cypher_tokens
from agentkit.databases.graph_schema import quoted_name
from agentkit.errors import AgentkitError
from agentkit.testing import CYPHER_FAULTS, NoisyOracle
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

Graph: TypeAlias = Neo4jDatabase | LadybugDatabase
Script: TypeAlias = Sequence[tuple[str, Mapping[str, Any]]]
"""Statements with their parameters."""

SECONDS = 20
QUIET = {"notifications_min_severity": "OFF"}
TABLES = [
    "CREATE NODE TABLE Movie(title STRING PRIMARY KEY, released INT64, tagline STRING, "
    "votes INT64)",
    "CREATE NODE TABLE Person(name STRING PRIMARY KEY, born INT64)",
    "CREATE REL TABLE ACTED_IN(FROM Person TO Movie, roles STRING[])",
    "CREATE REL TABLE DIRECTED(FROM Person TO Movie)",
    "CREATE REL TABLE PRODUCED(FROM Person TO Movie)",
    "CREATE REL TABLE WROTE(FROM Person TO Movie)",
    "CREATE REL TABLE FOLLOWS(FROM Person TO Person)",
    "CREATE REL TABLE REVIEWED(FROM Person TO Movie, summary STRING, rating INT64)",
]


def load(folder: Path) -> list[Item]:
    """The questions, each once, with the queries that answer it."""
    lines = (folder / "questions_movies.jsonl").read_text(encoding="utf-8").splitlines()
    known: dict[str, list[str]] = {}
    for row in map(json.loads, lines):
        known.setdefault(" ".join(row["question"].split()), []).append(row["gold_cypher"])
    return [Item("movies", question, gold) for question, gold in known.items()]


async def runnable(items: Sequence[Item], database: Graph) -> list[Item]:
    """The questions that the database can answer, each with the reference queries that run."""
    kept = []
    for item in items:
        gold = [query for query in item.gold if await _runs(query, database)]
        if gold:
            kept.append(Item(item.db, item.question, gold))
    return kept


async def _runs(query: str, database: Graph) -> bool:
    try:
        await database.arun(query)
    except AgentkitError:
        return False
    return True


# -- the databases ---------------------------------------------------------------------------------


@contextmanager
def opened(folder: Path, kind: str) -> Iterator[Graph]:
    """The graph of movies, in a database of a kind."""
    script = statements((folder / "movies.cypher").read_text(encoding="utf-8"))
    with ExitStack() as stack:
        if kind == "neo4j":
            stack.enter_context(filled_neo4j([(statement, {}) for statement in script]))
            yield stack.enter_context(Neo4jDatabase(timeout=SECONDS))
        else:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "movies.lbug"
            with ladybug.Database(str(path)) as database, ladybug.Connection(database) as made:
                for statement in [*TABLES, *(s for s in script if not is_of_schema(s))]:
                    made.execute(statement)
            # one thread, for with more of them LIMIT takes another of equal rows each time
            alone = stack.enter_context(
                ladybug.Database(str(path), read_only=True, max_num_threads=1)
            )
            yield stack.enter_context(LadybugDatabase(alone, timeout=SECONDS))


def statements(script: str) -> list[str]:
    """The statements of a script."""
    ends = [token.start for token in cypher_tokens(script) if token.text == ";"]
    parts = (script[start + 1 : end] for start, end in itertools.pairwise([-1, *ends, len(script)]))
    return [part.strip() for part in parts if part.strip()]


def is_of_schema(statement: str) -> bool:
    """Whether a statement makes a constraint or an index."""
    return any(token.text.upper() in ("CONSTRAINT", "INDEX") for token in cypher_tokens(statement))


def connected() -> neo4j.Driver:
    """A driver of the server that the environment names."""
    auth = (os.environ.get("NEO4J_USERNAME", "neo4j"), os.environ.get("NEO4J_PASSWORD", ""))
    return neo4j.GraphDatabase.driver(os.environ["NEO4J_URI"], auth=auth, **QUIET)


@contextmanager
def filled_neo4j(script: Script) -> Iterator[None]:
    """Have the server's empty database hold what the statements make, until the end."""
    with (
        connected() as driver,
        driver.session(database=os.environ.get("NEO4J_DATABASE")) as session,
    ):
        before = _named(session)
        made: list[str] = []
        try:
            for statement, parameters in script:
                if is_of_schema(statement):
                    session.run(statement, parameters).consume()
            made = session.execute_write(
                _fill, [(each, given) for each, given in script if not is_of_schema(each)]
            )
            session.run("CALL db.awaitIndexes(60)").consume()
            yield
        finally:
            session.execute_write(_remove, made)
            for kind, name in [each for each in _named(session) if each not in before]:
                session.run(f"DROP {kind} {quoted_name(name)} IF EXISTS").consume()


def _fill(transaction: neo4j.ManagedTransaction, script: Script) -> list[str]:
    """Run the statements; the ids of the nodes that they made."""
    (held,) = transaction.run("MATCH (n) RETURN count(n)").single(strict=True)
    if held:
        raise SystemExit(
            f"The database of NEO4J_URI holds {held:,} nodes. Give an empty one: it is filled, "
            "and emptied again."
        )
    for statement, parameters in script:
        transaction.run(statement, dict(parameters)).consume()
    return [name for (name,) in transaction.run("MATCH (n) RETURN elementId(n)")]


def _remove(transaction: neo4j.ManagedTransaction, made: Sequence[str]) -> None:
    removed = "UNWIND $made AS id MATCH (n) WHERE elementId(n) = id DETACH DELETE n"
    transaction.run(removed, made=made).consume()


def _named(session: neo4j.Session) -> list[tuple[str, str]]:
    """The constraints, and the indexes beside theirs."""
    constraints = session.run("SHOW CONSTRAINTS YIELD name RETURN 'CONSTRAINT', name").values()
    indexes = session.run(
        "SHOW INDEXES YIELD name, owningConstraint WHERE owningConstraint IS NULL "
        "RETURN 'INDEX', name"
    ).values()
    return [(kind, name) for kind, name in [*constraints, *indexes]]


# -- the systems -----------------------------------------------------------------------------------


def graph(model: BaseChatModel, database: Graph, **options: Any) -> Answers:
    """`create_text_to_cypher`, up to its rows."""
    return graph_answers(create_text_to_cypher, model, {"movies": database}, **options)


def zero_shot(model: BaseChatModel, database: Graph) -> Answers:
    """One call with the whole schema."""
    return zero_shot_answers(model, {"movies": database}, f"{database.dialect} Cypher")


@contextmanager
def langchain_neo4j(model: BaseChatModel) -> Iterator[Answers]:
    """langchain-neo4j's `GraphCypherQAChain`, up to its rows."""
    from langchain_neo4j import GraphCypherQAChain, Neo4jGraph

    class ReadGraph(Neo4jGraph):
        """What a model writes may not change the graph that all are asked about."""

        def query(
            self, query: str, params: dict | None = None, session_params: dict | None = None
        ) -> list[dict[str, Any]]:
            only = {"default_access_mode": neo4j.READ_ACCESS, **(session_params or {})}
            return super().query(query, params, only)

    with ReadGraph(enhanced_schema=True, timeout=SECONDS, driver_config=QUIET) as read:
        chain = GraphCypherQAChain.from_llm(
            model,
            graph=read,
            validate_cypher=True,
            return_direct=True,
            return_intermediate_steps=True,
            allow_dangerous_requests=True,
        )

        async def ask(item: Item) -> tuple[str, int]:
            reply = await chain.ainvoke({"query": item.question})
            return reply["intermediate_steps"][0]["query"], 1

        yield ask


@contextmanager
def neo4j_graphrag(model: BaseChatModel) -> Iterator[Answers]:
    """neo4j-graphrag's `Text2CypherRetriever`."""
    from neo4j_graphrag.llm import LLMResponse
    from neo4j_graphrag.retrievers import Text2CypherRetriever
    from neo4j_graphrag.schema import get_schema

    class Model:
        """A chat model as the retriever calls one."""

        def invoke(self, prompt: str) -> LLMResponse:
            return LLMResponse(content=model.invoke(prompt).text)

    name = os.environ.get("NEO4J_DATABASE")
    with connected() as driver:
        schema = get_schema(driver, is_enhanced=True, database=name)
        retriever = Text2CypherRetriever(
            driver,
            Model(),  # type: ignore[arg-type]
            neo4j_schema=schema,
            neo4j_database=name,
        )

        async def ask(item: Item) -> tuple[str, int]:
            found = await asyncio.to_thread(retriever.search, query_text=item.question)
            return found.metadata["cypher"], 1

        yield ask


OTHERS = {"langchain-neo4j": langchain_neo4j, "neo4j-graphrag": neo4j_graphrag}


async def measure(setting: Setting, given: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of the table."""
    (database,) = setting.databases.values()
    answers = {item.question: item.gold[0] for item in setting.items}

    def model() -> BaseChatModel:
        if not given.oracle:
            return chat_model(given.model)
        known = {"dialect": database.dialect, "faults": CYPHER_FAULTS, "seed": given.seed}
        return NoisyOracle(answers, **known).model()

    with ExitStack() as stack:
        systems: dict[str, Answers] = {"create_text_to_cypher": graph(model(), database)}
        if given.oracle:
            systems["without repair"] = graph(model(), database, repair=False)
        else:
            systems["zero-shot"] = zero_shot(model(), database)
            for name, make in OTHERS.items() if database.dialect == "neo4j" else ():
                systems[name] = stack.enter_context(make(model()))
        for name, options in ABLATIONS.items() if given.ablate else ():
            systems[name] = graph(model(), database, **options)
        return [
            await measured(name, ask, setting, concurrency=given.concurrency)
            for name, ask in systems.items()
        ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "--data", type=Path, required=True, help="the folder of graph and questions"
    )
    options.add_argument("--model", help="a chat model: provider:model, or local")
    options.add_argument("--oracle", action="store_true", help="a model that errs at first")
    options.add_argument("--database", choices=["neo4j", "ladybug"], default="ladybug")
    options.add_argument("--ablate", action="store_true", help="switch each part off in turn")
    options.add_argument("--questions", type=int, help="how many questions to ask; all by default")
    options.add_argument("--concurrency", type=int, default=4)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    if not given.oracle and not given.model:
        options.error("give --model SPEC, or --oracle")
    if given.database == "neo4j" and "NEO4J_URI" not in os.environ:
        options.error("NEO4J_URI is not set")
    with opened(given.data, given.database) as database:
        asked = list(itertools.islice(load(given.data), given.questions))
        items = asyncio.run(runnable(asked, database))
        told = (
            f"{_queries(items)} of {_queries(asked)} questions' reference queries run on "
            f"{given.database}"
        )
        print(told)
        rows = asyncio.run(measure(Setting({"movies": database}, items), given))
    settings = {
        "model": "oracle" if given.oracle else given.model,
        "database": given.database,
        "left out": told,
        "seed": given.seed,
    }
    report(f"text-to-Cypher: {given.database}", rows, settings=settings, json_file=given.json)


def _queries(items: Sequence[Item]) -> int:
    return sum(len(item.gold) for item in items)


if __name__ == "__main__":
    main()
