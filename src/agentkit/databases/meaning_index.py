"""Search by meaning over a few thousand short texts, in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from agentkit.events import tell_failure


class MeaningIndex:
    """Texts found by embeddings, which are made at the first search and kept.

    Args:
        texts: Makes the texts, by their keys.
        embeddings: LangChain embeddings; None finds nothing.
        step: The step that is said to have failed, and finds nothing, when the embeddings raise;
            with an empty one, what they raise is raised.
    """

    def __init__(
        self,
        texts: Callable[[], Mapping[str, str]],
        embeddings: Embeddings | None,
        *,
        step: str = "",
    ) -> None:
        self._texts = texts
        self._embeddings = embeddings
        self._step = step
        self._vectors: InMemoryVectorStore | None = None

    async def asearch(self, question: str, *, k: int) -> list[str]:
        """The keys of the k texts whose meaning is nearest, best first."""
        if self._embeddings is None:
            return []
        try:
            store = self._vectors = self._vectors or await self._embedded(self._embeddings)
            found = await store.asimilarity_search(question, k=k)
        except Exception as error:
            if not self._step:
                raise
            tell_failure(self._step, type(self._embeddings).__name__, error)
            return []
        return [str(document.id) for document in found]

    async def _embedded(self, embeddings: Embeddings) -> InMemoryVectorStore:
        store, texts = InMemoryVectorStore(embeddings), self._texts()
        await store.aadd_texts(list(texts.values()), ids=list(texts))
        return store
