"""Whether two queries returned the same."""

import datetime
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.databases.results import QueryResult, different_rows, result_key, same_result


def result(*rows, truncated=False):
    return QueryResult([f"c{n}" for n in range(len(rows[0]) if rows else 0)], list(rows), truncated)


def column(*values):
    return result(*((value,) for value in values))


cells = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.booleans(), st.dates())
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[cells] * width), min_size=1, max_size=8)
)


@given(tables, st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_of_columns_matters(rows, chance):
    shuffled = chance.sample(rows, len(rows))
    places = chance.sample(range(len(rows[0])), len(rows[0]))
    moved = [tuple(row[place] for place in places) for row in shuffled]
    assert same_result(result(*rows), result(*moved))
    assert result_key(result(*rows)) == result_key(result(*shuffled))


@given(tables, st.randoms(use_true_random=False))
def test_a_changed_cell_matters(rows, chance):
    row, place = chance.randrange(len(rows)), chance.randrange(len(rows[0]))
    changed = [list(each) for each in rows]
    changed[row][place] = "a value that no test generates"
    assert not same_result(result(*rows), result(*map(tuple, changed)))
    assert not same_result(result(*map(tuple, changed)), result(*rows))


@given(tables)
def test_a_further_column_is_allowed_and_a_missing_one_is_not(rows):
    wider = [(*row, number) for number, row in enumerate(rows, 10**9)]
    assert same_result(result(*rows), result(*wider))
    assert not same_result(result(*wider), result(*rows))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (1, 1.0, True),
        (1, Decimal("1.00"), True),
        (True, 1, True),
        (0.1 + 0.2, Decimal("0.3"), True),
        (Decimal("1234567.115"), 1234567.1149999999, True),
        (0, 5.5e-17, True),
        (1.23456, 1.23457, False),
        (1_700_000_000_001, 1_700_000_000_002, False),
        (2**60, 2.0**60, True),
        (float("nan"), float("nan"), True),
        (float("nan"), "nan", False),
        (float("inf"), Decimal("Infinity"), True),
        (1, "1", False),
        (None, "", False),
        (datetime.date(2020, 1, 2), "2020-01-02", True),
        (datetime.datetime(2020, 1, 2), "2020-01-02", True),
        (datetime.datetime(2020, 1, 2), "2020-01-02 00:00:00", True),
        (datetime.datetime(2020, 1, 2, 3), "2020-01-02T03:00:00", True),
        (b"a", bytearray(b"a"), True),
        ([1, 2], (1.0, 2.0), True),
        ({"a": 1}, {"a": 1.0}, True),
        ("a", "A", False),
    ],
)
def test_values_are_compared_across_types(first, second, same):
    assert same_result(column(first), column(second)) == same


def test_order_matters_where_it_is_asked_for():
    assert same_result(column(1, 2), column(2, 1))
    assert not same_result(column(1, 2), column(2, 1), ordered=True)
    assert same_result(result((1, "a"), (2, "b")), result(("a", 1), ("b", 2)), ordered=True)


def test_how_often_a_row_comes_matters():
    assert not same_result(column(1, 1, 2), column(1, 2, 2))
    assert not same_result(column(1), column(1, 1))


def test_columns_must_fit_together():
    assert not same_result(result((1, "a"), (2, "b")), result((1, "b"), (2, "a")))


def test_empty_results_are_the_same_and_truncated_ones_are_not_like_whole_ones():
    assert same_result(result(), result())
    assert not same_result(result((1,)), result((1,), truncated=True))


def test_many_rows_and_columns_that_are_alike_are_compared_quickly():
    chance = random.Random(1)
    rows = [tuple(chance.choice("ab") for _ in range(12)) for _ in range(2_000)]
    moved = [tuple(reversed(row)) for row in rows]
    assert same_result(result(*rows), result(*moved))
    one_hot = [tuple(int(a == b) for a in range(10)) for b in range(10)]
    doubled = [(*row[:-1], row[0]) for row in one_hot]
    assert not same_result(result(*one_hot), result(*doubled))


def test_the_rows_that_differ_are_told():
    expected = result(("a", 1), ("b", 2), ("b", 2), ("c", 3))
    actual = result((0, 3, "c"), (0, 2, "b"), (0, 4, "d"))
    assert different_rows(expected, actual) == ([("a", 1), ("b", 2)], [(0, 4, "d")])


def test_rows_differ_in_nothing_where_only_their_order_does():
    assert different_rows(column(1, 2), column(2, 1)) == ([], [])


def test_rows_of_fewer_columns_all_differ():
    assert different_rows(result(("a", 1)), column("a")) == ([("a", 1)], [("a",)])
    assert different_rows(result(), column("a")) == ([], [("a",)])
    assert different_rows(column("a"), result()) == ([("a",)], [])


TABLES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1)), max_size=6)


@given(one=TABLES, other=TABLES)
def test_results_are_the_same_exactly_when_no_row_differs(one, other):
    missing, extra = different_rows(result(*one), result(*other))
    assert same_result(result(*one), result(*other)) == (not missing and not extra)
    assert len(one) - len(missing) == len(other) - len(extra)
