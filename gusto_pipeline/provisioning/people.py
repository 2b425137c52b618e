"""Persons: Gusto's employee, contractor and admin records, each merged with the others of the same human being.

A record stays with the person it was once given to until somebody says that it is another's, so a person's id lasts
whatever the records say later, and no person is ever removed. Two records are taken for one person's on a name together
with a birth date or a personal e-mail address; whatever is less than that, or contradicts itself, becomes a question
for a person to answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import combinations
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5
from zoneinfo import ZoneInfo

import duckdb

from gusto_pipeline.provisioning.dismissal import GUSTO_ZONE, Employment, HrRecord
from gusto_pipeline.provisioning.evidence import (
    CLOSE,
    CONTRADICTS,
    Name,
    alike,
    prepare_comparison,
    prepare_phones,
)
from gusto_pipeline.provisioning.store import insert, prepare, script, values
from gusto_pipeline.warehouse.flatten import literal

_SAME_NAME = 90.0  # from here on a name alone is worth a question


class PeopleError(Exception):
    """The people cannot be made from what is staged; the message says what is missing. Nothing was changed."""


@dataclass(frozen=True)
class Refreshed:
    """How many persons there are, how many of them came, were merged into others, are no longer listed or are out of
    scope, and how many questions of merging are open."""

    people: int
    new: int
    merged: int
    vanished: int
    out_of_scope: int
    questions: int


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person. `hr`: what Gusto tells of each of their records, for `dismissal.hr_state`.

    given_name: the preferred one if there is one. worker_type: employee, contractor or admin. zone: of the work
    address. records: the keys of Gusto's records, kind and uuid. work_email, personal_email: of the record that counts
    most. out_of_scope: why nothing may be done about them; then they are only shown. None: Gusto does not say.
    """

    id: str
    name: str
    given_name: str | None
    family_name: str | None
    worker_type: str
    hr: tuple[HrRecord, ...]
    records: tuple[str, ...]
    first_day: date | None
    last_day: date | None
    on_leave: bool
    department: str | None
    title: str | None
    manager_id: str | None
    location: str | None
    state: str | None
    work_email: str | None
    personal_email: str | None
    employee_codes: tuple[str, ...]
    out_of_scope: str | None
    vanished: bool
    first_seen: datetime
    last_seen: datetime


def refresh_people(connection: duckdb.DuckDBPyConnection, company: str, now: datetime) -> Refreshed:
    """Bring a company's persons in line with what is staged of its employees, contractors, admins and time off.

    Runs inside the caller's transaction. Raises PeopleError before the first sync of employees or contractors.
    """
    prepare(connection)
    _refuse_unsynced(connection, company)
    prepare_comparison(connection)
    prepare_phones(
        connection,
        f"SELECT phone FROM staging.employees WHERE company_uuid = {literal(company)} UNION ALL "
        f"SELECT phone FROM staging.admins WHERE company_uuid = {literal(company)}",
    )
    today = now.astimezone(ZoneInfo(GUSTO_ZONE)).date()
    connection.execute(
        f"SET VARIABLE company = {literal(company)}; SET VARIABLE today = DATE '{today}'; "
        f"SET VARIABLE now = TIMESTAMPTZ '{now.isoformat()}'"
    )
    connection.execute(script("records"))
    severed = _sever(connection, company)
    for name in ("blocks", "record_pairs"):
        connection.execute(script(name))
    new, merged, questions = _assign(connection, company, severed, now)
    connection.execute(script("people"))
    people, vanished, out_of_scope = connection.execute(
        "SELECT count(*), count(*) FILTER (vanished), count(out_of_scope) FROM provisioning.people "
        f"WHERE company_uuid = {literal(company)} AND merged_into IS NULL"
    ).fetchall()[0]
    return Refreshed(people, new, merged, vanished, out_of_scope, questions)


