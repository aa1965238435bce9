"""A scripted model that knows the right query to each question, and errs at first on purpose."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentkit.errors import MissingExtraError, ScriptError
from agentkit.testing.chat_model import ScriptedChatModel
from agentkit.testing.script import Script

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from sqlglot import exp

Mutation = Callable[[str, str], str | None]
"""Makes a wrong query of a right one and its dialect; None where it does not apply."""

ANSWER = "The rows of the query answer the question."
_QUESTION = re.compile(r"<question>\n(.*?)\n</question>", re.DOTALL)


def unknown_column(query: str, dialect: str) -> str | None:
    """The query with a column that no table has."""
    return _renamed(query, dialect, "Column")


def wrong_table(query: str, dialect: str) -> str | None:
    """The query with a table that there is not."""
    return _renamed(query, dialect, "Table")


def syntax_error(query: str, dialect: str) -> str | None:  # noqa: ARG001 - as every fault
    """The query with a clause that no database understands."""
    wrong = re.sub(r"^\s*(SELECT|WITH)\b", r"\1 FROM", query, flags=re.IGNORECASE)
    return None if wrong == query else wrong


def wrong_case_literal(query: str, dialect: str) -> str | None:
    """The query with a value in the wrong case, where it is compared by `=` or IN."""
    tree, exp = _parsed(query, dialect)
    for literal in tree.find_all(exp.Literal):
        compared, text = literal.parent, literal.name
        of_a_column = isinstance(compared, exp.EQ | exp.In) and isinstance(
            compared.this, exp.Column
        )
        if literal.is_string and of_a_column and text.swapcase() != text:
            literal.replace(exp.Literal.string(text.swapcase()))
            return tree.sql(dialect=dialect)
    return None


def forbidden_statement(query: str, dialect: str) -> str | None:
    """A statement that deletes, in place of the query."""
    tree, exp = _parsed(query, dialect)
    table = tree.find(exp.Table)
    return f"DELETE FROM {table.sql(dialect=dialect)}" if table else None  # noqa: S608 - meant so


SQL_FAULTS: Mapping[str, Mutation] = {
    "unknown column": unknown_column,
    "wrong table": wrong_table,
    "syntax error": syntax_error,
    "wrong-case literal": wrong_case_literal,
    "forbidden statement": forbidden_statement,
}


class NoisyOracle:
    """Answers the prompts of text-to-SQL and text-to-Cypher, after a fault in the first draft.

    It shows what checking and repair are worth by themselves: with a fault in every draft, a run
    without repair gets nothing right.

    Args:
        answers: The right query by question.
        dialect: The dialect of the queries, as the faults take it: sqlglot's name for it, or
            `neo4j` or `ladybug`.
        faults: Faults by name; for text-to-Cypher `CYPHER_FAULTS`.
        rate: The share of questions whose first draft has one.
        seed: Which fault a question gets depends on it and on the question alone.
    """

    def __init__(
        self,
        answers: Mapping[str, str],
        *,
        dialect: str,
        faults: Mapping[str, Mutation] = SQL_FAULTS,
        rate: float = 1.0,
        seed: int = 0,
    ) -> None:
        self._answers = {" ".join(question.split()): query for question, query in answers.items()}
        self._dialect = dialect
        self._faults = faults
        self._rate = rate
        self._seed = seed
        self.injected: dict[str, str] = {}
        """The fault of each question that was asked and got one."""

    def model(self) -> ScriptedChatModel:
        """A chat model that replies so."""
        script = Script(record=False)
        script.when("<problem>", reply=self._repaired)
        script.when("<rows>", reply=ANSWER)
        script.when("<schema>", reply=self._drafted)
        return ScriptedChatModel(script)

    def counts(self) -> Counter[str]:
        """How often each fault was made."""
        return Counter(self.injected.values())

    def _drafted(self, messages: Sequence[BaseMessage]) -> dict[str, Any]:
        question, right = self._asked(messages)
        chance = random.Random(f"{self._seed} {question}")  # noqa: S311 - a repeatable choice
        query = right
        if chance.random() < self._rate:
            query = self._faulty(question, right, chance)
        return {"query": query, "assumptions": [], "clarification": ""}

    def _faulty(self, question: str, right: str, chance: random.Random) -> str:
        names = list(self._faults)
        chance.shuffle(names)
        for name in names:
            if (wrong := self._faults[name](right, self._dialect)) is not None:
                self.injected[question] = name
                return wrong
        raise ScriptError(f"No fault can be made in: {right}")

    def _repaired(self, messages: Sequence[BaseMessage]) -> dict[str, Any]:
        return {"query": self._asked(messages)[1], "explanation": ""}

    def _asked(self, messages: Sequence[BaseMessage]) -> tuple[str, str]:
        found = _QUESTION.search(messages[-1].text)
        question = " ".join(found[1].split()) if found else ""
        if question not in self._answers:
            raise ScriptError(f"The oracle knows no answer to: {question or messages[-1].text!r}")
        return question, self._answers[question]


def _renamed(query: str, dialect: str, kind: str) -> str | None:
    tree, exp = _parsed(query, dialect)
    named = next((n for n in tree.find_all(getattr(exp, kind)) if n.name), None)
    if named is None:
        return None
    named.this.set("this", f"{named.name}_no")
    return tree.sql(dialect=dialect)


def _parsed(query: str, dialect: str) -> tuple[exp.Expr, Any]:
    try:
        import sqlglot
    except ImportError as error:
        raise MissingExtraError("NoisyOracle", "sql") from error
    return sqlglot.parse_one(query, dialect=dialect), sqlglot.exp
