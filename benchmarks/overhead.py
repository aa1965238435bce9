"""What a question costs when models and retrievers cost nothing, beside LlamaIndex and Haystack.

All do the same work: one call writes three more queries, four queries are searched, the results are
made one ranking, one call answers from the best five documents. agentkit also checks the citations
and keeps its state. The models are scripted, each library's own kind; the retriever returns ten
documents from memory. Peak memory is what Python allocates during one question (tracemalloc), in a
pass of its own. Imports are timed in fresh processes, less what an empty one takes.
"""

import asyncio
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from agentkit import create_fusion_rag
from agentkit.testing import Script, ScriptedChatModel
from benchmarks._report import median_seconds, parser, report

TEXTS = [f"Passage {n} about the rules of a library. " + "It goes on. " * 30 for n in range(10)]
VARIANTS = ["loan period of books", "how long books are lent", "borrowing time limits"]
ANSWER = "Four weeks, as the rules of the library say [1]."
K = 5

Ask = Callable[[str], Awaitable[str]]


def agentkit() -> Ask:
    """`create_fusion_rag` without re-ranking."""
    documents = [Document(id=str(n), page_content=text) for n, text in enumerate(TEXTS)]

    class Retriever(BaseRetriever):
        def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
            return documents

        async def _aget_relevant_documents(self, query: str, **_: Any) -> list[Document]:
            return documents

    script = (
        Script(record=False)
        .when("Write search queries", reply={"queries": VARIANTS})
        .when("Answer the question", reply=ANSWER)
    )
    graph = create_fusion_rag(ScriptedChatModel(script), Retriever(), n=3, reranker=None, k=K)

    async def ask(question: str) -> str:
        answer: str = (await graph.ainvoke({"question": question}))["answer"]
        return answer

    return ask


def llama_index() -> Ask:
    """`QueryFusionRetriever` and a response synthesizer."""
    from llama_index.core import get_response_synthesizer
    from llama_index.core.base.base_retriever import BaseRetriever as LlamaRetriever
    from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    class Model(CustomLLM):
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(context_window=32_000, num_output=256)

        def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
            writes = "search queries" in prompt
            return CompletionResponse(text="\n".join(VARIANTS) if writes else ANSWER)

        def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
            yield self.complete(prompt)

    nodes = [TextNode(id_=str(n), text=text) for n, text in enumerate(TEXTS)]

    class Retriever(LlamaRetriever):
        def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
            return [NodeWithScore(node=node, score=1 / (n + 1)) for n, node in enumerate(nodes)]

        async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
            return self._retrieve(query_bundle)

    retriever = QueryFusionRetriever(
        [Retriever()],
        llm=Model(),
        num_queries=4,
        similarity_top_k=K,
        mode="reciprocal_rerank",
        use_async=True,
    )
    synthesizer = get_response_synthesizer(llm=Model(), response_mode="compact", use_async=True)

    async def ask(question: str) -> str:
        return str(await synthesizer.asynthesize(question, await retriever.aretrieve(question)))

    return ask


def haystack() -> Ask:
    """A pipeline of query expander, multi-query retriever, prompt builder and generator."""
    from haystack import Document as HaystackDocument
    from haystack import Pipeline, component
    from haystack.components.builders import ChatPromptBuilder
    from haystack.components.query import QueryExpander
    from haystack.components.retrievers import MultiQueryTextRetriever
    from haystack.dataclasses import ChatMessage

    found = [
        HaystackDocument(id=str(n), content=text, score=1 / (n + 1)) for n, text in enumerate(TEXTS)
    ]

    @component
    class Generator:
        def __init__(self, reply: str) -> None:
            self.reply = reply

        @component.output_types(replies=list[ChatMessage])
        def run(self, messages: list[ChatMessage]) -> dict[str, list[ChatMessage]]:
            return {"replies": [ChatMessage.from_assistant(self.reply)]}

    @component
    class Retriever:
        @component.output_types(documents=list[HaystackDocument])
        def run(
            self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
        ) -> dict[str, list[HaystackDocument]]:
            return {"documents": found}

    written = '{"queries": ["' + '", "'.join(VARIANTS) + '"]}'
    template = (
        "Answer from the documents.\n"
        f"{{% for document in documents[:{K}] %}}{{{{ document.content }}}}\n{{% endfor %}}"
        "{{ question }}"
    )
    pipeline = Pipeline()
    expander = QueryExpander(chat_generator=Generator(written), n_expansions=3)
    pipeline.add_component("expander", expander)
    pipeline.add_component("retriever", MultiQueryTextRetriever(retriever=Retriever()))
    builder = ChatPromptBuilder([ChatMessage.from_user(template)], required_variables="*")
    pipeline.add_component("builder", builder)
    pipeline.add_component("generator", Generator(ANSWER))
    pipeline.connect("expander.queries", "retriever.queries")
    pipeline.connect("retriever.documents", "builder.documents")
    pipeline.connect("builder.prompt", "generator.messages")

    async def ask(question: str) -> str:
        out = await pipeline.run_async(
            {"expander": {"query": question}, "builder": {"question": question}}
        )
        return str(out["generator"]["replies"][0].text)

    return ask


LIBRARIES: dict[str, Callable[[], Ask]] = {
    "agentkit": agentkit,
    "LlamaIndex": llama_index,
    "Haystack": haystack,
}

IMPORTS = {
    "import agentkit": "import agentkit",
    "from agentkit import create_rag": "from agentkit import create_rag",
    "langgraph and langchain-core": (
        "import langgraph.graph, langgraph.prebuilt\n"
        "import langchain_core.language_models, langchain_core.retrievers\n"
        "import langchain_core.vectorstores"
    ),
}


async def questions(*, times: int) -> list[dict[str, Any]]:
    """A row for each library: milliseconds and peak memory a question."""
    rows = []
    for name, make in LIBRARIES.items():
        ask = make()

        async def numbered(number: int, ask: Ask = ask) -> None:
            assert await ask(f"How long may I keep book {number}?") == ANSWER

        milliseconds = await median_seconds(numbered, times=times) * 1000
        rows.append({"what": name, "ms": milliseconds, "peak KiB": await _peak(numbered)})
    return rows


async def _peak(ask: Callable[[int], Awaitable[Any]], *, times: int = 20) -> float:
    peaks = []
    tracemalloc.start()
    for number in range(times):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        await ask(number)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return statistics.median(peaks) / 1024


def imports(*, times: int) -> list[dict[str, Any]]:
    """A row for each import: milliseconds over an empty process."""
    programs = {"": "pass", **IMPORTS}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(times):  # in turn, so that a busy moment touches all alike
        for name, program in programs.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            seconds[name].append(time.perf_counter() - start)
    empty = statistics.median(seconds.pop(""))
    return [
        {"what": name, "ms": (statistics.median(taken) - empty) * 1000}
        for name, taken in seconds.items()
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--questions", type=int, default=200)
    options.add_argument("--imports", type=int, default=15)
    given = options.parse_args()
    settings = {"questions": given.questions, "imports": given.imports}
    rows = asyncio.run(questions(times=given.questions)) + imports(times=given.imports)
    report("overhead", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
