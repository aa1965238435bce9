"""What an optimiser is given, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel

from agentkit.errors import ConfigurationError
from agentkit.evaluation.examples import Example
from agentkit.optimization.calls import Calls
from agentkit.optimization.running import TunableGraph
from agentkit.optimization.scoring import Scorer
from agentkit.optimization.stopping import Gate
from agentkit.prompts import PromptSet


@dataclass(frozen=True)
class Task:
    """What an optimiser is to do.

    Args:
        graph: The graph.
        start: The texts to begin with.
        tuned: The names of the prompts to tune.
        train: The examples to learn from.
        validation: The examples to choose by.
        scorer: Scores runs.
        writer: The model that writes instructions; None for an optimiser that writes none.
        calls: Makes the calls of models.
        gate: What every run of the graph goes through.
        seed: Of every choice by chance.
        concurrency: How many runs at once.
        max_prompt_chars: Characters that one prompt may have; None for no limit.
        runs: How many runs of the graph the budget is worth; None for no limit.
        settings: The optimiser's own settings.
    """

    graph: TunableGraph
    start: PromptSet
    tuned: Sequence[str]
    train: Sequence[Example]
    validation: Sequence[Example]
    scorer: Scorer
    writer: BaseChatModel | None
    calls: Calls
    gate: Gate
    seed: int = 0
    concurrency: int = 8
    max_prompt_chars: int | None = None
    runs: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def affordable(self, runs: int) -> int:
        """So many runs, or as many as the budget is worth."""
        return runs if self.runs is None else max(1, min(runs, self.runs))


@dataclass(frozen=True)
class Optimizer:
    """An optimiser by name.

    Args:
        run: Tunes, and returns the texts that it found.
        runs: About how many runs of the graph it takes, from the numbers of training and
            validation examples and its settings.
        settings: What it can be set to, with its defaults.
        writes: Whether it writes instructions.
        needs: The module that it needs beside DSPy's, if any.
    """

    run: Callable[[Task], PromptSet]
    runs: Callable[[int, int, Mapping[str, Any]], int]
    settings: Mapping[str, Any]
    writes: bool
    needs: str = ""

    def settled(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Its settings, with those given in place of the defaults.

        Raises:
            ConfigurationError: When one is not among them.
        """
        given = given or {}
        if unknown := sorted(given.keys() - self.settings.keys()):
            raise ConfigurationError(
                f"The optimiser has no setting {', '.join(map(repr, unknown))}. It has: "
                f"{', '.join(self.settings)}."
            )
        return {**self.settings, **given}
