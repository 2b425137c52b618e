"""A company in memory for random histories: people, two apps, a clock, and a judge of every call that reaches an app.

What decides, plans, holds back, approves and carries out is the real thing (`reconcile`); Gusto, the apps, the file of
the warehouse and the evidence of matching are stand-ins. The judge keeps accounts of its own, of dates and of what it
saw, so that it does not ask what it judges.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from gusto_pipeline import reconcile
from gusto_pipeline.clock import ServerTime
from gusto_pipeline.config import ManagedApp, Provisioning, Settings
from gusto_pipeline.provisioning import actions, brakes, links
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.apply import Applied
from gusto_pipeline.provisioning.brakes import Brake, Limit
from gusto_pipeline.provisioning.decisions import Mode
from gusto_pipeline.provisioning.errors import (
    IncompleteReadError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
    SignInError,
    UnreachableError,
)
from gusto_pipeline.provisioning.links import HandDecisionError
from gusto_pipeline.provisioning.planning import can_be_said
from gusto_pipeline.provisioning.plans import Item, Plan, PlanError
from gusto_pipeline.provisioning.reconciliation import Decision, prepare
from gusto_pipeline.provisioning.store import values
from gusto_pipeline.sync import Company
from gusto_pipeline.warehouse.flatten import literal

COMPANY = Company("acme", "c1", "Acme")
ZONE = ZoneInfo("America/Los_Angeles")
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GRACE = 30
PEOPLE = 24
LIVE = (Status.ACTIVE, Status.INVITED)
LIMITS = {Brake.REMOVALS: 5, Brake.EXTRAS: 1, Brake.CREATES: 2, Brake.RELINKS: 1}
REMOVALS = ("suspend", "delete", "cancel_invitation")


class KilledError(Exception):
    """The process dies here."""


@dataclass
class Human:
    """Somebody in Gusto: first and last day of each spell of work, the last one open without an end."""

    id: str
    given: str
    family: str
    email: str
    spells: list[list[date | None]] = field(default_factory=list)
    listed: bool = True
    zone: str | None = None

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"

    def names(self) -> dict[str, str]:
        return {"given_name": self.given, "family_name": self.family, "display_name": self.name}

    def ends(self) -> list[datetime]:
        return [end_of_access(last) for _, last in self.spells if last]

    def employed(self, now: datetime) -> bool:
        """Access is due now, by some spell."""
        near = now.astimezone(ZONE).date() + 3 * DAY
        return any(
            first is not None and first <= near and (last is None or now < end_of_access(last))
            for first, last in self.spells
        )

    def left(self, now: datetime) -> bool:
        """Their work has ended, and no other follows without a day between."""
        ended = [last for _, last in self.spells if last and now >= end_of_access(last)]
        coming = [first for first, last in self.spells if not (last and now >= end_of_access(last))]
        follows = any(first - last <= DAY for last in ended for first in coming if first)
        return bool(ended) and not self.employed(now) and not follows


def end_of_access(last_day: date) -> datetime:
    return datetime.combine(last_day + DAY, time(0), ZONE).astimezone(UTC)


class Memory:
    """A warehouse in memory, one transaction at a time."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute("SET TimeZone = 'UTC'")
        prepare(self.connection)
        self.connection.execute(
            "CREATE SCHEMA meta; CREATE TABLE meta.syncs (company_uuid VARCHAR, category VARCHAR, status VARCHAR, "
            "started_at TIMESTAMPTZ)"
        )
        self.tables = [
            row[0]
            for row in self.connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'provisioning'"
            ).fetchall()
        ]
        self._lock = threading.RLock()

    def clear(self) -> None:
        self.connection.execute(";".join(f"DELETE FROM provisioning.{table}" for table in self.tables))
        self.connection.execute("DELETE FROM meta.syncs")

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._lock:
            self.connection.begin()
            try:
                yield self.connection
            except BaseException:
                self.connection.rollback()
                raise
            self.connection.commit()

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._lock:
            yield self.connection

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.read() as connection:
            return connection.execute(sql).fetchall()


