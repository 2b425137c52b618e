"""Writes what DuckDB selects to xlsx, CSV and Parquet files.

All three formats: rows in the query's order, the same bytes for the same data, the earlier file replaced in one
step and only when its content changes. The connection is used as it is, with its transaction and temporary
tables; a result still being read from it is lost.
"""

import csv
import io
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from gusto_pipeline.spreadsheets import sheets as sql
from gusto_pipeline.spreadsheets.files import replace_file
from gusto_pipeline.spreadsheets.sheets import Column, Sheet, SpreadsheetError, Written
from gusto_pipeline.spreadsheets.xlsx import Front, write_workbook

__all__ = ["Column", "Sheet", "SpreadsheetError", "Written", "write_csv", "write_parquet", "write_xlsx"]

# Text that a spreadsheet program would take for a formula when it opens a CSV file: OWASP, "CSV Injection". Some take
# the full-width signs of East Asian scripts for the plain ones.
FORMULA_START = r"^[=+\-@\t\r\n＝＋－＠]"


def write_xlsx(
    connection: duckdb.DuckDBPyConnection,
    sheets: Sequence[Sheet],
    path: Path,
    *,
    timezone: str = "UTC",
    created: datetime,
    front: tuple[str, Front] | None = None,
) -> Written:
    """Write one Excel workbook with a sheet per entry of `sheets`.

    Instants are shown in `timezone` (an IANA name). `created` goes into the file's properties: pass a value that
    only changes with the data. What Excel cannot hold is kept as text, continued on further sheets, or cut with
    a visible mark, and `Written.warnings` says where. `front` names a further sheet, the first, and makes its XML.
    Raises SpreadsheetError.
    """
    return replace_file(path, lambda draft: write_workbook(connection, sheets, path, draft, timezone, created, front))


def write_csv(connection: duckdb.DuckDBPyConnection, sheet: Sheet, path: Path, *, delimiter: str = ",") -> Written:
    """Write one CSV file: UTF-8 with a byte order mark, quoted by RFC 4180, ISO dates, instants in UTC.

    Text that begins like a formula gets an apostrophe in front. Raises SpreadsheetError.
    """
    typed, types = sql.typed_query(connection, sheet, path)
    cells = ", ".join(_csv_cell(f"c{i}", type_) + f" AS c{i}" for i, type_ in enumerate(types))
    if len(types) == 1:  # an empty line would be read as no row at all
        cells = f"coalesce(CAST({cells.removesuffix(' AS c0')} AS VARCHAR), '') AS c0"
    line = io.StringIO()
    try:
        writer = csv.writer(line, delimiter=delimiter)  # its own line end makes it quote carriage returns
    except (TypeError, ValueError):
        raise SpreadsheetError(f"{path}: the delimiter must be one character, not {delimiter!r}") from None
    writer.writerow("'" + name if re.match(FORMULA_START, name) else name for name in sql.headers(sheet))
    top = f"\ufeff{line.getvalue().removesuffix(chr(13) + chr(10))}\n"
    # PREFIX goes with SUFFIX: DuckDB puts line feeds between rows and the suffix after the last one.
    options = f"FORMAT csv, HEADER false, DELIMITER {sql.quoted(delimiter)}, PREFIX {sql.quoted(top)}, SUFFIX '\n'"

    def fill(draft: Path) -> tuple[dict[str, int], tuple[str, ...]]:
        rows = _copy(connection, sheet, path, f"SELECT {cells} FROM ({typed})", draft, options)
        if not rows:
            draft.write_text(top, encoding="utf-8", newline="")
        return {sheet.name: rows}, ()

    return replace_file(path, fill)


def write_parquet(connection: duckdb.DuckDBPyConnection, sheet: Sheet, path: Path) -> Written:
    """Write one Parquet file with the declared types, compressed with zstd. Raises SpreadsheetError."""
    typed, _ = sql.typed_query(connection, sheet, path)
    names = ", ".join(f'c{i} AS "{name.replace(chr(34), chr(34) * 2)}"' for i, name in enumerate(sql.headers(sheet)))

    query = f"SELECT {names} FROM ({typed})"

    def fill(draft: Path) -> tuple[dict[str, int], tuple[str, ...]]:
        return {sheet.name: _copy(connection, sheet, path, query, draft, "FORMAT parquet, COMPRESSION zstd")}, ()

    return replace_file(path, fill)


def _csv_cell(value: str, type_: str) -> str:
    kind = sql.category(type_)
    if kind == "timestamp":
        utc = f"timezone('UTC', {value})" if type_.endswith("TIME ZONE") else value
        zone = "Z" if type_.endswith("TIME ZONE") else ""
        iso = f"replace(CAST({utc} AS VARCHAR), ' ', 'T') || '{zone}'"
        return f"CASE WHEN isfinite({value}) THEN {iso} ELSE CAST({value} AS VARCHAR) END"
    if kind != "text":
        return value
    text = sql.as_text(value, type_)
    return f"CASE WHEN regexp_matches({text}, '{FORMULA_START}') THEN '''' || {text} ELSE {text} END"


def _copy(
    connection: duckdb.DuckDBPyConnection, sheet: Sheet, path: Path, query: str, draft: Path, options: str
) -> int:
    # Without a temporary file of DuckDB's own, the draft keeps its private mode.
    command = f"COPY ({query}) TO {sql.quoted(str(draft))} ({options}, USE_TMP_FILE false, PRESERVE_ORDER true)"
    with sql.readable_errors(connection, sheet, path):
        return int(connection.execute(command).fetchall()[0][0])
