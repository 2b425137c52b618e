"""A category's spreadsheets: one workbook with a sheet per table, and a CSV (or Parquet) file per table.

The first sheet is the category's own table; arrays Gusto nests in a record are sheets of their own, carrying the
record's id and their position. What a sheet shows is the flat view of its table (`warehouse/flat.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from importlib.metadata import version
from pathlib import Path

import duckdb

from gusto_pipeline.schema import SECRET
from gusto_pipeline.spreadsheets import changes
from gusto_pipeline.spreadsheets.files import not_written, sha256_of, written_at
from gusto_pipeline.spreadsheets.front import READ_ME, About, front_sheet
from gusto_pipeline.spreadsheets.sheets import Link, unique
from gusto_pipeline.spreadsheets.writers import (
    Column,
    Sheet,
    SpreadsheetError,
    Written,
    write_csv,
    write_parquet,
    write_xlsx,
)
from gusto_pipeline.warehouse.flat import count_column, parent_key
from gusto_pipeline.warehouse.flatten import Rows, literal, quote
from gusto_pipeline.warehouse.warehouse import Warehouse

# A date that never changes, so that the same data makes the same file.
_CREATED = datetime(2000, 1, 1, tzinfo=UTC)

# Columns people look for first; then the others as the catalog has them, Gusto's ids and versions last.
_LEADING = (
    "last_name", "first_name", "preferred_first_name", "business_name", "employee_name", "employee__full_name", "name",
    "job__title", "department", "manager__name", "work_email", "email", "phone", "job__hire_date", "start_date",
    "termination__effective_date", "dismissal_date", "compensation__rate", "compensation__payment_unit", "status",
    "policy__name", "first_day", "last_day", "hours",
)  # fmt: skip

# They say whose row it is, and stay in view.
_NAMES = (
    "last_name", "first_name", "preferred_first_name", "business_name", "employee_name", "employee__full_name", "name",
    "title",
)  # fmt: skip

# Who is no longer there, by table: a column and its value, the first that the sheet shows.
_GONE = {"employees": (("terminated", True), ("termination__active", True)), "contractors": (("is_active", False),)}

_POLICIES = {"drop": "left out", "mask": "shown in part only", "hash": "replaced by a hash"}

_READING_ORDER = ("last_name", "first_name", "business_name", "employee_name", "name", "title", "hire_date", "key")


@dataclass(frozen=True)
class Choice:
    """One column as a job wants it: a column of the flat view, or an SQL expression over it, under `header`."""

    column: str = ""
    sql: str = ""
    header: str = ""


@dataclass(frozen=True)
class Layout:
    """What a job changes: chosen columns and an SQL condition by table, and what becomes of sensitive columns.

    `pii` is keep, drop, mask or hash by column name. Secret columns are dropped unless they are named there. A hash is
    the same for equal values of a company and good for joining; short numbers can be guessed from it, so drop those.
    """

    columns: Mapping[str, Sequence[Choice]] = field(default_factory=dict)
    filters: Mapping[str, str] = field(default_factory=dict)
    pii: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What a workbook is, for the sheet "Read me". `versions` is the private folder that its versions are kept in."""

    title: str
    comment: str
    categories: Sequence[str]
    versions: Path


def write_tables(
    warehouse: Warehouse,
    name: str,
    tables: Sequence[Rows],
    company_uuid: str,
    folder: Path,
    *,
    formats: Sequence[str],
    timezone: str,
    subject: Subject,
    layout: Layout | None = None,
) -> list[Written]:
    """Write `<name>.xlsx`, `<name>.csv`, `<name>.<table>.csv` … into `folder` from the warehouse's flat views.

    Files whose data would be the same are left alone. Raises SpreadsheetError, WarehouseError.
    """
    with warehouse.read() as connection:
        sheets = sheets_of(connection, tables, company_uuid, layout or Layout())
        written = []
        if "xlsx" in formats:
            path = folder / f"{name}.xlsx"
            about = _about(connection, tables, sheets, company_uuid, subject, timezone)
            try:
                written.append(_write_workbook(connection, sheets, path, about, subject.versions))
            except OSError as error:
                raise not_written(subject.versions, error) from error
        for format, write in (("csv", write_csv), ("parquet", write_parquet)):
            if format in formats:
                for position, sheet in enumerate(sheets):
                    table = f".{sheet.name}" if position else ""
                    written.append(write(connection, sheet, folder / f"{name}{table}.{format}"))
    return written


