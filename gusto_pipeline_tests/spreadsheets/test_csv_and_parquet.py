"""CSV, read back with Python's csv module and DuckDB; Parquet, read back with pyarrow."""

import csv
import datetime as dt
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gusto_pipeline.spreadsheets.writers import Column, Sheet, SpreadsheetError, write_csv, write_parquet


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people"


def sheet(query: str, *columns: str) -> Sheet:
    """A sheet of `query` with columns given as "name TYPE"."""
    return Sheet("People", query, tuple(Column(c.split()[0], type=c.partition(" ")[2]) for c in columns))


def lines(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter, strict=True))


class TestCsv:
    def test_bytes_are_utf8_with_bom_header_and_iso_values(self, connection, path):
        query = """SELECT 'José' AS name, DATE '2026-02-28' AS hired, 1234.5 AS pay, true AS active, -5 AS delta,
                   TIMESTAMPTZ '2026-07-01 03:30:00+02' AS seen, TIMESTAMP '2026-01-02 03:04:05.5' AS local,
                   ['a', 'b'] AS tags"""
        columns = ("name VARCHAR", "hired DATE", "pay DECIMAL(18,4)", "active BOOLEAN", "delta BIGINT")
        columns += ("seen TIMESTAMPTZ", "local TIMESTAMP", "tags VARCHAR[]")
        written = write_csv(connection, sheet(query, *columns), path)
        assert path.read_bytes().decode() == (
            "\ufeffname,hired,pay,active,delta,seen,local,tags\n"
            "José,2026-02-28,1234.5000,true,-5,2026-07-01T01:30:00Z,2026-01-02T03:04:05.5,a; b\n"
        )
        assert (written.sheets, written.bytes) == ({"People": 1}, path.stat().st_size)

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
    def test_text_like_a_formula_gets_an_apostrophe(self, connection, path, start):
        query = f"SELECT 'id' AS id, chr({ord(start)}) || 'SUM(1)' AS note"
        write_csv(connection, sheet(query, "id VARCHAR", "note VARCHAR"), path)
        assert lines(path)[1] == ["id", f"'{start}SUM(1)"]

    def test_a_formula_inside_text_or_list_or_header_cannot_start_a_cell(self, connection, path):
        query = """SELECT 'a,=1' AS "=x", ['=1', '2'] AS "+y" """
        write_csv(connection, Sheet("People", query, (Column("=x"), Column("+y", type="VARCHAR[]"))), path)
        assert lines(path) == [["'=x", "'+y"], ["a,=1", "'=1; 2"]]

    def test_negative_numbers_stay_numbers(self, connection, path):
        write_csv(connection, sheet("SELECT -1 AS a, -2.5 AS b", "a BIGINT", "b DECIMAL(18,2)"), path)
        assert lines(path)[1] == ["-1", "-2.50"]

    def test_nothing_and_empty_text_stay_different(self, connection, path):
        write_csv(connection, sheet("SELECT NULL AS a, '' AS b, 1 AS c", "a VARCHAR", "b VARCHAR", "c INT"), path)
        assert path.read_text(encoding="utf-8-sig") == 'a,b,c\n,"",1\n'

    def test_a_row_of_one_empty_cell_is_still_a_row(self, connection, path):
        write_csv(connection, sheet("SELECT unnest([1, NULL, 3]) AS a", "a INT"), path)
        assert lines(path) == [["a"], ["1"], [""], ["3"]]

    def test_text_that_is_too_long_for_excel_is_whole(self, connection, path):
        write_csv(connection, sheet("SELECT repeat('😀', 40000) AS note", "note VARCHAR"), path)
        assert lines(path)[1:] == [["😀" * 40_000]]

    def test_what_no_excel_cell_holds_is_kept_as_it_is(self, connection, path):
        query = "SELECT DATE '1899-12-31' AS day, TIMESTAMP '0001-01-01 00:00:00' AS at, 'nan'::DOUBLE AS rate, '' AS a"
        write_csv(connection, sheet(query, "day DATE", "at TIMESTAMP", "rate DOUBLE", "a VARCHAR"), path)
        assert lines(path)[1:] == [["1899-12-31", "0001-01-01T00:00:00", "nan", ""]]

    def test_an_empty_table_is_a_header_alone(self, connection, path):
        written = write_csv(connection, sheet("SELECT 1 AS a, 2 AS b WHERE false", "a INT", "b INT"), path)
        assert path.read_bytes() == b"\xef\xbb\xbfa,b\n"
        assert written.sheets == {"People": 0}

    def test_another_delimiter(self, connection, path):
        write_csv(connection, sheet("SELECT 'x;y' AS a, 'x,y' AS b", "a VARCHAR", "b VARCHAR"), path, delimiter=";")
        assert path.read_text(encoding="utf-8-sig") == 'a;b\n"x;y";x,y\n'

    def test_a_delimiter_of_two_characters_is_refused(self, connection, path):
        with pytest.raises(SpreadsheetError, match="must be one character, not '::'"):
            write_csv(connection, sheet("SELECT 1 AS a", "a INT"), path, delimiter="::")

    def test_headers_are_quoted_and_unique(self, connection, path):
        columns = (Column("a,b"), Column('say "hi"'), Column("it's"), Column("A,B"), Column("c\rd"))
        query = 'SELECT \'1\' AS "a,b", \'2\' AS "say ""hi""", \'3\' AS "it\'s", \'4\' AS "A,B", \'5\' AS "c\rd"'
        write_csv(connection, Sheet("People", query, columns), path)
        assert lines(path)[0] == ["a,b", 'say "hi"', "it's", "A,B (2)", "c\rd"]

    def test_rows_keep_the_querys_order(self, connection, path):
        connection.execute("SET preserve_insertion_order = false")
        query = "FROM range(300000) t(n) ORDER BY n * 7919 % 300007"
        write_csv(connection, sheet(query, "n BIGINT"), path)
        expected = sorted(range(300_000), key=lambda n: n * 7919 % 300_007)
        assert [int(row[0]) for row in lines(path)[1:]] == expected

    def test_the_session_time_zone_changes_nothing(self, connection, path):
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        write_csv(connection, sheet("SELECT TIMESTAMPTZ '2026-07-01 03:30:00+00' AS t", "t TIMESTAMPTZ"), path)
        assert lines(path)[1] == ["2026-07-01T03:30:00Z"]

    def test_the_same_data_leaves_the_file_alone(self, connection, path):
        table = sheet("FROM range(1000) t(n)", "n BIGINT")
        first, before = write_csv(connection, table, path), path.stat().st_mtime_ns
        again = write_csv(connection, table, path)
        assert (first.unchanged, again.unchanged, path.stat().st_mtime_ns) == (False, True, before)


