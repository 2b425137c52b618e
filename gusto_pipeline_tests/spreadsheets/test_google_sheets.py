"""A Google spreadsheet holds the old tables or the new ones, whole, whatever fails; and exactly DuckDB's values."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import duckdb
import gspread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gusto_pipeline.sandbox.google.workbook import Spreadsheet
from gusto_pipeline.sandbox.server import GoogleSandbox, running_google
from gusto_pipeline.spreadsheets import google_sheets
from gusto_pipeline.spreadsheets.google_sheets import (
    GoogleSheetsError,
    google_client,
    write_google_sheet,
)
from gusto_pipeline.spreadsheets.sheets import Column, Sheet, SpreadsheetError

EPOCH = dt.datetime(1899, 12, 30)  # noqa: DTZ001


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleSandbox]:
    with running_google() as sandbox:
        yield sandbox


@pytest.fixture
def book(google: GoogleSandbox) -> Iterator[Spreadsheet]:
    google.advance(60)  # quotas are full
    google.requests.clear()
    yield google.new_spreadsheet()
    google.faults.clear()
    google.accounts.revoked.clear()


@pytest.fixture(scope="module")
def client(google: GoogleSandbox) -> gspread.Client:
    return connect(google)


def connect(google: GoogleSandbox, record: dict[str, Any] | None = None) -> gspread.Client:
    """A client whose waiting moves the sandbox's time instead of ours."""
    return google_client(
        record or google.service_account_key, base_urls=google.base_urls, sleep=google.advance, clock=google.clock.now
    )


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits so small that a table of 40 rows is staged, in several chunks."""
    monkeypatch.setattr(google_sheets, "DIRECT_ROWS", 10)
    monkeypatch.setattr(google_sheets, "CHUNK_BYTES", 500)


def numbers(version: str, rows: int, name: str = "People") -> Sheet:
    query = f"SELECT '{version}' || n AS name, n AS number FROM range({rows}) t(n)"
    return Sheet(name, query, (Column("name"), Column("number", type="BIGINT")))


def content(book: Spreadsheet, name: str = "People") -> list[list[Any]] | None:
    """What a tab holds, straight from the sandbox."""
    tab = book.tab(name)
    if tab is None:
        return None
    used = [at for at in tab.cells if tab.value(at)]
    height, width = max((row for row, _ in used), default=-1) + 1, max((column for _, column in used), default=-1) + 1
    return [[next(iter(tab.value((row, column)).values()), "") for column in range(width)] for row in range(height)]


def table(version: str, rows: int) -> list[list[Any]]:
    return [["name", "number"], *([f"{version}{n}", n] for n in range(rows))]


def staging(book: Spreadsheet) -> list[str]:
    return [tab.title for tab in book.tabs if tab.title.startswith("__staging_")]


@pytest.mark.parametrize("rows", [0, 1, 5, 40])
def test_a_table_arrives_whole(google, book, client, connection, small, rows):
    written = write_google_sheet(connection, [numbers("a", rows)], book.id, client, run="r1")
    assert content(book) == table("a", rows)
    assert (written.sheets, written.unchanged, written.warnings) == ({"People": rows}, False, ())
    assert (written.url, written.requests) == (book.url, sum(row.path.startswith("/v4/") for row in google.requests))
    assert not staging(book)


# Whatever fails

PASSING = {
    "dropped before it took effect": ("drop-before", "", 1),
    "dropped after it took effect": ("drop-after", "", 1),
    "server error": ("server-error", "503", 1),
    "quota spent": ("rate-limit", "7", 1),
    "rate of requests": ("rate-403", "", 1),
}
LASTING = {
    "half of the rows": ("partial", "", 1),
    "never reached": ("drop-before", "", None),
    "never answered": ("drop-after", "", None),
    "server down": ("server-error", "502", None),
    "quota spent for good": ("rate-limit", "", None),
    "no longer shared": ("no-permission", "", None),
}
OLD = [numbers("old", 60), numbers("old", 5, "Teams")]
NEW = [numbers("new", 40), numbers("new", 3, "Teams")]


def tables(version: str, people: int, teams: int) -> dict[str, list[list[Any]] | None]:
    return {"People": table(version, people), "Teams": table(version, teams)}


@pytest.mark.parametrize("fault", PASSING | LASTING)
@pytest.mark.parametrize("earlier", [False, True])
def test_a_failure_at_any_request_leaves_the_old_tables_or_the_new_ones(
    google, client, connection, small, fault, earlier
):
    kind, value, times = (PASSING | LASTING)[fault]
    old = tables("old", 60, 5) if earlier else {"People": None, "Teams": None}
    new = tables("new", 40, 3)
    for after in range(100):
        book = google.new_spreadsheet()
        if earlier:
            write_google_sheet(connection, OLD, book.id, client, run="earlier")
        put = google.fault(kind, value, after=after, times=times)
        try:
            write_google_sheet(connection, NEW, book.id, client, run="struck")
            allowed = [new]
        except GoogleSheetsError:
            assert fault in LASTING
            allowed = [old, new]
        google.faults.clear()
        assert {name: content(book, name) for name in new} in allowed
        write_google_sheet(connection, NEW, book.id, client, run="struck")
        assert {name: content(book, name) for name in new} == new
        assert not staging(book)
        if not put.seen:  # there are no more requests to strike
            break
    assert after >= (2 if kind == "partial" else 5)  # it struck that many requests, one after the other


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("after", [0, 1])
def test_a_passing_failure_does_not_stop_a_small_table(google, book, client, connection, fault, after):
    for version in ("old", "new"):  # into a tab that is not there yet, and into one that is
        kind, value, times = PASSING[fault]
        google.fault(kind, value, after=after, times=times)
        write_google_sheet(connection, [numbers(version, 5)], book.id, client, run="r")
        assert content(book) == table(version, 5)
        assert (len(book.metadata), google.faults.active.pop().times) == (1, 0)


def test_a_run_that_died_leaves_nothing_behind_for_long(google, book, client, connection, small):
    write_google_sheet(connection, OLD, book.id, client, run="earlier")
    google.fault("partial", after=1)
    with pytest.raises(GoogleSheetsError, match=r'only \d+ of \d+ rows from row \d+ on of sheet "People" arrived'):
        write_google_sheet(connection, NEW, book.id, client, run="dead")
    assert staging(book) == ["__staging_dead"]
    written = write_google_sheet(connection, OLD, book.id, client, run="next")
    assert (written.unchanged, staging(book)) == (True, [])


def test_staging_tabs_are_hidden(google, book, client, connection, small):
    google.fault("no-permission", after=3, times=None)
    with pytest.raises(GoogleSheetsError):
        write_google_sheet(connection, NEW, book.id, client, run="r1")
    google.faults.clear()
    assert [tab.title for tab in client.open_by_key(book.id).worksheets(exclude_hidden=True)] == ["Sheet1"]
    assert staging(book) == ["__staging_r1"]


# What is kept and what is sent


def test_what_the_spreadsheet_already_holds_is_not_sent_again(google, book, client, connection, small):
    first = write_google_sheet(connection, NEW, book.url, client, run="r1")
    google.requests.clear()
    second = write_google_sheet(connection, NEW, book.url, client, run="r2")
    assert (second.unchanged, second.sha256, second.sheets) == (True, first.sha256, first.sheets)
    assert [row.method for row in google.requests] == ["GET"]


@pytest.mark.parametrize(
    "changed",
    [
        Sheet("Teams", NEW[1].query + " WHERE n <> 1", NEW[1].columns),
        Sheet("Teams", NEW[1].query, (Column("name", comment="as in Gusto"), NEW[1].columns[1])),
        Sheet("Teams", NEW[1].query, (NEW[1].columns[0], Column("number", type="BIGINT", kind="money"))),
    ],
    ids=["rows", "comment", "format"],
)
def test_only_tables_that_changed_are_sent(google, book, client, connection, changed):
    write_google_sheet(connection, NEW, book.id, client, run="r1")
    people = book.tab("People").cells
    google.requests.clear()
    assert not write_google_sheet(connection, [NEW[0], changed], book.id, client, run="r2").unchanged
    assert [row.method for row in google.requests] == ["GET", "POST"]
    assert book.tab("People").cells == people
    assert len(content(book, "Teams")) == 1 + len(connection.execute(changed.query).fetchall())


def test_small_tables_take_one_read_and_one_write(google, book, client, connection):
    assert (
        write_google_sheet(connection, [numbers("a", 750), numbers("b", 9, "B")], book.id, client, run="r").requests
        == 2
    )


def test_a_table_too_long_for_one_request_is_staged_in_chunks_of_two_megabytes(google, book, client, connection):
    query = "SELECT n, repeat('x', 1000) AS text FROM range(4500) t(n)"
    wide = Sheet("Wide", query, (Column("n", type="BIGINT"), Column("text")))
    written = write_google_sheet(connection, [wide], book.id, client, run="r")
    assert [row.method for row in google.requests if row.path != "/token"] == [
        "GET",
        "POST",
        *["PUT"] * 3,
        "GET",
        "POST",
    ]
    assert (written.sheets, len(content(book, "Wide"))) == ({"Wide": 4500}, 4501)


@pytest.mark.parametrize("rows", [5, 40])
def test_a_tab_keeps_its_id_its_place_and_what_is_right_of_the_table(google, book, client, connection, small, rows):
    write_google_sheet(connection, [numbers("old", 60)], book.id, client, run="r1")
    people, opened = book.tab("People"), client.open_by_key(book.id)
    opened.worksheet("People").resize(cols=3)
    opened.worksheet("People").update([["=B2*2"], ["mine"]], "C1", raw=False)
    opened.sheet1.update([["=People!B2"]], "A1", raw=False)
    write_google_sheet(connection, [numbers("new", rows)], book.id, client, run="r2")
    now = book.tab("People")
    assert (now.id, now.rows, [tab.title for tab in book.tabs]) == (people.id, 61, ["Sheet1", "People"])
    assert [row[:2] for row in content(book)] == table("new", rows)
    assert [row[2] for row in content(book)[:3]] == ["=B2*2", "mine", ""]
    assert content(book, "Sheet1") == [["=People!B2"]]


def test_a_tab_of_that_name_that_was_there_before_is_replaced(google, book, client, connection):
    client.open_by_key(book.id).sheet1.update([["what", "was", "there"], ["once"]] * 20)
    write_google_sheet(connection, [numbers("new", 3, "sheet1")], book.id, client, run="r")
    assert content(book, "Sheet1") == table("new", 3)


def test_columns_that_are_gone_are_emptied(google, book, client, connection):
    write_google_sheet(connection, [numbers("old", 3)], book.id, client, run="r1")
    write_google_sheet(
        connection, [Sheet("People", "SELECT 'x' AS name", (Column("name"),))], book.id, client, run="r2"
    )
    tab = book.tab("People")
    assert content(book) == [["name"], ["x"]]
    assert not [cell for (_, column), cell in tab.cells.items() if column == 1 and "note" in cell]


# What people see


def test_the_header_stays_in_view_and_says_what_the_columns_are(book, client, connection):
    columns = (
        Column("name", comment="Full name"),
        Column("seen", type="TIMESTAMPTZ"),
        Column("pay", type="DECIMAL(9,2)", kind="money"),
    )
    query = "SELECT 'Ann' AS name, TIMESTAMPTZ '2026-07-01 12:00:00+00' AS seen, 1234.5 AS pay"
    write_google_sheet(
        connection, [Sheet("People", query, columns)], book.id, client, run="r7", timezone="America/Denver"
    )
    tab = book.tab("People")
    assert tab.properties["gridProperties"]["frozenRowCount"] == 1
    assert (tab.filter["range"]["endRowIndex"], tab.filter["range"]["endColumnIndex"]) == (2, 3)
    assert all(tab.cells[0, i]["userEnteredFormat"]["textFormat"]["bold"] for i in range(3))
    notes = [tab.cells[0, i].get("note") for i in range(3)]
    written = r"Written \d{4}-\d\d-\d\d \d\d:\d\d UTC by gusto_pipeline, run r7. 1 rows."
    assert re.fullmatch(f"Full name\n{written}", notes[0])
    assert notes[1:] == ["Times are in America/Denver.", None]
    assert client.open_by_key(book.id).worksheet("People").get_all_values()[1] == [
        "Ann",
        "2026-07-01 06:00:00",
        "1,234.50",
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "=IMPORTXML(1)", "'x", "02108", "1/2", "TRUE", '"'])
@pytest.mark.parametrize("rows", [1, 20])
def test_text_stays_text(google, book, client, connection, small, text, rows):
    sheet = Sheet("People", f"SELECT {google_sheets.quoted(text)} AS x FROM range({rows})", (Column("x"),))
    write_google_sheet(connection, [sheet], book.id, client, run="r")
    tab = book.tab("People")
    assert {json.dumps(tab.value((row, 0))) for row in range(1, rows + 1)} == {json.dumps({"stringValue": text})}
    assert tab.cells[1, 0]["userEnteredFormat"]["numberFormat"] == {"type": "TEXT"}


def test_names_of_tabs_are_unique_and_quoted(google, book, client, connection, small):
    sheets = [numbers("a", 20, "Pat's"), numbers("b", 20, "PAT'S"), numbers("c", 2, " ")]
    written = write_google_sheet(connection, sheets, book.id, client, run="it's")
    assert written.sheets == {"Pat's": 20, "PAT'S (2)": 20, "Sheet": 2}
    assert content(book, "PAT'S (2)") == table("b", 20)


# Values


def back(client: gspread.Client, book: Spreadsheet, name: str = "People") -> list[list[Any]]:
    """The rows below the header as gspread reads them, all equally long."""
    rows = (
        client.open_by_key(book.id)
        .worksheet(name)
        .get(value_render_option="UNFORMATTED_VALUE", date_time_render_option="SERIAL_NUMBER", pad_values=True)
    )
    return rows[1:]


def as_cell(value: Any) -> Any:
    """What a cell holds of one of DuckDB's values, by the reference: text exactly, numbers as numbers."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return (value - dt.date(1899, 12, 30)).days if value >= dt.date(1900, 1, 1) else str(value)
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        digits = "".join(map(str, Decimal(value).as_tuple().digits)).strip("0")
        return str(value) if len(digits) > 15 else float(value)
    return value


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, dt.datetime):
        # A double resolves a day number of this century to 1.3 microseconds, and it is divided and multiplied.
        near = dt.timedelta(microseconds=10)
        return isinstance(found, int | float) and abs(EPOCH + dt.timedelta(days=found) - expected) < near
    numeric = isinstance(expected, float) and isinstance(found, int | float) and not isinstance(found, bool)
    return found == expected and (numeric or type(found) is type(expected))


