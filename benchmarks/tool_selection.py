"""How often the tool that a question needs is offered, of a thousand, and what that saves.

The tools are made of domains, things and verbs, each with a description and arguments: 299 others
share one of the three with a given tool, and 27 two. Each of a hundred tools is asked for in three
wordings: with no word of its name, with the thing's, and with the domain's. Recall is the share of
questions whose tool is offered, of all and of each wording; tokens are about those of the tools'
JSON schemas; milliseconds are one choice's. The peer is BM25 over names and descriptions (bm25s).
"""

import asyncio
import functools
import itertools
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.embeddings import Embeddings
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field

from agentkit import embeddings
from agentkit.databases.schema import count_tokens
from agentkit.middleware.selection import ToolIndex
from agentkit.tools import make_tool
from benchmarks._report import parser, report

Choose = Callable[[str], Awaitable[list[str]]]

DOMAINS = {  # what the description says of it, and what a question does
    "sales": ("the shop's customers and orders", "for somebody who bought from us"),
    "payroll": ("what employees are paid", "for the monthly wages of our staff"),
    "library": ("books that are lent", "for the woman who borrows novels"),
    "fleet": ("the company's vehicles", "for one of our vans"),
    "clinic": ("patients and their visits", "for a man whom the doctor treats"),
    "warehouse": ("what is in stock", "for the goods on our shelves"),
    "events": ("conferences and their guests", "for the congress and those who attend"),
    "energy": ("meters and what they read", "for our use of electricity"),
    "school": ("pupils and lessons", "for a child in the maths class"),
    "hotel": ("rooms and guests", "for somebody who stays overnight"),
}
THINGS = {
    "invoice": "bill",
    "address": "place of residence",
    "schedule": "timetable",
    "contract": "signed agreement",
    "report": "written summary",
    "reminder": "nudge not to forget",
    "photo": "picture",
    "rating": "number of stars",
    "discount": "price cut",
    "permit": "official authorisation",
}
VERBS = {
    "create": ("Make a new", "set up a fresh"),
    "find": ("Look up a", "show me the"),
    "update": ("Change a", "correct the"),
    "delete": ("Remove a", "get rid of the"),
    "export": ("Save a", "download the"),
    "approve": ("Accept a", "give the green light to the"),
    "share": ("Send somebody a", "let my colleague have the"),
    "archive": ("Put away a", "keep for later years the"),
    "compare": ("Set side by side one", "tell me how it differs from last year's, the"),
    "translate": ("Put into another language a", "write in French the"),
}
REQUESTS = ("Please {}.", "Could you {}?", "I need you to {}.", "Today, {}, if you can.")
WORDINGS = ("own words", "thing named", "domain named")


class Which(BaseModel):
    """Which one."""

    key: str = Field(description="Its number or name")
    note: str = Field(default="", description="What else should be known")


class Question(NamedTuple):
    """A question, and the domain, thing and verb of the tool that it needs."""

    text: str
    wording: str
    needed: tuple[str, str, str]


def tools() -> list[BaseTool]:
    """A thousand tools: each verb of each thing in each domain."""

    async def run(key: str, note: str = "") -> tuple[str, dict[str, Any]]:
        return f"{key} {note}", {}

    made = []
    for domain, thing, verb in itertools.product(DOMAINS, THINGS, VERBS):
        told = f"{VERBS[verb][0]} {thing} in {domain}: {DOMAINS[domain][0]}."
        made.append(make_tool(run, told, Which, name=_name(domain, thing, verb)))
    return made


def questions() -> list[Question]:
    """Three hundred questions: each verb of each thing, in three wordings."""
    asked = []
    for place, (thing, verb) in enumerate(itertools.product(THINGS, VERBS)):
        domain = list(DOMAINS)[(place + place // len(VERBS)) % len(DOMAINS)]
        does, other, where = VERBS[verb][1], THINGS[thing], DOMAINS[domain][1]
        phrases = (
            f"{does} {other} {where}",
            f"{does} {thing} {where}",
            f"{does} {other} in {domain}",
        )
        request = REQUESTS[place % len(REQUESTS)]
        asked += [
            Question(request.format(phrase), wording, (domain, thing, verb))
            for wording, phrase in zip(WORDINGS, phrases, strict=True)
        ]
    return asked


async def measured(name: str, choose: Choose, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The figures of one way to choose, of tools of these sizes."""
    await choose("warm up")
    found: dict[str, list[bool]] = {wording: [] for wording in WORDINGS}
    tokens, seconds = [], []
    for question in questions():
        start = time.perf_counter()
        names = await choose(question.text)
        seconds.append(time.perf_counter() - start)
        found[question.wording].append(_name(*question.needed) in names)
        tokens.append(sum(sizes[each] for each in names))
    return {
        "chosen by": name,
        "recall": statistics.mean(itertools.chain(*found.values())),
        **{wording: statistics.mean(hits) for wording, hits in found.items()},
        "tokens": round(statistics.mean(tokens)),
        "ms": statistics.median(seconds) * 1_000,
    }


def by_bm25(known: Sequence[BaseTool], *, offered: int) -> Choose:
    """The peer."""
    import bm25s

    texts = [f"{tool.name.replace('_', ' ')} {tool.description}" for tool in known]
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)

    async def choose(question: str) -> list[str]:
        words = bm25s.tokenize(question, show_progress=False)
        places, _ = retriever.retrieve(words, k=offered, show_progress=False)
        return [known[place].name for place in places[0]]

    return choose


def _schema_tokens(tool: BaseTool) -> int:
    return count_tokens(json.dumps(convert_to_openai_tool(tool)))


def _name(domain: str, thing: str, verb: str) -> str:
    return f"{domain}_{verb}_{thing}"


async def measure(*, offered: int, meaning: Embeddings) -> list[dict[str, Any]]:
    """A row for each way to choose, after one for no choice."""
    known = tools()
    sizes = {tool.name: _schema_tokens(tool) for tool in known}
    by_words, by_both = ToolIndex(known), ToolIndex(known, embeddings=meaning)
    ways: dict[str, Choose] = {
        "BM25 (bm25s)": by_bm25(known, offered=offered),
        "words": functools.partial(by_words.asearch, k=offered),
        "words and meaning": functools.partial(by_both.asearch, k=offered),
    }
    rows = [await measured(name, choose, sizes) for name, choose in ways.items()]
    return [{"chosen by": "none: all offered", "recall": 1.0, "tokens": sum(sizes.values())}, *rows]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--offered", type=int, default=24, help="tools a question")
    given = options.parse_args()
    rows = asyncio.run(measure(offered=given.offered, meaning=embeddings("local")))
    settings = {"tools": len(tools()), "questions": len(questions()), "offered": given.offered}
    report("choosing tools", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
