"""Spreadsheets as Google keeps them, and what `spreadsheets.batchUpdate` does to them: all of it or nothing.

Requests and limits follow the Sheets API v4 reference ("Requests"); only the requests in `REQUESTS` exist here.
"""

import copy
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Position = tuple[int, int]

MAX_CELLS = 10_000_000
MAX_COLUMNS = 18_278
MAX_TABS = 200
MAX_TEXT = 50_000
CELL_FIELDS = ("userEnteredValue", "userEnteredFormat", "note")


class InvalidRequestError(Exception):
    """Google's answer 400, INVALID_ARGUMENT."""


@dataclass
class Tab:
    """One sheet. A cell is CellData as the API has it; it is replaced, never changed."""

    properties: Json
    cells: dict[Position, Json] = field(default_factory=dict)
    filter: Json | None = None

    @property
    def id(self) -> int:
        return int(self.properties["sheetId"])

    @property
    def title(self) -> str:
        return str(self.properties["title"])

    @property
    def rows(self) -> int:
        return int(self.properties["gridProperties"]["rowCount"])

    @property
    def columns(self) -> int:
        return int(self.properties["gridProperties"]["columnCount"])

    def value(self, position: Position) -> Json:
        """The cell's ExtendedValue, {} for none."""
        return dict(self.cells.get(position, {}).get("userEnteredValue", {}))

    def put(self, position: Position, given: Json, fields: list[str]) -> None:
        """Sets the named fields of a cell, paths such as "userEnteredFormat.numberFormat", from another one."""
        cell = self.cells.get(position, {})
        for path in fields:
            cell = _with_part(cell, given, path.split("."))
        if cell:
            self.cells[position] = cell
        else:
            self.cells.pop(position, None)

    def copy(self) -> "Tab":
        return Tab(copy.deepcopy(self.properties), dict(self.cells), copy.deepcopy(self.filter))


def _with_part(cell: Json, given: Json, path: list[str]) -> Json:
    """A copy of `cell` whose part at `path` is that of `given`; without it where `given` has none."""
    first, *rest = path
    part = given.get(first)
    if rest:
        part = _with_part(cell.get(first, {}), part or {}, rest)
    kept = {name: value for name, value in cell.items() if name != first}
    return kept if part in (None, "", {}) else kept | {first: part}


