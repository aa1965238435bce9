"""How agentkit's tools are made: errors that the model is told, time limits, permissions."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Literal, TypeAlias, cast, get_args

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel

from agentkit._sync import run_sync
from agentkit.errors import AgentkitError, ConfigurationError

Permission: TypeAlias = Literal["read", "write", "danger"]
"""What a tool may do: read only; change something; do what cannot be undone, or run what it
is given outside a sandbox."""

_KEY = "agentkit"


class NoArguments(BaseModel):
    """Nothing."""


def make_tool(
    run: Callable[..., Awaitable[tuple[str, Any]]],
    description: str,
    arguments: type[BaseModel] | Mapping[str, Any],
    *,
    name: str = "",
    permission: Permission = "read",
    untrusted: bool = False,
    timeout: float | None = None,
) -> BaseTool:
    """A tool, sync and async, that tells the model what agentkit's errors say.

    Args:
        run: Takes the arguments by name; returns what the model is told, and the artifact: a
            mapping whose `sources` are mappings with a `title`, and a `url` where there is one.
        description: What the tool does, as the model is told.
        arguments: The arguments' names, types and descriptions: a pydantic class or a JSON schema.
        name: The tool's name; the function's when empty.
        permission: What the tool may do.
        untrusted: Whether what it returns was written by anybody, as a web page is.
        timeout: Seconds that a call may take; None where the function keeps to a limit itself.
    """

    async def explained(**given: Any) -> tuple[str, Any]:
        try:
            async with asyncio.timeout(timeout):
                return await run(**given)
        except AgentkitError as error:
            raise ToolException(str(error)) from error
        except TimeoutError as error:
            told = f"It took longer than {timeout:g} seconds." if timeout else "It took too long."
            raise ToolException(told) from error

    def waited(**given: Any) -> tuple[str, Any]:
        return run_sync(lambda: explained(**given))

    made = StructuredTool.from_function(
        name=name or run.__name__,
        description=description,
        func=waited,
        coroutine=explained,
        args_schema=arguments,  # type: ignore[arg-type]
        response_format="content_and_artifact",
        handle_tool_error=True,
    )
    return declared(made, permission=permission, untrusted=untrusted)


def declared(
    tool: BaseTool, *, permission: Permission | None = None, untrusted: bool | None = None
) -> BaseTool:
    """A tool of any kind that says what it may do, and whether its results can be trusted.

    Args:
        tool: A LangChain tool; it is not changed.
        permission: What it may do; None leaves what it says.
        untrusted: Whether its results were written by anybody; None leaves what it says.

    Raises:
        ConfigurationError: When the permission is none of the three.
    """
    if permission is not None and permission not in get_args(Permission):
        known = ", ".join(map(repr, get_args(Permission)))
        raise ConfigurationError(f"A tool's permission is one of {known}; got {permission!r}.")
    told = dict(_told(tool))
    if permission is not None:
        told["permission"] = permission
    if untrusted is not None:
        told["untrusted"] = untrusted
    return tool.model_copy(update={"metadata": {**(tool.metadata or {}), _KEY: told}})


def callable_from_sync(tool: BaseTool) -> BaseTool:
    """A tool that sync code can call too, where it has an async function alone."""
    if not isinstance(tool, StructuredTool) or tool.func is not None or tool.coroutine is None:
        return tool
    asynchronous = cast("Callable[..., Coroutine[Any, Any, Any]]", tool.coroutine)

    @functools.wraps(asynchronous)
    def waited(*given: Any, **named: Any) -> Any:
        return run_sync(lambda: asynchronous(*given, **named))

    return tool.model_copy(update={"func": waited})


def permission_of(tool: BaseTool) -> Permission:
    """What a tool may do; `write` where it does not say."""
    permission: Permission = _told(tool).get("permission", "write")
    return permission


def is_untrusted(tool: BaseTool) -> bool:
    """Whether a tool's results were written by anybody; not where it does not say."""
    return bool(_told(tool).get("untrusted", False))


def _told(tool: BaseTool) -> Mapping[str, Any]:
    found = (tool.metadata or {}).get(_KEY)
    return found if isinstance(found, Mapping) else {}
