"""Schema linking: the tables and columns of a large schema that a question is about."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Generic, TypeVar

from langchain_core.embeddings import Embeddings

from agentkit.databases.meaning_index import MeaningIndex
from agentkit.databases.schema import AnySchema, Column, Part, count_tokens
from agentkit.databases.words_index import WordIndex, split_words
from agentkit.retrieval.fusion import fused_keys

_MOST_RANKED = 100
_MOST_HOPS = 3
_SHOWN_WHOLE = 12  # tables, the first ones; of the others only the columns that matter most
_NEIGHBOUR_SHARE = 0.5
_TABLE_WEIGHTS = (8, 4, 3, 2, 1)  # name, comment, columns, their comments, sample values
_COLUMN_WEIGHTS = (4, 2, 1)  # name, comment, sample values

SchemaLike = TypeVar("SchemaLike", bound=AnySchema)


class SchemaLinker(Generic[SchemaLike]):
    """Chooses the part of a schema that a question is about.

    Tables are ranked by the words that they share with the question (names, comments, sample
    values) and, where there are embeddings, by meaning; the rankings are fused, and the first
    tables are taken, with those that join them, until the budget is full.

    Args:
        schema: The whole schema, of tables or of a graph.
        embeddings: LangChain embeddings of the tables, made once and kept.
    """

    def __init__(self, schema: SchemaLike, *, embeddings: Embeddings | None = None) -> None:
        self.schema = schema
        self._tokens = count_tokens(schema.render())
        self._words: WordIndex | None = None
        self._meaning = MeaningIndex(lambda: _sentences(schema), embeddings, step="link_schema")
        self._joined = _joins(schema)

    async def alink(self, question: str, *, max_tokens: int = 4_000) -> SchemaLike:
        """The tables and columns for a question: all of them where they fit.

        Args:
            question: The question.
            max_tokens: Tokens that the rendered schema may have, about; one table is shown even
                when it is larger.
        """
        if self._tokens <= max_tokens:
            return self.schema
        by_words, by_meaning = await asyncio.gather(
            asyncio.to_thread(self._by_words, question),
            self._meaning.asearch(question, k=_MOST_RANKED),
        )
        ranked = self._with_neighbours(fused_keys([by_words, by_meaning]))
        return await asyncio.to_thread(self._within, ranked, question, max_tokens)

    def _by_words(self, question: str) -> list[str]:
        if self._words is None:
            texts = {name: _fields(table) for name, table in self.schema.parts.items()}
            self._words = WordIndex(texts, weights=_TABLE_WEIGHTS)
        return self._words.search(question, k=_MOST_RANKED)

    def _with_neighbours(self, scores: Mapping[str, float]) -> list[str]:
        """The tables by their own score and a share of the best one that they are joined to.

        So the lines, types or history of a table come behind it, whatever a question calls it.
        """
        shared = {
            name: scores.get(name, 0.0)
            + _NEIGHBOUR_SHARE * max((scores.get(n, 0.0) for n in joined), default=0.0)
            for name, joined in self._joined.items()
        }
        totals = {**scores, **shared}
        return sorted((name for name in totals if totals[name]), key=lambda name: -totals[name])

    def _within(self, ranked: Sequence[str], question: str, max_tokens: int) -> SchemaLike:
        """The first tables, and what joins them, up to the budget."""
        sizes = _Sizes(self.schema, question, max_tokens)
        chosen: dict[str, Collection[str]] = {}
        used = 0
        for place, name in enumerate(ranked or list(self.schema.parts)):
            sizes.narrow = place >= _SHOWN_WHOLE
            added = [table for table in (name, *self._path(name, chosen)) if table not in chosen]
            size = sum(sizes.tokens(table) for table in added)
            if chosen and used + size > max_tokens:
                continue
            chosen |= {table: sizes.columns(table) for table in added}
            used += size
        return self.schema.only(chosen)

    def _path(self, name: str, chosen: Collection[str]) -> list[str]:
        """The tables between a table and the nearest chosen one, by foreign keys."""
        came_from = {name: name}
        waiting = deque([(name, 0)])
        while chosen and waiting:
            table, hops = waiting.popleft()
            if table in chosen:
                path = []
                while (table := came_from[table]) != name:
                    path.append(table)
                return path
            for neighbour in self._joined.get(table, ()) if hops < _MOST_HOPS else ():
                if neighbour not in came_from:
                    came_from[neighbour] = table
                    waiting.append((neighbour, hops + 1))
        return []


class _Sizes:
    """What each table would cost, with only its most relevant columns where it is wide."""

    def __init__(self, schema: AnySchema, question: str, max_tokens: int) -> None:
        self._schema = schema
        self._question = question
        self._most = max(max_tokens // 4, 1), max(max_tokens // 60, 1)
        self._columns: dict[tuple[str, bool], Collection[str]] = {}
        self.narrow = False
        """Whether tables are less likely to matter, so that few of their columns are shown."""

    def columns(self, name: str) -> Collection[str]:
        """The columns to show of a table."""
        place = (name, self.narrow)
        if place not in self._columns:
            most = self._most[self.narrow]
            self._columns[place] = self._relevant(self._schema.parts[name], most)
        return self._columns[place]

    def tokens(self, name: str) -> int:
        """The tokens of a table with these columns."""
        return self._schema.tokens(name, self.columns(name))

    def _relevant(self, table: Part, most: int) -> list[str]:
        names = [column.name for column in table.columns]
        size = self._schema.tokens(table.full_name)
        if size <= most:
            return names
        texts = {column.name: _column_fields(column) for column in table.columns}
        found = WordIndex(texts, weights=_COLUMN_WEIGHTS).search(self._question, k=len(names))
        best = [*found, *(name for name in names if name not in set(found))]
        kept = set(best[: max(1, len(names) * most // size)])
        return [name for name in names if name in kept]


def _joins(schema: AnySchema) -> dict[str, list[str]]:
    """The tables that a table leads to, or that lead to it."""
    joined: dict[str, list[str]] = {}
    for name, table in schema.parts.items():
        for other in table.joined:
            if other in schema.parts:
                joined.setdefault(name, []).append(other)
                joined.setdefault(other, []).append(name)
    return joined


def _fields(table: Part) -> list[str]:
    columns = table.columns
    return [
        table.full_name,
        table.comment or "",
        " ".join(column.name for column in columns),
        " ".join(column.comment or "" for column in columns),
        " ".join(value for column in columns for value in column.samples),
    ]


def _column_fields(column: Column) -> list[str]:
    return [column.name, column.comment or "", " ".join(column.samples)]


def _sentences(schema: AnySchema) -> dict[str, str]:
    return {name: _sentence(table) for name, table in schema.parts.items()}


def _sentence(table: Part) -> str:
    """What a table is: its columns would say more of what every table has."""
    comment = f" ({' '.join(table.comment.split())})" if table.comment else ""
    return f"{split_words(table.full_name)}{comment}"