class TestParquet:
    def test_types_are_as_declared(self, connection, path):
        query = """SELECT '1' AS name, DATE '2026-02-28' AS hired, '1234.5' AS pay, true AS active,
                   TIMESTAMPTZ '2026-07-01 03:30:00+00' AS seen, ['a', NULL] AS tags"""
        columns = ("name VARCHAR", "hired DATE", "pay DECIMAL(18,4)", "active BOOLEAN", "seen TIMESTAMPTZ")
        written = write_parquet(connection, sheet(query, *columns, "tags VARCHAR[]"), path)
        table = pq.read_table(path)
        assert [str(field.type) for field in table.schema][:-1] == [
            "string",
            "date32[day]",
            "decimal128(18, 4)",
            "bool",
            "timestamp[us, tz=UTC]",
        ]
        assert pa.types.is_list(table.schema.field("tags").type)
        assert table.to_pylist() == [
            {
                "name": "1",
                "hired": dt.date(2026, 2, 28),
                "pay": Decimal("1234.5"),
                "active": True,
                "seen": dt.datetime(2026, 7, 1, 3, 30, tzinfo=dt.UTC),
                "tags": ["a", None],
            }
        ]
        assert written.sheets == {"People": 1}

    def test_is_compressed_with_zstd(self, connection, path):
        write_parquet(connection, sheet("FROM range(1000) t(n)", "n BIGINT"), path)
        assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"

    def test_text_is_kept_as_it_is(self, connection, path):
        query = "SELECT '=1+1' AS a, chr(0) || '😀' AS A"
        write_parquet(connection, sheet(query, "a VARCHAR", "A VARCHAR"), path)
        assert pq.read_table(path).to_pylist() == [{"a": "=1+1", "A (2)": "\0😀"}]

    def test_an_empty_table_has_its_columns(self, connection, path):
        write_parquet(connection, sheet("SELECT 1 AS a WHERE false", "a BIGINT"), path)
        assert pq.read_table(path).schema.names == ["a"]

    def test_rows_keep_the_querys_order_and_bytes_are_stable(self, connection, path):
        connection.execute("SET preserve_insertion_order = false")
        table = sheet("FROM range(300000) t(n) ORDER BY n * 7919 % 300007", "n BIGINT")
        write_parquet(connection, table, path)
        expected = sorted(range(300_000), key=lambda n: n * 7919 % 300_007)
        assert pq.read_table(path).column("n").to_pylist() == expected
        assert write_parquet(connection, table, path).unchanged


