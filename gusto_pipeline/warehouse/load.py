"""From landed answers to staging tables: stage, check, swap, for one company or many at once.

A load fails whole: its checks run on the new rows before the transaction it is part of is committed. Every statement
is about all its companies, so ten of them take hardly longer than one. Answers that are, byte for byte, those that were
loaded last are not loaded again; their rows are only checked.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from gusto_pipeline.schema import INSTANT, JSON, LIST, TEXT, Table, walk
from gusto_pipeline.warehouse.flatten import (
    Rows,
    fits,
    inline,
    literal,
    quote,
    read_objects,
    read_records,
    record_type,
    rows,
    structures,
    text,
)
from gusto_pipeline.warehouse.warehouse import define, describe

# Bytes of answers landed at a time, so that memory does not grow with a company.
_BATCH = 64 * 1024 * 1024
_MEMORY = "400MB"
_DRIFT_SAMPLE = 8 * 1024 * 1024
_SMALL = 20


@dataclass(frozen=True)
class LandedPage:
    """One answer on disk. `links` are the values of the table's link columns (the employee it was asked for). `digest`:
    of the body; an answer without one counts as new."""

    file: Path
    path: str
    request_id: str
    received_at: datetime
    links: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class Landing:
    """All answers of one source for a company. `total` is the number of rows the API says there are, None where it
    does not say."""

    company_uuid: str
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
    checks: list[Check]
    drift: dict[str, list[str]]


class LoadError(Exception):
    """Answers could not be turned into rows; the message names source, field and record. Nothing was changed."""


class LoadRefusedError(LoadError):
    """The new rows failed their checks, so the last good ones stay. `checks` holds all of them."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = tuple(checks)
        failed = [f"{check.table}: {check.problem}" for check in checks if not check.passed]
        super().__init__(f"{'; '.join(failed)}. The last good rows are kept.")


def load(
    connection: duckdb.DuckDBPyConnection,
    landings: Sequence[Landing],
    *,
    seen_at: datetime,
    accept_shrink: bool = False,
) -> dict[str, Load]:
    """Replace each company's rows of every table of `landings` by what was landed; gives what was done, by company.

    `connection` is in a transaction, which any error must end: then nothing was changed. `accept_shrink` lets a table
    lose more than half of its rows, which otherwise refuses the load. Raises LoadError or LoadRefusedError for the
    first company whose answers do not fit or whose rows fail their checks; load each alone to know of all.
    """
    connection.execute(f"SET memory_limit = '{_MEMORY}'")
    done = {landing.company_uuid: Load({}, [], {}) for landing in landings}
    by_source: defaultdict[str, list[Landing]] = defaultdict(list)
    for landing in landings:
        by_source[landing.table.name].append(landing)
    for source, of_source in by_source.items():
        try:
            _load_source(connection, of_source, done, seen_at, accept_shrink)
        except duckdb.InvalidInputException as error:
            malformed = re.search(r'Malformed JSON in file "(.+)", at byte .+?: (.+?)\.?\s*$', str(error))
            if not malformed:
                raise
            file, reason = malformed.groups()
            path = _path([(landing.company_uuid, page) for landing in of_source for page in landing.pages], file)
            raise LoadError(f"{source}: the answer of {path} is no JSON: {reason}. Nothing was changed.") from None
    for company in done.values():
        if not all(check.passed for check in company.checks):
            raise LoadRefusedError(company.checks)
    return done


