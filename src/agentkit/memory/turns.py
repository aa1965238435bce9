"""One run of a conversation after the other, in the order in which they came."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager

from agentkit.errors import ConversationBusyError


class Turns:
    """Lets one run of a thread go on at a time; the others wait, whatever loop or thread asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Future[None]]] = {}

    @contextmanager
    def taken(self, thread: str, *, timeout: float) -> Iterator[None]:
        """The turn of a thread.

        Args:
            thread: The thread's id.
            timeout: Seconds to wait for the runs before.

        Raises:
            ConversationBusyError: When they have not ended by then.
        """
        with self._queued(thread) as turn:
            with _waiting(thread, timeout):
                turn.result(timeout)
            yield

    @asynccontextmanager
    async def ataken(self, thread: str, *, timeout: float) -> AsyncIterator[None]:  # noqa: ASYNC109 - so that the error can name it
        """The same as `taken`, async."""
        with self._queued(thread) as turn:
            with _waiting(thread, timeout):
                if not turn.done():
                    async with asyncio.timeout(timeout):
                        await asyncio.shield(asyncio.wrap_future(turn))
            yield

    @contextmanager
    def _queued(self, thread: str) -> Iterator[Future[None]]:
        """A place in the queue of a thread, which is left at the end however that comes."""
        turn: Future[None] = Future()
        with self._lock:
            queue = self._waiting.setdefault(thread, deque())
            queue.append(turn)
            if len(queue) == 1:
                turn.set_result(None)
        try:
            yield turn
        finally:
            self._left(thread, turn)

    def _left(self, thread: str, turn: Future[None]) -> None:
        with self._lock:
            queue = self._waiting[thread]
            queue.remove(turn)
            if not queue:
                del self._waiting[thread]
            elif not queue[0].done():
                queue[0].set_result(None)


@contextmanager
def _waiting(thread: str, timeout: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise ConversationBusyError(
            f"Another run of the thread {thread!r} has not ended within {timeout:g} seconds. End "
            "or close it first, or raise `turn_timeout`."
        ) from error
