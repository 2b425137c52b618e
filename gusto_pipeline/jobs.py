"""Flatten jobs: what pipeline.yaml's `jobs` ask for, carried out for one company."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

import duckdb

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import FlattenJob, Settings
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.spreadsheets import changes, columns
from gusto_pipeline.spreadsheets.changes import Counts, Version
from gusto_pipeline.spreadsheets.destinations import is_remote, send
from gusto_pipeline.spreadsheets.files import not_written
from gusto_pipeline.spreadsheets.layout import Choice, Layout, arrange, kind_of
from gusto_pipeline.spreadsheets.workbook import Subject, write_tables
from gusto_pipeline.spreadsheets.writers import Column, Sheet, Written
from gusto_pipeline.sync import Company, connected_companies, find_company, open_store, open_warehouse
from gusto_pipeline.warehouse.flatten import Rows, literal, rows


@dataclass(frozen=True)
class Delivered:
    """A job's output for one company: where it is, whether anything there changed, rows per sheet, size, warnings, and
    what has become new or gone in Gusto's answers."""

    place: str
    changed: bool
    sheets: dict[str, int]
    bytes: int
    warnings: tuple[str, ...]
    since: datetime | None  # when the present content was written; Google does not say
    changes: dict[str, Counts]  # of sheets with other rows than the job's last output had; empty the first time
    news: tuple[str, ...]


def job_tables(job: FlattenJob) -> list[Rows]:
    """Every table of a job's categories, the first category's own table first."""
    return [r for name in job.categories for source in CATEGORIES[name].sources for r in rows(source.table)]


def job_layout(job: FlattenJob) -> Layout:
    """A job's columns, filters and PII policy as the workbook takes them."""
    columns = {
        table: tuple(Choice(pick.column, pick.sql, pick.header) for pick in picks)
        for table, picks in job.columns.items()
    }
    return Layout(columns, job.filter, job.pii)


def job_subject(job: FlattenJob, company: Company, settings: Settings) -> Subject:
    """What the job's workbook is, and where its versions are remembered."""
    comment = "; ".join(f"{CATEGORIES[name].title}: {CATEGORIES[name].comment}" for name in job.categories)
    return Subject(f"job {job.name}", comment, job.categories, settings.versions / company.slug / job.name)


def job_companies(job: FlattenJob, settings: Settings) -> list[Company]:
    """The companies a job is for, by their names in Gusto. Raises UnknownCompanyError."""
    store = open_store(settings)
    return [find_company(store, name) for name in job.companies] if job.companies else connected_companies(store)


def job_folder(job: FlattenJob, company: Company, settings: Settings) -> Path:
    """Where the job's files are written on this machine; for a remote destination, where they wait to be sent."""
    if job.format == "google_sheets" or is_remote(job.destination):
        return settings.home / "outbox" / job.name / company.slug
    return Path(job.destination) if job.destination else settings.spreadsheets_folder / company.slug


def flatten(
    job: FlattenJob, company: Company, settings: Settings, *, run: str = "", clock: Clock = utcnow
) -> Delivered:
    """Write a job's output for a company from the warehouse and put it where the job says. `run` names the run.

    Raises SpreadsheetError, WarehouseError or ConnectionStoreError; what was there before then stays.
    """
    folder = settings.versions / company.slug / job.name
    before = changes.load(folder)
    files = _write(job, company, settings, clock)
    if job.format != "xlsx" and not all(file.unchanged for file in files):
        try:
            _remember(job, company, settings, before, folder, clock)
        except OSError as error:
            raise not_written(folder, error) from error
    differences = changes_of(before, changes.load(folder), files)
    if job.format == "google_sheets":
        return _to_google(job, company, settings, files, run or uuid4().hex, differences)
    place, changed = str(files[0].path), not all(file.unchanged for file in files)
    if is_remote(job.destination):
        options = destination_options(job.destination, settings)
        sent = [send(file, job.destination, options) for file in files]
        place, changed = job.destination, any(sent)
    sheets = {name: rows for file in files for name, rows in file.sheets.items()}
    warnings = tuple(warning for file in files for warning in file.warnings)
    since = max(file.since for file in files)
    news = files[0].news
    return Delivered(place, changed, sheets, sum(file.bytes for file in files), warnings, since, differences, news)


