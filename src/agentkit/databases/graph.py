"""Graph databases, which are only read: what every one of them can do."""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from agentkit._numbers import above_zero, whole_number
from agentkit._sync import on_loop, run_sync, shared_loop
from agentkit.databases.cypher_directions import Turn
from agentkit.databases.cypher_guard import CheckedCypher, check_cypher
from agentkit.databases.graph_schema import (
    Connection,
    GraphSchema,
    NodeType,
    RelationshipType,
    quoted_name,
)
from agentkit.databases.options import matches, patterns, private_patterns
from agentkit.databases.results import QueryResult
from agentkit.errors import QueryError, QueryTimeoutError

_MOST_PASSED = 64
_SCANNED = 200_000


class GraphDatabase(ABC):
    """A property graph that can only be read.

    A subclass says how its database is asked; the schema, the check of every query and the values
    are the same for all.

    Args:
        include: Patterns (`fnmatch`) of the labels and relationship types that a model is shown;
            None for all.
        exclude: Patterns of labels and relationship types that are left out of the schema and that
            no query may name. A pattern without a label still matches such nodes.
        private: Patterns of properties, as `Label.property`, whose values are never sampled and
            never matched with a question's words. A query may still return them.
        functions: Names of functions of yours that only compute, which queries may call.
        procedures: Names of procedures of yours that only read, which queries may call.
        samples: How many sample values of a property to show.
        max_rows: Rows that a query returns at most.
        timeout: Seconds that a query may take.
    """

    dialect: str
    """`neo4j` or `ladybug`."""

    dialect_notes: str = ""
    """What a model should know about the dialect, in sentences."""

    def __init__(
        self,
        *,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        private: Sequence[str] = (),
        functions: Sequence[str] = (),
        procedures: Sequence[str] = (),
        samples: int = 3,
        max_rows: int = 1_000,
        timeout: float = 30.0,
    ) -> None:
        self._include = None if include is None else patterns("include", include)
        self._exclude = patterns("exclude", exclude)
        self._private = private_patterns(private, form="label.property")
        self._functions = patterns("functions", functions)
        self._procedures = patterns("procedures", procedures)
        self._samples = whole_number("samples", samples, least=0)
        self._max_rows = whole_number("max_rows", max_rows)
        self._timeout = above_zero("timeout", timeout, unit="seconds")
        self._schema: GraphSchema | None = None
        self._passed: dict[str, CheckedCypher] = {}
        self._reflecting = asyncio.Lock()

    @property
    def fingerprint(self) -> str:
        """Which database this is, and what of it may be read: for the keys of caches."""
        seen = (self._include, self._exclude, self._private, self._functions, self._procedures)
        return f"{self!r} {seen} {self._samples} {self._max_rows} {self._timeout}"

    # -- what a database does in its own way -------------------------------------------------------

    @abstractmethod
    async def _areflect(self) -> GraphSchema:
        """The whole schema, as it stands now."""

    @abstractmethod
    async def _aread(
        self, query: str, parameters: Mapping[str, Any], *, max_rows: int, seconds: float
    ) -> QueryResult:
        """The rows of a query, in the engine's own read-only mode."""

    @abstractmethod
    async def aexplain(self, query: str) -> None:
        """Have the database plan a query, without running it.

        Raises:
            QueryRefusedError: When the plan does more than read.
            QueryError: When the database cannot plan it.
            DatabaseError: When the database cannot be reached.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close what this object opened; a later query opens it again."""

    # -- what all do alike -------------------------------------------------------------------------

    async def aschema(self, *, refresh: bool = False) -> GraphSchema:
        """The labels and relationship types: looked at once, and again on `refresh`.

        Raises:
            DatabaseError: When the database cannot be reached or read.
        """
        if self._schema is None or refresh:
            known = self._schema
            return await on_loop(shared_loop(), lambda: self._reflect_once(known))
        return self._schema

    async def _reflect_once(self, known: GraphSchema | None) -> GraphSchema:
        async with self._reflecting:  # always on the one loop that all sync calls share
            if self._schema is None or self._schema is known:  # else another call has done it
                self._schema = self._permitted(await self._areflect())
                self._passed = {}
            return self._schema

    async def acheck(self, query: str) -> CheckedCypher:
        """Find that a query is one statement that only reads, and that the database can plan it.

        A relationship that points where the graph has none, and the other way is right, is turned.
        A query that has passed lately passes again, while the schema is the same.

        Raises:
            QueryRefusedError: When it does more than read, or what may not be read.
            QueryError: When the database can make nothing of it.
            DatabaseError: When the database cannot be reached.
        """
        schema, known = await self.aschema(), self._passed
        if (passed := known.get(query)) is not None:
            return passed
        checked = self._checked(query, schema)
        if also := await self._unseen_connections(checked):
            checked = self._checked(query, schema, also)
        await self._explain_checked(checked)
        while len(known) >= _MOST_PASSED:
            known.pop(next(iter(known)), None)
        known[query] = checked
        if checked.turns:  # so that what was put right is not checked and planned once more
            known[checked.text] = replace(checked, turns=())
        return checked

    async def arun(
        self,
        query: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        max_rows: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the database keeps to it
    ) -> QueryResult:
        """The rows of a query, run in the engine's own read-only mode.

        This is the one door; `acheck` is the other. Graphs and tools go through both. Nodes,
        relationships and paths are plain data: their ids, labels or type, and properties.

        Args:
            query: One statement.
            parameters: Values of its parameters.
            max_rows: Rows to return at most, up to the database's own `max_rows`.
            timeout: Seconds it may take, up to the database's own `timeout`.

        Raises:
            QueryRefusedError: When the engine refuses what it does.
            QueryTimeoutError: When it takes too long.
            QueryError: When the engine can make nothing of it.
            DatabaseError: When the database cannot be reached.
        """
        rows = min(max_rows or self._max_rows, self._max_rows)
        limit = min(timeout or self._timeout, self._timeout)
        return await self._aread(query, parameters or {}, max_rows=rows, seconds=limit)

    async def avalues(
        self,
        table: str,
        column: str,
        *,
        limit: int = 10_000,
        timeout: float = 2.0,  # noqa: ASYNC109 - the database keeps to it
    ) -> list[str]:
        """Distinct values of a text property, or the texts in a list; none of a private one.

        Args:
            table: The label or relationship type, by its name in `GraphSchema.parts`.
            column: The property.
            limit: How many values to return at most; of many nodes only the first are looked at.
            timeout: Seconds it may take.

        Raises:
            QueryTimeoutError: When it takes too long.
            QueryError: When there is no such label, type or property.
            DatabaseError: When the database cannot be reached.
        """
        part = (await self.aschema()).parts.get(table)
        if part is None or column not in {each.name for each in part.columns}:
            raise QueryError(f"There is no property {column!r} of {table}.")
        if self.is_private(part, column):
            return []
        query = (
            f"MATCH {_pattern(part)} WHERE x.{quoted_name(column)} IS NOT NULL "
            f"WITH x.{quoted_name(column)} AS value LIMIT {_SCANNED} "
            f"{'UNWIND value AS one WITH one AS value ' if self._is_list(part, column) else ''}"
            f"RETURN DISTINCT value LIMIT {int(limit)}"
        )
        result = await self._aread(query, {}, max_rows=limit, seconds=timeout)
        return [value for (value,) in result.rows if isinstance(value, str)]

    async def aholds(
        self,
        table: str,
        column: str,
        value: str,
        *,
        ignore_case: bool = False,
        timeout: float = 2.0,  # noqa: ASYNC109 - the database keeps to it
    ) -> bool | None:
        """Whether a text property has a value; None when that cannot be known, or is private.

        Args:
            table: The label or relationship type, by its name in `GraphSchema.parts`.
            column: The property.
            value: The value.
            ignore_case: Whether upper and lower case are the same.
            timeout: Seconds that looking may take.
        """
        part = (await self.aschema()).parts.get(table)
        texts = {each.name for each in part.columns if each.is_text} if part else set()
        if part is None or column not in texts or self.is_private(part, column):
            return None
        left, right = f"x.{quoted_name(column)}", "$value"
        if self._is_list(part, column):
            condition = f"$value IN {left}"
        elif ignore_case:
            condition = f"toLower({left}) = toLower({right})"
        else:
            condition = f"{left} = {right}"
        query = f"MATCH {_pattern(part)} WHERE {condition} RETURN 1 LIMIT 1"
        try:
            found = await self._aread(query, {"value": value}, max_rows=1, seconds=timeout)
        except QueryError:
            return None
        return bool(found.rows)

    async def acandidates(self, phrases: Sequence[str]) -> Mapping[tuple[str, str], list[str]]:  # noqa: ARG002
        """Values that phrases may mean, found by indexes, by part and property; none here."""
        return {}

    async def aconnects(
        self,
        starts: Collection[str] | None,
        kinds: Collection[str] | None,
        ends: Collection[str] | None,
    ) -> bool | None:
        """Whether a relationship leads from such a node to such a node; None when unknown.

        Args:
            starts: Labels, any of which it may leave; None for any node.
            kinds: Types, any of which it may be of; None for any.
            ends: Labels, any of which it may lead to; None for any node.
        """
        query = (
            f"MATCH (a{_any_of(starts)})-[x{_any_of(kinds)}]->(b{_any_of(ends)}) RETURN 1 LIMIT 1"
        )
        try:
            return bool((await self._aread(query, {}, max_rows=1, seconds=2.0)).rows)
        except QueryError:
            return None

    async def aunconnected(self, checked: CheckedCypher) -> list[str]:
        """The relationships of a query that lead where the graph has none, each in a sentence."""
        complete = (await self.aschema()).complete
        found = [
            turn
            for turn in checked.impossible
            if complete or await self._surely_lacks(turn, either_way=True)
        ]
        return [f"The graph has no relationship like {turn.text}." for turn in found]

    def is_private(self, part: NodeType | RelationshipType, name: str) -> bool:
        """Whether a property's values may not be shown."""
        return self.is_private_of(part.name, name)

    def is_private_of(self, owner: str, name: str) -> bool:
        """The same by the name of the label or type."""
        return matches(f"{owner}.{name}", self._private)

    async def _explain_checked(self, checked: CheckedCypher) -> None:
        """Have the query planned; an error about a name also tells the nearest known one."""
        try:
            await self.aexplain(checked.cypher)
        except QueryTimeoutError:
            raise
        except QueryError as error:
            raise QueryError(" ".join([str(error), *checked.unknown])) from error

    def _checked(
        self, query: str, schema: GraphSchema, also: Collection[Connection] = ()
    ) -> CheckedCypher:
        return check_cypher(
            query,
            schema,
            allow_functions=self._functions,
            allow_procedures=self._procedures,
            excluded=self._exclude,
            also=also,
        )

    async def _unseen_connections(self, checked: CheckedCypher) -> set[Connection]:
        """What the graph may have of the relationships that were turned, as they were written.

        A schema that was sampled may lack a connection that is there: the database is asked.
        """
        if not checked.turns or (await self.aschema()).complete:
            return set()
        kept = [turn for turn in checked.turns if not await self._surely_lacks(turn)]
        ends = ((turn.start or [""], turn.types or [""], turn.end or [""]) for turn in kept)
        return {connection for each in ends for connection in itertools.product(*each)}

    async def _surely_lacks(self, turn: Turn, *, either_way: bool = False) -> bool:
        there = await self.aconnects(turn.start, turn.types, turn.end)
        if there is False and either_way:
            there = await self.aconnects(turn.end, turn.types, turn.start)
        return there is False

    def _permitted(self, schema: GraphSchema) -> GraphSchema:
        """The schema without what may not be shown, nor relationships that lead only there."""

        def may_show(name: str) -> bool:
            included = self._include is None or matches(name, self._include)
            return included and not matches(name, self._exclude)

        shown, complete = {}, schema.complete
        for name, kind in schema.relationships.items():
            pairs = tuple(pair for pair in kind.connections if all(map(may_show, pair)))
            complete = complete and len(pairs) == len(kind.connections)
            if may_show(name) and (pairs or not kind.connections):
                shown[name] = replace(kind, connections=pairs)
        nodes = {label: part for label, part in schema.nodes.items() if may_show(label)}
        return replace(schema, nodes=nodes, relationships=shown, complete=complete)

    @staticmethod
    def _is_list(part: NodeType | RelationshipType, name: str) -> bool:
        return any(c.name == name and _is_list_type(c.type) for c in part.columns)

    # -- the same, for sync code -------------------------------------------------------------------

    def schema(self, *, refresh: bool = False) -> GraphSchema:
        """The same as `aschema`, for sync code."""
        return run_sync(lambda: self.aschema(refresh=refresh))

    def check(self, query: str) -> CheckedCypher:
        """The same as `acheck`, for sync code."""
        return run_sync(lambda: self.acheck(query))

    def explain(self, query: str) -> None:
        """The same as `aexplain`, for sync code."""
        run_sync(lambda: self.aexplain(query))

    def run(
        self,
        query: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        max_rows: int | None = None,
        timeout: float | None = None,
    ) -> QueryResult:
        """The same as `arun`, for sync code."""
        options = {"parameters": parameters, "max_rows": max_rows, "timeout": timeout}
        return run_sync(lambda: self.arun(query, **options))  # type: ignore[arg-type]

    def close(self) -> None:
        """The same as `aclose`, for sync code."""
        run_sync(self.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pattern(part: NodeType | RelationshipType) -> str:
    if isinstance(part, NodeType):
        return f"(x:{quoted_name(part.label)})"
    return f"()-[x:{quoted_name(part.type)}]->()"


def _any_of(names: Collection[str] | None) -> str:
    return f":{'|'.join(quoted_name(name) for name in sorted(names))}" if names else ""


def _is_list_type(kind: str) -> bool:
    return kind.startswith("LIST") or kind.endswith("[]")
