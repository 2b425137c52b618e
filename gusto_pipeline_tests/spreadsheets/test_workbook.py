"""What makes a workbook pleasant: "Read me", "Changes", links to the main sheet, and people who left in grey."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from openpyxl.workbook import Workbook
from python_calamine import CalamineWorkbook

from gusto_pipeline.config import load_settings
from gusto_pipeline.jobs import job_layout, job_tables
from gusto_pipeline.spreadsheets import changes, xlsx
from gusto_pipeline.spreadsheets.workbook import Subject, write_tables
from gusto_pipeline.spreadsheets.writers import Written
from gusto_pipeline.sync import open_warehouse
from gusto_pipeline_tests.conftest import Pipeline, connected

Configure = Callable[[str], None]


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with connected(tmp_path_factory.mktemp("workbook"), employees=12) as pipeline:
        for category in ("employees", "contractors", "departments", "time_off", "payrolls", "payroll_lines"):
            pipeline.sync(category)
        yield pipeline


@pytest.fixture
def configured(synced: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Writes pipeline.yaml. Files, and what is remembered of them, go below this test's own folder."""
    (tmp_path / "warehouse.duckdb").write_bytes(synced.settings.warehouse.read_bytes())
    (tmp_path / "connections").symlink_to(synced.settings.connections)
    monkeypatch.setenv("GUSTO_PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("GUSTO_PIPELINE_CONFIG", str(tmp_path / "pipeline.yaml"))

    def write(job: str) -> None:
        (tmp_path / "pipeline.yaml").write_text(f"jobs: [{{name: book, {job}}}]", encoding="utf-8")

    return write


@pytest.fixture(scope="module")
def books() -> dict[str, Workbook]:
    return {}


@pytest.fixture
def book(synced: Pipeline, configured: Configure, books: dict[str, Workbook]) -> Callable[[str], Workbook]:
    """The workbook of some categories, for looking only: it is written and read once."""

    def look(categories: str) -> Workbook:
        if categories not in books:
            configured(f"categories: [{categories}]")
            books[categories] = openpyxl.load_workbook(write(synced).path)
        return books[categories]

    return look


def write(synced: Pipeline) -> Written:
    """Write the job's workbook."""
    settings, company = load_settings(), synced.company
    job = settings.job("book")
    (written,) = write_tables(
        open_warehouse(settings),
        job.name,
        job_tables(job),
        company.uuid,
        Path(job.destination) if job.destination else settings.spreadsheets_folder,
        formats=["xlsx"],
        timezone=job.timezone,
        subject=Subject("job book", "What the job is for", job.categories, settings.versions / "book"),
        layout=job_layout(job),
    )
    return written


def change(*statements: str) -> None:
    """Change the staged rows as a sync does, at a later time."""
    with open_warehouse(load_settings()).write() as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("UPDATE meta.syncs SET finished_at = finished_at + INTERVAL 1 DAY")


def rows(book: Workbook, sheet: str) -> list[tuple[Any, ...]]:
    return list(book[sheet].iter_rows(values_only=True))


def sheet(path: Path, name: str) -> list[tuple[Any, ...]]:
    """The rows of one sheet, without reading the others."""
    with closing(openpyxl.load_workbook(path, read_only=True)) as book:
        return rows(book, name)


def read_me(path: Path) -> str:
    return "\n".join(" | ".join(str(value) for value in row if value is not None) for row in sheet(path, "Read me"))


def changed_lines(path: Path) -> list[dict[str, Any]]:
    header, *lines = sheet(path, "Changes")
    return [dict(zip(header, line, strict=True)) for line in lines]


ROW = "its row in the sheet"


def linked(book: Workbook, sheet: str, column: str, other: str) -> Iterator[tuple[dict[str, Any], dict[str, Any], Any]]:
    """Every row of `sheet` whose cell in `column` leads to `other`, the row there, and any target outside the file."""
    page, there = book[sheet], book[other]
    names, others = ([cell.value for cell in one[1]] for one in (page, there))
    for row in page.iter_rows(min_row=2):
        if link := row[names.index(column)].hyperlink:
            name, cell = link.location.split("!")
            assert name == f"'{other}'"
            target = there[there[cell].row]
            theirs = dict(zip(others, (one.value for one in target), strict=True)) | {ROW: target[0].row}
            yield dict(zip(names, (one.value for one in row), strict=True)), theirs, link.target


ANYONE = "(SELECT min(uuid) FROM staging.employees)"
ANOTHER = "(SELECT max(uuid) FROM staging.employees)"


class TestReadMe:
    def test_is_first_and_says_whose_what_and_how_fresh(self, synced, configured):
        configured("category: departments, timezone: America/Denver")
        path = write(synced).path
        said = read_me(path)
        synced_at = synced.query("SELECT max(finished_at) FROM meta.syncs WHERE category = 'departments'")[0][0]
        assert openpyxl.load_workbook(path).sheetnames[0] == "Read me"
        assert said.startswith(f"{synced.company.name}: job book\n")
        local = synced_at.astimezone(ZoneInfo("America/Denver"))
        assert f"Data last changed | {local:%Y-%m-%d %H:%M:%S} (America/Denver)" in said
        assert "this is the first version" in said

    def test_lists_the_sheets_with_their_rows_and_leads_to_them(self, synced, configured):
        configured("category: employees")
        written = write(synced)
        page = openpyxl.load_workbook(written.path)["Read me"]
        listed = {row[0].value: row for row in page.iter_rows() if row[0].value in written.sheets}
        assert {name: row[1].value for name, row in listed.items()} == written.sheets
        assert {name: row[0].hyperlink.location for name, row in listed.items()} == {
            name: f"'{name}'!A1" for name in written.sheets
        }

    def test_says_which_columns_a_policy_left_out_or_changed(self, synced, configured):
        configured("category: employees, pii: {phone: hash, work_email: mask, date_of_birth: drop}")
        said = read_me(write(synced).path)
        assert "employees, replaced by a hash: phone" in said
        assert "employees, shown in part only: work_email" in said
        assert "employees, left out: " in said
        assert "date_of_birth" in said
        assert "contractors" not in said

    def test_warns_of_cut_cells(self, synced, configured):
        configured("category: departments")
        change("UPDATE staging.departments SET title = repeat('x', 40000)")
        assert 'column "title": more than 32,767 characters' in read_me(write(synced).path)

    def test_a_workbook_with_the_same_data_stays_as_it_is_after_a_later_sync(self, synced, configured):
        configured("category: employees")
        first = write(synced)
        before = first.path.stat()
        change()
        again = write(synced)
        assert (first.unchanged, again.unchanged) == (False, True)
        assert (first.path.stat().st_ino, first.path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert (again.sha256, again.sheets, again.warnings) == (first.sha256, first.sheets, first.warnings)
        assert again.since == datetime.fromtimestamp(before.st_mtime, UTC)

    def test_a_file_someone_edited_or_deleted_is_written_again_as_it_was(self, synced, configured):
        configured("category: departments")
        write(synced)
        change("UPDATE staging.departments SET title = upper(title)")
        path = write(synced).path
        content = path.read_bytes()
        change()
        path.unlink()
        write(synced)
        assert path.read_bytes() == content
        path.write_bytes(b"edited")
        write(synced)
        assert path.read_bytes() == content

    def test_a_change_of_looks_is_written_but_is_no_change_of_data(self, synced, configured):
        configured("category: departments, timezone: UTC")
        first = write(synced)
        configured("category: departments, timezone: Europe/Paris")
        change()
        second = write(synced)
        assert second.sha256 != first.sha256
        assert "Changes" not in second.sheets
        assert "(Europe/Paris)" in read_me(second.path)


class TestChanges:
    def test_rows_and_cells_are_named_with_what_they_were_and_are(self, synced, configured):
        configured("category: employees, columns: [last_name, first_name, date_of_birth, uuid]")
        first = write(synced)
        assert "Changes" not in first.sheets
        anyone, another = (synced.query(f"SELECT {which}")[0][0] for which in (ANYONE, ANOTHER))
        old = {row[3]: row for row in sheet(first.path, "employees")}
        change(
            f"INSERT INTO staging.employees (company_uuid, uuid, first_name, last_name) "
            f"VALUES ('{synced.company.uuid}', 'new', 'Nova', 'Aaa')",
            f"UPDATE staging.employees SET first_name = 'Zoe', date_of_birth = '1999-12-31' WHERE uuid = '{anyone}'",
            f"DELETE FROM staging.employees WHERE uuid = '{another}'",
        )
        written = write(synced)
        assert list(written.sheets)[-1] == "Changes"
        told = [line for line in changed_lines(written.path) if line["sheet"] == "employees"]
        lines = {(line["change"], line["id"], line["column"]): line for line in told}
        assert set(lines) == {
            ("row added", "new", None),
            ("row removed", another, None),
            ("cell changed", anyone, "first_name"),
            ("cell changed", anyone, "date_of_birth"),
        }
        cell = lines["cell changed", anyone, "first_name"]
        assert (cell["record"], cell["from"], cell["to"]) == (
            f"{old[anyone][0]}, Zoe", old[anyone][1], "Zoe",
        )  # fmt: skip
        day = lines["cell changed", anyone, "date_of_birth"]
        assert (day["from"], day["to"]) == (f"{old[anyone][2]:%Y-%m-%d}", "1999-12-31")
        assert lines["row removed", another, None]["record"] == f"{old[another][0]}, {old[another][1]}"
        page = sheet(written.path, "employees")
        assert page[lines["row added", "new", None]["row"] - 1][3] == "new"
        assert page[cell["row"] - 1][3] == anyone
        listed = next(row for row in sheet(written.path, "Read me") if row[0] == "employees")
        assert listed[1:] == (written.sheets["employees"], 1, 1, 2)
        assert "; cells changed: " in read_me(written.path)

    def test_are_those_since_the_previous_version_only(self, synced, configured):
        configured("category: departments")
        write(synced)
        for name in ("Zoo", "Ink"):
            change(
                f"UPDATE staging.departments SET title = '{name}' "
                "WHERE uuid = (SELECT min(uuid) FROM staging.departments)"
            )
            path = write(synced).path
        assert [(line["from"], line["to"]) for line in changed_lines(path) if line["column"] == "title"] == [
            ("Zoo", "Ink")
        ]

    def test_of_columns_that_are_left_out_are_none(self, synced, configured):
        configured("category: contractors")
        write(synced)
        change("UPDATE staging.contractors SET ein = '99-9999999'")
        assert write(synced).unchanged
        held = b"".join(file.read_bytes() for file in load_settings().versions.rglob("*") if file.is_file())
        assert held
        assert b"99-9999999" not in held

    def test_of_masked_columns_show_no_more_than_the_sheet(self, synced, configured):
        configured("category: employees, columns: [last_name, phone], pii: {phone: hash}")
        write(synced)
        change(f"UPDATE staging.employees SET phone = '5550100200' WHERE uuid = {ANYONE}")
        (line,) = changed_lines(write(synced).path)
        assert (line["column"], len(line["to"]), line["id"]) == ("phone", 64, None)
        held = b"".join(file.read_bytes() for file in load_settings().versions.rglob("*.parquet"))
        assert b"5550100200" not in held

    def test_beyond_the_limit_are_counted(self, synced, configured, monkeypatch):
        monkeypatch.setattr(changes, "MAX_LINES", 5)
        configured("category: employees")
        write(synced)
        change("UPDATE staging.employees SET first_name = 'Zoe', last_name = 'Zed'")
        lines = changed_lines(write(synced).path)
        assert len(lines) == 6
        total = sheet(write(synced).path, "Read me")[4][1]
        cells = int(total.split("cells changed: ")[1].split()[0])
        assert lines[-1]["change"] == f"and {cells - 5:,} more changes"

    def test_of_the_columns_themselves_are_told(self, synced, configured):
        configured("category: departments, columns: [title]")
        write(synced)
        configured("category: departments, columns: [title, uuid]")
        assert [(line["change"], line["column"]) for line in changed_lines(write(synced).path)] == [
            ("column added", "uuid")
        ]

    def test_of_the_rows_order_alone_write_the_file_without_a_line(self, synced, configured):
        configured("category: departments, columns: [uuid]")
        write(synced)
        change(
            "UPDATE staging.departments AS d SET title = "
            "(SELECT printf('%03d', 999 - count(*)) FROM staging.departments o WHERE o.title < d.title)"
        )
        written = write(synced)
        assert not written.unchanged
        assert "Changes" not in written.sheets

    @pytest.mark.parametrize("damage", ["snapshot", "state"])
    def test_are_unknown_when_the_previous_version_cannot_be_read(self, synced, configured, damage):
        configured("category: departments")
        write(synced)
        pattern = "*.parquet" if damage == "snapshot" else "state.json"
        for file in load_settings().versions.rglob(pattern):
            file.write_bytes(b"damaged")
        change("UPDATE staging.departments SET title = upper(title)")
        assert "this is the first version" in read_me(write(synced).path)
        change("UPDATE staging.departments SET title = lower(title)")
        assert "Changes" in write(synced).sheets

    def test_are_kept_in_private_files_of_one_version(self, synced, configured):
        configured("category: departments")
        for title in ("a", "b", "c"):
            change(f"UPDATE staging.departments SET title = '{title}' || title")
            write(synced)
        folder = load_settings().versions / "book"
        kept = list(folder.rglob("*"))
        assert {stat.S_IMODE(file.stat().st_mode) for file in kept if file.is_file()} == {0o600}
        assert {stat.S_IMODE(file.stat().st_mode) for file in (folder, *kept) if file.is_dir()} == {0o700}
        assert {entry.name for entry in folder.iterdir() if entry.is_file()} == {"columns.json", "state.json"}
        assert len([entry for entry in folder.iterdir() if entry.is_dir()]) == 1

    def test_the_same_steps_give_the_same_bytes(self, synced, configured):
        configured("category: departments")
        contents = []
        for _ in range(2):
            for name, day in (("Art", 1), ("Zoo", 2)):
                change(f"UPDATE staging.departments SET title = '{name} ' || uuid")
                change(f"UPDATE meta.syncs SET finished_at = TIMESTAMPTZ '2026-05-0{day} 05:00:00+00'")
                path = write(synced).path
            contents.append(path.read_bytes())
            path.unlink()
            shutil.rmtree(load_settings().versions)
        assert contents[0] == contents[1]


class TestLook:
    @pytest.mark.parametrize(
        ("categories", "child", "cell", "parent", "equal"),
        [
            ("employees", "jobs", "employee_uuid", "employees", {"employee_uuid": "uuid"}),
            ("employees", "compensations", "job_uuid", "jobs", {"job_uuid": "uuid"}),
            ("employees", "compensations", "employee_uuid", "employees", {"employee_uuid": "uuid"}),
            ("time_off", "time_off_days", "time_off_request_uuid", "time_off", {"time_off_request_uuid": "uuid"}),
            (
                "payroll_lines", "payroll_taxes_withheld", "employee_uuid", "payroll_employees",
                {"payroll_uuid": "payroll_uuid", "employee_uuid": "employee_uuid"},
            ),
            ("payroll_lines, payrolls", "payroll_employees", "payroll_uuid", "payrolls", {"payroll_uuid": "uuid"}),
            ("payroll_lines, employees", "payroll_employees", "employee_uuid", "employees", {"employee_uuid": "uuid"}),
            ("time_off, employees", "time_off", "employee__uuid", "employees", {"employee__uuid": "uuid"}),
        ],
    )  # fmt: skip
    def test_a_row_leads_to_the_record_it_belongs_to(self, book, categories, child, cell, parent, equal):
        led = list(linked(book(categories), child, cell, parent))
        assert len(led) >= 5
        for own, theirs, target in led:
            assert target is None
            assert all(own[column] == theirs[other] for column, other in equal.items())

    @pytest.mark.parametrize(
        ("category", "parent", "child", "equal"),
        [
            ("employees", "employees", "jobs", {"uuid": "employee_uuid"}),
            ("employees", "employees", "home_addresses", {"uuid": "employee_uuid"}),
            ("employees", "jobs", "compensations", {"uuid": "job_uuid"}),
            (
                "payroll_lines", "payroll_employees", "payroll_taxes_withheld",
                {"payroll_uuid": "payroll_uuid", "employee_uuid": "employee_uuid"},
            ),
        ],
    )  # fmt: skip
    def test_a_row_says_how_many_children_it_has_and_leads_to_the_first(self, book, category, parent, child, equal):
        header, *children = rows(book(category), child)
        keys = [tuple(row[header.index(name)] for name in equal.values()) for row in children]
        led = list(linked(book(category), parent, f"{child}__rows", child))
        assert len(led) >= 5
        for own, theirs, _ in led:
            key = tuple(own[name] for name in equal)
            assert own[f"{child}__rows"] == keys.count(key)
            assert theirs[ROW] == keys.index(key) + 2
        assert sum(own[f"{child}__rows"] for own, *_ in led) == len(children)

    def test_a_row_without_children_says_nothing_and_leads_nowhere(self, book):
        page = book("employees")["employees"]
        at = [cell.value for cell in page[1]].index("terminations__rows")
        cells = [row[at] for row in page.iter_rows(min_row=2)]
        assert {(cell.value is None, cell.hyperlink is None) for cell in cells} == {(True, True), (False, False)}

    def test_a_child_whose_parent_the_sheet_does_not_show_has_no_link(self, synced, configured):
        configured(f"category: employees, filter: 'uuid = {ANYONE}'")
        jobs = openpyxl.load_workbook(write(synced).path)["jobs"]
        at = [cell.value for cell in jobs[1]].index("employee_uuid")
        anyone = synced.query(f"SELECT {ANYONE}")[0][0]
        assert {bool(row[at].hyperlink) == (row[at].value == anyone) for row in jobs.iter_rows(min_row=2)} == {True}

    def test_more_links_than_excel_allows_are_left_out_with_a_warning(self, synced, configured, monkeypatch):
        monkeypatch.setattr(xlsx, "MAX_LINKS", 3)
        configured("category: employees")
        written = write(synced)
        assert any('"jobs", column "employee_uuid": Excel allows 3 links' in warning for warning in written.warnings)
        with zipfile.ZipFile(written.path) as archive:
            number = list(written.sheets).index("jobs") + 2
            assert b"<hyperlink" not in archive.read(f"xl/worksheets/sheet{number}.xml")

    @pytest.mark.parametrize(
        ("category", "column", "truth"),
        [("employees", "terminated", "TRUE"), ("contractors", "is_active", "FALSE")],
    )
    def test_people_who_left_are_grey(self, book, category, column, truth):
        page = book(category)[category]
        letter = next(cell.column_letter for cell in page[1] if cell.value == column)
        (area,) = page.conditional_formatting
        assert str(area.sqref) == page.dimensions.replace("A1:", "A2:")
        assert [rule.formula for rule in area.rules] == [[f"${letter}2={truth}"]]

    def test_names_stay_in_view(self, book):
        page = book("employees")["employees"]
        assert [cell.value for cell in page[1]][:3] == ["last_name", "first_name", "preferred_first_name"]
        assert page.freeze_panes == "D2"

    def test_nothing_leads_outside_and_both_readers_agree_on_the_sheets(self, synced, configured):
        configured("category: employees")
        path = write(synced).path
        with zipfile.ZipFile(path) as archive:
            links = [name for name in archive.namelist() if name.endswith(".rels")]
            assert not [name for name in links if b"External" in archive.read(name)]
        assert CalamineWorkbook.from_path(path).sheet_names == openpyxl.load_workbook(path).sheetnames
