"""The model calls of an optimisation: each made once, kept on disk, and counted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, message_to_dict, messages_from_dict
from langchain_core.outputs import ChatGeneration, Generation

from agentkit._recent import RecentlyMade
from agentkit.errors import ConfigurationError
from agentkit.evaluation.scores import Score
from agentkit.evaluation.usage import ModelUsage, Usage
from agentkit.optimization.spending import Meter

_FILE = "calls.sqlite"
_MODELS_KEPT = 64
_VARYING = frozenset({"id", "usage_metadata", "response_metadata"})
"""What an earlier reply holds beside its content; it differs when the reply is a kept one."""


class Kept:
    """Replies by what was asked, and scores, in a SQLite file; a killed process loses none.

    An entry that cannot be read is as good as none, and one that cannot be written is done without.

    Args:
        folder: The folder, made where it is missing; None to keep them in memory only.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.problem = ""
        """Why something could not be kept or read, if so."""
        self._folder = folder
        self._lock = threading.Lock()
        self._database: sqlite3.Connection

    def open(self) -> None:
        """Open the file.

        Raises:
            ConfigurationError: When nothing can be kept there.
        """
        folder = self._folder
        try:
            if folder is not None:
                Path(folder).mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                ":memory:" if folder is None else Path(folder) / _FILE,
                check_same_thread=False,
                isolation_level=None,
                timeout=30,
            )
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, content TEXT NOT NULL)"
            )
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"No calls can be kept in cache={folder}: {error}.") from error

    def reply(self, key: str) -> AIMessage | None:
        """The reply, where there is one."""
        try:
            message = messages_from_dict([self._read(key)])[0]
        except (KeyError, TypeError, ValueError):
            return None
        return message if isinstance(message, AIMessage) else None

    def put_reply(self, key: str, message: AIMessage) -> None:
        """Keep a reply."""
        # ids are given anew to each message, or a state would take two replies for one
        self._write(key, message_to_dict(message.model_copy(update={"id": None})))

    def score(self, key: str) -> tuple[Score, Usage] | None:
        """A score and what the calls of its metric took, where there is one."""
        try:
            told = self._read(key)
            usage = {name: ModelUsage(**took) for name, took in told["usage"].items()}
            return Score(told["value"], told["feedback"]), Usage(usage)
        except (KeyError, TypeError, ValueError):
            return None

    def put_score(self, key: str, score: Score, usage: Usage) -> None:
        """Keep a score."""
        self._write(key, {**asdict(score), "usage": asdict(usage)["models"]})

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _read(self, key: str) -> Any:
        found = self._run("SELECT content FROM kept WHERE key = ?", key)
        return None if found is None else json.loads(found[0])

    def _write(self, key: str, content: dict[str, Any]) -> None:
        self._run("INSERT OR REPLACE INTO kept VALUES (?, ?)", key, json.dumps(content))

    def _run(self, statement: str, *values: str) -> Any:
        try:
            with self._lock:
                return self._database.execute(statement, values).fetchone()
        except sqlite3.Error as error:  # such as a full disk; a reply is not lost to the run by it
            self.problem = f"Not all calls could be kept in cache={self._folder}: {error}."
            return None


