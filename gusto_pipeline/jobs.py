"""Flatten jobs: what pipeline.yaml's `jobs` ask for, carried out for one company."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import FlattenJob, Settings
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.spreadsheets.destinations import is_remote, send
from gusto_pipeline.spreadsheets.workbook import Choice, Layout, Subject, write_tables
from gusto_pipeline.spreadsheets.writers import Written
from gusto_pipeline.sync import Company, connected_companies, find_company, open_store, open_warehouse
from gusto_pipeline.warehouse.flatten import Rows, rows


@dataclass(frozen=True)
class Delivered:
    """A job's files for one company: as written here, where they went, and whether anything there changed."""

    files: list[Written]
    place: str
    changed: bool


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


def job_companies(job: FlattenJob, settings: Settings) -> list[Company]:
    """The companies a job is for, by their names in Gusto. Raises UnknownCompanyError."""
    store = open_store(settings)
    return [find_company(store, name) for name in job.companies] if job.companies else connected_companies(store)


def job_folder(job: FlattenJob, company: Company, settings: Settings) -> Path:
    """Where the job's files are written on this machine; for a remote destination, where they wait to be sent."""
    if not job.destination:
        return settings.spreadsheets_folder / company.slug
    return settings.home / "outbox" / job.name / company.slug if is_remote(job.destination) else Path(job.destination)


def flatten(job: FlattenJob, company: Company, settings: Settings, *, clock: Clock = utcnow) -> Delivered:
    """Write a job's files for a company from the warehouse and put them where the job says.

    Raises SpreadsheetError, WarehouseError or ConnectionStoreError; what was there before then stays.
    """
    today = clock().astimezone(ZoneInfo(job.timezone)).date().isoformat()
    files = write_tables(
        open_warehouse(settings),
        job.file.format(job=job.name, company=company.slug, date=today),
        job_tables(job),
        company.uuid,
        job_folder(job, company, settings),
        formats=[job.format],
        timezone=job.timezone,
        subject=Subject(
            f"job {job.name}",
            "; ".join(f"{CATEGORIES[name].title}: {CATEGORIES[name].comment}" for name in job.categories),
            job.categories,
            settings.versions / company.slug / job.name,
        ),
        layout=job_layout(job),
    )
    if not is_remote(job.destination):
        return Delivered(files, str(files[0].path), not all(file.unchanged for file in files))
    options = destination_options(job, settings)
    sent = [send(file, job.destination, options) for file in files]
    return Delivered(files, job.destination, any(sent))


def destination_options(job: FlattenJob, settings: Settings) -> dict[str, str]:
    """The storage options kept for a remote destination, by scheme and host (`destination/s3-bucket`) or by scheme."""
    store, parts = open_store(settings), urlsplit(job.destination)
    host = (parts.hostname or "").replace("/", "-")
    return store.read(f"destination/{parts.scheme}-{host}") or store.read(f"destination/{parts.scheme}") or {}
