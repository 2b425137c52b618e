"""Nothing that anyone types into Gusto can run as a formula, whichever file it ends up in; and none of it is lost."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.spreadsheets.cells import PICTURES
from gusto_pipeline.spreadsheets.layout import Layout
from gusto_pipeline.spreadsheets.workbook import Subject, write_tables
from gusto_pipeline.spreadsheets.writers import Column, Sheet, write_csv, write_parquet, write_xlsx
from gusto_pipeline.warehouse.flatten import rows
from gusto_pipeline_tests.warehouse.landing import COMPANY, load_records, open_warehouse

CREATED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SIGNS = "=+-@\t\r\n＝＋－＠"
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
MANY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

FREE = st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00")
TEXT = st.text(FREE, max_size=12) | st.builds(
    "{}{}".format, st.sampled_from(SIGNS), st.sampled_from(["1+1", "cmd|' /C calc'!A0", 'HYPERLINK("x","y")', '"', ","])
)


def cells_of(path: Path) -> Iterator[ElementTree.Element]:
    """Every cell of every sheet of a workbook, as it stands in the file."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/sheet"):
                yield from ElementTree.fromstring(archive.read(name)).iter(f"{MAIN}c")


def assert_nothing_runs_in_xlsx(path: Path) -> None:
    for cell in cells_of(path):
        assert cell.find(f"{MAIN}f") is None
        assert cell.get("t") in ("inlineStr", "b", None)
        assert cell.get("t") is not None or re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", cell.findtext(f"{MAIN}v") or "")
    with zipfile.ZipFile(path) as archive:
        assert not [name for name in archive.namelist() if "external" in name.lower() or "vba" in name.lower()]
        assert not [name for name in archive.namelist() if name.endswith(".rels") and b"External" in archive.read(name)]


def lines_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, strict=True))


def assert_nothing_runs_in_csv(path: Path) -> None:
    for line in lines_of(path):
        for cell in line:
            assert not cell.startswith(tuple(SIGNS)) or re.fullmatch(r"-[0-9.]+", cell)


@MANY
@given(st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=3)), min_size=1, max_size=5), TEXT, TEXT)
def test_no_text_list_header_or_sheet_name_of_a_written_file_runs(tmp_path, values, header, name):
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (a VARCHAR, b VARCHAR[])")
    connection.executemany("INSERT INTO t VALUES (?, ?)", values)
    quoted = '"' + header.replace('"', '""') + '"' if header else "a"
    columns = (Column(header or "a"), Column("b", header, "VARCHAR[]"))
    sheet = Sheet(name, f"SELECT a AS {quoted}, b FROM t", columns)
    write_xlsx(connection, [sheet], tmp_path / "x.xlsx", created=CREATED)
    write_csv(connection, sheet, tmp_path / "x.csv")
    write_parquet(connection, sheet, tmp_path / "x.parquet")

    assert_nothing_runs_in_xlsx(tmp_path / "x.xlsx")
    assert_nothing_runs_in_csv(tmp_path / "x.csv")
    texts = [text for text, _ in values]
    (_, *read) = CalamineWorkbook.from_path(tmp_path / "x.xlsx").get_sheet_by_index(0).to_python(skip_empty_area=False)
    assert [row[0] for row in read] == [text.translate(PICTURES) for text in texts]
    guarded = [f"'{text}" if text[:1] in tuple(SIGNS) else text for text in texts]
    assert [line[0] for line in lines_of(tmp_path / "x.csv")[1:]] == guarded
    assert pq.read_table(tmp_path / "x.parquet").column(0).to_pylist() == texts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
# A key with a dot is not told from a nested one.
NAME = st.builds("{}{}".format, st.sampled_from(SIGNS), st.sampled_from(["note", "NOTE", "no te", "no,te", '"note"']))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formulas")


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.fixed_dictionaries({"title": TEXT}, optional={"version": TEXT}), min_size=1, max_size=3), NAME, JSON)
def test_nothing_in_any_answer_of_gusto_runs_or_is_lost(folder, records, key, value):
    for number, record in enumerate(records):
        record |= {"uuid": f"d-{number}", key: value}
    shutil.rmtree(folder / "out", ignore_errors=True)
    warehouse = open_warehouse(folder)
    with warehouse.write() as connection:
        connection.execute("DELETE FROM meta.drift")
    load_records(warehouse, folder, "departments", records, accept_shrink=True)
    tables = [table for source in CATEGORIES["departments"].sources for table in rows(source.table)]
    write_tables(
        warehouse, "book", tables, COMPANY, folder / "out", formats=["xlsx", "csv", "parquet"], timezone="UTC",
        subject=Subject("=1+1", "@x", ["departments"], folder / "out" / "versions"), layout=Layout(pii={key: "keep"}),
    )  # fmt: skip

    assert_nothing_runs_in_xlsx(folder / "out" / "book.xlsx")
    for file in (folder / "out").glob("*.csv"):
        assert_nothing_runs_in_csv(file)
    found = pq.read_table(folder / "out" / "book.parquet").to_pylist()
    by_uuid = {row["uuid"]: row for row in found}
    for record in records:
        row = by_uuid[record["uuid"]]
        assert row["title"] == record["title"]
        assert is_nothing(value) or same(row[key], value)


def is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and bool(value) and all(map(is_nothing, value.values())))


def same(shown: str, value: Any) -> bool:
    """Whether a cell's text is what Gusto sent."""
    if isinstance(value, str):
        return shown == value
    read = json.loads(shown)
    return bool(read == value) or (isinstance(value, float) and float(shown) == value)
