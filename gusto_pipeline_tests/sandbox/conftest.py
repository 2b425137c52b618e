from collections.abc import Callable, Iterator
from datetime import date

import httpx
import pytest

from gusto_pipeline.sandbox.server import GustoSandbox, running

TODAY = date(2026, 11, 21)


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
    token = sandbox.new_grant(sandbox.world.companies[company].uuid, scopes)["access_token"]
    return httpx.Client(base_url=sandbox.base_url, headers={"Authorization": f"Bearer {token}"})


def system_client(sandbox: GustoSandbox) -> httpx.Client:
    secret = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    answer = httpx.post(f"{sandbox.base_url}/oauth/token", json=secret | {"grant_type": "system_access"})
    token = answer.json()["access_token"]
    return httpx.Client(base_url=sandbox.base_url, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def api(sandbox: GustoSandbox) -> Iterator[httpx.Client]:
    """The first company's client, over the shared sandbox."""
    with client(sandbox) as http:
        yield http


@pytest.fixture
def fresh_api(fresh: GustoSandbox) -> Iterator[httpx.Client]:
    with client(fresh) as http:
        yield http


@pytest.fixture
def token_request(fresh: GustoSandbox) -> Callable[..., httpx.Response]:
    """Posts to /oauth/token with the sandbox's own client."""

    def post(**arguments: str) -> httpx.Response:
        secret = {"client_id": fresh.client_id, "client_secret": fresh.client_secret}
        return httpx.post(f"{fresh.base_url}/oauth/token", json=secret | arguments)

    return post
