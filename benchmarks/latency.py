"""Wall time of each graph over its critical path, with a model server of fixed latency.

The critical path of a question is the model calls that must follow each other; each takes as long
as the server waits. With many questions at once, throughput is compared with one question's wall
time, since nothing but waiting should take time.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from agentkit import chat_model, create_fusion_rag, create_hyde_rag, create_rag
from agentkit.retrieval import Decompose
from agentkit.testing import ModelServer, Script
from benchmarks._report import median_seconds, parser, report

DOCUMENTS = [Document(id=str(n), page_content=f"Passage {n} about libraries.") for n in range(10)]


class Retriever(BaseRetriever):
    """Finds the same documents at once."""

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return DOCUMENTS

    async def _aget_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return DOCUMENTS


def script() -> Script:
    return (
        Script(record=False)
        .when("Write search queries", reply={"queries": ["loan period", "borrowing time"]})
        .when("Order the documents", reply={"numbers": [3, 1, 2]})
        .when("Give the numbers", reply={"numbers": [1, 2]})
        .when("Write one short passage", reply="Books may be kept for some weeks.")
        .when("Split the question", reply={"questions": ["How long?", "How much?"]})
        .when("Answer the question", reply="Four weeks, as the rules of the library say [1].")
    )


GRAPHS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "create_rag": (1, lambda model: create_rag(model, Retriever())),
    "create_rag, graded": (2, lambda model: create_rag(model, Retriever(), grade=True)),
    "create_rag, Decompose": (3, lambda model: create_rag(model, Retriever(), rewrite=Decompose())),
    "create_hyde_rag": (2, lambda model: create_hyde_rag(model, Retriever())),
    "create_fusion_rag": (3, lambda model: create_fusion_rag(model, Retriever())),
}


def serve(latency: float, connection: Connection) -> None:
    """Serve the script until the other end of the connection closes."""
    with ModelServer(script(), latency=latency) as server:
        connection.send(server.base_url)
        with contextlib.suppress(EOFError):
            connection.recv()


@contextlib.contextmanager
def model_server(latency: float) -> Iterator[str]:
    """The address of a model server in a process of its own, whose work is not the graphs'."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=serve, args=(latency, theirs))
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


async def measure(
    *, latency: float, questions: int, concurrent: int
) -> list[dict[str, float | int | str]]:
    """A row for each graph."""
    rows: list[dict[str, float | int | str]] = []
    with model_server(latency) as address:
        for name, (calls, create) in GRAPHS.items():
            model = chat_model("openai:scripted", base_url=address, api_key="none")
            graph = create(model)

            async def ask(number: int, graph: Any = graph) -> None:
                await graph.ainvoke({"question": f"Question {number}: how long may I keep a book?"})

            alone = await median_seconds(ask, times=questions)
            start = time.perf_counter()
            await asyncio.gather(*(ask(number) for number in range(concurrent)))
            together = time.perf_counter() - start
            rows.append(
                {
                    "graph": name,
                    "calls in a row": calls,
                    "seconds": alone,
                    "over critical path": alone / (calls * latency),
                    f"seconds for {concurrent} at once": together,
                    "throughput of ideal": calls * latency / together,
                }
            )
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--latency", type=float, default=0.2, help="seconds a model call takes")
    options.add_argument("--questions", type=int, default=9, help="one after the other")
    options.add_argument("--concurrent", type=int, default=100, help="at once")
    given = options.parse_args()
    settings = {name: getattr(given, name) for name in ("latency", "questions", "concurrent")}
    rows = asyncio.run(measure(**settings))
    report("latency", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
