"""What people say by hand: this account is theirs, it is not, it is nobody's, it was removed, these two are one person.

Each decision says who made it, when and why, and outranks every rule. One that contradicts another is refused, with
nothing done: the older one has to be taken back first. All run inside the caller's transaction.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

import duckdb

from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.people import components
from gusto_pipeline.provisioning.store import insert, prepare
from gusto_pipeline.warehouse.flatten import literal


class Mark(StrEnum):
    """What an account is that belongs to nobody in particular, or to somebody who is not in Gusto.

    `bot`, `shared`: a machine's, a team's; one person may still hold it. `external`: a guest's, to be looked at again.
    `admin`: of an administrator who is not in Gusto. `ignore`: not to be asked about.
    """

    BOT = "bot"
    SHARED = "shared"
    EXTERNAL = "external"
    ADMIN = "admin"
    IGNORE = "ignore"


_NOBODYS = (Mark.EXTERNAL, Mark.ADMIN, Mark.IGNORE)


class HandDecisionError(Exception):
    """A decision names nobody we know, or contradicts an earlier one. Nothing was done; the message says what to do."""


def match(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    account: str,
    person: str,
    *,
    who: str,
    why: str,
    now: datetime,
) -> None:
    """Say that an account is a person's; what evidence linked before is thereby confirmed. Raises HandDecisionError."""
    _require(connection, company, app, account, person, who=who, why=why)
    if refusal := _one(connection, "refusals", "who, refused_at", _row(company, app, account, person)):
        raise HandDecisionError(
            f"{refusal[0]} ruled out on {refusal[1]:%Y-%m-%d} that {app} account {account} is person {person}'s. "
            "Lift that refusal first."
        )
    marked = _one(connection, "marks", "mark, who", _row(company, app, account))
    if marked and marked[0] in _NOBODYS:
        raise HandDecisionError(f"{app} account {account} is marked {marked[0]} by {marked[1]}. Lift that mark first.")
    if link := _one(connection, "links", "person_id, origin, who", _row(company, app, account)):
        if link[0] != person:
            raise HandDecisionError(
                f"{app} account {account} is matched to person {link[0]} already, by {link[2]}. Unmatch it first."
            )
        if link[1] == "hand":
            raise HandDecisionError(f"{app} account {account} is matched to person {person} already, by {link[2]}.")
        connection.execute(f"DELETE FROM provisioning.links WHERE {_row(company, app, account)}")
    connection.execute(f"DELETE FROM provisioning.candidates WHERE {_row(company, app, account)}")
    pair = {"company_uuid": company, "app": app, "account_id": account, "person_id": person}
    insert(
        connection,
        "links",
        [pair | {"origin": "hand", "sentence": f"Matched by {who}: {why}", "linked_at": now.isoformat()}
         | {"evidence": {}, "who": who, "why": why}],
    )  # fmt: skip
    _note(connection, pair, "matched", who, why, now)


def unmatch(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    account: str,
    *,
    who: str,
    why: str,
    now: datetime,
) -> None:
    """Say that a linked account is not that person's: the link goes, and a refusal keeps it from coming back.

    Raises HandDecisionError where the account is linked to nobody.
    """
    _require(connection, company, app, who=who, why=why)
    link = _one(connection, "links", "person_id", _row(company, app, account))
    if link is None:
        raise HandDecisionError(f"{app} account {account} is matched to nobody, so there is nothing to unmatch.")
    connection.execute(f"DELETE FROM provisioning.links WHERE {_row(company, app, account)}")
    _refuse(connection, company, app, account, link[0], "unmatched", who, why, now)


def refuse(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    account: str,
    person: str,
    *,
    who: str,
    why: str,
    now: datetime,
) -> None:
    """Say that an account that may have been a person's is not. Raises HandDecisionError where it is linked to them."""
    _require(connection, company, app, account, person, who=who, why=why)
    if _one(connection, "links", "person_id", _row(company, app, account, person)):
        raise HandDecisionError(f"{app} account {account} is matched to person {person}. Unmatch it instead.")
    if refusal := _one(connection, "refusals", "who", _row(company, app, account, person)):
        raise HandDecisionError(f"That {app} account {account} is person {person}'s was ruled out by {refusal[0]}.")
    _refuse(connection, company, app, account, person, "refused", who, why, now)


def lift_refusal(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    account: str,
    person: str,
    *,
    who: str,
    why: str,
    now: datetime,
) -> None:
    """Take back that an account is not a person's; evidence decides again. Raises HandDecisionError without one."""
    _require(connection, company, app, who=who, why=why)
    if not _one(connection, "refusals", "who", _row(company, app, account, person)):
        raise HandDecisionError(f"Nobody ruled out that {app} account {account} is person {person}'s.")
    connection.execute(f"DELETE FROM provisioning.refusals WHERE {_row(company, app, account, person)}")
    pair = {"company_uuid": company, "app": app, "account_id": account, "person_id": person}
    _note(connection, pair, "refusal lifted", who, why, now)