ROW = st.tuples(
    st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-99, 99),
    st.none() | st.decimals(-(10**17) + 1, 10**17 - 1, places=3),
    st.none() | st.booleans(),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.dates(),
    st.none() | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)),  # noqa: DTZ001
)
TYPES = ("VARCHAR", "BIGINT", "DECIMAL(20,3)", "BOOLEAN", "DOUBLE", "DATE", "TIMESTAMP")


def test_gspread_reads_back_what_duckdb_holds(google, client, connection, small):
    columns = ", ".join(f"{name} {type_}" for name, type_ in zip("abcdefg", TYPES, strict=True))
    query = "SELECT * EXCLUDE i FROM people ORDER BY i"
    sheet = Sheet("People", query, tuple(Column(n, type=t) for n, t in zip("abcdefg", TYPES, strict=True)))

    @settings(max_examples=25, deadline=None, database=None)
    @given(rows=st.lists(ROW, min_size=1, max_size=20))
    def reads_back(rows: list[tuple[Any, ...]]) -> None:
        book = google.new_spreadsheet()
        connection.execute(f"CREATE OR REPLACE TEMP TABLE people (i INTEGER, {columns})")
        connection.executemany(f"INSERT INTO people VALUES (?{', ?' * 7})", [(i, *row) for i, row in enumerate(rows)])
        write_google_sheet(connection, [sheet], book.id, client, run="r")
        found = back(client, book)
        found += [[]] * (len(rows) - len(found))  # rows of nothing but nulls at the end are no rows to gspread
        for line, row in zip(found, connection.execute(query).fetchall(), strict=True):
            cells = line + [""] * (7 - len(line))
            assert all(same(cell, as_cell(value)) for cell, value in zip(cells, row, strict=True)), (cells, row)

    reads_back()


