"""Who asks: an employee of today, known by a token or named by an administrator. And the record of what was asked.

A caller is looked up anew for every answer: whoever has left, or is not the only one by that name, is nobody. Each
answer and refusal is recorded without its content.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256

import duckdb

from gusto_pipeline.answers import facts
from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.sync import open_warehouse
from gusto_pipeline.warehouse.flatten import bind

TABLES = """
CREATE SCHEMA IF NOT EXISTS answers;
CREATE TABLE IF NOT EXISTS answers.tokens (
    token_id VARCHAR, token_hash VARCHAR, company_uuid VARCHAR, employee_uuid VARCHAR, issued_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ, revoked_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS answers.log (
    asked_at TIMESTAMPTZ, company_uuid VARCHAR, employee_uuid VARCHAR, via VARCHAR, topic VARCHAR, about VARCHAR[],
    outcome VARCHAR
);
COMMENT ON TABLE answers.tokens IS 'Who may ask with which token, of which only the SHA-256 hash is kept';
COMMENT ON TABLE answers.log IS 'Every answer and refusal: who asked (empty: nobody known), topic, about whom, outcome'
"""


@dataclass(frozen=True)
class Caller:
    """An employee who asks: the uuids of company and employee in Gusto."""

    company: str
    employee: str


@dataclass(frozen=True)
class Token:
    """A token as listed, without its secret."""

    id: str
    company: str
    employee: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


def find_caller(settings: Settings, named: str, *, clock: Clock = utcnow) -> Caller | None:
    """The one employee of today with this uuid or work e-mail address, over all companies; None if not exactly one."""
    with open_warehouse(settings).read() as connection:
        found = facts.query(
            connection,
            "SELECT h.company_uuid, h.uuid FROM here h, asked "
            "WHERE asked.about IN (h.uuid, lower(h.work_email)) AND asked.about <> ''",
            facts.bound(None, None, today(settings, clock), about=named.strip().lower()),
        )
    return Caller(found[0]["company_uuid"], found[0]["uuid"]) if len(found) == 1 else None


def issue_token(settings: Settings, caller: Caller, *, days: int, clock: Clock = utcnow) -> tuple[str, Token]:
    """A new token, valid for so many days, with its record. Only its hash is kept: it cannot be shown again."""
    secret, now = f"gpa_{secrets.token_urlsafe(32)}", clock()
    token = Token(secrets.token_hex(4), caller.company, caller.employee, now, now + timedelta(days=days), None)
    with open_warehouse(settings).write() as connection:
        connection.execute(TABLES)
        bind(
            connection,
            "INSERT INTO answers.tokens VALUES ($1, $2, $3, $4, $5, $6, NULL)",
            [token.id, _hash(secret), token.company, token.employee, token.issued_at, token.expires_at],
        )
    return secret, token


def revoke_tokens(settings: Settings, which: str, *, clock: Clock = utcnow) -> int:
    """End the token of this id, or all tokens of the employee of this uuid; gives how many were in force."""
    with open_warehouse(settings).write() as connection:
        connection.execute(TABLES)
        return int(
            bind(
                connection,
                "UPDATE answers.tokens SET revoked_at = $2 "
                "WHERE $1 IN (token_id, employee_uuid) AND revoked_at IS NULL AND expires_at > $2",
                [which, clock()],
            ).fetchall()[0][0]
        )


def list_tokens(settings: Settings) -> list[Token]:
    """Every token ever issued, latest first."""
    with open_warehouse(settings).read() as connection:
        if not _has_tables(connection):
            return []
        return [
            Token(*row)
            for row in connection.execute(
                "SELECT token_id, company_uuid, employee_uuid, issued_at, expires_at, revoked_at "
                "FROM answers.tokens ORDER BY issued_at DESC, token_id"
            ).fetchall()
        ]


def caller_of_token(settings: Settings, secret: str, *, clock: Clock = utcnow) -> Caller | None:
    """Whose token this is; None, and recorded as refused, for one that is unknown, revoked or expired."""
    rows = []
    with open_warehouse(settings).read() as connection:
        if _has_tables(connection):
            rows = bind(
                connection,
                "SELECT company_uuid, employee_uuid FROM answers.tokens "
                "WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > $2",
                [_hash(secret), clock()],
            ).fetchall()
    if len(rows) == 1:
        return Caller(*rows[0])
    with open_warehouse(settings).write() as connection:
        record(connection, None, via="mcp", topic="token", about=(), outcome="refused", at=clock())
    return None


def record(
    connection: duckdb.DuckDBPyConnection,
    caller: Caller | None,
    *,
    via: str,
    topic: str,
    about: Sequence[str],
    outcome: str,
    at: datetime,
) -> None:
    """Write down who asked (None: nobody known) by which way on which topic about whom, and what came of it."""
    if not _has_tables(connection):  # making them anew takes longer than the answer
        connection.execute(TABLES)
    bind(
        connection,
        "INSERT INTO answers.log VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [at, caller and caller.company, caller and caller.employee, via, topic, list(about), outcome],
    )


def today(settings: Settings, clock: Clock) -> date:
    """Which day it is where people are paid."""
    return clock().astimezone(settings.zone).date()


def _has_tables(connection: duckdb.DuckDBPyConnection) -> bool:
    return bool(connection.execute("SELECT 1 FROM information_schema.tables WHERE table_schema = 'answers'").fetchall())


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
