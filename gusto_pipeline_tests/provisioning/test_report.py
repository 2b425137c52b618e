"""The reconciliation report says what is so: risks first, every figure a count of rows, nobody's name a script."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from gusto_pipeline.config import ManagedApp, Provisioning, Settings
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.provisioning import links, log
from gusto_pipeline.provisioning.account import Account, Status, Tenant
from gusto_pipeline.provisioning.apps import SLUGS, app
from gusto_pipeline.provisioning.log import Result
from gusto_pipeline.provisioning.matching import match
from gusto_pipeline.provisioning.people import refresh_people
from gusto_pipeline.provisioning.plans import Item
from gusto_pipeline.provisioning.reconciliation import note_states, prepare
from gusto_pipeline.provisioning.report import SECTION
from gusto_pipeline.provisioning.store import store_accounts, store_failed_read, values
from gusto_pipeline.reconcile import approve, find_plan
from gusto_pipeline.reports import Report, duration, points, told, write_report
from gusto_pipeline.spreadsheets.sheets import SpreadsheetError
from gusto_pipeline.sync import Company, open_warehouse
from gusto_pipeline.warehouse.flatten import quote
from gusto_pipeline_tests.conftest import empty_warehouse

NOW = datetime(2026, 6, 15, 19, tzinfo=UTC)  # noon in Gusto's zone
COMPANY = Company("acme-tea-co", "c0000000-0000-4000-8000-000000000001", "Acme Tea & Co.")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Office:
    """A company in a warehouse: its people as Gusto lists them, its apps as they were read, and what was done."""

    def __init__(self, home: Path, apps: dict[str, ManagedApp], **given: Any) -> None:
        self.settings = Settings(home=home, provisioning=Provisioning(apps=apps, **given))
        self.store = ConnectionStore(self.settings.connections, "k" * 43 + "=")
        self.warehouse = open_warehouse(self.settings)
        if not self.warehouse.path.exists():
            self.warehouse.path.write_bytes(empty_warehouse())
        self.staff: list[dict[str, Any]] = []
        for slug in apps:
            self.connect(slug)
        with self.warehouse.write() as connection:
            prepare(connection)

    def connect(self, slug: str) -> None:
        record = {"tenant_id": "t1", "tenant_name": "Acme", "connected_at": NOW.isoformat()}
        self.store.write(f"{slug}/{COMPANY.slug}", record)

    def hire(self, name: str, *, first_day: str = "2024-01-08", last_day: str | None = None, **more: Any) -> str:
        """Somebody in Gusto's list; gives their work address."""
        given, _, family = name.partition(" ")
        number = len(self.staff) + 1
        email = more.pop("work_email", f"p{number}@acme.example")
        self.staff.append(
            {
                "uuid": f"e{number:04}", "first_name": given, "last_name": family, "onboarded": True,
                "work_email": email, "terminated": bool(last_day), "first_day": first_day, "last_day": last_day, **more,
            }
        )  # fmt: skip
        return email

    def sync(self, at: datetime = NOW) -> None:
        """Load the list and make persons of it."""
        with self.warehouse.write() as connection:
            days = [(one["uuid"], one["first_day"], one["last_day"]) for one in self.staff]
            plain = [{k: v for k, v in one.items() if not k.endswith("_day")} for one in self.staff]
            _stage(connection, "employees", plain)
            _stage(
                connection, "jobs", [{"employee_uuid": u, "uuid": f"j-{u}", "hire_date": first} for u, first, _ in days]
            )
            ends = [{"employee_uuid": u, "effective_date": last} for u, _, last in days if last]
            _stage(connection, "terminations", ends)
            connection.execute(
                "INSERT INTO meta.syncs BY NAME SELECT $1 AS company_uuid, 'employees' AS category, 'ok' AS status, "
                "$2 AS started_at",
                [COMPANY.uuid, at],
            )
            refresh_people(connection, COMPANY.uuid, at)

    def read(self, slug: str, *accounts: Account, at: datetime = NOW - 5 * MINUTE) -> None:
        """A complete list of an app's accounts, and whose they are."""
        with self.warehouse.write() as connection:
            store_accounts(connection, COMPANY.uuid, slug, Tenant("t1", "Acme"), accounts, at, 1, accept_shrink=True)
            note_states(connection, COMPANY.uuid, {slug: at})
            match(connection, COMPANY.uuid, [slug], at)

    def fail(self, slug: str, problem: str, at: datetime) -> None:
        with self.warehouse.write() as connection:
            store_failed_read(connection, COMPANY.uuid, slug, at, problem)

    def did(
        self, slug: str, action: str, account: str, *, ended: datetime, due: datetime | None = None,
        result: Result = Result.DONE, problem: str = "", times: int = 1, became: str = "",
    ) -> None:  # fmt: skip
        """Something that was done to an account, or tried. became: the id of the one that is there instead."""
        with self.warehouse.write() as connection:
            holder = connection.execute(
                "SELECT person_id FROM provisioning.links WHERE app = $1 AND account_id = $2", [slug, account]
            ).fetchone()
            item = Item(
                app=slug, action=action, rule="A3", state="", mode="limited", effect="", reason="", next_step="",
                person_id=holder[0] if holder else None, person="", account_id=account,
                account=account.removeprefix("id-"), due_at=due.isoformat() if due else None,
            )  # fmt: skip
            for _ in range(times):
                intent = log.intend(connection, COMPANY.uuid, "plan", item, "ann", ended)
                log.end(connection, COMPANY.uuid, intent, result, ended, account_id=became or account, problem=problem)

    def mark(self, slug: str, account: str, kind: links.Mark, **given: Any) -> None:
        with self.warehouse.write() as connection:
            options = {"who": "ann", "why": "asked", "now": NOW - 90 * DAY} | given
            links.mark(connection, COMPANY.uuid, slug, account, kind, **options)

    def report(self, at: datetime = NOW) -> Report:
        return write_report(self.settings, self.store, COMPANY, clock=lambda: at)


def _stage(connection: duckdb.DuckDBPyConnection, table: str, records: list[dict[str, Any]]) -> None:
    types = dict(
        connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'staging' AND table_name = $1",
            [table],
        ).fetchall()
    )
    given = [{"company_uuid": COMPANY.uuid, **record} for record in records]
    connection.execute(f"DELETE FROM staging.{quote(table)}")
    connection.execute(f"INSERT INTO staging.{quote(table)} BY NAME {values(types, given)}")


def account(login: str, **given: Any) -> Account:
    base = {"id": f"id-{login}", "status": Status.ACTIVE, "emails": (login,), "created_at": NOW - 400 * DAY}
    return Account(**base | {"last_activity": NOW - 2 * DAY} | given)


