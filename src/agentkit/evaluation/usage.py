"""What runs take: calls of models, tokens and money, counted and kept within a budget."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook

from agentkit.errors import BudgetError, ConfigurationError

_MILLION = 1_000_000
_ROUNDING = 1e-9
_UNNAMED = "model"

Prices: TypeAlias = Mapping[str, Sequence[float]]
"""By model: what a million input tokens and a million output tokens cost, and, where it is given,
a million input tokens that the provider read from its cache. A name holds for those that begin
with it, the longest first: `gpt-5-mini` for `gpt-5-mini-2025-08-07`."""


@dataclass(frozen=True)
class ModelUsage:
    """What one model was asked and took."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Of the input tokens, those that the provider read from its cache."""
    unreported: int = 0
    """Calls of which the model reported no tokens: failed ones too."""

    def __add__(self, other: ModelUsage) -> ModelUsage:
        return ModelUsage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.unreported + other.unreported,
        )

    def cost(self, prices: Sequence[float]) -> float:
        """What the tokens cost, in the unit of the prices."""
        of_input, of_output, *rest = prices
        of_cached = rest[0] if rest else of_input
        fresh = self.input_tokens - self.cached_tokens
        money = fresh * of_input + self.cached_tokens * of_cached + self.output_tokens * of_output
        return money / _MILLION


@dataclass(frozen=True)
class Usage:
    """What a run took, by model."""

    models: Mapping[str, ModelUsage] = field(default_factory=dict)

    def __add__(self, other: Usage) -> Usage:
        names = {**self.models, **other.models}
        nothing = ModelUsage()
        return Usage({n: self.models.get(n, nothing) + other.models.get(n, nothing) for n in names})

    @property
    def calls(self) -> int:
        """Calls of models, failed ones too."""
        return sum(model.calls for model in self.models.values())

    @property
    def input_tokens(self) -> int:
        """Tokens that models read."""
        return sum(model.input_tokens for model in self.models.values())

    @property
    def output_tokens(self) -> int:
        """Tokens that models wrote."""
        return sum(model.output_tokens for model in self.models.values())

    @property
    def tokens(self) -> int:
        """Tokens in and out, together."""
        return self.input_tokens + self.output_tokens

    @property
    def unreported(self) -> int:
        """Calls of which the model reported no tokens."""
        return sum(model.unreported for model in self.models.values())

    def cost(self, prices: Prices | None) -> float | None:
        """What the tokens cost; None where there are no prices, or not for a model that was used.

        Calls that reported no tokens cost nothing here.
        """
        if prices is None:
            return None
        total = 0.0
        for name, model in self.models.items():
            price = price_of(name, prices)
            if price is None:
                if model.input_tokens or model.output_tokens:
                    return None
                continue
            total += model.cost(price)
        return total


def price_of(model: str, prices: Prices) -> Sequence[float] | None:
    """The prices of a model, by the longest name that its own begins with."""
    names = [name for name in prices if model.startswith(name)]
    return prices[max(names, key=len)] if names else None


def checked_prices(prices: Prices | None) -> Prices | None:
    """The prices, when they are such.

    Raises:
        ConfigurationError: Otherwise.
    """
    if prices is None:
        return None
    if isinstance(prices, Mapping) and all(_are_prices(each) for each in prices.values()):
        return {str(name): tuple(map(float, each)) for name, each in prices.items()}
    raise ConfigurationError(
        "prices= gives by model what a million input and output tokens cost, such as "
        f'{{"gpt-5-mini": (0.25, 2.0)}}; got {prices!r}.'
    )


def _are_prices(given: object) -> bool:
    return (
        isinstance(given, Sequence)
        and not isinstance(given, str)
        and len(given) in (2, 3)
        and all(isinstance(each, int | float) and 0 <= each < math.inf for each in given)
    )


