"""Workbooks, read back with openpyxl and calamine, which share no code with the writer or each other."""

import datetime as dt
import math
import re
import string
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from gusto_pipeline.spreadsheets import archive, xlsx
from gusto_pipeline.spreadsheets.cells import letters
from gusto_pipeline.spreadsheets.writers import Column, Sheet, SpreadsheetError, Written, write_xlsx

CREATED = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)


def naive(*parts: int) -> dt.datetime:
    """A date and time without a zone, as Excel knows them."""
    return dt.datetime(*parts)  # noqa: DTZ001


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.xlsx"


def sheet(query: str, *columns: str | Column, name: str = "People") -> Sheet:
    """A sheet of `query`; a column given as "name TYPE" or as a Column."""
    declared = (c if isinstance(c, Column) else Column(c.split()[0], type=c.partition(" ")[2]) for c in columns)
    return Sheet(name, query, tuple(declared))


def write(connection: duckdb.DuckDBPyConnection, path: Path, *sheets: Sheet, timezone: str = "UTC") -> Written:
    return write_xlsx(connection, sheets, path, timezone=timezone, created=CREATED)


def values(path: Path, name: str = "People") -> list[list[Any]]:
    """The cells below the header as openpyxl sees them."""
    return [list(row) for row in openpyxl.load_workbook(path)[name].iter_rows(min_row=2, values_only=True)]


def one(connection: duckdb.DuckDBPyConnection, path: Path, expression: str, type_: str) -> Any:
    """The cell that the value `expression` ends up in."""
    write(connection, path, sheet(f"SELECT {expression} AS value", f"value {type_}"))
    cell = openpyxl.load_workbook(path)["People"]["A2"]
    again = CalamineWorkbook.from_path(path).get_sheet_by_name("People").to_python()[1:]
    seen = again[0][0] if again else ""
    if isinstance(cell.value, str):
        assert seen == cell.value
    return cell


