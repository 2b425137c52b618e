"""Consent, tokens and their rotation."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gusto_pipeline.connections.sign_in import browse
from gusto_pipeline.sandbox.server import GustoSandbox, running
from gusto_pipeline_tests.sandbox.conftest import TODAY, client, system_client, token_request, web

REDIRECT = "http://127.0.0.1:1/callback"


def authorize(sandbox: GustoSandbox, **query: str) -> httpx.Response:
    asked = {"client_id": sandbox.client_id, "redirect_uri": REDIRECT, "response_type": "code", "state": "s p"}
    return browse(httpx.URL(f"{sandbox.base_url}/oauth/authorize", params=asked | query))


def consent(sandbox: GustoSandbox, company: str) -> str:
    """The code a company's consent gives."""
    return parse_qs(urlsplit(authorize(sandbox, company=company).headers["location"]).query)["code"][0]


def works(sandbox: GustoSandbox, access_token: str) -> bool:
    headers = {"Authorization": f"Bearer {access_token}"}
    return web.get(f"{sandbox.base_url}/v1/token_info", headers=headers).status_code == 200


def test_the_consent_page_lists_every_company(sandbox: GustoSandbox) -> None:
    page = authorize(sandbox).text
    assert all(f"company={company.uuid}" in page for company in sandbox.world.companies)
    assert "Birch &amp; Bolt Hardware" in page


def test_naming_the_company_consents_at_once_and_echoes_the_state(sandbox: GustoSandbox) -> None:
    answer = authorize(sandbox, company="Birch & Bolt Hardware")
    assert answer.status_code == 302
    assert parse_qs(urlsplit(answer.headers["location"]).query)["state"] == ["s p"]


def test_a_single_company_needs_no_choosing() -> None:
    with running(employees=1, today=TODAY) as sandbox:
        assert authorize(sandbox).status_code == 302


@pytest.mark.parametrize(
    ("query", "status"), [({"client_id": "someone"}, 401), ({"redirect_uri": ""}, 400), ({"redirect_uri": "x:y"}, 400)]
)
def test_a_request_that_cannot_be_answered_by_redirect_is_refused(
    sandbox: GustoSandbox, query: dict[str, str], status: int
) -> None:
    assert authorize(sandbox, **query).status_code == status


def test_a_code_gives_tokens_for_the_one_company_that_consented(sandbox: GustoSandbox) -> None:
    second = sandbox.world.companies[1]
    code = consent(sandbox, second.slug)
    answer = token_request(sandbox, grant_type="authorization_code", code=code, redirect_uri=REDIRECT).json()
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    info = web.get(f"{sandbox.base_url}/v1/token_info", headers=headers).json()
    assert answer["expires_in"] == 7200
    assert info["resource"] == {"type": "Company", "uuid": second.uuid}


def test_a_code_works_once(sandbox: GustoSandbox) -> None:
    code = consent(sandbox, "acme-tea-co")
    assert token_request(sandbox, grant_type="authorization_code", code=code, redirect_uri=REDIRECT).status_code == 200
    again = token_request(sandbox, grant_type="authorization_code", code=code, redirect_uri=REDIRECT)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_a_code_lives_ten_minutes(fresh: GustoSandbox) -> None:
    code = consent(fresh, "acme-tea-co")
    fresh.advance(601)
    answer = token_request(fresh, grant_type="authorization_code", code=code, redirect_uri=REDIRECT)
    assert answer.json()["error"] == "invalid_grant"


def test_a_code_is_bound_to_its_redirect_uri(sandbox: GustoSandbox) -> None:
    code = consent(sandbox, "acme-tea-co")
    answer = token_request(sandbox, grant_type="authorization_code", code=code, redirect_uri=f"{REDIRECT}/else")
    assert answer.json()["error"] == "invalid_grant"


