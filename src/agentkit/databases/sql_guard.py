"""The check of a query before it runs: one statement, that only reads, of tables that are known.

What is checked is what runs. The text that comes back is the query's own tokens, with comments
left out, quotes in strings doubled rather than escaped, and blanks between tokens that touch:
where engines differ in reading comments, escapes and odd blanks, nothing is left to differ in. The
text is not generated anew from the syntax tree, because that spells some functions and formats in
another way, and a query must return what its author asked for.

The check is one of two doors. The other is the engine's own read-only mode, with time limits:
recursion or joins without end are legal, and are stopped there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import ClassVar

from agentkit._text import shortened, words
from agentkit.databases.schema import Schema
from agentkit.errors import (
    ConfigurationError,
    MissingExtraError,
    QueryError,
    QueryRefusedError,
)

try:
    import sqlglot
    from sqlglot import exp
    from sqlglot.dialects.dialect import Dialect
    from sqlglot.errors import ParseError, SqlglotError
except ImportError as missing:
    raise MissingExtraError("Checking a query", "sql") from missing

from agentkit.databases.sql_functions import (
    DIALECTS,
    READ_FUNCTIONS,
    REFUSED_NODES,
    is_refused_function,
)
from agentkit.databases.sql_names import Filter, Names
from agentkit.databases.sql_tokens import respelled, tokens_of

__all__ = ["CheckedQuery", "Filter", "check_query"]

_MOST_PARTS = 300
_READ_NODES = words(
    """
    Add Adjacent Alias Aliases All Any AtTimeZone Between BitString BitwiseAnd BitwiseLeftShift
    BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor Boolean Bracket ByteString CTE CharacterSet
    Column ColumnDef Cube DPipe DataType DataTypeParam Distance Distinct Div Dot EQ Escape Except
    ExtendsLeft ExtendsRight Fetch Filter FormatJson From GT GTE Glob Group GroupingSets Having
    Heredoc HexString HistoricalData ILike Identifier IgnoreNulls In IndexTableHint IntDiv
    Intersect Interval IntervalSpan Introducer Is JSON JSONColumnDef JSONExtractQuote JSONKeyValue
    JSONPath JSONPathFilter JSONPathKey JSONPathRecursive JSONPathRoot JSONPathScript
    JSONPathSelector JSONPathSlice JSONPathSubscript JSONPathUnion JSONPathWildcard JSONSchema
    JSONValue Join Kwarg LT LTE Lambda Lateral Like Limit LimitOptions Literal Match Mod Mul NEQ
    National Neg Not Null NullSafeEQ NullSafeNEQ Offset OnCondition Order Ordered Overlaps Paren
    Partition Pivot PivotAlias PivotAny PositionalColumn PropertyEQ Pseudocolumn Qualify RawString
    RecursiveWithSearch RespectNulls Rollup Select SimilarTo Slice Star Sub Subquery Table
    TableAlias TableFromRows TableSample Tuple UnicodeString Union UnpivotColumns Values Var
    Variadic Version Where Window WindowSpec With WithinGroup
    """
)
_CLAUSES = {
    "Into": "SELECT … INTO",
    "Lock": "FOR UPDATE or FOR SHARE",
    "Command": "a command",
    "TruncateTable": "TRUNCATE",
    "LoadData": "LOAD DATA",
    "Parameter": "a parameter or variable",
    "SessionParameter": "a system variable",
    "Placeholder": "a parameter",
    "NextValueFor": "NEXT VALUE FOR",
    "ReadCSV": "read_csv",
    "ReadParquet": "read_parquet",
}


@dataclass(frozen=True)
class CheckedQuery:
    """A query that only reads.

    Args:
        text: The query as it was written.
        sql: The text to run: the query's tokens, without comments.
        tables: The tables it reads, by full name, each once.
        filters: The text literals that it compares with columns.
        cross_joins: Pairs of tables that are joined without a condition.
    """

    text: str
    sql: str
    tables: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    cross_joins: tuple[tuple[str, str], ...] = ()
    corrections: ClassVar[tuple[str, ...]] = ()


def check_query(
    query: str,
    schema: Schema | None,
    *,
    dialect: str,
    allow_functions: Collection[str] = (),
) -> CheckedQuery:
    """Check that a query is one statement that reads, and that its names are the schema's.

    The syntax tree may hold only what reads: a kind of node that is not known to read is refused.
    So is a function that is not known only to compute, a user's own among them. Names that cannot
    be decided, such as the columns of a table function, are left to the engine's `EXPLAIN`.

    Args:
        query: The query, of at most 50,000 characters.
        schema: The tables that may be read; with None, any but the engine's own.
        dialect: sqlglot's name: `sqlite`, `postgres`, `mysql` (MariaDB too) or `duckdb`.
        allow_functions: Names of further functions that only compute.

    Returns:
        The query as it may be run, and what it reads.

    Raises:
        QueryRefusedError: When it does more than read, or reads what it may not; it says what.
        QueryError: When it cannot be read, or names a table or column that is not there; it says
            which one is nearest.
        ConfigurationError: When the dialect is another.
    """
    if dialect not in DIALECTS:
        raise ConfigurationError(f"dialect= is one of {', '.join(DIALECTS)}; got {dialect!r}.")
    tokens = tokens_of(query, dialect)
    sql = respelled(query, tokens, dialect)
    try:
        tree = _parsed(sql, dialect)
        _check_size(tree)
        _check_nodes(tree, dialect, frozenset(name.lower() for name in allow_functions))
        names = Names(tree, schema, dialect)
        tables = names.tables()
        names.check_columns()
        return CheckedQuery(query, sql, tables, names.filters(), names.cross_joins())
    except RecursionError as error:
        raise QueryRefusedError(
            "The query is nested too deeply to be checked. Write a flatter SELECT, with WITH for "
            "its parts."
        ) from error


def _parsed(sql: str, dialect: str) -> exp.Expr:
    try:
        (tree,) = sqlglot.parse(sql, dialect=Dialect.get_or_raise(dialect))
    except ParseError as error:
        raise QueryError(f"The query is not valid SQL: {_parse_problem(error)}") from error
    except (SqlglotError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        # sqlglot's parser raises Python's own errors on some malformed queries
        raise QueryError(
            f"The query is not valid SQL: {shortened(' '.join(str(error).split()), 200)}"
        ) from error
    if not isinstance(tree, exp.Query | exp.Values):
        raise QueryRefusedError(f"{_kind(tree)} is not a statement that reads. Write one SELECT.")
    return tree


def _parse_problem(error: ParseError) -> str:
    if not error.errors:
        return shortened(" ".join(str(error).split()), 200)
    first = error.errors[0]
    near = f"{first['start_context'][-40:]}»{first['highlight']}«{first['end_context'][:40]}"
    return f"{first['description'].rstrip('.')}, near {' '.join(near.split())!r}."


def _check_size(tree: exp.Expr) -> None:
    """Refuse what would take seconds to check: the time grows with the square of its parts."""
    parts = tree.find_all(exp.Select, exp.Table)
    if any(count >= _MOST_PARTS for count, _ in enumerate(parts)):
        raise QueryRefusedError(
            f"The query has more than {_MOST_PARTS} SELECTs and tables. Write a smaller one."
        )


def _check_nodes(tree: exp.Expr, dialect: str, allowed: frozenset[str]) -> None:
    for node in tree.walk():
        kind = type(node).__name__
        if isinstance(node, exp.Func):
            for name in _function_names(node):
                _check_function(node, name, dialect, allowed)
        elif kind not in _READ_NODES:
            raise QueryRefusedError(
                f"The query has {_kind(node)}, which does more than read. Write one SELECT without "
                "it."
            )
        else:
            _check_shape(node, dialect)


def _check_shape(node: exp.Expr, dialect: str) -> None:
    """Refuse what reads in one place and does something else in another."""
    if isinstance(node, exp.CTE) and not isinstance(node.this, exp.Query | exp.Values):
        raise QueryRefusedError(
            f"WITH names {shortened(node.this.sql(dialect), 60)!r}. Write one SELECT in each of "
            "its brackets."
        )
    if isinstance(node, exp.PropertyEQ) and dialect == "mysql":
        raise QueryRefusedError("The query assigns with :=. Write one SELECT without it.")
    if isinstance(node, exp.In) and dialect == "sqlite" and node.args.get("field"):
        table = node.args["field"].sql(dialect)  # in SQLite alone, the name of a table
        raise QueryRefusedError(
            f"A table stands alone after IN: {shortened(table, 60)}. Write one SELECT that reads "
            "it in brackets."
        )


def _function_names(node: exp.Func) -> Iterator[str]:
    """The name that the query calls a function by, where sqlglot keeps it, and sqlglot's own."""
    written = node.meta.get("name")
    if isinstance(written, str):
        yield written
    if isinstance(node, exp.Anonymous):
        yield node.name
    elif not written:
        yield from (name.lower() for name in node.sql_names())


