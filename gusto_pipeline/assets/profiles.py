"""Profile exports, in group `spreadsheets`: one asset per declaration in pipeline.yaml's `profiles`."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from gusto_pipeline.assets.companies import DAILY, OWNERS, companies, each_company, finish
from gusto_pipeline.assets.staging import table_key
from gusto_pipeline.config import Profile
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.profiles import IDS, export
from gusto_pipeline.resources.pipeline import PipelineResource


def profile_asset(profile: Profile) -> dg.AssetsDefinition:
    """The asset of a profile declared in pipeline.yaml. It reads the declaration anew at each run."""

    @dg.asset(
        key=["profiles", profile.name],
        partitions_def=companies,
        deps=[table_key(table.name) for table in CATEGORIES["employees"].tables()],
        group_name="spreadsheets",
        kinds={profile.format},
        owners=OWNERS,
        freshness_policy=DAILY if profile.frequency in ("hourly", "daily") else None,
        description=f"Profile {profile.name} of pipeline.yaml: {', '.join(profile.fields.values())} of every employee "
        f"as {profile.format}, {profile.frequency}, and a feed of what changed.",
    )
    def exported(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Iterator[Any]:
        settings = pipeline.settings()

        def one(slug: str) -> dict[str, Any]:
            done = export(settings.profile(profile.name), pipeline.company(slug), settings)
            columns = [dg.TableColumn(c.name, c.type, description=c.comment) for c in (*IDS, *done.columns)]
            return {
                "path": dg.MetadataValue.url(done.place) if "://" in done.place else dg.MetadataValue.path(done.place),
                "dagster/row_count": done.people,
                "dagster/column_schema": dg.TableSchema(columns=columns),
                "seq": done.seq,
                "unchanged": done.unchanged,
                **done.changes,
            }

        made, problems = each_company(context, one)
        yield from finish(context, {context.asset_key: made}, problems)

    return exported
