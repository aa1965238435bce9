"""Answers from rows: what is shown of them, and which numbers they bear out."""

import datetime
import uuid
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.databases.answering import (
    NO_ROWS,
    cell_text,
    plain_answer,
    table_text,
    unsupported_numbers,
)
from agentkit.databases.results import QueryResult

ROWS = QueryResult(
    ["country", "total", "share"],
    [
        ("Germany", Decimal("1234.56"), 0.1234),
        ("Norway", 7, -0.5),
        ("Perú", 1_234_567, None),
        ("Room 42", datetime.date(2021, 3, 4), datetime.timedelta(hours=36)),
    ],
)


def one(value):
    return QueryResult(["value"], [(value,)])


@pytest.mark.parametrize(
    "answer",
    [
        "Germany has 1,234.56.",
        "Germany has 1.234,56.",
        "Germany has 1\u202f234,56.",
        "Germany has about 1235.",
        "A share of 12.3%.",
        "A share of 12 percent.",
        "About 1.2 million in Peru.",
        "About 1.23M in Peru.",
        "1,234,567 it is.",
        "It fell by 0.5.",
        "On 2021-03-04.",
        "On 4 March 2021, in Room 42.",
        "There are 4 rows.",
        "It took 36 hours, or 1.5 days.",
        "1. Germany\n2) Norway: 7",
        "No number at all.",
        "",
    ],
)
def test_a_number_of_the_rows_is_borne_out_however_it_is_written(answer):
    assert unsupported_numbers(answer, ROWS) == []


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ("Germany has 1,300.", ["1,300"]),
        ("Germany has 1234.57.", ["1234.57"]),
        ("8 of them and 8 more", ["8"]),
        ("1.3 million", ["1.3 million"]),
        ("13%", ["13%"]),
        ("In 2022 there were 99.", ["2022", "99"]),
        ("1234567.8", ["1234567.8"]),
    ],
)
def test_a_number_that_the_rows_lack_is_told(answer, missing):
    assert unsupported_numbers(answer, ROWS) == missing


def test_an_answer_of_blank_lines_takes_no_longer_for_their_number():
    assert unsupported_numbers(f"1. Germany{chr(10) * 300_000}in 99", ROWS) == ["99"]


def test_the_question_and_the_query_may_be_repeated():
    assert unsupported_numbers("The top 5 since 1999.", ROWS) == ["5", "1999"]
    assert unsupported_numbers("The top 5 since 1999.", ROWS, "top 5?", "year > 1999") == []


@given(st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False, places=4)))
def test_every_number_bears_itself_out(number):
    assert (
        unsupported_numbers(
            f"It is {abs(number):f}." if isinstance(number, Decimal) else f"It is {number}.",
            one(number),
        )
        == []
    )


@given(st.text(), st.lists(st.text()))
def test_any_answer_and_any_cells_can_be_checked(answer, cells):
    result = QueryResult(["a"], [(cell,) for cell in cells])
    assert isinstance(unsupported_numbers(answer, result), list)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), True, None, b"\x07", [1, [2]], {"a": 3}]
)
def test_odd_values_are_no_obstacle(value):
    assert unsupported_numbers("99", one(value)) == ["99"]


def test_numbers_inside_nested_values_are_known():
    assert unsupported_numbers("2 and 3", one([1, [2, {"a": 3}]])) == []


def test_an_integer_of_many_digits_is_compared_exactly():
    big = 2**63 - 1
    assert unsupported_numbers(f"{big}", one(big)) == []
    assert unsupported_numbers(f"{big - 2}", one(big)) == [f"{big - 2}"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (b"\x00\xff", "0x00ff"),
        ("two\nlines\t here", "two lines here"),
        (Decimal("1.50"), "1.50"),
        (datetime.date(2021, 3, 4), "2021-03-04"),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (2**70, str(2**70)),
        ("\ud800", "\ufffd"),
    ],
)
def test_a_cell_is_one_line_of_text(value, text):
    assert cell_text(value) == text


def test_a_long_cell_is_shortened():
    assert len(cell_text("x" * 10_000)) < 500
    assert len(cell_text(b"x" * 10_000)) < 500


def test_a_cell_cannot_pass_for_two():
    assert table_text(one("a | b\n| c")).splitlines() == ["value", "a ¦ b ¦ c", "(1 row)"]


def test_the_table_says_how_much_of_the_result_it_shows():
    many = [(n,) for n in range(1000)]
    assert table_text(QueryResult(["n"], many)).endswith("(1,000 rows)")
    assert table_text(QueryResult(["n"], many), max_chars=20).endswith(
        "(the first 10 of 1,000 rows)"
    )
    truncated = QueryResult(["n"], many, truncated=True)
    assert table_text(truncated).endswith("(the first 1,000 of more than 1,000 rows)")


def test_a_single_value_answers_by_itself():
    assert plain_answer(one(Decimal("3.50"))) == "value: 3.50"


def test_no_rows_are_answered_as_none():
    assert plain_answer(QueryResult(["value"], [])) == NO_ROWS
