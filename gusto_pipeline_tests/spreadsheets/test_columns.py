"""What becomes of a sheet's columns when Gusto's answers change from one sync to the next."""

from __future__ import annotations

import csv
import dataclasses
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.spreadsheets.layout import Choice, Layout
from gusto_pipeline.spreadsheets.workbook import Subject, write_tables
from gusto_pipeline.spreadsheets.writers import SpreadsheetError, Written
from gusto_pipeline.warehouse.flatten import rows
from gusto_pipeline_tests.warehouse.landing import (
    COMPANY,
    SOURCES,
    landing,
    load_landed,
    load_records,
    open_warehouse,
)


class Book:
    """A category's workbook and CSV files, written anew after each sync of some records."""

    def __init__(self, folder: Path, category: str) -> None:
        self.folder, self.category = folder, category
        self.warehouse = open_warehouse(folder)
        self.tables = [table for source in CATEGORIES[category].sources for table in rows(source.table)]
        self.path = folder / "out" / f"{category}.xlsx"

    def sync(self, *records: dict[str, Any], source: str = "") -> None:
        load_records(self.warehouse, self.folder, source or self.category, list(records))

    def write(self, layout: Layout | None = None, name: str = "", *formats: str) -> list[Written]:
        subject = Subject(self.category, "", [self.category], self.folder / "versions")
        return write_tables(
            self.warehouse, name or self.category, self.tables, COMPANY, self.folder / "out",
            formats=formats or ["xlsx"], timezone="UTC", subject=subject, layout=layout,
        )  # fmt: skip

    def synced(self, *records: dict[str, Any], layout: Layout | None = None) -> Written:
        """Sync and write; the workbook."""
        self.sync(*records)
        return self.write(layout)[0]

    def rows(self, sheet: str = "") -> list[tuple[Any, ...]]:
        """The rows of one sheet, without reading the others."""
        with closing(openpyxl.load_workbook(self.path, read_only=True)) as book:
            return list(book[sheet or self.category].iter_rows(values_only=True))

    def header(self, sheet: str = "") -> list[Any]:
        return list(self.rows(sheet)[0])

    def column(self, name: str, sheet: str = "") -> list[Any]:
        header, *lines = self.rows(sheet)
        return [line[header.index(name)] for line in lines]

    def note(self, column: str, sheet: str = "") -> str:
        page = openpyxl.load_workbook(self.path)[sheet or self.category]
        (comment,) = (cell.comment for cell in page[1] if cell.value == column)
        return comment.text if comment else ""

    def read_me(self) -> str:
        return "\n".join(str(row[0]) for row in self.rows("Read me"))


@pytest.fixture
def departments(tmp_path: Path) -> Book:
    return Book(tmp_path, "departments")


@pytest.fixture
def employees(tmp_path: Path) -> Book:
    return Book(tmp_path, "employees")


def department(number: int, **more: Any) -> dict[str, Any]:
    return {"uuid": f"d-{number}", "title": f"Department {number}", "version": "1"} | more


def person(**more: Any) -> dict[str, Any]:
    return {"uuid": "e-1"} | more


def custom(name: str, value: str, kind: str = "number", field: str = "") -> dict[str, Any]:
    return {
        "id": f"v-{name}",
        "company_custom_field_id": field or f"f-{name}",
        "name": name,
        "type": kind,
        "value": value,
    }


