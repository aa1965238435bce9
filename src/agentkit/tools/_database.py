"""What the tools over databases share: errors that the model is told, and how rows are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel

from agentkit._sync import run_sync
from agentkit.databases.answering import table_text
from agentkit.databases.results import QueryResult
from agentkit.errors import AgentkitError


class NoArguments(BaseModel):
    """Nothing."""


def rows_told(query: str, result: QueryResult, *, max_chars: int) -> tuple[str, dict[str, Any]]:
    """The rows as a model is shown them, and as an artifact."""
    artifact = {
        "query": query,
        "columns": list(result.columns),
        "rows": [list(row) for row in result.rows],
        "truncated": result.truncated,
    }
    return table_text(result, max_chars=max_chars), artifact


def database_tool(
    run: Callable[..., Awaitable[tuple[str, Any]]], description: str, arguments: type[BaseModel]
) -> BaseTool:
    """A tool, sync and async, that tells the model what agentkit's errors say."""

    async def explained(**given: Any) -> tuple[str, Any]:
        try:
            return await run(**given)
        except AgentkitError as error:
            raise ToolException(str(error)) from error

    def waited(**given: Any) -> tuple[str, Any]:
        return run_sync(lambda: explained(**given))

    return StructuredTool.from_function(
        name=run.__name__,
        description=description,
        func=waited,
        coroutine=explained,
        args_schema=arguments,
        response_format="content_and_artifact",
        handle_tool_error=True,
    )
