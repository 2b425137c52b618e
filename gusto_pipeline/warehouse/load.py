"""From landed answers to staging tables: stage, check, swap, in one transaction per category and company.

A load fails whole. Its checks run on the new rows before they are committed; if one fails the transaction is rolled
back, the last good rows stay, and `LoadRefusedError` carries the checks so that they can be shown.
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
from gusto_pipeline.warehouse.flatten import Rows, quote, read_objects, read_records, rows, text
from gusto_pipeline.warehouse.warehouse import Warehouse

# Bytes of answers landed at a time: a landed batch stays in memory instead of spilling to disk. One thread costs half
# the CPU of two (each reader fills buffers of its own), and loads of other companies wait for the lock anyway.
_BATCH = 48 * 1024 * 1024
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
            tables = list(rows(landing.table))
            _delete(connection, f"raw.{quote(landing.table.name)}", company_uuid)
            before = {r.table.name: _delete(connection, _staging(r), company_uuid) for r in tables}
            now, landed = dict.fromkeys(before, 0), 0
            for pages in _batches(landing):
                landed += _land(connection, landing.table, pages)
                _keep_raw(connection, company_uuid, landing.table, pages)
                for table_rows in tables:
                    _check_lists(connection, table_rows)
                    now[table_rows.table.name] += _insert(connection, table_rows, company_uuid, landing.table, pages)
            for table_rows in tables:
                name = table_rows.table.name
                checks += _checks(connection, table_rows, company_uuid)
                checks.append(_not_collapsed(name, before[name], now[name], accept_shrink))
            checks.append(_total(landing, landed, now))
            counts |= now
            drift[landing.table.name] = _drift(connection, company_uuid, landing, seen_at)
        if not all(check.passed for check in checks):
            raise LoadRefusedError(tuple(checks))
    return Load(counts, tuple(checks), {source: fields for source, fields in drift.items() if fields})


def _staging(table_rows: Rows) -> str:
    return f"staging.{quote(table_rows.table.name)}"


def _delete(connection: duckdb.DuckDBPyConnection, name: str, company_uuid: str) -> int:
    sql = f"DELETE FROM {name} WHERE company_uuid = $1"
    return connection.execute(sql, [company_uuid]).fetchall()[0][0]


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
    """Fill the temporary tables: `pages` (where each file is from), `landed` (the records), and those of children that
    have children. Gives the number of records."""
    links = [quote(link) for link in table.links]
    columns = {
        "filename VARCHAR": [str(page.file) for page in pages],
        "path VARCHAR": [page.path for page in pages],
        "request_id VARCHAR": [page.request_id for page in pages],
        "received_at TIMESTAMPTZ": [page.received_at for page in pages],
        **{f"{link} VARCHAR": [page.links[number] for page in pages] for number, link in enumerate(links)},
    }
    connection.execute(f"CREATE OR REPLACE TEMP TABLE pages ({', '.join(columns)})")
    connection.execute(f"INSERT INTO pages SELECT {', '.join(['unnest(?)'] * len(columns))}", list(columns.values()))
    records = read_records(table, [page.file for page in pages])
    if links:
        records = f"SELECT r.*, {', '.join(links)} FROM ({records}) r JOIN pages USING (filename)"
    try:
        landed = connection.execute(f"CREATE OR REPLACE TEMP TABLE landed AS {records}").fetchall()[0][0]
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        raise LoadError(_misshapen(table, pages)) from None
    for table_rows in rows(table):
        if table_rows.is_landed:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {table_rows.source} AS {table_rows.sql}")
    return landed


def _keep_raw(
    connection: duckdb.DuckDBPyConnection, company_uuid: str, table: Table, pages: Sequence[LandedPage]
) -> None:
    """The records just landed, whole and as they came."""
    objects = read_objects([page.file for page in pages])
    connection.execute(
        f"INSERT INTO raw.{quote(table.name)} SELECT $1, request_id, received_at, path, json "
        f"FROM ({objects}) JOIN pages USING (filename)",
        [company_uuid],
    )


def _misshapen(table: Table, pages: Sequence[LandedPage]) -> str:
    # DuckDB's own words would quote the record, which may hold personal data.
    return (
        f"{table.name}: an answer of {pages[0].path} has another shape than declared: a list or an object where "
        "something else belongs. Nothing was changed."
    )


def _insert(
    connection: duckdb.DuckDBPyConnection,
    table_rows: Rows,
    company_uuid: str,
    source: Table,
    pages: Sequence[LandedPage],
) -> int:
    """Add the landed rows of one table; gives how many."""
    sql = f"INSERT INTO {_staging(table_rows)} BY NAME {table_rows.select()}"
    try:
        return connection.execute(sql, {"company": company_uuid}).fetchall()[0][0]
    except (duckdb.ConversionException, duckdb.InvalidInputException):
        connection.rollback()  # an aborted transaction answers no questions; the records are landed again
        _land(connection, source, pages)
        raise LoadError(_bad_value(connection, table_rows)) from None


def _check_lists(connection: duckdb.DuckDBPyConnection, table_rows: Rows) -> None:
    """Refuse a list of objects that is none: DuckDB would read it as no rows at all."""
    paths = [path for child in table_rows.table.children for path in child.at]
    if not paths:
        return
    # DuckDB writes landed JSON without blanks, so its first characters tell what it is.
    good = {"[]": "'[{', '[]', 'nu'", "{}": "'{}', '{\"', 'nu'"}
    strange = ", ".join(f"count(*) FILTER (left({text(path[:-2])}, 2) NOT IN ({good[path[-2:]]}))" for path in paths)
    found = connection.execute(f"SELECT {strange} FROM {table_rows.source}").fetchall()[0]
    for path, count in zip(paths, found, strict=True):
        if count:
            what = f"{table_rows.table.name}: field {path[:-2]} is not the list of objects it is declared to be"
            raise LoadError(f"{what} in {count} records. Nothing was changed.")


def _bad_value(connection: duckdb.DuckDBPyConnection, table_rows: Rows) -> str:
    """Name the first field whose text does not fit its type, and its record; never the value."""
    for column in table_rows.table.columns:
        if column.type in (TEXT, LIST, JSON):
            continue
        landed = text(column.path)
        identity = [quote(link) for link in table_rows.links] + (["r.uuid"] if "uuid" in table_rows.table.key else [])
        found = connection.execute(
            f"SELECT {', '.join([*identity, 'position'])} FROM {table_rows.source} "
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
    table = table_rows.table.name
    new = f"(FROM staging.{quote(table)} WHERE company_uuid = $1)"
    keys = [quote(key) for key in table_rows.key]
    if keys:
        missing, repeated = connection.execute(
            f"SELECT count(*) FILTER ({' OR '.join(f'{key} IS NULL' for key in keys)}), "
            f"count(*) - count(DISTINCT ({', '.join(keys)})) FROM {new}",
            [company_uuid],
        ).fetchall()[0]
        names = " + ".join(table_rows.key)
        yield Check("key_not_null", table, not missing, f"{missing} rows have no {names}")
        yield Check("key_unique", table, not repeated, f"{repeated} rows repeat the key {names}")
    if table_rows.parent and table_rows.links and "uuid" in table_rows.parent.table.key:
        parent = quote(table_rows.parent.table.name)
        orphans = connection.execute(
            f"SELECT count(*) FROM {new} WHERE {quote(table_rows.links[0])} NOT IN "
            f"(SELECT uuid FROM staging.{parent} WHERE company_uuid = $1 AND uuid IS NOT NULL)",
            [company_uuid],
        ).fetchall()[0][0]
        yield Check("no_orphans", table, not orphans, f"{orphans} rows have no {table_rows.parent.table.singular}")


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
    step = 1 + sum(file.stat().st_size for file in files) // _DRIFT_SAMPLE
    found = (
        files
        and connection.execute(f"SELECT json_group_structure(json) FROM ({read_objects(files[::step])})").fetchall()[0][
            0
        ]
    )
    fields = sorted(_undeclared(json.loads(found), table, "", {"company_uuid"})) if found else []
    connection.execute(
        "INSERT INTO meta.drift SELECT $1, $2, field, $3 FROM (SELECT unnest($4::VARCHAR[]) AS field) "
        "ANTI JOIN (FROM meta.drift WHERE company_uuid = $1 AND source = $2) USING (field)",
        [company_uuid, table.name, seen_at, fields],
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
