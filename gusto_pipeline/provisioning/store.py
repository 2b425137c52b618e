"""The provisioning tables, and what a read of an app's accounts leaves in them.

Everything here runs inside the caller's transaction (`Warehouse.write`), so what fails leaves the last good state.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb

from gusto_pipeline.provisioning.account import Account, Status, Tenant
from gusto_pipeline.warehouse.flatten import literal

_SQL = Path(__file__).parent / "sql"
_SMALL = 20  # below so many accounts a fifth is one or two people
_COLUMNS = {field.name: field.name for field in fields(Account)} | {"id": "account_id"}


class AccountsRefusedError(Exception):
    """A list of accounts cannot be right, so the last good one stays. The message says what is wrong with it."""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the provisioning tables where they are missing."""
    make(connection, script("schema"))


def make(connection: duckdb.DuckDBPyConnection, statements: str) -> None:
    """Run statements that make tables and views, unless the very same ones were run in this warehouse before."""
    fingerprint = sha256(statements.encode()).hexdigest()
    try:
        known = connection.execute("FROM provisioning.made").fetchall()
    except duckdb.CatalogException:
        known = []
    if (fingerprint,) not in known:
        connection.execute("CREATE SCHEMA IF NOT EXISTS provisioning")
        connection.execute("CREATE TABLE IF NOT EXISTS provisioning.made (fingerprint VARCHAR)")
        connection.execute(statements)
        connection.execute(f"INSERT INTO provisioning.made VALUES ('{fingerprint}')")


@functools.cache
def script(name: str) -> str:
    """The SQL kept under this name."""
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows, given by column name, to a provisioning table. Instants and days as ISO 8601 text."""
    described = connection.execute(f"DESCRIBE provisioning.{table}").fetchall()
    known = {name: type for name, type, *_ in described}
    connection.execute(f"INSERT INTO provisioning.{table} BY NAME {values(known, rows)}")


def values(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> str:
    """SELECT of rows given by column name, with all of `columns` (names and types), empty where a row lacks one.

    One JSON text: DuckDB parses it faster than a list of literals, and a bound parameter makes it import pandas.
    """
    text, shape = json.dumps(list(rows)), json.dumps([dict(columns)])
    return f"SELECT r.* FROM (SELECT unnest(from_json({literal(text)}, {literal(shape)})) AS r)"


def of(company: str, app: str, account: str = "", person: str = "") -> str:
    """The SQL condition for a company's rows of an app, of one account and of one person where they are given."""
    named = {"company_uuid": company, "app": app, "account_id": account, "person_id": person}
    return " AND ".join(f"{column} = {literal(value)}" for column, value in named.items() if value)


def of_apps(company: str, apps: Iterable[str]) -> str:
    """The SQL condition for a company's rows of these apps."""
    return f"company_uuid = {literal(company)} AND app IN ({', '.join(map(literal, apps)) or 'NULL'})"