def office_of_every_kind(home: Path) -> Office:
    """Somebody in every state that a report has to show."""
    office = Office(
        home,
        {
            "okta": ManagedApp(mode="auto", seat_cost=8),
            "github": ManagedApp(mode="plan", who="department = 'Engineering'", seat_cost=21),
            "asana": ManagedApp(mode="observe", seat_cost=13.49),
            "zoho_desk": ManagedApp(mode="auto"),
            "lastpass": ManagedApp(mode="auto"),
        },
    )  # fmt: skip
    eng, shop = {"department": "Engineering"}, {"department": "Shop"}
    ada = office.hire("Ada Moss", **eng)
    bob = office.hire("Bob <script>alert(1)</script>", **shop)
    eve = office.hire("=HYPERLINK(1) Eve", **eng)
    gone = office.hire("Gus Gone", last_day="2026-06-10", **eng)
    late = office.hire("Lou Late", last_day="2026-06-14", **shop)
    owner = office.hire("Olga Owner", last_day="2026-05-29", **eng)
    office.hire("Pat Perhaps", last_day="2026-05-29", **shop)
    soon = office.hire("Sam Soon", last_day="2026-06-19", **eng)
    done = office.hire("Dana Done", last_day="2026-06-12", **eng)
    again = office.hire("Rae Again", last_day="2026-06-01", **shop)
    office.hire("Nia New", first_day="2026-06-22", **eng)
    fresh = office.hire("Finn Fresh", first_day="2026-06-17", **eng)
    office.hire("Kim Lee", **shop)
    office.hire("Kim Lee", **eng)
    office.sync()
    days_ago = NOW - 30 * DAY
    office.read(
        "okta",
        *(account(ada), account(bob), account(eve), account(gone), account(late), account(soon), account(done)),
        account(again), account(owner, owner=True), account("root@agency.example", admin=True, display_name="Agency"),
        at=days_ago,
    )  # fmt: skip
    office.did(
        "okta", "suspend", f"id-{done}", due=datetime(2026, 6, 13, 7, tzinfo=UTC), ended=NOW - 2 * DAY - 11 * HOUR
    )
    office.did("okta", "suspend", f"id-{again}", due=datetime(2026, 6, 2, 7, tzinfo=UTC), ended=NOW - 13 * DAY)
    suspended = {"status": Status.SUSPENDED}
    office.read(
        "okta",
        *(account(ada), account(bob, **suspended), account(eve), account(gone), account(late), account(soon)),
        *(account(done, **suspended), account(again, **suspended), account(owner, owner=True)),
        account("root@agency.example", admin=True, display_name="Agency"),
        at=NOW - DAY,
    )  # fmt: skip
    office.read(
        "okta",
        *(account(ada), account(bob, **suspended), account(eve), account(gone), account(late), account(soon)),
        *(account(done, **suspended), account(again), account(owner, owner=True)),
        account("root@agency.example", admin=True, display_name="Agency"),
        account("pat@other.example", display_name="Pat Perhaps", given_name="Pat", family_name="Perhaps"),
        account("kim@other.example", display_name="Kim Lee", given_name="Kim", family_name="Lee"),
    )
    office.did(
        "okta", "suspend", f"id-{gone}", due=datetime(2026, 6, 11, 7, tzinfo=UTC), ended=NOW - 3 * MINUTE,
        result=Result.FAILED, problem="Okta is down",
    )  # fmt: skip
    office.read(
        "github",
        *(account(ada), account(bob), account(eve, last_activity=NOW - 200 * DAY), account(soon), account(gone)),
        account(fresh, status=Status.INVITED, invited_until=NOW + 3 * DAY, created_at=NOW - 4 * DAY),
        account(late, status=Status.INVITED, invited_until=NOW - DAY, created_at=NOW - 8 * DAY),
        account("ci-bot", emails=(), user_name="ci-bot", bot=True),
    )
    office.mark("github", "id-ci-bot", links.Mark.BOT)
    office.read("asana", account(ada, last_activity=None), account(bob), account(late))
    office.read("lastpass", account(ada), account(gone), at=NOW - 3 * HOUR)
    office.fail("lastpass", "LastPass does not accept the connection any more", NOW - 2 * HOUR)
    office.fail("lastpass", "LastPass does not accept the connection any more", NOW - 5 * MINUTE)
    office.read("zoho_desk", account(ada), account(soon))
    return office


def office_of_rare_cases(home: Path) -> Office:
    """What happens seldom: accounts of nobody, of people out of scope, taken away just now, opened again, forgotten."""
    office = Office(
        home,
        {
            "okta": ManagedApp(mode="auto", seat_cost=8),
            "github": ManagedApp(),
            "asana": ManagedApp(mode="auto", who="department = 'Shop'"),
            "zoho_desk": ManagedApp(mode="auto"),
            "lastpass": ManagedApp(mode="auto"),
        },
    )
    ada = office.hire("Ada Moss", date_of_birth="1987-04-03", phone="206-555-0137", ssn="123-45-6789")
    gus, old = office.hire("Gus Gone", last_day="2026-06-10"), office.hire("Old Timer", last_day="2025-01-31")
    bob, eve = office.hire("Bob Reed", department="Engineering"), office.hire("Eve Lane")
    uma, rita = office.hire("Uma Reed", department="Shop"), office.hire("Rita Ford", department="Shop")
    office.hire("Ingrid Berg")
    berg = office.hire("Ingrid Berg", current_home_address__country="NOR")
    soon = [office.hire(f"Sam Soon{chr(97 + n)}", last_day="2026-06-19") for n in range(6)]
    office.hire("Lena Later", last_day="2026-06-29")  # access ends in 14 days and 12 hours
    office.hire("Nils Later", first_day="2026-06-30")
    vera = office.hire("Vera Vanished")
    office.sync(NOW - 3 * DAY)
    office.staff.pop()
    office.sync()
    old_one = account(old, created_at=NOW - 800 * DAY)
    namesake = account("ingrid@x.example", given_name="Ingrid", family_name="Berg")
    nobodys = namesake, account("zed@x.example"), account("root@x.example", admin=True), account(berg, admin=True)
    marked = account("guest@x.example"), account("bot@x.example"), account("was@x.example")
    office.read("okta", account(ada, status=Status.INVITED), account(gus), old_one, at=NOW - 3 * DAY)
    office.did("okta", "create", f"id-{eve}", ended=NOW - 2 * DAY)
    office.did("okta", "suspend", f"id-{old}", ended=NOW - DAY, due=datetime(2025, 2, 1, 8, tzinfo=UTC))
    office.read(
        "okta", account(ada), account(gus), replace(old_one, status=Status.SUSPENDED), account(eve), account(vera)
    )
    office.did("okta", "suspend", f"id-{gus}", ended=NOW - MINUTE, due=datetime(2026, 6, 11, 7, tzinfo=UTC))
    office.read("github", account(ada, last_activity=None), *nobodys, *marked)
    office.mark("github", "id-bot@x.example", links.Mark.BOT)
    office.mark("github", "id-guest@x.example", links.Mark.EXTERNAL, review_by=date(2026, 6, 16))
    office.mark("github", "id-was@x.example", links.Mark.EXTERNAL, review_by=date(2026, 6, 15))
    off = {"status": Status.SUSPENDED}
    office.read("asana", account(bob), account(uma), account(rita), at=NOW - 4 * DAY)
    office.did("asana", "suspend", f"id-{uma}", ended=NOW - 4 * DAY + HOUR)
    office.did("asana", "suspend", f"id-{rita}", ended=NOW - 4 * DAY + HOUR)
    office.read("asana", account(bob), account(uma, **off), account(rita, **off), at=NOW - 3 * DAY)
    office.did("asana", "suspend", f"id-{bob}", ended=NOW - 2 * DAY)
    office.did("asana", "reactivate", f"id-{uma}", ended=NOW - 2 * DAY)
    office.read("asana", account(bob, **off), account(uma), account(rita, **off), at=NOW - DAY)
    office.read("asana", account(bob), account(uma, **off), account(rita))
    office.read("zoho_desk", *map(account, soon))
    office.read("lastpass", old_one, at=NOW - 2 * HOUR)
    office.store.delete(f"lastpass/{COMPANY.slug}")
    with office.warehouse.write() as connection:
        connection.execute(
            "INSERT INTO provisioning.candidates BY NAME "
            "SELECT l.company_uuid, l.app, l.account_id, p.person_id, 'disputed' AS outcome "
            "FROM provisioning.links l, provisioning.people p WHERE l.account_id = $1 AND p.name = 'Eve Lane'",
            [f"id-{vera}"],
        )
    return office