def test_an_access_token_dies_after_two_hours(fresh: GustoSandbox) -> None:
    token = fresh.new_grant()["access_token"]
    fresh.advance(7190)
    assert works(fresh, token)
    fresh.advance(11)
    assert not works(fresh, token)


def test_the_old_refresh_token_lives_until_the_new_access_token_is_used(sandbox: GustoSandbox) -> None:
    old = sandbox.new_grant()["refresh_token"]
    token_request(sandbox, grant_type="refresh_token", refresh_token=old)
    second = token_request(sandbox, grant_type="refresh_token", refresh_token=old)
    assert second.status_code == 200
    assert works(sandbox, second.json()["access_token"])
    dead = token_request(sandbox, grant_type="refresh_token", refresh_token=old)
    assert (dead.status_code, dead.json()["error"]) == (400, "invalid_grant")


def test_a_refresh_gives_a_new_pair(sandbox: GustoSandbox) -> None:
    old = sandbox.new_grant()
    new = token_request(sandbox, grant_type="refresh_token", refresh_token=old["refresh_token"]).json()
    assert new["access_token"] != old["access_token"]
    assert new["refresh_token"] != old["refresh_token"]


def test_a_revoked_token_and_its_refresh_token_are_dead(sandbox: GustoSandbox) -> None:
    pair = sandbox.new_grant()
    secret = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    revoked = web.post(f"{sandbox.base_url}/oauth/revoke", json=secret | {"token": pair["access_token"]})
    assert revoked.status_code == 200
    assert not works(sandbox, pair["access_token"])
    assert token_request(sandbox, grant_type="refresh_token", refresh_token=pair["refresh_token"]).status_code == 400


def test_the_token_endpoint_takes_a_form_too(sandbox: GustoSandbox) -> None:
    form = {
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "grant_type": "refresh_token",
        "refresh_token": sandbox.new_grant()["refresh_token"],
    }
    assert web.post(f"{sandbox.base_url}/oauth/token", data=form).status_code == 200


def test_a_secret_in_the_url_is_refused(sandbox: GustoSandbox) -> None:
    query = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret, "grant_type": "system_access"}
    given = web.post(f"{sandbox.base_url}/oauth/token", params=query | {"client_secret": "any"}, json=query)
    assert given.status_code == 400


def test_an_unknown_client_is_refused(sandbox: GustoSandbox) -> None:
    answer = token_request(sandbox, grant_type="system_access", client_secret="wrong")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_an_unknown_grant_type_is_refused(sandbox: GustoSandbox) -> None:
    assert token_request(sandbox, grant_type="password").json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize("body", ["[]", "{", '"x"'])
def test_a_body_that_is_no_object_is_refused(sandbox: GustoSandbox, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert web.post(f"{sandbox.base_url}/oauth/token", content=body, headers=headers).status_code == 400


def test_a_system_token_is_the_applications_own_and_cannot_be_refreshed(sandbox: GustoSandbox) -> None:
    assert "refresh_token" not in token_request(sandbox, grant_type="system_access").json()
    with system_client(sandbox) as http:
        info = http.get("/v1/token_info").json()
        assert info["resource"]["type"] == "Oauth::Application"
        assert info["resource_owner"] is None
        assert http.get(f"/v1/companies/{sandbox.world.companies[0].uuid}").status_code == 404


def test_only_a_system_token_may_see_events(api: httpx.Client) -> None:
    assert api.get("/v1/events").status_code == 403


def test_granted_scopes_limit_what_is_answered(sandbox: GustoSandbox) -> None:
    with client(sandbox, scopes=["employees:read"]) as http:
        company = f"/v1/companies/{sandbox.world.companies[0].uuid}"
        assert http.get(f"{company}/employees").status_code == 200
        refused = http.get(f"{company}/departments")
    assert refused.status_code == 403
    row = refused.json()["errors"][0]
    assert row["category"] == "missing_oauth_scopes"
    assert row["metadata"] == {"missing_scope_name": "departments:read"}
