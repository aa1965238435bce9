"""Queries, right by their rows: of SQL databases and of graphs."""

import pytest

from agentkit import LadybugDatabase, SQLDatabase, create_text_to_cypher, create_text_to_sql
from agentkit.errors import ConfigurationError, DatabaseError, QueryRefusedError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics import (
    aassert_same_result,
    assert_same_result,
    execution_accuracy,
    row_accuracy,
)
from agentkit.evaluation.scores import scored
from agentkit.testing import HashEmbeddings, Script, ScriptedChatModel
from tests.support.graphs import ladybug_path


def wanting(**expected):
    return Example("1", {"question": "What?"}, expected)


@pytest.fixture
def shop(make_database):
    script = [
        "CREATE TABLE items (name TEXT, price INTEGER)",
        "INSERT INTO items VALUES ('tea', 3), ('coffee', 4), ('milk', 2)",
    ]
    return SQLDatabase(make_database("sqlite", script))


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT name FROM items WHERE price > 2", 1),
        ("SELECT price, name FROM items WHERE price > 2 ORDER BY name", 1),
        ("SELECT name FROM items", 0),
        ("SELECT nothing FROM nowhere", 0),
        ("DROP TABLE items", 0),
        ("", 0),
    ],
)
async def test_a_query_is_right_by_its_rows(shop, query, value):
    example = wanting(query="SELECT name FROM items WHERE price >= 3")
    score = await scored(execution_accuracy(shop), example, {"query": query})
    assert score.value == value
    assert score.feedback


async def test_any_of_several_reference_queries_will_do_and_order_counts_where_it_is_said(shop):
    golds = ["SELECT 1", "SELECT name FROM items ORDER BY price"]
    shuffled = {"query": "SELECT name FROM items ORDER BY name"}
    assert (await scored(execution_accuracy(shop), wanting(query=golds), shuffled)).value == 1
    strict = execution_accuracy(shop, ordered=True)
    assert (await scored(strict, wanting(query=golds), shuffled)).value == 0
    by_query = execution_accuracy(shop, ordered=None)
    assert (await scored(by_query, wanting(query=golds), shuffled)).value == 0
    told = wanting(query=golds, ordered=False)
    assert (await scored(by_query, told, shuffled)).value == 1


async def test_a_reference_query_that_fails_is_no_fault_of_the_graph(shop):
    with pytest.raises(ScoringError, match="The reference query 'SELECT x' fails"):
        await scored(execution_accuracy(shop), wanting(query="SELECT x"), {"query": "SELECT 1"})


async def test_a_database_that_cannot_be_reached_is_no_fault_of_the_graph(shop):
    class Gone:
        async def acheck(self, query):
            if query == "SELECT 1":
                return await shop.acheck(query)
            raise DatabaseError("The server is gone.")

        arun = staticmethod(shop.arun)

    with pytest.raises(ScoringError, match=r"could not be run: The server is gone\."):
        await execution_accuracy(Gone())(wanting(query="SELECT 1"), {"query": "SELECT 2"})


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT name, price FROM items WHERE price > 2", 1),
        ("SELECT price, name FROM items WHERE price > 2", 1),
        ("SELECT name, price FROM items", 0),
    ],
)
@pytest.mark.parametrize(
    "rows", [[["tea", 3], ["coffee", 4]], [{"name": "coffee", "price": 4.0}, ("tea", 3)]]
)
async def test_a_query_is_compared_with_rows_where_there_is_no_reference_query(
    shop, query, value, rows
):
    metric = execution_accuracy(shop)
    assert (await scored(metric, wanting(rows=rows), {"query": query})).value == value


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ({"rows": [["tea", 3], ["milk", 2]]}, 1),
        ({"rows": [["milk", 2, "x"], ["tea", 3, "y"]]}, 1),
        ({"rows": [["milk", 2], ["tea", 3]], "truncated": True}, 0),
        ({"rows": [["milk", 2]]}, 0),
        ({"rows": []}, 0),
    ],
)
def test_rows_are_compared_without_a_database(output, value):
    assert row_accuracy(wanting(rows=[["milk", 2], ["tea", 3]]), output).value == value


def test_the_order_of_rows_counts_where_the_example_says_so():
    output = {"rows": [[2], [1]]}
    assert row_accuracy(wanting(rows=[[1], [2]]), output).value == 1
    score = row_accuracy(wanting(rows=[[1], [2]], ordered=True), output)
    assert (score.value, "in another order. Expected first: 1; got first: 2" in score.feedback) == (
        0,
        True,
    )


def test_that_no_row_is_expected_can_be_said():
    assert row_accuracy(wanting(rows=[]), {"rows": []}).value == 1
    assert row_accuracy(wanting(rows=[]), {"rows": [[1]]}).value == 0


@pytest.mark.parametrize(
    ("expected", "output", "told"),
    [
        ({}, {"rows": []}, "no expected 'rows'; it has nothing"),
        ({"rows": "tea"}, {"rows": []}, "lists of values, or mappings"),
        ({"rows": [7]}, {"rows": []}, "lists of values, or mappings"),
        ({"rows": [{"a": 1}, {"b": 1}]}, {"rows": []}, "lists of values, or mappings"),
        ({"rows": [[1], [1, 2]]}, {"rows": []}, "not all of one length"),
        ({"rows": [[1]]}, {"query": "x"}, "The output has no 'rows'; it has query"),
    ],
)
def test_rows_that_cannot_be_compared_are_told(expected, output, told):
    with pytest.raises(ScoringError, match=told):
        row_accuracy(wanting(**expected), output)


