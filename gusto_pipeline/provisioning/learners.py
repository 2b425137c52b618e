"""Learners of a learning portal: who becomes one, what the portal is to know of them, which groups they are in.

Who, when access ends and what is asked is decided by the same table as for every app; here is what comes on top. The
portal's knowledge follows Gusto in what is mapped, and nothing else of it is touched. Where Gusto says nothing, the
portal's value stays.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal

import duckdb

from gusto_pipeline.provisioning import log, reconciliation
from gusto_pipeline.provisioning.account import Account, CustomField, Status
from gusto_pipeline.provisioning.actions import shows
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.apps import LEARNING, app
from gusto_pipeline.provisioning.decisions import Acct, Action, Hr, decide
from gusto_pipeline.provisioning.fields import Misfit, fit_all, same
from gusto_pipeline.provisioning.planning import invitations_sent, item_of, make_plan
from gusto_pipeline.provisioning.plans import Item, Plan, answered, in_order
from gusto_pipeline.provisioning.reconciliation import Decision, RuleError, Wanted, decide_all
from gusto_pipeline.provisioning.store import insert, make, of, values
from gusto_pipeline.warehouse.flatten import bind, literal, quote

PORTAL = LEARNING[0]
How = Literal["active_with_mail", "active", "pending"]

TABLES = """
CREATE TABLE IF NOT EXISTS provisioning.learner_groups (
    company_uuid VARCHAR, person_id VARCHAR, group_id VARCHAR, added_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS provisioning.learner_runs (
    company_uuid VARCHAR, started_at TIMESTAMPTZ, by_hand BOOLEAN, who VARCHAR
);
COMMENT ON TABLE provisioning.learner_groups IS 'Who was put into which group of the learning portal by a rule';
COMMENT ON TABLE provisioning.learner_runs IS 'Every time that learners were brought in line with Gusto'
"""

HELLO = {
    "active_with_mail": "make them a learner; the portal welcomes them by mail if its setting for that is on",
    "active": "make them a learner; no mail goes out if the portal's setting for welcome mails is off",
    "pending": "invite them by mail; the link lives 72 hours",
}


@dataclass(frozen=True)
class FieldRule:
    """What fills the custom field `name`: an SQL expression over the attributes. called: the attribute's name, or the
    SQL. values: Gusto's value to the portal's; others go as they are."""

    name: str
    sql: str
    called: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GroupRule:
    """Who is in one group, given by title or id: an SQL condition over attributes, email_domain, created_on, custom."""

    group: str
    where: str


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a company wants of its portal. wanted: who, and when access ends. columns: those of flat.employees that may
    be used beside the standard attributes."""

    wanted: Wanted
    when: Literal["added", "hire_date"] = "hire_date"
    how: How = "active_with_mail"
    sso: bool = False
    address: Literal["work", "personal", "work_or_personal"] = "work"
    fields: tuple[FieldRule, ...] = ()
    groups: tuple[GroupRule, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Portal:
    """What the portal has beside its learners: custom fields, groups (id to title), and who is in those we look at."""

    fields: tuple[CustomField, ...]
    groups: Mapping[str, str]
    members: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Attribute:
    """Something known of people that a rule can use. example: of one of them."""

    name: str
    type: str
    example: str


@dataclass(frozen=True)
class Drafted:
    """A plan for the portal. misfits: values that its fields do not take, so that these fields are left as they are.
    problems: what else of the rules cannot be followed. waiting: how many invitations are open."""

    plan: Plan
    decisions: tuple[Decision, ...]
    misfits: tuple[Misfit, ...]
    problems: tuple[str, ...]
    waiting: int


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every table that learners need, where it is missing."""
    reconciliation.prepare(connection)
    make(connection, TABLES)


class People:
    """What is known of each person by attribute, in a database of its own where rules' SQL sees nothing else.

    No pay, no government or bank number and no birth date is in it, whatever a rule asks for.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, company: str, address: str, columns: Sequence[str] = ()
    ) -> None:
        found = connection.execute(_attributes(company, address, columns))
        names = [column[0] for column in found.description]
        self.types = {name: _TYPES.get(name, "VARCHAR") for name in names}
        rows = [dict(zip(names, map(_plain, row), strict=True)) for row in found.fetchall()]
        if columns:
            described = connection.execute("DESCRIBE flat.employees").fetchall()
            self.types |= {name: type_ for name, type_, *_ in described if name in columns}
        self.rows = {row["person_id"]: row for row in rows}

    def attributes(self) -> list[Attribute]:
        """All there are, each with an example if anybody has it."""

        def example(name: str) -> str:
            return next((str(row[name]) for row in self.rows.values() if row[name] not in (None, "")), "")

        return [Attribute(name, type_, example(name)) for name, type_ in self.types.items() if name != "person_id"]

    def evaluate(
        self, expressions: Iterable[str], more: Mapping[str, Mapping[str, Any]] | None = None
    ) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Each SQL expression for each person, by expression and person's id; and what is wrong with the others.

        more: further columns (email_domain, created_on, custom) by person; then only those people are looked at.
        """
        rows = (
            [{**self.rows[person], **extra} for person, extra in more.items()]
            if more is not None
            else (list(self.rows.values()))
        )
        types = self.types | (_LEARNER if more is not None else {})
        good: dict[str, dict[str, Any]] = {}
        bad: dict[str, str] = {}
        with duckdb.connect() as sandbox:
            sandbox.execute(f"CREATE TABLE people AS {values(types, rows)}")
            sandbox.execute(
                "SET TimeZone = 'UTC'; SET memory_limit = '512MB'; SET enable_external_access = false; "
                "SET lock_configuration = true"
            )
            for expression in dict.fromkeys(expressions):
                query = f"SELECT person_id, (\n{expression}\n) FROM people"
                try:
                    if len(sandbox.extract_statements(query)) == 1:
                        good[expression] = dict(sandbox.execute(query).fetchall())
                    else:
                        bad[expression] = "it is more than one expression"
                except (duckdb.Error, ValueError) as error:
                    bad[expression] = str(error).splitlines()[0]
        return good, bad


# The standard attributes that are no text, and what is known of learners beside.
_TYPES = {"on_leave": "BOOLEAN", "first_day": "DATE", "last_day": "DATE"}
_LEARNER = {"email_domain": "VARCHAR", "created_on": "DATE", "custom": "MAP(VARCHAR, VARCHAR)"}


def _attributes(company: str, address: str, columns: Sequence[str]) -> str:
    login = {
        "work": "p.work_email",
        "personal": "p.personal_email",
        "work_or_personal": "coalesce(nullif(p.work_email, ''), p.personal_email)",
    }[address]
    more = "".join(f", CAST(e.{quote(name)} AS VARCHAR) AS {quote(name)}" for name in columns)
    join = (
        "LEFT JOIN flat.employees e ON e.company_uuid = p.company_uuid AND 'employee/' || e.uuid = "
        "coalesce([r FOR r IN p.records IF r ^@ 'employee/'][-1], '') "
        if columns
        else ""
    )
    return (
        "SELECT p.person_id, p.given_name AS first_name, p.family_name AS last_name, p.name, "
        f"lower({login}) AS email, p.work_email, p.personal_email, p.worker_type, p.department, p.title, p.location, "
        "p.state, m.name AS manager, m.work_email AS manager_email, p.employee_codes[1] AS employee_code, p.first_day, "
        f"p.last_day, p.on_leave{more} FROM provisioning.people p "
        "LEFT JOIN provisioning.people m ON (m.company_uuid, m.person_id) = (p.company_uuid, p.manager_id) "
        f"{join}WHERE p.company_uuid = {literal(company)} AND p.merged_into IS NULL AND p.out_of_scope IS NULL "
        "ORDER BY p.name, p.person_id"
    )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def link_created(connection: duckdb.DuckDBPyConnection, company: str, now: datetime) -> None:
    """Link the accounts that we made, or whose invitation we sent, to the people we did it for.

    An accepted invitation becomes an account of another id: it is known by the address, if it came after we invited
    it. What a person has ruled out stays so.
    """
    bind(
        connection,
        "INSERT INTO provisioning.links BY NAME "
        "SELECT i.company_uuid, i.app, a.account_id, i.person_id, 'automatic' AS origin, 100 AS score, "
        "'Made for them by us' AS sentence, '{}'::JSON AS evidence, $1::TIMESTAMPTZ AS linked_at, "
        "'gusto_pipeline' AS who, 'evidence' AS why "
        "FROM provisioning.intents i JOIN provisioning.outcomes o USING (intent_id) "
        "JOIN provisioning.accounts a ON (a.company_uuid, a.app) = (i.company_uuid, i.app) AND ("
        "  a.account_id = o.account_id OR (lower(a.emails[1]) = lower(i.login) AND a.created_at >= i.intended_at "
        "  - INTERVAL 1 HOUR)) "
        f"WHERE {_intents_of(company)} "
        "AND i.action IN ('create', 'invite_again') AND o.outcome = 'done' "
        "AND NOT EXISTS (FROM provisioning.links l WHERE l.company_uuid = a.company_uuid AND l.app = a.app "
        "  AND l.account_id = a.account_id) "
        "AND NOT EXISTS (FROM provisioning.refusals r WHERE r.company_uuid = a.company_uuid AND r.app = a.app "
        "  AND r.account_id = a.account_id AND r.person_id = i.person_id) "
        "AND EXISTS (FROM provisioning.people p WHERE p.company_uuid = i.company_uuid AND p.person_id = i.person_id "
        "  AND p.merged_into IS NULL) "
        "QUALIFY row_number() OVER (PARTITION BY a.account_id ORDER BY i.intended_at DESC) = 1",
        [now],
    )


def with_expiry(
    connection: duckdb.DuckDBPyConnection, company: str, accounts: Iterable[Account], life: timedelta, now: datetime
) -> tuple[Account, ...]:
    """Accounts as read, invitations with the instant at which their link ends.

    The portal does not tell: it counts from when we sent it, else from when it was first seen.
    """
    sent = _sent(connection, company)
    seen = dict(
        connection.execute(
            f"SELECT account_id, min(seen_at) FROM provisioning.account_states WHERE {of(company, PORTAL)} "
            "AND status = 'invited' GROUP BY ALL"
        ).fetchall()
    )

    def dated(account: Account) -> Account:
        if account.status is not Status.INVITED or account.invited_until:
            return account
        email = account.emails[0].casefold() if account.emails else ""
        since = sent.get(email) or seen.get(account.id) or now
        return replace(account, created_at=account.created_at or since, invited_until=since + life)

    return tuple(dated(account) for account in accounts)


def draft(
    connection: duckdb.DuckDBPyConnection, company: str, company_uuid: str, rules: Rules, portal: Portal, now: datetime
) -> Drafted:
    """What is to be done in the portal, from what the warehouse knows of people and learners.

    company: its short name, for the plan. Raises RuleError when it cannot be said who is to be a learner.
    """
    one = app(PORTAL)
    people = People(connection, company_uuid, rules.address, rules.columns)
    apps = {PORTAL: (one, rules.wanted)}
    try:
        decided = decide_all(connection, company_uuid, apps, now)
    except RuleError as error:
        raise RuleError(str(error).replace(f"provisioning.apps.{PORTAL}.who", "learners.who")) from None
    decisions = [_seen_by_portal(_due(decision, one, rules), people) for decision in decided]
    made = make_plan(decisions, apps, company, company_uuid, invitations_sent(connection, company_uuid), now)
    # What of a learner changes is decided here, and by rules of its own.
    items, questions = ([i for i in part if i.action != Action.UPDATE] for part in (made.items, made.questions))
    made = replace(made, items=tuple(items), questions=tuple(questions))
    concerned = {item.person_id for item in made.items if item.action == "create"}
    concerned |= {decision.person.id for decision in decisions if decision.account and decision.rule.id in _FOLLOWED}
    given, misfits, problems = _values(people, rules, portal, concerned)
    facts = _Facts(
        one, rules, portal, given, _custom_data(connection, company_uuid), _logins(connection, company_uuid),
        _remembered(connection, company_uuid), _unlisted(connection, company_uuid), now,
    )  # fmt: skip
    groups = _groups(people, decisions, made.items, facts)
    items, questions, waiting = _newcomers(made, facts, groups)
    for decision in decisions:
        sent = facts.unlisted.get(decision.person.id)
        if decision.inputs.hr is Hr.ENDED and sent and one.invitation_life and now < sent + one.invitation_life:
            why = (
                f"Has left, and an invitation of {sent:%Y-%m-%d %H:%M %Z} that the portal does not list may still work."
            )
            asked = item_of(decision, one, "cancel_by_hand", "ask-urgent", reason=why, effect="nothing yet")
            questions.append(replace(asked, next_step="Withdraw it in the portal."))
        if decision.account and decision.rule.id in _FOLLOWED:
            changes, problem = _changes(decision, decision.account, facts)
            problems += [problem] if problem else []
            items += [_update(decision, one, changes)] if changes else []
            items += _moves(decision, decision.account, facts, groups)
    plan = Plan(
        company=company,
        company_uuid=company_uuid,
        made_at=now,
        items=in_order(items, frozenset()),
        questions=in_order(questions, frozenset()),
    )
    plan = answered(plan, log.answers(connection, company_uuid))
    waiting += sum(decision.inputs.acct in (Acct.INVITED, Acct.LAPSED) for decision in decisions)
    return Drafted(plan, tuple(decisions), tuple(misfits), tuple(dict.fromkeys((*problems, *groups.problems))), waiting)


_FOLLOWED = ("A1", "A2", "A4")  # rows of the decision table in which the account is a learner's who is or will be here


@dataclass(frozen=True)
class _Facts:
    """What a plan is made from. given: what to send, by person and field. held: what the portal has, by account and
    field. logins: account by address. remembered: groups by person that a rule put them into. unlisted: when people
    were invited whose invitation the portal does not list."""

    app: App
    rules: Rules
    portal: Portal
    given: Mapping[str, Mapping[str, str]]
    held: Mapping[str, Mapping[str, str]]
    logins: Mapping[str, str]
    remembered: Mapping[str, frozenset[str]]
    unlisted: Mapping[str, datetime]
    now: datetime


@dataclass(frozen=True)
class _Groups:
    """Whom the rules put where: group ids by person. broken: groups whose rule cannot be followed, so left alone."""

    wanted: Mapping[str, frozenset[str]]
    broken: frozenset[str]
    problems: tuple[str, ...]


def _due(decision: Decision, one: App, rules: Rules) -> Decision:
    """With `when: added`, somebody who is still to come is decided on as if they were due."""
    if rules.when != "added" or decision.inputs.hr not in (Hr.FUTURE_FAR, Hr.DRAFT):
        return decision
    inputs = replace(decision.inputs, hr=Hr.FUTURE_NEAR)
    rule = decide(inputs)
    facts = defaultdict(lambda: "a day unknown", {"app": one.name, "account": decision.login or ""})
    reason, next_step = rule.reason.format_map(facts), rule.next_step.format_map(facts)
    return replace(decision, inputs=inputs, rule=rule, reason=reason, next_step=next_step)


def _seen_by_portal(decision: Decision, people: People) -> Decision:
    """The person under the address that is to be their login."""
    person = replace(decision.person, work_email=people.rows[decision.person.id]["email"])
    return replace(decision, subject=replace(decision.subject, person=person))


def _values(
    people: People, rules: Rules, portal: Portal, concerned: Collection[str | None]
) -> tuple[dict[str, dict[str, str]], list[Misfit], list[str]]:
    """What to send, by person and field; what does not fit; and which rules cannot be followed.

    concerned: who is or becomes a learner.
    """
    fields = {each.name: each for each in portal.fields}
    names = {person: row["name"] for person, row in people.rows.items()}
    found, bad = people.evaluate(rule.sql for rule in rules.fields)
    given: dict[str, dict[str, str]] = {person: {} for person in people.rows}
    misfits: list[Misfit] = []
    problems: list[str] = []
    for rule in rules.fields:
        if rule.name not in fields:
            known = ", ".join(fields) or "none"
            problems.append(f"The portal has no field {rule.name!r}; it has {known}. It was left out.")
        elif rule.sql in bad:
            problems.append(f"What goes into {rule.name} cannot be worked out: {bad[rule.sql]}. It was left out.")
        else:
            mapped = {
                person: rule.values.get(str(value), value)
                for person, value in found[rule.sql].items()
                if person in concerned
            }
            fitting, wrong = fit_all(fields[rule.name], rule.called, mapped, names)
            misfits += wrong
            for person, text in fitting.items():
                given[person][rule.name] = text
    return given, misfits, problems


def _groups(people: People, decisions: Iterable[Decision], items: Iterable[Item], facts: _Facts) -> _Groups:
    """Every rule for everybody who is a learner or becomes one."""
    subjects: dict[str, dict[str, Any]] = {}
    for decision in decisions:
        account, person = decision.account, decision.person.id
        if account and decision.rule.id in _FOLLOWED:
            created = account.created_at or facts.now
            custom = {**facts.held.get(account.id, {}), **facts.given[person]}
            subjects[person] = _learner(people.rows[person]["email"] or next(iter(account.emails), ""), created, custom)
    for item in items:
        if item.action == "create" and item.new and item.person_id:
            subjects[item.person_id] = _learner(item.new["email"], facts.now, facts.given[item.person_id])
    found, bad = people.evaluate((rule.where for rule in facts.rules.groups), subjects)
    wanted: dict[str, set[str]] = defaultdict(set)
    problems: list[str] = []
    broken: set[str] = set()
    for rule in facts.rules.groups:
        ids = [id for id, title in facts.portal.groups.items() if rule.group in (id, title)]
        if len(ids) != 1:
            there = "has no group" if not ids else "has several groups"
            problems.append(f"The portal {there} {rule.group!r}; its groups are {_listed(facts.portal.groups)}.")
        elif rule.where in bad:
            problems.append(f"Who is in group {rule.group!r} cannot be worked out: {bad[rule.where]}.")
            broken |= set(ids)
        else:
            for person, holds in found[rule.where].items():
                if holds:
                    wanted[person].add(ids[0])
    return _Groups({who: frozenset(ids) for who, ids in wanted.items()}, frozenset(broken), tuple(problems))


def _learner(email: str, created: datetime, custom: Mapping[str, str]) -> dict[str, Any]:
    domain = email.rpartition("@")[2].casefold()
    return {"email_domain": domain, "created_on": created.date().isoformat(), "custom": dict(custom)}


def _listed(groups: Mapping[str, str]) -> str:
    return ", ".join(sorted(groups.values())[:10]) or "none"


def _newcomers(made: Plan, facts: _Facts, groups: _Groups) -> tuple[list[Item], list[Item], int]:
    """The plan's items with all that the portal is to know of new learners; its questions and some more; and how many
    people have an invitation that the portal does not list."""
    items: list[Item] = []
    questions = list(made.questions)
    waiting = 0
    addresses = Counter(item.new["email"] for item in made.items if item.action == "create" and item.new)
    for item in made.items:
        if item.action != "create" or not item.new or not item.person_id:
            items.append(_back_at_once(item))
            continue
        email, sent = item.new["email"], facts.unlisted.get(item.person_id)
        if sent and facts.app.invitation_life and facts.now < sent + facts.app.invitation_life:
            waiting += 1
        elif sent:
            why = f"Was invited on {sent:%Y-%m-%d}, the link has ended, and the portal does not list the invitation."
            questions.append(_ask(item, why, "Send it again in the portal."))
        elif addresses[email] > 1:
            why = f"Should be a learner, but {email} is somebody else's address in Gusto as well."
            questions.append(_ask(item, why, "Correct it in Gusto, or make the learner by hand."))
        else:
            names = {name: item.new[name] for name in ("email", "given_name", "family_name")}
            more: dict[str, Any] = {"fields": dict(facts.given[item.person_id])}
            more |= {"groups": sorted(groups.wanted.get(item.person_id, ()))}
            more |= {"invite": facts.rules.how == "pending", "single_sign_on": facts.rules.sso}
            new = names | {name: value for name, value in more.items() if value}
            items.append(replace(item, new=new, effect=HELLO[facts.rules.how]))
    return items, questions, waiting


def _ask(item: Item, reason: str, next_step: str) -> Item:
    return replace(
        item, action="identify", mode="ask", new=None, effect="nothing yet", reason=reason, next_step=next_step
    )


def _back_at_once(item: Item) -> Item:
    """A rehire's own learning record is all that comes back with the learner, so nobody has to approve it."""
    if item.action == "reactivate" and item.rule == "S6":
        return replace(item, mode="auto", needs_approval=False, next_step="The learner is enabled again.")
    return item


def _changes(decision: Decision, account: Account, facts: _Facts) -> tuple[dict[str, Any], str]:
    """What differs of an account from what Gusto says, and why it cannot all be set right."""
    person = decision.person
    wanted = {"given_name": person.given_name, "family_name": person.family_name, "email": person.work_email}
    changes: dict[str, Any] = {
        name: value for name, value in wanted.items() if value and not shows(facts.app, account, {name: value})
    }
    held, kinds = facts.held.get(account.id, {}), {each.name: each.kind for each in facts.portal.fields}
    custom = {
        name: value
        for name, value in facts.given[person.id].items()
        if not same(held.get(name, ""), value, kinds[name])
    }
    problem = ""
    holder = facts.logins.get(changes.get("email", ""), account.id)
    if holder != account.id:
        problem = (
            f"{person.name} should sign in as {changes.pop('email')}, which is the login of learner {holder}: look in "
            "the portal which of the two is theirs."
        )
    return changes | ({"fields": custom} if custom else {}), problem


def _update(decision: Decision, one: App, changes: dict[str, Any]) -> Item:
    names = {"given_name": "first name", "family_name": "last name", "email": "e-mail address"}
    said = [names[name] for name in names if name in changes] + list(changes.get("fields", ()))
    return item_of(
        decision, one, Action.UPDATE, "auto", new=changes,
        reason=f"Gusto has another {', '.join(said)}.", effect=f"change {', '.join(said)}; no mail goes out",
    )  # fmt: skip


def _moves(decision: Decision, account: Account, facts: _Facts, groups: _Groups) -> list[Item]:
    """Groups to join, and those to leave that a rule, and nobody else, had put them into."""
    person, members = decision.person.id, facts.portal.members
    wanted = groups.wanted.get(person, frozenset())
    in_now = {group for group, ids in members.items() if account.id in ids}
    ours = facts.remembered.get(person, frozenset()) - groups.broken
    items = []
    for action, ids in (("join", wanted - in_now), ("leave", (ours & in_now) - wanted)):
        for group in sorted(ids):
            title = facts.portal.groups.get(group, group)
            said = "A rule puts them into it." if action == "join" else "No rule puts them into it any more."
            new = {"group": group, "title": title}
            effect = f"{action} group {title}"
            items.append(item_of(decision, facts.app, action, "auto", reason=said, effect=effect, new=new))
    return items


# -- what is remembered ---------------------------------------------------------------------------------------


def notable(step: str, item: Item) -> bool:
    """Whether there is something to remember at this step; `step` as `apply.carry_out` tells of it."""
    new = item.new or {}
    joins = item.action == "join" or (item.action == "create" and bool(new.get("groups")))
    return (step == "intended" and joins) or (step == "ended" and item.action == "leave")


def note_step(connection: duckdb.DuckDBPyConnection, company: str, item: Item, now: datetime) -> None:
    """Remember which groups a rule puts somebody into, before it is done so that a crash forgets none; and forget those
    that they have left. For steps that are `notable`."""
    new = item.new or {}
    if item.action == "leave":
        connection.execute(
            f"DELETE FROM provisioning.learner_groups WHERE {of(company, '', person=item.person_id or '')} "
            f"AND group_id = {literal(new['group'])}"
        )
        return
    row = {"company_uuid": company, "person_id": item.person_id, "added_at": now.isoformat()}
    joined = new["groups"] if item.action == "create" else [new["group"]]
    insert(connection, "learner_groups", [row | {"group_id": group} for group in joined])


def groups_of_rules(connection: duckdb.DuckDBPyConnection, company: str) -> frozenset[str]:
    """Ids of the groups that a rule ever put somebody into who is still remembered there."""
    rows = connection.execute(f"SELECT DISTINCT group_id FROM provisioning.learner_groups WHERE {of(company, '')}")
    return frozenset(row[0] for row in rows.fetchall())


HOUR = timedelta(hours=1)


def next_by_hand(connection: duckdb.DuckDBPyConnection, company: str) -> datetime | None:
    """From when on the next run by hand may begin; None when there was none."""
    last: datetime | None = connection.execute(
        f"SELECT max(started_at) FROM provisioning.learner_runs WHERE by_hand AND {of(company, '')}"
    ).fetchall()[0][0]
    return last + HOUR if last else None


def note_run(connection: duckdb.DuckDBPyConnection, company: str, now: datetime, *, by_hand: bool, who: str) -> None:
    """Remember that a run got as far as a plan."""
    bind(connection, "INSERT INTO provisioning.learner_runs VALUES ($1, $2, $3, $4)", [company, now, by_hand, who])


def pending_query(company: str, now: datetime) -> str:
    """SELECT of open invitations: person, email, invited_at, link_ends_at, expired, mails, listed."""
    life = app(PORTAL).invitation_life
    assert life
    ends = f"u.sent_at + INTERVAL '{life.total_seconds():.0f} seconds'"
    return (
        f"WITH sent AS ({_SENT.format(where=_intents_of(company))}) "
        "SELECT p.name AS person, a.emails[1] AS email, coalesce(s.sent_at, a.created_at) AS invited_at, "
        f"a.invited_until AS link_ends_at, coalesce(a.invited_until <= TIMESTAMPTZ '{now.isoformat()}', false) "
        "AS expired, coalesce(s.times, 0) AS mails_from_us, true AS listed "
        f"FROM (FROM provisioning.accounts WHERE {of(company, PORTAL)} AND status = 'invited') a "
        "LEFT JOIN provisioning.links l USING (company_uuid, app, account_id) "
        "LEFT JOIN provisioning.people p USING (company_uuid, person_id) "
        "LEFT JOIN sent s ON s.email = lower(a.emails[1]) "
        "UNION ALL BY NAME "
        f"SELECT p.name AS person, u.email, u.sent_at AS invited_at, {ends} AS link_ends_at, "
        f"{ends} <= TIMESTAMPTZ '{now.isoformat()}' AS expired, u.times AS mails_from_us, "
        f"false AS listed FROM ({_UNLISTED.format(company=literal(company), app=literal(PORTAL))}) u "
        f"LEFT JOIN provisioning.people p ON p.company_uuid = {literal(company)} AND p.person_id = u.person_id "
        "ORDER BY link_ends_at, email"
    )


def export_query(company: str) -> str:
    """SELECT of every learner and open invitation, with when they were invited and when that link ends."""
    return (
        f"WITH sent AS ({_SENT.format(where=_intents_of(company))}) "
        "SELECT p.name AS person, a.given_name AS first_name, a.family_name AS last_name, a.emails[1] AS email, "
        "a.status, a.role AS user_type, a.created_at, a.last_activity AS last_sign_in_at, s.sent_at AS invited_at, "
        "a.invited_until AS invitation_ends_at, p.department, p.title, p.location, a.account_id AS learnupon_id, "
        "CAST(a.raw -> 'CustomData' AS VARCHAR) AS custom_data "
        f"FROM (FROM provisioning.accounts WHERE {of(company, PORTAL)}) a "
        "LEFT JOIN provisioning.links l USING (company_uuid, app, account_id) "
        "LEFT JOIN provisioning.people p USING (company_uuid, person_id) "
        "LEFT JOIN sent s ON s.email = lower(a.emails[1]) ORDER BY email, learnupon_id"
    )


# Invitations that we sent, the last to each address. An account's id tells which creations were invitations.
_SENT = (
    "SELECT max_by(i.person_id, i.intended_at) AS person_id, lower(i.login) AS email, max(i.intended_at) AS sent_at, "
    "count(*) AS times, list(o.account_id) AS ids FROM provisioning.intents i "
    "JOIN provisioning.outcomes o USING (intent_id) WHERE {where} AND o.outcome = 'done' "
    "AND i.action IN ('create', 'invite_again') AND o.account_id ^@ 'invitation/' GROUP BY lower(i.login)"
)
# Those of them that were never in any list of the portal, neither as an invitation nor as a learner.
_UNLISTED = (
    f"SELECT s.* FROM ({_SENT.format(where='i.company_uuid = {company} AND i.app = {app}')}) s "
    "WHERE NOT EXISTS (FROM provisioning.account_states t WHERE t.company_uuid = {company} AND t.app = {app} "
    "  AND list_contains(s.ids, t.account_id)) "
    "AND NOT EXISTS (FROM provisioning.accounts a WHERE a.company_uuid = {company} AND a.app = {app} "
    "  AND lower(a.emails[1]) = s.email) "
    "AND NOT EXISTS (FROM provisioning.links l JOIN provisioning.accounts a USING (company_uuid, app, account_id) "
    "  WHERE l.company_uuid = {company} AND l.app = {app} AND l.person_id = s.person_id)"
)


def _intents_of(company: str) -> str:
    return f"i.company_uuid = {literal(company)} AND i.app = {literal(PORTAL)}"


def _sent(connection: duckdb.DuckDBPyConnection, company: str) -> dict[str, datetime]:
    """When we last invited whom, by address."""
    rows = connection.execute(_SENT.format(where=_intents_of(company))).fetchall()
    return {email: at for _, email, at, *_ in rows}


def _unlisted(connection: duckdb.DuckDBPyConnection, company: str) -> dict[str, datetime]:
    rows = connection.execute(_UNLISTED.format(company=literal(company), app=literal(PORTAL))).fetchall()
    return {person: at for person, _, at, _, _ in rows}


def _custom_data(connection: duckdb.DuckDBPyConnection, company: str) -> dict[str, dict[str, str]]:
    one = app(PORTAL)
    rows = connection.execute(f"SELECT account_id, raw FROM provisioning.accounts WHERE {of(company, PORTAL)}")
    read = one.values
    assert read
    return {
        account_id: dict(read(Account(id=account_id, status=Status.ACTIVE, raw=json.loads(raw))))
        for account_id, raw in rows.fetchall()
    }


def _logins(connection: duckdb.DuckDBPyConnection, company: str) -> dict[str, str]:
    rows = connection.execute(
        f"SELECT lower(emails[1]), account_id FROM provisioning.accounts WHERE {of(company, PORTAL)} "
        "AND len(emails) > 0 ORDER BY account_id"
    )
    return dict(rows.fetchall())


def _remembered(connection: duckdb.DuckDBPyConnection, company: str) -> dict[str, frozenset[str]]:
    rows = connection.execute(
        "SELECT person_id, list(DISTINCT group_id) FROM provisioning.learner_groups "
        f"WHERE {of(company, '')} GROUP BY ALL"
    )
    return {person: frozenset(groups) for person, groups in rows.fetchall()}
