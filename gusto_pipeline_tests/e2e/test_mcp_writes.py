"""Assistants write to Gusto: only where that is switched on, only for HR, only after a look at what would change."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import timedelta
from types import SimpleNamespace

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from gusto_pipeline.answers.callers import TABLES, Caller, issue_token
from gusto_pipeline.clock import utcnow
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto import actions
from gusto_pipeline.mcp_server import http_server, stdio_server
from gusto_pipeline.sync import find_company, open_warehouse
from gusto_pipeline_tests.conftest import connected
from gusto_pipeline_tests.e2e.assistants import served

EMPLOYEE = {"first_name": "Ada", "last_name": "New", "email": "ada.new@example.com", "date_of_birth": "1991-12-11"}
HOME = {"street_1": "CANARY Street", "city": "Oakland", "state": "CA", "zip": "94607"}
NEW = {
    "employee": EMPLOYEE,
    "home_address": HOME,
    "job": {"title": "Taster", "hire_date": "2027-01-04"},
    "compensation": {"rate": "987654.32", "payment_unit": "Year", "flsa_status": "Exempt"},
}
CANARIES = ("CANARY", "987654", "1991-12-11", "078-05-1120")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    with connected(tmp_path_factory.mktemp("writes"), jobs=True) as pipeline:
        pipeline.sync("employees")
        with open_warehouse(pipeline.settings).write() as connection:
            connection.execute(TABLES)
        hr, other = pipeline.query(
            "SELECT uuid, work_email FROM staging.employees WHERE onboarded AND NOT terminated AND NOT historical "
            "AND work_email IS NOT NULL AND uuid IN (SELECT employee_uuid FROM staging.jobs) ORDER BY uuid LIMIT 2"
        )
        pipeline.hr, pipeline.other = (Caller(pipeline.company.uuid, uuid) for uuid, _ in (hr, other))
        policy = pipeline.settings.answers.model_copy(update={"hr": (hr[1],)})
        pipeline.settings = pipeline.settings.model_copy(update={"answers": policy})
        yield pipeline


@pytest.fixture(scope="module")
def now():
    """How far the server's clock is ahead."""
    return SimpleNamespace(ahead=timedelta())


@pytest.fixture(scope="module")
def url(pipeline, now):
    given = {"writes": lambda uuid: pipeline.client(), "clock": lambda: utcnow() + now.ahead}
    with served(lambda port: http_server(pipeline.settings, port, **given)) as url:
        yield url


