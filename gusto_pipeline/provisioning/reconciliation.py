"""From what the warehouse knows to decisions: every person in every connected app.

Reads one company's people, accounts, matches and log in a few queries, decides in memory, and writes nothing but the
table of decisions. The rules themselves are in `decisions`, `dismissal` and `brakes`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from zoneinfo import ZoneInfo

import duckdb

from gusto_pipeline.provisioning import brakes, log
from gusto_pipeline.provisioning.account import Account, Status
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.decisions import (
    RULES,
    Acct,
    By,
    Hr,
    Inputs,
    Link,
    Prot,
    Reading,
    Rule,
    Want,
    decide,
)
from gusto_pipeline.provisioning.decisions import Spell as SpellKind
from gusto_pipeline.provisioning.dismissal import (
    DAY,
    HrRecord,
    Timing,
    employment_start,
    hr_state,
    removal_instant,
    spell,
)
from gusto_pipeline.provisioning.people import Person, load_people
from gusto_pipeline.provisioning.store import accounts_by_app, insert, make, of, of_apps, script
from gusto_pipeline.warehouse.flatten import literal


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a company wants in one app. who: SQL condition over provisioning.people, empty: whoever has an account.

    address: login of new accounts: work, personal, or a form with {given} and {family}. The others as in pipeline.yaml.
    """

    who: str = ""
    timing: Timing = field(default_factory=Timing)
    address: str = "work"
    role: str = ""
    licence: str = ""
    groups: tuple[str, ...] = ()
    delete_after_days: int | None = None
    hand_over_to: str = ""
    protect: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A person as an app's rules see them now: HR state, when access ends or has ended and the last day before that, if
    an end is dated, and the first day of the employment that access is for."""

    person: Person
    hr: Hr
    removal_at: datetime | None
    last_day: date | None
    employed_since: date | None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the table says about one person in one app, about one account if there is one.

    logins: every login of the app, in lower case, and which account it is of. unwanted: somebody said by hand that the
    person should not have the app. by_rule: a rule or somebody by hand says whether they should; otherwise all stays as
    it is, and nobody gets a new account. proof: what `matching` found of the two, as JSON.
    """

    subject: Subject
    app: str
    account_id: str | None
    account: Account | None
    inputs: Inputs
    rule: Rule
    reason: str
    next_step: str
    evidence: tuple[str, ...] = ()
    taken_at: datetime | None = None
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    unwanted: bool = False
    by_rule: bool = False
    proof: str = ""

    @property
    def person(self) -> Person:
        return self.subject.person

    @property
    def risks(self) -> bool:
        """Whether somebody whose employment has ended can, or may, still get in."""
        alive = self.inputs.acct in (Acct.ACTIVE, Acct.INVITED, Acct.LAPSED)
        return self.inputs.hr is Hr.ENDED and alive and self.inputs.link is not Link.REFUSED

    @property
    def login(self) -> str | None:
        """What the app calls the account."""
        if self.account is None:
            return self.account_id
        return next(iter(self.account.emails), None) or self.account.user_name or self.account.id


_LEFT = {rule.id for rule in RULES if dict(rule.when).get("hr") == (Hr.ENDED,)}


class RuleError(Exception):
    """A rule of pipeline.yaml cannot be applied; the message says which and why."""


def decide_all(
    connection: duckdb.DuckDBPyConnection,
    company_uuid: str,
    apps: Mapping[str, tuple[App, Wanted]],
    now: datetime,
    *,
    only: str | None = None,
) -> list[Decision]:
    """A decision for every person in scope and every app, one for each account that is or may be theirs.

    only: a single person's id. Raises RuleError for a condition that DuckDB cannot evaluate.
    """
    only_them = f"person_id = {literal(only)}" if only else ""
    everybody = with_chosen_ends(connection, company_uuid, load_people(connection, company_uuid, where=only_them))
    found: list[Decision] = []
    subjects: dict[Timing, list[Subject]] = {}
    for view in _views(connection, company_uuid, apps, now):
        timing = view.wanted.timing
        if timing not in subjects:
            subjects[timing] = [subject(person, timing, now) for person in everybody]
        for one in subjects[timing]:
            found += view.decisions(one, now)
    return found


