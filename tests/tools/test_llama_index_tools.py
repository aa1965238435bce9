"""LlamaIndex's tools and query engines as an agent's own."""

import asyncio
import importlib
import sys

import pytest
from langchain.agents import create_agent
from llama_index.core import MockEmbedding, PromptTemplate, VectorStoreIndex
from llama_index.core.base.response.schema import Response
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import (
    BaseTool,
    FunctionTool,
    QueryEngineTool,
    RetrieverTool,
    ToolMetadata,
    ToolOutput,
)
from llama_index.core.workflow import Context

from agentkit.errors import ConfigurationError, MissingExtraError
from agentkit.testing import Reply, Script, ScriptedChatModel
from agentkit.tools._making import is_untrusted, permission_of
from agentkit.tools.llama_index import from_llama_index

LOANS = TextNode(
    id_="loans", text="Books may be kept for four weeks.", metadata={"file_name": "loans.md"}
)


class Library(CustomQueryEngine):
    """A query engine that answers from one node."""

    def custom_query(self, query_str: str):
        found = [NodeWithScore(node=LOANS, score=0.5)]
        return Response(response=f"{query_str} Four weeks.", source_nodes=found)


def lend(title: str, weeks: int = 4) -> str:
    """Lend a book."""
    return f"{title} for {weeks} weeks"


def call(tool, **arguments):
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


def test_a_function_keeps_its_name_its_description_and_its_types():
    tool = from_llama_index(FunctionTool.from_defaults(lend))
    assert tool.name == "lend"
    assert "Lend a book." in tool.description
    assert tool.args["weeks"]["type"] == "integer"
    assert tool.args["weeks"]["default"] == 4
    assert call(tool, title="Emma").content == "Emma for 4 weeks"
    assert call(tool, title="Emma", weeks="2").content == "Emma for 2 weeks"


async def test_a_function_is_called_in_every_way():
    async def alend(title: str) -> str:
        """Lend a book."""
        await asyncio.sleep(0)
        return f"{title}, later"

    tool = from_llama_index(FunctionTool.from_defaults(async_fn=alend))
    assert await tool.ainvoke({"title": "Emma"}) == "Emma, later"
    assert await asyncio.to_thread(tool.invoke, {"title": "Emma"}) == "Emma, later"
    tool = from_llama_index(FunctionTool.from_defaults(lend))
    assert await tool.ainvoke({"title": "Emma"}) == "Emma for 4 weeks"


def test_arguments_that_are_given_beforehand_are_not_the_models():
    tool = from_llama_index(FunctionTool.from_defaults(lend, partial_params={"weeks": 1}))
    assert list(tool.args) == ["title"]
    assert call(tool, title="Emma").content == "Emma for 1 weeks"


@pytest.mark.parametrize("kind", ["engine", "tool"])
def test_a_query_engine_answers_with_its_sources(kind):
    engine = Library()
    given = engine if kind == "engine" else QueryEngineTool.from_defaults(engine)
    tool = from_llama_index(given, name="library", description="Knows the rules.")
    assert (tool.name, tool.description) == ("library", "Knows the rules.")
    message = call(tool, input="How long?")
    assert message.content == "How long? Four weeks."
    assert message.artifact["sources"] == [{"title": "loans.md", "document_id": "loans"}]
    assert message.artifact["documents"][0]["content"] == LOANS.text


async def test_a_query_engine_over_an_index_is_async_too():
    index = VectorStoreIndex([LOANS], embed_model=MockEmbedding(embed_dim=8))
    template = PromptTemplate("{context_str}")
    tool = from_llama_index(index.as_query_engine(llm=MockLLM(), text_qa_template=template))
    assert LOANS.text in await tool.ainvoke({"input": "How long?"})


def test_a_retriever_returns_its_passages_with_their_sources():
    index = VectorStoreIndex([LOANS], embed_model=MockEmbedding(embed_dim=8))
    retrieves = RetrieverTool.from_defaults(index.as_retriever(), name="find", description="Find.")
    message = call(from_llama_index(retrieves), input="loans")
    assert LOANS.text in message.content
    assert message.artifact["sources"] == [{"title": "loans.md", "document_id": "loans"}]


def test_what_reads_and_what_may_write_is_told_apart():
    function = FunctionTool.from_defaults(lend)
    assert permission_of(from_llama_index(Library())) == "read"
    assert permission_of(from_llama_index(QueryEngineTool.from_defaults(Library()))) == "read"
    assert permission_of(from_llama_index(function)) == "write"
    tool = from_llama_index(function, permission="danger", untrusted=True)
    assert (permission_of(tool), is_untrusted(tool)) == ("danger", True)


class Sync(BaseTool):
    """A tool of LlamaIndex that knows no async, and fails."""

    metadata = ToolMetadata("Fails.", name="fails")

    def __call__(self, input):
        return ToolOutput("fails", f"Cannot {input}.", raw_input={}, raw_output="", is_error=True)


def test_a_tool_that_says_that_it_failed_has_failed():
    message = call(from_llama_index(Sync()), input="lend")
    assert (message.status, message.content) == ("error", "Cannot lend.")


def test_results_are_bounded_in_time_and_length():
    async def never() -> str:
        """Never answer."""
        await asyncio.Event().wait()
        return ""

    slow = from_llama_index(FunctionTool.from_defaults(async_fn=never), timeout=0.05)
    assert call(slow).content == "It took longer than 0.05 seconds."
    long = from_llama_index(FunctionTool.from_defaults(lend), max_chars=4)
    assert call(long, title="Emma").content == "Emma…"


def test_what_cannot_be_a_tool_here_is_refused():
    async def needs_context(ctx: Context, title: str) -> str:
        """Lend a book."""
        return title

    with pytest.raises(ConfigurationError, match="context of a LlamaIndex workflow"):
        from_llama_index(FunctionTool.from_defaults(async_fn=needs_context))
    with pytest.raises(ConfigurationError, match="of LlamaIndex is needed; got str"):
        from_llama_index("library")


async def test_an_agent_uses_one():
    asks = Reply(tool_calls=[{"name": "lend", "args": {"title": "Emma"}}])
    script = Script().when("Emma for 4 weeks", reply="Done.").when("Lend", reply=asks)
    agent = create_agent(
        ScriptedChatModel(script), [from_llama_index(FunctionTool.from_defaults(lend))]
    )
    state = await agent.ainvoke({"messages": [("user", "Lend me that book.")]})
    assert state["messages"][-1].text == "Done."


def test_without_llama_index_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "agentkit.tools.llama_index")
    monkeypatch.setitem(sys.modules, "llama_index.core.tools", None)
    with pytest.raises(MissingExtraError, match=r"agentkit-graphs\[ingest\]"):
        importlib.import_module("agentkit.tools.llama_index")