# -- reading what was written ---------------------------------------------------------------------------------


class Row(NamedTuple):
    """A row of the page: the part it is in, its id, and its cells' texts."""

    part: str
    id: str
    cells: tuple[str, ...]


class Page(HTMLParser):
    """A page as a browser sees it: tags, ids, links, and the rows of each chapter's first table."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.chapters: list[str] = []
        self.rows: dict[str, list[Row]] = {}
        self._part, self._row, self._cells, self._open = "", "", list[str](), False
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def all(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in given.items()]
        if tag == "section":
            self.chapters.append(given["id"])
            self.rows[given["id"]] = []
        elif tag == "tbody":
            self._part = given.get("id", "")
        elif tag == "tr":
            self._row, self._cells = given.get("id", ""), []
        elif tag == "td":
            self._open = True
            self._cells.append("")

    def handle_data(self, data: str) -> None:
        if self._open:
            self._cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._open = False
        elif tag == "tr" and self._cells:
            self.rows[self.chapters[-1]].append(Row(self._part, self._row, tuple(c.strip() for c in self._cells)))
            self._cells = []


def sheet(path: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a sheet by their headers, as calamine reads them."""
    head, *rows = CalamineWorkbook.from_path(path).get_sheet_by_name(name).to_python(skip_empty_area=False)
    return [dict(zip(head, row, strict=True)) for row in rows]


def pairs_of(shown: Shown, person: str, app: str) -> list[dict[str, Any]]:
    return [
        pair for pair in sheet(shown.report.workbook, "Every pair") if (pair["Person"], pair["App"]) == (person, app)
    ]


class Shown(NamedTuple):
    """A report that was made, and its page."""

    office: Office
    report: Report
    page: Page


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    office = office_of_every_kind(tmp_path_factory.mktemp("home"))
    report = office.report()
    return Shown(office, report, Page(report.page))


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    office = office_of_rare_cases(tmp_path_factory.mktemp("home"))
    report = office.report()
    return Shown(office, report, Page(report.page))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """One app, Okta, where rules act by themselves."""
    return Office(tmp_path, {"okta": ManagedApp(mode="auto", seat_cost=8)})


# -- what comes first, and where figures lead -------------------------------------------------------------------


def test_risks_come_first_and_the_rest_in_the_order_it_is_read(shown):
    order = [
        "risks", "apps", "matrix", "coming", "unmatched", "kept", "outside", "questions", "invitations", "savings",
        "drift", "removals", "changes", "pairs", "rules",
    ]  # fmt: skip
    assert shown.page.chapters == order
    names = openpyxl.load_workbook(shown.report.workbook).sheetnames
    assert names[:4] == ["Summary", "Open risks", "Apps", "People and apps"]


def test_within_the_risks_leavers_who_can_sign_in_come_first_and_the_latest_of_them_on_top(shown):
    risks = [(row.part.removeprefix("risks-"), row.cells[0], row.cells[4]) for row in shown.page.rows["risks"]]
    assert risks == [
        ("leaver", "Rae Again", "Okta"),
        ("leaver", "Gus Gone", "GitHub"),
        ("leaver", "Gus Gone", "LastPass"),
        ("leaver", "Gus Gone", "Okta"),
        ("leaver", "Lou Late", "Asana"),
        ("leaver", "Lou Late", "Okta"),
        ("perhaps", "Pat Perhaps", "Okta"),
        ("protected", "Olga Owner", "Okta"),
        ("invited", "Lou Late", "GitHub"),
        ("unread", "", "LastPass"),
    ]


# How many rows each figure counts: the chapter, and the part of it if it is only one.
COUNTED = {
    "protected_leavers": ("risks", "protected"), "unread_apps": ("risks", "unread"), "vanished": ("risks", "vanished"),
    "apps": ("apps", ""), "coming_removals": ("coming", "leaves"), "coming_hires": ("coming", "starts"),
    "unmatched": ("unmatched", ""), "unmatched_admins": ("unmatched", "admins"), "kept": ("kept", ""),
    "left_alone": ("outside", ""),
    "questions": ("questions", ""), "urgent_questions": ("questions", "urgent"), "approvals": ("questions", "approve"),
    "invitations_half_over": ("invitations", "half"), "invitations_lapsed": ("invitations", "lapsed"),
    "seats_to_save": ("savings", ""), "drift": ("drift", "hand"), "removals_done": ("removals", ""),
    "new": ("changes", "new"), "settled": ("changes", "closed"),
}  # fmt: skip


