"""Flatten jobs: what pipeline.yaml says is what ends up in the file, and nothing it did not ask for."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import fsspec
import openpyxl
import pyarrow.parquet
import pytest

from gusto_pipeline.config import load_settings
from gusto_pipeline.google_connection import connect_google
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.jobs import flatten
from gusto_pipeline.preroll import preroll
from gusto_pipeline.sandbox.server import running_google
from gusto_pipeline.spreadsheets.google_sheets import google_client
from gusto_pipeline.spreadsheets.writers import SpreadsheetError
from gusto_pipeline.sync import Bearer, Company, open_store, open_warehouse
from gusto_pipeline_tests.conftest import Pipeline, connected


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Two companies whose employees, contractors and time off are in the warehouse."""
    with connected(tmp_path_factory.mktemp("jobs"), companies=2, employees=30) as pipeline:
        for company in pipeline.companies:
            for category in ("employees", "contractors", "time_off"):
                pipeline.sync(category, company)
        yield pipeline


@pytest.fixture
def configured(synced: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes pipeline.yaml, whose files go below this test's own folder."""

    def write(yaml: str) -> None:
        (tmp_path / "pipeline.yaml").write_text(f"spreadsheets: {{folder: out}}\n{yaml}", encoding="utf-8")
        monkeypatch.setenv("GUSTO_PIPELINE_CONFIG", str(tmp_path / "pipeline.yaml"))

    return write


def run(synced: Pipeline, name: str) -> Path:
    settings = load_settings()
    return Path(flatten(settings.job(name), synced.company, settings).place)


def cells(path: Path) -> list[tuple[object, ...]]:
    """The first sheet after "Read me"."""
    return list(openpyxl.load_workbook(path).worksheets[1].iter_rows(values_only=True))


def test_columns_are_picked_renamed_ordered_and_computed(synced, configured):
    configured("""
jobs:
  - name: people
    category: employees
    columns: [last_name, {column: work_email, header: E-mail}, {sql: "upper(first_name)", header: Shout}]
""")
    header, *rows = cells(run(synced, "people"))
    assert header == ("last_name", "E-mail", "Shout")
    wanted = synced.query(
        "SELECT last_name, work_email, upper(first_name) FROM flat.employees WHERE company_uuid = $1",
        synced.company.uuid,
    )
    assert sorted(rows, key=str) == sorted(wanted, key=str)


def test_a_filter_keeps_only_its_rows(synced, configured):
    configured("jobs: [{name: leavers, category: employees, columns: [uuid, terminated], filter: terminated}]")
    _, *rows = cells(run(synced, "leavers"))
    assert rows
    assert {row[1] for row in rows} == {True}


def test_secret_columns_are_left_out_unless_named(synced, configured):
    configured("jobs: [{name: all, category: contractors}, {name: named, category: contractors, pii: {ein: keep}}]")
    assert "ein" not in cells(run(synced, "all"))[0]
    assert "ein" in cells(run(synced, "named"))[0]


def test_masked_hashed_and_dropped_columns_do_not_show_their_values(synced, configured):
    configured("""
jobs:
  - name: guarded
    category: employees
    columns: [work_email, phone, date_of_birth]
    pii: {work_email: mask, phone: hash, date_of_birth: drop}
""")
    header, *rows = cells(run(synced, "guarded"))
    assert header == ("work_email", "phone")
    emails = [row[0] for row in rows if row[0]]
    assert all("•••@" in str(email) for email in emails)
    real = {row[0] for row in synced.query("SELECT phone FROM staging.employees")}
    assert not real & {row[1] for row in rows if row[1]}


def test_several_categories_are_sheets_of_one_workbook(synced, configured):
    configured("jobs: [{name: both, categories: [contractors, time_off]}]")
    names = openpyxl.load_workbook(run(synced, "both")).sheetnames
    assert names[:2] == ["Read me", "contractors"]
    assert {"time_off", "time_off_days", "time_off_policies"} <= set(names)


def test_csv_and_parquet_hold_the_same_rows_as_the_warehouse(synced, configured):
    configured("""
jobs:
  - {name: as_csv, category: employees, format: csv, columns: [uuid, employee_code, compensation__rate]}
  - {name: as_parquet, category: employees, format: parquet, columns: [uuid, employee_code, compensation__rate]}
""")
    wanted = synced.query(
        "SELECT uuid, employee_code, compensation__rate FROM flat.employees WHERE company_uuid = $1",
        synced.company.uuid,
    )
    table = pyarrow.parquet.read_table(run(synced, "as_parquet"))
    assert sorted(zip(*(column.to_pylist() for column in table.columns), strict=True)) == sorted(wanted)
    with duckdb.connect() as connection:
        found = connection.execute(
            "FROM read_csv($1, types = {'employee_code': 'VARCHAR', 'compensation__rate': 'DECIMAL(18,4)'})",
            [str(run(synced, "as_csv"))],
        ).fetchall()
    assert sorted(found) == sorted(wanted)


def test_company_and_date_are_filled_into_the_file_name(synced, configured):
    configured("jobs: [{name: list, category: contractors, format: csv, file: '{company}-{job}-{date}'}]")
    name = run(synced, "list").name
    assert name.startswith(f"{synced.company.slug}-list-20")
    assert name.endswith(".csv")


def test_a_remote_destination_gets_the_file_once(synced, configured):
    configured(
        "jobs: [{name: far, category: contractors, format: csv, file: '{company}', destination: 'memory://far/away'}]"
    )
    settings = load_settings()
    first = flatten(settings.job("far"), synced.company, settings)
    second = flatten(settings.job("far"), synced.company, settings)
    assert (first.changed, second.changed) == (True, False)
    sent = fsspec.filesystem("memory").cat_file(f"/far/away/{synced.company.slug}.csv")
    assert sent == (settings.home / "outbox" / "far" / synced.company.slug / f"{synced.company.slug}.csv").read_bytes()


def test_a_remote_destination_that_refuses_keeps_its_old_file_and_hides_the_password(synced, configured):
    configured(
        "jobs: [{name: no, category: contractors, format: csv, file: '{company}', destination: 'sftp://u:pw@127.0.0.1:1/x'}]"
    )
    settings = load_settings()
    with pytest.raises(SpreadsheetError, match=r"sftp://127\.0\.0\.1/x/.*was not written") as caught:
        flatten(settings.job("no"), synced.company, settings)
    assert "pw" not in str(caught.value).split("was not written")[0]


@pytest.mark.parametrize(
    ("job", "problem"),
    [
        (
            "{name: x, category: employes}",
            "line 2: jobs.0.categories: there is no category 'employes'; did you mean employees?",
        ),
        ("{name: x, category: employees, fromat: csv}", "line 2: unknown key jobs.0.fromat; did you mean format?"),
        ("{name: X y, category: employees}", "jobs.0.name: 'X y' is no name"),
        ("{name: x, category: employees, file: ../up}", "jobs.0.file: is no file name"),
        ("{name: x, category: employees, file: '{who}'}", "may only hold the placeholders"),
        ("{name: x, category: employees, frequency: often}", "jobs.0.frequency: is neither once, hourly"),
        ("{name: employees, category: employees}", "names have to differ"),
        ("{name: x, category: employees, columns: [{sql: '1'}]}", "needs a `header`"),
        ("{name: x, category: employees, pii: {email: hide}}", "jobs.0.pii.email"),
    ],
)
def test_a_wrong_job_is_named_with_file_line_and_key(configured, command, job, problem):
    configured(f"jobs: [{job}]")
    said = command("config", "check")
    assert said.code == 1
    assert problem in " ".join(said.err.split())


def test_two_jobs_may_not_write_the_same_file(configured, command):
    configured("jobs: [{name: x, category: employees, file: same}, {name: y, category: contractors, file: Same}]")
    assert "the job 'x' and the job 'y' would write the same file" in " ".join(command("config", "check").err.split())


@pytest.mark.parametrize(
    ("jobs", "problem"),
    [
        ("{name: x, category: employees, file: Contractors}", "the category 'contractors' and the job 'x'"),
        (
            "{name: x, category: employees, format: csv, file: employees.jobs}",
            "the category 'employees' and the job 'x'",
        ),
        (
            "{name: x, category: employees, format: csv}, {name: y, category: contractors, format: csv, file: x.jobs}",
            "the job 'x' and the job 'y'",
        ),
        (
            "{name: y, category: contractors, format: csv, file: x.jobs}, {name: x, category: employees, format: csv}",
            "the job 'y' and the job 'x'",
        ),
    ],
)
def test_nor_one_of_the_files_another_output_is_made_of(configured, command, jobs, problem):
    configured(f"jobs: [{jobs}]")
    assert f"{problem} would write the same file" in " ".join(command("config", "check").err.split())


@pytest.mark.parametrize(
    "jobs",
    [
        "{name: x, category: employees, file: contractors, destination: elsewhere/, companies: [Acme Tea Co]}",
        "{name: x, category: employees, file: same}, {name: y, category: employees, file: same, format: csv}",
        "{name: x, category: employees, file: employees.jobs}",
    ],
)
def test_files_in_other_places_or_formats_are_others(configured, command, jobs):
    configured(f"jobs: [{jobs}]")
    assert command("config", "check").code == 0


def test_a_job_says_which_column_it_does_not_find(synced, configured):
    configured("jobs: [{name: x, category: employees, columns: [lastname]}]")
    with pytest.raises(SpreadsheetError, match="table employees has no column 'lastname'; did you mean last_name"):
        run(synced, "x")


def test_the_preroll_finds_every_planted_problem_in_one_run(synced, configured, tmp_path):
    (tmp_path / "blocked").write_text("a file where a folder has to be")
    configured(f"""
jobs:
  - name: broken
    categories: [employees, payrolls]
    companies: ['{synced.companies[0].name}', '{synced.companies[1].name}', No Such Company, Nor This]
    destination: {tmp_path / "blocked" / "deeper"}
    file: '{{company}}'
    columns:
      employees: [lastname, {{sql: 'nonsense +', header: A}}, {{sql: unknown_function(1), header: B}}]
      no_such_table: [uuid]
    filter: {{employees: 'no_such_column > 1', payrolls: 'check_date >'}}
    pii: {{no_such_field: drop}}
""")
    scopes = ["public", "companies:read", "employees:read"]
    grant = synced.sandbox.new_grant(synced.companies[1].uuid, scopes=scopes)

    def connect(company: Company) -> GustoClient:
        token = grant["access_token"] if company == synced.companies[1] else "revoked"
        return GustoClient(synced.app.base_url, Bearer(token))

    problems = preroll(load_settings().job("broken"), load_settings(), connect).problems
    planted = (
        "'No Such Company'",
        "'Nor This'",
        f"{synced.companies[0].slug}: ",
        f"{synced.companies[1].slug}: the grant lacks the scope payrolls:read",
        "is a file where a folder has to be",
        "no column 'lastname'",
        "table employees: Parser Error: syntax error",
        "table payrolls: Parser Error: syntax error",
        "unknown_function",
        "'no_such_table'",
        "no_such_column",
        "'no_such_field'",
    )
    told = {words: [problem for problem in problems if words in problem] for words in planted}
    assert [words for words, found in told.items() if len(found) != 1] == []
    assert len({found[0] for found in told.values()}) == len(planted) == len(problems) >= 10


def test_the_preroll_of_a_good_job_finds_nothing_and_estimates_its_cost(synced, configured):
    configured("jobs: [{name: good, categories: [employees, contractors]}]")
    found = preroll(load_settings().job("good"), load_settings(), synced.client)
    assert found.problems == ()
    assert found.requests == 4
    people = synced.query("SELECT count(*) FROM staging.employees")[0][0]
    assert found.rows > people


def test_the_preroll_knows_the_columns_of_custom_fields(synced, configured):
    configured("""
jobs:
  - {name: good, category: employees, companies: [Acme Tea Co], columns: [custom__t_shirt],
     filter: custom__t_shirt IS NOT NULL, pii: {custom__t_shirt: mask}}
""")
    assert preroll(load_settings().job("good"), load_settings(), synced.client).problems == ()


def test_a_job_is_an_asset_with_a_schedule_of_its_own_that_is_off(synced, configured):
    configured("""
jobs:
  - {name: weekly_list, category: contractors, frequency: weekly, hour: 7, timezone: Europe/Paris}
  - {name: by_hand, category: contractors, file: other, frequency: once}
""")
    script = (
        "from gusto_pipeline.definitions import defs\n"
        "print(sorted(s.key.to_user_string() for s in defs.resolve_all_asset_specs() if s.key.path[-1] in "
        "('weekly_list', 'by_hand')))\n"
        "schedule = defs.get_schedule_def('flatten_weekly_list_schedule')\n"
        "print(schedule.cron_schedule, schedule.execution_timezone, schedule.default_status.value)\n"
        "print(defs.has_schedule_def('flatten_by_hand_schedule') if hasattr(defs, 'has_schedule_def') else "
        "[s.name for s in defs.schedules])\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    keys, schedule, names = done.stdout.splitlines()
    assert keys == "['spreadsheets/by_hand', 'spreadsheets/weekly_list']"
    assert schedule == "0 7 * * 1 Europe/Paris STOPPED"
    assert "by_hand" not in names


def test_the_flatten_command_syncs_and_writes_the_job(synced, configured, tmp_path):
    configured("jobs: [{name: now, category: contractors, columns: [uuid]}]")
    command = [
        str(Path(sys.executable).with_name("gusto-pipeline")),
        "flatten",
        "now",
        "--company",
        synced.company.slug,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "now.xlsx" in done.stdout
    assert (tmp_path / "out" / synced.company.slug / "now.xlsx").exists()


def test_custom_fields_are_typed_columns_of_the_employees_sheet(synced, configured):
    configured("jobs: [{name: custom, category: employees}]")
    header, *rows = cells(run(synced, "custom"))
    fields = synced.query(
        "SELECT DISTINCT name, type FROM staging.employee_custom_fields WHERE company_uuid = $1", synced.company.uuid
    )
    uuid = header.index("uuid")
    kinds = {"number": (int, float), "currency": (int, float), "date": datetime, "text": str, "radio": str}
    for name, kind in fields:
        at = header.index(f"custom__{re.sub('[^0-9a-z]+', '_', str(name).casefold()).strip('_')}")
        found = {row[uuid]: row[at] for row in rows if row[at] is not None}
        wanted = synced.query(
            "SELECT employee_uuid FROM staging.employee_custom_fields "
            "WHERE company_uuid = $1 AND name = $2 AND value <> ''",
            synced.company.uuid,
            name,
        )
        assert set(found) == {row[0] for row in wanted}
        assert all(isinstance(value, kinds[str(kind)]) for value in found.values())


def test_a_custom_field_with_a_value_that_does_not_fit_its_type_stays_text(synced, configured):
    configured("jobs: [{name: custom, category: employees}]")
    with open_warehouse(synced.settings).write() as connection:
        connection.execute(
            "INSERT INTO staging.employee_custom_fields (company_uuid, employee_uuid, id, company_custom_field_id, "
            "name, type, value, position) SELECT company_uuid, uuid, 'x', 'odd', 'Odd number', 'number', 'about 3', 99 "
            "FROM staging.employees WHERE company_uuid = $1 LIMIT 1",
            [synced.company.uuid],
        )
    header, *rows = cells(run(synced, "custom"))
    assert "about 3" in {row[header.index("custom__odd_number")] for row in rows}


def test_a_google_sheets_job_writes_a_tab_per_table_and_leaves_it_when_nothing_changed(synced, configured, monkeypatch):
    with running_google() as google:
        book = google.new_spreadsheet()
        configured(f"jobs: [{{name: tabs, category: contractors, format: google_sheets, destination: {book.id}}}]")
        monkeypatch.setenv("GOOGLE_BASE_URL", google.base_url)
        settings = load_settings()
        connect_google(settings, google.service_account_key)
        first = flatten(settings.job("tabs"), synced.company, settings)
        assert preroll(settings.job("tabs"), settings, synced.client).problems == ()
        second = flatten(settings.job("tabs"), synced.company, settings)
        name = f"{synced.company.slug} contractors"
        values = google_client(google.service_account_key, base_urls=google.base_urls).open_by_key(book.id)
        header, *rows = values.worksheet(name).get_all_values()
    assert (first.changed, second.changed) == (True, False)
    wanted = synced.query("SELECT uuid FROM staging.contractors WHERE company_uuid = $1", synced.company.uuid)
    assert {row[header.index("uuid")] for row in rows} == {row[0] for row in wanted}


def test_a_google_sheets_job_without_a_connection_says_how_to_connect(synced, configured, tmp_path, monkeypatch):
    configured("jobs: [{name: tabs, category: contractors, format: google_sheets, destination: some-id}]")
    open_store(load_settings()).delete("google")
    with pytest.raises(SpreadsheetError, match="gusto-pipeline connect google"):
        flatten(load_settings().job("tabs"), synced.company, load_settings())
