"""A graph as a tool: a question in, its answer out, and beside it what the answer stands on."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, cast
from uuid import uuid4

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from pydantic import BaseModel, Field

from agentkit._text import shortened
from agentkit.databases.answering import table_text
from agentkit.databases.results import QueryResult
from agentkit.errors import ConfigurationError
from agentkit.events import emit
from agentkit.graphs.querying import QueryContext
from agentkit.graphs.rag import RagContext
from agentkit.retrieval.citations import render_documents
from agentkit.tools._making import Permission, is_untrusted, make_tool
from agentkit.tools.documents import document_data, document_source, plain

Graph: TypeAlias = CompiledStateGraph[Any, Any, Any, Any]

OnMessage: TypeAlias = Callable[[Any, Mapping[str, Any]], None]
"""Told a message, or a token of one, and the metadata of the call that it comes from."""

_MOST_CHARS = 8_000
"""Characters of what was found, where a graph was told to write no answer."""


class Question(BaseModel):
    """A question."""

    question: str = Field(
        min_length=1, description="One whole question, which can be understood by itself"
    )


def as_tool(
    graph: Graph,
    *,
    name: str | None = None,
    description: str | None = None,
    permission: Permission | None = None,
    untrusted: bool | None = None,
    timeout: float | None = None,
) -> BaseTool:
    """A graph as a LangChain tool that takes a `question` and returns the graph's answer.

    Inside an agent the graph is a part of the agent's run: its progress events reach the agent's
    `custom` stream, its tokens stay out of the agent's `messages` stream, and its interrupts
    become the agent's, which then needs a checkpointer.

    Args:
        graph: A graph of agentkit, or any compiled LangGraph graph that takes `question` or
            `messages` and returns `answer` or `messages`.
        name: The tool's name; the graph's by default.
        description: What can be asked, as the model is told. Say what the data is about.
        permission: What a run may do; for agentkit's graphs over documents and databases "read"
            by default, for any other graph "write".
        untrusted: Whether anybody may have written what the graph answers from. With None, that
            is so where the graph, or one inside it, has a tool that says so of its results.
        timeout: Seconds that one answer may take; None for the graph's own limits alone.

    Returns:
        A LangChain tool; its artifact holds the graph's other outputs as plain data, such as
        `documents`, `citations`, `query`, `columns` and `rows`, and `sources`.

    Raises:
        ConfigurationError: When the graph takes neither `question` nor `messages`.
    """
    run = GraphRun(graph)
    called = name or run.name

    async def ask(question: str) -> tuple[str, dict[str, Any]]:
        return answered(await run.ainvoke(question, on_event=hand_on), name=called)

    async def ask_in_thread(question: str) -> tuple[str, dict[str, Any]]:
        result = await asyncio.to_thread(run.invoke, question, on_event=emit)
        return answered(result, name=called)

    def made(function: Callable[..., Any]) -> StructuredTool:
        tool = make_tool(
            function,
            description or run.description,
            Question,
            name=called,
            permission=permission or run.permission,
            untrusted=run.is_untrusted if untrusted is None else untrusted,
            timeout=timeout,
        )
        return cast("StructuredTool", tool)

    # called by a sync agent, the graph runs sync: the agent's checkpointer may know no other way
    return made(ask).model_copy(update={"func": made(ask_in_thread).func})


class GraphRun:
    """How a graph is asked one question.

    Args:
        graph: The compiled graph.

    Raises:
        ConfigurationError: When it takes neither `question` nor `messages`.
    """

    def __init__(self, graph: Graph) -> None:
        if not isinstance(graph, CompiledStateGraph):
            raise ConfigurationError(
                f"A compiled LangGraph graph is needed; got {type(graph).__name__}."
            )
        self.graph = graph
        self.name = graph.get_name()
        self.asks = _question_key(graph)
        """What of its input the question is put in: `question`, or `messages`."""

    def check_answers(self) -> None:
        """See that the graph returns an answer in words.

        Raises:
            ConfigurationError: When it returns neither `answer` nor `messages`.
        """
        returned = self.graph.builder.schemas[self.graph.builder.output_schema]
        if not {"answer", "messages"} & set(returned):
            raise ConfigurationError(
                f"The graph {self.name!r} returns {', '.join(returned) or 'nothing'}; to be an "
                "answer, it has to return `answer` or `messages`."
            )

    @property
    def permission(self) -> Permission:
        """What a run may do: agentkit's graphs over documents and databases only read."""
        return "read" if self._is_over(RagContext, QueryContext) else "write"

    @property
    def description(self) -> str:
        """What is said of a graph of which nothing else is said."""
        if self._is_over(RagContext):
            return "Answers a question from documents, with citations."
        if self._is_over(QueryContext):
            return "Answers a question from a database, which is only read."
        return f"Answers a question by the graph {self.name!r}."

    @property
    def is_untrusted(self) -> bool:
        """Whether a tool of the graph, or of one inside it, returns what strangers wrote."""
        inner = [each for _, each in self.graph.get_subgraphs(recurse=True)]
        graphs = [self.graph, *(each for each in inner if isinstance(each, CompiledStateGraph))]
        nodes = [node.bound for graph in graphs for node in graph.nodes.values()]
        return any(
            is_untrusted(tool)
            for node in nodes
            if isinstance(node, ToolNode)
            for tool in node.tools_by_name.values()
        )

    async def ainvoke(
        self,
        question: str,
        *,
        on_event: Callable[[Any], Awaitable[None]],
        on_message: OnMessage | None = None,
        quiet: bool = True,
    ) -> dict[str, Any]:
        """The graph's output for a question.

        Args:
            question: The question.
            on_event: Told each progress event of the run.
            on_message: Told each message and token of the run's `messages` stream.
            quiet: Whether the run's tokens are kept out of the stream of the run that asks.
        """
        result: dict[str, Any] = {}
        options = self._options(on_message, quiet=quiet)
        async for mode, part in self.graph.astream(self._given(question), **options):
            if mode == "values":
                result = part
            elif mode == "messages" and on_message is not None:
                on_message(*part)
            else:
                await on_event(part)
        return result

    def invoke(
        self,
        question: str,
        *,
        on_event: Callable[[Any], None],
        on_message: OnMessage | None = None,
        quiet: bool = True,
    ) -> dict[str, Any]:
        """The same, sync."""
        result: dict[str, Any] = {}
        options = self._options(on_message, quiet=quiet)
        for mode, part in self.graph.stream(self._given(question), **options):
            if mode == "values":
                result = part
            elif mode == "messages" and on_message is not None:
                on_message(*part)
            else:
                on_event(part)
        return result

    def _given(self, question: str) -> dict[str, Any]:
        return {self.asks: question if self.asks == "question" else [HumanMessage(question)]}

    def _options(self, on_message: OnMessage | None, *, quiet: bool) -> dict[str, Any]:
        return {
            "config": self._config(quiet=quiet),
            "stream_mode": ["custom", "values", *["messages"] * (on_message is not None)],
            "output_keys": self.graph.output_channels,
        }

    def _config(self, *, quiet: bool) -> RunnableConfig:
        """What is added to the configuration of the run that asks."""
        config: RunnableConfig = {"tags": [TAG_NOSTREAM]} if quiet else {}
        in_a_thread = "thread_id" in ensure_config().get("configurable", {})
        if isinstance(self.graph.checkpointer, BaseCheckpointSaver) and not in_a_thread:
            config["configurable"] = {"thread_id": str(uuid4())}
        return config

    def _is_over(self, *contexts: type) -> bool:
        schema = self.graph.context_schema
        return inspect.isclass(schema) and issubclass(schema, contexts)