def mark(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    account: str,
    kind: Mark,
    *,
    who: str,
    why: str,
    now: datetime,
    review_by: date | None = None,
) -> None:
    """Say what an account is; it is then linked to nobody by evidence. An external one needs a day to look again.

    Raises HandDecisionError where it is marked already, or is somebody's and the mark says nobody's.
    """
    _require(connection, company, app, account, who=who, why=why)
    if kind == Mark.EXTERNAL and review_by is None:
        raise HandDecisionError(f"Say by when {app} account {account} is to be looked at again: external access ends.")
    if review_by is not None and review_by <= now.date():
        raise HandDecisionError(f"The day to look at {app} account {account} again, {review_by}, has passed already.")
    if marked := _one(connection, "marks", "mark, who", _row(company, app, account)):
        raise HandDecisionError(f"{app} account {account} is marked {marked[0]} by {marked[1]}. Lift that mark first.")
    if kind in _NOBODYS and (link := _one(connection, "links", "person_id", _row(company, app, account))):
        raise HandDecisionError(f"{app} account {account} is matched to person {link[0]}. Unmatch it first.")
    row = {"company_uuid": company, "app": app, "account_id": account, "mark": kind, "who": who, "why": why}
    until = review_by.isoformat() if review_by else None
    insert(connection, "marks", [row | {"review_by": until, "marked_at": now.isoformat()}])
    connection.execute(f"DELETE FROM provisioning.candidates WHERE {_row(company, app, account)}")
    _note(connection, {"company_uuid": company, "app": app, "account_id": account}, f"marked {kind}", who, why, now)


def lift_mark(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    account: str,
    *,
    who: str,
    why: str,
    now: datetime,
) -> None:
    """Take a mark back; evidence decides again. Raises HandDecisionError where there is none."""
    _require(connection, company, app, who=who, why=why)
    marked = _one(connection, "marks", "mark", _row(company, app, account))
    if marked is None:
        raise HandDecisionError(f"{app} account {account} carries no mark.")
    connection.execute(f"DELETE FROM provisioning.marks WHERE {_row(company, app, account)}")
    row = {"company_uuid": company, "app": app, "account_id": account}
    _note(connection, row, f"mark {marked[0]} lifted", who, why, now)


def say_done(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    account: str,
    *,
    who: str,
    why: str,
    now: datetime,
) -> None:
    """Note that somebody took an account away in the app by hand. It proves nothing: the next complete reading does.

    Raises HandDecisionError for an account that is gone already, or of which that was said since the last reading.
    """
    _require(connection, company, app, account, who=who, why=why)
    where = _row(company, app, account)
    status, login, read_at = _one(
        connection, "accounts", "status, coalesce(emails[1], user_name, account_id), read_at", where
    ) or ("", "", now)  # fmt: skip
    if status == Status.DELETED:
        raise HandDecisionError(f"{app} account {account} is deleted already; there is nothing left to do by hand.")
    if said := _one(connection, "done_by_hand", "who, said_at", f"{where} AND said_at >= '{read_at.isoformat()}'"):
        raise HandDecisionError(
            f"{said[0]} said on {said[1]:%Y-%m-%d %H:%M %Z} that {app} account {account} was done by hand. The next "
            "complete reading proves it or not."
        )
    holder = _one(connection, "links", "person_id", where)
    row = {"company_uuid": company, "app": app, "account_id": account, "person_id": holder[0] if holder else None}
    insert(connection, "done_by_hand", [row | {"login": login, "who": who, "why": why, "said_at": now.isoformat()}])


def answer_merge(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    record: str,
    other: str,
    *,
    same: bool,
    who: str,
    why: str,
    now: datetime,
) -> None:
    """Answer whether two of Gusto's records (`employee/…`, `contractor/…`) are one person's, from the next refresh on.

    That they are not may be said of any two that are taken for one person's; the person is then split. Raises
    HandDecisionError where that was not asked, was answered before, or contradicts other answers.
    """
    _require(connection, company, "", who=who, why=why)
    record, other = sorted((record, other))
    which = f"company_uuid = {literal(company)} AND record = {literal(record)} AND other = {literal(other)}"
    question = _one(connection, "merge_questions", "same, who", which)
    if question and question[0] is not None:
        raise HandDecisionError(
            f"{question[1]} has said that {record} and {other} are {_people(question[0])}. Take that back first: "
            f"gusto-pipeline accounts same {record} {other} --lift --why …"
        )
    if question is None and (same or not _one_person(connection, company, record, other)):
        raise HandDecisionError(f"Nobody asked whether {record} and {other} are one person.")
    _refuse_contradiction(connection, company, record, other, same=same)
    if question is None:
        row = {"company_uuid": company, "record": record, "other": other, "evidence": {}, "asked_at": now.isoformat()}
        insert(connection, "merge_questions", [row | {"sentence": "Were taken for one person"}])
    connection.execute(
        f"UPDATE provisioning.merge_questions SET same = {same}, who = {literal(who)}, why = {literal(why)}, "
        f"answered_at = TIMESTAMPTZ '{now.isoformat()}' WHERE {which}"
    )


