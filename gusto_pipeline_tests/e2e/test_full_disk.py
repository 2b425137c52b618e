"""The disk is full: one line says so, and everything that was there before is still there and whole."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gusto_pipeline.automation.launch import cause
from gusto_pipeline_tests.conftest import Pipeline, connected

JOB = "sync_departments_only"
MB = 1_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a disk takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def pipeline(disk: Path, tmp_path: Path) -> Iterator[Pipeline]:
    """A company synced yesterday, of whose answers there is a lot more today."""
    with connected(disk, employees=3) as pipeline:
        pipeline.start(job=JOB)
        for department in pipeline.sandbox.world.companies[0].departments.values():
            department["title"] = secrets.token_hex(100_000)
        yield pipeline
        os.chdir(tmp_path)


def leave(disk: Path, bytes: int) -> Path:
    """Fill a disk but for so many bytes; gives the file that fills it."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(b"x" * (shutil.disk_usage(disk).free - bytes))
    return filler


def titles(pipeline: Pipeline) -> list[tuple[str]]:
    return pipeline.query("SELECT title FROM staging.departments ORDER BY ALL")


# Too little for anything, for Gusto's answers, for the change in the warehouse.
@pytest.mark.parametrize("free", [0, MB // 3, 2 * MB])
def test_a_sync_says_so_in_a_line_and_leaves_yesterdays_rows_and_spreadsheets(pipeline, disk, free):
    rows, files = titles(pipeline), pipeline.spreadsheets()
    filler = leave(disk, free)
    result = pipeline.run(JOB)
    assert not result.success
    [said] = map(cause, result.get_step_failure_events())
    assert str(disk) in said
    assert "the disk is full, free some space and run again" in said.replace(";", ",")
    assert len(said.splitlines()) == 1
    assert "Error" not in said
    assert (titles(pipeline), pipeline.spreadsheets()) == (rows, files)
    filler.unlink()
    assert titles(pipeline) == rows
    pipeline.sync("departments")
    assert titles(pipeline) != rows


@pytest.mark.parametrize("free", [0, MB // 4])
def test_the_command_says_so_in_a_line(pipeline, disk, command, free):
    assert command("sync", "admins").code == 0
    rows, files = titles(pipeline), pipeline.spreadsheets()
    leave(disk, free)
    said = command("sync", "departments")
    assert said.code == 1
    assert len(said.err.splitlines()) == 1
    assert str(disk) in said.err
    assert "free some space and run again" in said.err
    assert (titles(pipeline), pipeline.spreadsheets()) == (rows, files)
