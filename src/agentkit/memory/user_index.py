"""The memories of one user, found by their words, their meaning and their time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentkit.databases.words_index import WordIndex
from agentkit.memory.records import Memory, Record, readable
from agentkit.retrieval.fusion import fused_keys

if TYPE_CHECKING:
    from langgraph.store.base import Item
    from numpy.typing import NDArray

Period = tuple[datetime, datetime]
"""From when and until when, the end left out."""

_MOST_RANKED = 200
_FIELDS = (1.0, 0.5)  # the text, and when it was said


class UserIndex:
    """The memories of one user that hold, in the process's memory."""

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}
        self._records: dict[str, Record] = {}
        self._words = WordIndex({}, weights=_FIELDS)
        self._lock = threading.Lock()
        self._matrix: tuple[list[str], NDArray[Any]] | None = None

    def __len__(self) -> int:
        return len(self._seen)

    def take(self, page: Sequence[Item]) -> bool:
        """Take in what of a store's page is new or changed; whether anything was."""
        fresh = [item for item in page if self._is_fresh(item)]
        for item in fresh:
            self._seen[item.key] = _updated(item)
            if (record := readable(item)) is not None:
                self.put(record, _updated(item))
        return bool(fresh)

    def put(self, record: Record, updated: datetime | None = None) -> None:
        """Add a record, or put it in the place of the one with its id.

        Args:
            record: The record.
            updated: When the store has written it; by default now.
        """
        memory, updated = record.memory, updated or datetime.now(UTC)
        with self._lock:
            self._seen[memory.id] = updated
            self._matrix = None
            if not memory.holds:
                self._drop(memory.id)
                return
            known = self._records.get(memory.id)
            self._records[memory.id] = record
            if known is None or known.memory != memory:
                self._words.put(memory.id, (memory.text, _date_words(time_of(memory))))

    def put_all(self, records: Iterable[Record]) -> None:
        """Add records, or put them in the place of those with their ids."""
        for record in records:
            self.put(record)

    def remove_all(self, keys: Iterable[str]) -> None:
        """Take records out, where they are there."""
        with self._lock:
            self._matrix = None
            for key in keys:
                self._seen.pop(key, None)
                self._drop(key)

    def without_vector(self, embedder: str) -> list[Record]:
        """The records that this embedder has not embedded."""
        with self._lock:
            return [r for r in self._records.values() if r.vector is None or r.embedder != embedder]

    def search(
        self,
        words: str,
        vector: NDArray[Any] | None,
        *,
        periods: Sequence[Period] = (),
        within: Period | None = None,
        kinds: Sequence[str] | None = None,
    ) -> list[Memory]:
        """The memories that a question is about, best first.

        Args:
            words: The question.
            vector: Its unit vector; None where there are no embeddings.
            periods: Times that the question names.
            within: When they were said or happened, all others being left out.
            kinds: Which kinds; None for all.
        """
        with self._lock:
            known = {key: record.memory for key, record in self._records.items()}
            by_meaning = [] if vector is None else self._by_meaning(vector)
        chosen = {
            key: memory
            for key, memory in known.items()
            if (kinds is None or memory.kind in kinds)
            and (within is None or within[0] <= time_of(memory) < within[1])
        }
        most = _MOST_RANKED if len(chosen) == len(known) else len(known)
        rankings = [self._words.search(words, k=most), by_meaning, _by_time(chosen, periods)]
        kept = [[key for key in ranking if key in chosen][:_MOST_RANKED] for ranking in rankings]
        return [chosen[key] for key in fused_keys(kept)]

    def _is_fresh(self, item: Item) -> bool:
        known = self._seen.get(item.key)
        return known is None or known < _updated(item)

    def _by_meaning(self, vector: NDArray[Any]) -> list[str]:
        import numpy as np

        if self._matrix is None:
            fitting = {
                key: record.vector
                for key, record in self._records.items()
                if record.vector is not None and record.vector.shape == vector.shape
            }
            stacked = np.stack(list(fitting.values())) if fitting else np.zeros((0, len(vector)))
            self._matrix = (list(fitting), stacked.astype(np.float32))
        keys, matrix = self._matrix
        return [keys[place] for place in np.argsort(-(matrix @ vector), kind="stable")]

    def _drop(self, key: str) -> None:
        if self._records.pop(key, None) is not None:
            self._words.remove(key)


def _updated(item: Item) -> datetime:
    """When a store has written an item last; SQLite's leaves out that it tells UTC."""
    time = item.updated_at
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def time_of(memory: Memory) -> datetime:
    """When it happened, or else when it was said."""
    return memory.happened or memory.source.time


def _by_time(memories: dict[str, Memory], periods: Sequence[Period]) -> list[str]:
    """Those of the times that the question names, the nearest to the middle first."""
    near = {
        key: min(_distance(time_of(memory), period) for period in periods)
        for key, memory in (memories.items() if periods else ())
    }
    reach = timedelta(days=1).total_seconds()
    return [key for key, far in sorted(near.items(), key=lambda item: item[1]) if far <= reach]


def _distance(time: datetime, period: Period) -> float:
    """Seconds between a time and a period; 0 within it."""
    start, end = period
    if start <= time < end:
        return 0.0
    return min(abs((time - start).total_seconds()), abs((time - end).total_seconds()))


def _date_words(time: datetime) -> str:
    return time.strftime("%A %d %B %Y")
