"""What a person sees in Dagster's UI of the connections: each one's state, since when and why, without a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from gusto_pipeline.assets.connections import (
    CHECK,
    GOOGLE,
    GUSTO,
    connection_specs,
    google_authorized,
    gusto_authorized,
)
from gusto_pipeline.automation.sensors import connections
from gusto_pipeline.config import load_settings
from gusto_pipeline.definitions import definitions, defs
from gusto_pipeline.google_connection import connect_google, google
from gusto_pipeline.gusto.auth import revoke
from gusto_pipeline.lifecycle import disconnect
from gusto_pipeline.sandbox.server import GoogleSandbox, running_google
from gusto_pipeline.spreadsheets.google_http import GoogleSheetsError
from gusto_pipeline.sync import Company, open_store
from gusto_pipeline_tests.conftest import Pipeline, connected

JOB = "sync_departments_only"


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """Two small companies, connected, nothing synced yet."""
    with connected(tmp_path, companies=2, employees=2) as pipeline:
        yield pipeline


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleSandbox]:
    with running_google() as google:
        monkeypatch.setenv("GOOGLE_BASE_URL", google.base_url)
        yield google


class Daemon:
    """Evaluates the sensor and stores what it reports, as Dagster's daemon does."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> int:
        """How many events it reported."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=defs.get_repository_def(),
            sensor_name="connections",
            resources=defs.resources,
        ) as context:
            ticked = connections.evaluate_tick(context)
        for event in ticked.asset_events:
            self.instance.report_runless_asset_event(event)
        self.cursor = ticked.cursor
        return len(ticked.asset_events)

    def shown(self, asset: dg.AssetKey, company: Company | None = None) -> dict[str, Any]:
        """The metadata that the UI shows of a connection."""
        partition = [company.slug] if company else None
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=asset, asset_partitions=partition), limit=1
        ).records
        materialization = records[0].asset_materialization
        assert materialization
        return {name: value.value for name, value in materialization.metadata.items()}

    def check(self, asset: dg.AssetKey) -> tuple[bool, str]:
        """Whether the check passed last, and what it said."""
        record = self.instance.get_latest_asset_check_evaluation_record(dg.AssetCheckKey(asset, CHECK))
        assert record
        assert record.event
        assert record.event.dagster_event
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        return evaluation.passed, str(evaluation.description)


@pytest.fixture
def daemon(pipeline: Pipeline) -> Daemon:
    return Daemon(pipeline.instance)


def revoked_at_gusto(pipeline: Pipeline, company: Company) -> None:
    record = open_store(pipeline.settings).read(f"gusto/{company.slug}") or {}
    revoke(pipeline.app, record["access_token"])


def test_each_companys_connection_is_shown_as_soon_as_it_is_there(pipeline, daemon):
    daemon.tick()
    for company in pipeline.companies:
        assert daemon.shown(GUSTO, company)["state"] == "authorized"
    assert daemon.check(GUSTO) == (True, "All is well.")
    assert daemon.check(GOOGLE) == (True, "Nothing is connected.")


def test_what_has_not_changed_is_not_said_again(daemon):
    assert daemon.tick() > 0
    assert daemon.tick() == 0


def test_a_revoked_grant_shows_red_with_company_time_reason_and_what_to_do(pipeline, daemon):
    company, other = pipeline.companies
    daemon.tick()
    revoked_at_gusto(pipeline, company)
    pipeline.run(JOB, company)
    assert daemon.tick() == 2
    shown = daemon.shown(GUSTO, company)
    assert shown["state"] == "needs attention"
    assert f"gusto-pipeline reconnect gusto {company.slug}" in shown["why"]
    assert shown["since"]
    passed, said = daemon.check(GUSTO)
    assert not passed
    assert said.startswith(f"{company.slug} needs attention since 20")
    assert other.slug not in said
    pipeline.connect(company.uuid)
    daemon.tick()
    assert daemon.shown(GUSTO, company)["state"] == "authorized"
    assert daemon.check(GUSTO)[0]


def test_a_disconnected_company_is_shown_as_such_and_is_no_failure(pipeline, daemon):
    disconnect(pipeline.app, open_store(pipeline.settings), pipeline.company, by="a test")
    daemon.tick()
    assert daemon.shown(GUSTO, pipeline.company)["state"] == "disconnected"
    assert daemon.shown(GUSTO, pipeline.company)["why"] == "by a test"
    assert daemon.check(GUSTO)[0]


def test_googles_connection_is_shown_too(pipeline, daemon, sandbox):
    settings = load_settings()
    connect_google(settings, sandbox.oauth_record)
    daemon.tick()
    assert daemon.shown(GOOGLE)["state"] == "authorized"
    sandbox.accounts.grants.clear()
    with pytest.raises(GoogleSheetsError), google(settings) as client:
        client.http_client.request("get", "https://sheets.googleapis.com/v4/spreadsheets/any")
    daemon.tick()
    assert daemon.shown(GOOGLE)["state"] == "needs attention"
    assert "gusto-pipeline reconnect google" in daemon.check(GOOGLE)[1]


def test_run_by_hand_the_checks_ask_gusto_and_google(pipeline, sandbox):
    connect_google(load_settings(), sandbox.oauth_record)
    revoked_at_gusto(pipeline, pipeline.company)
    sandbox.accounts.grants.clear()
    done = dg.materialize(
        [*connection_specs, gusto_authorized, google_authorized],
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(GUSTO, CHECK), dg.AssetCheckKey(GOOGLE, CHECK)),
        resources=defs.resources,
        instance=pipeline.instance,
    )
    found = {one.asset_key: one for one in done.get_asset_check_evaluations()}
    assert not found[GUSTO].passed
    assert pipeline.company.slug in str(found[GUSTO].description)
    assert pipeline.companies[1].slug not in str(found[GUSTO].description)
    assert not found[GOOGLE].passed


def test_a_google_sheets_job_stands_on_googles_connection(tmp_path, monkeypatch):
    (tmp_path / "pipeline.yaml").write_text(
        "jobs: [{name: tabs, category: contractors, format: google_sheets, destination: some-id}]"
    )
    monkeypatch.chdir(tmp_path)
    graph = definitions(load_settings()).resolve_asset_graph()
    assert GOOGLE in graph.get(dg.AssetKey(["spreadsheets", "tabs"])).parent_keys
