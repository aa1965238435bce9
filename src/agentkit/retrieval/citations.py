"""Citations: documents numbered for the model, and its `[n]` checked against them without one."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from langchain_core.documents import Document
from typing_extensions import TypedDict

from agentkit._numbers import whole_number
from agentkit._text import without_tags
from agentkit.retrieval.documents import document_id
from agentkit.retrieval.words import folded_words

# brackets in code, as in items[0], cite nothing; nor do numbers longer than any document's
_CODE = r"^[ \t]*```[^\n]*\n.*?(?:^[ \t]*```|\Z)|`[^`\n]+`"
_BRACKETS = r"\[\d{1,9}(?:\s*[,;]\s*\d{1,9})*\]"
_MARK = re.compile(rf"{_CODE}|(?P<mark>{_BRACKETS})", re.DOTALL | re.MULTILINE)
_MARKS_IN_A_ROW = re.compile(
    rf"{_CODE}|(?<![ \t])(?P<gap>[ \t]*)(?P<marks>{_BRACKETS}(?:[ \t]*{_BRACKETS})*)",
    re.DOTALL | re.MULTILINE,
)
_QUOTED = re.compile(r"[\"“”„«»「」]([^\"“”„«»「」]+)[\"“”„«»「」]")
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")
_SENTENCE_END = re.compile(r"[.!?…]\s+\S|[。！？]")
_CUT = " […]"


class Citation(TypedDict):
    """One `[n]` of an answer.

    `number` is n, the document's place counted from 1; `document_id`, `source` and `title` say
    which document that is; `start` and `end` are where the mark stands in the answer, in
    characters; `quote` is what the answer takes from the document word by word before the mark,
    or empty.
    """

    number: int
    document_id: str
    source: str
    title: str
    start: int
    end: int
    quote: str


@dataclass(frozen=True)
class CheckedAnswer:
    """An answer, the citations in it that hold, and what is wrong with the others.

    `text` is the answer without the marks of documents that no citation of it holds for;
    `problems` are told in words that a model can act on.
    """

    text: str
    citations: list[Citation]
    problems: list[str]


class JudgedCitation(NamedTuple):
    """A citation as an answer makes it: of which number, and from where to where its mark stands.

    `problem` is what is wrong with it, or empty.
    """

    number: int
    start: int
    end: int
    problem: str


def render_documents(documents: Sequence[Document], max_chars: int | None = None) -> str:
    """Documents as a prompt shows them: numbered from 1, each fenced as data.

    Args:
        documents: The documents, in the order of their numbers.
        max_chars: How many characters of text they may have together; longer ones are cut, and
            marked as cut, so that each keeps a fair share. None for no limit.

    Returns:
        One `<document>` element each. A document's own text cannot close its element or open
        another. Characters that no server takes, lone surrogates and NUL, are replaced.

    Raises:
        ConfigurationError: When `max_chars` is negative.
    """
    return "\n".join(
        f'<document number="{number}"{_title_attribute(document)}>\n'
        f"{_harmless(document.page_content)}\n</document>"
        for number, document in enumerate(shortened(documents, max_chars), 1)
    )


def shortened(documents: Sequence[Document], max_chars: int | None) -> list[Document]:
    """The documents with at most so many characters together: only the longest are cut.

    Raises:
        ConfigurationError: When `max_chars` is negative.
    """
    if max_chars is not None:
        whole_number("max_chars", max_chars, least=0)
    budgets = _shares([len(document.page_content) for document in documents], max_chars)
    return [
        document
        if len(document.page_content) <= budget
        else document.model_copy(update={"page_content": _cut(document.page_content, budget)})
        for document, budget in zip(documents, budgets, strict=True)
    ]


def check_citations(
    answer: str, documents: Sequence[Document], *, quotes: bool = False
) -> CheckedAnswer:
    """Check an answer's `[n]` citations against its documents, without a model.

    Args:
        answer: The answer with its citations; `[1, 2]` is two. Brackets in Markdown code are none.
        documents: The documents, numbered from 1 in this order.
        quotes: Whether each citation must follow a quotation, whose words must stand in that
            document (case, punctuation and white space aside).

    Returns:
        The citations that hold, in the order of the text. Problems are numbers that no document
        has, quotations that do not stand in the document, and no citation at all.
    """
    checker = _Checker(documents, quotes=quotes)
    held, failed, problems = checker.sort(answer)
    if not held and not problems:
        problems.append("No document is cited.")
    wrong = failed - {citation["number"] for citation in held}
    if not wrong:
        return CheckedAnswer(answer, held, problems)
    text = without_citations(answer, wrong)
    return CheckedAnswer(text, checker.sort(text)[0], problems)


def judge_citations(
    answer: str, documents: Sequence[Document], *, quotes: bool = False
) -> list[JudgedCitation]:
    """Judge each citation of an answer by itself, without a model.

    A quotation in a citation's own sentence must stand in its document, whatever `quotes` says.

    Args:
        answer: The answer with its citations.
        documents: The documents, numbered from 1 in this order.
        quotes: Whether each citation must follow a quotation.
    """
    checker = _Checker(documents, quotes=quotes)
    return [
        JudgedCitation(
            number, *mark.span(), problem=problem or checker.misquoted(statement, number)
        )
        for statement, mark, number, _, problem in checker.each(answer)
    ]


def stands_in(words: str, document: Document) -> bool:
    """Whether words stand in a document, side by side: case, punctuation and white space aside."""
    folded = folded_words(words)
    return bool(folded) and f" {folded} " in f" {folded_words(document.page_content)} "


def without_citations(answer: str, numbers: Collection[int] | None = None) -> str:
    """The answer without the marks of these numbers, or without any."""

    def kept(mark: re.Match[str]) -> str:
        cited = _numbers(mark.group())
        left = [] if numbers is None else [number for number in cited if number not in numbers]
        if left == cited:
            return mark.group()
        return f"[{', '.join(map(str, left))}]" if left else ""

    def replaced(row: re.Match[str]) -> str:
        if row["marks"] is None:
            return row.group()
        marks = [kept(mark) for mark in _MARK.finditer(row["marks"])]
        return row["gap"] + "".join(marks) if any(marks) else ""

    return _MARKS_IN_A_ROW.sub(replaced, answer).strip()


def renumbered(answer: str, numbers: Mapping[int, int]) -> str:
    """The answer with other numbers in its marks; those that have none are left out.

    Args:
        answer: The answer.
        numbers: The new number for each old one.
    """

    def told(mark: re.Match[str]) -> str:
        if mark["mark"] is None:
            return mark.group()
        return f"[{', '.join(str(numbers[number]) for number in _numbers(mark.group()))}]"

    known = without_citations(answer, set(cited_numbers(answer)) - numbers.keys())
    return _MARK.sub(told, known)


class _Checker:
    """Sorts citations into those that hold and those that do not.

    Each document is folded once, and only when words are looked for in it.
    """

    def __init__(self, documents: Sequence[Document], *, quotes: bool) -> None:
        self.documents = documents
        self.quotes = quotes
        self._folded: dict[int, str] = {}

    def sort(self, answer: str) -> tuple[list[Citation], set[int], list[str]]:
        """The citations that hold, the numbers of those that do not, and why."""
        held: list[Citation] = []
        failed: set[int] = set()
        problems: dict[str, None] = {}
        for _, mark, number, quote, problem in self.each(answer):
            if problem:
                failed.add(number)
                problems[problem] = None
            else:
                held.append(_citation(number, self.documents[number - 1], mark.span(), quote))
        return held, failed, list(problems)

    def each(self, answer: str) -> Iterator[tuple[str, re.Match[str], int, str, str]]:
        """Each citation: its statement, mark and number, what it quotes, and what is wrong."""
        quote_in = functools.cache(self._quote)
        for statement, mark in _cited_statements(answer):
            for number in _numbers(mark.group()):
                quote = quote_in(statement, number)
                yield statement, mark, number, quote, self._problem(statement, number, quote)

    def misquoted(self, statement: str, number: int) -> str:
        """What is wrong with a quotation in the last sentence of a statement; empty for nothing."""
        quotations = list(_QUOTED.finditer(statement))
        if not quotations or _SENTENCE_END.search(statement, quotations[-1].end()):
            return ""
        quoted = quotations[-1][1]
        return "" if self._stands_in(quoted, number) else _not_in_document(quoted, number)

    def _problem(self, statement: str, number: int, quote: str) -> str:
        if not self.documents:
            return f"[{number}] is cited, but there are no documents."
        if not self._exists(number):
            return (
                f"[{number}] is cited, but the documents are numbered 1 to {len(self.documents)}."
            )
        if not self.quotes:
            return ""
        quoted = _last_quotation(statement)
        if not quoted:
            return f'No quotation stands before [{number}]; it needs words of that document in "".'
        if quoted != quote:
            return _not_in_document(quoted, number)
        return ""

    def _quote(self, statement: str, number: int) -> str:
        """The words of the document that a statement quotes, or is made of; else nothing."""
        if self._exists(number):
            for words in (_last_quotation(statement), statement.strip(" \t\r\n.,;:")):
                if self._stands_in(words, number):
                    return words
        return ""

    def _exists(self, number: int) -> bool:
        return 1 <= number <= len(self.documents)

    def _stands_in(self, words: str, number: int) -> bool:
        folded = folded_words(words)
        if not folded:
            return False
        if number not in self._folded:
            content = self.documents[number - 1].page_content
            self._folded[number] = f" {folded_words(content)} "
        return f" {folded} " in self._folded[number]


def _cited_statements(answer: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Each mark with the text since the mark before it; marks side by side share one."""
    statement = ""
    end = 0
    for mark in _MARK.finditer(answer):
        if mark["mark"] is None:
            continue
        between = answer[end : mark.start()]
        if re.search(r"\w", between):
            statement = between
        end = mark.end()
        yield statement, mark


