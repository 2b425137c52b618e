"""Bringing a company's learning portal in line with Gusto: read, plan, carry out what may be, report.

Joins the portal, the warehouse, pipeline.yaml and the files. The rules are in `provisioning.learners`; modes,
approvals, brakes and the log are those of every app.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from gusto_pipeline import reconcile
from gusto_pipeline.accounts import open_session
from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.provisioning import apply, learners
from gusto_pipeline.provisioning.actions import Snapshot, read_accounts
from gusto_pipeline.provisioning.apply import Applied
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.errors import AppError, IncompleteReadError
from gusto_pipeline.provisioning.learners import PORTAL, Attribute, Drafted, FieldRule, GroupRule, People, Portal, Rules
from gusto_pipeline.provisioning.log import Result
from gusto_pipeline.provisioning.matching import match
from gusto_pipeline.provisioning.people import refresh_people
from gusto_pipeline.provisioning.plans import Item, Plan, PlanError, write_plan
from gusto_pipeline.provisioning.reconciliation import Wanted, note_states, read_state
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.store import AccountsRefusedError, store_accounts, store_failed_read, values
from gusto_pipeline.schema import OPEN, PERSONAL
from gusto_pipeline.spreadsheets.writers import Column, Sheet, Written, write_csv, write_xlsx
from gusto_pipeline.sync import Company, open_warehouse
from gusto_pipeline.warehouse.flatten import quote

_T = TypeVar("_T")
WORKBOOK, EXPORT = "learners.xlsx", "learners.csv"
# Columns of flat.employees that no rule may use although the catalog does not call them pay or secret, and those that
# say nothing about people.
_NEVER = re.compile(
    r"birth|ssn|tax|bank|shareholder|(^|_)(uuid|uiud|id|version|warnings)$|^(historical|terminated)$|i9"
)
_CHOSEN = ("job__title", "job__hire_date", "manager__name")  # what the flat view adds of a person's job


class TooSoonError(PlanError):
    """Learners were brought in line by hand within the hour; the message says when it can be done again."""


@dataclass(frozen=True)
class Planned:
    """What a portal's reading came to. path: the plan's file. requests: how many the reading took."""

    drafted: Drafted
    path: Path
    learners: int
    requests: int


@dataclass(frozen=True)
class Brought:
    """What was done. report: the workbook with pending invitations."""

    planned: Planned
    applied: Applied
    report: Path

    def counts(self) -> dict[str, int]:
        """What was done how often, what failed and what waits, by name."""
        found: dict[str, int] = {"learners": self.planned.learners}
        for done in self.applied.done:
            name = done.item.action if done.result in ("done", "nothing_to_do") else f"{done.item.action}_{done.result}"
            found[name] = found.get(name, 0) + 1
        drafted = self.planned.drafted
        return found | {
            "waiting_for_a_person": len([one for one in self.applied.waiting if one.verdict != "not due"]),
            "questions": len(drafted.plan.questions),
            "pending_invitations": drafted.waiting,
            "values_that_do_not_fit": len(drafted.misfits),
        }


def connected(store: ConnectionStore, company: Company) -> bool:
    """Whether a learning portal is connected for the company."""
    return f"{PORTAL}/{company.slug}" in store.names(f"{PORTAL}/")


def rules_of(settings: Settings, company: Company) -> Rules:
    """What pipeline.yaml says of learners."""
    given, general = settings.learners, settings.provisioning
    return Rules(
        wanted=Wanted(who=given.who, timing=reconcile.timing(settings, company), protect=general.protect),
        when=given.invite.when,
        how=given.invite.how,
        sso=given.sso,
        address=given.address,
        fields=tuple(
            FieldRule(rule.field, rule.sql or quote(rule.attribute), rule.attribute or rule.sql, rule.values)
            for rule in given.fields
        ),
        groups=tuple(GroupRule(rule.group, rule.where) for rule in given.groups),
        columns=usable_columns(),
    )


def usable_columns() -> tuple[str, ...]:
    """Columns of flat.employees that rules may use beside the standard attributes: neither pay, secret nor birth date.

    Those that a standard attribute has already are left out.
    """
    table = CATEGORIES["employees"].table("employees")
    taken = {"first_name", "last_name", "email", "work_email", "department", "title", "employee_code", "company_uuid"}
    open_ = [column.name for column in table.columns if column.sensitivity in (OPEN, PERSONAL)]
    return (*(name for name in open_ if name not in taken and not _NEVER.search(name)), *_CHOSEN)


def plan(
    settings: Settings,
    store: ConnectionStore,
    company: Company,
    *,
    accept_shrink: bool = False,
    who: str = "",
    people_too: bool = True,
    clock: Clock = utcnow,
) -> Planned:
    """Read the portal, and write down what should be done there. Nothing is done.

    accept_shrink: take a list of learners that has lost more than a fifth, as `who` says. people_too: bring people in
    line with what is staged first. Raises AppError when the portal cannot be read whole, RuleError for a rule that
    cannot be followed at all, and PeopleError before the first sync.
    """
    rules = rules_of(settings, company)
    with open_warehouse(settings).write() as connection:
        learners.prepare(connection)
        remembered = learners.groups_of_rules(connection, company.uuid)

    def ask(session: Session) -> Portal:
        return _portal(session, rules, remembered)

    accepted_by = who if accept_shrink else None
    with _just_read(settings, store, company, ask, accepted_by, clock, people_too) as (connection, seen, portal):
        drafted = learners.draft(connection, company.slug, company.uuid, rules, portal, seen.at)
    path = write_plan(drafted.plan, settings.plans / company.slug)
    return Planned(drafted, path, len(seen.snapshot.accounts), seen.requests)


def read(settings: Settings, store: ConnectionStore, company: Company, *, clock: Clock = utcnow) -> None:
    """Read the portal's learners and invitations afresh, and whose they are. Raises as `plan` does."""
    with open_warehouse(settings).write() as connection:
        learners.prepare(connection)
    with _just_read(settings, store, company, lambda session: None, None, clock):
        pass


