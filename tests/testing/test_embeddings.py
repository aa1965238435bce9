import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_tests.unit_tests import EmbeddingsUnitTests

from agentkit.errors import ConfigurationError
from agentkit.testing import HashEmbeddings


class TestStandard(EmbeddingsUnitTests):
    @property
    def embeddings_class(self):
        return HashEmbeddings

    @property
    def embedding_model_params(self):
        return {"dimensions": 32}


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


@given(st.text(), st.integers(1, 64))
def test_every_text_has_a_vector_of_length_one(text, dimensions):
    vector = HashEmbeddings(dimensions).embed_query(text)
    assert len(vector) == dimensions
    assert math.isclose(cosine(vector, vector), 1)


def test_texts_that_share_words_are_nearer():
    query, near, far = HashEmbeddings().embed_documents(
        ["How high is the tide?", "The tide is high.", "Cats sleep all day"]
    )
    assert cosine(query, near) > 0.7
    assert cosine(query, far) < 0.2


def test_a_query_and_a_document_of_the_same_words_are_the_same():
    embeddings = HashEmbeddings()
    assert embeddings.embed_documents(["Tide, HIGH"]) == [embeddings.embed_query("high tide")]


async def test_async_gives_the_same_vectors():
    embeddings = HashEmbeddings(8)
    assert await embeddings.aembed_query("a b") == embeddings.embed_query("a b")
    assert await embeddings.aembed_documents(["a", "b"]) == embeddings.embed_documents(["a", "b"])


def test_its_identity_tells_its_dimensions():
    assert HashEmbeddings(8).identity == "hash-8"


def test_no_dimensions_are_refused():
    with pytest.raises(ConfigurationError, match="dimensions"):
        HashEmbeddings(0)
