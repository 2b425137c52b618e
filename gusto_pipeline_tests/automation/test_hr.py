"""Taking somebody on and changing somebody from Dagster: typed in, told by ids, finished by running again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from gusto_pipeline.definitions import defs
from gusto_pipeline.gusto.client import RESERVE, Answer, GustoClient
from gusto_pipeline.gusto.rate_window import RateWindow
from gusto_pipeline.resources.pipeline import GustoResource, PipelineResource
from gusto_pipeline.sandbox.gusto.world import Record
from gusto_pipeline_tests.conftest import Pipeline, connected

# Each value is one that occurs nowhere else.
CANARIES = ("Adacanary", "Newcanary", "ada.canary@example.com", "1990-12-13", "1 Canary Street", "91357.00")
ADA = {
    "first_name": CANARIES[0],
    "last_name": CANARIES[1],
    "email": CANARIES[2],
    "date_of_birth": CANARIES[3],
    "home_address": {"street_1": CANARIES[4], "city": "Oakland", "state": "CA", "zip": "94607"},
    "job": {"title": "Taster", "hire_date": "2027-01-04"},
    "compensation": {"rate": CANARIES[5], "payment_unit": "YEAR", "flsa_status": "SALARIED_NONEXEMPT"},
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with connected(tmp_path_factory.mktemp("home"), employees=5, jobs=True, rate_limit=100_000) as pipeline:
        yield pipeline


@pytest.fixture
def pipeline(shared: Pipeline) -> Iterator[Pipeline]:
    shared.sandbox.advance(61)
    yield shared
    shared.sandbox.clear_faults()
    for row in newcomers(shared):
        del shared.sandbox.world.companies[0].employees[row["uuid"]]


def newcomers(pipeline: Pipeline) -> list[Record]:
    return [row for row in pipeline.sandbox.world.companies[0].employees.values() if row["last_name"] == CANARIES[1]]


def run(pipeline: Pipeline, job: str, config: dict[str, Any], **tags: str) -> dg.ExecuteInProcessResult:
    op = {"create_employee": "take_on", "update_employee": "change"}[job]
    return defs.resolve_job_def(job).execute_in_process(
        instance=pipeline.instance, raise_on_error=False, run_config={"ops": {op: {"config": config}}}, tags=tags
    )


def failure(result: dg.ExecuteInProcessResult) -> str:
    [event] = result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data
    return str(event.step_failure_data.user_failure_data.description)


def logged(pipeline: Pipeline, result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(str(entry) for entry in pipeline.instance.all_logs(result.run_id))


def test_somebody_is_taken_on_and_told_by_id_only(pipeline):
    result = run(pipeline, "create_employee", ADA)
    assert result.success
    [row] = newcomers(pipeline)
    [pay] = row["jobs"][0]["compensations"]
    assert (pay["rate"], pay["payment_unit"], pay["flsa_status"]) == ("91357.00", "Year", "Salaried Nonexempt")
    log = logged(pipeline, result)
    assert row["uuid"] in log
    assert not [canary for canary in CANARIES if canary in log]


def test_what_was_left_undone_is_told_and_done_by_executing_the_run_again(pipeline):
    pipeline.sandbox.fault("status=422:once:/home_addresses")
    first = run(pipeline, "create_employee", ADA)
    assert not first.success
    [row] = newcomers(pipeline)
    said = failure(first)
    assert f"employee {row['uuid']} is partial: home_address: InvalidRequestError (request " in said
    assert not [canary for canary in CANARIES if canary in logged(pipeline, first)]
    again = run(pipeline, "create_employee", ADA, **{"dagster/root_run_id": first.run_id})
    assert again.success
    assert len(newcomers(pipeline)) == len(row["home_addresses"]) == len(row["jobs"]) == 1
    assert not list((pipeline.settings.home / "unfinished").iterdir())


def test_what_gusto_refused_is_corrected_by_executing_the_run_again_with_other_values(pipeline):
    wrong = ADA | {"home_address": ADA["home_address"] | {"zip": "9"}}
    first = run(pipeline, "create_employee", wrong)
    assert not first.success
    assert run(pipeline, "create_employee", ADA, **{"dagster/root_run_id": first.run_id}).success
    assert newcomers(pipeline)[0]["home_addresses"][0]["zip"] == "94607"


def test_the_same_person_is_not_taken_on_by_another_run(pipeline):
    run(pipeline, "create_employee", ADA)
    second = run(pipeline, "create_employee", ADA)
    assert "there is an employee with this e-mail address already" in failure(second)
    assert len(newcomers(pipeline)) == 1
    assert not [canary for canary in CANARIES if canary in logged(pipeline, second)]


def test_an_employee_is_changed_in_what_is_typed_in_and_nothing_else(pipeline):
    run(pipeline, "create_employee", ADA)
    [row] = newcomers(pipeline)
    changes = {"middle_initial": "Q", "compensation": {"rate": "92468.00"}, "home_address": {"city": "Canary City"}}
    result = run(pipeline, "update_employee", {"employee_uuid": row["uuid"], **changes})
    assert result.success
    [pay] = row["jobs"][0]["compensations"]
    assert (row["first_name"], row["middle_initial"]) == (CANARIES[0], "Q")
    assert (pay["rate"], pay["payment_unit"], row["home_addresses"][0]["city"]) == ("92468.00", "Year", "Canary City")
    log = logged(pipeline, result)
    assert row["uuid"] in log
    assert not [canary for canary in (*CANARIES, "92468.00", "Canary City") if canary in log]


def test_a_change_that_others_made_too_is_told_by_the_names_of_the_fields(pipeline, monkeypatch):
    run(pipeline, "create_employee", ADA)
    [row] = newcomers(pipeline)
    monkeypatch.setattr(GustoClient, "request", after_somebody_else(row, GustoClient.request))
    result = run(pipeline, "update_employee", {"employee_uuid": row["uuid"], "middle_initial": "Q"})
    assert "changed by others too, and left alone: employee.middle_initial" in failure(result)
    assert row["middle_initial"] == "Canary"
    assert "Canary" not in logged(pipeline, result)


def after_somebody_else(row: Record, request: Callable[..., Answer]) -> Callable[..., Answer]:
    """Requests, before whose PUTs somebody else changes the middle initial."""

    def instead(client: GustoClient, method: str, path: str, **options: Any) -> Answer:
        if method == "PUT":
            row["middle_initial"] = "Canary"
        return request(client, method, path, **options)

    return instead


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"employee_uuid": "nobody", "first_name": "A"}, "Gusto has nothing at GET /v1/employees/nobody"),
        ({"employee_uuid": "x", "company": "nowhere"}, "No connected company is called 'nowhere'"),
        ({"employee_uuid": "x", "home_address": {"effective_date": "May 1"}}, "must be a date like 2026-12-31"),
    ],
)
def test_what_cannot_be_fails_the_run_in_words_for_people(pipeline, config, words):
    assert words in failure(run(pipeline, "update_employee", config))


def test_what_somebody_waits_for_may_use_the_requests_that_bulk_work_leaves(pipeline, monkeypatch):
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        pipeline.sandbox.advance(seconds)

    monkeypatch.setitem(GustoClient.__init__.__kwdefaults__, "sleep", wait)
    clock = pipeline.sandbox.world.clock.now
    grant, folder = f"gusto/{pipeline.company.slug}", pipeline.settings.connections
    window = RateWindow(grant, per_minute=200, reserve=0, folder=folder, clock=clock, sleep=wait)
    for _ in range(200 - RESERVE):
        window.take()
    window.close()
    assert run(pipeline, "create_employee", ADA).success
    assert waits == []
    app = pipeline.app
    bulk = GustoResource(pipeline=PipelineResource(), client_id=app.client_id, client_secret=app.client_secret)
    with bulk.client(pipeline.company) as client:
        client.token_info()
    assert sum(waits) > 50
