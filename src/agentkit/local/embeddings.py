"""The embedded embeddings: all-MiniLM-L6-v2 (https://arxiv.org/abs/2002.10957) in NumPy.

A BERT encoder (https://arxiv.org/abs/1810.04805) of 6 layers, 12 heads and 384 dimensions, whose
token vectors are averaged and normalised as in Sentence-BERT (https://arxiv.org/abs/1908.10084).
Arrays are float32 throughout; a NumPy scalar of float64 among them would double their size.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from agentkit.errors import InvalidInputError, MissingExtraError
from agentkit.local import weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

MODEL_NAME = "all-MiniLM-L6-v2"
DIMENSIONS = 384
MAX_TOKENS = 256
"""Tokens of a text that count, as in the reference model; the rest is not read."""

_LAYERS = 6
_HEADS = 12
_HEAD_SIZE = DIMENSIONS // _HEADS
_EPSILON = 1e-12
_BATCH_TOKENS = 2048
_GELU_ROWS = 64  # as many rows as stay in a core's cache
# Products so small that OpenBLAS computes them in the calling thread: where cores are busy, its
# threads wait for each other at each of thousands of products, several times as long as it takes.
_ATTENTION_ROWS = 32
_MAX_CHARACTERS = 65_536  # far more than 256 tokens: a huge text costs no more than a long one


class LocalEmbeddings(Embeddings):
    """Embeddings that are computed in this process, without a key or a network.

    All instances share one loaded model (about 90 MB), which the first call loads. The async
    forms run in a thread.
    """

    name = MODEL_NAME
    dimensions = DIMENSIONS
    identity = f"local:{MODEL_NAME}"
    """What an index stores, to tell whether it was built with these embeddings."""

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """The vector of each text: 384 floats of Euclidean length 1.

        An empty text has a vector too, as in the reference model.

        Args:
            texts: Any number of texts, of which the first 256 tokens count.

        Raises:
            InvalidInputError: When the texts are not a sequence of strings.
            WeightsError: When the model's weights are not installed.
        """
        vectors = [_normalised(tokens.mean(axis=0)) for tokens in _encode(texts)]
        return [vector.tolist() for vector in vectors]

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text; see `embed_documents`."""
        return self.embed_documents([text])[0]

    def token_vectors(self, texts: Sequence[str]) -> list[Array]:
        """The normalised vector of each token of each text, for late interaction.

        See ColBERT (https://arxiv.org/abs/2004.12832). As there, the special tokens before and
        after the text are among them, so that an empty text has vectors too.

        Returns:
            An array of shape (tokens, 384) for each text, in the order of the texts.

        Raises:
            InvalidInputError: When the texts are not a sequence of strings.
            WeightsError: When the model's weights are not installed.
        """
        return [_normalised(tokens) for tokens in _encode(texts)]


