"""Writes what DuckDB selects into the tabs of a Google spreadsheet, all at once or not at all.

Large tables are sent to hidden staging tabs first, checked there, and put in place by one `spreadsheets.batchUpdate`,
which Google applies whole or not at all. Tabs keep their id, so links, charts and formulas that point at them live on.
Size limits are those of the Sheets API guide ("Usage limits") and of Google Drive's help ("Files you can store").
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import gspread
from gspread import urls
from gspread.exceptions import NoValidUrlKeyFound
from gspread.utils import extract_id_from_url

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.spreadsheets.cells import letters
from gusto_pipeline.spreadsheets.google_http import GoogleHTTPClient, GoogleSheetsError, google_client
from gusto_pipeline.spreadsheets.sheets import (
    Column,
    Sheet,
    SpreadsheetError,
    as_text,
    category,
    headers,
    quoted,
    readable_errors,
    typed_query,
    unique,
)
from gusto_pipeline.warehouse.flatten import literal

__all__ = ["GoogleSheetsError", "WrittenGoogleSheet", "google_client", "write_google_sheet"]

STAGING = "__staging_"
HASH_KEY = "gusto_pipeline"  # of the developer metadata that says what a tab holds
LAYOUT = 1  # counts up when the same data is to be written differently

MAX_CELLS = 10_000_000  # in a spreadsheet, empty ones included
MAX_COLUMNS = 18_278
MAX_TABS = 200
MAX_TEXT = 50_000  # UTF-16 units in a cell
KEPT_TEXT = 49_900  # of a longer text; leaves room for the mark
MAX_DIGITS = 15  # of a number
EPOCH_US = 25_569 * 86_400_000_000  # microseconds from 1899-12-30, day 0 of a spreadsheet, to 1970
CHUNK_BYTES = 2_000_000  # of one request
DIRECT_ROWS = 750  # up to which a table goes without staging

NUMBER_FORMATS = {
    "text": {"type": "TEXT"},
    "integer": {"type": "NUMBER", "pattern": "0"},
    "money": {"type": "NUMBER", "pattern": "#,##0.00"},
    "date": {"type": "DATE", "pattern": "yyyy-mm-dd"},
    "timestamp": {"type": "DATE_TIME", "pattern": "yyyy-mm-dd hh:mm:ss"},
}

Json = dict[str, Any]


@dataclass(frozen=True)
class WrittenGoogleSheet:
    """What a spreadsheet holds now. `sheets` maps each tab's name to its number of data rows."""

    url: str
    sheets: dict[str, int]
    requests: int  # sent to Google, repeated ones included
    sha256: str  # of the content of all tables
    unchanged: bool  # it held exactly this before and no table was written
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A sheet's content, ready to be sent: its header and rows as JSON arrays, in chunks."""

    sheet: Sheet
    name: str
    types: tuple[str, ...]
    chunks: tuple[tuple[int, bytes], ...]  # number of rows, and these joined by commas
    rows: int  # below the header
    filled: int  # rows, counting the header, down to the last with something in its first cell
    sha256: str
    warnings: tuple[str, ...]

    @property
    def columns(self) -> int:
        return len(self.types)


@dataclass(frozen=True)
class Tab:
    """A tab as it is in the spreadsheet. `held` is what its developer metadata says of the table written last."""

    id: int
    title: str
    rows: int
    columns: int
    filtered: bool
    held: Json
    metadata_id: int | None


@dataclass(frozen=True)
class Book:
    """A spreadsheet without its cells."""

    url: str
    tabs: tuple[Tab, ...]

    def tab(self, name: str) -> Tab | None:
        return next((tab for tab in self.tabs if tab.title.casefold() == name.casefold()), None)

    def leftovers(self) -> list[Tab]:
        """Staging tabs of runs that did not finish."""
        return [tab for tab in self.tabs if tab.title.startswith(STAGING)]

    def holds(self, table: Table) -> bool:
        tab = self.tab(table.name)
        return tab is not None and tab.held.get("sha256") == table.sha256


