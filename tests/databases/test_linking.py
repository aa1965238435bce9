"""Which part of a large schema a question is about."""

import pytest
from langchain_core.embeddings import Embeddings

from agentkit.databases.linking import SchemaLinker
from agentkit.databases.schema import Column, ForeignKey, Schema, Table, count_tokens
from agentkit.testing import HashEmbeddings


def table(name, *columns, refers_to=(), comment=None):
    return Table(
        name,
        (Column("id", "INTEGER"), *(Column(c, "VARCHAR(20)", is_text=True) for c in columns)),
        primary_key=("id",),
        foreign_keys=tuple(ForeignKey((f"{to}_id",), to, ("id",)) for to in refers_to),
        comment=comment,
    )


def schema(*tables):
    noise = [table(f"noise{n}", "alpha", "beta", "gamma") for n in range(60)]
    return Schema("sqlite", {t.full_name: t for t in (*noise, *tables)})


SHOP = schema(
    table("customer", "full_name", "city"),
    table("purchase", "customer_id", refers_to=["customer"]),
    table("purchase_line", "purchase_id", "item_id", refers_to=["purchase", "item"]),
    table("item", "label", "price", comment="the articles that are sold"),
)


async def test_a_schema_that_fits_is_shown_whole():
    assert await SchemaLinker(SHOP).alink("anything", max_tokens=100_000) is SHOP


async def test_tables_are_found_by_their_names_columns_and_comments():
    linker = SchemaLinker(SHOP)
    for question, name in [
        ("Which customers are there?", "customer"),
        ("What does each article cost?", "item"),
        ("Which full names start with A?", "customer"),
    ]:
        assert name in (await linker.alink(question, max_tokens=300)).tables


async def test_tables_between_the_chosen_ones_come_too():
    linked = await SchemaLinker(SHOP).alink("What did each customer pay per item?", max_tokens=400)
    assert {"customer", "purchase", "purchase_line", "item"} <= set(linked.tables)


async def test_the_part_keeps_to_its_budget():
    linked = await SchemaLinker(SHOP).alink("alpha beta gamma customers", max_tokens=300)
    assert count_tokens(linked.render()) <= 330
    assert len(linked.tables) > 1


async def test_a_table_wider_than_the_budget_is_shown_by_its_relevant_columns():
    wide = table("measurements", *(f"value_{n}" for n in range(300)), "temperature")
    linked = await SchemaLinker(schema(wide)).alink("Highest temperature?", max_tokens=400)
    columns = [column.name for column in linked.tables["measurements"].columns]
    assert "temperature" in columns
    assert "id" in columns
    assert len(columns) < 100


@pytest.mark.parametrize("question", ["", "?!", "温度", "x" * 100_000, '" OR 1=1 --'])
async def test_any_question_links_something(question):
    linked = await SchemaLinker(SHOP).alink(question, max_tokens=300)
    assert linked.tables


class Synonyms(Embeddings):
    """Knows that clients are customers; counts what it embeds."""

    def __init__(self):
        self.embedded = 0

    def embed_documents(self, texts):
        self.embedded += len(texts)
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        alike = "customer" in text or "client" in text
        return [1.0, 0.0] if alike else [0.0, 1.0]


async def test_tables_are_found_by_meaning_and_embedded_once():
    embeddings = Synonyms()
    linker = SchemaLinker(SHOP, embeddings=embeddings)
    for _ in range(2):
        linked = await linker.alink("Who are our clients?", max_tokens=200)
        assert "customer" in linked.tables
    assert embeddings.embedded == len(SHOP.tables)
    assert (
        "customer"
        not in (await SchemaLinker(SHOP).alink("Who are our clients?", max_tokens=200)).tables
    )


async def test_embeddings_that_fail_leave_the_words():
    class Broken(HashEmbeddings):
        def embed_documents(self, texts):
            raise RuntimeError("no quota")

    linked = await SchemaLinker(SHOP, embeddings=Broken()).alink("customers", max_tokens=200)
    assert "customer" in linked.tables


async def test_the_same_question_links_the_same_tables():
    linked = [await SchemaLinker(SHOP).alink("item price", max_tokens=300) for _ in range(2)]
    assert linked[0] == linked[1]
