"""Tuning the prompts of a graph on a user's data, and proving what it brought."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict, Unpack

from agentkit._numbers import whole_number
from agentkit._sync import in_thread, run_sync
from agentkit.errors import BudgetError, ConfigurationError, MissingExtraError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.judging import no_metric
from agentkit.evaluation.progress import OnProgress, Progress, shown_progress
from agentkit.evaluation.scores import Metric, metric_name
from agentkit.evaluation.usage import Budget, Prices, checked_prices
from agentkit.models import chat_model
from agentkit.optimization.calls import Calls, Kept, model_name
from agentkit.optimization.light import GEPA_LIGHT
from agentkit.optimization.planning import Plan
from agentkit.optimization.result import HeldOut, Optimization, Proof
from agentkit.optimization.running import Graph, TunableGraph
from agentkit.optimization.scoring import Scorer, scores_of
from agentkit.optimization.spending import Meter
from agentkit.optimization.splits import FEW, divided
from agentkit.optimization.stopping import Gate, StoppedError
from agentkit.optimization.task import Optimizer, Task
from agentkit.prompts import Prompt, PromptOverrides, PromptSet, PromptText, Tuning

DEFAULT_CACHE = Path(".agentkit/optimization")

_LIGHT = "gepa-light"
_OPTIMIZERS = ("bootstrap", "random", "mipro", "gepa", "simba", _LIGHT)


class OptimizeOptions(TypedDict, total=False):
    """The options of `optimize` that have defaults."""

    prompts: Sequence[str | Prompt[Any]] | None
    freeze: Sequence[str]
    start: PromptOverrides
    writer: str | BaseChatModel | None
    validation: Any
    test: Any
    shares: Sequence[float]
    context: Any
    config: RunnableConfig | None
    settings: Mapping[str, Any] | None
    prices: Prices | None
    seed: int
    concurrency: int
    max_prompt_chars: int | None
    keep_unproven: bool
    cache: str | Path | None
    progress: bool | OnProgress | None


def optimize(
    graph: Graph,
    dataset: Any,
    metric: Metric,
    optimizer: str = "bootstrap",
    *,
    budget: Budget | int,
    **options: Unpack[OptimizeOptions],
) -> Optimization:
    """Tune a graph's prompts on examples, and say whether that is shown to be an improvement.

    The examples are divided in three: to learn from, to choose by, and to prove the result on.
    What was found takes the place of the old texts only where the held-out examples show it to be
    better, by a paired test.

    Each model call is kept on disk by what it asked, so that an optimisation which was killed or
    interrupted goes on where it stopped when it is run again, at no cost for what it did before.
    With a model that replies the same to the same, the same seed finds the same.

    Args:
        graph: A compiled graph.
        dataset: Examples, in any form that `agentkit.evaluation.load_dataset` takes.
        metric: Takes an example and the graph's output, and gives a score from 0 to 1, best with
            feedback in words: GEPA's writer is told it.
        optimizer: `bootstrap`: demos from runs that scored well. `random`: the best of several
            sets of these. `mipro`: instructions and demos together. `gepa`: instructions evolved
            by reflection on feedback. `simba`: rules and demos from the runs that differ most.
            `gepa-light`: GEPA with no DSPy installed.
        budget: Model calls, or a `Budget` of calls, tokens or money. It is compared with an
            estimate before the optimiser starts, and kept while it runs.
        options: See below; all of them by name.

    Keyword Args:
        prompts: The names of the prompts to tune; None for all. `Prompt`s for a graph that
            agentkit did not make.
        freeze: Names of prompts to leave as they are.
        start: Texts to begin with; the graph's own by default.
        writer: The model that writes instructions; the graph's own by default.
        validation: A dataset to choose by; a share of the dataset by default.
        test: A dataset to prove on; a share of the dataset by default.
        shares: How the dataset is divided, in proportion: to learn from, to choose by, to prove
            on; (0.5, 0.25, 0.25) by default.
        context: The context of every run, as the graph takes it.
        config: The LangChain configuration of every run.
        settings: The optimiser's own settings.
        prices: What models cost, as `evaluate` takes it; a budget in money needs it.
        seed: Of every choice by chance.
        concurrency: How many runs may go on at once.
        max_prompt_chars: Characters that one prompt's instructions and demos may have, 20,000 by
            default; None for no limit.
        keep_unproven: Whether to use what was found even where it is not shown to be better.
        cache: A folder that calls are kept in, `.agentkit/optimization` by default; None to keep
            them in memory only.
        progress: Whether to show a bar, or a function that is told each run; by default a bar in
            a terminal and in a notebook.

    Returns:
        The prompts to use, and the figures.

    Raises:
        ConfigurationError: When an option, the graph or the optimiser cannot work.
        DatasetError: When there are too few examples to divide.
        ScoringError: When the metric scores nothing at all.
        BudgetError: When the budget cannot cover as much as the scoring.
        MissingExtraError: When the optimiser is not installed.
    """
    return _Optimizing(graph, dataset, metric, optimizer, budget=budget, options=options).run()


async def aoptimize(
    graph: Graph,
    dataset: Any,
    metric: Metric,
    optimizer: str = "bootstrap",
    *,
    budget: Budget | int,
    **options: Unpack[OptimizeOptions],
) -> Optimization:
    """The same as `optimize`, for async code; cancelled, it makes no further call."""
    work = _Optimizing(graph, dataset, metric, optimizer, budget=budget, options=options)
    try:
        return await asyncio.wrap_future(in_thread(work.run, name="agentkit-optimize"))
    except asyncio.CancelledError:
        work.stop()
        raise


def optimizer_named(name: str) -> Optimizer:
    """An optimiser.

    Raises:
        ConfigurationError: When there is none of that name.
        MissingExtraError: When it is not installed.
    """
    if name not in _OPTIMIZERS:
        raise ConfigurationError(
            f"There is no optimizer {name!r}. There are: {', '.join(_OPTIMIZERS)}."
        )
    optimizer = GEPA_LIGHT if name == _LIGHT else _of_dspy(name)
    if optimizer.needs:
        try:
            importlib.import_module(optimizer.needs)
        except ImportError as error:
            raise MissingExtraError(f"The optimiser {name!r}", "optimize") from error
    return optimizer


def _of_dspy(name: str) -> Optimizer:
    from agentkit.optimization.optimizers import OPTIMIZERS

    return OPTIMIZERS[name]


class _Optimizing:
    """One optimisation."""

    def __init__(
        self,
        graph: Graph,
        dataset: Any,
        metric: Metric,
        optimizer: str,
        *,
        budget: Budget | int,
        options: OptimizeOptions,
    ) -> None:
        _check(metric, budget, options)
        self._options = options
        self._metric = metric
        self._optimizer_name = optimizer
        self._optimizer = optimizer_named(optimizer)
        self._settings = self._optimizer.settled(options.get("settings"))
        self._seed = options.get("seed", 0)
        self._concurrency = options.get("concurrency", 8)
        self._splits = divided(
            dataset,
            validation=options.get("validation"),
            test=options.get("test"),
            shares=options.get("shares", (0.5, 0.25, 0.25)),
            seed=self._seed,
        )
        self._notes = list(self._splits.notes)
        self._meter = Meter(Budget.of(budget), checked_prices(options.get("prices")))
        self._kept = Kept(options.get("cache", DEFAULT_CACHE))
        self._calls = Calls(self._meter, self._kept)
        self._scorer = Scorer(metric, self._calls, self._tell)
        self._graph = TunableGraph(
            graph,
            prompts=options.get("prompts"),
            context=options.get("context"),
            config=options.get("config"),
            calls=self._calls,
        )
        self._tuned = _tuned(self._graph, options.get("freeze", ()), self._optimizer)
        known = self._graph.prompts
        self._start = self._graph.texts | PromptSet.of(options.get("start")).check(known)
        self._max_chars = options.get("max_prompt_chars", 20_000)
        _check_sizes(self._tuned, self._start, self._max_chars)
        self._writer = self._writing_model()
        self._gate = Gate()
        self._on_progress: OnProgress = lambda _: None
        self._runs = 0

    def run(self) -> Optimization:
        """Tune, and prove."""
        title = f"{self._optimizer_name}: {', '.join(self._tuned)}"
        self._kept.open()
        try:
            with shown_progress(self._options.get("progress"), title) as self._on_progress:
                return self._run()
        finally:
            self._gate.close()
            self._gate.wait()
            self._kept.close()

    def stop(self) -> None:
        """Let no call be made any more."""
        self._meter.stop("The optimisation was cancelled.")
        self._gate.close()

    def _run(self) -> Optimization:
        started = time.monotonic()
        plan = self._planned()
        before = self._held_out(self._start)
        self._check_scored()
        candidate = self._only_reached(self._found(plan))
        after = self._held_out_after(candidate) if _differs(candidate, self._start) else None
        proof = Proof.of(before, after, seed=self._seed)
        return self._result(proof, candidate, plan, time.monotonic() - started)

    # -- the parts ---------------------------------------------------------------------------------

    def _planned(self) -> Plan:
        """What it is expected to take, from one run.

        Raises:
            BudgetError: When the budget cannot cover as much as the scoring.
        """
        self._scores(self._start, self._splits.train[:1])
        if self._meter.problem:
            raise BudgetError(self._meter.problem)
        train, validation = len(self._splits.train), len(self._splits.validation)
        runs = self._optimizer.runs(train, validation, self._settings)
        plan = Plan(self._meter.total, validation, len(self._splits.test), runs)
        self._runs = plan.runs
        budget = self._meter.budget
        if not self._meter.covers(plan.least):
            raise BudgetError(
                f"The budget of {budget} is too small: a run takes {plan.run}, and to score "
                f"{plan.test} held-out examples twice and {plan.validation} others once takes "
                f"{plan.least} in all."
            )
        if not self._meter.covers(plan.expected):
            self._notes.append(
                f"The optimiser was expected to take {plan.expected}, over the budget of {budget}: "
                "it may have been stopped before its end."
            )
        return plan

    def _found(self, plan: Plan) -> PromptSet:
        """The texts that the optimiser found, or the best it tried where it was stopped."""
        task = Task(
            graph=self._graph,
            start=self._start,
            tuned=self._tuned,
            train=self._splits.train,
            validation=self._splits.validation,
            scorer=self._scorer,
            writer=self._writer,
            calls=self._calls,
            gate=self._gate,
            seed=self._seed,
            concurrency=self._concurrency,
            max_prompt_chars=self._max_chars,
            runs=plan.affordable(self._meter.budget, self._meter.total),
            settings=self._settings,
        )
        with self._meter.reserving(plan.proof):
            try:
                return self._optimizer.run(task)
            except StoppedError as error:
                if not self._meter.refusal:
                    raise
                self._notes.append(f"The optimiser was stopped: {error}")
                return self._scorer.best(self._splits.validation) or self._start
            finally:
                self._gate.wait()

    def _only_reached(self, found: PromptSet) -> PromptSet:
        """What was found, without new texts that no run has shown to do anything."""
        reached = self._scorer.reached
        return PromptSet(
            {name: (found if name in reached else self._start)[name] for name in found}
        )

    def _writing_model(self) -> BaseChatModel | None:
        given = self._options.get("writer")
        if given is not None:
            return chat_model(given)
        if self._graph.model is None and self._optimizer.writes:
            raise ConfigurationError(
                "The graph does not say which model it has: name the one that writes instructions "
                "with writer=."
            )
        return self._graph.model

    def _held_out_after(self, candidate: PromptSet) -> HeldOut | None:
        try:
            return self._held_out(candidate)
        except BudgetError as error:
            self._notes.append(f"What was found could not be proved: {error}")
            return None

    def _held_out(self, texts: PromptSet) -> HeldOut:
        return HeldOut.of(self._scores(texts, self._splits.test), seed=self._seed)

    def _scores(self, texts: PromptSet, examples: Sequence[Example]) -> list[float]:
        results = run_sync(
            lambda: scores_of(
                self._graph, texts, examples, self._scorer, concurrency=self._concurrency
            )
        )
        return [score.value for _, score in results]

    def _check_scored(self) -> None:
        failed = self._scorer.failures
        if all(example.id in failed for example in self._splits.test):
            raise ScoringError(
                f"Not one of {len(self._splits.test)} held-out examples could be scored. The first "
                f"says: {failed[self._splits.test[0].id]}"
            )

    def _tell(self) -> None:
        done, total = self._scorer.runs, max(self._runs, self._scorer.runs)
        spent = self._meter.total
        self._on_progress(
            Progress(done, total, self._scorer.failed_runs, self._meter.spent, spent.cost)
        )

    # -- the result --------------------------------------------------------------------------------

    def _result(
        self, proof: Proof, candidate: PromptSet, plan: Plan, seconds: float
    ) -> Optimization:
        used = candidate if proof.improved or self._options.get("keep_unproven") else self._start
        tuning = self._tuning(proof)
        return Optimization(
            prompts=PromptSet(used, tuning=tuning),
            candidate=PromptSet(candidate, tuning=tuning),
            improved=proof.improved,
            verdict=proof.verdict,
            before=proof.before,
            after=proof.after,
            comparison=proof.comparison,
            spent=self._meter.total,
            estimate=plan.expected,
            seconds=seconds,
            growth={name: (self._start[name].size, candidate[name].size) for name in candidate},
            notes=(*self._notes, *self._notes_at_the_end()),
        )

    def _notes_at_the_end(self) -> list[str]:
        notes = [self._kept.problem] if self._kept.problem else []
        if failures := self._scorer.failures:
            name, told = next(iter(failures.items()))
            notes.append(
                f"{len(failures)} examples had runs that could not be scored and count as 0, the "
                f"first of them {name}: {told}"
            )
        if len(self._splits.test) < FEW:
            notes.append(
                f"There are only {len(self._splits.test)} held-out examples: hardly a change can "
                "be shown on so few."
            )
        return notes

    def _tuning(self, proof: Proof) -> Tuning:
        model = self._graph.model
        return Tuning(
            graph=self._graph.name,
            fingerprints=self._graph.fingerprints,
            optimizer=self._optimizer_name,
            settings={**self._settings, "seed": self._seed, "budget": str(self._meter.budget)},
            model="" if model is None else model_name(model),
            metric=metric_name(self._metric),
            data=self._splits.fingerprint,
            scores={
                "before": proof.before.mean,
                "after": None if proof.after is None else proof.after.mean,
                "n": len(proof.before.scores),
                "improved": proof.improved,
            },
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _check(metric: Metric, budget: Any, options: OptimizeOptions) -> None:
    """See that options are what they should be.

    Raises:
        ConfigurationError: When one is not.
    """
    if unknown := sorted(options.keys() - OptimizeOptions.__annotations__.keys()):
        raise ConfigurationError(
            f"optimize() has no option {', '.join(map(repr, unknown))}. It has: "
            f"{', '.join(OptimizeOptions.__annotations__)}."
        )
    if not callable(metric):
        raise no_metric(metric)
    if budget is None:
        raise ConfigurationError("An optimisation needs a budget: a number of model calls.")
    whole_number("concurrency", options.get("concurrency", 1))


def _tuned(graph: TunableGraph, freeze: Sequence[str], optimizer: Optimizer) -> list[str]:
    """The names of the prompts to tune.

    Raises:
        ConfigurationError: When a frozen one is not there, or none is left that the optimiser can
            tune.
    """
    if unknown := [name for name in freeze if name not in graph.prompts]:
        raise ConfigurationError(
            f"There is no prompt {', '.join(map(repr, unknown))} to freeze. There are: "
            f"{', '.join(graph.prompts)}."
        )
    left = [prompt for name, prompt in graph.prompts.items() if name not in freeze]
    tuned = [prompt.name for prompt in left if optimizer.writes or prompt.takes_demos]
    if not left:
        raise ConfigurationError("Every prompt is frozen: there is none to tune.")
    if not tuned:
        raise ConfigurationError(
            f"This optimiser adds demos, which {', '.join(prompt.name for prompt in left)} cannot "
            "show. Take one that writes instructions: gepa, mipro, simba or gepa-light."
        )
    return tuned


def _check_sizes(names: Sequence[str], texts: PromptSet, most: int | None) -> None:
    """See that prompts are not over the limit already.

    Raises:
        ConfigurationError: When one is.
    """
    for name in names:
        if most is not None and texts[name].size > most:
            raise ConfigurationError(
                f"Prompt {name!r} has {texts[name].size:,} characters to begin with, over "
                f"max_prompt_chars={most:,}: raise that, or freeze the prompt."
            )


def _differs(one: PromptSet, other: PromptSet) -> bool:
    return any(_as_text(text) != _as_text(other[name]) for name, text in one.items())


def _as_text(text: PromptText) -> str:
    return json.dumps([text.instructions, *text.demos], default=repr)
