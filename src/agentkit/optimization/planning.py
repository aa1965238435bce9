"""What an optimisation is expected to take, from what one run of the graph took."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentkit.evaluation.usage import Budget
from agentkit.optimization.spending import Spent


@dataclass(frozen=True)
class Plan:
    """The runs that an optimisation makes, and what each takes.

    Args:
        run: What a run takes.
        validation: How many examples are chosen by.
        test: How many examples are proved on.
        optimizer: About how many runs the optimiser makes.
    """

    run: Spent
    validation: int
    test: int
    optimizer: int

    @property
    def runs(self) -> int:
        """All runs: the one that this is known from, those of both proofs, and the optimiser's."""
        return 1 + 2 * self.test + self.optimizer

    @property
    def expected(self) -> Spent:
        """What all runs take."""
        return self.run.times(self.runs)

    @property
    def least(self) -> Spent:
        """What it takes to score the examples that nothing is learnt from."""
        return self.run.times(1 + 2 * self.test + self.validation)

    @property
    def proof(self) -> Spent:
        """What the proof of what was found takes; prompts grow, so twice the tokens of the old."""
        once = self.run.times(self.test)
        return replace(
            once,
            input_tokens=2 * once.input_tokens,
            output_tokens=2 * once.output_tokens,
            cost=None if once.cost is None else 2 * once.cost,
        )

    def affordable(self, budget: Budget, spent: Spent) -> int | None:
        """How many runs the optimiser may make, when so much is spent; None for no limit."""
        used = spent + self.proof
        limits = (
            (budget.calls, used.calls, self.run.calls),
            (budget.tokens, used.tokens, self.run.tokens),
            (budget.cost, used.cost or 0.0, self.run.cost or 0.0),
        )
        worth = [int((limit - taken) / each) for limit, taken, each in limits if limit and each]
        return min(worth, default=None)
