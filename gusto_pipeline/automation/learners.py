"""When learners are brought in line: a job, and its schedule. There only where a learning portal is connected."""

from typing import Any

import dagster as dg

from gusto_pipeline.assets.provisioning import PEOPLE_FROM
from gusto_pipeline.assets.staging import staging_assets
from gusto_pipeline.automation.schedules import run_per_company, wanted_companies
from gusto_pipeline.config import Settings
from gusto_pipeline.learners import connected
from gusto_pipeline.resources.pipeline import PipelineResource


def learners_jobs(assets: list[dg.AssetsDefinition]) -> list[Any]:
    """Sync the people, then bring the portal in line; none without a portal."""
    if not assets:
        return []
    people = [staging_assets[name] for name in PEOPLE_FROM]
    return [
        dg.define_asset_job(
            "sync_learners",
            dg.AssetSelection.assets(*people, *assets),
            description="Syncs the people and brings the learning portal in line with them, as far as mode, approvals "
            "and brakes allow.",
        )
    ]


def learners_schedules(settings: Settings, jobs: list[Any]) -> list[dg.ScheduleDefinition]:
    """Once a day."""
    cron, zone = f"15 {settings.learners.hour} * * *", settings.sync.timezone
    said = "Brings the learning portal in line with Gusto once a day, a run per company."
    return [run_per_company("daily_learners", job, cron, zone, said, companies_with_portal) for job in jobs]


def companies_with_portal(pipeline: PipelineResource) -> list[str]:
    """Slugs of the wanted companies that have a learning portal connected."""
    store = pipeline.store()
    return [slug for slug in wanted_companies(pipeline) if connected(store, pipeline.company(slug))]