def with_chosen_ends(connection: duckdb.DuckDBPyConnection, company: str, people: Sequence[Person]) -> list[Person]:
    """The people with the instants that were chosen by hand for the end of their access, while the last day is the one
    that they were chosen for."""
    chosen = {
        person_id: (last_day, removal_at)
        for person_id, last_day, removal_at in connection.execute(
            f"SELECT person_id, last_day, removal_at FROM provisioning.removal_times WHERE {of(company, '')} "
            "QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY rowid DESC) = 1"
        ).fetchall()
    }

    def ending(record: HrRecord, last_day: date, removal_at: datetime | None) -> HrRecord:
        changed = (replace(e, removal_at=removal_at) if e.last_day == last_day else e for e in record.employments)
        return replace(record, employments=tuple(changed))

    return [
        replace(one, hr=tuple(ending(record, *chosen[one.id]) for record in one.hr)) if one.id in chosen else one
        for one in people
    ]


def subject(person: Person, timing: Timing, now: datetime) -> Subject:
    """A person with what follows from the time."""
    hr = hr_state(person.hr, now, timing)
    ends = sorted(
        (end, employment.last_day)
        for record in person.hr
        if record.listed
        for employment in record.employments
        if employment.last_day and (end := removal_instant(employment, timing, record.work_zone))
    )
    # Of several employments the one that counts: the last to have ended, else the next after which there is no other.
    past = [one for one in ends if one[0] <= now]
    ends = past[-1:] if hr is Hr.ENDED else ends[len(past) :]
    ends = [one for one in ends if hr_state(person.hr, one[0], timing) is Hr.ENDED]
    removal_at, last_day = ends[0] if ends else (None, None)
    return Subject(person, hr, removal_at, last_day, employment_start(person.hr, now, timing))


@dataclass(frozen=True)
class _Taken:
    """That we took an account away, when, and whether because its holder had left."""

    action: str
    at: datetime
    employed_since: date | None
    left: bool