def write_google_sheet(
    connection: duckdb.DuckDBPyConnection,
    sheets: Sequence[Sheet],
    spreadsheet: str,
    client: gspread.Client,
    *,
    run: str,
    timezone: str = "UTC",
    clock: Clock = utcnow,
) -> WrittenGoogleSheet:
    """Replace the tabs named like `sheets` in a spreadsheet (id or URL); other tabs stay as they are.

    `client` comes from `google_client`, `run` tells this run's staging tabs from others'. All tables change in one
    step; until then the spreadsheet is as it was. A tab keeps what is right of the table. A table whose content the
    spreadsheet already holds is not sent again, so edits by hand stay until the data changes. Instants are shown in
    `timezone` (an IANA name). Raises SpreadsheetError, GoogleSheetsError where Google is the reason.
    """
    http = client.http_client
    if not isinstance(http, GoogleHTTPClient):
        raise TypeError("the client must come from google_client()")
    key = _spreadsheet_id(spreadsheet)
    where = Path(f"Google spreadsheet {key}")
    if not sheets:
        raise SpreadsheetError(f"{where}: there is nothing to write; give at least one sheet")
    try:
        connection.execute(f"SELECT timezone({literal(timezone)}, TIMESTAMPTZ 'epoch')")
    except duckdb.Error:
        raise SpreadsheetError(f'{where}: unknown time zone "{timezone}"; use a name like "America/Denver"') from None
    taken: set[str] = set()
    names = [unique(sheet.name.strip() or "Sheet", taken, 100) for sheet in sheets]
    tables = [_table(connection, sheet, name, where, timezone) for sheet, name in zip(sheets, names, strict=True)]
    sent = http.requests_sent
    with http.budget():
        book = _read_book(http, key)
        changed = [table for table in tables if not book.holds(table)]
        if changed:
            note = f"Written {clock():%Y-%m-%d %H:%M} UTC by gusto_pipeline, run {run}."
            _write(http, key, book, changed, where, run, timezone, note)
        elif leftovers := _deletions(book.leftovers()):
            _apply(http, key, leftovers, lambda now: not now.leftovers())
    return WrittenGoogleSheet(
        url=book.url,
        sheets={table.name: table.rows for table in tables},
        requests=http.requests_sent - sent,
        sha256=hashlib.sha256("".join(table.sha256 for table in tables).encode()).hexdigest(),
        unchanged=not changed,
        warnings=tuple(warning for table in tables for warning in table.warnings),
    )


def _spreadsheet_id(spreadsheet: str) -> str:
    if "/" not in spreadsheet and spreadsheet.strip():
        return spreadsheet.strip()
    try:
        return extract_id_from_url(spreadsheet)
    except NoValidUrlKeyFound:
        raise SpreadsheetError(
            f'"{spreadsheet}" is no address of a Google spreadsheet; '
            "copy the one that begins with https://docs.google.com/spreadsheets/d/"
        ) from None


# The table as JSON


def _table(connection: duckdb.DuckDBPyConnection, sheet: Sheet, name: str, where: Path, timezone: str) -> Table:
    typed, types = typed_query(connection, sheet, where)
    if len(types) > MAX_COLUMNS:
        raise SpreadsheetError(
            f'{where}: sheet "{sheet.name}" has {len(types):,} columns and Google allows {MAX_COLUMNS:,}; '
            "spread them over several sheets"
        )
    shown = ", ".join(_shown(f"c{i}", type_, timezone) + f" AS c{i}" for i, type_ in enumerate(types))
    values = f"SELECT {shown} FROM ({typed})"
    titles = headers(sheet)
    meaning = [LAYOUT, timezone, titles, types, [(column.kind, column.comment) for column in sheet.columns]]
    digest = hashlib.sha256(json.dumps(meaning).encode())
    chunks: list[tuple[int, bytes]] = []
    chunk = [json.dumps(titles)]
    size, rows, filled = len(chunk[0]), 0, 1
    with readable_errors(connection, sheet, where):
        warnings = tuple(_warnings(connection, values, sheet, name, types))
        cells = ", ',', ".join(_cell(f"c{i}", type_) for i, type_ in enumerate(types))
        connection.execute(f"SELECT concat('[', {cells}, ']') FROM ({values})")
        while batch := connection.fetchmany(1000):
            for (row,) in batch:
                digest.update(row.encode() + b"\n")
                rows += 1
                if not row.startswith('[""'):
                    filled = rows + 1
                row_size = len(row.encode()) + 1
                if size + row_size > CHUNK_BYTES:
                    chunks.append((len(chunk), ",".join(chunk).encode()))
                    chunk, size = [], 0
                chunk.append(row)
                size += row_size
            if (rows + 1) * len(types) > MAX_CELLS:
                raise SpreadsheetError(
                    f'{where}: sheet "{sheet.name}" has more than the {MAX_CELLS:,} cells that Google allows; '
                    "write fewer columns or rows, or a CSV or Parquet file"
                )
    chunks.append((len(chunk), ",".join(chunk).encode()))
    return Table(sheet, name, types, tuple(chunks), rows, filled, digest.hexdigest(), warnings)


