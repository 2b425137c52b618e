"""Connecting without anybody's consent: a service account signs, and the app checks signature, audience, clock, scopes
and whom it acts as."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gusto_pipeline.accounts import connect_app, read_app
from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.apps import SLUGS, app, google_workspace
from gusto_pipeline.provisioning.errors import MissingScopeError, SignInError
from gusto_pipeline.sandbox.apps import SimulatedApp, running_apps
from gusto_pipeline.sandbox.apps.simulator import pem
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Pipeline, connected
from gusto_pipeline_tests.provisioning.connected import session_with

KEYED = [slug for slug in SLUGS if app(slug).by_key]
Record = dict[str, str]


@pytest.fixture
def apps() -> Iterator[dict[str, SimulatedApp]]:
    with running_apps(*KEYED) as running:
        yield running


@pytest.fixture
def google(apps):
    return apps["google_workspace"]


@pytest.fixture
def docusign(apps):
    return apps["docusign"]


def reach(simulated: SimulatedApp, record: Record, **options: object) -> str:
    with session_with(simulated, record=record, **options) as session:
        return session.app.tenant(session).name


def refused(simulated: SimulatedApp, record: Record, **options: object) -> str:
    with pytest.raises(SignInError) as problem:
        reach(simulated, record, **options)
    said = str(problem.value)
    assert f"run: gusto-pipeline connect {simulated.simulator.slug}" in said
    assert "PRIVATE KEY" not in said
    return said


@pytest.mark.parametrize("slug", KEYED)
def test_a_service_account_reads_what_a_person_who_consented_reads(apps, slug):
    with session_with(apps[slug]) as by_consent, session_with(apps[slug], record=apps[slug].key_record()) as by_key:
        assert actions.read_accounts(by_key).accounts == actions.read_accounts(by_consent).accounts


@pytest.mark.parametrize("slug", KEYED)
def test_a_token_that_has_ended_is_signed_for_again(apps, slug):
    with session_with(apps[slug], record=apps[slug].key_record()) as session:
        session.app.tenant(session)
        apps[slug].advance(9 * 3600)
        assert session.app.tenant(session)


@pytest.mark.parametrize("slug", KEYED)
@pytest.mark.parametrize("off", [timedelta(hours=-2), timedelta(hours=2)])
def test_a_clock_that_is_off_is_said(apps, slug, off):
    clock = apps[slug].directory.clock
    assert "Set the clock of this computer" in refused(
        apps[slug], apps[slug].key_record(), clock=lambda: clock.now() + off
    )


def with_key(record: Record, key: str) -> Record:
    if "private_key" in record:
        return record | {"private_key": key}
    return record | {"json_key": json.dumps(json.loads(record["json_key"]) | {"private_key": key})}


@pytest.mark.parametrize("slug", KEYED)
def test_another_key_is_refused_with_where_to_get_the_right_one(apps, slug):
    other = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    said = refused(apps[slug], with_key(apps[slug].key_record(), other))
    assert {"google_workspace": "new JSON key", "docusign": "the integration's key pair"}[slug] in said


@pytest.mark.parametrize("slug", KEYED)
@pytest.mark.parametrize("key", ["nonsense", "-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----"])
def test_what_is_no_key_is_refused_before_any_request(apps, slug, key):
    before = len(apps[slug].requests)
    record = with_key(apps[slug].key_record(), key)
    assert "not a private RSA key" in refused(apps[slug], record)
    assert len(apps[slug].requests) == before


@pytest.mark.parametrize("file", ["nonsense", "[]", "{}", '{"type": "authorized_user"}', '"text"'])
def test_a_file_that_is_no_service_accounts_is_said(google, file):
    assert "not the JSON key" in refused(google, google.key_record() | {"json_key": file})


def test_google_takes_the_audience_of_its_own_token_endpoint_only(google, monkeypatch):
    monkeypatch.setitem(google_workspace.GRANT, "aud", "https://elsewhere.example/token")
    assert "Failed audience check" in refused(google, google.key_record())


def test_docusign_takes_the_audience_of_its_own_sign_in_server_only(docusign):
    said = refused(docusign, docusign.key_record() | {"sign_in_host": "account-d.docusign.com"})
    assert "a demo account has another sign-in server" in said


def test_without_delegation_google_says_which_scopes_to_allow(google, monkeypatch):
    monkeypatch.setitem(google.directory.extra, "delegated", {"admin.directory.user"})
    said = refused(google, google.key_record())
    assert "domain-wide delegation" in said
    assert "https://www.googleapis.com/auth/admin.directory.group" in said


def test_whoever_google_does_not_have_cannot_be_acted_as(google):
    said = refused(google, google.key_record() | {"administrator": "nobody@acme-tea-co.example"})
    assert "nobody@acme-tea-co.example has to be an active super administrator" in said


def test_whoever_is_no_administrator_sees_no_users(google):
    plain = next(m for m in google.directory.members.values() if m.state == "active" and m.role == "member")
    with pytest.raises(MissingScopeError, match="super administrator"):
        reach(google, google.key_record() | {"administrator": plain.email})


def test_docusign_says_where_to_consent_once(docusign, monkeypatch):
    record = docusign.key_record()
    monkeypatch.setitem(docusign.directory.extra, "consented", set())
    said = refused(docusign, record)
    assert "https://account.docusign.com/oauth/auth?response_type=code&scope=signature%20impersonation" in said
    assert record["client_id"] in said


def test_an_unknown_user_of_docusign_is_said(docusign):
    assert "Look up the User ID of u-1 again" in refused(docusign, docusign.key_record() | {"user_id": "u-1"})


@pytest.fixture
def office(tmp_path: Path, apps: dict[str, SimulatedApp]) -> Iterator[tuple[Pipeline, Settings, ConnectionStore]]:
    with connected(tmp_path) as pipeline:
        lines = [f"    {slug}: {{base_url: '{one.base_url}'}}\n" for slug, one in apps.items()]
        Path("pipeline.yaml").write_text("provisioning:\n  apps:\n" + "".join(lines), encoding="utf-8")
        yield pipeline, load_settings(), open_store(pipeline.settings)


def test_the_key_is_kept_encrypted_and_used_from_there(office, apps, google, tmp_path):
    pipeline, settings, store = office
    clock = google.directory.clock.now
    connect_app(settings, store, "google_workspace", pipeline.company, google.key_record(), clock=clock)
    assert read_app(settings, store, "google_workspace", pipeline.company, clock=clock).accounts
    hidden = json.loads(google.key_record()["json_key"])["private_key"].splitlines()[3].encode()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and hidden in path.read_bytes()]


def test_a_key_that_does_not_work_is_not_kept(office, google):
    pipeline, settings, store = office
    wrong = google.key_record() | {"administrator": "nobody@acme-tea-co.example"}
    with pytest.raises(SignInError):
        connect_app(settings, store, "google_workspace", pipeline.company, wrong, clock=google.directory.clock.now)
    assert store.names("google_workspace/") == []


def test_the_command_asks_which_way_and_reads_the_keys_file(office, google, command, monkeypatch, tmp_path):
    record = google.key_record()
    (tmp_path / "key.json").write_text(record["json_key"], encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"y\n{tmp_path}/key.json\n{record['administrator']}\n"))
    said = command("connect", "google_workspace")
    assert (said.code, said.err) == (0, "")
    assert "Connected google_workspace" in said.out
    assert "PRIVATE KEY" not in said.out


def test_everything_may_come_from_the_environment_and_then_nothing_is_asked(office, docusign, command, monkeypatch):
    for name, value in docusign.key_record().items() | {"sign_in_host": "account.docusign.com"}.items():
        monkeypatch.setenv(f"DOCUSIGN_{name.upper()}", value)
    said = command("connect", "docusign")
    assert (said.code, said.err) == (0, "")


def test_a_file_that_is_not_there_is_named(office, command, monkeypatch):
    monkeypatch.setenv("GOOGLE_WORKSPACE_JSON_KEY", "missing.json")
    said = command("connect", "google_workspace", "--with", "key")
    assert said.code == 1
    assert "missing.json" in said.err


def test_an_app_without_service_accounts_says_so(office, command):
    said = command("connect", "slack", "--with", "key")
    assert said.code == 1
    assert "Slack does not sign in with a service account's key" in said.err