class TestValues:
    @pytest.mark.parametrize(
        ("expression", "type_", "value", "number_format"),
        [
            ("'02108'", "VARCHAR", "02108", "@"),
            ("42", "BIGINT", 42, "0"),
            ("12.5", "DECIMAL(18,4)", 12.5, "General"),
            ("0.1", "DOUBLE", 0.1, "General"),
            ("true", "BOOLEAN", True, "General"),
            ("false", "BOOLEAN", False, "General"),
            ("'2026-02-28'", "DATE", naive(2026, 2, 28), "yyyy\\-mm\\-dd"),
            ("'2026-02-28 13:45:10'", "TIMESTAMP", naive(2026, 2, 28, 13, 45, 10), "yyyy\\-mm\\-dd\\ hh:mm:ss"),
            ("['red', 'green']", "VARCHAR[]", "red; green", "@"),
            ("NULL", "VARCHAR", None, "General"),
            ("NULL", "DECIMAL(18,4)", None, "General"),
            ("'6f1b1c1e-0000-4000-8000-000000000001'", "UUID", "6f1b1c1e-0000-4000-8000-000000000001", "@"),
        ],
    )
    def test_keeps_its_type_and_gets_a_format(self, connection, path, expression, type_, value, number_format):
        cell = one(connection, path, expression, type_)
        assert (cell.value, type(cell.value), cell.number_format) == (value, type(value), number_format)

    def test_money_has_two_decimals_and_thousands(self, connection, path):
        write(connection, path, sheet("SELECT 1234.5 AS pay", Column("pay", type="DECIMAL(18,4)", kind="money")))
        cell = openpyxl.load_workbook(path)["People"]["A2"]
        assert (cell.value, cell.number_format) == (1234.5, "#,##0.00")

    def test_an_instant_is_shown_in_the_zone_and_the_header_says_so(self, connection, path):
        instants = sheet("SELECT TIMESTAMPTZ '2026-07-01 03:30:00+00' AS hired", "hired TIMESTAMPTZ")
        write(connection, path, instants, timezone="America/Denver")
        page = openpyxl.load_workbook(path)["People"]
        assert page["A2"].value == naive(2026, 6, 30, 21, 30)
        assert "America/Denver" in page["A1"].comment.text

    def test_the_session_time_zone_changes_nothing(self, connection, path):
        instants = sheet("SELECT TIMESTAMPTZ '2026-07-01 03:30:00+00' AS hired", "hired TIMESTAMPTZ")
        first = write(connection, path, instants)
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        assert write(connection, path, instants).sha256 == first.sha256

    @pytest.mark.parametrize(
        "text", ["=1+1", "+1 555 0100", "-5", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "=cmd|' /C calc'!A0", "{=1}"]
    )
    def test_text_like_a_formula_stays_text_unchanged(self, connection, path, text):
        cell = one(connection, path, "'" + text.replace("'", "''") + "'", "VARCHAR")
        assert (cell.value, cell.data_type) == (text, "s")

    @pytest.mark.parametrize("text", ["https://example.com", "007", "1e5", "TRUE", "#N/A", "", " padded ", "a\nb\tc"])
    def test_text_like_something_else_stays_text(self, connection, path, text):
        cell = one(connection, path, "'" + text + "'", "VARCHAR")
        assert (cell.value or "", cell.data_type) == (text, "s")

    @pytest.mark.parametrize("text", ["👩🏽‍🚀 José", "مرحبا", "\u202egnp.exe", "<b>&amp;</b> \"'", "]]>"])
    def test_any_script_and_markup_is_kept(self, connection, path, text):
        assert one(connection, path, "'" + text.replace("'", "''") + "'", "VARCHAR").value == text

    @pytest.mark.parametrize("text", ["_x0041_", "_x0041_x0042_", "__x000D_", "_x005F_x0041_", "_x12"])
    def test_text_like_excels_own_escape_is_kept(self, connection, path, text):
        write(connection, path, sheet(f"SELECT '{text}' AS value", "value VARCHAR"))  # openpyxl does not decode it
        assert CalamineWorkbook.from_path(path).get_sheet_by_name("People").to_python() == [["value"], [text]]

    def test_carriage_returns_survive(self, connection, path):
        assert one(connection, path, "'a' || chr(13) || chr(10) || 'b'", "VARCHAR").value == "a\r\nb"

    def test_characters_that_xml_forbids_are_shown_as_their_pictures(self, connection, path):
        query = "'a' || chr(0) || chr(7) || chr(31) || chr(65535)"
        assert one(connection, path, query, "VARCHAR").value == "a␀␇␟\ufffd"