@pytest.fixture
def as_of(pipeline, url, caplog):
    """Calls a tool over HTTP as somebody."""
    caplog.set_level(logging.INFO, logger="mcp.client")  # what an assistant sends is in its own log alone

    def call(caller, tool, **arguments):
        secret, _ = issue_token(pipeline.settings, caller, days=1)

        async def run():
            headers = {"Authorization": f"Bearer {secret}"}
            async with (
                httpx2.AsyncClient(headers=headers) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                return await client.call_tool(tool, arguments)

        return anyio.run(run)

    return call


@pytest.fixture(autouse=True)
def clean(pipeline):
    yield
    for row in newcomers(pipeline):
        del pipeline.sandbox.world.companies[0].employees[row["uuid"]]


def newcomers(pipeline):
    return [row for row in pipeline.sandbox.world.companies[0].employees.values() if row["last_name"] == "New"]


def somebody(pipeline):
    return pipeline.sandbox.world.companies[0].employees[pipeline.other.employee]


def outcomes(pipeline, tool):
    return [
        row[0] for row in pipeline.query("SELECT outcome FROM answers.log WHERE topic = $1 ORDER BY asked_at", tool)
    ]


def tools(server):
    async def run():
        async with Client(server) as client:
            return {tool.name: tool.annotations for tool in (await client.list_tools()).tools}

    return anyio.run(run)


def test_tools_that_write_are_there_only_where_switched_on(pipeline):
    without = tools(stdio_server(pipeline.settings, pipeline.hr))
    both = tools(stdio_server(pipeline.settings, pipeline.hr, writes=lambda uuid: pipeline.client()))
    assert both.keys() - without.keys() == {"create_employee", "update_employee"}
    assert all(annotations.read_only_hint for annotations in without.values())
    hints = {name: (both[name].read_only_hint, both[name].destructive_hint) for name in both.keys() - without.keys()}
    assert hints == {"create_employee": (False, False), "update_employee": (False, True)}


def test_somebody_is_taken_on_in_two_steps(pipeline, as_of):
    before = len(outcomes(pipeline, "create_employee"))
    planned = as_of(pipeline.hr, "create_employee", **NEW).structured_content
    assert (planned["state"], newcomers(pipeline)) == ("planned", [])
    assert planned["fields"] == {part: list(body) for part, body in NEW.items()}
    done = as_of(pipeline.hr, "create_employee", **NEW, confirmation=planned["confirmation"]).structured_content
    [made] = newcomers(pipeline)
    assert (done["state"], done["employee"]) == ("done", made["uuid"])
    assert outcomes(pipeline, "create_employee")[before:] == ["planned", "confirmed", "done"]
    assert not [canary for canary in CANARIES if canary in f"{planned} {done} {pipeline.query('FROM answers.log')}"]


def test_a_confirmation_is_good_once_for_one_call_of_one_person_for_ten_minutes(pipeline, as_of, now):
    def planned():
        return as_of(pipeline.hr, "create_employee", employee=EMPLOYEE).structured_content["confirmation"]

    def state(employee=EMPLOYEE, caller=pipeline.hr, **confirmed):
        return as_of(caller, "create_employee", employee=employee, **confirmed).structured_content["state"]

    assert state(confirmation="made up") == "refused"
    assert state({**EMPLOYEE, "first_name": "Eve"}, confirmation=planned()) == "refused"
    assert state(caller=pipeline.other, confirmation=planned()) == "refused"
    late = planned()
    now.ahead = timedelta(minutes=11)
    assert state(confirmation=late) == "refused"
    now.ahead = timedelta()
    assert newcomers(pipeline) == []
    good = planned()
    assert state(confirmation=good) == "done"
    assert state(confirmation=good) == "refused"
    assert len(newcomers(pipeline)) == 1


def test_who_is_not_named_as_hr_writes_nothing_and_asks_gusto_nothing(pipeline, as_of):
    sent = len(pipeline.sandbox.requests)
    for caller in (pipeline.other, Caller(pipeline.company.uuid, "gone")):
        assert as_of(caller, "create_employee", employee=EMPLOYEE).structured_content["state"] == "refused"
    assert len(pipeline.sandbox.requests) == sent
    assert outcomes(pipeline, "create_employee")[-2:] == ["refused", "refused"]


def test_an_address_that_two_people_share_names_nobody_as_hr(pipeline, as_of):
    address = pipeline.settings.answers.hr[0]
    with open_warehouse(pipeline.settings).write() as connection:
        held = connection.execute(
            "SELECT work_email FROM staging.employees WHERE uuid = $1", [pipeline.other.employee]
        ).fetchone()
        connection.execute(
            "UPDATE staging.employees SET work_email = $1 WHERE uuid = $2", [address, pipeline.other.employee]
        )
    assert as_of(pipeline.hr, "create_employee", employee=EMPLOYEE).structured_content["state"] == "refused"
    with open_warehouse(pipeline.settings).write() as connection:
        connection.execute(
            "UPDATE staging.employees SET work_email = $1 WHERE uuid = $2", [*held, pipeline.other.employee]
        )


def test_a_company_that_is_no_longer_connected_is_refused_and_recorded(pipeline):
    server = stdio_server(pipeline.settings, pipeline.hr, writes=lambda uuid: find_company(empty, uuid))
    empty = ConnectionStore(pipeline.settings.home / "none")

    async def run():
        async with Client(server) as client:
            return (await client.call_tool("create_employee", {"employee": EMPLOYEE})).structured_content

    done = anyio.run(run)
    assert (done["state"], "No connected company" in done["text"]) == ("refused", True)
    assert outcomes(pipeline, "create_employee")[-1] == "refused"


def test_what_does_not_fit_is_said_without_the_value(pipeline, as_of):
    for arguments in (
        {"employee": {**EMPLOYEE, "ssn": "078-05-1120"}},
        {**NEW, "compensation": {"rate": "987654.32 dollars"}},
        {**NEW, "job": None, "home_address": {**HOME, "state": "CANARY"}},
    ):
        answer = as_of(pipeline.hr, "create_employee", **{name: given for name, given in arguments.items() if given})
        assert answer.is_error or answer.structured_content["state"] == "refused"
        assert not [canary for canary in CANARIES if canary in str(answer)]
    assert newcomers(pipeline) == []


def test_what_others_changed_between_the_steps_is_left_as_they_left_it(pipeline, as_of):
    person = somebody(pipeline)
    arguments = {
        "employee_uuid": person["uuid"], "employee": {"preferred_first_name": "Ours", "middle_initial": "Q"},
    }  # fmt: skip
    planned = as_of(pipeline.hr, "update_employee", **arguments).structured_content
    assert {part: set(names) for part, names in planned["fields"].items()} == {"employee": set(arguments["employee"])}
    with pipeline.client() as client:
        actions.update_employee(client, person["uuid"], {"preferred_first_name": "Theirs"})
    done = as_of(pipeline.hr, "update_employee", **arguments, confirmation=planned["confirmation"]).structured_content
    assert (done["state"], done["fields"]) == ("partial", {"employee": ["middle_initial"]})
    assert "employee.preferred_first_name" in done["text"]
    assert (somebody(pipeline)["preferred_first_name"], "Ours" in str(done)) == ("Theirs", False)


def test_over_stdio_an_employee_is_changed_in_two_steps(pipeline, tmp_path):
    config = tmp_path / "pipeline.yaml"
    config.write_text(f"answers: {{hr: {json.dumps(pipeline.settings.answers.hr)}}}\n")
    server = StdioServerParameters(
        command=sys.executable,
        args=[
            "-c", "from gusto_pipeline.cli import main; main()", "mcp", "--allow-writes", "--as", pipeline.hr.employee,
        ],
        env={**os.environ, "GUSTO_PIPELINE_CONFIG": str(config)},
    )  # fmt: skip
    arguments = {"employee_uuid": pipeline.other.employee, "employee": {"middle_initial": "Z"}}

    async def run():
        async with Client(stdio_client(server)) as client:
            planned = (await client.call_tool("update_employee", arguments)).structured_content
            assert somebody(pipeline).get("middle_initial") != "Z"
            confirmed = {**arguments, "confirmation": planned["confirmation"]}
            return (await client.call_tool("update_employee", confirmed)).structured_content

    assert anyio.run(run)["state"] == "done"
    assert somebody(pipeline)["middle_initial"] == "Z"


def test_writes_are_not_served_where_nobody_is_named_as_hr(pipeline, command):
    ended = command("mcp", "--allow-writes", "--as", pipeline.hr.employee)
    assert (ended.code, "answers.hr" in ended.err) == (1, True)
