"""Deterministic embeddings for tests."""

from __future__ import annotations

import math
import re
import zlib

from langchain_core.embeddings import Embeddings

from agentkit._numbers import whole_number

_WORD = re.compile(r"\w+")


class HashEmbeddings(Embeddings):
    """Hashed bags of words: texts that share words are near, with no model and no download.

    A text's vector counts its lower-cased words, each at the place that its CRC-32 gives it, and
    has a length of 1 (feature hashing: Weinberger et al. 2009, without signs, so that no text is
    the zero vector). A text without words has a vector of its own.

    Args:
        dimensions: Numbers a vector; with fewer, more words share a place.

    Raises:
        ConfigurationError: When there is not at least one dimension.
    """

    def __init__(self, dimensions: int = 256) -> None:
        self.dimensions = whole_number("dimensions", dimensions)
        self.identity = f"hash-{dimensions}"
        """Which embeddings these are: the same text has the same vector under the same identity."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The text's vector, of length 1."""
        counts = [0] * self.dimensions
        for word in _WORD.findall(text.lower()) or [""]:
            counts[zlib.crc32(word.encode(errors="surrogatepass")) % self.dimensions] += 1
        length = math.sqrt(sum(count * count for count in counts))
        return [count / length for count in counts]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The same as `embed_documents`: too short a work to be worth a thread."""
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        """The same as `embed_query`."""
        return self.embed_query(text)
