"""What text-to-SQL and its sister share: a question in, a checked read-only query and its rows out.

A graph for one query language is a `QuerySource`, which knows the database, and `QueryPrompts`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypeAlias, cast
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.cache.base import BaseCache
from langgraph.channels import EphemeralValue
from langgraph.errors import NodeError
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.types import Checkpointer, Command, Overwrite, RetryPolicy, interrupt
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from agentkit._text import shortened
from agentkit.databases.answering import plain_answer, table_text, unsupported_numbers
from agentkit.databases.results import QueryResult, result_key
from agentkit.errors import (
    AgentkitError,
    ConfigurationError,
    DatabaseError,
    PromptOutputError,
    QueryError,
    QueryRefusedError,
    QueryTimeoutError,
)
from agentkit.events import FoundValue, StepFailed, emit, tell_failure
from agentkit.graphs.context import GraphContext
from agentkit.graphs.nodes import (
    Edge,
    EdgeFunction,
    Node,
    NodeFunction,
    drawable,
    extend,
    gone_without,
)
from agentkit.graphs.questions import (
    AskedMessages,
    AskedQuestion,
    new_messages,
    read_input,
    stand_alone,
)
from agentkit.models import most_choices
from agentkit.prompts import Prompt

QueryAnswerMode: TypeAlias = Literal["auto", "generative", "rows", "none"]
Outcome: TypeAlias = Literal[
    "rows", "empty", "suspicious", "error", "refused", "timeout", "unreachable", "repeated"
]
Approval: TypeAlias = Literal["never", "always"] | Callable[[str], bool]

_WEAK_TOKENS = 500
"""Tokens of the schema in a prompt of the embedded model, which reads slowly."""

NO_QUERY = "No working query could be made for this question."
"""The answer's first sentence where every attempt failed."""

DECLINED = "The query was declined, so there is no answer."
"""The answer where a person declined the query."""


class QueryContext(GraphContext):
    """What may change from one question to the next."""

    max_attempts: int = Field(
        default=3, ge=1, le=10, description="Queries to try, the repaired ones included."
    )
    candidates: int = Field(
        default=1,
        ge=1,
        le=10,
        description="Queries to draft at once; the result that most of them agree on is taken.",
    )
    max_rows: int = Field(default=200, ge=1, le=10_000, description="Rows to keep of a result.")
    timeout: float = Field(default=30, gt=0, description="Seconds that one query may take.")
    max_schema_tokens: int = Field(
        default=4_000, ge=100, description="Tokens of the schema in one prompt."
    )
    ground_values: bool = Field(
        default=True, description="Look the question's words up among the database's values."
    )
    examples_shown: int = Field(
        default=3, ge=0, le=20, description="Examples to show, the most similar ones."
    )
    repair: bool = Field(
        default=True,
        description="Repair a query that fails, finds nothing or looks wrong; the embedded model's "
        "never are.",
    )
    answer: QueryAnswerMode = Field(
        default="auto",
        description="'generative' writes, 'rows' shows the rows as they are, 'none' stops at "
        "them; 'auto' is rows for the embedded model, else generative.",
        json_schema_extra={"langgraph_nodes": ["answer"]},
    )
    history_turns: int = Field(
        default=6, ge=0, description="Earlier questions by which a follow-up is understood."
    )
    max_question_chars: int = Field(
        default=20_000, ge=1, description="Characters that a question may have."
    )
    max_result_chars: int = Field(
        default=8_000, ge=200, description="Characters of rows that the answer is written from."
    )


class QueryDefaults(TypedDict, total=False):
    """The fields of `QueryContext`, as a factory takes their defaults."""

    temperature: float | None
    max_attempts: int
    candidates: int
    max_rows: int
    timeout: float
    max_schema_tokens: int
    ground_values: bool
    examples_shown: int
    repair: bool
    answer: QueryAnswerMode
    history_turns: int
    max_question_chars: int
    max_result_chars: int


class Example(TypedDict):
    """A question and the query that answers it."""

    question: str
    query: str


class Attempt(TypedDict):
    """A query that was tried, how it ended, and what was wrong with it."""

    query: str
    outcome: Outcome
    problem: str
    rows: int


class QueryInput(TypedDict, total=False):
    """A question, or the messages of a conversation that ends with one."""

    question: AskedQuestion
    messages: AskedMessages


