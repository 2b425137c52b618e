"""Dagster's events in SQLite files that stay open: the same files, the same events."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from gusto_pipeline.automation.event_log import PooledEventLogStorage
from gusto_pipeline.automation.launch import dagster_home, instance
from gusto_pipeline.config import Settings


@dg.asset
def counted() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"dagster/row_count": 7})


def materialized(dagster: dg.DagsterInstance) -> str:
    return dg.materialize([counted], instance=dagster).run_id


def test_a_home_of_ours_keeps_its_event_log_open(tmp_path: Path):
    with instance(Settings(home=tmp_path)) as dagster:
        assert isinstance(dagster.event_log_storage, PooledEventLogStorage)


def test_dagster_itself_reads_what_was_written(tmp_path: Path):
    settings = Settings(home=tmp_path)
    with instance(settings) as dagster:
        runs = [materialized(dagster) for _ in range(3)]
        events = [len(dagster.all_logs(run)) for run in runs]
    plain = SqliteEventLogStorage(str(dagster_home(settings) / "history" / "runs"))
    assert [len(plain.get_logs_for_run(run)) for run in runs] == events
    record = plain.get_latest_materialization_events([counted.key])[counted.key]
    assert record
    assert record.run_id == runs[-1]


def test_only_the_last_run_stays_open(tmp_path: Path):
    with instance(Settings(home=tmp_path)) as dagster:
        for _ in range(3):
            materialized(dagster)
        storage = dagster.event_log_storage
        assert isinstance(storage, PooledEventLogStorage)
        assert len(storage._engines) == 2


def test_runs_that_were_wiped_are_forgotten_and_new_ones_kept(tmp_path: Path):
    with instance(Settings(home=tmp_path)) as dagster:
        materialized(dagster)
        dagster.event_log_storage.wipe()
        assert dagster.get_latest_materialization_event(counted.key) is None
        materialized(dagster)
        assert dagster.get_latest_materialization_event(counted.key)
