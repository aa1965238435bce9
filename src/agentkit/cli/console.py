"""What the commands share: where they print, and options that several of them have."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.markup import escape
from rich.text import Text

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal acts on, and what turns around the direction of the text behind it."""


class _Terminal(Console):
    """A console on which the words of models, pages and documents do nothing but stand."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as it is printed."""
        return super().render_str(harmless(text), **options)


def harmless(text: str) -> str:
    """The text with a mark in place of each character that a terminal acts on."""
    return _UNSHOWN.sub("\ufffd", text)


out = _Terminal(highlight=False, soft_wrap=True)
err = _Terminal(highlight=False, soft_wrap=True, stderr=True)

ModelOption = Annotated[str | None, typer.Option(help="Chat model: provider:model, or local.")]
PromptsOption = Annotated[
    Path | None, typer.Option(help="A saved prompt set.", exists=True, dir_okay=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]


async def follow(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    given: Any,
    config: RunnableConfig | None = None,
    *,
    show: bool,
    on_event: Callable[[Mapping[str, Any]], str | None],
) -> dict[str, Any]:
    """Run a graph, print its answer as it comes, and return its last state.

    Args:
        graph: The graph.
        given: Its input, or a command that resumes it.
        config: The run's configuration.
        show: Whether to print the answer.
        on_event: What to say of an event; None for nothing.
    """
    result: dict[str, Any] = {}
    streamed = ""
    part: Any
    async for mode, part in graph.astream(
        given, config, stream_mode=["custom", "messages", "values"]
    ):
        if mode == "values":
            result = part
        elif mode == "custom":
            if told := on_event(part):
                before = "\n" if streamed else ""
                err.print(f"{before}[dim]{escape(told)}[/]")
        elif show:
            streamed += part[0].text
            out.print(part[0].text, end="", markup=False)
    if show and "__interrupt__" not in result:
        out.print()
        if streamed.strip() != result["answer"].strip():
            out.print(f"[bold]Corrected:[/] {escape(result['answer'])}")
    return result


async def follow_to_end(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    question: str,
    *,
    decide: Callable[[Any], Any],
    show: bool,
    on_event: Callable[[Mapping[str, Any]], str | None],
) -> dict[str, Any]:
    """Run a graph to its end, asking the person each time it asks one.

    Args:
        graph: The graph, with a checkpointer.
        question: What it is asked.
        decide: Asks the person, and returns what resumes an interrupt of this value.
        show: Whether to print the answer.
        on_event: What to say of an event; None for nothing.
    """
    from langgraph.types import Command

    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    result = await follow(graph, {"question": question}, config, show=show, on_event=on_event)
    while asked := result.get("__interrupt__"):
        answers = {each.id: await asyncio.to_thread(decide, each.value) for each in asked}
        given: Command[Any] = Command(resume=answers)
        result = await follow(graph, given, config, show=show, on_event=on_event)
    return result


def no_event(_: Mapping[str, Any]) -> None:
    """Say nothing of any event."""


def common_event(event: Mapping[str, Any]) -> str | None:
    """What to say of the events that every graph has."""
    if event["type"] == "step_failed":
        return f"{event['step']} failed ({event['name']}): {event['error']}"
    return str(event["message"]) if event["type"] == "notice" else None


def print_json(value: Any) -> None:
    """Print a value as JSON, with what the output cannot show or a terminal acts on escaped."""
    is_unicode = (getattr(out.file, "encoding", None) or "utf-8").lower().startswith("utf")
    written = json.dumps(value, indent=2, default=str, ensure_ascii=not is_unicode)
    escaped = _UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", written)
    out.print(JSONHighlighter()(escaped))


def print_error(message: str) -> None:
    """Say what went wrong."""
    err.print(f"[red]Error:[/] {escape(message)}")


def print_failures(result: Mapping[str, Any]) -> None:
    """Say what failed and was gone on without."""
    for failure in result["failures"]:
        told = f"{failure['name']}: {failure['error']}"
        err.print(f"[yellow]Went on without[/] {escape(told)}")
