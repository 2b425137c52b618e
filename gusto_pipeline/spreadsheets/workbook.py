"""A category's spreadsheets: one workbook with a sheet per table, and a CSV (or Parquet) file per table.

The first sheet is the category's own table; arrays Gusto nests in a record are sheets of their own, carrying the
record's id and their position. What a sheet shows is the flat view of its table (`warehouse/flat.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from gusto_pipeline.spreadsheets.writers import Column, Sheet, Written, write_csv, write_parquet, write_xlsx
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


def write_category(
    warehouse: Warehouse,
    name: str,
    tables: Sequence[Rows],
    company_uuid: str,
    folder: Path,
    *,
    formats: Sequence[str],
    timezone: str,
) -> list[Written]:
    """Write `<name>.xlsx`, `<name>.csv`, `<name>.<table>.csv` … into `folder` from the warehouse's flat views.

    Files whose content would be the same are left alone. Raises SpreadsheetError, WarehouseError.
    """
    with warehouse.read() as connection:
        sheets = [_sheet(connection, rows, company_uuid) for rows in tables]
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


def _sheet(connection: duckdb.DuckDBPyConnection, rows: Rows, company_uuid: str) -> Sheet:
    view = f"flat.{quote(rows.table.name)}"
    comments = {column.name: column.comment for column in rows.columns}
    described = connection.execute(f"DESCRIBE {view}").fetchall()
    columns = tuple(
        Column(name, comments.get(name, ""), type, _kind(name, type))
        for name, type, *_ in described
        if name != "company_uuid"
    )
    columns = tuple(sorted(columns, key=_rank))  # a stable sort: the rest stays in its order
    present = {column.name for column in columns}
    order = [quote(column) for column in (*_READING_ORDER, *rows.key, "position") if column in present]
    chosen = ", ".join(quote(column.name) for column in columns)
    query = f"SELECT {chosen} FROM {view} WHERE company_uuid = {literal(company_uuid)}"
    return Sheet(rows.table.name, f"{query} ORDER BY {', '.join(order or ['ALL'])}", columns)


def _rank(column: Column) -> int:
    if column.name in _LEADING:
        return _LEADING.index(column.name)
    return len(_LEADING) + (column.kind == "id")


def _kind(name: str, type: str) -> str:
    if name.endswith("uuid") or name == "version":
        return "id"
    return "money" if type == "DECIMAL(18,4)" else ""
