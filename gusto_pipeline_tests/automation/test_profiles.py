"""Profiles of pipeline.yaml in Dagster: an asset, a job and a schedule each, there as soon as they are declared."""

from __future__ import annotations

import json

import dagster as dg
import pytest

from gusto_pipeline.config import load_settings
from gusto_pipeline.definitions import definitions
from gusto_pipeline_tests.automation.test_reload import Sensor, file, webserver  # noqa: F401 - fixtures
from gusto_pipeline_tests.conftest import connected

YAML = """\
profiles:
- {name: it_directory, fields: [work_email, {column: job__title, name: title}], format: jsonl, destination: out}
- {name: by_hand, fields: [phone], frequency: once}
- {name: broken, fields: [work_mail], frequency: once}
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    home = tmp_path_factory.mktemp("exports")
    with connected(home, companies=2, employees=5) as pipeline:
        (home / "pipeline.yaml").write_text(YAML)
        yield pipeline


@pytest.fixture(scope="module")
def defs(pipeline):
    return definitions(load_settings())


def run(pipeline, defs, job, company):
    return defs.resolve_job_def(job).execute_in_process(
        instance=pipeline.instance, raise_on_error=False, partition_key=company.slug
    )


def test_a_declaration_is_an_asset_beside_the_spreadsheets_with_a_schedule(defs):
    spec = defs.resolve_asset_graph().get(dg.AssetKey(["profiles", "it_directory"]))
    assert (spec.group_name, spec.kinds, bool(spec.owners)) == ("spreadsheets", {"jsonl"}, True)
    assert "work_email, title" in spec.description
    assert spec.partitions_def.name == "companies"
    schedules = {schedule.name: schedule.cron_schedule for schedule in defs.schedules or ()}
    assert schedules["export_it_directory_schedule"] == "0 6 * * *"
    assert "export_by_hand_schedule" not in schedules


def test_a_run_syncs_employees_exports_and_says_what_came_out_without_values(pipeline, defs):
    for company in pipeline.companies:
        done = run(pipeline, defs, "export_it_directory", company)
        assert done.success
        [made] = [each for each in done.get_asset_materialization_events() if each.asset_key.path[0] == "profiles"]
        metadata = {name: value.value for name, value in made.materialization.metadata.items()}
        people = pipeline.count("employees", company)
        assert (metadata["dagster/row_count"], metadata["added"], metadata["seq"]) == (people, people * 2, people * 2)
        columns = [column.name for column in metadata["dagster/column_schema"].columns]
        assert columns == ["company_uuid", "employee_uuid", "work_email", "title"]
        lines = (pipeline.settings.home / "out" / company.slug / "it_directory.jsonl").read_text().splitlines()
        assert len(lines) == people
        addresses = {json.loads(line)["work_email"] for line in lines} - {None}
        assert not [address for address in addresses if address in str(metadata)]


def test_a_declaration_that_does_not_fit_fails_the_run_with_the_nearest(pipeline, defs):
    done = run(pipeline, defs, "export_broken", pipeline.company)
    [failure] = [event for event in done.all_events if event.event_type_value == "STEP_FAILURE"]
    assert "did you mean work_email" in str(failure.event_specific_data.user_failure_data.description)


def test_a_profile_that_is_added_is_loaded_by_itself(file, webserver):  # noqa: F811
    sensor = Sensor()
    file.write_text(file.read_text() + "profiles:\n- {name: it, fields: [phone]}\n")
    sensor.tick()
    assert webserver.asked
