"""Fields the catalog does not know: their values are found again for the row they belong to, in whatever table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gusto_pipeline.schema import Table
from gusto_pipeline.warehouse.drift import look_into, new_fields, no_longer_sent, with_fields
from gusto_pipeline.warehouse.flatten import Rows, quote, rows
from gusto_pipeline.warehouse.load import LandedPage, Landing
from gusto_pipeline.warehouse.warehouse import Warehouse
from gusto_pipeline_tests.warehouse.landing import (
    COMPANY,
    NOW,
    SOURCES,
    landing,
    load_landed,
    load_records,
    open_warehouse,
)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return open_warehouse(tmp_path)


def rows_of(source: str, table: str) -> Rows:
    return next(found for found in rows(SOURCES[source].table) if found.table.name == table)


def novel(connection: duckdb.DuckDBPyConnection, found: Rows, *path: str) -> list[tuple[Any, ...]]:
    """The key and the value at `path` of every row of a table."""
    view = with_fields(f"staging.{quote(found.table.name)}", found, COMPANY, {"novel": path})
    keys = ", ".join(f"CAST({quote(key)} AS VARCHAR)" for key in found.key)
    return connection.execute(f"SELECT {keys}{', ' if keys else ''}novel FROM {view} ORDER BY ALL").fetchall()


def test_they_are_listed_by_table_and_path_in_the_order_they_came(warehouse, tmp_path):
    job = {"uuid": "j-1", "grade": {"x": 1, "y": 2}, "location": {"floor": 3}}
    load_records(warehouse, tmp_path, "employees", [{"uuid": "e-1", "shoe_size": 44}])
    load_records(warehouse, tmp_path, "employees", [{"uuid": "e-1", "ahead": 1, "jobs": [job]}])
    with warehouse.read() as connection:
        connection.execute("CREATE TEMP TABLE later AS FROM meta.drift")
        found = new_fields(connection, [SOURCES["employees"].table], COMPANY)
        assert new_fields(connection, [SOURCES["employees"].table], "another company") == []
    assert {(one.table, one.path) for one in found} == {
        ("employees", ("shoe_size",)),
        ("employees", ("ahead",)),
        ("jobs", ("grade",)),
        ("jobs", ("location", "floor")),
    }
    assert {one.first_seen for one in found} == {NOW}


def test_one_that_the_catalog_has_come_to_know_is_none(warehouse, tmp_path):
    load_records(warehouse, tmp_path, "employees", [{"uuid": "e-1"}])
    with warehouse.write() as connection:
        connection.execute(
            "INSERT INTO meta.drift VALUES ($1, 'employees', 'first_name', now()), ($1, 'employees', 'jobs[].title', "
            "now()), ($1, 'employees', 'jobs', now())",
            [COMPANY],
        )
    with warehouse.read() as connection:
        assert new_fields(connection, [SOURCES["employees"].table], COMPANY) == []


@pytest.mark.parametrize(
    ("values", "kind", "names"),
    [
        (["a", None], "text", set()),
        ([1, -2, 3.5], "numbers", set()),
        ([True], "true or false", set()),
        ([{"a": {"b": 1}}, {"c": None}], "objects", {"a", "b", "c"}),
        ([[{"ssn": 1}], []], "lists", {"ssn"}),
        ([1, "a"], "values of several kinds", set()),
        ([None], "", set()),
        ([], "", set()),
    ],
)
def test_what_one_holds_is_told_with_the_names_inside(warehouse, tmp_path, values, kind, names):
    records = [{"uuid": f"d-{number}", "novel": value} for number, value in enumerate(values)]
    load_records(warehouse, tmp_path, "departments", records)
    with warehouse.read() as connection:
        (found,) = look_into(connection, rows_of("departments", "departments"), COMPANY, [("novel",)])
    assert (found.kind, found.names) == (kind, names)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", ""),
        ('say "hi" \\ =1', 'say "hi" \\ =1'),
        (0.1, "0.1"),
        (12345678901234567, "12345678901234567"),
        (False, "false"),
        ({"a": [1, None, "x"]}, '{"a":[1,null,"x"]}'),
        ([], "[]"),
        (None, None),
    ],
)
def test_a_value_becomes_text_and_a_structure_json(warehouse, tmp_path, value, text):
    load_records(warehouse, tmp_path, "departments", [{"uuid": "d-1", "novel": value}])
    with warehouse.read() as connection:
        assert novel(connection, rows_of("departments", "departments"), "novel") == [("d-1", text)]


@pytest.mark.parametrize("key", ["a/b", "a~b", "a.b", 'a"b', "a'b", "ä😀", "0", "UUID", "$", "*", "a b"])
def test_any_key_is_found(warehouse, tmp_path, key):
    load_records(warehouse, tmp_path, "departments", [{"uuid": "d-1", key: "x"}])
    with warehouse.read() as connection:
        assert novel(connection, rows_of("departments", "departments"), key) == [("d-1", "x")]


def test_a_row_is_known_by_whom_the_request_was_about(warehouse, tmp_path):
    people = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(2)]
    spells = [[{"hire_date": None, "novel": novel} for novel in history] for history in ("ab", "c")]
    pages = landing(tmp_path, SOURCES["employment_history"].table, spells)
    asked = tuple(
        LandedPage(page.file, f"/v1/employees/{person}/employment_history", page.request_id, NOW, (person,))
        for page, person in zip(pages.pages, people, strict=True)
    )
    load_landed(warehouse, Landing(COMPANY, pages.table, asked))
    with warehouse.read() as connection:
        found = novel(connection, rows_of("employment_history", "employment_history"), "novel")
    assert found == [(people[0], "1", "a"), (people[0], "2", "b"), (people[1], "1", "c")]


def every_record(table: Table, records: list[Any]) -> Iterator[dict[str, Any]]:
    """Every object that becomes a row, of a source's records and all below them, with a field that is declared."""
    for record in records:
        if table.columns:
            record[table.columns[0].path] = None
            yield record
        for child in table.children:
            for at in child.at:
                inner: Any = record
                for key in at[:-2].split("."):
                    inner = inner.get(key) if isinstance(inner, dict) else None
                if isinstance(inner, list):
                    yield from every_record(child, inner)


