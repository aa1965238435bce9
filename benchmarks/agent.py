"""What a step of a tool agent costs when model and tool cost nothing, beside other agents.

All do the same task: the model calls a tool so many times, one call after the other, and then
answers. The models are each library's own kind, and take no time to reply. `create_agent` is
LangChain's, bare; agentkit's agent is that with its limits, permissions, trace and bounds, as they
are by default. The agents run in turn, in an order that is drawn anew each time.
"""

import asyncio
import random
import statistics
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

from agentkit import create_tool_agent
from benchmarks._report import parser, report

TASK = "Count up, one at a time."
ANSWER = "Counted."

Run = Callable[[], Awaitable[str]]


class Counting(BaseChatModel):
    """Calls the tool so many times, and then answers."""

    steps: int

    @property
    def _llm_type(self) -> str:
        return "counting"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        done = sum(isinstance(message, ToolMessage) for message in messages)
        call = {"name": "add", "args": {"a": done, "b": 1}, "id": f"call{done}"}
        message = AIMessage(ANSWER) if done >= self.steps else AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return self._generate(messages)


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def bare(steps: int) -> Run:
    """`create_agent`."""
    agent = create_agent(Counting(steps=steps), [tool(add)])

    async def run() -> str:
        result = await agent.ainvoke({"messages": [("user", TASK)]})
        return str(result["messages"][-1].text)

    return run


def agentkit(steps: int) -> Run:
    """`create_tool_agent`."""
    agent = create_tool_agent(
        Counting(steps=steps),
        [tool(add)],
        permissions={"add": "read"},
        max_model_calls=steps + 1,
        max_tool_calls=steps + 1,
    )

    async def run() -> str:
        return str((await agent.ainvoke({"messages": [("user", TASK)]}))["answer"])

    return run


def llama_index(steps: int) -> Run:
    """`FunctionAgent`."""
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.core.base.llms.types import ToolCallBlock
    from llama_index.core.llms import ChatMessage, MessageRole
    from llama_index.core.llms.mock import MockFunctionCallingLLM
    from llama_index.core.tools import FunctionTool

    def reply(messages: Any, **_: Any) -> ChatMessage:
        done = sum(message.role == MessageRole.TOOL for message in messages)
        if done >= steps:
            return ChatMessage(ANSWER, role=MessageRole.ASSISTANT)
        call = ToolCallBlock(
            tool_call_id=str(done), tool_name="add", tool_kwargs={"a": done, "b": 1}
        )
        return ChatMessage(role=MessageRole.ASSISTANT, blocks=[call])

    agent = FunctionAgent(
        tools=[FunctionTool.from_defaults(async_fn=add)],
        llm=MockFunctionCallingLLM(response_generator=reply),
        streaming=False,
    )

    async def run() -> str:
        return str((await agent.run(TASK, max_iterations=steps + 5)).response.content)

    return run


def smolagents(steps: int) -> Run:
    """`ToolCallingAgent`, which is sync."""
    from smolagents import LogLevel, ToolCallingAgent
    from smolagents import tool as smol_tool
    from smolagents.models import (
        ChatMessage,
        ChatMessageToolCall,
        ChatMessageToolCallFunction,
        MessageRole,
        Model,
    )

    class Scripted(Model):
        done = 0

        def generate(self, messages: Any, **_: Any) -> ChatMessage:
            name, arguments = "add", {"a": self.done, "b": 1}
            if self.done >= steps:
                name, arguments = "final_answer", {"answer": ANSWER}
            self.done += 1
            function = ChatMessageToolCallFunction(name=name, arguments=arguments)
            call = ChatMessageToolCall(function=function, id=str(self.done), type="function")
            return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])

    warnings.simplefilter("ignore", UserWarning)  # of its decorator, used in a function

    @smol_tool
    def add(a: int, b: int) -> int:
        """Add two numbers.

        Args:
            a: The first.
            b: The second.
        """
        return a + b

    async def run() -> str:
        agent = ToolCallingAgent(
            tools=[add], model=Scripted(), max_steps=steps + 2, verbosity_level=LogLevel.OFF
        )
        return str(agent.run(TASK))

    return run


AGENTS = {
    "create_agent": bare,
    "agentkit": agentkit,
    "LlamaIndex": llama_index,
    "smolagents": smolagents,
}


async def measure(*, steps: int, times: int, seed: int = 0) -> list[dict[str, Any]]:
    """A row for each agent: its milliseconds a step, and how many times `create_agent`'s."""
    runs = {name: make(steps) for name, make in AGENTS.items()}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    chance = random.Random(seed)
    for _ in range(times + 1):
        for name in chance.sample(list(runs), k=len(runs)):
            start = time.perf_counter()
            answer = await runs[name]()
            taken[name].append(time.perf_counter() - start)
            assert answer == ANSWER, (name, answer)
    medians = {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
    return [
        {
            "agent": name,
            "ms a step": median * 1_000 / (steps + 1),
            "ratio": round(median / medians["create_agent"], 2),
        }
        for name, median in medians.items()
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=20, help="calls of the tool")
    options.add_argument("--times", type=int, default=50, help="runs of each agent")
    given = options.parse_args()
    rows = asyncio.run(measure(steps=given.steps, times=given.times))
    settings = {"steps": given.steps, "times": given.times}
    report("a step of an agent", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
