"""`agentkit graphs`, `agentkit doctor` and `agentkit local`: what there is and what it needs."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from agentkit.cli.console import out

FACTORIES = (
    "create_rag",
    "create_hyde_rag",
    "create_fusion_rag",
    "create_text_to_sql",
    "create_text_to_cypher",
    "create_tool_agent",
    "create_router",
)

local = typer.Typer(help="The embedded models, which need no key and no network.")


def graphs() -> None:
    """List the graphs."""
    import agentkit

    table = Table("graph", "factory", "what it does", box=None, header_style="bold")
    for name in FACTORIES:
        summary = (getattr(agentkit, name).__doc__ or "").split("\n", 1)[0]
        table.add_row(name.removeprefix("create_"), f"agentkit.{name}", escape(summary))
    out.print(table)


def doctor() -> None:
    """Say what is installed, configured and reachable, and what to do about what is not."""
    from agentkit.diagnosis import diagnose

    table = Table("", "what", "found", "what to do", box=None, header_style="bold")
    findings = diagnose(os.environ)
    marks = {"good": "[green]✓[/]", "optional": "[yellow]–[/]", "bad": "[red]✗[/]"}
    for finding in findings:
        table.add_row(
            marks[finding.state],
            escape(finding.subject),
            escape(finding.found),
            escape(finding.advice),
        )
    out.print(table)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


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
