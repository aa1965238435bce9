"""Late interaction: each of the question's words looks for its best match in a document."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel

from agentkit.prompts import Prompt, PromptSet
from agentkit.retrieval.reranking import scored

if TYPE_CHECKING:
    import numpy as np


class TokenEmbeddings(Protocol):
    """Embeddings that also give a vector for each token, as `LocalEmbeddings` do."""

    def token_vectors(self, texts: list[str]) -> list[np.ndarray[Any, Any]]:
        """For each text an array of shape (tokens, dimensions), each row of length 1."""


class LateInteraction:
    """Orders documents by the sum, over the question's tokens, of the nearest token's similarity.

    It embeds every document anew, which takes the embedded embeddings some 70 milliseconds each.

    Args:
        embeddings: What gives token vectors; the embedded embeddings by default.

    Source: Khattab and Zaharia, "ColBERT: Efficient and Effective Passage Search via
    Contextualized Late Interaction over BERT", SIGIR 2020, section 3.3.
    """

    prompts: ClassVar[Sequence[Prompt[Any]]] = ()

    def __init__(self, embeddings: TokenEmbeddings | None = None) -> None:
        from agentkit.local import LocalEmbeddings

        self._embeddings: TokenEmbeddings = embeddings or LocalEmbeddings()

    async def rerank(
        self,
        question: str,
        documents: Sequence[Document],
        *,
        model: BaseChatModel | None = None,  # noqa: ARG002 - it asks no chat model
        prompts: PromptSet | None = None,  # noqa: ARG002
    ) -> list[Document]:
        """The documents by late interaction, with its mean over the question's tokens as score."""
        if not documents:
            return []
        texts = [question, *(document.page_content for document in documents)]
        asked, *held = await asyncio.to_thread(self._embeddings.token_vectors, texts)
        return scored(documents, [max_similarity(asked, tokens) for tokens in held])


def max_similarity(asked: np.ndarray[Any, Any], held: np.ndarray[Any, Any]) -> float:
    """The mean, over the question's tokens, of the similarity to the document's nearest token.

    Args:
        asked: The question's token vectors, of shape (tokens, dimensions).
        held: The document's, likewise.
    """
    return float((asked @ held.T).max(axis=1).mean())
