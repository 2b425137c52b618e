"""What people launch: everything, one category with its spreadsheet, or a flatten job of pipeline.yaml."""

from typing import Any

import dagster as dg

from gusto_pipeline.assets.provisioning import ACTIONS, PEOPLE_FROM
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


def provisioning_jobs(assets: list[dg.AssetsDefinition]) -> list[Any]:
    """Looking at accounts, and looking and acting; none without a connected app.

    Both sync the people first, since a plan is only as good as the list it stands on.
    """
    if not assets:
        return []
    people = [staging_assets[name] for name in PEOPLE_FROM]
    looking = [asset for asset in assets if ACTIONS not in asset.keys]
    return [
        dg.define_asset_job(
            "reconcile_accounts",
            dg.AssetSelection.assets(*people, *looking),
            description="Reads every connected app, says who has access and who should, and writes plan and report. "
            "Nothing is done to any account.",
        ),
        dg.define_asset_job(
            "sweep_accounts",
            dg.AssetSelection.assets(*people, *assets),
            description="Like reconcile_accounts, and then carries out what modes, approvals and brakes allow.",
        ),
    ]


category_jobs = [
    dg.define_asset_job(f"sync_{name}_only", _selection(name), description=category.comment)
    for name, category in CATEGORIES.items()
]
