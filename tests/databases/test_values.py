"""Which values of a database a question's words mean."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.databases.schema import Column, Schema, Table
from agentkit.databases.values import ValueMatcher
from agentkit.errors import DatabaseError, QueryTimeoutError

VALUES = {
    "country": ["Germany", "France", "São Paulo", "New York", "York", "O'Brien", "IT", "東京"],
    "status": ["open", "closed", "on hold"],
}
SCHEMA = Schema(
    "sqlite",
    {
        "t": Table(
            "t",
            (*(Column(name, "TEXT", is_text=True) for name in VALUES), Column("id", "INTEGER")),
        )
    },
)


class Reader:
    """Values from memory; says which columns were read."""

    def __init__(self, values=VALUES, by_index=None):
        self.values = values
        self.by_index = by_index or {}
        self.read = []

    async def acandidates(self, phrases):
        return self.by_index

    async def avalues(self, table, column, *, limit, timeout):  # noqa: ASYNC109
        self.read.append(column)
        found = self.values[column]
        if isinstance(found, Exception):
            raise found
        if found == "hang":
            await asyncio.Event().wait()
        return found[:limit]


async def found(question, **options):
    matches = await ValueMatcher(Reader(), SCHEMA).afind(question, **options)
    return {value.phrase: value.value for value in matches.values}


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("‘which ‘it’", {"it": "IT"}),
        ("Who lives in germany?", {"germany": "Germany"}),
        ("Who lives in Germani?", {"Germani": "Germany"}),
        ("sao paulo's customers", {"sao paulo": "São Paulo"}),
        ("OBrien's orders", {"OBrien": "O'Brien"}),
        ("orders of OBrien", {"OBrien": "O'Brien"}),
        ("Who lives in New York?", {"New York": "New York"}),
        ("Which orders are 'on hold'?", {"on hold": "on hold"}),
        ("Who works in IT?", {"IT": "IT"}),
        ("Is it open?", {"open": "open"}),
        ("東京に住む人は？ 東京", {"東京": "東京"}),
        ("How many are there?", {}),
        ("", {}),
    ],
)
async def test_words_are_matched_with_values(question, values):
    assert await found(question) == values


async def test_the_best_match_comes_first_and_few_are_kept():
    matches = await ValueMatcher(Reader(), SCHEMA).afind("Germani or france or open", limit=2)
    assert [value.value for value in matches.values] == ["France", "open"]
    assert matches.values[0].score == 100


async def test_values_are_read_once_and_only_of_text_columns():
    reader = Reader()
    matcher = ValueMatcher(reader, SCHEMA)
    await matcher.afind("Germany?")
    await matcher.afind("France?")
    assert sorted(reader.read) == ["country", "status"]


async def test_a_column_that_hangs_is_skipped_and_said_so():
    matcher = ValueMatcher(Reader({**VALUES, "status": "hang"}), SCHEMA, seconds=0.1)
    matches = await matcher.afind("germany")
    assert [value.value for value in matches.values] == ["Germany"]
    assert matches.unread == ["t.status"]


async def test_no_column_is_read_any_more_once_nobody_waits():
    columns = [f"c{number}" for number in range(20)]
    table = Table("t", tuple(Column(name, "TEXT", is_text=True) for name in columns))
    reader = Reader(dict.fromkeys(columns, "hang"))
    matcher = ValueMatcher(reader, Schema("sqlite", {"t": table}))
    finding = asyncio.ensure_future(matcher.afind("x"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert reader.read
    finding.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert finding.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_column_that_is_too_slow_is_not_asked_again():
    reader = Reader({**VALUES, "status": QueryTimeoutError("slow")})
    matcher = ValueMatcher(reader, SCHEMA)
    for _ in range(2):
        assert (await matcher.afind("germany")).unread == []
    assert reader.read.count("status") == 1


async def test_a_database_that_is_away_is_asked_again():
    reader = Reader({**VALUES, "status": DatabaseError("away")})
    matcher = ValueMatcher(reader, SCHEMA)
    assert (await matcher.afind("germany")).unread == ["t.status"]
    await matcher.afind("germany")
    assert reader.read.count("status") == 2


async def test_the_nearest_values_of_a_column():
    matcher = ValueMatcher(Reader(), SCHEMA)
    assert (await matcher.anearest("t", "country", "GERMANI"))[0] == "Germany"
    assert await matcher.anearest("t", "country", "zzzzzz") == []


@given(st.text(max_size=200))
def test_any_question_can_be_matched(question):
    assert asyncio.run(found(question)) is not None


async def test_a_hundred_thousand_values_are_searched():
    many = {**VALUES, "country": [f"Place number {n}" for n in range(100_000)]}
    matcher = ValueMatcher(Reader(many), SCHEMA, max_values=200_000)
    matches = await matcher.afind("What is in place number 77777?")
    assert matches.values[0].value == "Place number 77777"


async def test_values_that_an_index_finds_are_matched_like_those_that_were_read():
    column = next(iter(VALUES))
    reader = Reader(by_index={("t", column): ["Zürich Tower", "Elsewhere"]})
    (found_by_index,) = (await ValueMatcher(reader, SCHEMA).afind("Who is in zurich tower?")).values
    assert (found_by_index.column, found_by_index.value) == (column, "Zürich Tower")
