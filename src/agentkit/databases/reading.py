"""Reading in a thread what a driver reads without waiting for an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from agentkit.databases.results import QueryResult
from agentkit.errors import QueryError

_INTERRUPT_AGAIN_SECONDS = 0.2
_INTERRUPTERS = ThreadPoolExecutor(4, "agentkit-interrupt")  # never all taken by what is to stop


class Reading:
    """What another thread needs to know to stop a query.

    `connection` is what the query runs on, while it does; `begun` says that a thread has taken it,
    and `cancelled` that it is to stop.
    """

    connection: Any = None
    begun = False
    cancelled = False

    def check(self) -> None:
        """Go no further with a query that is to stop.

        Raises:
            QueryError: When it is.
        """
        if self.cancelled:
            raise QueryError("The query was cancelled.")


async def read_in_thread(
    read: Callable[[Reading], QueryResult],
    interrupt: Callable[[Any], object],
    *,
    seconds: float,
    grace: float,
    late: Exception,
) -> QueryResult:
    """Run a query in a thread; when this is cancelled, so is the query.

    Args:
        read: Runs the query, and says on the reading what it runs on.
        interrupt: Stops what runs on a connection.
        seconds: How long the query may take.
        grace: Seconds to wait beyond these, and again until nothing of it is open.
        late: What to raise when it takes longer.
    """
    reading = Reading()

    def begin() -> QueryResult:
        reading.begun = True
        reading.check()
        return read(reading)

    running = asyncio.ensure_future(asyncio.to_thread(begin))
    try:
        done, _ = await asyncio.wait([running], timeout=seconds + grace)
    except asyncio.CancelledError:
        await _interrupted(running, reading, interrupt, grace)
        raise
    if not done:
        await _interrupted(running, reading, interrupt, grace)
        raise late
    return running.result()


async def _interrupted(
    running: asyncio.Future[QueryResult],
    reading: Reading,
    interrupt: Callable[[Any], object],
    grace: float,
) -> None:
    """Stop a query and wait, a while, until nothing of it is open."""
    reading.cancelled = True
    if not reading.begun:  # it waits for a thread, and will not run
        running.cancel()
        return
    ends = time.monotonic() + grace
    while not running.done() and time.monotonic() < ends:
        with suppress(Exception):  # one that comes before the query begins stops nothing
            if reading.connection is not None:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(_INTERRUPTERS, interrupt, reading.connection)
        await asyncio.wait([running], timeout=_INTERRUPT_AGAIN_SECONDS)
    running.add_done_callback(lambda late: late.exception())