SHAPES: dict[str, Any] = {
    "employees": {"jobs": {"compensations": {"minimum_wages": {}}}, "all_home_addresses": {}, "garnishments": {}},
    "company": {"locations": {}},
    "departments": {"employees": {}, "contractors": {}},
    "earning_type_lists": {"default": {}, "custom": {}},
    "pay_periods": {},
    "payroll_lines": {"employee_compensations": {"fixed_compensations": {}, "taxes": {}}},
}


@pytest.mark.parametrize("source", SHAPES)
def test_each_row_gets_its_own_value_in_every_table(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    warehouse, table = open_warehouse(folder), SOURCES[source].table
    asked_about = "00000000-0000-4000-8000-000000000001"

    def record(shape: Any) -> st.SearchStrategy[dict[str, Any]]:
        lists = {key: st.lists(record(inner), max_size=3) for key, inner in shape.items()}
        return st.fixed_dictionaries({}, optional=lists)

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(record(SHAPES[source]), min_size=1, max_size=1 if source == "company" else 3))
    def check(records: list[dict[str, Any]]) -> None:
        made = list(every_record(table, records))
        for number, one in enumerate(made):
            one |= {"uuid": f"u-{number}", "employee_uuid": f"u-{number}", "novel": f"n-{number}"}
        (page,) = landing(folder, table, [records]).pages
        links = (asked_about,) if table.links else ()
        page = LandedPage(page.file, f"/v1/x/{asked_about}", "r", NOW, links)
        load_landed(warehouse, Landing(COMPANY, table, (page,)), accept_shrink=True)
        told = []
        with warehouse.read() as connection:
            for found in rows(table):
                for *key, value in novel(connection, found, "novel"):
                    told.append(value)
                    if "uuid" in found.table.key:
                        assert key[-1] == value.replace("n-", "u-")
        assert sorted(told) == sorted(one["novel"] for one in made)

    check()


class TestNoLongerSent:
    @pytest.mark.parametrize(
        ("records", "paths", "gone"),
        [
            ([{"title": None}, {}], [("title",)], set()),
            ([{}, {}], [("title",)], {("title",)}),
            ([{"home": None}], [("home", "zip")], set()),
            ([{"home": {"zip": None}}, {"home": {}}], [("home", "zip")], set()),
            ([{"home": {}}, {"home": None}], [("home", "zip"), ("home",)], {("home", "zip")}),
        ],
    )
    def test_means_that_no_record_has_the_key_where_it_would_be(self, warehouse, tmp_path, records, paths, gone):
        numbered = [record | {"uuid": f"d-{number}"} for number, record in enumerate(records)]
        load_records(warehouse, tmp_path, "departments", numbered)
        with warehouse.read() as connection:
            assert no_longer_sent(connection, rows_of("departments", "departments"), COMPANY, paths) == gone

    def test_is_not_said_where_there_are_no_records(self, warehouse):
        with warehouse.read() as connection:
            assert no_longer_sent(connection, rows_of("departments", "departments"), COMPANY, [("title",)]) == set()
