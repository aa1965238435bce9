"""A sandboxed Python interpreter as a tool: no files, no network, and an end to every run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from types import TracebackType
from typing import Any, Self

from langchain_core.runnables import ensure_config
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.runtime import get_runtime
from pydantic import BaseModel, Field, PrivateAttr

from agentkit._sync import on_loop, run_sync, shared_loop
from agentkit._text import well_formed, words
from agentkit.errors import ConfigurationError
from agentkit.tools._host_functions import HostFunction, host_functions, strongest
from agentkit.tools._making import Permission, make_tool
from agentkit.tools._sandbox import Limits, Outcome, Sandbox

MOST_CODE_CHARS = 50_000

# What the interpreter has and lacks, as the tests find it.
MODULES = words(
    "asyncio base64 binascii bisect collections copy csv dataclasses datetime decimal functools "
    "hashlib itertools json math os pathlib posixpath random re sys time tomllib typing "
    "unicodedata"
)
NOT_SUPPORTED = (
    "class inheritance, and so no exception classes and no enums of one's own",
    "decorators on methods (property, classmethod, staticmethod)",
    "yield",
    "del",
    "async with, async for",
    "except*",
    "from … import *",
    "type aliases",
    "super, dir, vars, globals, input, callable, issubclass, bytearray",
)


class Code(BaseModel):
    """Code."""

    code: str = Field(description="Python source; the value of its last expression is returned")


class PythonTool(StructuredTool):
    """The tool `python`, with the sessions that it keeps.

    They end when the tool is closed, used as a context manager or not needed any more.
    """

    _sandbox: Sandbox = PrivateAttr()

    def close(self) -> None:
        """End all sessions and their processes; a later call starts new ones."""
        run_sync(self._sandbox.close)

    async def aclose(self) -> None:
        """End all sessions and their processes; a later call starts new ones."""
        await on_loop(shared_loop(), self._sandbox.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def python_tool(
    *,
    functions: Sequence[Callable[..., Any] | BaseTool] = (),
    timeout: float = 10.0,
    max_memory: int = 64 * 2**20,
    max_output: int = 10_000,
    max_calls: int = 100,
    max_sessions: int = 8,
    permission: Permission | None = None,
) -> PythonTool:
    """The tool `python`, which runs code in Monty, a sandboxed interpreter of a subset of Python.

    Each conversation (the thread of the agent or, without one, the run of the graph) has a session
    of its own, a process in which names stay defined from one call to the next. A session that
    reaches a limit is ended, and the model is told that its variables are lost. Called outside a
    graph and without a `thread_id`, each call has a new session.

    The code reaches nothing of its host but the functions given. These run in the host with all
    its rights, so each must bear any arguments that a model may think of. They take and return
    plain data; what they raise is raised in the code as a built-in exception with its message.

    Args:
        functions: What the code may call by name: functions, whose signature and first paragraph
            the model is told, async ones to be awaited; and LangChain tools.
        timeout: Seconds that a call may take, the functions it calls included; a process that
            does not stop by itself is ended a second later.
        max_memory: Bytes that a session may hold.
        max_output: Characters that the model is shown of what was printed, and of the result.
        max_calls: Functions that one run of code may call.
        max_sessions: Sessions, and so processes, at once; the least recently used is ended first.
        permission: What the tool may do; by default the most that one of its functions may, where
            a function that is no tool counts as `write`, and `read` without functions.

    Returns:
        A LangChain tool with `close` and `aclose`; its artifact holds `code`, `stdout`, `result`
        (text or None), `error` (text or None), `seconds` and `sources`, those that agentkit's
        tools named to the code.

    Raises:
        ConfigurationError: When a limit is not above zero, or a function cannot be called by name.
        MissingExtraError: When the `python` extra is not installed.
    """
    limits = Limits(seconds=timeout, memory=max_memory, output=max_output, calls=max_calls)
    _check(timeout=timeout, max_memory=max_memory, max_output=max_output, max_sessions=max_sessions)
    callable_inside = host_functions(functions)
    sandbox = Sandbox(callable_inside, limits, most=max_sessions)

    async def python(code: str) -> tuple[str, dict[str, Any]]:
        if len(code) > MOST_CODE_CHARS:
            raise ToolException(
                f"The code has {len(code):,} characters; give no more than {MOST_CODE_CHARS:,} at "
                "once."
            )
        source, key, caller = well_formed(code), _conversation(), asyncio.get_running_loop()
        outcome = await on_loop(shared_loop(), lambda: sandbox.run(source, key, caller))
        return _told(outcome, max_output), _artifact(code, outcome)

    made = make_tool(
        python,
        _description(list(callable_inside.values()), limits),
        Code,
        permission=permission or strongest(callable_inside.values()),
        untrusted=any(each.untrusted for each in callable_inside.values()),
    )
    tool = PythonTool(**dict(made))
    tool._sandbox = sandbox
    return tool


def _check(**limits: float) -> None:
    for name, value in limits.items():
        if not value > 0:
            raise ConfigurationError(f"{name} must be above zero; got {value!r}.")


def _conversation() -> Hashable | None:
    """What names the conversation that a call belongs to; None outside of any."""
    if thread := ensure_config().get("configurable", {}).get("thread_id"):
        return str(thread)
    try:
        runtime = get_runtime()
    except (KeyError, RuntimeError):
        return None
    # one object for each run of a graph, its subgraphs included; outside of one there is none
    return getattr(runtime, "control", None)


def _told(outcome: Outcome, max_output: int) -> str:
    parts = []
    if outcome.error is not None:
        parts.append(outcome.error)
    if outcome.result is not None:
        parts.append(f"Result: {outcome.result}")
    if outcome.printed:
        shown = f" (the first {max_output} of {outcome.printed} characters)"
        cut = shown if outcome.printed > max_output else ""
        parts.append(f"Printed{cut}:\n{outcome.stdout}")
    if not parts:
        parts.append("The code ran. It printed nothing, and its last line has no value.")
    if outcome.error is not None and outcome.lost:
        parts.append("The session was ended: what was defined in it is lost.")
    elif outcome.name_missing and outcome.new:
        parts.append(
            "The session is new: what earlier calls defined, if there were any, is not in it."
        )
    return "\n".join(parts)


def _artifact(code: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "code": code,
        "stdout": outcome.stdout,
        "result": outcome.result,
        "error": outcome.error,
        "seconds": outcome.seconds,
        "sources": list(outcome.sources),
    }


def _description(functions: Sequence[HostFunction], limits: Limits) -> str:
    told = (
        "Run Python code, and get the value of its last expression and what it printed. Names stay "
        "defined from one call to the next.\n"
        "The code runs in a sandbox with a subset of Python 3.14. It can import, each in part, "
        f"{', '.join(sorted(MODULES))}; no other module and no third-party package. There are no "
        "files, no network, no environment variables and no other processes; sleeping takes no "
        "time, and the clock is in UTC. Generator expressions, map, filter and zip are computed at "
        f"once. Not supported: {'; '.join(NOT_SUPPORTED)}.\n"
        f"It is stopped after {limits.seconds:g} seconds or at {limits.memory / 2**20:g} MiB of "
        "memory, and its variables are then lost."
    )
    if not functions:
        return told
    declarations = "\n".join(each.declaration for each in functions)
    return (
        f"{told}\nThe code can call these functions, {limits.calls} times in one run; they take "
        f"and return plain data, and an `async def` is to be awaited:\n{declarations}"
    )