class QueryOutput(TypedDict, total=False):
    """An answer, the query and rows it stands on, and everything that was tried.

    `truncated` says that there were more rows than were kept; `assumptions` are those of the
    query's author.
    """

    answer: str
    messages: Annotated[list[AnyMessage], add_messages]
    query: str
    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    assumptions: list[str]
    attempts: list[Attempt]
    failures: list[StepFailed]


class QueryState(TypedDict, total=False):
    """All that flows between the nodes.

    `linked` are the columns that the question is about, by table; `pending` are the queries that
    wait to be checked, approved and run, `drafted` in how many drafts each stood, `tried` those
    that have been; `round` counts them from the first draft on. `outcome` is how the query ended
    whose rows are kept, `problems` are those of the answer.
    """

    question: Annotated[str, EphemeralValue]
    messages: Annotated[list[AnyMessage], add_messages]
    searched: str
    linked: dict[str, list[str]]
    values: list[FoundValue]
    examples: list[Example]
    pending: list[str]
    drafted: dict[str, int]
    clarification: str
    assumptions: list[str]
    attempts: Annotated[list[Attempt], extend]
    tried: Annotated[list[str], extend]
    query: str
    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    outcome: str
    round: int
    answer: str
    problems: list[str]
    failures: Annotated[list[StepFailed], extend]


class DraftedQuery(BaseModel):
    """A query, or a question back where the database cannot answer."""

    query: str = Field(description="One read-only query; empty when the database cannot answer")
    reads: list[str] = Field(
        default_factory=list, description="The parts of the schema that it reads, by name"
    )
    assumptions: list[str] = Field(
        default_factory=list, description="What was assumed where the question leaves it open"
    )
    clarification: str = Field(
        default="",
        description="Without a query: what the database lacks, as a question back to the asker",
    )


class RepairedQuery(BaseModel):
    """A query in place of one that did not do."""

    query: str = Field(description="The query; the same one again when nothing is wrong with it")
    explanation: str = Field(default="", description="What was changed, in one sentence")


KNOWN = {
    "question": str,
    "dialect": str,
    "schema": str,
    "values": list[str],
    "knowledge": str,
    "examples": str,
}
"""What a prompt that drafts a query is told."""

TRIED = {**KNOWN, "query": str, "problem": str, "earlier": list[str]}
"""What a prompt that repairs a query is told."""

FOUND = {"question": str, "query": str, "rows": str, "notes": list[str]}
"""What a prompt that answers from rows is told."""

ANSWERED = {**FOUND, "answer": str, "problems": list[str]}
"""What a prompt that repairs such an answer is told."""


@dataclass(frozen=True)
class QueryPrompts:
    """The prompts of one query language."""

    draft: Prompt[DraftedQuery]
    repair_error: Prompt[RepairedQuery]
    repair_empty: Prompt[RepairedQuery]
    repair_suspicious: Prompt[RepairedQuery]
    answer: Prompt[str]
    repair_answer: Prompt[str]

    @property
    def all(self) -> tuple[Prompt[Any], ...]:
        """Every prompt."""
        return (
            self.draft,
            self.repair_error,
            self.repair_empty,
            self.repair_suspicious,
            self.answer,
            self.repair_answer,
        )

    def repair_of(self, outcome: str) -> Prompt[RepairedQuery]:
        """The prompt that repairs a query that ended so."""
        if outcome == "empty":
            return self.repair_empty
        return self.repair_suspicious if outcome == "suspicious" else self.repair_error


class CheckedStatement(Protocol):
    """A query that was found to read only."""

    @property
    def text(self) -> str:
        """The query as it was written, with what the check put right."""

    @property
    def corrections(self) -> Sequence[str]:
        """What the check put right, each in a sentence."""


class QuerySource(Protocol):
    """What the nodes ask of a database and of what is known about it."""

    dialect: str

    async def alink(self, question: str, *, max_tokens: int) -> dict[str, list[str]]:
        """The columns that the question is about, by table."""

    async def aground(self, question: str) -> tuple[list[FoundValue], list[str]]:
        """The values that the question's words mean, and what could not be looked up."""

    async def aexamples(self, question: str, *, k: int) -> list[Example]:
        """The k examples that are most like the question."""

    async def adescribe(self, linked: Mapping[str, Sequence[str]]) -> str:
        """The linked part of the schema, as the model is shown it."""

    def knowledge(self, question: str) -> str:
        """What is known about the database's terms."""

    async def acheck(self, query: str) -> Any:
        """The query, found to read only and to fit the schema."""

    async def arun(self, checked: Any, *, max_rows: int, timeout: float) -> QueryResult:  # noqa: ASYNC109 - the database keeps to it
        """The rows of a checked query."""

    async def asuspicions(self, checked: Any) -> list[str]:
        """What looks wrong about a query, although it runs."""