class TestANewField:
    def test_is_the_last_column_and_announced(self, departments):
        departments.synced(department(1), department(2))
        before = departments.header()
        written = departments.synced(department(1), department(2, cost_center=4711))
        assert departments.header() == [*before, "cost_center"]
        assert departments.column("cost_center") == [None, "4711"]
        told = 'Gusto sends a new field of departments since 2026-06-15, cost_center: it is in column "cost_center"'
        assert written.warnings == (told,)
        assert written.news == (told,)
        assert told in departments.read_me()
        assert "not known here yet" in departments.note("cost_center")

    def test_is_news_once_and_stays_announced(self, departments):
        departments.synced(department(1))
        departments.synced(department(1, cost_center=4711))
        again = departments.synced(department(1, cost_center=4711))
        assert (again.unchanged, again.news, len(again.warnings)) == (True, (), 1)

    def test_is_no_news_in_the_first_version_but_announced(self, departments):
        written = departments.synced(department(1, cost_center=4711))
        assert (len(written.warnings), written.news) == (1, ())
        assert departments.header()[-1] == "cost_center"

    def test_of_an_object_within_is_a_column_of_the_same_sheet(self, employees):
        address = {"city": "Denver", "county": "Jefferson"}
        employees.synced({"uuid": "e-1", "current_home_address": address})
        assert employees.header()[-1] == "current_home_address__county"
        assert employees.column("current_home_address__county") == ["Jefferson"]

    def test_of_a_record_in_a_list_is_the_last_column_of_that_sheet(self, employees):
        jobs = [{"uuid": "j-1", "grade": "B"}, {"uuid": "j-2", "compensations": [{"uuid": "c-1", "step": 3}]}]
        employees.synced({"uuid": "e-1", "jobs": jobs})
        assert (employees.header("jobs")[-1], employees.column("grade", "jobs")) == ("grade", ["B", None])
        assert (employees.header("compensations")[-1], employees.column("step", "compensations")) == ("step", ["3"])

    def test_that_is_an_object_or_a_list_is_one_column_of_json(self, departments):
        departments.synced(department(1, lead={"name": "Ann", "since": None}, tags=["a", {"b": 1}]))
        assert departments.column("lead") == ['{"name":"Ann","since":null}']
        assert departments.column("tags") == ['["a",{"b":1}]']

    def test_that_was_always_empty_is_not_shown(self, departments):
        departments.synced(department(1, cost_center=None))
        assert departments.header()[-1] == "version"

    def test_is_in_every_format(self, departments):
        departments.sync(department(1, cost_center=4711))
        departments.write(None, "", "csv", "parquet")
        with (departments.folder / "out" / "departments.csv").open(encoding="utf-8-sig") as lines:
            header, line = csv.reader(lines)
        assert (header[-1], line[-1]) == ("cost_center", "4711")

    def test_named_like_another_column_gets_a_name_of_its_own(self, employees):
        record = {
            "uuid": "e-1",
            "Uuid": "other",
            "manager__name": "x",
            "jobs": [{"uuid": "j-1", "location__uuid": "y"}],
        }
        employees.synced(record)
        assert set(employees.header()[-2:]) == {"Uuid (2)", "manager__name (2)"}
        assert employees.column("Uuid (2)") == ["other"]
        assert employees.column("location__uuid (2)", "jobs") == ["y"]

    def test_that_no_sheet_has_room_for_is_announced(self, tmp_path):
        book = Book(tmp_path, "custom_fields")
        book.sync({"custom_fields": [{"uuid": "f-1"}], "total_fields": 1}, source="custom_field_schema")
        (written, *_) = book.write()
        assert written.warnings == (
            "Gusto sends a new field of custom_field_schema since 2026-06-15, total_fields: no sheet shows it",
        )

    def test_is_not_added_to_columns_a_job_chose_but_may_be_chosen(self, departments):
        departments.sync(department(1, cost_center=4711))
        chosen = Layout(columns={"departments": [Choice("title")]})
        (written, *_) = departments.write(chosen)
        assert departments.header() == ["title"]
        assert written.warnings[0].endswith("cost_center: the job does not choose it")
        departments.write(Layout(columns={"departments": [Choice("title"), Choice("cost_center")]}))
        assert departments.column("cost_center") == ["4711"]


