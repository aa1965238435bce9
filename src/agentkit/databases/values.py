"""Value grounding: the values of a database that a question's words mean."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agentkit.databases.schema import AnySchema
from agentkit.errors import DatabaseError, MissingExtraError, QueryError
from agentkit.retrieval.words import folded_words

_MOST_WORDS = 5
_FUZZY_CHARS = 5
_FUZZY_SCORE = 84.0
_NEAR_SCORE = 60.0
_MOST_VALUE_CHARS = 100
_MOST_PHRASES = 400
_AT_ONCE = 4
_QUOTED = re.compile(r"\"([^\"]+)\"|'([^']+)'|“([^“”]+)”|‘([^‘’]+)’|«([^«»]+)»|„([^„“]+)“")
_WORD = re.compile(r"[^\s,;:!?()\[\]{}\"“”«»]+")
_POSSESSIVE = re.compile("['’]s$")
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
a about all also an and any are as at be been by can could did do does each every first for
from give had has have how i in is it its last least less list many me more most much my no
not of on or our per please show than that the their them then there these they this those to
top total under up us was we were what when where which who whose why with would you average
count max maximum mean min minimum number sum name names id
""",
    )
)


class ValueReader(Protocol):
    """A database whose distinct values can be read."""

    async def avalues(
        self,
        table: str,
        column: str,
        *,
        limit: int,
        timeout: float,  # noqa: ASYNC109 - the database keeps to it
    ) -> list[str]:
        """Distinct values of a text column; none of a private one."""

    async def acandidates(self, phrases: Sequence[str]) -> Mapping[tuple[str, str], Sequence[str]]:
        """Values that may be meant by phrases, found by indexes, by table and column."""


@dataclass(frozen=True)
class GroundedValue:
    """A value of a column that a phrase of the question means; `score` from 0 to 100."""

    table: str
    column: str
    value: str
    phrase: str
    score: float


@dataclass(frozen=True)
class GroundedValues:
    """The values that were found, best first, and the columns that were not read in time."""

    values: Sequence[GroundedValue]
    unread: Sequence[str] = ()


@dataclass(frozen=True)
class _Known:
    """The values of one column, by what they are compared by."""

    by_folded: Mapping[str, str] = field(default_factory=dict)


class ValueMatcher:
    """Finds the values of text columns that a question's words mean.

    A phrase of the question and a value are compared without case, diacritics and punctuation:
    as equals, and from five characters on by similarity. Values are read once and kept.

    Args:
        database: Where values are read.
        schema: Its schema.
        max_values: Values to read of a column.
        column_seconds: Seconds that reading one column may take.
        seconds: Seconds that one question may wait for columns that are not read yet.
    """

    def __init__(
        self,
        database: ValueReader,
        schema: AnySchema,
        *,
        max_values: int = 10_000,
        column_seconds: float = 2.0,
        seconds: float = 5.0,
    ) -> None:
        try:
            import rapidfuzz  # noqa: F401 - an extra
        except ImportError as error:
            raise MissingExtraError("Matching values", "sql") from error
        self.schema = schema
        self._database = database
        self._max_values = max_values
        self._column_seconds = column_seconds
        self._seconds = seconds
        self._known: dict[tuple[str, str], _Known] = {}

    async def afind(self, question: str, *, limit: int = 10) -> GroundedValues:
        """The values that the question's words mean.

        Args:
            question: The question.
            limit: How many values to return at most.
        """
        phrases = _phrases(question)
        if not phrases:
            return GroundedValues([])
        unread, looked_up = await asyncio.gather(
            self._read(), self._database.acandidates(list(phrases.values()))
        )
        found = await asyncio.to_thread(self._match, phrases, looked_up)
        return GroundedValues(found[:limit], unread)

    async def anearest(self, table: str, column: str, value: str, *, limit: int = 3) -> list[str]:
        """The values of a column that are most like another value, best first."""
        from rapidfuzz import fuzz, process

        known = self._known.get((table, column)) or await self._column(table, column)
        near = process.extract(
            _folded(value),
            list(known.by_folded),
            scorer=fuzz.WRatio,
            score_cutoff=_NEAR_SCORE,
            limit=limit,
        )
        return [known.by_folded[match] for match, _, _ in near]

    async def _read(self) -> list[str]:
        """Read the columns that are not known yet; those that take too long are returned."""
        waiting = [
            (table.full_name, column.name)
            for table in self.schema.parts.values()
            for column in table.columns
            if column.is_text and (table.full_name, column.name) not in self._known
        ]
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def read(place: tuple[str, str]) -> None:
            async with at_once:
                self._known[place] = await self._column(*place)

        reading = [asyncio.ensure_future(read(place)) for place in waiting]
        try:
            if reading:
                await asyncio.wait(reading, timeout=self._seconds)
        finally:
            for task in reading:
                task.cancel()
        done = await asyncio.gather(*reading, return_exceptions=True)
        return [
            ".".join(place)
            for place, end in zip(waiting, done, strict=True)
            if isinstance(end, BaseException)
        ]

    async def _column(self, table: str, column: str) -> _Known:
        try:
            values = await self._database.avalues(
                table, column, limit=self._max_values, timeout=self._column_seconds
            )
        except DatabaseError:
            raise
        except QueryError:  # too slow, or gone meanwhile: not asked for again
            return _Known()
        return _known(values)

    def _match(
        self, phrases: Mapping[str, str], looked_up: Mapping[tuple[str, str], Sequence[str]]
    ) -> list[GroundedValue]:
        found: dict[tuple[str, str, str], GroundedValue] = {}
        by_index = {place: _known(values) for place, values in looked_up.items()}
        for (table, column), known in (*self._known.items(), *by_index.items()):
            for phrase, folded, score in _matches(phrases, known.by_folded):
                value = GroundedValue(table, column, known.by_folded[folded], phrase, score)
                place = (table, column, value.value)
                if place not in found or found[place].score < score:
                    found[place] = value
        ranked = sorted(found.values(), key=lambda v: (-v.score, -len(v.phrase), v.table, v.column))
        return _without_parts(ranked)


