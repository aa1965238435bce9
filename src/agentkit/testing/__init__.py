"""Scripted models for testing graphs: in the process, or over HTTP with faults on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentkit.errors import MissingExtraError
from agentkit.testing.chat_model import ScriptedChatModel
from agentkit.testing.embeddings import HashEmbeddings
from agentkit.testing.oracle import NoisyOracle
from agentkit.testing.script import Call, Fault, Reply, Script

if TYPE_CHECKING:
    from agentkit.testing.cypher_faults import CYPHER_FAULTS
    from agentkit.testing.server import ModelServer

__all__ = [
    "CYPHER_FAULTS",
    "Call",
    "Fault",
    "HashEmbeddings",
    "ModelServer",
    "NoisyOracle",
    "Reply",
    "Script",
    "ScriptedChatModel",
]


def __getattr__(name: str) -> Any:
    if name == "CYPHER_FAULTS":
        from agentkit.testing.cypher_faults import CYPHER_FAULTS

        return CYPHER_FAULTS
    if name != "ModelServer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from agentkit.testing.server import ModelServer
    except ImportError as error:
        raise MissingExtraError("ModelServer", "testing") from error
    return ModelServer


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
