"""Reconciling a company's people with its apps' accounts: read, match, decide, plan, and carry out what may be.

Joins Gusto, the apps, the warehouse and the files of plans. The rules are in `provisioning`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from gusto_pipeline.accounts import connected_apps, open_session, read_app
from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import GustoError
from gusto_pipeline.provisioning import apply, log
from gusto_pipeline.provisioning.account import Account
from gusto_pipeline.provisioning.actions import Snapshot
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.apply import Applied, Gated
from gusto_pipeline.provisioning.apps import LEARNING, SLUGS, app
from gusto_pipeline.provisioning.brakes import CLOCK_SLACK
from gusto_pipeline.provisioning.dismissal import Employment, Timing, overdue, removal_instant
from gusto_pipeline.provisioning.errors import AppError
from gusto_pipeline.provisioning.links import HandDecisionError
from gusto_pipeline.provisioning.matching import match
from gusto_pipeline.provisioning.people import Person, load_people, refresh_people
from gusto_pipeline.provisioning.planning import (
    can_be_said,
    held_back,
    how_to_answer,
    invitations_sent,
    make_plan,
    resting,
)
from gusto_pipeline.provisioning.plans import (
    Difference,
    Item,
    Plan,
    PlanError,
    Said,
    answered,
    read_plan,
    since,
    write_plan,
)
from gusto_pipeline.provisioning.reconciliation import (
    Decision,
    Wanted,
    decide_all,
    keep,
    note_states,
    prepare,
    subject,
    with_chosen_ends,
)
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.store import AccountsRefusedError, load_accounts, store_accounts, store_failed_read
from gusto_pipeline.sync import Company, open_warehouse
from gusto_pipeline.warehouse.flatten import bind, literal


@dataclass(frozen=True)
class AppRead:
    """How reading one app's accounts went. `problem` is empty when all is well; `counts` is by status."""

    slug: str
    accounts: int
    counts: Mapping[str, int]
    requests: int
    tenant: str
    problem: str
    read_at: datetime


@dataclass(frozen=True)
class Reconciled:
    """What a reconciliation found. path: the plan's file."""

    plan: Plan
    path: Path
    decisions: tuple[Decision, ...]
    people: int

    def counts(self, slug: str) -> dict[str, int]:
        """How many decisions found which state in an app."""
        return dict(sorted(Counter(str(one.rule.state) for one in self.decisions if one.app == slug).items()))

    def leavers_with_access(self, slug: str) -> int:
        """How many accounts that are or may be a leaver's are alive in an app."""
        return sum(one.app == slug and one.risks for one in self.decisions)


def refresh_accounts(
    settings: Settings,
    store: ConnectionStore,
    company: Company,
    slugs: Iterable[str] | None = None,
    *,
    accept_shrink: bool = False,
    who: str = "",
    clock: Clock = utcnow,
) -> list[AppRead]:
    """Read the connected apps, or those of `slugs` among them, side by side, and keep each list that is whole.

    accept_shrink: also one that has lost more than a fifth, as `who` says. A failing app holds up no other; what it had
    before stays, marked as not to be trusted.
    """
    asked = None if slugs is None else set(slugs)
    wanted = [one.slug for one in connected_apps(store, company) if asked is None or one.slug in asked]

    def one(slug: str) -> Snapshot | AppError:
        try:
            return read_app(settings, store, slug, company, clock=clock)
        except AppError as error:
            return error

    with ThreadPoolExecutor(max(1, min(8, len(wanted))), thread_name_prefix="accounts") as pool:
        found = dict(zip(wanted, pool.map(one, wanted), strict=True))
    reads = []
    with open_warehouse(settings).write() as connection:
        prepare(connection)
        removed = log.taken_away(connection, company.uuid)
        for slug, snapshot in found.items():
            ours = removed.get(slug, frozenset())
            reads.append(_stored(connection, company, slug, snapshot, accept_shrink, who, ours, clock()))
        note_states(connection, company.uuid, {one.slug: one.read_at for one in reads if not one.problem})
    return reads


