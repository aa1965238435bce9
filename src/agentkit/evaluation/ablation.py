"""Ablation: what each technique of a graph does on a user's data, and which are worth it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from typing_extensions import Unpack

from agentkit._sync import run_sync
from agentkit.errors import ConfigurationError
from agentkit.evaluation.configurations import On, Options, Space, Technique
from agentkit.evaluation.datasets import Source, load_dataset
from agentkit.evaluation.examples import Example
from agentkit.evaluation.judging import named_metrics
from agentkit.evaluation.report import Report
from agentkit.evaluation.runner import EvaluationOptions, aevaluate
from agentkit.evaluation.running import Askable
from agentkit.evaluation.scores import Metric
from agentkit.evaluation.shown import AsTable
from agentkit.evaluation.statistics import Comparison, compared, holm
from agentkit.evaluation.usage import Budget, Usage, checked_prices

if TYPE_CHECKING:
    from rich.console import Group

Where: TypeAlias = Literal["alone", "among all", "on average"]

_FORMAT = "agentkit.ablation"
_FORMAT_VERSION = 1
_LEVEL = 0.05
_TAKEN = ("cost_per_run", "tokens_per_run", "seconds_p50")
_CLEARLY = 0.05
"""What is taken is another amount when it differs by more than this share."""


@dataclass(frozen=True)
class Configuration:
    """The graph with some techniques on, and what came of it."""

    name: str
    on: On
    report: Report

    @property
    def takes(self) -> float:
        """What a run takes: money where prices are known, else tokens, else the median seconds."""
        return next((float(took) for name in _TAKEN if (took := self.report.figures[name])), 0.0)

    def is_less_than(self, other: Configuration) -> bool:
        """Whether it takes clearly less, or about as much with fewer techniques."""
        mine, theirs = self._takes_beside(other)
        about_as_much = mine <= theirs * (1 + _CLEARLY)
        return mine < theirs * (1 - _CLEARLY) or (about_as_much and len(self.on) < len(other.on))

    def _takes_beside(self, other: Configuration) -> tuple[float, float]:
        """What a run takes, and one of the other, both in money, in tokens or in seconds."""
        figures, others = self.report.figures, other.report.figures
        for name in _TAKEN:
            mine, theirs = figures[name], others[name]
            if None not in (mine, theirs) and (mine or theirs):
                return float(mine), float(theirs)
        return 0.0, 0.0


@dataclass(frozen=True)
class Effect:
    """What one technique does, over the examples that were run with it and without."""

    technique: Technique
    where: Where
    """What else was on: nothing, all other techniques, or every combination of them."""
    changes: Mapping[str, Comparison]
    """By metric, the scores with it against those without."""
    corrected: Mapping[str, float]
    """By metric, the p-value corrected for the number of effects that were tested (Holm 1979)."""
    pairs: int
    seconds: float | None
    """How much more the median run takes."""
    tokens: float | None
    """How many more tokens a run takes."""

    def verdict(self, metric: str) -> str:
        """What is shown: `better`, `worse`, or `no difference shown`."""
        if metric not in self.changes or self.corrected[metric] >= _LEVEL:
            return "no difference shown"
        return "better" if self.changes[metric].difference > 0 else "worse"


@dataclass(frozen=True)
class Ablation(AsTable):
    """What an ablation found."""

    name: str
    objective: str
    """The metric by which the configuration is recommended."""
    configurations: tuple[Configuration, ...]
    effects: tuple[Effect, ...]
    recommended: Configuration | None
    """None where nothing was measured."""
    reason: str
    """Why it is the one that is recommended."""
    notes: tuple[str, ...] = ()
    stopped: str = ""
    """Why it stopped early; empty where it did not."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, the objective first."""
        names = self.configurations[0].report.metrics if self.configurations else ()
        return tuple(sorted(names, key=lambda name: name != self.objective))

    @property
    def figures(self) -> dict[str, Any]:
        """All figures as plain data."""
        return {
            "objective": self.objective,
            "recommended": self.recommended.name if self.recommended else None,
            "reason": self.reason,
            "configurations": {
                each.name: {
                    "on": [str(technique) for technique in sorted(each.on, key=str)],
                    **each.report.figures,
                }
                for each in self.configurations
            },
            "effects": [
                {
                    "technique": str(effect.technique),
                    "where": effect.where,
                    "pairs": effect.pairs,
                    "seconds_p50": effect.seconds,
                    "tokens_per_run": effect.tokens,
                    "scores": {
                        metric: {
                            **asdict(change),
                            "corrected_p_value": effect.corrected[metric],
                            "verdict": effect.verdict(metric),
                        }
                        for metric, change in effect.changes.items()
                    },
                }
                for effect in self.effects
            ],
        }

    def __rich__(self) -> Group:
        from agentkit.evaluation.tables import ablation_table

        return ablation_table(self)

    def _repr_html_(self) -> str:
        from agentkit.evaluation.html import ablation_html

        return ablation_html(self)

    def save(self, path: str | Path) -> None:
        """Write the figures, and the scores of every example, as JSON, all or nothing.

        The whole report of a configuration is saved by its own `save`.

        Raises:
            ConfigurationError: When the file cannot be written.
        """
        from agentkit.evaluation.saved import write_whole

        scores = {
            each.name: {
                item.example.id: {name: item.score(name) for name in self.metrics}
                for item in each.report.items
            }
            for each in self.configurations
        }
        told = {
            "format": _FORMAT,
            "format_version": _FORMAT_VERSION,
            "name": self.name,
            "stopped": self.stopped,
            "notes": list(self.notes),
            **self.figures,
            "scores": scores,
        }
        write_whole(path, json.dumps(told, ensure_ascii=False, indent=1) + "\n")

    def save_html(self, path: str | Path) -> None:
        """Write one page with the figures and the effects: it needs no network and no other file.

        Raises:
            ConfigurationError: When the file cannot be written.
        """
        from agentkit.evaluation.html import ablation_page
        from agentkit.evaluation.saved import write_whole

        write_whole(path, ablation_page(self))


