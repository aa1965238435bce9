"""`agentkit prompts`: what a prompt set says, what it changes, and putting it to use."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from agentkit.cli.console import JsonOption, out, print_json
from agentkit.cli.loading import named_graph
from agentkit.errors import ConfigurationError

if TYPE_CHECKING:
    from agentkit.prompts import Prompt, PromptSet

prompts = typer.Typer(help="Saved prompts: shown, compared, put to use and taken back.")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The app's langgraph.json.")]
GraphOption = Annotated[
    str | None,
    typer.Option("--graph", "-g", help="A name in langgraph.json, or module:attribute."),
]
FileArgument = Annotated[Path, typer.Argument(help="A saved prompt set.", dir_okay=False)]
TargetArgument = Annotated[
    Path, typer.Argument(help="The prompt set that the app loads.", dir_okay=False)
]

_CONFIG = Path("langgraph.json")
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@prompts.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="A saved prompt set.")] = None,
    *,
    graph: GraphOption = None,
    config: ConfigOption = _CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show the prompts of a saved set, or those of a graph."""
    from dataclasses import asdict

    shown = _given(file, graph, config)
    tuning = None if shown.tuning is None else asdict(shown.tuning)
    if as_json:
        texts = {name: asdict(text) for name, text in shown.items()}
        told = {"tuning": tuning, "prompts": texts}
        print_json(told)
        return
    for name, value in (tuning or {}).items():
        if name != "fingerprints" and value:
            out.print(f"[dim]{name}: {escape(str(value))}[/]")
    for name, text in shown.items():
        demos = f", {len(text.demos)} demos" if text.demos else ""
        out.print(f"\n[bold]{escape(name)}[/] [dim]{text.size:,} characters{demos}[/]")
        out.print(escape(_told(text)))


@prompts.command()
def diff(
    old: FileArgument,
    new: Annotated[Path | None, typer.Argument(help="Another saved prompt set.")] = None,
    *,
    graph: GraphOption = None,
    config: ConfigOption = _CONFIG,
) -> None:
    """Show what changes from one saved set to another, or from a graph's own prompts to a set."""
    from agentkit import PromptSet

    if new is None:
        before, after = _of_graph(_named(graph), config), PromptSet.load(old)
        names = (f"graph {graph}", str(old))
    else:
        before, after = PromptSet.load(old), PromptSet.load(new)
        names = (str(old), str(new))
    for name in dict.fromkeys([*before, *after]):
        if name not in after and new is None:
            continue  # a set need not name every prompt of a graph
        old_lines, new_lines = (
            _told(each[name]).splitlines() if name in each else [] for each in (before, after)
        )
        _print_changes(old_lines, new_lines, f"{names[0]}: {name}", f"{names[1]}: {name}")


def _print_changes(before: list[str], after: list[str], old: str, new: str) -> None:
    for line in difflib.unified_diff(before, after, old, new, lineterm="", n=2):
        colour = _COLOURS.get(line[:1])
        out.print(f"[{colour}]{escape(line)}[/]" if colour else escape(line))


@prompts.command()
def apply(
    file: FileArgument,
    target: TargetArgument,
    *,
    graph: GraphOption = None,
    config: ConfigOption = _CONFIG,
    force: Annotated[
        bool, typer.Option(help="Also where the graph's prompts are worded otherwise by now.")
    ] = False,
) -> None:
    """Make a saved set the one that the app loads, and keep the one before."""
    from agentkit.optimization.files import apply_prompts

    known = None if graph is None else _declared(graph, config)
    kept = apply_prompts(file, target, known=known, on_mismatch="ignore" if force else "error")
    told = f" The set before is kept as {kept}." if kept else ""
    out.print(escape(f"{target} has the prompts of {file} now.{told}"))


@prompts.command()
def rollback(target: TargetArgument) -> None:
    """Put back the set that the app loaded before the last `apply`."""
    from agentkit.optimization.files import roll_back_prompts

    out.print(escape(f"{target} has the prompts of {roll_back_prompts(target)} again."))


def _given(file: Path | None, graph: str | None, config: Path) -> PromptSet:
    from agentkit import PromptSet

    return PromptSet.load(file) if file is not None else _of_graph(_named(graph), config)


def _named(graph: str | None) -> str:
    if graph is None:
        raise ConfigurationError("Name a saved prompt set, or a graph of the app with --graph.")
    return graph


def _of_graph(graph: str, config: Path) -> PromptSet:
    from agentkit import PromptSet, prompts_of

    return PromptSet(prompts_of(named_graph(graph, config)))


def _declared(graph: str, config: Path) -> dict[str, Prompt[Any]]:
    from agentkit import prompts_of

    loaded = named_graph(graph, config)
    prompts_of(loaded)  # says so where the graph has none
    return dict(loaded.context_schema.own_prompts)


def _told(text: Any) -> str:
    demos = [
        f"demo {number}: {json.dumps(demo, ensure_ascii=False, default=str)}"
        for number, demo in enumerate(text.demos, 1)
    ]
    return "\n".join([text.instructions, *demos])