@dataclass(frozen=True)
class _AppView:
    """Everything that decisions about one app look at, read once."""

    app: App
    wanted: Wanted
    reading: Reading
    why_stale: str
    read_at: datetime | None
    accounts: Mapping[str, Account]
    matches: Mapping[str, Sequence[tuple[str, str, str, str]]]  # by person: account, outcome, sentence, evidence
    claims: Mapping[str, Sequence[str]]  # by account: names of all who may hold it
    taken: Mapping[str, _Taken]
    by_others: frozenset[str]
    marked: Mapping[str, str]
    elsewhere: Mapping[str, str]
    wants: frozenset[str] | None
    exceptions: Mapping[str, tuple[bool, str]]  # by person: what somebody said by hand, and a sentence about it

    @cached_property
    def logins(self) -> dict[str, str]:
        return {
            login.casefold(): account.id
            for account in self.accounts.values()
            if account.status is not Status.DELETED
            for login in (*account.emails, account.user_name or "")
        }

    def decisions(self, one: Subject, now: datetime) -> list[Decision]:
        mine = self.matches.get(one.person.id, ())
        held = [row for row in mine if row[1] == Link.LINKED]
        present = [row for row in held if self._acct(row[0], now) not in (Acct.ABSENT, Acct.TRASH)]
        maybe = [row for row in mine if row[1] in (Link.CANDIDATE, Link.DISPUTED)]
        refused = [row for row in mine if row[1] == Link.REFUSED]
        # An account that is gone is history as soon as there is, or may be, another.
        rows = [*present, *maybe] or held[:1] or refused[:1]
        if not rows:
            return [self._decision(one, None, Link.NONE, "", "", now)]
        return [self._decision(one, id, Link(outcome), why, proof, now) for id, outcome, why, proof in rows]

    def _decision(
        self, one: Subject, account_id: str | None, link: Link, evidence: str, proof: str, now: datetime
    ) -> Decision:
        account, person = self.accounts.get(account_id or ""), one.person
        acct = self._acct(account_id, now)
        spell = self._spell(person, account_id, link, acct, now)
        inputs = Inputs(
            app=self.reading,
            hr=one.hr,
            want=self._want(person, account_id, link, acct, spell),
            link=link,
            acct=acct,
            by=self._by(account_id, link, acct),
            prot=self._prot(account_id, account),
            spell=spell,
        )
        rule = decide(inputs)
        taken = self.taken.get(account_id or "")
        facts = self._facts(one, account_id, account, evidence, taken)
        wanted, said = self.exceptions.get(person.id, (False, ""))
        return Decision(
            subject=one,
            app=self.app.slug,
            account_id=account_id,
            account=account,
            inputs=inputs,
            rule=rule,
            reason=rule.reason.format_map(facts),
            next_step=rule.next_step.format_map(facts),
            evidence=tuple(filter(None, (evidence, self.elsewhere.get(account_id or ""), said, self.why_stale))),
            taken_at=taken.at if taken else None,
            logins=self.logins,
            unwanted=bool(said) and not wanted,
            by_rule=bool(said) or self.wants is not None,
            proof=proof,
        )

    def _acct(self, account_id: str | None, now: datetime) -> Acct:
        account = self.accounts.get(account_id or "")
        if account is None:
            return Acct.ABSENT
        match account.status:
            case Status.INVITED:
                lapsed = account.invited_until is not None and account.invited_until <= now
                return Acct.LAPSED if lapsed else Acct.INVITED
            case Status.SUSPENDED:
                return Acct.SUSPENDED
            case Status.DELETED:
                return Acct.TRASH
        return Acct.ACTIVE

    def _want(self, person: Person, account_id: str | None, link: Link, acct: Acct, spell: SpellKind | None) -> Want:
        if person.id in self.exceptions:
            return Want.YES if self.exceptions[person.id][0] else Want.NO
        if self.wants is None:  # nothing is said: as it is, so it should be, or as it was before they left
            back = spell and self.taken[account_id or ""].left and (acct is not Acct.ABSENT or spell is SpellKind.SAME)
            has = link is Link.LINKED and (acct in (Acct.ACTIVE, Acct.INVITED, Acct.LAPSED) or back)
            return Want.YES if has else Want.NO
        return Want.YES if person.id in self.wants else Want.NO

    def _by(self, account_id: str | None, link: Link, acct: Acct) -> By | None:
        if acct not in (Acct.SUSPENDED, Acct.TRASH) and not (acct is Acct.ABSENT and link is Link.LINKED):
            return None
        ours = account_id in self.taken and account_id not in self.by_others
        return By.US if ours else By.OTHERS

    def _spell(self, person: Person, account_id: str | None, link: Link, acct: Acct, now: datetime) -> SpellKind | None:
        if self._by(account_id, link, acct) is not By.US:
            return None
        return spell(self.taken[account_id or ""].employed_since, person.hr, now, self.wanted.timing)

    def _prot(self, account_id: str | None, account: Account | None) -> Prot:
        if account is None:
            return Prot.PLAIN
        logins = [login.casefold() for login in (*account.emails, account.user_name or "")]
        shielded = (
            account.bot
            or account.owner
            or account.id in self.marked
            or account_id in self.elsewhere
            or self._last_admin(account)
            or any(fnmatchcase(login, pattern.casefold()) for login in logins for pattern in self.wanted.protect)
        )
        return Prot.PROTECTED if shielded else Prot.PLAIN

    def _last_admin(self, account: Account) -> bool:
        admins = [a for a in self.accounts.values() if (a.admin or a.owner) and a.status is Status.ACTIVE]
        return admins == [account]

    def _facts(
        self, one: Subject, account_id: str | None, account: Account | None, evidence: str, taken: _Taken | None
    ) -> dict[str, str]:
        zone, person = ZoneInfo(self.wanted.timing.zone), one.person
        login = account_id or ""
        if account:
            login = next(iter(account.emails), None) or account.user_name or account.id
        due = person.first_day and person.first_day - self.wanted.timing.lead_days * DAY
        others = [name for name in self.claims.get(account_id or "", ()) if name != person.name]
        return {
            "app": self.app.name,
            "account": login,
            "first_day": str(person.first_day) if person.first_day else "none is entered",
            "created_on": f"on {due}" if due else "once a first day is entered",
            "last_day": str(one.last_day) if one.last_day else "a day unknown",
            "removal_at": f"{one.removal_at.astimezone(zone):%Y-%m-%d %H:%M %Z}" if one.removal_at else "unknown",
            "read_at": f"{self.read_at.astimezone(zone):%Y-%m-%d %H:%M %Z}" if self.read_at else "never",
            "taken_on": f"{taken.at.astimezone(zone):%Y-%m-%d}" if taken else "a day unknown",
            "rights": _rights(account) or "what it was allowed before",
            "evidence": evidence.rstrip(".") or "nothing certain",
            "claims": ", ".join(others) or "somebody else",
        }


def _rights(account: Account | None) -> str:
    if account is None:
        return ""
    facts = {"role": account.role, "licence": account.licence, "groups": ", ".join(account.groups)}
    return ", ".join([*(["administrator"] if account.admin else []), *(f"{k} {v}" for k, v in facts.items() if v)])


