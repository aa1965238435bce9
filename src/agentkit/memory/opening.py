"""Conversations and memories in one SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from agentkit.errors import MemoryStoreError, MissingExtraError

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore
    from langgraph.store.base.batch import AsyncBatchedBaseStore

_BUSY = 10.0  # seconds to wait for another process that writes


async def _end(store: AsyncBatchedBaseStore) -> None:
    """End the task that takes the store's calls, of which asyncio tells as destroyed otherwise."""
    if (task := store._task) is not None:
        task.cancel()
        await asyncio.wait([task])


@dataclass(frozen=True)
class OpenMemory:
    """A checkpointer, which keeps conversations, and a store, which keeps what is remembered."""

    checkpointer: BaseCheckpointSaver[Any]
    store: BaseStore


class open_memory:  # noqa: N801 - used as a function is
    """Open conversations and memories in one SQLite file, which is made where there is none.

    For sync code `with`, for async code `async with`::

        with open_memory("memory.sqlite") as memory:
            chat = create_memory_chat(
                model, checkpointer=memory.checkpointer, store=memory.store, user="ada"
            )

    Args:
        path: The file; its folder is made too.

    Raises:
        MissingExtraError: When the extra `memory` is not installed.
        MemoryStoreError: When the file cannot be opened, or is no such file.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = Path(path)
        self._opened = ExitStack()
        self._aopened = AsyncExitStack()

    def __enter__(self) -> OpenMemory:
        try:
            from langgraph.checkpoint.sqlite import SqliteSaver
            from langgraph.store.sqlite import SqliteStore
        except ImportError as error:
            raise MissingExtraError("open_memory", "memory") from error
        with ExitStack() as opening:
            try:
                self._make()
                conversations = opening.enter_context(closing(self._connected()))
                memories = opening.enter_context(closing(self._connected(isolation_level=None)))
                checkpointer, store = SqliteSaver(conversations), SqliteStore(memories)
                checkpointer.setup()
                store.setup()
            except (OSError, sqlite3.Error) as error:
                raise self._unusable(error) from error
            self._opened = opening.pop_all()
        return OpenMemory(checkpointer, store)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opened.close()

    async def __aenter__(self) -> OpenMemory:
        try:
            import aiosqlite
            from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
            from langgraph.store.sqlite import AsyncSqliteStore
        except ImportError as error:
            raise MissingExtraError("open_memory", "memory") from error
        async with AsyncExitStack() as opening:
            try:
                await asyncio.to_thread(self._make)
                conversations = await opening.enter_async_context(
                    aiosqlite.connect(self._file, timeout=_BUSY)
                )
                memories = await opening.enter_async_context(
                    aiosqlite.connect(self._file, timeout=_BUSY, isolation_level=None)
                )
                checkpointer, store = AsyncSqliteSaver(conversations), AsyncSqliteStore(memories)
                opening.push_async_callback(_end, store)
                await checkpointer.setup()
                await store.setup()
            except (OSError, sqlite3.Error) as error:
                raise self._unusable(error) from error
            self._aopened = opening.pop_all()
        return OpenMemory(checkpointer, store)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._aopened.aclose()

    def _make(self) -> None:
        """Make the file where there is none, and see that it is a database."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connected()) as connection:
            connection.execute("PRAGMA schema_version")

    def _connected(self, **options: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = sqlite3.connect(
            self._file, timeout=_BUSY, check_same_thread=False, **options
        )
        return made

    def _unusable(self, error: Exception) -> MemoryStoreError:
        return MemoryStoreError(f"{self._file} cannot be used as memory: {error}")