def test_what_a_cell_cannot_hold_is_left_out_or_cut_and_said(google, book, client, connection):
    query = "SELECT * FROM (VALUES (repeat('😀', 25001), 'nan'::DOUBLE), (repeat('y', 50000), 1.5)) t(text, n)"
    sheet = Sheet("People", query, (Column("text"), Column("n", type="DOUBLE")))
    warnings = write_google_sheet(connection, [sheet], book.id, client, run="r").warnings
    (cut, blank), (whole, number) = content(book)[1:]
    assert cut == "😀" * 24_899 + " …[cut: 102 characters, see CSV]"
    assert (blank, whole, number) == ("", "y" * 50_000, 1.5)
    assert warnings == (
        'sheet "People", column "text": more than 50,000 characters: cut, the CSV has it all (row 2)',
        'sheet "People", column "n": not a number or infinite: left empty (row 2)',
    )


def test_lists_are_joined_and_instants_are_local(google, book, client, connection):
    query = "SELECT ['a', 'b'] AS tags, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS at"
    sheet = Sheet("People", query, (Column("tags", type="VARCHAR[]"), Column("at", type="TIMESTAMPTZ")))
    write_google_sheet(connection, [sheet], book.id, client, run="r", timezone="America/New_York")
    [[tags, at]] = back(client, book)
    assert (tags, EPOCH + dt.timedelta(days=at)) == ("a; b", dt.datetime(2025, 12, 31, 19))  # noqa: DTZ001