@pytest.mark.parametrize("figure", COUNTED)
def test_a_figure_is_the_number_of_rows_on_the_page_and_in_the_workbook(shown, figure):
    key, part = COUNTED[figure]
    on_page = [row for row in shown.page.rows[key] if not part or row.part == f"{key}-{part}"]
    in_sheet = sheet(shown.report.workbook, SECTION[key].title)
    if part:
        in_sheet = [row for row in in_sheet if row["Kind"] == SECTION[key].parts[part]]
    assert shown.report.figures[figure] == len(on_page) == len(in_sheet)


def test_the_figure_of_leavers_counts_all_of_their_accounts_that_are_or_may_be_open(shown):
    leavers = [row for row in shown.page.rows["risks"] if row.cells[0]]
    assert shown.report.figures["leavers_with_access"] == len(leavers) == 9


def test_sums_are_those_of_their_rows(shown):
    savings = sheet(shown.report.workbook, SECTION["savings"].title)
    assert shown.report.figures["monthly_saving"] == pytest.approx(sum(row["A month"] or 0 for row in savings))
    apps = sheet(shown.report.workbook, "Apps")
    assert shown.report.figures["accounts"] == sum(row["Accounts"] for row in apps)


def test_every_link_of_the_page_leads_to_a_place_on_it_or_to_the_workbook(shown):
    ids = shown.page.all("id")
    assert len(ids) == len(set(ids))
    assert {link for link in shown.page.all("href") if link.removeprefix("#") not in ids} == {"reconciliation.xlsx"}


def test_every_figure_of_the_page_is_a_link_to_its_rows(shown):
    cards = re.findall(r'<li[^>]*><a href="#([\w-]+)"><b>', shown.page.text)
    assert len(cards) > 15
    assert set(cards) <= set(shown.page.all("id"))


def test_every_figure_of_the_workbook_is_a_link_to_its_rows(shown):
    book = openpyxl.load_workbook(shown.report.workbook)
    links = {cell.value: cell.hyperlink.location for row in book["Summary"] for cell in row if cell.hyperlink}
    assert links["protected accounts of theirs"] == "'Open risks'!A9"
    assert book["Open risks"]["A9"].value == "Olga Owner"
    assert {name.strip("'") for name, _, _ in (link.partition("'!") for link in links.values())} <= set(book.sheetnames)


# -- what each pair shows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "app", "word"),
    [
        ("Ada Moss", "Okta", "Active"),
        ("Ada Moss", "LastPass", "Active?"),
        ("Ada Moss", "GitHub", "Active"),
        ("Nia New", "GitHub", "Scheduled"),
        ("Finn Fresh", "GitHub", "Invited"),
        ("Sam Soon", "Okta", "Leaving"),
        ("Gus Gone", "Okta", "⚠ To remove"),
        ("Gus Gone", "LastPass", "⚠ Active?"),
        ("Lou Late", "GitHub", "⚠ Lapsed"),
        ("Lou Late", "LastPass", "?"),
        ("Olga Owner", "Okta", "⚠ Protected"),
        ("Pat Perhaps", "Okta", "⚠ Whose?"),
        ("Dana Done", "Okta", "Suspended"),
        ("Bob <script>alert(1)</script>", "Okta", "Suspended*"),
        ("Bob <script>alert(1)</script>", "GitHub", "Extra"),
        ("Bob <script>alert(1)</script>", "Zoho Desk", "–"),
    ],
)
def test_the_matrix_says_the_state_of_each_pair(shown, person, app, word):
    rows = [row for row in sheet(shown.report.workbook, "People and apps") if row["Person"] == person]
    assert [row[app] for row in rows] == [word]


def test_namesakes_are_both_disputed_and_told_apart_by_their_departments(shown):
    rows = [row for row in sheet(shown.report.workbook, "People and apps") if row["Person"] == "Kim Lee"]
    assert {(row["Department"], row["Okta"]) for row in rows} == {("Shop", "Disputed"), ("Engineering", "Disputed")}


def test_every_pair_shows_its_rule_its_reason_and_what_comes_next(shown):
    pairs = sheet(shown.report.workbook, "Every pair")
    assert len(pairs) == 14 * 5
    assert all(pair["Rule"] and pair["What was found"] and pair["What comes next"] for pair in pairs)
    on_page = shown.page.rows["pairs"]
    assert len(on_page) == len(pairs)
    assert all(row.cells[3] and row.cells[4] and row.cells[5] for row in on_page)


def test_a_cell_of_the_matrix_leads_to_its_pair(shown):
    cells = re.findall(r'<td class="bad"><a href="#(r\d+)">⚠ Protected', shown.page.text)
    rows = {row.id: row.cells for row in shown.page.rows["pairs"]}
    assert [rows[cell][:2] for cell in cells] == [("Okta", "p6@acme.example")]


def test_the_rules_that_decided_are_explained(shown):
    explained = {row.cells[0] for row in shown.page.rows["rules"]}
    assert explained == {pair["Rule"] for pair in sheet(shown.report.workbook, "Every pair")}


def test_what_keeps_a_removal_from_going_by_itself_is_said_with_the_way_on(shown):
    to_do = {(row.cells[0], row.cells[4]): row.cells[7] for row in shown.page.rows["risks"]}
    assert re.search(
        r"Approve it \(stop it from signing in\): gusto-pipeline approve \w{12} \w{12}\.", to_do["Gus Gone", "Okta"]
    )
    assert "Asana is only observed. Do it there by hand" in to_do["Lou Late", "Asana"]
    assert to_do["", "LastPass"].startswith("Renew the connection: gusto-pipeline connect lastpass.")


def test_the_plan_that_approvals_name_is_there(shown):
    plan = re.search(r"gusto-pipeline approve (\w{12})", shown.page.text)
    assert plan
    assert (shown.office.settings.plans / COMPANY.slug / f"plan-{plan[1]}.json").is_file()


def test_a_try_that_failed_is_told_beside_the_risk(shown):
    found = [row.cells[6] for row in shown.page.rows["risks"] if row.cells[0] == "Gus Gone" and row.cells[4] == "Okta"]
    assert "Tried at 2026-06-15 11:57: Okta is down." in found[0]


# -- nobody's name is a script, a formula, or told elsewhere ------------------------------------------------------


def test_a_name_that_is_markup_is_shown_as_text(shown):
    assert "Bob <script>alert(1)</script>" in {row.cells[1] for row in shown.page.rows["questions"]}
    assert "script" not in shown.page.tags


def test_the_page_runs_nothing_and_fetches_nothing(shown):
    style = re.search(r"<style>(.*?)</style>", shown.page.text, re.S)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert ("meta", "content", policy) in shown.page.attributes
    names = {name for _, name, _ in shown.page.attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"src", "style", "action", "srcset"})
    assert "url(" not in shown.page.text
    assert "://" not in shown.page.text