@dataclass
class Spreadsheet:
    """A file of tabs. `editors` are e-mail addresses; `drive` is the shared drive that owns it, if one does."""

    id: str
    title: str
    editors: set[str]
    tabs: list[Tab]
    created: str
    drive: str | None = None
    metadata: list[Json] = field(default_factory=list)
    time_zone: str = "Etc/GMT"
    locale: str = "en_US"

    @property
    def url(self) -> str:
        return f"https://docs.google.com/spreadsheets/d/{self.id}/edit"

    def tab(self, title: str) -> Tab | None:
        return next((tab for tab in self.tabs if tab.title.casefold() == title.casefold()), None)

    def apply(self, requests: list[Json]) -> list[Json]:
        """spreadsheets.batchUpdate: the replies. On InvalidRequestError nothing has changed."""
        draft = Spreadsheet(
            self.id, self.title, self.editors, [tab.copy() for tab in self.tabs], self.created, self.drive,
            copy.deepcopy(self.metadata), self.time_zone, self.locale,
        )  # fmt: skip
        replies = []
        for number, request in enumerate(requests):
            kind, arguments = next(iter(request.items()), ("", {}))
            try:
                replies.append(REQUESTS[kind](draft, arguments))
                draft.check()
            except InvalidRequestError as wrong:
                raise InvalidRequestError(f"Invalid requests[{number}].{kind}: {wrong}") from None
            except KeyError as missing:
                raise InvalidRequestError(f"Invalid requests[{number}].{kind}: lacks {missing}") from None
        self.title, self.tabs, self.metadata = draft.title, draft.tabs, draft.metadata
        self.time_zone, self.locale = draft.time_zone, draft.locale
        return replies

    def check(self) -> None:
        """Raises InvalidRequestError where a spreadsheet cannot be so."""
        if sum(tab.rows * tab.columns for tab in self.tabs) > MAX_CELLS:
            raise InvalidRequestError(
                f"This action would increase the number of cells in the workbook above the limit of {MAX_CELLS} cells."
            )
        if len(self.tabs) > MAX_TABS:
            raise InvalidRequestError(f"This action would increase the number of sheets above the limit of {MAX_TABS}.")
        if not any(not tab.properties.get("hidden") for tab in self.tabs):
            raise InvalidRequestError("You can't remove all the visible sheets in a document.")
        for tab in self.tabs:
            grid = tab.properties["gridProperties"]
            if not 1 <= tab.columns <= MAX_COLUMNS or tab.rows < 1:
                raise InvalidRequestError(f"A sheet must have 1 to {MAX_COLUMNS} columns and at least one row.")
            if grid.get("frozenRowCount", 0) >= tab.rows or grid.get("frozenColumnCount", 0) >= tab.columns:
                raise InvalidRequestError("You can't freeze all visible rows or columns on the sheet.")

    def by_id(self, sheet_id: int) -> Tab:
        for tab in self.tabs:
            if tab.id == sheet_id:
                return tab
        raise InvalidRequestError(f"No grid with id: {sheet_id}")

    def area(self, grid_range: Json) -> tuple[Tab, range, range]:
        """The tab, rows and columns of a GridRange, which must lie inside the grid."""
        tab = self.by_id(grid_range.get("sheetId", 0))
        rows = range(grid_range.get("startRowIndex", 0), grid_range.get("endRowIndex", tab.rows))
        columns = range(grid_range.get("startColumnIndex", 0), grid_range.get("endColumnIndex", tab.columns))
        if not rows or not columns or rows.stop > tab.rows or columns.stop > tab.columns:
            raise InvalidRequestError(
                f"Range ({tab.title}) exceeds grid limits. Max rows: {tab.rows}, max columns: {tab.columns}"
            )
        return tab, rows, columns

    def as_json(self) -> Json:
        """The Spreadsheet resource, without cells."""
        index = {tab.id: number for number, tab in enumerate(self.tabs)}
        return {
            "spreadsheetId": self.id,
            "properties": {"title": self.title, "locale": self.locale, "timeZone": self.time_zone},
            "sheets": [
                {"properties": tab.properties | {"index": index[tab.id], "sheetType": "GRID"}}
                | ({"basicFilter": tab.filter} if tab.filter else {})
                | (
                    {"developerMetadata": found}
                    if (found := [row for row in self.metadata if row["location"].get("sheetId") == tab.id])
                    else {}
                )
                for tab in self.tabs
            ],
            "spreadsheetUrl": self.url,
        }


def new_tab(properties: Json, taken: Spreadsheet | None = None) -> Tab:
    """A tab with Google's defaults for what `properties` leaves out."""
    grid = {"rowCount": 1000, "columnCount": 26} | properties.get("gridProperties", {})
    sheet_id = properties.get("sheetId", secrets.randbelow(2**31 - 1))
    if taken and any(tab.id == sheet_id for tab in taken.tabs):
        raise InvalidRequestError(f'A sheet with the id "{sheet_id}" already exists. Please enter another id.')
    title = properties.get("title") or f"Sheet{len(taken.tabs) + 1 if taken else 1}"
    if taken and taken.tab(title):
        raise InvalidRequestError(f'A sheet with the name "{title}" already exists. Please enter another name.')
    if len(title) > 100:
        raise InvalidRequestError("The sheet name cannot be greater than 100 characters.")
    kept = {name: value for name, value in properties.items() if name not in ("index", "gridProperties")}
    return Tab(kept | {"sheetId": sheet_id, "title": title, "gridProperties": grid})


