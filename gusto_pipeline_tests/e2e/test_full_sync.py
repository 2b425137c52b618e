"""Everything of one company of 550 people, twice, through Dagster: what comes out and at what cost, and that nobody's
data stays behind in Dagster's own records."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from gusto_pipeline.automation.launch import cause, dagster_home
from gusto_pipeline.config import load_settings
from gusto_pipeline.gusto.catalog import CATEGORIES, COMPANY_CATEGORIES
from gusto_pipeline.schema import SECRET
from gusto_pipeline.sync import open_store
from gusto_pipeline.warehouse.flatten import rows
from gusto_pipeline_tests.conftest import Pipeline, connected

MISSION = {
    "employees": 500,
    "contractors": 50,
    "applicants": 3,
    "pay_schedules": 3,
    "time_off": 1,
}
TABLES = [table.name for name in MISSION for table in CATEGORIES[name].tables()]


DECLARED = {table.name: table for category in CATEGORIES.values() for table in category.tables()}
CUSTOM: dict[str, Callable[[str], Any]] = {
    "text": str,
    "radio": str,
    "date": date.fromisoformat,
    "number": lambda text: Decimal(text).quantize(Decimal("0.000001")),
    "currency": lambda text: Decimal(text).quantize(Decimal("0.0001")),
}


@dataclass
class Twice:
    """Two runs of everything, and what the files were in between."""

    pipeline: Pipeline
    first: dg.ExecuteInProcessResult
    requests: int
    files: dict[Path, tuple[int, int]]
    second: dg.ExecuteInProcessResult

    def made(self, result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
        found = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
        return {
            one.asset_key.to_user_string(): {name: value.value for name, value in one.metadata.items()} for one in found
        }

    def flat(self, table: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """What a table's sheet holds: its flat view without secret columns, and employees' custom fields as columns."""
        secret = {column.name for column in DECLARED[table].columns if column.sensitivity == SECRET}
        with duckdb.connect(self.pipeline.settings.warehouse, read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.execute(f"SELECT * EXCLUDE (company_uuid) FROM flat.{table}")
            columns = [column[0] for column in found.description or ()]
            rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
            if table == "employees":
                custom = connection.execute(
                    "SELECT employee_uuid, name, type, value FROM staging.employee_custom_fields ORDER BY name"
                ).fetchall()
                for name in dict.fromkeys(row[1] for row in custom):
                    values = {row[0]: CUSTOM[row[2]](row[3]) for row in custom if row[1] == name and row[3]}
                    column = f"custom__{re.sub('[^0-9a-z]+', '_', name.casefold()).strip('_')}"
                    rows = [{**row, column: values.get(row["uuid"])} for row in rows]
        shown = [column for column in rows[0] if column not in secret] if rows else columns
        return shown, [tuple(row[column] for column in shown) for row in rows]


def stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    return {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twice]:
    home = tmp_path_factory.mktemp("home")
    root = logging.getLogger()
    level = root.level
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUSTO_PIPELINE_HOME", str(home))
        settings = load_settings()
        patch.setenv("DAGSTER_HOME", str(dagster_home(settings)))
        with connected(home, dg.DagsterInstance.get(), employees=500, contractors=50, applicants=True) as pipeline:
            handler = logging.StreamHandler(pipeline.log)
            root.addHandler(handler)
            root.setLevel(logging.DEBUG)
            pipeline.sandbox.requests.clear()
            first = pipeline.run("sync_everything")
            assert first.success, "\n".join(map(cause, first.get_step_failure_events()))
            requests = len(pipeline.sandbox.requests)
            files = stamps(pipeline.settings.spreadsheets_folder)
            with dg.DagsterInstance.ephemeral() as faster:
                faster.add_dynamic_partitions("companies", [pipeline.company.slug])
                second = pipeline.run("sync_everything", instance=faster)
            root.removeHandler(handler)
            root.setLevel(level)
            yield Twice(pipeline, first, requests, files, second)


def test_both_runs_succeed_with_every_check_passed(twice):
    assert (twice.first.success, twice.second.success) == (True, True)
    assert all(check.passed for check in twice.first.get_asset_check_evaluations())


@pytest.mark.parametrize(("table", "least"), MISSION.items())
def test_the_warehouse_holds_every_record(twice, table, least):
    assert twice.pipeline.count(table) >= least


def test_everyone_in_gusto_is_in_the_warehouse(twice):
    company = twice.pipeline.sandbox.world.companies[0]
    for table, people in (("employees", company.employees), ("contractors", company.contractors)):
        assert {row[0] for row in twice.pipeline.query(f"SELECT uuid FROM staging.{table}")} == set(people)


def test_550_people_cost_at_most_30_requests(twice):
    assert 0 < twice.requests <= 30


def test_nobody_is_asked_about_one_by_one_unless_that_is_wanted(twice):
    assert not [row.path for row in twice.pipeline.sandbox.requests if row.path.startswith("/v1/employees/")]


def test_a_second_run_of_the_same_writes_no_spreadsheet_and_says_so(twice):
    assert stamps(twice.pipeline.settings.spreadsheets_folder) == twice.files
    made = twice.made(twice.second)
    assert {name: made[f"spreadsheets/{name}"]["unchanged"] for name in COMPANY_CATEGORIES} == dict.fromkeys(
        COMPANY_CATEGORIES, True
    )
    assert not any(twice.made(twice.first)[f"spreadsheets/{name}"]["unchanged"] for name in COMPANY_CATEGORIES)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_says_what_its_sync_brought(twice, table):
    metadata = twice.made(twice.first)[f"staging/{table}"]
    assert metadata["dagster/row_count"] == twice.pipeline.count(table)
    assert 1 <= metadata["requests"] <= 6
    assert metadata["api_version"] == "2026-06-15"
    assert datetime.fromtimestamp(metadata["synced_at"], UTC).date() == twice.pipeline.sandbox.world.clock.now().date()
    assert metadata["source"] == "api"


IN_FILES = [(name, table.name) for name in MISSION for table in CATEGORIES[name].tables()]


@pytest.fixture(scope="module")
def workbooks(twice: Twice) -> dict[str, tuple[openpyxl.Workbook, CalamineWorkbook]]:
    files = {name: twice.pipeline.spreadsheet(f"{name}.xlsx") for name in MISSION}
    return {name: (openpyxl.load_workbook(file), CalamineWorkbook.from_path(file)) for name, file in files.items()}


def without_nothing(rows: list[list[Any]]) -> list[tuple[Any, ...]]:
    """In a workbook an empty text and no value are the same."""
    return sorted((tuple(None if value == "" else value for value in row) for row in rows), key=repr)


def as_calamine(value: Any) -> Any:
    """A warehouse value as calamine reads it: every number is a float, instants have no zone."""
    match value:
        case bool() | date() if not isinstance(value, datetime):
            return value
        case int() | Decimal():
            return float(value)
        case datetime():
            return value.astimezone(UTC).replace(tzinfo=None)
    return value


@pytest.mark.parametrize(("category", "table"), IN_FILES)
def test_calamine_reads_the_flat_view_back_from_the_workbook(twice, workbooks, category, table):
    columns, expected = twice.flat(table)
    book = workbooks[category][1]
    if not expected and table != category:
        assert table not in book.sheet_names
        return
    header, *read = book.get_sheet_by_name(table).to_python()
    order = [columns.index(name) for name in header]
    assert sorted(header) == sorted(columns)
    wanted = [[as_calamine(row[index]) for index in order] for row in expected]
    assert without_nothing(read) == without_nothing(wanted)


def as_openpyxl(cell: Any) -> Any:
    """A cell's value as calamine gives it; openpyxl tells a date from an instant by the number format only."""
    value = cell.value
    if isinstance(value, datetime) and "h" not in cell.number_format:
        return value.date()
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("category", MISSION)
def test_openpyxl_reads_the_same_and_finds_no_formula(workbooks, category):
    by_openpyxl, by_calamine = workbooks[category]
    assert by_openpyxl.sheetnames == by_calamine.sheet_names
    for sheet in by_openpyxl.worksheets:
        cells = list(sheet.iter_rows())
        assert not [cell.coordinate for row in cells for cell in row if cell.data_type == "f"]
        read = [[as_openpyxl(cell) for cell in row] for row in cells]
        assert without_nothing(read) == without_nothing(by_calamine.get_sheet_by_name(sheet.title).to_python())


