"""Full-text search over names and comments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.databases.words_index import WordIndex, split_words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("order_items", "order items"),
        ("orderItems", "order Items"),
        ("HTTPServerName2", "HTTP Server Name 2"),
        ("sales.fact-2024", "sales fact 2024"),
        ("größeÜber", "größe Über"),
        ("客户_id", "客户 id"),
    ],
)
def test_identifiers_are_split_into_words(name, words):
    assert split_words(name) == words


def test_texts_are_found_by_stemmed_words_without_case_and_accents():
    index = WordIndex({"a": ["customer_orders"], "b": ["Employés"]}, weights=[1])
    assert index.search("Which ORDER?", k=5) == ["a"]
    assert index.search("employes", k=5) == ["b"]
    assert index.search("weather", k=5) == []


def test_fields_count_by_their_weights_and_ties_keep_their_order():
    index = WordIndex({"a": ["x", "city"], "b": ["city", "x"]}, weights=[9, 1])
    assert index.search("city", k=5) == ["b", "a"]
    assert WordIndex({"a": ["x"], "b": ["x"]}, weights=[1]).search("x", k=1) == ["a"]


@given(st.text())
def test_any_question_may_be_asked(question):
    index = WordIndex({"a": ["city"]}, weights=[1])
    assert index.search(question, k=3) in ([], ["a"])


def test_an_index_of_nothing_finds_nothing():
    assert WordIndex({}, weights=[1]).search("x", k=3) == []
