"""Faults on purpose: each kind, and when it strikes."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.sandbox.faults import KINDS, Fault, parse_fault
from gusto_pipeline.sandbox.server import GustoSandbox, running
from gusto_pipeline_tests.sandbox.conftest import TODAY, client, web


def statuses(http: httpx.Client, count: int, path: str = "/v1/token_info") -> list[int]:
    return [http.get(path).status_code for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("5xx", Fault("5xx")),
        ("5xx=503:once", Fault("5xx", "503", times=1)),
        ("5xx:once:/employees", Fault("5xx", path="/employees", times=1)),
        ("429:every=5", Fault("429", every=5)),
        ("slow=0.5:times=3:/v1/companies", Fault("slow", "0.5", path="/v1/companies", times=3)),
        ("missing-scope=employees:read", Fault("missing-scope", "employees:read")),
        ("missing-scope=employees:read:/x", Fault("missing-scope", "employees:read", path="/x")),
    ],
)
def test_the_written_form(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text", ["", "boom", "5xx=404", "429:every=0", "429:often", "slow=long", "slow=.", "missing-scope", "drop:times=x"]
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_fault(text)


@given(
    st.text(max_size=40)
    | st.builds("{}{}".format, st.sampled_from(KINDS), st.text(":=/onceverytims0159.", max_size=20))
)
def test_any_text_is_a_fault_or_refused(text: str) -> None:
    try:
        fault = parse_fault(text)
    except ValueError:
        return
    assert fault.kind in KINDS
    if fault.kind == "slow":
        float(fault.value or 1)


def test_every_nth_request(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    fresh.fault("429:every=3")
    assert statuses(fresh_api, 6) == [200, 200, 429, 200, 200, 429]
    fresh.clear_faults()
    assert statuses(fresh_api, 3) == [200, 200, 200]


def test_once_at_a_path(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    fresh.fault("5xx:once:/employees")
    url = f"/v1/companies/{fresh.world.companies[0].uuid}/employees"
    assert statuses(fresh_api, 1) == [200]
    assert statuses(fresh_api, 2, url) == [500, 200]


def test_too_many_requests_tell_when_to_come_back(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    fresh.fault("429=7:once")
    answer = fresh_api.get("/v1/token_info")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


def test_a_server_error_is_gustos_json_a_gateway_error_is_html(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    fresh.fault("5xx:once", "5xx=502:once")
    inner, outer = fresh_api.get("/v1/token_info"), fresh_api.get("/v1/token_info")
    assert (inner.status_code, inner.json()["errors"][0]["category"]) == (500, "internal_error")
    assert (outer.status_code, outer.headers["content-type"]) == (502, "text/html")


def test_a_dropped_connection_ends_within_the_body(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    fresh.fault("drop:once")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        fresh_api.get("/v1/token_info")
    assert statuses(fresh_api, 1) == [200]


def test_a_truncated_body_is_valid_http_and_malformed_json(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    fresh.fault("truncate:once")
    answer = fresh_api.get("/v1/token_info")
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_slow_answer_runs_into_the_callers_patience(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    fresh.fault("slow=0.2:once")
    with pytest.raises(httpx.ReadTimeout):
        fresh_api.get("/v1/token_info", timeout=0.05)


def test_an_expired_token_stays_dead_and_can_be_refreshed(fresh: GustoSandbox) -> None:
    pair = fresh.new_grant()
    old = {"Authorization": f"Bearer {pair['access_token']}"}
    fresh.fault("expired:once")
    with httpx.Client(base_url=fresh.base_url, verify=False) as http:
        assert [http.get("/v1/token_info", headers=old).status_code for _ in range(2)] == [401, 401]
        grant = {
            "client_id": fresh.client_id,
            "client_secret": fresh.client_secret,
            "grant_type": "refresh_token",
            "refresh_token": pair["refresh_token"],
        }
        new = http.post("/oauth/token", json=grant).json()["access_token"]
        assert http.get("/v1/token_info", headers={"Authorization": f"Bearer {new}"}).status_code == 200


def test_a_missing_scope_is_named(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    fresh.fault("missing-scope=employees:read")
    answer = fresh_api.get(f"/v1/companies/{fresh.world.companies[0].uuid}/employees")
    assert answer.status_code == 403
    assert answer.json()["errors"][0] == {
        "error_key": "request",
        "category": "missing_oauth_scopes",
        "message": "You do not have the 'employees:read' OAuth scope required for this request. "
        "Please reach out to developer@gusto.com for assistance.",
        "metadata": {"missing_scope_name": "employees:read"},
    }
    assert "employees:read" not in fresh_api.get("/v1/token_info").json()["scope"].split()


def test_faults_can_be_in_force_from_the_start() -> None:
    with running(employees=1, today=TODAY, faults=["5xx:once"]) as sandbox, client(sandbox) as http:
        assert statuses(http, 2) == [500, 200]


def test_without_a_path_signing_in_is_spared(fresh: GustoSandbox) -> None:
    fresh.fault("5xx")
    secret = {"client_id": fresh.client_id, "client_secret": fresh.client_secret, "grant_type": "system_access"}
    assert web.post(f"{fresh.base_url}/oauth/token", json=secret).status_code == 200
    fresh.fault("5xx:/oauth/token")
    assert web.post(f"{fresh.base_url}/oauth/token", json=secret).status_code == 500
