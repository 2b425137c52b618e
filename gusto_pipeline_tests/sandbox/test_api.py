"""What every endpoint has in common: versions, headers, errors, pages, the rate limit."""

import re

import httpx
import pytest

from gusto_pipeline.sandbox.server import GustoSandbox, running
from gusto_pipeline_tests.sandbox.conftest import TODAY, client, web


def employees_url(sandbox: GustoSandbox, company: int = 0) -> str:
    return f"/v1/companies/{sandbox.world.companies[company].uuid}/employees"


@pytest.mark.parametrize("version", ["2025-11-15", "2026-02-01", "2026-06-15"])
def test_living_versions_are_echoed(api: httpx.Client, version: str) -> None:
    answer = api.get("/v1/token_info", headers={"X-Gusto-API-Version": version})
    assert answer.headers["X-Gusto-API-Version"] == version


def test_without_a_version_the_newest_is_used(api: httpx.Client) -> None:
    assert api.get("/v1/token_info").headers["X-Gusto-API-Version"] == "2026-06-15"


@pytest.mark.parametrize("version", ["2024-04-01", "2023", "2099-01-01"])
def test_other_versions_are_not_acceptable(api: httpx.Client, version: str) -> None:
    answer = api.get("/v1/token_info", headers={"X-Gusto-API-Version": version})
    assert answer.status_code == 406
    message = f"Invalid API Version `{version}`. Expected format: YYYY-MM-DD"
    row = {"error_key": "request", "category": "invalid_api_version", "message": message}
    assert answer.json() == {"errors": [row]}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}])
def test_without_a_living_token_nothing_is_answered(sandbox: GustoSandbox, headers: dict[str, str]) -> None:
    answer = web.get(f"{sandbox.base_url}/v1/token_info", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["category"] == "invalid_token"


def test_every_answer_has_its_own_request_id(api: httpx.Client, sandbox: GustoSandbox) -> None:
    ids = {api.get("/v1/token_info").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert {row.request_id for row in sandbox.requests[-3:]} == ids


def test_another_companys_records_are_not_found(sandbox: GustoSandbox, api: httpx.Client) -> None:
    theirs = sandbox.world.companies[1]
    urls = [
        f"/v1/companies/{theirs.uuid}",
        f"/v1/companies/{theirs.uuid}/employees",
        f"/v1/employees/{next(iter(theirs.employees))}",
        f"/v1/contractors/{next(iter(theirs.contractors))}",
        f"/v1/locations/{next(iter(theirs.locations))}",
        f"/v1/departments/{next(iter(theirs.departments))}",
    ]
    message = "The requested resource was not found."
    body = {"errors": [{"error_key": "request", "category": "not_found", "message": message}]}
    assert [api.get(url).json() for url in urls] == [body] * len(urls)


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/companies", "/v1/employees/x/onboarding_status"])
def test_paths_that_are_not_served_are_not_found(api: httpx.Client, path: str) -> None:
    assert api.get(path).status_code == 404


@pytest.mark.parametrize("body", ["[]", "{"])
def test_a_body_must_be_a_json_object(sandbox: GustoSandbox, api: httpx.Client, body: str) -> None:
    assert api.post(employees_url(sandbox), content=body).status_code == 400


@pytest.mark.parametrize(("count", "pages"), [(0, 0), (1, 1), (24, 1), (25, 1), (26, 2), (50, 2), (51, 3)])
def test_pages_cover_everyone_once(count: int, pages: int) -> None:
    with running(employees=count, contractors=0, today=TODAY) as sandbox, client(sandbox) as http:
        url = employees_url(sandbox)
        answers = [http.get(url, params={"page": page}) for page in range(1, pages + 2)]
    seen = [row["uuid"] for answer in answers for row in answer.json()]
    assert seen == list(sandbox.world.companies[0].employees)
    assert answers[-1].json() == []
    first = answers[0].headers
    assert (first["X-Total-Count"], first["X-Total-Pages"]) == (str(count), str(pages))
    assert (first["X-Page"], first["X-Per-Page"]) == ("1", "25")


def test_without_a_page_everyone_comes_and_no_page_headers(sandbox: GustoSandbox, api: httpx.Client) -> None:
    answer = api.get(employees_url(sandbox))
    assert len(answer.json()) == 40
    assert "X-Total-Pages" not in answer.headers


def test_a_page_has_at_most_100(sandbox: GustoSandbox, api: httpx.Client) -> None:
    assert api.get(employees_url(sandbox), params={"page": 1, "per": 500}).headers["X-Per-Page"] == "100"


def test_payrolls_are_paged_without_asking(sandbox: GustoSandbox, api: httpx.Client) -> None:
    url = f"/v1/companies/{sandbox.world.companies[0].uuid}/payrolls"
    listed = api.get(url)
    assert listed.headers["X-Per-Page"] == "25"
    one = api.get(f"{url}/{listed.json()[0]['uuid']}")
    assert one.headers["X-Page"] == "1"


def test_the_rate_limit_is_told_on_every_answer(fresh_api: httpx.Client) -> None:
    first, second = fresh_api.get("/v1/token_info").headers, fresh_api.get("/v1/token_info").headers
    assert first["X-RateLimit-Limit"] == "200"
    assert (first["X-RateLimit-Remaining"], second["X-RateLimit-Remaining"]) == ("199", "198")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}", first["X-RateLimit-Reset"])


def test_over_the_limit_nothing_is_answered_until_the_window_has_rolled_on() -> None:
    with running(employees=1, today=TODAY, rate_limit=3) as sandbox, client(sandbox) as http:
        statuses = [http.get("/v1/token_info").status_code for _ in range(4)]
        refused = http.get("/v1/token_info")
        wait = int(refused.headers["Retry-After"])
        sandbox.advance(wait)
        assert statuses == [200, 200, 200, 429]
        assert 1 <= wait <= 60
        assert http.get("/v1/token_info").status_code == 200


def test_each_grant_has_its_own_limit() -> None:
    with (
        running(companies=2, employees=1, today=TODAY, rate_limit=1) as sandbox,
        client(sandbox) as first,
        client(sandbox, company=1) as second,
    ):
        assert [first.get("/v1/token_info").status_code for _ in range(2)] == [200, 429]
        assert second.get("/v1/token_info").status_code == 200


def test_refreshing_does_not_escape_the_limit() -> None:
    with running(employees=1, today=TODAY, rate_limit=1) as sandbox:
        pair = sandbox.new_grant()
        secret = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
        grant = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
        fresh_pair = web.post(f"{sandbox.base_url}/oauth/token", json=secret | grant).json()
        statuses = [
            web.get(f"{sandbox.base_url}/v1/token_info", headers={"Authorization": f"Bearer {each['access_token']}"})
            for each in (pair, fresh_pair)
        ]
    assert [answer.status_code for answer in statuses] == [200, 429]
