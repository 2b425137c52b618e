"""Which columns a table can show, in which order, and what became of those it could show before.

A table's columns are its flat view's, one per custom field, and one per field of Gusto's answers that the catalog does
not know. What is remembered of them beside a workbook keeps their names and their order, keeps those that are gone, and
tells when a column's values become of another kind.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from gusto_pipeline.schema import SECRET, TEXT
from gusto_pipeline.spreadsheets.files import create_private_folder
from gusto_pipeline.spreadsheets.sheets import unique
from gusto_pipeline.warehouse import drift
from gusto_pipeline.warehouse.flat import COUNT
from gusto_pipeline.warehouse.flatten import Rows, fits, literal, quote

_FILE = "columns.json"

# Columns people look for first; then the others as the catalog has them, Gusto's ids and versions last.
_LEADING = (
    "last_name", "first_name", "preferred_first_name", "business_name", "employee_name", "employee__full_name", "name",
    "job__title", "department", "manager__name", "work_email", "email", "phone", "job__hire_date", "start_date",
    "termination__effective_date", "dismissal_date", "compensation__rate", "compensation__payment_unit", "status",
    "policy__name", "first_day", "last_day", "hours",
)  # fmt: skip

_CUSTOM_TYPES = {"number": "DECIMAL(18,6)", "currency": "DECIMAL(18,4)", "date": "DATE"}


@dataclass(frozen=True)
class Remembered:
    """What is remembered of a column."""

    type: str  # as DuckDB declares it
    origin: str  # "catalog", "custom" or "new"
    source: str  # the custom field's id, the new field's path
    holds: str  # what kind of values it had when it last had any
    gone: bool  # Gusto had ceased to send it
    guarded: bool  # left out unless it is asked for by name


@dataclass(frozen=True)
class Memory:
    """What is remembered of a workbook: its columns by table and name, in order, and the files last written."""

    tables: Mapping[str, Mapping[str, Remembered]]
    files: tuple[str, ...]


NOTHING = Memory({}, ())


@dataclass(frozen=True)
class Field(Remembered):
    """A column that a table can show; `holds` is "" while it has no values."""

    comment: str = ""


@dataclass(frozen=True)
class Fields:
    """A table's columns by name, in order, `view`, the SQL that has them all, and what those of origin "new" are."""

    view: str
    by_name: dict[str, Field]
    new: dict[str, drift.NewField]

    def remembered(self, known: Mapping[str, Remembered]) -> dict[str, Remembered]:
        """What to remember of them, after `known`."""
        return {
            name: Remembered(
                one.type,
                one.origin,
                one.source,
                one.holds or (known[name].holds if name in known else ""),
                one.gone,
                one.guarded,
            )
            for name, one in self.by_name.items()
        }

    def changed(self, known: Mapping[str, Remembered]) -> Iterator[tuple[str, str, str]]:
        """Columns whose values are of another kind than they were, and both kinds."""
        for name, one in self.by_name.items():
            before = known.get(name)
            if not before or before.origin != one.origin or "" in (before.holds, one.holds):
                continue
            redeclared = one.origin == "catalog" and before.type != one.type
            if before.holds not in (one.holds, drift.SEVERAL) and not redeclared:
                yield name, before.holds, one.holds


