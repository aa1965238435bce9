"""The report of an evaluation: its figures, saved, loaded, shown and compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentkit.errors import ConfigurationError
from agentkit.evaluation.results import Item, Trial
from agentkit.evaluation.shown import AsTable
from agentkit.evaluation.statistics import Interval, interval, pass_hat_k
from agentkit.evaluation.usage import Prices, Usage

if TYPE_CHECKING:
    from rich.console import Group

    from agentkit.evaluation.comparing import ReportComparison


@dataclass(frozen=True, repr=False)
class Report(AsTable):
    """What an evaluation found."""

    name: str
    metrics: tuple[str, ...]
    """The names of the metrics, in order."""
    items: tuple[Item, ...]
    """The examples that were run, in the order of the dataset."""
    examples: int
    """How many the dataset has: more than `items` where the evaluation stopped early."""
    repeats: int = 1
    passing: float = 1.0
    """The score from which on a run has passed, for pass^k."""
    seed: int = 0
    prices: Prices | None = None
    spent: Usage = field(default_factory=Usage)
    """What this evaluation took: runs that were kept from an earlier one took nothing."""
    stopped: str = ""
    """Why it stopped early; empty where it did not."""
    notes: tuple[str, ...] = ()
    """What else a reader should know."""
    seconds: float = 0.0
    """How long it took."""
    made: str = ""
    """When, in ISO 8601."""
    version: str = ""
    """By which version of agentkit."""

    # --- figures

    def interval(self, metric: str) -> Interval | None:
        """The mean score with its 95 % interval; None where no example has a score.

        A run that failed counts as 0. An example without a score of this metric is left out.

        Raises:
            ConfigurationError: When the report has no such metric.
            MissingExtraError: When the `eval` extra is not installed.
        """
        self._check(metric)
        if metric not in self._intervals:
            scores = self.scores(metric)
            found = interval(scores, seed=self.seed) if scores else None
            self._intervals[metric] = found
        return self._intervals[metric]

    def scores(self, metric: str) -> list[float]:
        """The score of each example that has one, in the order of the items.

        Raises:
            ConfigurationError: When the report has no such metric.
        """
        self._check(metric)
        told = (item.score(metric) for item in self.items)
        return [score for score in told if score is not None]

    def pass_hat(self, metric: str, k: int) -> Interval | None:
        """pass^k: how probable it is that k runs of an example all pass, over the examples.

        Examples with fewer than k scored runs are left out; None where none is left.

        Raises:
            ConfigurationError: When the report has no such metric, or `k` is more than `repeats`.
            MissingExtraError: When the `eval` extra is not installed.

        Source: Yao et al. 2024, "τ-bench", section 4.
        """
        self._check(metric)
        if not 1 <= k <= self.repeats:
            raise ConfigurationError(
                f"pass^{k} needs {k} runs of each example; this report has repeats={self.repeats}."
            )
        runs = [item.values(metric) for item in self.items]
        chances = [
            pass_hat_k(sum(value >= self.passing for value in values), len(values), k)
            for values in runs
            if len(values) >= k
        ]
        return interval(chances, seed=self.seed) if chances else None

    def latency(self, percent: float) -> float | None:
        """The seconds that so many percent of the runs took at most, failed ones left out.

        Between two runs it is interpolated. None where no run succeeded.
        """
        seconds = sorted(trial.run.seconds for trial in self.trials if not trial.run.error)
        if not seconds:
            return None
        place = (len(seconds) - 1) * percent / 100
        low = int(place)
        high = min(low + 1, len(seconds) - 1)
        return seconds[low] + (seconds[high] - seconds[low]) * (place - low)

    @property
    def trials(self) -> list[Trial]:
        """All runs of all items."""
        return [trial for item in self.items for trial in item.trials]

    @cached_property
    def usage(self) -> Usage:
        """What the graph's runs took, together; what metrics took is `judging`."""
        return sum((trial.run.usage for trial in self.trials), Usage())

    @cached_property
    def judging(self) -> Usage:
        """What the metrics' calls of models took, together."""
        return sum((trial.judging for trial in self.trials), Usage())

    @property
    def cost(self) -> float | None:
        """What the graph's runs cost; None where the prices of its models are not known."""
        return self.usage.cost(self.prices)

    @property
    def failures(self) -> dict[str, list[str]]:
        """What went wrong, by the id of the example."""
        return {item.example.id: item.failures for item in self.items if item.failures}

    @property
    def figures(self) -> dict[str, Any]:
        """All figures as plain data: for tables, plots and other programs."""
        runs = len(self.trials)
        scores = {}
        for name in self.metrics:
            found = self.interval(name)
            scores[name] = {
                **({} if found is None else asdict(found)),
                "examples": len(self.scores(name)),
                "unscored": sum(name in trial.unscored for trial in self.trials),
                **self._passes(name),
            }
        return {
            "scores": scores,
            "examples": len(self.items),
            "runs": runs,
            "failed_runs": sum(bool(trial.run.error) for trial in self.trials),
            "seconds_p50": self.latency(50),
            "seconds_p95": self.latency(95),
            "calls_per_run": self.usage.calls / runs if runs else None,
            "tokens_per_run": self.usage.tokens / runs if runs else None,
            "cost_per_run": None if self.cost is None or not runs else self.cost / runs,
            "usage": _with_cost(self.usage, self.prices),
            "judging": _with_cost(self.judging, self.prices),
            "spent": _with_cost(self.spent, self.prices),
        }

    def _passes(self, metric: str) -> dict[str, float]:
        if self.repeats == 1:
            return {}
        found = {k: self.pass_hat(metric, k) for k in range(1, self.repeats + 1)}
        return {f"pass^{k}": each.mean for k, each in found.items() if each is not None}

    @cached_property
    def _intervals(self) -> dict[str, Interval | None]:
        return {}

    def _check(self, metric: str) -> None:
        if metric not in self.metrics:
            raise ConfigurationError(
                f"The report has no metric {metric!r}; it has {', '.join(self.metrics)}."
            )

    # --- comparing

    def compare(self, before: Report) -> ReportComparison:
        """How much better this report is than one before, example by example.

        Args:
            before: The report to compare with. Examples are paired by their inputs; those that
                only one report has are left out and named.

        Raises:
            DatasetError: When the reports have no example or no metric in common.
            MissingExtraError: When the `eval` extra is not installed.
        """
        from agentkit.evaluation.comparing import compared_reports

        return compared_reports(before, self)

    # --- showing

    def __rich__(self) -> Group:
        from agentkit.evaluation.tables import report_table

        return report_table(self)

    def __repr__(self) -> str:
        return str(self)  # the fields hold every run with its trace

    def _repr_html_(self) -> str:
        from agentkit.evaluation.html import summary_html

        return summary_html(self)

    def save_html(self, path: str | Path, *, before: Report | None = None) -> None:
        """Write one page with everything: it needs no network and no other file.

        Args:
            path: The file.
            before: An earlier report, to show what changed.

        Raises:
            ConfigurationError: When the file cannot be written.
            DatasetError: When the reports have no example or no metric in common.
        """
        from agentkit.evaluation.html import report_page
        from agentkit.evaluation.saved import write_whole

        write_whole(path, report_page(self, before=before))

    # --- saving

    def save(self, path: str | Path) -> None:
        """Write the report as JSON, all or nothing.

        Raises:
            ConfigurationError: When the file cannot be written.
        """
        from agentkit.evaluation.saved import report_json, write_whole

        write_whole(path, report_json(self))

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read what `save` wrote. Outputs are plain data then, as JSON has them.

        Raises:
            ConfigurationError: When the file is missing, is no report, or is of a newer format.
        """
        from agentkit.evaluation.saved import read_report

        return read_report(path)


def _with_cost(usage: Usage, prices: Prices | None) -> dict[str, Any]:
    return {
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost": usage.cost(prices),
    }