def test_a_name_that_is_a_formula_is_text_in_the_workbook(shown):
    cells = [cell for ws in openpyxl.load_workbook(shown.report.workbook) for row in ws for cell in row]
    assert {cell.data_type for cell in cells if cell.value == "=HYPERLINK(1) Eve"} == {"s"}
    assert not [cell for cell in cells if cell.data_type == "f"]


@given(st.text())
def test_any_text_is_escaped_and_only_commands_are_set_apart(text):
    shown = str(told(text))
    assert html.unescape(re.sub("</?code>", "", shown)) == text
    assert set(re.findall(r"<[^>]*>?", shown)) <= {"<code>", "</code>"}


def test_a_command_is_shown_whole_whatever_the_ids_in_it_are():
    asked = "It is theirs: gusto-pipeline accounts match box id:1@a.b 7 --why … It is not: gusto-pipeline plan. Done."
    commands = ["gusto-pipeline accounts match box id:1@a.b 7 --why …", "gusto-pipeline plan"]
    assert re.findall("<code>(.*?)</code>", told(asked)) == commands


def test_birth_dates_phones_and_numbers_of_the_state_are_nowhere(rare):
    book = openpyxl.load_workbook(rare.report.workbook)
    cells = [str(cell.value) for ws in book for row in ws for cell in row if cell.value]
    assert "Ada Moss" in cells
    for secret in ("1987-04-03", "555-0137", "5550137", "123-45-6789"):
        assert secret not in rare.page.text
        assert not [cell for cell in cells if secret in cell]


def test_what_is_handed_to_the_orchestrator_names_nobody(shown):
    said = " ".join([*shown.report.leavers_with_access, *shown.report.unread_apps])
    assert shown.report.unread_apps == ["LastPass"]
    assert "5 in Okta, 5 of them for over an hour" in shown.report.leavers_with_access
    assert not [one for one in shown.office.staff if one["last_name"] in said]
    assert all(isinstance(value, int | float) for value in shown.report.figures.values())


def test_only_their_owner_can_read_the_files(shown):
    assert {path.stat().st_mode & 0o777 for path in (shown.report.page, shown.report.workbook)} == {0o600}


# -- the workbook -------------------------------------------------------------------------------------------------


def test_every_sheet_has_a_frozen_header_filters_and_readable_widths(shown):
    for ws in openpyxl.load_workbook(shown.report.workbook).worksheets[1:]:
        assert ws.freeze_panes, ws.title
        assert ws.auto_filter.ref, ws.title
        assert all(6 <= column.width <= 50 for column in ws.column_dimensions.values()), ws.title


def test_a_person_leads_to_all_they_have_and_a_rule_to_what_it_means(shown):
    book = openpyxl.load_workbook(shown.report.workbook)
    risks, pairs = book["Open risks"], book["Every pair"]
    row = next(row for row in risks.iter_rows(min_row=2) if row[0].value == "Olga Owner")
    assert pairs[row[0].hyperlink.location.partition("!")[2]].value == "Olga Owner"
    rule = next(cell for cell in row if cell.value == "P1")
    assert book["Rules"][rule.hyperlink.location.partition("!")[2]].value == "P1"


def test_the_matrix_is_coloured_by_what_its_cells_say(shown):
    ws = openpyxl.load_workbook(shown.report.workbook)["People and apps"]
    (painted,) = ws.conditional_formatting
    assert str(painted.sqref) == "D2:D15 E2:E15 F2:F15 G2:G15 H2:H15"
    formulas = [rule.formula[0] for rule in painted.rules]
    assert formulas.index('LEFT(D2,8)="Deleted*"') < formulas.index('LEFT(D2,7)="Deleted"')
    colours = {rule.formula[0]: rule.dxf.fill.bgColor.rgb for rule in painted.rules}
    assert colours['LEFT(D2,2)="⚠ "'] == "FFFFC7CE"
    assert colours['LEFT(D2,6)="Active"'] == "FFE2EFDA"


# -- risks ------------------------------------------------------------------------------------------------------


def test_a_removal_that_has_not_happened_is_alerted_after_30_and_60_minutes(office):
    due = datetime(2026, 6, 15, 7, tzinfo=UTC)  # midnight in Gusto's zone, after the last day
    login = office.hire("Gus Gone", last_day="2026-06-14")
    office.sync()
    office.read("okta", account(login), at=due)
    for minutes, after_30, after_60 in ((29, 0, 0), (30, 1, 0), (59, 1, 0), (60, 1, 1)):
        report = office.report(due + minutes * MINUTE)
        assert (report.figures["overdue_30"], report.figures["overdue_60"]) == (after_30, after_60)
        assert sheet(report.workbook, "Open risks")[0]["Late (minutes)"] == minutes


def test_a_name_that_is_another_in_gusto_is_shown_where_it_cannot_be_changed(office):
    ann, bob = office.hire("Ann Lee"), office.hire("Robert Reed")
    office.sync()
    office.read(
        "okta", account(ann, given_name="Ann", family_name="Lee"), account(bob, given_name="Bob", family_name="Reed")
    )
    assert office.report().figures["other_names"] == 0
    office.staff[0]["last_name"] = "Fox"
    office.sync()
    report = office.report()
    (row,) = sheet(report.workbook, "Changed by hand")
    assert [row[name] for name in ("What", "Person", "Was", "Is", "Kind")] == [
        "Name", "Ann Fox", "Ann Lee", "Ann Fox", "Called otherwise in Gusto"
    ]  # fmt: skip
    assert (report.figures["other_names"], report.figures["drift"]) == (1, 0)


@pytest.fixture
def said(office: Office) -> Office:
    """Somebody left long ago, and Ann says at 11:57 that she has removed the account by hand; Okta is down since."""
    login = office.hire("Gus Gone", last_day="2026-06-10")
    office.sync()
    office.read("okta", account(login), account("root@acme.example", admin=True, owner=True), at=NOW - 10 * MINUTE)
    office.fail("okta", "Okta is down", NOW - 5 * MINUTE)
    with office.warehouse.write() as connection:
        given = {"who": "ann", "why": "in the console", "now": NOW - 3 * MINUTE}
        links.say_done(connection, COMPANY.uuid, "okta", f"id-{login}", **given)
    return office


def test_what_is_said_to_be_done_by_hand_is_shown_as_said_and_not_alerted(said):
    report = said.report()
    risk = sheet(report.workbook, "Open risks")[0]
    assert risk["Kind"] == "People who left, with an account that is said to be removed by hand: not proven yet"
    assert "Said to be done by ann on 2026-06-15 11:57 (in the console), not proven." in risk["What was found"]
    assert risk["What to do"] == "The next complete reading of Okta proves it or not."
    assert (report.figures["leavers_with_access"], report.figures["overdue_60"]) == (1, 0)