def ablate(
    graph_factory: Callable[..., Askable],
    options: Options,
    dataset: Source,
    metrics: Metric | Sequence[Metric],
    *,
    objective: str | None = None,
    combinations: bool = False,
    **evaluation: Unpack[EvaluationOptions],
) -> Ablation:
    """Measure what each technique of a graph does on a dataset, and recommend a configuration.

    Every configuration is run on every example, and effects are measured example by example, on
    what the graph returned: after re-ranking and cutting. A technique is recommended only if its
    gain is shown; among configurations of such techniques that are not shown to be worse than the
    best, the one that takes least is. That may be the plain one.

    Args:
        graph_factory: Makes the graph from the options, by name.
        options: By the factory's argument, its values: a list, or a mapping from what they are
            called. None or False among them is the plain one, else the first is. Anything else is
            the one value that is on, and the argument is left out where it is off.
        dataset: What `load_dataset` takes.
        metrics: As `evaluate` takes them.
        objective: The name of the metric that decides; the first by default.
        combinations: Whether to run all combinations. By default each technique is switched on
            by itself, and switched off among all others.
        evaluation: The options of `evaluate`; the budget is one for all configurations together.

    Returns:
        The ablation.

    Raises:
        ConfigurationError: When an option or the objective is none, or the factory fails.
        DatasetError: When the dataset cannot be read, or is empty.
        BudgetError: When the budget is one of money, and there are no prices.
        MissingExtraError: When the `eval` extra is not installed.
    """
    return run_sync(
        lambda: aablate(
            graph_factory,
            options,
            dataset,
            metrics,
            objective=objective,
            combinations=combinations,
            **evaluation,
        )
    )


async def aablate(
    graph_factory: Callable[..., Askable],
    options: Options,
    dataset: Source,
    metrics: Metric | Sequence[Metric],
    *,
    objective: str | None = None,
    combinations: bool = False,
    **evaluation: Unpack[EvaluationOptions],
) -> Ablation:
    """As `ablate`."""
    names = list(named_metrics(metrics))
    if objective is not None and objective not in names:
        raise ConfigurationError(
            f"objective= is one of the metrics {', '.join(names)}; got {objective!r}."
        )
    space = Space(options)
    work = _Ablating(
        graph_factory,
        space,
        load_dataset(dataset),
        metrics,
        objective=objective or names[0],
        evaluation=evaluation,
    )
    await work.run(space.combinations() if combinations else space.one_at_a_time())
    return await work.finish(combinations=combinations)


