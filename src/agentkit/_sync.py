"""Run async code from sync code: in scripts, threads and notebooks alike."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


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
    loop = _background_loop()
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


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@functools.cache
def _background_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="agentkit-sync", daemon=True).start()
    return loop