def _views(
    connection: duckdb.DuckDBPyConnection, company: str, apps: Mapping[str, tuple[App, Wanted]], now: datetime
) -> Iterator[_AppView]:
    """What decisions about each app look at; every table is read once for all of them."""
    slugs = [app.slug for app, _ in apps.values()]
    of_slugs = of_apps(company, slugs)
    accounts, states = accounts_by_app(connection, company, slugs), read_states(connection, company, slugs, now)
    matches: dict[str, dict[str, list[tuple[str, str, str, str]]]] = defaultdict(lambda: defaultdict(list))
    claims: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for slug, person_id, account_id, outcome, sentence, evidence, name in connection.execute(
        "SELECT m.app, m.person_id, m.account_id, m.outcome, m.sentence, m.evidence, p.name "
        f"FROM (FROM provisioning.matches WHERE {of_slugs} AND person_id IS NOT NULL) m "
        "JOIN provisioning.people p USING (company_uuid, person_id) ORDER BY m.account_id, p.name"
    ).fetchall():
        matches[slug][person_id].append((account_id, outcome, sentence or "", evidence or ""))
        if outcome != "refused":
            claims[slug][account_id].append(name)
    marked: dict[str, dict[str, str]] = defaultdict(dict)
    for slug, account_id, mark in connection.execute(
        f"SELECT app, account_id, mark FROM provisioning.marks WHERE {of_slugs}"
    ).fetchall():
        marked[slug][account_id] = mark
    exceptions: dict[str, dict[str, tuple[bool, str]]] = defaultdict(dict)
    for slug, person_id, wanted, who, on, why in connection.execute(
        "SELECT app, person_id, wanted, who, CAST(decided_at AS DATE), why FROM provisioning.wants "
        f"WHERE {of_slugs} AND (until IS NULL OR until >= DATE '{now.date()}') "
        "QUALIFY row_number() OVER (PARTITION BY app, person_id ORDER BY rowid DESC) = 1"
    ).fetchall():
        said = f"{who} said on {on} that they should {'' if wanted else 'not '}have it: {why}"
        exceptions[slug][person_id] = (wanted, said)
    taken, by_others = _taken_away(connection, of_slugs)
    elsewhere = _alive_elsewhere(connection, company, slugs, now)
    for app, wishes in apps.values():
        slug = app.slug
        yield _AppView(
            app, wishes, *states[slug], {account.id: account for account in accounts[slug]}, matches[slug],
            claims[slug], taken[slug], frozenset(by_others[slug]), marked[slug], elsewhere[slug],
            _who(connection, company, slug, wishes), exceptions[slug],
        )  # fmt: skip


def read_state(
    connection: duckdb.DuckDBPyConnection, company: str, app: str, now: datetime
) -> tuple[Reading, str, datetime | None]:
    """Whether an app's last complete list can be trusted now, why not, and when it was read."""
    return read_states(connection, company, [app], now)[app]


def read_states(
    connection: duckdb.DuckDBPyConnection, company: str, apps: Sequence[str], now: datetime
) -> dict[str, tuple[Reading, str, datetime | None]]:
    """The same by app, for several."""
    rows = connection.execute(
        # The last is the one that was written down last, whatever the clock said.
        "SELECT app, max_by(accounts, rowid) FILTER (complete), max_by(read_at, rowid) FILTER (complete), "
        "max_by(problem, rowid) FILTER (NOT complete), "
        "max(rowid) FILTER (NOT complete) > coalesce(max(rowid) FILTER (complete), -1) "
        f"FROM provisioning.account_reads WHERE {of_apps(company, apps)} GROUP BY app"
    ).fetchall()
    last = {app: found for app, *found in rows}
    states = {}
    for app in apps:
        count, read_at, problem, failed = last.get(app, (None, None, None, None))
        failing = (problem if failed else "") or ""
        state, why = brakes.reading(count=count or 0, last_good=count, read_at=read_at, now=now, problem=failing)
        states[app] = (state, why, read_at)
    return states


