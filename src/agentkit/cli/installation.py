"""`agentkit graphs`, `agentkit doctor` and `agentkit local`: what there is and what it needs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from agentkit.cli.console import JsonOption, out, print_json

if TYPE_CHECKING:
    from agentkit.diagnosis import Finding

local = typer.Typer(help="The embedded models, which need no key and no network.")


def version() -> str:
    """The version that is installed."""
    from agentkit.diagnosis import installed_version

    return installed_version()


def graphs(*, as_json: JsonOption = False) -> None:
    """List the graphs."""
    import agentkit

    names = [name for name in agentkit.__all__ if name.startswith("create_")]
    summaries = {name: _first_line(getattr(agentkit, name)) for name in names}
    if as_json:
        listed = [{"factory": f"agentkit.{name}", "summary": summaries[name]} for name in names]
        print_json(listed)
        return
    table = _table("graph", "factory", "what it does")
    for name, summary in summaries.items():
        table.add_row(name.removeprefix("create_"), f"agentkit.{name}", escape(summary))
    out.print(table)


def _table(*names: str) -> Table:
    """A table whose cells are broken where they are too long, and not cut off: for copying."""
    columns = (Column(name, overflow="fold") for name in names)
    return Table(*columns, box=None, header_style="bold")


def _first_line(factory: object) -> str:
    return (factory.__doc__ or "").split("\n", 1)[0]


def doctor(*, as_json: JsonOption = False) -> None:
    """Say what is installed, configured and reachable, and what to do about what is not.

    It ends with status 1 when something that the configuration needs is missing or wrong.
    """
    from agentkit.diagnosis import diagnose

    findings = diagnose(os.environ)
    if as_json:
        listed = [dataclasses.asdict(finding) for finding in findings]
        print_json(listed)
    else:
        _print(findings)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


def _print(findings: Sequence[Finding]) -> None:
    table = _table("", "what", "found", "what to do")
    commands = (word for finding in findings for word in finding.advice.split())
    table.columns[-1].min_width = max(map(len, commands), default=0)
    marks = {"good": "[green]✓[/]", "optional": "[yellow]–[/]", "bad": "[red]✗[/]"}
    for finding in findings:
        table.add_row(
            marks[finding.state],
            escape(finding.subject),
            escape(finding.found),
            escape(finding.advice),
        )
    out.print(table)


@local.command("install")
def local_install(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
) -> None:
    """Install the weights of the embedded models, and verify them."""
    from agentkit.local import weights

    missing = weights.missing()
    if not missing:
        out.print("The embedded models' weights are installed and right.")
        return
    out.print(escape(weights.describe_install(missing)))
    if not yes:
        typer.confirm("Install?", abort=True)
    weights.install(missing)
    out.print("Installed and verified.")
