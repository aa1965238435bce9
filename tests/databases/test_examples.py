"""Examples and the glossary."""

import pytest

from agentkit.databases.examples import ExamplePicker, Glossary
from agentkit.databases.schema import count_tokens
from agentkit.errors import ConfigurationError
from agentkit.testing import HashEmbeddings

PAIRS = [
    ("How many customers are there?", "SELECT 1"),
    ("What is the revenue by year?", "SELECT 2"),
    ("Which customer ordered most?", "SELECT 3"),
]


@pytest.mark.parametrize("embeddings", [None, HashEmbeddings()])
async def test_the_most_similar_examples_are_picked_first(embeddings):
    picker = ExamplePicker(PAIRS, embeddings=embeddings)
    assert (await picker.apick("revenue of each year", k=1)) == [PAIRS[1]]
    assert sorted(await picker.apick("customers", k=3)) == sorted(PAIRS)


async def test_examples_may_be_mappings_and_none_may_be_wanted():
    picker = ExamplePicker([{"question": " q ", "query": "x"}])
    assert await picker.apick("anything at all") == [("q", "x")]
    assert await picker.apick("q", k=0) == []
    assert await ExamplePicker().apick("q") == []


@pytest.mark.parametrize(
    "examples",
    ["q", {"q": "x"}, ["q"], [("q",)], [("q", "")], [{"question": "q"}], [("q", 1)], [7]],
)
def test_what_is_no_pair_is_told(examples):
    with pytest.raises(ConfigurationError, match="pair"):
        ExamplePicker(examples)


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"active": "ordered\nthis year"}, "active: ordered this year"),
        (["a", " ", "b"], "a\nb"),
        ("a\n\nb ", "a\nb"),
        ((), ""),
    ],
)
def test_a_glossary_is_rendered_a_line_an_entry(entries, text):
    assert Glossary(entries).render("anything") == text


def test_of_a_large_glossary_the_relevant_part_is_rendered():
    entries = {f"term{n}": "means something else altogether" for n in range(500)}
    told = Glossary({**entries, "revenue": "price times quantity"}).render(
        "What is the revenue?", max_tokens=50
    )
    assert "revenue: price times quantity" in told
    assert count_tokens(told) <= 50


@pytest.mark.parametrize("entries", [7, [7], None])
def test_what_is_no_glossary_is_told(entries):
    with pytest.raises(ConfigurationError, match="glossary"):
        Glossary(entries)
