"""What the graph of text-to-SQL reads: your database."""

import functools
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from agentkit import SQLDatabase

FOLDER = Path(__file__).parent.parent


@functools.cache
def database() -> SQLDatabase:
    """The database at `AGENTKIT_DATABASE`; without one, the one that `data/shop.sql` makes."""
    return SQLDatabase(os.environ.get("AGENTKIT_DATABASE") or str(example()))


def example() -> Path:
    """The example's database, made afresh."""
    file = FOLDER / ".agentkit" / "shop.sqlite"
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((FOLDER / "data" / "shop.sql").read_text(encoding="utf-8"))
    return file