def _taken_away(
    connection: duckdb.DuckDBPyConnection, of_slugs: str
) -> tuple[dict[str, dict[str, _Taken]], dict[str, set[str]]]:
    """By app what we took away last, by account; and which of those were seen alive again since: others gave it."""
    taken: dict[str, dict[str, _Taken]] = defaultdict(dict)
    for app, id, action, at, since, rule in connection.execute(
        "SELECT i.app, o.account_id, arg_max(i.action, o.ended_at), max(o.ended_at), "
        "arg_max_null(i.employed_since, o.ended_at), arg_max(i.rule, o.ended_at) "
        f"FROM (FROM provisioning.intents WHERE {of_slugs}) i JOIN provisioning.outcomes o USING (intent_id) "
        "WHERE o.account_id IS NOT NULL AND o.outcome = 'done' GROUP BY i.app, o.account_id "
        "HAVING arg_max(i.action, o.ended_at) IN ('suspend', 'delete', 'cancel_invitation')"
    ).fetchall():
        taken[app][id] = _Taken(action, at, since, rule in _LEFT)
    by_others: dict[str, set[str]] = defaultdict(set)
    if taken:
        for app, id, seen_at in connection.execute(
            "SELECT app, account_id, max(seen_at) FROM provisioning.account_states "
            f"WHERE {of_slugs} AND status IN ('active', 'invited') GROUP BY ALL"
        ).fetchall():
            if id in taken[app] and seen_at > taken[app][id].at:
                by_others[app].add(id)
    return taken, by_others


def _alive_elsewhere(
    connection: duckdb.DuckDBPyConnection, company: str, apps: Sequence[str], now: datetime
) -> dict[str, dict[str, str]]:
    """By app the accounts of the same tenant that are somebody's who works for another company of ours, and why."""
    elsewhere: dict[str, dict[str, str]] = defaultdict(dict)
    for app, account_id, name in connection.execute(
        "WITH tenants AS (SELECT company_uuid, app, max_by(tenant_id, rowid) AS tenant "
        "  FROM provisioning.account_reads WHERE complete GROUP BY ALL), "
        f"ours AS (FROM tenants WHERE {of_apps(company, apps)}) "
        "SELECT l.app, l.account_id, any_value(p.name) FROM provisioning.links l "
        "JOIN provisioning.people p USING (company_uuid, person_id) JOIN tenants t USING (company_uuid, app) "
        "JOIN ours USING (app, tenant) "
        f"WHERE l.company_uuid <> {literal(company)} AND NOT p.vanished "
        f"AND (p.last_day IS NULL OR p.last_day >= DATE '{now.date() - DAY}') GROUP BY l.app, l.account_id"
    ).fetchall():
        elsewhere[app][account_id] = f"it is also {name}'s, who works for another connected company"
    return elsewhere


def _who(connection: duckdb.DuckDBPyConnection, company: str, app: str, wanted: Wanted) -> frozenset[str] | None:
    if not wanted.who:
        return None
    try:
        return frozenset(person.id for person in load_people(connection, company, where=wanted.who))
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        raise RuleError(f"pipeline.yaml, provisioning.apps.{app}.who cannot be evaluated: {said}") from None


# -- what is kept of it ---------------------------------------------------------------------------------------