# Limits


def refused(
    connection: duckdb.DuckDBPyConnection, sheets: list[Sheet], book: Spreadsheet, client: gspread.Client
) -> str:
    before = [tab.title for tab in book.tabs]
    with pytest.raises(SpreadsheetError) as error:
        write_google_sheet(connection, sheets, book.id, client, run="r")
    assert [tab.title for tab in book.tabs] == before
    return str(error.value)


def test_more_cells_than_a_spreadsheet_holds(google, book, client, connection):
    book.tabs[0].properties["gridProperties"]["rowCount"] = 384_500  # times 26 columns
    assert "writing takes 10,001,008 cells" in refused(
        connection, [numbers("a", 1000), numbers("b", 0, "B")], book, client
    )
    book.tabs[0].properties["gridProperties"]["rowCount"] = 384_000
    assert not write_google_sheet(connection, [numbers("a", 1000)], book.id, client, run="r").unchanged


def test_more_rows_than_a_spreadsheet_holds(google, book, client, connection, monkeypatch):
    monkeypatch.setattr(google_sheets, "MAX_CELLS", 100)
    assert '"People" has more than the 100 cells' in refused(connection, [numbers("a", 60)], book, client)


def test_more_columns_than_a_tab_holds(google, book, client, connection, monkeypatch):
    monkeypatch.setattr(google_sheets, "MAX_COLUMNS", 1)
    assert '"People" has 2 columns and Google allows 1' in refused(connection, [numbers("a", 6)], book, client)