def _shown(value: str, type_: str, timezone: str) -> str:
    """SQL for the value as it will be shown: text as VARCHAR, instants as local time, the rest as it is."""
    match category(type_):
        case "text":
            return as_text(value, type_)
        case "timestamp" if type_.endswith("TIME ZONE"):
            return f"timezone({quoted(timezone)}, {value})"
        case "timestamp":
            return f"CAST({value} AS TIMESTAMP)"
        case "float":
            return f"CAST({value} AS DOUBLE)"
        case _:
            return value


def _cell(value: str, type_: str) -> str:
    """SQL for the value as JSON: "" for none (null would keep what the cell holds), dates as serial numbers."""
    text = f"CAST(to_json(CAST({value} AS VARCHAR)) AS VARCHAR)"
    match category(type_):
        case "text":
            return f"""CASE WHEN {value} IS NULL THEN '""' ELSE CAST(to_json({_fitting(value)}) AS VARCHAR) END"""
        case "boolean":
            return f"""coalesce(CAST({value} AS VARCHAR), '""')"""
        case "float":
            return f"""CASE WHEN isfinite({value}) THEN CAST({value} AS VARCHAR) ELSE '""' END"""
        case "date":
            fits, number = _dated(value), f"{value} - DATE '1899-12-30'"
        case "timestamp":
            fits, number = _dated(value), f"(epoch_us({value}) + {EPOCH_US}) / 86400000000.0"
        case "integer":
            fits, number = f"{value} BETWEEN -{10**MAX_DIGITS - 1} AND {10**MAX_DIGITS - 1}", value
        case _:
            digits = f"trim(replace(ltrim(CAST({value} AS VARCHAR), '-'), '.', ''), '0')"
            fits, number = f"length({digits}) <= {MAX_DIGITS}", value
    return f"""CASE WHEN {value} IS NULL THEN '""' WHEN {fits} THEN CAST({number} AS VARCHAR) ELSE {text} END"""


def _dated(value: str) -> str:
    return f"{value} >= DATE '1900-01-01' AND {value} < DATE '10000-01-01'"


def _too_long(text: str) -> str:
    """SQL condition: the text has more UTF-16 units than a cell holds."""
    # CASE, because DuckDB may evaluate both sides of AND, and one is slow.
    return f"CASE WHEN strlen({text}) > {MAX_TEXT} THEN length({text}) + {_astral(text)} > {MAX_TEXT} ELSE false END"


def _astral(text: str) -> str:
    """SQL for the number of characters that take two UTF-16 units."""
    return f"length(regexp_replace({text}, '[^\\x{{10000}}-\\x{{10FFFF}}]', '', 'g'))"


def _fitting(text: str) -> str:
    """SQL for the text, cut with a mark that says so if a cell cannot hold it."""
    kept = f"left({text}, {KEPT_TEXT} - {_astral(f'left({text}, {KEPT_TEXT})')})"
    mark = f"' …[cut: ' || (length({text}) - length({kept})) || ' characters, see CSV]'"
    return f"CASE WHEN {_too_long(text)} THEN {kept} || {mark} ELSE {text} END"


