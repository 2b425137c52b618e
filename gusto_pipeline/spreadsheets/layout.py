"""What a workbook's sheets show of the tables, and how they hang together: columns, order, filters, policies, links.

The first sheet is the category's own table; arrays Gusto nests in a record are sheets of their own, carrying the
record's id and their position. What a sheet shows is the flat view of its table (`warehouse/flat.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import duckdb

from gusto_pipeline.schema import Table
from gusto_pipeline.spreadsheets import columns
from gusto_pipeline.spreadsheets.columns import Fields, Memory, Remembered
from gusto_pipeline.spreadsheets.sheets import Column, Link, Sheet, SpreadsheetError
from gusto_pipeline.warehouse.drift import NewField, new_fields
from gusto_pipeline.warehouse.flat import COUNT, count_column, parent_key
from gusto_pipeline.warehouse.flatten import Rows, literal, quote

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
class Arranged:
    """The sheets, and what to remember of their columns once they are written."""

    sheets: list[Sheet]
    columns: dict[str, dict[str, Remembered]]
    changed: list[str]  # columns whose values are of another kind than they were
    notes: list[str]  # what is new or gone in Gusto's answers
    news: tuple[str, ...]  # those notes that there was no cause for before


def arrange(
    connection: duckdb.DuckDBPyConnection,
    tables: Sequence[Rows],
    company_uuid: str,
    layout: Layout,
    memory: Memory,
) -> Arranged:
    """The sheets a layout makes of `tables`, given what is remembered of an earlier version.

    Raises SpreadsheetError naming table and column, or the SQL, at fault.
    """
    known = {rows.table.name for rows in tables}
    for table in (*layout.columns, *layout.filters):
        if table not in known:
            raise SpreadsheetError(f"there is no table {table!r} in this job; {_nearest(table, known)}")
    new = new_fields(connection, _roots(tables), company_uuid)
    places, notes, news = {}, list[str](), list[str]()
    made, remembered, changed = [], {}, []
    for rows in tables:
        table = rows.table.name
        before = memory.tables.get(table, {})
        fields = columns.fields_of(connection, rows, company_uuid, before, [one for one in new if one.table == table])
        sheet, places[table] = _sheet(connection, rows, company_uuid, layout, fields)
        made.append(sheet)
        remembered[table] = fields.remembered(before)
        for name, old, now in fields.changed(before):
            changed.append(f'sheet "{table}", column "{name}" had {old} and now has {now}')
        for name, note in _notes(table, fields, places[table]):
            notes.append(note)
            if before and (name not in before or before[name].gone != fields.by_name[name].gone):
                news.append(note)
    notes += [f"{_new(one)}: no sheet shows it" for one in new if one.table not in known]
    sheets = [
        replace(sheet, links=tuple(_links(rows, tables, places))) for rows, sheet in zip(tables, made, strict=True)
    ]
    return Arranged(sheets, remembered, changed, notes, tuple(news))


def _roots(tables: Sequence[Rows]) -> list[Table]:
    """The sources' tables that `tables` are, or are below."""
    roots = {}
    for rows in tables:
        while rows.parent:
            rows = rows.parent
        roots[rows.table.name] = rows.table
    return list(roots.values())


def _new(one: NewField) -> str:
    return f"Gusto sends a new field of {one.table} since {one.first_seen:%Y-%m-%d}, {'.'.join(one.path)}"


def _notes(table: str, fields: Fields, places: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """What to say of columns that are new or gone, by column."""
    for name, one in fields.by_name.items():
        if one.gone and name in places:
            yield name, f'sheet "{table}", column "{name}": Gusto no longer sends it; it stays, empty'
        elif name in fields.new and not one.gone:
            where = f'it is in column "{name}"' if name in places else "the job does not choose it"
            if one.guarded and name not in places:
                where = (
                    "left out, for by its names it may be about pay, government or bank numbers or private matters; a "
                    f"job shows it with pii: {{{name}: keep}}"
                )
            yield name, f"{_new(fields.new[name])}: {where}"


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
    connection: duckdb.DuckDBPyConnection, rows: Rows, company_uuid: str, layout: Layout, fields: Fields
) -> tuple[Sheet, dict[str, int]]:
    """A table's sheet, and where in it the columns are that are shown as they are."""
    table, view, known = rows.table.name, fields.view, fields.by_name
    choices = list(layout.columns.get(table, ())) or [Choice(column) for column in known]
    chosen, shown, guarded, places = list[str](), [], dict[str, list[str]](), dict[str, int]()
    for choice in choices:
        if choice.column and choice.column not in known:
            raise SpreadsheetError(f"table {table} has no column {choice.column!r}; {_nearest(choice.column, known)}")
        one = known.get(choice.column)
        policy = layout.pii.get(choice.column, "drop" if one and one.guarded else "keep")
        if policy != "keep":
            guarded.setdefault(policy, []).append(choice.column)
        if policy == "drop":
            continue
        header = choice.header or choice.column
        if policy == "keep" and one:
            places.setdefault(choice.column, len(chosen))
        expression = _guarded(choice.column, one.type, policy) if one else f"({choice.sql})"
        chosen.append(f"{expression} AS {quote(header)}")
        comment = one.comment if one else choice.sql
        if one and one.gone:
            comment = f"{comment}\nGusto no longer sends it.".strip()
        shown.append((header, comment, "name" if choice.column in _NAMES else ""))
    order = [f"t.{quote(column)}" for column in (*_READING_ORDER, *rows.key, "position") if column in known]
    condition = f" AND ({layout.filters[table]})" if table in layout.filters else ""
    selected = f"FROM {view} t WHERE company_uuid = {literal(company_uuid)}{condition}"
    selected += f" ORDER BY {', '.join(order or ['ALL'])}"
    query = f"SELECT {', '.join(chosen)} {selected}"
    key = [column for column in rows.key if column in known] or ["company_uuid"]
    keyed = f"SELECT concat_ws(' / ', {', '.join(f't.{quote(column)}' for column in key)}) AS key, {query[7:]}"
    try:
        described = connection.execute(f"DESCRIBE {query}").fetchall()
    except duckdb.Error as error:
        raise SpreadsheetError(f"table {table}: {_sql_problem(error)}") from None
    made = tuple(
        Column(header, comment, type, kind or kind_of(header, type))
        for (header, comment, kind), (_, type, *_) in zip(shown, described, strict=True)
    )
    greyed = next(((places[column], truth) for column, truth in _GONE.get(table, ()) if column in places), None)
    shows_key = all(column in places for column in key)
    notes = tuple(f"{table}, {_POLICIES[policy]}: {', '.join(names)}" for policy, names in guarded.items())
    return Sheet(table, query, made, keyed, shows_key, notes, greyed), places


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


def kind_of(name: str, type: str) -> str:
    """How a column is shown, by its name and type: "id", "count", "money" or plain."""
    if columns.is_id(name):
        return "id"
    if name.endswith(COUNT):
        return "count"
    return "money" if type == "DECIMAL(18,4)" else ""
