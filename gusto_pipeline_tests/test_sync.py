"""Companies and their names, and the record every attempt to sync leaves."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.clock import utcnow
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.gusto.errors import GustoError, ServerError
from gusto_pipeline.sync import (
    Company,
    Synced,
    UnknownCompanyError,
    connected_companies,
    find_company,
    open_store,
    slugify,
    sync_category,
    sync_companies,
)
from gusto_pipeline.warehouse.load import LoadError, LoadRefusedError
from gusto_pipeline.warehouse.warehouse import WarehouseError
from gusto_pipeline_tests.conftest import Yesterday, connected


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme Tea Co", "acme-tea-co"),
        ("Birch & Bolt Hardware", "birch-bolt-hardware"),
        ("Café Müller, Inc.", "cafe-muller-inc"),
        ("  --  ", "company"),
        ("株式会社", "company"),
        ("../../etc/passwd", "etc-passwd"),
    ],
)
def test_a_company_name_becomes_a_readable_key(name, slug):
    assert slugify(name) == slug


def test_a_second_company_of_the_same_name_gets_a_number():
    assert slugify("Acme", ["acme"]) == "acme-2"
    assert slugify("Acme", ["acme", "acme-2"]) == "acme-3"


@given(st.text(max_size=200), st.lists(st.text(max_size=10), max_size=3))
def test_any_name_becomes_a_key_that_is_a_safe_file_name_and_free(name, others):
    taken = [slugify(other) for other in others] + [slugify(name)]
    slug = slugify(name, taken)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,65}", slug)
    assert slug not in taken


class TestConnectedCompanies:
    @pytest.fixture
    def two(self, tmp_path):
        with connected(tmp_path, companies=2, employees=1) as pipeline:
            yield pipeline

    def test_there_are_none_at_first(self, tmp_path, monkeypatch, pipeline):
        store = open_store(pipeline.settings)
        store.delete(f"gusto/{pipeline.company.slug}")
        assert connected_companies(store) == []
        with pytest.raises(UnknownCompanyError, match="Connected: none"):
            find_company(store, "acme")

    def test_they_are_listed_by_slug(self, two):
        names = [(company.slug, company.name) for company in connected_companies(open_store(two.settings))]
        assert names == [("acme-tea-co", "Acme Tea Co"), ("birch-bolt-hardware", "Birch & Bolt Hardware")]

    @pytest.mark.parametrize("attribute", ["slug", "uuid", "name"])
    def test_one_is_found_by_slug_uuid_or_name(self, two, attribute):
        second = two.companies[1]
        assert find_company(open_store(two.settings), getattr(second, attribute)) == second

    def test_an_unknown_one_is_answered_with_those_there_are(self, two):
        with pytest.raises(UnknownCompanyError, match=r"'acme'.*acme-tea-co \(Acme Tea Co\), birch-bolt-hardware"):
            find_company(open_store(two.settings), "acme")

    def test_one_that_is_renamed_and_connected_again_keeps_its_slug(self, two):
        made = two.sandbox.world.companies[0]
        made.name = made.record["name"] = "Zephyr Tea Co"
        again = two.connect(made.uuid)
        assert again == Company("acme-tea-co", made.uuid, "Zephyr Tea Co")
        assert len(connected_companies(open_store(two.settings))) == 2

    def test_two_of_the_same_name_stay_apart(self, two):
        first, second = two.sandbox.world.companies
        for company in two.companies:
            open_store(two.settings).delete(f"gusto/{company.slug}")
        second.name = second.record["name"] = first.name
        assert [two.connect(company.uuid).slug for company in (first, second)] == ["acme-tea-co", "acme-tea-co-2"]


def syncs(pipeline):
    return pipeline.query("SELECT category, status, requests, rows, origin, run_id FROM meta.syncs ORDER BY started_at")


def test_answers_that_are_as_they_were_are_not_loaded_again(pipeline):
    pipeline.sync("departments")
    first = pipeline.query("SELECT DISTINCT request_id FROM raw.departments")
    pipeline.sync("departments")
    assert pipeline.query("SELECT DISTINCT request_id FROM raw.departments") == first
    assert [status for _, status, *_ in syncs(pipeline)] == ["ok", "ok"]


def test_a_sync_is_recorded_with_what_it_brought(pipeline):
    synced = pipeline.sync("departments", run_id="run 1")
    assert syncs(pipeline) == [("departments", "ok", synced.requests, sum(synced.rows.values()), "api", "run 1")]
    assert pipeline.query("SELECT company, name FROM meta.companies") == [("acme-tea-co", "Acme Tea Co")]


def test_a_sync_notes_that_this_machines_clock_is_ahead_of_gustos(pipeline):
    with pipeline.client(transport=Yesterday()) as client:
        synced = sync_category(CATEGORIES["departments"], pipeline.company, client, pipeline.settings)
    assert [note for note in synced.notes if "the clock is ahead" in note]
    assert pipeline.sync("departments").notes == ()


def test_a_sync_that_failed_is_recorded_too(pipeline):
    pipeline.sandbox.fault("missing-scope=departments:read")
    with pytest.raises(GustoError):
        pipeline.sync("departments", run_id="run 2")
    assert syncs(pipeline) == [("departments", "failed", 1, 0, "", "run 2")]


def test_a_category_per_employee_asks_about_everyone_synced_before(pipeline):
    pipeline.sync("employees")
    people = pipeline.count("employees")
    synced = pipeline.sync("work_addresses")
    assert synced.requests == people == 40
    missing = "SELECT uuid FROM staging.employees WHERE uuid NOT IN (SELECT employee_uuid FROM staging.work_addresses)"
    assert pipeline.query(missing) == []


def test_a_second_company_leaves_the_first_ones_rows_alone(tmp_path):
    with connected(tmp_path, companies=2, employees=20) as pipeline:
        first, second = pipeline.companies
        pipeline.sync("employees", first)
        before = pipeline.query("FROM staging.employees ORDER BY ALL")
        pipeline.sync("employees", second)
        assert len(before) == pipeline.count("employees", second) == 20
        rows = pipeline.query("FROM staging.employees WHERE company_uuid = $1 ORDER BY ALL", first.uuid)
        assert rows == before


def test_answers_that_a_killed_sync_left_behind_are_removed_a_day_later(pipeline):
    landing = pipeline.settings.landing
    for name, age in (("abandoned", timedelta(days=1, minutes=1)), ("at-work", timedelta(hours=23))):
        (landing / name).mkdir(parents=True)
        (landing / name / "employees-000001.json").write_text("[]")
        then = (utcnow() - age).timestamp()
        os.utime(landing / name, (then, then))
    pipeline.sync("departments")
    assert [folder.name for folder in landing.iterdir()] == ["at-work"]


def test_a_field_gusto_adds_is_reported_once_and_no_error(pipeline):
    pipeline.sync("departments")
    assert pipeline.query("FROM meta.drift") == []
    for department in pipeline.sandbox.world.companies[0].departments.values():
        department["cost_center"] = "4711"
    for _ in range(2):
        assert pipeline.sync("departments").drift == {"departments": ["cost_center"]}
    assert pipeline.query("SELECT source, field FROM meta.drift") == [("departments", "cost_center")]


class TestManyCompanies:
    @pytest.fixture
    def three(self, tmp_path):
        """Three companies synced yesterday, whose employees have had a new name since."""
        with connected(tmp_path, companies=3, employees=5) as pipeline:
            self.sync(pipeline)
            for company in pipeline.sandbox.world.companies:
                for employee in company.employees.values():
                    employee["preferred_first_name"] = "New"
            yield pipeline

    def sync(self, pipeline, connect=None, **options):
        employees = CATEGORIES["employees"]
        return sync_companies(employees, pipeline.companies, connect or pipeline.client, pipeline.settings, **options)

    def renewed(self, pipeline):
        """The companies whose new names are in the warehouse."""
        found = pipeline.query("SELECT DISTINCT company_uuid FROM staging.employees WHERE preferred_first_name = 'New'")
        return {company.slug for company in pipeline.companies if (company.uuid,) in found}

    def test_each_gets_its_own_rows_and_record(self, three):
        done = self.sync(three, run_id="run 2")
        assert self.renewed(three) == set(done) == {company.slug for company in three.companies}
        for company in three.companies:
            assert done[company.slug].rows["employees"] == three.count("employees", company) == 5
            assert done[company.slug].requests == 1
        recorded = "SELECT company_uuid, status, requests FROM meta.syncs WHERE run_id = 'run 2' ORDER BY ALL"
        assert three.query(recorded) == sorted((company.uuid, "ok", 1) for company in three.companies)

    @staticmethod
    def misspelt(pipeline, bad):
        next(iter(pipeline.sandbox.world.companies[1].employees.values()))["date_of_birth"] = "in May"
        return LoadError, "date_of_birth of record .* is not a DATE"

    @staticmethod
    def doubled(pipeline, bad):
        first, second, *_ = pipeline.sandbox.world.companies[1].employees.values()
        second["uuid"] = first["uuid"]
        return LoadRefusedError, "1 rows repeat the key uuid"

    @staticmethod
    def refused(pipeline, bad):
        pipeline.sandbox.fault(f"5xx=503:/companies/{bad.uuid}/")
        return ServerError, "503"

    @staticmethod
    def forgotten(pipeline, bad):
        open_store(pipeline.settings).delete(f"gusto/{bad.slug}")
        return GustoError, bad.slug

    @pytest.mark.parametrize("trouble", ["misspelt", "doubled", "refused", "forgotten"])
    def test_one_in_trouble_keeps_its_last_good_rows_and_stops_no_other(self, three, trouble):
        first, bad, last = three.companies
        error, words = getattr(self, trouble)(three, bad)
        done = self.sync(three, run_id="run 2")
        assert self.renewed(three) == {first.slug, last.slug}
        assert {slug for slug, outcome in done.items() if isinstance(outcome, Synced)} == {first.slug, last.slug}
        with pytest.raises(error, match=words):
            raise done[bad.slug]
        recorded = "SELECT status, problem FROM meta.syncs WHERE run_id = 'run 2' AND company_uuid = $1"
        assert three.query(recorded, bad.uuid) == [("failed", str(done[bad.slug]))]
        assert three.query(recorded, last.uuid) == [("ok", "")]

    def test_each_is_asked_about_its_own_employees(self, three):
        done = sync_companies(CATEGORIES["work_addresses"], three.companies, three.client, three.settings)
        assert {slug: synced.requests for slug, synced in done.items()} == {one.slug: 5 for one in three.companies}
        asked = three.query("SELECT DISTINCT company_uuid, employee_uuid FROM staging.work_addresses ORDER BY ALL")
        assert asked == three.query("SELECT company_uuid, uuid FROM staging.employees ORDER BY ALL")

    def test_all_of_them_may_be_in_trouble(self, three):
        three.sandbox.fault("5xx=503")
        done = self.sync(three, run_id="run 2")
        assert {type(outcome) for outcome in done.values()} == {ServerError}
        assert three.query("SELECT count(*) FROM meta.syncs WHERE run_id = 'run 2' AND status = 'failed'") == [(3,)]

    def test_whoever_is_slow_keeps_nobody_waiting(self, three):
        """The last company gets its client when the others' rows are there."""
        slow = three.companies[2]

        def connect(company):
            if company == slow:
                others = {company.slug for company in three.companies} - {slow.slug}
                deadline = time.monotonic() + 20
                while self.renewed(three) != others:
                    assert time.monotonic() < deadline
            return three.client(company)

        done = self.sync(three, connect)
        assert [outcome for outcome in done.values() if isinstance(outcome, Exception)] == []
        assert slow.slug in self.renewed(three)

    def test_a_warehouse_that_cannot_be_opened_is_told_of_each(self, three):
        three.settings.warehouse.write_text("this is no database")
        done = self.sync(three)
        assert len(done) == 3
        assert all(
            isinstance(outcome, WarehouseError) and "cannot be opened" in str(outcome) for outcome in done.values()
        )


def test_any_name_of_a_company_is_recorded_as_it_is(pipeline):
    name = 'O\'Brien "& Søn"\n株式会社'
    pipeline.sync("departments", dataclasses.replace(pipeline.company, name=name))
    assert pipeline.query("SELECT name FROM meta.companies") == [(name,)]
