from collections.abc import Iterator
from datetime import date

import httpx
import pytest

from gusto_pipeline.sandbox.server import GustoSandbox, running

TODAY = date(2026, 11, 21)

# For requests without a token. Certificates are not loaded: that takes 20 ms a time, and there are none here.
web = httpx.Client(verify=False, limits=httpx.Limits(max_keepalive_connections=0))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[GustoSandbox]:
    """Two companies of 40; for tests that leave it as it is."""
    with running(companies=2, employees=40, contractors=12, today=TODAY, rate_limit=100_000) as sandbox:
        yield sandbox


@pytest.fixture
def fresh() -> Iterator[GustoSandbox]:
    """Two companies of 40, for tests that change them."""
    with running(companies=2, employees=40, today=TODAY) as sandbox:
        yield sandbox


def client(sandbox: GustoSandbox, *, company: int = 0, scopes: list[str] | None = None) -> httpx.Client:
    """A client with a new grant of one of the companies."""
    return _client(sandbox, sandbox.new_grant(sandbox.world.companies[company].uuid, scopes)["access_token"])


def system_client(sandbox: GustoSandbox) -> httpx.Client:
    """A client with the application's own token."""
    return _client(sandbox, token_request(sandbox, grant_type="system_access").json()["access_token"])


def _client(sandbox: GustoSandbox, token: str) -> httpx.Client:
    return httpx.Client(base_url=sandbox.base_url, headers={"Authorization": f"Bearer {token}"}, verify=False)


def token_request(sandbox: GustoSandbox, **arguments: str) -> httpx.Response:
    """POST /oauth/token, by the sandbox's own client unless said otherwise."""
    secret = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    return web.post(f"{sandbox.base_url}/oauth/token", json=secret | arguments)


@pytest.fixture
def api(sandbox: GustoSandbox) -> Iterator[httpx.Client]:
    """The first company's client, over the shared sandbox."""
    with client(sandbox) as http:
        yield http


@pytest.fixture
def fresh_api(fresh: GustoSandbox) -> Iterator[httpx.Client]:
    """The first company's client, over the test's own sandbox."""
    with client(fresh) as http:
        yield http