class FakeApp:
    """An app that is a dictionary. Okta's like suspends and has a bin; Asana's like invites and only takes out.

    trouble: of reading. next: of the next change. `blind` since the last time it could not be read.
    """

    def __init__(self, office: Office, slug: str) -> None:
        self.office, self.slug = office, slug
        self.accounts: dict[str, Account] = {}
        self.trouble, self.next, self.blind = "", "", True
        self.made = 0
        self.ours: dict[str, datetime] = {}  # taken away by us, and not seen open since: when
        shared: dict[str, Any] = {
            "slug": slug, "name": slug.title(), "removal_note": "",
            "tenant": lambda session: self._read(Tenant("t1", "Acme")), "accounts": self._list,
            "account": lambda session, id: self._read(self.accounts.get(id)), "find": self._find,
            "create": self._create, "remove": self._remove, "reactivate": None,
        }  # fmt: skip
        if slug == "okta":
            more: dict[str, Any] = {
                "removal": "deletes", "identity_provider": True, "suspend": self._suspend,
                "reactivate": self._reactivate, "restore": self._restore, "update": self._update,
            }  # fmt: skip
        else:
            more = {
                "removal": "takes out", "invites": True, "invitation_life": 7 * DAY, "cancel_invitation": self._remove,
                "invite_again": self._invite_again,
            }  # fmt: skip
        self.app: Any = SimpleNamespace(**dict.fromkeys(each.name for each in fields(App)) | shared | more)
        self.put(Account(id="root", status=Status.ACTIVE, emails=("root@acme.example",), admin=True, owner=True))

    def put(self, account: Account) -> None:
        self.accounts[account.id] = account

    def add(self, **given: Any) -> Account:
        self.made += 1
        account = Account(id=f"{self.slug}{self.made}", created_at=self.office.now, **{"status": Status.ACTIVE} | given)
        self.put(account)
        return account

    def live(self, id: str) -> bool:
        return id in self.accounts and self.accounts[id].status in LIVE

    def of(self, human: Human) -> Account | None:
        """The newest account that is there with the person's address or name."""
        return next(
            (a for a in reversed(self.accounts.values()) if human.email in a.emails or a.display_name == human.name),
            None,
        )

    # Reading.

    def _read(self, what: Any) -> Any:
        if self.trouble == "down":
            raise UnreachableError(f"{self.slug} does not answer")
        return what

    def _list(self, session: Any) -> Iterator[Account]:
        self.blind = self.trouble != ""
        self._read(None)
        if self.trouble == "signed out":
            raise SignInError("connect again", status=401)
        if self.trouble == "empty":
            return
        for n, account in enumerate(self.accounts.values()):
            if self.trouble == "short" and n:
                raise IncompleteReadError("the pages end early")
            yield account
            if self.trouble == "twice":
                yield account
        self.ours = {id: at for id, at in self.ours.items() if not self.live(id)}

    def _find(self, session: Any, email: str) -> Account | None:
        found = [a for a in self.accounts.values() if email in a.emails]
        return self._read(next((a for a in found if a.status is not Status.DELETED), next(iter(found), None)))

    # Changing.

    def _change(self, action: str, account_id: str | None, login: str | None, do: Callable[[], object]) -> None:
        self._read(None)
        item = self.office.judge(self, action, account_id, login)
        trouble, self.next = self.next, ""
        if trouble == "limited":
            raise RateLimitedError("too many requests", status=429)
        if trouble == "refused":
            raise ServerError("it failed", status=500)
        do()
        self.office.effects += 1
        self.office.yes.discard(item)
        if trouble == "lost":
            raise OutcomeUnknownError("no answer came")

    def _create(self, session: Any, new: NewAccount) -> None:
        invited = {"status": Status.INVITED, "invited_until": self.office.now + 7 * DAY} if self.app.invites else {}
        names = {"given_name": new.given_name, "family_name": new.family_name, "display_name": new.display_name}
        self._change("create", None, new.email, lambda: self.add(emails=(new.email,), **names, **invited))

    def _suspend(self, session: Any, account: Account) -> None:
        self._change("suspend", account.id, None, lambda: self._take(account, Status.SUSPENDED))

    def _remove(self, session: Any, account: Account) -> None:
        kept = Status.DELETED if self.slug == "okta" else None
        self._change("remove", account.id, None, lambda: self._take(account, kept))

    def _take(self, account: Account, status: Status | None) -> None:
        self.ours[account.id] = self.office.now
        if status:
            self.put(replace(account, status=status))
        else:
            del self.accounts[account.id]

    def _reactivate(self, session: Any, account: Account) -> None:
        self._change("reactivate", account.id, None, lambda: self._open(account))

    def _restore(self, session: Any, account: Account) -> None:
        self._change("restore", account.id, None, lambda: self._open(account))

    def _open(self, account: Account) -> None:
        self.ours.pop(account.id, None)
        self.put(replace(account, status=Status.ACTIVE))

    def _update(self, session: Any, account: Account, changes: Mapping[str, Any]) -> None:
        assert "email" not in changes, "changed a login"
        self._change("update", account.id, None, lambda: self.put(replace(account, **changes)))

    def _invite_again(self, session: Any, account: Account) -> None:
        until = self.office.now + 7 * DAY
        self._change("invite_again", account.id, None, lambda: self.put(replace(account, invited_until=until)))


