"""From landed answers to staging tables: stage, check, swap, in one transaction per category and company.

A load fails whole. Its checks run on the new rows before they are committed; if one fails the transaction is rolled
back, the last good rows stay, and `LoadRefusedError` carries the checks so that they can be shown.

Values go into SQL as literals: at the first bound parameter DuckDB imports pandas, 0.3 s and 45 MB in every process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from gusto_pipeline.schema import JSON, LIST, TEXT, Table, walk
from gusto_pipeline.warehouse.flatten import (
    Rows,
    literal,
    quote,
    read_objects,
    read_records,
    record_type,
    rows,
    structures,
    text,
)
from gusto_pipeline.warehouse.warehouse import Warehouse

# Bytes of answers landed at a time, so that memory does not grow with a company. One thread costs half the CPU of two:
# each reader fills buffers of its own.
_BATCH = 64 * 1024 * 1024
_SETTINGS = "SET memory_limit = '400MB'; SET threads = 1"
_DRIFT_SAMPLE = 8 * 1024 * 1024
_SMALL = 20


@dataclass(frozen=True)
class LandedPage:
    """One answer on disk. `links` are the values of the table's link columns (the employee it was asked for)."""

    file: Path
    path: str
    request_id: str
    received_at: datetime
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Landing:
    """All answers of one source. `total` is the number of rows the API says there are, None where it does not say."""

    table: Table
    pages: tuple[LandedPage, ...]
    total: int | None = None


@dataclass(frozen=True)
class Check:
    """One statement about the new rows of a table, and whether it holds. `problem` names no personal data."""

    name: str
    table: str
    passed: bool
    problem: str = ""


@dataclass(frozen=True)
class Load:
    """What a load did: rows per staging table, the checks, undeclared fields per source (`jobs[].nickname`)."""

    rows: dict[str, int]
    checks: tuple[Check, ...]
    drift: dict[str, list[str]]


class LoadError(Exception):
    """Answers could not be turned into rows; the message names source, field and record. Nothing was changed."""


class LoadRefusedError(LoadError):
    """The new rows failed their checks, so the last good ones stay. `checks` holds all of them."""

    def __init__(self, checks: tuple[Check, ...]) -> None:
        self.checks = checks
        failed = [f"{check.table}: {check.problem}" for check in checks if not check.passed]
        super().__init__(f"{'; '.join(failed)}. The last good rows are kept.")


def load(
    warehouse: Warehouse,
    company_uuid: str,
    landings: Sequence[Landing],
    *,
    seen_at: datetime,
    accept_shrink: bool = False,
) -> Load:
    """Replace the company's rows of every table of `landings` by what was landed, all or nothing.

    `accept_shrink` lets a table lose more than half of its rows, which otherwise refuses the load.
    Raises LoadError, LoadRefusedError or WarehouseError; on each the tables are as they were.
    """
    counts: dict[str, int] = {}
    checks: list[Check] = []
    drift: dict[str, list[str]] = {}
    with warehouse.write() as connection:
        connection.execute(_SETTINGS)
        for landing in landings:
            drift[landing.table.name] = _drift(connection, company_uuid, landing, seen_at)
            tables = list(rows(landing.table))
            _delete(connection, f"raw.{quote(landing.table.name)}", company_uuid)
            before = {r.table.name: _delete(connection, _staging(r), company_uuid) for r in tables}
            now, landed = dict.fromkeys(before, 0), 0
            for pages in _batches(landing):
                landed += _land(connection, landing.table, pages)
                _keep_raw(connection, company_uuid, landing.table, pages)
                for table_rows in tables:
                    now[table_rows.table.name] += _insert(connection, table_rows, company_uuid, landing.table, pages)
            for table_rows in tables:
                name = table_rows.table.name
                checks += _checks(connection, table_rows, company_uuid)
                checks.append(_not_collapsed(name, before[name], now[name], accept_shrink))
            checks.append(_total(landing, landed, now))
            counts |= now
        if not all(check.passed for check in checks):
            raise LoadRefusedError(tuple(checks))
    return Load(counts, tuple(checks), {source: fields for source, fields in drift.items() if fields})


def _staging(table_rows: Rows) -> str:
    return f"staging.{quote(table_rows.table.name)}"


def _delete(connection: duckdb.DuckDBPyConnection, name: str, company_uuid: str) -> int:
    return connection.execute(f"DELETE FROM {name} WHERE company_uuid = {literal(company_uuid)}").fetchall()[0][0]


