"""Progress events: what a graph writes to `stream_mode="custom"` while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from langchain_core.documents import Document
from typing_extensions import TypedDict


class QueriesWritten(TypedDict):
    """The question was rewritten into these search queries."""

    type: Literal["queries_written"]
    queries: list[str]


class DocumentsFound(TypedDict):
    """One retriever answered one query."""

    type: Literal["documents_found"]
    query: str
    retriever: str
    count: int


class DocumentsRanked(TypedDict):
    """The documents that the answer may draw on, best first."""

    type: Literal["documents_ranked"]
    documents: list[Document]


class DocumentsGraded(TypedDict):
    """How many of the documents were graded as relevant to the question."""

    type: Literal["documents_graded"]
    relevant: int
    graded: int


class SchemaLinked(TypedDict):
    """The tables that the question is about."""

    type: Literal["schema_linked"]
    tables: list[str]


class FoundValue(TypedDict):
    """A value of a database that words of the question, `phrase`, mean."""

    phrase: str
    table: str
    column: str
    value: str


class ValuesFound(TypedDict):
    """The values of the database that words of the question mean."""

    type: Literal["values_found"]
    values: list[FoundValue]


class QueriesDrafted(TypedDict):
    """Database queries were written; none of them has been checked yet."""

    type: Literal["queries_drafted"]
    queries: list[str]


class QueryTried(TypedDict):
    """A query was checked or run: how it ended, and what was wrong with it."""

    type: Literal["query_tried"]
    query: str
    outcome: str
    problem: str
    rows: int


class AnswerRepaired(TypedDict):
    """The answer did not hold and another took its place: this one counts."""

    type: Literal["answer_repaired"]
    problems: list[str]
    answer: str


class ToolCalled(TypedDict):
    """A tool begins to run."""

    type: Literal["tool_called"]
    tool: str
    arguments: Mapping[str, Any]


Outcome = Literal["ok", "error", "rejected", "repeated", "unknown"]
"""How a tool call ended; `repeated` and `unknown` were not run."""


class ToolCallRecord(TypedDict):
    """One call of a tool.

    `number` is the one by which the answer cites its result; `tokens` is about how long the result
    is as the model was shown it; `seconds` leaves out what a person took to approve it.
    """

    number: int
    tool: str
    arguments: dict[str, Any]
    seconds: float
    tokens: int
    outcome: Outcome
    sources: list[dict[str, Any]]


class ToolFinished(ToolCallRecord):
    """A tool call has ended."""

    type: Literal["tool_finished"]


class ToolsSelected(TypedDict):
    """Of many tools, the ones that the model is offered for this question."""

    type: Literal["tools_selected"]
    tools: list[str]


class ConversationSummarized(TypedDict):
    """Older messages were taken into the running summary."""

    type: Literal["conversation_summarized"]
    messages: int
    summary: str


class MemoriesRecalled(TypedDict):
    """What was remembered of the user for this message."""

    type: Literal["memories_recalled"]
    memories: list[str]


class MemoriesChanged(TypedDict):
    """What was learnt of the user, put in place of something else, and forgotten."""

    type: Literal["memories_changed"]
    added: list[str]
    replaced: list[str]
    forgotten: list[str]


class ChosenRoute(TypedDict):
    """A part of a question, and who is to answer it, the best first; nobody where none can."""

    question: str
    routes: list[str]
    confidence: float


class RoutesChosen(TypedDict):
    """The question was divided into these parts."""

    type: Literal["routes_chosen"]
    parts: list[ChosenRoute]


class StepFailed(TypedDict):
    """A step failed and the graph went on without it.

    `step` is what was done (such as `retrieve`), `name` what failed at it (such as a retriever's
    name), `error` the error's type and message.
    """

    type: Literal["step_failed"]
    step: str
    name: str
    error: str


class Notice(TypedDict):
    """Something that a developer should know and that stops nothing."""

    type: Literal["notice"]
    message: str


Event: TypeAlias = (
    QueriesWritten
    | DocumentsFound
    | DocumentsRanked
    | DocumentsGraded
    | SchemaLinked
    | ValuesFound
    | QueriesDrafted
    | QueryTried
    | AnswerRepaired
    | ToolCalled
    | ToolFinished
    | ToolsSelected
    | ConversationSummarized
    | MemoriesRecalled
    | MemoriesChanged
    | RoutesChosen
    | StepFailed
    | Notice
)


def emit(event: Event) -> None:
    """Write an event to the custom stream of the graph that is running; outside one, nothing."""
    from langgraph.config import get_stream_writer

    try:
        write = get_stream_writer()
    except (RuntimeError, KeyError):
        return
    write(event)


def tell_failure(step: str, name: str, error: BaseException) -> StepFailed:
    """Write the event of a failed step, and return it for the `failures`."""
    failure = step_failed(step, name, error)
    emit(failure)
    return failure


def step_failed(step: str, name: str, error: BaseException) -> StepFailed:
    """The event of a failed step."""
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return {"type": "step_failed", "step": step, "name": name, "error": message}
