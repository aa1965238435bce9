"""Run async code from sync code: in scripts, threads and notebooks alike."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import contextvars
import functools
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")

_THREADS = 512
"""At most; they are started when they are needed."""

_starting = threading.Lock()


def run_sync(start: Callable[[], Coroutine[Any, Any, Result]], /) -> Result:
    """Run a coroutine to its end and return its result, whatever thread asks.

    One event loop serves every sync call of the process, because HTTP clients keep connections
    that belong to the loop they were opened on.

    Args:
        start: Makes the coroutine; called on the loop, in a copy of the caller's context.

    Raises:
        RuntimeError: When called by code that itself runs on that loop, which would wait for
            itself for ever.
    """
    loop = shared_loop()
    if _running_loop() is loop:
        raise RuntimeError(
            "A sync call was made inside an async one. Await the async form "
            "(ainvoke, astream, …) there instead."
        )
    context = contextvars.copy_context()

    async def in_context() -> Result:
        return await loop.create_task(start(), context=context)

    future = asyncio.run_coroutine_threadsafe(in_context(), loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # the caller was interrupted: nothing may go on behind its back
        raise


async def on_loop(
    loop: asyncio.AbstractEventLoop, start: Callable[[], Coroutine[Any, Any, Result]], /
) -> Result:
    """Run a coroutine on a loop, whichever loop waits for it; cancelling the one ends the other.

    Args:
        loop: A loop that is running.
        start: Makes the coroutine.
    """
    if _running_loop() is loop:
        return await start()
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(start(), loop))


async def all_of(calls: Iterable[Coroutine[Any, Any, Result]], /) -> list[Result]:
    """What calls return that are made at once; where one fails, the others end."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        raise


def in_thread(call: Callable[[], Result], *, name: str) -> concurrent.futures.Future[Result]:
    """Make a call in a thread of its own, in a copy of the caller's context.

    One that hangs holds up nothing else: not a pool of threads, nor the end of the process. A
    thread whose call has ended makes another one later, as to start one takes longer than most
    calls.

    Args:
        call: The call.
        name: The thread's name.
    """
    future: concurrent.futures.Future[Result] = concurrent.futures.Future()
    context = contextvars.copy_context()
    try:
        thread = _resting.pop()
    except IndexError:
        thread = _DaemonThread()

    def work() -> None:
        if not future.set_running_or_notify_cancel():
            thread.rest()
            return
        try:
            result = context.run(call)
        except BaseException as error:  # noqa: BLE001 - handed on to who waits
            thread.rest()
            future.set_exception(error)
        else:
            thread.rest()  # before who waits goes on, who may make the next call
            future.set_result(result)

    thread.do(work, name=name)
    return future


class _DaemonThread:
    """A thread that makes one call after the other, and ends when enough others rest."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._ends = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], None], *, name: str) -> None:
        self._thread.name = name
        self._work.put(work)

    def rest(self) -> None:
        self._ends = len(_resting) >= _MOST_RESTING
        if not self._ends:
            _resting.append(self)

    def _run(self) -> None:
        while not self._ends:
            self._work.get()()


_MOST_RESTING = 8
_resting: collections.deque[_DaemonThread] = collections.deque()


def shared_loop() -> asyncio.AbstractEventLoop:
    """The loop that serves every sync call of the process."""
    with _starting:
        return _background_loop()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@functools.cache
def _background_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    # a sync node blocks one of these until what it waits for has run, perhaps in another of them
    threads = concurrent.futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="agentkit-sync")
    loop.set_default_executor(threads)
    threading.Thread(target=_serve, args=(loop,), name="agentkit-sync", daemon=True).start()
    return loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        # what ends the process ends the call that raised it, and not the loop that all share
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            loop.run_forever()


def _forget_loop() -> None:
    _resting.clear()
    _background_loop.cache_clear()
    _starting.release()


if hasattr(os, "register_at_fork"):  # threads do not live on in a forked child
    os.register_at_fork(
        before=_starting.acquire,
        after_in_parent=_starting.release,
        after_in_child=_forget_loop,
    )
