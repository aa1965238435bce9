"""How long a graph's schema takes to read, beside langchain-neo4j, and how far it is pruned.

The graphs are generated on the server that `NEO4J_URI` names, in an empty database, which is left
empty: 20 nodes of five properties for each label, and a relationship type for every three labels.
Both libraries read each graph in turn, several times over. A server remembers the names of labels
that are gone, which costs both of them time: take a fresh one.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agentkit import Neo4jDatabase
from agentkit.databases.linking import SchemaLinker
from agentkit.databases.schema import count_tokens
from benchmarks._report import parser, report
from benchmarks.linking import COMPANIONS, DOMAINS
from benchmarks.text_to_cypher import QUIET, Script, filled_neo4j

NODES = 20
QUESTION = "How many sales customers are active?"
CREATES = """
UNWIND $groups AS group UNWIND range(1, $nodes) AS n
CALL {
    WITH group, n UNWIND group.labels AS label
    CALL apoc.create.node([label], {code: label + n, amount: n, price: n / 4.0,
        is_active: n % 2 = 0, start_date: date('2024-01-01') + duration({days: n})}) YIELD node
    RETURN collect(node) AS made
}
UNWIND range(0, size(made) - 1) AS at
CALL apoc.create.relationship(made[at], group.type, {since: n}, made[(at + 1) % size(made)])
YIELD rel RETURN count(*)
"""


def generated(size: int) -> Script:
    """What makes a graph of so many labels."""
    names = label_names(size)
    groups = [
        {"labels": names[at : at + 3], "type": f"{names[at]}_leads_to".upper()}
        for at in range(0, size, 3)
    ]
    return [(CREATES, {"groups": groups, "nodes": NODES})]


def label_names(size: int) -> list[str]:
    """Names of entities of a dozen business domains, and of their companions."""
    pairs = ["_".join(pair) for pair in itertools.permutations(COMPANIONS, 2)]
    names = [
        "".join(word.title() for word in f"{domain}_{entity}_{companion}".split("_"))
        for companion in ["", *COMPANIONS, *pairs]
        for domain, members in DOMAINS.items()
        for entity in members
    ]
    return names[:size]


async def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each size."""
    return [await measured(size, given) for size in given.sizes]


async def measured(size: int, given: argparse.Namespace) -> dict[str, Any]:
    """The figures of one size."""
    from langchain_neo4j import Neo4jGraph

    with (
        filled_neo4j(generated(size)),
        Neo4jGraph(refresh_schema=False, driver_config=QUIET) as other,
        Neo4jDatabase() as database,
    ):
        ours, theirs = await medians(
            [
                lambda: database.aschema(refresh=True),
                lambda: asyncio.to_thread(other.refresh_schema),
            ],
            times=given.times,
        )
        schema = await database.aschema()
    assert len(schema.nodes) == len(other.structured_schema["node_props"]) == size
    linked = await SchemaLinker(schema).alink(QUESTION, max_tokens=given.max_tokens)
    assert "SalesCustomer" in linked.nodes
    return {
        "labels": size,
        "relationship types": len(schema.relationships),
        "agentkit seconds": ours,
        "langchain-neo4j seconds": theirs,
        "ratio": round(ours / theirs, 2),
        "schema's tokens": count_tokens(schema.render()),
        "tokens for a question": count_tokens(linked.render()),
    }


async def medians(calls: Sequence[Callable[[], Awaitable[Any]]], *, times: int) -> list[float]:
    """The median seconds of each of some calls, made by turns, after once each to warm up."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(times + 1):
        for call, taken in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            await call()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken[1:]) for taken in seconds]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 100, 1000])
    options.add_argument("--times", type=int, default=5, help="how often each schema is read")
    options.add_argument("--max-tokens", type=int, default=4_000)
    given = options.parse_args()
    if "NEO4J_URI" not in os.environ:
        options.error("NEO4J_URI is not set")
    rows = asyncio.run(measure(given))
    settings = {"times": given.times, "max tokens": given.max_tokens, "nodes a label": NODES}
    report("reading a graph's schema", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