def _about(
    connection: duckdb.DuckDBPyConnection,
    tables: Sequence[Rows],
    sheets: Sequence[Sheet],
    company_uuid: str,
    subject: Subject,
    timezone: str,
) -> About:
    """What "Read me" says of the present data, before they are compared with an earlier version."""
    names = connection.execute("SELECT name FROM meta.companies WHERE company_uuid = $1", [company_uuid]).fetchall()
    synced_at = connection.execute(
        "SELECT max(finished_at) FROM meta.syncs "
        "WHERE company_uuid = $1 AND status = 'ok' AND category IN (SELECT unnest($2::VARCHAR[]))",
        [company_uuid, list(subject.categories)],
    ).fetchall()[0][0]
    drift = connection.execute(
        "SELECT source, string_agg(field, ', ' ORDER BY field) FROM meta.drift "
        "WHERE company_uuid = $1 AND source IN (SELECT unnest($2::VARCHAR[])) GROUP BY source ORDER BY source",
        [company_uuid, [_source(rows) for rows in tables]],
    ).fetchall()
    return About(
        company=names[0][0] if names else company_uuid,
        title=subject.title,
        comment=subject.comment,
        timezone=timezone,
        synced_at=synced_at,
        previous=None,
        counts=None,
        warnings=[f"Gusto sends fields of {source} that no column shows: {fields}" for source, fields in drift],
        guarded=[note for sheet in sheets for note in sheet.guarded],
    )


def _source(rows: Rows) -> str:
    while rows.parent:
        rows = rows.parent
    return rows.table.name


def _write_workbook(
    connection: duckdb.DuckDBPyConnection, sheets: list[Sheet], path: Path, about: About, folder: Path
) -> Written:
    """Write the workbook unless the one that lies there has these data; what it looked like before is in `folder`."""
    first, *others = sheets
    shown = [first, *(sheet for sheet in others if _has_rows(connection, sheet))]
    form = _form(sheets, about)
    old = changes.load(folder)
    with changes.draft(folder) as fresh:
        now = changes.take(connection, sheets, fresh, path)
        difference = None
        if old:
            try:
                difference = changes.compare(connection, old.snapshots(folder), now, sheets, fresh, about.timezone)
            except duckdb.Error:  # an earlier snapshot that is gone or damaged: as if there had been none
                old = None
        if old and difference and not difference.any:
            if old.form == form and path.is_file() and sha256_of(path) == old.sha256:
                return Written(path, old.sheets, old.bytes, old.sha256, True, tuple(old.warnings), written_at(path))
            changes.keep_lines(folder, old, fresh)
            about = replace(
                about, synced_at=_instant(old.synced_at), previous=_instant(old.previous), counts=old.counts
            )
        elif old and difference:
            about = replace(about, previous=_instant(old.synced_at), counts=difference.counts)
        front = (READ_ME, partial(front_sheet, about))
        every = [*shown, *changes.changes_sheet(fresh)]
        written = write_xlsx(connection, every, path, timezone=about.timezone, created=_CREATED, front=front)
        kept = changes.Version(
            form=form,
            folder=fresh.name,
            headers={name: list(snapshot.headers) for name, snapshot in now.items()},
            synced_at=about.synced_at.isoformat() if about.synced_at else None,
            previous=about.previous.isoformat() if about.previous else None,
            counts=dict(about.counts) if about.counts is not None else None,
            sha256=written.sha256,
            bytes=written.bytes,
            sheets=written.sheets,
            warnings=list(written.warnings),
        )
        changes.keep(folder, kept)
    return written


def _form(sheets: Sequence[Sheet], about: About) -> str:
    """A fingerprint of what makes a workbook besides its data, for writing it anew when that changes."""
    made_of = [version("gusto-pipeline"), about.company, about.title, about.comment, about.timezone]
    looks = [
        (sheet.name, [astuple(column) for column in sheet.columns], sheet.guarded, sheet.greyed, repr(sheet.links))
        for sheet in sheets
    ]
    return hashlib.sha256(json.dumps([made_of, looks]).encode()).hexdigest()


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _has_rows(connection: duckdb.DuckDBPyConnection, sheet: Sheet) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM ({sheet.query}) LIMIT 1").fetchall())


