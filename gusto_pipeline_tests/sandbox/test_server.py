"""Running: start, stop, the request log and the control endpoint."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from gusto_pipeline.sandbox.server import GustoSandbox, running
from gusto_pipeline_tests.sandbox.conftest import TODAY, client, web


def test_it_is_up_within_a_second_and_gone_afterwards() -> None:
    begun = time.monotonic()
    with running(employees=40) as sandbox:
        assert web.get(f"{sandbox.base_url}/v1/token_info").status_code == 401
        assert time.monotonic() - begun < 1
    with pytest.raises(httpx.ConnectError):
        web.get(sandbox.base_url)


def test_it_listens_on_loopback_only(sandbox: GustoSandbox) -> None:
    assert sandbox.base_url.startswith("http://127.0.0.1:")


def test_a_taken_port_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"), running(employees=0, port=taken.getsockname()[1]):
            pass


def test_the_log_knows_paths_statuses_and_grants_but_no_tokens(fresh: GustoSandbox) -> None:
    pair = fresh.new_grant()
    web.get(f"{fresh.base_url}/v1/token_info?x=1", headers={"Authorization": f"Bearer {pair['access_token']}"})
    web.get(f"{fresh.base_url}/v1/nothing")
    first, second = fresh.requests
    assert (first.method, first.path, first.query, first.status) == ("GET", "/v1/token_info", "x=1", 200)
    assert first.grant
    assert (second.status, second.grant) == (401, None)
    assert pair["access_token"] not in repr(fresh.requests)
    assert fresh.requests_by_path() == {"/v1/token_info": 1, "/v1/nothing": 1}


def test_the_control_endpoint_shows_the_log_per_grant(fresh: GustoSandbox) -> None:
    for count in (1, 2):
        with client(fresh) as http:
            for _ in range(count):
                http.get("/v1/token_info")
    with httpx.Client(base_url=f"{fresh.base_url}/_sandbox", verify=False) as control:
        seen = control.get("/requests").json()
        assert sorted(seen["by_grant"].values()) == [1, 2]
        assert len(seen["requests"]) == 3
        control.post("/reset")
        assert control.get("/requests").json() == {"requests": [], "by_grant": {}}


def test_the_control_endpoint_sets_and_clears_faults(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    faults = f"{fresh.base_url}/_sandbox/faults"
    assert web.post(faults, json={"fault": "5xx"}).json()["faults"][0]["kind"] == "5xx"
    assert fresh_api.get("/v1/token_info").status_code == 500
    assert web.delete(faults).json() == {"faults": []}
    assert fresh_api.get("/v1/token_info").status_code == 200


@pytest.mark.parametrize("body", ['{"fault": "boom"}', "{}", "[]", "{"])
def test_a_fault_that_does_not_exist_is_refused(fresh: GustoSandbox, body: str) -> None:
    answer = web.post(f"{fresh.base_url}/_sandbox/faults", content=body)
    assert answer.status_code == 422
    assert "5xx:once" in answer.json()["error"]


def test_the_control_endpoint_lets_time_pass(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    clock = f"{fresh.base_url}/_sandbox/clock"
    assert web.get(clock).json()["today"] == "2026-11-21"
    assert web.post(clock, json={"advance_seconds": 86400}).json()["today"] == "2026-11-22"
    assert fresh_api.get("/v1/token_info").status_code == 401
    assert web.post(clock, json={}).status_code == 422


def test_the_control_endpoint_lists_companies(fresh: GustoSandbox) -> None:
    rows = web.get(f"{fresh.base_url}/_sandbox/companies").json()
    assert [(row["name"], row["employees"]) for row in rows] == [("Acme Tea Co", 40), ("Birch & Bolt Hardware", 40)]


def test_an_answer_takes_as_long_as_asked() -> None:
    with running(employees=1, today=TODAY, latency=0.05) as sandbox:
        begun = time.monotonic()
        web.get(f"{sandbox.base_url}/v1/token_info")
        assert time.monotonic() - begun >= 0.05


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    script = (
        "import sys; from gusto_pipeline.sandbox.server import serve\n"
        "serve(lambda sandbox: print(sandbox.base_url, flush=True), employees=1)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        url = process.stdout.readline().decode().strip()
        assert web.get(f"{url}/v1/token_info").status_code == 401
        os.kill(process.pid, number)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == b""
