"""`agentkit eval` and `agentkit ablate`: a graph measured on a dataset, and its techniques."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from typing_extensions import Unpack

from agentkit.cli.console import JsonOption, QuietOption, err, out, print_json
from agentkit.cli.loading import (
    check_writable,
    import_from_here,
    named_graph,
    named_object,
    pairs,
    value_of,
)
from agentkit.errors import ConfigurationError

if TYPE_CHECKING:
    from agentkit.evaluation.examples import Example
    from agentkit.evaluation.report import Report
    from agentkit.evaluation.runner import EvaluationOptions
    from agentkit.evaluation.scores import Metric

_LADYBUG = ".lbug"

DataOption = Annotated[
    Path, typer.Option("--data", "-d", help="The dataset: JSONL, JSON, CSV or a BEIR folder.")
]
FieldOption = Annotated[
    list[str] | None,
    typer.Option(help="Our name for a field of the dataset: query=gold_sql; repeatable."),
]
MetricOption = Annotated[
    list[str],
    typer.Option(
        "--metric", "-m", help="A metric: recall@5, token_f1, module:function, …; repeatable."
    ),
]
JudgeOption = Annotated[
    str | None, typer.Option(help="The model of metrics that ask one: provider:model.")
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(help="The database of execution_accuracy: a URL, or a SQLite or .lbug path."),
]
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The app's langgraph.json.")]
ContextOption = Annotated[
    list[str] | None, typer.Option(help="A setting of every run: k=3; repeatable.")
]
CacheOption = Annotated[
    Path | None,
    typer.Option(help="A folder to keep results in, so that a stopped run goes on."),
]
CallsOption = Annotated[int | None, typer.Option(help="Stop after so many model calls.")]
TokensOption = Annotated[int | None, typer.Option(help="Stop after so many tokens.")]
CostOption = Annotated[float | None, typer.Option(help="Stop at this cost; needs --price.")]
PriceOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What a million input and output tokens of a model cost: gpt-5-mini=0.25,2; "
        "repeatable."
    ),
]
ConcurrencyOption = Annotated[int, typer.Option(help="Runs at once.")]
RepeatsOption = Annotated[int, typer.Option(help="Runs of each example; for pass^k.")]
TimeoutOption = Annotated[float | None, typer.Option(help="Seconds that one run may take.")]
VersionOption = Annotated[
    str, typer.Option(help="Tells apart in the cache what cannot be seen, such as other data.")
]
SeedOption = Annotated[int, typer.Option(help="Of the resampling.")]


def evaluate(
    graph: Annotated[
        str, typer.Argument(help="The graph: its name in langgraph.json, or module:attribute.")
    ],
    *,
    data: DataOption,
    metric: MetricOption,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to save the report, as JSON.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Where to save the report as a page.")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="An earlier report to compare with, example by example.")
    ] = None,
    judge: JudgeOption = None,
    database: DatabaseOption = None,
    field: FieldOption = None,
    context: ContextOption = None,
    cache: CacheOption = None,
    graph_version: VersionOption = "",
    budget_calls: CallsOption = None,
    budget_tokens: TokensOption = None,
    budget_cost: CostOption = None,
    price: PriceOption = None,
    concurrency: ConcurrencyOption = 8,
    repeats: RepeatsOption = 1,
    timeout: TimeoutOption = None,
    seed: SeedOption = 0,
    config: ConfigOption = Path("langgraph.json"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure a graph on a dataset: scores with intervals, latency, tokens and cost.

    It ends with status 1 when no run succeeded.
    """
    from agentkit.evaluation import Report
    from agentkit.evaluation import evaluate as measure

    check_writable(output, html)
    before = None if compare is None else Report.load(compare)
    options = _options(
        set_to=context,
        limits=(budget_calls, budget_tokens, budget_cost),
        price=price,
        quiet=quiet,
        name=graph,
        cache=cache,
        version=graph_version,
        concurrency=concurrency,
        repeats=repeats,
        timeout=timeout,
        seed=seed,
    )
    judges = metrics(metric, judge, database)
    with interruptible(cache):
        report = measure(
            named_graph(graph, config),
            dataset(data, field),
            judges,
            **options,
        )
    if output is not None:
        report.save(output)
    if html is not None:
        report.save_html(html, before=before)
    _print(report, before, as_json=as_json)
    if not any(not trial.run.error for trial in report.trials):
        raise typer.Exit(1)