def sheets_of(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[Rows], company_uuid: str, layout: Layout
) -> list[Sheet]:
    """The sheets a layout makes of `tables`. Raises SpreadsheetError naming table and column, or the SQL, at fault."""
    known = {rows.table.name for rows in tables}
    for table in (*layout.columns, *layout.filters):
        if table not in known:
            raise SpreadsheetError(f"there is no table {table!r} in this job; {_nearest(table, known)}")
    made = [_sheet(connection, rows, company_uuid, layout) for rows in tables]
    places = {sheet.name: own for sheet, own in made}
    return [
        replace(sheet, links=tuple(_links(rows, tables, places))) for rows, (sheet, _) in zip(tables, made, strict=True)
    ]


def _links(rows: Rows, tables: Sequence[Rows], places: Mapping[str, Mapping[str, int]]) -> Iterator[Link]:
    """From a row to its parent, to the first of its children in each sheet below, and to records it names by uuid."""
    own = places[rows.table.name]
    wanted: list[tuple[str, Mapping[str, str], str]] = []  # the cell, own columns and the columns they equal, the sheet
    if rows.parent and (key := parent_key(rows)):
        wanted.append((list(key)[-1], key, rows.parent.table.name))
    for child in tables:
        if child.parent and child.parent.table.name == rows.table.name:
            key = {column: link for link, column in parent_key(child).items()}
            wanted.append((count_column(child), key, child.table.name))
    for other in tables:
        if other.table.key == ("uuid",):
            for name in (f"{other.table.singular}_uuid", f"{other.table.singular}__uuid"):
                wanted.append((name, {name: "uuid"}, other.table.name))
    linked = set[str]()
    for cell, equal, sheet in wanted:
        theirs = places.get(sheet, {})
        shown = {cell, *equal} <= own.keys() and set(equal.values()) <= theirs.keys()
        if equal and shown and cell not in linked:
            linked.add(cell)
            by, key_places = tuple(own[name] for name in equal), tuple(theirs[name] for name in equal.values())
            yield Link(own[cell], by, sheet, key_places)


def _sheet(
    connection: duckdb.DuckDBPyConnection, rows: Rows, company_uuid: str, layout: Layout
) -> tuple[Sheet, dict[str, int]]:
    """A table's sheet, and where in it the view's columns are that are shown as they are."""
    table = rows.table.name
    view = f"flat.{quote(table)}"
    if table == "employees":
        view = _with_custom_fields(connection, view, company_uuid)
    types = {name: type for name, type, *_ in connection.execute(f"DESCRIBE FROM {view}").fetchall()}
    declared = {column.name: column for column in rows.columns}
    secret = {name for name, column in declared.items() if column.sensitivity == SECRET}
    choices = list(layout.columns.get(table, ())) or [
        Choice(column) for column in sorted(types, key=_rank) if column != "company_uuid"
    ]
    chosen, columns, guarded, places = list[str](), [], dict[str, list[str]](), dict[str, int]()
    for choice in choices:
        if choice.column and choice.column not in types:
            raise SpreadsheetError(f"table {table} has no column {choice.column!r}; {_nearest(choice.column, types)}")
        policy = layout.pii.get(choice.column, "drop" if choice.column in secret else "keep")
        if policy != "keep":
            guarded.setdefault(policy, []).append(choice.column)
        if policy == "drop":
            continue
        header = choice.header or choice.column
        if policy == "keep" and choice.column:
            places.setdefault(choice.column, len(chosen))
        expression = f"({choice.sql})" if choice.sql else _guarded(choice.column, types[choice.column], policy)
        chosen.append(f"{expression} AS {quote(header)}")
        comment = declared[choice.column].comment if choice.column in declared else choice.sql
        columns.append((header, comment, "name" if choice.column in _NAMES else ""))
    order = [f"t.{quote(column)}" for column in (*_READING_ORDER, *rows.key, "position") if column in types]
    condition = f" AND ({layout.filters[table]})" if table in layout.filters else ""
    selected = f"FROM {view} t WHERE company_uuid = {literal(company_uuid)}{condition}"
    selected += f" ORDER BY {', '.join(order or ['ALL'])}"
    query = f"SELECT {', '.join(chosen)} {selected}"
    key = [column for column in rows.key if column in types] or ["company_uuid"]
    keyed = f"SELECT concat_ws(' / ', {', '.join(f't.{quote(column)}' for column in key)}) AS key, {query[7:]}"
    try:
        described = connection.execute(f"DESCRIBE {query}").fetchall()
    except duckdb.Error as error:
        raise SpreadsheetError(f"table {table}: {_sql_problem(error)}") from None
    made = tuple(
        Column(header, comment, type, kind or kind_of(header, type))
        for (header, comment, kind), (_, type, *_) in zip(columns, described, strict=True)
    )
    greyed = next(((places[column], truth) for column, truth in _GONE.get(table, ()) if column in places), None)
    shows_key = all(column in places for column in key)
    notes = tuple(f"{table}, {_POLICIES[policy]}: {', '.join(names)}" for policy, names in guarded.items())
    return Sheet(table, query, made, keyed, shows_key, notes, greyed), places