def cited_numbers(answer: str) -> list[int]:
    """The numbers that an answer cites, each once, in the order of the text."""
    marks = (mark["mark"] for mark in _MARK.finditer(answer) if mark["mark"])
    return list(dict.fromkeys(number for mark in marks for number in _numbers(mark)))


def _numbers(mark: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", mark)]


def _last_quotation(statement: str) -> str:
    quotations = _QUOTED.findall(statement)
    return quotations[-1] if quotations else ""


def _not_in_document(quoted: str, number: int) -> str:
    return f'"{quoted}" does not stand in document [{number}].'


def _citation(number: int, document: Document, span: tuple[int, int], quote: str) -> Citation:
    return {
        "number": number,
        "document_id": document_id(document),
        "source": str(document.metadata.get("source") or ""),
        "title": str(document.metadata.get("title") or ""),
        "start": span[0],
        "end": span[1],
        "quote": quote,
    }


def _title_attribute(document: Document) -> str:
    title = str(document.metadata.get("title") or document.metadata.get("source") or "")
    cleaned = " ".join(re.sub(r'[<>"]', " ", _sendable(title)).split())
    return f' title="{_cut(cleaned, 200)}"' if cleaned else ""


def _harmless(text: str) -> str:
    """The text with any tag that could be taken for a fence of the prompt opened up."""
    return without_tags(_sendable(text), "document", "documents")


def _sendable(text: str) -> str:
    return _UNSENDABLE.sub("\ufffd", text)


def _cut(text: str, budget: int) -> str:
    if len(text) <= budget:
        return text
    return text[: budget - len(_CUT)] + _CUT if budget > len(_CUT) else text[:budget]


def _shares(lengths: Sequence[int], budget: int | None) -> list[int]:
    """How many characters each text may keep, so that only the longest are cut."""
    if budget is None or sum(lengths) <= budget:
        return list(lengths)
    shares = [0] * len(lengths)
    left = budget
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    for done, place in enumerate(by_length):
        shares[place] = min(lengths[place], left // (len(lengths) - done))
        left -= shares[place]
    return shares
