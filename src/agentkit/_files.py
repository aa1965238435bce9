"""Writing files."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file, all or nothing.

    Raises:
        OSError: When it cannot be written; what was there before is there still.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
