"""What a spreadsheet is made of: columns, sheets, what was written, and the SQL that yields a sheet's values."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb


class SpreadsheetError(Exception):
    """A spreadsheet could not be written; says which file, sheet, column and row, and what to do next."""


@dataclass(frozen=True)
class Column:
    """One column: its header, which is also its name in the query's result, and how it is shown."""

    name: str
    comment: str = ""  # note on the header cell
    type: str = "VARCHAR"  # as DuckDB declares it
    kind: str = ""  # "money", "id", "name", "state" or "": format, width, what stays in view, what `Sheet.tints` paints


@dataclass(frozen=True)
class Link:
    """Each cell of the column at `column` leads to the first row of `sheet` whose columns `key` hold what the columns
    `by` of the cell's row hold."""

    column: int
    by: tuple[int, ...]
    sheet: str
    key: tuple[int, ...]


@dataclass(frozen=True)
class Sheet:
    """One table: `query` selects exactly `columns`, in a stable order."""

    name: str  # as wanted; the writer makes it legal and unique
    query: str
    columns: tuple[Column, ...]
    keyed: str = ""  # `query` with one more column in front: the text by which a row is known again in the next version
    shows_key: bool = False  # whether the columns show that text's parts, so that it may be shown
    guarded: tuple[str, ...] = ()  # what a policy did to columns, for people
    greyed: tuple[int, bool] | None = None  # rows with this truth value in this column are shown in grey
    links: tuple[Link, ...] = ()  # the most important first, should Excel not allow them all
    tints: tuple[tuple[str, str], ...] = ()  # cells of kind "state" that begin with this text get this of `TINTS`


@dataclass(frozen=True)
class Written:
    """A finished file. `sheets` maps each sheet's name in the file to its number of data rows."""

    path: Path
    sheets: dict[str, int]
    bytes: int
    sha256: str
    unchanged: bool  # the file held exactly this before and was not touched
    warnings: tuple[str, ...]
    since: datetime  # when the present content was written
    news: tuple[str, ...] = ()  # what has become new or gone in Gusto's answers since the version before


def unique(name: str, taken: set[str], limit: int = 10_000) -> str:
    """Return `name`, or "name (2)", "name (3)" …, whichever is free, at most `limit` UTF-16 units long.

    Names that differ only in case are the same name to Excel, DuckDB and Parquet's readers. The name
    returned is added to `taken`.
    """
    number, candidate = 1, shortened(name, limit)
    while candidate.casefold() in taken:
        number += 1
        suffix = f" ({number})"
        candidate = shortened(name, limit - len(suffix)) + suffix
    taken.add(candidate.casefold())
    return candidate


def shortened(text: str, units: int) -> str:
    """Cut `text` to `units` UTF-16 code units, the measure of Excel's limits, never inside a character."""
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore")


def headers(sheet: Sheet) -> list[str]:
    """Return the header of each column; of names that are equal but for case, later ones are numbered."""
    taken: set[str] = set()
    return [unique(column.name, taken) for column in sheet.columns]


def typed_query(connection: duckdb.DuckDBPyConnection, sheet: Sheet, path: Path) -> tuple[str, tuple[str, ...]]:
    """Return SQL that yields the sheet's values as c0, c1, … in their declared types, and those types.

    The types are spelled as DuckDB spells them ("TIMESTAMP WITH TIME ZONE", "DECIMAL(18,4)"). Raises
    SpreadsheetError if the query cannot run or its columns are not the declared ones.
    """
    wanted = [column.name for column in sheet.columns]
    if not wanted:
        raise SpreadsheetError(f'{path}: sheet "{sheet.name}" has no columns; declare at least one')
    query = sheet.query.strip().rstrip(";")
    with readable_errors(connection, sheet, path):
        found = [row[0] for row in connection.execute(f"DESCRIBE {query}").fetchall()]
        if found != wanted:
            odd = [f'"{name}"' for name in dict.fromkeys(wanted + found) if wanted.count(name) != found.count(name)]
            raise SpreadsheetError(
                f'{path}: sheet "{sheet.name}": its query must give exactly the declared columns in their order; '
                + (f"only one of the two has {', '.join(odd[:5])}" if odd else "the order differs")
            )
        values = ", ".join(f"CAST(c{i} AS {column.type}) AS c{i}" for i, column in enumerate(sheet.columns))
        names = ", ".join(f"c{i}" for i in range(len(wanted)))
        typed = f"SELECT {values} FROM (\n{query}\n) AS q({names})"
        return typed, tuple(row[1] for row in connection.execute(f"DESCRIBE {typed}").fetchall())


