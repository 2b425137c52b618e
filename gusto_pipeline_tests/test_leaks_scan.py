"""CI's look for leaks finds each kind wherever it may be, and takes nothing else for one."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import duckdb
import jwt
import pytest

from gusto_pipeline.sandbox.apps.simulator import pem, service_key
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Pipeline, connected

ROOT = Path(__file__).resolve().parents[1]


def loaded() -> ModuleType:
    """The script as a module."""
    loader = importlib.machinery.SourceFileLoader("leaks", str(ROOT / ".ci" / "leaks"))
    spec = importlib.util.spec_from_loader("leaks", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules["leaks"] = module  # its dataclasses look for it there
    loader.exec_module(module)
    return module


scan = loaded()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A home in which something was synced."""
    with connected(tmp_path_factory.mktemp("home"), employees=100) as pipeline:
        pipeline.sync("company")
        pipeline.sync("employees")
        yield pipeline


@pytest.fixture(scope="module")
def sought(demo: Pipeline):
    return scan.known(demo.settings.home)


def token(demo: Pipeline) -> str:
    stored = open_store(demo.settings).read(f"gusto/{demo.company.slug}")
    assert stored
    return str(stored["access_token"])


def salary(demo: Pipeline) -> int:
    return int(demo.query("SELECT max(rate) FROM staging.compensations WHERE rate = floor(rate)")[0][0])


def key(demo: Pipeline) -> str:
    return (demo.settings.connections / "key").read_text().strip()


# What is planted, and the kind it is told as.
LEAKS: list[tuple[str, Callable[[Pipeline], str]]] = [
    ("social security number", lambda demo: "for 078-05-1120 it"),
    ("government or bank number", lambda demo: f"of {demo.query('SELECT ein FROM staging.company')[0][0]}."),
    ("amount of pay", lambda demo: f"got Decimal('{salary(demo)}.00')"),
    ("amount of pay", lambda demo: f"rate={salary(demo)}.0 a year"),
    ("amount of pay", lambda demo: f"pays {salary(demo):,}"),
    ("amount of pay", lambda demo: f"pays ${salary(demo)}"),
    ("amount of pay", lambda demo: json.dumps({"rate": salary(demo)})),
    ("access token", lambda demo: f"used {token(demo)}!"),
    ("client secret", lambda demo: f"as {demo.app.client_id}:{demo.app.client_secret}"),
    ("api token", lambda demo: "okta got 00okta-sandbox-token"),
    ("password key", lambda demo: "learnupon got p3f8b2c6d40e"),
    ("connection key", lambda demo: f"sealed with {key(demo)}"),
    ("private key", lambda demo: pem(service_key())),
    ("private key or certificate", lambda demo: pem(service_key()).splitlines()[1]),
    ("authorization header", lambda demo: "authorization: Bearer made.up-for-this-purpose-0"),
    ("authorization header", lambda demo: "b'Basic aWQ6c2VjcmV0MTIzNDU2Nzg='"),
    ("secret by its name", lambda demo: "POST /token?grant_type=x&client_secret=9d0b1c2d3e4f5a6b7c8d"),
    ("secret by its name", lambda demo: "{'refresh_token': '9d0b1c2d3e4f5a6b7c8d'}"),
    ("secret by its name", lambda demo: "(b'x-api-key', b'9d0b1c2d3e4f5a6b7c8d')"),
    ("secret by its name", lambda demo: "GET /callback?code=4%2F9d0b1c2d3e4f5a6b"),
    ("token", lambda demo: f"new: {demo.sandbox.new_grant()['access_token']}"),
    ("token by how it begins", lambda demo: "ya29.a0AfB_byC1d2e3f4g5h6"),
    ("token by how it begins", lambda demo: jwt.encode({"iss": "x"}, "x" * 32, algorithm="HS256")),
]


def as_text(path: Path, text: str) -> str:
    path.write_text(f"first\n{text}\n")
    return "2"


def as_sqlite(path: Path, text: str) -> str:
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("CREATE TABLE event_logs (id INTEGER, event TEXT)")
        base.execute("INSERT INTO event_logs VALUES (1, NULL), (2, ?)", [text])
    return "event_logs:2"


def as_compressed(path: Path, text: str) -> str:
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("CREATE TABLE snapshots (body BLOB)")
        base.execute("INSERT INTO snapshots VALUES (?)", [zlib.compress(text.encode())])
    return "snapshots:1"


