"""What optimisation does for the embedded model: one prompt that classifies, held out and honest.

The questions of `examples/routing` that one route answers are divided in three, half of them held
out: with fewer, hardly a change could be shown. The prompt names that route, held to the five names
by a JSON schema. It is tuned by demos (`bootstrap`) and by instructions that the embedded model
writes itself (`gepa-light`); what is reported are the held-out scores, before and after, and the
verdict.
"""

from pathlib import Path
from typing import Any, Literal, TypedDict

from langgraph.graph import START, StateGraph
from pydantic import BaseModel, Field

from agentkit import Prompt, chat_model
from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Score
from agentkit.optimization import optimize
from benchmarks._report import parser, report
from benchmarks.routing import questions

OPTIMIZERS = ("bootstrap", "gepa-light")
SHARES = (0.25, 0.25, 0.5)


class Topic(BaseModel):
    """What a question is about."""

    topic: Literal["documents", "shop", "network", "calculator", "chat"] = Field(
        description="Who answers it"
    )


CLASSIFY = Prompt(
    "desk.topic",
    "Who answers the question? documents: a library. shop: a music shop. network: research and "
    "papers. calculator: numbers. chat: greetings.",
    {"question": str},
    Topic,
)


class State(TypedDict, total=False):
    """A question in, its topic out."""

    question: str
    topic: str


def graph_of(model: Any) -> Any:
    """A graph of the one prompt."""

    async def classify(state: State) -> State:
        found = await CLASSIFY.ainvoke(model, question=state["question"])
        return {"topic": found.topic}

    graph = StateGraph(State)
    graph.add_node("classify", classify)
    graph.add_edge(START, "classify")
    return graph.compile(name="desk")


def dataset() -> list[dict[str, Any]]:
    """The questions that one route answers."""
    asked = [each for each in questions() if len(each["routes"]) == 1]
    return [{"question": each["question"], "topic": each["routes"][0]} for each in asked]


def is_topic(example: Example, output: Any) -> Score:
    """Whether the topic is the right one."""
    wanted = example.expected["topic"]
    right = output["topic"] == wanted
    return Score(float(right), "" if right else f"It is {wanted}, not {output['topic']}.")


def measure(*, calls: int, seed: int, concurrency: int, kept: Path | None) -> list[dict[str, Any]]:
    """A row for each optimiser: held-out scores with intervals, and what it took."""
    rows = []
    data, model = dataset(), chat_model("local")
    for optimizer in OPTIMIZERS:
        found = optimize(
            graph_of(model),
            data,
            is_topic,
            optimizer,
            budget=calls,
            prompts=[CLASSIFY],
            writer=model,
            shares=SHARES,
            seed=seed,
            concurrency=concurrency,
            cache=kept,
        )
        after = found.after or found.before
        rows.append(
            {
                "optimiser": optimizer,
                "held out": len(found.before.scores),
                "before": round(found.before.mean, 3),
                "after": round(after.mean, 3),
                "difference": round(found.comparison.difference, 3) if found.comparison else 0.0,
                "from": round(found.comparison.low, 3) if found.comparison else 0.0,
                "to": round(found.comparison.high, 3) if found.comparison else 0.0,
                "p": round(found.comparison.p_value, 4) if found.comparison else 1.0,
                "shown": found.improved,
                "calls": found.spent.calls,
                "made now": found.spent.made,
                "seconds": round(found.seconds, 1),
            }
        )
        print(found)
        print(found.candidate["desk.topic"])
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--calls", type=int, default=240, help="the budget of each optimiser")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--concurrency", type=int, default=1, help="runs at once")
    options.add_argument("--kept", type=Path, help="a folder that keeps calls, to go on later")
    given = options.parse_args()
    settings = {name: getattr(given, name) for name in ("calls", "seed", "concurrency")}
    rows = measure(**settings, kept=given.kept)
    settings["examples"] = len(dataset())
    report("a prompt of the embedded model", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
