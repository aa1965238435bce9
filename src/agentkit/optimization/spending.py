"""What an optimisation takes, counted against its budget."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from langchain_core.messages import AIMessage

from agentkit.errors import BudgetError
from agentkit.evaluation.usage import Budget, ModelUsage, Prices, Spending, Usage, taken_by


@dataclass(frozen=True)
class Spent:
    """What calls took.

    Args:
        calls: Calls of models, each different one once.
        made: How many of them were made now; the others were kept from a run before.
        input_tokens: Tokens of the prompts, as the models report them.
        output_tokens: Tokens of the replies.
        cost: Money, where there are prices.
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
        cost = None if self.cost is None else self.cost + (other.cost or 0.0)
        return Spent(
            self.calls + other.calls,
            self.made + other.made,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            cost,
        )

    def times(self, factor: float) -> Spent:
        """The same so many times over, rounded up."""
        return Spent(
            math.ceil(self.calls * factor),
            math.ceil(self.made * factor),
            math.ceil(self.input_tokens * factor),
            math.ceil(self.output_tokens * factor),
            None if self.cost is None else self.cost * factor,
        )

    def __str__(self) -> str:
        cost = "" if self.cost is None else f", a cost of {self.cost:.4g}"
        return f"{self.calls:,} calls, {self.tokens:,} tokens{cost}"


class Meter(Spending):
    """Counts calls against a budget, for threads and tasks alike.

    A call that was kept from a run before counts as it did then, so that a run which was killed
    and goes on stops where it would have stopped.

    Args:
        budget: The budget.
        prices: What models cost.

    Raises:
        BudgetError: When there is a limit of money and there are no prices.
    """

    def __init__(self, budget: Budget, prices: Prices | None = None) -> None:
        super().__init__(budget, prices)
        self.refusal = ""
        """Why a call was refused since the last `reserving` ended; empty where none was."""
        self._made = 0
        self._reserved = Spent()
        self._asked: set[str] = set()
        self._answered: set[str] = set()
        self._turn = threading.RLock()

    @property
    def total(self) -> Spent:
        """What was spent so far."""
        with self._turn:
            spent, cost = self.spent, self.spent.cost(self._prices)
            return Spent(spent.calls, self._made, spent.input_tokens, spent.output_tokens, cost)

    def covers(self, needed: Spent) -> bool:
        """Whether the whole budget is enough for so much."""
        return all(used <= limit for used, limit in self._limited(needed))

    @contextlib.contextmanager
    def reserving(self, part: Spent) -> Iterator[None]:
        """Keep a part of the budget back for what comes after the block."""
        nothing, self._reserved = self._reserved, part
        try:
            yield
        finally:
            self._reserved = nothing
            self.refusal = ""

    def allow(self, key: str, model: str) -> None:
        """Let a model be asked something, and count that once.

        Raises:
            BudgetError: When the budget is used up.
        """
        with self._turn:
            if key not in self._asked:
                self.ask(model)
                self._asked.add(key)

    def stop(self, why: str) -> None:
        """Let no call be made any more."""
        self.problem = why

    def forget(self, key: str) -> None:
        """A call failed: it was made, and the next of the kind is another one."""
        with self._turn:
            self._asked.discard(key)

    def count(self, key: str, model: str, message: AIMessage, *, made: bool) -> None:
        """Count what a reply took, once however often it is asked for."""
        with self._turn:
            if key not in self._answered:
                self._answered.add(key)
                self._made += made
                name, took = taken_by(message)
                super().add(name or model, took)

    def count_kept(self, key: str, usage: Usage) -> None:
        """Count, once, what was asked in a run before.

        Raises:
            BudgetError: When the budget is used up.
        """
        with self._turn:
            if key not in self._asked:
                self._check()
                self._asked.add(key)
                self._spent += usage

    def remember(self, key: str) -> None:
        """What was asked under a key is counted."""
        with self._turn:
            self._asked.add(key)

    def ask(self, model: str) -> None:
        """Let a model be called, and count the call: also one that fails was made.

        Raises:
            BudgetError: When the budget is used up.
        """
        with self._turn:
            self._check()
            super().ask(model)

    def add(self, model: str, took: ModelUsage) -> None:
        """Count what a call took that was made now; the call itself is counted."""
        with self._turn:
            self._made += 1
            super().add(model, took)

    def _check(self) -> None:
        problem = self.problem
        if any(used >= limit for used, limit in self._limited(self.total + self._reserved)):
            problem = problem or f"The budget of {self.budget} is used up, after {self.total}."
        if problem:
            self.refusal = problem
            raise BudgetError(problem)

    def _limited(self, spent: Spent) -> list[tuple[float, float]]:
        """What is used, beside its limit."""
        used = (spent.calls, spent.tokens, spent.cost or 0.0)
        limits = (self.budget.calls, self.budget.tokens, self.budget.cost)
        return [(u, limit) for u, limit in zip(used, limits, strict=True) if limit is not None]
