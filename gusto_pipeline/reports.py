"""The reconciliation report that an IT manager reads: one page and one workbook that say the same.

Made from what the warehouse knows now; nothing is read from an app, nothing is done. What it says is in
`provisioning.report`, how it looks here, in `report.html.jinja` and in `report.css`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import jinja2
from markupsafe import Markup, escape

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.provisioning import log
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.apps import SLUGS, app
from gusto_pipeline.provisioning.planning import invitations_sent, make_plan, resting
from gusto_pipeline.provisioning.plans import Plan, answered, write_plan
from gusto_pipeline.provisioning.reconciliation import Wanted, decide_all, prepare
from gusto_pipeline.provisioning.report import (
    FIGURES,
    LAST_KNOWN,
    LEAVERS,
    RISK,
    SECTION,
    SECTIONS,
    STATES,
    TINTS,
    Facts,
    Figure,
    ReportedApp,
    Section,
    collect,
    remember,
)
from gusto_pipeline.provisioning.store import of
from gusto_pipeline.reconcile import gate, managed_apps, wanted_in
from gusto_pipeline.spreadsheets.files import replace_file
from gusto_pipeline.spreadsheets.front import Cell, worksheet
from gusto_pipeline.spreadsheets.sheets import Column, Link, Sheet
from gusto_pipeline.spreadsheets.writers import write_xlsx
from gusto_pipeline.spreadsheets.xlsx import Part
from gusto_pipeline.sync import Company, open_warehouse
from gusto_pipeline.warehouse.flatten import literal, quote

PAGE, WORKBOOK = "reconciliation.html", "reconciliation.xlsx"
TITLE = "accounts and access"


@dataclass(frozen=True)
class Report:
    """The files of a report, and its figures. The texts name apps and numbers, nobody's name.

    leavers_with_access: for each app where somebody who left can, or perhaps can, sign in. unread_apps: the connected
    ones that could not be read in full.
    """

    page: Path
    workbook: Path
    figures: dict[str, int | float]
    leavers_with_access: list[str]
    unread_apps: list[str]


def write_report(settings: Settings, store: ConnectionStore, company: Company, *, clock: Clock = utcnow) -> Report:
    """Decide anew from what the warehouse knows, and write the company's report in place of the last one.

    The plan that its commands speak of is written as well. Raises RuleError for a rule of pipeline.yaml that cannot be
    evaluated, SpreadsheetError and WarehouseError; then the last report stays.
    """
    folder, zone, now = settings.reports / company.slug, settings.provisioning.removal_timezone, clock()
    with open_warehouse(settings).write() as connection:
        facts, plan = _collected(connection, settings, store, company, now)
        remember(connection, company.uuid, facts)
        write_plan(plan, settings.plans / company.slug)
        html = _page(connection, company, facts, plan, zone)

        def fill(draft: Path) -> tuple[dict[str, int], tuple[str, ...]]:
            # The page is whole on the disk before the workbook is replaced, so that both change or neither does.
            draft.write_text(html, encoding="utf-8")
            front = ("Summary", lambda parts, _: _summary(connection, company, facts, zone, parts))
            write_xlsx(connection, _sheets(connection), folder / WORKBOOK, timezone=zone, created=now, front=front)
            return {}, ()

        replace_file(folder / PAGE, fill)
        leavers = connection.execute(
            "SELECT app_name, count(*), count(*) FILTER (alert >= 60) FROM report_risks "
            f"WHERE {LEAVERS} GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        unread = connection.execute(
            "SELECT app_name FROM report_apps WHERE connected AND NOT readable ORDER BY n"
        ).fetchall()
    return Report(
        folder / PAGE,
        folder / WORKBOOK,
        {figure.key: _number(figure, facts.figures[figure.key]) for figure in FIGURES if figure.key in facts.figures},
        [f"{count} in {name}{f', {late} of them for over an hour' if late else ''}" for name, count, late in leavers],
        [name for (name,) in unread],
    )


def _collected(
    connection: duckdb.DuckDBPyConnection, settings: Settings, store: ConnectionStore, company: Company, now: datetime
) -> tuple[Facts, Plan]:
    """Everything the report shows, as tables of the connection, its figures, and the plan that follows."""
    prepare(connection)
    managed = managed_apps(settings, store, company)
    apps = managed | _disconnected(connection, settings, company, managed)
    decisions = decide_all(connection, company.uuid, apps, now)
    of_managed = [decision for decision in decisions if decision.app in managed]
    tries = invitations_sent(connection, company.uuid)
    made = make_plan(of_managed, managed, company.slug, company.uuid, tries, now)
    plan = answered(made, log.answers(connection, company.uuid))
    rest = resting(connection, company.uuid, {item.app for item in plan.items}, now)
    gated = gate(connection, settings, plan, rest, now)
    given = settings.provisioning.app
    reported = [
        ReportedApp(one, given(slug).mode, given(slug).seat_cost, slug in managed, rest.get(slug, ""))
        for slug, (one, _) in apps.items()
    ]
    zone = settings.provisioning.removal_timezone
    return collect(connection, company.uuid, reported, decisions, plan, gated, now, zone), plan


def _disconnected(
    connection: duckdb.DuckDBPyConnection, settings: Settings, company: Company, managed: dict[str, tuple[App, Wanted]]
) -> dict[str, tuple[App, Wanted]]:
    """Apps whose credentials were forgotten while people still had accounts there: nobody takes these away any more."""
    rows = connection.execute(
        f"SELECT DISTINCT app FROM provisioning.links WHERE {of(company.uuid, '')} ORDER BY app"
    ).fetchall()
    return {
        slug: (app(slug), wanted_in(settings, slug, company))
        for (slug,) in rows
        if slug in SLUGS and slug not in managed
    }


def _number(figure: Figure, value: float) -> int | float:
    return round(value, 2) if figure.kind == "money" else int(value)


# -- the page -------------------------------------------------------------------------------------------------


def _page(connection: duckdb.DuckDBPyConnection, company: Company, facts: Facts, plan: Plan, zone: str) -> str:
    style = _resource("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    people = _records(connection, "SELECT * FROM report_people ORDER BY n")
    pairs = defaultdict(list)
    for person, *pair in connection.execute(
        "SELECT person_id, n, app_name, login, word, tint, rule, reason, to_do FROM report_pairs "
        "SEMI JOIN report_people USING (person_id) ORDER BY n"
    ).fetchall():
        pairs[person].append(pair)
    cells = {
        (person, app): cell
        for person, app, *cell in connection.execute(
            "SELECT person_id, app, tint, word, n, pairs FROM report_cells"
        ).fetchall()
    }
    apps = _records(connection, "SELECT * FROM report_apps ORDER BY n")
    return _template(zone).render(
        style=Markup(style),
        digest=digest,
        company=company.name,
        title=TITLE,
        facts=facts,
        plan=plan.id,
        zone=zone,
        workbook=WORKBOOK,
        sections=SECTIONS,
        rows={section.key: _records(connection, f"SELECT * FROM {section.table} ORDER BY n") for section in SECTIONS},
        figures={section.key: [one for one in FIGURES if one.section == section.key] for section in SECTIONS},
        people=people,
        pairs=pairs,
        cells=cells,
        apps=apps,
        apps_by_name=sorted(apps, key=lambda one: one["app_name"].casefold()),
        bars=_bars(connection),
        tints=TINTS,
        numbers={person["person_id"]: person["n"] for person in people},
        left_out=connection.execute(
            "SELECT count(DISTINCT person_id) FROM report_pairs ANTI JOIN report_people USING (person_id)"
        ).fetchall()[0][0],
        rules=_records(connection, "FROM report_rules ORDER BY rule"),
    )  # fmt: skip


def _bars(connection: duckdb.DuckDBPyConnection, width: int = 220) -> dict[str, list[tuple[str, int, float, float]]]:
    """By app: tint, how many people, and where in a bar of this width, the longest filling it."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for slug, tint, count in connection.execute(
        "SELECT app, tint, count(*) FROM report_cells WHERE tint <> '' AND word <> '?' GROUP BY app, tint"
    ).fetchall():
        counts[slug][tint] = count
    unit = width / max((sum(own.values()) for own in counts.values()), default=1)
    bars: dict[str, list[tuple[str, int, float, float]]] = defaultdict(list)
    for slug, own in counts.items():
        x = 0.0
        for tint in (tint for tint in TINTS if tint in own):
            bars[slug].append((tint, own[tint], round(x, 1), round(own[tint] * unit, 1)))
            x += own[tint] * unit
    return bars


