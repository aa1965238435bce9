"""What came of an evaluation: a run's output, steps and usage, and the scores of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Score
from agentkit.evaluation.usage import Usage


@dataclass(frozen=True)
class Step:
    """One run of a node."""

    node: str
    """Its name; that of a node of a subgraph stands behind the subgraph's: `agent/model`."""
    start: float
    """Seconds from the beginning of the run."""
    seconds: float
    """How long it took."""
    update: Mapping[str, str] = field(default_factory=dict)
    """What it changed, in short, by the field of the state."""
    error: str = ""
    """What it failed with."""


@dataclass(frozen=True)
class GraphRun:
    """One run of the graph on an example."""

    output: Mapping[str, Any] = field(default_factory=dict)
    """What the graph returned; empty where it failed."""
    error: str = ""
    """What it failed with."""
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    steps: Sequence[Step] = ()
    kept: bool = False
    """Whether it is one of an earlier evaluation, from the cache."""


@dataclass(frozen=True)
class Trial:
    """One run of the graph on an example, and its scores."""

    run: GraphRun
    scores: Mapping[str, Score] = field(default_factory=dict)
    """By the metric's name."""
    unscored: Mapping[str, str] = field(default_factory=dict)
    """By the metric's name, why there is no score."""
    judging: Usage = field(default_factory=Usage)
    """What the metrics' own calls of models took."""

    def value(self, metric: str) -> float | None:
        """The score: 0 for a run that failed, and None where the metric gave none."""
        if self.run.error:
            return 0.0
        score = self.scores.get(metric)
        return None if score is None else score.value


@dataclass(frozen=True)
class Item:
    """An example, and what came of it in each of the repeated runs."""

    example: Example
    trials: Sequence[Trial]

    def score(self, metric: str) -> float | None:
        """The mean score of the runs; None where no run has one."""
        values = self.values(metric)
        return sum(values) / len(values) if values else None

    def values(self, metric: str) -> list[float]:
        """The scores of the runs that have one."""
        told = (trial.value(metric) for trial in self.trials)
        return [value for value in told if value is not None]

    @property
    def failures(self) -> list[str]:
        """What went wrong: runs that failed, and metrics that gave no score."""
        told = []
        for number, trial in enumerate(self.trials, 1):
            where = f"run {number}: " if len(self.trials) > 1 else ""
            if trial.run.error:
                told.append(f"{where}{trial.run.error}")
            told += [f"{where}{reason}" for reason in trial.unscored.values()]
        return told
