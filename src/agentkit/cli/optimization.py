"""`agentkit optimize`: a graph's prompts tuned on examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from agentkit.cli.console import JsonOption, QuietOption, out, print_json
from agentkit.cli.evaluation import (
    CallsOption,
    ConcurrencyOption,
    ConfigOption,
    ContextOption,
    CostOption,
    DatabaseOption,
    DataOption,
    FieldOption,
    JudgeOption,
    PriceOption,
    TokensOption,
    dataset,
    interruptible,
    metrics,
    prices,
    settings,
)
from agentkit.cli.loading import check_writable, named_graph, pairs, value_of
from agentkit.errors import ConfigurationError

_CACHE = Path(".agentkit/optimization")


def optimize(
    graph: Annotated[
        str, typer.Argument(help="The graph: its name in langgraph.json, or module:attribute.")
    ],
    *,
    data: DataOption,
    metric: Annotated[
        str, typer.Option("--metric", "-m", help="A metric: recall@5, token_f1, module:function, …")
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="Where to save the prompts.")],
    budget_calls: CallsOption = None,
    budget_tokens: TokensOption = None,
    budget_cost: CostOption = None,
    price: PriceOption = None,
    optimizer: Annotated[
        str, typer.Option(help="bootstrap, random, mipro, gepa, simba or gepa-light.")
    ] = "bootstrap",
    writer: Annotated[
        str | None, typer.Option(help="The model that writes instructions: provider:model.")
    ] = None,
    judge: JudgeOption = None,
    database: DatabaseOption = None,
    field: FieldOption = None,
    validation: Annotated[
        Path | None, typer.Option(help="A dataset of its own to choose by.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="A dataset of its own to prove on.")] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help="A prompt to tune; repeatable; all by default.")
    ] = None,
    freeze: Annotated[
        list[str] | None, typer.Option(help="A prompt to leave as it is; repeatable.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="A saved prompt set to begin with.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(help="A setting of the optimiser: max_rounds=2; repeatable."),
    ] = None,
    context: ContextOption = None,
    max_prompt_chars: Annotated[
        int, typer.Option(help="Characters that one prompt may have, demos included.")
    ] = 20_000,
    seed: Annotated[int, typer.Option(help="Of every choice by chance.")] = 0,
    concurrency: ConcurrencyOption = 8,
    keep_unproven: Annotated[
        bool, typer.Option(help="Save what was found even where it is not shown to be better.")
    ] = False,
    cache: Annotated[
        Path, typer.Option(help="A folder to keep calls in, so that a stopped run goes on.")
    ] = _CACHE,
    config: ConfigOption = Path("langgraph.json"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tune a graph's prompts on examples, and save what is shown to be better."""
    from agentkit.optimization import Budget
    from agentkit.optimization import optimize as tune

    if budget_calls is None and budget_tokens is None and budget_cost is None:
        raise ConfigurationError(
            "Give a budget: --budget-calls, --budget-tokens, or --budget-cost with --price."
        )
    check_writable(output)
    chosen = pairs(setting, "--setting is a setting of the optimiser and its value: max_rounds=2")
    with interruptible(cache):
        found = tune(
            named_graph(graph, config),
            dataset(data, field),
            metrics([metric], judge, database)[0],
            optimizer,
            budget=Budget(budget_calls, budget_tokens, budget_cost),
            prices=prices(price),
            prompts=prompt or None,
            freeze=freeze or (),
            start=start,
            writer=writer,
            validation=None if validation is None else dataset(validation, field),
            test=None if test is None else dataset(test, field),
            context=settings(context),
            settings={name: value_of(value) for name, value in chosen.items()},
            max_prompt_chars=max_prompt_chars,
            seed=seed,
            concurrency=concurrency,
            keep_unproven=keep_unproven,
            cache=cache,
            progress=False if quiet else None,
        )
    saves = found.improved or keep_unproven
    if saves:
        found.save(output)
    if as_json:
        print_json(found.as_json())
        return
    out.print(escape(str(found)))
    unchanged = "The prompts stay as they are; --keep-unproven saves the found ones."
    out.print(escape(f"Saved to {output}." if saves else unchanged))