def _warnings(
    connection: duckdb.DuckDBPyConnection, values: str, sheet: Sheet, name: str, types: Sequence[str]
) -> Iterator[str]:
    suspicions = [
        (column.name, f"more than {MAX_TEXT:,} characters: cut, the CSV has it all", _too_long(f"c{i}"))
        if category(type_) == "text"
        else (column.name, "not a number or infinite: left empty", f"NOT isfinite(c{i})")
        for i, (column, type_) in enumerate(zip(sheet.columns, types, strict=True))
        if category(type_) in ("text", "float")
    ]
    if not suspicions:
        return
    counts = ", ".join(f"count(*) FILTER ({odd}), min(n) FILTER ({odd})" for *_, odd in suspicions)
    numbered = f"SELECT *, row_number() OVER () + 1 AS n FROM ({values})"
    found = connection.execute(f"SELECT {counts} FROM ({numbered})").fetchall()[0]
    for (column, what, _), count, first in zip(suspicions, found[::2], found[1::2], strict=True):
        if count:
            more = f" and {count - 1:,} more" if count > 1 else ""
            yield f'sheet "{name}", column "{column}": {what} (row {first}{more})'


# The spreadsheet


def _read_book(http: GoogleHTTPClient, key: str) -> Book:
    fields = "spreadsheetUrl,sheets(properties,basicFilter,developerMetadata)"
    answer = http.fetch_sheet_metadata(key, {"fields": fields})
    return Book(answer["spreadsheetUrl"], tuple(_tab(entry) for entry in answer["sheets"]))


def _tab(entry: Json) -> Tab:
    properties = entry["properties"]
    grid = properties.get("gridProperties", {})  # none: a tab that is a chart
    own = next((row for row in entry.get("developerMetadata", ()) if row["metadataKey"] == HASH_KEY), None)
    try:
        held = json.loads(own.get("metadataValue", "")) if own else {}
    except ValueError:
        held = {}
    return Tab(
        id=properties.get("sheetId", 0),
        title=properties["title"],
        rows=grid.get("rowCount", 0),
        columns=grid.get("columnCount", 0),
        filtered="basicFilter" in entry,
        held=held if isinstance(held, dict) else {},
        metadata_id=own["metadataId"] if own else None,
    )


def _write(
    http: GoogleHTTPClient,
    key: str,
    book: Book,
    tables: Sequence[Table],
    where: Path,
    run: str,
    timezone: str,
    note: str,
) -> None:
    direct: dict[str, list[Json]] = {}
    room = CHUNK_BYTES
    for table in tables:
        if table.rows <= DIRECT_ROWS and len(table.chunks) == 1:
            rows = [{"values": [_entered(value) for value in row]} for row in json.loads(b"[%b]" % table.chunks[0][1])]
            if (size := len(json.dumps(rows))) <= room:
                direct[table.name] = rows
                room -= size
    staged = [table for table in tables if table.name not in direct]
    _check_size(book, tables, staged, where)

    ids = {tab.id for tab in book.tabs}
    names = {tab.title.casefold() for tab in book.tabs if tab not in book.leftovers()}
    staging = {table.name: (_new_id(ids, run, table.name), unique(STAGING + run, names, 100)) for table in staged}
    cleaning = _deletions(book.leftovers())
    if staged:
        adding = [
            _addition(*staging[table.name], table.rows + 1, table.columns, index=None, hidden=True) for table in staged
        ]
        wanted = {id_ for id_, _ in staging.values()}
        _apply(http, key, cleaning + adding, lambda now: wanted <= {tab.id for tab in now.tabs})
        cleaning = []
        for table in staged:
            _send(http, key, table, staging[table.name][1], where)
        _check_arrived(http, key, [(table, staging[table.name][1]) for table in staged], where)

    requests = cleaning
    index = len(book.tabs) - len(book.leftovers())
    for table in tables:
        tab = book.tab(table.name)
        if tab is None:
            tab = Tab(_new_id(ids, table.name), table.name, max(table.rows + 1, 2), table.columns, False, {}, None)
            requests.append(_addition(tab.id, tab.title, tab.rows, tab.columns, index=index, hidden=False))
            index += 1
        if table.name in direct:
            content: Json = {"updateCells": {"rows": direct[table.name], "fields": "userEnteredValue"}}
            content["updateCells"]["start"] = {"sheetId": tab.id, "rowIndex": 0, "columnIndex": 0}
        else:
            content = {
                "copyPaste": {
                    "source": _range(staging[table.name][0], table.rows + 1, table.columns),
                    "destination": _range(tab.id, table.rows + 1, table.columns),
                    "pasteType": "PASTE_VALUES",
                }
            }
        requests += _replacement(table, tab, content, timezone, note, run)
    requests += [{"deleteSheet": {"sheetId": id_}} for id_, _ in staging.values()]
    _apply(http, key, requests, lambda now: all(now.holds(table) for table in tables))


