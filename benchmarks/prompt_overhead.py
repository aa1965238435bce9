"""What a call of a `Prompt` costs over a bare call of the model, which takes no time to reply.

Text: `Prompt.ainvoke` beside `model.ainvoke` with the same messages, made beforehand. Structured:
beside a chain of `model.with_structured_output`, built once. Each round makes many calls of each in
a row, in an order that is drawn anew; a ratio is the median of the rounds' own ratios.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, Field

from agentkit import Prompt
from benchmarks._report import parser, report

INPUTS = {"context": "Books may be kept for four weeks. " * 20, "question": "How long?"}
BOUND = 1.3


class Found(BaseModel):
    """What was found."""

    answer: str = Field(description="The answer")
    numbers: list[int] = Field(description="Where it stands")


class Instant(BaseChatModel):
    """Replies at once: with a text, or by the tool that it is told of."""

    @property
    def _llm_type(self) -> str:
        return "instant"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self.bind(tools=tools)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **given: Any
    ) -> ChatResult:
        call = {"name": "Found", "args": {"answer": "Four weeks.", "numbers": [1]}, "id": "1"}
        message = AIMessage("", tool_calls=[call]) if given.get("tools") else AIMessage("Four.")
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages: list[BaseMessage], *given: Any, **more: Any) -> ChatResult:
        return self._generate(messages, *given, **more)


def calls() -> Mapping[str, tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]]]]:
    """Of each kind: the bare call, and the prompt's."""
    model = Instant()
    types = dict.fromkeys(INPUTS, str)
    text = Prompt("bench.text", "Answer the question from the context.", types, str)
    found = Prompt("bench.found", "Answer the question from the context.", types, Found)
    chain = model.with_structured_output(Found)
    messages = {prompt.name: prompt.render(INPUTS) for prompt in (text, found)}
    return {
        "text": (
            lambda: model.ainvoke(messages[text.name]),
            lambda: text.ainvoke(model, **INPUTS),
        ),
        "structured": (
            lambda: chain.ainvoke(messages[found.name]),
            lambda: found.ainvoke(model, **INPUTS),
        ),
    }


async def measure(*, rounds: int, times: int, seed: int = 0) -> list[dict[str, Any]]:
    """A row for each kind of output: microseconds a call, and the ratio."""
    chance = random.Random(seed)
    rows = []
    for kind, (bare, prompt) in calls().items():
        taken: dict[str, list[float]] = {"bare": [], "prompt": []}
        ways = {"bare": bare, "prompt": prompt}
        for _ in range(rounds + 1):
            for name in chance.sample(list(ways), k=2):
                started = time.perf_counter()
                for _ in range(times):
                    await ways[name]()
                taken[name].append((time.perf_counter() - started) / times)
        ratios = [own / base for own, base in zip(*reversed(taken.values()), strict=True)][1:]
        rows.append(
            {
                "output": kind,
                "bare call, µs": round(statistics.median(taken["bare"][1:]) * 1e6, 1),
                "Prompt, µs": round(statistics.median(taken["prompt"][1:]) * 1e6, 1),
                "ratio": round(statistics.median(ratios), 3),
                "bound": BOUND,
            }
        )
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=40, help="rounds of calls")
    options.add_argument("--times", type=int, default=200, help="calls in a row")
    given = options.parse_args()
    rows = asyncio.run(measure(rounds=given.rounds, times=given.times))
    settings = {"rounds": given.rounds, "times": given.times}
    report("a call of a prompt", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