class _Ablating:
    """One ablation, from its configurations to what it recommends."""

    def __init__(
        self,
        factory: Callable[..., Askable],
        space: Space,
        examples: Sequence[Example],
        metrics: Metric | Sequence[Metric],
        *,
        objective: str,
        evaluation: EvaluationOptions,
    ) -> None:
        self._objective = objective
        self._factory = factory
        self._space = space
        self._examples = examples
        self._metrics = metrics
        self._evaluation = evaluation
        self._budget = Budget.of(evaluation.get("budget"))
        self._prices = checked_prices(evaluation.get("prices"))
        self._spent = Usage()
        self._done: dict[On, Configuration] = {}
        self._stopped = ""

    async def run(self, wanted: Sequence[On]) -> None:
        """Evaluate configurations; all graphs are made before the first one runs."""
        graphs = [(on, await self._made(on)) for on in wanted]
        for on, graph in graphs:
            left = self._budget.left(self._spent, self._prices)
            if self._stopped or left is None:
                self._stopped = self._stopped or f"The budget of {self._budget} is used up."
                return
            name = self._space.name(on)
            report = await aevaluate(
                graph, self._examples, self._metrics, **self._options(name, left)
            )
            self._spent += report.spent
            self._stopped = report.stopped
            if report.items:
                self._done[on] = Configuration(name, on, report)

    def _options(self, name: str, left: Budget) -> EvaluationOptions:
        # what cannot be seen of an option in the graph is told apart by its name
        version = f"{self._evaluation.get('version', '')} {name}"
        return {**self._evaluation, "name": name, "version": version, "budget": left}

    async def _made(self, on: On) -> Askable:
        """The graph; made in a thread, where sync calls of async code may wait."""
        arguments = self._space.arguments(on)
        try:
            return await asyncio.to_thread(self._factory, **arguments)
        except Exception as error:
            raise ConfigurationError(
                f"graph_factory made no graph of the configuration {self._space.name(on)!r}: "
                f"{type(error).__name__}: {error}"
            ) from error

    async def finish(self, *, combinations: bool) -> Ablation:
        """The effects, and the configuration that they speak for."""
        effects = self._effects(combinations=combinations) if self._done else []
        shown = [each for each in effects if each.verdict(self._objective) == "better"]
        together = self._together(shown)
        if together not in self._done and not self._stopped:
            await self.run([together])
        chosen, reason = self._recommended(shown)
        notes = {note: None for each in self._done.values() for note in each.report.notes}
        return Ablation(
            name=self._evaluation.get("name") or "ablation",
            objective=self._objective,
            configurations=tuple(self._done.values()),
            effects=tuple(effects),
            recommended=chosen,
            reason=reason,
            notes=tuple(notes),
            stopped=self._stopped,
        )

    # --- effects

    def _effects(self, *, combinations: bool) -> list[Effect]:
        found = [
            (technique, where, pairs, self._changes(pairs))
            for technique in self._space.techniques
            for where, pairs in self._contexts(technique, combinations=combinations)
        ]
        names = named_metrics(self._metrics)
        corrected = {
            name: iter(holm([changes[name].p_value for *_, changes in found if name in changes]))
            for name in names
        }
        return [
            self._effect(
                technique, where, pairs, changes, {name: next(corrected[name]) for name in changes}
            )
            for technique, where, pairs, changes in found
        ]

    def _effect(
        self,
        technique: Technique,
        where: Where,
        pairs: Sequence[tuple[On, On]],
        changes: Mapping[str, Comparison],
        corrected: Mapping[str, float],
    ) -> Effect:
        without = [self._done[old].report for old, _ in pairs]
        with_it = [self._done[new].report for _, new in pairs]
        return Effect(
            technique,
            where,
            changes,
            corrected,
            pairs=len(_shared(without + with_it)),
            seconds=_more(without, with_it, "seconds_p50"),
            tokens=_more(without, with_it, "tokens_per_run"),
        )

    def _contexts(
        self, technique: Technique, *, combinations: bool
    ) -> list[tuple[Where, Sequence[tuple[On, On]]]]:
        """Where a technique is looked at, and the pairs of configurations without and with it."""
        pairs = list(self._space.without(technique, list(self._done)))
        alone = [pair for pair in pairs if not pair[0]]
        full = [pair for pair in pairs if pair[0] and pair[1] == self._space.full]
        others: tuple[Where, Sequence[tuple[On, On]]] = ("among all", full)
        if combinations and len(pairs) > 1:
            others = ("on average", pairs)
        return [(where, among) for where, among in (("alone", alone), others) if among]

    def _changes(self, pairs: Sequence[tuple[On, On]]) -> dict[str, Comparison]:
        """By metric, the scores with and without, each example's the mean over the pairs."""
        changes = {}
        for metric in named_metrics(self._metrics):
            scored = [
                (_scores(self._done[old].report, metric), _scores(self._done[new].report, metric))
                for old, new in pairs
            ]
            shared = [key for key in scored[0][0] if all(key in x and key in y for x, y in scored)]
            if shared:
                before = [sum(x[key] for x, _ in scored) / len(scored) for key in shared]
                after = [sum(y[key] for _, y in scored) / len(scored) for key in shared]
                changes[metric] = compared(before, after, seed=self._evaluation.get("seed", 0))
        return changes

    def _change(self, before: On, after: On) -> Comparison | None:
        """How the objective changes from one configuration to another."""
        return self._changes([(before, after)]).get(self._objective)

    # --- the recommendation

    def _together(self, shown: Sequence[Effect]) -> On:
        """The techniques whose gain is shown, of each option the one that gains most."""
        best: dict[str, Technique] = {}
        for effect in sorted(shown, key=lambda each: -each.changes[self._objective].difference):
            best.setdefault(effect.technique.option, effect.technique)
        return frozenset(best.values())

    def _recommended(self, shown: Sequence[Effect]) -> tuple[Configuration | None, str]:
        plain = self._done.get(frozenset())
        if plain is None:
            return None, "Nothing was measured."
        if not shown:
            count = len(plain.report.items)
            told = f"No technique's gain in {self._objective} is shown on these {count} examples"
            return plain, f"{told}, so nothing speaks for more than the plain one."
        techniques = {effect.technique for effect in shown}
        proven = [on for on in self._done if on <= techniques]
        if any(effect.where == "alone" for effect in shown):
            proven.remove(frozenset())  # it is shown to be worse
        best = chosen = max(proven, key=self._gain)
        for on in sorted(self._not_worse(proven, best), key=self._gain, reverse=True):
            if self._done[on].is_less_than(self._done[chosen]):
                chosen = on
        return self._done[chosen], self._reason(chosen, best, shown)

    def _gain(self, on: On) -> float:
        """What a configuration gains over the plain one."""
        change = self._change(frozenset(), on)
        return 0.0 if change is None else change.difference

    def _not_worse(self, proven: Sequence[On], best: On) -> list[On]:
        """The best, and those that are not shown to be worse."""
        others = [on for on in proven if on != best]
        tests = [self._change(on, best) for on in others]
        p_values = holm([1.0 if test is None else test.p_value for test in tests])
        return [best, *(on for on, p in zip(others, p_values, strict=True) if p >= _LEVEL)]

    def _reason(self, chosen: On, best: On, shown: Sequence[Effect]) -> str:
        told = [
            f"{effect.technique} {effect.where} gains "
            f"{effect.changes[self._objective].difference:+.3f} in {self._objective} (corrected "
            f"p = {effect.corrected[self._objective]:.3g})."
            for effect in shown
            if effect.technique in chosen
        ]
        if chosen != best:
            name = self._done[best].name
            told.append(f"{name!r} is not shown to be better still, and takes more.")
        return " ".join(told)


def _scores(report: Report, metric: str) -> dict[str, float]:
    told = {item.example.id: item.score(metric) for item in report.items}
    return {key: score for key, score in told.items() if score is not None}


def _shared(reports: Sequence[Report]) -> set[str]:
    """The examples that all reports have."""
    return set.intersection(*({item.example.id for item in each.items} for each in reports))


def _more(without: Sequence[Report], with_it: Sequence[Report], figure: str) -> float | None:
    """How much more the mean of a figure is with a technique."""
    old = [report.figures[figure] for report in without]
    new = [report.figures[figure] for report in with_it]
    if None in old or None in new:
        return None
    return float(sum(new) / len(new) - sum(old) / len(old))