def _load_source(
    connection: duckdb.DuckDBPyConnection,
    landings: Sequence[Landing],
    done: dict[str, Load],
    seen_at: datetime,
    accept_shrink: bool,
) -> None:
    """Swap the rows of one source where its answers are new, and add what came of it to `done`."""
    table, companies = landings[0].table, [landing.company_uuid for landing in landings]
    raw, tables = f"raw.{quote(table.name)}", list(rows(table))
    of_companies = _of(companies)
    before = _counts(connection, (raw, *(of.staging for of in tables)), of_companies)
    known = _loaded(connection, table, of_companies)
    digests = {company: _digest(landing) for company, landing in zip(companies, landings, strict=True)}
    there = {company: sum(counts[company] for counts in before.values()) for company in companies}
    same = {company for company in companies if known.get(company, _Loaded())[:2] == (digests[company], there[company])}
    drift: dict[str, Sequence[str]] = {company: known[company].drift for company in same}
    new = [landing for landing in landings if landing.company_uuid not in same]
    if new:
        drift |= _swap(connection, new, before, seen_at)
    keys, orphans = _keys(connection, tables, of_companies), _orphans(connection, tables, of_companies)
    for table_rows in tables:
        name, key = table_rows.table.name, " + ".join(table_rows.key)
        for company in companies:
            now, missing, repeated = keys.get((name, company), (0, 0, 0))
            done[company].rows[name] = now
            checks = done[company].checks
            if key:
                checks.append(Check("primary_key", name, not missing, f"{missing} rows have no {key}"))
                checks.append(Check("primary_key", name, not repeated, f"{repeated} rows repeat the key {key}"))
            if parent := table_rows.parent_by_uuid:
                alone = orphans[name, company]
                problem = f"{alone} rows have no {parent.table.singular}"
                checks.append(Check("no_orphans", name, not alone, problem))
            checks.append(_not_collapsed(name, before[table_rows.staging][company], now, accept_shrink))
    landed = _counts(connection, (raw,), of_companies)[raw]
    loaded = {}
    for landing in landings:
        company, fields = landing.company_uuid, list(drift.get(landing.company_uuid, ()))
        done[company].checks.append(_total(landing, landed[company], done[company].rows))
        if fields:
            done[company].drift[table.name] = fields
        now = landed[company] + sum(done[company].rows[of.table.name] for of in tables)
        loaded[company] = _Loaded(digests[company], now, fields)
    _remember(connection, table, {company: loaded[company] for company in companies if company not in same}, seen_at)


def _swap(
    connection: duckdb.DuckDBPyConnection,
    landings: Sequence[Landing],
    before: Mapping[str, Mapping[str, int]],
    seen_at: datetime,
) -> dict[str, list[str]]:
    """Replace the rows of one source; gives each company's fields that the catalog does not declare."""
    table, of_companies = landings[0].table, _of(landing.company_uuid for landing in landings)
    tables = list(rows(table))
    with connection.cursor() as beside, ThreadPoolExecutor(1) as pool:
        if sum(map(_size, landings)) <= _DRIFT_SAMPLE:
            looking = pool.submit(_structures, beside, landings)
        else:  # memory that another thread has used is not had again
            looking = Future()
            looking.set_result(_structures(beside, landings))
        for name in before:
            connection.execute(f"DELETE FROM {name} WHERE {of_companies}")
        answers = ((landing.company_uuid, page) for landing in landings for page in landing.pages)
        for pages in _batches(answers, _BATCH, numbered="position" in table.key):
            _land(connection, table, pages)
            _keep_raw(connection, table, pages)
            for table_rows in tables:
                _insert(connection, table_rows, table, pages)
        if bare := _bare(connection, tables):
            define(connection, ";".join(map(describe, bare)))
        return _drift(connection, table, looking.result(), seen_at)


def _of(companies: Iterable[str]) -> str:
    """The SQL condition for the rows of these companies."""
    return f"company_uuid IN ({', '.join(map(literal, companies))})"


def _digest(landing: Landing) -> str | None:
    """A fingerprint of a company's answers and of what makes rows of them; None if one of the answers has none."""
    if not all(page.digest for page in landing.pages):
        return None
    answers = [[page.digest, *page.links] for page in landing.pages]
    return sha256(json.dumps([_recipe(landing.table), answers]).encode()).hexdigest()


