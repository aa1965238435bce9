"""Two reports compared, example by example, and what that shows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agentkit.errors import DatasetError
from agentkit.evaluation.report import Report
from agentkit.evaluation.results import Item
from agentkit.evaluation.saved import plain_state
from agentkit.evaluation.shown import AsTable
from agentkit.evaluation.statistics import Comparison, compared

if TYPE_CHECKING:
    from rich.console import Group


@dataclass(frozen=True)
class MetricChange:
    """How one metric changed over the examples that both reports have a score of."""

    metric: str
    before: tuple[float, ...]
    """The scores before, example by example."""
    after: tuple[float, ...]
    comparison: Comparison

    @property
    def verdict(self) -> str:
        """What is shown: `better`, `worse`, or `no difference shown`."""
        if not self.comparison.is_shown:
            return "no difference shown"
        return "better" if self.comparison.difference > 0 else "worse"

    def __str__(self) -> str:
        found = self.comparison
        return (
            f"{self.metric}: {self.verdict} ({found.difference:+.3f}, 95 % interval "
            f"{found.low:+.3f} to {found.high:+.3f}, p = {found.p_value:.3g}, "
            f"{len(self.before)} pairs)"
        )


@dataclass(frozen=True)
class ReportComparison(AsTable):
    """A report against one before."""

    before: Report
    after: Report
    pairs: tuple[tuple[Item, Item], ...]
    """The examples that both reports have, before and after."""

    @cached_property
    def left_out(self) -> tuple[str, ...]:
        """The ids of the examples that only one of the reports has."""
        old = {id(item) for item, _ in self.pairs}
        new = {id(item) for _, item in self.pairs}
        only = [item for item in self.after.items if id(item) not in new]
        only += [item for item in self.before.items if id(item) not in old]
        return tuple(dict.fromkeys(item.example.id for item in only))

    @cached_property
    def expecting_otherwise(self) -> tuple[str, ...]:
        """The ids of the pairs of which something else is expected now than before."""
        return tuple(
            new.example.id
            for old, new in self.pairs
            if plain_state(old.example.expected) != plain_state(new.example.expected)
        )

    @cached_property
    def metrics(self) -> Mapping[str, MetricChange]:
        """By name, the metrics that both reports have scores of."""
        changes = {}
        for name in self.after.metrics:
            if name in self.before.metrics:
                both = [(old.score(name), new.score(name)) for old, new in self.pairs]
                scored = [(x, y) for x, y in both if x is not None and y is not None]
                if scored:
                    before, after = zip(*scored, strict=True)
                    found = compared(before, after, seed=self.after.seed)
                    changes[name] = MetricChange(name, before, after, found)
        return changes

    @property
    def figures(self) -> dict[str, Any]:
        """What is shown of each metric, as plain data."""
        return {
            name: {
                **asdict(change.comparison),
                "pairs": len(change.before),
                "verdict": change.verdict,
            }
            for name, change in self.metrics.items()
        }

    def __rich__(self) -> Group:
        from agentkit.evaluation.tables import comparison_table

        return comparison_table(self)

    def _repr_html_(self) -> str:
        from agentkit.evaluation.html import comparison_html

        return comparison_html(self)


def compared_reports(before: Report, after: Report) -> ReportComparison:
    """Compare two reports.

    Raises:
        DatasetError: When they have no example or no metric in common.
    """
    known = defaultdict[str, list[Item]](list)
    for item in reversed(before.items):
        known[_asked(item)].append(item)
    pairs = [(known[asked].pop(), item) for item in after.items if known[asked := _asked(item)]]
    if not pairs:
        raise DatasetError(
            f"The reports {before.name!r} and {after.name!r} have no example in common: examples "
            "are paired by their inputs."
        )
    found = ReportComparison(before, after, tuple(pairs))
    if not found.metrics:
        raise DatasetError(
            f"The reports {before.name!r} and {after.name!r} have no scored metric in common: "
            f"{', '.join(before.metrics)}, and {', '.join(after.metrics)}."
        )
    return found


def _asked(item: Item) -> str:
    """The inputs, as they are before and after a report is saved; the first of several the same."""
    return json.dumps(plain_state(item.example.inputs), sort_keys=True)