def as_in_csv(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case str() if value[:1] in ("=", "+", "-", "@"):
            return f"'{value}"
    return str(value)


@pytest.mark.parametrize(("category", "table"), IN_FILES)
def test_the_csv_file_holds_the_flat_view(twice, category, table):
    columns, expected = twice.flat(table)
    name = f"{category}.csv" if table == category else f"{category}.{table}.csv"
    with twice.pipeline.spreadsheet(name).open(encoding="utf-8-sig", newline="") as lines:
        header, *read = csv.reader(lines)
    order = [columns.index(column) for column in header]
    assert sorted(read) == sorted([as_in_csv(row[index]) for index in order] for row in expected)


def column(workbooks: Any, category: str, name: str) -> list[Any]:
    header, *read = workbooks[category][1].get_sheet_by_name(category).to_python()
    return [row[header.index(name)] for row in read]


def test_zips_and_codes_are_text_that_keeps_its_leading_zeros(workbooks):
    zips = column(workbooks, "employees", "current_home_address__zip")
    codes = column(workbooks, "employees", "employee_code")
    assert any(zip.startswith("0") and len(zip) >= 5 for zip in zips)
    assert any(code.startswith("0") and len(code) == 6 for code in codes)


def test_pay_is_a_number_and_a_hire_date_is_a_date(workbooks):
    rates = [rate for rate in column(workbooks, "employees", "compensation__rate") if rate != ""]
    hired = [day for day in column(workbooks, "employees", "job__hire_date") if day != ""]
    assert len(rates) > 400
    assert {type(rate) for rate in rates} == {float}
    assert {type(day) for day in hired} == {date}


def test_a_name_like_a_formula_is_only_a_name(workbooks):
    assert '=HYPERLINK("http://example.com","x")' in column(workbooks, "employees", "first_name")


def test_gusto_is_told_to_send_what_the_flat_employees_show(twice):
    """One row per person, with the current job and pay beside the name."""
    people = twice.pipeline.query("SELECT count(*), count(DISTINCT uuid), count(job__title) FROM flat.employees")
    assert people[0][:2] == (500, 500)
    assert people[0][2] > 400


@pytest.fixture(scope="module")
def secrets(twice: Twice) -> dict[str, str]:
    """What is known to be secret or personal, to be looked for in everything Dagster and the log keep."""
    company = twice.pipeline.sandbox.world.companies[0]
    somebody = list(company.employees.values())[20]
    paid = next(person for person in company.contractors.values() if person["email"])
    connection = open_store(twice.pipeline.settings).read(f"gusto/{twice.pipeline.company.slug}") or {}
    found = {
        "e-mail": somebody["email"],
        "contractor's e-mail": paid["email"],
        "name": f"{somebody['first_name']} {somebody['last_name']}",
        "last name, first name": f"{somebody['last_name']}, {somebody['first_name']}",
        "access token": connection["access_token"],
        "refresh token": connection["refresh_token"],
        "client secret": twice.pipeline.sandbox.client_secret,
    }
    assert all(isinstance(value, str) and len(value) > 6 for value in found.values()), found
    return found


def test_the_canary_is_seen_where_it_belongs(twice, secrets):
    sheet = twice.pipeline.spreadsheet("employees.csv").read_text(encoding="utf-8-sig")
    assert secrets["e-mail"] in sheet


def test_dagster_keeps_nothing_of_it(twice, secrets):
    kept = {file: file.read_bytes() for file in twice.pipeline.settings.dagster.rglob("*") if file.is_file()}
    assert sum(file.suffix == ".db" for file in kept) >= 3
    assert twice.first.run_id.encode() in b"".join(kept.values())
    spilled = [(what, file) for file, data in kept.items() for what, text in secrets.items() if text.encode() in data]
    assert not spilled


def test_the_log_says_nothing_of_it(twice, secrets):
    log = twice.pipeline.log.getvalue()
    assert "sync_employees" in log
    assert [what for what, text in secrets.items() if text in log] == []


def test_secret_columns_are_neither_published_nor_put_in_spreadsheets(twice):
    secret = {
        (table_rows.table.name, column.name)
        for category in CATEGORIES.values()
        for source in category.sources
        for table_rows in rows(source.table)
        for column in table_rows.columns
        if column.sensitivity == SECRET
    }
    assert ("company", "ein") in secret
    with duckdb.connect(twice.pipeline.settings.analytics, read_only=True) as published:
        found = published.execute("SELECT table_name, column_name FROM duckdb_columns()").fetchall()
    assert {("employees", "first_name"), ("company", "name")} <= set(found)
    assert not secret & set(found)
    for category in COMPANY_CATEGORIES:
        book = CalamineWorkbook.from_path(twice.pipeline.spreadsheet(f"{category}.xlsx"))
        for sheet in book.sheet_names:
            assert not {name for table, name in secret if table == sheet} & set(
                book.get_sheet_by_name(sheet).to_python()[0]
            )
