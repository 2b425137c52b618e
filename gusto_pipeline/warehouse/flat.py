"""The flat views: one row per record, as the spreadsheets show it.

A table's view is all its columns, with lists joined by "; ", where a row belongs to an employee, a contractor or a
benefit, their name, and for each table below it how many rows that has for the row (`jobs__rows`, empty for none).
Where a record's current job, pay, address or days have to be chosen, the view is written out in `sql/<table>.sql`, with
the rule in its first comment.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from gusto_pipeline.schema import JSON, LIST
from gusto_pipeline.warehouse.flatten import Rows, quote

COUNT = "__rows"  # ends the names of columns that say how many rows another table has for the row

PERSON_NAME = "trim(concat_ws(' ', coalesce(nullif({0}.preferred_first_name, ''), {0}.first_name), {0}.last_name))"


# By the column that says whose row it is: the name's column, the table the name is in, how it is put together.
_NAMES = {
    "employee_uuid": ("employee_name", "employees", PERSON_NAME),
    "contractor_uuid": (
        "contractor_name",
        "contractors",
        "coalesce(nullif({0}.business_name, ''), trim(concat_ws(' ', {0}.first_name, {0}.last_name)))",
    ),
    "company_benefit_uuid": ("benefit_name", "company_benefits", "{0}.description"),
}


def views(tables: Sequence[Rows]) -> dict[str, str]:
    """The SELECT of every flat view, by its table's name. `{columns}` in an SQL file is the table's own columns."""
    return {rows.table.name: _with_counts(_view(rows), rows, tables) for rows in tables}


def parent_key(rows: Rows) -> dict[str, str]:
    """Which of its parent's columns each link of a table holds; none where all rows belong to the one company."""
    parent = rows.parent
    if parent is None or not parent.table.columns:
        return {}
    by_uuid = parent.table.key == ("uuid",)
    return {link: "uuid" if by_uuid else link for link in rows.links if by_uuid or link in parent.key}


def count_column(rows: Rows) -> str:
    """The column of the parent's view that says how many rows a table has for it."""
    return f"{rows.table.name}{COUNT}"


def _with_counts(view: str, rows: Rows, tables: Sequence[Rows]) -> str:
    counts, joins = "", ""
    for number, child in enumerate(tables):
        key = {"company_uuid": "company_uuid", **parent_key(child)}
        if len(key) == 1 or child.parent is None or child.parent.table.name != rows.table.name:
            continue
        links, child_name = ", ".join(map(quote, key)), quote(child.table.name)
        equal = " AND ".join(f"c{number}.{quote(link)} = t.{quote(column)}" for link, column in key.items())
        counted = f"SELECT {links}, count(*) AS n FROM staging.{child_name} GROUP BY ALL"
        counts += f", c{number}.n AS {quote(count_column(child))}"
        joins += f" LEFT JOIN ({counted}) c{number} ON {equal}"
    return f"SELECT t.*{counts} FROM ({view}) t{joins}" if counts else view


def _view(rows: Rows) -> str:
    name = rows.table.name
    columns = ", ".join(_column(column.name, column.type) for column in rows.columns)
    written = files("gusto_pipeline.warehouse") / "sql" / f"{name}.sql"
    if written.is_file():
        return written.read_text().replace("{columns}", columns).rstrip().rstrip(";")
    joins = ""
    for link, (called, table, expression) in _NAMES.items():
        if link not in (column.name for column in rows.columns):
            continue
        columns = columns.replace(f't."{link}"', f't."{link}", {expression.format(table)} AS {called}', 1)
        joins += f" LEFT JOIN staging.{table} ON ({table}.company_uuid, {table}.uuid) = (t.company_uuid, t.{link})"
    return f"SELECT {columns} FROM staging.{quote(name)} t{joins}"


def _column(name: str, type: str) -> str:
    column = f"t.{quote(name)}"
    if type == LIST:
        return f"array_to_string({column}, '; ') AS {quote(name)}"
    if type == JSON:
        return f"CAST({column} AS VARCHAR) AS {quote(name)}"
    return column
