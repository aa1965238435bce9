"""The embedded chat model and embeddings: no key, no network, weights from two packages.

Importing this package costs nothing; its names load what they need when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.local.chat import LocalChatModel
    from agentkit.local.embeddings import LocalEmbeddings

__all__ = ["LocalChatModel", "LocalEmbeddings"]

__getattr__, __dir__ = lazy_names(
    __name__, {"LocalChatModel": "chat", "LocalEmbeddings": "embeddings"}
)
