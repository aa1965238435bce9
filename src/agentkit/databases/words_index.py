"""Full-text search over a few thousand short texts, by SQLite's FTS5 in memory."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Mapping, Sequence

_NO_WORD = re.compile(r"[\W_]+")
_BORDERS = re.compile(
    r"(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])"  # orderItems
    r"|(?<=[A-Z])(?=[A-Z][a-z])"  # HTTPServer
    r"|(?<=\D)(?=\d)|(?<=\d)(?=\D)"  # item2
)


def split_words(text: str) -> str:
    """A text with the parts of identifiers, such as `orderItems` or `order_items`, as words."""
    return " ".join(_BORDERS.sub(" ", _NO_WORD.sub(" ", text)).split())


class WordIndex:
    """Texts in weighted fields, found by the words that they share with a question.

    Words are stemmed, without case and diacritics, and rarer ones count for more (BM25).

    Args:
        texts: For each key the texts of its fields.
        weights: How much a word counts in each field.

    Source: https://www.sqlite.org/fts5.html
    """

    def __init__(self, texts: Mapping[str, Sequence[str]], *, weights: Sequence[float]) -> None:
        self._rows: dict[str, int] = {}
        self._keys: dict[int, str] = {}
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        fields = ", ".join(f"field{place}" for place in range(len(weights)))
        self._connection.execute(
            f"CREATE VIRTUAL TABLE texts USING fts5({fields}, "
            "tokenize='porter unicode61 remove_diacritics 2')"
        )
        marks = ", ".join("?" * len(weights))
        self._insert = f"INSERT INTO texts VALUES ({marks})"  # noqa: S608 - placeholders
        told = ", ".join(f"{weight:g}" for weight in weights)
        self._search = (
            f"SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY bm25(texts, {told}), rowid "  # noqa: S608 - numbers
            "LIMIT ?"
        )
        for key, texts_of_fields in texts.items():
            self.put(key, texts_of_fields)

    def put(self, key: str, fields: Sequence[str]) -> None:
        """Add a text, or put it in the place of the one with this key."""
        with self._lock:
            self._remove(key)
            split = [split_words(text) for text in fields]
            row = self._connection.execute(self._insert, split).lastrowid or 0
            self._rows[key], self._keys[row] = row, key

    def remove(self, key: str) -> None:
        """Take a text out, if it is there."""
        with self._lock:
            self._remove(key)

    def search(self, question: str, *, k: int) -> list[str]:
        """The keys of the k texts that share most with the question, best first."""
        words = list(dict.fromkeys(split_words(question).casefold().split()))[:200]
        if not words:
            return []
        wanted = " OR ".join(f'"{word}"' for word in words)
        with self._lock:
            rows = self._connection.execute(self._search, (wanted, k)).fetchall()
            return [self._keys[row] for (row,) in rows]

    def _remove(self, key: str) -> None:
        if (row := self._rows.pop(key, None)) is not None:
            self._connection.execute("DELETE FROM texts WHERE rowid = ?", (row,))
            del self._keys[row]