def _check_size(book: Book, tables: Sequence[Table], staged: Sequence[Table], where: Path) -> None:
    """What it takes while staging tabs and targets exist side by side."""
    kept = {tab.title.casefold(): (tab.rows, tab.columns) for tab in book.tabs if tab not in book.leftovers()}
    for table in tables:
        rows, columns = kept.get(table.name.casefold(), (0, 0))
        kept[table.name.casefold()] = (max(rows, table.rows + 1, 2), max(columns, table.columns))
    grids = [*kept.values(), *((table.rows + 1, table.columns) for table in staged)]
    cells = sum(rows * columns for rows, columns in grids)
    if cells > MAX_CELLS:
        raise SpreadsheetError(
            f"{where}: writing takes {cells:,} cells, with a hidden copy of each large table while it is sent, and "
            f"Google allows {MAX_CELLS:,}; delete tabs, or give these tables a spreadsheet of their own"
        )
    if len(grids) > MAX_TABS:
        raise SpreadsheetError(
            f"{where}: writing takes {len(grids)} tabs and Google allows {MAX_TABS}; "
            "delete tabs, or spread the sheets over several spreadsheets"
        )


def _new_id(taken: set[int], *words: str) -> int:
    """A sheet id that is free, and the same whenever the same is asked."""
    number = int.from_bytes(hashlib.sha256("\0".join(words).encode()).digest()[:4], "big") >> 1
    while number in taken:
        number += 1
    taken.add(number)
    return number


def _deletions(tabs: Sequence[Tab]) -> list[Json]:
    return [{"deleteSheet": {"sheetId": tab.id}} for tab in tabs]


def _addition(id_: int, title: str, rows: int, columns: int, *, index: int | None, hidden: bool) -> Json:
    properties: Json = {"sheetId": id_, "title": title, "hidden": hidden}
    properties["gridProperties"] = {"rowCount": rows, "columnCount": columns}
    return {"addSheet": {"properties": properties | ({} if index is None else {"index": index})}}


def _entered(value: Any) -> Json:
    if value == "" and isinstance(value, str):
        return {}
    kind = {bool: "boolValue", str: "stringValue"}.get(type(value), "numberValue")
    return {"userEnteredValue": {kind: value}}


def _range(sheet: int, rows: int, columns: int, *, row: int = 0, column: int = 0) -> Json:
    return {
        "sheetId": sheet,
        "startRowIndex": row,
        "endRowIndex": rows,
        "startColumnIndex": column,
        "endColumnIndex": columns,
    }


