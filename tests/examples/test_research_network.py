"""The research network of the examples."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import ladybug
import pytest

import agentkit.databases.ladybug  # noqa: F401 - loads ladybug so that others can be loaded

NETWORK = Path(__file__).parent.parent.parent / "examples" / "research_network"
LINES = (NETWORK / "questions.jsonl").read_text(encoding="utf-8").splitlines()
ROWS = [json.loads(line) for line in LINES]
FINDS_NOTHING = "Which two researchers advised each other?"


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    file = tmp_path_factory.mktemp("graph") / "research_network"
    with (
        closing(ladybug.Database(str(file))) as database,
        closing(ladybug.Connection(database)) as connection,
    ):
        connection.execute("BEGIN TRANSACTION")
        for name in ("tables.cypher", "graph.cypher"):
            for statement in (NETWORK / name).read_text(encoding="utf-8").splitlines():
                connection.execute(statement)
        connection.execute("COMMIT")
        yield connection


def test_making_it_again_makes_the_same(tmp_path):
    subprocess.run([sys.executable, NETWORK / "make_graph.py", tmp_path], check=True)
    for name in ("tables.cypher", "graph.cypher"):
        assert (tmp_path / name).read_bytes() == (NETWORK / name).read_bytes()


def test_it_is_small():
    assert sum(file.stat().st_size for file in NETWORK.glob("*.cypher")) < 150_000


def test_papers_cite_only_what_came_before(connection):
    query = "MATCH (p:Paper)-[:CITES]->(q:Paper) RETURN p.published >= q.published, count(*)"
    assert [row[0] for row in connection.execute(query).get_all()] == [True]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["question"])
def test_every_query_runs_and_one_finds_nothing(connection, row):
    rows = connection.execute(row["query"]).get_all()
    assert bool(rows) == (row["question"] != FINDS_NOTHING)
    assert rows not in ([[0]], [[None]])
