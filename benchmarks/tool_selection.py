"""How often the tool that a question needs is offered, of a thousand, and what that saves.

The tools are made of domains, things and verbs, each with a description and arguments. Questions
are asked in two ways: with other words than the tools, synonyms of the verb and of the thing; and
with the tools' own. Recall is the share of questions whose tool is offered; tokens are about those
of the tools' JSON schemas. The peer is BM25 over names and descriptions (bm25s).

How words and meaning are fused is tuned on every other question, by recall and then by mean
reciprocal rank, and told for those questions and for the others, which had no part in it. Neither
may count for more than twice the other: how good meaning is depends on the embeddings.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field

from agentkit import embeddings
from agentkit.databases.schema import count_tokens
from agentkit.middleware.selection import FUSION_K, FUSION_WEIGHTS, ToolIndex, fused
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
RECALLS = {"recall, other words": False, "recall, own words": True}
WEIGHTS = ((1, 1), (1, 2), (2, 1))
KS = (5, 20, 60)


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


def questions(*, own_words: bool = False) -> dict[str, tuple[str, str, str]]:
    """Two hundred questions, each with the tool that it needs; each thing and verb is there."""
    asked = {}
    for at, (thing, verb) in enumerate(itertools.product(THINGS, VERBS)):
        for domain in (list(DOMAINS)[at % 10], list(DOMAINS)[(at * 3 + 1) % 10]):
            words = DOMAINS[domain].split(" and ")[0].removeprefix("the ")
            question = f"Please {VERBS[verb][1]} {THINGS[thing]} ({domain}, {words}) number 7."
            if own_words:
                question = f"Please {verb} the {thing} number 7 of the {domain} system."
            asked[question] = (domain, thing, verb)
    return asked


@dataclass(frozen=True)
class Ranked:
    """A question with the tool that it needs, and the tools by words and by meaning."""

    needed: str
    own_words: bool
    by_words: list[str]
    by_meaning: list[str]

    def place(self, *, weights: Sequence[float], k: float) -> int | None:
        """Where the tool stands when the two are fused, from 0; None where it is not found."""
        names = fused(self.by_words, self.by_meaning, weights=weights, k=k)
        return names.index(self.needed) if self.needed in names else None


async def ranked(index: ToolIndex) -> list[Ranked]:
    """All questions."""
    known = tools()
    return [
        Ranked(known[needed].name, own_words, *await index.arankings(question))
        for own_words in (False, True)
        for question, needed in questions(own_words=own_words).items()
    ]


def tuned(asked: Sequence[Ranked], *, offered: int) -> tuple[tuple[float, float], float]:
    """The weights of words and meaning and the k, of a small grid, best for these questions."""

    def quality(settings: tuple[tuple[float, float], float]) -> tuple[float, float]:
        places = [each.place(weights=settings[0], k=settings[1]) for each in asked]
        found = [place for place in places if place is not None]
        return sum(place < offered for place in found), sum(1 / (place + 1) for place in found)

    return max(itertools.product(WEIGHTS, KS), key=quality)


def fusion(asked: Sequence[Ranked], *, offered: int) -> list[dict[str, Any]]:
    """Rows of both halves, before and after tuning on the first, and as agentkit has it."""
    ways: dict[str, tuple[Sequence[float], float]] = {
        "words 1, meaning 1, k 60": ((1, 1), 60),
        "words alone": ((1, 0), 60),
        "meaning alone": ((0, 1), 60),
        "tuned": tuned(asked[::2], offered=offered),
        "as agentkit has it": (FUSION_WEIGHTS, FUSION_K),
    }
    rows = []
    for way, (weights, k) in ways.items():
        told = f" (words {weights[0]:g}, meaning {weights[1]:g}, k {k:g})" if way == "tuned" else ""
        for half, part in {"tuned on": asked[::2], "held out": asked[1::2]}.items():
            row: dict[str, Any] = {"chosen by": f"{way}{told}, {half}", "offered": offered}
            for kind, own_words in RECALLS.items():
                places = [
                    each.place(weights=weights, k=k) for each in part if each.own_words is own_words
                ]
                found = sum(place is not None and place < offered for place in places)
                row[kind] = found / len(places)
            rows.append(row)
    return rows


async def measured(name: str, index: ToolIndex, *, offered: int) -> dict[str, Any]:
    """The figures of one way to choose."""
    known = {tool.name: tool for tool in tools().values()}
    await index.asearch("warm up", k=offered)

    async def choose(question: str) -> list[str]:
        return await index.asearch(question, k=offered)

    row, chosen = await _recalls(choose)
    tokens = [_schema_tokens([known[name] for name in names]) for names in chosen]
    return {
        "chosen by": name,
        "offered": offered,
        **row,
        "tokens": round(sum(tokens) / len(tokens)),
    }


async def by_bm25(*, offered: int) -> dict[str, Any]:
    """The peer."""
    import bm25s

    known = list(tools().values())
    texts = [f"{tool.name.replace('_', ' ')} {tool.description}" for tool in known]
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)

    async def choose(question: str) -> list[str]:
        words = bm25s.tokenize(question, show_progress=False)
        places, _ = retriever.retrieve(words, k=offered, show_progress=False)
        return [known[place].name for place in places[0]]

    return {"chosen by": "BM25 (bm25s)", "offered": offered, **(await _recalls(choose))[0]}


async def _recalls(
    choose: Callable[[str], Awaitable[list[str]]],
) -> tuple[dict[str, Any], list[list[str]]]:
    """Recall of both kinds of question and milliseconds for each, and what was chosen."""
    known, row, chosen, start = tools(), {}, [], time.perf_counter()
    for kind, own_words in RECALLS.items():
        asked = questions(own_words=own_words)
        names = [await choose(question) for question in asked]
        hits = [known[needed].name in n for needed, n in zip(asked.values(), names, strict=True)]
        row[kind] = sum(hits) / len(hits)
        chosen += names
    return {**row, "ms": round((time.perf_counter() - start) * 1_000 / len(chosen), 1)}, chosen


def _schema_tokens(chosen: list[BaseTool]) -> int:
    return count_tokens(json.dumps([convert_to_openai_tool(each) for each in chosen]))


async def measure(*, offered: int, meaning: Embeddings | None) -> list[dict[str, Any]]:
    """A row for each way to choose, and one for no choice."""
    known = list(tools().values())
    everything = {
        "chosen by": "no choice: all",
        "offered": len(known),
        **dict.fromkeys(RECALLS, 1.0),
    }
    rows = [
        {**everything, "tokens": _schema_tokens(known)},
        await by_bm25(offered=offered),
        await measured("words", ToolIndex(known), offered=offered),
    ]
    if meaning is not None:
        index = ToolIndex(known, embeddings=meaning)
        rows.append(await measured("words and meaning", index, offered=offered))
        rows += fusion(await ranked(index), offered=offered)
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--offered", type=int, default=24)
    given = options.parse_args()
    rows = asyncio.run(measure(offered=given.offered, meaning=embeddings("local")))
    settings = {"tools": len(tools()), "questions": 2 * len(questions())}
    report("choosing tools", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
