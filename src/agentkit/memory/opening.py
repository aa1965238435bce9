"""Conversations and memories in one SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentkit.errors import MemoryStoreError, MissingExtraError

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore

_BUSY_MS = 10_000


@dataclass(frozen=True)
class OpenMemory:
    """A checkpointer, which keeps conversations, and a store, which keeps what is remembered."""

    checkpointer: BaseCheckpointSaver[Any]
    store: BaseStore


@asynccontextmanager
async def open_memory(path: str | Path) -> AsyncIterator[OpenMemory]:
    """Open conversations and memories in one SQLite file, which is made where there is none.

    For async code::

        async with open_memory("memory.sqlite") as memory:
            chat = create_memory_chat(
                model, checkpointer=memory.checkpointer, store=memory.store, user="ada"
            )

    Args:
        path: The file; its folder is made too.

    Raises:
        MissingExtraError: When the extra `memory` is not installed.
        MemoryStoreError: When the file cannot be opened, or is no such file.
    """
    try:
        import aiosqlite
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
        from langgraph.store.sqlite import AsyncSqliteStore
    except ImportError as error:
        raise MissingExtraError("open_memory", "memory") from error
    file = Path(path)
    async with AsyncExitStack() as opened:
        try:
            await asyncio.to_thread(_made, file)
            conversations = await opened.enter_async_context(aiosqlite.connect(file))
            memories = await opened.enter_async_context(
                aiosqlite.connect(file, isolation_level=None)
            )
            for connection in (conversations, memories):
                await connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            checkpointer, store = AsyncSqliteSaver(conversations), AsyncSqliteStore(memories)
            await checkpointer.setup()
            await store.setup()
        except (OSError, sqlite3.Error) as error:
            raise MemoryStoreError(f"{file} cannot be used as memory: {error}") from error
        yield OpenMemory(checkpointer, store)


def _made(file: Path) -> None:
    """Make the file where there is none, and see that it is a database."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA schema_version")
