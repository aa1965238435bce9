"""The tables and views of a SQL database, with their columns, keys and comments."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.engine.reflection import Inspector, ObjectKind
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import NullType, String

from agentkit.databases.schema import Column, ForeignKey, Table
from agentkit.errors import ConfigurationError


def reflected_tables(connection: Connection, schemas: Sequence[str] | None) -> list[Table]:
    """The tables and views of a connection's default schema, or of the schemas that are named.

    Raises:
        ConfigurationError: When there is no such schema.
        sqlalchemy.exc.SQLAlchemyError: When the database cannot be read.
    """
    existing: set[str]
    default: str | None
    if connection.dialect.name == "duckdb":
        existing, default = _duckdb_schemas(connection)
    else:
        inspector = inspect(connection)
        existing, default = set(inspector.get_schema_names()), inspector.default_schema_name
    wanted: Sequence[str | None] = [default] if schemas is None else schemas
    for missing in set(schemas or ()) - existing:
        raise ConfigurationError(
            f"There is no schema {missing!r}; there are: {', '.join(sorted(existing))}."
        )
    found: list[Table] = []
    for name in wanted:
        schema = None if name == default else name
        if connection.dialect.name == "duckdb":
            found += _duckdb_tables(connection, str(name), schema)
        else:
            found += _tables(inspector, schema, default)
    return found


def _tables(inspector: Inspector, schema: str | None, default: str | None) -> Iterator[Table]:
    kind = {"schema": schema, "kind": ObjectKind.ANY}
    columns = inspector.get_multi_columns(**kind)  # type: ignore[arg-type]
    keys: Any = inspector.get_multi_pk_constraint(**kind)  # type: ignore[arg-type]
    foreign: Any = inspector.get_multi_foreign_keys(**kind)  # type: ignore[arg-type]
    comments: Any = {}
    with suppress(NotImplementedError):
        comments = inspector.get_multi_table_comment(**kind)  # type: ignore[arg-type]
    views = {*inspector.get_view_names(schema), *_materialized(inspector, schema)}
    for place, found in sorted(columns.items(), key=lambda item: item[0][1]):
        name = place[1]
        yield Table(
            name=name,
            columns=tuple(_column(column) for column in found),
            schema=schema,
            primary_key=tuple((keys.get(place) or {}).get("constrained_columns") or ()),
            foreign_keys=tuple(_foreign_keys(foreign.get(place) or (), schema, default)),
            comment=(comments.get(place) or {}).get("text"),
            is_view=name in views,
        )


def _materialized(inspector: Inspector, schema: str | None) -> Collection[str]:
    with suppress(NotImplementedError, SQLAlchemyError):
        return inspector.get_materialized_view_names(schema)
    return ()


def _column(column: ReflectedColumn) -> Column:
    kind = column["type"]
    try:
        told = "" if isinstance(kind, NullType) else str(kind)
    except Exception:  # noqa: BLE001 - a type that SQLAlchemy cannot write, whatever it raises
        told = type(kind).__name__
    return Column(
        name=column["name"],
        type=told,
        nullable=bool(column.get("nullable", True)),
        comment=column.get("comment"),
        is_text=isinstance(kind, String),
    )


def _foreign_keys(
    found: Iterable[Any], schema: str | None, default: str | None
) -> Iterator[ForeignKey]:
    for key in found:
        there = key.get("referred_schema") or schema
        table = key["referred_table"]
        yield ForeignKey(
            columns=tuple(key["constrained_columns"]),
            table=table if there in (None, default) else f"{there}.{table}",
            referred=tuple(key["referred_columns"] or ()),
        )


# duckdb-engine asks for PostgreSQL's catalogue, of which DuckDB has a part only


def _duckdb_schemas(connection: Connection) -> tuple[set[str], str]:
    names = connection.exec_driver_sql(
        "SELECT schema_name FROM duckdb_schemas() WHERE NOT internal OR schema_name = 'main'"
    ).all()
    default = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    return {name for (name,) in names}, str(default)


def _duckdb_tables(connection: Connection, name: str, schema: str | None) -> Iterator[Table]:
    def rows(query: str) -> Sequence[Any]:
        where = "WHERE database_name = current_database() AND schema_name = $1"
        return connection.exec_driver_sql(f"{query} {where}", (name,)).all()

    columns: dict[str, list[Column]] = {}
    for table, column, kind, nullable, comment in rows(
        "SELECT table_name, column_name, data_type, is_nullable, comment FROM duckdb_columns()"
    ):
        is_text = kind == "VARCHAR" or kind.startswith("ENUM")
        columns.setdefault(table, []).append(
            Column(column, kind, bool(nullable), comment, is_text=is_text)
        )
    primary: dict[str, tuple[str, ...]] = {}
    foreign: dict[str, list[ForeignKey]] = {}
    for table, kind, names, referred_table, referred in rows(
        "SELECT table_name, constraint_type, constraint_column_names, referenced_table, "
        "referenced_column_names FROM duckdb_constraints()"
    ):
        if kind == "PRIMARY KEY":
            primary[table] = tuple(names)
        elif kind == "FOREIGN KEY":
            there = referred_table if schema is None else f"{schema}.{referred_table}"
            key = ForeignKey(tuple(names), there, tuple(referred))
            foreign.setdefault(table, []).append(key)
    comments = _comments(rows("SELECT table_name, comment FROM duckdb_tables()"))
    views = _comments(rows("SELECT view_name, comment FROM duckdb_views()"))
    for table in sorted(columns):
        yield Table(
            name=table,
            columns=tuple(columns[table]),
            schema=schema,
            primary_key=primary.get(table, ()),
            foreign_keys=tuple(foreign.get(table, ())),
            comment=comments.get(table) or views.get(table),
            is_view=table in views,
        )


def _comments(rows: Sequence[Any]) -> dict[str, str | None]:
    return {name: comment for name, comment in rows}  # noqa: C416 - rows of SQLAlchemy are no pairs
