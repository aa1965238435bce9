"""The `agentkit` command."""

from __future__ import annotations

import sys

import typer
from rich.markup import escape

from agentkit.cli import agent, chat, databases, documents, installation, mcp
from agentkit.cli.console import err
from agentkit.errors import AgentkitError

app = typer.Typer(
    name="agentkit",
    help="Ready-made LangGraph graphs for advanced retrieval-augmented generation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(documents.ingest)
app.command()(documents.ask)
app.command()(databases.sql)
app.command()(databases.cypher)
app.command()(agent.agent)
app.command()(chat.chat)
app.command()(mcp.mcp)
app.command()(installation.graphs)
app.command()(installation.doctor)
app.add_typer(installation.local, name="local", no_args_is_help=True)


def main() -> None:
    """Run the command; an error that agentkit explains is printed without a traceback."""
    try:
        app()
    except AgentkitError as error:
        err.print(f"[red]Error:[/] {escape(str(error))}")
        sys.exit(1)
