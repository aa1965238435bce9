"""A chat in the browser, where each visitor has a conversation of their own.

It needs `pip install "agentkit-graphs[index,ingest,local]" "gradio>=6"`. Start it, and open the
address that it prints:

    python -m examples.scripts.gradio_demo
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import gradio as gr
from langgraph.checkpoint.memory import InMemorySaver

from examples.scripts.library import Graph, library_graph
from examples.scripts.streaming import told


def create_demo(graph: Graph) -> gr.ChatInterface:
    """A page for a graph that takes a `question` and keeps its conversations."""

    async def answer(message: str, _: list[Any], request: gr.Request) -> AsyncIterator[str]:
        """The answer as it grows, and at the end the one that counts with its sources."""
        said, thread = "", {"thread_id": str(request.session_hash)}
        async for kind, data in told(graph, {"question": message}, {"configurable": thread}):
            if kind == "token":
                said += data
                yield said
            elif kind == "state":
                yield data["answer"] + sources(data)

    return gr.ChatInterface(answer, title="Ask the library", examples=["How long is a loan?"])


def sources(state: Mapping[str, Any]) -> str:
    """The documents that an answer cites."""
    cited = {each["number"]: each["source"] for each in state.get("citations") or ()}
    return "".join(f"\n\n[{number}] {source}" for number, source in sorted(cited.items()))


if __name__ == "__main__":
    create_demo(library_graph(checkpointer=InMemorySaver())).launch()
