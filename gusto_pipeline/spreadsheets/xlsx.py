"""Excel workbooks: DuckDB renders each row's XML (`cells.py`), Python only streams, deflates and frames it.

Each sheet is first measured (rows, widths, what Excel cannot hold), then written without ever being held whole.
Limits are Microsoft's "Excel specifications and limits".
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from pathlib import Path

import duckdb

from gusto_pipeline.spreadsheets.archive import Archive
from gusto_pipeline.spreadsheets.cells import MAX_TEXT, cell, fitting, letters, too_long, xml_text
from gusto_pipeline.spreadsheets.package import MAIN, OFFICE, XML, package_parts
from gusto_pipeline.spreadsheets.sheets import (
    Column,
    Sheet,
    SpreadsheetError,
    as_text,
    category,
    headers,
    quoted,
    readable_errors,
    sheet_names,
    typed_query,
    unique,
)

MAX_ROWS = 1_048_575  # below the header
MAX_COLUMNS = 16_384
MAX_WIDTH = 50
ID_WIDTH = 14
CHUNK = 4_000_000  # characters of XML deflated at a time


@dataclass(frozen=True)
class Plan:
    """A sheet measured, before any of it is written."""

    sheet: Sheet
    values: str  # SQL for the values as c0, c1, …
    types: tuple[str, ...]
    rows: int
    widths: tuple[int, ...]
    notes: tuple[str, ...]  # one per header cell, "" for none
    problems: tuple[tuple[str, int, tuple[int, ...]], ...]  # what happened, how often, in which data rows first


def write_workbook(
    connection: duckdb.DuckDBPyConnection,
    sheets: Sequence[Sheet],
    path: Path,
    draft: Path,
    timezone: str,
    created: datetime,
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Write `sheets` to `draft`; `path` is what errors call it. Returns rows by sheet name, and warnings."""
    if not sheets:
        raise SpreadsheetError(f"{path}: a workbook needs at least one sheet")
    try:
        connection.execute("SELECT timezone(?, TIMESTAMPTZ 'epoch')", [timezone])
    except duckdb.Error:
        raise SpreadsheetError(f'{path}: unknown time zone "{timezone}"; use a name like "America/Denver"') from None
    names, taken = sheet_names([sheet.name for sheet in sheets])
    plans = [_plan(connection, sheet, path, timezone) for sheet in sheets]
    books = [
        (plan, [name] + [unique(name, taken, 31) for _ in range((plan.rows - 1) // MAX_ROWS)])
        for name, plan in zip(names, plans, strict=True)
    ]
    sizes = {part: min(MAX_ROWS, plan.rows - MAX_ROWS * i) for plan, parts in books for i, part in enumerate(parts)}
    areas = {part: f"A1:{letters(len(plan.types) - 1)}{sizes[part] + 1}" for plan, parts in books for part in parts}
    notes = [plan.notes for plan, parts in books for _ in parts]
    with draft.open("wb") as file, Archive(file) as archive:
        for file_name, xml in package_parts(areas, notes, created):
            archive.add(file_name, [xml.encode()])
        number = 0
        for plan, parts in books:
            rows = _rendered_rows(connection, plan, path)
            for part in parts:
                number += 1
                own = rows if part == parts[-1] else islice(rows, MAX_ROWS)
                archive.add(f"xl/worksheets/sheet{number}.xml", _worksheet(plan, own, areas[part], number == 1))
    warnings = tuple(warning for plan, parts in books for warning in _warnings(plan, parts))
    return sizes, warnings


def _plan(connection: duckdb.DuckDBPyConnection, sheet: Sheet, path: Path, timezone: str) -> Plan:
    if len(sheet.columns) > MAX_COLUMNS:
        raise SpreadsheetError(
            f'{path}: sheet "{sheet.name}" has {len(sheet.columns):,} columns and Excel allows {MAX_COLUMNS:,}; '
            "spread them over several sheets"
        )
    typed, types = typed_query(connection, sheet, path)
    shown = ", ".join(_shown(f"c{i}", type_, timezone) + f" AS c{i}" for i, type_ in enumerate(types))
    values = f"SELECT {shown} FROM ({typed})"
    lengths = ", ".join(_longest(f"c{i}", type_) for i, type_ in enumerate(types))
    with readable_errors(connection, sheet, path):
        rows, *longest = connection.execute(f"SELECT count(*), {lengths} FROM ({values})").fetchall()[0]
        problems = [
            (f'column "{column.name}": {what}', *found)
            for i, column in enumerate(sheet.columns)
            for what, condition in _suspicions(f"c{i}", types[i], longest[i])
            if (found := _places(connection, values, condition))[0]
        ]
    sizes = zip(sheet.columns, headers(sheet), longest, strict=True)
    widths = tuple(_width(column, header, length or 0) for column, header, length in sizes)
    notes = tuple(_note(column, type_, timezone) for column, type_ in zip(sheet.columns, types, strict=True))
    return Plan(sheet, values, types, rows, widths, notes, tuple(problems))


def _suspicions(value: str, type_: str, longest: int | None) -> Iterator[tuple[str, str]]:
    """What Excel may not hold of a column, and the SQL condition that tells for sure."""
    if category(type_) == "float":
        yield "not a number or infinite: left empty", f"NOT isfinite({value})"
    elif category(type_) == "text" and (longest or 0) > MAX_TEXT // 2:
        yield f"more than {MAX_TEXT:,} characters: cut, the CSV has it all", too_long(value)


def _places(connection: duckdb.DuckDBPyConnection, values: str, condition: str) -> tuple[int, tuple[int, ...]]:
    """How many rows meet the condition, and the numbers of the first five."""
    numbered = f"SELECT *, row_number() OVER () AS n FROM ({values})"
    query = f"SELECT count(*), list(n ORDER BY n)[:5] FROM ({numbered}) WHERE {condition}"
    count, first = connection.execute(query).fetchall()[0]
    return count, tuple(first or ())


def _longest(value: str, type_: str) -> str:
    """SQL for the number of characters that the column's longest value takes."""
    match category(type_):
        case "text":
            return f"max(length({value}))"
        case "integer" | "decimal":
            return f"greatest(length(CAST(min({value}) AS VARCHAR)), length(CAST(max({value}) AS VARCHAR)))"
        case "timestamp":
            return "19"
        case "date":
            return "10"
        case "boolean":
            return "5"
        case _:
            return "12"


def _shown(value: str, type_: str, timezone: str) -> str:
    """SQL for the value as it will be shown: text as VARCHAR, instants as local time, the rest as it is."""
    kind = category(type_)
    if kind == "text":
        return as_text(value, type_)
    if kind == "timestamp":
        return (
            f"timezone({quoted(timezone)}, {value})" if type_.endswith("TIME ZONE") else f"CAST({value} AS TIMESTAMP)"
        )
    return f"CAST({value} AS DOUBLE)" if kind == "float" else value


def _width(column: Column, header: str, longest: int) -> int:
    if column.kind == "money":
        longest += longest // 3  # thousands separators
    if column.kind == "id":
        longest = min(longest, ID_WIDTH)
    return min(max(longest + 2, len(header) + 4), MAX_WIDTH)  # the filter's button takes room beside the header


def _note(column: Column, type_: str, timezone: str) -> str:
    zone = f"Times are in {timezone}." if type_.endswith("TIME ZONE") else ""
    return "\n".join(filter(None, (column.comment, zone)))


def _warnings(plan: Plan, parts: list[str]) -> Iterator[str]:
    for what, count, rows in plan.problems:
        places = [(parts[(n - 1) // MAX_ROWS], (n - 1) % MAX_ROWS + 2) for n in rows]
        listed = ", ".join(f"{row}" if part == parts[0] else f'{row} of "{part}"' for part, row in places)
        more = f" and {count - len(rows):,} more" if count > len(rows) else ""
        yield f'sheet "{parts[0]}", {what} (row {listed}{more})'


def _rendered_rows(connection: duckdb.DuckDBPyConnection, plan: Plan, path: Path) -> Iterator[str]:
    kept = ", ".join(
        (fitting(f"c{i}") if category(type_) == "text" else f"c{i}") + f" AS c{i}" for i, type_ in enumerate(plan.types)
    )
    number = f"CAST((row_number() OVER () - 1) % {MAX_ROWS} + 2 AS VARCHAR) AS r"
    cells = ", ".join(cell(i, type_, plan.sheet.columns[i].kind) for i, type_ in enumerate(plan.types))
    row = f"""concat('<row r="', r, '">', {cells}, '</row>')"""
    seen = 0
    with readable_errors(connection, plan.sheet, path):
        connection.execute(f"SELECT {row} FROM (SELECT {kept}, {number} FROM ({plan.values}))")
        while (batch := connection.fetchmany(1000)) and seen <= plan.rows:
            seen += len(batch)
            yield from (xml for (xml,) in batch)
    if seen != plan.rows:
        raise SpreadsheetError(f'{path}: sheet "{plan.sheet.name}" changed while it was read; run again')


def _worksheet(plan: Plan, rows: Iterable[str], area: str, first: bool) -> Iterator[bytes]:
    frozen = min(3, 1 + len(list(takewhile(lambda column: column.kind == "id", plan.sheet.columns))))
    columns = "".join(
        f'<col min="{i}" max="{i}" width="{width}" customWidth="1"/>' for i, width in enumerate(plan.widths, 1)
    )
    cells = "".join(
        f'<c r="{letters(i)}1" s="1" t="inlineStr"><is><t xml:space="preserve">{xml_text(text)}</t></is></c>'
        for i, text in enumerate(headers(plan.sheet))
    )
    selected = 'tabSelected="1" ' if first else ""
    yield (
        f'{XML}<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}"><dimension ref="{area}"/>'
        f'<sheetViews><sheetView {selected}workbookViewId="0">'
        f'<pane xSplit="{frozen}" ySplit="1" topLeftCell="{letters(frozen)}2" '
        'activePane="bottomRight" state="frozen"/>'
        '<selection pane="topRight"/><selection pane="bottomLeft"/><selection pane="bottomRight"/>'
        f'</sheetView></sheetViews><sheetFormatPr defaultRowHeight="15"/><cols>{columns}</cols>'
        f'<sheetData><row r="1">{cells}</row>'
    ).encode()
    chunk: list[str] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row)
        if size >= CHUNK:
            yield "".join(chunk).encode()
            chunk, size = [], 0
    drawing = '<legacyDrawing r:id="rId1"/>' if any(plan.notes) else ""
    yield (
        "".join(chunk) + f'</sheetData><autoFilter ref="{area}"/>'
        '<pageMargins left="0.7" right="0.7" top="0.75" bottom="0.75" header="0.3" footer="0.3"/>'
        f'<pageSetup orientation="landscape"/>{drawing}</worksheet>'
    ).encode()