class TestASensitiveNewField:
    @pytest.mark.parametrize(
        "field",
        [
            "ssn", "ssn_last_four", "bankAccount", "routing_number", "new_tax_id", "annual_salary", "hourly_rate",
            "wages", "pay", "gross_earnings", "api_token", "card_number", "gender", "medical_note", "dob",
        ],
    )  # fmt: skip
    def test_is_left_out_and_that_is_said(self, departments, field):
        written = departments.synced(department(1, **{field: "078-05-1120"}))
        assert field not in departments.header()
        assert len(written.warnings) == 1
        assert f", {field}: left out, for by its names it may be about pay" in written.warnings[0]
        assert f"departments, left out: {field}" in departments.read_me()
        held = b"".join(file.read_bytes() for file in (departments.folder / "versions").rglob("*") if file.is_file())
        assert b"078-05-1120" not in held + departments.path.read_bytes()

    @pytest.mark.parametrize(
        "field", ["cost_center", "since", "network", "payroll_group", "pinned", "rated", "single_team"]
    )
    def test_is_told_from_others_by_whole_words(self, departments, field):
        departments.synced(department(1, **{field: "x"}))
        assert departments.header()[-1] == field

    @pytest.mark.parametrize("value", [{"name": "x", "account_number": "1"}, [{"deep": {"ssn": "1"}}]])
    def test_may_be_so_by_a_name_inside(self, departments, value):
        departments.synced(department(1, details=value))
        assert "details" not in departments.header()

    def test_is_shown_when_a_job_asks_for_it_by_name(self, departments):
        departments.synced(department(1, hourly_rate="19.50"), layout=Layout(pii={"hourly_rate": "keep"}))
        assert departments.column("hourly_rate") == ["19.50"]
        assert "left out" not in departments.read_me()


class TestOrder:
    def test_of_columns_never_changes_once_they_are_there(self, employees):
        employees.synced(person(custom_fields=[custom("Size", "7")]))
        first = employees.header()
        employees.synced(person(custom_fields=[custom("Size", "7"), custom("Age", "3")], zebra="z"))
        second = employees.header()
        assert second == [*first, "custom__age", "zebra"]
        employees.synced(person(custom_fields=[custom("Age", "3"), custom("Bonus", "1")], aardvark="a", zebra="z"))
        assert employees.header() == [*second, "custom__bonus", "aardvark"]

    def test_is_kept_where_a_newer_catalog_adds_a_column(self, departments, monkeypatch):
        departments.synced(department(1, cost_center=4711))
        before = departments.header()
        table = departments.tables[0].table
        known = dataclasses.replace(
            table, columns=(dataclasses.replace(table.columns[0], path="head_count"), *table.columns)
        )
        departments.tables[0] = dataclasses.replace(departments.tables[0], table=known)
        with departments.warehouse.write() as connection:
            connection.execute("ALTER TABLE staging.departments ADD COLUMN head_count VARCHAR")
            connection.execute(
                "CREATE OR REPLACE VIEW flat.departments AS FROM (SELECT head_count, * EXCLUDE "
                "(head_count), NULL::BIGINT AS department_members__rows FROM staging.departments)"
            )
        departments.write()
        assert departments.header() == [*before, "head_count"]

    def test_starts_anew_when_what_was_remembered_cannot_be_read(self, departments):
        departments.synced(department(1))
        before = departments.header()
        (departments.folder / "versions" / "columns.json").write_text('{"tables": {"departments": 7}}')
        departments.synced(department(1))
        assert departments.header() == before

    def test_is_remembered_in_a_private_file(self, departments):
        departments.synced(department(1))
        assert stat.S_IMODE((departments.folder / "versions" / "columns.json").stat().st_mode) == 0o600


