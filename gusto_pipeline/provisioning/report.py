"""The facts of a reconciliation report: its sections, each a table made by `sql/report.sql`, and the figures over them.

Everything a reader sees, on the page and in the workbook, is a row of one of these tables or a count of its rows, so
that no figure can say something else than the rows it leads to. Names and addresses only, never pay, numbers of the
state's or birth dates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from gusto_pipeline.provisioning import brakes
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.apply import Gated, Mode
from gusto_pipeline.provisioning.brakes import LIMITS, Brake
from gusto_pipeline.provisioning.decisions import Acct, Action, Hr, Reading, State, answers, rows
from gusto_pipeline.provisioning.decisions import Mode as AskedBy
from gusto_pipeline.provisioning.dismissal import overdue
from gusto_pipeline.provisioning.planning import how_to_answer, other_name
from gusto_pipeline.provisioning.plans import Item, Plan
from gusto_pipeline.provisioning.reconciliation import Decision, read_states
from gusto_pipeline.provisioning.store import insert, of, script, values
from gusto_pipeline.warehouse.flatten import bind, literal

# What the matrix says of each state, and in which tint. An open risk is shown as bad, with a sign before the word.
STATES: dict[State, tuple[str, str]] = {
    State.UNKNOWN: ("Unknown", "unknown"),
    State.HR_RECORD_MISSING: ("Not in Gusto", "doubtful"),
    State.DISPUTED: ("Disputed", "doubtful"),
    State.REVIEW: ("Whose?", "doubtful"),
    State.MISSING: ("Missing", "waiting"),
    State.SCHEDULED: ("Scheduled", "waiting"),
    State.NOT_WANTED: ("–", ""),
    State.PROTECTED: ("Protected", "good"),
    State.INVITE_SENT: ("Invited", "waiting"),
    State.INVITE_LAPSED: ("Lapsed", "waiting"),
    State.CONNECTED: ("Active", "good"),
    State.EARLY: ("Early", "doubtful"),
    State.EXTRA: ("Extra", "doubtful"),
    State.LEAVING: ("Leaving", "waiting"),
    State.REMOVAL_DUE: ("To remove", "bad"),
    State.IN_GRACE: ("Suspended", "off"),
    State.SUSPENDED_BY_US: ("Suspended", "off"),
    State.SUSPENDED_BY_OTHERS: ("Suspended*", "off"),
    State.REMOVED: ("Deleted", "off"),
    State.DELETED_BY_OTHERS: ("Deleted*", "doubtful"),
    State.GONE: ("Gone", "off"),
}
# Of an app that cannot be read, what an account was when it last could; with a question mark behind.
LAST_KNOWN = {
    Acct.ACTIVE: "Active",
    Acct.INVITED: "Invited",
    Acct.LAPSED: "Lapsed",
    Acct.SUSPENDED: "Suspended",
    Acct.TRASH: "Deleted",
    Acct.ABSENT: "",
}
RISK = "⚠"
TINTS = {
    "bad": "People who left, with an account that is or may be open",
    "doubtful": "Asks for a person's answer",
    "waiting": "On its way: missing, invited, leaving",
    "good": "As it should be",
    "off": "Suspended or gone (*: by others)",
    "unknown": "The app cannot be read",
}


@dataclass(frozen=True)
class Column:
    """One column of a section: its name in the section's table, what people call it, and how it is shown.

    kind: person, app, login, rule, state, instant, day, number, money, minutes, text of some length, or a plain word.
    """

    name: str
    header: str
    kind: str = ""


@dataclass(frozen=True)
class Section:
    """One chapter of the page and one sheet of the workbook, of the table `report_<key>`.

    says: what it is. empty: what no rows mean. parts: what `part` may be, in order, and what people call it.
    """

    key: str
    title: str
    says: str
    empty: str
    columns: tuple[Column, ...]
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> str:
        return f"report_{self.key}"


PERSON, APP = Column("person", "Person", "person"), Column("app_name", "App", "app")
LOGIN, RULE = Column("login", "Account", "login"), Column("rule", "Rule", "rule")
WHY, TO_DO = Column("why", "What was found", "text"), Column("to_do", "What to do", "text")
COST = Column("cost", "A month", "money")

SECTIONS = (
    Section(
        "risks",
        "Open risks",
        "Who left and can, or perhaps can, still get in; which apps cannot be seen; what somebody opened again.",
        "Nobody who left can sign in anywhere, and every app was read.",
        (PERSON, Column("last_day", "Last day", "day"), Column("since", "Since", "instant"),
         Column("late", "Late", "minutes"), APP, LOGIN, WHY, TO_DO, RULE),
        {
            "leaver": "People who left and can sign in",
            "perhaps": "People who left and perhaps can sign in: whose the account is, is not certain",
            "protected": "People who left, with an account that is protected",
            "invited": "People who left, with an invitation still there",
            "said": "People who left, with an account that is said to be removed by hand: not proven yet",
            "unread": "Apps that cannot be read: nothing is done there, and nothing new is known",
            "reopened": "Accounts that we had taken away and somebody opened again",
            "vanished": "People whom Gusto no longer lists, without a dismissal",
        },
    ),
    Section(
        "apps",
        "Apps",
        "Each connected app, when it was last read, and how its accounts stand.",
        "No app is connected.",
        (Column("app_name", "App"), Column("tenant", "Of"), Column("mode", "Mode"),
         Column("standing", "State", "state"), Column("read_at", "Last read in full", "instant"),
         Column("accounts", "Accounts", "number"),
         Column("linked", "Somebody's", "number"), Column("nobodys", "Nobody's", "number"),
         Column("leavers", "Open of leavers", "number"), Column("why", "How it stands", "text"), TO_DO),
    ),
    Section(
        "coming",
        "The next 14 days",
        "Whose access ends and who starts, by what Gusto says today.",
        "Nobody leaves and nobody starts.",
        (PERSON, Column("title", "Title"), Column("department", "Department"),
         Column("day", "Last or first day", "day"), Column("ends_at", "Access ends", "instant"),
         Column("accounts", "Accounts", "number"), Column("apps", "Apps", "text"),
         Column("remark", "To see to", "text")),
        {"leaves": "Leaving", "starts": "Starting"},
    ),
    Section(
        "unmatched",
        "Accounts nobody in Gusto holds",
        "Administrators first. None of them is ever removed by itself.",
        "Every account is somebody's, or marked as kept on purpose.",
        (APP, LOGIN, Column("called", "Name there"), Column("role", "Role"), Column("status", "Status"),
         Column("age", "Age in days", "number"), Column("last_activity", "Last activity", "instant"),
         Column("licence", "Licence"), COST, WHY, TO_DO),
        {
            "admins": "Administrators and owners who are not in Gusto",
            "others": "Other accounts",
            "outside": "Held by people whom the rules leave alone",
        },
    ),
    Section(
        "kept",
        "Kept on purpose",
        "Accounts that a person has marked: a service's, a shared one, an external guest's.",
        "No account is marked.",
        (APP, LOGIN, Column("called", "Name there"), Column("mark", "Marked"), Column("marked_by", "By"),
         Column("marked_why", "Why", "text"), Column("review_by", "Look again by", "day"), Column("status", "Status"),
         Column("last_activity", "Last activity", "instant"), COST),
    ),
    Section(
        "outside",
        "People the rules leave alone",
        "In Gusto, but abroad, a business, or merely an administrator: nothing is ever done about their accounts.",
        "Everybody in Gusto is looked after.",
        (PERSON, Column("title", "Title"), Column("why", "Why", "text"), Column("accounts", "Accounts", "number"),
         Column("apps", "Apps", "text")),
    ),
    Section(
        "questions",
        "Questions waiting",
        "What only a person can answer, the oldest of each kind first. Age counts from the first report that asked.",
        "No question is open.",
        (Column("days", "Age in days", "number"), PERSON, APP, LOGIN, WHY, TO_DO, RULE),
        {
            "urgent": "Now: somebody who left may still get in",
            "approve": "Approvals: what waits for a person's yes",
            "ask": "Accounts",
            "merge": "Two records in Gusto that may be one person",
            "cleanup": "When there is time: leavers' accounts that others suspended, to be deleted or kept",
        },
    ),
    Section(
        "invitations",
        "Invitations",
        "Sent and not accepted.",
        "No invitation is open.",
        (PERSON, APP, LOGIN, Column("created_at", "Sent", "instant"), Column("invited_until", "Lapses", "instant"),
         Column("times", "Sent again", "number"), WHY, TO_DO, RULE),
        {"lapsed": "Lapsed", "half": "Open, and half of their life is over", "open": "Open"},
    ),
    Section(
        "savings",
        "Seats that could be saved",
        "Seats of people who left, seats that nobody used for 90 days, and those of suspended accounts. What a seat "
        "costs is said in pipeline.yaml (seat_cost).",
        "Every seat is used.",
        (PERSON, APP, LOGIN, Column("status", "Status"), Column("licence", "Licence"),
         Column("last_activity", "Last activity", "instant"), WHY, COST),
        {"leaver": "People who left", "unused": "Not used for 90 days", "suspended": "Suspended, and perhaps billed"},
    ),
    Section(
        "drift",
        "Changed by hand",
        "Changes of accounts in the last 30 days that were not made here; they happened between the two times. And "
        "names that are others in Gusto, in apps where they cannot be changed from here.",
        "Nobody changed an account behind our back.",
        (Column("what", "What"), PERSON, APP, LOGIN, Column("before", "Was"), Column("status", "Is"),
         Column("after", "After", "instant"), Column("seen_at", "Seen", "instant")),
        {"hand": "Changed by hand", "name": "Called otherwise in Gusto"},
    ),
    Section(
        "removals",
        "Access taken away",
        "Removals of the last 90 days, when they were due, and how it is known that they were done.",
        "Nothing had to be removed.",
        (PERSON, APP, LOGIN, Column("what", "What"), Column("due_at", "Due", "instant"),
         Column("ended_at", "Done", "instant"), Column("minutes", "Delay", "minutes"), Column("proof", "Proof", "text"),
         Column("who", "By")),
        {
            "dated": "Dismissals that became due while the app was connected",
            "by_hand": "Said to be done by hand, and proven by a reading",
            "undated": "Without a due time",
            "before": "People who had left before the app was connected",
        },
    ),
    Section(
        "changes",
        "Since the last report",
        "Risks, questions and accounts without holder that are new, and that are no longer open.",
        "Nothing new, and nothing settled.",
        (Column("what", "What"), Column("title", "Which", "text"), Column("since", "Open since", "instant")),
        {"new": "New", "closed": "Settled"},
    ),
)  # fmt: skip
SECTION = {section.key: section for section in SECTIONS}


@dataclass(frozen=True)
class Figure:
    """A number over one section's rows, by SQL. part: the rows it counts, if all are of one kind.

    kind: number, money or minutes. alarm: anything but zero is bad.
    """

    key: str
    label: str
    section: str
    sql: str
    part: str = ""
    kind: str = "number"
    alarm: bool = False


def _rows(key: str, label: str, section: str, part: str = "", *, alarm: bool = False) -> Figure:
    condition = f" FILTER (part = {literal(part)})" if part else ""
    return Figure(key, label, section, f"count(*){condition}", part, alarm=alarm)


LEAVERS = "part IN ('leaver', 'perhaps', 'protected', 'invited', 'said')"
FIGURES = (
    Figure("leavers_with_access", "accounts of people who left are open, or may be", "risks",
           f"count(*) FILTER ({LEAVERS})", alarm=True),
    Figure("overdue_30", "more than 30 minutes late", "risks", "count(*) FILTER (alert >= 30)", alarm=True),
    Figure("overdue_60", "more than 60 minutes late", "risks", "count(*) FILTER (alert >= 60)", alarm=True),
    _rows("protected_leavers", "protected accounts of theirs", "risks", "protected", alarm=True),
    Figure("reopened", "accounts opened again by hand", "risks", "count(reopened_at)", alarm=True),
    _rows("unread_apps", "apps that cannot be read", "risks", "unread", alarm=True),
    _rows("vanished", "accounts of people no longer in Gusto", "risks", "vanished"),
    Figure("apps", "apps", "apps", "count(*)"),
    Figure("accounts", "accounts", "apps", "coalesce(sum(accounts), 0)"),
    Figure("linked", "accounts that are somebody's", "apps", "coalesce(sum(linked), 0)"),
    _rows("coming_removals", "people leave", "coming", "leaves"),
    _rows("coming_hires", "people start", "coming", "starts"),
    _rows("unmatched", "accounts that nobody holds", "unmatched"),
    _rows("unmatched_admins", "administrators not in Gusto", "unmatched", "admins", alarm=True),
    _rows("kept", "accounts kept on purpose", "kept"),
    _rows("left_alone", "people left alone", "outside"),
    _rows("questions", "questions", "questions"),
    _rows("urgent_questions", "questions to be answered now", "questions", "urgent", alarm=True),
    _rows("approvals", "approvals waiting", "questions", "approve"),
    Figure("invitations_open", "invitations open", "invitations", "count(*) FILTER (part <> 'lapsed')"),
    _rows("invitations_half_over", "of them past half of their life", "invitations", "half"),
    _rows("invitations_lapsed", "invitations lapsed", "invitations", "lapsed"),
    _rows("seats_to_save", "seats that could be saved", "savings"),
    Figure("monthly_saving", "a month, at most", "savings", "coalesce(sum(cost), 0)", kind="money"),
    _rows("drift", "changes made by hand", "drift", "hand"),
    _rows("other_names", "names that are others in Gusto", "drift", "name"),
    _rows("removals_done", "removals done", "removals"),
    Figure("median_delay_minutes", "median delay", "removals", "median(minutes) FILTER (part = 'dated')", "dated",
           "minutes"),
    Figure("longest_delay_minutes", "longest delay", "removals", "max(minutes) FILTER (part = 'dated')", "dated",
           "minutes"),
    _rows("new", "new since the last report", "changes", "new"),
    _rows("settled", "settled since the last report", "changes", "closed"),
)  # fmt: skip

TABLES = """
CREATE TABLE IF NOT EXISTS provisioning.report_figures (
    company_uuid VARCHAR, made_at TIMESTAMPTZ, figure VARCHAR, value DOUBLE
);
CREATE TABLE IF NOT EXISTS provisioning.report_open (
    company_uuid VARCHAR, section VARCHAR, key VARCHAR, title VARCHAR, since TIMESTAMPTZ
);
COMMENT ON TABLE provisioning.report_figures IS 'The figures of every reconciliation report';
COMMENT ON TABLE provisioning.report_open IS 'What the last report showed as open, and since which report'
"""


@dataclass(frozen=True)
class ReportedApp:
    """An app of the report. cost: of a seat a month. connected: False when its credentials were forgotten since.

    resting: why nothing is done there for the moment, because too many calls failed.
    """

    app: App
    mode: Mode
    cost: float | None
    connected: bool = True
    resting: str = ""


@dataclass(frozen=True)
class Facts:
    """What the report says in numbers. before: the figures of the last report, made at `previous`.

    trend: each figure on each of the last 30 days that had a report, oldest first.
    """

    made_at: datetime
    previous: datetime | None
    figures: Mapping[str, float]
    before: Mapping[str, float]
    trend: Mapping[str, Sequence[float]]


def collect(
    connection: duckdb.DuckDBPyConnection,
    company_uuid: str,
    apps: Sequence[ReportedApp],
    decisions: Sequence[Decision],
    plan: Plan,
    gated: Sequence[Gated],
    now: datetime,
    zone: str,
) -> Facts:
    """Make the sections' tables, which last as long as the connection, and count them.

    decisions: made now, of all these apps; plan and gated: what follows from them. zone: in which instants are written.
    """
    connection.execute(TABLES)
    previous = connection.execute(
        f"SELECT max(made_at) FROM provisioning.report_figures WHERE {of(company_uuid, '')}"
    ).fetchall()[0][0]
    compared = f"TIMESTAMPTZ '{previous.isoformat()}'" if previous else "NULL"
    connection.execute(
        f"SET VARIABLE company = {literal(company_uuid)}; SET VARIABLE now = TIMESTAMPTZ '{now.isoformat()}'; "
        f"SET VARIABLE today = DATE '{now.astimezone(ZoneInfo(zone)).date()}'; SET VARIABLE zone = {literal(zone)}; "
        f"SET VARIABLE previous = {compared}; "
        "CREATE OR REPLACE TEMP TABLE opened AS SELECT section, key, title, since FROM provisioning.report_open "
        f"WHERE {of(company_uuid, '')}"
    )
    _say(connection, "said_states", _STATES, [{"state": s, "word": w, "tint": t} for s, (w, t) in STATES.items()])
    parts = [
        {"section": section.key, "part": part, "rank": rank}
        for section in SECTIONS
        for rank, part in enumerate(section.parts)
    ]
    _say(connection, "said_parts", _PARTS, parts)
    readings = read_states(connection, company_uuid, [one.app.slug for one in apps], now)
    _say(connection, "said_apps", _APPS, (_app(one, readings[one.app.slug][0]) for one in apps))
    linked, by_slug = _linked(connection, company_uuid), {one.app.slug: one for one in apps}
    _say(connection, "said_pairs", _PAIRS, _pairs(decisions, plan, gated, now, linked, by_slug))
    used = {decision.rule.id for decision in decisions}
    _say(connection, "report_rules", _RULES, (_rule(*row) for row in rows() if row[0] in used))
    connection.execute(script("report"))
    figures = {
        figure.key: float(value)
        for figure in FIGURES
        if (value := connection.execute(f"SELECT {figure.sql} FROM report_{figure.section}").fetchall()[0][0])
        is not None
    }
    before, trend = _history(connection, company_uuid, previous, now)
    return Facts(now, previous, figures, before, {key: [*trend.get(key, []), value] for key, value in figures.items()})


def remember(connection: duckdb.DuckDBPyConnection, company_uuid: str, facts: Facts) -> None:
    """Keep the figures, and what is open now, for the next report to compare with."""
    at = facts.made_at.isoformat()
    insert(
        connection,
        "report_figures",
        (
            {"company_uuid": company_uuid, "made_at": at, "figure": figure, "value": value}
            for figure, value in facts.figures.items()
        ),
    )
    connection.execute(
        f"DELETE FROM provisioning.report_open WHERE {of(company_uuid, '')}; "
        f"INSERT INTO provisioning.report_open BY NAME SELECT {literal(company_uuid)} AS company_uuid, "
        "section, key, title, since FROM open_now"
    )


_STATES = {"state": "VARCHAR", "word": "VARCHAR", "tint": "VARCHAR"}
_PARTS = {"section": "VARCHAR", "part": "VARCHAR", "rank": "BIGINT"}
_RULES = dict.fromkeys(("rule", "conditions", "state", "action", "mode", "reason", "next_step"), "VARCHAR")
_APPS = {
    "app": "VARCHAR", "name": "VARCHAR", "connected": "BOOLEAN", "mode": "VARCHAR", "cost": "DECIMAL(18,4)",
    "reading": "VARCHAR", "resting": "VARCHAR",
}  # fmt: skip
_PAIRS = {
    **dict.fromkeys(
        ("person_id", "person", "app", "account_id", "login", "hr", "want", "link", "acct", "prot", "reading", "rule",
         "state", "word", "mode", "reason", "next_step", "evidence", "to_do", "asked", "other_name"),
        "VARCHAR",
    ),
    "removal_at": "TIMESTAMPTZ", "late": "BIGINT", "alert": "BIGINT", "risk": "BOOLEAN", "wave": "BOOLEAN",
}  # fmt: skip


def _say(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], said: Iterator[Any] | Sequence[Any]
) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {values(columns, said)}")


def _app(one: ReportedApp, reading: Reading) -> dict[str, Any]:
    return {
        "app": one.app.slug,
        "name": one.app.name,
        "connected": one.connected,
        "mode": one.mode,
        "cost": one.cost,
        "reading": str(reading) if one.connected else "stale",
        "resting": one.resting or None,
    }


def _rule(
    rule: str, conditions: str, state: str, action: str, mode: str, reason: str, next_step: str
) -> dict[str, str]:
    return {"rule": rule, "conditions": conditions, "state": state, "action": action, "mode": mode, "reason": reason,
            "next_step": next_step}  # fmt: skip


_Pair = tuple[str, str | None, str | None]


def _pairs(
    decisions: Sequence[Decision],
    plan: Plan,
    gated: Sequence[Gated],
    now: datetime,
    linked: Mapping[str, int],
    apps: Mapping[str, ReportedApp],
) -> Iterator[dict[str, Any]]:
    questions: dict[_Pair, Item] = {(item.app, item.person_id, item.account_id): item for item in plan.questions}
    gates: dict[tuple[_Pair, str], Gated] = {
        ((one.item.app, one.item.person_id, one.item.account_id), one.item.rule): one for one in gated
    }
    wave, plan_id = _waves(plan, linked, now), plan.id
    for one in decisions:
        pair = (one.app, one.person.id, one.account_id)
        gate = gates.get((pair, one.rule.id))
        removal_at, risk = one.subject.removal_at, one.risks
        late = overdue(removal_at, now) if removal_at and risk else None
        question = questions.get(pair)
        yield {
            "person_id": one.person.id,
            "person": one.person.name,
            "app": one.app,
            "account_id": one.account_id,
            "login": one.login,
            "hr": one.inputs.hr,
            "want": one.inputs.want,
            "link": one.inputs.link,
            "acct": one.inputs.acct,
            "prot": one.inputs.prot,
            "reading": one.inputs.app,
            "rule": one.rule.id,
            "state": one.rule.state,
            "word": _word(one),
            "mode": one.rule.mode,
            "reason": question.reason if question else one.reason,
            "next_step": question.next_step if question else one.next_step,
            "evidence": "; ".join(one.evidence),
            "to_do": _to_do(one, question, gate, plan_id, apps[one.app]),
            "asked": _asked(one, gate, question is not None, apps[one.app]),
            "other_name": other_name(one) if apps[one.app].app.update is None else "",
            "removal_at": removal_at.isoformat() if removal_at else None,
            "late": int((now - removal_at).total_seconds() // 60) if removal_at and risk else None,
            "alert": int(late.total_seconds() // 60) if late else None,
            "risk": risk,
            "wave": pair in wave,
        }


def _word(one: Decision) -> str:
    if one.rule.state is State.UNKNOWN:
        return f"{LAST_KNOWN[one.inputs.acct]}?"
    return STATES[one.rule.state][0]


def _to_do(one: Decision, question: Item | None, gate: Gated | None, plan: str, app: ReportedApp) -> str:
    """What a person has to do about it, if anything keeps it from going by itself."""
    if gate is None and question:
        return f"{question.next_step} {how_to_answer(question, plan)}".rstrip()
    if gate is None:
        asks = one.rule.mode in (AskedBy.ASK, AskedBy.APPROVE) and one.rule.action is not Action.DELETE
        refused = asks and app.connected
        command = f"gusto-pipeline explain {one.person.id} {one.app}"
        return f"Somebody said no. By whom and why: {command}" if refused else one.next_step
    by_plan, effect = f"gusto-pipeline approve {plan} {gate.item.id}", gate.item.effect.partition(" (")[0]
    match gate.verdict:
        case "observed":
            return (
                f"{app.app.name} is only observed. Do it there by hand ({effect}), or set "
                f"provisioning.apps.{one.app}.mode in pipeline.yaml to plan or auto."
            )
        case "needs approval" if answers(one.rule.id, gate.item.action):
            return f"{gate.item.next_step} {how_to_answer(gate.item, plan)}"
        case "needs approval":
            return f"Approve it ({effect}): {by_plan}."
        case "held" if app.resting:
            return f"{gate.why} It goes by itself after that, or has to be done by hand ({effect})."
        case "held":
            return f"{gate.why} To let it pass ({effect}): {by_plan}."
        case "go":
            return f"The next run does it: {effect}."
    return one.next_step


def _asked(one: Decision, gate: Gated | None, asks: bool, app: ReportedApp) -> str | None:
    """The part of the questions it belongs to; None when nothing is asked."""
    if gate and (gate.verdict == "needs approval" or (gate.verdict == "held" and not app.resting)):
        return "approve"
    if not asks:
        return None
    if one.rule.action is Action.DELETE_BY_HAND:
        return "cleanup"
    return "urgent" if one.inputs.hr is Hr.ENDED and one.risks else "ask"


def _waves(plan: Plan, linked: Mapping[str, int], now: datetime) -> Collection[_Pair]:
    """Coming removals that are so many within 24 hours that the brakes will hold them."""
    found: set[_Pair] = set()
    ends: dict[str, list[tuple[datetime, str]]] = {}
    by_id = {item.id: item for item in plan.items}
    for item in plan.items:
        if item.due_at and (at := datetime.fromisoformat(item.due_at)) > now and item.action == "suspend":
            ends.setdefault(item.app, []).append((at, item.id))
    for slug, given in ends.items():
        for group in brakes.waves(given, LIMITS[Brake.REMOVALS].of(linked.get(slug, 0))):
            found |= {(slug, by_id[id].person_id, by_id[id].account_id) for _, id in group}
    return found


def _linked(connection: duckdb.DuckDBPyConnection, company: str) -> dict[str, int]:
    return dict(
        connection.execute(
            f"SELECT app, count(*) FROM provisioning.links WHERE {of(company, '')} GROUP BY app"
        ).fetchall()
    )


def _history(
    connection: duckdb.DuckDBPyConnection, company: str, previous: datetime | None, now: datetime
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The last report's figures, and each figure's last value of each day before today."""
    where = of(company, "")
    before = dict(
        bind(
            connection,
            f"SELECT figure, value FROM provisioning.report_figures WHERE {where} AND made_at = $1",
            [previous],
        ).fetchall()
    )
    trend = dict(
        bind(
            connection,
            "SELECT figure, list(value ORDER BY day) FROM (SELECT figure, arg_max(value, made_at) AS value, "
            "  CAST(timezone(getvariable('zone'), made_at) AS DATE) AS day "
            f"  FROM provisioning.report_figures WHERE {where} AND made_at > $1 - INTERVAL 30 DAYS GROUP BY ALL) "
            "WHERE day < getvariable('today') GROUP BY figure",
            [now],
        ).fetchall()
    )
    return before, trend
