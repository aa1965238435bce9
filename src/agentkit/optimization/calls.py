"""The model calls of an optimisation: each made once, kept on disk, and counted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, message_to_dict, messages_from_dict
from langchain_core.outputs import ChatGeneration, Generation

from agentkit._recent import RecentlyMade
from agentkit.errors import BudgetError, ConfigurationError
from agentkit.evaluation import usage

_MILLION = 1_000_000
_MODELS_KEPT = 64
_VARYING = frozenset({"id", "usage_metadata", "response_metadata"})
"""What an earlier reply holds beside its content; it differs when the reply is a kept one."""


@dataclass(frozen=True)
class Budget(usage.Budget):
    """What an optimisation may take; None for no limit.

    Args:
        calls: Calls of chat models.
        tokens: Tokens in and out, together.
        cost: Money, in the unit of `prices`.
        prices: What a million input and a million output tokens cost.

    Raises:
        ConfigurationError: When a limit is not above 0, or a cost has no prices.
    """

    prices: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cost is not None and self.prices is None:
            raise ConfigurationError(
                "A budget in money needs prices=(for a million input tokens, for a million output "
                "tokens)."
            )

    @classmethod
    def of(cls, given: Any) -> Budget:
        """A budget as it is, or one of so many calls.

        Raises:
            ConfigurationError: When it is neither.
        """
        if isinstance(given, Budget):
            return given
        if given is None:
            raise ConfigurationError("An optimisation needs a budget: a number of model calls.")
        limits = usage.Budget.of(given)
        return cls(limits.calls, limits.tokens, limits.cost)

    def covers(self, needed: Spent) -> bool:
        """Whether so much may be taken."""
        return all(used <= limit for used, limit in self._compared(needed))

    def has_left(self, spent: Spent) -> bool:
        """Whether anything is left after so much."""
        return all(used < limit for used, limit in self._compared(spent))

    def _compared(self, spent: Spent) -> list[tuple[float, float]]:
        used = (spent.calls, spent.tokens, spent.cost or 0.0)
        limits = (self.calls, self.tokens, self.cost)
        return [(u, limit) for u, limit in zip(used, limits, strict=True) if limit is not None]


@dataclass(frozen=True)
class Spent:
    """What calls took.

    Args:
        calls: Calls of chat models, each different one once.
        made: How many of them were made now; the others were kept from a run before.
        input_tokens: Tokens of the prompts, as the model reports them.
        output_tokens: Tokens of the replies.
        cost: Money, where the budget has prices.
    """

    calls: int = 0
    made: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None

    @property
    def tokens(self) -> int:
        """Tokens in and out, together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Spent) -> Spent:
        return self._with(other, 1)

    def __sub__(self, other: Spent) -> Spent:
        return self._with(other, -1)

    def times(self, factor: float) -> Spent:
        """The same so many times over, rounded up."""
        return Spent(
            math.ceil(self.calls * factor),
            math.ceil(self.made * factor),
            math.ceil(self.input_tokens * factor),
            math.ceil(self.output_tokens * factor),
            None if self.cost is None else self.cost * factor,
        )

    def _with(self, other: Spent, sign: int) -> Spent:
        cost = None if self.cost is None else self.cost + sign * (other.cost or 0.0)
        return Spent(
            self.calls + sign * other.calls,
            self.made + sign * other.made,
            self.input_tokens + sign * other.input_tokens,
            self.output_tokens + sign * other.output_tokens,
            cost,
        )

    def __str__(self) -> str:
        cost = "" if self.cost is None else f", a cost of {self.cost:.4g}"
        return f"{self.calls:,} calls, {self.tokens:,} tokens{cost}"


