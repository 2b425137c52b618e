"""gusto-pipeline onboard: checks, creates, shows what came of each, and ends with a code that says how."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gusto_pipeline.gusto.client import RESERVE, GustoClient
from gusto_pipeline_tests.conftest import Pipeline, connected
from gusto_pipeline_tests.provisioning.connected import asana_for_newcomers

ADA = {
    "first_name": "Ada",
    "last_name": "New",
    "email": "ada@example.com",
    "start_date": "2027-01-04",
    "job_title": "T",
}
BO = ADA | {"first_name": "Bo", "email": "bo@example.com"}


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with connected(tmp_path, employees=3, jobs=True) as pipeline:
        yield pipeline


def hires(*rows: dict[str, str]) -> str:
    Path("hires.json").write_text(json.dumps(rows), encoding="utf-8")
    return "hires.json"


def newcomers(pipeline: Pipeline) -> list[str]:
    rows = pipeline.sandbox.world.companies[0].employees.values()
    return [row["uuid"] for row in rows if row["last_name"] == "New"]


def test_checking_shows_who_would_be_created_and_creates_nobody(pipeline, command):
    said = command("onboard", hires(ADA, BO), "--check")
    assert (said.code, said.err, newcomers(pipeline)) == (0, "", [])
    assert [line.split()[:3] for line in said.out.splitlines()[1:]] == [
        ["1", "ada@example.com", "new"],
        ["2", "bo@example.com", "new"],
    ]


def test_creating_shows_everybody_with_their_uuid(pipeline, command):
    said = command("onboard", hires(ADA, BO), "--company", pipeline.company.slug)
    assert said.code == 0, said.err
    assert len(newcomers(pipeline)) == 2
    for uuid in newcomers(pipeline):
        assert uuid in said.out
    assert "hires.json.result.csv" in said.out


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_a_wrong_file_is_refused_with_every_reason(pipeline, command, check):
    said = command("onboard", hires(ADA | {"start_date": "soon"}, BO | {"email": "bo"}), *check)
    assert said.code == 1
    assert said.err.splitlines() == [
        "hires.json: row 1, start_date: must be a date like 2027-01-04",
        "hires.json: row 2, email: must be one e-mail address: ada@example.com",
        "Nobody was created. Correct the file and hand it in again.",
    ]
    assert newcomers(pipeline) == []


def test_what_could_not_be_done_is_said_and_done_by_the_same_command(pipeline, command):
    pipeline.sandbox.fault("status=422:once:/jobs")
    said = command("onboard", hires(ADA))
    assert said.code == 2
    assert "row 1: job: Gusto refuses" in said.err
    assert "run this again: only what is left is done" in said.err
    assert command("onboard", "hires.json").code == 0
    assert len(newcomers(pipeline)) == 1


def test_a_file_that_is_not_there_is_said(pipeline, command):
    said = command("onboard", "nowhere.csv")
    assert (said.code, said.err) == (1, f"{Path('nowhere.csv').absolute()}: No such file or directory.\n")


def test_it_leaves_requests_to_people_who_wait(pipeline, command, monkeypatch):
    reserves = []
    before = GustoClient.__init__

    def opened(client: GustoClient, *arguments: object, **options: object) -> None:
        reserves.append(options["reserve"])
        before(client, *arguments, **options)  # type: ignore[arg-type]

    opened.__kwdefaults__ = {}
    monkeypatch.setattr(GustoClient, "__init__", opened)
    command("onboard", hires(ADA), "--check")
    assert reserves == [RESERVE]


def test_the_apps_of_who_was_created_are_planned(pipeline, command):
    with asana_for_newcomers(pipeline) as settings:
        soon = datetime.now(UTC) + timedelta(days=10)
        said = command("onboard", hires(ADA | {"start_date": str(soon.date())}))
    assert said.code == 0, said.err
    assert "Planned their apps" in said.out
    [plan] = (settings.plans / pipeline.company.slug).glob("plan-*.json")
    assert "ada@example.com" in plan.read_text(encoding="utf-8")