class TestWhatExcelCannotHold:
    @pytest.mark.parametrize(
        ("expression", "type_", "text"),
        [
            ("'1899-12-31'", "DATE", "1899-12-31"),
            ("'1900-02-28'", "DATE", "1900-02-28"),
            ("'10000-01-01'", "DATE", "10000-01-01"),
            ("'infinity'", "DATE", "infinity"),
            ("'1899-12-31 10:00:00'", "TIMESTAMP", "1899-12-31 10:00:00"),
            ("'1899-12-31 10:00:00+00'", "TIMESTAMPTZ", "1899-12-31 10:00:00"),
            ("1000000000000000", "BIGINT", "1000000000000000"),
            ("-9223372036854775808", "BIGINT", "-9223372036854775808"),
            ("99999999999999.9999", "DECIMAL(18,4)", "99999999999999.9999"),
            ("'0.0000123456789012345678'", "DECIMAL(38,22)", "0.0000123456789012345678"),
        ],
    )
    def test_becomes_exact_text(self, connection, path, expression, type_, text):
        cell = one(connection, path, expression, type_)
        assert (cell.value, cell.number_format) == (text, "@")

    @pytest.mark.parametrize(
        ("expression", "type_", "value"),
        [
            ("'1900-03-01'", "DATE", naive(1900, 3, 1)),
            ("'9999-12-31'", "DATE", naive(9999, 12, 31)),
            ("999999999999999", "BIGINT", 999999999999999),
            ("-99999999999.9999", "DECIMAL(18,4)", -99999999999.9999),
            ("12345678901234.0000", "DECIMAL(18,4)", 12345678901234),
        ],
    )
    def test_the_last_value_it_can_hold_is_typed(self, connection, path, expression, type_, value):
        assert one(connection, path, expression, type_).value == value

    @pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
    def test_numbers_that_are_none_are_left_empty_with_a_warning(self, connection, path, value):
        query = f"SELECT * FROM (VALUES (1.5::DOUBLE), ('{value}'::DOUBLE)) t(rate)"
        written = write(connection, path, sheet(query, "rate DOUBLE"))
        assert [row[0] for row in values(path)] in ([1.5], [1.5, None])
        assert written.sheets == {"People": 2}
        assert len(written.warnings) == 1
        assert re.search(r'sheet "People", column "rate".*row 3', written.warnings[0])

    def test_text_of_32767_characters_is_kept(self, connection, path):
        written = write(connection, path, sheet("SELECT repeat('é', 32767) AS note", "note VARCHAR"))
        assert values(path) == [["é" * 32767]]
        assert written.warnings == ()

    @pytest.mark.parametrize(("character", "count"), [("é", 32768), ("é", 100_000), ("😀", 16384), ("a😀", 20000)])
    def test_longer_text_is_cut_with_a_mark_and_a_warning(self, connection, path, character, count):
        query = f"SELECT unnest(['short', repeat('{character}', {count})]) AS note"
        written = write(connection, path, sheet(query, "note VARCHAR"))
        (_,), (cut,) = values(path)
        kept, mark = cut.split(" …")
        missing = int(re.fullmatch(r"\[cut: (\d+) characters, see CSV\]", mark)[1])
        assert len(kept) + missing == len(character) * count
        assert (character * count).startswith(kept)
        assert 20_000 < len(cut.encode("utf-16-le")) // 2 <= 32_767
        assert len(written.warnings) == 1
        assert re.search(r'sheet "People", column "note".*row 3\)', written.warnings[0])

    def test_warnings_name_the_first_rows_and_count_the_others(self, connection, path):
        query = "SELECT 'nan'::DOUBLE AS rate FROM range(1, 1203)"
        (warning,) = write(connection, path, sheet(query, "rate DOUBLE")).warnings
        assert warning.endswith("(row 2, 3, 4, 5, 6 and 1,197 more)")

    def test_more_rows_than_a_sheet_holds_continue_on_further_sheets(self, connection, path, monkeypatch):
        monkeypatch.setattr(xlsx, "MAX_ROWS", 10)
        query = "SELECT range AS n, CASE WHEN range = 13 THEN 'nan' ELSE '1' END AS rate FROM range(25)"
        people, other = sheet(query, "n BIGINT", "rate DOUBLE"), sheet("SELECT 1 AS x", "x BIGINT", name="people (2)")
        written = write(connection, path, people, other)
        assert written.sheets == {"People": 10, "People (3)": 10, "People (4)": 5, "people (2)": 1}
        assert openpyxl.load_workbook(path).sheetnames == list(written.sheets)
        pages = [values(path, name) for name in list(written.sheets)[:3]]
        assert [row[0] for page in pages for row in page] == list(range(25))
        assert openpyxl.load_workbook(path)["People (3)"]["A1"].value == "n"
        assert '(row 5 of "People (3)")' in written.warnings[0]

    def test_exactly_as_many_rows_as_a_sheet_holds_stay_on_one(self, connection, path, monkeypatch):
        monkeypatch.setattr(xlsx, "MAX_ROWS", 10)
        assert write(connection, path, sheet("FROM range(20) t(n)", "n BIGINT")).sheets == {
            "People": 10,
            "People (2)": 10,
        }

    def test_a_million_rows_fill_two_real_sheets(self, connection, path):
        written = write(connection, path, sheet("FROM range(1048577) t(n)", "n BIGINT"))
        assert written.sheets == {"People": 1_048_575, "People (2)": 2}
        assert CalamineWorkbook.from_path(path).get_sheet_by_name("People (2)").to_python() == [
            ["n"],
            [1048575.0],
            [1048576.0],
        ]

    def test_more_columns_than_a_sheet_holds_are_refused(self, connection, path, monkeypatch):
        monkeypatch.setattr(xlsx, "MAX_COLUMNS", 2)
        with pytest.raises(SpreadsheetError, match='"People" has 3 columns and Excel allows 2'):
            write(connection, path, sheet("SELECT 1 AS a, 2 AS b, 3 AS c", "a INT", "b INT", "c INT"))

    def test_excels_last_column_is_xfd(self):
        assert [letters(i) for i in (0, 25, 26, 701, 702, 16_383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]


class TestLook:
    def test_header_is_bold_frozen_with_the_first_column_and_filtered(self, connection, path):
        write(connection, path, sheet("SELECT 'Ann' AS name, 1 AS age", "name VARCHAR", "age BIGINT"))
        page = openpyxl.load_workbook(path)["People"]
        assert [(cell.value, cell.font.bold) for cell in page[1]] == [("name", True), ("age", True)]
        assert page["A2"].font.bold is False
        assert (page.freeze_panes, page.auto_filter.ref) == ("B2", "A1:B2")

    def test_leading_ids_are_frozen_with_the_name_that_follows_and_grey(self, connection, path):
        columns = (Column("uuid", kind="id"), Column("name"), Column("city"))
        write(connection, path, sheet("SELECT 'u' AS uuid, 'n' AS name, 'c' AS city", *columns))
        page = openpyxl.load_workbook(path)["People"]
        assert page.freeze_panes == "C2"
        assert (page["A2"].font.color.rgb, page["A2"].number_format) == ("FF808080", "@")

    def test_comments_are_notes_on_the_header(self, connection, path):
        columns = (Column("name", comment='Legal <first> & "last"'), Column("age"))
        write(connection, path, sheet("SELECT 'n' AS name, '1' AS age", *columns))
        page = openpyxl.load_workbook(path)["People"]
        assert page["A1"].comment.text == 'Legal <first> & "last"'
        assert page["B1"].comment is None

    def test_widths_follow_the_data_up_to_a_limit(self, connection, path):
        query = "SELECT 'x' AS a, repeat('x', 30) AS b, repeat('x', 500) AS c, repeat('x', 36) AS d"
        write(connection, path, sheet(query, "a VARCHAR", "b VARCHAR", "c VARCHAR", Column("d", kind="id")))
        page = openpyxl.load_workbook(path)["People"]
        assert [page.column_dimensions[letter].width for letter in "ABCD"] == [5, 32, 50, 16]

    @pytest.mark.parametrize(
        ("wanted", "named"),
        [
            (["A/B:C?*[x]\\"], ["A_B_C__[x]_".replace("[", "_").replace("]", "_")]),
            (["'quoted'"], ["quoted"]),
            (["", "  "], ["Sheet", "Sheet (2)"]),
            (["History"], ["History (2)"]),
            (["Pay", "pay", "PAY"], ["Pay", "pay (2)", "PAY (3)"]),
            (["x" * 40, "x" * 40], ["x" * 31, "x" * 27 + " (2)"]),
            (["😀" * 20], ["😀" * 15]),
            (["Ann's & <Bob>"], ["Ann's & <Bob>"]),
        ],
    )
    def test_sheet_names_are_made_legal_and_unique(self, connection, path, wanted, named):
        written = write(connection, path, *(sheet("SELECT 1 AS a", "a BIGINT", name=name) for name in wanted))
        assert list(written.sheets) == named
        assert openpyxl.load_workbook(path).sheetnames == named
        assert CalamineWorkbook.from_path(path).sheet_names == named

    def test_headers_that_differ_only_in_case_are_numbered(self, connection, path):
        write(connection, path, sheet("SELECT 1 AS name, 2 AS Name, 3 AS name", "name INT", "Name INT", "name INT"))
        assert [cell.value for cell in openpyxl.load_workbook(path)["People"][1]] == ["name", "Name (2)", "name (3)"]

    def test_an_empty_table_is_a_header_alone(self, connection, path):
        written = write(connection, path, sheet("SELECT 1 AS a, 'x' AS b WHERE false", "a INT", "b VARCHAR"))
        assert written.sheets == {"People": 0}
        assert CalamineWorkbook.from_path(path).get_sheet_by_name("People").to_python() == [["a", "b"]]
        assert openpyxl.load_workbook(path)["People"].auto_filter.ref == "A1:B1"


class TestFile:
    def test_the_same_data_gives_the_same_bytes_and_leaves_the_file_alone(self, connection, path):
        connection.execute("CREATE TABLE t AS SELECT range AS n, repeat('x', 50) || range AS x FROM range(150000)")
        table = sheet("FROM t ORDER BY n", "n BIGINT", "x VARCHAR")
        first = write(connection, path, table)
        before = path.stat()
        second = write(connection, path, table)
        assert (first.unchanged, second.unchanged, second.sha256) == (False, True, first.sha256)
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_rows_keep_the_querys_order_across_chunks(self, connection, path, monkeypatch):
        monkeypatch.setattr(xlsx, "CHUNK", 1000)
        write(connection, path, sheet("FROM range(3000) t(n) ORDER BY n * 7919 % 3000", "n BIGINT"))
        assert [row[0] for row in values(path)] == sorted(range(3000), key=lambda n: n * 7919 % 3000)

    def test_rows_keep_the_querys_order_even_where_duckdb_may_change_it(self, connection, path):
        connection.execute("SET preserve_insertion_order = false; SET threads = 4")
        connection.execute("CREATE TABLE t AS SELECT range AS n FROM range(400000)")
        write(connection, path, sheet("FROM t ORDER BY n * 7919 % 400009", "n BIGINT"))
        rows = CalamineWorkbook.from_path(path).get_sheet_by_name("People").to_python()[1:]
        assert [row[0] for row in rows] == sorted(range(400_000), key=lambda n: n * 7919 % 400_009)

    def test_data_that_changes_meanwhile_is_not_written(self, connection, path):
        connection.execute("CREATE SEQUENCE calls")
        growing = sheet("SELECT 1 AS n FROM (SELECT unnest(range(nextval('calls'))))", "n BIGINT")
        with pytest.raises(SpreadsheetError, match='sheet "People" changed while it was read; run again'):
            write(connection, path, growing)
        assert not path.exists()

    def test_parts_of_more_than_four_gigabytes_use_zip64(self, connection, path, monkeypatch):
        monkeypatch.setattr(archive, "LIMIT", 700)
        write(connection, path, sheet("FROM range(500) t(n)", "n BIGINT"))
        assert [row[0] for row in values(path)] == list(range(500))
        assert len(CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()) == 501

    def test_created_is_a_property_of_the_file(self, connection, path):
        write(connection, path, sheet("SELECT 1 AS a", "a INT"))
        assert openpyxl.load_workbook(path).properties.created == naive(2026, 1, 31, 12)

    def test_temporary_tables_and_open_transactions_are_seen(self, connection, path):
        connection.execute("BEGIN; CREATE TEMP TABLE t AS SELECT 7 AS a")
        write(connection, path, sheet("FROM t;  ", "a INT"))
        assert values(path) == [[7]]

    def test_a_workbook_without_sheets_is_refused(self, connection, path):
        with pytest.raises(SpreadsheetError, match="at least one sheet"):
            write(connection, path)

    def test_an_unknown_time_zone_is_refused(self, connection, path):
        instants = sheet("SELECT now() AS hired", "hired TIMESTAMPTZ")
        with pytest.raises(SpreadsheetError, match='unknown time zone "Mars/Olympus"'):
            write(connection, path, instants, timezone="Mars/Olympus")


# What XML 1.0 cannot hold, and what is shown for it.
PICTURES = {n: 0x2400 + n for n in range(32) if chr(n) not in "\t\n\r"} | {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD}
COLUMNS = {
    "text": ("VARCHAR", st.text(max_size=40)),
    "flag": ("BOOLEAN", st.booleans()),
    "count": ("BIGINT", st.integers(-(10**15) + 1, 10**15 - 1)),
    "pay": ("DECIMAL(15,4)", st.decimals(-(10**10), 10**10, places=4)),
    "rate": ("DOUBLE", st.floats(-1e300, 1e300, allow_subnormal=False)),
    "day": ("DATE", st.dates(dt.date(1900, 3, 1))),
    "time": ("TIMESTAMP", st.datetimes(naive(1900, 3, 1), naive(2500, 1, 1))),
}
ROWS = st.lists(st.tuples(*(st.none() | strategy for _, strategy in COLUMNS.values())), min_size=1, max_size=8)


def oracle(path: Path, rows: list[tuple[Any, ...]]) -> None:
    """The same table by XlsxWriter."""
    book = xlsxwriter.Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False})
    page = book.add_worksheet("People")
    day, time = book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    for i, name in enumerate(COLUMNS):
        page.write_string(0, i, name)
    for r, row in enumerate(rows, 1):
        for i, value in enumerate(row):
            match value:
                case None | "":
                    pass
                case bool():
                    page.write_boolean(r, i, value)
                case str():
                    page.write_string(r, i, value)
                case dt.datetime():
                    page.write_datetime(r, i, value, time)
                case dt.date():
                    page.write_datetime(r, i, value, day)
                case _:
                    page.write_number(r, i, value)
    book.close()