@dataclass(frozen=True)
class _Seen:
    """A reading of the portal. at: when it was kept. requests: how many were made, for all that was asked."""

    snapshot: Snapshot
    at: datetime
    requests: int


@contextmanager
def _just_read(
    settings: Settings,
    store: ConnectionStore,
    company: Company,
    ask: Callable[[Session], _T],
    accepted_by: str | None,
    clock: Clock,
    people_too: bool = True,
) -> Iterator[tuple[duckdb.DuckDBPyConnection, _Seen, _T]]:
    """The transaction in which what the portal has is kept and its learners are matched with people.

    Gives with it what was read and what was asked beside. accepted_by: who takes a list that has lost more than a
    fifth, if somebody does. people_too: bring people in line with what is staged first.
    """
    warehouse = open_warehouse(settings)

    def session(slug: str) -> Session:
        return open_session(settings, store, slug, company, clock=clock)

    apply.settle(company.uuid, warehouse, session, clock=clock)
    try:
        with session(PORTAL) as portal_session:
            before = portal_session.requests
            snapshot = read_accounts(portal_session, portal_session.record["tenant_id"])
            asked = ask(portal_session)
            requests = portal_session.requests - before
    except AppError as error:
        with warehouse.write() as connection:
            store_failed_read(connection, company.uuid, PORTAL, clock(), str(error))
        raise
    now = clock()
    try:
        with warehouse.write() as connection:
            _keep(connection, company, snapshot, accepted_by, now)
            if people_too:
                refresh_people(connection, company.uuid, now)
            learners.link_created(connection, company.uuid, now)
            match(connection, company.uuid, [PORTAL], now, domains=settings.provisioning.domains)
            yield connection, _Seen(snapshot, now, requests), asked
    except AccountsRefusedError as error:
        with warehouse.write() as connection:
            store_failed_read(connection, company.uuid, PORTAL, now, str(error), snapshot.requests)
        raise IncompleteReadError(str(error)) from error


def sync(
    settings: Settings,
    store: ConnectionStore,
    company: Company,
    *,
    who: str,
    by_hand: bool = False,
    gusto: Callable[[], AbstractContextManager[GustoClient]] | None = None,
    accept_shrink: bool = False,
    clock: Clock = utcnow,
    on_step: Callable[[str, Item], object] = lambda step, item: None,
) -> Brought:
    """Bring the portal in line with Gusto as far as mode, approvals and brakes allow, and write the report.

    who: for the log. by_hand: refused within an hour of the last such run that got as far as a plan. gusto, on_step:
    as for `reconcile.carry_out`. Raises TooSoonError, and what `plan` raises.
    """
    warehouse = open_warehouse(settings)
    with store.lock(f"learners/{company.slug}"):
        if by_hand:
            with warehouse.write() as connection:
                learners.prepare(connection)
                _not_too_soon(learners.next_by_hand(connection, company.uuid), settings, company, clock())
        planned = plan(settings, store, company, accept_shrink=accept_shrink, who=who, clock=clock)
        with warehouse.write() as connection:
            learners.note_run(connection, company.uuid, clock(), by_hand=by_hand, who=who)

        def noted(step: str, item: Item) -> None:
            if learners.notable(step, item):
                with warehouse.write() as connection:
                    learners.note_step(connection, company.uuid, item, clock())
            on_step(step, item)

        def carried_out(made: Plan) -> Applied:
            return reconcile.carry_out(
                settings, store, company, made, who=who, gusto=gusto, just_made=True,
                modes={PORTAL: settings.learners.mode}, clock=clock, on_step=noted,
            )  # fmt: skip

        applied = carried_out(planned.drafted.plan)
        if any(done.item.action == "reactivate" and done.result is Result.DONE for done in applied.done):
            # Only now can be seen, and changed, what the portal has of those who are back.
            planned = plan(
                settings, store, company, accept_shrink=accept_shrink, who=who, people_too=False, clock=clock
            )
            after = carried_out(planned.drafted.plan)
            applied = Applied((*applied.done, *after.done), after.waiting)
        return Brought(planned, applied, write_report(settings, company, planned.drafted, clock=clock))


