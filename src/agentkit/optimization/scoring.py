"""Scoring runs of a graph, and remembering which texts did best on which examples."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentkit._sync import run_sync
from agentkit.errors import ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Metric, Score, scored
from agentkit.optimization.running import GraphRun, TunableGraph
from agentkit.prompts import PromptSet


@dataclass
class _Candidate:
    texts: PromptSet
    scores: dict[str, float] = field(default_factory=dict)


class Scorer:
    """Scores runs by a metric; a run that failed or cannot be scored gets 0, with the reason.

    Args:
        metric: The metric.
    """

    def __init__(self, metric: Metric) -> None:
        self.failures: dict[str, str] = {}
        """Why runs were scored 0 without a look at what they answered, by example."""
        self.reached: set[str] = set()
        """The names of the prompts that any run has asked."""
        self._metric = metric
        self._candidates: dict[str, _Candidate] = {}
        self._lock = threading.Lock()

    def score(self, example: Example, run: GraphRun) -> Score:
        """Score a run, from a thread."""
        return run_sync(lambda: self.ascore(example, run))

    async def ascore(self, example: Example, run: GraphRun) -> Score:
        """Score a run.

        Args:
            example: What was asked.
            run: What came of it.
        """
        given = await self._scored(example, run)
        with self._lock:
            key = _key(run.texts)
            candidate = self._candidates.setdefault(key, _Candidate(run.texts))
            candidate.scores[example.id] = given.value
            self.reached.update(call.name for call in run.calls)
        return given

    async def _scored(self, example: Example, run: GraphRun) -> Score:
        if run.error is not None:
            told = f"The run failed: {type(run.error).__name__}: {run.error}"
        else:
            try:
                return await scored(self._metric, example, run.output)
            except ScoringError as error:
                told = str(error)
        self.failures[example.id] = told
        return Score(0.0, told)

    def best(self, examples: Sequence[Example]) -> PromptSet | None:
        """The texts with the best mean among those that were tried on all of the examples."""
        wanted = [example.id for example in examples]
        whole = [
            candidate
            for candidate in self._candidates.values()
            if candidate.scores.keys() >= set(wanted)
        ]
        if not whole:
            return None
        return max(whole, key=lambda each: sum(each.scores[name] for name in wanted)).texts


async def scores_of(
    graph: TunableGraph,
    texts: PromptSet,
    examples: Sequence[Example],
    scorer: Scorer,
    *,
    concurrency: int,
) -> list[tuple[GraphRun, Score]]:
    """Run a graph on examples, so many at once, and score what comes of it.

    Raises:
        BudgetError: When the budget was used up.
    """
    turns = asyncio.Semaphore(concurrency)

    async def one(example: Example) -> tuple[GraphRun, Score]:
        async with turns:
            run = await graph.run(example.inputs, texts)
            return run, await scorer.ascore(example, run)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(example)) for example in examples]
    return [task.result() for task in tasks]


def feedback_for(name: str, example: Example, run: GraphRun, score: Score) -> str:
    """What a model that writes instructions is told about a prompt's part in a run."""
    told = [f"The whole run scored {score.value:.2f} of 1."]
    told.append(score.feedback or f"Expected: {_as_json(example.expected)}")
    told += [
        f"This prompt's reply could not be read: {call.error}"
        for call in run.calls
        if call.name == name and call.error
    ]
    return " ".join(filter(None, told))


def _key(texts: PromptSet) -> str:
    return _as_json({name: [text.instructions, *text.demos] for name, text in texts.items()})


def _as_json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
