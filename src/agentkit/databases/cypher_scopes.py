"""What the variables of a Cypher query stand for, and which properties are read of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from agentkit.databases.cypher_filters import compared
from agentkit.databases.cypher_patterns import Patterns
from agentkit.databases.cypher_words import Reading

_BINDING_CLAUSES = {"UNWIND", "LOAD CSV", "LOAD CSV WITH HEADERS", "YIELD", "CALL", "FOREACH"}
_SETTING = {"SET", "ON CREATE", "ON MATCH"}


@dataclass(eq=False, slots=True)
class Binding:
    """What a variable stands for.

    Args:
        kind: `node`, `relationship` or `other`.
        names: The labels or types that it is known to have one of.
        outer: The same variable outside of a pattern that only tests it.
    """

    kind: str
    names: set[str] = field(default_factory=set)
    outer: Binding | None = None

    def known(self) -> frozenset[str] | None:
        """The labels or types; None when none is known."""
        names = set(self.names)
        outer = self.outer
        while outer is not None:
            names |= outer.names
            outer = outer.outer
        return frozenset(names) or None


@dataclass(frozen=True, slots=True)
class Access:
    """A property that is read or set, of a variable or in a pattern's map."""

    binding: Binding
    property: str
    offset: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A property that must equal a text, or one of several."""

    binding: Binding
    property: str
    op: str
    value: str
    ignore_case: bool


@dataclass(eq=False, slots=True)
class _Scope:
    """The variables of a query, a subquery or a bracket that has its own."""

    kind: str
    close: int
    parent: _Scope | None = None
    importable: _Scope | None = None
    names: dict[str, Binding] = field(default_factory=dict)
    replaced: dict[str, Binding] = field(default_factory=dict)
    start: dict[str, Binding] = field(default_factory=dict)
    returned: dict[str, Binding] = field(default_factory=dict)
    coming: tuple[int, dict[str, Binding]] | None = None
    clause: str = ""
    first: bool = True
    negated: bool = False

    def find(self, name: str) -> Binding | None:
        """What a name stands for, here or around."""
        scope: _Scope | None = self
        while scope is not None:
            found = scope.names.get(name) or scope.replaced.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def visible(self) -> dict[str, Binding]:
        """All that can be named."""
        outer = self.parent.visible() if self.parent else {}
        return outer | self.names


class Scopes:
    """One walk over a query that follows its variables.

    Args:
        reading: The roles of the query's tokens.
        patterns: Its patterns.
    """

    def __init__(self, reading: Reading, patterns: Patterns) -> None:
        self.reading = reading
        self.patterns = patterns
        self.nodes: dict[int, Binding] = {}
        self.relationships: dict[int, Binding] = {}
        self.label_owners: dict[int, Binding | None] = {}
        self.accesses: list[Access] = []
        self.comparisons: list[Comparison] = []
        self._scopes = [_Scope("query", len(reading.tokens))]
        self._labelled: Binding | None = None
        self._continued = {right for *_, right in patterns.relationships.values()}
        self._denied = False  # whether a pattern stands behind NOT
        for place in range(len(reading.tokens)):
            self._step(place)

    @property
    def _scope(self) -> _Scope:
        return self._scopes[-1]

    def _step(self, place: int) -> None:
        reading = self.reading
        while place == self._scope.close:
            self._close()
        self._clause(place)
        self._pattern(place)
        if place in reading.kinds:
            self._open(place)
        role = reading.roles[place]
        if role == "variable":
            self._name(place)
        elif role == "label":
            self.label_owners[place] = self._labelled
        if reading.text(place) == ";":
            self._scope.names, self._scope.replaced = {}, {}

    # scopes

    def _open(self, place: int) -> None:
        """Enter a bracket; only some have variables of their own."""
        reading, outer = self.reading, self._scope
        kind = reading.kinds[place]
        if kind not in ("query", "foreach", "list", "call", "group", "path"):
            return
        scope = _Scope(kind, reading.closes[place], outer)
        before = reading.word(place - 1)
        scope.negated = (
            outer.negated
            or "NOT" in (before, reading.word(place - 2) if before == "EXISTS" else "")
            or before == "NONE"
        )
        if kind == "query" and outer.clause.endswith("CALL") and self._is_call(place):
            scope.parent, scope.importable = None, outer
            scope.kind = "subquery"
            scope.names = self._imported(place, outer)
        elif kind == "path":
            scope.names = outer.names  # a path in brackets names what those around it see
        scope.clause = outer.clause if kind != "query" else "MATCH"
        scope.start = dict(scope.names)
        if reading.is_name(place + 1) and reading.word(place + 2) == "IN":
            scope.names[reading.tokens[place + 1].value] = Binding("other")
        self._scopes.append(scope)

    def _is_call(self, place: int) -> bool:
        before = self.reading.text(place - 1)
        return before == ")" or self.reading.word(place - 1) == "CALL"

    def _imported(self, place: int, outer: _Scope) -> dict[str, Binding]:
        """What `CALL (a, b) {` and `CALL (*) {` let the subquery see."""
        reading, names = self.reading, {}
        if reading.text(place - 1) != ")":
            return {}
        start = place - 2
        while start >= 0 and reading.text(start) != "(":
            start -= 1
        for inner in range(start + 1, place - 1):
            if reading.text(inner) == "*":
                return outer.visible()
            name = reading.tokens[inner].value
            found = outer.find(name)
            if reading.is_name(inner) and found is not None:
                names[name] = found
        return names

    def _close(self) -> None:
        scope = self._scopes.pop()
        if scope.kind == "subquery":
            self._scope.names |= scope.returned

    # clauses

    def _clause(self, place: int) -> None:
        reading, scope = self.reading, self._scope
        if scope.coming is not None and place == scope.coming[0]:
            scope.replaced, scope.names = scope.names, scope.coming[1]
            scope.coming = None
        clause = reading.clauses.get(place)
        if clause is None:
            scope.clause = reading.subclauses.get(place, scope.clause)
            return
        scope.clause = clause
        scope.replaced = {}
        if clause.startswith("UNION"):
            scope.names, scope.first = dict(scope.start), True
            return
        if clause in ("WITH", "RETURN"):
            self._project(place, clause)
        scope.first = False

    def _project(self, place: int, clause: str) -> None:
        """What a WITH passes on, from its end; what a RETURN gives to the query around it."""
        scope = self._scope
        if clause == "WITH" and scope.first and scope.importable is not None:
            scope.names = scope.importable.visible() | scope.names
        names: dict[str, Binding] = {}
        end = place + 1
        for start, end in self._items(place + 1):
            names |= self._projected(start, end)
        if clause == "WITH":
            scope.coming = (end, names)
        else:
            same = scope.returned.keys() & names.keys()
            scope.returned |= names
            scope.returned |= {name: Binding("other") for name in same if scope.kind == "subquery"}

    def _items(self, place: int) -> Iterator[tuple[int, int]]:
        """The first place of each projected item, and that behind its last."""
        reading, start = self.reading, place
        stop = self._scope.close
        while place < stop and place not in reading.clauses and place not in reading.subclauses:
            text = reading.text(place)
            if text == ";":
                break
            if text == ",":
                yield start, place
                start = place + 1
            place = reading.closes.get(place, place) + 1
        yield start, place

    def _projected(self, start: int, end: int) -> dict[str, Binding]:
        reading, scope = self.reading, self._scope
        if reading.word(start) == "DISTINCT" and reading.roles[start] == "keyword":
            start += 1
        named = end - 2 if reading.word(end - 2) == "AS" and start < end - 2 else end
        if named - start != 1:
            bound = None  # an expression of more than a variable
        elif reading.text(start) == "*":
            return scope.visible()
        else:
            bound = scope.find(reading.tokens[start].value)
        if not reading.is_name(end - 1):
            return {}
        return {reading.tokens[end - 1].value: bound or Binding("other")}

    # patterns

    def _pattern(self, place: int) -> None:
        node = self.patterns.nodes.get(place)
        if node is not None:
            if place not in self._continued:
                self._denied = self.reading.word(place - 1) == "NOT"
            written = self._written(place)
            self.nodes[place] = self._declared("node", node.variable, node.labels, written)
            self._map(place, self.nodes[place])
        found = self.patterns.relationships.get(place)
        if found is not None:
            relationship, bracket, *_ = found
            kind = "other" if relationship.many else "relationship"
            binding = self._declared(
                kind, relationship.variable, relationship.types, place not in self.nodes
            )
            self.relationships[place] = binding
            if bracket is not None:
                owner = (
                    binding
                    if kind != "other"
                    else Binding("relationship", set(relationship.types or ()))
                )
                self._map(bracket, owner)

    def _written(self, place: int) -> bool:
        """Whether a node stands in a pattern that must match, not in one that is only tested."""
        return self.reading.kinds[place] == "node" and self._scope.clause != "OPTIONAL MATCH"

    def _declared(
        self, kind: str, variable: str | None, names: frozenset[str] | None, written: bool
    ) -> Binding:
        known = set(names or ())
        if variable is None:
            return Binding(kind, known)
        found = self._scope.find(variable)
        if found is None:
            found = self._scope.names[variable] = Binding(kind, known)
        elif written and variable in self._scope.names and found.kind == kind:
            found.names |= known
        elif known and found.kind == kind:
            return Binding(kind, known, found)
        elif found.kind == "other" and kind != "other":
            return Binding(kind, known)
        return found

    def _map(self, bracket: int, binding: Binding) -> None:
        """The keys of a pattern's map, and the texts that they must equal."""
        reading = self.reading
        place = bracket + 1
        while place < reading.closes[bracket] and reading.kinds.get(place) != "map":
            place += 1
        if place >= reading.closes[bracket]:
            return
        end = reading.closes[place]
        place += 1
        while place < end:
            if reading.roles[place] == "key":
                self._access(place, binding)
                value = reading.tokens[place + 2]
                if (
                    value.kind == "string"
                    and not self._denied
                    and reading.text(place + 3) in (",", "}")
                ):
                    self._compare(place, binding, "=", [value.value], ignore_case=False)
            place = reading.closes.get(place, place) + 1

    # properties

    def _name(self, place: int) -> None:
        reading, scope = self.reading, self._scope
        name = reading.tokens[place].value
        if self._is_new(place):
            scope.names[name] = Binding("other")
        binding = scope.find(name)
        if reading.text(place + 1) == ":" or reading.word(place + 1) == "IS":
            self._labelled = binding
        if binding is None or binding.kind == "other":
            return
        if reading.text(place + 1) == "." and reading.is_name(place + 2):
            self._access(place + 2, binding)
            self._filters(place, binding)
        elif reading.kinds.get(place + 1) == "map":
            self._projection(place + 1, binding)

    def _is_new(self, place: int) -> bool:
        """Whether a name is given here to a row, a path or what a procedure yields."""
        reading, clause = self.reading, self._scope.clause
        if reading.word(place - 1) == "AS":
            return clause in _BINDING_CLAUSES
        if reading.text(place + 1) == "=" and clause.endswith(("MATCH", "CREATE", "MERGE")):
            return reading.text(place - 1) in (",", "(", "{") or place - 1 in reading.clauses
        local = self._scope.kind in ("list", "call") and reading.word(place + 1) == "IN"
        if local and reading.text(place - 1) == ",":
            return True
        return clause == "YIELD" and reading.word(place + 1) != "AS"

    def _projection(self, start: int, binding: Binding) -> None:
        """The properties that `n {.name, .born}` takes."""
        reading, place = self.reading, start + 1
        while place < reading.closes[start]:
            dotted = reading.text(place) == "." and reading.text(place - 1) in ("{", ",")
            if dotted and reading.is_name(place + 1):
                self._access(place + 1, binding)
            place = reading.closes.get(place, place) + 1

    def _access(self, place: int, binding: Binding) -> None:
        token = self.reading.tokens[place]
        if binding.kind != "other":
            self.accesses.append(Access(binding, token.value, token.start))

    def _filters(self, place: int, binding: Binding) -> None:
        """The texts that `n.name` at a place must equal."""
        if self._scope.clause in _SETTING:
            return
        found = compared(self.reading, place)
        if found is not None:
            op, values, folds = found
            self._compare(place + 2, binding, op, values, ignore_case=folds)

    def _compare(
        self, place: int, binding: Binding, op: str, values: list[str], *, ignore_case: bool
    ) -> None:
        if binding.kind == "other" or self._scope.negated:
            return
        name = self.reading.tokens[place].value
        for value in values:
            self.comparisons.append(Comparison(binding, name, op, value, ignore_case))
