"""A database, and what is known about it, as the nodes of a query graph ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Unpack

from langchain_core.embeddings import Embeddings
from typing_extensions import TypedDict

from agentkit.databases.examples import ExamplePicker, Examples, Glossary, GlossaryLike
from agentkit.databases.linking import SchemaLinker
from agentkit.databases.schema import AnySchema
from agentkit.databases.values import ValueMatcher, ValueReader
from agentkit.errors import DatabaseError, QueryError, QueryRefusedError
from agentkit.events import FoundValue, emit
from agentkit.graphs.querying import Example
from agentkit.models import embeddings as made_embeddings
from agentkit.models import embeddings_at_hand


class ReadDatabase(ValueReader, Protocol):
    """A database that is only read."""

    @property
    def dialect(self) -> str:
        """The name of its dialect."""

    async def aschema(self) -> Any:
        """The schema."""

    async def acheck(self, query: str) -> Any:
        """The query, found to read only and to fit the schema."""

    async def aholds(
        self, table: str, column: str, value: str, *, ignore_case: bool = False
    ) -> bool | None:
        """Whether a text column has a value; None when that cannot be known."""


class Known(TypedDict):
    """What is known about a database.

    `examples` are pairs of a question and the query that answers it, `glossary` says what its
    terms mean. `embeddings` find parts of a large schema and examples; with None the
    environment's or the embedded ones find parts, where they are installed.
    """

    examples: Examples
    glossary: GlossaryLike
    embeddings: str | Embeddings | None


class DatabaseSource:
    """What SQL databases and graphs have in common as a `QuerySource`.

    Args:
        database: The database.
        dialect: How the database's dialect is told to a model.
        known: What is known about it.
    """

    def __init__(
        self,
        database: ReadDatabase,
        *,
        dialect: str,
        **known: Unpack[Known],
    ) -> None:
        self._embeddings = known["embeddings"]
        similar = None if self._embeddings is None else made_embeddings(self._embeddings)
        self.dialect = dialect
        self._database = database
        self._examples = ExamplePicker(known["examples"], embeddings=similar)
        self._glossary = Glossary(known["glossary"])
        self._linker: SchemaLinker[Any] | None = None
        self._matcher: ValueMatcher | None = None

    async def alink(self, question: str, *, max_tokens: int) -> dict[str, list[str]]:
        """The columns that the question is about, by table."""
        schema = await self._database.aschema()
        if self._linker is None or self._linker.schema is not schema:
            self._linker = SchemaLinker(schema, embeddings=embeddings_at_hand(self._embeddings))
        linked = await self._linker.alink(question, max_tokens=max_tokens)
        return {
            name: [column.name for column in part.columns] for name, part in linked.parts.items()
        }

    async def aground(self, question: str) -> tuple[list[FoundValue], list[str]]:
        """The values that the question's words mean, and the columns not read in time."""
        found = await (await self._values()).afind(question)
        values = [
            FoundValue(
                phrase=value.phrase, table=value.table, column=value.column, value=value.value
            )
            for value in found.values
        ]
        return values, list(found.unread)

    async def aexamples(self, question: str, *, k: int) -> list[Example]:
        """The k examples that are most like the question."""
        picked = await self._examples.apick(question, k=k)
        return [Example(question=asked, query=query) for asked, query in picked]

    async def adescribe(self, linked: Mapping[str, Sequence[str]]) -> str:
        """The linked part of the schema, as a model is shown it."""
        schema: AnySchema = await self._database.aschema()
        return schema.only(linked).render()

    def knowledge(self, question: str) -> str:
        """The glossary, or the part of it that is nearest to the question."""
        return self._glossary.render(question)

    async def acheck(self, query: str) -> Any:
        """The query, found to read only and to fit the schema."""
        return await self._database.acheck(query)

    async def absent(
        self, table: str, column: str, value: str, *, ignore_case: bool = False
    ) -> str | None:
        """What is wrong with a filter for a value that its column does not hold.

        A value that cannot be looked up is not held against the query, whose rows may be there.
        """
        held: bool | None = None
        near: list[str] = []
        try:
            held = await self._database.aholds(table, column, value, ignore_case=ignore_case)
            if held is False:
                near = await (await self._values()).anearest(table, column, value)
        except (QueryRefusedError, QueryError, DatabaseError) as error:
            notice = f"{value!r} was not looked up in {table}.{column}: {error}"
            emit({"type": "notice", "message": notice})
        if held is not False:
            return None
        told = f"{table}.{column} holds no {value!r}."
        return f"{told} Near it: {', '.join(map(repr, near))}." if near else told

    async def _values(self) -> ValueMatcher:
        schema = await self._database.aschema()
        if self._matcher is None or self._matcher.schema is not schema:
            self._matcher = ValueMatcher(self._database, schema)
        return self._matcher
