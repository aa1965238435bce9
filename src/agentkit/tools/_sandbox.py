"""Sessions of a sandboxed Python interpreter: a process each, state kept from call to call."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from langchain_core.tools import ToolException
from langgraph.errors import GraphBubbleUp

from agentkit._sync import on_loop
from agentkit._text import shortened
from agentkit.errors import ConfigurationError, MissingExtraError
from agentkit.tools._host_functions import HostFunction, as_raised_inside, plain, plain_result
from agentkit.tools._last_value import as_written, showing_last_value, shows_value

try:
    from pydantic_monty import (
        AsyncFunctionSnapshot,
        AsyncFutureSnapshot,
        AsyncMonty,
        AsyncMontySession,
        Frame,
        MontyComplete,
        MontyError,
        MontyRuntimeError,
        MontySyntaxError,
        ResourceLimits,
    )
except ImportError as error:
    raise MissingExtraError("The Python tool", "python") from error

# beyond the interpreter's own limit, which tells more than a process that is ended
GRACE_SECONDS = 1.0
_STARTING_SECONDS = 30.0
_ENDING_SECONDS = 5.0
_MOST_FRAMES = 6
_MOST_MESSAGE_CHARS = 2_000
# of all the questions a session puts to its host, over its life: each call has limits of its own
_MOST_SUSPENSIONS = 2**31 - 1

Settled: TypeAlias = "dict[Literal['return_value', 'exception'], Any]"


@dataclass(frozen=True)
class Limits:
    """What one run of code may use.

    Args:
        seconds: How long it may take, the functions it calls included.
        memory: Bytes that the session may hold.
        output: Characters kept of what is printed, and of the result.
        calls: Functions that it may call.
    """

    seconds: float
    memory: int
    output: int
    calls: int


@dataclass
class Outcome:
    """What came of running code.

    `printed` counts the characters that were printed, of which `stdout` holds the first; `new`
    says that nothing had run in the session before, `lost` that the session was ended.
    """

    stdout: str = ""
    printed: int = 0
    result: str | None = None
    error: str | None = None
    name_missing: bool = False
    new: bool = False
    lost: bool = False
    seconds: float = 0.0
    sources: list[Mapping[str, Any]] = field(default_factory=list)


class Sandbox:
    """Sessions for the conversations that run code, the least recently used ended first.

    Everything here happens on one event loop.

    Args:
        functions: What the code may call.
        limits: What one run may use.
        most: How many sessions, and so processes, there are at once.
    """

    def __init__(self, functions: Mapping[str, HostFunction], limits: Limits, *, most: int) -> None:
        self._functions = functions
        self._limits = limits
        self._most = most
        self._pool: AsyncMonty | None = None
        self._opening = asyncio.Lock()
        self._sessions: OrderedDict[Hashable, AsyncMontySession] = OrderedDict()
        self._busy: set[Hashable] = set()
        self._changed = asyncio.Event()

    async def run(
        self, code: str, key: Hashable | None, caller: asyncio.AbstractEventLoop
    ) -> Outcome:
        """Run code in the session of a conversation.

        Args:
            code: Python source.
            key: Names the conversation; None for a session that is ended after this run.
            caller: The loop that async functions are called on.

        Raises:
            ConfigurationError: In a process forked from one that has run code.
        """
        if _first_process() != os.getpid():
            raise ConfigurationError(
                "The Python tool cannot run in a process that was forked from one where it has "
                "run. Start the process by 'spawn', or fork before the tool's first call."
            )
        code = await asyncio.to_thread(showing_last_value, code, max_chars=self._limits.output + 1)
        async with self._session(object() if key is None else key) as (session, outcome):
            run = _Run(self._functions, self._limits, caller, outcome)
            started = time.perf_counter()
            try:
                await run.to_its_end(session, code)
            finally:
                outcome.seconds = time.perf_counter() - started
            outcome.lost = outcome.lost or key is None
        return outcome

    async def close(self) -> None:
        """End all sessions and their processes; a later run starts new ones."""
        sessions, self._sessions = self._sessions, OrderedDict()
        for session in sessions.values():
            await _ended(session)
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.__aexit__(None, None, None)

    @asynccontextmanager
    async def _session(self, key: Hashable) -> AsyncIterator[tuple[AsyncMontySession, Outcome]]:
        """A session that nobody else uses meanwhile; ended when the outcome says it is lost."""
        while not self._may_start(key):
            await self._changed.wait()
        self._busy.add(key)
        outcome = Outcome(lost=True)  # until it is known not to be
        try:
            await self._make_room()
            outcome.new = key not in self._sessions
            if outcome.new:
                self._sessions[key] = await self._started()
            self._sessions.move_to_end(key)
            yield self._sessions[key], outcome
        finally:
            self._busy.discard(key)
            ending = self._sessions.pop(key, None) if outcome.lost else None
            self._changed.set()
            self._changed = asyncio.Event()
            await _ended(ending)

    async def _make_room(self) -> None:
        if len(self._sessions.keys() | self._busy) > self._most:
            idle = next(each for each in self._sessions if each not in self._busy)
            await _ended(self._sessions.pop(idle))

    def _may_start(self, key: Hashable) -> bool:
        if key in self._busy:
            return False
        return key in self._sessions or len(self._busy) < self._most

    async def _started(self) -> AsyncMontySession:
        limits = ResourceLimits(
            max_feed_duration_secs=self._limits.seconds,
            max_memory=self._limits.memory,
            max_suspensions=_MOST_SUSPENSIONS,
        )
        try:
            pool = await self._opened()
            session = pool.checkout(limits=limits, os_policy={"sleep": "zero"})
            return await session.__aenter__()
        except (MontyError, OSError, RuntimeError) as error:
            raise ToolException(f"The Python sandbox could not be started: {error}") from error

    async def _opened(self) -> AsyncMonty:
        async with self._opening:
            if self._pool is None:
                pool = AsyncMonty(
                    min_processes=0,
                    max_processes=self._most,
                    max_checkouts_per_worker=1,  # a process serves one session and no other
                    checkout_timeout=_STARTING_SECONDS,
                    feed_duration_limit_grace=2 * GRACE_SECONDS,  # were this loop held up
                )
                self._pool = await pool.__aenter__()
            return self._pool


@functools.cache
def _first_process() -> int:
    """The process that first ran code: the interpreter's client does not survive a fork of it."""
    return os.getpid()


