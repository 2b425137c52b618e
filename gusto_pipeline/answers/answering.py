"""Answers to people about themselves and their colleagues, from the warehouse: asked, looked up, worded, recorded.

A question is recognised by its form (`questions`), who asks is looked up anew for every answer (`callers`), and what
they see is chosen by SQL (`facts`). Each answer and refusal is recorded before it is given, without its content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal

import duckdb

from gusto_pipeline.answers import facts
from gusto_pipeline.answers.callers import Caller, record, today
from gusto_pipeline.answers.questions import EXAMPLES, Question, When, understand
from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.sync import open_warehouse
from gusto_pipeline.warehouse.flatten import bind

Outcome = Literal["answered", "refused", "not found", "not understood"]

_TITLES = {
    "work_email": "work e-mail",
    "personal_email": "personal e-mail",
    "hire_date": "first day",
    "out_of_office": "out of office",
}


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


_STRANGER = "I do not know you as an employee of today, so I cannot answer."
_REFUSED = "I may not tell you that. What concerns you is in your own Gusto account."
_UNKNOWN = f"That is not a question I know. You can ask: {EXAMPLES}."


def ask(settings: Settings, caller: Caller | None, question: str, *, via: str, clock: Clock = utcnow) -> Answer:
    """The answer to a question in words. What has none of the FORMS is answered with what can be asked."""
    return answer(settings, caller, understand(question), via=via, clock=clock)


def answer(
    settings: Settings, caller: Caller | None, question: Question | None, *, via: str, clock: Clock = utcnow
) -> Answer:
    """The answer to a question, as far as the caller may have it, recorded as asked `via` cli or mcp.

    caller: None is nobody, who is told nothing. question: None is one that was not understood.
    """
    reply = Answer(question.topic if question else "", "refused", _STRANGER)
    with open_warehouse(settings).write() as connection:
        if caller and facts.is_here(connection, facts.bound(caller.company, caller.employee, today(settings, clock))):
            if question is None:
                reply = Answer("", "not understood", _UNKNOWN)
            else:
                reply = _reply(connection, settings, caller, question, today(settings, clock))
                reply = _dated(connection, caller, reply, clock())
        record(connection, caller, via=via, topic=reply.topic, about=reply.about, outcome=reply.outcome, at=clock())
    return reply


def _reply(
    connection: duckdb.DuckDBPyConnection, settings: Settings, caller: Caller, question: Question, today: date
) -> Answer:
    topic, policy, me = question.topic, settings.answers, (caller.employee,)
    first, last = _window(question.when, today)
    bound = facts.bound(caller.company, caller.employee, today, first=first, last=last)
    if topic == "time_off":
        return _told(topic, facts.query(connection, facts.TIME_OFF, bound), ("employees", "time_off"), about=me)
    if topic == "pay_day":
        rows = [row for row in facts.query(connection, facts.PAY_DAY, bound) if row["pay_day"]]
        sources = ("employees", "pay_schedules", "payrolls")
        return _told(topic, rows, sources, about=me, none="The next pay day is not in Gusto yet.")
    if topic == "manager":
        rows = facts.people(connection, facts.DIRECTORY, "c.uuid = me.manager_uuid", bound)
        return _told(topic, rows, ("employees",), none="Gusto names no manager for you.")
    if topic == "reports":
        rows = facts.people(connection, policy.manager_fields, "c.relation = 'report'", bound)
        return _told(topic, rows, _sources(policy.manager_fields), none="Nobody reports to you.")
    about, relation = caller.employee, "self"
    if question.about is not None:
        found = facts.query(connection, facts.ABOUT, {**bound, "about": question.about})
        if len(found) != 1:
            many = "More than one colleague is called that: use the work e-mail address."
            return Answer(topic, "not found", many if found else "No colleague of today is called that.")
        about, relation = found[0]["uuid"], found[0]["relation"]
    if topic == "out":
        rows = facts.query(connection, facts.OUT, {**bound, "about": about if question.about is not None else None})
        who = (about,) if question.about is not None else ()
        none = f"Gusto has no approved time off for {question.when}."
        return _told(topic, rows, ("employees", "time_off"), about=who, none=none)
    allowed: Mapping[str, Sequence[str]] = {
        "self": policy.fields, "report": policy.manager_fields, "colleague": facts.DIRECTORY,
    }  # fmt: skip
    fields = tuple(allowed[relation])
    if topic == "field":
        if question.field not in fields:
            return Answer(topic, "refused", _REFUSED, about=(about,))
        fields = (question.field,)
    elif topic == "employment":
        fields = tuple(field for field in facts.EMPLOYMENT if field in fields)
    # Asked again with the relation the fields were chosen for, so that columns and rows are decided by the same query.
    where = f"c.uuid = asked.about AND c.relation = '{relation}'"
    return _told(topic, facts.people(connection, fields, where, {**bound, "about": about}), _sources(fields))


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
        bind(
            connection,
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


def _window(when: When, today: date) -> tuple[date, date]:
    monday = today - timedelta(days=today.weekday())
    tomorrow, next_monday = today + timedelta(days=1), monday + timedelta(days=7)
    return {
        "today": (today, today),
        "tomorrow": (tomorrow, tomorrow),
        "this week": (monday, monday + timedelta(days=6)),
        "next week": (next_monday, next_monday + timedelta(days=6)),
    }[when]
