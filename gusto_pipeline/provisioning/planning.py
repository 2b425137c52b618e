"""From decisions to a plan: what to do now, what comes in the next 14 days, what to ask, and what the brakes hold."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from gusto_pipeline.provisioning import brakes, log
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.decisions import APPROVE, CALLS, REJECT, Action, Hr, Mode, Reading, answers, decide
from gusto_pipeline.provisioning.dismissal import look_ahead
from gusto_pipeline.provisioning.evidence import Name, alike
from gusto_pipeline.provisioning.people import Person
from gusto_pipeline.provisioning.plans import Item, Plan, in_order
from gusto_pipeline.provisioning.reconciliation import Decision, Wanted
from gusto_pipeline.provisioning.store import of
from gusto_pipeline.warehouse.flatten import bind, literal

INVITATIONS = 3  # so often an invitation is sent again before a person is asked
_ALIVE = {Hr.ACTIVE, Hr.LEAVE, Hr.LEAVING, Hr.FUTURE_NEAR}


def make_plan(
    decisions: Sequence[Decision],
    apps: Mapping[str, tuple[App, Wanted]],
    company: str,
    company_uuid: str,
    tries: Mapping[tuple[str, str], int],
    now: datetime,
) -> Plan:
    """What the decisions come to: things to do now and on their day (14 days ahead), and questions.

    tries: how often an invitation was sent again, by app and account id.
    """
    items: list[Item] = []
    questions: list[Item] = []
    for decision in decisions:
        app, wanted = apps[decision.app]
        if moved := _other_address(decision, app, wanted):
            questions.append(moved)
        item = _item(decision, app, wanted, tries)
        if item is None:
            continue
        asks = item.mode in (Mode.ASK, Mode.ASK_URGENT) or item.action not in CALLS
        (questions if asks else items).append(item)
    items += _coming(decisions, apps, now)
    first = frozenset(slug for slug, (app, _) in apps.items() if app.identity_provider)
    return Plan(
        company=company,
        company_uuid=company_uuid,
        made_at=now,
        items=in_order(items, first),
        questions=in_order(questions, first),
    )


def _item(decision: Decision, app: App, wanted: Wanted, tries: Mapping[tuple[str, str], int]) -> Item | None:
    rule, action, due, reason = decision.rule, decision.rule.action, None, decision.reason
    mode, new = rule.mode, None
    if action is Action.UPDATE:
        return _renamed(decision, app)
    if action is Action.NONE or mode in (Mode.NONE, Mode.TELL):
        return None
    if action is Action.DELETE:
        if wanted.delete_after_days is None or (app.removal == "deactivates"):
            return None
        if decision.taken_at:
            due = decision.taken_at + timedelta(days=wanted.delete_after_days)
        if app.hand_over and wanted.hand_over_to:
            new = {"hand_over_to": wanted.hand_over_to}
    if action in (Action.SUSPEND, Action.CANCEL_INVITATION) and decision.inputs.hr is Hr.ENDED:
        due = decision.subject.removal_at  # as it was planned ahead, so that a yes given then still counts
    if action in (Action.SUSPEND, Action.CANCEL_INVITATION) and mode is Mode.ASK and decision.unwanted:
        mode = Mode.APPROVE  # that it should go is answered already
    if action is Action.RESTORE and mode is Mode.APPROVE and app.restore is None and decision.by_rule:
        action, reason = Action.CREATE, f"{reason} {app.name} cannot restore it, so it would be a new one."
    if action is Action.CREATE:
        email = _address(decision.person, wanted.address)
        holder = decision.logins.get(email) if email else ""
        if not email or holder:
            problem = f"account {holder} has the login {email}" if holder else "there is no address to create it with"
            theirs = f"accounts match {app.slug} {quote(holder or '')} {decision.person.id}"
            step = f"If it is theirs: gusto-pipeline {theirs} --why …" if holder else "Enter their address in Gusto."
            return _asked(decision, app, problem, step)
        new = _new(decision.person, email, wanted)
    if action is Action.INVITE_AGAIN:
        sent = tries.get((decision.app, decision.account_id or ""), 0)
        if app.invite_again is None:
            return _asked(decision, app, f"{app.name} cannot send it again", f"Invite them anew in {app.name}.")
        if sent >= INVITATIONS:
            mode, reason = Mode.ASK, f"{reason} But it was sent {sent} times already."
    if (action is Action.REACTIVATE and app.reactivate is None) or (action is Action.RESTORE and app.restore is None):
        return _asked(
            decision, app, f"{app.name} cannot take it back by itself", f"Take it back in {app.name} by hand."
        )
    effect = _effect(action, app)
    if new and "hand_over_to" in new:
        effect = f"give what it owns to {new['hand_over_to']}, then {effect}"
    return item_of(decision, app, action, mode, reason=reason, effect=effect, due=due, new=new)


def _asked(decision: Decision, app: App, problem: str, step: str) -> Item:
    """The question what to do where something keeps us from doing what the table says."""
    reason = f"{decision.reason} But {problem}."
    asked = item_of(decision, app, Action.IDENTIFY, Mode.ASK, reason=reason, effect="nothing yet")
    return replace(asked, next_step=step)


def _renamed(decision: Decision, app: App) -> Item | None:
    """Giving the account the person's name in Gusto, where the two differ and the app can change it."""
    person, account = decision.person, decision.account
    if app.update is None or account is None or not (account.given_name or account.family_name):
        return None
    wanted = {"given_name": person.given_name, "family_name": person.family_name}
    held = {"given_name": account.given_name, "family_name": account.family_name}
    if None in wanted.values() or _together(*wanted.values()) == _together(*held.values()):
        return None  # which word is whose given name may be the app's guess
    new = {name: value for name, value in wanted.items() if value != held[name]}
    reason = f"Gusto has another name than the account: {_together(*held.values())}."
    effect = f"change the name to {_together(*wanted.values())}"
    return item_of(decision, app, Action.UPDATE, Mode.AUTO, reason=reason, effect=effect, new=new)


