"""LlamaIndex's tools and query engines as an agent's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.tools import BaseTool, ToolException

from agentkit._text import shortened
from agentkit.errors import ConfigurationError, MissingExtraError
from agentkit.retrieval.documents import document_of
from agentkit.tools._making import Permission, make_tool
from agentkit.tools.documents import documents_data

try:
    from llama_index.core.base.base_query_engine import BaseQueryEngine
    from llama_index.core.schema import NodeWithScore
    from llama_index.core.tools import (
        AsyncBaseTool,
        FunctionTool,
        QueryEngineTool,
        RetrieverTool,
        ToolOutput,
        adapt_to_async_tool,
    )
    from llama_index.core.tools import BaseTool as LlamaIndexTool
    from llama_index.core.tools.types import DefaultToolFnSchema
except ImportError as missing:
    raise MissingExtraError("A tool of LlamaIndex", "ingest") from missing


def from_llama_index(
    tool: LlamaIndexTool | BaseQueryEngine,
    *,
    name: str | None = None,
    description: str | None = None,
    permission: Permission | None = None,
    untrusted: bool = False,
    timeout: float | None = None,
    max_chars: int = 8_000,
) -> BaseTool:
    """A tool or a query engine of LlamaIndex as a LangChain tool, with its typed arguments.

    Args:
        tool: A `FunctionTool`, `QueryEngineTool`, `RetrieverTool`, any other tool of LlamaIndex,
            or a query engine.
        name: The tool's name; LlamaIndex's by default.
        description: What it does, as the model is told; LlamaIndex's by default.
        permission: What a call may do; "read" by default for query engines and retrievers, and
            "write" for all else.
        untrusted: Whether anybody may have written what it returns.
        timeout: Seconds that a call may take; None for no limit.
        max_chars: Characters of a result that the model is shown.

    Returns:
        A LangChain tool; its artifact holds the `documents` that the answer is from (each with
        `id`, `content` and `metadata`) and `sources`. A sync call runs LlamaIndex's async form.

    Raises:
        ConfigurationError: When it is neither, or a function that needs a workflow's context.
        MissingExtraError: When the `ingest` extra is not installed.
    """
    wrapped = _as_tool(tool)
    told = wrapped.metadata

    async def call(**arguments: Any) -> tuple[str, dict[str, Any]]:
        output: ToolOutput = await wrapped.acall(**arguments)
        text = shortened(output.content, max_chars)
        if output.is_error:
            raise ToolException(text or "The tool failed and does not say why.")
        documents = [document_of(found.node) for found in _nodes(output.raw_output)]
        return text or "The tool returned nothing.", documents_data(documents)

    reads = isinstance(tool, BaseQueryEngine | QueryEngineTool | RetrieverTool)
    return make_tool(
        call,
        description or told.description,
        told.fn_schema or DefaultToolFnSchema,
        name=name or told.get_name(),
        permission=permission or ("read" if reads else "write"),
        untrusted=untrusted,
        timeout=timeout,
    )


def _as_tool(tool: Any) -> AsyncBaseTool:
    if isinstance(tool, BaseQueryEngine):
        return QueryEngineTool.from_defaults(tool)
    if not isinstance(tool, LlamaIndexTool):
        raise ConfigurationError(
            f"A tool or a query engine of LlamaIndex is needed; got {type(tool).__name__}."
        )
    if isinstance(tool, FunctionTool) and tool.requires_context:
        raise ConfigurationError(
            f"The tool {tool.metadata.name!r} needs the context of a LlamaIndex workflow, which "
            "there is none of in a LangGraph graph. Give the function without it."
        )
    return adapt_to_async_tool(tool)


def _nodes(output: Any) -> Sequence[NodeWithScore]:
    """The nodes that a query engine answered from, or that a retriever found."""
    found = output if isinstance(output, list) else getattr(output, "source_nodes", None) or []
    return [item for item in found if isinstance(item, NodeWithScore)]
