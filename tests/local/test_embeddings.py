import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from agentkit.errors import InvalidInputError, WeightsError
from agentkit.local import LocalEmbeddings, embeddings, weights

# The first components of vectors that ONNX Runtime 1.32 computed from the same weights, with its
# own exact Erf, LayerNormalization and Softmax, one text at a time; averaged in float64.
REFERENCE = json.loads(Path(__file__).with_name("minilm_reference.json").read_text("utf-8"))


class TestUnitSuite(EmbeddingsUnitTests):
    @property
    def embeddings_class(self):
        return LocalEmbeddings


@pytest.mark.local
class TestIntegrationSuite(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return LocalEmbeddings


@pytest.mark.local
def test_vectors_equal_the_reference_model_s():
    vectors = LocalEmbeddings().embed_documents([case["text"] for case in REFERENCE])
    for case, vector in zip(REFERENCE, vectors, strict=True):
        assert vector[:8] == pytest.approx(case["vector"], abs=1e-4), case["text"]


@pytest.mark.local
def test_tokens_past_the_256th_do_not_count():
    model = LocalEmbeddings()
    [tokens] = model.token_vectors(["whale " * 300])
    assert tokens.shape == (256, 384)
    assert model.embed_query("whale " * 300) == model.embed_query("whale " * 300 + "ship")


@pytest.mark.local
def test_token_vectors_are_normalised_float32_and_one_a_token():
    first, second = LocalEmbeddings().token_vectors(["the white whale", ""])
    assert first.shape == (5, 384)  # three words between the two special tokens
    assert second.shape == (2, 384)
    assert first.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)


@pytest.mark.local
@settings(max_examples=8, deadline=None)
@given(st.lists(st.text(st.characters(codec=None), max_size=60), max_size=4))
def test_a_text_s_vector_is_its_own_whatever_it_is_embedded_with(texts):
    model = LocalEmbeddings()
    together = model.embed_documents(texts)
    assert len(together) == len(texts)
    for text, vector in zip(texts, together, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(vector, model.embed_query(text), atol=1e-5)


@pytest.mark.local
def test_vectors_keep_the_order_of_their_texts_across_batches(monkeypatch):
    texts = ["ship " * length for length in (40, 3, 200, 1, 90)]
    expected = LocalEmbeddings().embed_documents(texts)
    monkeypatch.setattr(embeddings, "_BATCH_TOKENS", 50)
    np.testing.assert_allclose(LocalEmbeddings().embed_documents(texts), expected, atol=1e-5)


@pytest.mark.local
@pytest.mark.parametrize("text", ["lone \ud800 surrogate", "\0", "x" * 10_000_000, "\n" * 100])
def test_junk_has_a_vector_of_length_one(text):
    assert np.linalg.norm(LocalEmbeddings().embed_query(text)) == pytest.approx(1, abs=1e-5)


@pytest.mark.local
async def test_async_forms_give_the_same_vectors():
    model = LocalEmbeddings()
    assert await model.aembed_query("whale") == model.embed_query("whale")
    assert await model.aembed_documents(["whale"]) == model.embed_documents(["whale"])


def test_no_texts_have_no_vectors():
    assert LocalEmbeddings().embed_documents([]) == []
    assert LocalEmbeddings().token_vectors([]) == []


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ("one string", "a sequence of texts to embed; got str"),
        (None, "a sequence of texts to embed; got NoneType"),
        (["fine", None], "number 1 is of type NoneType"),
        ([b"bytes"], "number 0 is of type bytes"),
    ],
)
def test_what_is_not_texts_is_refused(texts, told):
    with pytest.raises(InvalidInputError, match=told):
        LocalEmbeddings().embed_documents(texts)


def test_the_identity_names_the_model():
    model = LocalEmbeddings()
    assert (model.identity, model.name, model.dimensions) == (
        "local:all-MiniLM-L6-v2",
        "all-MiniLM-L6-v2",
        384,
    )


def test_missing_weights_are_an_error(monkeypatch):
    embeddings._encoder.cache_clear()
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="agentkit local install"):
        LocalEmbeddings().embed_query("whale")
