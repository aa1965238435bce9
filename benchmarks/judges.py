"""How far judges agree with labels: on counterfactual documents, where what is true is no help.

The data are RGB's questions on counterfactual robustness (Chen et al., 2024): documents that state
the right answer, the same ones with a wrong answer put in its place, and others on the topic. Each
answer is judged by each kind of document; the label says whether those documents state it. Left out
are questions whose documents state both answers, or neither, word by word. An answer is shown as
one sentence, the question and the answer.

`groundedness` is asked of both answers by both kinds of documents, `context_recall` of the right
answer by all three kinds, and `semantic_f1` of both answers against the right one. A judge that
says yes to all has a kappa of 0.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel

from agentkit import chat_model
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics import (
    Judge,
    aagreement,
    context_recall,
    groundedness,
    semantic_f1,
)
from agentkit.evaluation.scores import Output
from agentkit.retrieval.citations import stands_in
from benchmarks._report import parser, report

FILE = "rgb_en_fact.jsonl"

Labelled = tuple[Example, Output, float]


class Item:
    """A question with its right and its wrong answer, and the documents of each kind."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.id = str(content["id"])
        self.question = content["query"]
        self.right, self.wrong = flat(content["answer"]), flat(content["fakeanswer"])
        self.true, self.false, self.other = (
            [Document(text) for text in content[kind]]
            for kind in ("positive", "positive_wrong", "negative")
        )

    @property
    def is_clear(self) -> bool:
        """Whether each answer stands in its own documents, and in no others."""
        held = [
            any(stands_in(answer, document) for answer in answers for document in documents)
            for answers in (self.right, self.wrong)
            for documents in (self.true, self.false, self.other)
        ]
        return held == [True, False, False, False, True, False]

    def said(self, answers: Sequence[str]) -> str:
        """An answer as a sentence."""
        return f"{self.question.rstrip('?')}: {answers[0]}."

    def example(self, part: int) -> Example:
        """One of the item's outputs."""
        inputs = {"question": self.question}
        return Example(f"{self.id}-{part}", inputs, {"answer": self.said(self.right)})

    def grounded(self) -> list[tuple[Output, float]]:
        """Both answers by both kinds of documents."""
        return [
            ({"answer": self.said(answers), "documents": documents}, float(label))
            for answers, documents, label in (
                (self.right, self.true, True),
                (self.wrong, self.true, False),
                (self.right, self.false, False),
                (self.wrong, self.false, True),
            )
        ]

    def recalled(self) -> list[tuple[Output, float]]:
        """The right answer by each kind of documents."""
        kinds = ((self.true, 1.0), (self.false, 0.0), (self.other, 0.0))
        return [({"documents": documents}, label) for documents, label in kinds]

    def same(self) -> list[tuple[Output, float]]:
        """Both answers against the right one, which is put in other words."""
        told = [f"It is {answers[0]}." for answers in (self.right, self.wrong)]
        return [({"answer": text}, label) for text, label in zip(told, (1.0, 0.0), strict=True)]


JUDGES: dict[str, tuple[type[Judge], Callable[[Item], list[tuple[Output, float]]]]] = {
    "groundedness": (groundedness, Item.grounded),
    "context_recall": (context_recall, Item.recalled),
    "semantic_f1": (semantic_f1, Item.same),
}


def flat(answers: Any) -> list[str]:
    """The answers of a list, or lists of them."""
    if isinstance(answers, list):
        return [text for each in answers for text in flat(each)]
    return [str(answers).strip()]


def load(folder: Path) -> list[Item]:
    """The questions whose labels are sure."""
    lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    return [item for item in map(Item, map(json.loads, lines)) if item.is_clear]


async def measure(
    items: Sequence[Item], models: dict[str, BaseChatModel], *, concurrency: int = 8
) -> list[dict[str, Any]]:
    """A row for each judge and model."""
    rows = []
    for spec, model in models.items():
        for name, (make, outputs) in JUDGES.items():
            labelled: list[Labelled] = [
                (item.example(part), output, label)
                for item in items
                for part, (output, label) in enumerate(outputs(item))
            ]
            started = time.perf_counter()
            found = await aagreement(make(model), labelled, concurrency=concurrency)
            rows.append(
                {
                    "judge": f"{name}, {spec}",
                    "accuracy": found.accuracy,
                    "kappa": found.kappa,
                    "correlation": found.correlation,
                    "judged": found.count,
                    "not judged": len(found.failures),
                    "seconds": round(time.perf_counter() - started, 1),
                }
            )
    return rows


def options() -> argparse.ArgumentParser:
    given = parser(__doc__)
    given.add_argument("--data", type=Path, required=True, help=f"the folder of {FILE}")
    given.add_argument(
        "--model", action="append", required=True, metavar="SPEC", help="a chat model; repeatable"
    )
    given.add_argument("--questions", type=int, default=None, help="how many, from the first on")
    given.add_argument("--concurrency", type=int, default=8, help="outputs judged at once")
    return given


def main() -> None:
    given = options().parse_args()
    items = load(given.data)[: given.questions]
    models = {spec: chat_model(spec) for spec in given.model}
    rows = asyncio.run(measure(items, models, concurrency=given.concurrency))
    settings = {"questions": len(items), "models": given.model}
    report("agreement of judges", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