def _stored(
    connection: duckdb.DuckDBPyConnection,
    company: Company,
    slug: str,
    found: Snapshot | AppError,
    accept_shrink: bool,
    who: str,
    removed: frozenset[str],
    now: datetime,
) -> AppRead:
    problem, requests = "", 0
    if isinstance(found, Snapshot):
        try:
            store_accounts(
                connection, company.uuid, slug, found.tenant, found.accounts, found.read_at, found.requests,
                accept_shrink=accept_shrink, who=who, removed=removed,
            )  # fmt: skip
            counts = Counter(str(account.status) for account in found.accounts)
            return AppRead(slug, len(found.accounts), counts, found.requests, found.tenant.name, "", found.read_at)
        except AccountsRefusedError as refused:
            problem, requests = str(refused), found.requests
    else:
        problem = str(found)
    store_failed_read(connection, company.uuid, slug, now, problem, requests)
    return AppRead(slug, 0, {}, requests, "", problem, now)


def reconcile(settings: Settings, store: ConnectionStore, company: Company, *, clock: Clock = utcnow) -> Reconciled:
    """Merge people, match accounts, decide, and write a plan, all from what the warehouse knows now.

    Raises RuleError for a rule of pipeline.yaml that cannot be evaluated, and PeopleError before the first sync.
    """
    apps = managed_apps(settings, store, company)
    now = clock()
    with open_warehouse(settings).write() as connection:
        prepare(connection)
        people = refresh_people(connection, company.uuid, now).people
        match(connection, company.uuid, apps, now, domains=settings.provisioning.domains)
        decisions = decide_all(connection, company.uuid, apps, now)
        keep(connection, company.uuid, decisions, now)
        tries, said = invitations_sent(connection, company.uuid), log.answers(connection, company.uuid)
    made = answered(make_plan(decisions, apps, company.slug, company.uuid, tries, now), said)
    return Reconciled(made, write_plan(made, settings.plans / company.slug), tuple(decisions), people)


def managed_apps(settings: Settings, store: ConnectionStore, company: Company) -> dict[str, tuple[App, Wanted]]:
    """The connected apps of a company with what is wanted in each."""
    connected = connected_apps(store, company)
    return {one.slug: (app(one.slug), wanted_in(settings, one.slug, company)) for one in connected}


def timing(settings: Settings, company: Company, lead_days: int = 0) -> Timing:
    """When access ends in a company by pipeline.yaml, and how long before the first day it is due."""
    at, zone, by_work_location = settings.provisioning.removal_times(company.slug)
    return Timing(zone=zone, at=time.fromisoformat(at), by_work_location=by_work_location, lead_days=lead_days)


def wanted_in(settings: Settings, slug: str, company: Company) -> Wanted:
    """What pipeline.yaml wants in an app."""
    given, general = settings.provisioning.app(slug), settings.provisioning
    return Wanted(
        who=given.who,
        timing=timing(settings, company, given.lead_days),
        address=given.address,
        role=given.role,
        licence=given.licence,
        groups=given.groups,
        delete_after_days=given.delete_after_days,
        hand_over_to=given.hand_over_to,
        protect=general.protect,
    )


def find_plan(settings: Settings, company: Company, name: str) -> Plan:
    """A plan by its path, or by the beginning of its id. Raises PlanError, also for another company's."""
    path = Path(name)
    if not path.is_file():
        found = sorted((settings.plans / company.slug).glob(f"plan-{name.removeprefix('plan-')}*.json"))
        if len(found) != 1:
            raise PlanError(f"there {'is no plan' if not found else 'are several plans'} {name!r} of {company.slug}")
        path = found[0]
    made = read_plan(path)
    if made.company_uuid != company.uuid:
        raise PlanError(f"{path} is a plan for {made.company}, not for {company.slug}: nothing was done")
    return made


