"""The embedded chat model and embeddings: no key, no network, weights from two packages.

Importing this package costs nothing; its names load what they need when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentkit.local.chat import LocalChatModel
    from agentkit.local.embeddings import LocalEmbeddings

__all__ = ["LocalChatModel", "LocalEmbeddings"]

_MODULES = {
    "LocalChatModel": "agentkit.local.chat",
    "LocalEmbeddings": "agentkit.local.embeddings",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
