"""Excel workbooks: DuckDB renders each row's XML (`cells.py`), Python only streams, deflates and frames it.

Each sheet is first measured (rows, widths, what Excel cannot hold), then written without ever being held whole.
Limits are Microsoft's "Excel specifications and limits".
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

import duckdb

from gusto_pipeline.spreadsheets.archive import Archive
from gusto_pipeline.spreadsheets.cells import MAX_TEXT, cell, cell_reference, fitting, letters, too_long, xml_text
from gusto_pipeline.spreadsheets.package import MAIN, OFFICE, XML, package_parts
from gusto_pipeline.spreadsheets.sheets import (
    Column,
    Sheet,
    SpreadsheetError,
    category,
    headers,
    readable_errors,
    sheet_names,
    shown,
    typed_query,
    unique,
)

MAX_ROWS = 1_048_575  # below the header
MAX_COLUMNS = 16_384
MAX_LINKS = 65_530  # on one sheet
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


class Part(NamedTuple):
    """One sheet of the file: its name there, its data rows, and which `Sheet` it shows (a long one takes several)."""

    name: str
    rows: int
    sheet: str


# Makes the worksheet before all others from what these are and from the warnings.
Front = Callable[[Sequence[Part], Sequence[str]], str]


def write_workbook(
    connection: duckdb.DuckDBPyConnection,
    sheets: Sequence[Sheet],
    path: Path,
    draft: Path,
    timezone: str,
    created: datetime,
    front: tuple[str, Front] | None = None,
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Write `sheets` to `draft`; `path` is what errors call it. Returns rows by sheet name, and warnings."""
    if not sheets:
        raise SpreadsheetError(f"{path}: a workbook needs at least one sheet")
    try:
        connection.execute("SELECT timezone(?, TIMESTAMPTZ 'epoch')", [timezone])
    except duckdb.Error:
        raise SpreadsheetError(f'{path}: unknown time zone "{timezone}"; use a name like "America/Denver"') from None
    fronts = [front[0]] if front else []
    names, taken = sheet_names([*fronts, *(sheet.name for sheet in sheets)])
    plans = [_plan(connection, sheet, path, timezone) for sheet in sheets]
    books = [
        (plan, [name] + [unique(name, taken, 31) for _ in range((plan.rows - 1) // MAX_ROWS)])
        for name, plan in zip(names[len(fronts) :], plans, strict=True)
    ]
    parts = [
        Part(part, min(MAX_ROWS, plan.rows - MAX_ROWS * i), plan.sheet.name)
        for plan, parts in books
        for i, part in enumerate(parts)
    ]
    links = {plan.sheet.name: _links(connection, plan, books) for plan in plans if plan.sheet.link}
    warnings = tuple(warning for plan, own in books for warning in _warnings(plan, own))
    warnings += tuple(
        f'sheet "{plan.sheet.name}" has {plan.rows:,} rows and Excel allows {MAX_LINKS:,} links: it has none'
        for plan in plans
        if plan.sheet.link and plan.rows > MAX_LINKS
    )
    columns = {plan.sheet.name: letters(len(plan.types) - 1) for plan in plans}
    areas = dict.fromkeys(names[: len(fronts)], "") | {
        part.name: f"A1:{columns[part.sheet]}{part.rows + 1}" for part in parts
    }
    notes = [(), *(plan.notes for plan, own in books for _ in own)][1 - len(fronts) :]
    with draft.open("wb") as file, Archive(file) as archive:
        for file_name, xml in package_parts(areas, notes, created):
            archive.add(file_name, [xml.encode()])
        if front:
            archive.add("xl/worksheets/sheet1.xml", [front[1](parts, warnings).encode()])
        number = len(fronts)
        for plan, own in books:
            linked = links.get(plan.sheet.name, [])
            rows = _rendered_rows(connection, plan, path, all(target for _, target in linked) and bool(linked))
            for part in own:
                number += 1
                some = rows if part == own[-1] else islice(rows, MAX_ROWS)
                worksheet = _worksheet(plan, some, areas[part], linked, first=number == 1)
                archive.add(f"xl/worksheets/sheet{number}.xml", worksheet)
    return {part.name: part.rows for part in parts}, warnings


def _links(
    connection: duckdb.DuckDBPyConnection, plan: Plan, books: Sequence[tuple[Plan, list[str]]]
) -> list[tuple[str, str]]:
    """Every cell that leads to another sheet's row, and where that is, "" for a value no row there has."""
    link = plan.sheet.link
    target, parts = next((book for book in books if link and book[0].sheet.name == link.sheet), (None, []))
    if not link or not target or plan.rows > min(MAX_LINKS, MAX_ROWS):
        return []
    numbered = "SELECT CAST(c{} AS VARCHAR) AS v, row_number() OVER () AS n FROM ({})"
    found = connection.execute(
        f"SELECT here.n, there.n FROM ({numbered.format(link.column, plan.values)}) here "
        f"LEFT JOIN (SELECT v, min(n) AS n FROM ({numbered.format(link.key, target.values)}) GROUP BY v) there "
        "USING (v) WHERE v IS NOT NULL ORDER BY here.n"
    ).fetchall()
    places = [(parts[(n - 1) // MAX_ROWS], (n - 1) % MAX_ROWS + 2) if n else None for _, n in found]
    column = letters(link.column)
    return [
        (f"{column}{row + 1}", cell_reference(*place) if place else "")
        for (row, _), place in zip(found, places, strict=True)
    ]


def _plan(connection: duckdb.DuckDBPyConnection, sheet: Sheet, path: Path, timezone: str) -> Plan:
    if len(sheet.columns) > MAX_COLUMNS:
        raise SpreadsheetError(
            f'{path}: sheet "{sheet.name}" has {len(sheet.columns):,} columns and Excel allows {MAX_COLUMNS:,}; '
            "spread them over several sheets"
        )
    typed, types = typed_query(connection, sheet, path)
    as_shown = ", ".join(shown(f"c{i}", type_, timezone) + f" AS c{i}" for i, type_ in enumerate(types))
    values = f"SELECT {as_shown} FROM ({typed})"
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


def _rendered_rows(connection: duckdb.DuckDBPyConnection, plan: Plan, path: Path, all_linked: bool) -> Iterator[str]:
    kept = ", ".join(
        (fitting(f"c{i}") if category(type_) == "text" else f"c{i}") + f" AS c{i}" for i, type_ in enumerate(plan.types)
    )
    number = f"CAST((row_number() OVER () - 1) % {MAX_ROWS} + 2 AS VARCHAR) AS r"
    kinds = [column.kind for column in plan.sheet.columns]
    if all_linked and plan.sheet.link:
        kinds[plan.sheet.link.column] = "linked id"
    cells = ", ".join(cell(i, type_, kind) for i, (type_, kind) in enumerate(zip(plan.types, kinds, strict=True)))
    row = f"""concat('<row r="', r, '">', {cells}, '</row>')"""
    seen = 0
    with readable_errors(connection, plan.sheet, path):
        connection.execute(f"SELECT {row} FROM (SELECT {kept}, {number} FROM ({plan.values}))")
        while (batch := connection.fetchmany(1000)) and seen <= plan.rows:
            seen += len(batch)
            yield from (xml for (xml,) in batch)
    if seen != plan.rows:
        raise SpreadsheetError(f'{path}: sheet "{plan.sheet.name}" changed while it was read; run again')


def _frozen(columns: Sequence[Column]) -> int:
    """How many columns stay in view: ids in front and the names after them, else the first column that is no id."""
    ids = len(list(takewhile(lambda column: column.kind == "id", columns)))
    names = len(list(takewhile(lambda column: column.kind == "name", columns[ids:])))
    return min(3, ids + max(1, names))


def _after_rows(plan: Plan, area: str, links: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The worksheet's elements that follow its rows, in the order the schema wants."""
    yield f'<autoFilter ref="{area}"/>'
    if plan.sheet.greyed and plan.rows:
        column, truth = plan.sheet.greyed
        yield (
            f'<conditionalFormatting sqref="{area.replace("A1:", "A2:")}"><cfRule type="expression" dxfId="0" '
            f'priority="1"><formula>${letters(column)}2={str(truth).upper()}</formula></cfRule></conditionalFormatting>'
        )
    if linked := "".join(f'<hyperlink ref="{cell}" location={quoteattr(to)}/>' for cell, to in links if to):
        yield f"<hyperlinks>{linked}</hyperlinks>"
    yield '<pageMargins left="0.7" right="0.7" top="0.75" bottom="0.75" header="0.3" footer="0.3"/>'
    yield '<pageSetup orientation="landscape"/>'
    if any(plan.notes):
        yield '<legacyDrawing r:id="rId1"/>'


def _worksheet(
    plan: Plan, rows: Iterable[str], area: str, links: Sequence[tuple[str, str]], *, first: bool
) -> Iterator[bytes]:
    frozen = _frozen(plan.sheet.columns)
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
    yield f"{''.join(chunk)}</sheetData>{''.join(_after_rows(plan, area, links))}</worksheet>".encode()