COLUMNS = {
    "text": ("VARCHAR", st.text(max_size=40)),
    "flag": ("BOOLEAN", st.booleans()),
    "count": ("BIGINT", st.integers(-(2**63), 2**63 - 1)),
    "pay": ("DECIMAL(18,4)", st.decimals(-(10**13), 10**13, places=4)),
    "rate": ("DOUBLE", st.floats(allow_nan=False)),
    "day": ("DATE", st.dates()),
    "time": ("TIMESTAMP", st.datetimes()),
}
ROWS = st.lists(st.tuples(*(st.none() | strategy for _, strategy in COLUMNS.values())), max_size=8)
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def stored(rows: list[tuple[Any, ...]]) -> tuple[duckdb.DuckDBPyConnection, Sheet]:
    connection = duckdb.connect()
    declared = [f"{name} {type_}" for name, (type_, _) in COLUMNS.items()]
    connection.execute(f"CREATE TABLE t ({', '.join(declared)})")
    if rows:
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(COLUMNS))})", rows)
    return connection, sheet("FROM t", *declared)


@MANY
@given(rows=ROWS)
def test_csv_reads_back_equal_but_for_the_apostrophe(tmp_path, rows):
    connection, table = stored(rows)
    path = tmp_path / "any.csv"
    write_csv(connection, table, path)
    names = "{" + ", ".join(f"'{name}': '{type_}'" for name, (type_, _) in COLUMNS.items()) + "}"
    options = f"header = true, columns = {names}, auto_detect = false, allow_quoted_nulls = false"
    query = f"FROM read_csv(?, {options}, delim = ',', quote = '\"', escape = '\"', new_line = '\\n')"
    read = connection.execute(query, [str(path)]).fetchall()
    guarded = [("'" + row[0] if row[0] and row[0][0] in "=+-@\t\r\n＝＋－＠" else row[0], *row[1:]) for row in rows]
    assert read == guarded
    assert [line[0] for line in lines(path)[1:]] == [row[0] or "" for row in guarded]


@MANY
@given(rows=ROWS)
def test_parquet_reads_back_equal(tmp_path, rows):
    connection, table = stored(rows)
    path = tmp_path / "any.parquet"
    write_parquet(connection, table, path)
    read = [tuple(row.values()) for row in pq.read_table(path).to_pylist()]
    assert len(read) == len(rows)
    for own, row in zip(read, rows, strict=True):
        assert own[:4] + own[5:] == row[:4] + row[5:]
        assert own[4] == row[4] if row[4] is None else math.isclose(own[4], row[4], rel_tol=0)