INTEGERS = {f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")} | {
    "INTEGER",
    "UINTEGER",
}


def category(type_: str) -> str:
    """Return what a DuckDB type is to a spreadsheet: boolean, integer, decimal, float, date, timestamp or text."""
    if type_ in INTEGERS:
        return "integer"
    name = type_.partition("(")[0].partition(" ")[0]
    if name.startswith("TIMESTAMP"):
        name = "TIMESTAMP"
    known = {"BOOLEAN": "boolean", "DECIMAL": "decimal", "DOUBLE": "float", "FLOAT": "float"}
    known |= {"DATE": "date", "TIMESTAMP": "timestamp"}
    return "text" if type_.endswith("]") else known.get(name, "text")


def as_text(value: str, type_: str) -> str:
    """Return SQL for the text of a value that is not a number, date, time or truth value."""
    if type_ == "VARCHAR":
        return value
    if type_.endswith("[]"):
        return f"array_to_string(CAST({value} AS VARCHAR[]), '; ')"
    return f"CAST({value} AS VARCHAR)"


def shown(value: str, type_: str, timezone: str) -> str:
    """SQL for a value as a workbook shows it: text as VARCHAR, instants as local time, the rest as it is."""
    kind = category(type_)
    if kind == "text":
        return as_text(value, type_)
    if kind == "timestamp":
        return (
            f"timezone({quoted(timezone)}, {value})" if type_.endswith("TIME ZONE") else f"CAST({value} AS TIMESTAMP)"
        )
    return f"CAST({value} AS DOUBLE)" if kind == "float" else value


@contextmanager
def readable_errors(connection: duckdb.DuckDBPyConnection, sheet: Sheet, path: Path) -> Iterator[None]:
    """Turn DuckDB's errors into ones that name the sheet and, for a value of the wrong type, column and row.

    DuckDB quotes the offending value in conversion errors; values are personal, so its words are kept only where they
    speak of the query itself. Trouble with reading and writing files is left to `replace_file`.
    """
    try:
        yield
    except duckdb.IOException:
        raise
    except duckdb.Error as error:
        raise _failure(connection, sheet, path, error) from None


def _failure(connection: duckdb.DuckDBPyConnection, sheet: Sheet, path: Path, error: duckdb.Error) -> SpreadsheetError:
    where = f'{path}: sheet "{sheet.name}"'
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException):
        return SpreadsheetError(f"{where}: its query cannot run: {str(error).splitlines()[0]}; correct the query")
    numbered = f"SELECT *, row_number() OVER () AS row_ FROM (\n{sheet.query.strip().rstrip(';')}\n) AS q"
    names = ", ".join(f"c{i}" for i in range(len(sheet.columns)))
    for i, column in enumerate(sheet.columns):
        bad = f"c{i} IS NOT NULL AND TRY_CAST(c{i} AS {column.type}) IS NULL"
        try:
            row = connection.execute(f"SELECT row_ FROM ({numbered}({names})) WHERE {bad} LIMIT 1").fetchone()
        except duckdb.Error:
            break
        if row:
            return SpreadsheetError(
                f'{where}, column "{column.name}", row {row[0] + 1}: the value is not a {column.type}; '
                "correct the column's declared type or the value at its source"
            )
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    return SpreadsheetError(f"{where}: its query failed ({kind}); run the query in DuckDB to see the value")


def sheet_names(wanted: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return Excel's version of each wanted name, in order, and the set of names taken.

    Excel allows 1 to 31 UTF-16 units, none of []:*?/\\, no apostrophe at either end, not "History", and
    no two names that differ only in case (Microsoft: "Rename a worksheet").
    """
    taken = {"history"}
    legal = [re.sub(r"[\[\]:*?/\\\x00-\x1f\ufffe\uffff]", "_", name).strip().strip("'").strip() for name in wanted]
    return [unique(name or "Sheet", taken, 31) for name in legal], taken


def quoted(text: str) -> str:
    """Return `text` as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"
