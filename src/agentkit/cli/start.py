"""`agentkit init`: an app to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from agentkit.cli.console import out


def init(
    folder: Annotated[Path, typer.Argument(help="A folder that is new or empty.")],
) -> None:
    """Write an app to start from: graphs, tools, example data, and tests that pass."""
    from agentkit.workspace import create_workspace

    files = create_workspace(folder)
    out.print(f"{len(files)} files are in {escape(str(folder))}. Go on with:")
    out.print(f"  cd {escape(str(folder))}")
    out.print("  pip install --editable . --group dev  # what it needs")
    out.print("  pytest")
    out.print("  agentkit view  # a page to talk to its graphs")