def load_people(
    connection: duckdb.DuckDBPyConnection, company: str, *, where: str = "", out_of_scope: bool = False
) -> list[Person]:
    """A company's persons by name, those that were merged into others left out.

    `where`: an SQL condition over provisioning.people. `out_of_scope`: give also those that nothing may be done about.
    """
    scope = "" if out_of_scope else " AND out_of_scope IS NULL"
    records = defaultdict(list)
    for person, *facts in connection.execute(
        "SELECT person_id, record, employments, leaves, onboarded, zone, listed, employee_code "
        f"FROM provisioning.records WHERE company_uuid = {literal(company)} ORDER BY record"
    ).fetchall():
        records[person].append(facts)
    columns = [
        "name", "given_name", "family_name", "worker_type", "first_day", "last_day", "on_leave", "department", "title",
        "manager_id", "location", "state", "work_email", "personal_email", "out_of_scope", "vanished", "first_seen",
        "last_seen",
    ]  # fmt: skip
    rows = connection.execute(
        f"SELECT person_id, {', '.join(columns)} FROM provisioning.people WHERE company_uuid = {literal(company)} "
        f"AND merged_into IS NULL{scope} AND ({where or 'true'}) ORDER BY name, person_id"
    ).fetchall()
    return [
        Person(
            id=person,
            hr=tuple(_hr(*facts[1:6]) for facts in records[person]),
            records=tuple(facts[0] for facts in records[person]),
            employee_codes=tuple(facts[6] for facts in records[person] if facts[6]),
            **dict(zip(columns, row, strict=True)),
        )
        for person, *row in rows
    ]


def _hr(
    employments: Sequence[Mapping[str, date]],
    leaves: Sequence[Mapping[str, date]],
    onboarded: bool,
    zone: str | None,
    listed: bool,
) -> HrRecord:
    return HrRecord(
        employments=tuple(Employment(each["first_day"], each["last_day"]) for each in employments),
        onboarded=onboarded,
        leaves=tuple((leave["first_day"], leave["last_day"]) for leave in leaves),
        work_zone=zone,
        listed=listed,
    )


def _refuse_unsynced(connection: duckdb.DuckDBPyConnection, company: str) -> None:
    synced = connection.execute(
        f"SELECT count(*) FROM meta.syncs WHERE company_uuid = {literal(company)} AND status = 'ok' "
        "AND category IN ('employees', 'contractors')"
    ).fetchall()[0][0]
    if not synced:
        raise PeopleError(
            f"Neither employees nor contractors of company {company} were ever synced, so nobody is known. Sync them."
        )


_Edge = tuple[str, str]


class _Record(NamedTuple):
    record: str
    kind: str
    person: str | None
    first_seen: datetime
    birth_date: date | None
    employments: tuple[tuple[date, date], ...]
    shown: str
    names: tuple[Name, ...]


class _Pair(NamedTuple):
    """Two records and what is said of them. `same`: they are taken for one person's; otherwise it is a question."""

    record: str
    other: str
    same: bool
    sentence: str
    evidence: dict[str, Any]


def _sever(connection: duckdb.DuckDBPyConnection, company: str) -> dict[str, str]:
    """Take their records from persons of whom two are, as somebody says now, two people's; gives whose each was.

    An open question about two records of one person is an answer that was taken back. Evidence, and the answers that
    still hold, then make persons of these records anew.
    """
    found = connection.execute(
        f"SELECT record, person_id FROM provisioning.records WHERE company_uuid = {literal(company)} AND person_id IN ("
        "  SELECT a.person_id FROM provisioning.merge_questions q "
        "  JOIN provisioning.records a ON (a.company_uuid, a.record) = (q.company_uuid, q.record) "
        "  JOIN provisioning.records b ON (b.company_uuid, b.record) = (q.company_uuid, q.other) "
        f"  WHERE q.company_uuid = {literal(company)} AND same IS NOT TRUE AND a.person_id = b.person_id)"
    ).fetchall()
    if found:
        severed = ", ".join(literal(record) for record, _ in found)
        connection.execute(
            "UPDATE provisioning.records SET person_id = NULL "
            f"WHERE company_uuid = {literal(company)} AND record IN ({severed})"
        )
    return dict(found)