def _other_address(decision: Decision, app: App, wanted: Wanted) -> Item | None:
    """The question what becomes of a login that was the person's work address, when Gusto has another one since."""
    account = decision.account
    if decision.rule.action is not Action.UPDATE or account is None or not account.emails:
        return None
    address, known = _address(decision.person, wanted.address), {email.casefold() for email in account.emails}
    if not address or address in known or '"work_email"' not in decision.proof:
        return None
    if json.loads(decision.proof)["kinds"].get("work_email") != account.emails[0].casefold():
        return None
    reason = f"The login in {app.name} is {account.emails[0]}, which was the address in Gusto; that is {address} now."
    asked = item_of(decision, app, Action.UPDATE, Mode.ASK, reason=reason, effect="nothing yet", new={"email": address})
    return replace(asked, next_step=f"Change the login in {app.name} by hand; it is never changed by itself.")


def other_name(decision: Decision) -> str:
    """The account's name where it is no spelling of the person's in Gusto; empty where it is, or neither is known."""
    person, account = decision.person, decision.account
    if decision.rule.action is not Action.UPDATE or account is None:
        return ""
    likeness = alike([_words(person.given_name, person.family_name)], [_words(account.given_name, account.family_name)])
    return "" if likeness is None or likeness.close else _together(account.given_name, account.family_name)


def _words(given: str | None, family: str | None) -> Name:
    def plain(name: str | None) -> str:
        return " ".join("".join(c if c.isalnum() else " " for c in _folded(name or "")).split())

    return plain(given), plain(family)


def _together(given: str | None, family: str | None) -> str:
    return " ".join(f"{given or ''} {family or ''}".split())


def item_of(
    decision: Decision,
    app: App,
    action: str,
    mode: str,
    *,
    reason: str,
    effect: str,
    due: datetime | None = None,
    new: dict[str, Any] | None = None,
) -> Item:
    """What a decision comes to, as an item of a plan."""
    return Item(
        app=app.slug,
        action=str(action),
        rule=decision.rule.id,
        state=str(decision.rule.state),
        mode=str(mode),
        effect=effect,
        reason=reason,
        next_step=decision.next_step,
        person_id=decision.person.id,
        person=decision.person.name,
        account_id=decision.account_id,
        account=decision.login,
        due_at=due.isoformat() if due else None,
        needs_approval=mode in (Mode.APPROVE, Mode.ASK, Mode.ASK_URGENT),
        employed_since=str(decision.subject.employed_since) if decision.subject.employed_since else None,
        inputs={name: None if value is None else str(value) for name, value in vars(decision.inputs).items()},
        evidence=decision.evidence,
        new=new,
    )