def _records(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = connection.execute(sql)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@cache
def _resource(name: str) -> str:
    return files("gusto_pipeline.provisioning").joinpath(name).read_text(encoding="utf-8")


@cache
def _template(zone: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    local = ZoneInfo(zone)
    environment.filters |= {
        "instant": lambda at: at.astimezone(local).strftime("%Y-%m-%d %H:%M"),
        "duration": duration,
        "money": lambda value: f"{value:,.2f}",
        "figure": lambda value, kind: _shown(kind, value),
        "points": points,
        "told": told,
    }
    return environment.from_string(_resource("report.html.jinja"))


def duration(minutes: float) -> str:
    """Minutes for people: "25 min", "2 h 05 min", "3 d 4 h"."""
    whole = int(minutes)
    days, hours, rest = whole // 1440, whole % 1440 // 60, whole % 60
    if days:
        return f"{days:,} d {hours} h" if days < 30 else f"{days:,} d"
    return f"{hours} h {rest:02} min" if hours else f"{rest} min"


def points(values: Sequence[float], width: int = 96, height: int = 22) -> str:
    """The values as the points of an SVG line within a box; the lowest value that counts as ground is 0."""
    top = max([*values, 1])
    step = width / max(len(values) - 1, 1)
    return " ".join(f"{n * step:.1f},{height - 2 - value / top * (height - 4):.1f}" for n, value in enumerate(values))


def told(text: object) -> Markup:
    """A text, escaped, with commands in it shown as such."""
    return Markup(_COMMAND.sub(r"<code>\g<0></code>", str(escape(text))))


# An answer's ids may hold anything; it ends with the reason.
_COMMAND = re.compile(r"gusto-pipeline(?:(?: (?!gusto-pipeline)\S+)+? --why …|(?: [\w-]+)+)")


def _shown(kind: str, value: float) -> str:
    match kind:
        case "money":
            return f"{value:,.2f}"
        case "minutes":
            return duration(value)
    return f"{int(value):,}"


# -- the workbook ---------------------------------------------------------------------------------------------

MATRIX, PAIRS, RULES = "People and apps", "Every pair", "Rules"
_READ = {"Read": "good", "Unread": "bad"}
_WORDS = {f"{RISK} ": "bad", "?": "unknown", **_READ}
_WORDS |= {word: tint for word, tint in STATES.values() if tint}
_WORDS |= {f"{word}?": "unknown" for word in LAST_KNOWN.values()}
# Excel takes the first that a cell begins with, so "Deleted*" has to come before "Deleted".
_TINTED = tuple(sorted(_WORDS.items(), key=lambda one: -len(one[0])))
_KINDS = {"person": "name", "state": "state", "id": "id", "money": "money"}


@dataclass(frozen=True)
class _Column:
    """A column of a sheet: its header, the SQL of its values, and a kind as in `report.Column`, or "id"."""

    header: str
    sql: str
    kind: str = ""


def _sheets(connection: duckdb.DuckDBPyConnection) -> list[Sheet]:
    """One sheet for each section in their order, the matrix after the apps, and every pair and rule at the end."""
    apps = connection.execute("SELECT app, app_name FROM report_apps ORDER BY lower(app_name)").fetchall()
    risks, about_apps, *others = (_section(connection, section) for section in SECTIONS)
    words = ", ".join(f"any_value(word) FILTER (app = {literal(slug)}) AS {quote(slug)}" for slug, _ in apps)
    matrix = [
        *(_Column("Person", "person", "person"), _Column("Status", "status"), _Column("Department", "department")),
        *(_Column(name, quote(slug), "state") for slug, name in apps),
        _Column("Person id", "person_id", "id"),
    ]
    cells = f"(SELECT {', '.join(filter(None, ['person_id', words]))} FROM report_cells GROUP BY person_id)"
    everybody = f"report_people LEFT JOIN {cells} USING (person_id) ORDER BY n"
    pairs = [
        *(_Column("Person", "person", "person"), _Column("App", "app_name", "app"), _Column("Account", "login")),
        *(_Column("State", "word", "state"), _Column("Rule", "rule", "rule"), _Column("What was found", "reason")),
        *(_Column("What comes next", "to_do"), _Column("In Gusto", "hr"), _Column("Should have it", "want")),
        *(_Column("Whose", "link"), _Column("Account is", "acct"), _Column("Evidence", "evidence")),
        *(_Column("Access ends", "removal_at", "instant"), _Column("Person id", "person_id", "id")),
    ]
    rules = [
        *(_Column("Rule", "rule"), _Column("When", "conditions"), _Column("State", "state")),
        *(_Column("Action", "action"), _Column("Mode", "mode"), _Column("Reason", "reason")),
        _Column("Next step", "next_step"),
    ]
    return [
        risks,
        about_apps,
        _sheet(connection, MATRIX, matrix, everybody, PAIRS, len(pairs) - 1),
        *others,
        _sheet(connection, PAIRS, pairs, "report_pairs ORDER BY n", MATRIX, len(matrix) - 1),
        _sheet(connection, RULES, rules, "report_rules ORDER BY rule"),
    ]


def _section(connection: duckdb.DuckDBPyConnection, section: Section) -> Sheet:
    columns = [
        _Column(f"{one.header} (minutes)" if one.kind == "minutes" else one.header, quote(one.name), one.kind)
        for one in section.columns
    ]
    if section.parts:
        titles = " ".join(f"WHEN {literal(part)} THEN {literal(title)}" for part, title in section.parts.items())
        columns.append(_Column("Kind", f"CASE part {titles} END"))
    if any(column.kind == "person" for column in section.columns):
        columns.append(_Column("Person id", "person_id", "id"))
    return _sheet(connection, section.title, columns, f"{section.table} ORDER BY n", PAIRS, 13)


def _sheet(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: Sequence[_Column],
    source: str,
    persons: str = "",
    person_id: int = 0,
) -> Sheet:
    """A sheet of `source`. A person leads to their first row in the sheet `persons`, whose column `person_id` names
    them; an app and a rule to theirs."""
    query = f"SELECT {', '.join(f'{one.sql} AS {quote(one.header)}' for one in columns)} FROM {source}"
    types = [row[1] for row in connection.execute(f"DESCRIBE {query}").fetchall()]
    made = tuple(
        Column(one.header, type=type_, kind=_KINDS.get(one.kind, "")) for one, type_ in zip(columns, types, strict=True)
    )
    goals = {
        "person": (len(columns) - 1, persons, person_id),
        "app": (None, SECTION["apps"].title, 0),
        "rule": (None, RULES, 0),
    }
    links = [
        Link(number, (number if by is None else by,), sheet, (key,))
        for number, one in enumerate(columns)
        if one.kind in goals
        for by, sheet, key in [goals[one.kind]]
    ]
    return Sheet(name, query, made, links=tuple(links), tints=_TINTED)


def _summary(
    connection: duckdb.DuckDBPyConnection, company: Company, facts: Facts, zone: str, parts: Sequence[Part]
) -> str:
    """The first sheet: every figure, what it was in the last report, and where its rows are."""
    local = ZoneInfo(zone)
    sheets = {part.sheet: part.name for part in reversed(parts)}
    made = f"{facts.made_at.astimezone(local):%Y-%m-%d %H:%M} ({zone})"
    lines = [
        [Cell(f"{company.name}: {TITLE}", "title")],
        [Cell(f"As of {made}. Names lead to all that a person has, rules to what they mean. The page says the same.")],
    ]
    before = f"{facts.previous.astimezone(local):%Y-%m-%d %H:%M}" if facts.previous else ""
    for section in SECTIONS:
        figures = [one for one in FIGURES if one.section == section.key]
        if not figures:
            continue
        lines += [
            [],
            [Cell(section.title, "header"), Cell("Now", "header"), *([Cell(before, "header")] if before else [])],
        ]
        for one in figures:
            line = [
                Cell(one.label, "link", sheets[section.title], _first_row(connection, section, one)),
                _value(one, facts.figures),
            ]
            lines.append([*line, _value(one, facts.before)] if before else line)
    lines += [[], [Cell("Sheets", "header"), Cell("Rows", "header")]]
    lines += [[Cell(part.name, "link", part.name), Cell(part.rows, "count")] for part in parts]
    return worksheet(lines, (58, 18, 18))


def _first_row(connection: duckdb.DuckDBPyConnection, section: Section, figure: Figure) -> int:
    """The row of the sheet where what the figure counts begins."""
    where = f" WHERE part = {literal(figure.part)}" if figure.part else ""
    first = connection.execute(f"SELECT min(n) FROM {section.table}{where}").fetchall()[0][0]
    return int(first) + 1 if first else 1


def _value(figure: Figure, values: Mapping[str, float]) -> Cell:
    if figure.key not in values:
        return Cell("none")
    if figure.kind == "number":
        return Cell(int(values[figure.key]), "count")
    return Cell(_shown(figure.kind, values[figure.key]))