def _batches(landing: Landing) -> Iterator[Sequence[LandedPage]]:
    """The pages, a few at a time; all at once where rows are numbered across pages, which only short answers are."""
    batch: list[LandedPage] = []
    size = 0
    for page in landing.pages:
        batch.append(page)
        size += page.file.stat().st_size
        if size >= _BATCH and "position" not in landing.table.key:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _land(connection: duckdb.DuckDBPyConnection, table: Table, pages: Sequence[LandedPage]) -> int:
    """Fill the temporary tables `pages` (where each file is from) and `landed` (its records); gives how many."""
    names = ["filename", "path", "request_id", "received_at", *map(quote, table.links)]
    values = ", ".join(
        f"({', '.join(map(literal, (str(p.file), p.path, p.request_id, p.received_at.isoformat(), *p.links)))})"
        for p in pages
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE pages AS FROM (VALUES {values}) p({', '.join(names)})")
    records = read_records(table, [page.file for page in pages])
    if table.links:
        records = f"SELECT r, filename, {', '.join(names[4:])} FROM ({records}) JOIN pages USING (filename)"
    try:
        return connection.execute(f"CREATE OR REPLACE TEMP TABLE landed AS {records}").fetchall()[0][0]
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        connection.rollback()  # an aborted transaction answers no questions
        raise LoadError(_misshapen(connection, table, pages)) from None


def _keep_raw(
    connection: duckdb.DuckDBPyConnection, company_uuid: str, table: Table, pages: Sequence[LandedPage]
) -> None:
    """The records just landed, whole and as they came."""
    objects = read_objects([page.file for page in pages])
    connection.execute(
        f"INSERT INTO raw.{quote(table.name)} SELECT {literal(company_uuid)}, request_id, received_at, path, json "
        f"FROM ({objects}) JOIN pages USING (filename)"
    )


def _misshapen(connection: duckdb.DuckDBPyConnection, table: Table, pages: Sequence[LandedPage]) -> str:
    """Name the first list or object that is something else. DuckDB's own words would quote it; it may be personal."""
    objects = read_objects([page.file for page in pages])
    for path, kind in structures(record_type(table)):
        types = f"unnest(json_type(json, '{path}'))" if "*" in path else f"json_type(json, '{path}')"
        sql = f"SELECT count(*) FROM (SELECT {types} AS type FROM ({objects})) WHERE type NOT IN ('NULL', '{kind}')"
        if strange := connection.execute(sql).fetchall()[0][0]:
            field = path.replace("[*]", "[]").replace('"', "").removeprefix("$").removeprefix(".") or "itself"
            return (
                f"{table.name}: field {field} is not the {kind.lower()} it is declared to be in {strange} records of "
                f"{pages[0].path}. Nothing was changed."
            )
    return f"{table.name}: an answer of {pages[0].path} has another shape than declared. Nothing was changed."


def _insert(
    connection: duckdb.DuckDBPyConnection,
    table_rows: Rows,
    company_uuid: str,
    source: Table,
    pages: Sequence[LandedPage],
) -> int:
    """Add the landed rows of one table; gives how many."""
    sql = f"INSERT INTO {_staging(table_rows)} BY NAME {table_rows.select(company_uuid)}"
    try:
        return connection.execute(sql).fetchall()[0][0]
    except (duckdb.ConversionException, duckdb.InvalidInputException):
        connection.rollback()  # an aborted transaction answers no questions; the records are landed again
        _land(connection, source, pages)
        raise LoadError(_bad_value(connection, table_rows)) from None


def _bad_value(connection: duckdb.DuckDBPyConnection, table_rows: Rows) -> str:
    """Name the first field whose text does not fit its type, and its record; never the value."""
    for column in table_rows.table.columns:
        if column.type in (TEXT, LIST, JSON):
            continue
        landed = text(column.path)
        identity = [quote(link) for link in table_rows.links] + (["r.uuid"] if "uuid" in table_rows.table.key else [])
        found = connection.execute(
            f"SELECT {', '.join([*identity, 'position'])} FROM ({table_rows.sql}) "
            f"WHERE NULLIF({landed}, '') IS NOT NULL AND TRY_CAST({landed} AS {column.type}) IS NULL LIMIT 1"
        ).fetchall()
        if found:
            return (
                f"{table_rows.table.name}: field {column.path} of record {' / '.join(str(part) for part in found[0])} "
                f"is not a {column.type}. Nothing was changed; the record is in Gusto under that id."
            )
    return f"{table_rows.table.name}: a value does not fit its declared type. Nothing was changed."


def _checks(connection: duckdb.DuckDBPyConnection, table_rows: Rows, company_uuid: str) -> Iterator[Check]:
    """Keys are there and unique; every child row has its parent."""
    table, parent = table_rows.table.name, table_rows.parent
    of_company = f"WHERE company_uuid = {literal(company_uuid)}"
    keys = [quote(key) for key in table_rows.key]
    if keys:
        missing, repeated = connection.execute(
            f"SELECT count(*) FILTER ({' OR '.join(f'{key} IS NULL' for key in keys)}), "
            f"count(*) - count(DISTINCT ({', '.join(keys)})) FROM {_staging(table_rows)} {of_company}"
        ).fetchall()[0]
        names = " + ".join(table_rows.key)
        yield Check("key_not_null", table, not missing, f"{missing} rows have no {names}")
        yield Check("key_unique", table, not repeated, f"{repeated} rows repeat the key {names}")
    if parent and table_rows.links and "uuid" in parent.table.key:
        orphans = connection.execute(
            f"SELECT count(*) FROM {_staging(table_rows)} {of_company} AND {quote(table_rows.links[0])} NOT IN "
            f"(SELECT uuid FROM {_staging(parent)} {of_company} AND uuid IS NOT NULL)"
        ).fetchall()[0][0]
        yield Check("no_orphans", table, not orphans, f"{orphans} rows have no {parent.table.singular}")


def _not_collapsed(table: str, before: int, now: int, accept: bool) -> Check:
    collapsed = before >= _SMALL and now < before / 2 and not accept
    return Check(
        "not_collapsed",
        table,
        not collapsed,
        f"only {now} rows where the last good sync had {before}; if that is right, sync once with accept_shrink",
    )


def _total(landing: Landing, landed: int, counts: dict[str, int]) -> Check:
    """As many rows as the API counts; where an answer is only the envelope of its rows, those are counted."""
    table = landing.table
    if not table.columns:
        table = next(walk(table))
        landed = counts[table.name]
    problem = f"{landed} rows arrived where Gusto says there are {landing.total}"
    return Check("matches_api_total", table.name, landing.total in (None, landed), problem)


def _drift(connection: duckdb.DuckDBPyConnection, company_uuid: str, landing: Landing, seen_at: datetime) -> list[str]:
    """Fields in the answers that the catalog does not declare, kept in meta.drift with when they were first seen.

    Of big answers only some pages are looked at: the structure of every record would cost as much as the load itself.
    """
    table, files = landing.table, [page.file for page in landing.pages]
    if not files:
        return []
    step = 1 + sum(file.stat().st_size for file in files) // _DRIFT_SAMPLE
    sql = f"SELECT json_group_structure(json) FROM ({read_objects(files[::step])})"
    found = connection.execute(sql).fetchall()[0][0]
    fields = sorted(_undeclared(json.loads(found), table, "", {"company_uuid"})) if found else []
    source = f"{literal(company_uuid)} AS company_uuid, {literal(table.name)} AS source"
    for field in fields:
        connection.execute(
            f"INSERT INTO meta.drift SELECT {source}, {literal(field)} AS field, {literal(seen_at.isoformat())} "
            "WHERE (company_uuid, source, field) NOT IN (SELECT (company_uuid, source, field) FROM meta.drift)"
        )
    return fields


def _undeclared(found: Any, table: Table, prefix: str, known: set[str]) -> Iterator[str]:
    """Paths of `found` (DuckDB's structure of the records) that neither a column nor a child table declares."""
    known = known | {f"{table.singular}_uuid", *table.links}
    paths = {*(column.path for column in table.columns), *table.elsewhere}
    children = {path: child for child in table.children for path in child.at}

    def visit(structure: Any, path: str) -> Iterator[str]:
        if path in paths or path in known or f"{path}{{}}" in children:
            return
        if f"{path}[]" in children:
            inner = structure[0] if isinstance(structure, list) else structure
            yield from _undeclared(inner, children[f"{path}[]"], f"{prefix}{path}[].", known)
        elif isinstance(structure, dict) and structure:
            for key, inner in structure.items():
                yield from visit(inner, f"{path}.{key}")
        elif structure != "NULL":
            yield prefix + path

    if isinstance(found, dict):
        for key, inner in found.items():
            yield from visit(inner, key)
