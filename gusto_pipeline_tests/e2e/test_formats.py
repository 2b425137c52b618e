"""Each job of the demo, for two companies, read back by who reads such files: the same values, of the same types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow.parquet
import pytest
from python_calamine import CalamineWorkbook

from gusto_pipeline.cli_demo import PIPELINE, SPREADSHEET
from gusto_pipeline.config import FlattenJob, Settings, load_settings
from gusto_pipeline.google_connection import connect_google, google
from gusto_pipeline.jobs import flatten, job_layout, job_subject, job_tables
from gusto_pipeline.sandbox.google.accounts import PERSON
from gusto_pipeline.sandbox.server import running_google
from gusto_pipeline.spreadsheets import columns
from gusto_pipeline.spreadsheets.layout import arrange
from gusto_pipeline.sync import Company, open_warehouse
from gusto_pipeline_tests.conftest import Pipeline, connected

Row = tuple[Any, ...]


class Selected:
    """What DuckDB selects for one sheet: names, types and rows."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, query: str) -> None:
        described = connection.execute(f"DESCRIBE {query}").fetchall()
        self.names = [row[0] for row in described]
        self.types = [row[1] for row in described]
        self.rows: list[Row] = connection.execute(query).fetchall()


class Written:
    """The demo's jobs, written for two companies, and what they were written from."""

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self.pipeline, self.settings = pipeline, settings
        self.folders: dict[tuple[str, str], Path] = {}
        for job in settings.jobs:
            for company in pipeline.companies:
                place = flatten(job, company, settings).place
                self.folders[job.name, company.slug] = Path(place).parent

    def job(self, format: str) -> FlattenJob:
        [job] = [job for job in self.settings.jobs if job.format == format]
        return job

    def selected(self, job: FlattenJob, company: Company) -> dict[str, Selected]:
        with open_warehouse(self.settings).read() as connection:
            memory = columns.load(job_subject(job, company, self.settings).versions)
            sheets = arrange(connection, job_tables(job), company.uuid, job_layout(job), memory).sheets
            return {sheet.name: Selected(connection, sheet.query) for sheet in sheets}

    def each(self, format: str) -> Iterator[tuple[Company, str, Selected, Path]]:
        """Every company and sheet of the job of a format, and the file it is in."""
        job = self.job(format)
        for company in self.pipeline.companies:
            for position, (name, selected) in enumerate(self.selected(job, company).items()):
                suffix = f".{name}" if position and format != "xlsx" else ""
                yield company, name, selected, self.folders[job.name, company.slug] / f"{job.name}{suffix}.{format}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    home = tmp_path_factory.mktemp("demo")
    with (
        connected(home, companies=2, employees=30) as pipeline,
        running_google() as sandbox,
        pytest.MonkeyPatch.context() as patch,
    ):
        (home / "pipeline.yaml").write_text(PIPELINE.partition("provisioning:")[0], encoding="utf-8")
        patch.setenv("GOOGLE_BASE_URL", sandbox.base_url)
        settings = load_settings()
        sandbox.drive.create("People", {PERSON}, key=SPREADSHEET)
        connect_google(settings, sandbox.oauth_record)
        for company in pipeline.companies:
            for category in ("employees", "contractors", "time_off", "departments"):
                pipeline.sync(category, company)
        yield Written(pipeline, settings)


def test_the_demo_has_a_job_for_each_format(written):
    assert sorted(job.format for job in written.settings.jobs) == ["csv", "google_sheets", "parquet", "xlsx"]


def spreadsheet_value(value: Any, zone: ZoneInfo) -> Any:
    """What a spreadsheet shows of DuckDB's value: numbers, booleans, text, days and instants without a zone."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.astimezone(zone).replace(tzinfo=None) if value.tzinfo else value
    return None if value == "" else value


def test_xlsx_read_by_calamine_is_what_duckdb_selects(written):
    zone = ZoneInfo(written.job("xlsx").timezone)
    seen = 0
    for _, name, selected, file in written.each("xlsx"):
        book = CalamineWorkbook.from_path(str(file))
        if not selected.rows:
            continue
        header, *rows = book.get_sheet_by_name(name).to_python()
        assert header == selected.names
        expected = [[spreadsheet_value(value, zone) for value in row] for row in selected.rows]
        assert [[None if value == "" else value for value in row] for row in rows] == expected
        for row, wanted in zip(rows, expected, strict=True):
            for value, want in zip(row, wanted, strict=True):
                assert want is None or isinstance(value, type(want)) or {type(value), type(want)} == {float, int}
        seen += len(rows)
    assert seen > 40


def test_parquet_read_by_pyarrow_is_what_duckdb_selects(written):
    seen = 0
    for _, _, selected, file in written.each("parquet"):
        table = pyarrow.parquet.read_table(file)
        assert table.column_names == selected.names
        assert list(zip(*(column.to_pylist() for column in table.columns), strict=True)) == selected.rows
        with duckdb.connect() as connection:
            described = connection.execute("DESCRIBE FROM read_parquet($1)", [str(file)]).fetchall()
        assert [row[1] for row in described] == selected.types
        seen += len(selected.rows)
    assert seen > 40


def guarded(value: Any) -> Any:
    """Text that a spreadsheet program would run gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and re.match(r"[=+\-@\t\r\n]", value) else value


def test_csv_read_by_duckdb_is_what_duckdb_selects(written):
    seen = 0
    for _, _, selected, file in written.each("csv"):
        types = dict(zip(selected.names, selected.types, strict=True))
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            read = connection.execute("FROM read_csv($1, header = true, types = $2)", [str(file), types])
            assert [column[0] for column in read.description or ()] == selected.names
            rows = read.fetchall()
        assert rows == [tuple(guarded(value) for value in row) for row in selected.rows]
        seen += len(rows)
    assert seen > 5


EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - spreadsheets know no zones


def google_value(value: Any, zone: ZoneInfo) -> Any:
    """As Google gives it unformatted: days and instants are numbers of days."""
    value = spreadsheet_value(value, zone)
    if isinstance(value, datetime):
        return pytest.approx((value - EPOCH) / timedelta(days=1))
    if isinstance(value, date):
        return (value - EPOCH.date()).days
    return "" if value is None else value


def test_google_sheets_read_by_gspread_is_what_duckdb_selects(written):
    job = written.job("google_sheets")
    zone, seen = ZoneInfo(job.timezone), 0
    with google(written.settings) as client:
        book = client.open_by_key(SPREADSHEET)
        for company in written.pipeline.companies:
            for name, selected in written.selected(job, company).items():
                tab = book.worksheet(f"{company.slug} {name}")
                found = tab.get(
                    value_render_option="UNFORMATTED_VALUE", date_time_render_option="SERIAL_NUMBER", pad_values=True
                )
                header, *rows = found
                assert header == selected.names
                assert rows == [[google_value(value, zone) for value in row] for row in selected.rows]
                seen += len(rows)
    assert seen > 40
