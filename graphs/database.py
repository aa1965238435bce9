"""What the graph of text-to-SQL reads: put your own database here."""

import functools
import os
from pathlib import Path

from agentkit import SQLDatabase

MUSIC_SHOP = Path(__file__).parent.parent / "examples" / "music_shop" / "music_shop.sqlite"


@functools.cache
def database() -> SQLDatabase:
    """The database at `AGENTKIT_DATABASE`; without one, the music shop of the examples."""
    return SQLDatabase(os.environ.get("AGENTKIT_DATABASE") or str(MUSIC_SHOP))
