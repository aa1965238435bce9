"""A relational database's schema, as models are shown it, and what every schema is asked."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from agentkit._text import shortened, well_formed

_COMMENT_CHARS = 160
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_CHARS_A_TOKEN = 4


def count_tokens(text: str) -> int:
    """About how many tokens a text has: one for every four characters."""
    return -(-len(text) // _CHARS_A_TOKEN)


@dataclass(frozen=True)
class Column:
    """A column.

    Args:
        name: As the database has it, unquoted.
        type: As the database writes it, such as `VARCHAR(120)`.
        nullable: Whether it may be NULL.
        comment: What the database's makers say of it.
        samples: A few of its values, as text; none where they are private.
        is_text: Whether its values are text, which a question's words can be matched with.
    """

    name: str
    type: str
    nullable: bool = True
    comment: str | None = None
    samples: tuple[str, ...] = ()
    is_text: bool = False


@dataclass(frozen=True)
class ForeignKey:
    """Columns that hold the key of a row in another table, `table` by its full name."""

    columns: tuple[str, ...]
    table: str
    referred: tuple[str, ...]


class Part(Protocol):
    """A part of a schema that a question may be about: a table, or a kind of node."""

    @property
    def full_name(self) -> str:
        """The name by which the schema holds it."""

    @property
    def comment(self) -> str | None:
        """What the database's makers say of it."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it holds."""

    @property
    def joined(self) -> tuple[str, ...]:
        """The parts that it leads to, by name."""


class AnySchema(Protocol):
    """What is asked of a schema, of tables or of a graph."""

    @property
    def parts(self) -> Mapping[str, Part]:
        """What a question may be about, by name."""

    def tokens(self, name: str, columns: Collection[str] | None = None) -> int:
        """About how many tokens a part has in a prompt, with these columns; None for all."""

    def only(self, parts: Mapping[str, Collection[str] | None], /) -> Self:
        """The schema with these parts alone, and of each these columns; None for all."""

    def render(self) -> str:
        """The schema, as models are shown it."""


@dataclass(frozen=True)
class Table:
    """A table or view; `schema` is None for one in the connection's default schema."""

    name: str
    columns: tuple[Column, ...]
    schema: str | None = None
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    comment: str | None = None
    is_view: bool = False

    @property
    def full_name(self) -> str:
        """The name by which a schema holds it: `schema.name`, or `name` in the default schema."""
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @property
    def joined(self) -> tuple[str, ...]:
        """The tables that it has a foreign key to, by full name."""
        return tuple(key.table for key in self.foreign_keys)


@dataclass(frozen=True)
class Schema:
    """Tables by full name, and the SQL dialect by sqlglot's name for it."""

    dialect: str
    tables: Mapping[str, Table] = field(default_factory=dict)

    @property
    def parts(self) -> Mapping[str, Table]:
        """What a question may be about: the tables."""
        return self.tables

    def tokens(self, name: str, columns: Collection[str] | None = None) -> int:
        """About how many tokens a table has in a prompt, with these columns; None for all."""
        table = _narrowed(self.tables[name], columns, self.tables)
        keys = self.tables[name].foreign_keys  # lines that come with both ends
        alone = Schema(self.dialect, {name: replace(table, foreign_keys=keys)})
        return count_tokens(f"{alone.render()}\n\n")

    def only(self, tables: Mapping[str, Collection[str] | None]) -> Schema:
        """The schema with these tables alone, and of each these columns.

        Keys stay, whether they are named or not; a foreign key to a table that goes, goes too.

        Args:
            tables: By full name the names of columns; None for all.
        """
        kept = {name: table for name, table in self.tables.items() if name in tables}
        if kept == self.tables and all(
            columns is None or len(columns) == len(kept[name].columns)
            for name, columns in tables.items()
            if name in kept
        ):
            return self
        return Schema(
            self.dialect,
            {name: _narrowed(table, tables[name], kept) for name, table in kept.items()},
        )

    def render(self) -> str:
        """The schema as DDL, with comments and sample values as SQL comments.

        What stands in names, comments and values cannot leave its place: it is one line each.
        """
        return self._rendered

    @functools.cached_property
    def _rendered(self) -> str:
        return "\n\n".join(self._table(table) for table in self.tables.values())

    def quoted(self, *names: str | None) -> str:
        """A name, qualified where several are given, quoted where the dialect needs it."""
        quote = _quoting(self.dialect)
        return ".".join(quote(one_line(name)) for name in names if name)

    def _table(self, table: Table) -> str:
        kind = "VIEW" if table.is_view else "TABLE"
        *lines, last = [*self._columns(table), *self._keys(table)] or [("", "")]
        told = [f"  {line},{comment}" for line, comment in lines]
        told.append(f"  {last[0]}{last[1]}")
        head = f"CREATE {kind} {self.quoted(table.schema, table.name)} ({_comment(table.comment)}"
        return "\n".join([head, *told, ");"])

    def _columns(self, table: Table) -> Iterator[tuple[str, str]]:
        alone = table.primary_key if len(table.primary_key) == 1 else ()
        keys = {*table.primary_key, *(name for key in table.foreign_keys for name in key.columns)}
        for column in table.columns:
            key = " PRIMARY KEY" if column.name in alone else ""
            needed = "" if column.nullable or key else " NOT NULL"
            shown = () if column.name in keys else column.samples
            samples = ", ".join(sample_text(value) for value in shown)
            told = "; ".join(
                part
                for part in (column.comment or "", f"such as {samples}" if samples else "")
                if part
            )
            kind = f" {one_line(column.type)}" if column.type else ""
            yield f"{self.quoted(column.name)}{kind}{key}{needed}", _comment(told)

    def _keys(self, table: Table) -> Iterator[tuple[str, str]]:
        if len(table.primary_key) > 1:
            yield f"PRIMARY KEY ({self._list(table.primary_key)})", ""
        for key in table.foreign_keys:
            there = self.tables.get(key.table)
            name = self.quoted(there.schema, there.name) if there else self.quoted(key.table)
            yield (
                f"FOREIGN KEY ({self._list(key.columns)}) REFERENCES {name} "
                f"({self._list(key.referred)})",
                "",
            )

    def _list(self, names: Collection[str]) -> str:
        return ", ".join(self.quoted(name) for name in names)


def _narrowed(table: Table, columns: Collection[str] | None, kept: Mapping[str, Table]) -> Table:
    foreign = tuple(key for key in table.foreign_keys if key.table in kept)
    keys = {*table.primary_key, *(name for key in foreign for name in key.columns)}
    wanted = None if columns is None else {*columns, *keys}
    return replace(
        table,
        columns=tuple(c for c in table.columns if wanted is None or c.name in wanted),
        foreign_keys=foreign,
    )


def one_line(text: str) -> str:
    """A text on one line, without what does not print."""
    return " ".join("".join(c if c.isprintable() else " " for c in well_formed(text)).split())


def _comment(text: str | None) -> str:
    line = shortened(one_line(text or ""), _COMMENT_CHARS)
    return f" -- {line}" if line else ""


def sample_text(value: str) -> str:
    """A sample value as a literal on one line."""
    line = one_line(value).replace("'", "''")
    return line if _NUMBER.fullmatch(line) else f"'{line}'"


@functools.cache
def _quoting(dialect: str) -> Callable[[str], str]:
    """How a dialect quotes the names that need it."""
    from sqlalchemy.dialects import mysql, postgresql, sqlite

    dialects = {"mysql": mysql.dialect, "sqlite": sqlite.dialect}
    quote: Callable[[str], str] = dialects.get(
        dialect, postgresql.dialect
    )().identifier_preparer.quote
    return quote