def ablate(
    factory: Annotated[
        str, typer.Argument(help="The function that makes the graph from options: module:function.")
    ],
    *,
    option: Annotated[
        list[str],
        typer.Option(
            help="An argument of the function and its values, as JSON or module:attribute, the "
            "plain one first: grade=false,true; repeatable."
        ),
    ],
    data: DataOption,
    metric: MetricOption,
    objective: Annotated[
        str | None, typer.Option(help="The metric that decides; the first by default.")
    ] = None,
    combinations: Annotated[
        bool, typer.Option(help="Run all combinations, and not one technique at a time.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to save the figures, as JSON.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Where to save them as a page.")] = None,
    judge: JudgeOption = None,
    database: DatabaseOption = None,
    field: FieldOption = None,
    context: ContextOption = None,
    cache: CacheOption = None,
    graph_version: VersionOption = "",
    budget_calls: CallsOption = None,
    budget_tokens: TokensOption = None,
    budget_cost: CostOption = None,
    price: PriceOption = None,
    concurrency: ConcurrencyOption = 8,
    repeats: RepeatsOption = 1,
    timeout: TimeoutOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure what each technique of a graph does on a dataset, and recommend a configuration."""
    from agentkit.evaluation import ablate as measure

    check_writable(output, html)
    options = _options(
        set_to=context,
        limits=(budget_calls, budget_tokens, budget_cost),
        price=price,
        quiet=quiet,
        name=factory,
        cache=cache,
        version=graph_version,
        concurrency=concurrency,
        repeats=repeats,
        timeout=timeout,
        seed=seed,
    )
    judges = metrics(metric, judge, database)
    with interruptible(cache):
        found = measure(
            named_object(factory, "function"),
            _switches(option),
            dataset(data, field),
            judges,
            objective=objective,
            combinations=combinations,
            **options,
        )
    if output is not None:
        found.save(output)
    if html is not None:
        found.save_html(html)
    if as_json:
        told = {"name": found.name, "stopped": found.stopped, **found.figures}
        print_json(told)
    else:
        out.print(found)


def _options(
    *,
    set_to: list[str] | None,
    limits: tuple[int | None, int | None, float | None],
    price: list[str] | None,
    quiet: bool,
    **others: Unpack[EvaluationOptions],
) -> EvaluationOptions:
    """The options of both commands, as `evaluate` takes them."""
    from agentkit.evaluation import Budget

    read: EvaluationOptions = {
        "context": settings(set_to),
        "budget": Budget(*limits),
        "prices": prices(price),
        "progress": False if quiet else None,
    }
    return {**others, **read}


def _switches(option: list[str]) -> dict[str, dict[str, Any]]:
    """The values of each `--option`, by what they are called."""
    told = pairs(option, "--option is an argument and its values: grade=false,true")
    return {name: _values(values) for name, values in told.items()}


def _values(told: str) -> dict[str, Any]:
    """Values with commas between, by how they are written."""
    try:
        values = json.loads(f"[{told}]")
        names = (v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values)
        return dict(zip(names, values, strict=True))
    except ValueError:  # not all are JSON
        return {each: value_of(each) for each in told.split(",")}


def _print(report: Report, before: Report | None, *, as_json: bool) -> None:
    comparison = None if before is None else report.compare(before)
    if as_json:
        told: dict[str, Any] = {
            "name": report.name,
            "figures": report.figures,
            "stopped": report.stopped,
            "notes": list(report.notes),
            "failures": report.failures,
        }
        if comparison is not None:
            told["comparison"] = comparison.figures
        print_json(told)
        return
    out.print(report)
    if comparison is not None:
        out.print(comparison)


@contextlib.contextmanager
def interruptible(cache: Path | None) -> Iterator[None]:
    """Say what is kept when a run is interrupted, and end it with status 130."""
    try:
        yield
    except KeyboardInterrupt:
        kept = "With --cache, what is done would be kept."
        if cache is not None:
            kept = "What is done is kept: the same command goes on where this one stopped."
        err.print(escape(f"Interrupted. {kept}"))
        raise typer.Exit(130) from None


def dataset(data: Path, fields: list[str] | None) -> list[Example]:
    """The examples of `--data` and `--field`."""
    from agentkit.evaluation import load_dataset

    named = pairs(fields, "--field is our name and the dataset's: query=gold_sql")
    return load_dataset(data, fields=named)


def metrics(names: list[str], judge: str | None, database: str | None) -> list[Metric]:
    """The metrics of `--metric`, `--judge` and `--database`."""
    from agentkit.evaluation.metrics import named_metric

    import_from_here()
    opened = None if database is None else _opened(database)
    return [named_metric(name, model=judge, database=opened) for name in names]


def _opened(database: str) -> Any:
    from agentkit import SQLDatabase
    from agentkit.databases.graphs import graph_database, is_neo4j

    is_graph = is_neo4j(database) or Path(database).suffix == _LADYBUG
    return graph_database(database) if is_graph else SQLDatabase(database)


def settings(context: list[str] | None) -> dict[str, Any] | None:
    """The context of `--context`."""
    told = pairs(context, "--context is a setting and its value: k=3")
    return {name: value_of(value) for name, value in told.items()} or None


def prices(price: list[str] | None) -> dict[str, tuple[float, ...]] | None:
    """The prices of `--price`."""
    how = "--price is a model and what a million input and output tokens cost: gpt-5-mini=0.25,2"
    told = pairs(price, how)
    try:
        return {name: tuple(map(float, each.split(","))) for name, each in told.items()} or None
    except ValueError as error:
        raise ConfigurationError(f"{how}; got {price!r}.") from error