def how_to_answer(item: Item, plan: str) -> str:
    """The commands that answer a question, or an item that wants a yes, and what each says. plan: in which it is."""
    said = answers(item.rule, item.action)
    if said is None:
        return ""
    names = {
        "app": item.app,
        "account": quote(item.account_id or ""),
        "person": quote(item.person_id or ""),
        "plan": plan,
        "item": item.id,
    }
    yes = f"{said.yes} ({item.effect.partition(' (')[0]})" if said.yes_command == APPROVE else said.yes
    both = ((yes, said.yes_command), (said.no, said.no_command))
    return " ".join(f"{word}: gusto-pipeline {command.format_map(names)} --why …" for word, command in both if command)


def can_be_said(item: Item, *, yes: bool) -> bool:
    """Whether a question is answered by a yes, or by a no, and not by saying whose something is or doing it by hand."""
    said = answers(item.rule, item.action)
    return said is not None and (said.yes_command == APPROVE or (not yes and said.no_command == REJECT))


def _coming(decisions: Iterable[Decision], apps: Mapping[str, tuple[App, Wanted]], now: datetime) -> list[Item]:
    """Removals of the next 14 days, each at its instant: what the table will say then, as far as it is known now."""
    leaving = {
        f"{n}": decision
        for n, decision in enumerate(decisions)
        if decision.subject.removal_at and decision.inputs.hr in _ALIVE and decision.inputs.app is Reading.OK
    }
    ends = {key: decision.subject.removal_at for key, decision in leaving.items() if decision.subject.removal_at}
    items = []
    for at, key in look_ahead(ends, now):
        decision = leaving[key]
        then = decide(replace(decision.inputs, hr=Hr.ENDED))
        if then.action not in (Action.SUSPEND, Action.CANCEL_INVITATION) or then.mode is not Mode.LIMITED:
            continue
        app, wanted = apps[decision.app]
        zone = ZoneInfo(wanted.timing.zone)
        reason = f"Leaves on {decision.subject.last_day}; access ends at {at.astimezone(zone):%Y-%m-%d %H:%M %Z}."
        later = replace(decision, rule=then, inputs=replace(decision.inputs, hr=Hr.ENDED))
        effect = _effect(then.action, app)
        items.append(item_of(later, app, then.action, then.mode, reason=reason, effect=effect, due=at))
    return items


def _effect(action: Action, app: App) -> str:
    """What an action comes to in this app, in words."""
    removes = f"{app.name} {'takes it out' if app.removal == 'takes out' else f'{app.removal} it'}"
    note = f" ({app.removal_note})" if app.removal_note else ""
    match action:
        case Action.CREATE:
            made = "invite them" if app.invites else "make the account"
            return f"{made}{', with a mailbox' if app.creates_mailbox else ''}"
        case Action.SUSPEND:
            return "stop it from signing in" if app.suspend else f"remove: {removes}{note}"
        case Action.DELETE:
            return f"remove: {removes}{note}"
        case Action.CANCEL_INVITATION:
            return "withdraw the invitation"
        case Action.INVITE_AGAIN:
            return "send the invitation again"
        case Action.REACTIVATE:
            return "let it sign in again"
        case Action.RESTORE:
            return "take it out of the bin"
    return "a person decides"


def _address(person: Person, form: str) -> str:
    match form:
        case "work":
            found = person.work_email
        case "personal":
            found = person.personal_email
        case _:
            given, family = _plain(person.given_name or ""), _plain(person.family_name or "")
            found = form.format(given=given, family=family) if given and family else None
    return (found or "").casefold()


def _plain(name: str) -> str:
    return "".join(c for c in _folded(name) if c.isalnum() or c == "-")


def _folded(name: str) -> str:
    """A name in lower case without accents, and without what ASCII has no letter for."""
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()


def _new(person: Person, email: str, wanted: Wanted) -> dict[str, Any]:
    new = {
        "email": email,
        "given_name": person.given_name or "",
        "family_name": person.family_name or "",
        "personal_email": person.personal_email,
        "employee_number": next(iter(person.employee_codes), None),
        "title": person.title,
        "department": person.department,
        "role": wanted.role or None,
        "licence": wanted.licence or None,
        "groups": list(wanted.groups),
    }
    return {name: value for name, value in new.items() if value not in (None, [])}


