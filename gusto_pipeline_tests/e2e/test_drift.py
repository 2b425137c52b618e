"""Gusto's answers change between two runs: what the spreadsheets, Dagster and people get to see of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import openpyxl
import pytest

from gusto_pipeline.automation.launch import cause
from gusto_pipeline_tests.conftest import Pipeline, connected
from gusto_pipeline_tests.mailbox import Mailbox, RunSensors, mail_server, text

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise")

JOB = "sync_departments_only"


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with connected(tmp_path, employees=3) as pipeline:
        assert pipeline.run(JOB).success
        yield pipeline


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        monkeypatch.setenv("GUSTO_PIPELINE_NOTIFY", mailbox.url)
        yield mailbox


def departments(pipeline: Pipeline) -> list[dict[str, Any]]:
    return list(pipeline.sandbox.world.companies[0].departments.values())


def header(pipeline: Pipeline) -> list[Any]:
    return [cell.value for cell in openpyxl.load_workbook(pipeline.spreadsheet("departments.xlsx"))["departments"][1]]


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (made,) = (
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(["spreadsheets", "departments"])
    )
    return {name: value.value for name, value in made.metadata.items()}


def test_a_field_that_is_new_comes_last_and_people_are_told_once(pipeline, mailbox):
    sensors, before = RunSensors(pipeline.instance), header(pipeline)
    for department in departments(pipeline):
        department["cost_center"] = "4711"
    result = pipeline.run(JOB)
    assert header(pipeline) == [*before, "cost_center"]
    told = metadata(result)["schema_changes"]
    assert told in metadata(result)["warnings"]
    assert told.startswith("Gusto sends a new field of departments since ")
    again = metadata(pipeline.run(JOB))
    assert (again["unchanged"], again["warnings"], "schema_changes" in again) == (True, told, False)
    sensors.tick()
    (mail,) = mailbox.open()
    assert mail["subject"] == f"Gusto: its answers have changed for {pipeline.company.slug}"
    assert f"- {told}" in text(mail)
    assert result.run_id in text(mail)
    assert "4711" not in text(mail)


def test_who_does_not_want_to_know_is_not_told(pipeline, mailbox, tmp_path):
    sensors = RunSensors(pipeline.instance)
    (tmp_path / "pipeline.yaml").write_text("notify: {on_drift: false}\n")
    departments(pipeline)[0]["cost_center"] = "4711"
    assert pipeline.run(JOB).success
    sensors.tick()
    assert mailbox.open() == []


def test_a_field_that_vanishes_stays_a_column_and_is_marked(pipeline, mailbox):
    sensors, before = RunSensors(pipeline.instance), header(pipeline)
    departments(pipeline)[0]["cost_center"] = "4711"
    pipeline.run(JOB)
    del departments(pipeline)[0]["cost_center"]
    result = pipeline.run(JOB)
    assert header(pipeline) == [*before, "cost_center"]
    assert metadata(result)["schema_changes"] == (
        'sheet "departments", column "cost_center": Gusto no longer sends it; it stays, empty'
    )
    sensors.tick()
    assert len(mailbox.open()) == 2


@pytest.mark.parametrize("title", [{"name": "Kitchen"}, ["Kitchen"]])
def test_text_that_becomes_a_structure_stops_the_spreadsheet_and_says_so(pipeline, mailbox, title):
    sensors, before = RunSensors(pipeline.instance), pipeline.spreadsheets()
    for department in departments(pipeline):
        department["title"] = title
    result = pipeline.run(JOB)
    assert not result.success
    assert pipeline.spreadsheets() == before
    said = "\n".join(map(cause, result.get_step_failure_events()))
    assert 'sheet "departments", column "title" had text and now has objects or lists' in said
    assert "Kitchen" not in said
    sensors.tick()
    (mail,) = mailbox.open()
    assert 'column "title" had text' in text(mail)


def test_a_value_that_no_longer_fits_its_type_stops_the_sync_and_keeps_the_spreadsheet(tmp_path):
    with connected(tmp_path, employees=3) as pipeline:
        assert pipeline.run("sync_employees_only").success
        before = pipeline.spreadsheets()
        person = next(iter(pipeline.sandbox.world.companies[0].employees.values()))
        person["date_of_birth"] = "14 May, private"
        result = pipeline.run("sync_employees_only")
        assert not result.success
        assert pipeline.spreadsheets() == before
        said = "\n".join(map(cause, result.get_step_failure_events()))
        assert f"employees: field date_of_birth of record {person['uuid']} " in said
        assert "is not a DATE but text" in said
        assert "private" not in said
