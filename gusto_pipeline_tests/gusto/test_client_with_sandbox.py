"""Signing in, syncing and staying connected against a whole Gusto, with its faults put in."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto.auth import (
    GustoAuth,
    OAuthApp,
    connection_record,
    login_without_browser,
    revoke,
    system_token,
)
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import (
    ApiVersionError,
    MissingScopeError,
    NotFoundError,
    ReauthorizeError,
)
from gusto_pipeline.sandbox.server import GustoSandbox, running

NAME = "gusto/company"


class Session:
    """A sandbox company, connected the way a person would, and a client for it whose sleeps move the sandbox's time."""

    def __init__(self, sandbox: GustoSandbox, store: ConnectionStore) -> None:
        self.sandbox = sandbox
        self.store = store
        self.company = sandbox.world.companies[0].uuid
        self.app = OAuthApp(sandbox.base_url, sandbox.client_id, sandbox.client_secret)
        answer = login_without_browser(self.app, self.company)
        now = sandbox.world.clock.now()
        store.write(NAME, connection_record(self.app, answer, company_uuid=self.company, company_name="", now=now))
        self.sleeps: list[float] = []
        self.client = self.make_client()

    def make_client(self, **options: Any) -> GustoClient:
        clock = self.sandbox.world.clock.now
        auth = GustoAuth(self.app, self.store, NAME, clock=clock)
        return GustoClient(self.app.base_url, auth, clock=clock, sleep=self.sleep, **options)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.sandbox.advance(seconds)

    def employees(self, per: int = 20) -> list[str]:
        pages = self.client.pages(f"/v1/companies/{self.company}/employees", {"include": ["custom_fields"]}, per=per)
        return [row["uuid"] for page in pages for row in json.loads(page.body)]


@pytest.fixture
def session(tmp_path) -> Iterator[Session]:
    with running(employees=130) as sandbox:
        session = Session(sandbox, ConnectionStore(tmp_path))
        with session.client:
            yield session


def everyone(session: Session) -> list[str]:
    return sorted(session.sandbox.world.companies[0].employees)


def test_the_token_tells_which_company_was_connected(session):
    info = session.client.token_info()
    assert (info.company_uuid, info.owner_type) == (session.company, "CompanyAdmin")
    assert "employees:read" in info.scopes


def test_everyone_is_read_once(session):
    assert sorted(session.employees()) == everyone(session)
    assert session.client.requests_sent == 7


@pytest.mark.parametrize(
    "fault",
    ["5xx=500:every=4", "5xx=503:every=4", "429=2:every=5", "drop:every=4", "truncate:every=4", "expired:once"],
)
def test_everyone_is_read_once_through_recurring_faults(session, fault):
    session.sandbox.fault(fault)
    assert sorted(session.employees()) == everyone(session)


def test_the_grant_outlives_many_tokens(session):
    for _ in range(5):
        session.sandbox.advance(3 * 3600)
        session.employees()
    assert session.sandbox.requests_by_path()["/oauth/token"] == 1 + 5


def test_a_small_limit_is_kept_without_a_single_refusal(tmp_path):
    with running(employees=130, rate_limit=10) as sandbox:
        limited = Session(sandbox, ConnectionStore(tmp_path))
        limited.client.close()
        with limited.make_client(per_minute=10, concurrency=1) as limited.client:
            assert len(limited.employees(per=5)) == 130
    assert Counter(row.status for row in sandbox.requests)[429] == 0
    assert sum(limited.sleeps) >= 120


def test_the_servers_limit_wins_over_a_wrong_one_of_ours(tmp_path):
    with running(employees=130, rate_limit=10) as sandbox:
        limited = Session(sandbox, ConnectionStore(tmp_path))
        with limited.client:
            assert len(limited.employees(per=5)) == 130
        assert sum(limited.sleeps) >= 120


def test_another_company_is_not_found_and_says_why_that_may_be(session):
    with pytest.raises(NotFoundError, match="no permission"):
        session.client.get("/v1/companies/00000000-0000-4000-8000-000000000000/employees")


def test_a_missing_scope_is_named(session):
    session.sandbox.fault("missing-scope=employees:read")
    with pytest.raises(MissingScopeError) as caught:
        session.employees()
    assert caught.value.scope == "employees:read"


def test_a_version_gusto_no_longer_speaks_is_told(session):
    with session.make_client(api_version="2023-01-01") as old, pytest.raises(ApiVersionError, match="2023-01-01"):
        old.get(f"/v1/companies/{session.company}")


def test_a_revoked_connection_says_how_to_come_back(session):
    record = session.store.read(NAME)
    assert record is not None
    revoke(session.app, record["access_token"])
    with pytest.raises(ReauthorizeError, match="gusto-pipeline reconnect gusto company"):
        session.employees()


def test_the_application_has_a_token_of_its_own(session):
    assert "refresh_token" not in system_token(session.app)
