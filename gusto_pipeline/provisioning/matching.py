"""Whose account is whose: what evidence proves is linked, what it suggests is left for a person to say.

In order of authority: refused by hand, matched by hand, linked before, the same id, and then evidence, of which two
independent kinds are needed or the work e-mail address. A name and a user name made of it are one kind, unless the
company itself gave the user name out as an address. No rule picks between two people who both fit.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple

import duckdb

from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.brakes import LIMITS, WINDOW, Brake
from gusto_pipeline.provisioning.evidence import (
    CONTRADICTS,
    Alike,
    Name,
    alike,
    prepare_comparison,
    prepare_phones,
)
from gusto_pipeline.provisioning.store import insert, of, of_apps, script
from gusto_pipeline.warehouse.flatten import literal

# Points of one kind of evidence alone; a name's are of a name spelled alike. Each further kind adds some.
POINTS = {
    "record": 100,
    "code": 95,
    "work_email": 90,
    "other_email": 80,
    "number": 75,
    "name": 75,
    "user_name": 70,
    "start": 30,
}
FURTHER = 6
CONTRADICTION = -10
ENOUGH = 70.0  # below, an account and a person have nothing to do with each other
MARGIN = 5.0  # by so much the best must lead before no one has to be asked

_WORDS = {
    "record": "Gusto's id",
    "code": "employee code",
    "work_email": "work e-mail",
    "other_email": "personal or alias e-mail",
    "number": "number",
    "name": "name",
    "user_name": "user name made of the name",
    "start": "first day",
}
_NAMES = {"name", "user_name"}
PARTED = "it was matched to somebody who turned out to be several people"

# Addresses that belong to a role or a machine.
_SHARED = re.compile(
    r"(no-?reply|do-?not-?reply|support|help(desk)?|info|contact|hello|admin(istrator)?|root|it|ops|dev(ops|elopers?)?|"
    r"team|sales|marketing|billing|accounts?|accounting|payroll|hr|people|jobs|careers|recruiting|office|reception|"
    r"security|legal|press|webmaster|postmaster|hostmaster|notifications?|alerts?|system|service|bot|ci|"
    r"(svc|service|bot|robot|test|shared|team|group|noreply)[-_.].*|.*[-_.](bot|svc|service|shared|team|test))@.*"
)


class Outcome(StrEnum):
    """What is known of an account and a person; `none`: nobody fits."""

    LINKED = "linked"
    CANDIDATE = "candidate"
    DISPUTED = "disputed"
    REFUSED = "refused"
    NONE = "none"


@dataclass(frozen=True)
class _Finding:
    """What speaks for and against one account being one person's. `decides`: enough to link without asking."""

    app: str
    account: str
    person: str
    score: float
    kinds: Mapping[str, str]
    against: tuple[str, ...]
    decides: bool
    shared: bool

    def sentence(self, *more: str) -> str:
        parts = [f"{_WORDS[kind]} ({value})" for kind, value in self.kinds.items()]
        said = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
        against = "; ".join([*self.against, *more])
        return f"Same {said}" + (f", but {against}" if against else "")

    def row(self, company: str, **more: Any) -> dict[str, Any]:
        evidence = {"kinds": dict(self.kinds), "against": list(self.against)}
        row = {"company_uuid": company, "app": self.app, "account_id": self.account, "person_id": self.person}
        return row | {"score": round(self.score, 1), "evidence": evidence} | more