def store_accounts(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    tenant: Tenant,
    accounts: Sequence[Account],
    read_at: datetime,
    requests: int,
    *,
    accept_shrink: bool = False,
    who: str = "",
    removed: Collection[str] = (),
) -> None:
    """Replace a company's accounts of an app by a complete list read at `read_at` in so many requests.

    `accept_shrink` takes a list that has lost more than a fifth of the last good one, beside accounts that are
    `removed`: by us; that `who` said so is kept. Raises AccountsRefusedError, having changed nothing, when it did so
    unasked, when an account has no id, or when two have the same.
    """
    prepare(connection)
    ids = [account.id for account in accounts]
    repeated = sorted({id for id in ids if ids.count(id) > 1}) if len(set(ids)) < len(ids) else []
    if repeated:
        raise AccountsRefusedError(
            f"{app} listed the account id {', '.join(repeated[:5])} more than once in {len(ids)} accounts of "
            f"{tenant.name}, so the list cannot be right. The last good one is kept; read it again."
        )
    if not all(ids):
        raise AccountsRefusedError(
            f"{app} listed {ids.count('')} accounts of {tenant.name} without an id. The last good list is kept."
        )
    before = last_count(connection, company, app) or 0
    ours = _gone(connection, company, app, ids, removed) if len(ids) < before else 0
    expected = before - ours
    shrunk = expected > 0 and (not ids or (before >= _SMALL and len(ids) < 0.8 * expected))
    taken = f", of which we have taken away {ours}" if ours else ""
    if shrunk and not accept_shrink:
        raise AccountsRefusedError(
            f"{app} listed only {len(ids)} accounts of {tenant.name} where the last good list had {before}{taken}. "
            "That one is kept; if the accounts are really gone, read once with accept_shrink: gusto-pipeline plan "
            "--accept-shrink"
        )
    connection.execute(f"DELETE FROM provisioning.accounts WHERE {of(company, app)}")
    at = read_at.isoformat()
    if shrunk:
        said = {"company_uuid": company, "app": app, "event": "shorter list accepted", "who": who, "happened_at": at}
        why = f"{len(ids)} accounts, where the last good list had {before}{taken}"
        insert(connection, "link_history", [said | {"why": why}])
    insert(
        connection,
        "accounts",
        ({"company_uuid": company, "app": app, "read_at": at, **_row(account)} for account in accounts),
    )
    _log(
        connection,
        {"company_uuid": company, "app": app, "read_at": at, "complete": True, "accounts": len(ids)}
        | {"tenant_id": tenant.id, "tenant_name": tenant.name, "requests": requests},
    )


def _gone(
    connection: duckdb.DuckDBPyConnection, company: str, app: str, ids: Iterable[str], removed: Collection[str]
) -> int:
    """How many of `removed` the last good list had and `ids` lack."""
    known = connection.execute(f"SELECT account_id FROM provisioning.accounts WHERE {of(company, app)}").fetchall()
    return len({id for (id,) in known if id in removed} - set(ids))


def store_failed_read(
    connection: duckdb.DuckDBPyConnection, company: str, app: str, read_at: datetime, problem: str, requests: int = 0
) -> None:
    """Remember that an app's accounts could not be read; the last good ones stay."""
    prepare(connection)
    _log(
        connection,
        {"company_uuid": company, "app": app, "read_at": read_at.isoformat(), "complete": False, "problem": problem}
        | {"requests": requests},
    )


def last_count(connection: duckdb.DuckDBPyConnection, company: str, app: str) -> int | None:
    """How many accounts the last complete list had; None before the first."""
    return connection.execute(
        # The last is the one that was written down last, whatever the clock said.
        f"SELECT max_by(accounts, rowid) FROM provisioning.account_reads WHERE complete AND {of(company, app)}"
    ).fetchall()[0][0]


def load_accounts(connection: duckdb.DuckDBPyConnection, company: str, app: str) -> list[Account]:
    """The accounts of the last complete list, by id, without the records as received."""
    return accounts_by_app(connection, company, [app])[app]


def accounts_by_app(
    connection: duckdb.DuckDBPyConnection, company: str, apps: Iterable[str]
) -> dict[str, list[Account]]:
    """The same for several apps."""
    columns = [name for name in _COLUMNS if name != "raw"]
    accounts: dict[str, list[Account]] = {app: [] for app in apps}
    found = connection.execute(
        f"SELECT app, {', '.join(_COLUMNS[name] for name in columns)} FROM provisioning.accounts "
        f"WHERE {of_apps(company, accounts)} ORDER BY account_id"
    ).fetchall()
    for app, *row in found:
        given = dict(zip(columns, row, strict=True))
        given |= {"status": Status(given["status"]), "emails": tuple(given["emails"]), "groups": tuple(given["groups"])}
        accounts[app].append(Account(**given))
    return accounts


def _row(account: Account) -> dict[str, Any]:
    row = {column: getattr(account, name) for name, column in _COLUMNS.items()}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _log(connection: duckdb.DuckDBPyConnection, read: Mapping[str, Any]) -> None:
    insert(connection, "account_reads", [read])
