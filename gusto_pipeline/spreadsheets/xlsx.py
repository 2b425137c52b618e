"""Excel workbooks: DuckDB renders each row's XML, Python only moves, deflates and frames it.

Nothing can run as a formula, because every text is an inline string (`t="inlineStr"`), which Excel does not
evaluate. Formats follow ECMA-376 (SpreadsheetML) and Microsoft's "Excel specifications and limits".
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import duckdb

from gusto_pipeline.spreadsheets.archive import Archive
from gusto_pipeline.spreadsheets.sheets import (
    Column,
    Sheet,
    SpreadsheetError,
    as_text,
    category,
    failure,
    headers,
    quoted,
    sheet_names,
    typed_query,
    unique,
)

MAX_ROWS = 1_048_575  # below the header
MAX_COLUMNS = 16_384
MAX_TEXT = 32_767  # UTF-16 units in a cell
KEPT_TEXT = 32_700  # of a longer text; leaves room for the mark
MAX_WIDTH = 50
ID_WIDTH = 14
CHUNK = 4_000_000  # characters of XML deflated at a time

STYLE = {"text": 2, "id": 3, "integer": 4, "money": 5, "date": 6, "timestamp": 7}
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
STYLES = f"""{XML}<styleSheet xmlns="{MAIN}"><numFmts count="2">\
<numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>\
<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>\
<fonts count="3"><font><sz val="11"/><name val="Calibri"/><family val="2"/></font>\
<font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font>\
<font><sz val="11"/><color rgb="FF808080"/><name val="Calibri"/><family val="2"/></font></fonts>\
<fills count="2"><fill><patternFill patternType="none"/></fill>\
<fill><patternFill patternType="gray125"/></fill></fills>\
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>\
<cellXfs count="8">{
    "".join(
        f'<xf numFmtId="{number}" fontId="{font}" fillId="0" borderId="0" applyNumberFormat="1" applyFont="1"/>'
        for number, font in ((0, 0), (49, 1), (49, 0), (49, 2), (1, 0), (4, 0), (164, 0), (165, 0))
    )
}</cellXfs>\
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"""

# What XML cannot hold is shown by its picture (U+2400 to U+241F). A bare carriage return would be read as a line
# feed, and text that looks like Excel's own escape (ST_Xstring, "_x000D_") would be decoded.
CONTROLS = [n for n in range(32) if n not in (9, 10, 13)]
PICTURES = str.maketrans({n: 0x2400 + n for n in CONTROLS} | {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD})
ESCAPE_LIKE = "_(x[0-9A-Fa-f]{4})"
NEEDS_ESCAPE = r"[&<>\x00-\x08\x0b-\x1f\x{FFFE}\x{FFFF}]|_x[0-9A-Fa-f]{4}"
SQL_CONTROLS = "concat(" + ", ".join(f"chr({n})" for n in (*CONTROLS, 0xFFFE, 0xFFFF)) + ")"
SQL_PICTURES = "'" + "".join(chr(0x2400 + n) for n in CONTROLS) + "\ufffd\ufffd'"


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
    names, taken = sheet_names([sheet.name for sheet in sheets])
    plans = [_plan(connection, sheet, path, timezone) for sheet in sheets]
    books = [
        (plan, [name] + [unique(name, taken, 31) for _ in range((plan.rows - 1) // MAX_ROWS)])
        for name, plan in zip(names, plans, strict=True)
    ]
    sizes = {part: min(MAX_ROWS, plan.rows - MAX_ROWS * i) for plan, parts in books for i, part in enumerate(parts)}
    areas = {part: f"A1:{_letters(len(plan.types) - 1)}{sizes[part] + 1}" for plan, parts in books for part in parts}
    notes = [plan.notes for plan, parts in books for _ in parts]
    with draft.open("wb") as file, Archive(file) as archive:
        for file_name, xml in _package_parts(areas, notes, created):
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
    lengths = ", ".join(f"coalesce(max(length(CAST(c{i} AS VARCHAR))), 0)" for i in range(len(types)))
    problems: list[tuple[str, int, tuple[int, ...]]] = []
    try:
        rows, *longest = connection.execute(f"SELECT count(*), {lengths} FROM ({values})").fetchall()[0]
        for i, (column, type_) in enumerate(zip(sheet.columns, types, strict=True)):
            if category(type_) == "float":
                condition, what = f"NOT isfinite(c{i})", "not a number or infinite: left empty"
            elif longest[i] > MAX_TEXT // 2:
                condition, what = _too_long(f"c{i}"), f"more than {MAX_TEXT:,} characters: cut, the CSV has it all"
            else:
                continue
            numbered = f"SELECT row_number() OVER () AS n, c{i} FROM ({values})"
            found = f"SELECT count(*), list(n ORDER BY n)[:5] FROM ({numbered}) WHERE {condition}"
            count, first = connection.execute(found).fetchall()[0]
            if count:
                problems.append((f'column "{column.name}": {what}', count, tuple(first)))
    except duckdb.IOException:
        raise
    except duckdb.Error as error:
        if "Unknown TimeZone" in str(error):
            raise SpreadsheetError(
                f'{path}: unknown time zone "{timezone}"; use a name like "America/Denver"'
            ) from None
        raise failure(connection, sheet, path, error) from None
    sizes = zip(sheet.columns, headers(sheet), types, longest, strict=True)
    widths = tuple(_width(column, header, type_, length) for column, header, type_, length in sizes)
    notes = tuple(_note(column, type_, timezone) for column, type_ in zip(sheet.columns, types, strict=True))
    return Plan(sheet, values, types, rows, widths, notes, tuple(problems))


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


def _width(column: Column, header: str, type_: str, longest: int) -> int:
    data = {"boolean": 5, "date": 10, "timestamp": 19, "float": min(longest, 12)}.get(category(type_), longest)
    if column.kind == "money":
        data += longest // 3  # thousands separators
    if column.kind == "id":
        data = min(data, ID_WIDTH)
    return min(max(data + 2, len(header) + 4), MAX_WIDTH)  # the filter's button takes room beside the header


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
    columns = range(len(plan.types))
    kept = ", ".join(
        (_fitting(f"c{i}") if category(type_) == "text" else f"c{i}") + f" AS c{i}"
        for i, type_ in enumerate(plan.types)
    )
    number = f"CAST((row_number() OVER () - 1) % {MAX_ROWS} + 2 AS VARCHAR) AS r"
    cells = ", ".join(_cell(i, plan.types[i], plan.sheet.columns[i].kind) for i in columns)
    row = f"concat('<row r=\"', r, '\">', {cells}, '</row>')"
    seen = 0
    try:
        connection.execute(f"SELECT {row} FROM (SELECT {kept}, {number} FROM ({plan.values}))")
        while batch := connection.fetchmany(1000):
            seen += len(batch)
            if seen > plan.rows:
                break
            for (xml,) in batch:
                yield xml
    except duckdb.IOException:
        raise
    except duckdb.Error as error:
        raise failure(connection, plan.sheet, path, error) from None
    if seen != plan.rows:
        raise SpreadsheetError(f'{path}: sheet "{plan.sheet.name}" changed while it was read; run again')


def _cell(index: int, type_: str, kind: str) -> str:
    """SQL for the XML of one cell, NULL for no cell; r is the row's number."""
    value, name, group = f"c{index}", _letters(index), category(type_)

    def cell(style: str, content: str, attribute: str = "") -> str:
        before, after = content.split("|")
        start = f"'<c r=\"{name}', r, '\" s=\"{STYLE.get(style, 0)}\"{attribute}>{before}'"
        return f"concat({start}, {{}}, '{after}</c>')"

    text = cell("id" if kind == "id" else "text", '<is><t xml:space="preserve">|</t></is>', ' t="inlineStr"').format(
        _escaped(value) if group == "text" else f"CAST({value} AS VARCHAR)"
    )
    number = cell("money" if kind == "money" else group, "<v>|</v>")
    if group == "text":
        return f"CASE WHEN {value} IS NOT NULL THEN {text} END"
    if group == "boolean":
        truth = cell(group, "<v>|</v>", ' t="b"').format(f"CAST({value} AS TINYINT)")
        return f"CASE WHEN {value} IS NOT NULL THEN {truth} END"
    if group == "float":
        return f"CASE WHEN isfinite({value}) THEN {number.format(value)} END"
    if group in ("date", "timestamp"):
        fits = f"{value} >= DATE '1900-03-01' AND {value} < DATE '10000-01-01'"
        serial = f"{value} - DATE '1899-12-30'" if group == "date" else f"epoch_us({value}) / 86400000000.0 + 25569"
        number = number.format(serial)
    else:
        fits = _exact(value, type_)
        number = number.format(value)
    return f"CASE WHEN {fits} THEN {number} WHEN {value} IS NOT NULL THEN {text} END"