def last_read(settings: Settings, company: Company, *, clock: Clock = utcnow) -> datetime | None:
    """When the portal was last read whole; None before the first time."""
    with reconcile.looking(settings, learners.prepare) as connection:
        return read_state(connection, company.uuid, PORTAL, clock())[2]


def pending(settings: Settings, company: Company, *, clock: Clock = utcnow) -> list[dict[str, Any]]:
    """Open invitations as of the last reading, those whose link ends first before the others."""
    with reconcile.looking(settings, learners.prepare) as connection:
        found = connection.execute(learners.pending_query(company.uuid, clock()))
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def export(settings: Settings, company: Company, path: Path | None = None) -> Written:
    """Every learner as of the last reading, as CSV that no spreadsheet program takes formulas from."""
    with reconcile.looking(settings, learners.prepare) as connection:
        sheet = _sheet(connection, "Learners", learners.export_query(company.uuid))
        return write_csv(connection, sheet, path or settings.reports / company.slug / EXPORT)


def attributes(settings: Settings, company: Company, *, clock: Clock = utcnow) -> list[Attribute]:
    """What rules may use, with an example of each. Raises PeopleError before the first sync."""
    rules = rules_of(settings, company)
    with open_warehouse(settings).write() as connection:
        learners.prepare(connection)
        refresh_people(connection, company.uuid, clock())
        return People(connection, company.uuid, rules.address, rules.columns).attributes()


def write_report(settings: Settings, company: Company, drafted: Drafted, *, clock: Clock = utcnow) -> Path:
    """Pending invitations, values that do not fit, and all learners, as a workbook. For after a plan."""
    misfits = [asdict(each) | {"people": "; ".join(each.people)} for each in drafted.misfits]
    types = dict.fromkeys(("field", "value", "nearest", "attribute", "people"), "VARCHAR")
    problems = [{"problem": text} for text in drafted.problems]
    with open_warehouse(settings).read() as connection:
        sheets = [
            _sheet(connection, "Pending invitations", learners.pending_query(company.uuid, clock())),
            _sheet(connection, "Values that do not fit", values(types, misfits)),
            _sheet(connection, "Rules not followed", values({"problem": "VARCHAR"}, problems)),
            _sheet(connection, "Learners", learners.export_query(company.uuid)),
        ]
        path, zone = settings.reports / company.slug / WORKBOOK, settings.provisioning.removal_timezone
        write_xlsx(connection, sheets, path, timezone=zone, created=drafted.plan.made_at)
    return path


def _sheet(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> Sheet:
    described = connection.execute(f"DESCRIBE {query}").fetchall()
    return Sheet(name, query, tuple(Column(column, type=type_) for column, type_, *_ in described))


def _portal(session: Session, rules: Rules, remembered: frozenset[str]) -> Portal:
    """Fields, groups, and the members of the groups that a rule names or named."""
    fields, groups, members = session.app.fields, session.app.groups, session.app.members
    assert fields
    assert groups
    assert members
    named = {rule.group for rule in rules.groups}
    there = dict(groups(session)) if named or remembered else {}
    used = [id for id, title in there.items() if {id, title} & named or id in remembered]
    return Portal(fields(session), there, {id: members(session, id) for id in used})


def _keep(
    connection: duckdb.DuckDBPyConnection, company: Company, found: Snapshot, accepted_by: str | None, now: datetime
) -> None:
    life = app(PORTAL).invitation_life
    assert life
    accounts = learners.with_expiry(connection, company.uuid, found.accounts, life, now)
    store_accounts(
        connection, company.uuid, PORTAL, found.tenant, accounts, found.read_at, found.requests,
        accept_shrink=accepted_by is not None, who=accepted_by or "",
    )  # fmt: skip
    note_states(connection, company.uuid, {PORTAL: found.read_at})


def _not_too_soon(again: datetime | None, settings: Settings, company: Company, now: datetime) -> None:
    if again and now < again:
        zone = settings.zone
        raise TooSoonError(
            f"The learners of {company.slug} were synced at {again.astimezone(zone) - learners.HOUR:%H:%M %Z}. By "
            f"hand that can be done once an hour, next at {again.astimezone(zone):%Y-%m-%d %H:%M %Z}."
        )
