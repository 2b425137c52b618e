"""The process dies in the middle of a sync, as by a power cut: the warehouse holds the old rows or the new ones."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gusto_pipeline_tests.conftest import Pipeline, connected

# Syncs the employees and kills itself at the n-th call into DuckDB (0: never); says how many calls there were.
SYNC = """
import os, signal, sys
import duckdb
from gusto_pipeline.config import load_settings
from gusto_pipeline.gusto.auth import GustoAuth, OAuthApp
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.sync import connected_companies, open_store, sync_category

settings, fatal, calls = load_settings(), int(sys.argv[1]), 0
store = open_store(settings)
[company] = connected_companies(store)
app = OAuthApp(settings.gusto.base_url, os.environ["GUSTO_CLIENT_ID"], os.environ["GUSTO_CLIENT_SECRET"])

def watch(frame, event, function):
    global calls
    if event in ("c_call", "c_return") and getattr(function, "__module__", "") in ("_duckdb", "duckdb"):
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

with GustoClient(app.base_url, GustoAuth(app, store, f"gusto/{company.slug}")) as client:
    sys.setprofile(watch)
    sync_category(CATEGORIES["employees"], company, client, settings)
    sys.setprofile(None)
print(calls)
"""


def sync(fatal: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", SYNC, str(fatal)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pipeline, int]]:
    """A company synced once, and how many calls into DuckDB that takes."""
    with connected(tmp_path_factory.mktemp("home"), employees=60) as pipeline:
        generation(pipeline, "first")
        assert sync(0).returncode == 0
        generation(pipeline, "second")
        again = sync(0)
        assert again.returncode == 0, again.stderr
        yield pipeline, int(again.stdout)


def generation(pipeline: Pipeline, name: str) -> None:
    """Everyone in Gusto gets a new preferred name and a new job title."""
    for employee in pipeline.sandbox.world.companies[0].employees.values():
        employee["preferred_first_name"] = name
        for job in employee["jobs"]:
            for compensation in job["compensations"]:
                compensation["title"] = name


SEEN = """
SELECT DISTINCT preferred_first_name, (SELECT count(*) FROM staging.employees) FROM staging.employees
UNION ALL SELECT DISTINCT title, 60 FROM staging.compensations
UNION ALL SELECT DISTINCT record ->> 'preferred_first_name', (SELECT count(*) FROM raw.employees) FROM raw.employees
"""

RECORDED = "SELECT count(*) FROM meta.syncs WHERE status = 'ok'"


@pytest.mark.parametrize("moment", [0.02, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97])
def test_after_a_kill_the_last_committed_state_is_there_and_the_next_sync_completes(synced, moment):
    pipeline, calls = synced
    assert calls > 60
    [(old, _)] = set(pipeline.query(SEEN))
    [(recorded,)] = pipeline.query(RECORDED)
    new = f"killed at {moment}"
    generation(pipeline, new)
    killed = sync(int(calls * moment))
    assert killed.returncode == -signal.SIGKILL
    state = set(pipeline.query(SEEN))
    assert state in ({(old, 60)}, {(new, 60)})
    assert pipeline.query(RECORDED) == [(recorded + (state == {(new, 60)}),)]
    pipeline.sync("employees")
    assert set(pipeline.query(SEEN)) == {(new, 60)}
