"""A graph's run as a web page or a client wants to be told of it."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig

from examples.scripts.library import Graph


async def told(
    graph: Graph, given: Mapping[str, Any], config: RunnableConfig | None = None
) -> AsyncIterator[tuple[str, Any]]:
    """Run a graph and tell what comes, each with its kind.

    Yields:
        `progress` with the type of an event, such as `documents_found`; `token` with a piece of the
        answer's text; and at the end the `state`. What its `answer` says counts: one that no model
        wrote has no tokens, and one that did not hold was written again.
    """
    state: Any = {}
    part: Any
    running = graph.astream(
        given, config, stream_mode=["custom", "messages", "values"], subgraphs=True
    )
    async for place, mode, part in running:
        if mode == "values":
            state = state if place else part  # those of a subgraph are its own
        elif mode == "custom":
            yield "progress", part["type"]
        elif isinstance(part[0], AIMessageChunk) and part[0].text:
            yield "token", part[0].text
    yield "state", state