def _check_function(node: exp.Func, name: str, dialect: str, allowed: frozenset[str]) -> None:
    kind = type(node).__name__
    if kind in REFUSED_NODES or is_refused_function(name, dialect):
        raise QueryRefusedError(
            f"The function {shortened(name, 60)} may not be called: it does more than compute with "
            "what the tables hold. Write one SELECT without it."
        )
    # sqlglot takes a function that it knows for an unknown one when its arguments are unusual
    known = not isinstance(node, exp.Anonymous | exp.AnonymousAggFunc) or (
        name.upper() in Dialect.get_or_raise(dialect).parser_class.FUNCTIONS
    )
    schema = _qualifier(node, dialect)
    computes = (known or name.lower() in READ_FUNCTIONS[dialect]) and not schema
    if not computes and name.lower() not in allowed:
        called = shortened(f"{schema}.{name}" if schema else name, 60)
        raise QueryRefusedError(
            f"The function {called} is not known to compute only, so it is not called. "
            "Write one SELECT with the engine's usual functions."
        )


def _qualifier(node: exp.Func, dialect: str) -> str:
    """The schema that a function is called from, where it is not the engine's own."""
    parent = node.parent
    if dialect not in ("postgres", "mysql"):
        return ""  # in DuckDB, text.lower() is lower(text)
    if isinstance(parent, exp.Table):
        schema = parent.db
    elif isinstance(parent, exp.Dot) and parent.expression is node:
        schema = parent.this.sql(dialect)
    else:
        return ""
    return "" if dialect == "postgres" and schema.lower() == "pg_catalog" else schema


def _kind(node: exp.Expr | None) -> str:
    kind = type(node).__name__
    if isinstance(node, exp.Command):
        return str(node.this).upper()
    return _CLAUSES.get(kind, kind.upper())
