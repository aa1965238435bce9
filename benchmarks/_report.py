"""What every benchmark shares: its command line, its table, its JSON file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def parser(description: str | None) -> argparse.ArgumentParser:
    """A command line with `--json FILE`."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    return options


def report(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    settings: Mapping[str, Any],
    json_file: Path | None = None,
) -> None:
    """Print one table, a row a mapping, and write the same figures as JSON where wanted.

    The first column names the row.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(*columns, title=name, title_justify="left")
    for row in rows:
        table.add_row(*(_shown(row.get(column, "")) for column in columns))
    Console(width=160).print(table)
    if json_file is not None:
        figures = {
            str(row[columns[0]]): {c: row[c] for c in columns[1:] if c in row} for row in rows
        }
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        content = {"name": name, "figures": figures, "settings": {**settings, **machine}}
        json_file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


async def median_seconds(call: Callable[[int], Awaitable[Any]], *, times: int) -> float:
    """The median of how long a call takes, after one that warms up; each gets its number."""
    await call(-1)
    seconds = []
    for number in range(times):
        start = time.perf_counter()
        await call(number)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
