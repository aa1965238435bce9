"""Splitting a file's text into chunks: by its headings first, then by sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from agentkit.errors import ConfigurationError, MissingExtraError
from agentkit.retrieval.reading import Heading, Part

if TYPE_CHECKING:
    from llama_index.core.node_parser import SentenceSplitter

# Words of at most 64 characters, or a sentence's part up to a CJK full stop, with the space
# around them: nothing is lost between matches, so that a chunk is always a slice of the text.
_WORDS = r"\s*(?:[^\s。！？；]{1,64}[。！？；]?|[。！？；])\s*"
_SMALLEST_CHUNK = 16
_COUNTED_AT_ONCE = 10_000  # characters: the tokenizer is slower than linear on long runs


@dataclass(frozen=True)
class Chunk:
    """A slice of a part's text.

    Attributes:
        text: The slice, without space around it.
        start: Where it starts in the part's text, in characters.
        headings: The titles of the headings above it, from the outermost.
    """

    text: str
    start: int
    headings: tuple[str, ...]


class Splitter:
    """Splits parts into chunks of at most `chunk_tokens` tokens, at headings and sentences.

    Sentences are kept whole where they fit, by LlamaIndex's `SentenceSplitter`; a section that
    holds a heading only is kept together with the section below it.

    Args:
        chunk_tokens: The most tokens (of tiktoken's cl100k_base) in a chunk, 16 or more.
        overlap_tokens: How many tokens of whole sentences a chunk may repeat of the one before.

    Raises:
        ConfigurationError: When these are out of range.
        MissingExtraError: When LlamaIndex is not installed.
    """

    def __init__(self, chunk_tokens: int, overlap_tokens: int) -> None:
        if chunk_tokens < _SMALLEST_CHUNK or not 0 <= overlap_tokens <= chunk_tokens // 2:
            raise ConfigurationError(
                f"chunk_tokens is {_SMALLEST_CHUNK} or more and overlap_tokens between 0 and half "
                f"of that; got {chunk_tokens} and {overlap_tokens}."
            )
        self._splitter = _sentence_splitter(chunk_tokens, overlap_tokens)

    def split(self, part: Part) -> Iterator[Chunk]:
        """The chunks of a part, in order."""
        for start, end, headings in _sections(part):
            section = part.text[start:end]
            position = -1
            for text in self._splitter.split_text(section) if section.strip() else ():
                # from after the last chunk's start, since chunks may overlap
                position = section.index(text, position + 1)
                yield Chunk(text, start + position, headings)


def _sentence_splitter(chunk_tokens: int, overlap_tokens: int) -> SentenceSplitter:
    try:
        from llama_index.core.node_parser import SentenceSplitter
        from llama_index.core.utils import get_tokenizer
        from nltk.tokenize import PunktSentenceTokenizer  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError("Splitting documents", "ingest") from error
    encode = get_tokenizer()  # its vocabulary is part of LlamaIndex's package
    punkt = PunktSentenceTokenizer()  # needs no model, other than trained ones

    def tokens(text: str) -> list[int]:
        parts = range(0, len(text), _COUNTED_AT_ONCE)
        return [token for at in parts for token in encode(text[at : at + _COUNTED_AT_ONCE])]

    def sentences(text: str) -> list[str]:
        starts = [start for start, _ in punkt.span_tokenize(text)]
        bounds = [0, *starts[1:], len(text)]
        return [text[start:end] for start, end in pairwise(bounds)]

    return SentenceSplitter(
        chunk_size=chunk_tokens,
        chunk_overlap=overlap_tokens,
        tokenizer=tokens,
        paragraph_separator="\n\n",
        chunking_tokenizer_fn=sentences,
        secondary_chunking_regex=_WORDS,
    )


def _sections(part: Part) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Start, end and heading path of each section."""
    start = 0
    path: list[Heading] = []
    ends = [heading.start for heading in part.headings] + [len(part.text)]
    for heading, end in zip([None, *part.headings], ends, strict=True):
        if heading is not None:
            path = [*(above for above in path if above.level < heading.level), heading]
        if _has_body(part, heading, end) or end == len(part.text):
            yield start, end, tuple(above.title for above in path)
            start = end


def _has_body(part: Part, heading: Heading | None, end: int) -> bool:
    begin = 0 if heading is None else heading.start
    lines = part.text[begin:end].strip().split("\n")
    underlined = len(lines) == 2 and not lines[1].strip("=- ")  # noqa: PLR2004 - a setext heading
    return bool(lines[0]) if heading is None else len(lines) > 1 and not underlined