def check_value(value: Json) -> None:
    """Raises InvalidRequestError for a cell's value that Google would not take."""
    if len(value) > 1 or value.keys() - {"numberValue", "stringValue", "boolValue", "formulaValue"}:
        raise InvalidRequestError("Invalid value")
    if len(str(value.get("stringValue", "")).encode("utf-16-le")) > 2 * MAX_TEXT:
        raise InvalidRequestError(
            f"Your input contains more than the maximum of {MAX_TEXT} characters in a single cell."
        )


def mask(text: str) -> list[str]:
    """The paths of a field mask: "a,b(c,d.e)" is a, b.c and b.d.e."""
    return list(_paths(text.replace(" ", "").replace("/", ".")))


def _paths(text: str, parent: str = "") -> Iterator[str]:
    depth = start = 0
    for i, letter in enumerate(text + ","):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            name, _, inner = text[start:i].partition("(")
            start = i + 1
            if inner:
                yield from _paths(inner.removesuffix(")"), f"{parent}{name}.")
            elif name:
                yield parent + name


def _cell_fields(text: str) -> list[str]:
    paths = mask(text)
    if not paths:
        raise InvalidRequestError("At least one field must be listed in 'fields'. (Use '*' to indicate all fields.)")
    if paths == ["*"]:
        return list(CELL_FIELDS)
    if unknown := [path for path in paths if path.split(".")[0] not in CELL_FIELDS]:
        raise InvalidRequestError(f"Invalid field: {unknown[0]}")
    return paths


def _add_sheet(book: Spreadsheet, arguments: Json) -> Json:
    properties = arguments.get("properties", {})
    tab = new_tab(properties, book)
    book.tabs.insert(properties.get("index", len(book.tabs)), tab)
    return {"addSheet": {"properties": tab.properties | {"index": book.tabs.index(tab), "sheetType": "GRID"}}}


def _delete_sheet(book: Spreadsheet, arguments: Json) -> Json:
    tab = book.by_id(arguments["sheetId"])
    book.tabs.remove(tab)
    book.metadata = [row for row in book.metadata if row["location"].get("sheetId") != tab.id]
    return {}


def _update_sheet_properties(book: Spreadsheet, arguments: Json) -> Json:
    properties = arguments["properties"]
    tab = book.by_id(properties.get("sheetId", 0))
    for path in mask(arguments["fields"]):
        if path == "index":
            book.tabs.remove(tab)
            book.tabs.insert(properties["index"], tab)
            continue
        *parents, last = path.split(".")
        source, target = properties, tab.properties
        for name in parents:
            source, target = source.get(name, {}), target.setdefault(name, {})
        if last in source:
            target[last] = source[last]
        else:
            target.pop(last, None)
    tab.cells = {at: cell for at, cell in tab.cells.items() if at[0] < tab.rows and at[1] < tab.columns}
    return {}


def _update_spreadsheet_properties(book: Spreadsheet, arguments: Json) -> Json:
    names = {"title": "title", "timeZone": "time_zone", "locale": "locale"}
    for path in mask(arguments["fields"]):
        if path not in names:
            raise InvalidRequestError(f"Invalid field: {path}")
        setattr(book, names[path], arguments["properties"][path])
    return {}


def _update_cells(book: Spreadsheet, arguments: Json) -> Json:
    fields = _cell_fields(arguments.get("fields", ""))
    rows = arguments.get("rows", [])
    if "start" in arguments:
        start = arguments["start"]
        top, left = start.get("rowIndex", 0), start.get("columnIndex", 0)
        width = max((len(row.get("values", ())) for row in rows), default=1)
        here: Json = {"sheetId": start.get("sheetId", 0), "startRowIndex": top, "startColumnIndex": left}
        tab, lines, columns = book.area(here | {"endRowIndex": top + len(rows), "endColumnIndex": left + width})
        emptied = range(0)
    else:
        tab, lines, columns = book.area(arguments["range"])
        emptied = columns
    for n, line in enumerate(lines):
        values = rows[n].get("values", []) if n < len(rows) else []
        for i, given in enumerate(values):
            check_value(given.get("userEnteredValue", {}))
            tab.put((line, columns.start + i), given, fields)
        for column in emptied[len(values) :]:
            if (line, column) in tab.cells:
                tab.put((line, column), {}, fields)
    return {}