def approve(
    settings: Settings,
    made: Plan,
    ids: Sequence[str],
    *,
    who: str,
    approved: bool = True,
    why: str = "",
    clock: Clock = utcnow,
) -> list[Item]:
    """Record a person's yes (or no) to items and questions of a plan, to all items without ids.

    Raises PlanError for others, and for a question that is answered in another way (`decisions.ANSWERS`).
    """
    questions = {item.id: item for item in made.questions}
    by_id = {item.id: item for item in made.items} | questions
    if unknown := [one for one in ids if one not in by_id]:
        raise PlanError(f"plan {made.id} has no item {', '.join(unknown)}")
    items = [by_id[one] for one in ids] if ids else list(made.items)
    for item in (questions[one] for one in ids if one in questions):
        if not can_be_said(item, yes=approved):
            word, step = "yes" if approved else "no", f"{item.next_step} {how_to_answer(item, made.id)}"
            raise PlanError(f"a {word} does not answer {item.id}, and nothing was noted. {step}")
    with open_warehouse(settings).write() as connection:
        prepare(connection)
        log.approve(connection, made.company_uuid, made.id, items, who=who, now=clock(), approved=approved, why=why)
    return items


def carry_out(
    settings: Settings,
    store: ConnectionStore,
    company: Company,
    made: Plan,
    *,
    who: str,
    gusto: Callable[[], AbstractContextManager[GustoClient]] | None = None,
    just_made: bool = False,
    modes: Mapping[str, apply.Mode] | None = None,
    clock: Clock = utcnow,
    on_step: Callable[[str, Item], object] = lambda step, item: None,
) -> Applied:
    """Apply a plan: settle what a crash left open, read the apps again, refuse a plan that no longer holds, then act.

    gusto: a client to ask about each person once more before a removal; without it the last sync counts. just_made: the
    plan is of this minute, so only each account is read again. modes: by app, in place of those of pipeline.yaml's
    section provisioning. Raises PlanError for a stale plan, naming what changed, for one of learners,
    and while the clock is behind what was written down.
    """
    warehouse = open_warehouse(settings)
    if made.company_uuid != company.uuid:
        raise PlanError(f"plan {made.id} is another company's than {company.slug}: nothing was done")
    if not just_made and any(item.app in LEARNING for item in (*made.items, *made.questions)):
        raise PlanError(
            f"plan {made.id} is about learners, who are brought in line as they are that day: nothing was done. What "
            "was approved of it goes with: gusto-pipeline learners sync"
        )

    def session(slug: str) -> Session:
        return open_session(settings, store, slug, company, clock=clock)

    with warehouse.write() as connection:
        prepare(connection)
        latest, waiting = log.latest(connection, company.uuid), log.open_intents(connection, company.uuid)
    if latest and latest - clock() > CLOCK_SLACK:
        raise PlanError(
            f"the clock says {clock():%Y-%m-%d %H:%M %Z}, and {latest:%Y-%m-%d %H:%M %Z} is written down already: it "
            "was turned back, so what is due cannot be told and nothing was done. Set it right, or wait until then"
        )
    if waiting:
        apply.settle(company.uuid, warehouse, session, clock=clock)
    done: Collection[str] = ()
    if not just_made:
        refresh_accounts(settings, store, company, clock=clock)
        current = reconcile(settings, store, company, clock=clock).plan
        with warehouse.read() as connection:
            meant = answered(made, log.answers(connection, company.uuid))
            done = log.done_of(connection, company.uuid, made.id)
        if changed := since(meant, current, done):
            raise PlanError(_stale(made, changed))
    with warehouse.write() as connection:
        now, meant = clock(), answered(made, log.answers(connection, company.uuid)).without(done)
        rest = resting(connection, company.uuid, {item.app for item in meant.items}, now)
        gated = gate(connection, settings, meant, rest, now, modes)
        going = [one.item for one in gated if one.verdict == "go"]
        left = {item.person_id for item in going if item.person_id and item.inputs.get("hr") == "ended"}
        leavers: dict[str, Person] = {}
        if gusto and left:
            where = f"person_id IN ({', '.join(map(literal, left))})"
            found = with_chosen_ends(connection, company.uuid, load_people(connection, company.uuid, where=where))
            leavers = {person.id: person for person in found}
    asked: dict[str, str] = {}

    def still_so(item: Item) -> str:
        if gusto is None or item.person_id is None or item.inputs.get("hr") != "ended":
            return ""
        if item.person_id not in leavers:
            return f"{item.person_id} is not known any more; nothing was removed"
        if item.person_id not in asked:
            asked[item.person_id] = _not_gone(settings, company, leavers[item.person_id], gusto, clock())
        return asked[item.person_id]

    ended = apply.carry_out(made, going, warehouse, session, who=who, clock=clock, still_so=still_so, on_step=on_step)
    return Applied(tuple(ended), tuple(one for one in gated if one.verdict != "go"))


