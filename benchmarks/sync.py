"""The employees of ten companies, over HTTP, into DuckDB: our sync beside dlt's REST API source.

Both ask a sandbox in a process of its own for the same pages with the same parameters. The processes are measured
whole; at this size much of that is starting Python and importing, so the sync itself is shown as well. Ours keeps every
raw record, checks the rows and logs each sync besides. dlt gets its faster loader file format (parquet), parallel
resources, and its own flattening.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import ROOT, Row, Run, contender, ratio, same, typical

COMPANIES, PEOPLE, LATENCY = 10, 100, 0.02
ROUNDS = 5
PER_PAGE = 100
VERSION = "2026-06-15"


def rows(quick: bool) -> list[Row]:
    """Compare wall clock and CPU of first syncs into an empty warehouse."""
    ours, peer = [], []
    with tempfile.TemporaryDirectory(prefix="gusto-bench-") as folder, _sandbox() as place:
        for number in range(1 if quick else ROUNDS):
            ours.append(contender("sync", "pipeline", Path(folder) / f"ours-{number}", place))
            peer.append(contender("sync", "dlt", Path(folder) / f"dlt-{number}", place))
            same("sync", ours[-1].said["rows"], peer[-1].said["rows"])
    we, they = typical(ours), typical(peer)
    name = f"sync {COMPANIES} × {PEOPLE} employees, {LATENCY * 1000:.0f} ms away"
    return [
        Row(name, "wall", f"{we.wall:.2f} s", f"dlt {they.wall:.2f} s", ratio(peer, ours, "wall"), "≥ 8 ×"),
        Row(name, "wall, imports done", *_inner(ours, peer), ""),
        Row(name, "CPU", f"{we.cpu:.2f} s", f"dlt {they.cpu:.2f} s", ratio(peer, ours, "cpu"), ""),
        Row(name, "peak memory", f"{we.peak:.0f} MB", f"dlt {they.peak:.0f} MB", ratio(peer, ours, "peak"), ""),
    ]


def _inner(ours: list[Run], peer: list[Run]) -> tuple[str, str, float]:
    """The seconds the contenders took by their own clocks, and their ratio."""
    we, they = ([run.said["seconds"] for run in runs] for runs in (ours, peer))
    times = median(they / we for we, they in zip(we, they, strict=True))
    return f"{median(we):.2f} s", f"dlt {median(they):.2f} s", times


@contextmanager
def _sandbox() -> Iterator[str]:
    """A sandbox in another process, as JSON: its address, and company uuids with an access token each."""
    command = [sys.executable, "-m", "benchmarks.sync", "sandbox"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline()
        finally:
            process.terminate()


def sandbox() -> None:
    """Serve the companies until terminated, after one line saying where they are."""
    from gusto_pipeline.sandbox.server import GustoSandbox, serve

    def announce(gusto: GustoSandbox) -> None:
        uuids = [company.uuid for company in gusto.world.companies]
        tokens = {uuid: gusto.new_grant(uuid)["access_token"] for uuid in uuids}
        print(json.dumps({"base_url": gusto.base_url, "tokens": tokens}), flush=True)

    serve(announce, companies=COMPANIES, employees=PEOPLE, latency=LATENCY)


def pipeline(folder: Path, base_url: str, tokens: dict[str, str]) -> dict[str, Any]:
    """Sync with gusto_pipeline, companies side by side; gives rows per table and seconds."""
    import httpx

    from gusto_pipeline.config import Settings
    from gusto_pipeline.gusto.catalog import EMPLOYEES
    from gusto_pipeline.gusto.client import GustoClient
    from gusto_pipeline.sync import Company, sync_companies

    started = time.perf_counter()
    settings = Settings(home=folder)

    class Bearer(httpx.Auth):
        def __init__(self, token: str) -> None:
            self.token = token

        def auth_flow(self, request: httpx.Request) -> Any:
            request.headers["Authorization"] = f"Bearer {self.token}"
            yield request

    def connect(company: Company) -> GustoClient:
        return GustoClient(base_url, Bearer(tokens[company.uuid]), grant=company.uuid)

    done = sync_companies(EMPLOYEES, [Company(uuid, uuid, uuid) for uuid in tokens], connect, settings)
    rows = {name: sum(synced.rows[name] for synced in done.values()) for name in ("employees", "jobs", "compensations")}
    return {"rows": rows, "seconds": time.perf_counter() - started}


def dlt(folder: Path, base_url: str, tokens: dict[str, str]) -> dict[str, Any]:
    """Sync with dlt's REST API source and DuckDB destination; gives rows per table and seconds."""
    import os

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt
    import duckdb
    from dlt.sources.rest_api import rest_api_source

    from gusto_pipeline.gusto.catalog import EMPLOYEES

    started = time.perf_counter()
    source = EMPLOYEES.sources[0]
    paginator = {"type": "page_number", "base_page": 1, "total_path": None, "maximum_page": PEOPLE // PER_PAGE + 1}
    file = folder / "dlt.duckdb"
    folder.mkdir()
    resources = [
        {
            "name": f"employees_{number}",
            "table_name": "employees",
            "write_disposition": "append",
            "parallelized": True,
            "endpoint": {
                "path": source.path.format(company=uuid),
                "params": {**source.params, "per": PER_PAGE},
                "paginator": paginator,
                "headers": {"Authorization": f"Bearer {token}", "X-Gusto-API-Version": VERSION},
            },
        }
        for number, (uuid, token) in enumerate(tokens.items())
    ]
    config: Any = {"client": {"base_url": base_url}, "resources": resources}
    loader = dlt.pipeline(
        "gusto",
        pipelines_dir=str(folder),
        destination=dlt.destinations.duckdb(str(file)),
        dataset_name="gusto",
    )
    loader.run(rest_api_source(config), loader_file_format="parquet")
    seconds = time.perf_counter() - started
    tables = {"employees": "employees", "jobs": "employees__jobs", "compensations": "employees__jobs__compensations"}
    with duckdb.connect(file, read_only=True) as connection:
        rows = {
            name: connection.sql(f"SELECT count(*) FROM gusto.{table}").fetchall()[0][0]
            for name, table in tables.items()
        }
    return {"rows": rows, "seconds": seconds}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sandbox"]:
            sandbox()
        case [name, folder, place]:
            print(json.dumps({"pipeline": pipeline, "dlt": dlt}[name](Path(folder), **json.loads(place))))
