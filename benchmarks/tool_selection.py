"""How often the tool that a question needs is offered, of a thousand, and what that saves.

The tools are made of domains, things and verbs, each with a description and arguments; the
questions are worded otherwise than the tools: with synonyms of the verb and of the thing. Recall is
the share of questions whose tool is offered; tokens are about those of the tools' JSON schemas. The
peer is BM25 over names and descriptions (bm25s).
"""

import asyncio
import itertools
import json
import time
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field

from agentkit import embeddings
from agentkit.databases.schema import count_tokens
from agentkit.middleware.selection import ToolIndex
from agentkit.tools import make_tool
from benchmarks._report import parser, report

DOMAINS = {
    "sales": "the shop's customers and orders",
    "payroll": "what employees are paid",
    "library": "books that are lent",
    "fleet": "the company's vehicles",
    "clinic": "patients and their visits",
    "warehouse": "what is in stock",
    "events": "conferences and their guests",
    "energy": "meters and what they read",
    "school": "pupils and lessons",
    "hotel": "rooms and guests",
}
THINGS = {
    "invoice": "bill",
    "address": "place of residence",
    "schedule": "timetable",
    "contract": "agreement",
    "report": "summary document",
    "reminder": "nudge",
    "photo": "picture",
    "rating": "score given by people",
    "discount": "price cut",
    "permit": "official permission",
}
VERBS = {
    "create": ("Make a new", "set up a fresh"),
    "find": ("Look up a", "show me the"),
    "update": ("Change a", "correct the"),
    "delete": ("Remove a", "get rid of the"),
    "export": ("Save a", "download the"),
    "approve": ("Accept a", "sign off on the"),
    "share": ("Send somebody a", "pass on the"),
    "archive": ("Put away a", "store for later the"),
    "compare": ("Set side by side one", "contrast the"),
    "translate": ("Put into another language a", "write in French the"),
}


class Which(BaseModel):
    """Which one."""

    key: str = Field(description="Its number or name")
    note: str = Field(default="", description="What else should be known")


def tools() -> dict[tuple[str, str, str], BaseTool]:
    """A thousand tools, by domain, thing and verb."""

    async def run(key: str, note: str = "") -> tuple[str, dict[str, Any]]:
        return f"{key} {note}", {}

    made = {}
    for domain, thing, verb in itertools.product(DOMAINS, THINGS, VERBS):
        told = f"{VERBS[verb][0]} {thing} in {domain}: {DOMAINS[domain]}."
        made[domain, thing, verb] = make_tool(run, told, Which, name=f"{domain}_{verb}_{thing}")
    return made


def questions() -> dict[str, tuple[str, str, str]]:
    """Two hundred questions, each with the tool that it needs; each thing and verb is there."""
    asked = {}
    for at, (thing, verb) in enumerate(itertools.product(THINGS, VERBS)):
        for domain in (list(DOMAINS)[at % 10], list(DOMAINS)[(at * 3 + 1) % 10]):
            words = DOMAINS[domain].split(" and ")[0].removeprefix("the ")
            question = f"Please {VERBS[verb][1]} {THINGS[thing]} ({domain}, {words}) number 7."
            asked[question] = (domain, thing, verb)
    return asked


async def measured(name: str, index: ToolIndex, *, offered: int) -> dict[str, Any]:
    """The figures of one way to choose."""
    known, asked = tools(), questions()
    await index.asearch("warm up", k=offered)
    found, tokens, start = 0, 0, time.perf_counter()
    for question, needed in asked.items():
        names = await index.asearch(question, k=offered)
        found += known[needed].name in names
        tokens += _schema_tokens([each for each in known.values() if each.name in set(names)])
    seconds = (time.perf_counter() - start) / len(asked)
    return {
        "chosen by": name,
        "recall": found / len(asked),
        "offered": offered,
        "tokens": round(tokens / len(asked)),
        "ms": seconds * 1_000,
    }


def by_bm25(*, offered: int) -> dict[str, Any]:
    """The peer."""
    import bm25s

    known, asked = tools(), questions()
    texts = [f"{tool.name.replace('_', ' ')} {tool.description}" for tool in known.values()]
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)
    keys, found, start = list(known), 0, time.perf_counter()
    for question, needed in asked.items():
        words = bm25s.tokenize(question, show_progress=False)
        places, _ = retriever.retrieve(words, k=offered, show_progress=False)
        found += needed in [keys[place] for place in places[0]]
    seconds = (time.perf_counter() - start) / len(asked)
    return {
        "chosen by": "BM25 (bm25s)",
        "recall": found / len(asked),
        "offered": offered,
        "ms": seconds * 1_000,
    }


def _schema_tokens(chosen: list[BaseTool]) -> int:
    return count_tokens(json.dumps([convert_to_openai_tool(each) for each in chosen]))


async def measure(*, offered: int, meaning: Embeddings | None) -> list[dict[str, Any]]:
    """A row for each way to choose, and one for no choice."""
    known = list(tools().values())
    rows = [
        {"chosen by": "all", "recall": 1.0, "offered": len(known), "tokens": _schema_tokens(known)},
        by_bm25(offered=offered),
        await measured("words", ToolIndex(known), offered=offered),
    ]
    if meaning is not None:
        index = ToolIndex(known, embeddings=meaning)
        rows.append(await measured("words and meaning", index, offered=offered))
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--offered", type=int, default=24)
    given = options.parse_args()
    rows = asyncio.run(measure(offered=given.offered, meaning=embeddings("local")))
    settings = {"tools": len(tools()), "questions": len(questions())}
    report("choosing tools", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
