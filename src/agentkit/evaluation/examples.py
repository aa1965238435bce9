"""What a graph is asked in an evaluation, and what is expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """One item of a dataset."""

    id: str
    """Names the example in reports and caches; unique within a dataset."""
    inputs: Mapping[str, Any]
    """What the graph is given, such as `{"question": "…"}`."""
    expected: Mapping[str, Any] = field(default_factory=dict)
    """What metrics compare with, such as `{"answer": "…", "documents": ["…"]}`."""

    @property
    def question(self) -> str:
        """What is asked: `inputs["question"]`, or the text of the last message."""
        if "question" in self.inputs:
            return str(self.inputs["question"])
        messages = self.inputs.get("messages") or [""]
        return _text(messages[-1])


def _text(message: Any) -> str:
    if isinstance(message, Mapping):
        return str(message.get("content", ""))
    if isinstance(message, tuple):  # ("human", "…")
        return str(message[-1])
    return str(getattr(message, "text", message))
