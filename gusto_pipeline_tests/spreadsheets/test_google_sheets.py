"""A Google spreadsheet holds the old tables or the new ones, whole, whatever fails; and exactly DuckDB's values."""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import gspread
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gusto_pipeline.sandbox.google.workbook import Spreadsheet
from gusto_pipeline.sandbox.server import GoogleSandbox, running_google
from gusto_pipeline.spreadsheets import google_sheets
from gusto_pipeline.spreadsheets.google_sheets import (
    GoogleSheetsError,
    WrittenGoogleSheet,
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