def comparable(cell: Any) -> Any:
    """A cell by calamine, which tells no midnight from a date, keeps milliseconds, and reads 15 digits."""
    if isinstance(cell, dt.date) and not isinstance(cell, dt.datetime):
        return dt.datetime.combine(cell, dt.time())
    return cell


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_every_cell_reads_the_same_as_xlsxwriters(tmp_path, rows):
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE t ({', '.join(f'{name} {type_}' for name, (type_, _) in COLUMNS.items())})")
    connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(COLUMNS))})", rows)
    path, expected = tmp_path / "ours.xlsx", tmp_path / "theirs.xlsx"
    write(connection, path, sheet("FROM t", *(f"{name} {type_}" for name, (type_, _) in COLUMNS.items())))
    oracle(expected, [tuple(v.translate(PICTURES) if isinstance(v, str) else v for v in row) for row in rows])
    ours, theirs = (
        CalamineWorkbook.from_path(p).get_sheet_by_name("People").to_python(skip_empty_area=False)
        for p in (path, expected)
    )
    theirs += [[""] * len(COLUMNS)] * (len(ours) - len(theirs))
    assert len(ours) == len(theirs)
    for own_row, their_row in zip(ours, theirs, strict=True):
        for own, other in zip(map(comparable, own_row), map(comparable, their_row), strict=True):
            assert type(own) is type(other)
            if isinstance(own, float):
                assert math.isclose(own, other, rel_tol=1e-15)
            elif isinstance(own, dt.datetime):
                assert abs(own - other) <= dt.timedelta(milliseconds=1)
            else:
                assert own == other