def held_back(
    items: Sequence[Item],
    connection: duckdb.DuckDBPyConnection,
    company_uuid: str,
    approved: frozenset[str],
    quotas: Mapping[str, int],
    now: datetime,
) -> dict[str, str]:
    """Which of the items that would go now the brakes hold, by id, and why. Counts the last 24 hours in as well.

    quotas: how many new accounts an app takes in 24 hours.
    """
    planned = [brakes.Planned(item.id, item.app, brake) for item in items if (brake := brakes.brake_of(item.rule))]
    done = [
        brakes.Done(id=begun.item_id, app=begun.app, brake=brake, at=begun.at, approved=begun.approved)
        for begun in log.begun_since(connection, company_uuid, now - brakes.WINDOW)
        if (brake := brakes.brake_of(begun.rule))
    ]
    linked = dict(
        connection.execute(
            f"SELECT app, count(*) FROM provisioning.links WHERE {of(company_uuid, '')} GROUP BY app"
        ).fetchall()
    )
    listed, vanished, read_at = bind(
        connection,
        # Somebody vanished with the first list after they were last seen, however long that took to come.
        "SELECT count(*) FILTER (NOT vanished), count(*) FILTER (vanished AND gone_at > $1), max(last_seen) "
        "FROM (SELECT *, (SELECT min(started_at) FROM meta.syncs s WHERE s.company_uuid = p.company_uuid "
        "    AND s.status = 'ok' AND s.category = p.worker_type || 's' AND s.started_at > p.last_seen) AS gone_at "
        f"  FROM provisioning.people p WHERE merged_into IS NULL AND {of(company_uuid, '')})",
        [now - brakes.WINDOW],
    ).fetchall()[0]
    hr = brakes.HrList(listed, vanished, read_at or datetime.min.replace(tzinfo=UTC))
    holds = brakes.holds(planned, done, now=now, linked=linked, hr=hr, approved=approved, quotas=quotas)
    return {action: hold.why for hold in holds for action in hold.actions}


def resting(
    connection: duckdb.DuckDBPyConnection, company_uuid: str, apps: Iterable[str], now: datetime
) -> dict[str, str]:
    """Apps that are left alone because too many calls failed, and why; remembers a new quarantine."""
    begun = log.begun_since(connection, company_uuid, now - brakes.WINDOW)
    found = {}
    for app in apps:
        row = connection.execute(
            f"SELECT until, times, why FROM provisioning.quarantines WHERE {of(company_uuid, app)} "
            "ORDER BY imposed_at DESC LIMIT 1"
        ).fetchone()
        last = brakes.Quarantine(*row) if row else None
        calls = [brakes.Call(one.at, one.failed) for one in begun if one.app == app and one.failed is not None]
        quarantine = brakes.quarantine(calls, now, last)
        if quarantine and quarantine != last:
            bind(
                connection,
                "INSERT INTO provisioning.quarantines VALUES ($1, $2, $3, $4, $5, $6)",
                [company_uuid, app, quarantine.until, quarantine.times, quarantine.why, now],
            )
        if quarantine and quarantine.holds(now):
            found[app] = quarantine.why
    return found


def invitations_sent(connection: duckdb.DuckDBPyConnection, company_uuid: str) -> dict[tuple[str, str], int]:
    """How often an open invitation was sent again since it was made, by app and account.

    By address, since some apps give it another id each time.
    """
    rows = connection.execute(
        "SELECT a.app, a.account_id, count(*) FROM provisioning.accounts a JOIN provisioning.intents i ON "
        "(i.company_uuid, i.app, lower(i.login)) = "
        "(a.company_uuid, a.app, lower(coalesce(a.emails[1], a.user_name, a.account_id))) "
        f"WHERE i.action = 'invite_again' AND a.status = 'invited' AND a.company_uuid = {literal(company_uuid)} "
        "AND NOT EXISTS (FROM provisioning.intents made WHERE (made.company_uuid, made.app, lower(made.login)) = "
        "  (i.company_uuid, i.app, lower(i.login)) AND made.action = 'create' AND made.intended_at > i.intended_at) "
        "GROUP BY ALL"
    ).fetchall()
    return {(app, account_id): count for app, account_id, count in rows}