def changes_of(before: Version | None, after: Version | None, files: Sequence[Written]) -> dict[str, Counts]:
    """Rows and cells that `files` have otherwise than the last ones had, by sheet, from the versions remembered."""
    if not (before and after and after.counts) or all(file.unchanged for file in files):
        return {}
    if (before.counts, before.previous, before.synced_at) == (after.counts, after.previous, after.synced_at):
        return {}  # the same rows, written anew because they look different
    return {sheet: counts for sheet, counts in after.counts.items() if counts != Counts()}


def _remember(
    job: FlattenJob, company: Company, settings: Settings, before: Version | None, folder: Path, clock: Clock
) -> None:
    """Do for files that remember nothing what a workbook does for itself: keep what they show, and how it changed."""
    with open_warehouse(settings).read() as connection, changes.draft(folder) as fresh:
        sheets = arrange(connection, job_tables(job), company.uuid, job_layout(job), columns.load(folder)).sheets
        now = changes.take(connection, sheets, fresh, folder)
        counts = None
        if before:
            with suppress(duckdb.Error):  # an earlier snapshot that is gone or damaged: as if there had been none
                old = before.snapshots(folder)
                counts = changes.compare(connection, old, now, sheets, fresh, job.timezone).counts
        headers = {name: list(snapshot.headers) for name, snapshot in now.items()}
        changes.keep(folder, Version("", fresh.name, headers, clock().isoformat(), None, counts, "", 0, {}, []))


def _write(job: FlattenJob, company: Company, settings: Settings, clock: Clock) -> list[Written]:
    today = clock().astimezone(ZoneInfo(job.timezone)).date().isoformat()
    return write_tables(
        open_warehouse(settings),
        job.file.format(job=job.name, company=company.slug, date=today),
        job_tables(job),
        company.uuid,
        job_folder(job, company, settings),
        formats=["parquet" if job.format == "google_sheets" else job.format],
        timezone=job.timezone,
        subject=job_subject(job, company, settings),
        layout=job_layout(job),
    )


def _to_google(
    job: FlattenJob,
    company: Company,
    settings: Settings,
    files: list[Written],
    run: str,
    differences: dict[str, Counts],
) -> Delivered:
    """Send the tables to Google from their Parquet files: the warehouse is not held while Google is spoken to."""
    # Google's libraries take longer to import than most commands to run.
    from gusto_pipeline.google_connection import google
    from gusto_pipeline.spreadsheets.google_sheets import write_google_sheet

    several = len(job_companies(job, settings)) > 1
    with duckdb.connect() as connection:
        sheets = []
        for table, file in zip(job_tables(job), files, strict=True):
            query = f"FROM read_parquet({literal(str(file.path))})"
            described = connection.execute(f"DESCRIBE {query}").fetchall()
            columns = tuple(Column(name, type=type, kind=kind_of(name, type)) for name, type, *_ in described)
            name = f"{company.slug} {table.table.name}" if several else table.table.name
            sheets.append(Sheet(name, query, columns))
        with google(settings) as client:
            written = write_google_sheet(connection, sheets, job.destination, client, run=run, timezone=job.timezone)
    size = sum(file.bytes for file in files)
    warnings, news = (*files[0].warnings, *written.warnings), files[0].news
    return Delivered(written.url, not written.unchanged, written.sheets, size, warnings, None, differences, news)


def destination_options(destination: str, settings: Settings) -> dict[str, str]:
    """The storage options kept for a remote destination, by scheme and host (`destination/s3-bucket`) or by scheme."""
    store, parts = open_store(settings), urlsplit(destination)
    host = (parts.hostname or "").replace("/", "-")
    return store.read(f"destination/{parts.scheme}-{host}") or store.read(f"destination/{parts.scheme}") or {}
