"""A company's connection after it was made: how it stands, ending it, forgetting what it brought.

Making a connection, the first time or again, is `sync.connect_company`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto.auth import GustoAuth, OAuthApp, revoke
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import GustoError
from gusto_pipeline.sync import (
    Company,
    UnknownCompanyError,
    connected_companies,
    disconnected_companies,
    open_warehouse,
)
from gusto_pipeline.warehouse.flatten import bind, quote
from gusto_pipeline.warehouse.publish import publish
from gusto_pipeline.warehouse.warehouse import Warehouse, WarehouseError

AUTHORIZED = "authorized"
NEEDS_ATTENTION = "needs attention"
DISCONNECTED = "disconnected"


@dataclass(frozen=True)
class Standing:
    """How a company's connection stands: one of the three states, since when and why (empty when all is well).

    `last_good_sync`: end of the last run in which nothing failed.
    """

    company: Company
    state: str
    since: datetime
    why: str
    last_good_sync: datetime | None


@dataclass(frozen=True)
class Disconnection:
    """A connection that was ended here; `problem` says why Gusto was not told, empty when it was."""

    company: Company
    problem: str


@dataclass(frozen=True)
class Purged:
    """What was deleted of a company: rows over all tables, and spreadsheet files."""

    rows: int
    files: int


def known_company(store: ConnectionStore, name: str = "") -> Company:
    """The connected or disconnected company with this slug, uuid or legal name; without a name, the only one.

    Raises UnknownCompanyError.
    """
    companies = connected_companies(store) + [gone.company for gone in disconnected_companies(store)]
    found = [c for c in companies if name in (c.slug, c.uuid, c.name)] if name else companies
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{company.slug} ({company.name})" for company in found or companies) or "none"
    if name and not found:
        raise UnknownCompanyError(f"No company is called {name!r}. Known: {listed}.")
    raise UnknownCompanyError(f"Which company? Say its name. Known: {listed}.")


def disconnect(
    app: OAuthApp, store: ConnectionStore, company: Company, *, by: str, clock: Clock = utcnow
) -> Disconnection:
    """End a company's grant at Gusto (POST /oauth/revoke) and delete its tokens here; a small record stays.

    When Gusto does not take it the tokens are deleted all the same. `by`: what ended it, for the record.
    Raises UnknownCompanyError when it is not connected.
    """
    name, problem = f"gusto/{company.slug}", ""
    with store.lock(name):  # a refresh under way would bring the tokens back
        record = store.read(name)
        if record is None:
            raise UnknownCompanyError(f"{company.slug} is not connected.")
        gone = {"company_uuid": company.uuid, "company_name": company.name, "at": clock().isoformat(), "by": by}
        store.write(f"disconnected/{company.slug}", gone)
        try:
            # The refresh token: it lives longer, and either ends the pair.
            revoke(app, record["refresh_token"])
        except GustoError as error:
            problem = str(error)
        store.delete(name)
    return Disconnection(company, problem)


def purge(settings: Settings, company: Company) -> Purged:
    """Delete what was synced for a company: its rows in every table, in one transaction, its spreadsheets with what is
    remembered of their versions, its plans, reports, profiles and new hires. Then publish the analysts' file without
    it.

    Raises WarehouseError; what was not deleted is then named.
    """
    warehouse = open_warehouse(settings)
    with warehouse.write() as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.columns "
            "JOIN information_schema.tables USING (table_catalog, table_schema, table_name) "
            "WHERE column_name = 'company_uuid' AND table_type = 'BASE TABLE' ORDER BY ALL"
        ).fetchall()
        rows = sum(
            bind(
                connection, f"DELETE FROM {quote(schema)}.{quote(table)} WHERE company_uuid = $1", [company.uuid]
            ).fetchall()[0][0]
            for schema, table in tables
        )
    spreadsheets = settings.spreadsheets_folder / company.slug
    files = sum(file.is_file() for file in spreadsheets.rglob("*"))
    homes = (settings.versions, settings.plans, settings.reports, settings.profiles_folder, settings.taken_on)
    kept = [home / company.slug for home in homes]
    for folder in (spreadsheets, *kept):
        try:
            if folder.exists():
                shutil.rmtree(folder)
        except OSError as error:
            raise WarehouseError(f"{folder} cannot be deleted ({error.strerror}): delete it by hand.") from error
    publish(warehouse, settings.analytics)
    return Purged(rows, files)


def standings(
    settings: Settings, store: ConnectionStore, *, app: OAuthApp | None = None, clock: Clock = utcnow
) -> list[Standing]:
    """How every company stands, by slug; with `app`, after asking Gusto once for each connected one (GET
    /v1/token_info).

    A company needs attention while the last attempt at one of its categories failed, unless it was connected again
    since then.
    """
    warehouse = open_warehouse(settings)
    found = []
    for company in connected_companies(store):
        record = store.read(f"gusto/{company.slug}") or {}
        connected_at = datetime.fromisoformat(record["connected_at"])
        since, why = _failing(warehouse, company, connected_at)
        if app and (problem := _refused(app, store, settings, company)):
            since, why = since or clock(), problem
        state = NEEDS_ATTENTION if why else AUTHORIZED
        found.append(Standing(company, state, since or connected_at, why, last_good_sync(warehouse, company.slug)))
    for gone in disconnected_companies(store):
        last = last_good_sync(warehouse, gone.company.slug)
        found.append(Standing(gone.company, DISCONNECTED, gone.at, f"by {gone.by}", last))
    return sorted(found, key=lambda standing: standing.company.slug)


def last_good_sync(warehouse: Warehouse, company: str) -> datetime | None:
    """When the last run ended in which every category of the company (its slug) was synced without a failure."""
    with warehouse.read() as connection:
        row: tuple[datetime | None] = bind(
            connection,
            "SELECT max(ended) FROM (SELECT max(finished_at) AS ended "
            "FROM meta.syncs JOIN meta.companies USING (company_uuid) WHERE company = $1 "
            "GROUP BY coalesce(nullif(run_id, ''), started_at::VARCHAR) HAVING bool_and(status = 'ok'))",
            [company],
        ).fetchall()[0]
    return row[0]


def next_daily_sync(settings: Settings, clock: Clock = utcnow) -> datetime:
    """When the daily sync is due next, if it is switched on."""
    from croniter import croniter  # takes longer to import than most commands to run

    now = clock().astimezone(settings.zone)
    due: datetime = croniter(f"0 {settings.sync.hour} * * *", now).get_next(datetime)
    return due


def _failing(warehouse: Warehouse, company: Company, connected_at: datetime) -> tuple[datetime | None, str]:
    """Since when categories fail that have not been good since, and why the latest of them did."""
    with warehouse.read() as connection:
        rows = bind(
            connection,
            "SELECT category, min(started_at), max(started_at), arg_max(problem, started_at) "
            "FROM (SELECT *, max(started_at) FILTER (status = 'ok') OVER (PARTITION BY category) AS good "
            "FROM meta.syncs WHERE company_uuid = $1) "
            "WHERE status <> 'ok' AND started_at > greatest(good, $2) GROUP BY category ORDER BY max(started_at) DESC",
            [company.uuid, connected_at],
        ).fetchall()
    if not rows:
        return None, ""
    return min(row[1] for row in rows), f"{', '.join(sorted(row[0] for row in rows))}: {rows[0][3]}"


def _refused(app: OAuthApp, store: ConnectionStore, settings: Settings, company: Company) -> str:
    grant = f"gusto/{company.slug}"
    auth = GustoAuth(app, store, grant)
    with GustoClient(app.base_url, auth, grant=grant, state_folder=settings.connections, retries=1) as client:
        try:
            client.token_info()
        except GustoError as error:
            return str(error)
    return ""
