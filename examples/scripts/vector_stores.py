"""The same graph over Qdrant, Milvus or pgvector, through LangChain's interface for vector stores.

It needs `pip install "agentkit-graphs[index,ingest,local]"` and the store's package:
`langchain-qdrant`, `langchain-postgres` or `langchain-milvus`, with `milvus-lite` where the address
is a file. Start it with a store, its address and a question; Qdrant's may be this process:

    python -m examples.scripts.vector_stores qdrant :memory: "How long may I keep a book?"
    python -m examples.scripts.vector_stores milvus http://localhost:19530 "..."
    python -m examples.scripts.vector_stores pgvector postgresql+psycopg://me@localhost/db "..."
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from agentkit import create_rag, embeddings
from examples.scripts.library import EXAMPLES

NAME = "library"
"""Of the collection or table."""


def qdrant(address: str, meaning: Embeddings) -> Any:
    from langchain_qdrant import QdrantVectorStore

    return QdrantVectorStore.construct_instance(
        embedding=meaning, client_options={"location": address}, collection_name=NAME
    )


def milvus(address: str, meaning: Embeddings) -> Any:
    from langchain_milvus import Milvus

    return Milvus(meaning, collection_name=NAME, connection_args={"uri": address})


def pgvector(address: str, meaning: Embeddings) -> Any:
    from langchain_postgres import PGEngine, PGVectorStore

    engine = PGEngine.from_connection_string(address)
    size = len(meaning.embed_query("size"))
    engine.init_vectorstore_table(NAME, size, id_column="langchain_id", overwrite_existing=True)
    return PGVectorStore.create_sync(engine, meaning, NAME)


STORES: dict[str, Callable[[str, Embeddings], VectorStore]] = {
    "qdrant": qdrant,
    "milvus": milvus,
    "pgvector": pgvector,
}


def filled(store: VectorStore) -> VectorStore:
    """A store with the example documents; those that it has already are replaced."""
    documents = list(paragraphs())
    store.add_documents(documents, ids=[str(document.id) for document in documents])
    return store


def paragraphs() -> Iterator[Document]:
    """The paragraphs of the example documents, each with an id that stays the same."""
    for file in sorted((EXAMPLES / "documents").glob("*.md")):
        for text in file.read_text(encoding="utf-8").split("\n\n"):
            key = str(uuid5(NAMESPACE_URL, f"{file.name} {text}"))
            yield Document(text.strip(), id=key, metadata={"source": file.name})


if __name__ == "__main__":
    kind, address, question = sys.argv[1:]
    graph = create_rag(None, filled(STORES[kind](address, embeddings())))
    print(graph.invoke({"question": question})["answer"])
