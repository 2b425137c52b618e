"""A session with a simulated app, whose waiting moves the app's clock instead of ours; and everything an app can do."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gusto_pipeline.accounts import connect_app
from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.connections.sign_in import unattended
from gusto_pipeline.provisioning.account import NewAccount
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.sandbox.apps import SimulatedApp, running_apps
from gusto_pipeline.sandbox.apps.directory import Directory
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Pipeline

NEW = NewAccount(
    email="nora.newman@acme-tea-co.example",
    given_name="Nora",
    family_name="Newman",
    personal_email="nora@example.com",
    employee_number="E-9001",
    title="Barista",
    department="Retail",
)


class Kept:
    """A connection's record in memory."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self._lock = threading.RLock()

    def read(self) -> dict[str, Any]:
        return dict(self.record)

    def write(self, record: dict[str, Any]) -> None:
        self.record = dict(record)

    def lock(self) -> AbstractContextManager[object]:
        return self._lock


def session_with(simulated: SimulatedApp, *, record: Mapping[str, str] | None = None, **options: Any) -> Session:
    """A session of a connection that somebody consented to, or that was made with what `record` holds."""
    record, wanted = record or simulated.connected_record(), app(simulated.simulator.slug)
    kept = Kept({field.name: field.default for field in wanted.signs_in(record).fields if field.default} | record)
    defaults = {"base_url": simulated.base_url, "clock": simulated.directory.clock.now, "sleep": simulated.advance}
    return Session(wanted, kept, **(defaults | options))


@contextmanager
def connected_to(
    slug: str, *, transport: httpx.BaseTransport | None = None, **options: Any
) -> Iterator[tuple[Session, SimulatedApp]]:
    """A running app (options as for `running_apps`) and a session with it."""
    with running_apps(slug, **options) as apps, session_with(apps[slug], transport=transport) as session:
        yield session, apps[slug]


def withdraw_invitations(directory: Directory) -> None:
    """Leaves nothing that is done to an account before somebody has approved it: lapsed invitations are sent again."""
    for member in directory.there("invited"):
        del directory.members[member.id]


@contextmanager
def asana_for_newcomers(pipeline: Pipeline) -> Iterator[Settings]:
    """Asana connected, for everybody who starts within 14 days, and only planned; the settings that say so."""
    world = pipeline.sandbox.world
    with (
        running_apps("asana", company=world.companies[0], clock=world.clock) as apps,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setitem(Session.__init__.__kwdefaults__, "sleep", pipeline.sandbox.advance)
        asana = apps["asana"]
        rule = f"{{base_url: '{asana.base_url}', mode: plan, address: personal, who: 'true', lead_days: 14}}"
        Path("pipeline.yaml").write_text(f"provisioning: {{apps: {{asana: {rule}}}}}\n", encoding="utf-8")
        settings = load_settings()
        connect_app(settings, open_store(settings), "asana", pipeline.company, asana.simulator.record, unattended)
        yield settings