@dataclass(frozen=True)
class Budget:
    """What an evaluation may take, its metrics' calls of models included; None for no limit.

    Args:
        calls: Calls of models.
        tokens: Tokens in and out, together.
        cost: Money, in the unit of the prices.

    Raises:
        ConfigurationError: When a limit is not a number above 0.
    """

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "cost"):
            limit = getattr(self, name)
            if limit is not None and not (_is_number(limit) and 0 < limit < math.inf):
                raise ConfigurationError(f"A budget's {name} is a number above 0; got {limit!r}.")

    @classmethod
    def of(cls, given: Any) -> Budget:
        """A budget as it is; a number is one of so many calls, and None is no limit.

        Raises:
            ConfigurationError: When it is none of these.
        """
        if isinstance(given, Budget):
            return given
        if given is None or _is_number(given):
            return cls(calls=given)
        try:
            return cls(given.calls, given.tokens, given.cost)
        except AttributeError as error:
            raise ConfigurationError(
                "A budget is a number of model calls, or a Budget(calls=…, tokens=…, cost=…); got "
                f"{given!r}."
            ) from error

    def left(self, spent: Usage, prices: Prices | None) -> Budget | None:
        """What is left of it; None where nothing is."""
        cost = None if self.cost is None else self.cost - (spent.cost(prices) or 0.0)
        calls = None if self.calls is None else self.calls - spent.calls
        tokens = None if self.tokens is None else self.tokens - spent.tokens
        if any(limit is not None and limit <= 0 for limit in (calls, tokens, cost)):
            return None
        return Budget(calls, tokens, cost)

    def __str__(self) -> str:
        told = [] if self.calls is None else [f"{self.calls:,} model calls"]
        told += [] if self.tokens is None else [f"{self.tokens:,} tokens"]
        told += [] if self.cost is None else [f"a cost of {self.cost:g}"]
        return " and ".join(told) or "no limit"


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)


