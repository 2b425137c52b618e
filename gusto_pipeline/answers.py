"""Answers to people about themselves and their colleagues, from the warehouse: who asks, what they may see, a record.

Who asks is an employee of one company, known by a token or named by an administrator, and looked up anew for every
answer: whoever has left, or is not the only one by that name, is nobody. What they see is chosen by SQL: every query
starts from the caller's own row, and a column that the caller may not see of somebody is not in the query. A question
is recognised by its form (`FORMS`), never guessed. Each answer and refusal is recorded before it is given, without its
content.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

import duckdb

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.sync import open_warehouse
from gusto_pipeline.warehouse.flat import PERSON_NAME

When = Literal["today", "tomorrow", "this week", "next week"]
Outcome = Literal["answered", "refused", "not found", "not understood"]

# What every colleague may know of every other.
DIRECTORY = ("name", "work_email", "title", "department")

# Forms of questions by topic: case, punctuation at the end and spaces do not count. {person}: a colleague's name or
# work e-mail address; {field}: a word of FIELD_WORDS; {when}: today, tomorrow, this week or next week.
FORMS: dict[str, tuple[str, ...]] = {
    "profile": (
        "who am i",
        "my profile",
        "my details",
        "show my profile",
        "show me my profile",
        "show my details",
        "what is my profile",
        "what are my details",
        "what do you know about me",
        "tell me about myself",
    ),
    "time_off": (
        "my time off",
        "my time off balance",
        "my vacation balance",
        "my pto",
        "show my time off",
        "what is my time off balance",
        "what is my vacation balance",
        "what is my sick leave balance",
        "what is my pto balance",
        "how much time off do i have",
        "how much time off do i have left",
        "how much vacation do i have",
        "how much vacation do i have left",
        "how much pto do i have left",
        "how much sick leave do i have left",
        "how many vacation days do i have left",
        "how many hours of time off do i have",
        "how many sick days do i have left",
    ),
    "employment": (
        "my employment",
        "my employment details",
        "show my employment details",
        "what are my employment details",
        "what is my job",
        "what do i do here",
        "since when do i work here",
        "how long have i worked here",
        "when did i start",
        "when was i hired",
        "am i full time",
    ),
    "manager": (
        "my manager",
        "my boss",
        "who is my manager",
        "who is my boss",
        "who is my supervisor",
        "who manages me",
        "who do i report to",
        "to whom do i report",
    ),
    "reports": (
        "my team",
        "my direct reports",
        "who reports to me",
        "who is on my team",
        "who are my direct reports",
        "whom do i manage",
        "who do i manage",
    ),
    "pay_day": (
        "pay day",
        "next pay day",
        "when is pay day",
        "when is payday",
        "when is the next pay day",
        "when is my next pay day",
        "when is my next payday",
        "when do i get paid",
        "when do i get paid next",
        "when will i be paid",
        "when are we paid next",
    ),
    "out": (
        "who is out",
        "who is away",
        "who is off",
        "who is out {when}",
        "who is away {when}",
        "who is off {when}",
        "who is on leave {when}",
        "who is on vacation {when}",
        "who will be out {when}",
        "is anyone out {when}",
        "is anybody away {when}",
        "is {person} out {when}",
        "is {person} away {when}",
        "is {person} off {when}",
        "is {person} in {when}",
        "will {person} be out {when}",
    ),
    "field": (
        "my {field}",
        "show my {field}",
        "what is my {field}",
        "what {field} do i have",
        "what is {person}'s {field}",
        "what is the {field} of {person}",
        "show {person}'s {field}",
        "tell me {person}'s {field}",
        "give me {person}'s {field}",
        "{person}'s {field}",
    ),
    "person": (
        "who is {person}",
        "who's {person}",
        "find {person}",
        "look up {person}",
        "show {person}",
        "tell me about {person}",
        "what does {person} do",
        "how do i reach {person}",
        "how can i contact {person}",
        "contact details of {person}",
    ),
}

# Words for fields; those under "" are never answered, of anybody.
FIELD_WORDS: dict[str, tuple[str, ...]] = {
    "name": ("name", "full name"),
    "work_email": ("email", "e-mail", "email address", "e-mail address", "work email", "work e-mail"),
    "title": ("title", "job title", "role", "position"),
    "department": ("department", "team"),
    "location": ("location", "office", "work location", "work address"),
    "manager": ("manager", "boss", "supervisor"),
    "hire_date": ("hire date", "start date", "first day"),
    "employment": ("employment status", "employment type"),
    "last_day": ("last day", "termination date"),
    "phone": ("phone", "phone number", "mobile number"),
    "personal_email": ("personal email", "personal e-mail", "private email", "private e-mail"),
    "out_of_office": ("out of office", "time off dates", "absences"),
    "birth_date": ("birthday", "birth date", "date of birth", "age"),
    "home_address": ("home address", "address", "private address"),
    "pay": ("pay", "salary", "wage", "wages", "compensation", "pay rate", "hourly rate", "income"),
    "": (
        "ssn", "social security number", "tax id", "bank account", "bank details", "account number", "routing number",
        "garnishment", "garnishments", "time off balance", "vacation balance", "sick leave", "sick days", "leave type",
        "type of leave", "reason for leave", "bonus", "paycheck", "payslip",
    ),
}  # fmt: skip

_TITLES = {
    "work_email": "work e-mail",
    "personal_email": "personal e-mail",
    "hire_date": "first day",
    "out_of_office": "out of office",
}

_EXAMPLES = (
    "who am I; how much time off do I have left; my employment details; who is my manager; who reports to me; "
    "who is out this week; is NAME out today; when is the next pay day; who is NAME; what is NAME's title"
)

_TABLES = """
CREATE SCHEMA IF NOT EXISTS answers;
CREATE TABLE IF NOT EXISTS answers.tokens (
    token_id VARCHAR, token_hash VARCHAR, company_uuid VARCHAR, employee_uuid VARCHAR, issued_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ, revoked_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS answers.log (
    asked_at TIMESTAMPTZ, company_uuid VARCHAR, employee_uuid VARCHAR, via VARCHAR, topic VARCHAR, about VARCHAR[],
    outcome VARCHAR
);
COMMENT ON TABLE answers.tokens IS 'Who may ask with which token, of which only the SHA-256 hash is kept';
COMMENT ON TABLE answers.log IS 'Every answer and refusal: who asked (empty: nobody known), topic, about whom, outcome'
"""

# Bound once for all queries. `here`: employees of today, also those whose dismissal is ahead; what Gusto leaves open
# counts against them. `colleagues`: those of the caller's company, nobody if the caller is not among them.
_PEOPLE = f"""
WITH asked AS (
    SELECT
        CAST($company AS VARCHAR) AS company, CAST($caller AS VARCHAR) AS caller, CAST($about AS VARCHAR) AS about,
        CAST($today AS DATE) AS today, CAST($first AS DATE) AS first, CAST($last AS DATE) AS last
),
here AS (
    SELECT t.*, {PERSON_NAME.format("t")} AS name
    FROM flat.employees t, asked
    WHERE t.onboarded AND NOT t.historical AND (NOT t.terminated OR t.termination__effective_date >= asked.today)
),
me AS (
    SELECT h.company_uuid, h.uuid, h.manager_uuid, h.department_uuid, h.compensation__payment_unit AS payment_unit
    FROM here h, asked WHERE (h.company_uuid, h.uuid) = (asked.company, asked.caller)
),
colleagues AS (
    SELECT
        h.*,
        CASE
            WHEN h.uuid = me.uuid THEN 'self' WHEN h.manager_uuid = me.uuid THEN 'report' ELSE 'colleague'
        END AS relation
    FROM here h JOIN me ON h.company_uuid = me.company_uuid
),
days AS (
    SELECT DISTINCT r.company_uuid, r.employee__uuid AS uuid, d.key AS day
    FROM staging.time_off r
    JOIN staging.time_off_days d ON (d.company_uuid, d.time_off_request_uuid) = (r.company_uuid, r.uuid)
    WHERE r.status IN ('approved', 'consumed') AND d.value > 0
)
"""

_FIELDS = {
    "name": "c.name",
    "work_email": "c.work_email",
    "title": "coalesce(nullif(c.job__title, ''), c.title)",
    "department": "c.department",
    "location": "(SELECT min(concat_ws(', ', w.city, w.state)) FROM staging.work_addresses w "
    "WHERE (w.company_uuid, w.employee_uuid) = (c.company_uuid, c.uuid) AND w.active)",
    "manager": "(SELECT m.name FROM here m WHERE (m.company_uuid, m.uuid) = (c.company_uuid, c.manager_uuid))",
    "hire_date": "c.job__hire_date",
    "employment": "replace(c.current_employment_status, '_', ' ')",
    "last_day": "CASE WHEN c.terminated THEN c.termination__effective_date END",
    "phone": "c.phone",
    "personal_email": "c.email",
    "out_of_office": "(SELECT list(d.day ORDER BY d.day) FROM days d, asked "
    "WHERE (d.company_uuid, d.uuid) = (c.company_uuid, c.uuid) AND d.day >= asked.today)",
    "birth_date": "c.date_of_birth",
    "home_address": "concat_ws(', ', c.current_home_address__street_1, c.current_home_address__street_2, "
    "c.current_home_address__city, c.current_home_address__state, c.current_home_address__zip)",
    "pay": "CAST(c.compensation__rate AS DECIMAL(18, 2)) || ' US dollars per ' || lower(c.compensation__payment_unit)",
}

_EMPLOYMENT = ("name", "title", "department", "employment", "hire_date", "last_day", "location", "manager", "pay")

# A name finds a person in full, by the legal or the preferred first name, or by the first name alone.
_ABOUT = """
SELECT c.uuid, c.relation FROM colleagues c, asked, me
WHERE strip_accents(lower(asked.about)) IN (
    strip_accents(lower(c.name)), strip_accents(lower(concat_ws(' ', c.first_name, c.last_name))),
    strip_accents(lower(c.first_name)), strip_accents(lower(c.preferred_first_name))
) OR lower(asked.about) = lower(c.work_email) OR asked.about = c.uuid
OR (lower(asked.about) = 'my manager' AND c.uuid = me.manager_uuid)
"""

_TIME_OFF = """
SELECT
    p.name AS policy,
    CASE WHEN p.accrual_method = 'unlimited' THEN 'unlimited' ELSE CAST(round(m.balance, 2) AS VARCHAR) END AS balance,
    'hours' AS unit,
    coalesce((
        SELECT sum(d.value) FROM staging.time_off r
        JOIN staging.time_off_days d ON (d.company_uuid, d.time_off_request_uuid) = (r.company_uuid, r.uuid)
        WHERE (r.company_uuid, r.employee__uuid, r.policy_uuid) = (me.company_uuid, me.uuid, p.uuid)
        AND r.status = 'approved' AND d.key >= asked.today
    ), 0) AS approved_not_taken
FROM me, asked, staging.time_off_policy_members m, staging.time_off_policies p
WHERE (m.company_uuid, m.uuid) = (me.company_uuid, me.uuid)
AND (p.company_uuid, p.uuid) = (m.company_uuid, m.time_off_policy_uuid) AND p.is_active
ORDER BY p.name
"""

_OUT = """
SELECT c.uuid, c.name, list(d.day ORDER BY d.day) AS days
FROM colleagues c, asked, days d
WHERE (d.company_uuid, d.uuid) = (c.company_uuid, c.uuid) AND d.day BETWEEN asked.first AND asked.last
AND (asked.about IS NULL OR c.uuid = asked.about)
GROUP BY c.uuid, c.name ORDER BY c.name, c.uuid
"""

# How a company assigns pay schedules: one for all, by employee, by department, or by how people are paid.
_PAY_DAY = """
SELECT min(p.payroll__check_date) AS pay_day
FROM me, asked, staging.pay_periods p
LEFT JOIN staging.pay_schedule_assignments a ON a.company_uuid = p.company_uuid
WHERE p.company_uuid = me.company_uuid AND p.payroll__check_date >= asked.today
AND p.pay_schedule_uuid = coalesce(
    (SELECT min(e.pay_schedule_uuid) FROM staging.employee_pay_schedules e
     WHERE (e.company_uuid, e.employee_uuid) = (me.company_uuid, me.uuid)),
    (SELECT min(d.pay_schedule_uuid) FROM staging.department_pay_schedules d
     WHERE (d.company_uuid, d.department_uuid) = (me.company_uuid, me.department_uuid)),
    CASE WHEN me.payment_unit = 'Hour' THEN a.hourly_pay_schedule_uuid ELSE a.salaried_pay_schedule_uuid END,
    a.default_pay_schedule_uuid
)
"""


@dataclass(frozen=True)
class Caller:
    """An employee who asks: the uuids of company and employee in Gusto."""

    company: str
    employee: str


@dataclass(frozen=True)
class Question:
    """What is asked: a topic of FORMS, for some of them about whom (None: oneself, or everybody), which field, when."""

    topic: str
    about: str | None = None
    field: str | None = None
    when: When = "this week"


@dataclass(frozen=True)
class Answer:
    """What is said. rows: the facts in it. source: the categories they come from; synced_at: the last good sync of the
    one synced longest ago, None if one never was or nothing was answered. about: ids of the people it tells of."""

    topic: str
    outcome: Outcome
    text: str
    rows: tuple[dict[str, Any], ...] = ()
    source: tuple[str, ...] = ()
    synced_at: datetime | None = None
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class Token:
    """A token as listed, without its secret."""

    id: str
    company: str
    employee: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


def find_caller(settings: Settings, named: str, *, clock: Clock = utcnow) -> Caller | None:
    """The one employee of today with this uuid or work e-mail address, over all companies; None if not exactly one."""
    with open_warehouse(settings).read() as connection:
        found = _query(
            connection,
            "SELECT h.company_uuid, h.uuid FROM here h, asked "
            "WHERE h.uuid = asked.about OR lower(h.work_email) = lower(asked.about)",
            _bound(None, _today(settings, clock), about=named),
        )
    return Caller(found[0]["company_uuid"], found[0]["uuid"]) if len(found) == 1 else None


def issue_token(settings: Settings, caller: Caller, *, days: int, clock: Clock = utcnow) -> tuple[str, Token]:
    """A new token, valid for so many days, with its record. Only its hash is kept: it cannot be shown again."""
    secret, now = f"gpa_{secrets.token_urlsafe(32)}", clock()
    token = Token(secrets.token_hex(4), caller.company, caller.employee, now, now + timedelta(days=days), None)
    with open_warehouse(settings).write() as connection:
        connection.execute(_TABLES)
        connection.execute(
            "INSERT INTO answers.tokens VALUES ($1, $2, $3, $4, $5, $6, NULL)",
            [token.id, _hash(secret), token.company, token.employee, token.issued_at, token.expires_at],
        )
    return secret, token


def revoke_tokens(settings: Settings, which: str, *, clock: Clock = utcnow) -> int:
    """End the token of this id, or all tokens of the employee of this uuid; gives how many were in force."""
    with open_warehouse(settings).write() as connection:
        connection.execute(_TABLES)
        return int(
            connection.execute(
                "UPDATE answers.tokens SET revoked_at = $2 "
                "WHERE $1 IN (token_id, employee_uuid) AND revoked_at IS NULL AND expires_at > $2",
                [which, clock()],
            ).fetchall()[0][0]
        )


def list_tokens(settings: Settings) -> list[Token]:
    """Every token ever issued, latest first."""
    with open_warehouse(settings).read() as connection:
        if not _has_tables(connection):
            return []
        return [
            Token(*row)
            for row in connection.execute(
                "SELECT token_id, company_uuid, employee_uuid, issued_at, expires_at, revoked_at "
                "FROM answers.tokens ORDER BY issued_at DESC, token_id"
            ).fetchall()
        ]


def caller_of_token(settings: Settings, secret: str, *, clock: Clock = utcnow) -> Caller | None:
    """Whose token this is; None, and recorded as refused, for one that is unknown, revoked or expired."""
    rows = []
    with open_warehouse(settings).read() as connection:
        if _has_tables(connection):
            rows = connection.execute(
                "SELECT company_uuid, employee_uuid FROM answers.tokens "
                "WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > $2",
                [_hash(secret), clock()],
            ).fetchall()
    if len(rows) != 1:
        _record(settings, None, Answer("token", "refused", ""), "mcp", clock)
        return None
    return Caller(*rows[0])


def understand(question: str) -> Question | None:
    """What a question asks, by the first of FORMS that it has; None for any other."""
    plain = unicodedata.normalize("NFKC", question).replace("’", "'").strip(" \t\r\n?!.")
    plain = re.sub(r"\s+", " ", plain)
    plain = re.sub(r"^(please |hi,? |hello,? )+|,? please$", "", plain, flags=re.IGNORECASE)
    plain = re.sub(r"^(what|who|when)'s ", r"\1 is ", plain, flags=re.IGNORECASE)
    if len(plain) > 200:
        return None
    for topic, form in _PATTERNS:
        if match := form.fullmatch(plain):
            said = match.groupdict()
            field = _WORDS[said["field"].casefold()] if said.get("field") else None
            when: Any = (said.get("when") or "this week").casefold()
            return Question(topic, said.get("person"), field, when)
    return None


def ask(settings: Settings, caller: Caller | None, question: str, *, via: str, clock: Clock = utcnow) -> Answer:
    """The answer to a question in words. What has none of the FORMS is answered with what can be asked."""
    asked = understand(question)
    if asked is None and caller is not None:
        unknown = Answer("", "not understood", f"That is not a question I know. You can ask: {_EXAMPLES}.")
        return _record(settings, caller, unknown, via, clock)
    return answer(settings, caller, asked or Question(""), via=via, clock=clock)


def answer(settings: Settings, caller: Caller | None, question: Question, *, via: str, clock: Clock = utcnow) -> Answer:
    """The answer to a question, as far as the caller may have it, recorded as asked `via` cli or mcp."""
    today = _today(settings, clock)
    reply = Answer(question.topic, "refused", "I do not know you as an employee of today, so I cannot answer.")
    with open_warehouse(settings).read() as connection:
        if caller and _query(connection, "SELECT uuid FROM me", _bound(caller, today)):
            reply = _reply(connection, settings, caller, question, today)
            reply = _dated(connection, caller, reply, clock())
    return _record(settings, caller, reply, via, clock)


def _reply(
    connection: duckdb.DuckDBPyConnection, settings: Settings, caller: Caller, question: Question, today: date
) -> Answer:
    topic, policy = question.topic, settings.answers
    first, last = _window(question.when, today)
    bound = _bound(caller, today, first=first, last=last)
    if topic == "time_off":
        return _told(topic, _query(connection, _TIME_OFF, bound), ("employees", "time_off"), about=(caller.employee,))
    if topic == "pay_day":
        rows = [row for row in _query(connection, _PAY_DAY, bound) if row["pay_day"]]
        sources = ("employees", "pay_schedules", "payrolls")
        return _told(topic, rows, sources, about=(caller.employee,), none="The next pay day is not in Gusto yet.")
    if topic == "manager":
        rows = _people(connection, DIRECTORY, "c.uuid = me.manager_uuid", bound)
        return _told(topic, rows, ("employees",), none="Gusto names no manager for you.")
    if topic == "reports":
        rows = _people(connection, policy.manager_fields, "c.relation = 'report'", bound)
        return _told(topic, rows, _sources(policy.manager_fields), none="Nobody reports to you.")
    about, relation = caller.employee, "self"
    if question.about is not None:
        found = _query(connection, _ABOUT, {**bound, "about": question.about})
        if len(found) != 1:
            many = "More than one colleague is called that: use the work e-mail address."
            return Answer(topic, "not found", many if found else "No colleague of today is called that.")
        about, relation = found[0]["uuid"], found[0]["relation"]
    if topic == "out":
        rows = _query(connection, _OUT, {**bound, "about": about if question.about is not None else None})
        who = (about,) if question.about is not None else ()
        none = f"Gusto has no approved time off for {question.when}."
        return _told(topic, rows, ("employees", "time_off"), about=who, none=none)
    allowed: Mapping[str, Sequence[str]] = {
        "self": policy.fields, "report": policy.manager_fields, "colleague": DIRECTORY,
    }  # fmt: skip
    fields = tuple(allowed[relation])
    if topic == "field":
        if question.field not in fields:
            return replace(_REFUSED, topic=topic, about=(about,))
        fields = (question.field,)
    elif topic == "employment":
        fields = tuple(field for field in _EMPLOYMENT if field in fields)
    # Asked again with the relation the fields were chosen for, so that columns and rows are decided by the same query.
    rows = _people(connection, fields, f"c.uuid = asked.about AND c.relation = '{relation}'", {**bound, "about": about})
    return _told(topic, rows, _sources(fields))


_REFUSED = Answer("", "refused", "I may not tell you that. What concerns you is in your own Gusto account.")


def _people(
    connection: duckdb.DuckDBPyConnection, fields: Sequence[str], where: str, bound: dict[str, Any]
) -> list[dict[str, Any]]:
    """These fields, and no others, of colleagues; with their uuid."""
    columns = ", ".join(f"{_FIELDS[field]} AS {field}" for field in fields)
    select = f"SELECT c.uuid{', ' if columns else ''}{columns} FROM colleagues c, asked, me"
    return _query(connection, f"{select} WHERE {where} ORDER BY c.name, c.uuid", bound)


def _sources(fields: Sequence[str]) -> tuple[str, ...]:
    more = {"location": "work_addresses", "out_of_office": "time_off"}
    return ("employees", *(more[field] for field in fields if field in more))


def _told(
    topic: str,
    rows: list[dict[str, Any]],
    source: tuple[str, ...],
    *,
    about: tuple[str, ...] = (),
    none: str = "Gusto says nothing about that.",
) -> Answer:
    about = about or tuple(row["uuid"] for row in rows if "uuid" in row)
    shown = tuple({name: value for name, value in row.items() if name != "uuid"} for row in rows)
    lines = [_line(topic, row) for row in shown]
    return Answer(topic, "answered", "\n".join(filter(None, lines)) or none, shown, source, None, about)


def _line(topic: str, row: dict[str, Any]) -> str:
    if topic == "time_off":
        balance = row["balance"] if row["balance"] == "unlimited" else f"{row['balance']} {row['unit']}"
        ahead = f"{row['approved_not_taken']} {row['unit']} approved and not yet taken"
        return f"{row['policy']}: {balance}; {ahead}"
    if topic == "out":
        return f"{row['name']}: {', '.join(row['days'])}"
    if topic == "pay_day":
        return f"Your next pay day is {row['pay_day']}."
    return "; ".join(
        f"{_TITLES.get(name, name.replace('_', ' '))}: {', '.join(value) if isinstance(value, list) else value}"
        for name, value in row.items()
        if value not in (None, "", [])
    )


def _dated(connection: duckdb.DuckDBPyConnection, caller: Caller, reply: Answer, now: datetime) -> Answer:
    """The answer with its age, in its text too."""
    if not reply.source:
        return reply
    good = dict(
        connection.execute(
            "SELECT category, max(finished_at) FROM meta.syncs WHERE company_uuid = $1 AND status = 'ok' GROUP BY 1",
            [caller.company],
        ).fetchall()
    )
    if missing := [category for category in reply.source if category not in good]:
        text = f"{reply.text}\nSource: Gusto; not synced yet: {', '.join(missing)}."
        return replace(reply, text=text)
    synced_at = min(good[category] for category in reply.source)
    hours = max(0, int((now - synced_at).total_seconds() // 3600))
    age = "less than an hour" if hours < 1 else f"{hours} hours" if hours < 48 else f"{hours // 24} days"
    text = f"{reply.text}\nSource: Gusto ({', '.join(reply.source)}), synced {synced_at:%Y-%m-%d %H:%M} UTC, {age} ago."
    return replace(reply, text=text, synced_at=synced_at)


def _record(settings: Settings, caller: Caller | None, reply: Answer, via: str, clock: Clock) -> Answer:
    with open_warehouse(settings).write() as connection:
        connection.execute(_TABLES)
        connection.execute(
            "INSERT INTO answers.log VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                clock(), caller and caller.company, caller and caller.employee, via, reply.topic, list(reply.about),
                reply.outcome,
            ],
        )  # fmt: skip
    return reply


def _has_tables(connection: duckdb.DuckDBPyConnection) -> bool:
    return bool(connection.execute("SELECT 1 FROM information_schema.tables WHERE table_schema = 'answers'").fetchall())


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _today(settings: Settings, clock: Clock) -> date:
    return clock().astimezone(settings.zone).date()


def _window(when: When, today: date) -> tuple[date, date]:
    monday = today - timedelta(days=today.weekday())
    tomorrow, next_monday = today + timedelta(days=1), monday + timedelta(days=7)
    return {
        "today": (today, today),
        "tomorrow": (tomorrow, tomorrow),
        "this week": (monday, monday + timedelta(days=6)),
        "next week": (next_monday, next_monday + timedelta(days=6)),
    }[when]


def _bound(
    caller: Caller | None, today: date, *, about: str | None = None, first: date | None = None, last: date | None = None
) -> dict[str, Any]:
    return {
        "company": caller and caller.company, "caller": caller and caller.employee, "about": about, "today": today,
        "first": first, "last": last,
    }  # fmt: skip


def _query(connection: duckdb.DuckDBPyConnection, select: str, bound: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows by column, as JSON has them: dates in ISO 8601, numbers without trailing zeros as text."""
    cursor = connection.execute(f"{_PEOPLE} {select}", bound)
    names = [column[0] for column in cursor.description or ()]
    return [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in cursor.fetchall()]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):  # names are other people's words: one line, printable, and not a page long
        return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:200]
    return value


def _patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    words = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))
    places = {"{person}": "(?P<person>.{1,80}?)", "{field}": f"(?P<field>{words})"}
    places["{when}"] = "(?P<when>today|tomorrow|this week|next week)"
    for topic, forms in FORMS.items():
        for form in forms:
            pattern = re.escape(form).replace(r"\{", "{").replace(r"\}", "}")
            for place, what in places.items():
                pattern = pattern.replace(place, what)
            yield topic, re.compile(pattern, re.IGNORECASE)


_WORDS = {word: field for field, words in FIELD_WORDS.items() for word in words}
_PATTERNS = tuple(_patterns())
