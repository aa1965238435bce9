"""`agentkit ingest` and `agentkit ask`: files into an index, answers out of it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from agentkit._sync import run_sync
from agentkit.cli.console import (
    JsonOption,
    ModelOption,
    PromptsOption,
    QuietOption,
    common_event,
    err,
    follow,
    no_event,
    out,
    print_failures,
    print_json,
)

if TYPE_CHECKING:
    from agentkit.graphs.rag import RagGraph
    from agentkit.retrieval.index import Index
    from agentkit.retrieval.ingestion import IngestProgress, IngestReport

GraphName = Literal["rag", "hyde_rag", "fusion_rag"]

DEFAULT_INDEX = Path(".agentkit/index")

IndexOption = Annotated[
    Path,
    typer.Option("--index", "-i", help="The index's folder.", envvar="AGENTKIT_INDEX"),
]
EmbeddingsOption = Annotated[
    str | None,
    typer.Option(help="Embeddings: provider:model, or local.", envvar="AGENTKIT_EMBEDDINGS"),
]


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
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read files into an index: adds what is new or changed, removes what is gone."""
    from agentkit.retrieval.ingestion import ingest as ingest_files

    # the report says what cannot be read and why; pypdf logs each of its attempts besides
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    opened = _open_index(index, embeddings, create=True)
    # a bar that is only disabled still ends a line, in some versions of rich
    with nullcontext() if quiet else _progress_bar() as show:
        report = ingest_files(
            list(paths),
            opened,
            include=include or (),
            exclude=exclude or (),
            chunk_tokens=chunk_tokens,
            progress=show,
        )
    if as_json:
        print_json({**dataclasses.asdict(report), "chunks": opened.count()})
    else:
        _print_report(report, opened, index)
    read = report.added or report.updated or report.unchanged or report.removed
    if report.failed and not read:
        raise typer.Exit(1)


def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    *,
    index: IndexOption = DEFAULT_INDEX,
    graph: Annotated[GraphName, typer.Option(help="Which graph answers.")] = "rag",
    model: ModelOption = None,
    embeddings: EmbeddingsOption = None,
    k: Annotated[int, typer.Option(help="Documents that the answer may draw on.")] = 5,
    prompts: PromptsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer a question from an index, with citations."""
    import agentkit

    create: Callable[..., RagGraph] = getattr(agentkit, f"create_{graph}")
    answering = create(model, _open_index(index, embeddings), k=k, prompts=prompts)
    given = {"question": question}
    on_event = no_event if quiet else _told
    result = run_sync(lambda: follow(answering, given, show=not as_json, on_event=on_event))
    if as_json:
        print_json(_as_json(result))
        return
    _print_sources(result)


def _open_index(path: Path, embeddings: str | None, *, create: bool = False) -> Index:
    from agentkit.retrieval.index import Index

    return Index.open(path, embeddings=embeddings, create=create)


@contextmanager
def _progress_bar() -> Iterator[Callable[[IngestProgress], None]]:
    """A bar over the files that are read."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=err) as bar:
        task = bar.add_task("", total=None)

        def show(progress: IngestProgress) -> None:
            bar.update(
                task,
                completed=progress.files_done,
                total=progress.files,
                description=escape(progress.source),
            )

        yield show


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
    chunks = index.count()
    held = f"{chunks:,} chunk{'s' * (chunks != 1)}"
    out.print(f"Files: {counts or 'none'}. {escape(str(path))} holds {held}.")
    for source, reason in report.failed.items():
        err.print(f"[yellow]Skipped[/] {escape(source)}: {escape(reason)}")


def _told(event: Mapping[str, Any]) -> str | None:
    if event["type"] == "queries_written":
        return "searching for " + " · ".join(event["queries"])
    if event["type"] == "documents_found":
        return f"{event['retriever']}: {event['count']} found for {event['query']}"
    return common_event(event)


def _print_sources(result: dict[str, Any]) -> None:
    cited = {citation["number"] for citation in result["citations"]}
    for number in sorted(cited):
        metadata = result["documents"][number - 1].metadata
        place = " › ".join(
            str(metadata[key]) for key in ("source", "headings", "page") if metadata.get(key)
        )
        out.print(f"[dim]\\[{number}][/] {escape(place or 'a document without a source')}")
    print_failures(result)


def _as_json(result: dict[str, Any]) -> dict[str, Any]:
    documents = [
        {"id": document.id, "content": document.page_content, "metadata": document.metadata}
        for document in result["documents"]
    ]
    kept = {key: result[key] for key in ("answer", "citations", "failures")}
    return {**kept, "documents": documents}
