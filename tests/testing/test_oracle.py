"""A model that knows the right query, and errs at first."""

import pytest

from agentkit import SQLDatabase, create_text_to_sql
from agentkit.errors import QueryError, QueryRefusedError, ScriptError
from agentkit.testing import NoisyOracle
from agentkit.testing.oracle import SQL_FAULTS

SCRIPT = [
    "CREATE TABLE city (id INTEGER PRIMARY KEY, name VARCHAR(20))",
    "INSERT INTO city VALUES (1, 'Bern'), (2, 'Genf')",
]
QUERY = "SELECT city.id FROM city WHERE city.name = 'Bern'"
ANSWERS = {f"Question {n}?": QUERY for n in range(20)}


@pytest.fixture
def database(make_database):
    with SQLDatabase(make_database("sqlite", SCRIPT)) as database:
        yield database


@pytest.mark.parametrize("fault", SQL_FAULTS)
def test_every_fault_makes_a_query_that_fails_or_finds_nothing(fault, database):
    wrong = SQL_FAULTS[fault](QUERY, "sqlite")
    assert wrong != QUERY
    try:
        assert database.run(database.check(wrong).sql).rows == []
    except (QueryError, QueryRefusedError):
        assert fault != "wrong-case literal"
    else:
        assert fault == "wrong-case literal"


@pytest.mark.parametrize(
    "query", ["SELECT COUNT(*) FROM city", "SELECT id FROM city WHERE LOWER(name) = 'bern'"]
)
def test_a_fault_that_would_change_nothing_is_not_made(query):
    assert SQL_FAULTS["wrong-case literal"](query, "sqlite") is None


async def test_with_a_fault_in_every_draft_repair_decides(database):
    oracle = NoisyOracle(ANSWERS, dialect="sqlite")
    for repair, right in ((True, len(ANSWERS)), (False, 0)):
        graph = create_text_to_sql(oracle.model(), database, repair=repair, answer="none")
        states = [await graph.ainvoke({"question": question}) for question in ANSWERS]
        assert sum(state["rows"] == [[1]] for state in states) == right
    assert oracle.counts().total() == len(ANSWERS)
    assert len(oracle.counts()) > 2


async def test_the_same_seed_makes_the_same_faults(database):
    def injected(seed, rate=1.0):
        oracle = NoisyOracle(ANSWERS, dialect="sqlite", seed=seed, rate=rate)
        for question in ANSWERS:
            create_text_to_sql(oracle.model(), database).invoke({"question": question})
        return oracle.injected

    assert injected(1) == injected(1) != injected(2)
    assert injected(1, rate=0) == {}
    assert 0 < len(injected(1, rate=0.5)) < len(ANSWERS)


def test_a_question_that_it_does_not_know_is_told(database):
    graph = create_text_to_sql(NoisyOracle({}, dialect="sqlite").model(), database)
    with pytest.raises(ScriptError, match="knows no answer to"):
        graph.invoke({"question": "Why?"})
