"""What agentkit adds to a LangChain document: a stable id, and its own values under one key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document

from agentkit._text import shortened, well_formed
from agentkit.errors import InvalidInputError

METADATA_KEY = "agentkit"
"""The metadata key under which all that agentkit adds to a document lives."""


def document_id(document: Document) -> str:
    """The document's id; when it has none, one made of its content and source."""
    if document.id is not None:
        return document.id
    source = str(document.metadata.get("source", ""))
    content = f"{source}\0{document.page_content}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:32]


def as_document(kept: Document | Mapping[str, Any]) -> Document:
    """A document as it is kept: as itself, or where a state was edited as JSON by its fields.

    Raises:
        InvalidInputError: When it is neither.
    """
    if isinstance(kept, Document):
        return kept
    try:
        return Document(**kept)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"A document has page_content, and may have metadata and an id; got "
            f"{shortened(repr(kept))}."
        ) from error


def document_of(node: Any) -> Document:
    """A node of LlamaIndex as a document."""
    return Document(id=node.node_id, page_content=node.get_content(), metadata=node.metadata)


def annotate(document: Document, **values: Any) -> Document:
    """A copy of the document with these values added under agentkit's key.

    The copy carries the document's id, its own metadata unchanged, and its content as well-formed
    text; no state is shared with it.
    """
    own = {**_own(document), **values}
    return Document(
        id=document_id(document),
        page_content=well_formed(document.page_content),
        metadata={**document.metadata, METADATA_KEY: own},
    )


def score_of(document: Document) -> float | None:
    """The score under agentkit's key, as its last retriever, fusion or re-ranker gave it."""
    score = _own(document).get("score")
    return float(score) if isinstance(score, int | float) else None


def _own(document: Document) -> dict[str, Any]:
    """What stands under agentkit's key; nothing where a user's own metadata has taken it."""
    own = document.metadata.get(METADATA_KEY)
    return own if isinstance(own, dict) else {}
