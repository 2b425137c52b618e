"""Syncing a category of companies: ask Gusto, land the answers, load them. The one place that joins the two.

Companies are asked side by side. Whatever has landed by the time the warehouse is free is loaded in one transaction, so
its lock is held only for loads and a slow Gusto blocks nobody. Every attempt is written to meta.syncs, also the failed
ones.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
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
from gusto_pipeline.warehouse.flatten import inline, literal, quote
from gusto_pipeline.warehouse.load import Check, LandedPage, Landing, Load, load
from gusto_pipeline.warehouse.warehouse import Warehouse, WarehouseError, not_written

_ABANDONED = timedelta(days=1)
_SIDE_BY_SIDE = 16  # companies asked at once
_MOMENT, _PATIENCE = 0.1, 2.0  # seconds answers wait for the next company's, and in all: two loads take longer than one

Connect = Callable[["Company"], AbstractContextManager[GustoClient]]
Outcomes = dict[str, "Synced | Exception"]  # by slug


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
    checks: Sequence[Check]
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
    """Bring one category of one company up to date in the warehouse, as `sync_companies` does; raises what that
    gives."""
    done = sync_companies(
        category,
        [company],
        lambda _: nullcontext(client),
        settings,
        run_id=run_id,
        accept_shrink=accept_shrink,
        clock=clock,
    )[company.slug]
    if isinstance(done, Exception):
        raise done
    return done


def sync_companies(
    category: Category,
    companies: Iterable[Company],
    connect: Connect,
    settings: Settings,
    *,
    run_id: str = "",
    accept_shrink: bool = False,
    clock: Clock = utcnow,
) -> Outcomes:
    """Bring one category of each company up to date in the warehouse; gives by slug what came of it.

    `connect` opens a client that uses a company's grant. One company's trouble never stops another: it gives a
    GustoError, LoadError, DroppedFileError, WarehouseError or what `connect` raised, its last good rows stay, and the
    attempt is in meta.syncs with what went wrong.
    """
    sync = _Sync(category, connect, settings, open_warehouse(settings), run_id, accept_shrink, clock)
    outcomes: Outcomes = {}
    try:
        settings.landing.mkdir(parents=True, exist_ok=True, mode=0o700)
        _remove_abandoned(settings.landing)
        folder = TemporaryDirectory(prefix=f"{category.name}-", dir=settings.landing, ignore_cleanup_errors=True)
    except OSError as error:
        return {company.slug: not_written(settings.landing, error) for company in companies}
    with folder as landing:
        pool = ThreadPoolExecutor(_SIDE_BY_SIDE)
        try:
            asking = {pool.submit(sync.ask, company, Path(landing) / company.slug) for company in companies}
            with suppress(WarehouseError):  # which loading meets again
                sync.warehouse.make()  # while Gusto answers
            while asking:
                landed, asking = wait(asking, return_when=FIRST_COMPLETED)
                enough = time.monotonic() + _PATIENCE
                while asking and time.monotonic() < enough:
                    more, asking = wait(asking, timeout=_MOMENT, return_when=FIRST_COMPLETED)
                    if not more:
                        break
                    landed |= more
                attempts = [future.result() for future in landed]
                outcomes |= sync.settle(attempts)
                for attempt in attempts:
                    shutil.rmtree(attempt.folder, ignore_errors=True)
        finally:
            pool.shutdown(cancel_futures=True)
    return outcomes


def _remove_abandoned(landing: Path) -> None:
    """Answers that a killed process left behind hold personal data; no sync lasts a day."""
    for folder in landing.iterdir():
        with suppress(FileNotFoundError):
            if utcnow().timestamp() - folder.stat().st_mtime > _ABANDONED.total_seconds():
                shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Attempt:
    """What asking a company brought: answers landed in `folder`, or what went wrong."""

    company: Company
    folder: Path
    started_at: datetime
    landings: list[Landing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    origin: str = ""
    requests: int = 0
    problem: Exception | None = None


@dataclass(frozen=True)
class _Sync:
    """A sync of one category under way."""

    category: Category
    connect: Connect
    settings: Settings
    warehouse: Warehouse
    run_id: str
    accept_shrink: bool
    clock: Clock

    def ask(self, company: Company, folder: Path) -> _Attempt:
        """Land a company's answers in `folder`."""
        attempt = _Attempt(company, folder, self.clock())
        try:
            folder.mkdir()
            with self.connect(company) as client:
                sent = client.requests_sent
                try:
                    for source in self.category.sources:
                        self._land(source, client, attempt)
                finally:
                    attempt.requests = client.requests_sent - sent
                    attempt.notes += filter(None, [client.server_time.ahead])
        except (OSError, sqlite3.OperationalError) as problem:
            attempt.problem = not_written(self.settings.home, problem)
        except Exception as problem:
            attempt.problem = problem
        return attempt

    def _land(self, source: Source, client: GustoClient, attempt: _Attempt) -> None:
        company, folder = attempt.company, attempt.folder
        parents: list[str] = []
        if source.per:
            with self.warehouse.read() as connection:
                parents = parents_of(connection, source.per, company)
        origin, fetched = "api", None
        try:
            fetched = fetch(source, company.uuid, client, folder, parents, self.clock)
        except NotFoundError as error:
            if not is_gone(error, source):
                raise
            origin = "csv"
            drop_folder = self.settings.sync.applicants_folder
            fetched = fetch_dropped(source, company.slug, company.uuid, drop_folder, folder, self.clock)
        if fetched is None:
            attempt.notes.append(f"{source.name}: Gusto no longer offers this and no CSV was dropped")
            attempt.origin = "none"
            return
        attempt.origin = origin
        attempt.versions |= {page.answer.api_version for page in fetched}
        pages = tuple(
            LandedPage(
                page.file,
                page.answer.path,
                page.answer.request_id,
                page.answer.received_at,
                (page.parent,) if page.parent else (),
                page.digest,
            )
            for page in fetched
        )
        attempt.landings.append(Landing(company.uuid, source.table, pages, _total(source, fetched)))

    def settle(self, attempts: Sequence[_Attempt]) -> Outcomes:
        """Load all that has landed and record every attempt, in one transaction. If somebody's answers refuse the
        load, halves are loaded until only theirs are left out."""
        landed = [attempt for attempt in attempts if not attempt.problem]
        try:
            with self.warehouse.write() as connection:
                landings = [landing for attempt in landed for landing in attempt.landings]
                loads = load(connection, landings, seen_at=self.clock(), accept_shrink=self.accept_shrink)
                outcomes = {
                    attempt.company.slug: attempt.problem
                    or self._synced(connection, attempt, loads.get(attempt.company.uuid))
                    for attempt in attempts
                }
                self._record(connection, attempts, outcomes)
                return outcomes
        except WarehouseError as problem:
            return {attempt.company.slug: attempt.problem or problem for attempt in attempts}
        except Exception as problem:
            if len(landed) == 1:
                landed[0].problem = problem
                return self.settle(attempts)
            if not landed:
                raise
        half = len(attempts) // 2
        return self.settle(attempts[:half]) | self.settle(attempts[half:])

    def _synced(self, connection: duckdb.DuckDBPyConnection, attempt: _Attempt, load: Load | None) -> Synced:
        load, of_company = load or Load({}, [], {}), f"company_uuid = {literal(attempt.company.uuid)}"
        rows = dict(load.rows)
        for table in self.category.tables():
            if table.name not in rows:  # nothing arrived for it, so it is as it was
                sql = f"SELECT count(*) FROM staging.{quote(table.name)} WHERE {of_company}"
                rows[table.name] = connection.execute(sql).fetchall()[0][0]
        return Synced(
            self.category.name, attempt.company, rows, tuple(load.checks), load.drift, attempt.requests,
            attempt.started_at, self.clock(), ", ".join(sorted(attempt.versions)), attempt.origin, tuple(attempt.notes),
        )  # fmt: skip

    def _record(self, connection: duckdb.DuckDBPyConnection, attempts: Sequence[_Attempt], outcomes: Outcomes) -> None:
        companies, syncs = [], []
        for attempt in attempts:
            company, done = attempt.company, outcomes[attempt.company.slug]
            companies.append((company.uuid, company.slug, company.name))
            if isinstance(done, Synced):
                result = ("ok", sum(done.rows.values()), done.origin, done.api_version, "")
            else:
                result = ("failed", 0, "", "", str(done))
            started, finished = attempt.started_at.isoformat(), self.clock().isoformat()
            syncs.append((company.uuid, self.category.name, started, finished, attempt.requests, self.run_id, *result))
        uuids = ", ".join(literal(attempt.company.uuid) for attempt in attempts)
        connection.execute(f"DELETE FROM meta.companies WHERE company_uuid IN ({uuids})")
        connection.execute(
            f"INSERT INTO meta.companies BY NAME {inline(('company_uuid', 'company', 'name'), companies)}"
        )
        columns = (
            "company_uuid", "category", "started_at", "finished_at", "requests", "run_id",
            "status", "rows", "origin", "api_version", "problem",
        )  # fmt: skip
        connection.execute(f"INSERT INTO meta.syncs BY NAME {inline(columns, syncs)}")


def _total(source: Source, fetched: list[Fetched]) -> int | None:
    """How many rows the API says there are. Of an object's answer it is the list directly in it that is counted."""
    table = source.table
    if not source.paged or not (table.columns or table.children[0].columns):
        return None
    totals = [page.answer.total for page in fetched if page.answer.page == 1]
    return None if None in totals else sum(total or 0 for total in totals)


def parents_of(connection: duckdb.DuckDBPyConnection, per: Per, company: Company) -> list[str]:
    """The ids a source is asked about one by one, from the rows synced before."""
    staging, of_company = f"staging.{quote(per.table)}", f"company_uuid = {literal(company.uuid)}"
    sql = f"SELECT DISTINCT {quote(per.column)} FROM {staging} WHERE {of_company} ORDER BY 1"
    return [row[0] for row in connection.execute(sql).fetchall()]
