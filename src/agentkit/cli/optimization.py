"""`agentkit optimize`: a graph's prompts tuned on examples."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from agentkit.cli.console import JsonOption, QuietOption, err, out
from agentkit.cli.evaluation import DatabaseOption, JudgeOption, metrics
from agentkit.cli.loading import named_graph
from agentkit.errors import ConfigurationError

_KEPT = Path(".agentkit/optimization/calls.sqlite")


def optimize(
    graph: Annotated[
        str, typer.Argument(help="The graph: its name in langgraph.json, or module:attribute.")
    ],
    dataset: Annotated[Path, typer.Argument(help="The examples: JSONL, CSV, a BEIR folder.")],
    *,
    metric: Annotated[
        str, typer.Option(help="The metric: token_f1, recall@5, …, or module:function.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to save the prompts.")],
    calls: Annotated[int | None, typer.Option(help="The budget in calls of models.")] = None,
    tokens: Annotated[int | None, typer.Option(help="The budget in tokens.")] = None,
    cost: Annotated[float | None, typer.Option(help="The budget in money, with --prices.")] = None,
    prices: Annotated[
        tuple[float, float] | None,
        typer.Option(help="What a million input and a million output tokens cost."),
    ] = None,
    optimizer: Annotated[
        str, typer.Option(help="bootstrap, random, mipro, gepa, simba or gepa-light.")
    ] = "bootstrap",
    writer: Annotated[
        str | None, typer.Option(help="The model that writes instructions: provider:model.")
    ] = None,
    judge: JudgeOption = None,
    database: DatabaseOption = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help="A prompt to tune; repeatable; all by default.")
    ] = None,
    freeze: Annotated[
        list[str] | None, typer.Option(help="A prompt to leave as it is; repeatable.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="A saved prompt set to begin with.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="A setting of the optimiser: name=value; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every choice by chance.")] = 0,
    concurrency: Annotated[int, typer.Option(help="Runs of the graph at once.")] = 8,
    keep_unproven: Annotated[
        bool, typer.Option(help="Save what was found even where it is not shown to be better.")
    ] = False,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The app's langgraph.json.")
    ] = Path("langgraph.json"),
    kept: Annotated[
        Path, typer.Option(help="Where calls are kept, so that a stopped run goes on.")
    ] = _KEPT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tune a graph's prompts on examples, and save what is shown to be better."""
    from agentkit.optimization import Budget
    from agentkit.optimization import optimize as tune

    if calls is None and tokens is None and cost is None:
        raise ConfigurationError("Give a budget: --calls, --tokens, or --cost with --prices.")
    loaded = named_graph(graph, config)
    with _dspy_told_apart(quiet=quiet):
        try:
            found = tune(
                loaded,
                dataset,
                metrics([metric], judge, database)[0],
                optimizer,
                budget=Budget(calls=calls, tokens=tokens, cost=cost, prices=prices),
                prompts=prompt or None,
                freeze=freeze or (),
                start=start,
                writer=writer,
                settings=dict(map(_setting, setting or ())),
                seed=seed,
                concurrency=concurrency,
                keep_unproven=keep_unproven,
                calls=kept,
                on_progress=None if quiet else lambda told: err.print(f"[dim]{escape(told)}[/]"),
            )
        except KeyboardInterrupt:
            err.print("Interrupted. The same command goes on where this one stopped.")
            raise typer.Exit(130) from None
    saves = found.improved or keep_unproven
    if saves:
        found.save(output)
    if as_json:
        out.print_json(json.dumps(found.as_json(), ensure_ascii=False))
        return
    out.print(escape(str(found)))
    unchanged = "The prompts stay as they are; --keep-unproven saves the found ones."
    out.print(escape(f"Saved to {output}." if saves else unchanged))


@contextlib.contextmanager
def _dspy_told_apart(*, quiet: bool) -> Iterator[None]:
    """DSPy tells its progress on standard output, which is for the result; nowhere when quiet."""
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w")) if quiet else None
        stack.enter_context(contextlib.redirect_stdout(nowhere or sys.stderr))
        if nowhere:
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def _setting(told: str) -> tuple[str, Any]:
    name, equals, value = told.partition("=")
    if not equals:
        raise ConfigurationError(f"A setting is name=value; got {told!r}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
