"""Reports as tables in a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from agentkit._text import shortened

if TYPE_CHECKING:
    from agentkit.evaluation.ablation import Ablation, Effect
    from agentkit.evaluation.comparing import ReportComparison
    from agentkit.evaluation.report import Report

_WIDTH = 120
_MOST_FAILURES = 10


def as_text(shown: RenderableType) -> str:
    """What would be printed, without colours."""
    written = io.StringIO()
    Console(file=written, width=_WIDTH, color_system=None).print(shown)
    return written.getvalue().rstrip("\n")


def report_table(report: Report) -> Group:
    """A report: its scores, what it took, and what went wrong."""
    figures = report.figures
    parts: list[RenderableType] = [_scores(report, figures), _took(figures)]
    if report.stopped:
        done = f"{len(report.items)} of {report.examples} examples are done."
        parts.append(Text(f"Stopped early: {report.stopped} {done}", style="yellow"))
    parts += [Text(note, style="dim") for note in report.notes]
    failures = report.failures
    if failures:
        parts.append(Text(f"{len(failures)} examples with failures:", style="red"))
    for key, told in list(failures.items())[:_MOST_FAILURES]:
        parts.append(Text(f"  {key}: {shortened('; '.join(told), 160)}"))
    if len(failures) > _MOST_FAILURES:
        parts.append(Text(f"  and {len(failures) - _MOST_FAILURES} more"))
    return Group(*parts)


def _scores(report: Report, figures: Mapping[str, Any]) -> Table:
    title = f"{report.name}: {counted(figures['examples'], 'example')}"
    if report.repeats > 1:
        title += f", {report.repeats} runs of each"
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("metric")
    for column in ("mean", "95 % interval", "scored", "no score"):
        table.add_column(column, justify="right")
    passes = [f"pass^{k}" for k in range(1, report.repeats + 1)] if report.repeats > 1 else []
    for column in passes:
        table.add_column(column, justify="right")
    for name, found in figures["scores"].items():
        table.add_row(
            escape(name),
            number(found.get("mean")),
            bounds(found),
            str(found["examples"]),
            str(found["unscored"] or ""),
            *(number(found.get(column)) for column in passes),
        )
    return table


def _took(figures: Mapping[str, Any]) -> Text:
    """What the runs took, in one line."""
    told = [counted(figures["runs"], "run")]
    if figures["failed_runs"]:
        told.append(f"{figures['failed_runs']} failed")
    if figures["seconds_p50"] is not None:
        p50, p95 = seconds(figures["seconds_p50"]), seconds(figures["seconds_p95"])
        told.append(f"p50 {p50}, p95 {p95}")
    if figures["runs"]:
        told.append(f"{figures['calls_per_run']:.3g} model calls and ")
        told[-1] += f"{figures['tokens_per_run']:,.0f} tokens a run"
    if figures["usage"]["cost"] is not None:
        told.append(f"cost {figures['usage']['cost']:.4f}")
    if figures["judging"]["calls"]:
        judging = figures["judging"]
        tokens = judging["input_tokens"] + judging["output_tokens"]
        told.append(f"metrics took {judging['calls']:,} model calls and {tokens:,} tokens")
    return Text(" · ".join(told))


def comparison_table(comparison: ReportComparison) -> Group:
    """A comparison: each metric before and after, with what is shown."""
    before, after = comparison.before, comparison.after
    title = f"{after.name} against {before.name}: {counted(len(comparison.pairs), 'pair')}"
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("metric")
    for column in ("before", "after", "difference", "95 % interval", "p"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for name, change in comparison.metrics.items():
        found = change.comparison
        table.add_row(
            escape(name),
            number(sum(change.before) / len(change.before)),
            number(sum(change.after) / len(change.after)),
            f"{found.difference:+.3f}",
            f"{found.low:+.3f} to {found.high:+.3f}",
            f"{found.p_value:.3g}",
            Text(change.verdict, style=_STYLES[change.verdict]),
        )
    parts: list[RenderableType] = [table, *(Text(line) for line in _changes(before, after))]
    if comparison.left_out:
        ids = shortened(", ".join(comparison.left_out), 200)
        parts.append(Text(f"Left out, as only one report has them: {ids}", style="dim"))
    if comparison.expecting_otherwise:
        ids = shortened(", ".join(comparison.expecting_otherwise), 200)
        parts.append(Text(f"Something else is expected than before of: {ids}", style="yellow"))
    return Group(*parts)


_STYLES = {"better": "green", "worse": "red", "no difference shown": "dim"}


def ablation_table(ablation: Ablation) -> Group:
    """An ablation: what is recommended, each configuration, and each technique's effect."""
    parts: list[RenderableType] = []
    if ablation.recommended is not None:
        told = Text("Recommended: ", style="bold")
        parts.append(told.append(ablation.recommended.name, style="green"))
    parts.append(Text(ablation.reason))
    parts += [_configurations(ablation), _effects(ablation)]
    if ablation.stopped:
        parts.append(Text(f"Stopped early: {ablation.stopped}", style="yellow"))
    parts += [Text(note, style="dim") for note in ablation.notes]
    return Group(*parts)


