"""How far an evaluation is: a bar in a terminal, a line in a notebook, or a call of the user's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentkit.evaluation.usage import Usage


@dataclass(frozen=True)
class Progress:
    """How far an evaluation is."""

    done: int
    """Runs that are done, failed ones too."""
    total: int
    failed: int
    usage: Usage
    """What was taken so far, by the graph and by the metrics."""
    cost: float | None
    """What it cost; None where the prices are not known."""

    def __str__(self) -> str:
        told = [f"{self.done}/{self.total}"]
        told += [f"{self.failed} failed"] if self.failed else []
        told.append(f"{self.usage.calls:,} model calls")
        told.append(f"{self.usage.tokens:,} tokens")
        told += [] if self.cost is None else [f"cost {self.cost:.4f}"]
        return " · ".join(told)


OnProgress: TypeAlias = Callable[[Progress], None]


@contextmanager
def shown_progress(wanted: bool | OnProgress | None, title: str) -> Iterator[OnProgress]:
    """What is to be told of each step.

    Args:
        wanted: A function that is told; True for a bar, False for nothing, and None for a bar
            where somebody may look: in a terminal and in a notebook.
        title: What is evaluated.
    """
    if callable(wanted):
        yield wanted
    elif wanted is False or (wanted is None and not (_in_notebook() or sys.stderr.isatty())):
        yield lambda _: None
    elif _in_notebook():
        yield _notebook_line(title)
    else:
        with _bar(title) as tell:
            yield tell


@contextmanager
def _bar(title: str) -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn(escape(title)),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def tell(progress: Progress) -> None:
            bar.update(
                task, total=progress.total, completed=progress.done, description=str(progress)
            )

        yield tell


def _notebook_line(title: str) -> OnProgress:
    """One line of output that is replaced: nothing but IPython is needed."""
    from html import escape

    from IPython.display import HTML, display

    shown: list[Any] = []

    def tell(progress: Progress) -> None:
        share = progress.done / progress.total if progress.total else 1
        line = HTML(  # type: ignore[no-untyped-call]
            f'<progress value="{share:.4f}"></progress> {escape(title)} {escape(str(progress))}'
        )
        if shown:
            shown[0].update(line)
        else:
            shown.append(display(line, display_id=True))  # type: ignore[no-untyped-call]

    return tell


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
