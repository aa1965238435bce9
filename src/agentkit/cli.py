"""The `agentkit` command."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentkit._sync import run_sync
from agentkit.errors import AgentkitError

if TYPE_CHECKING:
    from agentkit.graphs.rag import RagGraph
    from agentkit.retrieval.index import Index
    from agentkit.retrieval.ingestion import IngestProgress, IngestReport

GraphName = Literal["rag", "hyde_rag", "fusion_rag"]

DEFAULT_INDEX = Path(".agentkit/index")

app = typer.Typer(
    name="agentkit",
    help="Ready-made LangGraph graphs for advanced retrieval-augmented generation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
local = typer.Typer(help="The embedded models, which need no key and no network.")
app.add_typer(local, name="local", no_args_is_help=True)

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)

IndexOption = Annotated[
    Path,
    typer.Option("--index", "-i", help="The index's folder.", envvar="AGENTKIT_INDEX"),
]
EmbeddingsOption = Annotated[
    str | None,
    typer.Option(help="Embeddings: provider:model, or local.", envvar="AGENTKIT_EMBEDDINGS"),
]


def main() -> None:
    """Run the command; an error that agentkit explains is printed without a traceback."""
    try:
        app()
    except AgentkitError as error:
        err.print(f"[red]Error:[/] {escape(str(error))}")
        sys.exit(1)


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.")],
    *,
    index: IndexOption = DEFAULT_INDEX,
    include: Annotated[
        list[str] | None, typer.Option(help="Only files that match this pattern; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="No file that matches this pattern; repeatable.")
    ] = None,
    chunk_tokens: Annotated[int, typer.Option(help="Tokens of a chunk at most.")] = 200,
    embeddings: EmbeddingsOption = None,
) -> None:
    """Read files into an index: adds what is new or changed, removes what is gone."""
    from agentkit.retrieval.ingestion import ingest as ingest_files

    opened = _open_index(index, embeddings, create=True)
    with _progress_bar() as show:
        report = ingest_files(
            list(paths),
            opened,
            include=include or (),
            exclude=exclude or (),
            chunk_tokens=chunk_tokens,
            progress=show,
        )
    _print_report(report, opened, index)
    read = report.added or report.updated or report.unchanged or report.removed
    if report.failed and not read:
        raise typer.Exit(1)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    *,
    index: IndexOption = DEFAULT_INDEX,
    graph: Annotated[GraphName, typer.Option(help="Which graph answers.")] = "rag",
    model: Annotated[str | None, typer.Option(help="Chat model: provider:model, or local.")] = None,
    embeddings: EmbeddingsOption = None,
    k: Annotated[int, typer.Option(help="Documents that the answer may draw on.")] = 5,
    prompts: Annotated[
        Path | None, typer.Option(help="A saved prompt set.", exists=True, dir_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")] = False,
) -> None:
    """Answer a question from an index, with citations."""
    import agentkit

    create: Callable[..., RagGraph] = getattr(agentkit, f"create_{graph}")
    answering = create(model, _open_index(index, embeddings), k=k, prompts=prompts)
    result = run_sync(lambda: _answer(answering, question, show=not as_json, progress=not quiet))
    if as_json:
        out.print_json(json.dumps(_as_json(result), ensure_ascii=False))
        return
    _print_sources(result)


@app.command()
def graphs() -> None:
    """List the graphs."""
    import agentkit

    table = Table("graph", "factory", "what it does", box=None, header_style="bold")
    for name in get_args(GraphName):
        factory = getattr(agentkit, f"create_{name}")
        summary = (factory.__doc__ or "").split("\n", 1)[0]
        table.add_row(name, f"agentkit.create_{name}", escape(summary))
    out.print(table)


@app.command()
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


def _open_index(path: Path, embeddings: str | None, *, create: bool = False) -> Index:
    from agentkit.retrieval.index import Index

    return Index.open(path, embeddings=embeddings, create=create)


class _progress_bar:  # noqa: N801 - a context manager, used like a function
    """A bar over the files that are read."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bar = Progress(
            BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), console=err
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Callable[[IngestProgress], None]:
        self._bar.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _show(self, progress: IngestProgress) -> None:
        self._bar.update(
            self._task,
            completed=progress.files_done,
            total=progress.files,
            description=escape(progress.source),
        )


def _print_report(report: IngestReport, index: Index, path: Path) -> None:
    counts = ", ".join(
        f"{len(sources)} {kind}"
        for kind, sources in (
            ("added", report.added),
            ("updated", report.updated),
            ("unchanged", report.unchanged),
            ("removed", report.removed),
        )
        if sources
    )
    out.print(f"Files: {counts or 'none'}. {path} holds {index.count():,} chunks.")
    for source, reason in report.failed.items():
        err.print(f"[yellow]Skipped[/] {escape(source)}: {escape(reason)}")


async def _answer(graph: RagGraph, question: str, *, show: bool, progress: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    streamed = ""
    part: Any
    async for mode, part in graph.astream(
        {"question": question}, stream_mode=["custom", "messages", "values"]
    ):
        if mode == "values":
            result = part
        elif mode == "custom" and progress:
            _print_event(part, streamed)
        elif mode == "messages" and show:
            streamed += part[0].text
            out.print(part[0].text, end="", markup=False)
    if show:
        out.print()
        if streamed.strip() != result["answer"].strip():
            out.print(f"[bold]Corrected:[/] {escape(result['answer'])}")
    return result


def _print_event(event: dict[str, Any], streamed: str) -> None:
    if event["type"] == "queries_written":
        text = "searching for " + " · ".join(event["queries"])
    elif event["type"] == "documents_found":
        text = f"{event['retriever']}: {event['count']} found for {event['query']}"
    elif event["type"] == "step_failed":
        text = f"{event['step']} failed ({event['name']}): {event['error']}"
    elif event["type"] == "notice":
        text = event["message"]
    else:
        return
    before = "\n" if streamed else ""
    err.print(f"{before}[dim]{escape(text)}[/]")


def _print_sources(result: dict[str, Any]) -> None:
    cited = {citation["number"] for citation in result["citations"]}
    for number in sorted(cited):
        metadata = result["documents"][number - 1].metadata
        place = " › ".join(
            str(metadata[key]) for key in ("source", "headings", "page") if metadata.get(key)
        )
        out.print(f"[dim]\\[{number}][/] {escape(place or 'a document without a source')}")
    for failure in result["failures"]:
        err.print(f"[yellow]Went on without[/] {escape(failure['name'])}: {failure['error']}")


def _as_json(result: dict[str, Any]) -> dict[str, Any]:
    documents = [
        {"id": document.id, "content": document.page_content, "metadata": document.metadata}
        for document in result["documents"]
    ]
    kept = {key: result[key] for key in ("answer", "citations", "failures")}
    return {**kept, "documents": documents}