def _assign(
    connection: duckdb.DuckDBPyConnection, company: str, severed: Mapping[str, str], now: datetime
) -> tuple[int, int, int]:
    """Give every record its person; gives how many are new, how many were merged, and how many questions are open."""
    records = _records(connection, company)
    whole = set(severed.values())
    parts = {
        person
        for person, merged_into in connection.execute(
            "SELECT person_id, merged_into FROM provisioning.people "
            f"WHERE company_uuid = {literal(company)} AND merged_into IS NOT NULL"
        ).fetchall()
        if merged_into in whole
    }
    answers = {
        (record, other): same
        for record, other, same in connection.execute(
            "SELECT record, other, same FROM provisioning.merge_questions "
            f"WHERE company_uuid = {literal(company)} AND same IS NOT NULL"
        ).fetchall()
    }
    pairs = [
        judged
        for record, other, email, phone in connection.execute(
            "SELECT record, other, same_email, same_phone FROM record_pairs ORDER BY record, other"
        ).fetchall()
        if (record, other) not in answers
        and (judged := _judge(records[record], records[other], same_email=email, same_phone=phone))
    ]
    groups = _groups(records, pairs, answers)
    persons: dict[str, str] = {}
    came = 0
    merged: dict[str, str] = {}
    for group in groups:
        known = sorted((r.first_seen, r.person) for r in map(records.__getitem__, group) if r.person)
        own = [str(uuid5(NAMESPACE_OID, f"{company}/{record}")) for record in group]
        # Parts of a person get back the ids that they had before they were taken for one.
        person = known[0][1] if known else min(own, key=lambda id: (id not in whole, id not in parts))
        came += not known and person not in whole | parts
        merged |= {other: person for _, other in known if other != person}
        persons |= dict.fromkeys(group, person)
    rows = [{"record": record, "person_id": person} for record, person in persons.items()]
    given = values({"record": "VARCHAR", "person_id": "VARCHAR"}, rows)
    connection.execute(
        f"UPDATE provisioning.records r SET person_id = g.person_id FROM ({given}) g "
        f"WHERE r.company_uuid = {literal(company)} AND r.record = g.record "
        "AND r.person_id IS DISTINCT FROM g.person_id"
    )
    for person in sorted(whole):
        _split(connection, person, sorted({persons[record] for record, once in severed.items() if once == person}))
    for gone, person in sorted(merged.items()):
        _merge(connection, gone, person)
    open_pairs = [
        pair._replace(sentence=f"{pair.sentence}, but not all that would make one person agrees") if pair.same else pair
        for pair in pairs
        if persons[pair.record] != persons[pair.other]
    ]
    _ask(connection, company, open_pairs, now)
    return came, len(merged), len(open_pairs)


def _records(connection: duckdb.DuckDBPyConnection, company: str) -> dict[str, _Record]:
    names: dict[str, list[Name]] = defaultdict(list)
    for record, given, family in connection.execute("FROM called ORDER BY ALL").fetchall():
        names[record].append((given, family))
    found = connection.execute(
        "SELECT record, kind, person_id, first_seen, birth_date, employments, "
        "concat_ws(' ', coalesce(preferred_name, given_name), family_name) "
        f"FROM provisioning.records WHERE company_uuid = {literal(company)} ORDER BY record"
    ).fetchall()
    return {
        record: _Record(record, kind, person, seen, birth, tuple(_bounds(employments)), shown, tuple(names[record]))
        for record, kind, person, seen, birth, employments, shown in found
    }


def _bounds(employments: Iterable[Mapping[str, date | None]]) -> Iterator[tuple[date, date]]:
    for each in employments:
        yield each["first_day"] or date.min, each["last_day"] or date.max


def _judge(a: _Record, b: _Record, *, same_email: bool, same_phone: bool) -> _Pair | None:
    """What two records' likeness comes to; None when they are two people's or nothing speaks for one."""
    likeness = alike(a.names, b.names)
    birth = _births(a.birth_date, b.birth_date)
    if likeness is None or birth == "different":
        return None
    proofs = []
    if birth == "same" and likeness.score >= CONTRADICTS:
        proofs.append("birth date")
    if birth == "slip" and likeness.close:
        proofs.append("birth date but for a slip")
    if same_email and (likeness.given or 0) >= CLOSE:
        proofs.append("personal e-mail address")
    if same_phone and likeness.close and "admin" in (a.kind, b.kind):
        proofs.append("phone")
    at_once = _at_once(a, b)
    namesakes = likeness.close and likeness.score >= _SAME_NAME
    relatives = birth == "same" and (likeness.family or 0) >= CLOSE
    evidence = {"name": round(likeness.score), "birth_date": birth, "same_email": same_email, "same_phone": same_phone}
    people = f"{a.shown} ({a.record}) and {b.shown} ({b.record})"
    if proofs and not at_once:
        return _Pair(a.record, b.record, True, f"{people} have the same {' and '.join(proofs)}", evidence)
    if proofs:
        sentence = f"{people} have the same {' and '.join(proofs)}, but are employed at the same time"
        return _Pair(a.record, b.record, False, sentence, evidence)
    if at_once or not (namesakes or relatives or same_email):
        return None
    shared = [word for word, holds in (("name", namesakes), ("birth date", relatives), ("e-mail", same_email)) if holds]
    return _Pair(a.record, b.record, False, f"{people} have the same {' and '.join(shared)}", evidence)


