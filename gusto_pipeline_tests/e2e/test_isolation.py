"""One company's trouble is its own, and rows that fail their checks replace nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from gusto_pipeline.gusto.auth import revoke
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Pipeline, connected

JOB = "sync_departments_only"


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Pipeline]:
    """Two companies, synced yesterday."""
    with connected(tmp_path, companies=2, employees=30) as pipeline:
        pipeline.start(job=JOB)
        yield pipeline


def rename_a_department(pipeline: Pipeline, name: str) -> None:
    """In both companies."""
    for company in pipeline.sandbox.world.companies:
        next(iter(company.departments.values()))["title"] = name


def titles(pipeline: Pipeline, company: Any) -> set[str]:
    sql = "SELECT title FROM staging.departments WHERE company_uuid = $1"
    return {row[0] for row in pipeline.query(sql, company.uuid)}


def made(result: dg.ExecuteInProcessResult) -> set[tuple[str, str | None]]:
    """Asset and partition of every materialization of a run."""
    found = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return {(one.asset_key.to_user_string(), one.partition) for one in found}


def why(result: dg.ExecuteInProcessResult) -> str:
    """What a person reads when the run failed."""
    causes = [event.step_failure_data.user_failure_data for event in result.get_step_failure_events()]
    return "; ".join(str(cause.description) for cause in causes if cause)


def test_several_companies_are_synced_in_one_run(two):
    rename_a_department(two, "Renamed")
    result = two.run(JOB, *two.companies)
    assert result.success
    assert {partition for _, partition in made(result)} == {company.slug for company in two.companies}
    assert all("Renamed" in titles(two, company) for company in two.companies)


def revoked(pipeline: Pipeline) -> None:
    record = open_store(pipeline.settings).read(f"gusto/{pipeline.companies[0].slug}")
    assert record is not None
    revoke(pipeline.app, record["access_token"])


def failing(pipeline: Pipeline) -> None:
    pipeline.sandbox.fault(f"5xx=503:/v1/companies/{pipeline.companies[0].uuid}/departments")


TROUBLES = pytest.mark.parametrize(("trouble", "words"), [(revoked, "connect again"), (failing, "503")])


@TROUBLES
def test_a_company_that_fails_in_a_run_of_its_own_stops_no_other(two, trouble, words):
    bad, good = two.companies
    before = two.spreadsheets()
    rename_a_department(two, "Renamed")
    trouble(two)
    failed, fine = two.run(JOB, bad), two.run(JOB, good)
    assert (failed.success, fine.success) == (False, True)
    assert words in why(failed)
    assert not made(failed)
    after = two.spreadsheets()
    assert changed(before, after) == {f"{good.slug}/departments.csv", f"{good.slug}/departments.xlsx"}
    assert "Renamed" in titles(two, good)
    assert "Renamed" not in titles(two, bad)


@TROUBLES
def test_a_company_that_fails_among_others_is_named_and_the_others_rows_are_kept(two, trouble, words):
    bad, good = two.companies
    before = two.spreadsheets()
    rename_a_department(two, "Renamed")
    trouble(two)
    result = two.run(JOB, bad, good)
    assert not result.success
    assert bad.slug in why(result)
    assert words in why(result)
    assert good.slug not in why(result)
    assert made(result) == {
        ("staging/departments", good.slug),
        ("staging/department_members", good.slug),
    }
    assert "Renamed" in titles(two, good)
    assert "Renamed" not in titles(two, bad)
    # Dagster runs nothing after a step that failed: the good one's files are written by its next run.
    assert two.spreadsheets() == before
    assert two.run(JOB, good).success
    assert changed(before, two.spreadsheets()) == {f"{good.slug}/departments.csv", f"{good.slug}/departments.xlsx"}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def failed_checks(result: dg.ExecuteInProcessResult) -> set[tuple[str, str]]:
    """Asset and name of the checks that did not pass."""
    evaluations = result.get_asset_check_evaluations()
    return {(one.asset_key.to_user_string(), one.check_name) for one in evaluations if not one.passed}


@pytest.fixture
def synced(pipeline: Pipeline) -> Pipeline:
    """One company of 40, synced yesterday."""
    pipeline.start(job="sync_employees_only")
    return pipeline


def shrunk(pipeline: Pipeline) -> None:
    """Two thirds of the employees are gone."""
    employees = pipeline.sandbox.world.companies[0].employees
    for uuid in list(employees)[12:]:
        del employees[uuid]


def doubled(pipeline: Pipeline) -> None:
    """Two employees have the same id."""
    employees = pipeline.sandbox.world.companies[0].employees
    first, second, *_ = employees.values()
    second["uuid"] = first["uuid"]


@pytest.mark.parametrize(("trouble", "check"), [(shrunk, "not_collapsed"), (doubled, "primary_key")])
def test_rows_that_fail_a_check_replace_nothing(synced, trouble, check):
    everything = "FROM staging.employees ORDER BY ALL"
    rows, files, published = synced.query(everything), synced.spreadsheets(), synced.settings.analytics.read_bytes()
    trouble(synced)
    result = synced.run("sync_employees_only")
    assert not result.success
    assert ("staging/employees", check) in failed_checks(result)
    assert not made(result)
    assert "last good rows are kept" in why(result)
    assert synced.query(everything) == rows
    assert synced.spreadsheets() == files
    assert synced.settings.analytics.read_bytes() == published


def test_a_shrink_that_is_right_is_accepted_once(synced):
    shrunk(synced)
    result = synced.run("sync_employees_only", accept_shrink=True)
    assert result.success
    assert synced.count("employees") == 12


def test_a_check_that_fails_says_for_which_company(tmp_path):
    with connected(tmp_path, companies=2, employees=40) as pipeline:
        pipeline.start(job="sync_employees_only")
        bad, good = pipeline.companies
        shrunk(pipeline)
        result = pipeline.run("sync_employees_only", bad, good)
        [evaluation] = [
            one for one in result.get_asset_check_evaluations()
            if (one.check_name, one.asset_key.path[-1]) == ("not_collapsed", "employees")
        ]  # fmt: skip
        assert not evaluation.passed
        assert bad.slug in str(evaluation.description)
        assert good.slug not in str(evaluation.description)
        assert (pipeline.count("employees", bad), pipeline.count("employees", good)) == (40, 40)
