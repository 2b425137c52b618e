"""What a flat view shows of a record where there is a choice: which job, pay, address and days, and what is joined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.schema import TEXT, Column
from gusto_pipeline.warehouse.flatten import rows
from gusto_pipeline.warehouse.warehouse import Warehouse
from gusto_pipeline_tests.warehouse.landing import load_records, open_warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return open_warehouse(tmp_path)


def shown(warehouse: Warehouse, source: str, *records: dict[str, Any], table: str = "") -> list[dict[str, Any]]:
    """The rows of a flat view, by position or uuid, after loading records."""
    load_records(warehouse, warehouse.path.parent, source, list(records))
    with warehouse.read() as connection:
        found = connection.execute(f"FROM flat.{table or source} ORDER BY ALL")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def employee(**more: Any) -> dict[str, Any]:
    return {"uuid": "e-1", "first_name": "Ann", "last_name": "Lee"} | more


def job(name: str, **more: Any) -> dict[str, Any]:
    return {"uuid": name, "title": name, "primary": False, "hire_date": "2020-01-01"} | more


KEY = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=4).filter(
    lambda key: "__" not in key and key.strip("_") == key
)
PATH = st.lists(KEY, min_size=1, max_size=3).map(".".join)


@given(PATH, PATH)
def test_two_paths_never_share_a_column(one, other):
    names = {Column(path, TEXT, "").name for path in (one, other)}
    assert len(names) == len({one, other})


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_key_of_the_catalog_could_make_them_and_no_table_has_a_column_twice(category):
    for source in CATEGORIES[category].sources:
        for found in rows(source.table):
            keys = {key for column in found.table.columns for key in column.path.split(".")}
            assert not [key for key in keys if "__" in key or key != key.strip("_")]
            names = [column.name.casefold() for column in found.columns]
            assert len(names) == len(set(names))


def test_no_flat_view_has_a_column_twice(warehouse):
    """DuckDB would call the second one `name_1` or `name:1`."""
    with warehouse.read() as connection:
        connection.execute(
            "CREATE TEMP TABLE c AS SELECT table_name, lower(column_name) AS name FROM information_schema.columns "
            "WHERE table_schema = 'flat'"
        )
        doubled = connection.execute(
            "SELECT table_name, a.name FROM c a JOIN c b USING (table_name) "
            "WHERE b.name IN (a.name || '_1', a.name || ':1')"
        ).fetchall()
        assert connection.execute("SELECT count(*) > 500 FROM c").fetchall() == [(True,)]
    assert doubled == []


class TestEmployees:
    @pytest.mark.parametrize(
        ("jobs", "chosen"),
        [
            ([job("old"), job("main", primary=True), job("new", hire_date="2026-01-01")], "main"),
            ([job("old"), job("new", hire_date="2026-01-01")], "new"),
            ([job("unknown", hire_date=None), job("old")], "old"),
            ([job("first"), job("second")], "first"),
            ([job("unsaid", primary=None), job("main", primary=True)], "main"),
            ([], None),
        ],
    )
    def test_show_the_primary_job_or_else_the_latest_hired_or_else_the_first(self, warehouse, jobs, chosen):
        (row,) = shown(warehouse, "employees", employee(jobs=jobs))
        assert (row["job__uuid"], row["job__title"]) == (chosen, chosen)

    def test_show_the_pay_that_the_job_names_as_current_not_the_latest(self, warehouse):
        pay = [
            {"uuid": "past", "rate": "10.00", "payment_unit": "Hour", "effective_date": "2020-01-01"},
            {"uuid": "now", "rate": "20.00", "payment_unit": "Hour", "effective_date": "2025-01-01"},
            {"uuid": "future", "rate": "30.00", "payment_unit": "Hour", "effective_date": "2099-01-01"},
        ]
        main = job("main", primary=True, current_compensation_uuid="now", compensations=pay)
        other = job("other", current_compensation_uuid="past", compensations=pay[:1])
        (row,) = shown(warehouse, "employees", employee(jobs=[other, main]))
        assert (str(row["compensation__rate"]), str(row["compensation__effective_date"])) == ("20.0000", "2025-01-01")

    def test_show_no_pay_where_the_job_names_none(self, warehouse):
        main = job("main", primary=True, compensations=[{"uuid": "c", "rate": "10.00"}])
        (row,) = shown(warehouse, "employees", employee(jobs=[main]))
        assert (row["job__title"], row["compensation__rate"]) == ("main", None)

    def test_show_the_home_address_that_gusto_sends_as_current(self, warehouse):
        addresses = [
            {"uuid": "a-1", "city": "Boise", "effective_date": "2020-01-01", "active": False},
            {"uuid": "a-2", "city": "Denver", "effective_date": "2024-01-01", "active": True},
            {"uuid": "a-3", "city": "Miami", "effective_date": "2099-01-01", "active": False},
        ]
        record = employee(all_home_addresses=addresses, current_home_address=addresses[1])
        (row,) = shown(warehouse, "employees", record)
        assert (row["current_home_address__city"], row["home_addresses__rows"]) == ("Denver", 3)

    def test_show_the_latest_termination(self, warehouse):
        ends = [
            {"uuid": f"t-{year}", "effective_date": f"{year}-06-30", "active": year == 2021} for year in (2021, 2026)
        ]
        (row,) = shown(warehouse, "employees", employee(terminations=ends))
        assert (str(row["termination__effective_date"]), row["termination__active"]) == ("2026-06-30", False)

    def test_name_the_manager_as_people_call_them(self, warehouse):
        boss = {"uuid": "e-2", "first_name": "Robert", "preferred_first_name": "Bob", "last_name": "Ray"}
        row, _ = shown(warehouse, "employees", employee(manager_uuid="e-2"), boss)
        assert row["manager__name"] == "Bob Ray"

    def test_are_one_row_each_whatever_hangs_below(self, warehouse):
        pay = [{"uuid": f"c-{n}", "minimum_wages": [{"uuid": f"m-{n}"}, {"uuid": f"w-{n}"}]} for n in range(3)]
        jobs = [job(f"j-{n}", primary=True, compensations=pay if n else []) for n in range(2)]
        ends = [{"uuid": f"t-{n}", "effective_date": "2026-06-30"} for n in range(2)]
        (row,) = shown(warehouse, "employees", employee(jobs=jobs, terminations=ends))
        assert (row["jobs__rows"], row["terminations__rows"], row["garnishments__rows"]) == (2, 2, None)
        (none, three) = shown(warehouse, "employees", employee(jobs=jobs), table="jobs")
        assert (none["compensations__rows"], three["compensations__rows"]) == (None, 3)

    def test_join_a_list_of_plain_values(self, warehouse):
        (row,) = shown(warehouse, "employees", employee(applicable_tax_ids=["7", "9"]))
        assert row["applicable_tax_ids"] == "7; 9"

    def test_keep_a_structure_that_nobody_flattens_as_json(self, warehouse):
        (row,) = shown(warehouse, "employees", employee(warnings=[{"code": 1}]))
        assert row["warnings"] == '[{"code":1}]'


def test_time_off_shows_the_first_and_last_day_and_the_hours_in_all(warehouse):
    days = {"2026-07-03": "8.0", "2026-07-01": "8.000", "2026-07-02": "4.5"}
    request = {"uuid": "r-1", "employee": {"uuid": "e-1", "full_name": "Ann Lee"}, "days": days}
    (row,) = shown(warehouse, "time_off", request)
    assert [str(row[name]) for name in ("first_day", "last_day", "days", "hours")] == [
        "2026-07-01", "2026-07-03", "3", "20.500000",
    ]  # fmt: skip
    assert row["time_off_days__rows"] == 3


def test_children_are_counted_of_one_company(warehouse):
    load_records(warehouse, warehouse.path.parent, "employees", [employee(jobs=[job("j-1")])])
    with warehouse.write() as connection:
        connection.execute(
            "INSERT INTO staging.jobs (company_uuid, employee_uuid, uuid) VALUES ('other', 'e-1', 'j-2')"
        )
        assert connection.execute("SELECT jobs__rows FROM flat.employees").fetchall() == [(1,)]
