"""How often the routes that a question needs are chosen: by the labels of `examples/routing`.

A question is right when exactly its routes are chosen: one for most, several for those that ask for
several things, none for those that no route can answer. The baselines take the one route whose
description is nearest, by words (BM25) or by the embedded embeddings; they cannot be right on the
other two kinds. The router takes the nearest in place of the embedded chat model: what that model
itself chooses of the two nearest, held to their names by a JSON schema and the nearest last, where
it chooses best, is measured beside it. `--model SPEC` measures a model of yours by the router.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel, create_model
from typing_extensions import TypedDict

from agentkit import Route, chat_model, create_router, embeddings
from agentkit.graphs.router import RouteIndex
from agentkit.prompts import Prompt
from benchmarks._report import parser, report
from examples.routing.routes import DESCRIPTIONS

QUESTIONS = Path(__file__).parent.parent / "examples" / "routing" / "questions.jsonl"

Question = dict[str, Any]
Chooser = Callable[[str], Awaitable[list[str]]]


class Asked(TypedDict):
    """What the routes take and return."""

    question: str
    answer: str


def questions() -> list[Question]:
    """The questions and their routes."""
    return [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]


def routes() -> list[Route]:
    """The routes, with graphs that answer at once: only the choice is measured."""
    graph = StateGraph(Asked)
    graph.add_node("reply", lambda state: {"answer": "Done."})
    graph.add_edge(START, "reply")
    graph.add_edge("reply", END)
    return [Route(name, graph.compile(), told) for name, told in DESCRIPTIONS.items()]


def by_nearness(meaning: Embeddings | None) -> Chooser:
    """The baseline: the one route whose description is nearest."""
    index = RouteIndex({route.name: route for route in routes()}, meaning)

    async def choose(question: str) -> list[str]:
        return (await index.asearch(question))[:1]

    return choose


def by_router(model: BaseChatModel, meaning: Embeddings | None) -> Chooser:
    """The router."""
    graph = create_router(model, routes(), embeddings=meaning)

    async def choose(question: str) -> list[str]:
        result = await graph.ainvoke({"question": question})
        return [part["routes"][0] for part in result["parts"] if part["routes"]]

    return choose


class Picked(BaseModel):
    """The route that can answer the question."""

    route: str


PICK = Prompt(
    "routing.pick",
    "Choose the route whose description fits the question. Reply with its name.",
    {"routes": list[str], "question": str},
    Picked,
    demos=(
        {
            "routes": [
                "recipes: How dishes are cooked, and what is needed for them.",
                "trains: The timetable: when trains leave and arrive.",
            ],
            "question": "When does the last train to the coast leave?",
            "route": "trains",
        },
        {
            "routes": [
                "garden: Plants, and how they are looked after.",
                "members: The database of the club's members and what they have paid.",
            ],
            "question": "How often are roses watered?",
            "route": "garden",
        },
    ),
)


def by_schema(model: BaseChatModel, meaning: Embeddings) -> Chooser:
    """What a small model chooses of the two nearest, by their names in a JSON schema."""
    known = {route.name: route for route in routes()}
    index = RouteIndex(known, meaning)

    async def choose(question: str) -> list[str]:
        nearest, second = (await index.asearch(question))[:2]
        names: Any = Literal[(second, nearest)]  # type: ignore[valid-type]
        prompt = replace(PICK, output=create_model("Picked", route=(names, ...)))
        shown = [str(known[name]) for name in (second, nearest)]
        picked: Any = await prompt.ainvoke(model, routes=shown, question=question)
        return [picked.route]

    return choose


async def measured(name: str, choose: Chooser, asked: Sequence[Question]) -> dict[str, Any]:
    """The shares of the questions whose routes are exactly the chosen ones."""
    await choose("What is this about?")  # what is loaded and embedded once is not measured
    start = time.perf_counter()
    right = {
        each["question"]: sorted(await choose(each["question"])) == sorted(each["routes"])
        for each in asked
    }
    seconds = (time.perf_counter() - start) / len(asked)

    def share(kind: Callable[[int], bool]) -> float:
        of_kind = [right[each["question"]] for each in asked if kind(len(each["routes"]))]
        return sum(of_kind) / len(of_kind)

    return {
        "chosen by": name,
        "all": share(lambda count: True),
        "one route": share(lambda count: count == 1),
        "several": share(lambda count: count > 1),
        "none": share(lambda count: count == 0),
        "ms": seconds * 1_000,
    }


async def measure(
    models: dict[str, BaseChatModel],
    *,
    small: BaseChatModel,
    meaning: Embeddings,
    asked: Sequence[Question],
) -> list[dict[str, Any]]:
    """A row for each way to choose."""
    ways = {
        "words (BM25)": by_nearness(None),
        "embeddings": by_nearness(meaning),
        "small model, by schema": by_schema(small, meaning),
        **{f"router, {name}": by_router(model, meaning) for name, model in models.items()},
    }
    return [await measured(name, choose, asked) for name, choose in ways.items()]


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "--model", action="append", metavar="SPEC", help="a chat model; repeatable"
    )
    given = options.parse_args()
    specs = given.model or ["local"]
    asked = questions()
    models = {spec: chat_model(spec) for spec in specs}
    small, meaning = chat_model("local"), embeddings("local")
    rows = asyncio.run(measure(models, small=small, meaning=meaning, asked=asked))
    settings = {"questions": len(asked), "routes": len(DESCRIPTIONS), "models": specs}
    report("routing", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
