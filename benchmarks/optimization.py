"""How near optimisation comes to the time that its model calls take by themselves.

A model takes 200 ms a call, and eight runs of a graph with one prompt may go at once. What calls
go together is for the optimiser to say: `bootstrap` learns from one example after the other, GEPA
looks at three at a time. Calls that overlap, or are joined by others that do, are one batch; the
ideal is all batches, one after the other, each in rounds of eight. "One by one" counts the calls
that were a batch by themselves.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from langchain_core.messages import BaseMessage
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime

from agentkit import Prompt
from agentkit.evaluation.examples import Example
from agentkit.optimization import optimize
from agentkit.testing import Reply, Script, ScriptedChatModel
from benchmarks._report import parser, report

ANSWER = Prompt("bench.answer", "Answer.", {"question": str}, str)
GOOD = "Answer in capitals."
AT_ONCE = 8
BOUND = 1.2


class State(TypedDict, total=False):
    """A question in, an answer out."""

    question: str
    answer: str


def graph_of(model: ScriptedChatModel) -> Any:
    """A graph that asks one prompt."""

    async def answer(state: State, runtime: Runtime[Any]) -> State:
        return {"answer": await ANSWER.ainvoke(model, question=state["question"])}

    graph = StateGraph(State)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph.compile(name="bench")


def is_shouted(example: Example, output: Any) -> float:
    """Whether the answer is in capitals."""
    return float(output["answer"].isupper())


class Timed:
    """Notes when the calls of a model begin."""

    def __init__(self, reply: Callable[[list[BaseMessage]], str], seconds: float) -> None:
        self.starts: list[float] = []
        self._reply = reply
        self._seconds = seconds
        self._lock = threading.Lock()

    def __call__(self, messages: list[BaseMessage]) -> Reply:
        with self._lock:
            self.starts.append(time.perf_counter())
            text = self._reply(messages)
        return Reply(text, delay=self._seconds)


def batches(starts: Sequence[float], seconds: float) -> list[int]:
    """How many calls each batch has, of calls that begin then and take so long."""
    sizes: list[int] = []
    ends = -math.inf
    for start in sorted(starts):
        if start >= ends:
            sizes.append(0)
        sizes[-1] += 1
        ends = start + seconds
    return sizes


def measure(*, seconds: float, examples: int, optimizers: list[str]) -> list[dict[str, Any]]:
    """A row for each optimiser: its seconds beside the ideal of its calls."""
    rows = []
    for optimizer in optimizers:
        _optimized(optimizer, 8, 0.0)  # what is imported, and the first call of everything
        starts, taken = _optimized(optimizer, examples, seconds)
        sizes = batches(starts, seconds)
        ideal = sum(math.ceil(size / AT_ONCE) for size in sizes) * seconds
        rows.append(
            {
                "optimiser": optimizer,
                "calls": len(starts),
                "one by one": sizes.count(1),
                "ideal, s": round(ideal, 2),
                "taken, s": round(taken, 2),
                "ratio": round(taken / ideal, 2),
                "bound": BOUND,
            }
        )
    return rows


def _optimized(optimizer: str, examples: int, seconds: float) -> tuple[list[float], float]:
    """When the model calls of an optimisation began, and what it took."""
    asked = 0

    def reply(messages: list[BaseMessage]) -> str:
        nonlocal asked
        asked += 1
        shown = any(message.type == "ai" for message in messages)
        return "YES" if shown or GOOD in messages[0].text or asked % 4 == 0 else "no"

    def write(messages: list[BaseMessage]) -> str:
        as_json = "JSON" in "\n".join(message.text for message in messages)
        return f'{{"new_instruction": "{GOOD}"}}' if as_json else f"```\n{GOOD}\n```"

    model, writer = Timed(reply, seconds), Timed(write, seconds)
    started = time.perf_counter()
    optimize(
        graph_of(ScriptedChatModel(Script(model))),
        [{"question": f"Is {n} a number?", "answer": "YES"} for n in range(examples)],
        is_shouted,
        optimizer,
        budget=4_000,
        prompts=[ANSWER],
        writer=ScriptedChatModel(Script(writer)),
        concurrency=AT_ONCE,
        cache=None,
    )
    return [*model.starts, *writer.starts], time.perf_counter() - started


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=0.2, help="a call of the model")
    options.add_argument("--examples", type=int, default=128)
    options.add_argument(
        "--optimizers", nargs="+", default=["bootstrap", "random", "gepa", "gepa-light"]
    )
    given = options.parse_args()
    settings = {name: getattr(given, name) for name in ("seconds", "examples", "optimizers")}
    report("an optimisation", measure(**settings), settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