def test_what_was_said_to_be_done_and_is_still_there_is_alerted_again(said):
    said.read("okta", account("p1@acme.example"), account("root@acme.example", admin=True, owner=True), at=NOW)
    report = said.report(NOW + MINUTE)
    risk = sheet(report.workbook, "Open risks")[0]
    assert risk["Kind"] == "People who left and can sign in"
    assert (
        "Said to be done by ann on 2026-06-15 11:57 (in the console), but it is still there." in risk["What was found"]
    )
    assert report.figures["overdue_60"] == 1
    assert report.figures["removals_done"] == 0


def test_what_was_said_to_be_done_and_is_gone_is_closed_with_its_proof(said):
    said.read("okta", account("root@acme.example", admin=True, owner=True), at=NOW)
    report = said.report(NOW + MINUTE)
    assert report.figures["leavers_with_access"] == 0
    (row,) = sheet(report.workbook, "Access taken away")
    assert (row["Person"], row["What"], row["By"]) == ("Gus Gone", "Done by hand", "ann")
    assert row["Proof"] == "In the list of 2026-06-15 12:00: absent."
    assert row["Kind"] == "Said to be done by hand, and proven by a reading"


def test_what_was_taken_away_since_the_app_was_read_is_no_risk(rare):
    assert not [row for row in rare.page.rows["risks"] if row.cells[0] == "Gus Gone"]
    (pair,) = pairs_of(rare, "Gus Gone", "Okta")
    assert (pair["State"], pair["What comes next"]) == ("Suspended", "The next reading checks it.")


def test_an_account_that_somebody_opened_again_is_said_to_be(shown):
    assert shown.report.figures["reopened"] == 1
    found = [row.cells[6] for row in shown.page.rows["risks"] if row.cells[0] == "Rae Again"]
    assert "We had taken it away; somebody opened it again by 2026-06-15 11:55." in found[0]


def test_an_account_of_somebody_who_works_here_that_was_opened_again_is_a_risk_of_its_own(rare):
    found = [row.cells[:1] + row.cells[4:5] for row in rare.page.rows["risks"] if row.part == "risks-reopened"]
    assert found == [("Bob Reed", "Asana")]


def test_an_unread_app_says_since_when_and_what_to_do(shown):
    (row,) = [row for row in shown.page.rows["risks"] if row.part == "risks-unread"]
    assert row.cells[2] == "2026-06-15 10:00"  # the first of its failures
    assert row.cells[6] == "LastPass does not accept the connection any more."
    assert row.cells[7].endswith("look in LastPass itself for accounts of people who left: 1.")


def test_an_app_whose_credentials_were_forgotten_is_unread_while_people_have_accounts_there(rare):
    lastpass = {row.part: row.cells for row in rare.page.rows["risks"] if row.cells[4] == "LastPass"}
    assert lastpass["risks-leaver"][8] == "U1"
    assert lastpass["risks-unread"][6] == "Is not connected any more."
    assert rare.report.unread_apps == []  # of the connected ones


def test_people_gusto_no_longer_lists_are_told_of_while_they_can_sign_in(rare):
    found = [row.cells[0] for row in rare.page.rows["risks"] if row.part == "risks-vanished"]
    assert found == ["Vera Vanished"]


def test_an_app_that_is_left_alone_for_a_while_because_its_calls_fail_is_said_to_be(office):
    gus = office.hire("Gus Gone", last_day="2026-06-14")
    office.sync()
    office.read("okta", account(gus))
    office.did("okta", "suspend", f"id-{gus}", ended=NOW - DAY)  # the first that somebody approved
    with office.warehouse.write() as connection:
        connection.execute(
            "INSERT INTO provisioning.approvals BY NAME "
            "SELECT company_uuid, item_id, true AS approved, intended_at AS approved_at FROM provisioning.intents"
        )
    failed = {"result": Result.FAILED, "problem": "Okta is down", "times": 10}
    office.did("okta", "suspend", "id-other", ended=NOW - HOUR, **failed)
    report = office.report()
    (risk,) = sheet(report.workbook, "Open risks")
    assert "10 of the last 11 calls failed; it is left alone until" in risk["What to do"]
    assert "It goes by itself after that" in risk["What to do"]
    assert sheet(report.workbook, "Questions waiting") == []


def test_when_nothing_is_wrong_the_page_says_so(office):
    login = office.hire("Ada Moss")
    office.sync()
    office.read("okta", account(login))
    page = Page(office.report().page)
    assert page.rows["risks"] == []
    assert page.text.count(SECTION["risks"].empty) == 2  # at the top, and in the chapter


def test_a_company_without_apps_and_people_has_a_report(tmp_path):
    report = Office(tmp_path, {}).report()
    assert set(report.figures.values()) == {0}
    assert sheet(report.workbook, "People and apps") == []


# -- the other chapters -----------------------------------------------------------------------------------------


def test_the_next_14_days_show_who_leaves_and_who_starts(shown):
    rows = {row["Person"]: row for row in sheet(shown.report.workbook, "The next 14 days")}
    assert set(rows) == {"Sam Soon", "Finn Fresh", "Nia New"}
    sam = rows["Sam Soon"]
    assert (sam["Last or first day"], sam["Accounts"], sam["Apps"]) == (date(2026, 6, 19), 3, "GitHub, Okta, Zoho Desk")
    assert sam["Access ends"] == date(2026, 6, 20)  # midnight in Gusto's zone


def test_who_leaves_or_starts_after_the_14_days_is_not_shown_yet(rare):
    assert {row["Person"][:8] for row in sheet(rare.report.workbook, "The next 14 days")} == {"Sam Soon"}


def test_so_many_leavers_that_the_brakes_will_hold_them_are_announced(rare):
    remarks = [row["To see to"] for row in sheet(rare.report.workbook, "The next 14 days")]
    assert len(remarks) == 6
    assert all("unless it is approved before, in: Zoho Desk" in remark for remark in remarks)


def test_administrators_who_are_not_in_gusto_come_first_among_the_accounts_of_nobody(rare):
    rows = sheet(rare.report.workbook, SECTION["unmatched"].title)
    assert [(row["Account"], row["Role"], row["Age in days"]) for row in rows] == [
        ("root@x.example", "Administrator", 400), ("was@x.example", "", 400), ("zed@x.example", "", 400),
        ("p9@acme.example", "Administrator", 400),
    ]  # fmt: skip


