"""Jobs added to, changed in and taken out of pipeline.yaml reach Dagster through its webserver, and only those."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx
import pytest
from dagster_graphql.schema import create_schema
from graphql import parse, validate

from gusto_pipeline.automation import reload
from gusto_pipeline.automation.reload import LOCATION, ReloadError, follow_pipeline_yaml, reload_location
from gusto_pipeline.config import load_settings
from gusto_pipeline.definitions import definitions
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.gusto.loopback import Reply, Request, serving
from gusto_pipeline_tests.mailbox import free_port, mail_server, text

LOADED = {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": {"__typename": "RepositoryLocation"}}
ONE = "jobs:\n- {name: one, category: contractors}\n"


class Webserver:
    """Answers as Dagster's GraphQL API does, and notes what it was asked to load."""

    def __init__(self) -> None:
        self.answer: object = LOADED
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Reply:
        assert (request.method, request.path) == ("POST", "/graphql")
        asked = json.loads(request.body)
        assert asked["query"] == reload.RELOAD
        self.asked.append(asked["variables"]["name"])
        return Reply(body=json.dumps({"data": {"reloadRepositoryLocation": self.answer}}).encode())


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pipeline.yaml with one job."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.yaml").write_text(ONE)
    return tmp_path / "pipeline.yaml"


@pytest.fixture
def webserver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webserver]:
    with serving(server := Webserver()) as url:
        monkeypatch.setenv("DAGSTER_WEBSERVER_URL", f"{url}/")
        yield server


class Sensor:
    """The sensor of a code location that was loaded from pipeline.yaml as it was then, evaluated by the daemon."""

    def __init__(self) -> None:
        self.sensor = follow_pipeline_yaml(load_settings(), definitions)
        self.cursor: str | None = None

    def tick(self) -> str:
        """What the UI shows of a tick."""
        with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance, self.cursor) as context:
            ticked = self.sensor.evaluate_tick(context)
        self.cursor = ticked.cursor
        return str(ticked.skip_message)


@pytest.fixture
def sensor(file: Path) -> Sensor:
    return Sensor()


def test_nothing_is_asked_while_the_file_says_what_is_loaded(sensor, webserver):
    assert sensor.tick() == "Dagster has loaded what pipeline.yaml says."
    assert webserver.asked == []


@pytest.mark.parametrize(
    "yaml",
    [
        ONE + "- {name: two, category: departments}\n",
        ONE.replace("contractors", "departments"),
        ONE.replace("}", ", frequency: weekly}"),
        "jobs: []\n",
    ],
    ids=["added", "changed", "rescheduled", "removed"],
)
def test_a_changed_job_is_loaded_once(sensor, webserver, file, yaml):
    file.write_text(yaml)
    assert "loaded anew" in sensor.tick()
    assert webserver.asked == [LOCATION]
    assert Sensor().tick() == "Dagster has loaded what pipeline.yaml says."


def test_an_app_that_is_connected_brings_its_assets(sensor, webserver):
    open_store(load_settings()).write("slack/acme", {"token": "x"})
    assert "loaded anew" in sensor.tick()
    assert webserver.asked == [LOCATION]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise")
def test_a_file_that_is_wrong_changes_nothing_and_is_told_once(sensor, webserver, file, monkeypatch):
    with mail_server() as mailbox:
        monkeypatch.setenv("GUSTO_PIPELINE_NOTIFY", mailbox.url)
        file.write_text("jobs:\n- {name: one, category: contractor}\n")
        for _ in range(3):
            assert "What was loaded before goes on" in sensor.tick()
        [mail] = mailbox.open()
        assert mail["subject"] == "Gusto: pipeline.yaml is wrong"
        assert "line 2: jobs.0.categories: there is no category 'contractor'" in " ".join(text(mail).split())
        file.write_text("jobs: [")
        sensor.tick()
        assert len(mailbox.open()) == 1
        file.write_text(ONE)
        assert sensor.tick() == "Dagster has loaded what pipeline.yaml says."
        assert (mailbox.open(), webserver.asked) == ([], [])


def test_without_the_webservers_address_it_says_what_a_person_can_do(sensor, file):
    file.write_text("jobs: []")
    said = sensor.tick()
    assert "Press Reload at the code location" in said
    assert "DAGSTER_WEBSERVER_URL" in said


def test_a_webserver_that_is_away_is_asked_again(sensor, file, webserver, monkeypatch):
    file.write_text("jobs: []")
    with monkeypatch.context() as patch:
        patch.setenv("DAGSTER_WEBSERVER_URL", f"http://127.0.0.1:{free_port()}")
        assert "did not load it (ConnectError). It is asked again soon." in sensor.tick()
    assert "loaded anew" in sensor.tick()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"__typename": "RepositoryLocationNotFound", "message": "no such location"}, "no such location"),
        (LOADED | {"locationOrLoadError": {"__typename": "PythonError", "message": "it broke"}}, "it broke"),
        (None, "did not load it"),
    ],
)
def test_what_dagster_says_when_it_cannot_is_passed_on(file, webserver, answer, words):
    webserver.answer = answer
    with pytest.raises(ReloadError, match=words):
        reload_location(os.environ["DAGSTER_WEBSERVER_URL"], LOCATION)


def test_the_question_is_one_that_dagster_understands():
    assert validate(create_schema().graphql_schema, parse(reload.RELOAD)) == []


def test_a_real_webserver_shows_the_new_job(file, tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "dagster_webserver", "-m", LOCATION, "-p", str(port)]
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path)}
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    jobs = {"query": "{ repositoriesOrError { ... on RepositoryConnection { nodes { jobs { name } } } } }"}

    def flatten_jobs() -> set[str]:
        # It says that it serves a moment before it does.
        with httpx.Client(transport=httpx.HTTPTransport(retries=6), timeout=30) as http:
            answer = http.post(f"{url}/graphql", json=jobs).json()["data"]["repositoriesOrError"]
        return {job["name"] for node in answer["nodes"] for job in node["jobs"] if job["name"].startswith("flatten_")}

    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert any("Serving dagster-webserver" in line for line in process.stdout)
            assert flatten_jobs() == {"flatten_one"}
            file.write_text("jobs: [{name: two, category: departments}]")
            reload_location(url, LOCATION)
            assert flatten_jobs() == {"flatten_two"}
        finally:
            process.terminate()
