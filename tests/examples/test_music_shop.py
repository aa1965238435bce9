"""The music shop of the examples."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agentkit import SQLDatabase

SHOP = Path(__file__).parent.parent.parent / "examples" / "music_shop"
LINES = (SHOP / "questions.jsonl").read_text(encoding="utf-8").splitlines()
ROWS = [json.loads(line) for line in LINES]


def dump(file):
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def test_making_it_again_makes_the_same(tmp_path):
    made = tmp_path / "again.sqlite"
    subprocess.run([sys.executable, SHOP / "make_database.py", made], check=True)
    assert dump(made) == dump(SHOP / "music_shop.sqlite")


def test_it_is_small():
    assert (SHOP / "music_shop.sqlite").stat().st_size < 1_000_000


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["question"])
def test_every_query_runs_and_finds_something(row):
    with SQLDatabase(str(SHOP / "music_shop.sqlite")) as database:
        result = database.run(database.check(row["query"]).sql)
    assert result.rows
    assert result.rows != [(0,)]