AGAIN = timedelta(minutes=10)  # after this, what was due and could not be done is tried again


def sweep_due(settings: Settings, company: Company, now: datetime) -> str:
    """Why accounts should be swept now, from what was decided last; empty when nothing asks for it.

    Somebody's access has ended since, or a removal that was due within the last day is still to be done.
    """
    acting = [slug for slug in SLUGS if settings.provisioning.app(slug).mode != "observe"]
    with open_warehouse(settings).read() as connection:
        try:
            ended, waiting = bind(
                connection,
                "SELECT count(*) FILTER (removal_at <= $2 AND removal_at > decided_at "
                "  AND acct IN ('active', 'invited', 'lapsed')), "
                "count(*) FILTER (state IN ('REMOVAL_DUE', 'UNKNOWN') AND removal_at > $2 - INTERVAL 1 DAY "
                "  AND removal_at <= $2 AND decided_at <= $3 AND acct IN ('active', 'invited', 'lapsed') "
                "  AND list_contains($4, app)) "
                "FROM provisioning.decisions WHERE company_uuid = $1 AND link = 'linked'",
                [company.uuid, now, now - AGAIN, acting],
            ).fetchall()[0]
        except duckdb.CatalogException:  # nothing was ever decided
            return ""
    if ended:
        return f"the access of {ended} accounts has ended"
    return f"{waiting} removals are still to be done" if waiting else ""


@dataclass(frozen=True)
class Late:
    """An account that is, or may be, open although its holder's access ended at `ended_at`. alert: which of
    `dismissal.ALERTS` has passed since."""

    app: str
    account_id: str
    person_id: str
    ended_at: datetime
    alert: timedelta


def late_removals(settings: Settings, company: Company, now: datetime) -> list[Late]:
    """Accounts of people whose access has ended that were open when last looked at, proven theirs or perhaps, by app.

    Without those that were closed since, by us or, as somebody says, by hand.
    """
    with open_warehouse(settings).read() as connection:
        try:
            rows = bind(
                connection,
                "SELECT app, account_id, person_id, removal_at FROM provisioning.decisions d "
                "WHERE company_uuid = $1 AND removal_at <= $2 AND hr <> 'vanished' AND link <> 'refused' "
                "AND acct IN ('active', 'invited', 'lapsed') "
                "AND NOT EXISTS (FROM provisioning.intents i JOIN provisioning.outcomes o USING (intent_id) "
                "  WHERE (i.company_uuid, i.app, i.account_id) = (d.company_uuid, d.app, d.account_id) "
                "  AND list_contains($3, i.action) AND o.outcome IN ('done', 'nothing_to_do') "
                "  AND o.ended_at >= d.decided_at) "
                "AND NOT EXISTS (FROM provisioning.done_by_hand h "
                "  WHERE (h.company_uuid, h.app, h.account_id) = (d.company_uuid, d.app, d.account_id) "
                "  AND h.said_at >= (SELECT max(read_at) FROM provisioning.account_reads r "
                "    WHERE (r.company_uuid, r.app) = (h.company_uuid, h.app) AND r.complete)) "
                "ORDER BY ALL",
                [company.uuid, now, sorted(apply.REMOVALS)],
            ).fetchall()
        except duckdb.CatalogException:  # nothing was ever decided
            return []
    return [Late(app, id, person, at, alert) for app, id, person, at in rows if (alert := overdue(at, now))]


