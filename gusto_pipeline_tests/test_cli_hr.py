"""People in Gusto from a terminal: what is printed can be piped on, holds no secret, and says what was not done."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gusto_pipeline.sandbox.gusto.world import Record
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Pipeline, connected

SSN = "078051120"
ADA = {
    "employee": {"first_name": "Ada", "last_name": "New", "email": "ada.new@example.com", "ssn": SSN},
    "home_address": {"street_1": "1 Leaf Street", "city": "Oakland", "state": "CA", "zip": "94607"},
    "job": {"title": "Taster", "hire_date": "2027-01-04"},
    "compensation": {"rate": "61000.00", "payment_unit": "Year", "flsa_status": "Exempt"},
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with connected(tmp_path_factory.mktemp("home"), employees=12, jobs=True, rate_limit=100_000) as pipeline:
        yield pipeline


@pytest.fixture
def pipeline(shared: Pipeline) -> Iterator[Pipeline]:
    """A connected company, without anybody named New."""
    shared.sandbox.advance(61)  # as many requests as a minute allows
    yield shared
    shared.sandbox.clear_faults()
    for row in newcomers(shared):
        del shared.sandbox.world.companies[0].employees[row["uuid"]]


def newcomers(pipeline: Pipeline) -> list[Record]:
    return [row for row in pipeline.sandbox.world.companies[0].employees.values() if row["last_name"] == "New"]


def somebody(pipeline: Pipeline) -> Record:
    return list(pipeline.sandbox.world.companies[0].employees.values())[1]


def test_employees_are_listed_as_a_table_or_as_json(pipeline, command):
    said = command("employees", "list")
    assert (said.code, said.err) == (0, "")
    assert somebody(pipeline)["uuid"] in said.out  # whole, however narrow the terminal
    rows = json.loads(command("employees", "list", "--json").out)
    assert len(rows) == 12
    assert len(json.loads(command("employees", "list", "--page", "2", "--per", "10", "--json").out)) == 2


def test_an_employee_is_shown_with_address_and_pay(pipeline, command):
    row = somebody(pipeline)
    said = command("employees", "get", row["uuid"])
    assert row["home_addresses"][0]["city"] in said.out
    assert len(row["jobs"]) == 2  # paid from the same day on
    assert all(f"{pay['rate']} per" in said.out for job in row["jobs"] for pay in job["compensations"])
    person = json.loads(command("employees", "get", row["uuid"], "--json").out)
    assert person["employee"]["uuid"] == row["uuid"]


def test_somebody_is_taken_on_by_fields(pipeline, command):
    said = command("employees", "create", "--set", "first_name=Ada", "--set", "last_name=New", "--set",
                   "job.title=Taster", "--set", "job.hire_date=2027-01-04")  # fmt: skip
    assert (said.code, said.err) == (0, "")
    [row] = newcomers(pipeline)
    assert row["uuid"] in said.out
    assert row["jobs"][0]["compensations"][0]["title"] == "Taster"


@pytest.mark.parametrize("way", ["text", "file", "stdin"])
def test_somebody_is_taken_on_by_json(pipeline, command, tmp_path, monkeypatch, way):
    (tmp_path / "ada.json").write_text(json.dumps(ADA))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(ADA)))
    source = {"text": json.dumps(ADA), "file": f"@{tmp_path / 'ada.json'}", "stdin": "-"}[way]
    said = command("employees", "create", source, "--json")
    made = json.loads(said.out)
    assert (said.code, made["status"], made["employee_uuid"]) == (0, "done", newcomers(pipeline)[0]["uuid"])
    assert SSN not in said.out + said.err


def test_what_was_left_undone_is_kept_and_resumed(pipeline, command):
    pipeline.sandbox.fault("5xx:once:/home_addresses")
    said = command("employees", "create", json.dumps(ADA))
    assert said.code == 1
    assert "partial" in said.out
    assert "home_address: Gusto failed on POST" in said.err
    [file] = (pipeline.settings.home / "unfinished").iterdir()
    assert f"gusto-pipeline employees resume {file}" in said.err
    resumed = command("employees", "resume", str(file))
    assert (resumed.code, resumed.err) == (0, "")
    assert not file.exists()
    assert len(newcomers(pipeline)[0]["home_addresses"]) == 1


def test_what_gusto_refused_is_corrected_when_resumed(pipeline, command):
    command("employees", "create", json.dumps(ADA | {"home_address": ADA["home_address"] | {"zip": "9"}}))
    [file] = (pipeline.settings.home / "unfinished").iterdir()
    assert command("employees", "resume", str(file)).code == 1
    assert command("employees", "resume", str(file), "--set", "home_address.zip=94607").code == 0
    assert newcomers(pipeline)[0]["home_addresses"][0]["zip"] == "94607"


def test_a_result_can_be_piped_into_resume(pipeline, command, monkeypatch):
    pipeline.sandbox.fault("5xx:once:/home_addresses")
    partial = command("employees", "create", json.dumps(ADA), "--json").out
    monkeypatch.setattr("sys.stdin", io.StringIO(partial))
    resumed = command("employees", "resume", "-", "--json")
    assert (resumed.code, json.loads(resumed.out)["status"]) == (0, "done")
    assert not list((pipeline.settings.home / "unfinished").iterdir())


def test_a_social_security_number_is_asked_for_unseen(pipeline, command, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: SSN)
    monkeypatch.setattr("typer.prompt", lambda *_, hide_input, **__: SSN if hide_input else "")
    said = command("employees", "create", "--set", "first_name=Ada", "--set", "last_name=New", "--ask-ssn")
    assert said.code == 0
    assert newcomers(pipeline)[0]["has_ssn"]
    assert SSN not in said.out + said.err


def test_an_employee_is_changed(pipeline, command):
    row = somebody(pipeline)
    said = command("employees", "update", row["uuid"], "--set", "preferred_first_name=Addie")
    assert (said.code, said.err) == (0, "")
    assert "preferred_first_name" in said.out
    assert row["preferred_first_name"] == "Addie"


def test_what_others_changed_since_it_was_read_is_shown_with_both_values(pipeline, command, tmp_path):
    row = somebody(pipeline)
    (tmp_path / "seen.json").write_text(command("employees", "get", row["uuid"], "--json").out)
    row["middle_initial"] = "T"
    arguments = ["employees", "update", row["uuid"], "--base", str(tmp_path / "seen.json")]
    said = command(*arguments, "--set", "middle_initial=O")
    assert said.code == 1
    assert row["middle_initial"] == "T"
    assert "middle_initial" in said.out
    done = json.loads(command(*arguments, "--set", "middle_initial=O", "--json").out)
    assert [(each["theirs"], each["ours"]) for each in done["conflicts"]] == [("T", "O")]


def test_time_off_is_shown(pipeline, command):
    company = pipeline.sandbox.world.companies[0]
    row = company.time_off_requests[0]
    said = command("employees", "time-off", row["employee_uuid"])
    assert said.code == 0
    assert row["status"] in said.out
    found = json.loads(command("employees", "time-off", row["employee_uuid"], "--json").out)
    assert set(found["activities"]) == {"vacation", "sick"}


def test_time_off_that_could_be_read_in_part_ends_with_1(pipeline, command):
    pipeline.sandbox.fault("5xx:/time_off_requests")
    said = command("employees", "time-off", somebody(pipeline)["uuid"], "--json")
    assert said.code == 1
    assert json.loads(said.out)["status"] == "partial"
    assert said.err.startswith("requests: Gusto failed")


# -- any endpoint -------------------------------------------------------------------------------------------------


def test_a_read_is_called_for_the_only_company(pipeline, command):
    said = command("call", "get", "/v1/companies/{company_id}/employees", "--param", "page=1", "--param", "per=2")
    assert (said.code, said.err) == (0, "")
    assert len(json.loads(said.out)) == 2


def test_a_write_is_shown_and_not_sent_without_a_yes(pipeline, command, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    before = len(pipeline.sandbox.requests)
    body = json.dumps({"first_name": "Ada", "last_name": "New", "ssn": SSN})
    said = command("call", "POST", "/v1/companies/{company_id}/employees", "--body", body)
    assert said.code == 0
    assert json.loads(said.out)["body"] == {"first_name": "Ada", "last_name": "New", "ssn": "[redacted]"}
    assert "Nothing was sent. To send it, add --yes." in said.err
    assert len(pipeline.sandbox.requests) == before


@pytest.mark.parametrize(("answer", "made"), [(True, 1), (False, 0)])
def test_a_person_is_asked_after_the_dry_run(pipeline, command, monkeypatch, answer, made):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("typer.confirm", lambda *_, **__: answer)
    body = json.dumps({"first_name": "Ada", "last_name": "New"})
    assert command("call", "POST", "/v1/companies/{company_id}/employees", "--body", body).code == 0
    assert len(newcomers(pipeline)) == made


def test_a_write_is_sent_with_yes(pipeline, command, tmp_path):
    (tmp_path / "ada.json").write_text(json.dumps(ADA["employee"]))
    path = f"/v1/companies/{pipeline.company.uuid}/employees"
    said = command("call", "POST", path, "--body", f"@{tmp_path / 'ada.json'}", "--yes")
    assert (said.code, said.err) == (0, "")
    answer = json.loads(said.out)
    assert (answer["uuid"], answer["has_ssn"]) == (newcomers(pipeline)[0]["uuid"], True)
    assert SSN not in said.out


def test_a_dry_run_needs_no_connection(command, tmp_path, monkeypatch):
    monkeypatch.setenv("GUSTO_PIPELINE_HOME", str(tmp_path))
    monkeypatch.delenv("GUSTO_CLIENT_ID", raising=False)
    said = command("call", "GET", "/v1/employees/1234", "--dry-run")
    assert said.code == 0
    assert json.loads(said.out)["scope"] == "employees:read"
    assert "Nothing was sent." in said.err


def test_what_only_the_application_may_ask_is_asked_with_its_own_token(pipeline, command):
    said = command("call", "GET", "/v1/events", "--param", "limit=1")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out)[0]["event_type"]


# -- the token, and what is refused -------------------------------------------------------------------------------


def test_the_token_is_described_and_never_shown(pipeline, command):
    said, as_json = command("token"), command("token", "--json")
    assert (said.code, as_json.code) == (0, 0)
    assert pipeline.company.uuid in said.out
    shown = json.loads(as_json.out)
    assert (shown["environment"], shown["owner_type"]) == ("127.0.0.1", "CompanyAdmin")
    record = open_store(pipeline.settings).read(f"gusto/{pipeline.company.slug}") or {}
    assert record["access_token"] not in said.out + as_json.out
    assert record["refresh_token"] not in said.out + as_json.out


def test_a_scope_that_lacks_is_named(pipeline, command):
    pipeline.sandbox.fault("missing-scope=compensations:write")
    assert "compensations:write" in command("token").out
    assert json.loads(command("token", "--json").out)["lacking"]["create_employee"] == ["compensations:write"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["employees", "create"], "nothing was given"),
        (["employees", "create", "--set", "first_name"], "write NAME=VALUE"),
        (["employees", "create", "--set", "ssn=078051120"], "use --ask-ssn"),
        (["employees", "create", "--set", "jobs.title=Taster"], "there is no part jobs"),
        (["employees", "create", "{"], "that is not JSON"),
        (["employees", "create", "[]"], "the JSON must be an object of employee, home_address"),
        (["employees", "create", '{"employee": {"frist_name": "A"}}'], "did you mean first_name?"),
        (["employees", "create", "@nowhere.json"], "nowhere.json: No such file"),
        (["employees", "update", "1234", "--set", "rate=1"], "no field rate"),
        (["employees", "update", "1234", "--base", "pipeline.yaml", "--set", "email=a"], "pipeline.yaml is not what"),
        (["employees", "resume", "pipeline.yaml"], "no result of creating an employee"),
        (["call", "GET", "/v1/employes"], "Nearest: "),
        (["call", "PUT", "/v1/employees/1234", "--body", "{}", "--yes"], "the body lacks version"),
        (["call", "GET", "/v1/employees/1234", "--param", "x"], "write NAME=VALUE"),
    ],
)
def test_what_cannot_be_right_is_one_line_and_no_request(pipeline, command, arguments, words):
    (Path.cwd() / "pipeline.yaml").write_text("{}")
    before = len(pipeline.sandbox.requests)
    said = command(*arguments)
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert words in said.err
    assert SSN not in said.err
    assert len(pipeline.sandbox.requests) == before


def test_a_connection_made_elsewhere_is_told_before_any_request(pipeline, command, monkeypatch):
    store, name = open_store(pipeline.settings), f"gusto/{pipeline.company.slug}"
    record: dict[str, Any] = store.read(name) or {}
    store.write(name, record | {"base_url": "https://api.gusto-demo.com"})
    monkeypatch.setenv("GUSTO_BASE_URL", "https://api.gusto.com")
    said = command("token")
    store.write(name, record)
    assert said.code == 1
    assert "made with Gusto's demo" in said.err
    assert "GUSTO_BASE_URL is production" in said.err
