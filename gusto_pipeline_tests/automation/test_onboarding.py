"""New hires from Dagster: the folder is watched, each file run once, people told by id, their apps planned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from gusto_pipeline.automation import onboarding
from gusto_pipeline.automation.onboarding import NEW_HIRES, onboarding_folder
from gusto_pipeline.config import load_settings
from gusto_pipeline.definitions import definitions
from gusto_pipeline.resources.pipeline import PipelineResource
from gusto_pipeline_tests.conftest import Pipeline, connected
from gusto_pipeline_tests.provisioning.connected import asana_for_newcomers

# Each value is one that occurs nowhere else.
ADA = {
    "first_name": "Adacanary", "last_name": "Newcanary", "email": "ada.canary@example.com", "start_date": "2027-01-04",
    "job_title": "Canary taster", "date_of_birth": "1990-12-13", "home_street_1": "1 Canary Street",
    "home_city": "Oakland", "home_state": "CA", "home_zip": "94607", "rate": "91357.00", "payment_unit": "Year",
    "flsa_status": "Exempt",
}  # fmt: skip
BO = ADA | {"first_name": "Bocanary", "email": "bo.canary@example.com"}
CANARIES = ("Adacanary", "Bocanary", "Newcanary", "canary@", "Canary taster", "1990-12-13", "1 Canary", "91357")


class Office:
    """A company with an app connected, and Dagster over it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.folder = pipeline.settings.onboarding.folder
        self.defs = definitions(pipeline.settings)

    def put(self, *rows: dict[str, str], name: str = "hires.json") -> Path:
        self.folder.mkdir(exist_ok=True)
        file = self.folder / name
        file.write_text(json.dumps(rows), encoding="utf-8")
        return file

    def tick(self) -> list[dg.RunRequest]:
        """What the sensor asks for."""
        instance, resources = self.pipeline.instance, {"pipeline": PipelineResource()}
        with dg.build_sensor_context(instance=instance, resources=resources) as context:
            return [each for each in onboarding_folder(context) if isinstance(each, dg.RunRequest)]

    def run(self, request: dg.RunRequest | dict[str, Any]) -> dg.ExecuteInProcessResult:
        config = request.run_config if isinstance(request, dg.RunRequest) else {"ops": {"onboard": {"config": request}}}
        with redirect_stderr(StringIO()):
            return self.defs.resolve_job_def("onboard_new_hires").execute_in_process(
                instance=self.pipeline.instance, raise_on_error=False, run_config=config
            )

    def newcomers(self) -> list[dict[str, Any]]:
        rows = self.pipeline.sandbox.world.companies[0].employees.values()
        return [row for row in rows if row["last_name"] == ADA["last_name"]]

    def log(self, result: dg.ExecuteInProcessResult) -> str:
        return "\n".join(str(entry) for entry in self.pipeline.instance.all_logs(result.run_id))

    def made(self) -> list[dict[str, Any]]:
        """The materializations of new_hires, in order."""
        records = self.pipeline.instance.fetch_materializations(NEW_HIRES, limit=50, ascending=True).records
        found = [record.asset_materialization for record in records]
        return [{name: value.value for name, value in each.metadata.items()} for each in found if each]


