"""What the graphs of this folder search: put your own retriever here."""

import functools
import os
from pathlib import Path

from agentkit import Index, ingest

EXAMPLES = Path(__file__).parent.parent / "examples" / "documents"


@functools.cache
def documents() -> Index:
    """The index at `AGENTKIT_INDEX`; without one, an index of the example documents."""
    if path := os.environ.get("AGENTKIT_INDEX"):
        return Index.open(path, create=False)
    index = Index.open(EXAMPLES.parent.parent / ".agentkit" / "examples")
    ingest(EXAMPLES, index)
    return index