def test_a_marked_account_is_kept_until_the_day_to_look_again(rare):
    kept = [row["Account"] for row in sheet(rare.report.workbook, "Kept on purpose")]
    assert kept == ["guest@x.example", "bot@x.example"]
    found = {row["Account"]: row for row in sheet(rare.report.workbook, SECTION["unmatched"].title)}
    assert found["was@x.example"]["What was found"] == "Marked external by ann (asked), to be looked at by 2026-06-15."


def test_accounts_of_people_the_rules_leave_alone_are_shown(rare):
    (row,) = [row for row in rare.page.rows["unmatched"] if row.part == "unmatched-outside"]
    assert row.cells[9] == "Held by Ingrid Berg: International employee."
    assert rare.report.figures["unmatched_admins"] == 1  # the other one


def test_people_the_rules_leave_alone_are_listed_with_the_reason_and_what_they_hold(rare):
    (row,) = sheet(rare.report.workbook, SECTION["outside"].title)
    assert (row["Person"], row["Why"], row["Accounts"], row["Apps"]) == (
        "Ingrid Berg", "International employee", 1, "GitHub",
    )  # fmt: skip


def test_a_question_ages_from_the_report_that_first_asked_it(twice):
    ages = [
        [row["Age in days"] for row in sheet(report.workbook, "Questions waiting") if row["Person"] == "Bob Reed"]
        for report in twice
    ]
    assert ages == [[0], [9]]


def test_questions_about_leavers_come_before_approvals_and_others(shown):
    parts = list(dict.fromkeys(row.part for row in shown.page.rows["questions"]))
    assert parts == ["questions-urgent", "questions-approve", "questions-ask"]


def test_every_question_names_a_command_that_answers_it(shown):
    texts = [row.cells[5] for row in shown.page.rows["questions"]]
    assert texts
    assert [text for text in texts if not re.search(r"gusto-pipeline (accounts|approve) ", text)] == []


def test_a_question_about_two_records_names_the_command_for_either_answer(office):
    office.hire("Ann Lee", personal_email="ann@home.example")
    office.sync()
    with office.warehouse.write() as connection:
        connection.execute(
            "INSERT INTO provisioning.merge_questions BY NAME SELECT $1 AS company_uuid, 'contractor/c1' AS record, "
            "'employee/e1' AS other, 'Both are called Ann Lee' AS sentence, $2 AS asked_at",
            [COMPANY.uuid, NOW],
        )
    (row,) = sheet(office.report().workbook, "Questions waiting")
    for answer in ("--yes", "--no"):
        assert f"gusto-pipeline accounts same contractor/c1 employee/e1 {answer} --why …" in row["What to do"]


def test_a_protected_account_that_is_said_to_be_removed_by_hand_is_not_asked_about(office):
    login = office.hire("Olga Owner", last_day="2026-06-10")
    office.sync()
    office.read("okta", account(login, owner=True))
    (row,) = sheet(office.report().workbook, "Questions waiting")
    assert f"gusto-pipeline accounts done okta id-{login} --why …" in row["What to do"]
    with office.warehouse.write() as connection:
        links.say_done(connection, COMPANY.uuid, "okta", f"id-{login}", who="ann", why="handed over", now=NOW)
    assert office.report().figures["questions"] == 0


def test_what_was_answered_with_no_is_not_asked_again_and_says_so(office):
    office.settings.provisioning.apps["okta"] = ManagedApp(mode="auto", who="false")
    login = office.hire("Ann Lee")
    office.sync()
    office.read("okta", account(login), account("root@acme.example", owner=True))
    report = office.report()
    (row,) = sheet(report.workbook, "Questions waiting")
    plan, item = re.search(
        r"Yes \(stop it from signing in\): gusto-pipeline approve (\w+) (\w+) ", row["What to do"]
    ).groups()
    approve(office.settings, find_plan(office.settings, COMPANY, plan), [item], who="kim", approved=False)
    report = office.report()
    assert report.figures["questions"] == 0
    (pair,) = [pair for pair in sheet(report.workbook, "Every pair") if pair["Person"] == "Ann Lee"]
    assert re.fullmatch(r"Somebody said no\. By whom and why: gusto-pipeline explain \S+ okta", pair["What comes next"])


def test_invitations_are_shown_with_their_end(shown):
    rows = {row["Person"]: row for row in sheet(shown.report.workbook, "Invitations")}
    half = "Open, and half of their life is over"
    assert {name: row["Kind"] for name, row in rows.items()} == {"Lou Late": "Lapsed", "Finn Fresh": half}
    assert rows["Finn Fresh"]["Lapses"] == datetime(2026, 6, 18, 12)  # noqa: DTZ001 - in Gusto's zone
    assert rows["Finn Fresh"]["What to do"] == "Remind the person: half of the invitation's life is over."


def test_an_invitation_is_open_until_half_of_its_life_is_over_and_counts_each_time_it_was_sent(office):
    login = office.hire("Ada Moss")
    office.sync()
    invited = {"status": Status.INVITED, "invited_until": NOW + 4 * DAY, "created_at": NOW - 3 * DAY}
    office.read("okta", account(login, **invited), at=NOW - 12 * DAY)
    office.did("okta", "invite_again", f"id-{login}", ended=NOW - 3 * DAY, became="another")
    office.read("okta", account(login, **invited, id="another"))
    report = office.report()
    (row,) = sheet(report.workbook, "Invitations")
    assert (row["Kind"], row["Sent again"]) == ("Open", 1)
    assert sheet(report.workbook, "Changed by hand") == []


def test_seats_are_saved_where_somebody_left_never_came_or_is_suspended(shown):
    rows = sheet(shown.report.workbook, SECTION["savings"].title)
    found = {(row["Person"], row["App"]): row["What was found"] for row in rows}
    assert len(found) == len(rows)  # no seat twice
    assert found["Gus Gone", "GitHub"] == "Left 2026-06-10."
    assert found["=HYPERLINK(1) Eve", "GitHub"] == "Not used for 200 days."
    assert found["Ada Moss", "Asana"] == "Never used in 400 days."
    assert found["Dana Done", "Okta"] == "Suspended. Look whether the seat is still billed."
    assert ("Ada Moss", "Okta") not in found


def test_an_account_that_the_app_says_nothing_of_is_not_idle(office):
    login = office.hire("Ada Moss")
    office.sync()
    office.read("okta", account(login, last_activity=None))
    assert sheet(office.report().workbook, SECTION["savings"].title) == []