def _configurations(ablation: Ablation) -> Table:
    table = Table(title=escape(ablation.name), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("configuration")
    for column in (*ablation.metrics, "95 % interval", "p50", "tokens a run"):
        table.add_column(escape(column), justify="right")
    for each in ablation.configurations:
        figures = each.report.figures
        scores = figures["scores"]
        p50, tokens = figures["seconds_p50"], figures["tokens_per_run"]
        table.add_row(
            escape(each.name),
            *(number(scores[metric].get("mean")) for metric in ablation.metrics),
            bounds(scores[ablation.objective]),
            "–" if p50 is None else seconds(p50),
            "–" if tokens is None else f"{tokens:,.0f}",
            style="bold" if each is ablation.recommended else "",
        )
    return table


def _effects(ablation: Ablation) -> Table:
    title = f"What each technique does to {ablation.objective}"
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("technique", overflow="fold")
    table.add_column("where", no_wrap=True)
    for column in ("difference", "95 % interval", "p, corrected"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for column in ("p50", "tokens"):
        table.add_column(column, justify="right", no_wrap=True)
    for effect in ablation.effects:
        verdict = effect.verdict(ablation.objective)
        table.add_row(
            escape(str(effect.technique)),
            effect.where,
            *change_cells(effect, ablation.objective),
            Text(verdict, style=_STYLES[verdict]),
            more_seconds(effect.seconds),
            "–" if effect.tokens is None else f"{effect.tokens:+,.0f}",
        )
    return table


def change_cells(effect: Effect, metric: str) -> tuple[str, str, str]:
    """The difference, its interval and the corrected p-value of an effect."""
    found = effect.changes.get(metric)
    if found is None:
        return "–", "", ""
    between = f"{found.low:+.3f} to {found.high:+.3f}"
    return f"{found.difference:+.3f}", between, f"{effect.corrected[metric]:.3g}"


def _changes(before: Report, after: Report) -> list[str]:
    """How time, tokens and cost changed."""
    rows = (
        ("latency p50", "seconds_p50", seconds),
        ("latency p95", "seconds_p95", seconds),
        ("tokens a run", "tokens_per_run", "{:,.0f}".format),
        ("cost a run", "cost_per_run", "{:.5f}".format),
    )
    old, new = before.figures, after.figures
    told = []
    for name, key, shown in rows:
        if old[key] is not None and new[key] is not None and (old[key] or new[key]):
            told.append(f"{name}: {shown(old[key])} → {shown(new[key])}")
    return told


def number(value: float | None) -> str:
    """A score."""
    return "–" if value is None else f"{value:.3f}"


def bounds(found: Mapping[str, Any]) -> str:
    """The interval of a score."""
    return f"{found['low']:.3f} to {found['high']:.3f}" if "low" in found else ""


def seconds(value: float) -> str:
    """A time, in the unit that suits it."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"  # noqa: PLR2004


def more_seconds(value: float | None) -> str:
    """How much more time something takes."""
    return "–" if value is None else f"{'-' if value < 0 else '+'}{seconds(abs(value))}"


def counted(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
