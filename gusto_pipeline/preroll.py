"""The pre-roll check: everything that would go wrong with a flatten job, named before it runs, and what it will cost.

It changes nothing: one token_info request per company, a probe file written and removed at the destination, and
questions to the warehouse.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import urlsplit

import duckdb
import fsspec
import gspread

from gusto_pipeline.config import EVERYBODY, FlattenJob, Settings
from gusto_pipeline.connections.store import ConnectionStoreError
from gusto_pipeline.google_connection import google
from gusto_pipeline.gusto.catalog import CATEGORIES, Source
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import GustoError
from gusto_pipeline.jobs import destination_options, job_companies, job_folder, job_layout, job_subject, job_tables
from gusto_pipeline.schema import walk
from gusto_pipeline.spreadsheets.columns import load
from gusto_pipeline.spreadsheets.destinations import is_remote
from gusto_pipeline.spreadsheets.layout import Choice, Layout, arrange
from gusto_pipeline.spreadsheets.writers import SpreadsheetError
from gusto_pipeline.sync import Company, UnknownCompanyError, find_company, open_store, open_warehouse, parents_of
from gusto_pipeline.warehouse.flatten import Rows, bind, quote
from gusto_pipeline.warehouse.warehouse import WarehouseError

XLSX_ROWS = 1_048_576
_BYTES_PER_CELL = 12  # of a compressed workbook, measured on the demo company
_SECONDS_PER_REQUEST = 0.4
_LITTLE = 100 * 1024 * 1024


@dataclass(frozen=True)
class Preroll:
    """What was found: problems stop the job, warnings do not; the estimate is for all its companies together."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    requests: int
    rows: int
    bytes: int

    @property
    def minutes(self) -> float:
        """Rough time of the run, most of it waiting for Gusto; no faster than 200 requests a minute."""
        return max(self.requests * _SECONDS_PER_REQUEST / 60, self.requests / 200 if self.requests > 200 else 0)


def preroll(job: FlattenJob, settings: Settings, connect: Callable[[Company], GustoClient]) -> Preroll:
    """Check `job` for all its companies. `connect` gives a client that uses a company's grant."""
    companies, problems = _companies(job, settings)
    warnings: list[str] = []
    for company in companies:
        problems += _access(job, company, connect)
    for folder in {job_folder(job, company, settings) for company in companies}:
        problems += _folder(folder)
    if job.format == "google_sheets":
        problems += _google(job, settings)
    elif is_remote(job.destination):
        problems += _remote(job, settings)
    for variable in settings.notify_of(job.name).to:
        if variable != EVERYBODY and not os.environ.get(variable):
            warnings.append(f"notify: {variable} is not set here, so nobody behind it is told of the runs")
    requests = rows = cells = 0
    try:
        with open_warehouse(settings).read() as connection:
            wrong = [problem for company in companies for problem in _layout(connection, job, company, settings)]
            problems += dict.fromkeys(wrong)
            for company in companies:
                for table in job_tables(job):
                    found = _count(connection, table.table.name, company)
                    rows, cells = rows + found, cells + found * len(table.columns)
                    if job.format == "xlsx" and found >= XLSX_ROWS:
                        what = f"{company.slug}: {table.table.name} has {found:,} rows"
                        warnings.append(f"{what}: more than a sheet holds, so it goes on in a second one")
                sources = [source for name in job.categories for source in CATEGORIES[name].sources]
                requests += sum(_requests(connection, source, company) for source in sources)
                warnings += _drift(connection, job, company)
    except WarehouseError as error:
        problems.append(str(error))
    return Preroll(tuple(problems), tuple(warnings), requests, rows, cells * _BYTES_PER_CELL)


def _companies(job: FlattenJob, settings: Settings) -> tuple[list[Company], list[str]]:
    try:
        if not job.companies:
            companies = job_companies(job, settings)
            return companies, [] if companies else ["no company is connected: run gusto-pipeline connect"]
        found, problems = [], []
        for name in job.companies:
            try:
                found.append(find_company(open_store(settings), name))
            except UnknownCompanyError as error:
                problems.append(str(error))
        return found, problems
    except ConnectionStoreError as error:
        return [], [str(error)]


def _access(job: FlattenJob, company: Company, connect: Callable[[Company], GustoClient]) -> list[str]:
    """The grant works, is for this company, and has the scopes the job's requests need."""
    try:
        with connect(company) as client:
            info = client.token_info()
    except (GustoError, ConnectionStoreError) as error:
        return [f"{company.slug}: {error}"]
    problems = []
    if info.company_uuid not in (None, company.uuid):
        problems.append(
            f"{company.slug}: its grant is for another company; run gusto-pipeline reconnect {company.slug}"
        )
    sources = [source for name in job.categories for source in CATEGORIES[name].sources if not source.gone]
    needed = {scope for source in sources for scope in source.scope.split()}
    missing = sorted(needed - info.scopes) if info.scopes else []
    return problems + [
        f"{company.slug}: the grant lacks the scope {scope}; ask for it in Gusto's developer portal, then reconnect"
        for scope in missing
    ]


