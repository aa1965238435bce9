"""What agentkit adds to a LangChain document: a stable id, and its own values under one key."""

from __future__ import annotations

import hashlib
from typing import Any

from langchain_core.documents import Document

METADATA_KEY = "agentkit"
"""The metadata key under which all that agentkit adds to a document lives."""


def document_id(document: Document) -> str:
    """The document's id; when it has none, one made of its content and source."""
    if document.id is not None:
        return document.id
    source = str(document.metadata.get("source", ""))
    content = f"{source}\0{document.page_content}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:32]


def well_formed(text: str) -> str:
    """The text with paired surrogates joined and lone ones replaced: UTF-8 can hold neither."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def annotate(document: Document, **values: Any) -> Document:
    """A copy of the document with these values added under agentkit's key.

    The copy carries the document's id, its own metadata unchanged, and its content as well-formed
    text; no state is shared with it.
    """
    own = {**document.metadata.get(METADATA_KEY, {}), **values}
    return Document(
        id=document_id(document),
        page_content=well_formed(document.page_content),
        metadata={**document.metadata, METADATA_KEY: own},
    )


def score_of(document: Document) -> float | None:
    """The score under agentkit's key, as its last retriever, fusion or re-ranker gave it."""
    score = document.metadata.get(METADATA_KEY, {}).get("score")
    return None if score is None else float(score)