def _births(a: date | None, b: date | None) -> str:
    """same, slip (one digit, two neighbouring digits, or day and month), different, or unknown."""
    if a is None or b is None:
        return "unknown"
    if a == b:
        return "same"
    digits, others = (day.strftime("%Y%m%d") for day in (a, b))
    wrong = [place for place in range(8) if digits[place] != others[place]]
    swapped = len(wrong) == 2 and wrong[1] - wrong[0] == 1 and digits[wrong[0]] == others[wrong[1]]
    turned = (a.year, a.month, a.day) == (b.year, b.day, b.month)
    return "slip" if len(wrong) == 1 or turned or (swapped and sorted(digits) == sorted(others)) else "different"


def _at_once(a: _Record, b: _Record) -> bool:
    """Whether both were employees on one day: Gusto has nobody twice, so they are two people, or it is a mistake."""
    if not a.kind == b.kind == "employee":
        return False
    return any(
        first <= other_last and other_first <= last
        for first, last in a.employments
        for other_first, other_last in b.employments
    )


def _groups(
    records: Mapping[str, _Record], pairs: Iterable[_Pair], answers: Mapping[tuple[str, str], bool]
) -> list[list[str]]:
    """The records of each person. Pairs that make a group which contradicts itself do not make one."""
    stored = defaultdict(list)
    for record in records.values():
        if record.person:
            stored[record.person].append(record.record)
    certain = [(group[0], other) for group in stored.values() for other in group[1:]]
    certain += [pair for pair, same in answers.items() if same and records.keys() >= set(pair)]
    same = [(pair.record, pair.other) for pair in pairs if pair.same]
    group_of = {record: group for group in components(records, certain + same) for record in group}
    broken = {
        id(group): _contradicts([records[record] for record in group], answers)
        for group in (group_of[record] for record, _ in same)
    }
    return components(records, certain + [edge for edge in same if not broken[id(group_of[edge[0]])]])


def _contradicts(group: Sequence[_Record], answers: Mapping[tuple[str, str], bool]) -> bool:
    """Whether two records of a group that was not one before cannot be one person's."""
    for a, b in combinations(group, 2):
        answer = answers.get((a.record, b.record))
        if answer or (a.person and a.person == b.person):
            continue
        likeness = alike(a.names, b.names)
        apart = likeness is not None and likeness.score < CONTRADICTS and (likeness.given or 0) < CLOSE
        if answer is False or apart or _births(a.birth_date, b.birth_date) == "different" or _at_once(a, b):
            return True
    return False


def components(records: Iterable[str], edges: Iterable[_Edge]) -> list[list[str]]:
    """Records that edges join, each group in order."""
    root = {record: record for record in records}

    def find(record: str) -> str:
        while root[record] != record:
            root[record] = root[root[record]]
            record = root[record]
        return record

    for record, other in edges:
        first, second = sorted((find(record), find(other)))
        root[second] = first
    groups = defaultdict(list)
    for record in sorted(root):
        groups[find(record)].append(record)
    return list(groups.values())


def _merge(connection: duckdb.DuckDBPyConnection, gone: str, person: str) -> None:
    """Make one person part of another, with links and refusals. What was refused for either is refused for both."""
    connection.execute(
        f"SET VARIABLE gone = {literal(gone)}; SET VARIABLE person = {literal(person)}; {script('merge')}"
    )


def _split(connection: duckdb.DuckDBPyConnection, person: str, parts: Sequence[str]) -> None:
    """Make several persons of one, and leave it to evidence, or else to people, whose its accounts are."""
    if len(parts) > 1:
        those = ", ".join(map(literal, parts))
        connection.execute(
            f"SET VARIABLE person = {literal(person)}; SET VARIABLE parts = [{those}]; {script('split')}"
        )


def _ask(connection: duckdb.DuckDBPyConnection, company: str, pairs: Sequence[_Pair], now: datetime) -> None:
    """Replace the open questions; one that stays open keeps the time at which it was first asked."""
    unanswered = f"company_uuid = {literal(company)} AND same IS NULL"
    asked = {
        (record, other): at
        for record, other, at in connection.execute(
            f"SELECT record, other, asked_at FROM provisioning.merge_questions WHERE {unanswered}"
        ).fetchall()
    }
    connection.execute(f"DELETE FROM provisioning.merge_questions WHERE {unanswered}")
    insert(
        connection,
        "merge_questions",
        (
            {"company_uuid": company, "record": pair.record, "other": pair.other, "sentence": pair.sentence}
            | {"evidence": pair.evidence, "asked_at": asked.get((pair.record, pair.other), now).isoformat()}
            for pair in pairs
        ),
    )
