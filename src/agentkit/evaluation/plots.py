"""Plots as SVG: distributions, changes, intervals and the times of a run's steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from agentkit._markup import Markup, tag
from agentkit.evaluation.results import Step

_WIDTH, _HEIGHT, _FOOT, _HEAD = 320, 150, 22, 16
_BINS = 10


def score_histogram(after: Sequence[float], before: Sequence[float] = ()) -> Markup:
    """How many examples have which score; beside it how many had before."""
    edges = [place / _BINS for place in range(_BINS + 1)]
    return _histogram(edges, after, before, what="score", shown="{:.1f}".format)


def seconds_histogram(after: Sequence[float], before: Sequence[float] = ()) -> Markup:
    """How many runs took how long."""
    most = max([*after, *before, 1e-3])
    step = _round_step(most / _BINS)
    bins = max(1, math.ceil(most / step - 1e-9))
    edges = [step * place for place in range(bins + 1)]
    return _histogram(edges, after, before, what="seconds", shown="{:g}".format)


def change_bars(changes: Sequence[float]) -> Markup:
    """The change of each example, from the greatest loss to the greatest gain."""
    ordered = sorted(changes)
    better, worse = sum(c > 0 for c in changes), sum(c < 0 for c in changes)
    told = f"{better} better, {worse} worse, {len(changes) - better - worse} the same"
    middle = (_HEAD + _HEIGHT - _FOOT) / 2
    scale = (_HEIGHT - _FOOT - _HEAD) / 2
    width = _WIDTH / max(1, len(ordered))
    bars = [
        _rect(
            place * width,
            middle - scale * max(change, 0),
            max(width - min(1, width / 4), 0.5),
            scale * abs(change),
            kind="gain" if change > 0 else "loss",
        )
        for place, change in enumerate(ordered)
        if change
    ]
    line = tag("line", x1=0, x2=_WIDTH, y1=_of(middle), y2=_of(middle), class_="axis")
    return _svg(told, *bars, line, _label(_WIDTH / 2, _HEIGHT - 6, told, "middle"))


def interval_bar(low: float, mean: float, high: float) -> Markup:
    """A mean with its interval, on a line from 0 to 1."""
    width, height = 160, 16
    band = _rect(low * width, 5, max(1.0, (high - low) * width), 6, kind="band")
    at = min(max(mean * width, 1.5), width - 1.5)
    return _svg(
        f"{mean:.3f}, between {low:.3f} and {high:.3f}",
        _rect(0, 7.5, width, 1, kind="axis-box"),
        band,
        _rect(at - 1.5, 1, 3, 14, kind="after"),
        size=(width, height),
    )


def change_bar(low: float, mean: float, high: float) -> Markup:
    """A difference with its interval, on a line from -1 to 1 with a mark at 0."""
    width, height = 160, 16
    left, at, right = ((value + 1) / 2 * width for value in (low, mean, high))
    kind = "gain" if low > 0 else "loss" if high < 0 else "after"
    return _svg(
        f"{mean:+.3f}, between {low:+.3f} and {high:+.3f}",
        _rect(0, 7.5, width, 1, kind="axis-box"),
        _rect(width / 2 - 0.5, 0, 1, height, kind="before"),
        _rect(left, 5, max(1.0, right - left), 6, kind="band"),
        _rect(min(max(at, 1.5), width - 1.5) - 1.5, 1, 3, 14, kind=kind),
        size=(width, height),
    )


def step_bar(step: Step, seconds: float) -> Markup:
    """When in the run a step began, and how long it took."""
    width, height = 160, 12
    whole = max(seconds, step.start + step.seconds, 1e-9)
    return _svg(
        f"from {step.start:.3f} s for {step.seconds:.3f} s",
        _rect(0, 5.5, width, 1, kind="axis-box"),
        _rect(
            step.start / whole * width,
            2,
            max(1.5, step.seconds / whole * width),
            8,
            kind="loss" if step.error else "after",
        ),
        size=(width, height),
    )


def _histogram(
    edges: Sequence[float],
    after: Sequence[float],
    before: Sequence[float],
    *,
    what: str,
    shown: Callable[[float], str],
) -> Markup:
    sides = [(_counts(edges, before), "before")] if before else []
    sides.append((_counts(edges, after), "after"))
    most = max(1, *(count for counts, _ in sides for count in counts))
    slot = _WIDTH / (len(edges) - 1)
    width = (slot - 4) / len(sides)
    bars = []
    for side, (counts, kind) in enumerate(sides):
        for place, count in enumerate(counts):
            height = count / most * (_HEIGHT - _FOOT - _HEAD)
            left, top = place * slot + 2 + side * width, _HEIGHT - _FOOT - height
            if count:
                between = f"{shown(edges[place])} to {shown(edges[place + 1])}"
                bars.append(
                    _rect(left, top, width - 0.5, height, kind=kind, told=f"{count}: {between}")
                )
                bars.append(_label(left + width / 2, top - 3, str(count), "middle", "small"))
    floor = _HEIGHT - _FOOT
    return _svg(
        f"distribution of {what}",
        *bars,
        tag("line", x1=0, x2=_WIDTH, y1=floor, y2=floor, class_="axis"),
        _label(0, _HEIGHT - 6, shown(edges[0]), "start"),
        _label(_WIDTH / 2, _HEIGHT - 6, what, "middle"),
        _label(_WIDTH, _HEIGHT - 6, shown(edges[-1]), "end"),
    )


def _counts(edges: Sequence[float], values: Sequence[float]) -> list[int]:
    counts = [0] * (len(edges) - 1)
    step = edges[1] - edges[0]
    for value in values:
        counts[min(len(counts) - 1, int(value / step + 1e-9))] += 1
    return counts


def _round_step(step: float) -> float:
    """The next larger of 1, 2 and 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def _svg(told: str, *parts: Markup, size: tuple[int, int] = (_WIDTH, _HEIGHT)) -> Markup:
    width, height = size
    return tag(
        "svg",
        tag("title", told),
        parts,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_label=told,
    )


def _rect(
    x: float, y: float, width: float, height: float, *, kind: str, told: str | None = None
) -> Markup:
    title = None if told is None else tag("title", told)
    return tag("rect", title, x=_of(x), y=_of(y), width=_of(width), height=_of(height), class_=kind)


def _label(x: float, y: float, text: str, anchor: str, kind: str = "label") -> Markup:
    return tag("text", text, x=_of(x), y=_of(y), text_anchor=anchor, class_=kind)


def _of(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
