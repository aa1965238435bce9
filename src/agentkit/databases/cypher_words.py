"""The words that Cypher gives a meaning to, and a query's tokens with what each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agentkit.databases.cypher_tokens import Token

PATTERN_CLAUSES = {"MATCH", "OPTIONAL MATCH", "CREATE", "MERGE", "INSERT"}
"""The clauses that a pattern follows."""

EXPRESSION_CLAUSES = {
    *("RETURN", "WITH", "UNWIND", "SET", "DELETE", "DETACH DELETE", "NODETACH DELETE"),
    *("REMOVE", "USE", "LET", "FILTER", "START"),
}
"""The clauses that an expression follows."""

CLAUSES = {
    *PATTERN_CLAUSES,
    *EXPRESSION_CLAUSES,
    *("CALL", "OPTIONAL CALL", "FOREACH", "FINISH", "NEXT"),
    *("UNION", "UNION ALL", "UNION DISTINCT"),
    *("LOAD", "LOAD CSV", "LOAD CSV WITH HEADERS", "LOAD FROM", "COPY", "EXPORT", "IMPORT"),
    *("INSTALL", "ATTACH", "DETACH", "SHOW", "TERMINATE", "STOP", "DEALLOCATE", "REALLOCATE"),
    *("DROP", "ALTER", "RENAME", "GRANT", "DENY", "REVOKE"),
}
"""What can begin a clause or a command, of Neo4j and of others that speak Cypher."""

SUBCLAUSES = {"WHERE", "ORDER BY", "SKIP", "OFFSET", "LIMIT", "YIELD"}
"""Parts of clauses that an expression follows."""

OPERATORS = {
    *("AND", "OR", "XOR", "IN", "CONTAINS", "STARTS WITH", "ENDS WITH", "AS"),
    *("WHEN", "THEN", "ELSE", "FROM", "BY", "OF", "WHERE", "FIELDTERMINATOR"),
}
"""Words between two operands."""

KEYWORDS = CLAUSES | SUBCLAUSES | OPERATORS | {"ON CREATE", "ON MATCH", "USING"}
"""Words that are read with those that follow them: the longest phrase counts."""

PREFIXES = {"NOT", "CASE", "DISTINCT"}
"""Words before an operand, which Neo4j also takes for a variable where that makes sense."""

LITERALS = {"TRUE", "FALSE", "NULL", "INF", "INFINITY", "NAN"}
UPDATES = {"CREATE", "MERGE", "INSERT", "FOREACH", "SET", "DELETE", "REMOVE"}
"""Words that begin a clause before a bracket: no function has such a name."""

PATH_FUNCTIONS = {"SHORTESTPATH", "ALLSHORTESTPATHS"}
SELECTORS = PATH_FUNCTIONS | {"ANY", "ALL", "SHORTEST"}
TRIM_SIDES = {"BOTH", "LEADING", "TRAILING"}
SUBQUERIES = {"EXISTS", "COUNT", "COLLECT"}
TYPES = {
    *("BOOLEAN", "BOOL", "VARCHAR", "STRING", "INTEGER", "INT", "SIGNED", "FLOAT"),
    *("INTEGER8", "INTEGER16", "INTEGER32", "INTEGER64", "INT8", "INT16", "INT32", "INT64"),
    *("FLOAT32", "FLOAT64", "VECTOR", "DATE", "TIME", "DATETIME", "TIMESTAMP", "LOCAL", "ZONED"),
    *("WITHOUT", "ZONE", "DURATION", "POINT", "NODE", "VERTEX", "RELATIONSHIP", "EDGE", "PATH"),
    *("PATHS", "MAP", "LIST", "ARRAY", "PROPERTY", "VALUE", "ANY", "NULL", "NOTHING", "NOT"),
}
"""Words in the names of types, as behind `IS ::`."""


@dataclass(slots=True)
class Reading:
    """The roles of a query's tokens.

    Args:
        tokens: The query's tokens.
        closes: For the place of each opening bracket, that of the one that closes it.
        roles: For each token, what it is: `clause`, `keyword`, `variable`, `function`,
            `procedure`, `property`, `key`, `label`, `type`, `literal` or nothing.
        kinds: For the place of each opening bracket, what it holds: `query`, `map`, `node`,
            `relationship`, `path`, `list`, `group`, `call`, `labels`, `imports` or `foreach`.
        clauses: The clauses' keywords and the places of their first words.
        subclauses: WHERE, ORDER BY and their like, as `clauses`.
        statements: How many statements there are.
    """

    tokens: Sequence[Token]
    closes: dict[int, int]
    roles: list[str]
    kinds: dict[int, str] = field(default_factory=dict)
    clauses: dict[int, str] = field(default_factory=dict)
    subclauses: dict[int, str] = field(default_factory=dict)
    statements: int = 1

    def text(self, place: int) -> str:
        """The token's text at a place, or nothing beyond the ends."""
        return self.tokens[place].text if 0 <= place < len(self.tokens) else ""

    def word(self, place: int) -> str:
        """The unquoted word at a place in upper case, or nothing."""
        if 0 <= place < len(self.tokens) and self.tokens[place].kind == "name":
            return self.tokens[place].text.upper()
        return ""

    def is_name(self, place: int) -> bool:
        """Whether a name, quoted or not, is at a place."""
        return 0 <= place < len(self.tokens) and self.tokens[place].kind in ("name", "quoted")

    def dotted_end(self, place: int) -> int:
        """The place of the last part of a dotted name that begins at a place."""
        while self.text(place + 1) == "." and self.is_name(place + 2):
            place += 2
        return place

    def dotted(self, start: int, end: int) -> str:
        """The dotted name between two places, without backticks."""
        return ".".join(token.value for token in self.tokens[start : end + 1 : 2])


def type_end(reading: Reading, place: int) -> int:
    """The place behind a type such as `LIST<INTEGER NOT NULL> | STRING`."""
    depth = 0
    while True:
        text, word, follows = reading.text(place), reading.word(place), reading.word(place + 1)
        if text == "<" and reading.word(place - 1) in ("LIST", "ARRAY", "ANY"):
            depth += 1
        elif text == ">" and depth:
            depth -= 1
        elif not (
            word in TYPES
            or (word == "WITH" and follows == "TIME")
            or text == "!"
            or (text == "|" and follows in TYPES)
        ):
            return place
        place += 1
