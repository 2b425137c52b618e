"""Reading files of new hires: every format says the same, all that is wrong is said at once, no cell is ever quoted."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gusto_pipeline.gusto import actions
from gusto_pipeline.gusto.call import endpoints, problems_of
from gusto_pipeline.new_hires import FIELDS, FLSA_STATUSES, LARGEST, PAYMENT_UNITS, HiresError, NewHire, read_hires

ADA = {
    "first_name": "Ada", "last_name": "Low", "email": "ada@example.com", "start_date": "2027-01-04",
    "job_title": "Taster", "date_of_birth": "1990-12-10", "self_onboarding": "yes", "home_street_1": "1 Leaf St",
    "home_city": "Boston", "home_state": "MA", "home_zip": "02134", "rate": "61000.00", "payment_unit": "year",
    "flsa_status": "salaried_nonexempt",
}  # fmt: skip
BO = {
    "first_name": "Bo", "last_name": "Yi", "email": "bo@example.com", "start_date": "2027-01-05", "job_title": "Blender"
}  # fmt: skip


def written(folder: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    """A file of these rows."""
    file = folder / f"hires.{kind}"
    header = list(dict.fromkeys(name for row in rows for name in row))
    match kind:
        case "json":
            file.write_text(json.dumps(rows), encoding="utf-8")
        case "yaml":
            lines = [f"{'  ' if at else '- '}{name}: '{row[name]}'" for row in rows for at, name in enumerate(row)]
            file.write_text("\n".join(lines), encoding="utf-8")
        case "csv":
            with file.open("w", newline="", encoding="utf-8") as out:
                writer = csv.DictWriter(out, header)
                writer.writeheader()
                writer.writerows(rows)
        case "xlsx":
            book = openpyxl.Workbook()
            for number, cells in enumerate([header, *([row.get(name) for name in header] for row in rows)], 1):
                for column, value in enumerate(cells, 1):
                    cell = book.worksheets[0].cell(number, column)
                    cell.value = value
                    if isinstance(value, str):
                        cell.data_type = "s"
            book.save(file)
    return file


def wrong(file: Path) -> list[str]:
    with pytest.raises(HiresError) as refused:
        read_hires(file)
    return [str(problem) for problem in refused.value.problems]


def wrong_text(tmp_path: Path, name: str, content: str | bytes) -> list[str]:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return wrong(file)


# -- what is right ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "xlsx", "yaml", "json"])
def test_every_format_says_the_same(tmp_path, kind):
    ada, bo = read_hires(written(tmp_path, kind, [ADA, BO])).rows
    assert ada.parts() == {
        "employee": {
            "first_name": "Ada", "last_name": "Low", "email": "ada@example.com", "date_of_birth": "1990-12-10",
            "self_onboarding": True,
        },
        "home_address": {"street_1": "1 Leaf St", "city": "Boston", "state": "MA", "zip": "02134"},
        "job": {"title": "Taster", "hire_date": "2027-01-04"},
        "compensation": {"rate": "61000.00", "payment_unit": "Year", "flsa_status": "Salaried Nonexempt"},
    }  # fmt: skip
    assert bo.parts() == {
        "employee": {"first_name": "Bo", "last_name": "Yi", "email": "bo@example.com"},
        "job": {"title": "Blender", "hire_date": "2027-01-05"},
    }
    assert (ada.row, bo.row) == ((2, 3) if kind in ("csv", "xlsx") else (1, 2))


def test_days_and_numbers_of_a_workbook_are_what_they_look_like(tmp_path):
    row = ADA | {
        "start_date": date(2027, 1, 4),
        "date_of_birth": datetime(1990, 12, 10, tzinfo=UTC).replace(tzinfo=None),
        "rate": 61000,
    }
    [ada] = read_hires(written(tmp_path, "xlsx", [row | {"self_onboarding": True}])).rows
    assert (ada.person.start_date, ada.person.date_of_birth, ada.person.rate) == ("2027-01-04", "1990-12-10", "61000")
    assert ada.person.self_onboarding is True


def test_yaml_needs_no_quotes_to_keep_what_is_written(tmp_path):
    lines = [f"{name}: {value}" for name, value in (ADA | {"last_name": "Null", "home_street_2": "~"}).items()]
    (tmp_path / "ada.yml").write_text("\n".join(lines).replace("last_name: Null", 'last_name: "Null"'))
    [ada] = read_hires(tmp_path / "ada.yml").rows
    person = ada.person
    assert (person.home_zip, person.rate, person.last_name, person.home_street_2) == ("02134", "61000.00", "Null", None)


def test_one_json_object_is_one_person_and_numbers_keep_their_digits(tmp_path):
    text = json.dumps(ADA | {"self_onboarding": False}).replace('"61000.00"', "61000.10").replace('"02134"', '"02134"')
    (tmp_path / "ada.json").write_text(text)
    [ada] = read_hires(tmp_path / "ada.json").rows
    assert (ada.person.rate, ada.person.self_onboarding) == ("61000.10", False)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_may_have_a_byte_order_mark_semicolons_and_names_as_people_write_them(tmp_path, delimiter):
    names = [name.replace("_", " ").title() for name in BO]
    text = "\r\n".join([delimiter.join(names), "", delimiter.join(BO.values()), delimiter * 4])
    (tmp_path / "hires.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    [bo] = read_hires(tmp_path / "hires.csv").rows
    assert (bo.person.first_name, bo.row) == ("Bo", 3)


def test_only_the_first_sheet_that_is_shown_is_read(tmp_path):
    file = written(tmp_path, "xlsx", [BO])
    book = openpyxl.load_workbook(file)
    book.create_sheet("hidden", 0).sheet_state = "hidden"
    book.create_sheet("notes").append(["anything"])
    book.save(file)
    assert len(read_hires(file).rows) == 1


def test_what_is_right_here_fits_gustos_description(tmp_path):
    paths = {
        "employee": "/v1/companies/{company_id}/employees",
        "home_address": "/v1/employees/{employee_id}/home_addresses",
        "compensation": "/v1/jobs/{job_id}/compensations",
    }
    schemas = {each.path: each.body or {} for each in endpoints() if each.method == "POST"}
    full = ADA | {"middle_initial": "Q", "preferred_first_name": "A", "work_email": "a@b.co", "home_street_2": "2"}
    [ada] = read_hires(written(tmp_path, "json", [full])).rows
    parts = ada.parts()
    assert not [problem for part, path in paths.items() for problem in problems_of(schemas[path], parts[part], part)]
    assert set(parts) <= set(actions.PARTS)
    pay = schemas[paths["compensation"]]["properties"]
    assert (list(PAYMENT_UNITS), list(FLSA_STATUSES)) == (pay["payment_unit"]["enum"], pay["flsa_status"]["enum"])


# -- what is wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "xlsx", "yaml", "json"])
def test_everything_that_is_wrong_is_said_at_once_by_row(tmp_path, kind):
    rows = [ADA | {"home_zip": "2134"}, BO | {"start_date": "1/5/2027", "job_title": ""}, ADA | {"rate": "$61,000"}]
    first, second, third = {
        "csv": ("row 2", "row 3", "row 4"),
        "xlsx": ("row 2", "row 3", "row 4"),
        "yaml": ("row 1 (line 1)", "row 2 (line 15)", "row 3 (line 20)"),
        "json": ("row 1", "row 2", "row 3"),
    }[kind]
    assert wrong(written(tmp_path, kind, rows)) == [
        f"{first}, home_zip: must be five digits, such as 02134 (spreadsheets drop a leading 0 unless the column is "
        "formatted as text)",
        f"{second}, start_date: must be a date like 2027-01-04",
        f"{second}, job_title: is missing",
        f"{third}, email: is the address of {first} too",
        f"{third}, rate: must be an amount like 61000.00, without currency and commas",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"first_name": "A" * 256}, "first_name: must be at most 255 characters"),
        ({"first_name": "A\x07da"}, "first_name: must be one line of text that can be printed"),
        ({"email": "ada at example"}, "email: must be one e-mail address: ada@example.com"),
        ({"work_email": "a@b.co, c@d.co"}, "work_email: must be one e-mail address: ada@example.com"),
        ({"middle_initial": "Qu"}, "middle_initial: must be one letter"),
        ({"start_date": "2027-02-30"}, "start_date: must be a date like 2027-01-04"),
        ({"start_date": "2027-W01-1"}, "start_date: must be a date like 2027-01-04"),
        ({"date_of_birth": "2027-01-04"}, "date_of_birth: must lie before the start date"),
        ({"self_onboarding": "maybe"}, "self_onboarding: must be yes or no"),
        ({"home_state": "Massachusetts"}, "home_state: must be two capital letters, such as CA"),
        ({"home_city": ""}, "home_city: is missing: an address needs street, city, state and ZIP code"),
        ({"rate": "61000.005"}, "rate: must be an amount like 61000.00, without currency and commas"),
        ({"rate": ""}, "rate: is missing: pay needs rate, payment unit and FLSA status"),
        ({"payment_unit": "yearly"}, f"payment_unit: must be one of {', '.join(PAYMENT_UNITS)}; did you mean Year?"),
        ({"flsa_status": "?"}, f"flsa_status: must be one of {', '.join(FLSA_STATUSES)}"),
        ({"jobtitle": "Taster"}, "there is no column 'jobtitle'; did you mean job_title?"),
        ({"078-05-1120": "x"}, "a column has a name that none has"),
        ({"home_address": {"city": "Boston"}}, "a value must be text"),
        ({"email": ["a@b.co"]}, "email: a value must be text"),
    ],
)
def test_what_is_wrong_with_a_field_is_said(tmp_path, change, said):
    assert f"row 2, {said}".replace(
        "row 2, there", "row 2: there").replace("row 2, a ", "row 2: a ") in wrong(
        written(tmp_path, "json", [BO, ADA | change])
    )  # fmt: skip


@pytest.mark.parametrize("name", ["ssn", "SSN", "Social Security Number"])
def test_a_social_security_number_is_refused_with_what_to_do_instead(tmp_path, name):
    [said] = wrong(written(tmp_path, "csv", [BO | {name: "078-05-1120"}]))
    assert "let Gusto ask the person (self_onboarding: yes)" in said
    assert "078" not in said


def test_a_column_that_everybody_lacks_is_said_once(tmp_path):
    rows = [{name: value for name, value in row.items() if name != "start_date"} for row in (ADA, BO)]
    assert wrong(written(tmp_path, "csv", rows)) == ["row 1, start_date: the column is missing"]


def test_a_table_without_names_of_columns_is_told_so_without_quoting_it(tmp_path):
    [said] = wrong_text(tmp_path, "hires.csv", "Ada,Low,ada@example.com\nBo,Yi,bo@example.com\n")
    assert said.startswith("row 1: must name the columns; there are: first_name, last_name, email")
    assert "Ada" not in said


def test_cells_that_no_column_is_for_are_said(tmp_path):
    text = "first_name,last_name,email,start_date,job_title,email,,\nBo,Yi,bo@b.co,2027-01-05,Blender,,,stray\n"
    assert wrong_text(tmp_path, "hires.csv", text) == [
        "row 1, email: is there twice",
        "row 2: has a cell in a column without a name",
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("hires.docx", "", "is of no kind that can be read; there are .csv, .xlsx, .yaml, .yml, .json"),
        ("hires.csv", "", "holds nobody"),
        ("hires.csv", ",".join(FIELDS), "holds nobody"),
        ("hires.csv", 'first_name,email\n"Bo,bo@b.co', "this is not CSV: a quotation mark is left open, or stands "
         "within a cell"),
        ("hires.csv", b"first_name\nJos\xe9", 'is not UTF-8; in Excel, save it as "CSV UTF-8" or as xlsx'),
        ("hires.xlsx", "no workbook", "this is not an xlsx workbook, or it is damaged or has a password"),
        ("hires.yaml", "", "holds nobody"),
        ("hires.yaml", "- first_name: [\n-", "line 2: this is not YAML"),
        ("hires.yaml", "- Ada", "row 1 (line 1): must be fields such as first_name: Ada"),
        ("hires.yaml", "[" * 900, "this is not YAML"),
        ("hires.json", "[", "line 1: this is not JSON"),
        ("hires.json", "[" * 90000, "this is not JSON"),
        ("hires.json", "[1]", 'row 1: must be an object of fields such as "first_name": "Ada"'),
        ("hires.json", '{"email": "a@b.co", "email": "c@d.co"}', "row 1, email: is there twice"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, content, said):
    assert wrong_text(tmp_path, name, content)[0] == said


def test_a_file_too_large_to_be_one_of_new_hires_is_not_read(tmp_path):
    with (tmp_path / "hires.csv").open("wb") as file:
        file.truncate(LARGEST + 1)
    assert wrong(tmp_path / "hires.csv") == ["is larger than 10 MB"]


# -- whatever is in it --------------------------------------------------------------------------------------------

SALARY = "91357.123"
ANYTHING = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["078-05-1120", SALARY, "=1+1", "", " ", "\x00", "\ud800", "1e999", "2027-13-01", '"', "null"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.dictionaries(st.sampled_from([*FIELDS, "ssn", "other"]), ANYTHING), min_size=1, max_size=4),
    kind=st.sampled_from(["csv", "json", "yaml"]),
)
def test_no_text_in_a_cell_breaks_reading_or_is_quoted(tmp_path, rows, kind):
    canary = "Canary078051120"
    rows = [{name: f"{canary}{value}" for name, value in row.items()} for row in rows]
    header = list(dict.fromkeys(name for row in rows for name in row)) or ["email"]
    text = io.StringIO(newline="")
    if kind == "csv":
        writer = csv.DictWriter(text, header)
        writer.writeheader()
        writer.writerows(rows)
    else:
        json.dump(rows, text)  # which is YAML as well
    file = tmp_path / f"hires.{kind}"
    file.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    said = wrong(file)  # no canary is a date
    assert said
    assert canary not in "\n".join(said)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), kind=st.sampled_from(["csv", "json", "yaml", "xlsx"]))
def test_no_bytes_break_reading(tmp_path, content, kind):
    assert wrong_text(tmp_path, f"hires.{kind}", content)


@pytest.fixture(scope="module")
def workbook(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("whole"), "xlsx", [BO]).read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**6), noise=st.binary(max_size=200), cut=st.booleans())
def test_no_damage_to_a_workbook_makes_somebody_else_of_somebody(tmp_path, workbook, at, noise, cut):
    at %= len(workbook)
    file = tmp_path / "hires.xlsx"
    file.write_bytes(workbook[:at] + noise + (b"" if cut else workbook[at + len(noise) :]))
    with contextlib.suppress(HiresError):
        [bo] = read_hires(file).rows
        assert bo.person == NewHire.model_validate(BO)  # what was hit does not matter, such as styles