def _exact(value: str, type_: str) -> str:
    """SQL condition: the number has at most 15 significant digits, so Excel keeps all of them."""
    if category(type_) == "integer":
        return f"{value} BETWEEN -999999999999999 AND 999999999999999"
    precision, scale = (int(digits) for digits in re.findall(r"\d+", type_))
    if precision <= 15:
        return f"{value} IS NOT NULL"
    digits = f"trim(replace(ltrim(CAST({value} AS VARCHAR), '-'), '.', ''), '0')"
    small = f"abs({value}) < {10 ** (15 - scale)} OR " if scale <= 15 else ""
    return f"({small}length({digits}) <= 15)"


def _too_long(text: str) -> str:
    return f"(strlen({text}) > {MAX_TEXT} AND length({text}) + {_astral(text)} > {MAX_TEXT})"


def _astral(text: str) -> str:
    """SQL for the number of characters that take two UTF-16 units."""
    return f"length(regexp_replace({text}, '[^\\x{{10000}}-\\x{{10FFFF}}]', '', 'g'))"


def _fitting(text: str) -> str:
    start = f"left({text}, {KEPT_TEXT})"
    kept = f"left({text}, {KEPT_TEXT} - {_astral(start)})"
    mark = f"' …[cut: ' || (length({text}) - length({kept})) || ' characters, see CSV]'"
    return f"CASE WHEN {_too_long(text)} THEN {kept} || {mark} ELSE {text} END"