def lift_merge(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    record: str,
    other: str,
    *,
    who: str,
    why: str,
    now: datetime,
) -> None:
    """Take back what was said of two records; from the next refresh on evidence decides again, and may ask again.

    Raises HandDecisionError where nothing was said of them.
    """
    _require(connection, company, "", who=who, why=why)
    record, other = sorted((record, other))
    which = f"company_uuid = {literal(company)} AND record = {literal(record)} AND other = {literal(other)}"
    answer = _one(connection, "merge_questions", "same, who, why, answered_at", f"{which} AND same IS NOT NULL")
    if answer is None:
        raise HandDecisionError(f"Nobody has said whether {record} and {other} are one person.")
    same, said_by, said_why, said_at = answer
    row = {"company_uuid": company}
    _note(connection, row, _people(same), said_by, f"{record} {other} {said_why}", said_at)
    _note(connection, row, f"{_people(same)} taken back", who, f"{record} {other} {why}", now)
    connection.execute(
        f"UPDATE provisioning.merge_questions SET same = NULL, who = NULL, why = NULL, answered_at = NULL WHERE {which}"
    )


def _people(same: bool) -> str:
    return "one person" if same else "two people"


def _one_person(connection: duckdb.DuckDBPyConnection, company: str, record: str, other: str) -> bool:
    """Whether two records are taken for one person's now."""
    named = f"company_uuid = {literal(company)} AND record IN ({literal(record)}, {literal(other)})"
    found = _one(connection, "records", "count(*) = 2 AND count(DISTINCT person_id) = 1", named)
    return bool(found and found[0])


def _refuse_contradiction(
    connection: duckdb.DuckDBPyConnection, company: str, record: str, other: str, *, same: bool
) -> None:
    """Refuse an answer with which records would be one person's by way of others, and two people's by themselves."""
    said = connection.execute(
        "SELECT record, other, same FROM provisioning.merge_questions "
        f"WHERE company_uuid = {literal(company)} AND same IS NOT NULL"
    ).fetchall()
    said.append((record, other, same))
    every = {one for pair in said for one in pair[:2]}
    for group in components(every, [(a, b) for a, b, one in said if one]):
        for a, b, one in said:
            if not one and {a, b} <= set(group):
                raise HandDecisionError(
                    f"Others were said to be one person, so that {a} and {b} would be one and two at once: "
                    f"{', '.join(group)}. Take one of those answers back first: gusto-pipeline accounts same … --lift"
                )


def _require(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    account: str | None = None,
    person: str | None = None,
    *,
    who: str,
    why: str,
) -> None:
    """Refuse a decision that nobody signed, or about an account or person that is not known."""
    prepare(connection)
    if not who.strip() or not why.strip():
        raise HandDecisionError("Say who decides and why: it is kept with the decision.")
    if account is not None and not _one(connection, "accounts", "account_id", _row(company, app, account)):
        raise HandDecisionError(f"{app} listed no account {account!r} when it was last read.")
    if person is not None:
        known = _one(
            connection,
            "people",
            "merged_into",
            f"company_uuid = {literal(company)} AND person_id = {literal(person)}",
        )
        if known is None:
            raise HandDecisionError(f"There is no person {person!r}.")
        if known[0]:
            raise HandDecisionError(f"Person {person} turned out to be person {known[0]}. Decide about that one.")


def _refuse(
    connection: duckdb.DuckDBPyConnection,
    company: str,
    app: str,
    account: str,
    person: str,
    event: str,
    who: str,
    why: str,
    now: datetime,
) -> None:
    pair = {"company_uuid": company, "app": app, "account_id": account, "person_id": person}
    insert(connection, "refusals", [pair | {"who": who, "why": why, "refused_at": now.isoformat()}])
    _note(connection, pair, event, who, why, now)


def _note(
    connection: duckdb.DuckDBPyConnection, row: dict[str, Any], event: str, who: str, why: str, now: datetime
) -> None:
    insert(connection, "link_history", [row | {"event": event, "who": who, "why": why, "happened_at": now.isoformat()}])


def _row(company: str, app: str, account: str, person: str | None = None) -> str:
    """The SQL condition for the rows of one account, or of one account and one person."""
    named = f"company_uuid = {literal(company)} AND app = {literal(app)} AND account_id = {literal(account)}"
    return named if person is None else f"{named} AND person_id = {literal(person)}"


def _one(connection: duckdb.DuckDBPyConnection, table: str, columns: str, where: str) -> tuple[Any, ...] | None:
    found = connection.execute(f"SELECT {columns} FROM provisioning.{table} WHERE {where}").fetchall()
    return found[0] if found else None
