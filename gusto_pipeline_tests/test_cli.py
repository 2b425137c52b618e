"""The command line: what it prints when all is well, and one readable line and exit code 1 when something is not."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from gusto_pipeline.gusto.auth import revoke
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Pipeline, Said, connected


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A company synced before with Dagster's own storage, which costs most when it is new."""
    with connected(tmp_path_factory.mktemp("home"), companies=2, employees=25) as pipeline:
        yield pipeline


@pytest.fixture
def pipeline(shared: Pipeline) -> Iterator[Pipeline]:
    yield shared
    shared.sandbox.clear_faults()


def test_sync_shows_what_it_brought_and_where_the_files_are(pipeline, command):
    said = command("sync", "departments", "--company", pipeline.company.slug)
    assert (said.code, said.err) == (0, "")
    rows = pipeline.count("departments") + pipeline.count("department_members")
    assert re.search(rf"acme-tea-co +departments +{rows} +1 ", said.out)
    assert "departments.xlsx" in said.out
    assert pipeline.spreadsheet("departments.xlsx").is_file()
    assert "(unchanged)" in command("sync", "departments", "--company", pipeline.company.slug).out


def test_sync_without_a_company_takes_every_connected_one(pipeline, command):
    said = command("sync", "admins")
    assert said.code == 0
    assert all(pipeline.spreadsheet("admins.csv", company).is_file() for company in pipeline.companies)
    assert all(company.slug in said.out for company in pipeline.companies)


def test_one_company_that_fails_does_not_stop_the_next(pipeline, command):
    bad, good = pipeline.companies
    pipeline.sandbox.fault(f"5xx:/{bad.uuid}/locations")
    said = command("sync", "locations")
    assert said.code == 1
    assert len(said.err.splitlines()) == 1
    assert bad.slug in said.err
    assert pipeline.count("locations", good) > 0


def test_status_lists_the_last_sync_of_each_category(pipeline, command):
    command("sync", "departments", "--company", pipeline.company.slug)
    pipeline.sandbox.fault("missing-scope=departments:read")
    command("sync", "departments", "--company", pipeline.company.slug)
    [shown] = [row for row in json.loads(command("status", "--json").out) if row["company"] == pipeline.company.slug]
    assert shown["categories"]["departments"]["status"] == "failed"
    assert "departments:read" in shown["categories"]["departments"]["problem"]
    assert pipeline.company.slug in command("status").out


Trouble = Callable[[Pipeline, pytest.MonkeyPatch, Path], object]


