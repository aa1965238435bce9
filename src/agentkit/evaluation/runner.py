"""Evaluating a graph: every example run and scored, whatever goes wrong with any of them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from typing_extensions import Unpack

from agentkit._numbers import whole_number
from agentkit._sync import run_sync
from agentkit.diagnosis import installed_version
from agentkit.errors import ConfigurationError
from agentkit.evaluation.datasets import Source, duplicates, load_dataset
from agentkit.evaluation.identity import identity
from agentkit.evaluation.judging import Judges
from agentkit.evaluation.kept import Kept
from agentkit.evaluation.progress import OnProgress, Progress, shown_progress
from agentkit.evaluation.report import Report
from agentkit.evaluation.results import GraphRun, Item, Trial
from agentkit.evaluation.running import Askable, Subject
from agentkit.evaluation.scores import Metric
from agentkit.evaluation.statistics import check_installed
from agentkit.evaluation.usage import Budget, Meter, Prices, Spending, Usage, checked_prices

_FEW = 20


class EvaluationOptions(TypedDict, total=False):
    """The options of `evaluate`."""

    name: str | None
    context: Any
    config: RunnableConfig | None
    version: str
    repeats: int
    passing: float
    concurrency: int
    timeout: float | None
    cache: str | Path | None
    budget: Budget | int | None
    prices: Prices | None
    progress: bool | OnProgress | None
    seed: int


def evaluate(
    graph: Askable,
    dataset: Source,
    metrics: Metric | Sequence[Metric],
    **options: Unpack[EvaluationOptions],
) -> Report:
    """Run a graph on every example of a dataset, and score what it returns.

    A run that fails counts as 0 for every metric and is told with its reason; a metric that gives
    no score is told too, and left out of that metric's mean. The others go on.

    Args:
        graph: A LangGraph graph, a runnable, an object with `ainvoke` or `invoke`, or a function
            of the inputs, sync or async. A graph of agentkit's or any other that takes
            `messages` is given the question as one where it takes no `question`.
        dataset: What `load_dataset` takes, or a list of `Example`s.
        metrics: Functions of an example and the graph's output that return a score from 0 to 1.
        options: See below; all of them by name.

    Keyword Args:
        name: What the report is called; the graph's name by default.
        context: The context of every run, as the graph takes it.
        config: The LangChain configuration of every run.
        version: Tells apart, in the cache, what agentkit cannot see in the graph: the rows of a
            database, the documents behind a server, code that its nodes call.
        repeats: How often each example is run. Scores are then means over the runs, and the
            report has pass^k for every k up to this.
        passing: The score from which on a run has passed, for pass^k.
        concurrency: How many runs may go on at once; latencies are those under this load.
        timeout: Seconds that one run may take; None for no limit.
        cache: A folder. What is done is kept there, so that an evaluation that was interrupted
            goes on where it stopped, and one more metric costs no more runs of the graph. Runs
            that failed are not kept. None to keep nothing.
        budget: A `Budget` of model calls, tokens or money, or a number of model calls. When it is
            used up, the evaluation stops and the report has what is done.
        prices: What models cost: by the model's name the price of a million input tokens and of
            a million output tokens, such as `{"gpt-5-mini": (0.25, 2.0)}`.
        progress: Whether to show a bar, or a function that is told each step; by default a bar
            in a terminal and in a notebook.
        seed: Of the report's resampling.

    Returns:
        The report.

    Raises:
        DatasetError: When the dataset cannot be read, or is empty.
        BudgetError: When the budget is one of money, and there are no prices.
        ConfigurationError: When another argument is none of those.
        MissingExtraError: When the `eval` extra is not installed.
    """
    return run_sync(lambda: aevaluate(graph, dataset, metrics, **options))


async def aevaluate(
    graph: Askable,
    dataset: Source,
    metrics: Metric | Sequence[Metric],
    **options: Unpack[EvaluationOptions],
) -> Report:
    """As `evaluate`."""
    return await _Evaluation(graph, dataset, metrics, options).run()


@dataclass(frozen=True)
class _Task:
    """One run that is to be made of an example."""

    place: int
    number: int
    key: str = ""
    kept: GraphRun | None = None


class _Evaluation:
    """One evaluation, from its arguments to its report."""

    def __init__(
        self,
        graph: Askable,
        dataset: Source,
        metrics: Metric | Sequence[Metric],
        options: EvaluationOptions,
    ) -> None:
        check_installed()
        self._graph = graph
        self._options = options
        self._repeats = whole_number("repeats", options.get("repeats", 1))
        self._concurrency = whole_number("concurrency", options.get("concurrency", 8))
        self._passing = options.get("passing", 1.0)
        if not 0 < self._passing <= 1:
            raise ConfigurationError(f"passing= is a score above 0; got {self._passing!r}.")
        self._subject = Subject(
            graph,
            context=options.get("context"),
            config=options.get("config"),
            timeout=options.get("timeout"),
        )
        self._prices = checked_prices(options.get("prices"))
        self._spending = Spending(Budget.of(options.get("budget")), self._prices)
        self._judges = Judges(metrics, self._spending)
        self._examples = load_dataset(dataset)
        folder = options.get("cache")
        self._kept = None if folder is None else Kept(folder)
        self._judges.kept = self._kept
        self._trials: dict[tuple[int, int], Trial] = {}
        self._took = Usage()
        self._made = 0

    async def run(self) -> Report:
        """Make all runs, or as many as the budget has room for."""
        begin = time.perf_counter()
        try:
            tasks = await asyncio.to_thread(self._tasks)
            with shown_progress(self._options.get("progress"), self._name) as tell:
                await self._all(tasks, tell)
        finally:
            if self._kept is not None:
                self._kept.close()
        return self._report(time.perf_counter() - begin)

    @property
    def _name(self) -> str:
        return self._options.get("name") or self._subject.name

    def _tasks(self) -> list[_Task]:
        """The runs to make: those that are kept first, as they take nothing."""
        numbers = range(self._repeats)
        places = range(len(self._examples))
        if self._kept is None:
            return [_Task(place, number) for number in numbers for place in places]
        configured = (self._options.get("config") or {}).get("configurable")
        settings = (installed_version(), self._options.get("version", ""), configured)
        graph = identity(self._graph, self._options.get("context"), *settings)
        tasks = []
        for number in numbers:
            for place in places:
                key = identity(graph, self._examples[place].inputs, number)
                tasks.append(_Task(place, number, key, self._kept.run(key)))
        return sorted(tasks, key=lambda task: task.kept is None)

    async def _all(self, tasks: Sequence[_Task], tell: OnProgress) -> None:
        waiting = deque(tasks)
        running: set[asyncio.Task[None]] = set()
        tell(self._progress(len(tasks)))
        try:
            while True:
                while waiting and self._may_start(waiting[0], len(running)):
                    running.add(asyncio.ensure_future(self._trial(waiting.popleft())))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
                tell(self._progress(len(tasks)))
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _may_start(self, task: _Task, running: int) -> bool:
        """Whether there is room for one more run, and the budget has enough left for it.

        What a run takes is known from those that are made, and the first one is made alone.
        """
        if running >= self._concurrency or self._spending.problem:
            return False
        if task.kept is not None or not self._spending.is_limited:
            return True
        if not self._made:
            return running == 0
        return self._spending.affords(self._took, (running + 1) / self._made)

    async def _trial(self, task: _Task) -> None:
        example = self._examples[task.place]
        run, meter = task.kept, Meter(self._spending)
        if run is None:
            run = await self._subject.run(example.inputs, meter)
            if meter.refused:  # what it returned came about without the calls that were refused
                return
            if self._kept is not None and not run.error:
                run = self._kept.put_run(task.key, run)
        trial = await self._judges.trial(task.key, example, run)
        if trial is None:
            return
        self._trials[task.place, task.number] = trial
        if task.kept is None:
            self._made += 1
            self._took += meter.usage + trial.judging

    def _progress(self, total: int) -> Progress:
        failed = sum(bool(t.run.error or t.unscored) for t in self._trials.values())
        spent = self._spending.spent
        return Progress(len(self._trials), total, failed, spent, spent.cost(self._prices))

    def _report(self, seconds: float) -> Report:
        items = []
        for place, example in enumerate(self._examples):
            numbers = range(self._repeats)
            trials = [self._trials[place, n] for n in numbers if (place, n) in self._trials]
            if trials:
                items.append(Item(example, trials))
        whole = len(self._trials) == len(self._examples) * self._repeats
        return Report(
            name=self._name,
            metrics=self._judges.names,
            items=tuple(items),
            examples=len(self._examples),
            repeats=self._repeats,
            passing=self._passing,
            seed=self._options.get("seed", 0),
            prices=self._prices,
            spent=self._spending.spent,
            stopped="" if whole else self._spending.told(),
            notes=(*self._notes(), *(() if self._kept is None else self._kept.notes)),
            seconds=seconds,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            version=installed_version(),
        )

    def _notes(self) -> list[str]:
        """What a reader of the report should know."""
        notes = [
            f"The examples {', '.join(e.id for e in group)} ask the same."
            for group in duplicates(self._examples)
        ]
        if len(self._examples) < _FEW:
            notes.append(
                f"With {len(self._examples)} examples the intervals are rough, and only large "
                "differences can be shown."
            )
        if reused := sum(trial.run.kept for trial in self._trials.values()):
            notes.append(
                f"{reused} of {len(self._trials)} runs are those of an earlier evaluation, from "
                "the cache, with the times and tokens that they took then."
            )
        trials = self._trials.values()
        if silent := sum(t.run.usage.unreported + t.judging.unreported for t in trials):
            notes.append(f"{silent} calls of models failed or reported no tokens.")
        return notes