class Spending:
    """What was spent of a budget so far, by all runs together.

    Args:
        budget: The budget.
        prices: What models cost.

    Raises:
        BudgetError: When there is a limit of money and there are no prices.
    """

    def __init__(self, budget: Budget, prices: Prices | None) -> None:
        if budget.cost is not None and not prices:
            raise BudgetError(
                f'{str(budget).capitalize()} cannot be kept to without prices={{"model": (for a '
                "million input tokens, for a million output tokens)}."
            )
        self.budget = budget
        self.problem = ""
        """Why nothing more may be spent; empty as long as something may."""
        self._prices = prices
        self._spent = Usage()
        self._lock = threading.Lock()

    @property
    def spent(self) -> Usage:
        """What was spent."""
        return self._spent

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget at all."""
        return bool(self._compared(Usage()))

    def ask(self, model: str) -> None:
        """Let a model be called, and count the call.

        Raises:
            BudgetError: When the budget is used up.
        """
        with self._lock:
            self.problem = self.problem or self._used_up()
            if self.problem:
                raise BudgetError(self.problem)
            self._spent += Usage({model: ModelUsage(calls=1)})

    def add(self, model: str, took: ModelUsage) -> None:
        """Count what a call took; the call itself is counted."""
        with self._lock:
            self._spent += Usage({model: replace(took, calls=0)})
            self.problem = self.problem or self._untold(model, took)

    def affords(self, each: Usage, runs: float) -> bool:
        """Whether the budget has room for so many times a usage."""
        return all(
            used + taken * runs <= limit * (1 + _ROUNDING)
            for (used, limit), (taken, _) in zip(
                self._compared(self._spent), self._compared(each), strict=True
            )
        )

    def told(self) -> str:
        """Why an evaluation stopped."""
        return self.problem or f"The budget of {self.budget} has no room for another run."

    def _used_up(self) -> str:
        if any(used >= limit for used, limit in self._compared(self._spent)):
            return f"The budget of {self.budget} is used up."
        return ""

    def _untold(self, model: str, took: ModelUsage) -> str:
        """What keeps a budget of tokens or money from being kept to."""
        if took.unreported and (self.budget.tokens or self.budget.cost):
            return (
                f"The model {model!r} reports no tokens, so that a budget of {self.budget} cannot "
                "be kept to: give one of calls."
            )
        if self.budget.cost and price_of(model, self._prices or {}) is None:
            return f"prices= has no price of the model {model!r}, so that money cannot be counted."
        return ""

    def _compared(self, usage: Usage) -> list[tuple[float, float]]:
        used = (usage.calls, usage.tokens, usage.cost(self._prices) or 0.0)
        limits = (self.budget.calls, self.budget.tokens, self.budget.cost)
        return [(u, limit) for u, limit in zip(used, limits, strict=True) if limit is not None]


class Meter(BaseCallbackHandler):
    """Counts the calls of models in one run, as a LangChain callback.

    Args:
        spending: What all runs spend together: a call over its budget is refused.
    """

    raise_error = True  # else LangChain would log a refusal and make the call
    run_inline = True

    def __init__(self, spending: Spending) -> None:
        self.refused = False
        """Whether a call was refused: what the run returns is then no result."""
        self._spending = spending
        self._open: dict[UUID, str] = {}
        self._usage = Usage()
        self._lock = threading.Lock()

    @property
    def usage(self) -> Usage:
        """What the run took so far."""
        with self._lock:
            usage = self._usage
            for name in self._open.values():  # a call that was cancelled never ends
                usage += Usage({name: ModelUsage(calls=1, unreported=1)})
        return usage

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: Any,  # noqa: ARG002 - LangChain's
        *,
        run_id: UUID,
        **more: Any,
    ) -> None:
        """Count a call of a chat model, or refuse it."""
        self._start(run_id, serialized, more)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: Any,  # noqa: ARG002
        *,
        run_id: UUID,
        **more: Any,
    ) -> None:
        """Count a call of a completion model, or refuse it."""
        self._start(run_id, serialized, more)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Count what a call took."""
        with self._lock:
            asked = self._open.pop(run_id, _UNNAMED)
        name, took = _took(response)
        name = name or asked
        with self._lock:
            self._usage += Usage({name: took})
        self._spending.add(name, took)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        """Count a call that failed."""
        with self._lock:
            known = run_id in self._open  # not so for a call that was refused
            asked = self._open.pop(run_id, _UNNAMED)
            if known:
                self._usage += Usage({asked: ModelUsage(calls=1, unreported=1)})

    def _start(self, run_id: UUID, serialized: Mapping[str, Any] | None, more: Any) -> None:
        told = (more.get("metadata") or {}).get("ls_model_name")
        name = str(told or (serialized or {}).get("name") or _UNNAMED)
        try:
            self._spending.ask(name)
        except BudgetError:
            self.refused = True
            raise
        with self._lock:
            self._open[run_id] = name


_meter: ContextVar[Meter | None] = ContextVar("agentkit_evaluation_meter", default=None)
# unlike callbacks of a configuration, it also counts calls that are given their own callbacks
register_configure_hook(_meter, inheritable=True)


@contextmanager
def counted_by(meter: Meter) -> Iterator[None]:
    """Every call of a model inside is counted, whatever configuration it is made with."""
    token = _meter.set(meter)
    try:
        yield
    finally:
        _meter.reset(token)


def _took(response: LLMResult) -> tuple[str, ModelUsage]:
    """The model that replied, where it says, and what it took."""
    first = response.generations[0][0] if response.generations and response.generations[0] else None
    message = first.message if isinstance(first, ChatGeneration) else None
    return taken_by(message) if isinstance(message, AIMessage) else ("", _UNREPORTED)


def taken_by(message: AIMessage) -> tuple[str, ModelUsage]:
    """The model that wrote a message, where it says so, and what it took."""
    metadata = message.response_metadata
    name = str(metadata.get("model_name") or metadata.get("model") or "")
    usage = message.usage_metadata
    if not usage:
        return name, _UNREPORTED
    cached = (usage.get("input_token_details") or {}).get("cache_read") or 0
    return name, ModelUsage(1, usage["input_tokens"], usage["output_tokens"], cached)


_UNREPORTED = ModelUsage(calls=1, unreported=1)
