"""What Gusto's answers hold besides what the catalog declares, and what of it they no longer hold; out of `raw`.

A load notes in meta.drift every field that no column declares. Here its values are found again, for each row of the
table in whose records it is. An object or list that the catalog does not know is one field, whatever is in it.
Whatever takes a company's uuid is about every company where that is None.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from gusto_pipeline.schema import Table
from gusto_pipeline.warehouse.flatten import Rows, literal, quote

Path = tuple[str, ...]  # the keys that lead to a value in a table's record

# What a request asked about, which the record does not say: the last id in the path of the request.
_ASKED_ABOUT = "regexp_extract(path, '.*/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})', 1)"


@dataclass(frozen=True)
class NewField:
    """A field of a company's answers that the catalog does not declare. `table` may be one that holds no rows."""

    table: str
    path: Path
    first_seen: datetime


@dataclass(frozen=True)
class Found:
    """What kind of values a field has ("text", "numbers" …), "" where no record has one, and the names inside them."""

    kind: str
    names: frozenset[str]


def new_fields(
    connection: duckdb.DuckDBPyConnection, roots: Sequence[Table], company_uuid: str | None
) -> list[NewField]:
    """The undeclared fields of a company's sources, `roots`, in the order in which they were first seen."""
    sources = {table.name: table for table in roots}
    found = connection.execute(
        f"SELECT source, field, first_seen FROM meta.drift WHERE {_of(company_uuid)} ORDER BY first_seen, source, field"
    ).fetchall()
    fields: dict[tuple[str, Path], NewField] = {}
    for source, field, first_seen in found:
        if source in sources and (place := _place(sources[source], field)):
            fields.setdefault(place, NewField(*place, first_seen))
    return list(fields.values())


def _place(table: Table, field: str) -> tuple[str, Path] | None:
    """The table and path of a field written as `jobs[].grade.x`; None if the catalog has come to know it."""
    for child in table.children:
        for at in child.at:
            if field.startswith(f"{at}."):
                return _place(child, field.removeprefix(f"{at}."))
    known = {*(column.path for column in table.columns), *table.elsewhere, *table.links}
    known |= {at[:-2] for child in table.children for at in child.at}
    path: Path = ()
    for key in field.split("."):
        path = (*path, key)
        name = ".".join(path)
        if name in known:
            return None
        if not any(other.startswith(f"{name}.") for other in known):
            break
    return table.name, path


def look_into(
    connection: duckdb.DuckDBPyConnection, rows: Rows, company_uuid: str | None, paths: Sequence[Path]
) -> list[Found]:
    """What each of `paths` holds in the records of a table."""
    asked = ", ".join(
        f"list(DISTINCT json_type(j, {_pointer(path)})), json_group_structure(json_extract(j, {_pointer(path)}))"
        for path in paths
    )
    (found,) = connection.execute(f"SELECT {asked} FROM ({_records(rows, company_uuid)})").fetchall()
    return [
        Found(_kind(types or ()), frozenset(_names(json.loads(structure)) if structure else ()))
        for types, structure in zip(found[::2], found[1::2], strict=True)
    ]


# Names of government and bank numbers, of pay, and of what concerns nobody at work: of a field that the catalog does
# not know there is nothing else to tell it by.
_GUARDED = re.compile(
    r"(^|_)((aba|card|dob|ein|gross|itin|net|pay|pin|race|rate|sex|sin|ssn|tin|token|visa)s?(_|$)|"
    r"(account|acct|bank|birth|bonus|citizen|commission|compensat|court|deduct|disab|earning|ethnic|garnish|gender|"
    r"health|iban|immigra|income|licen|marital|medical|paid|passport|passw|religio|routing|salar|secret|social|swift|"
    r"tax|veteran|wage))"
)

COMMENT = "A new field of Gusto's; what it means is not known here yet"


def is_guarded(path: Path, found: Found) -> bool:
    """Whether a field, or something in it, may be about pay, government or bank numbers or private matters."""
    return any(_GUARDED.search(_snake(name)) for name in (*path, *found.names))


