"""A SQL database as tools: its tables, their columns, and checked read-only queries."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from agentkit.databases.sql import SQLDatabase
from agentkit.tools._making import NoArguments, make_tool
from agentkit.tools._rows import rows_told

if TYPE_CHECKING:
    from agentkit.databases.schema import Table
    from agentkit.databases.sql import Database


class TableNames(BaseModel):
    """Tables."""

    tables: list[str] = Field(description="Names of tables, as list_tables gives them")


class SqlQuery(BaseModel):
    """A query."""

    query: str = Field(description="One read-only SQL statement")


def sql_tools(
    database: Database, *, max_rows: int = 50, timeout: float = 30, max_chars: int = 8_000
) -> list[BaseTool]:
    """The tools `list_tables`, `describe_tables` and `query_database` over one database.

    A query passes the same two doors as those of `create_text_to_sql`: it is found to be one
    statement that only reads, and runs in the engine's own read-only mode. A failure is told to
    the model, so that it can write another query.

    Args:
        database: What `create_text_to_sql` takes.
        max_rows: Rows that a query returns at most.
        timeout: Seconds that a query may take.
        max_chars: Characters of rows that the model is shown.

    Returns:
        LangChain tools; the artifact of `query_database` holds `query`, `columns`, `rows`,
        `truncated` and `sources`.

    Raises:
        ConfigurationError: When the database cannot be opened as one.
        MissingExtraError: When the `sql` extra or the database's driver is not installed.
    """
    opened = SQLDatabase.of(database)

    async def list_tables() -> tuple[str, dict[str, Any]]:
        tables = (await opened.aschema()).tables
        listed = "\n".join(_summary(table) for table in tables.values())
        return listed or "There are no tables.", {"tables": list(tables)}

    async def describe_tables(tables: list[str]) -> tuple[str, dict[str, Any]]:
        schema = await opened.aschema()
        known = {name.casefold(): name for name in schema.tables}
        names = [_known(name, known) for name in tables]
        return schema.only(dict.fromkeys(names)).render(), {"tables": names}

    async def query_database(query: str) -> tuple[str, dict[str, Any]]:
        checked = await opened.acheck(query)
        result = await opened.arun(checked.sql, max_rows=max_rows, timeout=timeout)
        return rows_told(checked.sql, result, title="The database's rows", max_chars=max_chars)

    dialect = opened.dialect
    return [
        make_tool(list_tables, "List the tables and views of the database.", NoArguments),
        make_tool(
            describe_tables,
            "Show the columns, types, keys, comments and sample values of tables.",
            TableNames,
        ),
        make_tool(
            query_database,
            f"Run one read-only query, in the {dialect} dialect of SQL, and get its rows. Look at "
            "the tables first. On an error, correct the query by what the error says.",
            SqlQuery,
        ),
    ]


def _summary(table: Table) -> str:
    kind = "view" if table.is_view else "table"
    comment = f": {' '.join(table.comment.split())}" if table.comment else ""
    return f"{table.full_name} ({kind}, {len(table.columns)} columns){comment}"


def _known(name: str, known: dict[str, str]) -> str:
    if found := known.get(name.casefold()):
        return found
    near: Sequence[str] = difflib.get_close_matches(name.casefold(), known, n=3)
    hint = f" Did you mean {' or '.join(known[item] for item in near)}?" if near else ""
    raise ToolException(f"There is no table {name!r}.{hint}")
