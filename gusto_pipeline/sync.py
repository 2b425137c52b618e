"""Syncing a category of a company: ask Gusto, land the answers, load them. The one place that joins the two.

Requests come first and the warehouse's lock is held only for the load, so a slow Gusto blocks nobody. Every attempt is
written to meta.syncs, also the failed ones.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import unicodedata
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import duckdb
import httpx

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto.auth import OAuthApp, connection_record
from gusto_pipeline.gusto.catalog import CATEGORIES, Category, Per, Source
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import NotFoundError
from gusto_pipeline.gusto.fetch import Fetched, fetch, fetch_dropped, is_gone
from gusto_pipeline.warehouse.flatten import quote
from gusto_pipeline.warehouse.load import Check, LandedPage, Landing, load
from gusto_pipeline.warehouse.warehouse import Warehouse

_ABANDONED = timedelta(days=1)


@dataclass(frozen=True)
class Company:
    """A connected company: `slug` names its partition, files and folder; `name` is its legal name in Gusto."""

    slug: str
    uuid: str
    name: str


@dataclass(frozen=True)
class Synced:
    """What a sync of one category brought: rows per table, requests sent, where the records came from."""

    category: str
    company: Company
    rows: dict[str, int]
    checks: tuple[Check, ...]
    drift: dict[str, list[str]]
    requests: int
    started_at: datetime
    finished_at: datetime
    api_version: str
    origin: str
    notes: tuple[str, ...] = field(default=())

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class Disconnected:
    """A company that was connected once: when that was ended, and by what."""

    company: Company
    at: datetime
    by: str


class UnknownCompanyError(Exception):
    """No connected company has this name; the message lists those there are."""


def open_warehouse(settings: Settings) -> Warehouse:
    """The warehouse of `settings`, holding every source of the catalog."""
    return Warehouse(settings.warehouse, [s.table for category in CATEGORIES.values() for s in category.sources])


def open_store(settings: Settings) -> ConnectionStore:
    """The connection store of `settings`, opened with `$GUSTO_PIPELINE_KEY` or else the key file in its folder."""
    return ConnectionStore(settings.connections, os.environ.get("GUSTO_PIPELINE_KEY") or None)


def slugify(name: str, taken: Iterable[str] = ()) -> str:
    """A company's name as a readable key of lower-case ASCII letters, digits and hyphens, not among `taken`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60] or "company"
    number, free, used = 1, slug, set(taken)
    while free in used:
        number += 1
        free = f"{slug}-{number}"
    return free


def connected_companies(store: ConnectionStore) -> list[Company]:
    """Every connected company, by slug."""
    found = []
    for name in store.names("gusto/"):
        record = store.read(name) or {}
        found.append(Company(name.removeprefix("gusto/"), record["company_uuid"], record["company_name"]))
    return sorted(found, key=lambda company: company.slug)


def disconnected_companies(store: ConnectionStore) -> list[Disconnected]:
    """Every company that was disconnected and not connected again since, by slug."""
    connected, found = set(store.names("gusto/")), []
    for name in store.names("disconnected/"):
        slug = name.removeprefix("disconnected/")
        record = store.read(name)
        if record and f"gusto/{slug}" not in connected:
            company = Company(slug, record["company_uuid"], record["company_name"])
            found.append(Disconnected(company, datetime.fromisoformat(record["at"]), record["by"]))
    return found


def find_company(store: ConnectionStore, name: str) -> Company:
    """The connected company with this slug, uuid or legal name. Raises UnknownCompanyError."""
    companies = connected_companies(store)
    for company in companies:
        if name in (company.slug, company.uuid, company.name):
            return company
    known = ", ".join(f"{company.slug} ({company.name})" for company in companies) or "none"
    raise UnknownCompanyError(f"No connected company is called {name!r}. Connected: {known}.")


