"""What people launch: everything, one category with its spreadsheet, or a flatten job of pipeline.yaml."""

from typing import Any

import dagster as dg

from gusto_pipeline.assets.spreadsheets import analytics, spreadsheet_assets
from gusto_pipeline.assets.staging import staging_assets
from gusto_pipeline.config import FlattenJob
from gusto_pipeline.gusto.catalog import CATEGORIES, COMPANY_CATEGORIES


def _selection(*categories: str) -> dg.AssetSelection:
    assets = [made[category] for category in categories for made in (staging_assets, spreadsheet_assets)]
    return dg.AssetSelection.assets(*assets, analytics)


sync_everything = dg.define_asset_job(
    "sync_everything",
    _selection(*COMPANY_CATEGORIES),
    description="Every category that takes few requests per company, with its spreadsheets and the analysts' file.",
)


def flatten_job(job: FlattenJob, asset: dg.AssetsDefinition) -> Any:
    """Sync what a flatten job needs, then write its files."""
    return dg.define_asset_job(
        f"flatten_{job.name}",
        dg.AssetSelection.assets(*(staging_assets[category] for category in job.categories), asset),
        description=f"Syncs {', '.join(job.categories)} and writes job {job.name} of pipeline.yaml.",
    )


category_jobs = [
    dg.define_asset_job(f"sync_{name}_only", _selection(name), description=category.comment)
    for name, category in CATEGORIES.items()
]
