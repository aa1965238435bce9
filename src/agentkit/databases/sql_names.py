"""The names of a query: which tables and columns they mean, and what is compared and joined."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from agentkit._text import words
from agentkit.databases.schema import Schema, Table
from agentkit.databases.sql_functions import is_system_table
from agentkit.errors import QueryError, QueryRefusedError

_DEFAULT_SCHEMAS = {"postgres": "public", "sqlite": "main", "duckdb": "main", "mysql": ""}
_HIDDEN_COLUMNS = {
    "sqlite": {"rowid", "oid", "_rowid_", "rank"},
    "postgres": {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"},
    "mysql": {"row_start", "row_end", "_rowid"},
    "duckdb": {"rowid", "filename"},
}
_WORDS = words(
    """
    current_catalog current_date current_role current_schema current_time current_timestamp
    current_user default false localtime localtimestamp rownum session_user sysdate system_user
    true user utc_date utc_time utc_timestamp
    century day dayofweek dayofyear decade dow doy epoch hour isodow isoyear microsecond
    microseconds millennium millisecond milliseconds minute month quarter second week weekday year
    years months days hours minutes seconds weeks day_hour day_minute day_second hour_minute
    hour_second minute_second year_month
    """
)
_INSPECTIONS = {"show", "describe", "desc", "summarize"}  # (SHOW TABLES) may stand for a table
_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_COMPARED: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.Like: "LIKE",
    exp.ILike: "ILIKE",
}

_Sources = dict[str, exp.Table | Scope]
_Columns = dict[str, str] | None
"""Columns by folded name, as they are spelled; None where they are not known."""


@dataclass(frozen=True)
class Filter:
    """A text that a query compares with a column.

    Args:
        table: The table's full name.
        column: The column's name, as the schema has it.
        value: The text.
        op: `=`, `!=`, `IN`, `NOT IN`, or `LIKE` and `ILIKE` where the text has no wildcard.
        ignore_case: Whether upper and lower case are the same, as in `LOWER(column) = 'text'`.
    """

    table: str
    column: str
    value: str
    op: str = "="
    ignore_case: bool = False


class Names:
    """The names of one query, by the schema of its database and the rules of its dialect.

    Where sqlglot's scopes cannot say what a name means, nothing is said of it.
    """

    def __init__(self, tree: exp.Expr, schema: Schema | None, dialect: str) -> None:
        self._tree = tree
        self._schema = schema
        self._dialect = dialect
        self._known = {self._fold(n): t for n, t in schema.tables.items()} if schema else {}

    def tables(self) -> tuple[str, ...]:
        """The full names of the tables that the query reads, in order, each once.

        Raises:
            QueryRefusedError: For the engine's own tables.
            QueryError: For tables that the schema does not have.
        """
        found: dict[str, None] = {}
        for node in self._tree.find_all(exp.Table):
            is_table = isinstance(node.this, exp.Identifier) and node.arg_key != "indexed"
            if self._dialect == "mysql" and node.name.lower() == "dual" and not node.db:
                continue
            if is_table and not self._is_cte(node):
                found[self._checked_table(node)] = None
        return tuple(found)

    def _checked_table(self, node: exp.Table) -> str:
        table = self._table(node)
        if table is not None:
            return table.full_name
        written = ".".join(part.name for part in node.parts)
        if is_system_table(node.name, node.db) or is_system_table(node.name, node.catalog):
            raise QueryRefusedError(
                f"The table {written} is the engine's own and may not be read. Write one SELECT "
                "over the tables of the schema."
            )
        if self._schema is None:
            name = node.name.lower()
            if self._dialect == "duckdb" and (not name.isidentifier() or name in _INSPECTIONS):
                raise QueryRefusedError(
                    f"{written!r} may stand for a file or a command. Write one SELECT over the "
                    "tables of the database."
                )
            return written
        raise QueryError(
            f"There is no table {written!r}. "
            + self._nearest(node.name, {t.name: n for n, t in self._schema.tables.items()})
        )

    def _table(self, node: exp.Table) -> Table | None:
        """The table of the schema that a node means."""
        name = self._folded(node.this)
        if node.catalog:
            return None
        if not node.db:
            return self._known.get(name)
        database = self._folded(node.args["db"])
        table = self._known.get(f"{database}.{name}")
        if table is None and database == _DEFAULT_SCHEMAS[self._dialect]:
            table = self._known.get(name)
        return table

    def _is_cte(self, node: exp.Table) -> bool:
        """Whether a WITH that is in force at the node names it.

        A common table expression does not see itself unless it is recursive: there, its name is
        the table's of that name.
        """
        if node.args.get("db"):
            return False
        name = self._cte_name(node.this)
        inside: exp.CTE | None = None
        ancestor = node.parent
        while ancestor is not None:
            if isinstance(ancestor, exp.CTE):
                inside = ancestor
            clause = ancestor.args.get("with_") or ancestor.args.get("with")
            ctes = self._ctes_in_force(clause, inside) if isinstance(clause, exp.With) else []
            if name in map(self._cte_alias, ctes):
                return True
            ancestor = ancestor.parent
        return False

    def _ctes_in_force(self, clause: exp.With, inside: exp.CTE | None) -> list[exp.Expr]:
        ctes: list[exp.Expr] = clause.expressions
        if inside is None or inside.parent is not clause:
            return ctes
        if self._dialect == "sqlite" or (self._dialect == "postgres" and clause.recursive):
            return ctes
        place = next(i for i, cte in enumerate(ctes) if cte is inside)
        # DuckDB takes the name in any other body for the table's of that name
        recurses = clause.recursive and isinstance(inside.this, exp.Union)
        return ctes[: place + 1] if recurses else ctes[:place]

    def _cte_alias(self, cte: exp.Expr) -> str:
        return self._cte_name(cte.args["alias"].this)

    def _cte_name(self, identifier: exp.Expr) -> str:
        # MySQL compares them as it compares the names of tables: by case on most systems
        return identifier.name if self._dialect == "mysql" else self._folded(identifier)

    def _folded(self, identifier: exp.Expr) -> str:
        """An identifier as names are compared: PostgreSQL keeps the case of quoted ones."""
        if self._dialect == "postgres" and identifier.args.get("quoted"):
            return identifier.name
        return identifier.name.translate(_ASCII_LOWER)

    def _fold(self, name: str) -> str:
        """A name of the database as names are compared."""
        return name if self._dialect == "postgres" else name.translate(_ASCII_LOWER)

    def _nearest(self, name: str, known: dict[str, str]) -> str:
        """What to do about an unknown name: the nearest of the known ones, or some of them."""
        lowered = {k.lower(): v for k, v in known.items()}
        near = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)
        spelled = [self._spelled(lowered[key]) for key in near]
        if spelled:
            return f"The nearest: {', '.join(spelled)}."
        return f"There are: {', '.join(map(self._spelled, sorted(known.values())[:10]))}."

    def _spelled(self, name: str) -> str:
        parts = name.split(".")
        if self._dialect == "postgres" and any(
            p != p.lower() or not p.isidentifier() for p in parts
        ):
            return ".".join(f'"{part}"' for part in parts)
        return name

    @cached_property
    def _scopes(self) -> list[Scope]:
        try:
            scopes = list(traverse_scope(self._tree))
            for scope in scopes:
                _sources(scope)
            return scopes
        except (SqlglotError, ValueError, TypeError, AttributeError, KeyError):
            return []  # names that sqlglot cannot place are left to the engine

    def check_columns(self) -> None:
        """Raise a QueryError for a column that none of the tables in force has."""
        if self._schema is None:
            return
        for scope in self._scopes:
            if isinstance(scope.expression, exp.Select):
                for column in scope.find_all(exp.Column):
                    self._check_column(column, scope)
                for dot in scope.find_all(exp.Dot):
                    self._check_field(dot, scope)

    def _check_column(self, column: exp.Column, scope: Scope) -> None:
        if isinstance(column.this, exp.Star) or not isinstance(column.this, exp.Identifier):
            return
        if column.args.get("db") and self._dialect == "duckdb":
            return  # the field of a field
        if isinstance(column.find_ancestor(exp.Partition, exp.Query), exp.Partition):
            return  # the name of a partition
        if column.table:
            self._check_qualified(column, scope)
        else:
            self._check_unqualified(column, scope)

    def _check_field(self, dot: exp.Dot, scope: Scope) -> None:
        """In PostgreSQL, (row).name is a column, or else a function that is called with the row."""
        row = dot.this.unnest()
        if not isinstance(row, exp.Column) or not isinstance(dot.expression, exp.Identifier):
            return
        if self._dialect == "postgres" and row.name in _sources(scope):
            column = exp.Column(this=dot.expression.copy(), table=row.this.copy())
            self._check_qualified(column, scope)

    def _check_qualified(self, column: exp.Column, scope: Scope) -> None:
        qualifier = column.table.lower()
        names: dict[str, str] = {}
        for _, sources in _outwards(scope):
            for name, source in sources.items():
                if name.lower() == qualifier:
                    known = self._columns_of(source)
                    if known is not None and not self._has(known, column):
                        raise self._unknown_column(column, known)
                    return
                if not name:
                    return  # a table function is known by its own name
                known = self._columns_of(source)
                if known is None or qualifier in map(str.lower, known):
                    return  # the field of a column
                names[name] = name
        if names:
            raise QueryError(
                f"There is no table or alias {column.table!r} in FROM for {column.sql()!r}. "
                + self._nearest(column.table, names)
            )

    def _check_unqualified(self, column: exp.Column, scope: Scope) -> None:
        known: dict[str, str] = {}
        name = column.name.lower()
        if name in _WORDS and not column.this.args.get("quoted"):
            return
        for around, sources in _outwards(scope):
            for alias, source in sources.items():
                columns = self._columns_of(source)
                if columns is None or alias.lower() == name:
                    return  # the row itself
                known |= columns
            if name in _aliases(around):
                return
        if known and not self._has(known, column):
            raise self._unknown_column(column, known)

    def _has(self, known: dict[str, str], column: exp.Column) -> bool:
        return (
            self._folded(column.this) in known
            or column.name.lower() in _HIDDEN_COLUMNS[self._dialect]
        )

    def _unknown_column(self, column: exp.Column, known: dict[str, str]) -> QueryError:
        spelled = {name: name for name in known.values()}
        quoted = self._dialect in ("sqlite", "postgres", "duckdb") and column.this.args.get(
            "quoted"
        )
        told = " A text is written in single quotes." if quoted else ""
        written = ".".join(part.name for part in column.parts)
        return QueryError(
            f"There is no column {written!r} in the tables of its SELECT. "
            + self._nearest(column.name, spelled)
            + told
        )

    def _columns_of(self, source: exp.Table | Scope) -> _Columns:
        """The columns of a table, a common table expression or a subquery."""
        if isinstance(source, exp.Table):
            return self._columns_of_table(source)
        if not isinstance(source, Scope) or not isinstance(source.expression, exp.Query):
            return None
        if source.outer_columns or source.expression.args.get("pivots"):
            return None
        return self._projected(source)

    def _columns_of_table(self, node: exp.Table) -> _Columns:
        alias = node.args.get("alias")
        if not isinstance(node.this, exp.Identifier) or (alias and alias.columns):
            return None
        table = self._table(node)
        if table is None or node.args.get("pivots"):
            return None
        return {self._fold(column.name): column.name for column in table.columns}

    def _projected(self, scope: Scope) -> _Columns:
        columns: dict[str, str] = {}
        while scope.set_operation_scopes:
            scope = scope.set_operation_scopes[0]
        if not isinstance(scope.expression, exp.Select):
            return None
        for projection in scope.expression.selects:
            found = self._projection(projection, scope)
            if found is None:
                return None
            columns |= found
        return columns

    def _projection(self, projection: exp.Expr, scope: Scope) -> _Columns:
        if projection.is_star:
            return self._starred(projection, scope)
        if isinstance(projection, exp.Alias):
            identifier = projection.args["alias"]
        elif isinstance(projection, exp.Column):
            identifier = projection.this
        else:
            return None  # each engine names an expression in its own way
        return {self._folded(identifier): identifier.name}

    def _starred(self, star: exp.Expr, scope: Scope) -> _Columns:
        if not isinstance(star, exp.Star | exp.Column) or any(
            value for part in star.find_all(exp.Star) for value in part.args.values()
        ):
            return None
        only = star.table.lower() if isinstance(star, exp.Column) else None
        columns: dict[str, str] = {}
        for name, source in _sources(scope).items():
            if only is None or name.lower() == only:
                found = self._columns_of(source)
                if found is None:
                    return None
                columns |= found
        return columns

    def filters(self) -> tuple[Filter, ...]:
        """The texts that the query compares with columns whose tables are known."""
        found: dict[Filter, None] = {}
        for scope in self._scopes:
            for node in scope.find_all(exp.EQ, exp.NEQ, exp.Like, exp.ILike, exp.In):
                found |= dict.fromkeys(self._filters_of(node, scope))
        return tuple(found)

    def _filters_of(self, node: exp.Expr, scope: Scope) -> Iterator[Filter]:
        if isinstance(node, exp.In):
            sides, others = [node.this], node.expressions
            op = "NOT IN" if isinstance(node.parent, exp.Not) else "IN"
        else:
            sides = others = [node.this, node.expression]
            op = _COMPARED[type(node)]
        for side in sides:
            column, folds = _bare(side)
            place = self._column_of(column, scope) if isinstance(column, exp.Column) else None
            for other in others if place else ():
                value, _ = _bare(other)
                if _is_text(value) and not (op.endswith("LIKE") and set(value.name) & set("%_\\")):
                    table, name = place  # type: ignore[misc]  # only where there is one
                    yield Filter(table, name, value.name, op, folds or op == "ILIKE")

    def _column_of(self, column: exp.Column, scope: Scope) -> tuple[str, str] | None:
        """The table's full name and the column's that a column of a query comes from."""
        for _, sources in _outwards(scope):
            for name, source in sources.items():
                if column.table and name.lower() != column.table.lower():
                    continue
                known = self._columns_of(source)
                if known is None:
                    return None
                if self._folded(column.this) in known:
                    return self._origin(column, source, known)
        return None

    def _origin(
        self, column: exp.Column, source: exp.Table | Scope, known: dict[str, str]
    ) -> tuple[str, str] | None:
        if isinstance(source, exp.Table):
            table = self._table(source)
            return (table.full_name, known[self._folded(column.this)]) if table else None
        if not isinstance(source.expression, exp.Select):
            return None
        for projection in source.expression.selects:
            inner = projection.unalias()
            if projection.is_star:
                return self._column_of(exp.column(column.this.copy()), source)
            if projection.alias_or_name.lower() == column.name.lower():
                return self._column_of(inner, source) if isinstance(inner, exp.Column) else None
        return None

    def cross_joins(self) -> tuple[tuple[str, str], ...]:
        """Pairs of tables that one SELECT reads and that no condition leads between."""
        found: dict[tuple[str, str], None] = {}
        for scope in self._scopes:
            if isinstance(scope.expression, exp.Select) and len(_sources(scope)) > 1:
                found |= dict.fromkeys(self._unjoined(scope))
        return tuple(found)

    def _unjoined(self, scope: Scope) -> Iterator[tuple[str, str]]:
        sources = _sources(scope)
        groups = [{name} for name in sources]
        for linked in self._links(scope):
            touched = [group for group in groups if group & linked]
            if touched:
                groups = [group for group in groups if not group & linked]
                groups.append(set().union(*touched))
        places = {name: place for place, name in enumerate(sources)}
        groups.sort(key=lambda group: min(places[name] for name in group))
        firsts = (self._first_table(group, sources) for group in groups)
        yield from combinations([table for table in firsts if table], 2)

    def _first_table(self, group: set[str], sources: _Sources) -> str | None:
        for name, source in sources.items():
            if name in group and isinstance(source, exp.Table):
                table = self._table(source) if isinstance(source.this, exp.Identifier) else None
                if table is not None:
                    return table.full_name
        return None

    def _links(self, scope: Scope) -> Iterator[set[str]]:
        """The sources that each condition of a SELECT speaks of."""
        select = scope.expression
        names = list(_sources(scope))
        for place, join in enumerate(select.args.get("joins") or [], 1):
            if join.args.get("using") or join.args.get("method") == "NATURAL":
                yield set(names[: place + 1])
            yield from self._linked(join.args.get("on"), scope)
            yield from self._linked(join.this if isinstance(join.this, exp.UDTF) else None, scope)
        for clause in ("where", "having", "qualify"):
            node = select.args.get(clause)
            yield from self._linked(node.this if node else None, scope)

    def _linked(self, condition: exp.Expr | None, scope: Scope) -> Iterator[set[str]]:
        for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
            if part is not None:
                yield self._named(part, scope)

    def _named(self, node: exp.Expr, scope: Scope) -> set[str]:
        sources = _sources(scope)
        named: set[str] = set()
        for column in node.find_all(exp.Column):
            for name, source in sources.items():
                known = self._columns_of(source)
                if column.table.lower() == name.lower() or (
                    not column.table and (known is None or self._folded(column.this) in known)
                ):
                    named.add(name)
        return named


def _outwards(scope: Scope | None) -> Iterator[tuple[Scope, _Sources]]:
    """A scope and those around it, each with the sources whose columns can be named from within."""
    inner: Scope | None = None
    while scope is not None:
        yield scope, {name: held for name, held in _sources(scope).items() if held is not inner}
        inner = scope
        if scope.is_cte and scope.parent is not None:
            scope = scope.parent  # its SELECT reads the expression, which sees nothing of that
        scope = scope.parent


def _sources(scope: Scope) -> _Sources:
    return {name: source for name, (_, source) in scope.selected_sources.items()}


def _aliases(scope: Scope) -> set[str]:
    """The names that a SELECT gives to what it returns: engines let clauses use them."""
    if not isinstance(scope.expression, exp.Select):
        return set()
    selects = scope.expression.selects
    return {select.alias.lower() for select in selects if isinstance(select, exp.Alias)}


def _bare(node: exp.Expr) -> tuple[exp.Expr, bool]:
    """What a text function is applied to, and whether it takes the case away."""
    folds = False
    while isinstance(node, exp.Lower | exp.Upper | exp.Trim | exp.Paren | exp.Collate | exp.Cast):
        folds = folds or isinstance(node, exp.Lower | exp.Upper)
        node = node.this
    return node, folds


def _is_text(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal | exp.National) and node.is_string