def load(folder: Path) -> Memory:
    """What is remembered in a workbook's folder; nothing if that cannot be read."""
    try:
        kept = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        tables = {
            table: {name: Remembered(**one) for name, one in own.items()} for table, own in kept["tables"].items()
        }
        return Memory(tables, tuple(kept["files"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return NOTHING


def keep(folder: Path, memory: Memory) -> None:
    """Remember `memory` in a workbook's folder, in one step."""
    if memory != load(folder):
        create_private_folder(folder)
        with tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8", delete=False) as file:
            json.dump(asdict(memory), file)
        Path(file.name).replace(folder / _FILE)


def fields_of(
    connection: duckdb.DuckDBPyConnection,
    rows: Rows,
    company_uuid: str,
    known: Mapping[str, Remembered],
    new: Sequence[drift.NewField],
) -> Fields:
    """Every column that a table can show: the remembered ones first, in their order, new fields of Gusto's last."""
    view = f"flat.{quote(rows.table.name)}"
    found = _declared(connection, rows, company_uuid, known)
    if rows.table.name == "employees":
        view = _with_custom_fields(connection, view, company_uuid, known, found)
    found = {name: found[name] for name in sorted(found, key=_rank)}
    paths = _new_names(new, known, found)
    if paths:
        view = drift.with_fields(view, rows, company_uuid, paths)
        seen = drift.look_into(connection, rows, company_uuid, list(paths.values()))
        unsent = drift.no_longer_sent(connection, rows, company_uuid, list(paths.values()))
        for (name, path), inside in zip(paths.items(), seen, strict=True):
            guarded = drift.is_guarded(path, inside)
            found[name] = Field(TEXT, "new", ".".join(path), inside.kind, path in unsent, guarded, drift.COMMENT)
    lost = {
        name: Field(**asdict(one) | {"holds": "", "gone": True}) for name, one in known.items() if name not in found
    }
    if lost:
        nothing = ", ".join(f"CAST(NULL AS {one.type}) AS {quote(name)}" for name, one in lost.items())
        view = f"(SELECT *, {nothing} FROM {view})"
    found |= lost
    return Fields(view, {name: found[name] for name in (*known, *found)}, dict(zip(paths, new, strict=True)))


def is_id(column: str) -> bool:
    """Whether a column holds ids, or versions, which nobody reads."""
    return column.endswith("uuid") or column == "version"


def _rank(column: str) -> int:
    return _LEADING.index(column) if column in _LEADING else len(_LEADING) + is_id(column)


def _declared(
    connection: duckdb.DuckDBPyConnection, rows: Rows, company_uuid: str, known: Mapping[str, Remembered]
) -> dict[str, Field]:
    """The columns of the flat view."""
    holds, gone = _contents(connection, rows, company_uuid, known)
    declared = {column.name: column for column in rows.columns}
    found = {}
    for name, type, *_ in connection.execute(f"DESCRIBE flat.{quote(rows.table.name)}").fetchall():
        column = declared.get(name)
        comment = column.comment if column else ""
        if name.endswith(COUNT):
            comment = f"How many rows of {name.removesuffix(COUNT)} belong to it"
        guarded = column is not None and column.sensitivity == SECRET
        found[name] = Field(type, "catalog", "", holds.get(name, ""), name in gone, guarded, comment)
    del found["company_uuid"]
    return found


def _contents(
    connection: duckdb.DuckDBPyConnection, rows: Rows, company_uuid: str, known: Mapping[str, Remembered]
) -> tuple[dict[str, str], set[str]]:
    """What kind of values the declared columns hold, and which of them Gusto no longer sends.

    Values that do not fit their column's type refuse the load, but text takes anything: there it tells that every value
    has become an object or a list.
    """
    of_company = f"FROM staging.{quote(rows.table.name)} WHERE company_uuid = {literal(company_uuid)}"
    asked = ", ".join(
        f"count({quote(column.name)}), "
        + (_structured(f"any_value({quote(column.name)})") if column.type == TEXT else "0")
        for column in rows.table.columns
    )
    total, *found = connection.execute(f"SELECT count(*), {asked} {of_company}").fetchall()[0]
    holds, absent = {}, {}
    for column, values, structured in zip(rows.table.columns, found[::2], found[1::2], strict=True):
        holds[column.name] = ("text" if column.type == TEXT else "values") if values else ""
        if structured:
            all_are = (
                f"SELECT bool_and({_structured(quote(column.name))} AND json_valid({quote(column.name)})) {of_company}"
            )
            if connection.execute(all_are).fetchall()[0][0]:
                holds[column.name] = "objects or lists"
        if total and not values and column.name in known and known[column.name].holds:
            absent[tuple(column.path.split("."))] = column.name
    gone = drift.no_longer_sent(connection, rows, company_uuid, list(absent)) if absent else set()
    return holds, {absent[path] for path in gone}


def _structured(value: str) -> str:
    """SQL condition: a text begins like a JSON object or list."""
    return f"left({value}, 1) IN ('{{', '[')"


def _with_custom_fields(
    connection: duckdb.DuckDBPyConnection,
    view: str,
    company_uuid: str,
    known: Mapping[str, Remembered],
    found: dict[str, Field],
) -> str:
    """The employees' view with a typed column `custom__<name>` per custom field that anyone has or had a value in.

    A field whose values do not all fit its type is text, so none is lost, and stays text. Adds the columns to `found`.
    """
    typed = " ".join(
        f"WHEN {literal(kind)} THEN {fits('value', type)} AND TRY_CAST(value AS {type}) IS NOT NULL"
        for kind, type in _CUSTOM_TYPES.items()
    )
    defined = connection.execute(
        "SELECT company_custom_field_id, min(name), min(type), count(*) FILTER (value <> ''), "
        f"bool_and(CASE type {typed} ELSE true END) FILTER (value <> '') FROM staging.employee_custom_fields "
        f"WHERE company_uuid = {literal(company_uuid)} GROUP BY ALL ORDER BY min(name), 1"
    ).fetchall()
    before = {one.source: name for name, one in known.items() if one.origin == "custom"}
    taken = {name.casefold() for name in (*found, *known)}
    columns = []
    for source, title, kind, values, all_fit in defined:
        name = before.get(source) or unique(f"custom__{re.sub('[^0-9a-z]+', '_', title.casefold()).strip('_')}", taken)
        type = _CUSTOM_TYPES.get(kind, TEXT)
        if all_fit is False or (name in known and known[name].type == TEXT):
            type = TEXT
        holds = "text" if type == TEXT else "dates" if type == "DATE" else "numbers"
        found[name] = Field(type, "custom", source, holds if values else "", False, False, f"Custom field {title}")
        value = f"max(NULLIF(value, '')) FILTER (company_custom_field_id = {literal(source)})"
        columns.append(f"CAST({value} AS {type}) AS {quote(name)}")
    if not columns:
        return view
    pivoted = (
        f"SELECT employee_uuid AS uuid, {', '.join(columns)} FROM staging.employee_custom_fields "
        f"WHERE company_uuid = {literal(company_uuid)} GROUP BY employee_uuid"
    )
    return f"(FROM {view} LEFT JOIN ({pivoted}) USING (uuid))"


def _new_names(
    new: Sequence[drift.NewField], known: Mapping[str, Remembered], found: Mapping[str, Field]
) -> dict[str, drift.Path]:
    """The columns of new fields and their paths; a column keeps the name it once got."""
    before = {one.source: name for name, one in known.items() if one.origin == "new"}
    taken = {name.casefold() for name in (*found, *known)}
    names = {}
    for one in new:
        name = before.get(".".join(one.path))
        names[name if name and name not in found else unique("__".join(one.path), taken)] = one.path
    return names