TABLES = """
CREATE TABLE IF NOT EXISTS provisioning.wants (
    company_uuid VARCHAR, app VARCHAR, person_id VARCHAR, wanted BOOLEAN, until DATE, who VARCHAR, why VARCHAR,
    decided_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS provisioning.decisions (
    company_uuid VARCHAR, app VARCHAR, person_id VARCHAR, person VARCHAR, account_id VARCHAR, login VARCHAR,
    hr VARCHAR, want VARCHAR, link VARCHAR, acct VARCHAR, taken_by VARCHAR, prot VARCHAR, spell VARCHAR,
    reading VARCHAR, rule VARCHAR, state VARCHAR, action VARCHAR, mode VARCHAR, reason VARCHAR, next_step VARCHAR,
    evidence VARCHAR[], removal_at TIMESTAMPTZ, decided_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS provisioning.removal_times (
    company_uuid VARCHAR, person_id VARCHAR, last_day DATE, removal_at TIMESTAMPTZ, who VARCHAR, why VARCHAR,
    decided_at TIMESTAMPTZ
);
COMMENT ON TABLE provisioning.removal_times IS 'When access ends after a last day, by hand; the last word counts';
COMMENT ON TABLE provisioning.wants IS 'Who should have an app whatever rules say, by hand; the last word counts';
CREATE OR REPLACE VIEW provisioning.audit AS
SELECT company_uuid, intended_at AS happened_at, who, 'intended: ' || action AS what, app, person_id, account_id,
    concat_ws(' ', 'rule', rule, 'plan', plan_id, login) AS detail
FROM provisioning.intents
UNION ALL BY NAME
SELECT o.company_uuid, ended_at AS happened_at, i.who, 'outcome: ' || outcome AS what, app, person_id,
    coalesce(o.account_id, i.account_id) AS account_id, concat_ws(' ', action, problem) AS detail
FROM provisioning.outcomes o JOIN provisioning.intents i USING (intent_id)
UNION ALL BY NAME
SELECT company_uuid, approved_at AS happened_at, who, if(approved, 'approved: ', 'rejected: ') || action AS what,
    app, person_id, account_id, concat_ws(' ', 'plan', plan_id, why) AS detail
FROM provisioning.approvals
UNION ALL BY NAME
SELECT company_uuid, happened_at, who, event AS what, app, person_id, account_id, why AS detail
FROM provisioning.link_history
UNION ALL BY NAME
SELECT company_uuid, said_at AS happened_at, who, 'said to be done by hand' AS what, app, person_id, account_id,
    concat_ws(' ', login, why) AS detail
FROM provisioning.done_by_hand
UNION ALL BY NAME
SELECT company_uuid, decided_at AS happened_at, who, if(wanted, 'should have', 'should not have') AS what, app,
    person_id, concat_ws(' ', why, 'until ' || until) AS detail
FROM provisioning.wants
UNION ALL BY NAME
SELECT company_uuid, decided_at AS happened_at, who, 'end of access' AS what, person_id,
    concat_ws(' ', 'after', last_day, 'at ' || coalesce(CAST(removal_at AS VARCHAR), 'the usual time'), why) AS detail
FROM provisioning.removal_times
UNION ALL BY NAME
SELECT company_uuid, answered_at AS happened_at, who, if(same, 'one person', 'two people') AS what,
    concat_ws(' ', record, other, why) AS detail
FROM provisioning.merge_questions WHERE same IS NOT NULL;
COMMENT ON VIEW provisioning.audit IS 'Everything that was done, approved or decided by hand, and by whom';
COMMENT ON TABLE provisioning.decisions IS 'What was decided last about each person in each app, and why'
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every table that reconciliation needs, where it is missing."""
    for statements in (script("schema"), log.TABLES, TABLES):
        make(connection, statements)


def note_states(connection: duckdb.DuckDBPyConnection, company_uuid: str, seen: Mapping[str, datetime]) -> None:
    """Write down which accounts are in another status than when they were last looked at; `absent` for those gone.

    seen: when each app's accounts were read.
    """
    if not seen:
        return
    apps = ", ".join(f"({literal(app)}, TIMESTAMPTZ {literal(at.isoformat())})" for app, at in seen.items())
    connection.execute(
        f"INSERT INTO provisioning.account_states WITH seen(app, seen_at) AS (VALUES {apps}), "
        "latest AS (SELECT app, account_id, arg_max(status, seen_at) AS status FROM provisioning.account_states "
        f"  WHERE {of(company_uuid, '')} GROUP BY ALL), "
        f"now AS (SELECT app, account_id, status FROM provisioning.accounts WHERE {of(company_uuid, '')}) "
        f"SELECT {literal(company_uuid)}, app, account_id, coalesce(now.status, 'absent'), latest.status, seen.seen_at "
        "FROM now FULL JOIN latest USING (app, account_id) JOIN seen USING (app) "
        "WHERE coalesce(now.status, 'absent') IS DISTINCT FROM latest.status"
    )


def keep(
    connection: duckdb.DuckDBPyConnection, company_uuid: str, decisions: Sequence[Decision], now: datetime
) -> None:
    """Replace the company's decisions by these."""
    connection.execute(f"DELETE FROM provisioning.decisions WHERE {of(company_uuid, '')}")
    rows = []
    for one in decisions:
        inputs = {name: None if value is None else str(value) for name, value in vars(one.inputs).items()}
        rows.append(
            {
                "company_uuid": company_uuid,
                "app": one.app,
                "person_id": one.person.id,
                "person": one.person.name,
                "account_id": one.account_id,
                "login": one.login,
                **{name: inputs[name] for name in ("hr", "want", "link", "acct", "prot", "spell")},
                "taken_by": inputs["by"],
                "reading": inputs["app"],
                "rule": one.rule.id,
                "state": str(one.rule.state),
                "action": str(one.rule.action),
                "mode": str(one.rule.mode),
                "reason": one.reason,
                "next_step": one.next_step,
                "evidence": list(one.evidence),
                "removal_at": one.subject.removal_at.isoformat() if one.subject.removal_at else None,
                "decided_at": now.isoformat(),
            }
        )
    insert(connection, "decisions", rows)
