"""When jobs run by themselves. Everything here is off until switched on in the UI."""

from collections.abc import Iterator

import dagster as dg

from gusto_pipeline.automation.jobs import sync_everything
from gusto_pipeline.config import Settings
from gusto_pipeline.resources.pipeline import PipelineResource
from gusto_pipeline.sync import connected_companies


def wanted_companies(pipeline: PipelineResource) -> list[str]:
    """Slugs of the connected companies that pipeline.yaml asks for: all of them if it names none."""
    named = pipeline.settings().gusto.companies
    return [c.slug for c in connected_companies(pipeline.store()) if not named or {c.slug, c.name, c.uuid} & set(named)]


def daily_sync(settings: Settings) -> dg.ScheduleDefinition:
    """Every company once a day, a run each, so that one company's trouble is its own."""

    @dg.schedule(
        job=sync_everything,
        cron_schedule=f"0 {settings.sync.hour} * * *",
        execution_timezone=settings.sync.timezone,
        description="Syncs every connected company once a day, a run per company.",
    )
    def daily(context: dg.ScheduleEvaluationContext, pipeline: PipelineResource) -> Iterator[dg.RunRequest]:
        tick = context.scheduled_execution_time
        slugs = wanted_companies(pipeline)
        context.instance.add_dynamic_partitions("companies", slugs)
        for slug in slugs:
            yield dg.RunRequest(run_key=f"{slug}-{tick.isoformat()}", partition_key=slug)

    return daily
