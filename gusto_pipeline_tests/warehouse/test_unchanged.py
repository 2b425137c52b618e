"""Answers that are those of the last load: they are not loaded again, and nothing else is taken for them."""

from __future__ import annotations

import dataclasses

import pytest

from gusto_pipeline.schema import Column
from gusto_pipeline.warehouse.load import LoadRefusedError, load
from gusto_pipeline.warehouse.warehouse import Warehouse
from gusto_pipeline_tests.warehouse.landing import COMPANY, NOW, SOURCES, landing, open_warehouse

PLACES = [{"uuid": f"l-{number}", "city": "Oakland"} for number in range(3)]
LOCATIONS = SOURCES["locations"].table


@pytest.fixture
def warehouse(tmp_path):
    return open_warehouse(tmp_path / "home")


def landed(folder, records, request="later", *, table=LOCATIONS, company=COMPANY, **options):
    made = landing(folder, table, [records], company=company, digested=True, **options)
    return dataclasses.replace(made, pages=tuple(dataclasses.replace(page, request_id=request) for page in made.pages))


def synced(warehouse, folder, records, request="later", *, company=COMPANY, **options):
    with warehouse.write() as connection:
        made = landed(folder, records, request, company=company, **options)
        return load(connection, [made], seen_at=NOW)[company]


def query(warehouse, sql):
    with warehouse.read() as connection:
        return connection.execute(sql).fetchall()


def requests(warehouse):
    """By company, the requests whose answers its rows are from."""
    return dict(query(warehouse, "SELECT company_uuid, list(DISTINCT request_id) FROM raw.locations GROUP BY 1"))


def test_the_same_answers_are_not_loaded_again(warehouse, tmp_path):
    synced(warehouse, tmp_path, PLACES, "first")
    synced(warehouse, tmp_path, PLACES)
    assert requests(warehouse) == {COMPANY: ["first"]}


def test_the_same_answers_give_the_same_rows_checks_and_new_fields(warehouse, tmp_path):
    records = [place | {"floor": 3} for place in PLACES]
    first = synced(warehouse, tmp_path, records)
    assert first.drift == {"locations": ["floor"]}
    again = synced(warehouse, tmp_path, records)
    assert (again.rows, again.drift) == (first.rows, first.drift)
    assert [(check.name, check.passed) for check in again.checks] == [(check.name, True) for check in first.checks]


def test_an_answer_that_differs_in_one_value_is_loaded(warehouse, tmp_path):
    synced(warehouse, tmp_path, PLACES)
    synced(warehouse, tmp_path, [*PLACES[:2], PLACES[2] | {"city": "Fresno"}])
    assert query(warehouse, "SELECT city FROM staging.locations WHERE uuid = 'l-2'") == [("Fresno",)]
    assert query(warehouse, "SELECT record->>'city' FROM raw.locations WHERE record->>'uuid' = 'l-2'") == [("Fresno",)]


def test_a_field_that_is_no_longer_sent_is_no_longer_told_of(warehouse, tmp_path):
    synced(warehouse, tmp_path, [place | {"floor": 3} for place in PLACES])
    assert synced(warehouse, tmp_path, PLACES).drift == {}


def test_back_again_is_a_change_too(warehouse, tmp_path):
    synced(warehouse, tmp_path, PLACES)
    synced(warehouse, tmp_path, PLACES[:2])
    synced(warehouse, tmp_path, PLACES)
    assert query(warehouse, "SELECT count(*) FROM staging.locations") == [(3,)]


def test_only_the_company_whose_answers_changed_is_loaded(warehouse, tmp_path):
    for company in (COMPANY, "another"):
        synced(warehouse, tmp_path, PLACES, "first", company=company)
    both = [landed(tmp_path, PLACES), landed(tmp_path, PLACES[:2], company="another")]
    with warehouse.write() as connection:
        done = load(connection, both, seen_at=NOW)
    assert {company: one.rows["locations"] for company, one in done.items()} == {COMPANY: 3, "another": 2}
    assert requests(warehouse) == {COMPANY: ["first"], "another": ["later"]}


def test_the_same_answer_about_somebody_else_is_loaded(warehouse, tmp_path):
    table = SOURCES["work_addresses"].table
    pages = [[{"uuid": "w-1"}], [{"uuid": "w-2"}]]
    for order in (pages, pages[::-1]):  # whose each is, is told by its place
        with warehouse.write() as connection:
            load(connection, [landing(tmp_path, table, order, digested=True)], seen_at=NOW)
    found = query(warehouse, "SELECT employee_uuid, uuid FROM staging.work_addresses ORDER BY 1")
    assert found == [("employee-1", "w-2"), ("employee-2", "w-1")]


def test_a_catalog_that_makes_other_rows_of_the_same_answers_has_them_loaded_again(tmp_path):
    narrow = dataclasses.replace(LOCATIONS, columns=[c for c in LOCATIONS.columns if c.name != "city"])
    narrow = dataclasses.replace(narrow, columns=tuple(narrow.columns), elsewhere=("city",))
    synced(Warehouse(tmp_path / "w.duckdb", [narrow]), tmp_path, PLACES, table=narrow)
    whole = Warehouse(tmp_path / "w.duckdb", [LOCATIONS])
    synced(whole, tmp_path, PLACES)
    assert query(whole, "SELECT DISTINCT city FROM staging.locations") == [("Oakland",)]


def test_a_column_whose_comment_changed_is_no_reason_to_lose_a_row(tmp_path):
    renamed = tuple(Column(c.path, c.type, "Another word for it") for c in LOCATIONS.columns)
    synced(Warehouse(tmp_path / "w.duckdb", [LOCATIONS]), tmp_path, PLACES)
    again = Warehouse(tmp_path / "w.duckdb", [dataclasses.replace(LOCATIONS, columns=renamed)])
    assert synced(again, tmp_path, PLACES, table=again.tables[0]).rows == {"locations": 3}


def test_rows_that_somebody_deleted_come_back(warehouse, tmp_path):
    synced(warehouse, tmp_path, PLACES)
    with warehouse.write() as connection:
        connection.execute("DELETE FROM staging.locations WHERE uuid = 'l-1'")
    synced(warehouse, tmp_path, PLACES)
    assert query(warehouse, "SELECT count(*) FROM staging.locations") == [(3,)]


def test_answers_whose_rows_were_refused_are_not_remembered(warehouse, tmp_path):
    synced(warehouse, tmp_path, PLACES)
    twice = [PLACES[0], PLACES[0]]
    for _ in range(2):
        with pytest.raises(LoadRefusedError, match="repeat the key"):
            synced(warehouse, tmp_path, twice)
    assert query(warehouse, "SELECT count(*) FROM staging.locations") == [(3,)]


def test_a_total_that_no_longer_fits_refuses_the_same_answers(warehouse, tmp_path):
    synced(warehouse, tmp_path, PLACES, total=3)
    with pytest.raises(LoadRefusedError, match="3 rows arrived where Gusto says there are 4"):
        synced(warehouse, tmp_path, PLACES, total=4)
