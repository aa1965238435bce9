"""What the nodes of every graph share: both ways of running, retries, caching, errors."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import httpx
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import set_config_context
from langchain_core.runnables.graph import Graph as DrawnGraph
from langgraph.errors import NodeError
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime, get_runtime
from langgraph.types import CachePolicy, Command, RetryPolicy

from agentkit._sync import run_sync
from agentkit.events import tell_failure

_Runnable = TypeVar("_Runnable", bound=Runnable[Any, Any])

NodeFunction = Callable[[Any, Runtime[Any]], Awaitable[Any]]
EdgeFunction = Callable[[Any, Runtime[Any]], Any]

_ERROR_HANDLER = "__error_handler__"
_TRY_AGAIN = frozenset({408, 409, 425, 429})
_SERVER_ERROR = 500


class Node(Runnable[Any, Any]):
    """An async node that also runs in a sync graph.

    Args:
        run: Takes the state and the runtime, and returns the changes.
        read: Makes of the state as it is kept what `run` takes.
    """

    def __init__(self, run: NodeFunction, read: Callable[[Any], Any] = lambda state: state) -> None:
        self._run = run
        self._read = read
        self.name = getattr(run, "__name__", type(run).__name__)
        self.description = (inspect.getdoc(run) or "").partition("\n")[0]

    def invoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:  # noqa: ARG002
        """Run the node and wait for it."""
        runtime = get_runtime()
        return run_sync(lambda: _as_coroutine(self._run(self._read(input), runtime)))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:  # noqa: ARG002
        """Run the node."""
        return await self._run(self._read(input), get_runtime())


async def _as_coroutine(waiting: Awaitable[Any]) -> Any:
    return await waiting


class Edge(Runnable[Any, Any]):
    """A conditional edge that is decided where it stands: LangGraph starts a thread for a function.

    Args:
        choose: Takes the state and the runtime, and returns where to go.
        read: Makes of the state as it is kept what `choose` takes.
    """

    def __init__(
        self, choose: EdgeFunction, read: Callable[[Any], Any] = lambda state: state
    ) -> None:
        self._choose = choose
        self._read = read
        self.name = getattr(choose, "__name__", type(choose).__name__)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:
        """Where to go."""
        # unlike a node, an edge does not run in the context that the runtime is found by
        with set_config_context(ensure_config(config)) as context:
            # where a state is edited from outside there is no run, and so no runtime
            return context.run(lambda: self._choose(self._read(input), get_runtime() or Runtime()))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:
        """Where to go."""
        return self.invoke(input, config)


def extend(old: list[Any], new: list[Any]) -> list[Any]:
    """Reducer: the new items behind the old."""
    return [*old, *new]


def gone_without(
    step: str, name: str, error: NodeError, *, goto: Any, **update: Any
) -> Command[Any]:
    """Go on without a step that failed: it is told, and kept among the `failures`.

    Args:
        step: What was done.
        name: What failed at it.
        error: What LangGraph hands to a node's error handler.
        goto: Where to go on.
        update: What stands in for the step's own changes.
    """
    failure = tell_failure(step, name, error.error)
    return Command(update={**update, "failures": [failure]}, goto=goto)


class DrawableGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled graph whose drawing shows its steps, and not what stands in when one fails."""

    def get_graph(
        self, config: RunnableConfig | None = None, *, xray: int | bool = False
    ) -> DrawnGraph:
        """The graph to draw."""
        return _without_error_handlers(super().get_graph(config, xray=xray))

    async def aget_graph(
        self, config: RunnableConfig | None = None, *, xray: int | bool = False
    ) -> DrawnGraph:
        """The graph to draw."""
        return _without_error_handlers(await super().aget_graph(config, xray=xray))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """What a notebook shows: a drawing, where LangGraph's own asks a server for one."""
        from agentkit.drawing import draw

        drawing = draw(self)
        return {
            "text/plain": repr(self),
            "text/html": drawing.html,
            "image/svg+xml": drawing.svg,
        }


def drawable(graph: CompiledStateGraph[Any, Any, Any, Any]) -> DrawableGraph:
    """The same graph, drawn without its error handlers."""
    return DrawableGraph(**vars(graph))


def describe(node: _Runnable, description: str) -> _Runnable:
    """The same node, of which a drawing tells other programs this."""
    node.description = description  # type: ignore[attr-defined]
    return node


class _DescribedGraph(DrawnGraph):
    """A drawing that tells other programs, such as Studio, what each step does."""

    def to_json(self, *, with_schemas: bool = False) -> dict[str, list[dict[str, Any]]]:
        """The drawing as JSON, each step's description in its metadata."""
        told = super().to_json(with_schemas=with_schemas)
        for shown, node in zip(told["nodes"], self.nodes.values(), strict=True):
            if description := getattr(node.data, "description", None):
                shown["metadata"] = {**shown.get("metadata", {}), "description": str(description)}
        return told


def _without_error_handlers(drawn: DrawnGraph) -> DrawnGraph:
    for node in list(drawn.nodes.values()):
        if _ERROR_HANDLER in node.id:
            drawn.remove_node(node)
    return _DescribedGraph(nodes=drawn.nodes, edges=drawn.edges)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may well succeed when made again: a lost connection, a busy server."""
    for cause in causes_of(error):
        status = status_of(cause)
        if status is not None:
            return status in _TRY_AGAIN or status >= _SERVER_ERROR
        if isinstance(cause, ConnectionError | httpx.NetworkError | httpx.RemoteProtocolError):
            return True
    return False


def status_of(error: BaseException) -> int | None:
    """The HTTP status, which some clients' errors have themselves and others' on the response."""
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__


RETRY = RetryPolicy(initial_interval=0.5, max_attempts=3, retry_on=is_transient)
"""The default retry policy: transient errors, twice more, after half a second and one.

LangGraph adds up to a second to each, by chance, so that many do not come again at once.
"""


def cache_policy(graph: str, ttl: int | None) -> CachePolicy[Any]:
    """A policy that caches a node's result by the graph's name and the node's whole input."""
    key: Any = CachePolicy().key_func
    return CachePolicy(key_func=lambda given: key(graph, given), ttl=ttl)
