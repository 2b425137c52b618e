"""Connecting an app tries it without touching anything, says what it reached and may do; disconnecting forgets that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gusto_pipeline.accounts import AppConnection, connect_app, connected_apps, disconnect_app
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.sign_in import unattended
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.provisioning.apps import SLUGS
from gusto_pipeline.provisioning.errors import SignInError
from gusto_pipeline.sandbox.apps import SimulatedApp, running_apps
from gusto_pipeline.sync import Company, open_store

ACME = Company("acme-tea-co", "0b8b4f0e-0000-4000-8000-000000000001", "Acme Tea Co")


@dataclass
class Desk:
    """An administrator in front of one app that is not connected yet."""

    settings: Settings
    store: ConnectionStore
    simulated: SimulatedApp

    def connect(self, **fields: str) -> AppConnection:
        record, slug = {**self.simulator_record, **fields}, self.simulated.simulator.slug
        return connect_app(self.settings, self.store, slug, ACME, record, unattended)

    @property
    def simulator_record(self) -> dict[str, str]:
        return dict(self.simulated.simulator.record)


@contextmanager
def at(slug: str, home: Path) -> Iterator[Desk]:
    with running_apps(slug) as apps:
        where = {"apps": {slug: {"base_url": apps[slug].base_url}}}
        settings = Settings.model_validate({"home": home, "provisioning": where})
        yield Desk(settings, open_store(settings), apps[slug])


@pytest.mark.parametrize("slug", SLUGS)
def test_an_app_is_tried_without_touching_anybody_and_forgotten_likewise(slug, tmp_path):
    with at(slug, tmp_path) as desk:
        before = dict(desk.simulated.directory.members), desk.simulated.directory.changes
        made = desk.connect()
        assert made.tenant.id
        assert [one.slug for one in connected_apps(desk.store, ACME)] == [slug]
        assert disconnect_app(desk.store, slug, ACME)
        assert connected_apps(desk.store, ACME) == []
        assert not disconnect_app(desk.store, slug, ACME)
        assert (desk.simulated.directory.members, desk.simulated.directory.changes) == before


@pytest.mark.parametrize(
    ("slug", "scope"),
    [
        ("slack", "users:read.email"),
        ("github", "admin:org"),
        ("google_workspace", "https://www.googleapis.com/auth/admin.directory.user"),
        ("zoho_crm", "ZohoCRM.users.ALL"),
        ("zoho_desk", "Desk.agents.DELETE"),
    ],
)
def test_what_was_granted_is_said_by_the_app_or_with_its_token(slug, scope, tmp_path):
    with at(slug, tmp_path) as desk:
        assert scope in desk.connect().tenant.granted


@pytest.mark.parametrize(
    ("slug", "said"),
    [
        ("google_workspace", "Google Workspace gave no access token: Unknown client. Connect it again, run: "),
        ("dynatrace", "Dynatrace gave no access token: Unknown client. Connect it again, run: "),
        ("slack", "Slack: invalid_auth. Make a new token, run: "),
    ],
)
def test_wrong_keys_are_refused_in_the_apps_name_with_what_to_run(slug, said, tmp_path):
    with at(slug, tmp_path) as desk, pytest.raises(SignInError) as refused:
        desk.connect(client_secret="wrong", token="wrong")
    assert str(refused.value) == f"{said}gusto-pipeline connect {slug}"


@pytest.mark.parametrize(
    ("slug", "field", "label"),
    [
        ("asana", "workspace", "Workspace gid"),
        ("trello", "workspace", "Workspace id or short name"),
        ("github", "org", "Organization, as in"),
    ],
)
def test_what_is_not_where_it_was_said_to_be_is_to_be_looked_up(slug, field, label, tmp_path):
    with at(slug, tmp_path) as desk, pytest.raises(SignInError, match=rf"\(404\)\. Look up .*{label}"):
        desk.connect(**{field: "99"})
    assert connected_apps(desk.store, ACME) == []
