"""What an optimisation found, and whether that is an improvement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentkit.evaluation.statistics import Comparison, Interval, compared, interval
from agentkit.optimization.spending import Spent
from agentkit.prompts import PromptSet


@dataclass(frozen=True)
class HeldOut:
    """The scores on the examples that nothing was learnt from.

    Args:
        scores: One for each example.
        interval: The mean, and its bootstrap interval.
    """

    scores: Sequence[float]
    interval: Interval

    @classmethod
    def of(cls, scores: Sequence[float], *, seed: int) -> HeldOut:
        """The scores with their interval."""
        return cls(scores, interval(scores, seed=seed))

    @property
    def mean(self) -> float:
        """The mean of the scores."""
        return self.interval.mean

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.interval.low:.3f} to {self.interval.high:.3f})"


@dataclass(frozen=True)
class Proof:
    """The held-out scores before and after, and what they show.

    Args:
        before: Of the texts that were begun with.
        after: Of the texts that were found; None where these were not scored.
        comparison: The two, example by example.
    """

    before: HeldOut
    after: HeldOut | None
    comparison: Comparison | None

    @classmethod
    def of(cls, before: HeldOut, after: HeldOut | None, *, seed: int) -> Proof:
        """Compare the two."""
        if after is None:
            return cls(before, None, None)
        return cls(before, after, compared(before.scores, after.scores, seed=seed))

    @property
    def improved(self) -> bool:
        """Whether what was found is shown to be better."""
        return (
            self.comparison is not None
            and self.comparison.is_shown
            and self.comparison.difference > 0
        )

    @property
    def verdict(self) -> str:
        """What they show, in words."""
        if self.after is None or (change := self.comparison) is None:
            return "No improvement: nothing was found that could be proved better than before."
        figures = (
            f"{self.before.mean:.3f} → {self.after.mean:.3f} on {len(self.before.scores)} held-out "
            f"examples, difference {change.difference:+.3f} ({change.low:+.3f} to "
            f"{change.high:+.3f}), p = {change.p_value:.3g}"
        )
        return f"Improved: {figures}." if self.improved else f"No improvement shown: {figures}."


@dataclass(frozen=True)
class Optimization:
    """What an optimisation found.

    Args:
        prompts: The texts to use: those that were found where they are shown to be better, else
            those that it began with.
        candidate: The texts that were found.
        improved: Whether they are shown to be better on held-out examples.
        verdict: That in words.
        before: The held-out scores of the texts that it began with.
        after: Those of the texts that were found; None where these were not scored.
        comparison: The two, example by example; None where there is nothing to compare.
        spent: What all of it took.
        estimate: What it was expected to take before it started.
        seconds: How long it took.
        growth: Characters of each prompt's instructions and demos, before and after.
        notes: What else should be known: leaks, runs that failed, a budget that was too small.
    """

    prompts: PromptSet
    candidate: PromptSet
    improved: bool
    verdict: str
    before: HeldOut
    after: HeldOut | None
    comparison: Comparison | None
    spent: Spent
    estimate: Spent
    seconds: float
    growth: Mapping[str, tuple[int, int]]
    notes: Sequence[str] = field(default_factory=tuple)

    def save(self, path: str | Path) -> None:
        """Write the texts to use as JSON; `PromptSet.load` reads them with no DSPy installed.

        Raises:
            ConfigurationError: When they cannot be written.
        """
        self.prompts.save(path)

    def as_json(self) -> dict[str, Any]:
        """The figures, as JSON can hold them."""
        return {
            "improved": self.improved,
            "verdict": self.verdict,
            "before": _as_json(self.before),
            "after": None if self.after is None else _as_json(self.after),
            "p_value": None if self.comparison is None else self.comparison.p_value,
            "calls": self.spent.calls,
            "calls_made": self.spent.made,
            "input_tokens": self.spent.input_tokens,
            "output_tokens": self.spent.output_tokens,
            "cost": self.spent.cost,
            "estimated_calls": self.estimate.calls,
            "seconds": round(self.seconds, 3),
            "growth": {name: list(sizes) for name, sizes in self.growth.items()},
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [self.verdict, f"held out before: {self.before}"]
        if self.after is not None:
            lines.append(f"held out after:  {self.after}")
        lines.append(f"took {self.spent}, {self.seconds:.1f} s")
        lines += [
            f"{name}: {before:,} → {after:,} characters"
            for name, (before, after) in self.growth.items()
            if before != after
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def _as_json(held_out: HeldOut) -> dict[str, Any]:
    return {
        "mean": held_out.mean,
        "low": held_out.interval.low,
        "high": held_out.interval.high,
        "n": len(held_out.scores),
    }
