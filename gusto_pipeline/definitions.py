"""The one Definitions object: which assets, jobs, schedules, sensors and resources there are."""

import dagster as dg

from gusto_pipeline.assets.spreadsheets import analytics, spreadsheet_assets
from gusto_pipeline.assets.staging import gusto, staging_assets
from gusto_pipeline.automation.jobs import category_jobs, sync_everything
from gusto_pipeline.automation.schedules import daily_sync
from gusto_pipeline.automation.sensors import company_partitions, failed_runs
from gusto_pipeline.config import load_settings
from gusto_pipeline.resources.pipeline import GustoResource, PipelineResource

pipeline = PipelineResource()

defs = dg.Definitions(
    assets=[gusto, *staging_assets.values(), *spreadsheet_assets.values(), analytics],
    jobs=[sync_everything, *category_jobs],
    schedules=[daily_sync(load_settings())],
    sensors=[company_partitions, failed_runs],
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
