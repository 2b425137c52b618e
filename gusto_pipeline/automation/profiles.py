"""When profiles are exported: a job and a schedule for each one that pipeline.yaml declares."""

from typing import Any

import dagster as dg

from gusto_pipeline.assets.staging import staging_assets
from gusto_pipeline.automation.schedules import run_per_company
from gusto_pipeline.config import Profile
from gusto_pipeline.profiles import profile_companies
from gusto_pipeline.resources.pipeline import PipelineResource


def profile_job(profile: Profile, asset: dg.AssetsDefinition) -> Any:
    """Sync the employees, then bring the export in line."""
    return dg.define_asset_job(
        f"export_{profile.name}",
        dg.AssetSelection.assets(staging_assets["employees"], asset),
        description=f"Syncs employees and exports profile {profile.name} of pipeline.yaml.",
    )


def profile_schedule(profile: Profile, job: Any) -> dg.ScheduleDefinition | None:
    """As often as the profile says; None for one that is only exported by hand."""

    def wanted(pipeline: PipelineResource) -> list[str]:
        settings = pipeline.settings()
        return [company.slug for company in profile_companies(settings.profile(profile.name), settings)]

    if profile.cron is None:
        return None
    said = f"Exports profile {profile.name} of pipeline.yaml, {profile.frequency}, a run per company."
    return run_per_company(f"export_{profile.name}_schedule", job, profile.cron, profile.timezone, said, wanted)