@functools.cache
def _recipe(table: Table) -> str:
    """A fingerprint of how rows are made of a source's answers."""
    made_by = [read_records(table, ()), *(of.select() for of in rows(table))]
    return sha256("\n".join(made_by).encode()).hexdigest()


class _Loaded(NamedTuple):
    """What is remembered of a company's answers that were loaded: their digest, how many rows there were in all tables
    of their source then, and the fields in them that the catalog does not declare."""

    digest: str | None = ""
    rows: int = 0
    drift: Sequence[str] = ()


def _loaded(connection: duckdb.DuckDBPyConnection, source: Table, of_companies: str) -> dict[str, _Loaded]:
    found = connection.execute(
        "SELECT company_uuid, digest, rows, drift FROM meta.loads "
        f"WHERE source = {literal(source.name)} AND {of_companies}"
    ).fetchall()
    return {company: _Loaded(digest, rows, json.loads(drift)) for company, digest, rows, drift in found}


def _remember(
    connection: duckdb.DuckDBPyConnection, source: Table, loaded: Mapping[str, _Loaded], now: datetime
) -> None:
    if not loaded:
        return
    connection.execute(f"DELETE FROM meta.loads WHERE source = {literal(source.name)} AND {_of(loaded)}")
    columns = ("company_uuid", "source", "digest", "rows", "drift", "loaded_at")
    known = [
        (company, source.name, one.digest, one.rows, json.dumps(list(one.drift)), now.isoformat())
        for company, one in loaded.items()
        if one.digest
    ]
    if known:
        connection.execute(f"INSERT INTO meta.loads BY NAME {inline(columns, known)}")


def _bare(connection: duckdb.DuckDBPyConnection, tables: Iterable[Rows]) -> list[Rows]:
    """The tables whose comments are not written yet."""
    found = connection.execute(
        "FROM duckdb_tables() SELECT table_name "
        "WHERE database_name = current_database() AND schema_name = 'staging' AND comment IS NULL"
    ).fetchall()
    return [table_rows for table_rows in tables if (table_rows.table.name,) in found]


def _counts(
    connection: duckdb.DuckDBPyConnection, tables: Iterable[str], of_companies: str
) -> defaultdict[str, Counter[str]]:
    """Rows of each table by company."""
    count = "SELECT {name} AS name, company_uuid, count(*) FROM {table} WHERE {of} GROUP BY company_uuid"
    parts = [count.format(name=literal(table), table=table, of=of_companies) for table in tables]
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for table, company, number in connection.execute(" UNION ALL ".join(parts)).fetchall():
        counts[table][company] = number
    return counts


def _keys(
    connection: duckdb.DuckDBPyConnection, tables: Iterable[Rows], of_companies: str
) -> dict[tuple[str, str], tuple[int, int, int]]:
    """By table and company: rows, those that lack a part of their key, and those that repeat another's."""

    def groups(table_rows: Rows) -> str:
        keys = [quote(key) for key in table_rows.key] or ["rowid"]
        lacking = " OR ".join(f"{key} IS NULL" for key in keys)
        return (
            f"SELECT {literal(table_rows.table.name)} AS name, company_uuid, {lacking} AS missing, count(*) AS rows "
            f"FROM {table_rows.staging} WHERE {of_companies} GROUP BY company_uuid, {', '.join(keys)}"
        )

    counts = "sum(rows), coalesce(sum(rows) FILTER (missing), 0), coalesce(sum(rows - 1) FILTER (NOT missing), 0)"
    sql = f"SELECT name, company_uuid, {counts} FROM ({' UNION ALL '.join(map(groups, tables))}) GROUP BY ALL"
    found = connection.execute(sql).fetchall()
    return {(name, company): (int(now), int(missing), int(repeated)) for name, company, now, missing, repeated in found}


