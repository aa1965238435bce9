"""`agentkit chat`: a conversation that goes on where it ended, and remembers its user."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    print_error,
    print_json,
)
from agentkit.cli.failures import told
from agentkit.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from agentkit.memory.memories import Memories
    from agentkit.memory.records import Memory

DEFAULT_MEMORY = Path(".agentkit/memory.sqlite")
_HELP = """\
/summary            what stands for the older part of the conversation
/history            the whole conversation
/memories [about]   what is remembered of you, numbered
/correct N TEXT     put the memory with this number right
/forget N | all     forget one, or all that is remembered and its conversations
/thread NAME        go on with another conversation
/quit               end"""


def chat(
    message: Annotated[
        str | None, typer.Argument(help="One message; without it, a conversation.")
    ] = None,
    *,
    thread: Annotated[str, typer.Option(help="Which conversation to go on with.")] = "main",
    user: Annotated[str, typer.Option(help="Who is remembered across conversations.")] = "me",
    memory: Annotated[
        Path, typer.Option(help="The file of conversations and memories.", dir_okay=False)
    ] = DEFAULT_MEMORY,
    model: ModelOption = None,
    max_tokens: Annotated[int, typer.Option(help="Tokens that a prompt may have.")] = 8_000,
    prompts: PromptsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Chat with a memory; /help in a conversation says what else can be done there."""

    async def run() -> None:
        from agentkit import create_memory_chat
        from agentkit.memory import Memories, open_memory

        async with open_memory(memory) as opened:
            graph = create_memory_chat(
                model,
                prompts=prompts,
                checkpointer=opened.checkpointer,
                store=opened.store,
                user=user,
                max_tokens=max_tokens,
            )
            memories = Memories(opened.store)
            session = _Session(graph, memories, opened.checkpointer, user, thread, quiet)
            if message is None:
                await session.talk()
            elif as_json:
                result = await session.ask(message, show=False)
                print_json(_plain(result))
            else:
                await session.ask(message)

    if as_json and message is None:
        raise ConfigurationError("A conversation is not printed as JSON: give a message with it.")
    run_sync(run)


@dataclass
class _Session:
    """One conversation at the terminal."""

    graph: Any
    memories: Memories
    checkpointer: Any
    user: str
    thread: str
    quiet: bool
    listed: list[Memory] = field(default_factory=list)

    @property
    def config(self) -> RunnableConfig:
        return {"configurable": {"thread_id": self.thread}}

    async def talk(self) -> None:
        """Take messages and commands until there are no more."""
        if sys.stdin.isatty():
            err.print(f"[dim]Thread {escape(self.thread)}. /help says what can be done.[/]")
        while (line := await asyncio.to_thread(_line)) is not None:
            if line.split(maxsplit=1)[:1] == ["/quit"]:
                return
            try:
                await (self.command(line) if line.startswith("/") else self.ask(line))
            except Exception as error:  # noqa: BLE001 - a model that is down ends no conversation
                print_error(told(error))

    async def ask(self, message: str, *, show: bool = True) -> dict[str, Any]:
        """Send a message and print the reply, with what it cites."""
        on_event = no_event if self.quiet else _told
        result = await follow(
            self.graph, {"question": message}, self.config, show=show, on_event=on_event
        )
        for cited in result["citations"] if show else ():
            told = f"[m{cited['number']}] {cited['time'][:10]}: {cited['text']}"
            out.print(f"[dim]{escape(told)}[/]")
        return result

    async def command(self, line: str) -> None:
        """Do what a line that begins with a slash says."""
        name, _, rest = line.partition(" ")
        commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "/summary": self.summary,
            "/history": self.history,
            "/memories": self.remembered,
            "/correct": self.correct,
            "/forget": self.forget,
            "/thread": self.go_to,
        }
        if name not in commands:
            out.print(_HELP, markup=False)
            return
        await commands[name](rest.strip())

    async def summary(self, _: str) -> None:
        summary = (await self.graph.aget_state(self.config)).values.get("summary")
        told = f"{summary['text']}\n({summary['messages']} messages)" if summary else "None yet."
        out.print(told, markup=False)

    async def history(self, _: str) -> None:
        from agentkit.memory import aconversation_history

        for message in await aconversation_history(self.graph, self.config):
            out.print(f"[bold]{message.type}[/] {escape(message.text)}")

    async def remembered(self, about: str) -> None:
        if about:
            self.listed = await self.memories.asearch(self.user, about)
        else:
            self.listed = await self.memories.aremembered(self.user)
        for number, memory in enumerate(self.listed, 1):
            told = f"{number}. {memory.text} ({memory.kind}, {memory.source.time:%Y-%m-%d})"
            out.print(told, markup=False)
        if not self.listed:
            out.print("Nothing is remembered.")

    async def correct(self, rest: str) -> None:
        number, _, text = rest.partition(" ")
        old = await self._numbered(number)
        if old is None or not text.strip():
            return
        now = datetime.now(UTC)
        new = old.corrected(text.strip(), now=now)
        await self.memories.asupersede(self.user, old.id, new)
        await self.remembered("")

    async def forget(self, rest: str) -> None:
        if rest == "all":
            count = await self.memories.aforget(self.user, checkpointer=self.checkpointer)
            out.print(f"Forgotten: {count} memories, and the conversations they were said in.")
        elif (memory := await self._numbered(rest)) is not None:
            await self.memories.adelete(self.user, memory.id)
            await self.remembered("")

    async def go_to(self, name: str) -> None:
        self.thread = name or self.thread
        out.print(f"Thread {self.thread}.", markup=False)

    async def _numbered(self, number: str) -> Memory | None:
        if not self.listed:
            await self.remembered("")
        if number.isdecimal() and 1 <= int(number) <= len(self.listed):
            return self.listed[int(number) - 1]
        err.print("Name one of the numbers that /memories lists.")
        return None


def _line() -> str | None:
    """The next line that is not empty; None at the end."""
    while True:
        if sys.stdin.isatty():
            err.print("[bold]you>[/] ", end="")
        line = sys.stdin.readline()
        if not line:
            return None
        if line.strip():
            return line.strip()


def _told(event: Mapping[str, Any]) -> str | None:
    if event["type"] == "conversation_summarized":
        return f"{event['messages']} older messages are now in the summary."
    if event["type"] == "memories_recalled" and event["memories"]:
        return f"remembering {len(event['memories'])} things"
    if event["type"] == "memories_changed":
        changes = [f"+ {text}" for text in event["added"]]
        changes += [f"- {text}" for text in (*event["replaced"], *event["forgotten"])]
        return "\n".join(changes) or None
    return common_event(event)


def _plain(result: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("answer", "summary", "memories", "citations", "failures")
    return {key: result.get(key) for key in kept}