def test_changes_made_by_hand_are_those_that_we_did_not_make(shown):
    rows = {(row["Person"], row["What"]) for row in sheet(shown.report.workbook, "Changed by hand")}
    assert rows == {
        ("Bob <script>alert(1)</script>", "Suspended"), ("Rae Again", "Opened again"), ("Pat Perhaps", "Made"),
        ("Kim Lee or Kim Lee", "Made"),
    }  # fmt: skip


def test_an_accepted_invitation_and_what_we_did_are_no_changes_by_hand(rare):
    rows = {(row["App"], row["Person"], row["What"]) for row in sheet(rare.report.workbook, "Changed by hand")}
    assert rows == {
        ("Okta", "Vera Vanished", "Made"), ("Asana", "Bob Reed", "Opened again"), ("Asana", "Uma Reed", "Suspended"),
        ("Asana", "Rita Ford", "Opened again"),
    }  # fmt: skip


def test_a_removal_shows_its_delay_and_its_proof(shown):
    dana = next(row for row in sheet(shown.report.workbook, "Access taken away") if row["Person"] == "Dana Done")
    assert dana["Delay (minutes)"] == 60
    assert dana["Proof"] == "Read back right after the call. In the list of 2026-06-14 12:00: suspended."
    rae = next(row for row in sheet(shown.report.workbook, "Access taken away") if row["Person"] == "Rae Again")
    assert rae["Proof"].endswith("In the list of 2026-06-14 12:00: suspended.")  # before it was opened again
    assert shown.report.figures["median_delay_minutes"] == (60 + 720) / 2
    assert shown.report.figures["longest_delay_minutes"] == 720


def test_people_who_had_left_before_the_app_was_connected_do_not_count_as_delays(rare):
    parts = {row.cells[0]: row.part for row in rare.page.rows["removals"]}
    assert (parts["Gus Gone"], parts["Old Timer"]) == ("removals-before", "removals-before")
    assert "median_delay_minutes" not in rare.report.figures


# -- since the last report ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Report]:
    """Two reports, nine days apart: Gus was suspended meanwhile, Lou's account opened; Bob's is still a question."""
    office = Office(tmp_path_factory.mktemp("home"), {"okta": ManagedApp(who="department = 'Shop'")})
    gus, lou = office.hire("Gus Gone", last_day="2026-06-10"), office.hire("Lou Late", last_day="2026-06-12")
    bob = office.hire("Bob Reed", department="Engineering")
    suspended = {"status": Status.SUSPENDED}
    office.sync()
    office.read("okta", account(gus), account(lou, **suspended), account(bob), at=NOW)
    first = office.report(NOW)
    kept = replace(first, workbook=first.workbook.rename(first.workbook.with_name("first.xlsx")))
    office.read("okta", account(gus, **suspended), account(lou), account(bob), at=NOW + 9 * DAY)
    return kept, office.report(NOW + 9 * DAY)


def test_what_is_new_and_what_is_settled_since_the_last_report_is_told(twice):
    first, second = twice
    assert (first.figures["new"], first.figures["settled"]) == (0, 0)
    changes = [(row["Kind"], row["What"], row["Which"]) for row in sheet(second.workbook, "Since the last report")]
    assert [one for one in changes if one[1] == "Risk"] == [
        ("New", "Risk", "Lou Late · Okta · p2@acme.example"),
        ("Settled", "Risk", "Gus Gone · Okta · p1@acme.example"),
    ]
    assert not [which for _, _, which in changes if "Bob Reed" in which]  # as open as it was
    assert "since the report of <b>2026-06-15 12:00</b>" in second.page.read_text()


def test_figures_are_shown_beside_those_of_the_last_report(twice):
    _, second = twice
    text, label = second.page.read_text(), "accounts of people who left are open, or may be"
    assert "<i>was 0</i>" in text  # of changes made by hand
    assert f"<title>{label} in the last 30 days</title><polyline" in text
    summary = openpyxl.load_workbook(second.workbook)["Summary"].iter_rows(values_only=True)
    assert {row[0]: row[1:3] for row in summary}["changes made by hand"] == (2, 0)


def test_a_report_that_fails_leaves_the_last_one_and_its_figures(office):
    office.read("okta", account("zed@x.example"))
    before = office.report()
    page = before.page.read_bytes()
    before.workbook.unlink()
    before.workbook.mkdir()  # what cannot be replaced by a file
    with pytest.raises(SpreadsheetError, match=r"reconciliation\.xlsx is a folder"):
        office.report(NOW + HOUR)
    assert before.page.read_bytes() == page
    assert [path.name for path in sorted(before.page.parent.iterdir())] == [
        "reconciliation.html",
        "reconciliation.xlsx",
    ]
    with office.warehouse.read() as connection:
        assert connection.execute("SELECT DISTINCT made_at FROM provisioning.report_figures").fetchall() == [(NOW,)]


# -- for people, and for many ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (0, "0 min"),
        (59, "59 min"),
        (60, "1 h 00 min"),
        (125, "2 h 05 min"),
        (1440 * 3 + 240, "3 d 4 h"),
        (1440 * 40, "40 d"),
    ],
)
def test_durations_are_said_as_people_say_them(minutes, said):
    assert duration(minutes) == said


def test_a_line_of_figures_stays_within_its_box():
    assert points([0, 5, 10], width=100, height=20) == "0.0,18.0 50.0,10.0 100.0,2.0"


def test_500_people_in_19_apps_take_less_than_5_seconds_and_5_megabytes(tmp_path):
    office = Office(tmp_path, {slug: ManagedApp(mode="auto") for slug in SLUGS[:19]})
    names = [
        hashlib.sha256(str(n).encode()).hexdigest().translate(str.maketrans("0123456789", "ghijklmnop"))
        for n in range(500)
    ]
    logins = [
        office.hire(f"{name[:8]} {name[8:18]}", last_day="2026-06-10" if n % 25 == 0 else None)
        for n, name in enumerate(names)
    ]
    office.sync()
    with office.warehouse.write() as connection:
        for slug in SLUGS[:19]:
            accounts = [account(login) for n, login in enumerate(logins) if (n + len(slug)) % 4]
            store_accounts(connection, COMPANY.uuid, slug, Tenant("t1", "Acme"), accounts, NOW, 1)
            app(slug)
        connection.execute(
            "INSERT INTO provisioning.links BY NAME "
            "SELECT a.company_uuid, app, account_id, person_id, 'Same work e-mail' AS sentence "
            "FROM provisioning.accounts a JOIN provisioning.people p ON p.work_email = a.emails[1]"
        )
    began = time.process_time()
    report = office.report()
    assert time.process_time() - began < 5
    assert report.page.stat().st_size < 5_000_000
    assert report.figures["leavers_with_access"] > 250
    assert len(sheet(report.workbook, "People and apps")) == 500