class TestAFieldThatVanished:
    def test_stays_an_empty_column_and_is_marked(self, departments):
        departments.synced(department(1))
        before = departments.header()
        written = departments.synced({"uuid": "d-1", "version": "1"})
        assert departments.header() == before
        assert departments.column("title") == [None]
        told = 'sheet "departments", column "title": Gusto no longer sends it; it stays, empty'
        assert (written.warnings, written.news) == ((told,), (told,))
        assert told in departments.read_me()
        assert "Gusto no longer sends it." in departments.note("title")

    def test_and_comes_back_is_a_column_like_before(self, departments):
        for record in (department(1), {"uuid": "d-1", "version": "1"}, department(1)):
            written = departments.synced(record)
        assert departments.column("title") == ["Department 1"]
        assert (written.warnings, written.news) == ((), ())

    @pytest.mark.parametrize("now", [{"title": None}, {"title": ""}])
    def test_is_not_one_that_is_only_empty(self, departments, now):
        departments.synced(department(1))
        assert departments.synced(department(1, **now)).warnings == ()

    def test_is_not_one_of_an_object_that_is_not_there(self, employees):
        employees.synced({"uuid": "e-1", "current_home_address": {"city": "Denver", "zip": "80202"}})
        assert employees.synced({"uuid": "e-1", "current_home_address": None}).warnings == ()
        (told,) = employees.synced({"uuid": "e-1", "current_home_address": {"city": "Denver"}}).warnings
        assert 'column "current_home_address__zip"' in told

    def test_that_was_new_stays_too(self, departments):
        departments.synced(department(1, cost_center=4711))
        (told,) = departments.synced(department(1)).warnings
        assert told.startswith('sheet "departments", column "cost_center": Gusto no longer sends it')
        assert departments.header()[-1] == "cost_center"

    def test_that_was_a_custom_field_stays_too(self, employees):
        employees.synced({"uuid": "e-1", "custom_fields": [custom("Size", "7")]})
        before = employees.header()
        (told,) = employees.synced({"uuid": "e-1", "custom_fields": []}).warnings
        assert told.startswith('sheet "employees", column "custom__size": Gusto no longer sends it')
        assert employees.header() == before
        assert employees.column("custom__size") == [None]

    def test_may_still_be_chosen_and_filtered_by(self, employees):
        layout = Layout({"employees": [Choice("uuid"), Choice("custom__size")]}, {"employees": "custom__size IS NULL"})
        employees.synced(person(custom_fields=[custom("Size", "7")]), {"uuid": "e-2"}, layout=layout)
        assert employees.column("uuid") == ["e-2"]
        employees.synced(person(), {"uuid": "e-2"}, layout=layout)
        assert (employees.column("uuid"), employees.column("custom__size")) == (["e-1", "e-2"], [None, None])

    def test_of_a_table_without_rows_is_none(self, departments):
        departments.synced(department(1))
        assert departments.synced().warnings == ()


class TestAnotherKindOfValue:
    @pytest.mark.parametrize(
        ("before", "now", "sheet", "column", "had", "has"),
        [
            ({"novel": 7}, {"novel": "seven"}, "employees", "novel", "numbers", "text"),
            ({"novel": "a"}, {"novel": {"b": 1}}, "employees", "novel", "text", "objects"),
            ({"novel": True}, {"novel": [1]}, "employees", "novel", "true or false", "lists"),
            ({"department": "Sales"}, {"department": {"title": "Sales"}}, "employees", "department", "text",
             "objects or lists"),
            ({"jobs": [{"uuid": "j", "title": "Cook"}]}, {"jobs": [{"uuid": "j", "title": ["Cook"]}]}, "jobs", "title",
             "text", "objects or lists"),
            ({"custom_fields": [custom("Size", "7")]}, {"custom_fields": [custom("Size", "large")]}, "employees",
             "custom__size", "numbers", "text"),
        ],
    )  # fmt: skip
    def test_stops_the_sheet_by_name_and_keeps_the_files(self, employees, before, now, sheet, column, had, has):
        employees.synced(person(**before))
        kept = {file: file.read_bytes() for file in (employees.folder / "out").iterdir()}
        with pytest.raises(SpreadsheetError) as refused:
            employees.synced(person(**now))
        assert f'sheet "{sheet}", column "{column}" had {had} and now has {has}' in str(refused.value)
        assert {file: file.read_bytes() for file in (employees.folder / "out").iterdir()} == kept

    def test_is_taken_once_the_earlier_files_are_moved_away(self, departments):
        departments.synced(department(1, novel=7))
        departments.sync(department(1, novel="seven"))
        for _ in range(2):
            with pytest.raises(SpreadsheetError, match=r"departments\.xlsx stays: .* move the earlier file away"):
                departments.write()
        for file in (departments.folder / "out").iterdir():
            file.unlink()
        departments.write()
        assert departments.column("novel") == ["seven"]
        assert departments.synced(department(1, novel="eight")).warnings

    def test_stops_a_file_with_another_name_too(self, departments):
        departments.sync(department(1, novel=7))
        departments.write(None, "monday")
        departments.sync(department(1, novel="seven"))
        with pytest.raises(SpreadsheetError, match=r"monday\.xlsx stays"):
            departments.write(None, "tuesday")

    def test_is_nothing_that_a_column_of_several_kinds_minds(self, departments):
        departments.synced(department(1, novel=7), department(2, novel="seven"))
        departments.synced(department(1, novel=7), department(2, novel=8))
        assert departments.column("novel") == ["7", "8"]

    def test_is_not_seen_while_there_are_no_values(self, departments):
        for value in (7, None, 8):
            departments.synced(department(1, novel=value))
        assert departments.column("novel") == ["8"]
        departments.synced(department(1, novel=None))
        departments.sync(department(1, novel="seven"))
        with pytest.raises(SpreadsheetError, match="had numbers and now has text"):
            departments.write()

    def test_is_not_one_text_among_others_that_looks_like_a_list(self, departments):
        departments.synced(department(1), department(2))
        departments.synced(department(1, title="[draft]"), department(2))
        departments.synced(department(1, title="[draft]"), department(2, title="{x}"))
        assert departments.column("title") == ["[draft]", "{x}"]