@dataclass
class _Asked:
    """One run of a graph: which sample it is, and what it asked so far."""

    sample: int = 0
    times: Counter[str] = field(default_factory=Counter)
    open: dict[str, Meter] = field(default_factory=dict)
    """The keys of calls that are not answered, and what counts them."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def number(self, question: str) -> int:
        """How often this run asked the same before: two equal calls are two samples."""
        with self.lock:
            self.times[question] += 1
            return self.times[question]

    def _end(self) -> None:
        # what is still not answered has failed, and counts anew when it is asked again
        for key, meter in list(self.open.items()):
            meter.forget(key)
        self.open.clear()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """What is asked inside belongs to this run."""
        token = _run.set(self)
        try:
            yield
        finally:
            _run.reset(token)
            self._end()


_run: ContextVar[_Asked | None] = ContextVar("agentkit_optimization_run", default=None)
_call: ContextVar[tuple[_Asked, str]] = ContextVar("agentkit_optimization_call")
"""The call that is being made: LangChain asks for the reply and keeps it in one context."""


@contextlib.contextmanager
def one_run(sample: int = 0) -> Iterator[None]:
    """What is asked inside belongs to one run of a graph.

    Args:
        sample: Runs that ask the same get the same replies, except under another number.
    """
    with _Asked(sample).inside():
        yield


class Calls:
    """Makes the calls of chat models, or takes the replies kept of them, and counts them.

    Args:
        meter: Counts the calls, and refuses those that are over the budget.
        kept: Where the replies are kept.
    """

    def __init__(self, meter: Meter, kept: Kept) -> None:
        self.meter = meter
        self.kept = kept
        self._models: RecentlyMade[BaseChatModel] = RecentlyMade(_MODELS_KEPT)
        self._writing = _Asked()

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """What is asked inside is for an optimiser: the same again is another sample."""
        return self._writing.inside()

    def of(self, model: BaseChatModel, *, temperature: float | None = None) -> BaseChatModel:
        """A model whose calls are kept and counted, at a temperature where it takes one."""
        takes = "temperature" in type(model).model_fields
        wanted = temperature if takes else None
        if isinstance(model.cache, _ModelCalls) and wanted is None:
            return model
        return self._models.get(model, wanted, lambda: self._wrapped(model, wanted))

    def _wrapped(self, model: BaseChatModel, temperature: float | None) -> BaseChatModel:
        changes: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
        at = changes.get("temperature", getattr(model, "temperature", None))
        # LangChain's description of a model is of how it was made, before this temperature
        changes["cache"] = _ModelCalls(self, model_name(model), f"temperature {at}")
        return model.model_copy(update=changes)


class _ModelCalls(BaseCache):
    """The calls of one model, by LangChain's own interface to a cache."""

    def __init__(self, calls: Calls, name: str, settings: str) -> None:
        self._meter = calls.meter
        self._kept = calls.kept
        self._name = name
        self._settings = settings

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        run = _run.get() or _Asked()
        key = self._key(run, prompt, llm_string)
        self._meter.allow(key, self._name)
        kept = self._kept.reply(key)
        if kept is None:
            run.open[key] = self._meter
            _call.set((run, key))
            return None
        self._meter.count(key, self._name, kept, made=False)
        return [ChatGeneration(message=kept)]

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:  # noqa: ARG002
        message = getattr(return_val[0], "message", None) if return_val else None
        if isinstance(message, AIMessage):
            run, key = _call.get()
            self._kept.put_reply(key, message)
            self._meter.count(key, self._name, message, made=True)
            run.open.pop(key, None)

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        return self.lookup(prompt, llm_string)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        self.update(prompt, llm_string, return_val)

    def clear(self, **_: Any) -> None:
        """Nothing: what was asked and answered stays so."""

    def _key(self, run: _Asked, prompt: str, llm_string: str) -> str:
        asked = json.dumps([self._settings, llm_string, lasting(json.loads(prompt))])
        told = f"{run.sample} {run.number(asked)} {asked}"
        return hashlib.sha256(told.encode()).hexdigest()


def model_name(model: BaseChatModel) -> str:
    """What a model is called, as its provider does."""
    names = (getattr(model, attribute, None) for attribute in ("model_name", "model"))
    return next((name for name in names if isinstance(name, str)), type(model).__name__)


def lasting(value: Any) -> Any:
    """The messages without what differs each time they are written."""
    if isinstance(value, dict):
        return {name: lasting(item) for name, item in value.items() if name not in _VARYING}
    if isinstance(value, list):
        return [lasting(item) for item in value]
    return value