def _escaped(text: str) -> str:
    xml = f"replace(replace(replace({text}, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')"
    xml = f"replace(regexp_replace({xml}, '{ESCAPE_LIKE}', '_x005F_\\1', 'g'), chr(13), '&#13;')"
    xml = f"translate({xml}, {SQL_CONTROLS}, {SQL_PICTURES})"
    return f"CASE WHEN regexp_matches({text}, '{NEEDS_ESCAPE}') THEN {xml} ELSE {text} END"


def _xml_text(text: str) -> str:
    """The same as `_escaped`, for the few texts that do not come from the database."""
    return re.sub(ESCAPE_LIKE, r"_x005F_\1", escape(text)).replace("\r", "&#13;").translate(PICTURES)


def _letters(index: int) -> str:
    """Column letters: 0 is A, 25 is Z, 26 is AA."""
    name = ""
    while index >= 0:
        index, letter = divmod(index, 26)
        name, index = chr(65 + letter) + name, index - 1
    return name


def _worksheet(plan: Plan, rows: Iterable[str], area: str, first: bool) -> Iterator[bytes]:
    frozen = min(3, 1 + len(list(takewhile(lambda column: column.kind == "id", plan.sheet.columns))))
    columns = "".join(
        f'<col min="{i}" max="{i}" width="{width}" customWidth="1"/>' for i, width in enumerate(plan.widths, 1)
    )
    cells = "".join(
        f'<c r="{_letters(i)}1" s="1" t="inlineStr"><is><t xml:space="preserve">{_xml_text(text)}</t></is></c>'
        for i, text in enumerate(headers(plan.sheet))
    )
    selected = 'tabSelected="1" ' if first else ""
    yield (
        f'{XML}<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}"><dimension ref="{area}"/>'
        f'<sheetViews><sheetView {selected}workbookViewId="0">'
        f'<pane xSplit="{frozen}" ySplit="1" topLeftCell="{_letters(frozen)}2" '
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


def _package_parts(
    areas: dict[str, str], notes: Sequence[Sequence[str]], created: datetime
) -> Iterator[tuple[str, str]]:
    """Every part but the worksheets: what the package holds, the workbook, its styles, the headers' notes."""
    numbers = range(1, len(areas) + 1)
    noted = [number for number in numbers if any(notes[number - 1])]
    office = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    types = {
        "/xl/workbook.xml": f"{office}.sheet.main+xml",
        "/xl/styles.xml": f"{office}.styles+xml",
        "/docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
        **{f"/xl/worksheets/sheet{n}.xml": f"{office}.worksheet+xml" for n in numbers},
        **{f"/xl/comments{n}.xml": f"{office}.comments+xml" for n in noted},
    }
    yield (
        "[Content_Types].xml",
        f'{XML}<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="vml" ContentType="application/vnd.openxmlformats-officedocument.vmlDrawing"/>'
        + "".join(f'<Override PartName="{name}" ContentType="{type_}"/>' for name, type_ in types.items())
        + "</Types>",
    )
    core = f"{PACKAGE}/relationships/metadata/core-properties"
    yield "_rels/.rels", _links([(f"{OFFICE}/officeDocument", "xl/workbook.xml"), (core, "docProps/core.xml")])
    yield (
        "docProps/core.xml",
        f'{XML}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" '
        'xmlns:dcterms="http://purl.org/dc/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<dcterms:created xsi:type="dcterms:W3CDTF">{created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}</dcterms:created>'
        "</cp:coreProperties>",
    )
    sheets = [(f"{OFFICE}/worksheet", f"worksheets/sheet{n}.xml") for n in numbers]
    yield "xl/_rels/workbook.xml.rels", _links([*sheets, (f"{OFFICE}/styles", "styles.xml")])
    listed = "".join(f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(areas, 1))
    filters = "".join(
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{n}" hidden="1">'
        + escape("'" + name.replace("'", "''") + "'!" + re.sub(r"([A-Z]+)(\d+)", r"$\1$\2", area))
        + "</definedName>"
        for n, (name, area) in enumerate(areas.items())
    )
    yield (
        "xl/workbook.xml",
        f'{XML}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><bookViews><workbookView/></bookViews>'
        f"<sheets>{listed}</sheets><definedNames>{filters}</definedNames></workbook>",
    )
    yield "xl/styles.xml", STYLES
    for number in noted:
        yield from _note_parts(notes[number - 1], number)


def _note_parts(notes: Sequence[str], number: int) -> Iterator[tuple[str, str]]:
    """A sheet's notes take three parts: their text, their boxes (VML), and the sheet's links to both."""
    texts = "".join(
        f'<comment ref="{_letters(i)}1" authorId="0">'
        f'<text><t xml:space="preserve">{_xml_text(note)}</t></text></comment>'
        for i, note in enumerate(notes)
        if note
    )
    yield (
        f"xl/comments{number}.xml",
        f'{XML}<comments xmlns="{MAIN}"><authors><author/></authors><commentList>{texts}</commentList></comments>',
    )
    boxes = "".join(
        f'<v:shape id="_x0000_s{i + 1:04}" type="#_x0000_t202" fillcolor="#ffffe1" o:insetmode="auto" '
        f'style="position:absolute;width:220pt;height:{15 * (2 + len(note) // 40)}pt;visibility:hidden">'
        '<v:textbox/><x:ClientData ObjectType="Note"><x:MoveWithCells/><x:SizeWithCells/><x:AutoFill>False</x:AutoFill>'
        f"<x:Row>0</x:Row><x:Column>{i}</x:Column></x:ClientData></v:shape>"
        for i, note in enumerate(notes)
        if note
    )
    yield (
        f"xl/drawings/vmlDrawing{number}.vml",
        '<xml xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office" '
        'xmlns:x="urn:schemas-microsoft-com:office:excel"><v:shapetype id="_x0000_t202" coordsize="21600,21600" '
        f'o:spt="202" path="m,l,21600r21600,l21600,xe"/>{boxes}</xml>',
    )
    links = [
        (f"{OFFICE}/vmlDrawing", f"../drawings/vmlDrawing{number}.vml"),
        (f"{OFFICE}/comments", f"../comments{number}.xml"),
    ]
    yield f"xl/worksheets/_rels/sheet{number}.xml.rels", _links(links)


def _links(links: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f'<Relationship Id="rId{n}" Type="{type_}" Target="{target}"/>' for n, (type_, target) in enumerate(links, 1)
    )
    return f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{items}</Relationships>'