def _known(values: Sequence[str]) -> _Known:
    short = (value for value in values if len(value) <= _MOST_VALUE_CHARS)
    return _Known({folded: value for value in short if (folded := _folded(value))})


def _matches(
    phrases: Mapping[str, str], values: Mapping[str, str]
) -> Iterator[tuple[str, str, float]]:
    """Phrase, folded value and score of what is equal or alike."""
    from rapidfuzz import fuzz, process

    names = list(values)
    for folded, phrase in phrases.items():
        if folded in values:
            yield phrase, folded, 100.0
        elif len(folded) >= _FUZZY_CHARS:
            for match, score, _ in process.extract(
                folded, names, scorer=fuzz.ratio, score_cutoff=_FUZZY_SCORE, limit=3
            ):
                if len(match) >= _FUZZY_CHARS:
                    yield phrase, match, float(score)


def _without_parts(ranked: Sequence[GroundedValue]) -> list[GroundedValue]:
    """The values without those for a part of a phrase that is itself equal to a value."""
    exact = [_folded(value.phrase) for value in ranked if value.score == 100.0]  # noqa: PLR2004
    return [
        value
        for value in ranked
        if not any(
            f" {_folded(value.phrase)} " in f" {longer} " and _folded(value.phrase) != longer
            for longer in exact
        )
    ]


def _phrases(question: str) -> dict[str, str]:
    """What may mean a value, by what it is compared by: quoted texts, and runs of words."""
    quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(question)]
    words = [_POSSESSIVE.sub("", word.strip(".'’‘")) for word in _WORD.findall(question)]
    runs = (
        words[start : start + length]
        for length in range(min(_MOST_WORDS, len(words)), 0, -1)
        for start in range(len(words) - length + 1)
    )
    telling = (" ".join(run) for run in runs if _tells(run[0]) and _tells(run[-1]))
    found: dict[str, str] = {}
    for phrase in (*quoted, *telling):
        if folded := _folded(phrase):
            found.setdefault(folded, phrase)
    return dict(list(found.items())[:_MOST_PHRASES])


def _tells(word: str) -> bool:
    """Whether a phrase may begin or end with a word: a common one only as an abbreviation."""
    return _folded(word) not in _STOP_WORDS or (word.isupper() and len(word) > 1)


def _folded(text: str) -> str:
    """A text by which it is compared: without case, diacritics and punctuation."""
    decomposed = unicodedata.normalize("NFD", text.replace("'", "").replace("’", ""))
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return folded_words(plain)