def _repeat_cell(book: Spreadsheet, arguments: Json) -> Json:
    fields = _cell_fields(arguments.get("fields", ""))
    tab, rows, columns = book.area(arguments["range"])
    check_value(arguments["cell"].get("userEnteredValue", {}))
    for row in rows:
        for column in columns:
            tab.put((row, column), arguments["cell"], fields)
    return {}


def _copy_paste(book: Spreadsheet, arguments: Json) -> Json:
    kinds = {
        "PASTE_NORMAL": list(CELL_FIELDS),
        "PASTE_VALUES": ["userEnteredValue"],
        "PASTE_FORMAT": ["userEnteredFormat"],
    }
    kind = arguments.get("pasteType", "PASTE_NORMAL")
    if kind not in kinds:
        raise InvalidRequestError(f"Invalid value at 'paste_type': {kind}")
    source, rows, columns = book.area(arguments["source"])
    target, to_rows, to_columns = book.area(arguments["destination"])
    if len(to_rows) % len(rows) or len(to_columns) % len(columns):
        raise InvalidRequestError("The destination must be a multiple of the source.")
    copied = dict(source.cells)
    for i, row in enumerate(to_rows):
        for k, column in enumerate(to_columns):
            found = copied.get((rows[i % len(rows)], columns[k % len(columns)]), {})
            target.put((row, column), found, kinds[kind])
    return {}


def _set_basic_filter(book: Spreadsheet, arguments: Json) -> Json:
    tab, _, _ = book.area(arguments["filter"]["range"])
    tab.filter = arguments["filter"]
    return {}


def _clear_basic_filter(book: Spreadsheet, arguments: Json) -> Json:
    book.by_id(arguments["sheetId"]).filter = None
    return {}


def _create_metadata(book: Spreadsheet, arguments: Json) -> Json:
    given = arguments["developerMetadata"]
    number = given.get("metadataId", secrets.randbelow(2**31 - 1) + 1)
    if any(row["metadataId"] == number for row in book.metadata):
        raise InvalidRequestError(f"Developer metadata with id {number} already exists.")
    if given.get("visibility") not in ("DOCUMENT", "PROJECT"):
        raise InvalidRequestError("Developer metadata must have a visibility.")
    if "sheetId" in given["location"]:
        book.by_id(given["location"]["sheetId"])
    row = {"metadataKey": given["metadataKey"], "metadataValue": given.get("metadataValue", ""), "metadataId": number}
    row |= {"location": given["location"], "visibility": given["visibility"]}
    book.metadata.append(row)
    return {"createDeveloperMetadata": {"developerMetadata": row}}


def _delete_metadata(book: Spreadsheet, arguments: Json) -> Json:
    wanted = arguments["dataFilter"]["developerMetadataLookup"]
    gone = [row for row in book.metadata if all(row.get(name) == value for name, value in wanted.items())]
    book.metadata = [row for row in book.metadata if row not in gone]
    return {"deleteDeveloperMetadata": {"deletedDeveloperMetadata": gone}}


REQUESTS: dict[str, Callable[[Spreadsheet, Json], Json]] = {
    "addSheet": _add_sheet,
    "deleteSheet": _delete_sheet,
    "updateSheetProperties": _update_sheet_properties,
    "updateSpreadsheetProperties": _update_spreadsheet_properties,
    "updateCells": _update_cells,
    "repeatCell": _repeat_cell,
    "copyPaste": _copy_paste,
    "setBasicFilter": _set_basic_filter,
    "clearBasicFilter": _clear_basic_filter,
    "createDeveloperMetadata": _create_metadata,
    "deleteDeveloperMetadata": _delete_metadata,
}
