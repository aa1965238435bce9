"""Graphs as the agents of a LangGraph supervisor, which hands work over to one or several at once.

It needs `pip install "agentkit-graphs[index,ingest,local,openai,sql]"` and a model that calls
tools. Start it:

    export OPENAI_API_KEY=...
    python -m examples.scripts.supervisor "When is the library open? How many customers are there?"
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import SystemMessage, ToolCall, ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send
from pydantic import BaseModel, Field

from agentkit import SQLDatabase, chat_model, create_text_to_sql
from examples.scripts.library import EXAMPLES, Graph, library_graph

TOLD = (
    "You lead a team. Hand each part of the user's request to the member who knows about it, and "
    "answer from what they reply, with their citations, once all is known."
)


class Work(BaseModel):
    question: str = Field(description="One whole question, which can be understood by itself")


def create_supervisor(model: BaseChatModel, team: Mapping[str, tuple[str, Graph]]) -> Graph:
    """A graph over `messages`.

    Args:
        model: A chat model that calls tools.
        team: What each member knows, and its graph, which takes a `question`.
    """
    schema = Work.model_json_schema()
    handoffs = [
        {"name": name, "description": knows, "parameters": schema}
        for name, (knows, _) in team.items()
    ]
    leader = model.bind_tools([{"type": "function", "function": each} for each in handoffs])

    async def supervise(state: MessagesState) -> Command[str]:
        reply = await leader.ainvoke([SystemMessage(TOLD), *state["messages"]])
        handed = [Send(call["name"], call) for call in reply.tool_calls]
        return Command(goto=handed or END, update={"messages": [reply]})

    def member(name: str, graph: Graph) -> Any:
        async def work(call: ToolCall) -> Command[str]:
            try:
                answer = (await graph.ainvoke({"question": call["args"]["question"]}))["answer"]
            except Exception as error:  # noqa: BLE001 - the leader is told, and goes on without
                answer = f"{name} failed: {type(error).__name__}: {error}"
            told = ToolMessage(answer, name=name, tool_call_id=call["id"])
            return Command(goto="supervise", update={"messages": [told]})

        return work

    graph = StateGraph(MessagesState)
    graph.add_node(supervise, destinations=(*team, END))
    for name, (_, agent) in team.items():
        graph.add_node(name, member(name, agent), destinations=("supervise",))
    graph.add_edge(START, "supervise")
    return graph.compile(name="supervisor").with_config(recursion_limit=20)


async def main(question: str) -> None:
    model = chat_model("openai:gpt-5-mini")
    with SQLDatabase(str(EXAMPLES / "music_shop" / "music_shop.sqlite")) as shop:
        team = {
            "library": ("The library: loans, hours, rooms, events.", library_graph(model)),
            "shop": ("The music shop's customers, sales, tracks.", create_text_to_sql(model, shop)),
        }
        result = await create_supervisor(model, team).ainvoke({"messages": [("user", question)]})
    print(result["messages"][-1].text)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