def test_states_are_tinted_by_how_they_begin_the_first_that_fits(connection, path):
    columns = (Column("name"), Column("here", kind="state"), Column("there", kind="state"))
    tints = (('Gone "for good"', "off"), ("Gone", "bad"))
    query = "SELECT 'Gone' AS name, 'Gone' AS here, 'Gone \"for good\"' AS there"
    write(connection, path, Sheet("People", query, columns, tints=tints))
    (painted,) = openpyxl.load_workbook(path)["People"].conditional_formatting
    assert str(painted.sqref) == "B2 C2"
    assert [(rule.priority, rule.formula[0], rule.dxf.fill.bgColor.rgb) for rule in painted.rules] == [
        (2, 'LEFT(B2,15)="Gone ""for good"""', "FFEDEDED"),
        (3, 'LEFT(B2,4)="Gone"', "FFFFC7CE"),
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.decimals(-(10**13) + 1, 10**13 - 1, places=5))
def test_any_decimal_survives_as_a_number_or_as_text(tmp_path, value):
    connection = duckdb.connect()
    path = tmp_path / "decimals.xlsx"
    write(connection, path, sheet(f"SELECT CAST('{value}' AS DECIMAL(18,5)) AS value", "value DECIMAL(18,5)"))
    ((cell,),) = values(path)
    assert Decimal(str(cell)) == value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("_x0041FDaf&<>\r\n\t\0\x1f😀 ;'\"" + string.ascii_letters), max_size=30))
def test_any_text_survives(tmp_path, text):
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t AS SELECT CAST(? AS VARCHAR) AS value", [text])
    path = tmp_path / "texts.xlsx"
    write(connection, path, sheet("SELECT value, 1 AS after FROM t", "value VARCHAR", "after INT"))
    (_, (cell, _)) = CalamineWorkbook.from_path(path).get_sheet_by_name("People").to_python()
    assert cell == text.translate(PICTURES)
