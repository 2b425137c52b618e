"""SQL that turns landed JSON records into staging rows, generated from the declared tables (see `schema.py`).

A source's answer files are read into the temporary table `landed`, a struct of all that is declared with lists
of structs inside beside the company it is of, and each table is unnested from it. Every value arrives as text and is
cast to its declared type, so a decimal never passes through a float, and a value that does not fit is an error that can
name field and record, not a sniffer's guess. (A JSON number with a point is a double, as RFC 8259, section 6, expects.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from gusto_pipeline.schema import DATE, FLAG, INSTANT, JSON, LIST, TEXT, WHOLE, Column, Table

_LARGEST_RECORD = 4 * 1024 * 1024


def quote(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string."""
    if "\0" in text:  # which would end the statement
        return f"concat({', chr(0), '.join(map(literal, text.split(chr(0))))})"
    return "'" + text.replace("'", "''") + "'"


def bind(
    connection: duckdb.DuckDBPyConnection, statement: str, values: Sequence[Any] | Mapping[str, Any]
) -> duckdb.DuckDBPyConnection:
    """Execute a statement that DuckDB can PREPARE with values for its parameters, `$1`, or `$name` for a mapping's.

    The values go as SQL constants: DuckDB's own binding imports pandas, half a second and 45 MB in every process.
    """
    if isinstance(values, Mapping):
        given = [f"{name} := {constant(value)}" for name, value in values.items()]
    else:
        given = [constant(value) for value in values]
    connection.execute(f"PREPARE bound AS {statement}")
    return connection.execute(f"EXECUTE bound({', '.join(given)})")


def constant(value: Any) -> str:
    """A value as an SQL constant: text, number, truth, day, aware instant, list of texts, or None."""
    match value:
        case None:
            return "NULL"
        case bool() | int() | Decimal():
            return str(value).lower()
        case str():
            return literal(value)
        case datetime() if value.tzinfo:
            return f"TIMESTAMPTZ {literal(value.isoformat())}"
        case date() if not isinstance(value, datetime):
            return f"DATE {literal(value.isoformat())}"
        case list() | tuple():
            return f"CAST([{', '.join(map(constant, value))}] AS VARCHAR[])"
    raise TypeError(f"a {type(value).__name__} cannot be bound")


def inline(columns: Sequence[str], records: Iterable[Sequence[str | int]]) -> str:
    """SELECT of `records`, all as text.

    One JSON text: DuckDB takes five times as long over a list of literals.
    """
    objects = json.dumps([dict(zip(columns, record, strict=True)) for record in records])
    shape = json.dumps([dict.fromkeys(columns, TEXT)])
    return f"SELECT unnest(from_json_strict({literal(objects)}, {literal(shape)}), recursive := true)"


@dataclass(frozen=True)
class Rows:
    """The rows of one table. `sql` yields `company_uuid`, its links, `position`, its kind column and the record as the
    struct `r`."""

    table: Table
    parent: Rows | None
    links: tuple[str, ...]
    sql: str

    @property
    def staging(self) -> str:
        """The staging table's name in SQL."""
        return f"staging.{quote(self.table.name)}"

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row within a company."""
        return (*self.links, *self.table.key)

    @property
    def parent_by_uuid(self) -> Rows | None:
        """The rows these belong to, where those have ids of their own."""
        return self.parent if self.parent and self.links and "uuid" in self.parent.table.key else None

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column of the staging table, in order: company, links, kind, position, then the declared ones."""
        table = self.table
        columns = [Column("company_uuid", TEXT, "The company the row belongs to")]
        for link in self.links:
            columns.append(Column(link, TEXT, f"The {link.removesuffix('_uuid')} it belongs to"))
        if table.kind_column:
            columns.append(Column(table.kind_column, TEXT, "Which of Gusto's lists the row is from"))
        if self.parent or "position" in table.key:
            columns.append(Column("position", WHOLE, "Place in Gusto's list, from 1"))
        return (*columns, *table.columns)

    def select(self) -> str:
        """SELECT giving `columns`."""
        own = {column.path for column in self.table.columns}
        given = [quote(column.name) for column in self.columns if column.path not in own]
        expressions = [*given, *(value(column) for column in self.table.columns)]
        named = ", ".join(f"{e} AS {quote(c.name)}" for e, c in zip(expressions, self.columns, strict=True))
        return f"SELECT {named} FROM ({self.sql})"


def text(path: str) -> str:
    """The landed text at a record's `path`."""
    return "r." + ".".join(quote(part) for part in path.split("."))


def value(column: Column) -> str:
    """The typed value at a column's path. Gusto sends "" for some empty numbers and dates; that is no value."""
    landed = text(column.path)
    if column.type in (TEXT, LIST, JSON):
        return landed
    refusal = f"WHEN {landed} <> '' THEN error('changed type') END"
    if column.type == FLAG:  # half the time of a cast
        return f"CASE WHEN {landed} = 'true' THEN true WHEN {landed} = 'false' THEN false {refusal}"
    # The cast is around the choice: DuckDB would move one of a struct's field into the scan, before the choice.
    return f"CAST(CASE WHEN {fits(landed, column.type)} THEN {landed} {refusal} AS {column.type})"