def failure(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    [event] = result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data
    return str(event.step_failure_data.user_failure_data.description)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setattr(onboarding, "utcnow", lambda: datetime.now(UTC) + timedelta(seconds=61))
    with connected(tmp_path, employees=5, jobs=True, rate_limit=100_000) as pipeline:
        yield Office(pipeline)


def test_a_file_that_is_put_into_the_folder_is_asked_for_once_and_run(office):
    file = office.put(ADA, BO)
    [request] = office.tick()
    assert [again.run_key for again in office.tick()] == [request.run_key]
    result = office.run(request)
    assert result.success
    assert len(office.newcomers()) == 2
    assert not file.exists()
    assert office.tick() == []
    [made] = office.made()
    assert made == {"result": str(office.folder / "done" / "hires.json.result.csv"), "created": 2}


def test_the_same_run_again_says_the_same_and_creates_nobody(office):
    office.put(ADA)
    [request] = office.tick()
    assert office.run(request).success
    assert office.run(request).success
    assert len(office.newcomers()) == 1


def test_nothing_about_anybody_is_in_what_dagster_keeps(office):
    office.put(ADA, BO)
    office.pipeline.sandbox.fault("status=422:once:/home_addresses")
    result = office.run(office.tick()[0])
    log = office.log(result)
    ada = office.newcomers()[0]
    assert f"row 1: employee {ada['uuid']} is partial: home_address: InvalidRequestError (request " in failure(result)
    assert "execute this run again to do the rest" in failure(result)
    assert not [canary for canary in CANARIES if canary in log + str(office.made())]


def test_a_run_that_left_something_undone_does_it_when_it_is_executed_again(office):
    office.put(ADA)
    office.pipeline.sandbox.fault("status=422:once:/home_addresses")
    [request] = office.tick()
    assert not office.run(request).success
    assert (office.folder / "set-aside" / "hires.json.why.txt").exists()
    assert office.run(request).success
    assert [path.name for path in (office.folder / "set-aside").iterdir()] == []
    assert len(office.newcomers()) == len(office.newcomers()[0]["home_addresses"]) == 1


def test_a_wrong_file_fails_its_run_with_the_reasons_and_is_set_aside(office):
    office.put(ADA, BO | {"rate": "much"})
    [request] = office.tick()
    said = failure(office.run(request))
    assert said.startswith("hires.json: row 2, rate: must be an amount like 61000.00, without currency and commas\n")
    assert (office.folder / "set-aside" / "hires.json").exists()
    assert (office.newcomers(), office.made(), office.tick()) == ([], [], [])


def test_while_gusto_is_down_the_file_stays_and_the_run_says_so(office):
    file = office.put(ADA)
    office.pipeline.sandbox.fault("5xx")
    said = failure(office.run({"file": "hires.json"}))
    assert "Gusto failed on GET /v1/token_info" in said
    assert "Execute this run again: it goes on where this one stopped" in said
    assert file.exists()
    office.pipeline.sandbox.clear_faults()
    assert office.run({"file": str(file), "company": office.pipeline.company.name}).success


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"file": "nowhere.csv"}, "nowhere.csv: is not there: neither in"),
        ({"file": "hires.json", "content": "0" * 64}, "is not there with the content it had"),
        ({"file": "hires.json", "company": "nobody"}, "No connected company is called 'nobody'"),
    ],
)
def test_what_cannot_be_fails_the_run_in_words_for_people(office, config, words):
    office.put(ADA)
    assert words in failure(office.run(config))


def test_the_company_is_that_of_pipeline_yaml(office):
    Path("pipeline.yaml").write_text("onboarding: {company: nobody, folder: hires}\n", encoding="utf-8")
    folder = load_settings().onboarding.folder
    assert folder == Path.cwd() / "hires"
    folder.mkdir()
    (folder / "hires.json").write_text(json.dumps([ADA]))
    [request] = office.tick()
    assert "No connected company is called 'nobody'" in failure(office.run(request))


def test_the_sensor_is_off_until_switched_on_and_says_when_there_is_nothing(office):
    assert onboarding_folder.default_status == dg.DefaultSensorStatus.STOPPED
    resources = {"pipeline": PipelineResource()}
    with dg.build_sensor_context(instance=office.pipeline.instance, resources=resources) as context:
        [skipped] = onboarding_folder(context)
    assert "no whole file lies in" in str(skipped.skip_message)


def test_without_a_connected_app_nothing_plans_apps(office):
    assert "new_hires_apps" not in {sensor.name for sensor in office.defs.sensors or ()}


def test_the_apps_of_who_was_created_are_planned(office):
    pipeline = office.pipeline
    with asana_for_newcomers(pipeline) as settings:
        office.defs = definitions(settings)
        [sensor] = [each for each in office.defs.sensors or () if each.name == "new_hires_apps"]
        resources = {"pipeline": PipelineResource()}

        def tick(cursor: str | None) -> Any:
            with dg.build_sensor_context(
                instance=pipeline.instance, resources=resources, cursor=cursor, definitions=office.defs
            ) as context:
                return sensor(context)

        assert tick(None).run_requests == []
        soon = {"start_date": str((datetime.now(UTC) + timedelta(days=10)).date())}
        for row in (ADA, BO):  # two files between two ticks are one plan
            office.put(row | soon)
            assert office.run(office.tick()[0]).success
        found = tick(None)
        [request] = found.run_requests
        assert request.partition_key == pipeline.company.slug
        assert tick(found.cursor).run_requests == []
        with redirect_stderr(StringIO()):
            planned = office.defs.resolve_job_def(sensor.job_name).execute_in_process(
                instance=pipeline.instance, partition_key=request.partition_key, raise_on_error=False
            )
        assert planned.success
        [plan] = (settings.plans / pipeline.company.slug).glob("plan-*.json")
        items = json.loads(plan.read_text(encoding="utf-8"))["items"]
        wanted = {(item["person"], item["action"], item["employed_since"]) for item in items}
        assert {
            ("Adacanary Newcanary", "create", soon["start_date"]),
            ("Bocanary Newcanary", "create", soon["start_date"]),
        } <= wanted