_CUSTOM_TYPES = {"number": "DECIMAL(18,6)", "currency": "DECIMAL(18,4)", "date": "DATE"}


def _with_custom_fields(connection: duckdb.DuckDBPyConnection, view: str, company_uuid: str) -> str:
    """The employees' view with a typed column `custom__<name>` per custom field anyone of the company has a value in.

    A field whose values do not all fit its type stays text, so none is lost.
    """
    fields = connection.execute(
        "SELECT company_custom_field_id, min(name), min(type), list(value) FILTER (value <> '') "
        "FROM staging.employee_custom_fields WHERE company_uuid = $1 GROUP BY ALL ORDER BY min(name), 1",
        [company_uuid],
    ).fetchall()
    taken: set[str] = set()
    columns = []
    for field_uuid, name, kind, values in fields:
        column = unique(f"custom__{re.sub(r'[^0-9a-z]+', '_', name.casefold()).strip('_')}", taken)
        type = _CUSTOM_TYPES.get(kind, "VARCHAR")
        fits = "SELECT count(*) FROM (SELECT unnest($1::VARCHAR[]) AS v) WHERE TRY_CAST(v AS {}) IS NULL"
        if connection.execute(fits.format(type), [values or []]).fetchall()[0][0]:
            type = "VARCHAR"
        value = f"max(NULLIF(value, '')) FILTER (company_custom_field_id = {literal(field_uuid)})"
        columns.append(f"CAST({value} AS {type}) AS {quote(column)}")
    if not columns:
        return view
    pivoted = (
        f"SELECT employee_uuid AS uuid, {', '.join(columns)} FROM staging.employee_custom_fields "
        f"WHERE company_uuid = {literal(company_uuid)} GROUP BY employee_uuid"
    )
    return f"(FROM {view} LEFT JOIN ({pivoted}) USING (uuid))"


def _guarded(column: str, type: str, policy: str) -> str:
    """SQL for a column under a PII policy."""
    value = f"t.{quote(column)}"
    if policy == "hash":
        return f"sha256(t.company_uuid || ':' || CAST({value} AS VARCHAR))"
    if policy == "mask":
        whole = f"CASE WHEN {value} IS NOT NULL THEN '•••' END"
        if type != "VARCHAR":
            return whole
        return (
            f"CASE WHEN contains({value}, '@') THEN left({value}, 1) || '•••' || substr({value}, instr({value}, '@')) "
            f"WHEN length({value}) >= 8 THEN '•••' || right({value}, 4) ELSE {whole} END"
        )
    return value


def _sql_problem(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"


def _rank(column: str) -> int:
    if column in _LEADING:
        return _LEADING.index(column)
    return len(_LEADING) + _is_id(column)


def _is_id(column: str) -> bool:
    return column.endswith("uuid") or column == "version"


def kind_of(name: str, type: str) -> str:
    """How a column is shown, by its name and type: "id", "count", "money" or plain."""
    if _is_id(name):
        return "id"
    if name.endswith("__rows"):
        return "count"
    return "money" if type == "DECIMAL(18,4)" else ""
