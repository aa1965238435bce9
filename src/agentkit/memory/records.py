"""What is remembered of a user, as it is kept in a store."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from agentkit.errors import MemoryStoreError
from agentkit.events import emit

if TYPE_CHECKING:
    from langgraph.store.base import Item
    from numpy.typing import NDArray

MemoryKind: TypeAlias = Literal["fact", "preference", "event", "turn"]

_FORMAT = 1


class MemorySource(BaseModel):
    """Where something was said.

    Args:
        thread: The conversation's thread id, or empty.
        message: The message's id, or empty.
        time: When it was said.
    """

    model_config = ConfigDict(frozen=True)

    thread: str = ""
    message: str = ""
    time: AwareDatetime


class Memory(BaseModel):
    """Something remembered of a user.

    Args:
        id: A name that is unique among the user's memories.
        kind: `fact`, `preference` or `event`, or `turn` for what was said, word by word.
        text: What is remembered, in a sentence that can be understood alone.
        source: Where the user said it.
        valid_from: Since when it holds.
        valid_until: Until when it held; None while it does.
        replaces: The id of the memory in whose place it came, or None.
        replaced_by: The id of the memory that came in its place, or None.
        happened: When an event happened, or None.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(min_length=1)
    kind: MemoryKind
    text: str = Field(min_length=1)
    source: MemorySource
    valid_from: AwareDatetime
    valid_until: AwareDatetime | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    happened: AwareDatetime | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing has come in its place."""
        return self.valid_until is None


class Record(NamedTuple):
    """A memory with the vector by which it is found, and what made the vector."""

    memory: Memory
    vector: NDArray[Any] | None = None
    embedder: str = ""

    def as_value(self) -> dict[str, Any]:
        """What a store keeps."""
        vector = "" if self.vector is None else base64.b64encode(self.vector.tobytes()).decode()
        return {
            "format": _FORMAT,
            "memory": self.memory.model_dump(mode="json", exclude_none=True),
            "vector": vector,
            "embedder": self.embedder,
        }

    @classmethod
    def of_value(cls, value: Mapping[str, Any]) -> Record:
        """Read what `as_value` wrote.

        Raises:
            MemoryStoreError: When it is of a newer format, or no record.
        """
        told = value.get("format")
        if isinstance(told, int) and told > _FORMAT:
            raise MemoryStoreError(
                f"A record has format {told}; this agentkit reads up to {_FORMAT}. Update agentkit."
            )
        try:
            memory = Memory.model_validate(value.get("memory"))
            return cls(memory, _vector(value.get("vector")), str(value.get("embedder", "")))
        except (ValidationError, binascii.Error, ValueError, TypeError) as error:
            told = " ".join(str(error).split())
            raise MemoryStoreError(f"A record is corrupt: {told[:300]}") from error


def _vector(text: Any) -> NDArray[Any] | None:
    if not text:
        return None
    import numpy as np

    return np.frombuffer(base64.b64decode(text, validate=True), dtype=np.float32)


def readable(item: Item) -> Record | None:
    """The record of a store's item; None, and a notice, where it cannot be read. It stays there."""
    try:
        record = Record.of_value(item.value)
    except MemoryStoreError as error:
        emit({"type": "notice", "message": f"A memory was left out. {error}"})
        return None
    return record if record.memory.id == item.key else None
