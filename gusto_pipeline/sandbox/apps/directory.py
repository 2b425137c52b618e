"""What every simulated app keeps: its members, the tokens it gave out, the invitations it mailed; and who is in it.

How members look over HTTP is each app's own business; this knows no app.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from gusto_pipeline.sandbox.faults import Faults
from gusto_pipeline.sandbox.gusto.world import Company, SandboxClock

State = Literal["active", "invited", "suspended", "deleted"]
Role = Literal["member", "admin", "owner"]


@dataclass
class Member:
    """One account as its app stores it. `extra`: what only this app knows of it. Never seen: last_seen is None."""

    id: str
    email: str
    given: str
    family: str
    state: State = "active"
    role: Role = "member"
    bot: bool = False
    created_at: datetime = datetime(2023, 1, 1, tzinfo=UTC)
    invited_at: datetime | None = None
    last_seen: datetime | None = None
    changed_at: datetime | None = None
    employee_number: str | None = None
    title: str | None = None
    department: str | None = None
    phone: str | None = None
    groups: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}".strip()


@dataclass
class Directory:
    """One app's state. `seats`: how many members it may have, None without a limit; `mails`: (address, kind) sent.

    new_id: the app's form of the n-th id. secret: the credentials a connection must present, by field. changes: how
    often a member was added or changed.
    """

    clock: SandboxClock
    faults: Faults
    new_id: Callable[[int], str]
    secret: dict[str, str]
    domain: str
    organization: str
    seats: int | None = None
    members: dict[str, Member] = field(default_factory=dict)
    mails: list[tuple[str, str]] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    changes: int = 0
    _tokens: dict[str, datetime] = field(default_factory=dict)
    _holders: dict[str, Member] = field(default_factory=dict)
    _refresh: set[str] = field(default_factory=set)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _made: int = 0

    def add(self, email: str, given: str, family: str, **more: Any) -> Member:
        """A new member with the next id."""
        self._made += 1
        more = {"created_at": self.clock.now()} | more
        member = Member(id=self.new_id(self._made), email=email, given=given, family=family, **more)
        self.members[member.id] = member
        self.changes += 1
        return member

    def by_email(self, email: str, *states: State) -> Member | None:
        """The member with this address, in one of the states (any that is not deleted by default)."""
        wanted, email = states or ("active", "invited", "suspended"), email.casefold()
        return next((m for m in self.members.values() if m.email.casefold() == email and m.state in wanted), None)

    def there(self, *states: State) -> list[Member]:
        """Members in these states (any that is not deleted by default)."""
        wanted = states or ("active", "invited", "suspended")
        return [member for member in self.members.values() if member.state in wanted]

    def listed(self, path: str, *states: State) -> list[Member]:
        """The same as a list call would go through them.

        The fault `short-page=F` makes it lose all but the first fraction F of them.
        """
        rows = self.there(*states)
        if fault := self.faults.strike(path, "short-page"):
            rows = rows[: int(len(rows) * float(fault.value or 0.5))]
        return rows

    def change(self, member: Member, state: State) -> None:
        """Puts a member into another state, now."""
        member.state, member.changed_at = state, self.clock.now()
        self.changes += 1

    def full(self) -> bool:
        """Whether every seat is taken."""
        return self.seats is not None and len(self.there("active", "invited")) >= self.seats

    # -- tokens -----------------------------------------------------------------------------------------------

    def code(self, query: dict[str, str]) -> str:
        """An authorization code for a consent; `query` as asked, to be compared at the exchange."""
        code = secrets.token_urlsafe(18)
        self._codes[code] = query
        return code

    def consent(self, code: str) -> dict[str, str] | None:
        """What the code was given for; it works once."""
        return self._codes.pop(code, None)

    def new_token(self, lifetime: float | None = 3600, holder: Member | None = None) -> str:
        """An access token that lives so many seconds. holder: whom it acts as, for apps that ask."""
        token = secrets.token_urlsafe(24)
        if holder:
            self._holders[token] = holder
        life = timedelta(seconds=lifetime) if lifetime else timedelta(days=36500)
        self._tokens[token] = self.clock.now() + life
        return token

    def new_refresh_token(self) -> str:
        token = secrets.token_urlsafe(24)
        self._refresh.add(token)
        return token

    def refreshes(self, token: str, *, once: bool) -> bool:
        """Whether a refresh token is good; with `once` it ends by this."""
        good = token in self._refresh
        if once:
            self._refresh.discard(token)
        return good

    def revoke(self) -> None:
        """Ends every token, as an administrator who removes the integration does."""
        self._tokens.clear()
        self._refresh.clear()

    def holder(self, token: str) -> Member | None:
        """Whom an access token acts as, None where nobody was named."""
        return self._holders.get(token)

    def accepts(self, token: str, path: str) -> bool:
        """Whether an access token is alive; the fault `expired` ends it."""
        if self.faults.strike(path, "expired"):
            self._tokens.pop(token, None)
        return self._tokens.get(token, datetime.min.replace(tzinfo=UTC)) > self.clock.now()


NICKNAMES = {"William": "Bill", "Robert": "Bob", "Elizabeth": "Liz", "Michael": "Mike", "Jennifer": "Jen"}
SERVICES = (("ci-bot", "CI", "Bot", True), ("noreply", "No", "Reply", True), ("support", "Support", "Team", False))


def settle(directory: Directory, company: Company, seed: str) -> None:
    """Fills a directory with the company's people in every state that real directories have them in.

    Most are simply there. Some leavers still are, some are suspended; some people are invited, long ago or just now;
    some use a personal address or another spelling, one has two accounts; there are bots, a shared mailbox, an
    administrator from outside, and people HR has never heard of. Each is there once at least, if the company is large
    enough.
    """
    rng, now, today = random.Random(seed), directory.clock.now(), directory.clock.today()
    day = timedelta(days=1)

    def add(person: dict[str, Any], email: str, **more: Any) -> Member:
        given = person.get("preferred_first_name") or person["first_name"]
        hired = date.fromisoformat(person["spells"][-1]["hire_date"] if "spells" in person else person["start_date"])
        age = max((today - hired).days - rng.randint(0, 10), 1)  # made when they came
        created = now - timedelta(days=age)
        seen = now - timedelta(days=rng.randint(0, 20))
        base = {"created_at": created, "last_seen": seen, "employee_number": person.get("employee_code")}
        return directory.add(email, given, person["last_name"], **(base | more))

    def invite(person: dict[str, Any], email: str, at: datetime) -> None:
        add(person, email, state="invited", invited_at=at, created_at=at, last_seen=None)

    def respell(person: dict[str, Any], email: str) -> None:
        local, _, domain = email.partition("@")
        nickname = NICKNAMES.get(person["first_name"], person["first_name"][:1])
        add(person | {"first_name": nickname}, f"{local[:1]}{local.split('.')[-1]}@{domain}")

    def double(person: dict[str, Any], email: str) -> None:
        add(person, email)
        add(person, email.replace("@", "+old@"), last_seen=None)

    lacking: dict[int, Callable[[dict[str, Any], str], object]] = {
        5: lambda person, email: invite(person, email, now - day),
        7: lambda person, email: invite(person, email, now - 60 * day),
        9: lambda person, email: add(person, email, state="suspended", changed_at=now - 10 * day),
        11: lambda person, email: add(person, person["email"]),
        13: respell,
        15: double,
    }
    oddly, plain, leavers = dict(lacking), list[tuple[dict[str, Any], Member]](), list[tuple[dict[str, Any], str]]()
    for n, person in enumerate(company.employees.values()):
        email = person["work_email"] or person["email"]
        spell = person["spells"][-1]
        left = spell["termination_date"] and spell["termination_date"] < today.isoformat()
        begun = spell["hire_date"] <= today.isoformat()
        if not email:
            continue
        kind = (n + rng.randint(0, 2) * 13) % 26
        if left:
            leavers.append((person, email))
            if kind % 2:
                add(person, email, state="active" if kind % 4 == 1 else "suspended", changed_at=now - 3 * day)
        elif not begun or person["onboarding_status"] != "onboarding_completed":
            if kind == 3:
                add(person, email, state="invited", invited_at=now - day, last_seen=None, created_at=now - day)
        elif n == 0:
            add(person, email, role="owner")
        elif kind in oddly and (kind != 11 or person["email"]):
            oddly[kind](person, email)
            lacking.pop(kind, None)
        elif kind == 19:
            add(person, email, role="admin")
        elif kind != 17:
            plain.append((person, add(person, email)))
    for n, person in enumerate(company.contractors.values()):
        if n % 2 == 0 and person["first_name"] and (email := person["work_email"] or person["email"]):
            add(person, email)
    for local, given, family, bot in SERVICES:
        directory.add(f"{local}@{directory.domain}", given, family, bot=bot, created_at=now - 700 * day)
    directory.add("alex@outside-it.example", "Alex", "Agency", role="admin", created_at=now - 800 * day, last_seen=now)
    directory.add(f"zoe.formerly@{directory.domain}", "Zoe", "Formerly", created_at=now - 900 * day)
    for oddity in lacking.values() if len(plain) > 2 * len(lacking) else ():
        person, member = plain.pop()
        del directory.members[member.id]
        oddity(person, member.email)
    if leavers and not any(directory.by_email(email, "active") for _, email in leavers):
        person, email = leavers[0]
        if there := directory.by_email(email):
            del directory.members[there.id]
        add(person, email, changed_at=now - 3 * day)


def crowd(directory: Directory, size: int) -> None:
    """Adds plain members until there are `size`, for apps that page."""
    numbers: Iterator[int] = iter(range(len(directory.members), size))
    for n in numbers:
        directory.add(f"person{n:05}@{directory.domain}", f"Given{n:05}", f"Family{n:05}")
