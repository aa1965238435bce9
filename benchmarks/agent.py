"""What a step of a tool agent costs when model and tool cost nothing, beside other agents.

All do the same task: the model calls a tool so many times, one call after the other, and then
answers. The models are each library's own kind, and take no time to reply; LangChain's reports its
tokens, as those of servers do. `create_agent` is LangChain's, bare; agentkit's agent is that with
its limits, permissions, trace and bounds, as they are by default. One middleware that does nothing
shows what LangChain takes for any. LlamaIndex's agent is async and smolagents' sync; the others are
measured both ways.

The agents run in turn, in an order that is drawn anew in each round. A ratio is the median of the
rounds' own ratios to `create_agent`: what slows the machine for a while slows both.
"""

import asyncio
import random
import statistics
import time
import warnings
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeAlias

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, StructuredTool

from agentkit import create_tool_agent
from benchmarks._report import parser, report

TASK = "Count up, one at a time."
ANSWER = "Counted."

Way: TypeAlias = Literal["async", "sync"]
Run: TypeAlias = Callable[[], Coroutine[Any, Any, str]] | Callable[[], str]


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
        message.usage_metadata = {"input_tokens": 90, "output_tokens": 10, "total_tokens": 100}
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return self._generate(messages)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def add_async(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def tools() -> list[BaseTool]:
    """The one tool, sync and async."""
    return [StructuredTool.from_function(func=add, coroutine=add_async, name="add")]


def bare(steps: int, way: Way) -> Run:
    """`create_agent`."""
    agent = create_agent(Counting(steps=steps), tools())
    return _run(agent, way, lambda result: result["messages"][-1].text)


class Idle(AgentMiddleware[Any, Any, Any]):
    """Stands around the calls of model and tool, and does nothing."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(request)

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return handler(request)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await handler(request)


def idle(steps: int, way: Way) -> Run:
    """`create_agent` with one middleware that does nothing."""
    agent = create_agent(Counting(steps=steps), tools(), middleware=[Idle()])
    return _run(agent, way, lambda result: result["messages"][-1].text)


def agentkit(steps: int, way: Way) -> Run:
    """`create_tool_agent`."""
    agent = create_tool_agent(
        Counting(steps=steps),
        tools(),
        permissions={"add": "read"},
        max_model_calls=steps + 1,
        max_tool_calls=steps + 1,
    )
    return _run(agent, way, lambda result: result["answer"])


def _run(agent: Any, way: Way, answer: Callable[[Any], str]) -> Run:
    given = {"messages": [("user", TASK)]}

    async def arun() -> str:
        return answer(await agent.ainvoke(given))

    return arun if way == "async" else lambda: answer(agent.invoke(given))


def llama_index(steps: int, way: Way) -> Run:
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
        tools=[FunctionTool.from_defaults(async_fn=add_async, name="add")],
        llm=MockFunctionCallingLLM(response_generator=reply),
        streaming=False,
    )

    async def run() -> str:
        return str((await agent.run(TASK, max_iterations=steps + 5)).response.content)

    return run


def smolagents(steps: int, way: Way) -> Run:
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

    def run() -> str:
        agent = ToolCallingAgent(
            tools=[add], model=Scripted(), max_steps=steps + 2, verbosity_level=LogLevel.OFF
        )
        return str(agent.run(TASK))

    return run


AGENTS: dict[str, tuple[Callable[[int, Way], Run], tuple[Way, ...]]] = {
    "create_agent": (bare, ("async", "sync")),
    "create_agent, idle middleware": (idle, ("async", "sync")),
    "agentkit": (agentkit, ("async", "sync")),
    "LlamaIndex": (llama_index, ("async",)),
    "smolagents": (smolagents, ("sync",)),
}


def measure(*, steps: int, rounds: int, seed: int = 0) -> list[dict[str, Any]]:
    """A row for each agent: its milliseconds a step, and how many times `create_agent`'s."""
    rows: dict[str, dict[str, Any]] = {name: {"agent": name} for name in AGENTS}
    for way in ("async", "sync"):
        taken = _taken(way, steps=steps, rounds=rounds, chance=random.Random(seed))
        for name, seconds in taken.items():
            ratios = [own / bare for own, bare in zip(seconds, taken["create_agent"], strict=True)]
            rows[name][f"{way}, ms a step"] = statistics.median(seconds) * 1_000 / (steps + 1)
            rows[name][f"{way}, ratio"] = round(statistics.median(ratios), 2)
    return list(rows.values())


def _taken(way: Way, *, steps: int, rounds: int, chance: random.Random) -> dict[str, list[float]]:
    """For each agent that runs this way, the seconds of each round, after one that warms up."""
    runs = {name: make(steps, way) for name, (make, ways) in AGENTS.items() if way in ways}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    with asyncio.Runner() as runner:
        for _ in range(rounds + 1):
            for name in chance.sample(list(runs), k=len(runs)):
                start = time.perf_counter()
                answer = runs[name]()
                answer = answer if isinstance(answer, str) else runner.run(answer)
                taken[name].append(time.perf_counter() - start)
                assert answer == ANSWER, (name, answer)
    return {name: seconds[1:] for name, seconds in taken.items()}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=20, help="calls of the tool")
    options.add_argument("--rounds", type=int, default=50, help="runs of each agent")
    given = options.parse_args()
    rows = measure(steps=given.steps, rounds=given.rounds)
    settings = {"steps": given.steps, "rounds": given.rounds}
    report("a step of an agent", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