def test_more_tabs_than_a_spreadsheet_holds(google, book, client, connection, monkeypatch):
    monkeypatch.setattr(google_sheets, "MAX_TABS", 3)
    sheets = [numbers("a", 1, f"Tab {i}") for i in range(3)]
    assert "writing takes 4 tabs and Google allows 3" in refused(connection, sheets, book, client)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sheets": []}, "give at least one sheet"),
        ({"timezone": "Denver"}, 'unknown time zone "Denver"'),
        ({"spreadsheet": "https://example.com/x"}, "is no address of a Google spreadsheet"),
        ({"sheets": [numbers("a", 1), Sheet("x", "SELECT 1 AS y", (Column("x"),))]}, 'sheet "x": its query must give'),
        (
            {"sheets": [Sheet("x", "SELECT 'Ann' AS x", (Column("x", type="DATE"),))]},
            r'column "x", row 2: .* not a DATE',
        ),
    ],
    ids=["nothing", "zone", "address", "columns", "type"],
)
def test_what_cannot_be_written_is_said_before_anything_is_sent(google, book, client, connection, options, said):
    arguments = {"sheets": [numbers("a", 1)], "spreadsheet": book.id, "client": client, "run": "r"} | options
    with pytest.raises(SpreadsheetError, match=said) as error:
        write_google_sheet(connection, **arguments)
    assert "Ann" not in str(error.value)
    assert not google.requests


# Requests


def test_the_quota_is_never_exceeded(google, book, connection, monkeypatch):
    monkeypatch.setattr(google_sheets, "DIRECT_ROWS", 0)
    monkeypatch.setattr(google_sheets, "CHUNK_BYTES", 40)
    write_google_sheet(connection, [numbers("a", 300)], book.id, connect(google), run="r")
    assert sum(row.method == "PUT" for row in google.requests) > 60
    assert {row.status for row in google.requests} == {200}


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_google_is_not_asked_again_before_it_said(google, book, client, connection, form):
    before = google.clock.now()
    google.fault("rate-limit", "40" if form == "seconds" else format_datetime(before + dt.timedelta(seconds=41)))
    write_google_sheet(connection, OLD, book.id, client, run="r")
    assert dt.timedelta(seconds=40) <= google.clock.now() - before < dt.timedelta(seconds=50)


def test_google_is_not_waited_for_longer_than_ten_minutes(google, book, client, connection):
    before = google.clock.now()
    google.fault("rate-limit", "3600")
    with pytest.raises(GoogleSheetsError, match="its quota is spent"):
        write_google_sheet(connection, OLD, book.id, client, run="r")
    assert google.clock.now() - before < dt.timedelta(seconds=5)


