"""The `agentkit` command."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from agentkit.cli import (
    agent,
    chat,
    databases,
    documents,
    evaluation,
    installation,
    mcp,
    optimization,
    prompts,
    start,
    view,
)
from agentkit.cli.console import out, print_error
from agentkit.cli.failures import expected

_DEBUG = "AGENTKIT_DEBUG"
_ASK, _SERVE, _TUNE, _SET_UP = "Ask", "Serve", "Tune", "Set up"

app = typer.Typer(
    name="agentkit",
    help="Ready-made LangGraph graphs for advanced retrieval-augmented generation.\n\n"
    "A question is answered from documents, from a database or a property graph that is only read, "
    "or by an agent with tools. Without a model of yours the embedded one is used, which needs "
    "neither key nor network: it shows that everything is wired up, and often answers wrongly.",
    epilog="A first look:\n\n"
    "  [bold]agentkit init shop && cd shop[/]   an app to start from, with tests\n\n"
    "  [bold]agentkit view[/]   talk to its graphs on a page\n\n"
    "With documents of your own:\n\n"
    "  [bold]agentkit ingest documents/[/]\n\n"
    '  [bold]agentkit ask "How long may I keep a book?"[/]\n\n'
    "The chat model is --model, else AGENTKIT_MODEL, else the embedded one. "
    "[bold]agentkit doctor[/] says what is missing; [bold]agentkit COMMAND --help[/] explains one "
    "command; [bold]agentkit --install-completion[/] has your shell complete them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command(rich_help_panel=_ASK)(documents.ingest)
app.command(rich_help_panel=_ASK)(documents.ask)
app.command(rich_help_panel=_ASK)(databases.sql)
app.command(rich_help_panel=_ASK)(databases.cypher)
app.command(rich_help_panel=_ASK)(agent.agent)
app.command(rich_help_panel=_ASK)(chat.chat)
app.command(rich_help_panel=_SERVE)(view.view)
app.command(rich_help_panel=_SERVE)(mcp.mcp)
app.command(rich_help_panel=_SET_UP)(start.init)
app.command(rich_help_panel=_SET_UP)(installation.graphs)
app.command(rich_help_panel=_SET_UP)(installation.doctor)
app.command("eval", rich_help_panel=_TUNE)(evaluation.evaluate)
app.command(rich_help_panel=_TUNE)(evaluation.ablate)
app.command(rich_help_panel=_TUNE)(optimization.optimize)
app.add_typer(prompts.prompts, name="prompts", no_args_is_help=True, rich_help_panel=_TUNE)
app.add_typer(installation.local, name="local", no_args_is_help=True, rich_help_panel=_SET_UP)


def _say_version(wanted: bool) -> None:
    if wanted:
        out.print(f"agentkit {installation.version()}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help=f"Show an error's traceback; or set {_DEBUG}=1.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback has said it
        bool,
        typer.Option("--version", help="Say the version.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    if debug:
        os.environ[_DEBUG] = "1"


def main() -> None:
    """Run the command; an error is told in a sentence, without a traceback unless asked for."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a terminal that cannot show a character is no reason to lose the answer
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        print_error(_told(error))
        sys.exit(1)


def _told(error: Exception) -> str:
    if (said := expected(error)) is not None:
        return said
    return (
        f"{type(error).__name__}: {error}\n"
        "agentkit did not expect this; agentkit --debug with the same words shows where it arose."
    )