def _orphans(
    connection: duckdb.DuckDBPyConnection, tables: Iterable[Rows], of_companies: str
) -> Counter[tuple[str, str]]:
    """By table and company: rows whose parent record is not there."""
    links, parents = [], {}
    for table_rows in tables:
        if parent := table_rows.parent_by_uuid:
            name, of, link = literal(table_rows.table.name), literal(parent.table.name), quote(table_rows.links[0])
            own = f"FROM {table_rows.staging} WHERE {of_companies} AND {link} IS NOT NULL"
            links.append(f"SELECT {name} AS name, {of} AS parent, company_uuid, {link} AS uuid {own}")
            parents[of] = f"SELECT {of} AS parent, company_uuid, uuid FROM {parent.staging} WHERE {of_companies}"
    if not links:
        return Counter()
    found = connection.execute(
        f"SELECT name, company_uuid, count(*) FROM ({' UNION ALL '.join(links)}) "
        f"ANTI JOIN ({' UNION ALL '.join(parents.values())}) USING (parent, company_uuid, uuid) GROUP BY ALL"
    ).fetchall()
    return Counter({(name, company): number for name, company, number in found})


_Page = tuple[str, LandedPage]  # with the company it is of


def _batches(pages: Iterable[_Page], bytes: int, *, numbered: bool = False) -> Iterator[Sequence[_Page]]:
    """The pages, `bytes` at a time. If rows are `numbered` from one page to the next, such pages stay together."""
    batch: list[_Page] = []
    size = 0
    for company_uuid, page in pages:
        goes_on = numbered and batch and (batch[-1][0], batch[-1][1].links) == (company_uuid, page.links)
        if size >= bytes and not goes_on:
            yield batch
            batch, size = [], 0
        batch.append((company_uuid, page))
        size += page.file.stat().st_size
    if batch:
        yield batch


def _files(pages: Sequence[_Page]) -> list[Path]:
    return [page.file for _, page in pages]


def _path(pages: Sequence[_Page], file: str) -> str:
    """The request whose answer is in a file."""
    return next(page.path for _, page in pages if str(page.file) == file)


def _describe(connection: duckdb.DuckDBPyConnection, table: Table, pages: Sequence[_Page]) -> None:
    """Fill the temporary table `pages`: whose each file is and where it is from."""
    names = ("company_uuid", "filename", "path", "request_id", "received_at", *table.links)
    described = (
        (company, str(page.file), page.path, page.request_id, page.received_at.isoformat(), *page.links)
        for company, page in pages
    )
    typed = f"SELECT * REPLACE (CAST(received_at AS {INSTANT}) AS received_at) FROM ({inline(names, described)})"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE pages AS {typed}")


def _land(connection: duckdb.DuckDBPyConnection, table: Table, pages: Sequence[_Page]) -> None:
    """Fill the temporary tables `pages` and `landed` (its records)."""
    _describe(connection, table, pages)
    given = ", ".join(f"page.{name} AS {name}" for name in ["company_uuid", *map(quote, table.links)])
    # A subquery, where a join would copy every record: a fifth of the time.
    page = "(SELECT pages FROM pages WHERE pages.filename = records.filename) AS page"
    records = f"SELECT {given}, filename, r FROM (SELECT *, {page} FROM ({read_records(table, _files(pages))}) records)"
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE landed AS {records}")
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        connection.rollback()  # an aborted transaction answers no questions
        raise LoadError(_misshapen(connection, table, pages)) from None


def _keep_raw(connection: duckdb.DuckDBPyConnection, table: Table, pages: Sequence[_Page]) -> None:
    """The records just landed, whole and as they came."""
    own_key = {column.path for column in table.columns} & set(table.key)
    # Where a key would be missing, a check says so.
    record = "json" if own_key else f"CASE WHEN {_is_foreign('json', table)} THEN error('another kind') ELSE json END"
    found = f"({read_objects(_files(pages))}) JOIN pages USING (filename)"
    try:
        connection.execute(
            f"INSERT INTO raw.{quote(table.name)} "
            f"SELECT company_uuid, request_id, received_at, path, {record} FROM {found}"
        )
    except duckdb.InvalidInputException:
        connection.rollback()
        sql = f"SELECT filename FROM ({read_objects(_files(pages))}) WHERE {_is_foreign('json', table)} LIMIT 1"
        [(file,)] = connection.execute(sql).fetchall()
        raise LoadError(_foreign(table, f"the answer of {_path(pages, file)}")) from None