def _encode(texts: Sequence[str]) -> list[Array]:
    """The encoder's output for each text, of shape (tokens, 384)."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise InvalidInputError(
            f"Expected a sequence of texts to embed; got {type(texts).__name__}."
        )
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(
                f"Expected texts to embed; number {position} is of type {type(text).__name__}."
            )
    return _encoder().encode(texts) if texts else []


def _normalised(vectors: Array) -> Array:
    import numpy as np

    normalised: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return normalised


class _Encoder:
    """The encoder. The tokens of several texts go through its layers as the rows of one array."""

    def __init__(self) -> None:
        try:
            import numpy as np
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtraError("The embedded embeddings", "local") from error
        weights_file, tokenizer_file = weights.find(weights.EMBEDDING_WEIGHTS)
        self._np = np
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        tensors = load_file(weights_file)
        self._words = tensors["embeddings.word_embeddings.weight"]
        self._positions = (
            tensors["embeddings.position_embeddings.weight"]
            + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = _Norm(tensors, "embeddings.LayerNorm")
        self._layers = [_Layer(tensors, f"encoder.layer.{layer}.") for layer in range(_LAYERS)]

    def encode(self, texts: Sequence[str]) -> list[Array]:
        token_ids = [self._token_ids(text) for text in texts]
        result: list[Any] = [None] * len(texts)
        for batch in _batches([len(ids) for ids in token_ids]):
            encoded = self._encode_batch([token_ids[position] for position in batch])
            for position, vectors in zip(batch, encoded, strict=True):
                result[position] = vectors
        return result

    def _token_ids(self, text: str) -> list[int]:
        readable = text[:_MAX_CHARACTERS].encode("utf-8", "replace").decode()  # lone surrogates
        ids: list[int] = self._tokenizer.encode(readable).ids
        return ids

    def _encode_batch(self, token_ids: list[list[int]]) -> list[Array]:
        np = self._np
        ends = np.cumsum([len(ids) for ids in token_ids])
        spans = [slice(end - len(ids), end) for ids, end in zip(token_ids, ends, strict=True)]
        positions = np.concatenate([np.arange(len(ids)) for ids in token_ids])
        x = self._norm(self._words[np.concatenate(token_ids)] + self._positions[positions])
        for layer in self._layers:
            x = layer(x, spans)
        return [x[span] for span in spans]


class _Layer:
    """One layer of the encoder: attention within each text, then a feed-forward network."""

    def __init__(self, tensors: dict[str, Array], prefix: str) -> None:
        import numpy as np

        names = [f"{prefix}attention.self.{part}" for part in ("query", "key", "value")]
        self._projection = np.concatenate([tensors[f"{name}.weight"] for name in names]).T.copy()
        self._projection_bias = np.concatenate([tensors[f"{name}.bias"] for name in names])
        self._attended = _Linear(tensors, f"{prefix}attention.output.dense")
        self._attended_norm = _Norm(tensors, f"{prefix}attention.output.LayerNorm")
        self._inner = _Linear(tensors, f"{prefix}intermediate.dense")
        self._outer = _Linear(tensors, f"{prefix}output.dense")
        self._norm = _Norm(tensors, f"{prefix}output.LayerNorm")

    def __call__(self, x: Array, spans: list[slice]) -> Array:
        x = self._attended_norm(self._attended(self._attend(x, spans)) + x)
        return self._norm(self._outer(_gelu(self._inner(x))) + x)

    def _attend(self, x: Array, spans: list[slice]) -> Array:
        import numpy as np

        projected = x @ self._projection
        projected += self._projection_bias
        result = np.empty_like(x)
        for span in spans:
            parts = projected[span].reshape(-1, 3, _HEADS, _HEAD_SIZE)
            query, key, value = parts.transpose(1, 2, 0, 3)
            for start in range(0, query.shape[1], _ATTENTION_ROWS):
                rows = query[:, start : start + _ATTENTION_ROWS]
                shares = _softmax(rows @ key.transpose(0, 2, 1) * (1 / math.sqrt(_HEAD_SIZE)))
                attended = (shares @ value).transpose(1, 0, 2).reshape(-1, DIMENSIONS)
                result[span][start : start + _ATTENTION_ROWS] = attended
        return result


class _Linear:
    def __init__(self, tensors: dict[str, Array], name: str) -> None:
        self._weight = tensors[f"{name}.weight"].T.copy()
        self._bias = tensors[f"{name}.bias"]

    def __call__(self, x: Array) -> Array:
        result: Array = x @ self._weight
        result += self._bias
        return result


class _Norm:
    """Layer normalisation (https://arxiv.org/abs/1607.06450), in place."""

    def __init__(self, tensors: dict[str, Array], name: str) -> None:
        self._weight = tensors[f"{name}.weight"]
        self._bias = tensors[f"{name}.bias"]

    def __call__(self, x: Array) -> Array:
        import numpy as np

        x -= x.mean(axis=-1, keepdims=True)
        variance = np.einsum("td,td->t", x, x)[:, None] / DIMENSIONS
        x /= np.sqrt(variance + _EPSILON)
        x *= self._weight
        x += self._bias
        return x


def _softmax(x: Array) -> Array:
    """Softmax over the last axis, in place."""
    import numpy as np

    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def _gelu(x: Array) -> Array:
    """The exact GELU (https://arxiv.org/abs/1606.08415, section 2), in place."""
    for start in range(0, len(x), _GELU_ROWS):
        rows = x[start : start + _GELU_ROWS]
        rows *= (_erf(rows * math.sqrt(0.5)) + 1) * 0.5
    return x


def _erf(x: Array) -> Array:
    """The error function to 1.5e-7: Abramowitz and Stegun, formula 7.1.26."""
    import numpy as np

    size = np.abs(x)
    t = 1 / (size * 0.3275911 + 1)
    tail = t * 1.061405429
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += coefficient
        tail *= t
    size *= size
    tail *= np.exp(-size)
    return np.copysign(1 - tail, x)


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """The positions of texts, shortest first, in batches of at most 2048 tokens."""
    batch: list[int] = []
    tokens = 0
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and tokens + lengths[position] > _BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(position)
        tokens += lengths[position]
    yield batch


@functools.cache
def _encoder() -> _Encoder:
    return _Encoder()
