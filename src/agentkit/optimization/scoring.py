"""Scoring runs of a graph, and remembering which texts did best on which examples."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage, message_to_dict

from agentkit._sync import run_sync
from agentkit.errors import BudgetError, ScoringError
from agentkit.evaluation import usage
from agentkit.evaluation.examples import Example
from agentkit.evaluation.identity import identity
from agentkit.evaluation.judging import in_thread
from agentkit.evaluation.scores import Metric, Score, scored
from agentkit.optimization.calls import Calls, lasting
from agentkit.optimization.running import GraphRun, TunableGraph
from agentkit.prompts import PromptSet


@dataclass
class _Candidate:
    texts: PromptSet
    scores: dict[str, float] = field(default_factory=dict)


class Scorer:
    """Scores runs by a metric; a run that failed or cannot be scored gets 0, with the reason.

    What a metric asks a model is counted, and the scores of such a metric are kept like replies.

    Args:
        metric: The metric.
        calls: Counts its calls of models, and keeps its scores.
        on_run: Called after each run.
    """

    def __init__(
        self, metric: Metric, calls: Calls, on_run: Callable[[], None] = lambda: None
    ) -> None:
        self.failures: dict[str, str] = {}
        """Why runs were scored 0 without a look at what they answered, by example."""
        self.reached: set[str] = set()
        """The names of the prompts that any run has asked."""
        self.runs = self.failed_runs = 0
        self._metric = in_thread(metric)
        self._identity = identity(metric)
        self._meter = calls.meter
        self._kept = calls.kept
        self._on_run = on_run
        self._candidates: dict[str, _Candidate] = {}
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """That the same is not judged twice at once; all runs are on one event loop."""
        self._lock = threading.Lock()

    def score(self, example: Example, run: GraphRun) -> Score:
        """Score a run, from a thread."""
        return run_sync(lambda: self.ascore(example, run))

    async def ascore(self, example: Example, run: GraphRun) -> Score:
        """Score a run.

        Args:
            example: What was asked.
            run: What came of it.

        Raises:
            BudgetError: When the budget did not suffice for what the metric asks a model.
        """
        failure = ""
        if run.error is not None:
            failure = f"The run failed: {type(run.error).__name__}: {run.error}"
        else:
            try:
                given = await self._judged(example, run)
            except ScoringError as error:
                failure = str(error)
        if failure:
            given = Score(0.0, failure)
        self._note(example, run, given, failure)
        self._on_run()
        return given

    def _note(self, example: Example, run: GraphRun, given: Score, failure: str) -> None:
        with self._lock:
            candidate = self._candidates.setdefault(_of_texts(run.texts), _Candidate(run.texts))
            candidate.scores[example.id] = given.value
            self.reached.update(call.name for call in run.calls)
            self.runs += 1
            if failure:
                self.failed_runs += 1
                self.failures[example.id] = failure

    async def _judged(self, example: Example, run: GraphRun) -> Score:
        key = self._key(example, run.output)
        async with self._turns[key] if key else contextlib.nullcontext():
            return await self._judged_once(key, example, run)

    async def _judged_once(self, key: str, example: Example, run: GraphRun) -> Score:
        if key and (known := self._kept.score(key)) is not None:
            self._meter.count_kept(key, known[1])
            return known[0]
        asked = usage.Meter(self._meter)
        try:
            with usage.counted_by(asked):
                score = await scored(self._metric, example, run.output)
        except ScoringError:
            if asked.refused:
                raise BudgetError(self._meter.refusal) from None
            raise
        # one that asks no model is made anew each time: its code may call code that changed
        if key and asked.usage.calls:
            self._kept.put_score(key, score, asked.usage)
            self._meter.remember(key)
        return score

    def _key(self, example: Example, output: Mapping[str, Any]) -> str:
        """What tells a scoring apart from all others; empty where that cannot be written."""
        told = [self._identity, example.inputs, example.expected, output]
        try:
            written = json.dumps(told, skipkeys=True, default=_told)
        except (TypeError, ValueError, RecursionError):
            return ""
        return hashlib.sha256(written.encode()).hexdigest()

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

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(example)) for example in examples]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
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


def _of_texts(texts: PromptSet) -> str:
    return _as_json({name: [text.instructions, *text.demos] for name, text in texts.items()})


def _as_json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _told(value: Any) -> Any:
    """A value of an output, without what differs each time it is made."""
    return lasting(message_to_dict(value)) if isinstance(value, BaseMessage) else str(value)