class TestACustomField:
    def test_that_was_text_stays_text_when_its_values_are_numbers(self, employees):
        for value in ("about 3", "3"):
            employees.synced(person(custom_fields=[custom("Size", value)]))
        assert employees.column("custom__size") == ["3"]

    def test_keeps_its_column_when_it_is_renamed(self, employees):
        employees.synced(person(custom_fields=[custom("Size", "7", field="f-1")]))
        before = employees.header()
        employees.synced(person(custom_fields=[custom("Shoe size", "8", field="f-1")]))
        assert employees.header() == before
        assert (employees.column("custom__size"), employees.note("custom__size")) == ([8], "Custom field Shoe size")

    def test_of_the_same_name_as_another_has_a_column_of_its_own(self, employees):
        fields = [custom("Size", "7", field="f-2"), custom("size", "8", field="f-1") | {"id": "v-2"}]
        employees.synced(person(custom_fields=fields))
        assert (employees.column("custom__size"), employees.column("custom__size (2)")) == ([7], [8])

    def test_with_more_in_it_than_its_type_holds_is_text(self, employees):
        given = [
            ("number", "1.23456789"),
            ("number", "1e-30"),
            ("number", "1_000"),
            ("number", "1e400"),
            ("number", "1" * 20),
            ("currency", "0.00001"),
            ("date", "2026-01-31 10:00:00"),
            ("date", "2026-01-31T00:00:00"),
            ("date", "2026-02-31"),
        ]
        fields = [
            custom(f"Size {number}", value, kind, field=f"f-{number}") | {"id": f"v-{number}"}
            for number, (kind, value) in enumerate(given)
        ]
        employees.synced(person(custom_fields=fields))
        for number, (_, value) in enumerate(given):
            assert employees.column(f"custom__size_{number}") == [value]


def test_what_is_remembered_is_of_each_workbook_by_itself(departments):
    departments.synced(department(1, novel=7))
    departments.sync(department(1, novel="seven"))
    folder = departments.folder
    subject = Subject("another", "", ["departments"], folder / "another")
    write_tables(
        departments.warehouse, "another", departments.tables, COMPANY, folder / "out",
        formats=["csv"], timezone="UTC", subject=subject,
    )  # fmt: skip
    assert (folder / "out" / "another.csv").exists()


def test_a_field_in_the_answers_of_another_company_is_none_of_this_one(departments):
    answers = [[department(1, novel=7)]]
    landed = landing(departments.folder, SOURCES["departments"].table, answers, company="another")
    load_landed(departments.warehouse, landed)
    assert departments.synced(department(1)).warnings == ()
    assert "novel" not in departments.header()
