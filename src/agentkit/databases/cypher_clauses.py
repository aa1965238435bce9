"""What each word of a Cypher query is: a clause's keyword, a variable, a function, a label.

Cypher reserves no words: `MATCH (set) RETURN set` only reads. What a word is shows from where it
stands. An expression alternates operands and operators, so a word after an operand is a keyword,
and a word where an operand is due is one. Clauses stand only at the top of a query, in the braces
of a subquery and behind the bar of FOREACH.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentkit.databases.cypher_brackets import CLOSERS, bar_of, holds_map, matched_brackets
from agentkit.databases.cypher_tokens import Token
from agentkit.databases.cypher_words import (
    CLAUSES,
    EXPRESSION_CLAUSES,
    KEYWORDS,
    LITERALS,
    OPERATORS,
    PATH_FUNCTIONS,
    PATTERN_CLAUSES,
    PREFIXES,
    SELECTORS,
    SUBCLAUSES,
    SUBQUERIES,
    TRIM_SIDES,
    UPDATES,
    Reading,
    type_end,
)
from agentkit.errors import QueryRefusedError

_LONGEST = max(len(keyword.split()) for keyword in KEYWORDS)
_OPERAND_SYMBOLS = frozenset("([{-+*$")


@dataclass(slots=True)
class _Frame:
    """A bracket and what is due next inside of it."""

    kind: str
    open: int
    mode: str = "expression"
    ended: bool = False
    label: bool = False
    clause: str = ""
    bar: int = -1


def read_roles(tokens: Sequence[Token]) -> Reading:
    """What each token of a query is.

    Raises:
        QueryError: When a bracket has no partner.
        QueryRefusedError: When brackets nest too deep, or a variable has an unquoted name with
            which a clause could be hidden.
    """
    reader = _Reader(tokens)
    while reader.place < len(tokens):
        reader.step()
        reader.place += 1
    return reader.reading


class _Reader:
    """One walk over the tokens, with a frame for each open bracket."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.reading = Reading(tokens, matched_brackets(tokens), [""] * len(tokens))
        self.frames = [_Frame("query", -1, "start")]
        self.place = 0

    @property
    def frame(self) -> _Frame:
        return self.frames[-1]

    def step(self) -> None:
        """Read the token at the present place, and those that belong to it."""
        token = self.reading.tokens[self.place]
        if token.kind == "symbol":
            self._symbol(token.text)
        elif token.kind in ("name", "quoted"):
            self._name(quoted=token.kind == "quoted")
        else:
            self._leave_start()
            self.frame.ended = True
            self.frame.label = False

    def _role(self, role: str, *, ended: bool = True) -> None:
        self.reading.roles[self.place] = role
        self.frame.ended = ended
        self.frame.label = role == "label"

    def _leave_start(self) -> None:
        """What is no clause begins a subquery that is a pattern alone."""
        if self.frame.mode == "start" and self.frame.clause != "CYPHER":
            self.frame.mode = "pattern"
            self.frame.clause = "MATCH"

    # symbols

    def _symbol(self, text: str) -> None:
        frame = self.frame
        if text in CLOSERS:
            self._open(text)
        elif text in (")", "]", "}"):
            self.frames.pop()
            self.frame.ended = True
        elif text == ";" and len(self.frames) == 1:
            self.frames[0] = _Frame("query", -1, "start")
            self.reading.statements += 1
        elif text == "::":
            self._types(self.place + 1)
        elif text == ":":
            frame.label = self.reading.roles[self.place - 1] != "key" or not self.place
            frame.ended = False
        elif text == "|":
            self._bar()
        elif text in ("&", "!"):
            frame.ended = False
        elif text in ("*", "%") and not frame.ended:
            frame.ended = True
        elif text != ".":
            frame.ended = frame.label = False

    def _bar(self) -> None:
        frame = self.frame
        frame.ended = False
        if self.place == frame.bar:
            frame.label = False
            if frame.kind == "foreach":
                frame.mode = "start"

    def _open(self, text: str) -> None:
        kind = self._kind(text)
        self.reading.kinds[self.place] = kind
        frame = _Frame(kind, self.place)
        if kind == "query":
            frame.mode = "start"
        elif kind == "path":
            frame.mode = "pattern"
        elif kind == "labels":
            frame.label = True
        if kind in ("foreach", "list"):
            frame.bar = bar_of(self.reading, self.place)
        self._leave_start()
        self.frames.append(frame)

    def _kind(self, text: str) -> str:
        in_pattern = self.frame.mode in ("pattern", "start")
        if text == "[":
            return "relationship" if in_pattern else "list"
        if text == "{":
            return "map" if holds_map(self.reading, self.place) else "query"
        return self._called_kind() or self._round_kind(in_pattern=in_pattern)

    def _called_kind(self) -> str:
        """What a round bracket holds by the word before it."""
        before = self.place - 1
        role, word = self.reading.roles[before] if self.place else "", self.reading.word(before)
        if role == "function":
            return "path" if word in PATH_FUNCTIONS else "call"
        if role == "clause" and word in ("FOREACH", "CALL"):
            return "foreach" if word == "FOREACH" else "imports"
        return "call" if role == "procedure" else ""

    def _round_kind(self, *, in_pattern: bool) -> str:
        reading, place, frame = self.reading, self.place, self.frame
        computed = reading.text(place - 1) == "$"
        if frame.label and not frame.ended and not computed:
            return "labels"
        if not in_pattern or computed:
            return "group"
        named = reading.is_name(place + 1) and reading.text(place + 2) == "="
        return "path" if named or reading.text(place + 1) == "(" else "node"

    # names

    def _name(self, *, quoted: bool) -> None:
        reading, place, frame = self.reading, self.place, self.frame
        before = reading.text(place - 1)
        if before == ".":
            self._role("property")
        elif frame.kind == "map" and before in ("{", ",") and reading.text(place + 1) == ":":
            self._role("key")
        elif frame.label and not frame.ended:
            self._role("label")
        elif quoted:
            self._leave_start()
            self._operand("")
        elif frame.mode == "start":
            self._start(reading.word(place))
        elif frame.mode == "pattern":
            self._in_pattern(reading.word(place))
        elif frame.ended:
            self._keyword(reading.word(place))
        else:
            self._operand(reading.word(place))

    def _start(self, word: str) -> None:
        """The first word of a statement, a subquery or what FOREACH does."""
        reading, frame = self.reading, self.frame
        if frame.clause == "CYPHER" and (
            reading.text(self.place + 1) == "=" or reading.text(self.place - 1) == "="
        ):
            self._role("keyword")  # an option, or what it is set to
            return
        braced = frame.open >= 0 and frame.kind == "query"
        if braced and (word in SELECTORS or reading.text(self.place + 1) == "="):
            self._leave_start()
            self._in_pattern(word)
            return
        if word in ("EXPLAIN", "PROFILE", "CYPHER"):
            self._clause(word, self.place)
            frame.mode = "start"
        elif not self._keyword(word):
            self._clause(word, self.place)

    def _in_pattern(self, word: str) -> None:
        reading, place = self.reading, self.place
        if word in PATH_FUNCTIONS and reading.text(place + 1) == "(":
            self._role("function")
        elif reading.text(place + 1) == "=" or (
            reading.text(place - 1) == "," and reading.text(place + 1) != "("
        ):
            self._variable(word)
        else:
            self._keyword(word)

    def _keyword(self, word: str) -> bool:
        """A word after an operand; whether it is known."""
        reading, frame = self.reading, self.frame
        phrase, end = self._phrase()
        if self._is_hinted():
            self._variable(word)
        elif word == "IS":
            self._is()
        elif phrase in CLAUSES and frame.kind in ("query", "foreach"):
            self._clause(phrase, end)
        elif word == "IN" and self._after_call():
            reading.clauses[self.place] = "IN TRANSACTIONS"
            self._role("keyword")
        elif not phrase and self._is_called():
            self._role("function")
            self._skip_to(reading.dotted_end(self.place))
        else:
            self._role("keyword", ended=phrase not in OPERATORS | SUBCLAUSES)
            if phrase in SUBCLAUSES or word in ("ON", "USING"):
                frame.mode = "expression"
                frame.clause = reading.subclauses[self.place] = phrase or word
            self._skip_to(end)
            return bool(phrase)
        return True

    def _is_hinted(self) -> bool:
        """Whether a word is a variable in `USING INDEX n:Label(name)` or `USING JOIN ON n`."""
        reading, place = self.reading, self.place
        joined = reading.word(place - 1) == "ON" and reading.word(place - 2) == "JOIN"
        return joined or reading.text(place + 1) == ":"

    def _is_called(self) -> bool:
        """Whether a word that is no keyword has arguments: no function may be overlooked."""
        end = self.reading.dotted_end(self.place)
        called = self.reading.text(end + 1) == "("
        return called and (end > self.place or self.frame.mode != "pattern")

    def _phrase(self) -> tuple[str, int]:
        """The longest known phrase that begins here, and the place of its last word."""
        words: list[str] = []
        found = ("", self.place)
        for place in range(self.place, self.place + _LONGEST):
            words.append(self.reading.word(place))
            if " ".join(words) in KEYWORDS:
                found = (" ".join(words), place)
        return found

    def _skip_to(self, end: int) -> None:
        for place in range(self.place, end + 1):
            self.reading.roles[place] = self.reading.roles[self.place]
        self.place = end

    def _clause(self, clause: str, end: int) -> None:
        frame = self.frame
        self.reading.clauses[self.place] = clause
        self._role("clause", ended=clause not in EXPRESSION_CLAUSES)
        self._skip_to(end)
        frame.clause = clause
        frame.mode = "pattern" if clause in PATTERN_CLAUSES else "expression"
        if clause.startswith("UNION") or clause == "NEXT":
            frame.mode = "start"
        elif clause.endswith("CALL"):
            self._call()

    def _call(self) -> None:
        reading, start = self.reading, self.place + 1
        if reading.is_name(start):
            end = reading.dotted_end(start)
            self.place = start
            self._role("procedure")
            self._skip_to(end)

    def _after_call(self) -> bool:
        """Whether the braces before were those of CALL."""
        return self.reading.text(self.place - 1) == "}" and self.frame.clause.endswith("CALL")

    def _is(self) -> None:
        """`IS NULL`, `IS NOT :: TYPE`, `IS NFC NORMALIZED`, or a label."""
        reading = self.reading
        end = self.place + (2 if reading.word(self.place + 1) == "NOT" else 1)
        self._role("keyword", ended=False)
        if reading.word(end) == "NULL":
            self._skip_to(end)
            self.frame.ended = True
        elif reading.text(end) == "::" or reading.word(end) == "TYPED":
            self._skip_to(end)
            self._types(end + 1)
        elif "NORMALIZED" in (reading.word(end), reading.word(end + 1)):
            self._skip_to(end + (reading.word(end) != "NORMALIZED"))
            self.frame.ended = True
        elif reading.word(end) == "LABELED":
            self._skip_to(end)
            self.frame.ended = True
        else:
            self._skip_to(end - 1)
            self.frame.label = True

    def _types(self, start: int) -> None:
        end = type_end(self.reading, start)
        for place in range(start, end):
            self.reading.roles[place] = "type"
        self.place = end - 1
        self.frame.ended, self.frame.label = True, False

    def _operand(self, word: str) -> None:
        reading, place = self.reading, self.place
        end = reading.dotted_end(place)
        if self._is_prefix(word):
            self._role("keyword", ended=False)
        elif reading.text(end + 1) == "(" and word in UPDATES and end == place:
            self._clause(word, place)
        elif reading.text(end + 1) == "(":
            self._role("function")
            self._skip_to(end)
        elif word == "IS" and reading.text(place - 1) in ("(", "["):
            self._is()
        elif (
            word in SUBQUERIES
            and reading.text(place + 1) == "{"
            and not holds_map(reading, place + 1)
        ):
            self._role("keyword")
        elif word in LITERALS:
            self._role("literal")
        else:
            self._variable(word)

    def _is_prefix(self, word: str) -> bool:
        """Whether a word where an operand is due stands before one instead."""
        frame, before = self.frame, self.reading.word(self.place - 1)
        if word == "WHEN":
            return before == "CASE"
        if word == "WHERE":
            return frame.kind == "node" and self._operand_follows()
        if word in TRIM_SIDES:
            return frame.kind == "call" and self.place == frame.open + 1 and self._side_follows()
        if word not in PREFIXES or before == "AS" or frame.clause == "YIELD":
            return False
        first = frame.kind in ("node", "relationship") and self.place == frame.open + 1
        return not first and self._operand_follows()

    def _side_follows(self) -> bool:
        """Whether characters to trim stand between `BOTH` and `FROM`."""
        ends = self.reading.word(self.place + 1) == "FROM"
        return self._operand_follows() and (not ends or self.reading.word(self.place + 2) == "FROM")

    def _operand_follows(self) -> bool:
        place = self.place + 1
        if place >= len(self.reading.tokens):
            return False
        token = self.reading.tokens[place]
        return token.kind != "symbol" or token.text in _OPERAND_SYMBOLS

    def _variable(self, word: str) -> None:
        if word in PREFIXES:
            raise QueryRefusedError(
                f"A variable is named {word}, which can be read as an operator. Name it otherwise, "
                "or put it in backticks."
            )
        self._role("variable")
