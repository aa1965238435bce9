"""Tuning the prompts of a graph on a user's data, and proving what it brought."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from agentkit._sync import in_thread, run_sync
from agentkit.errors import BudgetError, ConfigurationError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Metric, metric_name
from agentkit.evaluation.statistics import Comparison, compared, interval
from agentkit.models import chat_model
from agentkit.optimization.calls import Budget, Calls, KeptReplies, Meter, Spent
from agentkit.optimization.light import GEPA_LIGHT
from agentkit.optimization.result import HeldOut, Optimization
from agentkit.optimization.running import Graph, TunableGraph
from agentkit.optimization.scoring import Scorer, scores_of
from agentkit.optimization.splits import FEW, divided
from agentkit.optimization.stopping import Gate, StoppedError
from agentkit.optimization.task import Optimizer, Task
from agentkit.prompts import Prompt, PromptOverrides, PromptSet, PromptText, Tuning

DEFAULT_CALLS = Path(".agentkit/optimization/calls.sqlite")

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
    shares: tuple[float, float, float]
    context: Any
    config: RunnableConfig | None
    settings: Mapping[str, Any] | None
    seed: int
    concurrency: int
    max_prompt_chars: int | None
    keep_unproven: bool
    calls: str | Path | None
    on_progress: Callable[[str], None] | None


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

    The examples are split in three: to learn from, to choose by, and to prove the result on. What
    was found is used in place of the old texts only where the held-out examples show it to be
    better: by a paired test, and by the interval of the difference.

    Each model call is kept on disk by what it asked, so that an optimisation which was killed or
    interrupted goes on where it stopped when it is run again, at no cost for what it did before.
    With a model that replies the same to the same, the same seed finds the same.

    Args:
        graph: A compiled graph.
        dataset: Examples, in any form that `agentkit.evaluation.load_dataset` takes.
        metric: Takes an example and the graph's output, and gives a score from 0 to 1, best with
            feedback in words: GEPA's writer is told it. What a metric itself asks a model is not
            counted.
        optimizer: `bootstrap`: demos from runs that scored well. `random`: the best of several
            sets of these. `mipro`: instructions and demos together. `gepa`: instructions evolved
            by reflection on feedback. `simba`: rules and demos from the runs that differ most.
            `gepa-light`: GEPA with no DSPy installed.
        budget: Model calls, or a `Budget` of calls, tokens or money. It is compared with an
            estimate before the optimiser starts, and kept while it runs.
        options: `prompts`: which prompts to tune, by name (None: all); `Prompt`s for a graph that
            agentkit did not make. `freeze`: names of prompts to leave alone. `start`: texts to
            begin with. `writer`: the model that writes instructions (None: the graph's own).
            `validation`, `test`: examples of their own to choose by and to prove on. `shares`:
            how the examples are split otherwise (0.5, 0.25, 0.25). `context`, `config`: of every
            run of the graph. `settings`: the optimiser's own settings. `seed`: 0. `concurrency`:
            runs at once, 8. `max_prompt_chars`: characters that one prompt's instructions and
            demos may have, 20,000. `keep_unproven`: use what was found even where it is not shown
            to be better. `calls`: the file that calls are kept in (None: in memory only).
            `on_progress`: told what is being done.

    Returns:
        The prompts to use, and the figures.

    Raises:
        ConfigurationError: When an option, the graph or the optimiser cannot work.
        DatasetError: When there are too few examples to split.
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
    """The same as `optimize`, for async code."""
    work = _Optimizing(graph, dataset, metric, optimizer, budget=budget, options=options)
    try:
        return await asyncio.wrap_future(in_thread(work.run, name="agentkit-optimize"))
    except asyncio.CancelledError:
        work.gate.close()
        raise


def optimizer_named(name: str) -> Optimizer:
    """An optimiser.

    Raises:
        ConfigurationError: When there is none of that name.
        MissingExtraError: When it is not installed.
    """
    if name == _LIGHT:
        return GEPA_LIGHT
    if name not in _OPTIMIZERS:
        raise ConfigurationError(
            f"There is no optimizer {name!r}. There are: {', '.join(_OPTIMIZERS)}."
        )
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
        if unknown := sorted(options.keys() - OptimizeOptions.__annotations__.keys()):
            raise ConfigurationError(
                f"optimize() has no option {', '.join(map(repr, unknown))}. It has: "
                f"{', '.join(OptimizeOptions.__annotations__)}."
            )
        self._options = options
        self._optimizer_name = optimizer
        self._optimizer = optimizer_named(optimizer)
        self._settings = self._optimizer.settled(options.get("settings"))
        self._seed = options.get("seed", 0)
        self._concurrency = _at_least_one("concurrency", options.get("concurrency", 8))
        self._max_chars = options.get("max_prompt_chars", 20_000)
        self._metric = metric
        self._scorer = Scorer(metric)
        self._splits = divided(
            dataset,
            validation=options.get("validation"),
            test=options.get("test"),
            shares=options.get("shares", (0.5, 0.25, 0.25)),
            seed=self._seed,
        )
        self._meter = Meter(Budget.of(budget))
        path = options.get("calls", DEFAULT_CALLS)
        self._replies = KeptReplies(None if path is None else Path(path))
        self._calls = Calls(self._meter, self._replies)
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
        self._notes = list(self._splits.notes)
        self.gate = Gate()

    def run(self) -> Optimization:
        """Tune, and prove."""
        try:
            return self._run()
        finally:
            self.gate.close()
            self.gate.wait()
            self._replies.close()

    def _run(self) -> Optimization:
        started = time.monotonic()
        estimate = self._estimate()
        self._say(f"It is expected to take about {estimate}.")
        before = self._held_out(self._start)
        self._check_scored()
        candidate = self._only_reached(self._found())
        after = None
        if _differs(candidate, self._start):
            after = self._proof(candidate)
        return self._result(before, after, candidate, estimate, time.monotonic() - started)

    # -- the budget --------------------------------------------------------------------------------

    def _estimate(self) -> Spent:
        """What it is expected to take, from one run.

        Raises:
            BudgetError: When the budget cannot cover as much as the scoring.
        """
        pilot = self._splits.train[:1]
        self._say("One run, to see what a run takes.")
        self._scores(self._start, pilot)
        self._per_run = self._meter.spent
        runs = self._optimizer.runs(
            len(self._splits.train), len(self._splits.validation), self._settings
        )
        least = self._per_run.times(1 + 2 * len(self._splits.test) + len(self._splits.validation))
        budget = self._meter.budget
        if budget.tokens is not None and not self._per_run.tokens:
            raise BudgetError("The model reports no tokens: give the budget in calls.")
        if not budget.covers(least):
            raise BudgetError(
                f"The budget of {budget} is too small: a run takes {self._per_run}, and to score "
                f"{len(self._splits.test)} held-out examples twice and "
                f"{len(self._splits.validation)} others once takes {least} in all."
            )
        expected = self._per_run.times(1 + 2 * len(self._splits.test) + runs)
        if not budget.covers(expected):
            self._notes.append(
                f"The optimiser was expected to take {expected}, over the budget of {budget}: it "
                "may have been stopped before its end."
            )
        return expected

    def _affordable_runs(self) -> int | None:
        """How many runs the optimiser may make: what is left, without what the proof takes."""
        budget, reserved = self._meter.budget, self._reserved()
        spent = self._meter.spent + reserved
        runs: int | None = None
        for limit, used, each in (
            (budget.calls, spent.calls, self._per_run.calls),
            (budget.tokens, spent.tokens, self._per_run.tokens),
            (budget.cost, spent.cost or 0.0, self._per_run.cost or 0.0),
        ):
            if limit is not None and each:
                worth = int((limit - used) / each)
                runs = worth if runs is None else min(runs, worth)
        return runs

    def _reserved(self) -> Spent:
        """What proving takes; prompts grow, so twice the tokens of the old ones."""
        once = self._per_run.times(len(self._splits.test))
        cost = None if once.cost is None else 2 * once.cost
        return replace(
            once,
            input_tokens=2 * once.input_tokens,
            output_tokens=2 * once.output_tokens,
            cost=cost,
        )

    # -- the parts ---------------------------------------------------------------------------------

    def _found(self) -> PromptSet:
        """The texts that the optimiser found, or the best it tried where it was stopped."""
        task = Task(
            graph=self._graph,
            start=self._start,
            tuned=self._tuned,
            train=self._splits.train,
            validation=self._splits.validation,
            scorer=self._scorer,
            writer=self._writer(),
            calls=self._calls,
            gate=self.gate,
            seed=self._seed,
            concurrency=self._concurrency,
            max_prompt_chars=self._max_chars,
            runs=self._affordable_runs(),
            settings=self._settings,
        )
        self._say(f"{self._optimizer_name} tunes {', '.join(self._tuned)}.")
        with self._meter.reserving(self._reserved()):
            try:
                return self._optimizer.run(task)
            except StoppedError as error:
                if not self._meter.used_up:
                    raise
                self._notes.append(f"The optimiser was stopped: {error}")
                return self._scorer.best(self._splits.validation) or self._start
            finally:
                self.gate.wait()

    def _only_reached(self, found: PromptSet) -> PromptSet:
        """What was found, without new texts that no run has shown to do anything."""
        reached = {name for name in found if name in self._scorer.reached}
        return PromptSet(
            {name: (found if name in reached else self._start)[name] for name in found}
        )

    def _writer(self) -> BaseChatModel | None:
        given = self._options.get("writer")
        if given is not None:
            return chat_model(given)
        if self._graph.model is not None:
            return self._graph.model
        if self._optimizer.writes:
            raise ConfigurationError(
                "The graph does not say which model it has: name the one that writes instructions "
                "with writer=."
            )
        return None

    def _proof(self, candidate: PromptSet) -> HeldOut | None:
        self._say("The held-out examples, with what was found.")
        try:
            return self._held_out(candidate)
        except BudgetError as error:
            self._notes.append(f"What was found could not be proved: {error}")
            return None

    def _held_out(self, texts: PromptSet) -> HeldOut:
        scores = self._scores(texts, self._splits.test)
        return HeldOut(scores, interval(scores, seed=self._seed))

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

    # -- the result --------------------------------------------------------------------------------

    def _result(
        self,
        before: HeldOut,
        after: HeldOut | None,
        candidate: PromptSet,
        estimate: Spent,
        seconds: float,
    ) -> Optimization:
        comparison = (
            None if after is None else compared(before.scores, after.scores, seed=self._seed)
        )
        improved = comparison is not None and comparison.is_shown and comparison.difference > 0
        if self._scorer.failures:
            name, told = next(iter(self._scorer.failures.items()))
            self._notes.append(
                f"{len(self._scorer.failures)} examples had runs that could not be scored and "
                f"count as 0, the first of them {name}: {told}"
            )
        if len(self._splits.test) < FEW:
            self._notes.append(
                f"There are only {len(self._splits.test)} held-out examples: hardly a change can "
                "be shown on so few."
            )
        used = candidate if improved or self._options.get("keep_unproven") else self._start
        scores = {"before": before.mean, "after": None if after is None else after.mean}
        tuning = self._tuning({**scores, "n": len(before.scores), "improved": improved})
        return Optimization(
            prompts=PromptSet(used, tuning=tuning),
            candidate=PromptSet(candidate, tuning=tuning),
            improved=improved,
            verdict=_verdict(before, after, comparison, improved=improved),
            before=before,
            after=after,
            comparison=comparison,
            spent=self._meter.spent,
            estimate=estimate,
            seconds=seconds,
            growth={name: (self._start[name].size, candidate[name].size) for name in candidate},
            notes=tuple(self._notes),
        )

    def _tuning(self, scores: Mapping[str, Any]) -> Tuning:
        model = self._graph.model
        return Tuning(
            graph=self._graph.name,
            fingerprints=self._graph.fingerprints,
            optimizer=self._optimizer_name,
            settings={**self._settings, "seed": self._seed, "budget": str(self._meter.budget)},
            model="" if model is None else _model_name(model),
            metric=metric_name(self._metric),
            data=self._splits.fingerprint,
            scores=scores,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _say(self, told: str) -> None:
        if (on_progress := self._options.get("on_progress")) is not None:
            on_progress(told)


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


def _differs(one: PromptSet, other: PromptSet) -> bool:
    return any(_as_text(text) != _as_text(other[name]) for name, text in one.items())


def _as_text(text: PromptText) -> str:
    return json.dumps([text.instructions, *text.demos], default=repr)


def _verdict(
    before: HeldOut, after: HeldOut | None, comparison: Comparison | None, *, improved: bool
) -> str:
    if after is None or comparison is None:
        return "No improvement: nothing was found that could be proved better than the old prompts."
    figures = (
        f"{before.mean:.3f} → {after.mean:.3f} on {len(before.scores)} held-out examples, "
        f"difference {comparison.difference:+.3f} ({comparison.low:+.3f} to "
        f"{comparison.high:+.3f}), p = {comparison.p_value:.3g}"
    )
    return f"Improved: {figures}." if improved else f"No improvement shown: {figures}."


def _model_name(model: BaseChatModel) -> str:
    for attribute in ("model_name", "model"):
        if isinstance(name := getattr(model, attribute, None), str):
            return name
    return type(model).__name__


def _at_least_one(name: str, value: int) -> int:
    if value < 1:
        raise ConfigurationError(f"{name} is 1 or more; got {value}.")
    return value