@dataclass
class FakeSession:
    """A session whose waiting takes no time."""

    app: App
    clock: Callable[[], datetime]
    requests: int = 0
    server_time: ServerTime = field(default_factory=ServerTime)

    def __enter__(self) -> FakeSession:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def sleep(self, seconds: float) -> None:
        pass


class Office:
    """The company, and everything that can happen to it. `gusto`: people as they are; `known`: as last synced."""

    def __init__(self, memory: Memory, start: datetime) -> None:
        memory.clear()
        self.memory, self.now, self.effects = memory, start, 0
        self.apps = {slug: FakeApp(self, slug) for slug in ("okta", "asana")}
        self.modes = {"okta": "auto", "asana": "auto"}
        self.who, self.hand_over_to = "true", ""
        self.yes: set[str] = set()
        self.answered: set[str] = set()  # of these, questions
        self.proven: set[str] = set()
        self.unasked: list[tuple[str, str, datetime]] = []  # removals without a yes: app, item, when
        self.unwanted: set[tuple[str, str]] = set()
        self.hr_down, self.turned_back = False, False
        self.options: dict[str, Any] = {}
        self.server_time = ServerTime(self.clock)  # as Gusto tells it
        self.early: dict[str, datetime] = {}  # whose access ends at another instant than Gusto's by choice
        self.plan: Plan | None = None
        self.gusto: dict[str, Human] = {}
        for n in range(PEOPLE):
            self.join(self.today - (90 + n) * DAY, [None, None, None, self.today][n % 4])
        for one in self.apps.values():
            for human in self.gusto.values():
                one.add(emails=(human.email,), **human.names())
        self.known: dict[str, Human] = {}

    def join(self, first_day: date, last_day: date | None = None) -> None:
        n = len(self.gusto)
        self.gusto[f"p{n}"] = Human(f"p{n}", f"Given{n}", f"Family{n}", f"p{n}@acme.example", [[first_day, last_day]])

    def clock(self) -> datetime:
        return self.now

    @property
    def today(self) -> date:
        return self.now.astimezone(ZONE).date()

    @property
    def settings(self) -> Settings:
        apps = {
            slug: ManagedApp(
                mode=self.modes[slug],
                who=self.who,
                delete_after_days=GRACE if slug == "okta" else None,
                hand_over_to=self.hand_over_to,
            )
            for slug in self.apps
        }
        return Settings(home=Path("nowhere"), provisioning=Provisioning(apps=apps, **self.options))

    # -- what is replaced ------------------------------------------------------------------------------------------

    def replace_parts(self, patch: pytest.MonkeyPatch) -> None:
        """Put this company in place of what `reconcile` reads and calls."""
        patch.setattr(reconcile, "open_warehouse", lambda settings: self.memory)
        patch.setattr(reconcile, "connected_apps", lambda store, company: [one.app for one in self.apps.values()])
        patch.setattr(reconcile, "app", lambda slug: self.apps[slug].app)
        patch.setattr(reconcile, "open_session", lambda settings, store, slug, company, clock: self.session(slug))
        patch.setattr(
            reconcile,
            "read_app",
            lambda settings, store, slug, company, clock: actions.read_accounts(self.session(slug), "t1"),
        )
        patch.setattr(reconcile, "refresh_people", lambda *_: SimpleNamespace(people=len(self.known)))
        patch.setattr(reconcile, "match", lambda connection, *_, **__: self.evidence(connection))
        patch.setattr(reconcile, "write_plan", lambda plan, folder: folder / plan.id)
        patch.setattr(reconcile, "prepare", lambda connection: None)
        patch.setattr("gusto_pipeline.provisioning.store.prepare", lambda connection: None)
        patch.setattr(links, "prepare", lambda connection: None)
        patch.setattr(brakes, "LIMITS", {brake: Limit(floor, 0) for brake, floor in LIMITS.items()})
        patch.setattr(brakes, "FEWEST_CALLS", 4)

    def session(self, slug: str) -> FakeSession:
        return FakeSession(self.apps[slug].app, self.clock)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Gusto, asked about one person."""

        def get(path: str) -> SimpleNamespace:
            human = self.gusto[path.rpartition("/")[2]]
            begun = [spell for spell in human.spells if spell[0] and spell[0] <= self.today] or human.spells
            ends = [{"active": True, "effective_date": str(last)} for _, last in begun[-1:] if last]
            return SimpleNamespace(body=json.dumps({"terminated": bool(ends), "terminations": ends}))

        yield SimpleNamespace(get=get, server_time=self.server_time)

    def sync(self) -> None:
        """Gusto's list into the warehouse, unless Gusto is away."""
        if self.hr_down:
            return
        gone = {id: replace(human, listed=False) for id, human in self.known.items() if not self.gusto[id].listed}
        self.known = {id: copy.deepcopy(human) for id, human in self.gusto.items() if human.listed} | gone
        people, records = [], []
        for human in self.known.values():
            spells = [{"first_day": str(a), "last_day": b and str(b)} for a, b in human.spells]
            current = next((s for s in human.spells if not s[1] or s[1] >= self.today), human.spells[-1])
            base = {"company_uuid": COMPANY.uuid, "person_id": human.id, "given_name": human.given,
                    "family_name": human.family, "work_email": human.email, "onboarded": True}  # fmt: skip
            seen = {"last_seen": self.now.isoformat()} if human.listed else {}
            people.append(
                base | seen | {"name": human.name, "worker_type": "employee", "first_day": str(current[0]),
                "last_day": current[1] and str(current[1]), "records": [f"employee/{human.id}"], "on_leave": False,
                "vanished": not human.listed}
            )  # fmt: skip
            records.append(
                base | {"record": f"employee/{human.id}", "kind": "employee", "listed": human.listed,
                "employments": spells, "leaves": [], "zone": human.zone}
            )  # fmt: skip
        with self.memory.write() as connection:
            query = f"SELECT person_id, last_seen FROM provisioning.people WHERE company_uuid = '{COMPANY.uuid}'"
            last_seen = dict(connection.execute(query).fetchall())
            for person in people:
                at = last_seen.get(person["person_id"], self.now)
                person.setdefault("last_seen", at.isoformat())
            for table in ("people", "records"):
                connection.execute(f"DELETE FROM provisioning.{table} WHERE company_uuid = '{COMPANY.uuid}'")
            connection.execute(f"INSERT INTO provisioning.people BY NAME {values(_PEOPLE, people)}")
            connection.execute(f"INSERT INTO provisioning.records BY NAME {values(_RECORDS, records)}")
            connection.execute("INSERT INTO meta.syncs VALUES ($1, 'employees', 'ok', $2)", [COMPANY.uuid, self.now])

    def evidence(self, connection: duckdb.DuckDBPyConnection) -> None:
        for slug in self.apps:
            self._evidence(connection, slug)

    def _evidence(self, connection: duckdb.DuckDBPyConnection, slug: str) -> None:
        """Link by address what is one person's only; what has somebody's name is perhaps theirs."""

        where = f"company_uuid = '{COMPANY.uuid}' AND app = '{slug}'"

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(f"{sql} WHERE {where}").fetchall()

        accounts = rows("SELECT account_id, emails, display_name, status FROM provisioning.accounts")
        there = {row[0] for row in accounts}
        linked = dict(rows("SELECT account_id, person_id FROM provisioning.links"))
        refused = set(rows("SELECT account_id, person_id FROM provisioning.refusals"))
        marked = {row[0] for row in rows("SELECT account_id FROM provisioning.marks")}
        connection.execute(f"DELETE FROM provisioning.candidates WHERE {where}")
        maybe = []
        for id, emails, name, status in accounts:
            if id in linked or id in marked or status == "deleted":
                continue
            people = [h for h in self.known.values() if (id, h.id) not in refused]
            fits = [h for h in people if h.email in emails]
            called = [h for h in people if h.name == name]
            if len(fits) == 1 and not [a for a, p in linked.items() if p == fits[0].id and a in there]:
                linked[id] = fits[0].id
                connection.execute(f"DELETE FROM provisioning.links WHERE {where} AND person_id = '{fits[0].id}'")
                connection.execute(
                    "INSERT INTO provisioning.links (company_uuid, app, account_id, person_id, origin, who, evidence) "
                    f"VALUES ('{COMPANY.uuid}', '{slug}', '{id}', '{fits[0].id}', 'automatic', 'evidence', "
                    f"{literal(json.dumps({'kinds': {'work_email': fits[0].email}}))})"
                )
            else:
                outcome = "disputed" if len(fits) > 1 else "candidate"
                maybe += [(COMPANY.uuid, slug, id, h.id, outcome) for h in fits or called]
        for row in maybe:
            connection.execute(
                "INSERT INTO provisioning.candidates (company_uuid, app, account_id, person_id, outcome) "
                f"VALUES ({', '.join(map(literal, row))})"
            )

    # -- the judge -------------------------------------------------------------------------------------------------

    def judge(self, one: FakeApp, call: str, account_id: str | None, login: str | None) -> str:
        """Whether a call may be, by the eight promises and the gates; gives the item it carries out."""
        slug, where = one.slug, f"company_uuid = '{COMPANY.uuid}' AND app = '{one.slug}'"
        intents = self.memory.query(
            "SELECT i.item_id, i.action, i.person_id, i.account_id, i.login FROM provisioning.intents i "
            f"WHERE {where} AND NOT EXISTS (FROM provisioning.outcomes o WHERE o.intent_id = i.intent_id)"
        )
        assert len(intents) == 1, f"{call} without an intent of its own: {intents}"
        item, action, person, intended_for, intended_login = intents[0]
        assert account_id in (None, intended_for)
        assert login in (None, intended_login)
        assert self.modes[slug] != "observe", "acted where we only observe"
        asked = item in self.yes
        assert asked or self.modes[slug] == "auto", "acted without the yes that mode plan wants"
        assert not one.blind, "acted on an app that cannot be seen"
        known, human = self.known[person], self.gusto[person]
        assert known.listed, "acted on somebody who vanished"
        if call == "create":
            assert (person, slug) not in self.unwanted, "made an account for somebody who is not to have one"
            stays = any(first and first <= self.today + 3 * DAY and not last for first, last in known.spells)
            assert stays or (item in self.answered and known.employed(self.now)), "made one for somebody who leaves"
            there = one.of(human)
            lives = there is not None and there.status is not Status.DELETED and login in there.emails
            assert not lives, "made a second account"
            return item
        assert account_id
        account = one.accounts[account_id]
        linked = self.memory.query(
            f"SELECT count(*) FROM provisioning.links l WHERE {where} AND account_id = '{account_id}' "
            f"AND person_id = '{person}' AND NOT EXISTS (FROM provisioning.refusals r WHERE r.app = l.app "
            "AND r.account_id = l.account_id AND r.person_id = l.person_id)"
        )
        assert linked == [(1,)], "acted on an account of which it is not proven whose it is"
        marked = self.memory.query(f"FROM provisioning.marks WHERE {where} AND account_id = '{account_id}'")
        shielded = any(fnmatchcase(login, "svc-*") for login in account.emails)
        shielded = shielded or account.owner or account.bot or bool(marked)
        assert not shielded or call == "invite_again", "acted on a protected account"
        if action in REMOVALS:
            self._judge_removal(one, item, action, account, human, asked=asked)
        elif call == "reactivate":
            assert account_id in one.ours, "reopened what others had closed"
            assert known.employed(self.now)
            assert (person, slug) not in self.unwanted
        elif call == "update":
            assert known.employed(self.now)
            assert (person, slug) not in self.unwanted
        elif call == "restore":
            assert asked
            assert known.employed(self.now)
        return item

    def _judge_removal(
        self, one: FakeApp, item: str, action: str, account: Account, human: Human, *, asked: bool
    ) -> None:
        told = asked and action != "delete" and ((human.id, one.slug) in self.unwanted or item in self.answered)
        early = human.id in self.early and self.now >= self.early[human.id]
        assert human.left(self.now) or early or told, "took access from somebody who has not left"
        if action == "delete":
            assert account.id in one.ours, "deleted what we had not suspended"
            assert self.now >= one.ours[account.id] + GRACE * DAY, "deleted before the grace was over"
            assert asked, "deleted without a yes"
        if asked:
            self.proven.add(one.slug)
            return
        assert one.slug in self.proven, "made the first removal in an app without a yes"
        self.unasked.append((one.slug, item, self.now))
        recent = {i for slug, i, at in self.unasked if slug == one.slug and at > self.now - DAY}
        assert len(recent) <= LIMITS[Brake.REMOVALS] + LIMITS[Brake.EXTRAS], "more removals than the brakes let through"

    def look(self, decisions: tuple[Decision, ...], plan: Plan) -> None:
        """No leaver with an account that lives, as far as was read, is passed over in silence."""
        said = {
            (one.app, one.person.id, one.account_id)
            for one in decisions
            if one.rule.mode in (Mode.TELL, Mode.ASK_URGENT)
        }
        said |= {(item.app, item.person_id, item.account_id) for item in plan.items}
        rows = self.memory.query(
            "SELECT m.app, m.person_id, m.account_id FROM provisioning.matches m "
            "JOIN provisioning.accounts a USING (company_uuid, app, account_id) "
            "WHERE m.outcome IN ('linked', 'candidate', 'disputed') AND a.status IN ('active', 'invited')"
        )
        for row in rows:
            if row[1] in self.known and self.known[row[1]].listed and self.known[row[1]].left(self.now):
                assert row in said, f"{row}: somebody who left keeps access in silence"

    # -- what we do ------------------------------------------------------------------------------------------------

    def read_and_plan(self) -> None:
        self.sync()
        reconcile.refresh_accounts(self.settings, None, COMPANY, clock=self.clock)
        made = reconcile.reconcile(self.settings, None, COMPANY, clock=self.clock)
        self.look(made.decisions, made.plan)
        self.plan = made.plan

    def sweep(self, dies_at: str = "", *, approved: bool = False) -> Applied | None:
        """What a scheduled run does; `dies_at`: a step of carrying out at which the process dies."""

        def on_step(step: str, item: Item) -> None:
            if step == dies_at:
                raise KilledError

        self.read_and_plan()
        assert self.plan
        before = self.effects
        if approved:
            self.approve()
            self.now += SECOND
        try:
            applied = self._carry_out(self.plan, just_made=True, on_step=on_step)
        except KilledError:
            return None
        except PlanError:
            assert self.turned_back, "a plan of this minute was refused"
            assert self.effects == before
            return None
        spoken = {one.item.id for one in (*applied.done, *applied.waiting)}
        assert spoken == {item.id for item in self.plan.items}, "an item is passed over in silence"
        return applied

    def apply(self) -> None:
        """Somebody applies the last plan, whatever has happened since."""
        if self.plan:
            before = self.effects
            try:
                self._carry_out(self.plan, just_made=False)
            except PlanError:
                assert self.effects == before, "something was done of a plan that was refused"

    def _carry_out(self, plan: Plan, **options: Any) -> Applied:
        return reconcile.carry_out(
            self.settings, None, COMPANY, plan, who="run", gusto=self.client, clock=self.clock, **options
        )

    def approve(self, ids: list[str] | None = None, *, yes: bool = True) -> None:
        """Somebody says yes, or no, to items and questions of the last plan; to all items without ids."""
        if self.plan and (self.plan.items or ids):
            said = reconcile.approve(
                self.settings, self.plan, ids or [], who="kim", approved=yes, clock=self.clock
            )  # fmt: skip
            self.yes = self.yes | {i.id for i in said} if yes else self.yes - {i.id for i in said}
            self.answered |= {i.id for i in said if i in self.plan.questions}

    # -- what happens: to people ... -------------------------------------------------------------------------------

    def dismissed(self, human: Human, one: FakeApp, days: int) -> None:
        """The last spell gets a last day, or another one, so many days from today."""
        first = human.spells[-1][0] or self.today
        human.spells[-1][1] = max(first, self.today + days * DAY)

    def stays(self, human: Human, one: FakeApp) -> None:
        human.spells[-1][1] = None

    def rehired(self, human: Human, one: FakeApp, days: int) -> None:
        last = human.spells[-1][1]
        if last and last < self.today + days * DAY:
            human.spells.append([self.today + days * DAY, None])

    def hired(self, human: Human, one: FakeApp, days: int) -> None:
        self.join(self.today + days * DAY)

    def renamed(self, human: Human, one: FakeApp) -> None:
        human.family = f"{human.family}-Fox"

    def other_address(self, human: Human, one: FakeApp) -> None:
        human.email = f"x{human.email}"

    def vanishes(self, human: Human, one: FakeApp) -> None:
        human.listed = False

    def is_back(self, human: Human, one: FakeApp) -> None:
        human.listed = True

    # ... to accounts, by others ...

    def made_by_hand(self, human: Human, one: FakeApp) -> None:
        if not one.of(human):
            one.add(emails=(human.email,))

    def made_under_a_name(self, human: Human, one: FakeApp) -> None:
        one.add(emails=(f"private{one.made}@example.com",), display_name=human.name)

    def made_for_two(self, human: Human, one: FakeApp) -> None:
        one.add(emails=(human.email, next(h.email for h in self.gusto.values() if h is not human)))

    def turned(self, human: Human, one: FakeApp, status: Status | None, *before: Status) -> None:
        account = one.of(human)
        if account and account.status in before:
            if status:
                one.put(replace(account, status=status, invited_until=None))
            else:
                del one.accounts[account.id]

    def becomes(self, human: Human, one: FakeApp, **given: bool) -> None:
        if account := one.of(human):
            one.put(replace(account, **given))

    # ... to our way to them ...

    def in_trouble(self, human: Human, one: FakeApp, trouble: str) -> None:
        one.trouble = trouble

    def next_change(self, human: Human, one: FakeApp, trouble: str) -> None:
        one.next = trouble

    def gusto_is(self, human: Human, one: FakeApp, down: bool) -> None:
        self.hr_down = down

    def set_mode(self, human: Human, one: FakeApp, mode: str) -> None:
        self.modes[one.slug] = mode

    def waits(self, human: Human, one: FakeApp, how_long: timedelta) -> None:
        self.now += how_long

    def turns_back(self, human: Human, one: FakeApp) -> None:
        """The clock is set back; what was written down before is in the future then."""
        self.now, self.turned_back = self.now - 2 * HOUR, True

    def to_the_end(self, human: Human, one: FakeApp, off: timedelta) -> None:
        """The clock goes on to about the next instant at which somebody's access ends."""
        coming = [end + off for human in self.gusto.values() for end in human.ends() if end + off > self.now]
        self.now = min(coming, default=self.now)

    # ... and by hand.

    def decides(self, human: Human, one: FakeApp, what: str, **given: Any) -> None:
        """Somebody decides about the person's account; what contradicts earlier decisions is refused."""
        account = one.of(human)
        if account is None:
            return
        by = {"who": "kim", "why": "asked", "now": self.now}
        about = (human.id,) if what in ("match", "refuse", "lift_refusal") else ()
        with self.memory.write() as connection, suppress(HandDecisionError):
            getattr(links, what)(connection, COMPANY.uuid, one.slug, account.id, *about, *given.values(), **by)

    def wants(self, human: Human, one: FakeApp, wanted: bool) -> None:
        if human.id not in self.known:
            return
        reconcile.decide_want(
            self.settings, None, COMPANY, human.id, one.slug, wanted=wanted, until=None, who="kim", why="asked",
            clock=self.clock,
        )  # fmt: skip
        self.unwanted = self.unwanted - {(human.id, one.slug)} if wanted else self.unwanted | {(human.id, one.slug)}

    def sweeps(self, human: Human, one: FakeApp, dies_at: str = "", approved: bool = False) -> None:
        self.sweep(dies_at, approved=approved)

    def plans(self, human: Human, one: FakeApp) -> None:
        self.read_and_plan()
        self.approve()

    def applies(self, human: Human, one: FakeApp) -> None:
        self.apply()

    def approves(self, human: Human, one: FakeApp, first: bool = False, yes: bool = True) -> None:
        if self.plan and self.plan.items:
            self.approve([self.plan.items[0].id] if first else None, yes=yes)

    def answers(self, human: Human, one: FakeApp, yes: bool) -> None:
        """Somebody answers the first question of the last plan that a yes or no answers."""
        open_ = [item.id for item in self.plan.questions if can_be_said(item, yes=yes)] if self.plan else []
        if open_:
            self.approve(open_[:1], yes=yes)

    def comes_to_rest(self) -> None:
        """With all in order and a yes to everything, a few sweeps do what is to be done, and then nothing is left."""
        self.hr_down = False
        for one in self.apps.values():
            one.trouble = one.next = ""
        self.modes = dict.fromkeys(self.apps, "auto")
        self.now += 2 * DAY  # no app is left alone any more
        for _ in range(7):
            self.read_and_plan()
            self.approve()
            self.now += MINUTE
            assert self.plan
            applied = self._carry_out(self.plan, just_made=True)
            self.now += MINUTE
            if not applied.done:
                break
        else:
            raise AssertionError(f"no end to it: {applied.done}")
        query = "SELECT account_id, person_id, rule FROM provisioning.decisions WHERE account_id IS NOT NULL"
        rules = {(id, person): rule for id, person, rule in self.memory.query(query)}
        for slug, one in self.apps.items():
            rows = self.memory.query(f"SELECT account_id, person_id FROM provisioning.links WHERE app = '{slug}'")
            marks = self.memory.query(f"SELECT account_id FROM provisioning.marks WHERE app = '{slug}'")
            for id, person in rows:
                account = one.accounts.get(id)
                if not account or account.status not in LIVE or not self.gusto[person].listed:
                    continue
                if slug == "okta" and rules.get((id, person)) in ("A1", "A2"):
                    assert account.family_name in (None, self.gusto[person].family), "a name is not followed"
                kept = account.bot or account.owner or (id,) in marks
                assert kept or not self.gusto[person].left(self.now), f"{id}: a leaver's account is still open"


