"""A category's spreadsheets: one workbook with a sheet per table, and a CSV (or Parquet) file per table.

The first sheet is the category's own table; arrays Gusto nests in a record are sheets of their own, carrying the
record's id and their position. What a sheet shows is the flat view of its table (`warehouse/flat.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

import duckdb

from gusto_pipeline.schema import SECRET
from gusto_pipeline.spreadsheets.sheets import unique
from gusto_pipeline.spreadsheets.writers import (
    Column,
    Sheet,
    SpreadsheetError,
    Written,
    write_csv,
    write_parquet,
    write_xlsx,
)
from gusto_pipeline.warehouse.flatten import Rows, literal, quote
from gusto_pipeline.warehouse.warehouse import Warehouse

# A date that never changes, so that the same data makes the same file.
_CREATED = datetime(2000, 1, 1, tzinfo=UTC)

# Columns people look for first; then the others as the catalog has them, Gusto's ids and versions last.
_LEADING = (
    "last_name", "first_name", "preferred_first_name", "business_name", "employee_name", "employee__full_name", "name",
    "job__title", "department", "manager__name", "work_email", "email", "phone", "job__hire_date", "start_date",
    "termination__effective_date", "dismissal_date", "compensation__rate", "compensation__payment_unit", "status",
    "policy__name", "first_day", "last_day", "hours",
)  # fmt: skip

_READING_ORDER = ("last_name", "first_name", "business_name", "employee_name", "name", "title", "hire_date", "key")


@dataclass(frozen=True)
class Choice:
    """One column as a job wants it: a column of the flat view, or an SQL expression over it, under `header`."""

    column: str = ""
    sql: str = ""
    header: str = ""


@dataclass(frozen=True)
class Layout:
    """What a job changes: chosen columns and an SQL condition by table, and what becomes of sensitive columns.

    `pii` is keep, drop, mask or hash by column name. Secret columns are dropped unless they are named there. A hash is
    the same for equal values of a company and good for joining; short numbers can be guessed from it, so drop those.
    """

    columns: Mapping[str, Sequence[Choice]] = field(default_factory=dict)
    filters: Mapping[str, str] = field(default_factory=dict)
    pii: Mapping[str, str] = field(default_factory=dict)


def write_tables(
    warehouse: Warehouse,
    name: str,
    tables: Sequence[Rows],
    company_uuid: str,
    folder: Path,
    *,
    formats: Sequence[str],
    timezone: str,
    layout: Layout | None = None,
) -> list[Written]:
    """Write `<name>.xlsx`, `<name>.csv`, `<name>.<table>.csv` … into `folder` from the warehouse's flat views.

    Files whose content would be the same are left alone. Raises SpreadsheetError, WarehouseError.
    """
    with warehouse.read() as connection:
        sheets = sheets_of(connection, tables, company_uuid, layout or Layout())
        return list(_write(connection, name, sheets, folder, formats, timezone))


def _write(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    sheets: list[Sheet],
    folder: Path,
    formats: Sequence[str],
    timezone: str,
) -> Iterator[Written]:
    if "xlsx" in formats:
        first, *others = sheets
        filled = [sheet for sheet in others if _has_rows(connection, sheet)]
        yield write_xlsx(connection, [first, *filled], folder / f"{name}.xlsx", timezone=timezone, created=_CREATED)
    for format, write in (("csv", write_csv), ("parquet", write_parquet)):
        if format in formats:
            for position, sheet in enumerate(sheets):
                table = f".{sheet.name}" if position else ""
                yield write(connection, sheet, folder / f"{name}{table}.{format}")


def _has_rows(connection: duckdb.DuckDBPyConnection, sheet: Sheet) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM ({sheet.query}) LIMIT 1").fetchall())


def sheets_of(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[Rows], company_uuid: str, layout: Layout
) -> list[Sheet]:
    """The sheets a layout makes of `tables`. Raises SpreadsheetError naming table and column, or the SQL, at fault."""
    known = {rows.table.name for rows in tables}
    for table in (*layout.columns, *layout.filters):
        if table not in known:
            raise SpreadsheetError(f"there is no table {table!r} in this job; {_nearest(table, known)}")
    return [_sheet(connection, rows, company_uuid, layout) for rows in tables]


def _sheet(connection: duckdb.DuckDBPyConnection, rows: Rows, company_uuid: str, layout: Layout) -> Sheet:
    table = rows.table.name
    view = f"flat.{quote(table)}"
    if table == "employees":
        view = _with_custom_fields(connection, view, company_uuid)
    types = {name: type for name, type, *_ in connection.execute(f"DESCRIBE FROM {view}").fetchall()}
    declared = {column.name: column for column in rows.columns}
    secret = {name for name, column in declared.items() if column.sensitivity == SECRET}
    choices = list(layout.columns.get(table, ())) or [
        Choice(column) for column in sorted(types, key=_rank) if column != "company_uuid"
    ]
    chosen, columns = [], []
    for choice in choices:
        if choice.column and choice.column not in types:
            raise SpreadsheetError(f"table {table} has no column {choice.column!r}; {_nearest(choice.column, types)}")
        policy = layout.pii.get(choice.column, "drop" if choice.column in secret else "keep")
        if policy == "drop":
            continue
        header = choice.header or choice.column
        expression = f"({choice.sql})" if choice.sql else _guarded(choice.column, types[choice.column], policy)
        chosen.append(f"{expression} AS {quote(header)}")
        columns.append((header, declared[choice.column].comment if choice.column in declared else choice.sql))
    order = [f"t.{quote(column)}" for column in (*_READING_ORDER, *rows.key, "position") if column in types]
    condition = f" AND ({layout.filters[table]})" if table in layout.filters else ""
    query = f"SELECT {', '.join(chosen)} FROM {view} t WHERE company_uuid = {literal(company_uuid)}{condition}"
    query += f" ORDER BY {', '.join(order or ['ALL'])}"
    try:
        described = connection.execute(f"DESCRIBE {query}").fetchall()
    except duckdb.Error as error:
        raise SpreadsheetError(f"table {table}: {_sql_problem(error)}") from None
    made = tuple(
        Column(header, comment, type, _kind(header, type))
        for (header, comment), (_, type, *_) in zip(columns, described, strict=True)
    )
    return Sheet(table, query, made)


_CUSTOM_TYPES = {"number": "DECIMAL(18,6)", "currency": "DECIMAL(18,4)", "date": "DATE"}


def _with_custom_fields(connection: duckdb.DuckDBPyConnection, view: str, company_uuid: str) -> str:
    """The employees' view with a typed column `custom__<name>` per custom field anyone of the company has a value in.

    A field whose values do not all fit its type stays text, so none is lost.
    """
    fields = connection.execute(
        "SELECT company_custom_field_id, min(name), min(type), list(value) FILTER (value <> '') "
        "FROM staging.employee_custom_fields WHERE company_uuid = $1 GROUP BY ALL ORDER BY min(name), 1",
        [company_uuid],
    ).fetchall()
    taken: set[str] = set()
    columns = []
    for field_uuid, name, kind, values in fields:
        column = unique(f"custom__{re.sub(r'[^0-9a-z]+', '_', name.casefold()).strip('_')}", taken)
        type = _CUSTOM_TYPES.get(kind, "VARCHAR")
        fits = "SELECT count(*) FROM (SELECT unnest($1::VARCHAR[]) AS v) WHERE TRY_CAST(v AS {}) IS NULL"
        if connection.execute(fits.format(type), [values or []]).fetchall()[0][0]:
            type = "VARCHAR"
        value = f"max(NULLIF(value, '')) FILTER (company_custom_field_id = {literal(field_uuid)})"
        columns.append(f"CAST({value} AS {type}) AS {quote(column)}")
    if not columns:
        return view
    pivoted = (
        f"SELECT employee_uuid AS uuid, {', '.join(columns)} FROM staging.employee_custom_fields "
        f"WHERE company_uuid = {literal(company_uuid)} GROUP BY employee_uuid"
    )
    return f"(FROM {view} LEFT JOIN ({pivoted}) USING (uuid))"


def _guarded(column: str, type: str, policy: str) -> str:
    """SQL for a column under a PII policy."""
    value = f"t.{quote(column)}"
    if policy == "hash":
        return f"sha256(t.company_uuid || ':' || CAST({value} AS VARCHAR))"
    if policy == "mask":
        whole = f"CASE WHEN {value} IS NOT NULL THEN '•••' END"
        if type != "VARCHAR":
            return whole
        return (
            f"CASE WHEN contains({value}, '@') THEN left({value}, 1) || '•••' || substr({value}, instr({value}, '@')) "
            f"WHEN length({value}) >= 8 THEN '•••' || right({value}, 4) ELSE {whole} END"
        )
    return value


def _sql_problem(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"


def _rank(column: str) -> int:
    if column in _LEADING:
        return _LEADING.index(column)
    return len(_LEADING) + _is_id(column)


def _is_id(column: str) -> bool:
    return column.endswith("uuid") or column == "version"


def _kind(name: str, type: str) -> str:
    if _is_id(name):
        return "id"
    return "money" if type == "DECIMAL(18,4)" else ""
