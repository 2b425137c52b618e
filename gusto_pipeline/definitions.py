"""The one Definitions object: which assets, jobs, schedules, sensors and resources there are."""

import dagster as dg

from gusto_pipeline.accounts import slugs_in_use
from gusto_pipeline.assets.connections import connection_specs, google_authorized, gusto_authorized
from gusto_pipeline.assets.learners import learners_assets
from gusto_pipeline.assets.profiles import profile_asset
from gusto_pipeline.assets.provisioning import provisioning_assets
from gusto_pipeline.assets.spreadsheets import analytics, job_asset, spreadsheet_assets
from gusto_pipeline.assets.staging import gusto, staging_assets
from gusto_pipeline.automation.hr import hr_jobs
from gusto_pipeline.automation.jobs import category_jobs, flatten_job, provisioning_jobs, sync_everything
from gusto_pipeline.automation.learners import learners_jobs, learners_schedules
from gusto_pipeline.automation.onboarding import new_hires, new_hires_apps, onboard_new_hires, onboarding_folder
from gusto_pipeline.automation.profiles import profile_job, profile_schedule
from gusto_pipeline.automation.reload import follow_pipeline_yaml
from gusto_pipeline.automation.schedules import daily_sync, flatten_schedule, provisioning_schedules
from gusto_pipeline.automation.sensors import (
    company_partitions,
    connections,
    failed_runs,
    good_runs,
    open_access,
    removals_due,
)
from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.resources.pipeline import GustoResource, PipelineResource
from gusto_pipeline.sync import open_store


def definitions(settings: Settings) -> dg.Definitions:
    """All there is, with an asset, a job and a schedule for each flatten job of pipeline.yaml."""
    pipeline = PipelineResource()
    job_assets = {job.name: job_asset(job) for job in settings.jobs}
    flatten_jobs = {job.name: flatten_job(job, job_assets[job.name]) for job in settings.jobs}
    profile_assets = {profile.name: profile_asset(profile) for profile in settings.profiles}
    profile_jobs = {profile.name: profile_job(profile, profile_assets[profile.name]) for profile in settings.profiles}
    profile_schedules = [profile_schedule(profile, profile_jobs[profile.name]) for profile in settings.profiles]
    provisioning = provisioning_assets(slugs_in_use(open_store(settings)))
    account_jobs = provisioning_jobs(provisioning)
    account_schedules = provisioning_schedules(settings, account_jobs)
    learners = learners_assets(open_store(settings))
    learner_jobs = learners_jobs(learners)
    flatten_schedules = [flatten_schedule(job, flatten_jobs[job.name]) for job in settings.jobs]
    return dg.Definitions(
        assets=[
            *connection_specs,
            gusto,
            new_hires,
            *staging_assets.values(),
            *spreadsheet_assets.values(),
            *job_assets.values(),
            *profile_assets.values(),
            analytics,
            *provisioning,
            *learners,
        ],
        asset_checks=[gusto_authorized, google_authorized],
        jobs=[
            sync_everything,
            *category_jobs,
            *flatten_jobs.values(),
            *profile_jobs.values(),
            *account_jobs,
            *hr_jobs,
            onboard_new_hires,
            *learner_jobs,
        ],
        schedules=[
            daily_sync(settings),
            *filter(None, [*flatten_schedules, *profile_schedules]),
            *account_schedules,
            *learners_schedules(settings, learner_jobs),
        ],
        sensors=[
            company_partitions,
            connections,
            failed_runs,
            good_runs,
            follow_pipeline_yaml(settings, definitions),
            onboarding_folder,
            *(new_hires_apps(job) for job in account_jobs[:1]),
            *(removals_due(job) for job in account_jobs[1:]),
            *([open_access] if account_jobs else []),
        ],
        resources={
            "pipeline": pipeline,
            "gusto": GustoResource(
                pipeline=pipeline,
                client_id=dg.EnvVar("GUSTO_CLIENT_ID"),
                client_secret=dg.EnvVar("GUSTO_CLIENT_SECRET"),
            ),
        },
        executor=dg.in_process_executor,
    )


defs = definitions(load_settings())