_TEXT = dict.fromkeys(
    (
        "company_uuid",
        "person_id",
        "given_name",
        "family_name",
        "work_email",
        "name",
        "worker_type",
        "record",
        "kind",
        "zone",
    ),
    "VARCHAR",
)
_PEOPLE = _TEXT | {
    "first_day": "DATE", "last_day": "DATE", "onboarded": "BOOLEAN", "on_leave": "BOOLEAN", "vanished": "BOOLEAN",
    "last_seen": "TIMESTAMPTZ", "records": "VARCHAR[]",
}  # fmt: skip
_PEOPLE = {name: type_ for name, type_ in _PEOPLE.items() if name not in ("record", "kind")}
_RECORDS = {name: type_ for name, type_ in _TEXT.items() if name not in ("name", "worker_type")} | {
    "employments": "STRUCT(first_day DATE, last_day DATE)[]", "leaves": "STRUCT(first_day DATE, last_day DATE)[]",
    "onboarded": "BOOLEAN", "listed": "BOOLEAN",
}  # fmt: skip


@contextmanager
def at_work(memory: Memory, start: datetime) -> Iterator[Office]:
    """The company from `start` on, in place of what `reconcile` reads and calls."""
    office = Office(memory, start)
    with pytest.MonkeyPatch.context() as patch:
        office.replace_parts(patch)
        yield office