def missing_scope(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    pipeline.sandbox.fault("missing-scope=departments:read")


def failing(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    pipeline.sandbox.fault("5xx=502:/departments")


def malformed(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    pipeline.sandbox.fault("truncate:/departments")


def unreachable(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        patch.setenv("GUSTO_BASE_URL", f"http://127.0.0.1:{sock.getsockname()[1]}")


def wrong_secret(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    """It shows when a token has to be refreshed."""
    patch.setenv("GUSTO_CLIENT_SECRET", "not the secret")
    pipeline.sandbox.advance(3 * 3600)


def revoked(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    record = open_store(pipeline.settings).read(f"gusto/{pipeline.company.slug}") or {}
    revoke(pipeline.app, record["access_token"])


def no_client(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.delenv("GUSTO_CLIENT_ID")


def wrong_key(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("GUSTO_PIPELINE_KEY", Fernet.generate_key().decode())


def no_key(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("GUSTO_PIPELINE_KEY", "secret")


def no_folder(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    """A file lies where the folder of spreadsheets should be."""
    (folder / "spreadsheets").touch()
    (folder / "pipeline.yaml").write_text("spreadsheets: {folder: spreadsheets}\n")
    patch.setenv("GUSTO_PIPELINE_CONFIG", str(folder / "pipeline.yaml"))


def wrong_config(pipeline: Pipeline, patch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "pipeline.yaml").write_text("sync: {our: 5}\n")
    patch.setenv("GUSTO_PIPELINE_CONFIG", str(folder / "pipeline.yaml"))


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (missing_scope, "lacks the scope departments:read"),
        (failing, "failed on GET"),
        (malformed, "not JSON, or was cut short"),
        (unreachable, "cannot reach Gusto at 127.0.0.1: check the network and GUSTO_BASE_URL"),
        (wrong_secret, "GUSTO_CLIENT_SECRET"),
        (no_client, "GUSTO_CLIENT_ID not set"),
        (wrong_key, "cannot be decrypted"),
        (no_key, "is not a valid key"),
        (no_folder, "spreadsheets"),
        (wrong_config, "did you mean hour?"),
        (revoked, "gusto-pipeline reconnect gusto acme-tea-co"),  # the last one: it stays revoked
    ],
)
def test_what_goes_wrong_is_one_line_on_stderr(pipeline, command, monkeypatch, tmp_path, trouble: Trouble, words):
    files = pipeline.spreadsheets()
    trouble(pipeline, monkeypatch, tmp_path)
    said: Said = command("sync", "departments", "--company", pipeline.company.slug)
    assert said.code == 1
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert "Traceback" not in said.out + said.err
    assert pipeline.spreadsheets() == files


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sync", "--company", "nobody"], "No connected company is called 'nobody'. Connected: acme-tea-co"),
        (["sync", "employes"], "There is no category 'employes'"),
        (["connect", "--company", "nobody"], ""),
    ],
)
def test_what_does_not_exist_is_answered_in_one_line(pipeline, command, arguments, words):
    said = command(*arguments)
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert words in said.err


def test_with_no_company_connected_sync_says_how_to_connect_one(command, tmp_path, monkeypatch):
    monkeypatch.setenv("GUSTO_PIPELINE_HOME", str(tmp_path))
    said = command("sync")
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert "gusto-pipeline connect" in said.err


def test_a_wrong_secret_shows_when_connecting(pipeline, command, monkeypatch):
    monkeypatch.setenv("GUSTO_CLIENT_SECRET", "not the secret")
    said = command("connect", "--company", pipeline.company.name)
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert "GUSTO_CLIENT_SECRET" in said.err


@pytest.mark.parametrize("arguments", [["connect", "--company", "Acme Tea Co"], ["status"]])
def test_a_home_folder_that_cannot_be_is_named(pipeline, command, monkeypatch, tmp_path, arguments):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GUSTO_PIPELINE_HOME", str(tmp_path / "file" / "home"))
    said = command(*arguments)
    if arguments == ["status"]:
        assert said.code == 0  # nothing is connected there, and looking changes nothing
    else:
        assert (said.code, len(said.err.splitlines())) == (1, 1)
        assert str(tmp_path / "file") in said.err


HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def test_a_warehouse_that_another_program_holds_open_is_named(pipeline, command):
    pipeline.sync("departments", pipeline.companies[1])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(pipeline.settings.warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    said = command("sync", "departments", "--company", pipeline.companies[1].slug)
    holder.communicate("")
    assert said.code == 1
    assert len(said.err.splitlines()) == 1
    assert "warehouse.duckdb cannot be opened" in said.err
    assert "analytics.duckdb" in said.err


def test_a_warehouse_that_is_none_is_named(pipeline, command, tmp_path, monkeypatch):
    monkeypatch.setenv("GUSTO_PIPELINE_HOME", str(tmp_path))
    command("connect", "--company", pipeline.companies[1].name)
    (tmp_path / "warehouse.duckdb").write_bytes(b"not a database" * 1000)
    said = command("sync", "departments")
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert "warehouse.duckdb cannot be opened" in said.err


def test_the_installed_command_ends_in_one_line_too(tmp_path):
    environment = {**os.environ, "GUSTO_PIPELINE_HOME": str(tmp_path)}
    ended = subprocess.run(
        [Path(sys.executable).with_name("gusto-pipeline"), "sync"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("environment", "asked"), [({}, "/of-file"), ({"GUSTO_PIPELINE_HOME": "/of-us"}, "/of-us")])
def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path, environment, asked):
    (tmp_path / ".env").write_text("GUSTO_PIPELINE_HOME=/of-file\n")
    command = [str(Path(sys.executable).with_name("gusto-pipeline")), "config", "check"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert f"Home folder: {asked}" in " ".join(done.stdout.split())
