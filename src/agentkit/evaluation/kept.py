"""Results kept on disk, so that an evaluation that was interrupted goes on where it stopped."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentkit._text import shortened
from agentkit.errors import ConfigurationError
from agentkit.evaluation.results import GraphRun, Step
from agentkit.evaluation.scores import Score
from agentkit.evaluation.usage import ModelUsage, Usage

_FILE = "evaluation.sqlite"
_TUPLE = "__agentkit_tuple__"
_TABLES = """
CREATE TABLE IF NOT EXISTS kept (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, content BLOB NOT NULL
) WITHOUT ROWID
"""


class Kept:
    """Runs and scores by their keys, in a SQLite file.

    What is put outlives the process when `put_run` or `put_score` returns, whole or not at all; a
    loss of power may take the last entries. Several processes may use one file. An entry that
    cannot be read is as good as none. States are written as LangGraph's checkpointers write them:
    keep a file as safe as your code.

    Args:
        folder: The folder, made where it is missing.

    Raises:
        ConfigurationError: When nothing can be kept there, or the file is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

        self.notes: list[str] = []
        """What could not be kept or read, and why."""
        self._serializer = JsonPlusSerializer()
        self._lock = threading.Lock()
        self._path = Path(folder) / _FILE
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                self._path, check_same_thread=False, isolation_level=None, timeout=30
            )
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"Nothing can be kept in cache={folder}: {error}.") from error
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = NORMAL")
        self._run(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def run(self, key: str) -> GraphRun | None:
        """The run of this key, if there is one."""
        told = self._get(key)
        if told is None:
            return None
        try:
            return GraphRun(
                output=told["output"],
                seconds=told["seconds"],
                usage=_usage(told["usage"]),
                steps=tuple(Step(**step) for step in told["steps"]),
                kept=True,
            )
        except (KeyError, TypeError) as error:
            self._unreadable(error)
            return None

    def put_run(self, key: str, run: GraphRun) -> GraphRun:
        """Keep a run, and return it with the output as it will be read again."""
        content = {
            "output": dict(run.output),
            "seconds": run.seconds,
            "usage": asdict(run.usage)["models"],
            "steps": [asdict(step) for step in run.steps],
        }
        if (written := self._put(key, content)) is None:
            return run
        return GraphRun(written["output"], "", run.seconds, run.usage, run.steps)

    def score(self, key: str) -> tuple[Score, Usage] | None:
        """The score of this key and what its metric's calls took, if there is one."""
        try:
            told = self._get(key)
        except ConfigurationError as error:
            self._note(str(error))
            return None
        if told is None:
            return None
        try:
            return Score(told["value"], told["feedback"]), _usage(told["usage"])
        except (KeyError, TypeError) as error:
            self._unreadable(error)
            return None

    def put_score(self, key: str, score: Score, judging: Usage) -> None:
        """Keep a score."""
        usage = asdict(judging)["models"]
        self._put(key, {"value": score.value, "feedback": score.feedback, "usage": usage})

    def _get(self, key: str) -> dict[str, Any] | None:
        row = self._run("SELECT kind, content FROM kept WHERE key = ?", key)
        if row is None:
            return None
        try:
            return dict(_unpacked(self._serializer.loads_typed((row[0], row[1]))))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is run again
            self._unreadable(error)
            return None

    def _unreadable(self, error: Exception) -> None:
        problem = shortened(f"{type(error).__name__}: {error}")
        self._note(f"An entry of the cache cannot be read ({problem}), and was made anew.")

    def _put(self, key: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """Write an entry, and return it as it will be read; None where it cannot be kept."""
        try:
            kind, written = self._serializer.dumps_typed(_packed(content))
            told: dict[str, Any] = _unpacked(self._serializer.loads_typed((kind, written)))
        except Exception as error:  # noqa: BLE001 - a state may hold anything
            problem = shortened(f"{type(error).__name__}: {error}")
            self._note(f"A result cannot be kept in the cache ({problem}).")
            return None
        try:
            self._run("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", key, kind, written)
        except ConfigurationError as error:  # a full disk is no reason to lose the evaluation
            self._note(str(error))
        return told

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _run(self, statement: str, *values: Any) -> Any:
        try:
            with self._lock:
                return self._database.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"The cache {self._path} cannot be used: {error}. If it is damaged, delete it: "
                "what it held is run again."
            ) from error


def _usage(models: Mapping[str, Mapping[str, int]]) -> Usage:
    return Usage({name: ModelUsage(**took) for name, took in models.items()})


def _packed(value: Any) -> Any:
    """The value with its tuples marked, which the serializer would make lists of."""
    if type(value) is tuple:
        return {_TUPLE: [_packed(each) for each in value]}
    if type(value) is list:
        return [_packed(each) for each in value]
    if type(value) is dict:
        return {key: _packed(each) for key, each in value.items()}
    return value


def _unpacked(value: Any) -> Any:
    if type(value) is list:
        return [_unpacked(each) for each in value]
    if type(value) is not dict:
        return value
    if value.keys() == {_TUPLE}:
        return tuple(_unpacked(each) for each in value[_TUPLE])
    return {key: _unpacked(each) for key, each in value.items()}
