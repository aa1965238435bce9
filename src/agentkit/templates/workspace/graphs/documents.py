"""What the graphs of this folder search: your documents, or your own retriever."""

import functools
import os
from pathlib import Path

from agentkit import Index, ingest

FOLDER = Path(__file__).parent.parent


@functools.cache
def documents() -> Index:
    """The index at `AGENTKIT_INDEX`; without one, an index of the files in `data/documents`."""
    if path := os.environ.get("AGENTKIT_INDEX"):
        return Index.open(path, create=False)
    index = Index.open(FOLDER / ".agentkit" / "index")
    ingest(FOLDER / "data" / "documents", index)
    return index
