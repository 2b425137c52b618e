"""When jobs run by themselves. Everything here is off until switched on in the UI."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from gusto_pipeline.automation.jobs import sync_everything
from gusto_pipeline.config import FlattenJob, Settings
from gusto_pipeline.jobs import job_companies
from gusto_pipeline.provisioning.apps import SLUGS
from gusto_pipeline.resources.pipeline import PipelineResource
from gusto_pipeline.sync import connected_companies


def wanted_companies(pipeline: PipelineResource) -> list[str]:
    """Slugs of the connected companies that pipeline.yaml asks for: all of them if it names none."""
    named = pipeline.settings().gusto.companies
    return [c.slug for c in connected_companies(pipeline.store()) if not named or {c.slug, c.name, c.uuid} & set(named)]


def run_per_company(
    name: str,
    job: Any,
    cron: str,
    timezone: str,
    description: str,
    slugs: Callable[[PipelineResource], list[str]],
) -> dg.ScheduleDefinition:
    """A schedule that asks for one run per company and tick, so that one company's trouble is its own."""

    @dg.schedule(name=name, job=job, cron_schedule=cron, execution_timezone=timezone, description=description)
    def schedule(context: dg.ScheduleEvaluationContext, pipeline: PipelineResource) -> Iterator[dg.RunRequest]:
        tick, wanted = context.scheduled_execution_time, slugs(pipeline)
        context.instance.add_dynamic_partitions("companies", wanted)
        for slug in wanted:
            yield dg.RunRequest(run_key=f"{slug}-{tick.isoformat()}", partition_key=slug)

    return schedule


def daily_sync(settings: Settings) -> dg.ScheduleDefinition:
    """Everything, once a day."""
    return run_per_company(
        "daily_sync",
        sync_everything,
        f"0 {settings.sync.hour} * * *",
        settings.sync.timezone,
        "Syncs every connected company once a day, a run per company.",
        wanted_companies,
    )


def provisioning_schedules(settings: Settings, jobs: list[Any]) -> list[dg.ScheduleDefinition]:
    """The report once a day; the sweep every hour on the hour, so that a removal is never later than an hour."""
    crons = {
        "reconcile_accounts": (f"30 {settings.sync.hour} * * *", settings.sync.timezone),
        "sweep_accounts": ("1 * * * *", settings.provisioning.removal_timezone),
    }
    return [
        run_per_company(
            f"{job.name}_schedule", job, *crons[job.name], f"Runs {job.name}, a run per company.", companies_with_apps
        )
        for job in jobs
    ]


def companies_with_apps(pipeline: PipelineResource) -> list[str]:
    """Slugs of the wanted companies that have an app connected."""
    names = {name.partition("/")[2] for name in pipeline.store().names() if name.partition("/")[0] in SLUGS}
    return [slug for slug in wanted_companies(pipeline) if slug in names]


def flatten_schedule(job: FlattenJob, asset_job: Any) -> dg.ScheduleDefinition | None:
    """As often as the job says; None for a job that is only run by hand."""

    def companies(pipeline: PipelineResource) -> list[str]:
        settings = pipeline.settings()
        return [company.slug for company in job_companies(settings.job(job.name), settings)]

    if job.cron is None:
        return None
    return run_per_company(
        f"flatten_{job.name}_schedule",
        asset_job,
        job.cron,
        job.timezone,
        f"Runs job {job.name} of pipeline.yaml, {job.frequency}, a run per company.",
        companies,
    )
