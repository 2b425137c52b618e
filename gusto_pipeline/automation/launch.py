"""Running the pipeline from a terminal: the Dagster instance in the home folder, runs with progress, the UI."""

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg

from gusto_pipeline.config import Settings

WEBSERVER = "DAGSTER_WEBSERVER_URL"  # tells the code where to ask for being loaded anew


@dataclass(frozen=True)
class Outcome:
    """How a run went: its id, the assets it made with their metadata, by company, and what failed, in words."""

    run_id: str
    success: bool
    made: dict[str, dict[str, dict[str, Any]]]
    problems: tuple[str, ...]


def dagster_home(settings: Settings) -> Path:
    """DAGSTER_HOME inside the home folder, private, with the project's dagster.yaml."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.dagster.mkdir(exist_ok=True, mode=0o700)
    config = settings.dagster / "dagster.yaml"
    if not config.exists():
        shutil.copyfile(str(files("gusto_pipeline") / "dagster.yaml"), config)
    return settings.dagster


@contextmanager
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that the UI shows too."""
    os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
    with dg.DagsterInstance.get() as found:
        yield found


def run_job(
    dagster: dg.DagsterInstance,
    job: dg.JobDefinition,
    companies: Sequence[str],
    *,
    run_config: dict[str, Any] | None = None,
    on_step: Callable[[str], object] = lambda step: None,
) -> Outcome:
    """Run `job` in this process, for one company or several neighbours among the partitions.

    `on_step` is told each step as it ends.
    """
    run_id = str(uuid4())

    def listen(event: dg.EventLogEntry) -> None:
        if event.dagster_event and event.dagster_event.event_type_value in ("STEP_SUCCESS", "STEP_FAILURE"):
            on_step(event.step_key or "")

    if len(companies) == 1:
        which: dict[str, Any] = {"partition_key": companies[0]}
    else:
        ends = zip(("start", "end"), (companies[0], companies[-1]), strict=True)
        which = {"tags": {f"dagster/asset_partition_range_{end}": company for end, company in ends}}
    dagster.add_event_listener(run_id, listen)
    gc.freeze()  # or Python looks for cycles in all that was imported, again and again
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = job.execute_in_process(
        instance=dagster,
        raise_on_error=False,
        run_id=run_id,
        run_config={**quiet, **(run_config or {})},
        **which,
    )
    made: dict[str, dict[str, dict[str, Any]]] = {company: {} for company in companies}
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        values = {name: value.value for name, value in materialization.metadata.items()}
        made[str(materialization.partition)][materialization.asset_key.to_user_string()] = values
    return Outcome(run_id, result.success, made, tuple(cause(event) for event in result.get_step_failure_events()))


def neighbours(dagster: dg.DagsterInstance, companies: Sequence[str]) -> list[list[str]]:
    """The companies, made partitions where they are none yet, in groups that a run can be for: all, or one by one."""
    dagster.add_dynamic_partitions("companies", list(companies))
    known = list(dagster.get_dynamic_partitions("companies"))
    wanted = sorted(companies, key=known.index)
    together = known[known.index(wanted[0]) :][: len(wanted)] == wanted
    return [wanted] if together else [[company] for company in companies]


def with_flatten_jobs(defs: dg.Definitions, jobs: Sequence[str], settings: Settings) -> dg.JobDefinition:
    """A job that makes what these jobs make and what every flatten job of pipeline.yaml does."""
    assets = {dg.AssetKey(["spreadsheets", flatten.name]) for flatten in settings.jobs}
    for job in jobs:
        assets |= defs.resolve_job_def(job).asset_layer.selected_asset_keys
    return defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=assets)


def schedule_is_on(settings: Settings, name: str) -> bool:
    """Whether a schedule was switched on in the UI."""
    with instance(settings) as dagster:
        return any(state.name == name and state.is_running for state in dagster.all_instigator_state())


def cause(event: dg.DagsterEvent) -> str:
    """Why a step failed, in the words of what failed."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    return failure.error.cause.message if failure.error and failure.error.cause else str(event.message)


def serve_ui(settings: Settings, port: int) -> int:
    """Dagster's UI and daemon on 127.0.0.1, until interrupted; gives the exit code."""
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(dagster_home(settings)),
        "GUSTO_PIPELINE_HOME": str(settings.home),
        WEBSERVER: f"http://127.0.0.1:{port}",
    }
    command = [sys.executable, "-m", "dagster", "dev", "-m", "gusto_pipeline.definitions"]
    # Dagster stops its processes by SIGINT, which a shell's background jobs are born ignoring; a handler undoes that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen([*command, "-h", "127.0.0.1", "-p", str(port)], env=environment)
    # Left alone, Dagster's own processes would outlive this one and go on using the instance.
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal has sent it to Dagster as well; it is on its way down
            continue
