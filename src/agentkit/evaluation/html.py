"""Reports as HTML: a summary for a notebook, and one page with everything."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from agentkit._markup import Markup, joined, tag
from agentkit.evaluation.ablation import Ablation
from agentkit.evaluation.comparing import ReportComparison
from agentkit.evaluation.plots import (
    change_bar,
    change_bars,
    interval_bar,
    score_histogram,
    seconds_histogram,
    step_bar,
)
from agentkit.evaluation.report import Report
from agentkit.evaluation.results import Item, Step, Trial
from agentkit.evaluation.saved import plain_state as _plain
from agentkit.evaluation.tables import bounds, change_cells, counted, more_seconds, number, seconds

_MOST_CHARS = 4_000
_MOST_LISTED = 20


def summary_html(report: Report) -> str:
    """A report in short, for a notebook."""
    return tag(
        "div",
        _scores_table(report),
        tag("p", " · ".join(f"{name} {value}" for name, value in _took(report))),
        _warnings(report),
        tag("ul", (tag("li", f"{k}: {'; '.join(t)}") for k, t in _some(report.failures))),
    )


def comparison_html(comparison: ReportComparison) -> str:
    """A comparison in short, for a notebook."""
    return tag("div", _changes_table(comparison))


def report_page(report: Report, *, before: Report | None = None) -> str:
    """One page that needs no network and no other file.

    Nothing that a graph, a model or a dataset wrote can run in it: all is escaped, and the page's
    own policy allows one script and one style, by their hashes.
    """
    comparison = None if before is None else report.compare(before)
    return _page(report.name, _header(report), _main(report, comparison))


def ablation_html(ablation: Ablation) -> str:
    """An ablation in short, for a notebook."""
    return tag("div", _advice(ablation), _configurations(ablation), _effects(ablation))


def ablation_page(ablation: Ablation) -> str:
    """One page of an ablation, as `report_page` is one of a report."""
    header = tag("header", tag("h1", ablation.name), tag("p", "ablation", class_="quiet"), _theme())
    others = ablation.metrics[1:]
    main = tag(
        "main",
        tag("p", tag("strong", "Stopped early: "), ablation.stopped, class_="warning")
        if ablation.stopped
        else None,
        tag("section", tag("h2", "Recommended"), _advice(ablation)),
        tag("section", tag("h2", "Configurations"), _scrolled(_configurations(ablation))),
        (
            tag(
                "section",
                tag("h2", f"What each technique does to {metric}"),
                _scrolled(_effects(ablation, metric, drawn=True)),
            )
            for metric in (ablation.objective, *others)
        ),
        (tag("p", note, class_="note") for note in ablation.notes),
    )
    return _page(ablation.name, header, main)


def _page(title: str, header: Markup, main: Markup) -> str:
    style, script = _resource("report.css"), _resource("report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} – evaluation"),
        tag("style", Markup(style)),
    )
    body = tag("body", header, main, tag("script", Markup(script)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _resource(name: str) -> str:
    return (files("agentkit.evaluation") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _header(report: Report) -> Markup:
    told = [counted(len(report.items), "example")]
    told += [f"{report.repeats} runs of each"] if report.repeats > 1 else []
    told += [report.made.replace("T", " ").replace("+00:00", " UTC")] if report.made else []
    told += [f"agentkit {report.version}"] if report.version else []
    return tag(
        "header",
        tag("a", "Skip to the examples", class_="skip", href="#examples"),
        tag("h1", report.name),
        tag("p", " · ".join(told), class_="quiet"),
        _theme(),
    )


def _theme() -> Markup:
    themes = (tag("option", name, value=name) for name in ("auto", "light", "dark"))
    return tag("label", "Theme ", tag("select", themes, id="theme"))


def _main(report: Report, comparison: ReportComparison | None) -> Markup:
    return tag(
        "main",
        _warnings(report),
        tag("section", tag("h2", "Scores"), _scrolled(_scores_table(report, drawn=True))),
        None if comparison is None else _changes(comparison),
        tag(
            "section",
            tag("h2", "What it took"),
            _figures(report, comparison),
        ),
        _distributions(report, comparison),
        _examples(report, comparison),
    )


def _warnings(report: Report) -> Markup:
    done = f"{len(report.items)} of {report.examples} examples are done."
    stopped = (
        tag("p", tag("strong", "Stopped early: "), f"{report.stopped} {done}", class_="warning")
        if report.stopped
        else None
    )
    return joined(stopped, (tag("p", note, class_="note") for note in report.notes))


def _scores_table(report: Report, *, drawn: bool = False) -> Markup:
    passes = [f"pass^{k}" for k in range(1, report.repeats + 1)] if report.repeats > 1 else []
    columns = ["Metric", "Mean", *([""] if drawn else []), "95 % interval", *passes]
    columns += ["Scored", "No score"]
    rows = []
    for name, found in report.figures["scores"].items():
        bar = interval_bar(found["low"], found["mean"], found["high"]) if "low" in found else ""
        cells = [number(found.get("mean")), *([bar] if drawn else []), bounds(found)]
        cells += [number(found.get(column)) for column in passes]
        cells += [str(found["examples"]), str(found["unscored"] or "")]
        rows.append((name, *cells))
    return _table(columns, rows)


def _changes(comparison: ReportComparison) -> Markup:
    told = (
        ("Left out, as only one report has them: ", comparison.left_out),
        ("Something else is expected than before of: ", comparison.expecting_otherwise),
    )
    return tag(
        "section",
        tag("h2", f"Against {comparison.before.name}"),
        _scrolled(_changes_table(comparison)),
        (tag("p", text, _listed(ids), class_="note") for text, ids in told if ids),
    )


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - _MOST_LISTED
    return ", ".join(ids[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def _changes_table(comparison: ReportComparison) -> Markup:
    columns = ["Metric", "Before", "After", "Difference", "95 % interval", "p", "Pairs", "Verdict"]
    rows = []
    for name, change in comparison.metrics.items():
        found = change.comparison
        kind = change.verdict if found.is_shown else "same"
        rows.append(
            (
                name,
                number(sum(change.before) / len(change.before)),
                number(sum(change.after) / len(change.after)),
                f"{found.difference:+.3f}",
                f"{found.low:+.3f} to {found.high:+.3f}",
                f"{found.p_value:.3g}",
                str(len(change.before)),
                tag("span", change.verdict, class_=f"verdict {kind}"),
            )
        )
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    heads = tag("tr", (tag("th", column, scope="col") for column in columns))
    body = (
        tag("tr", tag("th", first, scope="row"), (tag("td", cell) for cell in cells))
        for first, *cells in rows
    )
    return tag("table", tag("thead", heads), tag("tbody", body))


def _scrolled(table: Markup) -> Markup:
    return tag("div", table, class_="wide", tabindex="0", role="group", aria_label="table")


def _took(report: Report) -> list[tuple[str, str]]:
    """What the runs took: names and values."""
    figures = report.figures
    told = [("runs", f"{figures['runs']:,}"), ("failed", f"{figures['failed_runs']:,}")]
    if figures["seconds_p50"] is not None:
        told.append(("latency p50", seconds(figures["seconds_p50"])))
        told.append(("latency p95", seconds(figures["seconds_p95"])))
    if figures["runs"]:
        told.append(("model calls a run", f"{figures['calls_per_run']:.3g}"))
        told.append(("tokens a run", f"{figures['tokens_per_run']:,.0f}"))
    if figures["usage"]["cost"] is not None:
        told.append(("cost", f"{figures['usage']['cost']:.4f}"))
    if figures["judging"]["calls"]:
        told.append(("model calls of metrics", f"{figures['judging']['calls']:,}"))
    return told


def _figures(report: Report, comparison: ReportComparison | None) -> Markup:
    """What the runs took, and what those of the report before did."""
    earlier = {} if comparison is None else dict(_took(comparison.before))
    return tag(
        "dl",
        (
            tag(
                "div",
                tag("dt", name),
                tag("dd", value),
                tag("dd", f"before {earlier[name]}", class_="was") if name in earlier else None,
            )
            for name, value in _took(report)
        ),
        class_="figures",
    )


def _distributions(report: Report, comparison: ReportComparison | None) -> Markup:
    before = None if comparison is None else comparison.before
    plots = []
    for name in report.metrics:
        earlier = before.scores(name) if before is not None and name in before.metrics else []
        plots.append(_plot(name, score_histogram(report.scores(name), earlier)))
        if comparison is not None and name in comparison.metrics:
            change = comparison.metrics[name]
            pairs = zip(change.before, change.after, strict=True)
            plots.append(_plot(f"{name}: each example", change_bars([y - x for x, y in pairs])))
    earlier = [] if before is None else _seconds(before)
    plots.append(_plot("Latency", seconds_histogram(_seconds(report), earlier)))
    legend = (
        tag("p", tag("span", "before", class_="key before"), tag("span", "after", class_="key"))
        if before is not None
        else None
    )
    return tag("section", tag("h2", "Distributions"), legend, tag("div", plots, class_="plots"))


def _seconds(report: Report) -> list[float]:
    return [trial.run.seconds for trial in report.trials if not trial.run.error]


def _plot(title: str, plot: Markup) -> Markup:
    return tag("figure", tag("figcaption", title), plot)


# --- ablations


def _advice(ablation: Ablation) -> Markup:
    chosen = ablation.recommended
    return joined(
        None if chosen is None else tag("p", tag("strong", chosen.name)),
        tag("p", ablation.reason),
    )


def _configurations(ablation: Ablation) -> Markup:
    columns = ["Configuration", *ablation.metrics, "95 % interval", "p50", "p95", "Tokens a run"]
    rows = []
    for each in ablation.configurations:
        figures = each.report.figures
        times = (figures["seconds_p50"], figures["seconds_p95"])
        tokens = figures["tokens_per_run"]
        rows.append(
            (
                tag("mark", each.name) if each is ablation.recommended else each.name,
                *(number(figures["scores"][metric].get("mean")) for metric in ablation.metrics),
                bounds(figures["scores"][ablation.objective]),
                *("–" if time is None else seconds(time) for time in times),
                "–" if tokens is None else f"{tokens:,.0f}",
            )
        )
    return _table(columns, rows)


def _effects(ablation: Ablation, metric: str | None = None, *, drawn: bool = False) -> Markup:
    metric = metric or ablation.objective
    columns = ["Technique", "Difference", *([""] if drawn else []), "95 % interval"]
    columns += ["p, corrected", "Pairs", "Verdict", "p50", "Tokens a run"]
    rows = []
    for effect in ablation.effects:
        difference, between, p_value = change_cells(effect, metric)
        found = effect.changes.get(metric)
        bar = joined(None if found is None else change_bar(found.low, found.difference, found.high))
        verdict = effect.verdict(metric)
        kind = "same" if verdict == "no difference shown" else verdict
        rows.append(
            (
                f"{effect.technique} {effect.where}",
                difference,
                *([bar] if drawn else []),
                between,
                p_value,
                str(effect.pairs),
                tag("span", verdict, class_=f"verdict {kind}"),
                more_seconds(effect.seconds),
                "–" if effect.tokens is None else f"{effect.tokens:+,.0f}",
            )
        )
    return _table(columns, rows)


# --- the examples, one by one


def _examples(report: Report, comparison: ReportComparison | None) -> Markup:
    earlier = {} if comparison is None else {y.example.id: x for x, y in comparison.pairs}
    changed = [("changed", "changed")] if comparison is not None else []
    kinds = [("", "all"), ("failed", "with failures"), ("low", "not all scores 1"), *changed]
    orders = [("place", "dataset"), *((f"s{n}", name) for n, name in enumerate(report.metrics))]
    orders += [("seconds", "latency"), ("tokens", "tokens")]
    controls = tag(
        "div",
        tag("label", "Find ", tag("input", id="find", type="search")),
        tag("label", "Show ", _select("kind", kinds)),
        tag("label", "Order by ", _select("order", orders)),
        tag("button", "Open all", id="open", type="button"),
        tag("span", id="shown", role="status"),
        class_="controls",
    )
    items = [
        _item(place, item, report, earlier.get(item.example.id))
        for place, item in enumerate(report.items)
    ]
    return tag(
        "section", tag("h2", "Examples"), controls, tag("div", items, id="list"), id="examples"
    )


def _select(key: str, options: Sequence[tuple[str, str]]) -> Markup:
    return tag("select", (tag("option", name, value=value) for value, name in options), id=key)


def _item(place: int, item: Item, report: Report, before: Item | None) -> Markup:
    failures = item.failures
    scores = [item.score(name) for name in report.metrics]
    took = sum(trial.run.seconds for trial in item.trials) / len(item.trials)
    tokens = sum(trial.run.usage.tokens for trial in item.trials) / len(item.trials)
    old = [None if before is None else before.score(name) for name in report.metrics]
    changes = [None if x is None or y is None else y - x for x, y in zip(old, scores, strict=True)]
    chips = [
        _chip(name, score, change)
        for name, score, change in zip(report.metrics, scores, changes, strict=True)
    ]
    head = tag(
        "summary",
        tag("span", item.example.id, class_="id"),
        tag("span", _cut(item.example.question or str(item.example.inputs), 200), class_="asked"),
        tag("span", "failed" if any(t.run.error for t in item.trials) else "no score", class_="bad")
        if failures
        else None,
        chips,
        tag("span", seconds(took), class_="quiet"),
    )
    return tag(
        "details",
        head,
        tag("div", _given(item), _runs(item), class_="inside"),
        class_="item",
        data_place=place,
        data_failed=bool(failures),
        data_low=any(score is None or score < 1 for score in scores),
        data_changed=any(changes),
        data_seconds=f"{took:.6f}",
        data_tokens=f"{tokens:.0f}",
        **{f"data_s{n}": -1 if score is None else score for n, score in enumerate(scores)},
    )


def _chip(name: str, score: float | None, change: float | None) -> Markup:
    kind = "none" if score is None else "good" if score >= 1 else "poor" if score <= 0 else "part"
    moved = tag("b", f"{change:+.2f}", class_="gain" if change > 0 else "loss") if change else None
    value = "–" if score is None else f"{score:.2f}"
    return tag("span", f"{name} {value} ", moved, class_=f"chip {kind}")


def _given(item: Item) -> Markup:
    example = item.example
    fields = (("Asked", example.inputs), ("Expected", example.expected))
    return joined(
        joined(tag("h3", title), _state(_plain(values))) for title, values in fields if values
    )


def _runs(item: Item) -> Markup:
    many = len(item.trials) > 1
    return joined(
        tag(
            "section",
            tag("h3", f"Run {place}") if many else None,
            _trial(trial),
            class_="run",
        )
        for place, trial in enumerate(item.trials, 1)
    )


def _trial(trial: Trial) -> Markup:
    run = trial.run
    took = f"{seconds(run.seconds)} · {counted(run.usage.calls, 'model call')}"
    took += f" · {run.usage.tokens:,} tokens" + (" · from the cache" if run.kept else "")
    judged = [
        tag("li", tag("b", f"{name}: {score.value:.3f} "), _cut(score.feedback))
        for name, score in trial.scores.items()
    ]
    judged += [tag("li", reason, class_="problem") for reason in trial.unscored.values()]
    return joined(
        tag("p", run.error, class_="problem") if run.error else None,
        tag("ul", judged, class_="judged") if judged else None,
        tag("p", took, class_="quiet"),
        joined(tag("h4", "Returned"), _state(_plain(run.output))) if run.output else None,
        joined(tag("h4", "Trace"), _trace(run.steps, run.seconds)) if run.steps else None,
    )


def _trace(steps: Sequence[Step], whole: float) -> Markup:
    rows = [
        (
            step.node,
            step_bar(step, whole),
            seconds(step.seconds),
            joined(
                tag("p", step.error, class_="problem") if step.error else None,
                (
                    tag("p", tag("b", f"{name} " if name else ""), value, class_="text")
                    for name, value in step.update.items()
                ),
            ),
        )
        for step in steps
    ]
    return _scrolled(_table(["Node", "When", "Time", "Update"], rows))


def _state(state: Mapping[str, Any]) -> Markup:
    """The fields of a state: texts as they are, documents by themselves, all else as JSON."""
    shown = {name: value for name, value in state.items() if value not in (None, "", [], {})}
    return tag(
        "dl",
        (joined(tag("dt", name), tag("dd", _value(value))) for name, value in shown.items()),
        class_="state",
    )


def _value(value: Any) -> Markup:
    if isinstance(value, str):
        return tag("p", _cut(value), class_="text")
    if isinstance(value, list) and value and all(map(_is_document, value)):
        return tag("ol", (tag("li", _document(each)) for each in value[:_MOST_LISTED]))
    if isinstance(value, list) and value and all(map(_is_message, value)):
        return tag("ol", (tag("li", _message(each)) for each in value[-_MOST_LISTED:]))
    return tag("pre", _cut(json.dumps(value, ensure_ascii=False, indent=1)))


def _is_document(value: object) -> bool:
    return isinstance(value, dict) and "page_content" in value


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and {"type", "content"} <= value.keys()


def _document(document: Mapping[str, Any]) -> Markup:
    return joined(
        tag("code", str(document.get("id") or "")), " ", _cut(str(document["page_content"]), 600)
    )


def _message(message: Mapping[str, Any]) -> Markup:
    content = message["content"]
    said = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    calls = [str(call.get("name")) for call in message.get("tool_calls") or ()]
    told = f" → {', '.join(calls)}" if calls else ""
    return joined(tag("b", f"{message['type']}: "), _cut(said, 600), told)


def _cut(text: str, limit: int = _MOST_CHARS) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text):,} characters)"


def _some(failures: Mapping[str, Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    return list(failures.items())[:_MOST_LISTED]