def match(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    apps: Collection[str],
    now: datetime,
    *,
    domains: Iterable[Sequence[str]] = (),
) -> None:
    """Link what is proven of the apps' accounts, and say of the others who could be meant.

    `domains`: groups of the company's own domains that mean the same mailbox. Runs inside the caller's transaction, on
    the persons of the last `refresh_people` and the accounts of the last `store_accounts`.
    """
    if not apps:
        return
    domains = [tuple(domain.lower() for domain in group) for group in domains]
    where = of_apps(company, apps)
    found: dict[str, list[_Finding]] = defaultdict(list)
    for finding in _find(connection, company, apps, domains, now.date()):
        found[finding.app].append(finding)
    links = _by_app(connection, f"SELECT app, account_id, person_id FROM provisioning.links WHERE {where}")
    # Whether each account is more than a remnant in the app's bin.
    alive = f"status <> '{Status.DELETED}'"
    living = _by_app(connection, f"SELECT app, account_id, {alive} FROM provisioning.accounts WHERE {where}")
    new: list[_Finding] = []
    maybe: list[tuple[_Finding, Outcome, str]] = []
    for app, findings in found.items():
        linked, said = _settle(findings, links[app], living[app])
        held = _changing_owner(connection, company, app, linked, len(links[app]), now)
        new += [f for f in linked if f not in held]
        why = f"{len(held)} accounts would get another owner at once"
        maybe += [*said, *((f, Outcome.CANDIDATE, f.sentence(why)) for f in held)]
    at = now.isoformat()
    _replace(connection, company, new, at)
    automatic = {"linked_at": at, "who": "gusto_pipeline", "why": "evidence", "origin": "automatic"}
    insert(connection, "links", (f.row(company, sentence=f.sentence(), **automatic) for f in new))
    history = {"event": "linked", "happened_at": at, "who": "gusto_pipeline"}
    insert(
        connection,
        "link_history",
        ({k: v for k, v in f.row(company, why=f.sentence(), **history).items() if k != "score"} for f in new),
    )
    connection.execute(f"DELETE FROM provisioning.candidates WHERE {where}")
    given = {(f.app, f.account) for f in new}
    said_of = {(f.app, f.account, f.person) for f, *_ in maybe}
    for app, account, person, _ in _parted(connection, company):
        if app in apps and (app, account) not in given and (app, account, person) not in said_of:
            several = _Finding(app, account, person, ENOUGH, {}, (PARTED,), decides=False, shared=False)
            maybe.append((several, Outcome.DISPUTED, PARTED.capitalize()))
    insert(
        connection,
        "candidates",
        (f.row(company, outcome=outcome, sentence=said, found_at=at) for f, outcome, said in maybe),
    )


def _changing_owner(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    new: Iterable[_Finding],
    linked: int,
    now: datetime,
) -> list[_Finding]:
    """Those of the new links whose account was somebody else's before, where with those of the last 24 hours they are
    more than pass by themselves; none where they are not."""
    owners: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for account, person, at in connection.execute(
        "SELECT account_id, coalesce(merged_into, person_id), happened_at FROM provisioning.link_history h "
        "LEFT JOIN provisioning.people USING (company_uuid, person_id) "
        f"WHERE event IN ('linked', 'matched') AND {of(company, app)} ORDER BY h.rowid"
    ).fetchall():
        owners[account].append((person, at))
    changing = [f for f in new if owners[f.account] and owners[f.account][-1][0] != f.person]
    changed = sum(
        any(one != other and at > now - WINDOW for (one, _), (other, at) in pairwise(each)) for each in owners.values()
    )
    return changing if changing and len(changing) + changed > LIMITS[Brake.RELINKS].of(linked) else []


def _parted(connection: duckdb.DuckDBPyConnection, company: str) -> list[tuple[str, str, str, bool]]:
    """Accounts that were matched to somebody who turned out to be several, with each of these, until one of them has
    it: app, account and person, and whether the match was by hand."""
    same = "(l.company_uuid, l.app, l.account_id) = (h.company_uuid, h.app, h.account_id)"
    return connection.execute(
        "SELECT app, account_id, person_id, evidence->>'origin' = 'hand' FROM provisioning.link_history h "
        "SEMI JOIN provisioning.accounts USING (company_uuid, app, account_id) "
        "SEMI JOIN (FROM provisioning.people WHERE merged_into IS NULL) USING (company_uuid, person_id) "
        "ANTI JOIN provisioning.links USING (company_uuid, app, account_id) "
        "ANTI JOIN provisioning.marks USING (company_uuid, app, account_id) "
        "ANTI JOIN provisioning.refusals USING (company_uuid, app, account_id, person_id) "
        f"WHERE event = 'person split' AND company_uuid = {literal(company)} "
        f"AND NOT EXISTS (FROM provisioning.link_history l WHERE {same} AND event IN ('linked', 'matched') "
        "  AND l.rowid > h.rowid) ORDER BY ALL"
    ).fetchall()


