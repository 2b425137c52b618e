"""What was intended, what came of it, and who approved it: rows that are added and never changed.

An intent is written before its call and an outcome after it, so that a process which dies in between leaves an open
intent, which the next one settles by reading the app.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import uuid4

import duckdb

from gusto_pipeline.provisioning.plans import Item, Said
from gusto_pipeline.provisioning.store import insert
from gusto_pipeline.warehouse.flatten import bind, literal

TABLES = """
CREATE SCHEMA IF NOT EXISTS provisioning;
CREATE TABLE IF NOT EXISTS provisioning.intents (
    intent_id VARCHAR, company_uuid VARCHAR, plan_id VARCHAR, item_id VARCHAR, app VARCHAR, action VARCHAR,
    rule VARCHAR, person_id VARCHAR, account_id VARCHAR, login VARCHAR, due_at TIMESTAMPTZ, intended_at TIMESTAMPTZ,
    who VARCHAR, employed_since DATE
);
CREATE TABLE IF NOT EXISTS provisioning.outcomes (
    intent_id VARCHAR, company_uuid VARCHAR, outcome VARCHAR, account_id VARCHAR, problem VARCHAR, ended_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS provisioning.quarantines (
    company_uuid VARCHAR, app VARCHAR, until TIMESTAMPTZ, times BIGINT, why VARCHAR, imposed_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS provisioning.approvals (
    company_uuid VARCHAR, item_id VARCHAR, plan_id VARCHAR, app VARCHAR, action VARCHAR, person_id VARCHAR,
    account_id VARCHAR, approved BOOLEAN, who VARCHAR, approved_at TIMESTAMPTZ, why VARCHAR
);
CREATE TABLE IF NOT EXISTS provisioning.account_states (
    company_uuid VARCHAR, app VARCHAR, account_id VARCHAR, status VARCHAR, before VARCHAR, seen_at TIMESTAMPTZ
);
COMMENT ON TABLE provisioning.account_states IS 'Every change of an account''s status, when it was first seen';
COMMENT ON TABLE provisioning.intents IS 'Every change of an account, written before it was sent';
COMMENT ON TABLE provisioning.outcomes IS 'What came of each intent; one without a row is still open';
COMMENT ON TABLE provisioning.quarantines IS 'Apps that are left alone for a while because calls to them failed';
COMMENT ON TABLE provisioning.approvals IS 'Who said yes or no to what, in which plan; the last word counts'
"""


class Result(StrEnum):
    """How an intent ended. `nothing_to_do`: it was so already. `not_done`: found undone after a crash."""

    DONE = "done"
    NOTHING_TO_DO = "nothing_to_do"
    FAILED = "failed"
    THROTTLED = "throttled"
    UNKNOWN = "unknown"
    NOT_DONE = "not_done"


@dataclass(frozen=True)
class Intent:
    """An intent as it was written."""

    intent_id: str
    item_id: str
    app: str
    action: str
    account_id: str | None
    login: str | None


def intend(
    connection: duckdb.DuckDBPyConnection, company_uuid: str, plan_id: str, item: Item, who: str, now: datetime
) -> str:
    """Write down that `item` is about to be carried out; gives the intent's id."""
    intent_id = str(uuid4())
    login = (item.new or {}).get("email") or item.account
    bind(
        connection,
        "INSERT INTO provisioning.intents VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        [
            intent_id, company_uuid, plan_id, item.id, item.app, item.action, item.rule, item.person_id,
            item.account_id, login, item.due_at, now, who, item.employed_since,
        ],
    )  # fmt: skip
    return intent_id


def end(
    connection: duckdb.DuckDBPyConnection,
    company_uuid: str,
    intent_id: str,
    result: Result,
    now: datetime,
    *,
    account_id: str | None = None,
    problem: str = "",
    status: str = "",
) -> None:
    """Write down what came of an intent. account_id: of the account that was made, or that it was about.

    status: how the account stands since we took it away, `absent` if it is gone; what differs later, others did.
    """
    bind(
        connection,
        "INSERT INTO provisioning.outcomes VALUES ($1, $2, $3, $4, $5, $6)",
        [intent_id, company_uuid, result, account_id, problem, now],
    )
    if status:
        bind(
            connection,
            "INSERT INTO provisioning.account_states SELECT company_uuid, app, $2, $3, (SELECT arg_max(status, "
            "seen_at) FROM provisioning.account_states s WHERE s.company_uuid = i.company_uuid AND s.app = i.app "
            "AND s.account_id = $2), $4 FROM provisioning.intents i WHERE intent_id = $1",
            [intent_id, account_id, status, now],
        )


def open_intents(connection: duckdb.DuckDBPyConnection, company_uuid: str) -> list[Intent]:
    """Intents whose outcome nobody knows: a process died, or the app's answer never came. Oldest first."""
    rows = bind(
        connection,
        "SELECT intent_id, item_id, app, action, account_id, login FROM provisioning.intents i "
        "WHERE company_uuid = $1 AND NOT EXISTS (FROM provisioning.outcomes o "
        "  WHERE o.intent_id = i.intent_id AND o.outcome <> 'unknown') "
        "ORDER BY intended_at",
        [company_uuid],
    ).fetchall()
    return [Intent(*row) for row in rows]


def taken_away(connection: duckdb.DuckDBPyConnection, company_uuid: str) -> dict[str, frozenset[str]]:
    """Ids of the accounts that we took away, by app, whatever became of them since."""
    rows = bind(
        connection,
        "SELECT i.app, list(DISTINCT o.account_id) FROM provisioning.intents i "
        "JOIN provisioning.outcomes o USING (intent_id) "
        "WHERE i.company_uuid = $1 AND o.outcome IN ('done', 'nothing_to_do') "
        "AND i.action IN ('suspend', 'delete', 'cancel_invitation') GROUP BY i.app",
        [company_uuid],
    ).fetchall()
    return {app: frozenset(ids) for app, ids in rows}


def approve(
    connection: duckdb.DuckDBPyConnection,
    company_uuid: str,
    plan_id: str,
    items: Iterable[Item],
    *,
    who: str,
    now: datetime,
    approved: bool = True,
    why: str = "",
) -> None:
    """Record that a person says yes or no to these items or questions of a plan."""
    said = {
        "company_uuid": company_uuid, "plan_id": plan_id, "approved": approved, "who": who,
        "approved_at": now.isoformat(), "why": why,
    }  # fmt: skip
    about = ("app", "action", "person_id", "account_id")
    rows = ({**said, "item_id": item.id} | {name: getattr(item, name) for name in about} for item in items)
    insert(connection, "approvals", rows)


def answers(connection: duckdb.DuckDBPyConnection, company_uuid: str) -> dict[str, Said]:
    """The last word on each item and question, by id. A yes is used up when it was carried out."""
    rows = connection.execute(
        "SELECT item_id, approved, who, approved_at, coalesce(why, '') FROM (FROM provisioning.approvals "
        f"  WHERE company_uuid = {literal(company_uuid)} "
        "  QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY rowid DESC) = 1) a "
        "WHERE NOT approved OR NOT EXISTS (FROM provisioning.intents i JOIN provisioning.outcomes o USING (intent_id) "
        f"  WHERE i.company_uuid = {literal(company_uuid)} AND i.item_id = a.item_id AND i.intended_at > a.approved_at "
        "  AND o.outcome IN ('done', 'nothing_to_do'))"
    ).fetchall()
    return {item: Said(*said) for item, *said in rows}


def apps_with_removals(connection: duckdb.DuckDBPyConnection, company_uuid: str) -> frozenset[str]:
    """Apps in which a removal that a person approved was carried out before."""
    rows = connection.execute(
        "SELECT DISTINCT i.app FROM provisioning.intents i JOIN provisioning.outcomes o USING (intent_id) "
        "JOIN provisioning.approvals a ON a.item_id = i.item_id AND a.company_uuid = i.company_uuid AND a.approved "
        f"WHERE i.company_uuid = {literal(company_uuid)} AND o.outcome = 'done' "
        "AND i.action IN ('suspend', 'delete', 'cancel_invitation')"
    ).fetchall()
    return frozenset(row[0] for row in rows)


def latest(connection: duckdb.DuckDBPyConnection, company_uuid: str) -> datetime | None:
    """The last instant at which anything was written down here; None before the first."""
    times = (("intents", "intended_at"), ("outcomes", "ended_at"), ("approvals", "approved_at"))
    of_company = f"company_uuid = {literal(company_uuid)}"
    each = [f"(SELECT max({name}) FROM provisioning.{table} WHERE {of_company})" for table, name in times]
    return connection.execute(f"SELECT greatest({', '.join(each)})").fetchall()[0][0]


@dataclass(frozen=True)
class Begun:
    """An intent, whatever came of it. approved: a person had said yes to it. failed: None while nobody knows."""

    item_id: str
    app: str
    action: str
    rule: str
    at: datetime
    approved: bool
    failed: bool | None


def done_of(connection: duckdb.DuckDBPyConnection, company_uuid: str, plan_id: str) -> frozenset[str]:
    """The ids of a plan's items that were carried out, or were so already, when it was applied before."""
    rows = connection.execute(
        "SELECT DISTINCT item_id FROM provisioning.intents JOIN provisioning.outcomes USING (intent_id, company_uuid) "
        f"WHERE company_uuid = {literal(company_uuid)} AND plan_id = {literal(plan_id)} "
        "AND outcome IN ('done', 'nothing_to_do')"
    ).fetchall()
    return frozenset(item_id for (item_id,) in rows)


def begun_since(connection: duckdb.DuckDBPyConnection, company_uuid: str, since: datetime) -> list[Begun]:
    """Every intent since then, oldest first."""
    rows = bind(
        connection,
        "SELECT item_id, app, action, rule, intended_at, "
        "EXISTS (FROM provisioning.approvals a WHERE a.company_uuid = $1 AND a.item_id = i.item_id AND a.approved "
        "  AND a.approved_at <= i.intended_at), "
        "(SELECT arg_max(outcome IN ('failed', 'unknown'), ended_at) FROM provisioning.outcomes o "
        "  WHERE o.intent_id = i.intent_id) "
        "FROM provisioning.intents i WHERE company_uuid = $1 AND intended_at >= $2 ORDER BY intended_at",
        [company_uuid, since],
    ).fetchall()
    return [Begun(*row) for row in rows]
