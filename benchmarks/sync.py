"""The employees of ten companies, over HTTP, into DuckDB: our sync beside dlt's REST API source.

Both ask a process of its own, which replays the sandbox's answers, for the same pages with the same parameters. The
goal is for the sync itself: at this size most of a process is starting Python and importing, which a Dagster process
does once for all its syncs. Whole processes are shown as well. Ours keeps every raw record, checks the rows and logs
each sync besides. dlt flattens in its own way and runs twice: as its tutorial on REST APIs shows it
(https://dlthub.com/docs/tutorial/rest-api), and tuned, with parallel resources and parquet files.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import ROOT, Row, Run, contender, ratio, same, typical

COMPANIES, PEOPLE, LATENCY = 10, 100, 0.02
ROUNDS = 5
PER_PAGE = 100
VERSION = "2026-06-15"


PEERS = {"dlt": "dlt", "dlt_tuned": "dlt tuned"}
TIMES = ("first", "next")
GOALS = {("dlt", "first"): "≥ 8 ×"}


def rows(quick: bool) -> list[Row]:
    """Compare wall clock, CPU and memory of a first sync, into an empty warehouse, and of the next one."""
    runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="gusto-bench-") as folder, _sandbox() as place:
        for number in range(1 if quick else ROUNDS):
            for name in ("pipeline", *PEERS):
                for time_ in TIMES:
                    runs[name, time_].append(contender("sync", name, Path(folder) / f"{name}-{number}", place))
                    same("sync", runs["pipeline", time_][-1].said["rows"], runs[name, time_][-1].said["rows"])
    return [
        row
        for peer in PEERS
        for time_ in TIMES
        for row in _beside(PEERS[peer], time_, runs["pipeline", time_], runs[peer, time_])
    ]


def _beside(peer: str, time_: str, ours: list[Run], theirs: list[Run]) -> Iterator[Row]:
    name = f"{time_} sync, {COMPANIES} × {PEOPLE} employees, {LATENCY * 1000:.0f} ms away"
    we, they = typical(ours), typical(theirs)
    inside, outside = ([run.said["seconds"] for run in runs] for runs in (ours, theirs))
    times = median(they / we for we, they in zip(inside, outside, strict=True))
    alone = (f"{median(inside):.2f} s", f"{peer} {median(outside):.2f} s", times)
    yield Row(name, "wall, imports done", *alone, GOALS.get((peer, time_), ""))
    yield Row(
        name, "wall, whole process", f"{we.wall:.2f} s", f"{peer} {they.wall:.2f} s", ratio(theirs, ours, "wall"), ""
    )
    yield Row(name, "CPU", f"{we.cpu:.2f} s", f"{peer} {they.cpu:.2f} s", ratio(theirs, ours, "cpu"), "")
    yield Row(name, "peak memory", f"{we.peak:.0f} MB", f"{peer} {they.peak:.0f} MB", ratio(theirs, ours, "peak"), "")


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
    """Serve the sandbox's answers, recorded, until terminated, after one line saying where.

    To make them takes the sandbox longer than they are on their way, and both contenders would wait for it.
    """
    import httpx
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from gusto_pipeline.gusto.catalog import EMPLOYEES
    from gusto_pipeline.sandbox.faults import Faults
    from gusto_pipeline.sandbox.gusto.world import SandboxClock
    from gusto_pipeline.sandbox.server import Site, hosting, running

    source, answers = EMPLOYEES.sources[0], {}
    with running(companies=COMPANIES, employees=PEOPLE) as gusto:
        tokens = {one.uuid: gusto.new_grant(one.uuid)["access_token"] for one in gusto.world.companies}
        for uuid, token in tokens.items():
            for page in ("1", "2"):
                path, query = source.path.format(company=uuid), {**source.params, "per": PER_PAGE, "page": page}
                headers = {"Authorization": f"Bearer {token}", "X-Gusto-API-Version": VERSION}
                answer = httpx.get(f"{gusto.base_url}{path}", params=query, headers=headers).raise_for_status()
                kept = {
                    name: value for name, value in answer.headers.items() if name.startswith(("x-", "content-type"))
                }
                answers[path, page] = Response(answer.content, headers=kept)

    async def replayed(request: Request) -> Response:
        return answers[request.url.path, request.query_params["page"]]

    app = Starlette(routes=[Route("/{path:path}", replayed)])
    with hosting([Site("gusto", app, Faults(()), latency=LATENCY)], [], SandboxClock()) as urls:
        print(json.dumps({"base_url": urls["gusto"], "tokens": tokens}), flush=True)
        threading.Event().wait()


def pipeline(folder: Path, base_url: str, tokens: dict[str, str]) -> dict[str, Any]:
    """Sync with gusto_pipeline, companies side by side; gives rows per table and seconds."""
    import httpcore  # noqa: F401  httpx imports it for its first request
    import httpx

    from gusto_pipeline.config import Settings
    from gusto_pipeline.gusto.catalog import EMPLOYEES
    from gusto_pipeline.gusto.client import GustoClient
    from gusto_pipeline.sync import Company, Synced, sync_companies

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

    outcomes = sync_companies(EMPLOYEES, [Company(uuid, uuid, uuid) for uuid in tokens], connect, settings)
    done = [outcome for outcome in outcomes.values() if isinstance(outcome, Synced)]
    rows = {name: sum(synced.rows[name] for synced in done) for name in ("employees", "jobs", "compensations")}
    return {"rows": rows, "seconds": time.perf_counter() - started}


def dlt(folder: Path, base_url: str, tokens: dict[str, str], *, tuned: bool = False) -> dict[str, Any]:
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
    folder.mkdir(exist_ok=True)
    resources = [
        {
            "name": f"employees_{number}",
            "table_name": "employees",
            "write_disposition": "replace",
            "parallelized": tuned,
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
    options: Any = {"loader_file_format": "parquet"} if tuned else {}
    loader.run(rest_api_source(config), **options)
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
            contenders: dict[str, Any] = {"pipeline": pipeline, "dlt": dlt, "dlt_tuned": partial(dlt, tuned=True)}
            print(json.dumps(contenders[name](Path(folder), **json.loads(place))))
            gc.freeze()  # or Python, on its way out, looks for cycles in all that was imported