class Meter:
    """Counts calls against a budget, for threads and tasks alike.

    A call that was kept from a run before counts as it did then, so that a run which was killed
    and goes on stops where it would have stopped.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.used_up = False
        """Whether a call was refused since the last `reserving` ended."""
        self._spent = self._reserved = Spent(cost=None if budget.prices is None else 0.0)
        self._asked: set[str] = set()
        self._answered: set[str] = set()
        self._lock = threading.Lock()

    @property
    def spent(self) -> Spent:
        """What was spent so far."""
        return self._spent

    @contextlib.contextmanager
    def reserving(self, part: Spent) -> Iterator[None]:
        """Keep a part of the budget back for what comes after the block."""
        nothing, self._reserved = self._reserved, part
        try:
            yield
        finally:
            self._reserved = nothing
            self.used_up = False

    def allow(self, key: str) -> None:
        """Let a call be made, and count it: also one that fails was made.

        Raises:
            BudgetError: When the budget is used up.
        """
        with self._lock:
            if key in self._asked:
                return
            if not self.budget.has_left(self._spent + self._reserved):
                self.used_up = True
                raise BudgetError(f"The budget of {self.budget} is used up, after {self._spent}.")
            self._asked.add(key)
            self._spent += Spent(calls=1)

    def count(self, key: str, message: AIMessage, *, made: bool) -> None:
        """Count what a reply took, once however often it is asked for."""
        usage = message.usage_metadata
        given, written = (usage["input_tokens"], usage["output_tokens"]) if usage else (0, 0)
        with self._lock:
            if key in self._answered:
                return
            self._answered.add(key)
            self._spent += Spent(0, made, given, written, self._cost(given, written))

    def _cost(self, given: int, written: int) -> float | None:
        if self.budget.prices is None:
            return None
        of_input, of_output = self.budget.prices
        return (given * of_input + written * of_output) / _MILLION


class KeptReplies:
    """Replies by what was asked, in a SQLite file; a killed process loses none of them.

    Args:
        path: The file, made where it is missing; None to keep them in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                path or ":memory:", check_same_thread=False, isolation_level=None, timeout=30
            )
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, message TEXT NOT NULL)"
            )
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"No calls can be kept in {path}: {error}") from error
        self._lock = threading.Lock()

    def get(self, key: str) -> AIMessage | None:
        """The reply, where there is one."""
        with self._lock:
            row = self._database.execute(
                "SELECT message FROM replies WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        message = messages_from_dict([json.loads(row[0])])[0]
        return message if isinstance(message, AIMessage) else None

    def put(self, key: str, message: AIMessage) -> None:
        """Keep a reply."""
        # ids are given anew to each message, or a state would take two replies for one
        told = json.dumps(message_to_dict(message.model_copy(update={"id": None})))
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, told))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()


@dataclass
class _Asked:
    """One run of a graph: which sample it is, and what it asked so far."""

    sample: int = 0
    times: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def number(self, question: str) -> int:
        """How often this run asked the same before: two equal calls are two samples."""
        with self.lock:
            self.times[question] += 1
            return self.times[question]


_run: ContextVar[_Asked | None] = ContextVar("agentkit_optimization_run", default=None)
_key: ContextVar[str] = ContextVar("agentkit_optimization_key")


@contextlib.contextmanager
def one_run(sample: int = 0) -> Iterator[None]:
    """What is asked inside belongs to one run of a graph.

    Args:
        sample: Runs that ask the same get the same replies, except under another number.
    """
    token = _run.set(_Asked(sample))
    try:
        yield
    finally:
        _run.reset(token)


class Calls:
    """Makes the calls of chat models, or takes the replies kept of them, and counts them.

    Args:
        meter: Counts the calls, and refuses those that are over the budget.
        replies: Where the replies are kept.
    """

    def __init__(self, meter: Meter, replies: KeptReplies) -> None:
        self.meter = meter
        self.replies = replies
        self._models: RecentlyMade[BaseChatModel] = RecentlyMade(_MODELS_KEPT)

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
        changes["cache"] = _ModelCalls(self, f"temperature {at}")
        return model.model_copy(update=changes)


class _ModelCalls(BaseCache):
    """The calls of one model, by LangChain's own interface to a cache."""

    def __init__(self, calls: Calls, model: str) -> None:
        self._calls = calls
        self._model = model

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        key = self._keyed(prompt, llm_string)
        _key.set(key)
        self._calls.meter.allow(key)
        kept = self._calls.replies.get(key)
        if kept is None:
            return None
        self._calls.meter.count(key, kept, made=False)
        return [ChatGeneration(message=kept)]

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:  # noqa: ARG002
        message = getattr(return_val[0], "message", None) if return_val else None
        if isinstance(message, AIMessage):
            self._calls.replies.put(_key.get(), message)
            self._calls.meter.count(_key.get(), message, made=True)

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        return self.lookup(prompt, llm_string)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        self.update(prompt, llm_string, return_val)

    def clear(self, **_: Any) -> None:
        """Nothing: what was asked and answered stays so."""

    def _keyed(self, prompt: str, llm_string: str) -> str:
        asked = json.dumps([self._model, llm_string, _lasting(json.loads(prompt))])
        run = _run.get() or _Asked()
        told = f"{run.sample} {run.number(asked)} {asked}"
        return hashlib.sha256(told.encode()).hexdigest()


def _lasting(value: Any) -> Any:
    """The messages without what differs each time they are written."""
    if isinstance(value, dict):
        return {name: _lasting(item) for name, item in value.items() if name not in _VARYING}
    if isinstance(value, list):
        return [_lasting(item) for item in value]
    return value
