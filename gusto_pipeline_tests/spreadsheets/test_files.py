"""Whatever goes wrong, the earlier file stays, no draft is left behind, and the error says what to do."""

import datetime as dt
import errno
import os
import resource
import stat
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import duckdb
import pytest

from gusto_pipeline.spreadsheets.writers import (
    Column,
    Sheet,
    SpreadsheetError,
    Written,
    write_csv,
    write_parquet,
    write_xlsx,
)

Write = Callable[[duckdb.DuckDBPyConnection, Sheet, Path], Written]


def one_sheet_xlsx(connection: duckdb.DuckDBPyConnection, sheet: Sheet, path: Path) -> Written:
    return write_xlsx(connection, [sheet], path, created=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


@pytest.fixture(params=[one_sheet_xlsx, write_csv, write_parquet])
def write(request: pytest.FixtureRequest) -> Write:
    return partial(request.param, duckdb.connect())


@pytest.fixture
def earlier(tmp_path: Path) -> Iterator[Path]:
    """A file that an earlier run wrote; it must survive, alone in its folder."""
    path = tmp_path / "people"
    path.write_text("earlier")
    yield path
    assert path.read_text() == "earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["people"]


PEOPLE = Sheet("People", "SELECT n AS id FROM range(200000) t(n)", (Column("id", type="BIGINT"),))


def test_files_and_folders_are_private(write, tmp_path):
    path = tmp_path / "spreadsheets" / "acme" / "people"
    write(PEOPLE, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]
    assert [entry.name for entry in path.parent.iterdir()] == ["people"]


def test_a_file_with_other_content_is_replaced(write, tmp_path):
    path = tmp_path / "people"
    path.write_text("earlier")
    written = write(PEOPLE, path)
    assert (written.unchanged, written.bytes, stat.S_IMODE(path.stat().st_mode)) == (False, path.stat().st_size, 0o600)


def test_a_write_cut_short_by_the_operating_system(write, earlier):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(SpreadsheetError, match=r"people was not written: .*File too large.*another place"):
            write(PEOPLE, earlier)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(write, earlier, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpreadsheetError, match="people was not written: the disk is full; free some space"):
        write(PEOPLE, earlier)


def test_a_file_another_program_holds(write, earlier, monkeypatch):
    def locked(*_: object) -> None:
        raise PermissionError(errno.EACCES, "used by another process")

    monkeypatch.setattr(Path, "replace", locked)
    with pytest.raises(SpreadsheetError, match="close the program that has it open"):
        write(PEOPLE, earlier)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_may_only_be_read(write, earlier, monkeypatch, code):
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    with pytest.raises(SpreadsheetError, match=r"people was not written: permission denied; .*make .* writable"):
        write(PEOPLE, earlier)


def test_a_file_that_may_only_be_read_is_replaced_in_a_folder_that_may_be_written(write, tmp_path):
    path = tmp_path / "people"
    path.write_text("earlier")
    path.chmod(0o400)
    assert not write(PEOPLE, path).unchanged
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(write, earlier):
    earlier.parent.chmod(0o500)
    try:
        with pytest.raises(SpreadsheetError, match=r"permission denied; .*make .* writable"):
            write(PEOPLE, earlier)
    finally:
        earlier.parent.chmod(0o700)


def test_a_target_that_is_a_folder(write, tmp_path):
    with pytest.raises(SpreadsheetError, match="is a folder; choose a file name"):
        write(PEOPLE, tmp_path)


def test_a_folder_that_is_a_file(write, earlier):
    with pytest.raises(SpreadsheetError, match="a part of its folder's path is a file"):
        write(PEOPLE, earlier / "people")


@pytest.mark.parametrize(
    ("query", "columns", "said"),
    [
        ("SELECT * FROM nowhere", ("id BIGINT",), "query cannot run: Catalog Error: Table with name nowhere"),
        ("SELEC 1", ("id BIGINT",), "query cannot run: Parser Error"),
        ("SELECT 1 AS id", ("id NOTHING",), "query cannot run: Catalog Error: Type with name NOTHING"),
        ("SELECT 1 AS id, 2 AS x", ("id BIGINT", "y BIGINT"), 'only one of the two has "y", "x"'),
        ("SELECT 1 AS a, 2 AS b", ("b BIGINT", "a BIGINT"), "the order differs"),
        ("SELECT 1 AS id", (), "has no columns; declare at least one"),
    ],
)
def test_a_query_that_does_not_fit(write, earlier, query, columns, said):
    declared = tuple(Column(c.split()[0], type=c.partition(" ")[2]) for c in columns)
    with pytest.raises(SpreadsheetError) as failure:
        write(Sheet("People", query, declared), earlier)
    assert said in str(failure.value)
    assert 'sheet "People"' in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_value_of_another_type_is_located_but_not_shown(write, earlier):
    query = "SELECT unnest(['1', '2', '123-45-6789', '4']) AS ssn"
    with pytest.raises(SpreadsheetError) as failure:
        write(Sheet("People", query, (Column("ssn", type="BIGINT"),)), earlier)
    assert 'sheet "People", column "ssn", row 4: the value is not a BIGINT' in str(failure.value)
    assert "123-45-6789" not in str(failure.value)
    assert failure.value.__suppress_context__


def test_a_query_that_fails_on_a_value_does_not_show_it(write, earlier):
    query = "SELECT CAST(unnest(['1', '123-45-6789']) AS BIGINT) AS ssn"
    with pytest.raises(SpreadsheetError) as failure:
        write(Sheet("People", query, (Column("ssn", type="BIGINT"),)), earlier)
    assert "its query failed (conversion exception)" in str(failure.value)
    assert "123-45-6789" not in str(failure.value)


def test_the_same_data_makes_the_same_file_wherever_it_is(write, tmp_path):
    first = write(PEOPLE, tmp_path / "a")
    second = write(PEOPLE, tmp_path / "b")
    assert first.sha256 == second.sha256