def _is_foreign(record: str, table: Table) -> str:
    """SQL condition: a record is not empty but has none of the fields that it is for."""
    names = ", ".join(map(literal, sorted(_names(table))))
    return f"({record} = 'null' OR len(json_keys({record})) > 0 AND NOT list_has_any(json_keys({record}), [{names}]))"


def _names(table: Table) -> set[str]:
    """The keys that a record of a table is for: its lists, where only those hold rows, else all that are declared."""
    children = {at for child in table.children for at in child.at}
    own = {*(column.path for column in table.columns), *table.elsewhere, *table.links} if table.columns else set()
    return {path.partition(".")[0].rstrip("[]{}") for path in children | own}


def _foreign(table: Table, where: str) -> str:
    return f"{table.name}: records in {where} have none of the fields declared for them. Nothing was changed."


def _foreign_lists(found: Any, table: Table, prefix: str = "") -> Iterator[str]:
    """Paths of the lists in `found` (DuckDB's structure of the records) whose records are all of another kind."""
    for child in table.children:
        for at in child.at:
            inner = found
            for key in at[:-2].split("."):
                inner = inner.get(key) if isinstance(inner, dict) else None
            if at.endswith("[]") and isinstance(inner, list) and isinstance(inner[0], dict):
                if inner[0] and not inner[0].keys() & _names(child):
                    yield f"{prefix}{at}"
                yield from _foreign_lists(inner[0], child, f"{prefix}{at}.")


def _misshapen(connection: duckdb.DuckDBPyConnection, table: Table, pages: Sequence[_Page]) -> str:
    """Name the first list or object that is something else. DuckDB's own words would quote it; it may be personal."""
    objects = read_objects(_files(pages))
    for path, kind in structures(record_type(table)):
        types = f"unnest(json_type(json, '{path}'))" if "*" in path else f"json_type(json, '{path}')"
        found = f"SELECT {types} AS type, filename FROM ({objects})"
        sql = f"SELECT count(*), min(filename) FROM ({found}) WHERE type NOT IN ('NULL', '{kind}')"
        [(strange, file)] = connection.execute(sql).fetchall()
        if strange:
            field = path.replace("[*]", "[]").replace('"', "").removeprefix("$").removeprefix(".") or "itself"
            return (
                f"{table.name}: field {field} is not the {kind.lower()} it is declared to be in {strange} records of "
                f"{_path(pages, file)}. Nothing was changed."
            )
    return f"{table.name}: an answer of {pages[0][1].path} has another shape than declared. Nothing was changed."


def _insert(connection: duckdb.DuckDBPyConnection, table_rows: Rows, source: Table, pages: Sequence[_Page]) -> None:
    """Add the landed rows of one table."""
    try:
        connection.execute(f"INSERT INTO {table_rows.staging} BY NAME {table_rows.select()}")
    except (duckdb.ConversionException, duckdb.InvalidInputException):
        connection.rollback()  # an aborted transaction answers no questions; the records are landed again
        _land(connection, source, pages)
        raise LoadError(_changed_type(connection, table_rows, source)) from None