def answered(result: Mapping[str, Any], *, name: str) -> tuple[str, dict[str, Any]]:
    """A graph's output as the answer, and as plain data with `sources`.

    Args:
        result: The output.
        name: What the graph is called.

    Raises:
        ToolException: When the graph waits for a person, and is no part of a run that can.
    """
    if waits := result.get("__interrupt__"):
        raise ToolException(
            f"{name} waits for a person's decision, which nobody can give here: "
            f"{shortened(str(waits[0].value))} Ask it inside a graph with a checkpointer."
        )
    documents = [item for item in result.get("documents") or () if isinstance(item, Document)]
    data = {key: value for key, value in result.items() if key not in ("answer", "messages")}
    if documents:
        data["documents"] = [document_data(document) for document in documents]
    artifact = {**plain(data), "sources": _sources(result, documents)}
    return answer_of(result) or _found(result, documents), artifact


async def hand_on(event: Any) -> None:
    """Hand an event of the graph on to the run that asks."""
    emit(event)


def _question_key(graph: Graph) -> str:
    taken = graph.builder.schemas[graph.builder.input_schema]
    for key in ("question", "messages"):
        if key in taken:
            return key
    raise ConfigurationError(
        f"The graph {graph.get_name()!r} takes {', '.join(taken) or 'nothing'}; to be asked, it "
        "has to take `question` or `messages`."
    )


def answer_of(result: Mapping[str, Any]) -> str:
    """The answer in a graph's output: `answer`, or else what the last message says."""
    if "answer" in result:
        return str(result["answer"])
    said = [item for item in result.get("messages") or () if isinstance(item, AIMessage)]
    return str(said[-1].text) if said else ""


def _found(result: Mapping[str, Any], documents: list[Document]) -> str:
    """What was found, where a graph was told to stop at it."""
    if documents:
        return render_documents(documents, _MOST_CHARS)
    if result.get("columns"):
        rows = [tuple(row) for row in result.get("rows") or ()]
        found = QueryResult(result["columns"], rows, bool(result.get("truncated")))
        return table_text(found, max_chars=_MOST_CHARS)
    return "There is no answer."


def _sources(result: Mapping[str, Any], documents: list[Document]) -> list[dict[str, str]]:
    sources = [document_source(document) for document in documents]
    if query := result.get("query"):
        sources.append({"title": "The database's rows", "query": str(query)})
    return sources