def _snake(name: str) -> str:
    """A name in lower case with underscores between its words."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


SEVERAL = "values of several kinds"
_KINDS = {"VARCHAR": "text", "BOOLEAN": "true or false", "OBJECT": "objects", "ARRAY": "lists"}


def _kind(types: Iterable[str | None]) -> str:
    kinds = {_KINDS.get(type, "numbers") for type in types if type not in (None, "NULL")}
    return SEVERAL if len(kinds) > 1 else next(iter(kinds), "")


def _names(structure: object) -> Iterator[str]:
    if isinstance(structure, dict):
        yield from structure
        structure = list(structure.values())
    for inner in structure if isinstance(structure, list) else ():
        yield from _names(inner)


def no_longer_sent(
    connection: duckdb.DuckDBPyConnection, rows: Rows, company_uuid: str, paths: Sequence[Path]
) -> set[Path]:
    """Which of `paths` no record of a table has, not even empty, although it has the object that they are in."""
    if any(at.endswith("{}") for at in rows.table.at):
        return set()
    asked = ", ".join(
        f"bool_or(json_exists(j, {_pointer(path)})), "
        + (f"bool_or(json_type(j, {_pointer(path[:-1])}) = 'OBJECT')" if path[:-1] else "count(*) > 0")
        for path in paths
    )
    (found,) = connection.execute(f"SELECT {asked} FROM ({_records(rows, company_uuid)})").fetchall()
    return {path for path, sent, around in zip(paths, found[::2], found[1::2], strict=True) if around and not sent}


def with_fields(view: str, rows: Rows, company_uuid: str | None, columns: Mapping[str, Path]) -> str:
    """`view`, which has the columns of a table, with the text at each path as one more column.

    Objects and lists are JSON.
    """
    keys = {name: f"CAST({_own(name, rows)} AS VARCHAR)" for name in ("company_uuid", *rows.key)}
    values = ", ".join(
        [f"{key} AS k{i}" for i, key in enumerate(keys.values())]
        + [f"any_value(json_extract_string(j, {_pointer(path)})) AS v{i}" for i, path in enumerate(columns.values())]
    )
    equal = " AND ".join(f"n.k{i} = CAST(t.{quote(key)} AS VARCHAR)" for i, key in enumerate(keys))
    named = ", ".join(f"n.v{i} AS {quote(name)}" for i, name in enumerate(columns))
    found = f"SELECT {values} FROM ({_records(rows, company_uuid)}) GROUP BY ALL"
    return f"(SELECT t.*, {named} FROM {view} t LEFT JOIN ({found}) n ON {equal})"


def _own(name: str, rows: Rows) -> str:
    """SQL for a column of a table's key in its `_records`."""
    if name in ("company_uuid", *rows.links, rows.table.kind_column, "position"):
        return quote(name)
    return f"json_extract_string(j, {_pointer((name,))})"


def _records(rows: Rows, company_uuid: str | None) -> str:
    """SELECT of a table's records as received, `j`, with what tells them apart: whose, links, kind column, position."""
    table, parent = rows.table, rows.parent
    if parent is None:
        links = "".join(f"{_ASKED_ABOUT} AS {quote(link)}, " for link in table.links)
        whose = f"company_uuid, {_ASKED_ABOUT}" if links else "company_uuid"
        position = f"row_number() OVER (PARTITION BY {whose} ORDER BY rowid)"
        return (
            f"SELECT company_uuid, {links}{position} AS position, record AS j FROM raw.{quote(table.name)} "
            f"WHERE {_of(company_uuid)}"
        )
    own = parent.table.columns and parent.table.key == ("uuid",)
    links = "".join(f"{_own('uuid' if own else link, parent)} AS {quote(link)}, " for link in rows.links)
    names = "".join(f"{quote(link)}, " for link in rows.links)
    above = _records(parent, company_uuid)
    return " UNION ALL ".join(
        f"SELECT company_uuid, {names}{_kind_of(table, at)}generate_subscripts(e, 1) AS position, unnest(e) AS j "
        f"FROM (SELECT company_uuid, {links}CAST(json_extract(j, {_pointer(at[:-2].split('.'))}) AS JSON[]) AS e "
        f"FROM ({above}))"
        for at in table.at
    )


def _of(company_uuid: str | None) -> str:
    """SQL condition: a row is a company's."""
    return "true" if company_uuid is None else f"company_uuid = {literal(company_uuid)}"


def _kind_of(table: Table, at: str) -> str:
    return f"{literal(at[:-2].rsplit('.', 1)[-1])} AS {quote(table.kind_column)}, " if table.kind_column else ""


def _pointer(path: Iterable[str]) -> str:
    """A path as a JSON pointer (RFC 6901), in SQL."""
    return literal("".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path))