def gate(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    made: Plan,
    rest: Mapping[str, str],
    now: datetime,
    modes: Mapping[str, apply.Mode] | None = None,
) -> list[Gated]:
    """What of a plan may go now and what waits, by modes (pipeline.yaml's by default), approvals and brakes.

    rest: apps that are left alone, and why (`planning.resting`).
    """
    given: dict[str, Any] = {
        "modes": modes or {item.app: settings.provisioning.app(item.app).mode for item in made.items},
        "approved": frozenset(item for item, said in log.answers(connection, made.company_uuid).items() if said.yes),
        "proven": log.apps_with_removals(connection, made.company_uuid),
        "now": now,
    }
    ready = [one.item for one in apply.gate(made.items, held={}, **given) if one.verdict == "go"]
    quotas = {slug: most for slug in {item.app for item in ready} if (most := app(slug).new_per_day)}
    held = held_back(ready, connection, made.company_uuid, given["approved"], quotas, now)
    held |= {item.id: rest[item.app] for item in ready if item.app in rest}
    return apply.gate(made.items, held=held, **given)


@dataclass(frozen=True)
class Explained:
    """A decision, what it asks and the commands that answer it, empty where nothing is asked, and the answer given."""

    decision: Decision
    asks: str
    said: Said | None


def explain(
    settings: Settings, store: ConnectionStore, company: Company, person: str, slug: str, *, clock: Clock = utcnow
) -> list[Explained]:
    """The decisions about one person (id, name or address) in one app, with their reasons. Raises PlanError."""
    connected = [one.slug for one in connected_apps(store, company)]
    if slug not in connected:
        raise PlanError(f"{slug} is not connected for {company.slug}; connected: {', '.join(connected) or 'none'}")
    asked, now = {slug: (app(slug), wanted_in(settings, slug, company))}, clock()
    with looking(settings) as connection:
        found = find_person(connection, company, person)
        if found.out_of_scope:
            raise PlanError(f"nothing is ever done about {found.name}: {found.out_of_scope}")
        decisions = decide_all(connection, company.uuid, asked, now, only=found.id)
        tries, said = invitations_sent(connection, company.uuid), log.answers(connection, company.uuid)
    made = make_plan(decisions, asked, company.slug, company.uuid, tries, now)
    questions: dict[str | None, list[Item]] = {}
    for item in (*made.questions, *made.items):
        if item.needs_approval:
            questions.setdefault(item.account_id, []).append(item)

    def explained(one: Decision) -> Explained:
        mine = questions.get(one.account_id, [])
        asks = (f"{item.next_step} {how_to_answer(item, _plan_with(settings, company, item.id))}" for item in mine)
        return Explained(one, " ".join(asks), next((said[item.id] for item in mine if item.id in said), None))

    return [explained(one) for one in decisions]


def _plan_with(settings: Settings, company: Company, item: str) -> str:
    """The id of the newest plan that has an item or question of this id; in capitals that one has to be made first."""
    files = sorted((settings.plans / company.slug).glob("plan-*.json"), key=lambda path: -path.stat().st_mtime)
    has = (path.stem.removeprefix("plan-") for path in files if f'"{item}"' in path.read_text(encoding="utf-8"))
    return next(has, "PLAN")