def _find(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    apps: Iterable[str],
    domains: Iterable[Sequence[str]],
    today: date,
) -> list[_Finding]:
    """Everything worth mentioning between the apps' accounts and the company's persons, without what was refused."""
    prepare_comparison(connection, domains)
    prepare_phones(connection, f"SELECT phone FROM provisioning.accounts WHERE {of(company, '')}")
    own = ", ".join(literal(group[0]) for group in domains)
    connection.execute(
        f"SET VARIABLE company = {literal(company)}; SET VARIABLE apps = [{', '.join(map(literal, apps))}]; "
        f"SET VARIABLE own_domains = CAST([{own}] AS VARCHAR[])"
    )
    for name in ("account_names", "blocks", "account_pairs"):
        connection.execute(script(name))
    names: dict[str, list[Name]] = defaultdict(list)
    for bearer, given, family in connection.execute("FROM called ORDER BY ALL").fetchall():
        names[bearer].append((given, family))
    twins = {
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT unnest(ids) FROM (SELECT list(DISTINCT id[8:]) AS ids FROM formal WHERE id ^@ 'person/' "
            "GROUP BY formal, replace(family, ' ', '') HAVING len(ids) > 1)"
        ).fetchall()
    }
    elsewhere = _with_own_address(connection)
    # That a person was split takes nothing away: what would be a leaver's, or was said by hand, is for people to say.
    parted = {f"{app}/{account}": by_hand for app, account, _, by_hand in _parted(connection, company)}
    left = {
        row[0]
        for row in connection.execute(
            f"SELECT person_id FROM provisioning.people WHERE {of(company, '')} AND last_day < DATE '{today}'"
        ).fetchall()
    }
    shared = {
        account
        for account, bot, addresses in connection.execute(
            "SELECT account_id, any_value(bot), list(address) FROM taking LEFT JOIN addresses USING (account_id) "
            "GROUP BY account_id"
        ).fetchall()
        if bot or any(_SHARED.fullmatch(address or "") for address in addresses)
    }
    found = []
    for account, person, evidence, made_on, first_day, near, early, late in connection.execute(
        "SELECT account_id, person_id, evidence, created_on, first_day, near, early, late FROM account_pairs"
    ).fetchall():
        likeness = alike(names[f"person/{person}"], names[f"account/{account}"])
        if not evidence and not (likeness and likeness.close):
            continue
        facts = _Facts(evidence, likeness, made_on, first_day, near, early, late)
        app, _, account_id = account.partition("/")
        finding = _weigh(
            app, account_id, person, facts, shown=_shown(names[f"account/{account}"]), twin=person in twins,
            elsewhere=person in elsewhere, shared=account in shared,
            parted=account in parted and (parted[account] or person in left),
        )  # fmt: skip
        if finding and finding.score >= ENOUGH:
            found.append(finding)
    return found


class _Facts(NamedTuple):
    """What SQL found of a pair. `near`: the first day about which the account was made. `early`, `late`: it was made
    long before the first day of all, or after the last."""

    evidence: list[dict[str, Any]]
    likeness: Alike | None
    made_on: date | None
    first_day: date | None
    near: date | None
    early: bool | None
    late: bool | None


def _weigh(
    app: str,
    account: str,
    person: str,
    facts: _Facts,
    *,
    shown: str,
    twin: bool,
    elsewhere: bool,
    shared: bool,
    parted: bool,
) -> _Finding | None:
    """Weigh one pair. twin: somebody else has the same name. elsewhere: the person has an address of the company's.

    shared: the account belongs to a role or a machine by its address or by the app's word. parted: it may not be linked
    by evidence, since it was matched to somebody who turned out to be several people.
    """
    kinds: dict[str, str] = {}
    several, own = False, False
    used = {each["value"] for each in facts.evidence if each["kind"] in ("work_email", "other_email")}
    for kind in POINTS:  # from the strongest
        for each in facts.evidence:
            same_address = each["kind"] == "other_email" and kinds.get("work_email") == each["value"]
            if each["kind"] != kind or same_address or (kind == "user_name" and each["source"] in used):
                continue
            kinds.setdefault(kind, each["value"])
            several |= each["shared"]
            own |= each["own"]
        if kind == "name" and facts.likeness and facts.likeness.close:
            kinds["name"] = shown
    if facts.near and ("name" in kinds or own or kinds.keys() - _NAMES):
        kinds["start"] = f"{facts.near:%Y-%m-%d}"
    if not kinds:
        return None
    differ = facts.likeness is not None and facts.likeness.score < CONTRADICTS and "record" not in kinds
    known_id = kinds.keys() & {"record", "code"}
    against = []
    if differ:
        against.append("the names differ")
    if facts.early and not known_id:
        against.append(f"the account is from {facts.made_on}, long before the first day {facts.first_day}")
    if facts.late and not known_id:
        against.append(f"the account is from {facts.made_on}, after the last day")
    if several:
        against.append("several people have that address")
    if shared:
        against.append("it looks like a shared or machine account")
    if parted:
        against.append(PARTED)
    points = [float(POINTS[kind]) for kind in kinds if kind != "name"]
    if "name" in kinds and facts.likeness:
        points.append(POINTS["name"] * facts.likeness.score / 100)
    score = max(points) + FURTHER * (len(points) - 1) + CONTRADICTION * differ
    solid = kinds.keys() - _NAMES
    given_out = {"name", "user_name"} <= kinds.keys() and own and not elsewhere
    proven = bool(
        solid & {"record", "work_email"}
        or ("code" in solid and facts.likeness)  # numbers of other systems look like it
        or len(solid) > 1
        or (not twin and (given_out or (solid and kinds.keys() & _NAMES)))
    )
    if twin and not proven:
        against.append("somebody else has the same name")
    elif not proven:
        against.append("that is one kind of evidence")
    return _Finding(app, account, person, score, kinds, tuple(against), proven and not against, several or shared)