_DAY, _TIME, _ZONE = r"\d{4}-\d\d-\d\d", r"[T ]\d\d:\d\d:\d\d(\.\d{1,6}0*)?", r"(Z|[+-]\d\d(:?\d\d)?)"
_EXACT = {DATE: _DAY, INSTANT: _DAY + _TIME + _ZONE, WHOLE: r"-?\d+(\.0*)?"}


def fits(text: str, type: str) -> str:
    """SQL condition: a text is written as values of a type other than text are, with no more in it than the type holds.

    DuckDB's casts alone would round decimals, cut the time off an instant and make one up for a date.
    """
    if type == FLAG:
        return f"{text} IN ('true', 'false')"
    decimal = r"-?\d+(\.\d{0,SCALE}0*)?".replace("SCALE", type.rstrip(")").rpartition(",")[2])
    return f"regexp_full_match({text}, {literal(_EXACT.get(type, decimal))})"


def rows(table: Table) -> Iterator[Rows]:
    """The rows of a source's table and of all tables below it, parents first, from the table `landed`."""
    given = ", ".join(["company_uuid", *map(quote, table.links)])
    position = "0"
    if "position" in table.key:
        position = f"row_number() OVER (PARTITION BY {given} ORDER BY filename, rowid)"
    yield from _below(Rows(table, None, table.links, f"SELECT {given}, {position} AS position, r FROM landed"))


def _below(here: Rows) -> Iterator[Rows]:
    table = here.table
    if table.columns:
        yield here
    links = {link: quote(link) for link in here.links}
    if table.columns and table.key == ("uuid",) and table.singular != "company":
        links = {f"{table.singular}_uuid": "r.uuid"}
    elif table.columns and table.singular != "company":
        links |= {key: text(key) for key in table.key}
    for child in table.children:
        sql = " UNION ALL ".join(_unnest(here.sql, child, links, path) for path in child.at)
        yield from _below(Rows(child, here, tuple(links), sql))


def _unnest(parent: str, child: Table, links: dict[str, str], path: str) -> str:
    """Rows of `child` from the array or map at `path` of its parent's record, with the parent's key as `links`."""
    landed = text(path[:-2])
    elements = landed if path.endswith("[]") else f"map_entries({landed})"
    outer = ["company_uuid", *map(quote, links)]
    if child.kind_column:
        outer.append(f"{literal(path[:-2].rsplit('.', 1)[-1])} AS {quote(child.kind_column)}")
    inner = ["company_uuid", *(f"{expression} AS {quote(link)}" for link, expression in links.items())]
    return (
        f"SELECT {', '.join([*outer, 'generate_subscripts(elements, 1) AS position', 'unnest(elements) AS r'])} "
        f"FROM (SELECT {', '.join([*inner, f'{elements} AS elements'])} FROM ({parent}))"
    )


_MAP = "MAP(VARCHAR, VARCHAR)"


def record_type(table: Table) -> dict[str, Any]:
    """The keys of a record as nested dicts of DuckDB types, scalars as text; lists of objects as a list of one dict."""
    shape: dict[str, Any] = {}
    for column in table.columns:
        _place(shape, column.path, column.type if column.type in (LIST, JSON) else TEXT)
    for child in table.children:
        for path in child.at:
            _place(shape, path[:-2], [record_type(child)] if path.endswith("[]") else _MAP)
    return shape


def _place(shape: dict[str, Any], path: str, leaf: Any) -> None:
    *parents, last = path.split(".")
    for part in parents:
        shape = shape.setdefault(part, {})
    shape[last] = leaf


def _type(shape: Any) -> str:
    """A shape in DuckDB's notation."""
    if isinstance(shape, list):
        return f"{_type(shape[0])}[]"
    if isinstance(shape, dict):
        return "STRUCT(" + ", ".join(f"{quote(key)} {_type(inner)}" for key, inner in shape.items()) + ")"
    return str(shape)


def structures(shape: Any, path: str = "$") -> Iterator[tuple[str, str]]:
    """JSON path and JSON type of every object and list in a shape."""
    if isinstance(shape, dict):
        yield path, "OBJECT"
        for key, inner in shape.items():
            yield from structures(inner, f'{path}."{key}"')
    elif isinstance(shape, list):
        yield path, "ARRAY"
        yield from structures(shape[0], f"{path}[*]")
    elif shape in (LIST, _MAP):
        yield path, "ARRAY" if shape == LIST else "OBJECT"


def read_records(table: Table, files: Sequence[Path]) -> str:
    """SELECT of a source's records from answer files (arrays, or one object each): the structs `r` and `filename`."""
    columns = ", ".join(f"{literal(key)}: {literal(_type(shape))}" for key, shape in record_type(table).items())
    return f"SELECT r, filename FROM read_json({_source(files)}, records = true, columns = {{{columns}}}) r"


def read_objects(files: Sequence[Path]) -> str:
    """SELECT of the same records whole, as the column `json`, and `filename`."""
    return f"SELECT json, filename FROM read_json_objects({_source(files)})"


def _source(files: Sequence[Path]) -> str:
    """The arguments both readers share. Saying that all files hold arrays spares them a look at each, a tenth."""
    first = set()
    for file in files:
        with file.open("rb") as start:
            first.add(start.read(1))
    paths = ", ".join(literal(str(file)) for file in files)
    form = "array" if first == {b"["} else "auto"
    return f"[{paths}], format = '{form}', filename = true, maximum_object_size = {_LARGEST_RECORD}"