@contextmanager
def looking(
    settings: Settings, prepared: Callable[[duckdb.DuckDBPyConnection], None] = prepare
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection that finds every table that `prepared` makes, empty where nothing was written."""
    warehouse = open_warehouse(settings)
    with warehouse.write() as connection:
        prepared(connection)
    with warehouse.read() as connection:
        yield connection


def find_person(connection: duckdb.DuckDBPyConnection, company: Company, name: str) -> Person:
    """The one person with this id, name, address, employee code or record of Gusto's. Raises HandDecisionError."""
    wanted = name.casefold()
    found = [one for one in load_people(connection, company.uuid, out_of_scope=True) if wanted in _called(one)]
    if len(found) != 1:
        said = ", ".join(f"{one.name} ({one.id})" for one in found) or "nobody"
        raise HandDecisionError(f"Which person is {name!r}? Found: {said}.")
    return found[0]


def find_account(connection: duckdb.DuckDBPyConnection, company: Company, slug: str, name: str) -> Account:
    """The one account of an app with this id, login or address. Raises HandDecisionError."""
    wanted = name.casefold()
    found = [
        one
        for one in load_accounts(connection, company.uuid, slug)
        if wanted in {one.id.casefold(), (one.user_name or "").casefold(), *map(str.casefold, one.emails)}
    ]
    if len(found) != 1:
        said = ", ".join(f"{(one.emails or (one.user_name,))[0]} ({one.id})" for one in found) or "none"
        raise HandDecisionError(f"Which account of {slug} is {name!r}? Found: {said}.")
    return found[0]


def decide_want(
    settings: Settings,
    store: ConnectionStore,
    company: Company,
    person: str,
    slug: str,
    *,
    wanted: bool,
    until: date | None,
    who: str,
    why: str,
    clock: Clock = utcnow,
) -> None:
    """Say by hand whether somebody should have an app, whatever the rules say, until a day or for good.

    Raises HandDecisionError for a person nobody or several are called, for one the rules leave alone, for an app that
    is not connected, and for a day that has passed.
    """
    if not who.strip() or not why.strip():
        raise HandDecisionError("Say who decides and why: it is kept with the decision.")
    require_connected(store, company, {slug} - set(LEARNING))
    if until is not None and until < clock().date():
        raise HandDecisionError(f"The last day that it is to hold, {until}, has passed already.")
    with open_warehouse(settings).write() as connection:
        prepare(connection)
        found = _find_managed(connection, company, person)
        bind(
            connection,
            "INSERT INTO provisioning.wants VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            [company.uuid, slug, found.id, wanted, until, who, why, clock()],
        )


@dataclass(frozen=True)
class Removal:
    """What removing a person's accounts comes to. made: the plan that holds it. items: what is to be approved, or goes
    by itself. left: what is not touched, and why."""

    made: Reconciled
    items: tuple[Item, ...]
    left: tuple[Decision, ...]


def remove_accounts(
    settings: Settings,
    store: ConnectionStore,
    company: Company,
    person: str,
    slugs: Sequence[str] = (),
    *,
    who: str,
    why: str,
    clock: Clock = utcnow,
) -> Removal:
    """Say that a person should have no account any more, in these apps or wherever one is theirs, and plan its removal.

    Reads those apps first. Nothing is removed by this. Raises HandDecisionError for a person nobody or several are
    called, for one the rules leave alone, for an app that is not connected, and where no account is theirs.
    """
    apps = require_connected(store, company, slugs)
    with looking(settings) as connection:
        found = _find_managed(connection, company, person)
    refresh_accounts(settings, store, company, slugs or apps, clock=clock)
    reconcile(settings, store, company, clock=clock)
    with open_warehouse(settings).read() as connection:
        rows = bind(
            connection,
            "SELECT DISTINCT app FROM provisioning.links "
            "JOIN provisioning.accounts USING (company_uuid, app, account_id) "
            "WHERE company_uuid = $1 AND person_id = $2 AND status IN ('active', 'invited')",
            [company.uuid, found.id],
        ).fetchall()
    theirs = {row[0] for row in rows} & set(apps)
    if missing := [slug for slug in slugs if slug not in theirs] or ([] if theirs else ["any connected app"]):
        raise HandDecisionError(f"No open account in {', '.join(missing)} is known to be {found.name}'s.")
    for slug in slugs or sorted(theirs):
        decide_want(settings, store, company, found.id, slug, wanted=False, until=None, who=who, why=why, clock=clock)
    made = reconcile(settings, store, company, clock=clock)
    about = [one for one in made.decisions if one.person.id == found.id and one.app in (slugs or theirs)]
    items = tuple(
        item
        for item in made.plan.items
        if item.person_id == found.id and item.action in apply.REMOVALS and item.app in (slugs or theirs)
    )
    planned = {(item.app, item.account_id) for item in items}
    return Removal(made, items, tuple(one for one in about if (one.app, one.account_id) not in planned))


def decide_end(
    settings: Settings, company: Company, person: str, at: datetime | None, *, who: str, why: str, clock: Clock = utcnow
) -> datetime:
    """Say by hand when somebody's access ends, None for the usual time; gives the instant that holds now.

    Holds for the last day that Gusto dates now, for no other. Without time zone it is the company's. Raises
    HandDecisionError without a dated last day, and for an instant later than the usual one.
    """
    if not who.strip() or not why.strip():
        raise HandDecisionError("Say who decides and why: it is kept with the decision.")
    usual = timing(settings, company)
    with open_warehouse(settings).write() as connection:
        prepare(connection)
        found = find_person(connection, company, person)
        one = subject(found, usual, clock())
        if one.last_day is None or one.removal_at is None:
            raise HandDecisionError(f"Gusto dates no last day of {found.name}. Enter the dismissal there first.")
        if at is not None:
            at = at if at.tzinfo else at.replace(tzinfo=ZoneInfo(usual.zone))
            if at > one.removal_at:
                raise HandDecisionError(
                    f"{found.name}'s access ends at {one.removal_at.astimezone(at.tzinfo):%Y-%m-%d %H:%M %Z} at the "
                    "latest; it can end earlier, not later."
                )
        bind(
            connection,
            "INSERT INTO provisioning.removal_times VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [company.uuid, found.id, one.last_day, at, who, why, clock()],
        )
    return at or one.removal_at


def require_connected(store: ConnectionStore, company: Company, slugs: Iterable[str]) -> list[str]:
    """The apps connected for a company. Raises HandDecisionError when one of `slugs` is not among them."""
    connected = [one.slug for one in connected_apps(store, company)]
    if unknown := [slug for slug in slugs if slug not in connected]:
        raise HandDecisionError(
            f"{', '.join(unknown)} is not connected for {company.slug}; connected: {', '.join(connected) or 'none'}."
        )
    return connected


def _find_managed(connection: duckdb.DuckDBPyConnection, company: Company, person: str) -> Person:
    """As `find_person`; raises HandDecisionError also for somebody whom the rules leave alone."""
    found = find_person(connection, company, person)
    if found.out_of_scope:
        raise HandDecisionError(f"Nothing is ever done about {found.name}: {found.out_of_scope}.")
    return found


def _called(person: Person) -> set[str]:
    names = (person.id, person.name, person.work_email, person.personal_email, *person.records, *person.employee_codes)
    return {name.casefold() for name in names if name}


def _stale(made: Plan, changed: Difference) -> str:
    said = [f"no longer: {item.action} {item.account or item.person} in {item.app}" for item in changed.gone[:5]]
    said += [f"new: {item.action} {item.account or item.person} in {item.app}" for item in changed.come[:5]]
    more = len(changed.gone) + len(changed.come) - len(said)
    tail = f"; and {more} more" if more > 0 else ""
    return (
        f"plan {made.id} no longer fits the facts, so nothing was done ({'; '.join(said)}{tail}). Make a new one and "
        "read it"
    )


def _not_gone(
    settings: Settings,
    company: Company,
    person: Person,
    gusto: Callable[[], AbstractContextManager[GustoClient]],
    now: datetime,
) -> str:
    """Why a person whose access is to end has not left by what Gusto says this minute; empty when they have.

    GET /v1/employees/{uuid} (with its terminations) or /v1/contractors/{uuid} for each of the person's records.
    """
    ends = {e.last_day: e.removal_at for record in person.hr for e in record.employments}
    try:
        with gusto() as client:
            for record, hr in zip(person.records, person.hr, strict=True):
                kind, _, uuid = record.partition("/")
                if kind not in ("employee", "contractor"):
                    continue
                one = json.loads(client.get(f"/v1/{kind}s/{uuid}").body)
                last = _last_day(kind, one)
                end = removal_instant(Employment(None, last, ends.get(last)), timing(settings, company), hr.work_zone)
                if end is None or end > now:
                    return f"Gusto now says that {record} has not left; nothing was removed"
            if client.server_time.ahead:
                raise AppError(client.server_time.ahead)
    except GustoError as error:
        return f"Gusto could not be asked once more before the removal ({error}); nothing was removed"
    return ""


def _last_day(kind: str, record: Mapping[str, Any]) -> date | None:
    if kind == "contractor":
        day = record.get("dismissal_date")
        return date.fromisoformat(str(day)) if day and not record.get("is_active") else None
    ended = [t for t in record.get("terminations") or () if t.get("active")]
    if not record.get("terminated") or not ended:
        return None
    return max(date.fromisoformat(t["effective_date"]) for t in ended)