def test_after_ten_minutes_it_gives_up(google, book, client, connection):
    google.fault("server-error", times=None)
    before = google.clock.now()
    with pytest.raises(GoogleSheetsError, match=r"could not answer for 10 minutes \(status 500\)"):
        write_google_sheet(connection, OLD, book.id, client, run="r")
    assert dt.timedelta(minutes=8) < google.clock.now() - before <= dt.timedelta(minutes=10, seconds=5)


def test_adding_rows_is_not_repeated_when_the_answer_was_lost(google, book, client):
    tab = client.open_by_key(book.id).sheet1
    google.fault("drop-after")
    with pytest.raises(GoogleSheetsError, match="could not be reached"):
        tab.append_row(["once"])
    assert content(book, "Sheet1") == [["once"]]


# Refusals


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "no-permission",
            "no access to this spreadsheet for the service account pipeline@.*share it with them as Editor",
        ),
        ("api-disabled", "API is not enabled .* enable both"),
    ],
)
def test_refusals_say_what_to_do(google, book, client, connection, kind, said):
    google.fault(kind, times=None)
    with pytest.raises(GoogleSheetsError, match=said):
        write_google_sheet(connection, OLD, book.id, client, run="r")


def test_a_spreadsheet_that_is_not_shared(google, book, client, connection):
    other = google.new_spreadsheet(shared=False)
    with pytest.raises(
        GoogleSheetsError, match=f"for the service account {google.service_account_key['client_email']}"
    ):
        write_google_sheet(connection, OLD, other.id, client, run="r")


def test_a_spreadsheet_that_does_not_exist(google, book, client, connection):
    with pytest.raises(GoogleSheetsError, match="knows no such spreadsheet"):
        write_google_sheet(connection, OLD, "nowhere", client, run="r")


def test_a_service_account_cannot_own_files(google, book, client):
    with pytest.raises(
        GoogleSheetsError, match="service accounts have none at all; create the spreadsheet in a shared"
    ):
        client.create("People")
    assert client.create("People", folder_id="shared-drive").title == "People"


def test_a_person_may_own_files(google, book, connection):
    person = connect(google, google.oauth_record)
    created = person.create("Mine")
    write_google_sheet(connection, NEW, created.url, person, run="r")
    assert created.worksheet("Teams").get_all_values()[1] == ["new0", "0"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("oauth_record", r"no longer accepts the consent of the Google account .*gusto-pipeline reconnect google"),
        ("service_account_key", r"no longer accepts the key of the service account pipeline@.*make a new key"),
    ],
)
def test_a_grant_that_was_revoked_while_writing(google, book, connection, small, record, said):
    client = connect(google, getattr(google, record))
    write_google_sheet(connection, OLD, book.id, client, run="r1")
    google.accounts.revoked |= {"pat@example.com", google.service_account_key["client_email"]}
    with pytest.raises(GoogleSheetsError, match=said):
        write_google_sheet(connection, NEW, book.id, client, run="r2")
    assert content(book) == table("old", 60)


def test_a_token_that_expired_is_renewed(google, book, client, connection):
    write_google_sheet(connection, OLD, book.id, client, run="r1")
    google.advance(3601)
    assert not write_google_sheet(connection, NEW, book.id, client, run="r2").unchanged


def test_a_wrong_client_secret(google, book, connection):
    client = connect(google, google.oauth_record | {"client_secret": "wrong"})
    with pytest.raises(GoogleSheetsError, match=r"did not sign in .*\(invalid_client\)"):
        write_google_sheet(connection, OLD, book.id, client, run="r")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({}, "lack refresh_token, client_id, client_secret"),
        ({"type": "service_account", "client_email": "a@b"}, "lack private_key"),
        (
            {"type": "service_account", "client_email": "a@b", "private_key": "SECRET"},
            "key of the service account a@b is damaged",
        ),
    ],
)
def test_credentials_that_are_not_complete(record, said):
    with pytest.raises(GoogleSheetsError, match=said) as error:
        google_client(record)
    assert "SECRET" not in str(error.value)


def test_only_spreadsheets_and_own_files_are_asked_for(google, book, client, connection):
    write_google_sheet(connection, OLD, book.id, client, run="r")
    wanted = {"https://www.googleapis.com/auth/spreadsheets", "https://www.googleapis.com/auth/drive.file"}
    service = [token for token in google.accounts.tokens.values() if token.email.startswith("pipeline@")]
    assert {token.scopes for token in service} == {frozenset(wanted)}
