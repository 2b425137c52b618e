"""What many tests need: a sandbox Gusto, a home folder connected to it, and the pipeline run on that."""

from __future__ import annotations

import functools
import gc
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import httpx
import pytest

from gusto_pipeline.clock import utcnow
from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.gusto.auth import GustoAuth, OAuthApp, login_without_browser
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.sandbox.server import GustoSandbox, running
from gusto_pipeline.sync import Company, Synced, connect_company, open_store, open_warehouse, sync_category

VARIABLES = (
    "DAGSTER_HOME",
    "GOOGLE_BASE_URL",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "GUSTO_BASE_URL",
    "GUSTO_CLIENT_ID",
    "GUSTO_CLIENT_SECRET",
    "GUSTO_PIPELINE_CONFIG",
    "GUSTO_PIPELINE_HOME",
    "GUSTO_PIPELINE_KEY",
    "GUSTO_PIPELINE_NOTIFY",
)


def pytest_configure(config: pytest.Config) -> None:
    # Dagster calls what it, or pydantic, has deprecated; our own calls of deprecated things stay errors.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:dagster")
    for name in VARIABLES:
        os.environ.pop(name, None)  # no test sees the settings of whoever runs it
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"  # nor puts keys into their keyring


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # what was imported lives as long as the process: looking through it again finds nothing to free


@functools.cache
def empty_warehouse() -> bytes:
    """A warehouse of the whole catalog without a row. Its tables take longer to make than most tests take to run."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = open_warehouse(Settings(home=Path(folder)))
        warehouse.make()
        return warehouse.path.read_bytes()


_started: dict[object, dict[Path, bytes]] = {}


class Pipeline:
    """The pipeline in a home folder of its own, its companies connected to a sandbox made with `options`."""

    def __init__(self, sandbox: GustoSandbox, settings: Settings, instance: dg.DagsterInstance, **options: Any) -> None:
        self.sandbox = sandbox
        self.settings = settings
        self.instance = instance
        self.options = options
        self.app = OAuthApp(sandbox.base_url, sandbox.client_id, sandbox.client_secret)
        self.log = io.StringIO()
        self.companies = [self.connect(company.uuid) for company in sandbox.world.companies]
        instance.add_dynamic_partitions("companies", [company.slug for company in self.companies])

    @property
    def company(self) -> Company:
        return self.companies[0]

    def connect(self, company: str) -> Company:
        answer = login_without_browser(self.app, company)
        return connect_company(self.app, answer, open_store(self.settings), self.settings.connections)

    def client(self, company: Company | None = None, **options: Any) -> GustoClient:
        """A client whose waiting moves the sandbox's time instead of ours."""
        name = f"gusto/{(company or self.company).slug}"
        auth = GustoAuth(self.app, open_store(self.settings), name)
        options = {"grant": name, "state_folder": self.settings.connections} | options
        return GustoClient(self.app.base_url, auth, **options)

    def sync(self, category: str, company: Company | None = None, **options: Any) -> Synced:
        """Sync a category without Dagster."""
        with self.client(company) as client:
            return sync_category(CATEGORIES[category], company or self.company, client, self.settings, **options)

    def start(self, *categories: str, job: str = "") -> None:
        """Sync categories of a sandbox that nobody has changed, and run a job for its companies: once.

        From then on the files that gave are copied; Dagster then knows of no run.
        """
        home, key = self.settings.home, (self.sandbox.world.clock.today(), *self.options.items(), *categories, job)
        if key not in _started:
            for category in categories:
                self.sync(category)
            if job:
                assert self.run(job, *self.companies).success
            files = [
                file for file in home.rglob("*") if file.is_file() and self.settings.connections not in file.parents
            ]
            _started[key] = {file.relative_to(home): file.read_bytes() for file in files}
        for name, content in _started[key].items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(content)

    def run(
        self, job: str, *companies: Company, instance: dg.DagsterInstance | None = None, **config: Any
    ) -> dg.ExecuteInProcessResult:
        """Run a job with Dagster for some companies in one run, for the first one unless said otherwise.

        `config` goes to the step that syncs. What it logs is added to `log`.
        """
        from gusto_pipeline.definitions import defs

        slugs = sorted(company.slug for company in companies or [self.company])
        ops = {"ops": {job.removesuffix("_only"): {"config": config}}} if config else {}
        if len(slugs) == 1:
            which: dict[str, Any] = {"partition_key": slugs[0]}
        else:
            first_and_last = zip(("start", "end"), (slugs[0], slugs[-1]), strict=True)
            which = {"tags": {f"dagster/asset_partition_range_{end}": slug for end, slug in first_and_last}}
        with redirect_stderr(self.log):  # where Dagster's console logger writes
            return defs.resolve_job_def(job).execute_in_process(
                instance=instance or self.instance, raise_on_error=False, run_config=ops, **which
            )

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of the warehouse."""
        with open_warehouse(self.settings).read() as connection:
            return connection.execute(sql, parameters).fetchall()

    def count(self, table: str, company: Company | None = None) -> int:
        sql = f"SELECT count(*) FROM staging.{table} WHERE company_uuid = $1"
        return int(self.query(sql, (company or self.company).uuid)[0][0])

    def spreadsheet(self, name: str, company: Company | None = None) -> Path:
        return self.settings.spreadsheets_folder / (company or self.company).slug / name

    def spreadsheets(self) -> dict[str, bytes]:
        """The content of every spreadsheet file, by its path below the folder."""
        folder = self.settings.spreadsheets_folder
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@contextmanager
def connected(home: Path, instance: dg.DagsterInstance | None = None, **sandbox: Any) -> Iterator[Pipeline]:
    """A pipeline at `home` with a sandbox (options as for `running`) behind it, through the environment as in life.

    Waiting, for a retry or for a place in the rate window, moves the sandbox's clock and takes no time.
    """
    with running(**sandbox) as gusto, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUSTO_BASE_URL", gusto.base_url)
        patch.setenv("GUSTO_CLIENT_ID", gusto.client_id)
        patch.setenv("GUSTO_CLIENT_SECRET", gusto.client_secret)
        patch.setenv("GUSTO_PIPELINE_HOME", str(home))
        defaults = GustoClient.__init__.__kwdefaults__
        patch.setitem(defaults, "sleep", gusto.advance)
        patch.setitem(defaults, "clock", gusto.world.clock.now)
        patch.chdir(home)  # the default folder of dropped CSV files is relative to where people work
        with instance or dg.DagsterInstance.ephemeral() as dagster:
            pipeline = Pipeline(gusto, load_settings(), dagster, **sandbox)
            if not pipeline.settings.warehouse.exists():
                pipeline.settings.warehouse.write_bytes(empty_warehouse())
            yield pipeline
            sys.stderr.write(pipeline.log.getvalue())  # for pytest to show, and `logs` to keep


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """One company of 40 employees, connected, nothing synced yet."""
    with connected(tmp_path, applicants=True) as pipeline:
        yield pipeline


class Yesterday(httpx.HTTPTransport):
    """To servers by whose clock this machine's is a day ahead."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        response.headers["date"] = format_datetime(utcnow() - timedelta(days=1), usegmt=True)
        return response


class Said(NamedTuple):
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs `gusto-pipeline` with arguments in this process."""
    from gusto_pipeline.cli import main

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["gusto-pipeline", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return Said(int(end.value.code or 0), printed.out, printed.err)

    return run