async def test_feedback_shows_the_rows_that_differ(shop):
    example = wanting(query="SELECT name, price FROM items WHERE price > 2")
    score = await scored(
        execution_accuracy(shop), example, {"query": "SELECT price, name FROM items WHERE price<4"}
    )
    assert score.feedback == (
        "Expected 2 rows, by SELECT name, price FROM items WHERE price > 2; got 2 rows. "
        "(-: missing, +: not expected)\nprice | name\n- coffee | 4\n+ 2 | milk"
    )


@pytest.mark.parametrize("database", ["sqlite:///shop.db", None, object()])
def test_what_is_no_database_is_refused(database):
    with pytest.raises(ConfigurationError, match="a SQLDatabase, a LadybugDatabase or a Neo4j"):
        execution_accuracy(database)


# -- graphs ----------------------------------------------------------------------------------------

FILMS = [
    "CREATE NODE TABLE Person(name STRING PRIMARY KEY)",
    "CREATE NODE TABLE Film(title STRING PRIMARY KEY, year INT64)",
    "CREATE REL TABLE ACTED_IN(FROM Person TO Film)",
    "CREATE (:Person {name: 'Ada'}), (:Person {name: 'Bo'}), (:Film {title: 'Night', year: 1999})",
    "MATCH (a:Person {name: 'Ada'}), (f:Film) CREATE (a)-[:ACTED_IN]->(f)",
]
ACTORS = "MATCH (p:Person)-[:ACTED_IN]->(:Film) RETURN p.name"


@pytest.fixture
def films(tmp_path):
    with LadybugDatabase(ladybug_path(tmp_path, FILMS)) as database:
        yield database


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("MATCH (f:Film)<-[:ACTED_IN]-(p:Person) RETURN p.name AS who, f.year", 1),
        ("MATCH (p:Person)<-[:ACTED_IN]-(:Film) RETURN p.name", 1),  # the check turns it
        ("MATCH (p:Person) RETURN p.name", 0),
        ("MATCH (p:Person) DELETE p", 0),
        ("MATCH (p:Human) RETURN p.name", 0),
    ],
)
async def test_a_query_of_a_graph_is_right_by_its_rows(films, query, value):
    score = await scored(execution_accuracy(films), wanting(query=ACTORS), {"query": query})
    assert score.value == value
    with_rows = wanting(rows=[["Ada"]])
    assert (await scored(execution_accuracy(films), with_rows, {"query": query})).value == value


async def test_what_text_to_cypher_returns_can_be_measured(films):
    model = ScriptedChatModel(Script([{"query": ACTORS}, "Ada."]))
    graph = create_text_to_cypher(model, films, embeddings=HashEmbeddings())
    output = await graph.ainvoke({"question": "Who acted?"})
    assert (await scored(execution_accuracy(films), wanting(query=ACTORS), output)).value == 1
    assert row_accuracy(wanting(rows=[["Ada"]]), output).value == 1
    await aassert_same_result(films, output["query"], ACTORS)


# -- in tests --------------------------------------------------------------------------------------


def test_a_graphs_query_is_asserted_in_a_test(shop):
    gold = "SELECT max(price) FROM items"
    script = Script([{"query": "SELECT price FROM items ORDER BY price DESC LIMIT 1"}, "4."])
    graph = create_text_to_sql(ScriptedChatModel(script), shop, embeddings=HashEmbeddings())
    query = graph.invoke({"question": "What costs most?"})["query"]
    assert_same_result(shop, query, gold)
    assert_same_result(shop, query, ["SELECT 7", gold])
    with pytest.raises(QueryRefusedError):
        assert_same_result(shop, "DELETE FROM items", gold)
    with pytest.raises(ConfigurationError, match="no reference query"):
        assert_same_result(shop, query, [])


def test_an_assertion_shows_the_rows_that_differ(shop):
    with pytest.raises(AssertionError) as failed:
        assert_same_result(shop, "SELECT name FROM items", "SELECT name FROM items WHERE price > 2")
    assert str(failed.value) == (
        "SELECT name FROM items\n"
        "Expected 2 rows, by SELECT name FROM items WHERE price > 2; got 3 rows. "
        "(-: missing, +: not expected)\nname\n+ milk"
    )


def test_an_assertion_tells_that_only_the_order_differs(shop):
    ordered, other = ("SELECT name FROM items ORDER BY price" + way for way in ("", " DESC"))
    assert_same_result(shop, other, ordered)
    with pytest.raises(AssertionError, match=r"order\. Expected first: milk; got first: coffee"):
        assert_same_result(shop, other, ordered, ordered=True)


def test_an_assertion_shows_some_of_many_rows(shop):
    many = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 30) SELECT x"
    with pytest.raises(AssertionError, match=r"\+ 10\n\+ … and 20 more$"):
        assert_same_result(shop, f"{many} FROM n", "SELECT name FROM items WHERE price > 9")