def _with_own_address(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Persons who have a work address at one of the company's domains, so that any other there is not theirs."""
    found = connection.execute(
        "SELECT DISTINCT person_id FROM person_keys "
        "WHERE class = 'address' AND kind = 'work' AND split_part(key, '@', 2) IN (FROM own)"
    ).fetchall()
    return {row[0] for row in found}


def _shown(names: Sequence[Name]) -> str:
    return max((" ".join(filter(None, name)) for name in names), key=len, default="")


def _by_app(connection: duckdb.DuckDBPyConnection, select: str) -> defaultdict[str, dict[str, Any]]:
    """What a SELECT of app, account id and something else gives, by app and account."""
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for app, account, value in connection.execute(select).fetchall():
        found[app][account] = value
    return found


def _settle(
    found: Sequence[_Finding], links: Mapping[str, str], living: Mapping[str, bool]
) -> tuple[list[_Finding], list[tuple[_Finding, Outcome, str]]]:
    """Decide until nothing more is linked: an account that has its owner stands in nobody else's way."""
    new: list[_Finding] = []
    while True:
        more, maybe = _decide(found, links, living)
        if not more:
            return new, maybe
        new += more
        links = {**links, **{finding.account: finding.person for finding in more}}


def _decide(
    found: Iterable[_Finding], links: Mapping[str, str], living: Mapping[str, bool]
) -> tuple[list[_Finding], list[tuple[_Finding, Outcome, str]]]:
    """What is linked now, and what else is to be said, with its outcome and sentence."""
    by_account: dict[str, list[_Finding]] = defaultdict(list)
    by_person: dict[str, list[_Finding]] = defaultdict(list)
    for finding in sorted(found, key=lambda f: (f.account, -f.score, f.person)):
        by_account[finding.account].append(finding)
        by_person[finding.person].append(finding)
    holds = {person: account for account, person in sorted(links.items()) if living.get(account)}
    new: list[_Finding] = []
    maybe: list[tuple[_Finding, Outcome, str]] = []
    for account, findings in by_account.items():
        if account in links:
            for other in findings:
                if other.decides and other.person != links[account]:
                    maybe.append((other, Outcome.DISPUTED, other.sentence("somebody else has the account")))
            continue
        best = findings[0]
        fit = [f for f in findings if f.decides or f.score > best.score - MARGIN]
        rivals = [
            f.account
            for f in by_person[best.person]
            if f.account not in {account, *links}
            and f.score > best.score - MARGIN
            and (living[f.account] or not living[account])
        ]
        if len(fit) > 1:
            maybe += [(f, Outcome.DISPUTED, f.sentence("others fit as well")) for f in fit]
        elif best.shared:
            maybe.append((best, Outcome.DISPUTED, best.sentence()))
        elif best.person in holds:
            maybe.append((best, Outcome.CANDIDATE, best.sentence(f"they have account {holds[best.person]}")))
        elif best.decides and rivals:
            said = best.sentence(f"account {', '.join(rivals)} fits as well")
            maybe.append((best, Outcome.CANDIDATE, said))
        elif best.decides:
            new.append(best)
        else:
            maybe.append((best, Outcome.CANDIDATE, best.sentence()))
    return new, maybe


def _replace(connection: duckdb.DuckDBPyConnection, company: str, new: Iterable[_Finding], at: str) -> None:
    """Take from persons who get an account the links to accounts that are no longer there; the history keeps them."""
    given = ", ".join(f"({literal(finding.app)}, {literal(finding.person)})" for finding in new)
    if not given:
        return
    gone = (
        f"company_uuid = {literal(company)} AND (app, person_id) IN ({given}) AND (app, account_id) NOT IN "
        f"(SELECT (app, account_id) FROM provisioning.accounts WHERE company_uuid = {literal(company)})"
    )
    connection.execute(
        "INSERT INTO provisioning.link_history BY NAME SELECT company_uuid, app, account_id, person_id, evidence, "
        f"'replaced' AS event, TIMESTAMPTZ '{at}' AS happened_at, 'gusto_pipeline' AS who, "
        f"'The account is gone, and there is another' AS why FROM provisioning.links WHERE {gone}"
    )
    connection.execute(f"DELETE FROM provisioning.links WHERE {gone}")
