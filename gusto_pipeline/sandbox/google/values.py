"""Cells as `spreadsheets.values` takes and gives them: A1 ranges, input options, rendered values.

Follows the Sheets API v4 reference (ValueInputOption, ValueRenderOption, DateTimeRenderOption).
"""

import re
from datetime import datetime, timedelta
from typing import Any

from gusto_pipeline.sandbox.google.workbook import InvalidRequestError, Json, Spreadsheet, Tab, check_value

EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  serial numbers have no time zone
_CELL = re.compile(r"([A-Za-z]*)(\d*)")


def area(book: Spreadsheet, text: str) -> tuple[Tab, range, range]:
    """The tab, rows and columns of a range in A1 notation; open ends reach the grid's edge."""
    name, bang, cells = text.rpartition("!")
    if not bang:
        tab = book.tab(_unquoted(text))
        name, cells = (text, "") if tab else (book.tabs[0].title, text)
    found = book.tab(_unquoted(name))
    if found is None:
        raise InvalidRequestError(f"Unable to parse range: {text}")
    first, _, last = cells.partition(":")
    top_left, bottom_right = _CELL.fullmatch(first), _CELL.fullmatch(last or first)
    if not top_left or not bottom_right:
        raise InvalidRequestError(f"Unable to parse range: {text}")
    top, left = int(top_left[2] or 1) - 1, _column(top_left[1]) if top_left[1] else 0
    bottom = int(bottom_right[2]) if bottom_right[2] else found.rows
    right = _column(bottom_right[1]) + 1 if bottom_right[1] else found.columns
    return found, range(top, bottom), range(left, right)


def _unquoted(name: str) -> str:
    return name[1:-1].replace("''", "'") if name.startswith("'") and name.endswith("'") and len(name) > 1 else name


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def _letters(index: int) -> str:
    name = ""
    while index >= 0:
        index, letter = divmod(index, 26)
        name, index = chr(65 + letter) + name, index - 1
    return name


def a1(tab: Tab, rows: range, columns: range) -> str:
    """The range in A1 notation, as answers name it."""
    name = tab.title if tab.title.isalnum() else "'" + tab.title.replace("'", "''") + "'"
    first, last = f"{_letters(columns.start)}{rows.start + 1}", f"{_letters(columns.stop - 1)}{rows.stop}"
    return f"{name}!{first}" + (f":{last}" if first != last else "")


def write(tab: Tab, rows: range, columns: range, values: list[list[Any]], option: str) -> Json:
    """Puts values into the range, or from a single cell on; null leaves a cell as it is. Returns the counts."""
    height, width = len(values), max((len(row) for row in values), default=0)
    if len(rows) == len(columns) == 1:
        rows, columns = range(rows.start, rows.start + height), range(columns.start, columns.start + width)
    if height > len(rows) or width > len(columns):
        raise InvalidRequestError("Requested writing within range, but tried writing outside of it.")
    if rows.start + height > tab.rows or columns.start + width > tab.columns:
        raise InvalidRequestError(
            f"Range ({a1(tab, rows, columns)}) exceeds grid limits. Max rows: {tab.rows}, max columns: {tab.columns}"
        )
    parsed = [[None if value is None else _parsed(value, option) for value in row] for row in values]
    written = [sum(cell is not None for cell in row) for row in parsed]
    for i, row in enumerate(parsed):
        for k, cell in enumerate(row):
            if cell is not None:
                tab.put((rows.start + i, columns.start + k), {"userEnteredValue": cell}, ["userEnteredValue"])
    return {
        "updatedRange": a1(tab, rows[:height] or rows[:1], columns[:width] or columns[:1]),
        "updatedRows": sum(count > 0 for count in written),
        "updatedColumns": width,
        "updatedCells": sum(written),
    }


def _parsed(value: Any, option: str) -> Json:
    """The ExtendedValue of what was sent."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int | float):
        return {"numberValue": value}
    if not isinstance(value, str):
        raise InvalidRequestError(f"Invalid values: {type(value).__name__} is no value of a cell")
    cell: Json = {"stringValue": value} if value else {}
    if option == "USER_ENTERED":
        if value.startswith("="):
            cell = {"formulaValue": value}
        elif value.startswith("'"):
            cell = {"stringValue": value[1:]}
        elif value.upper() in ("TRUE", "FALSE"):
            cell = {"boolValue": value.upper() == "TRUE"}
        elif re.fullmatch(r"[-+]?\d+(\.\d+)?", value):
            cell = {"numberValue": float(value)}
    elif option != "RAW":
        raise InvalidRequestError("'valueInputOption' is required but not specified")
    check_value(cell)
    return cell


def read(tab: Tab, rows: range, columns: range, render: str, dates: str) -> list[list[Any]]:
    """The values of a range; empty cells at the end of a row and empty rows at the end are left out."""
    table: list[list[Any]] = []
    for row in range(rows.start, min(rows.stop, tab.rows)):
        line = [
            _rendered(tab.cells.get((row, column), {}), render, dates) for column in columns if column < tab.columns
        ]
        while line and line[-1] == "":
            line.pop()
        table.append(line)
    while table and not table[-1]:
        table.pop()
    return table


def _rendered(cell: Json, render: str, dates: str) -> Any:
    (kind, value), *_ = cell.get("userEnteredValue", {}).items() or [("", "")]
    if kind == "formulaValue" and render != "FORMULA":
        return "#FORMULA!"  # nothing is calculated here
    if kind == "boolValue":
        return value if render != "FORMATTED_VALUE" else str(value).upper()
    if kind != "numberValue":
        return value
    plain = int(value) if float(value).is_integer() else value
    number_format = cell.get("userEnteredFormat", {}).get("numberFormat", {})
    dated = number_format.get("type") in ("DATE", "DATE_TIME")
    if render == "FORMATTED_VALUE" or (render == "UNFORMATTED_VALUE" and dated and dates == "FORMATTED_STRING"):
        return _formatted(plain, number_format)
    return plain


def _formatted(number: float, number_format: Json) -> str:
    match number_format.get("type"):
        case "DATE":
            return (EPOCH + timedelta(days=number)).strftime("%Y-%m-%d")
        case "DATE_TIME":
            return (EPOCH + timedelta(seconds=round(number * 86400))).strftime("%Y-%m-%d %H:%M:%S")
        case "NUMBER" if number_format.get("pattern") == "#,##0.00":
            return f"{number:,.2f}"
        case _:
            return str(number)


def append(book: Spreadsheet, text: str, values: list[list[Any]], option: str) -> tuple[str, Json]:
    """Puts rows below the last one in use, adding rows to the grid. Returns the table's range and the counts."""
    tab, _, columns = area(book, text)
    used = [row for (row, _), cell in tab.cells.items() if cell.get("userEnteredValue")]
    top = max(used, default=-1) + 1
    tab.properties["gridProperties"]["rowCount"] = max(tab.rows, top + len(values))
    table = a1(tab, range(max(top, 1)), columns)
    return table, write(tab, range(top, top + len(values)), columns, values, option)
