"""`agentkit init`: an app to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from agentkit.cli.console import out

_NEXT = (
    "cd {folder}",
    "pip install --upgrade pip && pip install --editable . --group dev  # what it needs",
    "agentkit local install  # the embedded models: no key, no network, no quality",
    "pytest",
    "agentkit view  # a page to talk to its graphs",
)


def init(
    folder: Annotated[Path, typer.Argument(help="A folder that is new or empty.")],
) -> None:
    """Write an app to start from: graphs, tools, example data, and tests that pass."""
    from agentkit.workspace import create_workspace

    files = create_workspace(folder)
    out.print(f"{len(files)} files are in {escape(str(folder))}. Go on with:")
    for line in _NEXT:
        out.print(f"  {line.format(folder=shlex.quote(str(folder)))}", markup=False)
