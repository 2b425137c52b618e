"""A warehouse whose staging tables hold just the people a test names, as if a sync had brought them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.provisioning.matching import Outcome
from gusto_pipeline.provisioning.people import Refreshed, refresh_people
from gusto_pipeline.provisioning.store import insert, of, prepare, values
from gusto_pipeline.warehouse.flatten import literal, quote, rows

COMPANY = "c0000000-0000-4000-8000-000000000001"
NOW = datetime(2026, 6, 15, 19, tzinfo=UTC)  # noon in Gusto's zone
USED = ("employees", "contractors", "admins", "time_off", "work_addresses", "employment_history", "rehires")


@dataclass(frozen=True)
class Match:
    """One account and one person it is or may be of; without a person, nobody is. `evidence`: by kind, as found."""

    account_id: str
    person_id: str | None
    outcome: Outcome
    score: float | None
    sentence: str
    evidence: Mapping[str, Any]


class Hr:
    """Gusto's lists of one company in an in-memory warehouse. `list_…` replaces a list, as a sync does."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'; SET threads = 1; CREATE SCHEMA staging; CREATE SCHEMA meta")
        self.connection.execute(
            "CREATE TABLE meta.syncs (company_uuid VARCHAR, category VARCHAR, status VARCHAR, started_at TIMESTAMPTZ)"
        )
        self.tables: dict[str, dict[str, str]] = {}
        for name in USED:
            for source in CATEGORIES[name].sources:
                for each in rows(source.table):
                    columns = {column.name: column.type for column in each.columns}
                    self.tables[each.table.name] = columns
                    declared = ", ".join(f"{quote(column)} {type_}" for column, type_ in columns.items())
                    self.connection.execute(f"CREATE TABLE staging.{quote(each.table.name)} ({declared})")

    def clear(self) -> None:
        """Forget everything, as a new warehouse."""
        self.connection.execute("DROP SCHEMA IF EXISTS provisioning CASCADE; DELETE FROM meta.syncs")
        for table in self.tables:
            self.connection.execute(f"DELETE FROM staging.{quote(table)}")

    def stage(self, table: str, records: Iterable[dict[str, Any]], company: str = COMPANY) -> None:
        """Replace a staging table's rows of the company."""
        self.connection.execute(f"DELETE FROM staging.{quote(table)} WHERE company_uuid = {literal(company)}")
        given = [{"company_uuid": company, **record} for record in records]
        assert not {key for record in given for key in record} - self.tables[table].keys()
        self.connection.execute(f"INSERT INTO staging.{quote(table)} BY NAME {values(self.tables[table], given)}")

    def synced(self, category: str, at: datetime = NOW, company: str = COMPANY) -> None:
        self.connection.execute(
            f"INSERT INTO meta.syncs VALUES ({literal(company)}, {literal(category)}, 'ok', '{at.isoformat()}')"
        )

    def employees(self, *people: dict[str, Any], at: datetime = NOW, company: str = COMPANY) -> None:
        """The whole list of employees; `hired` and `last_day` become their job and their termination."""
        records = [{"first_name": "Ada", "last_name": "Moss", "onboarded": True, **person} for person in people]
        hired = {each["uuid"]: each.pop("hired", "2024-01-08") for each in records}
        left = {each["uuid"]: each.pop("last_day", None) for each in records}
        self.stage("employees", [{"terminated": bool(left[each["uuid"]]), **each} for each in records], company)
        jobs = [{"employee_uuid": uuid, "uuid": f"job-{uuid}", "hire_date": day} for uuid, day in hired.items() if day]
        self.stage("jobs", jobs, company)
        ends = [{"employee_uuid": uuid, "effective_date": day} for uuid, day in left.items() if day]
        self.stage("terminations", ends, company)
        self.synced("employees", at, company)

    def contractors(self, *people: dict[str, Any], at: datetime = NOW) -> None:
        base = {"type": "Individual", "onboarded": True, "is_active": True, "start_date": "2024-01-08"}
        self.stage("contractors", [base | person for person in people])
        self.synced("contractors", at)

    def admins(self, *people: dict[str, Any], at: datetime = NOW) -> None:
        self.stage("admins", people)
        self.synced("admins", at)

    def refresh(self, now: datetime = NOW, company: str = COMPANY) -> Refreshed:
        return refresh_people(self.connection, company, now)

    def people(self, *people: dict[str, Any]) -> None:
        """The company's persons just as given, for tests in which it does not matter where they come from.

        Keys as for `employees`; a person's id is the uuid.
        """
        prepare(self.connection)
        self.connection.execute("DELETE FROM provisioning.people")
        insert(self.connection, "people", [_person(**person) for person in people])

    def matches(self, app: str) -> list[Match]:
        """All that is known of every account of an app, by account and falling score."""
        found = self.query(
            "SELECT account_id, person_id, outcome, score, sentence, evidence FROM provisioning.matches "
            f"WHERE {of(COMPANY, app)} ORDER BY account_id, score DESC, person_id"
        )
        return [
            Match(account, person, Outcome(outcome), score, sentence, json.loads(evidence or "{}"))
            for account, person, outcome, score, sentence, evidence in found
        ]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()


def _person(
    *,
    uuid: str,
    first_name: str = "Ada",
    preferred_first_name: str | None = None,
    last_name: str = "Moss",
    hired: str = "2024-01-08",
    last_day: str | None = None,
    work_email: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    employee_code: str | None = None,
    out_of_scope: str | None = None,
) -> dict[str, Any]:
    called = [{"given": given, "family": last_name} for given in (first_name, preferred_first_name) if given]
    return {
        "company_uuid": COMPANY,
        "person_id": uuid,
        "name": f"{first_name} {last_name}",
        "names": called,
        "spells": [{"first_day": hired, "last_day": last_day}],
        "work_emails": [work_email] if work_email else [],
        "personal_emails": [email] if email else [],
        "phones": [phone] if phone else [],
        "employee_codes": [employee_code] if employee_code else [],
        "records": [f"employee/{uuid}"],
        "out_of_scope": out_of_scope,
    }
