"""Excel workbooks: DuckDB renders each row's XML (`cells.py`), Python only streams, deflates and frames it.

Each sheet is first measured (rows, widths, what Excel cannot hold), then written without ever being held whole.
Limits are Microsoft's "Excel specifications and limits".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

import duckdb

from gusto_pipeline.spreadsheets.archive import Archive
from gusto_pipeline.spreadsheets.cells import MAX_TEXT, cell, cell_reference, fitting, letters, too_long, xml_text
from gusto_pipeline.spreadsheets.package import MAIN, OFFICE, TINTS, XML, package_parts
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
from gusto_pipeline.warehouse.flatten import literal

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
        # Not as a parameter: at the first of those DuckDB imports pandas, 0.3 s and 45 MB.
        connection.execute(f"SELECT timezone({literal(timezone)}, TIMESTAMPTZ 'epoch')")
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
    linked = _linked(connection, books)
    warnings = tuple(warning for plan, own in books for warning in _warnings(plan, own))
    warnings += tuple(
        f'sheet "{plan.sheet.name}", column "{plan.sheet.columns[column].name}": Excel allows {MAX_LINKS:,} links on '
        "a sheet, so its cells lead nowhere"
        for plan in plans
        for column in linked[plan.sheet.name].left_out
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
            links = linked[plan.sheet.name]
            rows = _rendered_rows(connection, plan, path, links.whole)
            for part in own:
                number += 1
                some = rows if part == own[-1] else islice(rows, MAX_ROWS)
                worksheet = _worksheet(plan, some, areas[part], links.cells, first=number == 1)
                archive.add(f"xl/worksheets/sheet{number}.xml", worksheet)
    return {part.name: part.rows for part in parts}, warnings


class Linked(NamedTuple):
    """The links of a sheet as XML, the columns that have one in every cell that is not empty, and those that were left
    out because Excel allows no more."""

    cells: list[str]
    whole: set[int]
    left_out: list[int]


def _linked(connection: duckdb.DuckDBPyConnection, books: Sequence[tuple[Plan, list[str]]]) -> dict[str, Linked]:
    """What leads where, by sheet. The columns in question are read once a sheet: its query may be costly."""
    asked: dict[str, set[int]] = {plan.sheet.name: set() for plan, _ in books}
    for plan, _ in books:
        for link in plan.sheet.links:
            if link.sheet in asked:
                asked[plan.sheet.name] |= {link.column, *link.by}
                asked[link.sheet] |= set(link.key)
    parts, tables = {plan.sheet.name: own for plan, own in books}, dict[str, str]()
    for number, (plan, _) in enumerate(books):
        if columns := ", ".join(f"CAST(c{column} AS VARCHAR) AS c{column}" for column in asked[plan.sheet.name]):
            tables[plan.sheet.name] = f"linked_{number}"
            rows = f"SELECT {columns}, row_number() OVER () AS n FROM ({plan.values})"
            connection.execute(f"CREATE OR REPLACE TEMP TABLE linked_{number} AS {rows}")
    found = {plan.sheet.name: _links(connection, plan, tables, parts) for plan, _ in books}
    for table in tables.values():
        connection.execute(f"DROP TABLE {table}")
    return found


def _links(
    connection: duckdb.DuckDBPyConnection, plan: Plan, tables: Mapping[str, str], parts: Mapping[str, list[str]]
) -> Linked:
    linked = Linked([], set(), [])
    here = tables.get(plan.sheet.name)
    for link in plan.sheet.links:
        if link.sheet not in tables:
            continue
        room = MAX_LINKS - len(linked.cells) if plan.rows <= MAX_ROWS else 0
        pairs = list(enumerate(zip(link.by, link.key, strict=True)))
        keys = ", ".join(f"c{key} AS k{i}" for i, (_, key) in pairs)
        equal = " AND ".join(f"here.c{by} = there.k{i}" for i, (by, _) in pairs)
        found = connection.execute(
            f"SELECT here.n, there.n FROM {here} here JOIN (SELECT {keys}, min(n) AS n FROM {tables[link.sheet]} "
            f"GROUP BY ALL) there ON {equal} WHERE here.c{link.column} IS NOT NULL ORDER BY here.n LIMIT {room + 1}"
        ).fetchall()
        if len(found) > room:
            linked.left_out.append(link.column)
            continue
        column, sheets = letters(link.column), [quoteattr(cell_reference(part, 0))[1:-2] for part in parts[link.sheet]]
        linked.cells.extend(
            f'<hyperlink ref="{column}{n + 1}" location="{sheets[(to - 1) // MAX_ROWS]}{(to - 1) % MAX_ROWS + 2}"/>'
            for n, to in found
        )
        shown = connection.execute(f"SELECT count(c{link.column}) FROM {here}").fetchall()[0][0]
        if found and len(found) == shown:
            linked.whole.add(link.column)
    return linked


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


def _rendered_rows(connection: duckdb.DuckDBPyConnection, plan: Plan, path: Path, linked: set[int]) -> Iterator[str]:
    kept = ", ".join(
        (fitting(f"c{i}") if category(type_) == "text" else f"c{i}") + f" AS c{i}" for i, type_ in enumerate(plan.types)
    )
    number = f"CAST((row_number() OVER () - 1) % {MAX_ROWS} + 2 AS VARCHAR) AS r"
    kinds = [
        f"linked {column.kind}".rstrip() if i in linked else column.kind for i, column in enumerate(plan.sheet.columns)
    ]
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


def _after_rows(plan: Plan, area: str, links: Sequence[str]) -> Iterator[str]:
    """The worksheet's elements that follow its rows, in the order the schema wants."""
    yield f'<autoFilter ref="{area}"/>'
    if plan.sheet.greyed and plan.rows:
        column, truth = plan.sheet.greyed
        yield (
            f'<conditionalFormatting sqref="{area.replace("A1:", "A2:")}"><cfRule type="expression" dxfId="0" '
            f'priority="1"><formula>${letters(column)}2={str(truth).upper()}</formula></cfRule></conditionalFormatting>'
        )
    if plan.sheet.tints and plan.rows:
        yield from _tints(plan, int(area.partition(":")[2].lstrip(ascii_uppercase)))
    if links:
        yield f"<hyperlinks>{''.join(links)}</hyperlinks>"
    yield '<pageMargins left="0.7" right="0.7" top="0.75" bottom="0.75" header="0.3" footer="0.3"/>'
    yield '<pageSetup orientation="landscape"/>'
    if any(plan.notes):
        yield '<legacyDrawing r:id="rId1"/>'


def _tints(plan: Plan, last: int) -> Iterator[str]:
    states = [letters(i) for i, column in enumerate(plan.sheet.columns) if column.kind == "state"]
    if not states:
        return
    yield f'<conditionalFormatting sqref="{" ".join(f"{state}2:{state}{last}" for state in states)}">'
    for number, (start, tint) in enumerate(plan.sheet.tints):
        quotes = start.replace('"', '""')
        formula = xml_text(f'LEFT({states[0]}2,{len(start)})="{quotes}"')
        dxf = list(TINTS).index(tint) + 1
        yield f'<cfRule type="expression" dxfId="{dxf}" priority="{number + 2}"><formula>{formula}</formula></cfRule>'
    yield "</conditionalFormatting>"


def _worksheet(plan: Plan, rows: Iterable[str], area: str, links: Sequence[str], *, first: bool) -> Iterator[bytes]:
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
