"""Group `learners`: a company's learning portal, kept in line with Gusto. There only where a portal is connected."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from gusto_pipeline.assets.companies import OWNERS, companies, each_company, finish
from gusto_pipeline.assets.provisioning import PEOPLE_FROM
from gusto_pipeline.assets.staging import table_key
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.learners import connected, sync
from gusto_pipeline.provisioning.apps import LEARNING
from gusto_pipeline.resources.pipeline import GustoResource, PipelineResource

LEARNERS = dg.AssetKey("learners")


def learners_assets(store: ConnectionStore) -> list[dg.AssetsDefinition]:
    """The asset; none while no company has a portal connected."""
    in_use = any(name.partition("/")[0] in LEARNING for name in store.names())
    return [learners_asset()] if in_use else []


def learners_asset() -> dg.AssetsDefinition:
    """Learners created, changed, disabled and enabled as Gusto has people."""

    @dg.multi_asset(
        name="bring_learners_in_line",
        partitions_def=companies,
        specs=[
            dg.AssetSpec(
                LEARNERS,
                deps=[table_key(table.name) for name in PEOPLE_FROM for table in CATEGORIES[name].tables()],
                group_name="learners",
                kinds={"learnupon", "duckdb"},
                owners=OWNERS,
                description="The learners of the connected portal, in line with Gusto's people: who is one, what the "
                "portal knows of them, which groups they are in. Beside it a workbook of pending invitations.",
                metadata={"dagster/table_name": "warehouse.provisioning.accounts"},
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "values_fit",
                asset=LEARNERS,
                description="Every value of Gusto's fits the field it is mapped to, and every rule could be followed.",
            )
        ],
    )
    def learners(context: dg.AssetExecutionContext, pipeline: PipelineResource, gusto: GustoResource) -> Iterator[Any]:
        said: list[str] = []

        def one(slug: str) -> dict[str, Any]:
            settings, store, company = pipeline.settings(), pipeline.store(), pipeline.company(slug)
            if not connected(store, company):
                return {"connected": False}
            done = sync(settings, store, company, who=f"run {context.run.run_id}", gusto=lambda: gusto.client(company))
            for each in done.applied.done:
                if each.problem:
                    context.log.warning(f"{slug}: {each.item.action}: {each.problem}")
            drafted = done.planned.drafted
            if drafted.misfits or drafted.problems:
                said.append(f"{slug}: {len(drafted.misfits)} values and {len(drafted.problems)} rules")
            return {
                "state": done.applied.state,
                "requests": done.planned.requests,
                "path": dg.MetadataValue.path(str(done.report)),
                **done.counts(),
            }

        made, problems = each_company(context, one)
        if not problems:
            yield dg.AssetCheckResult(
                asset_key=LEARNERS,
                check_name="values_fit",
                passed=not said,
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(said) or None,
            )
        yield from finish(context, {LEARNERS: made}, problems)

    return learners
