"""What metrics read of an example and an output, and what they say when it is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage

from agentkit.errors import ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Output
from agentkit.retrieval.documents import document_id


def expected(example: Example, field: str) -> Any:
    """A field of what is expected.

    Raises:
        ScoringError: When the example has none, or an empty one.
    """
    if field not in example.expected:
        there = ", ".join(example.expected) or "nothing"
        raise ScoringError(f"The example has no expected {field!r}; it has {there}.")
    value = example.expected[field]
    if value is None or value == "":
        raise ScoringError(f"The example's expected {field!r} is empty.")
    return value


def returned(output: Output, field: str) -> Any:
    """A field of what the graph returned.

    Raises:
        ScoringError: When there is none.
    """
    if not isinstance(output, Mapping):
        raise ScoringError(f"A graph's output is a mapping; got {type(output).__name__}.")
    if field not in output:
        raise ScoringError(
            f"The output has no {field!r}; it has {', '.join(map(str, output)) or 'nothing'}."
        )
    return output[field]


def answer_of(output: Output) -> str:
    """The answer: `answer`, or else what the last message says.

    Raises:
        ScoringError: When there is neither.
    """
    if isinstance(output, Mapping) and "answer" not in output and output.get("messages"):
        said = [each for each in output["messages"] if isinstance(each, AIMessage)]
        if said:
            return str(said[-1].text)
    return str(returned(output, "answer"))


def acceptable(example: Example, field: str = "answer") -> list[str]:
    """The answers that count as right: one, or several.

    Raises:
        ScoringError: When the example has none, an empty one, or what is no text.
    """
    wanted = expected(example, field)
    listed = list(wanted) if isinstance(wanted, list | tuple | set) else [wanted]
    if not all(isinstance(each, str | int | float) for each in listed):
        raise ScoringError(f"The expected {field!r} is a text, or several; got {wanted!r:.200}.")
    if not listed or not all(str(each).strip() for each in listed):
        raise ScoringError(f"The example's expected {field!r} is empty.")
    return [str(each) for each in listed]


def documents_of(output: Output) -> list[Document]:
    """The documents that the graph returned, the best first.

    Raises:
        ScoringError: When there are none to be found, or they are something else.
    """
    found = returned(output, "documents")
    if not isinstance(found, Sequence) or not all(isinstance(each, Document) for each in found):
        raise ScoringError(f"`documents` is a list of LangChain documents; got {found!r:.200}.")
    return list(found)


def document_ids(output: Output, *, by: str | None = None) -> list[str]:
    """The ids of the documents that the graph returned, each once, the best first.

    Args:
        output: What the graph returned.
        by: A metadata key whose values stand for the ids.

    Raises:
        ScoringError: When there are no documents to be found, or one lacks the key.
    """
    documents = documents_of(output)
    if by is None:
        return list(dict.fromkeys(map(document_id, documents)))
    for document in documents:
        if document.metadata.get(by) is None:
            there = ", ".join(map(str, document.metadata)) or "nothing"
            raise ScoringError(
                f"Document {document_id(document)} has no {by!r} in its metadata; it has {there}."
            )
    return list(dict.fromkeys(str(document.metadata[by]) for document in documents))
