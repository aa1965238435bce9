"""Late interaction orders documents by the nearest tokens."""

import numpy as np
import pytest
from langchain_core.documents import Document

from agentkit.retrieval import LateInteraction
from agentkit.retrieval.late_interaction import max_similarity


class Axes:
    """Every word is an axis of its own."""

    def __init__(self):
        self.words = []

    def token_vectors(self, texts):
        return [np.stack([self.vector(word) for word in text.split()]) for text in texts]

    def vector(self, word):
        if word not in self.words:
            self.words.append(word)
        vector = np.zeros(32, dtype=np.float32)
        vector[self.words.index(word)] = 1
        return vector


async def test_documents_are_ordered_by_how_many_of_the_questions_words_they_match():
    documents = [Document("red car"), Document("the red house"), Document("the blue sea")]
    found = await LateInteraction(Axes()).rerank("the red house", documents)
    assert [document.page_content for document in found] == [
        "the red house",
        "red car",
        "the blue sea",
    ]
    scores = [document.metadata["agentkit"]["score"] for document in found]
    assert scores == pytest.approx([1, 1 / 3, 1 / 3])


async def test_no_documents_are_no_work():
    assert await LateInteraction(Axes()).rerank("anything", []) == []


def test_similarity_is_the_mean_of_each_tokens_best():
    asked = np.array([[1, 0], [0, 1]], dtype=np.float32)
    held = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    assert max_similarity(asked, held) == pytest.approx((1 + 0.8) / 2)


@pytest.mark.local
async def test_the_embedded_encoder_finds_what_is_meant():
    documents = [Document("Bananas are yellow."), Document("A book may be kept four weeks.")]
    found = await LateInteraction().rerank("How long is a loan of a book?", documents)
    assert found[0].page_content.startswith("A book")
