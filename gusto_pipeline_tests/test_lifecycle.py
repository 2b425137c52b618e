"""A company's connection from the first sign-in to the last row: connected, revoked, healed, ended, forgotten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from gusto_pipeline.automation.launch import dagster_home
from gusto_pipeline.automation.schedules import wanted_companies
from gusto_pipeline.config import load_settings
from gusto_pipeline.gusto.auth import login_without_browser, revoke
from gusto_pipeline.gusto.errors import GustoError, ReauthorizeError
from gusto_pipeline.lifecycle import (
    AUTHORIZED,
    DISCONNECTED,
    NEEDS_ATTENTION,
    Standing,
    disconnect,
    known_company,
    next_daily_sync,
    purge,
    standings,
)
from gusto_pipeline.resources.pipeline import PipelineResource
from gusto_pipeline.sync import (
    Company,
    UnknownCompanyError,
    connect_company,
    connected_companies,
    disconnected_companies,
    open_store,
)
from gusto_pipeline_tests.conftest import Pipeline, Said, connected
from gusto_pipeline_tests.mailbox import free_port

JOB = "sync_departments_only"
WHEN = datetime(2026, 7, 2, 12, tzinfo=UTC)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """A small company, connected, nothing synced yet."""
    with connected(tmp_path, employees=2) as pipeline:
        yield pipeline


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Pipeline]:
    """Two small companies, connected, nothing synced yet."""
    with connected(tmp_path, companies=2, employees=2) as pipeline:
        yield pipeline


def end(pipeline: Pipeline, company: Company) -> str:
    """Disconnect; gives the problem."""
    return disconnect(pipeline.app, open_store(pipeline.settings), company, by="a test", clock=lambda: WHEN).problem


def revoked_at_gusto(pipeline: Pipeline, company: Company) -> None:
    record = open_store(pipeline.settings).read(f"gusto/{company.slug}") or {}
    revoke(pipeline.app, record["access_token"])


def standing(pipeline: Pipeline, company: Company, *, check: bool = False) -> Standing:
    found = standings(pipeline.settings, open_store(pipeline.settings), app=pipeline.app if check else None)
    [one] = [one for one in found if one.company == company]
    return one


def test_a_disconnected_companys_tokens_are_dead_at_gusto_and_gone_here(two):
    company, other = two.companies
    record = open_store(two.settings).read(f"gusto/{company.slug}") or {}
    assert end(two, company) == ""
    assert record["access_token"] not in two.sandbox.authority.access
    assert record["refresh_token"] not in two.sandbox.authority.refresh
    assert open_store(two.settings).read(f"gusto/{company.slug}") is None
    kept = open_store(two.settings).read(f"disconnected/{company.slug}") or {}
    assert kept == {
        "company_uuid": company.uuid,
        "company_name": company.name,
        "at": WHEN.isoformat(),
        "by": "a test",
    }
    assert connected_companies(open_store(two.settings)) == [other]


@pytest.mark.parametrize(("away", "words"), [(False, "503"), (True, "cannot reach Gusto")])
def test_tokens_are_deleted_also_when_gusto_cannot_be_told(two, away, words):
    company = two.company
    if away:
        two.app = replace(two.app, base_url=f"http://127.0.0.1:{free_port()}")
    two.sandbox.fault("5xx=503:/oauth/revoke")
    assert words in end(two, company)
    assert open_store(two.settings).read(f"gusto/{company.slug}") is None
    assert [gone.company for gone in disconnected_companies(open_store(two.settings))] == [company]


def test_a_sync_under_way_cannot_bring_the_tokens_back(two):
    with two.client() as client:
        client.token_info()
        end(two, two.company)
        with pytest.raises(ReauthorizeError, match="there is no connection"):
            client.token_info()
    assert open_store(two.settings).read(f"gusto/{two.company.slug}") is None


def test_a_disconnected_company_is_not_scheduled_and_keeps_its_data_and_partition(two):
    company, other = two.companies
    assert two.run(JOB, *two.companies).success
    files = two.spreadsheets()
    end(two, company)
    assert wanted_companies(PipelineResource()) == [other.slug]
    assert company.slug in two.instance.get_dynamic_partitions("companies")
    assert two.count("departments", company) > 0
    assert two.spreadsheets() == files


def test_connecting_again_after_disconnecting_goes_on_with_the_same_slug(two):
    company = two.company
    end(two, company)
    assert two.connect(company.uuid) == company
    assert not disconnected_companies(open_store(two.settings))
    assert company in connected_companies(open_store(two.settings))


def test_a_namesake_does_not_take_a_disconnected_companys_slug(two):
    first, second = two.sandbox.world.companies
    end(two, two.companies[0])
    end(two, two.companies[1])
    open_store(two.settings).delete(f"disconnected/{two.companies[1].slug}")
    second.name = first.name
    assert two.connect(second.uuid).slug == f"{two.companies[0].slug}-2"


def test_reconnecting_refuses_another_companys_sign_in_and_stores_nothing(two):
    company, other = two.companies
    before = {name: open_store(two.settings).read(name) for name in open_store(two.settings).names()}
    answer = login_without_browser(two.app, other.uuid)
    with pytest.raises(UnknownCompanyError, match=f"{other.name} signed in, but {company.name}"):
        connect_company(two.app, answer, open_store(two.settings), two.settings.connections, expected=company)
    assert {name: open_store(two.settings).read(name) for name in open_store(two.settings).names()} == before


def test_a_company_is_found_by_each_of_its_names_also_when_disconnected(two):
    company = two.company
    end(two, company)
    store = open_store(two.settings)
    assert {known_company(store, name) for name in (company.slug, company.uuid, company.name)} == {company}
    with pytest.raises(UnknownCompanyError, match=company.slug):
        known_company(store, "nobody")
    with pytest.raises(UnknownCompanyError, match="Which company"):
        known_company(store)


def test_purging_leaves_nothing_of_the_company_and_all_of_the_others(two):
    company, other = two.companies
    assert two.run("sync_employees_only", *two.companies).success

    def rows(of: Company) -> int:
        """In every table that has rows by company."""
        sql = "SELECT schema_name, table_name FROM duckdb_columns() WHERE column_name = 'company_uuid'"
        tables = [f"{schema}.{table}" for schema, table in two.query(sql) if schema != "flat"]
        counts = (f"SELECT count(*) AS n FROM {table} WHERE company_uuid = $1" for table in tables)
        return int(two.query(f"SELECT sum(n) FROM ({' UNION ALL '.join(counts)})", of.uuid)[0][0])

    before = rows(company), rows(other)
    others_files = {name: content for name, content in two.spreadsheets().items() if name.startswith(other.slug)}
    end(two, company)
    taken_on = [two.settings.home / "onboarding" / one.slug / "someone.json" for one in two.companies]
    for record in taken_on:
        record.parent.mkdir(parents=True)
        record.touch()
    deleted = purge(two.settings, company)
    assert [record.exists() for record in taken_on] == [one != company for one in two.companies]
    assert (rows(company), rows(other)) == (0, before[1])
    assert deleted.rows == before[0] > 10
    assert deleted.files > 2
    assert two.spreadsheets() == others_files
    assert [folder.name for folder in two.settings.versions.iterdir()] == [other.slug]
    with duckdb.connect(two.settings.analytics, read_only=True) as published:
        uuids = published.execute("SELECT DISTINCT company_uuid FROM staging.employees").fetchall()
    assert uuids == [(other.uuid,)]


def test_a_purge_that_fails_halfway_deletes_no_row(two, monkeypatch):
    company = two.company
    assert two.run(JOB, company).success
    rows = two.count("departments", company)
    with monkeypatch.context() as patch:
        # A table without the column the statement names stands for whatever may go wrong in the transaction.
        patch.setattr("gusto_pipeline.lifecycle.quote", lambda name: "nosuch" if name == "work_addresses" else name)
        with pytest.raises(duckdb.Error):
            purge(two.settings, company)
    assert two.count("departments", company) == rows > 0
    assert two.spreadsheet("departments.xlsx", company).exists()


def test_a_connected_company_is_authorized_since_it_was_connected(pipeline):
    one = standing(pipeline, pipeline.company)
    assert (one.state, one.why, one.last_good_sync) == (AUTHORIZED, "", None)
    assert datetime.now(UTC) - one.since < timedelta(minutes=1)


def test_a_failed_sync_needs_attention_until_one_is_good(pipeline):
    good = pipeline.sync("departments")
    pipeline.sandbox.fault("missing-scope=departments:read")
    for _ in range(2):
        with pytest.raises(GustoError):
            pipeline.sync("departments")
    pipeline.sync("locations")
    one = standing(pipeline, pipeline.company)
    first_failure = pipeline.query("SELECT min(started_at) FROM meta.syncs WHERE status = 'failed'")[0][0]
    assert (one.state, one.since) == (NEEDS_ATTENTION, first_failure)
    assert one.why.startswith("departments: the connection lacks the scope departments:read")
    assert one.last_good_sync is not None
    assert one.last_good_sync > good.finished_at
    pipeline.sandbox.clear_faults()
    pipeline.sync("departments")
    assert standing(pipeline, pipeline.company).state == AUTHORIZED


def test_connecting_again_settles_what_failed_before(pipeline):
    revoked_at_gusto(pipeline, pipeline.company)
    with pytest.raises(ReauthorizeError):
        pipeline.sync("departments")
    assert standing(pipeline, pipeline.company).state == NEEDS_ATTENTION
    pipeline.connect(pipeline.company.uuid)
    assert standing(pipeline, pipeline.company, check=True).state == AUTHORIZED


def test_a_check_finds_a_revoked_grant_before_any_sync_does(pipeline):
    revoked_at_gusto(pipeline, pipeline.company)
    assert standing(pipeline, pipeline.company).state == AUTHORIZED
    one = standing(pipeline, pipeline.company, check=True)
    assert one.state == NEEDS_ATTENTION
    assert f"gusto-pipeline reconnect gusto {pipeline.company.slug}" in one.why


def test_a_check_is_one_request(pipeline):
    pipeline.sandbox.requests.clear()
    standing(pipeline, pipeline.company, check=True)
    assert [row.path for row in pipeline.sandbox.requests] == ["/v1/token_info"]


def test_a_disconnected_company_says_when_and_by_what(two):
    end(two, two.company)
    one = standing(two, two.company)
    assert (one.state, one.since, one.why) == (DISCONNECTED, WHEN, "by a test")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-07-02T11:59:00+00:00", "2026-07-02T05:00:00-07:00"),
        ("2026-07-02T12:00:00+00:00", "2026-07-03T05:00:00-07:00"),
        ("2026-11-01T05:00:00+00:00", "2026-11-01T05:00:00-08:00"),  # the night clocks are set back
    ],
)
def test_the_next_daily_sync_is_at_its_hour_where_the_company_is(now, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    due = next_daily_sync(load_settings(), lambda: datetime.fromisoformat(now))
    assert due == datetime.fromisoformat(expected)


Command = Callable[..., Said]


def test_the_status_command_tells_people_and_programs(two, command: Command):
    company, other = two.companies
    end(two, company)
    said = command("status")
    assert said.code == 1
    assert f"{company.slug}: by a test" in said.out
    assert "not scheduled" in said.out
    listed = {one["company"]: one for one in json.loads(command("status", "--json", "--check").out)}
    assert (listed[company.slug]["connection"], listed[other.slug]["connection"]) == (DISCONNECTED, AUTHORIZED)
    assert listed[company.slug]["uuid"] == company.uuid
    assert listed[other.slug]["next_sync"] is None


def test_status_is_zero_when_all_are_authorized(pipeline, command: Command):
    pipeline.sync("departments")
    said = command("status", "--check")
    assert (said.code, said.err) == (0, "")
    assert "departments" in said.out


def test_status_shows_the_next_sync_once_the_schedule_is_on(pipeline, command: Command):
    dagster_home(pipeline.settings)
    start = [sys.executable, "-m", "dagster", "schedule", "start", "daily_sync", "-m", "gusto_pipeline.definitions"]
    environment = {**os.environ, "DAGSTER_HOME": str(pipeline.settings.dagster)}
    assert json.loads(command("status", "--json").out)[0]["next_sync"] is None
    subprocess.run(start, env=environment, check=True, capture_output=True)
    [one] = json.loads(command("status", "--json").out)
    assert datetime.fromisoformat(one["next_sync"]) > datetime.now(UTC)


def test_disconnect_and_purge_in_one_command(two, command: Command):
    company = two.company
    assert two.run(JOB, company).success
    said = command("disconnect", company.name, "--purge")
    assert (said.code, said.err) == (0, "")
    assert f"Disconnected {company.name}" in said.out
    assert "Deleted " in said.out
    assert two.count("departments", company) == 0
    assert "is disconnected already" in command("disconnect", company.slug).out


def test_disconnecting_without_gusto_says_so(pipeline, command: Command):
    pipeline.sandbox.fault("5xx=503:/oauth/revoke")
    said = command("disconnect", pipeline.company.slug)
    assert "Gusto was not told" in said.err
    assert connected_companies(open_store(pipeline.settings)) == []


@pytest.mark.parametrize("names", [["gusto", "{slug}"], ["{slug}"], ["{name}"], ["gusto"], []])
def test_reconnect_takes_the_company_in_every_way_messages_say_it(pipeline, command: Command, names):
    company = pipeline.company
    revoked_at_gusto(pipeline, company)
    said = command("reconnect", *(name.format(slug=company.slug, name=company.name) for name in names), "--as",
                   company.uuid)  # fmt: skip
    assert (said.code, said.err) == (0, "")
    assert standing(pipeline, company, check=True).state == AUTHORIZED


def test_reconnect_refuses_the_wrong_company_in_one_line(two, command: Command):
    company, other = two.companies
    said = command("reconnect", company.slug, "--as", other.uuid)
    assert said.code == 1
    assert "Nothing was changed" in said.err


def test_only_gusto_can_be_connected(pipeline, command: Command):
    said = command("connect", "payday", "--company", pipeline.company.uuid)
    assert said.code == 1
    assert "'payday' cannot be connected" in said.err