def _replacement(table: Table, tab: Tab, content: Json, timezone: str, note: str, run: str) -> Iterator[Json]:
    """The requests that turn a tab from the table before, or whatever it held, into the new one."""
    rows, columns = max(tab.rows, table.rows + 1, 2), max(tab.columns, table.columns)
    # Without a word on what was written last, all that is there is taken to be the earlier table.
    width = max(table.columns, min(tab.held.get("columns", columns), columns))
    grid = {"rowCount": rows, "columnCount": columns, "frozenRowCount": 1}
    yield {
        "updateSheetProperties": {
            "properties": {"sheetId": tab.id, "gridProperties": grid},
            "fields": "gridProperties(rowCount,columnCount,frozenRowCount)",
        }
    }
    if tab.filtered:  # else it hides rows from what follows
        yield {"clearBasicFilter": {"sheetId": tab.id}}
    everything = "userEnteredValue,userEnteredFormat.numberFormat,note"
    yield {"updateCells": {"range": _range(tab.id, rows, width), "fields": everything}}
    yield content
    for i, (column, type_) in enumerate(zip(table.sheet.columns, table.types, strict=True)):
        kind = column.kind if column.kind == "money" else category(type_)
        if kind in NUMBER_FORMATS:
            yield {
                "repeatCell": {
                    "range": _range(tab.id, rows, i + 1, row=1, column=i),
                    "cell": {"userEnteredFormat": {"numberFormat": NUMBER_FORMATS[kind]}},
                    "fields": "userEnteredFormat.numberFormat",
                }
            }
    titles = [
        {
            "note": _note(column, type_, timezone, f"{note} {table.rows:,} rows." if i == 0 else ""),
            "userEnteredFormat": {"textFormat": {"bold": True}, "numberFormat": NUMBER_FORMATS["text"]},
        }
        for i, (column, type_) in enumerate(zip(table.sheet.columns, table.types, strict=True))
    ]
    yield {
        "updateCells": {
            "start": {"sheetId": tab.id, "rowIndex": 0, "columnIndex": 0},
            "rows": [{"values": titles}],
            "fields": "note,userEnteredFormat.textFormat.bold,userEnteredFormat.numberFormat",
        }
    }
    yield {"setBasicFilter": {"filter": {"range": _range(tab.id, table.rows + 1, table.columns)}}}
    held = json.dumps({"sha256": table.sha256, "rows": table.rows, "columns": table.columns})
    if tab.metadata_id is not None:
        yield {"deleteDeveloperMetadata": {"dataFilter": {"developerMetadataLookup": {"metadataId": tab.metadata_id}}}}
    metadata = {"metadataKey": HASH_KEY, "metadataValue": held, "visibility": "DOCUMENT"}
    # With an id of our own, a request that is repeated because its answer was lost cannot add a second entry.
    own: Json = {"metadataId": _new_id(set(), run, table.name) + 1, "location": {"sheetId": tab.id}}
    yield {"createDeveloperMetadata": {"developerMetadata": metadata | own}}


def _note(column: Column, type_: str, timezone: str, about: str) -> str:
    zone = f"Times are in {timezone}." if type_.endswith("TIME ZONE") else ""
    return "\n".join(filter(None, (column.comment, zone, about)))


def _apply(http: GoogleHTTPClient, key: str, requests: Sequence[Json], applied: Callable[[Book], bool]) -> None:
    """Send requests that take effect together. If that fails, the spreadsheet tells whether they did all the same:
    when an answer was lost, the repeated request is refused because the first one was carried out."""
    try:
        http.batch_update(key, {"requests": list(requests)})
    except GoogleSheetsError as error:
        try:
            done = applied(_read_book(http, key))
        except GoogleSheetsError:
            raise error from None
        if not done:
            raise


def _send(http: GoogleHTTPClient, key: str, table: Table, title: str, where: Path) -> None:
    first = 1
    for count, rows in table.chunks:
        area = f"'{title.replace(chr(39), chr(39) * 2)}'!A{first}:{letters(table.columns - 1)}{first + count - 1}"
        answer: Mapping[str, Any] = http.request(
            "put",
            urls.SPREADSHEET_VALUES_URL % (key, quote(area, safe="")),
            params={"valueInputOption": "RAW"},  # nothing is parsed, so nothing becomes a formula
            data=b'{"majorDimension":"ROWS","values":[%b]}' % rows,
            headers={"Content-Type": "application/json"},
        ).json()
        # Rows only: whether Google counts a cell that is written empty among updatedCells is not documented.
        if (arrived := answer.get("updatedRows", 0)) != count:
            raise _incomplete(where, table, f"{arrived:,} of {count:,} rows from row {first:,} on")
        first += count


def _check_arrived(http: GoogleHTTPClient, key: str, staged: Sequence[tuple[Table, str]], where: Path) -> None:
    areas = [f"'{title.replace(chr(39), chr(39) * 2)}'!A1:A{table.rows + 1}" for table, title in staged]
    answer = http.values_batch_get(key, areas, {"valueRenderOption": "UNFORMATTED_VALUE"})
    for (table, _), column in zip(staged, answer["valueRanges"], strict=True):
        if (found := len(column.get("values", ()))) != table.filled:
            raise _incomplete(where, table, f"{found:,} of {table.filled:,} rows")


def _incomplete(where: Path, table: Table, what: str) -> GoogleSheetsError:
    return GoogleSheetsError(
        f'{where}: only {what} of sheet "{table.sheet.name}" arrived at Google; the tab was left as it was, run again'
    )