def _changed_type(connection: duckdb.DuckDBPyConnection, table_rows: Rows, source: Table) -> str:
    """Name the first field whose text does not fit its type, its record and what came instead; never the value."""
    table = table_rows.table
    where = table.name if table == source else f"{source.name}, {table.name}"
    own = {column.path for column in table.columns}
    for column in table.columns:
        if column.type in (TEXT, LIST, JSON):
            continue
        keys = [text(key) if key in own else quote(key) for key in table_rows.key if key != column.path]
        landed = text(column.path)
        fit, cast = fits(landed, column.type), f"TRY_CAST({landed} AS {column.type})"
        found = connection.execute(
            f"SELECT {landed}, {fit}, count(*) OVER () - 1, {', '.join(keys or ['company_uuid'])} "
            f"FROM ({table_rows.sql}) WHERE {landed} <> '' AND (NOT {fit} OR {cast} IS NULL) LIMIT 1"
        ).fetchall()
        for value, written_so, others, *parts in found:
            record, came = " / ".join(map(str, parts)), _kind(value) + (" out of its range" if written_so else "")
            return (
                f"{where}: field {column.path} of record {record} is not a {column.type} but {came}"
                + (f", and so in {others} more" if others else "")
                + ". Nothing was changed; the record is in Gusto under that id."
            )
    return f"{where}: a value does not fit its declared type. Nothing was changed."


_DATE = r"\d{4}-\d\d-\d\d"
_KINDS = {
    "true|false": "true or false",
    r"[+-]?\d+": "a whole number",
    r"[+-]?\d*\.\d*": "a decimal number",
    r"[+-]?[\d.]+[eE][+-]?\d+": "a number with an exponent",
    _DATE: "a date",
    rf"{_DATE}[T ][\d:.]+": "a time without a zone",
    rf"{_DATE}[T ][\d:.]+ ?(Z|[+-][\d:]+)": "an instant",
}


def _kind(value: str) -> str:
    """What a value is, for people who must not see it."""
    if value[0] in "{[":
        return "an object" if value[0] == "{" else "a list"
    kind = next((kind for pattern, kind in _KINDS.items() if re.fullmatch(pattern, value)), "text")
    places = re.search(r"\.(\d+)", value) if kind != "text" else None
    return f"{kind} ({len(places[1])} after the point)" if places else kind


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


def _size(landing: Landing) -> int:
    return sum(page.file.stat().st_size for page in landing.pages)


def _structures(connection: duckdb.DuckDBPyConnection, landings: Sequence[Landing]) -> list[tuple[str, Any]]:
    """What the records of each company's answers are made of, as DuckDB's structures of them.

    Of big answers only some pages are looked at: the structure of every record would cost as much as the load itself.
    """
    sample: list[_Page] = []
    for landing in landings:
        step = 1 + _size(landing) // _DRIFT_SAMPLE
        sample += [(landing.company_uuid, page) for page in landing.pages[::step]]
    found: list[tuple[str, Any]] = []
    for pages in _batches(sample, _DRIFT_SAMPLE):
        _describe(connection, landings[0].table, pages)
        structures_of = connection.execute(
            f"SELECT company_uuid, json_group_structure(json) FROM ({read_objects(_files(pages))}) "
            "JOIN pages USING (filename) GROUP BY company_uuid"
        ).fetchall()
        found += [(company, json.loads(structure)) for company, structure in structures_of]
    return found


def _drift(
    connection: duckdb.DuckDBPyConnection, table: Table, found: Iterable[tuple[str, Any]], seen_at: datetime
) -> dict[str, list[str]]:
    """Fields in each company's answers that the catalog does not declare, kept in meta.drift with when first seen."""
    drift: defaultdict[str, set[str]] = defaultdict(set)
    for company, fields in found:
        for at in _foreign_lists(fields, table):
            raise LoadError(_foreign(table, f"field {at}"))
        drift[company] |= set(_undeclared(fields, table, "", {"company_uuid"}))
    new = [(company, table.name, field, seen_at.isoformat()) for company, fields in drift.items() for field in fields]
    if new:
        columns = ("company_uuid", "source", "field", "first_seen")
        connection.execute(
            f"INSERT INTO meta.drift FROM ({inline(columns, new)}) "
            "ANTI JOIN meta.drift USING (company_uuid, source, field)"
        )
    return {company: sorted(fields) for company, fields in drift.items() if fields}


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