class Bearer(httpx.Auth):
    """An access token as it is, for the moment before its connection is stored."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


def connect_company(
    app: OAuthApp,
    answer: dict[str, Any],
    store: ConnectionStore,
    state: Path,
    clock: Clock = utcnow,
    *,
    expected: Company | None = None,
) -> Company:
    """Remember the grant of a token answer under its company's slug, and give the company.

    A company that was connected before keeps its slug, so its partition, files and schedules go on. Raises
    UnknownCompanyError, having stored nothing, when the grant is not `expected`'s.
    """
    with GustoClient(app.base_url, Bearer(answer["access_token"]), state_folder=state) as client:
        uuid = client.token_info().company_uuid
        if uuid is None:
            raise UnknownCompanyError("This grant belongs to no company; sign in to Gusto as the company's admin.")
        name = json.loads(client.get(f"/v1/companies/{uuid}").body)["name"]
    if expected and uuid != expected.uuid:
        raise UnknownCompanyError(
            f"{name} signed in, but {expected.name} is being connected again. Nothing was changed. Sign in to Gusto as "
            f"an admin of {expected.name}; to connect {name} as well, run: gusto-pipeline connect"
        )
    before = connected_companies(store) + [gone.company for gone in disconnected_companies(store)]
    known = {company.uuid: company.slug for company in before}
    company = Company(known.get(uuid) or slugify(name, known.values()), uuid, name)
    record = connection_record(app, answer, company_uuid=uuid, company_name=name, now=clock())
    with store.lock(f"gusto/{company.slug}"):  # a refresh of the old tokens under way must not win
        store.write(f"gusto/{company.slug}", record)
        store.delete(f"disconnected/{company.slug}")
    return company


def sync_category(
    category: Category,
    company: Company,
    client: GustoClient,
    settings: Settings,
    *,
    run_id: str = "",
    accept_shrink: bool = False,
    clock: Clock = utcnow,
) -> Synced:
    """Bring one category of one company up to date in the warehouse.

    Raises GustoError, LoadError, DroppedFileError or WarehouseError; the last good rows then stay, and the attempt is
    in meta.syncs with what went wrong.
    """
    warehouse = open_warehouse(settings)
    started, sent = clock(), client.requests_sent
    settings.landing.mkdir(parents=True, exist_ok=True, mode=0o700)
    _remove_abandoned(settings.landing)
    folder = Path(mkdtemp(prefix=f"{company.slug}-{category.name}-", dir=settings.landing))
    try:
        landings, notes, origin, versions = [], [], "api", set()
        for source in category.sources:
            fetched, came_from = _fetch(source, company, client, settings, folder, clock)
            if fetched is None:
                notes.append(f"{source.name}: Gusto no longer offers this and no CSV was dropped")
                origin = "none"
                continue
            origin = came_from
            versions |= {page.answer.api_version for page in fetched}
            landings.append(_landing(source, fetched))
        done = load(warehouse, company.uuid, landings, seen_at=started, accept_shrink=accept_shrink)
        rows = _counts(warehouse, company, category) | done.rows if notes else done.rows
        synced = Synced(
            category.name, company, rows, done.checks, done.drift, client.requests_sent - sent, started, clock(),
            ", ".join(sorted(versions)), origin, tuple(notes),
        )  # fmt: skip
        _record(warehouse, company, category, synced, "ok", run_id, "", clock)
        return synced
    except Exception as error:
        failed = Synced(category.name, company, {}, (), {}, client.requests_sent - sent, started, clock(), "", "", ())
        _record(warehouse, company, category, failed, "failed", run_id, str(error), clock)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(landing: Path) -> None:
    """Answers that a killed process left behind hold personal data; no sync lasts a day."""
    for folder in landing.iterdir():
        with suppress(FileNotFoundError):
            if utcnow().timestamp() - folder.stat().st_mtime > _ABANDONED.total_seconds():
                shutil.rmtree(folder, ignore_errors=True)


def _fetch(
    source: Source,
    company: Company,
    client: GustoClient,
    settings: Settings,
    folder: Path,
    clock: Clock,
) -> tuple[list[Fetched] | None, str]:
    parents: list[str] = []
    if source.per:
        with open_warehouse(settings).read() as connection:
            parents = parents_of(connection, source.per, company)
    try:
        return fetch(source, company.uuid, client, folder, parents, clock), "api"
    except NotFoundError as error:
        if not is_gone(error, source):
            raise
    drop_folder = settings.sync.applicants_folder
    return fetch_dropped(source, company.slug, company.uuid, drop_folder, folder, clock), "csv"


def _landing(source: Source, fetched: list[Fetched]) -> Landing:
    pages = tuple(
        LandedPage(
            page.file,
            page.answer.path,
            page.answer.request_id,
            page.answer.received_at,
            (page.parent,) if page.parent else (),
        )
        for page in fetched
    )
    return Landing(source.table, pages, _total(source, fetched))


def _total(source: Source, fetched: list[Fetched]) -> int | None:
    """How many rows the API says there are. Of an object's answer it is the list directly in it that is counted."""
    table = source.table
    if not source.paged or not (table.columns or table.children[0].columns):
        return None
    totals = [page.answer.total for page in fetched if page.answer.page == 1]
    return None if None in totals else sum(total or 0 for total in totals)


def _counts(warehouse: Warehouse, company: Company, category: Category) -> dict[str, int]:
    """Rows that each table of a category holds, for those that a sync brought nothing for."""
    with warehouse.read() as connection:
        return {
            table.name: connection.execute(
                f"SELECT count(*) FROM staging.{quote(table.name)} WHERE company_uuid = $1", [company.uuid]
            ).fetchall()[0][0]
            for table in category.tables()
        }


def parents_of(connection: duckdb.DuckDBPyConnection, per: Per, company: Company) -> list[str]:
    """The ids a source is asked about one by one, from the rows synced before."""
    column = quote(per.column)
    sql = f"SELECT DISTINCT {column} FROM staging.{quote(per.table)} WHERE company_uuid = $1 ORDER BY {column}"
    return [row[0] for row in connection.execute(sql, [company.uuid]).fetchall()]


def _record(
    warehouse: Warehouse,
    company: Company,
    category: Category,
    synced: Synced,
    status: str,
    run_id: str,
    problem: str,
    clock: Clock,
) -> None:
    with warehouse.write() as connection:
        connection.execute("DELETE FROM meta.companies WHERE company_uuid = $1", [company.uuid])
        connection.execute("INSERT INTO meta.companies VALUES ($1, $2, $3)", [company.uuid, company.slug, company.name])
        connection.execute(
            "INSERT INTO meta.syncs VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            [
                company.uuid, category.name, status, synced.started_at, clock(), synced.requests,
                sum(synced.rows.values()), synced.origin, synced.api_version, run_id, problem,
            ],
        )  # fmt: skip