def as_duckdb(path: Path, text: str) -> str:
    with duckdb.connect(path.with_suffix(".duckdb")) as base:
        base.execute("CREATE SCHEMA meta; CREATE TABLE meta.drift (n INTEGER, problem VARCHAR)")
        base.execute("INSERT INTO meta.drift VALUES (1, 'all is well'), (2, $1)", [text])
    path.with_suffix(".duckdb").rename(path.with_name("log.duckdb"))
    return "meta.drift:2"


def as_parquet(path: Path, text: str) -> str:
    duckdb.execute(f"COPY (SELECT $1 AS note) TO '{path.with_name('log.parquet')}'", [text])
    return "rows:1"


def as_archive(path: Path, text: str) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", text)
    return "xl/sharedStrings.xml"


@pytest.mark.parametrize("write", [as_text, as_sqlite, as_compressed, as_duckdb, as_parquet, as_archive])
@pytest.mark.parametrize(("kind", "text"), LEAKS)
def test_every_kind_is_found_wherever_it_is_and_told_without_its_value(demo, sought, tmp_path, kind, text, write):
    place = write(tmp_path / "log", text(demo))
    [path] = tmp_path.iterdir()
    found = scan.leaks(path, sought)
    assert f"{path}:{place}: {kind}" in found
    assert {leak.rpartition(": ")[2] for leak in found} <= {kind for kind, _ in LEAKS}


@pytest.mark.parametrize(
    "text",
    [
        lambda demo: f"wrote {salary(demo)} bytes of 2{salary(demo)}.00 in 0.{salary(demo)} s at 1.{salary(demo)}.00",
        lambda demo: f"request 3f9a2c00-1111-4222-8333-{salary(demo)}000000, md5 9e107d9d372bb6826bd81d3542a419d6",
        lambda demo: "2026-11-21T08:15:30.104832+00:00 took 850.00 s, 29.24 %",
        lambda demo: "call 415-555-0100, or 1-078-05-1120-2",
        lambda demo: "EIN XX-XXX0001, ssn ''",
        lambda demo: "Authorization: Bearer [redacted]; token: revoked; password=required; client_secret=None",
        lambda demo: "GET /oauth/authorize?code_challenge_method=S256&response_type=code&state=x",
        lambda demo: "test_that_a_Name_of_32_letters_or_more_is_none_of_the_tokens_there_are_1",
        lambda demo: f"connected as {demo.app.client_id} to {demo.company.uuid}",
    ],
)
def test_what_only_looks_alike_is_none(demo, sought, tmp_path, text):
    as_text(tmp_path / "log", text(demo))
    assert scan.leaks(tmp_path / "log", sought) == []


def test_a_home_is_looked_through_but_not_its_data(demo, tmp_path, capsys):
    home = demo.settings.home
    log = tmp_path / "tests.log"
    log.write_text("all is well\n")
    (home / "spreadsheets").mkdir()
    as_text(home / "spreadsheets" / "pay.csv", f"{salary(demo)}.00")
    assert scan.main(home, log) == 0
    capsys.readouterr()
    (home / "plans").mkdir()
    as_text(home / "plans" / "plan-1.json", token(demo))
    assert scan.main(home, log) == 1
    assert f"{home}/plans/plan-1.json:2: access token\n" in capsys.readouterr().out


def test_looking_where_there_is_nothing_to_find_is_an_error(demo, tmp_path, capsys):
    assert scan.main(demo.settings.home, tmp_path) == 2
    assert f"{tmp_path} holds nothing" in capsys.readouterr().out


def test_all_that_tests_log_and_print_is_kept_of_every_worker(tmp_path):
    test = tmp_path / "test_it.py"
    test.write_text(
        "import logging.config, os, pytest\n"
        "@pytest.mark.parametrize('n', range(8))\n"
        "def test_it(n):\n"
        "    logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False})\n"  # as Dagster does
        "    logging.getLogger('httpx').debug('said by httpx')\n"
        "    os.system('echo said by a process >&2')\n"
    )
    (logs := tmp_path / "logs").mkdir()
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-n", "2", "-p", "gusto_pipeline_tests.logs", test]
    variables = {"TEST_LOGS": str(logs), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    outside = {name: value for name, value in os.environ.items() if "XDIST" not in name}  # this may run in a worker
    subprocess.run(command, cwd=tmp_path, env=outside | variables, check=True, capture_output=True)
    said = {path.name: path.read_text() for path in logs.iterdir()}
    assert "".join(said.values()).count("said by httpx") == 8
    assert said["printed.log"].count("said by a process") == 8
    assert {"gw0.log", "gw1.log"} <= set(said)