@dataclass(frozen=True)
class Tried:
    """What became of one query."""

    attempt: Attempt
    result: QueryResult | None = None


@dataclass(frozen=True)
class QueryNodes:
    """The nodes of one graph, and the parts that they work with."""

    context: type[QueryContext]
    source: QuerySource
    prompts: QueryPrompts
    approve: Approval

    def __post_init__(self) -> None:
        if self.approve not in ("never", "always") and not callable(self.approve):
            raise ConfigurationError(
                f"approve is 'never', 'always' or a function of the query; got {self.approve!r}."
            )

    async def read_question(self, state: QueryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Take the question; a follow-up is first made to stand alone."""
        settings = self.context.of_run(runtime)
        asked = read_input(state, max_chars=settings.max_question_chars)
        return {
            **_fresh_run(),
            "messages": new_messages(asked),
            "searched": await stand_alone(asked, settings),
        }

    async def link_schema(self, state: QueryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Choose the tables and columns that the question is about."""
        settings = self.context.of_run(runtime)
        most = settings.max_schema_tokens
        linked = await self.source.alink(
            state["searched"], max_tokens=min(most, _WEAK_TOKENS) if _is_weak(settings) else most
        )
        if not linked:
            raise DatabaseError(
                "There is nothing to read: the database is empty, or `include` and `exclude` "
                "leave nothing of it."
            )
        emit({"type": "schema_linked", "tables": list(linked)})
        return {"linked": linked}

    async def ground_values(self, state: QueryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Look the question's words up among the database's values."""
        if not self.context.of_run(runtime).ground_values:
            return {}
        found, skipped = await self.source.aground(state["searched"])
        emit({"type": "values_found", "values": found})
        if skipped:
            emit({"type": "notice", "message": f"Not looked up in time: {', '.join(skipped)}."})
        return {"values": found}

    def grounding_failed(self, state: QueryState, error: NodeError) -> Command[Any]:  # noqa: ARG002
        """Draft without the values."""
        return gone_without("ground_values", "values", error, goto="draft_query")

    async def pick_examples(self, state: QueryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Choose the examples that are most like the question."""
        shown = self.context.of_run(runtime).examples_shown
        return {"examples": await self.source.aexamples(state["searched"], k=shown)}

    def picking_failed(self, state: QueryState, error: NodeError) -> Command[Any]:  # noqa: ARG002
        """Draft without examples."""
        return gone_without("pick_examples", "examples", error, goto="draft_query")

    async def draft_query(self, state: QueryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Write a query, or several at once."""
        settings = self.context.of_run(runtime)
        inputs = await self._known(state)
        prompt = self.prompts.draft.using(settings.prompt_set)
        drafts = await _all_that_succeed(
            prompt.ainvoke(settings.chat_model, **inputs) for _ in range(settings.candidates)
        )
        queries = [query for draft in drafts if (query := draft.query.strip())]
        emit({"type": "queries_drafted", "queries": _distinct(queries)})
        if not queries:
            asked_back = _distinct(draft.clarification for draft in drafts)
            return {"clarification": asked_back[0] if asked_back else NO_QUERY}
        return {
            "pending": queries,
            "assumptions": _distinct(a for d in drafts for a in d.assumptions),
        }

    def after_draft(self, state: QueryState, runtime: Runtime[Any]) -> str:  # noqa: ARG002
        """Answer with a question back where there is no query."""
        return "check_query" if state["pending"] else "answer"

    async def check_query(self, state: QueryState, runtime: Runtime[Any]) -> dict[str, Any]:  # noqa: ARG002
        """Let through what only reads and fits the schema."""
        written = _distinct(state["pending"])
        checked = await asyncio.gather(*(self._checked(query) for query in written))
        become = dict(zip(written, checked, strict=True))
        passed = [item for query in state["pending"] if isinstance(item := become[query], str)]
        failed = [item for item in checked if not isinstance(item, str)]
        return {
            "pending": _distinct(passed),
            "drafted": dict(Counter(passed)),
            "tried": _distinct([*written, *passed]),
            "attempts": _told(failed),
        }

    def after_check(self, state: QueryState, runtime: Runtime[Any]) -> str:
        """Go on with what passed."""
        return self._run_or_approve(state) if state["pending"] else self.after_run(state, runtime)

    async def approve_query(self, state: QueryState, runtime: Runtime[Any]) -> Command[Any]:  # noqa: ARG002
        """Have a person accept, edit or decline the query."""
        problem = ""
        while True:
            decision, edited = _decision(
                interrupt(_approval_request(state["searched"], state["pending"], problem))
            )
            if decision == "accept":
                return Command(goto="run_query")
            if decision == "decline":
                told = f"{DECLINED} {edited}".strip()
                return Command(update={"pending": [], "clarification": told}, goto="answer")
            if decision == "unclear":
                problem = edited
                continue
            checked = await self._checked(edited)
            if isinstance(checked, str):
                return Command(update={"pending": [checked], "tried": [checked]}, goto="run_query")
            problem = checked["problem"]

    async def run_query(self, state: QueryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Run what passed, and take the result that most of them agree on."""
        settings = self.context.of_run(runtime)
        tried = await asyncio.gather(*(self._run(q, settings) for q in state["pending"]))
        taken = _agreed(tried, state.get("drafted", {}))
        others = [item.attempt for item in tried if item is not taken]
        changes = {"pending": [], "attempts": _told([*others, taken.attempt])}
        if taken.result is None or _worth(taken.attempt) < _worth_kept(state):
            return changes
        return {**changes, **_kept(taken.attempt, taken.result)}

    def after_run(self, state: QueryState, runtime: Runtime[Any]) -> str:
        """Repair while that may help: rows answer, and so does finding none twice."""
        settings = self.context.of_run(runtime)
        outcomes = [attempt["outcome"] for attempt in state["attempts"]]
        confirmed = outcomes[-1] == "repeated" and state["outcome"] != ""
        if (
            outcomes[-1] in ("rows", "unreachable")
            or confirmed
            or (outcomes[-1] == "empty" and outcomes.count("empty") > 1)
            or not settings.repair
            or _is_weak(settings)
            or state["round"] >= settings.max_attempts
        ):
            return "answer"
        return "repair_query"

    async def repair_query(self, state: QueryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Write another query in place of the last one, by what was wrong with it."""
        settings = self.context.of_run(runtime)
        last = state["attempts"][-1]
        prompt = self.prompts.repair_of(last["outcome"]).using(settings.prompt_set)
        repaired = await prompt.ainvoke(
            settings.chat_model,
            **await self._known(state),
            query=last["query"],
            problem=last["problem"],
            earlier=_distinct(a["query"] for a in state["attempts"][:-1]),
        )
        written = repaired.query.strip() or last["query"]
        changes = {"round": state["round"] + 1}
        if _folded(written) in {_folded(query) for query in state["tried"]}:
            return {**changes, "attempts": [_repeated(written, state["attempts"])]}
        emit({"type": "queries_drafted", "queries": [written]})
        return {**changes, "pending": [written]}

    def after_repair(self, state: QueryState, runtime: Runtime[Any]) -> str:
        """Check a new query; one that was tried before is not tried again."""
        return "check_query" if state["pending"] else self.after_run(state, runtime)

    def repair_failed(self, state: QueryState, error: NodeError) -> Command[Any]:  # noqa: ARG002
        """Answer from what there is."""
        return gone_without("repair_query", "repair", error, goto="answer")

    async def answer(self, state: QueryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Answer from the rows alone."""
        settings = self.context.of_run(runtime)
        if settings.answer == "none":
            return {"answer": "", "problems": []}
        result = _result_of(state)
        if result is None:
            return _said(_without_result(state))
        if not result.rows or not _writes(settings):
            return _said(plain_answer(result, max_chars=settings.max_result_chars))
        prompt = self.prompts.answer.using(settings.prompt_set)
        message = await prompt.amessage(
            settings.chat_model, stream=True, **_answer_inputs(state, result, settings)
        )
        return {
            "answer": message.text,
            "messages": [message],
            "problems": _problems(message.text, result, state),
        }

    def after_answer(self, state: QueryState, runtime: Runtime[Any]) -> str:  # noqa: ARG002
        """Repair an answer that the rows do not bear out."""
        return "repair_answer" if state["problems"] else END

    async def repair_answer(self, state: QueryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Have the answer written again, once; else show the rows as they are."""
        settings = self.context.of_run(runtime)
        result = cast("QueryResult", _result_of(state))
        written = await self.prompts.repair_answer.using(settings.prompt_set).ainvoke(
            settings.chat_model,
            **_answer_inputs(state, result, settings),
            answer=state["answer"] or "(empty)",
            problems=state["problems"],
        )
        if problems := _problems(written, result, state):
            raise PromptOutputError(" ".join(problems))
        emit({"type": "answer_repaired", "problems": state["problems"], "answer": written})
        return _said(written, id_=state["messages"][-1].id)

    def answer_repair_failed(
        self, state: QueryState, error: NodeError, runtime: Runtime[Any]
    ) -> Command[Any]:
        """Show the rows as they are."""
        settings = self.context.of_run(runtime)
        told = plain_answer(
            cast("QueryResult", _result_of(state)), max_chars=settings.max_result_chars
        )
        emit({"type": "answer_repaired", "problems": state["problems"], "answer": told})
        said = _said(told, id_=state["messages"][-1].id)
        return gone_without("answer", "repair_answer", error, goto=END, **said)

    async def _known(self, state: QueryState) -> dict[str, Any]:
        """What every prompt that writes a query is told."""
        linked = {table: list(columns) for table, columns in state["linked"].items()}
        for value in state["values"]:
            columns = linked.setdefault(value["table"], [])
            if value["column"] not in columns:
                columns.append(value["column"])
        return {
            "question": state["searched"],
            "dialect": self.source.dialect,
            "schema": await self.source.adescribe(linked),
            "values": [_value_text(value) for value in state["values"]] or "none",
            "knowledge": self.source.knowledge(state["searched"]) or "none",
            "examples": "\n\n".join(
                f"{example['question']}\n{example['query']}" for example in state["examples"]
            )
            or "none",
        }

    async def _checked(self, query: str) -> str | Attempt:
        """The query that may run, put right where it can be; else the failed attempt it makes."""
        try:
            checked: CheckedStatement = await self.source.acheck(query)
        except (QueryRefusedError, QueryError, DatabaseError) as error:
            return _failed_attempt(query, error)
        for correction in checked.corrections:
            emit({"type": "notice", "message": correction})
        return checked.text

    async def _run(self, query: str, settings: QueryContext) -> Tried:
        try:
            checked = await self.source.acheck(query)  # the door is never passed unchecked
            result, suspicions = await asyncio.gather(
                self.source.arun(checked, max_rows=settings.max_rows, timeout=settings.timeout),
                self.source.asuspicions(checked) if settings.repair else _none(),
            )
        except (QueryRefusedError, QueryError, DatabaseError) as error:
            return Tried(_failed_attempt(query, error))
        outcome: Outcome = "suspicious" if suspicions else "rows" if result.rows else "empty"
        problem = " ".join(suspicions) or ("" if result.rows else "The query found no rows.")
        attempt = Attempt(query=query, outcome=outcome, problem=problem, rows=len(result.rows))
        return Tried(attempt, result)

    def _run_or_approve(self, state: QueryState) -> str:
        if self.approve == "never":
            return "run_query"
        if self.approve == "always" or any(self.approve(query) for query in state["pending"]):
            return "approve_query"
        return "run_query"


def _fresh_run() -> dict[str, Any]:
    """What a run starts from, whatever an earlier run of the same thread left."""
    return {
        "linked": {},
        "values": [],
        "examples": [],
        "pending": [],
        "drafted": {},
        "clarification": "",
        "assumptions": [],
        "attempts": Overwrite([]),
        "tried": Overwrite([]),
        "query": "",
        "columns": [],
        "rows": [],
        "truncated": False,
        "outcome": "",
        "round": 1,
        "answer": "",
        "problems": [],
        "failures": Overwrite([]),
    }


async def _none() -> list[str]:
    return []


async def _all_that_succeed(waiting: Iterable[Awaitable[DraftedQuery]]) -> list[DraftedQuery]:
    """What succeeds of several calls at once; when none does, the first one's error."""
    done = await asyncio.gather(*waiting, return_exceptions=True)
    failed = [item for item in done if isinstance(item, BaseException)]
    if len(failed) == len(done):
        raise failed[0]
    for error in failed:
        tell_failure("draft_query", "candidate", error)
    return [item for item in done if not isinstance(item, BaseException)]


def _distinct(texts: Iterable[str]) -> list[str]:
    """The texts that are not empty, each once."""
    return list(dict.fromkeys(stripped for text in texts if (stripped := text.strip())))


def _folded(query: str) -> str:
    """A query by which those are found that are the same but for their layout."""
    return " ".join(query.split()).rstrip("; ")


def _failed_attempt(query: str, error: AgentkitError) -> Attempt:
    outcome: Outcome = "error"
    if isinstance(error, QueryRefusedError):
        outcome = "refused"
    elif isinstance(error, QueryTimeoutError):
        outcome = "timeout"
    elif isinstance(error, DatabaseError):
        outcome = "unreachable"
    return Attempt(query=query, outcome=outcome, problem=str(error), rows=0)


def _repeated(query: str, attempts: Sequence[Attempt]) -> Attempt:
    problem = f"This query was tried before. {_last_problem(attempts)}"
    return Attempt(query=query, outcome="repeated", problem=problem, rows=0)


def _last_problem(attempts: Sequence[Attempt]) -> str:
    return next(a["problem"] for a in reversed(attempts) if a["outcome"] != "repeated")


def _told(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts, told to who follows the run."""
    for attempt in attempts:
        emit({"type": "query_tried", **attempt})
    return list(attempts)


def _agreed(tried: Sequence[Tried], drafted: Mapping[str, int]) -> Tried:
    """The first of those whose result most drafts have; one with rows before one without."""

    def votes(same: Sequence[Tried]) -> int:
        return sum(drafted.get(item.attempt["query"], 1) for item in same)

    groups: dict[Hashable, list[Tried]] = {}
    for item in tried:
        key = result_key(item.result) if item.result is not None else None
        groups.setdefault(key, []).append(item)
    for same in groups.values():  # a query in doubt does not stand for one that is not
        same.sort(key=lambda item: -_worth(item.attempt))
    best = max(groups.values(), key=lambda same: (_worth(same[0].attempt), votes(same)))
    return best[0]


def _worth(attempt: Attempt) -> int:
    """How much a query's outcome is worth beside another's."""
    if not attempt["rows"]:
        return 1 if attempt["outcome"] in ("empty", "suspicious") else 0
    return 2 if attempt["outcome"] == "suspicious" else 3


def _worth_kept(state: QueryState) -> int:
    kept = [attempt for attempt in state["attempts"] if attempt["query"] == state["query"]]
    return max((_worth(attempt) for attempt in kept), default=0)


def _kept(attempt: Attempt, result: QueryResult) -> dict[str, Any]:
    return {
        "query": attempt["query"],
        "columns": list(result.columns),
        "rows": [list(row) for row in result.rows],
        "truncated": result.truncated,
        "outcome": attempt["outcome"],
    }


def _result_of(state: QueryState) -> QueryResult | None:
    if not state["outcome"]:
        return None
    rows = [tuple(row) for row in state["rows"]]
    return QueryResult(state["columns"], rows, state["truncated"])


def _is_weak(settings: QueryContext) -> bool:
    """Whether the model is one that gains nothing from more context or another try."""
    return most_choices(settings.chat_model) is not None


def _writes(settings: QueryContext) -> bool:
    if settings.answer == "auto":
        return not _is_weak(settings)
    return settings.answer == "generative"


def _without_result(state: QueryState) -> str:
    if state["clarification"]:
        return state["clarification"]
    return f"{NO_QUERY} {_last_problem(state['attempts'])}"


def _answer_inputs(
    state: QueryState, result: QueryResult, settings: QueryContext
) -> dict[str, Any]:
    notes = [f"Assumed: {assumption}" for assumption in state["assumptions"]]
    notes += [
        f"Tried before: {attempt['problem']}"
        for attempt in state["attempts"]
        if attempt["outcome"] in ("empty", "suspicious") and attempt["query"] != state["query"]
    ]
    if state["outcome"] == "suspicious":
        last = next(a for a in reversed(state["attempts"]) if a["query"] == state["query"])
        notes.append(f"In doubt: {last['problem']}")
    return {
        "question": state["searched"],
        "query": state["query"],
        "rows": table_text(result, max_chars=settings.max_result_chars),
        "notes": notes or "none",
    }


def _problems(answer: str, result: QueryResult, state: QueryState) -> list[str]:
    """What the rows do not bear out of an answer."""
    if not answer.strip():
        return ["The answer is empty."]
    missing = unsupported_numbers(answer, result, state["searched"], state["query"])
    return [f"{number} stands nowhere in the rows." for number in missing]


def _said(text: str, *, id_: str | None = None) -> dict[str, Any]:
    message = AIMessage(text, id=id_ or str(uuid4()))
    return {"answer": text, "messages": [message], "problems": []}


def _value_text(value: FoundValue) -> str:
    return (
        f"{value['phrase']!r} is the value {value['value']!r} of {value['table']}.{value['column']}"
    )


def _approval_request(question: str, queries: Sequence[str], problem: str) -> dict[str, Any]:
    request = {
        "action": "approve_query",
        "question": question,
        "queries": list(queries),
        "how": 'Resume with {"decision": "accept"}, {"decision": "edit", "query": "…"} or '
        '{"decision": "decline", "reason": "…"}.',
    }
    return {**request, "problem": problem} if problem else request


def _decision(resumed: Any) -> tuple[str, str]:
    """What a person decided, and the edited query or the reason."""
    given = {"decision": resumed} if isinstance(resumed, str) else resumed
    if isinstance(given, Mapping):
        decision = given.get("decision")
        if decision == "accept":
            return "accept", ""
        if decision == "decline":
            return "decline", str(given.get("reason") or "").strip()
        if decision == "edit" and str(given.get("query") or "").strip():
            return "edit", str(given["query"]).strip()
    return "unclear", f"{shortened(repr(resumed))} is no decision."


QueryGraph: TypeAlias = CompiledStateGraph[QueryState, QueryContext, QueryInput, QueryOutput]


def create_query_graph(
    nodes: QueryNodes,
    *,
    retry: RetryPolicy | None,
    checkpointer: Checkpointer,
    store: BaseStore | None,
    cache: BaseCache[Any] | None,
    name: str,
) -> QueryGraph:
    """The graph of a query language.

    link schema ∥ ground values ∥ pick examples → draft → check → (approve) → run
    → (repair → check …) → answer → (repair answer)
    """
    graph = StateGraph(
        QueryState, context_schema=nodes.context, input_schema=QueryInput, output_schema=QueryOutput
    )

    def add(run: NodeFunction, **options: Any) -> None:
        node = Node(run)
        graph.add_node(
            str(node.name), node, **{"input_schema": QueryState, "retry_policy": retry, **options}
        )

    def branch(after: str, choose: EdgeFunction, ends: list[str]) -> None:
        graph.add_conditional_edges(after, Edge(choose), ends)

    add(nodes.read_question)
    add(nodes.link_schema)
    add(nodes.ground_values, error_handler=nodes.grounding_failed)
    add(nodes.pick_examples, error_handler=nodes.picking_failed)
    add(nodes.draft_query)
    add(nodes.check_query)
    add(nodes.run_query)
    add(nodes.repair_query, error_handler=nodes.repair_failed)
    add(nodes.answer)
    add(nodes.repair_answer, error_handler=nodes.answer_repair_failed)
    graph.add_edge(START, "read_question")
    for known in ("link_schema", "ground_values", "pick_examples"):
        graph.add_edge("read_question", known)
    graph.add_edge(["link_schema", "ground_values", "pick_examples"], "draft_query")
    branch("draft_query", nodes.after_draft, ["check_query", "answer"])
    ways = ["run_query", "repair_query", "answer"]
    if nodes.approve != "never":
        add(nodes.approve_query, destinations=("run_query", "answer"))
        ways.append("approve_query")
    branch("check_query", nodes.after_check, ways)
    branch("run_query", nodes.after_run, ["repair_query", "answer"])
    branch("repair_query", nodes.after_repair, ["check_query", "repair_query", "answer"])
    branch("answer", nodes.after_answer, ["repair_answer", END])
    return drawable(graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name))