async def _ended(session: AsyncMontySession | None) -> None:
    if session is None:
        return
    with suppress(MontyError, RuntimeError, TimeoutError):  # its process has ended already
        async with asyncio.timeout(_ENDING_SECONDS):
            await session.__aexit__(None, None, None)


class _Run:
    """One run of code: it answers what the code asks of its host.

    Args:
        functions: What the code may call.
        limits: What it may use.
        caller: The loop that functions are called on.
        outcome: What came of it, filled in as it runs.
    """

    def __init__(
        self,
        functions: Mapping[str, HostFunction],
        limits: Limits,
        caller: asyncio.AbstractEventLoop,
        outcome: Outcome,
    ) -> None:
        self._functions = functions
        self._limits = limits
        self._caller = caller
        self._outcome = outcome
        self._calls = 0
        self._awaited: dict[int, asyncio.Task[Settled]] = {}

    async def to_its_end(self, session: AsyncMontySession, code: str) -> None:
        """Run the code and fill in the outcome."""
        outcome = self._outcome
        seconds = self._limits.seconds
        try:
            async with asyncio.timeout(seconds + GRACE_SECONDS):
                result = await self._driven(session, code)
            # only text was asked for; a `return` outside of a function may give anything
            outcome.result = (
                shortened(result, self._limits.output) if isinstance(result, str) else None
            )
            outcome.lost = False
        except (MontyRuntimeError, MontySyntaxError) as error:
            raised = error.exception()
            outcome.error = _traceback(error)
            outcome.name_missing = isinstance(raised, NameError)
            # a limit that was reached leaves the interpreter's memory in no certain state
            outcome.lost = isinstance(raised, (TimeoutError, MemoryError))
        except TimeoutError:
            outcome.error = (
                f"TimeoutError: the code, with the functions it called, took longer than "
                f"{seconds:g} seconds"
            )
        except (MontyError, RuntimeError) as error:  # the latter where it was closed meanwhile
            outcome.error = f"The sandbox's process ended: {shortened(str(error))}"
        finally:
            for task in self._awaited.values():
                task.cancel()

    async def _driven(self, session: AsyncMontySession, code: str) -> Any:
        names = dict.fromkeys(self._functions, _never_called)
        at = await session.feed_start(code, external_lookup=names, print_callback=self._printed)
        while not isinstance(at, MontyComplete):
            if isinstance(at, AsyncFutureSnapshot):
                at = await at.resume(await self._settled(at.pending_call_ids))
            elif isinstance(at, AsyncFunctionSnapshot) and not at.is_os_function:
                at = await at.resume(await self._answer(at))
            else:
                at = await at.resume_auto()  # files and modules are refused, unknown names too
        return at.output

    def _printed(self, _stream: str, text: str) -> None:
        outcome = self._outcome
        outcome.printed += len(text)
        outcome.stdout += text[: self._limits.output - len(outcome.stdout)]

    async def _answer(self, at: AsyncFunctionSnapshot) -> Any:
        function = self._functions.get(at.function_name)
        if function is None:
            return {"exception": NameError(f"name {at.function_name!r} is not defined")}
        called = self._called(function, at.args, at.kwargs)
        if not function.awaits:
            return await called
        self._awaited[at.call_id] = asyncio.create_task(called)
        return {"future": ...}

    async def _settled(self, call_ids: Sequence[int]) -> Any:
        tasks = {self._awaited[call_id]: call_id for call_id in call_ids}
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return {tasks[task]: task.result() for task in done}

    async def _called(
        self, function: HostFunction, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Settled:
        """What a function returned or raised, as the sandbox is answered."""
        try:
            self._count_a_call()
            plain([args, kwargs], whose=f"What {function.name} was given")
            value, sources = await on_loop(self._caller, lambda: function.call(*args, **kwargs))
            self._outcome.sources.extend(sources)
            return {"return_value": plain_result(value, whose=f"What {function.name} returned")}
        except GraphBubbleUp:  # an interrupt is the graph's, and not the code's
            raise
        except Exception as error:  # noqa: BLE001 - the code is told, and may go on
            return {"exception": as_raised_inside(error)}

    def _count_a_call(self) -> None:
        if self._calls == self._limits.calls:
            raise RuntimeError(
                f"One run of code may call no more than {self._limits.calls} functions."
            )
        self._calls += 1


def _never_called() -> None:
    """Stands for a function where the sandbox asks what a name is; the calls come to `_answer`."""


def _traceback(error: MontyRuntimeError | MontySyntaxError) -> str:
    """The lines that the error came through, and the error."""
    frames = [frame for frame in error.traceback() if not shows_value(frame.source_line or "")]
    message = shortened(error.display("type-msg"), _MOST_MESSAGE_CHARS)
    if not frames:
        return message
    lines = [_frame_told(frame, frames[0].filename) for frame in frames]
    if len(lines) > _MOST_FRAMES:
        left_out = len(lines) - _MOST_FRAMES
        lines[2 : 2 + left_out] = [f"  … {left_out} more …"]
    return "\n".join(["Traceback (most recent call last):", *lines, message])


def _frame_told(frame: Frame, this_code: str) -> str:
    function = frame.function_name
    where = f", in {function}" if function and function != "<module>" else ""
    if frame.filename != this_code:
        where += " of earlier code" if where else " of code in a string"
    source = shortened(as_written((frame.source_line or "").split("\n")[0].strip()), 200)
    return f"  line {frame.line}{where}{': ' * bool(source)}{source}"