def _folder(folder: Path) -> Iterator[str]:
    there = folder
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        yield f"{there} is a file where a folder has to be"
        return
    try:
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield f"{there} cannot be written: {error.strerror}"
    free = shutil.disk_usage(there).free
    if free < _LITTLE:
        yield f"{there} has only {free // 1024 // 1024} MB left"


def _remote(job: FlattenJob, settings: Settings) -> Iterator[str]:
    parts = urlsplit(job.destination)
    place = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    try:
        filesystem, folder = fsspec.url_to_fs(job.destination, **destination_options(job.destination, settings))
        filesystem.makedirs(folder, exist_ok=True)
        probe = f"{folder.rstrip('/')}/.gusto_pipeline_probe"
        filesystem.pipe_file(probe, b"")
        filesystem.rm_file(probe)
    except Exception as error:  # each filesystem has exceptions of its own
        yield f"{place} cannot be written: {type(error).__name__}: {str(error).splitlines()[0]}"


def _google(job: FlattenJob, settings: Settings) -> Iterator[str]:
    try:
        with google(settings) as client:
            (client.open_by_url if is_remote(job.destination) else client.open_by_key)(job.destination)
    except (SpreadsheetError, gspread.exceptions.GSpreadException) as error:
        yield f"Google spreadsheet {job.destination}: {error}"


def _layout(
    connection: duckdb.DuckDBPyConnection, job: FlattenJob, company: Company, settings: Settings
) -> Iterator[str]:
    """Every unknown table and column and every SQL that does not run, one by one."""
    tables, layout = job_tables(job), job_layout(job)
    memory = load(job_subject(job, company, settings).versions)

    def tried(tables: list[Rows], layout: Layout) -> Iterator[str]:
        try:
            arrange(connection, tables, company.uuid, layout, memory)
        except SpreadsheetError as error:
            yield str(error)

    known = {table.table.name: table for table in tables}
    for name in {*layout.columns, *layout.filters} - set(known):
        yield from tried(tables, Layout({name: layout.columns.get(name, ())}, {name: "true"}))
    for name, table in known.items():
        for choice in layout.columns.get(name, ()):
            yield from tried([table], Layout({name: (choice,)}, pii={choice.column: "keep"}))
        if name in layout.filters:
            yield from tried([table], Layout(filters={name: layout.filters[name]}))
    columns = arrange(connection, tables, company.uuid, Layout(), memory).columns
    for name in layout.pii:
        if not any(name in own for own in columns.values()):
            yield from tried(tables[:1], Layout({tables[0].table.name: (Choice(name),)}))


def _count(connection: duckdb.DuckDBPyConnection, table: str, company: Company) -> int:
    sql = f"SELECT count(*) FROM staging.{quote(table)} WHERE company_uuid = $1"
    return bind(connection, sql, [company.uuid]).fetchall()[0][0]


def _requests(connection: duckdb.DuckDBPyConnection, source: Source, company: Company) -> int:
    asked = len(parents_of(connection, source.per, company)) if source.per else 1
    return asked * len(source.variants) + (_further_pages(connection, source, company) if source.paged else 0)


def _further_pages(connection: duckdb.DuckDBPyConnection, source: Source, company: Company) -> int:
    """Pages beyond the first that the rows of the last sync took, for each thing asked about."""
    name = quote(next(walk(source.table)).name)
    group = ", ".join(["company_uuid", *(quote(link) for link in source.table.links)])
    counts = f"SELECT count(*) AS n FROM staging.{name} WHERE company_uuid = $1 GROUP BY {group}"
    found = bind(connection, f"SELECT coalesce(sum((n - 1) // 100), 0) FROM ({counts})", [company.uuid])
    return int(found.fetchall()[0][0])


def _drift(connection: duckdb.DuckDBPyConnection, job: FlattenJob, company: Company) -> Iterator[str]:
    sources = [source.name for name in job.categories for source in CATEGORIES[name].sources]
    found = bind(
        connection,
        "SELECT source, string_agg(field, ', ' ORDER BY field) FROM meta.drift "
        "WHERE company_uuid = $1 AND source IN (SELECT unnest($2::VARCHAR[])) GROUP BY source",
        [company.uuid, sources],
    ).fetchall()
    for source, fields in found:
        yield f"{company.slug}: Gusto sends new fields of {source}: {fields}"
