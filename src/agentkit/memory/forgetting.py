"""Deleting so that nothing is left in the file."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

_STATEMENTS = ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)")


async def delete_thread(checkpointer: BaseCheckpointSaver[Any], thread: str) -> None:
    """Delete a conversation, also from a checkpointer that knows no async."""
    if type(checkpointer).adelete_thread is BaseCheckpointSaver.adelete_thread:
        await asyncio.to_thread(checkpointer.delete_thread, thread)
    else:
        await checkpointer.adelete_thread(thread)


async def scrub(holder: Any) -> None:
    """Rewrite the SQLite file of a store or checkpointer without what was deleted from it.

    Deleted rows stay in a file's free pages and its write-ahead log until these are used again;
    `VACUUM` and a truncating checkpoint leave none. What keeps no SQLite file is left as it is.

    Args:
        holder: A LangGraph store or checkpointer.

    Source: https://www.sqlite.org/lang_vacuum.html, https://www.sqlite.org/pragma.html
    """
    connection: Any = getattr(holder, "conn", None)
    if isinstance(connection, sqlite3.Connection):
        await asyncio.to_thread(_scrubbed, holder, connection)
    elif type(connection).__module__.startswith("aiosqlite"):
        async with holder.lock:
            await connection.commit()
            for statement in _STATEMENTS:
                await connection.execute_fetchall(statement)


def _scrubbed(holder: Any, connection: sqlite3.Connection) -> None:
    with holder.lock:
        connection.commit()
        for statement in _STATEMENTS:
            connection.execute(statement).fetchall()
