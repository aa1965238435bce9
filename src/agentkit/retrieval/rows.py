"""The rows of an index: LangChain documents as an Arrow table, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.documents import Document

from agentkit._text import well_formed
from agentkit.errors import IndexMismatchError, InvalidInputError
from agentkit.retrieval.documents import METADATA_KEY, annotate, document_id
from agentkit.retrieval.filters import ORDERED, TERMS, ordered_of, terms_of

if TYPE_CHECKING:
    import numpy as np

Vectors: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"

DOCUMENT_COLUMNS = ["id", "content", "metadata"]


def schema_of(dimensions: int) -> Any:
    """The table's Arrow schema."""
    import pyarrow as pa  # type: ignore[import-untyped]

    fields = [
        pa.field("id", pa.utf8(), nullable=False),
        pa.field("content", pa.utf8(), nullable=False),
        pa.field("metadata", pa.utf8(), nullable=False),
        pa.field(TERMS, pa.list_(pa.utf8())),
        pa.field(ORDERED, pa.json_(pa.utf8())),
        pa.field("vector", pa.list_(pa.float32(), dimensions)),
    ]
    return pa.schema(fields)


def checked(document: Document | str, position: int) -> Document:
    """The document as the index stores it: with an id, valid text and JSON metadata.

    Raises:
        InvalidInputError: When it is no document, is empty, or its metadata is not JSON.
    """
    if isinstance(document, str):
        document = Document(page_content=document)
    if not isinstance(document, Document):
        raise InvalidInputError(
            f"Document {position} is a {type(document).__name__}; expected a LangChain Document "
            "or a string."
        )
    if not document.page_content.strip():
        raise InvalidInputError(f"Document {position} is empty. Leave it out, or give it content.")
    identifier = well_formed(document_id(document))
    if not identifier:
        raise InvalidInputError(f"Document {position} has an empty id. Give it one, or None.")
    metadata = {key: value for key, value in document.metadata.items() if key != METADATA_KEY}
    content = well_formed(document.page_content)
    return Document(id=identifier, page_content=content, metadata=metadata)


def table_of(documents: Sequence[Document], batches: Sequence[Vectors]) -> Any:
    """The Arrow table of checked documents and their vectors, in batches of their order."""
    import numpy as np
    import pyarrow as pa

    described = [_described(document) for document in documents]
    metadata, terms, ordered = zip(*described, strict=True)
    vectors = np.concatenate(batches)
    columns = {
        "id": pa.array([document.id for document in documents], pa.utf8()),
        "content": pa.array([document.page_content for document in documents], pa.utf8()),
        "metadata": pa.array(metadata, pa.utf8()),
        TERMS: pa.array(terms, pa.list_(pa.utf8())),
        ORDERED: pa.ExtensionArray.from_storage(pa.json_(pa.utf8()), pa.array(ordered, pa.utf8())),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
    }
    # the schema that the table reports has lost the JSON type, and would store mere text
    return pa.table(columns, schema=schema_of(vectors.shape[1]))


def vectors_of(embedded: Sequence[Sequence[float]], count: int, dimensions: int) -> Vectors:
    """What embeddings returned for `count` texts, as float32 of shape (count, dimensions).

    Raises:
        IndexMismatchError: When it has another shape than the index.
        InvalidInputError: When it holds something else than finite numbers.
    """
    import numpy as np

    try:
        vectors = np.asarray(embedded, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"The embeddings are not vectors of numbers: {error}.") from error
    if vectors.shape != (count, dimensions):
        raise IndexMismatchError(
            f"Expected {count} vectors of {dimensions} dimensions, as this index holds; got an "
            f"array of shape {vectors.shape}. Use the embeddings that the index was built with."
        )
    if not np.isfinite(vectors).all():
        raise InvalidInputError("The embeddings hold numbers that are not finite (NaN or inf).")
    return vectors


def document_of(row: Mapping[str, Any], **values: Any) -> Document:
    """The document of a row, with its id and these values under the `agentkit` key."""
    document = Document(
        id=row["id"], page_content=row["content"], metadata=json.loads(row["metadata"])
    )
    return annotate(document, id=row["id"], **values)


def _described(document: Document) -> tuple[str, list[str], str]:
    try:
        return (
            json.dumps(document.metadata, allow_nan=False),
            terms_of(document.metadata),
            json.dumps(ordered_of(document.metadata)),
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"The metadata of document {document.id!r} is not JSON: {error}. Keep to strings, "
            "finite numbers, bools, None, lists and dicts; a date as its isoformat()."
        ) from error
