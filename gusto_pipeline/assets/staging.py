"""Group `staging`: Gusto's categories as typed DuckDB tables, one step per category, one asset per table."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from gusto_pipeline.assets import connections
from gusto_pipeline.assets.companies import OWNERS, companies, each_company, finish
from gusto_pipeline.gusto.catalog import CATEGORIES, Category
from gusto_pipeline.resources.pipeline import GustoResource, PipelineResource
from gusto_pipeline.sync import Synced, sync_companies
from gusto_pipeline.warehouse.flatten import Rows, rows
from gusto_pipeline.warehouse.load import Check, LoadRefusedError

GUSTO = dg.AssetKey("gusto")

gusto = dg.AssetSpec(
    GUSTO,
    group_name="gusto",
    kinds={"gusto"},
    owners=OWNERS,
    deps=[connections.GUSTO],
    description="Gusto itself: payroll and HR, read over its API. Not made here.",
)


class SyncConfig(dg.Config):
    """What may be said when launching a sync by hand."""

    accept_shrink: bool = Field(
        default=False, description="Let a table lose more than half of its rows, once, because that is right"
    )


def table_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["staging", name])


def staging_asset(category: Category) -> dg.AssetsDefinition:
    """The step that syncs `category`: an asset per table, with blocking checks on each."""
    tables = [table_rows for source in category.sources for table_rows in rows(source.table)]
    deps = [table_key(name) for name in category.parents] or [GUSTO]
    check_specs = [spec for table_rows in tables for spec in _check_specs(category, table_rows)]

    @dg.multi_asset(
        name=f"sync_{category.name}",
        description=category.comment,
        partitions_def=companies,
        specs=[_spec(table_rows, deps) for table_rows in tables],
        check_specs=check_specs,
    )
    def sync(
        context: dg.AssetExecutionContext, config: SyncConfig, gusto: GustoResource, pipeline: PipelineResource
    ) -> Iterator[Any]:
        found, unknown = each_company(context, pipeline.company)
        outcomes = sync_companies(
            category,
            found.values(),
            gusto.client,
            pipeline.settings(),
            run_id=context.run.run_id,
            accept_shrink=config.accept_shrink,
        )

        def one(slug: str) -> Synced:
            outcome = outcomes[slug]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        synced, problems = each_company(context, one, found)
        problems |= unknown
        checked = [(slug, check) for slug, done in synced.items() for check in done.checks]
        for slug, problem in problems.items():
            if isinstance(problem, LoadRefusedError):
                checked += [(slug, check) for check in problem.checks]
        results = _check_results(checked)
        yield from results.values()
        if not problems:
            # Where Gusto no longer offers something nothing arrives, and Dagster wants every check answered.
            nothing = "No rows arrived, so none were replaced."
            for spec in check_specs:
                if spec.key not in results:
                    yield dg.AssetCheckResult(
                        asset_key=spec.asset_key, check_name=spec.name, passed=True, description=nothing
                    )
        metadata = {
            table_key(table_rows.table.name): {
                slug: _metadata(done, table_rows.table.name) for slug, done in synced.items()
            }
            for table_rows in tables
        }
        yield from finish(context, metadata, problems)

    return sync


def _spec(table_rows: Rows, deps: list[dg.AssetKey]) -> dg.AssetSpec:
    table = table_rows.table
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(c.name, c.type, description=c.comment, tags={"sensitivity": c.sensitivity})
            for c in table_rows.columns
        ]
    )
    return dg.AssetSpec(
        table_key(table.name),
        deps=deps,
        group_name="staging",
        kinds={"gusto", "duckdb"},
        owners=OWNERS,
        description=table.comment,
        metadata={"dagster/column_schema": schema, "dagster/table_name": f"warehouse.staging.{table.name}"},
    )


_CHECKS = {
    "primary_key": "Every row has its key, and no key occurs twice.",
    "no_orphans": "Every row belongs to a record that is there.",
    "not_collapsed": "Not less than half of the rows of the last good sync (from 20 rows on).",
    "matches_api_total": "As many rows as Gusto's own count says.",
}


def _check_specs(category: Category, table_rows: Rows) -> Iterator[dg.AssetCheckSpec]:
    names = {"not_collapsed"}
    if table_rows.key:
        names.add("primary_key")
    if table_rows.parent_by_uuid:
        names.add("no_orphans")
    if any(next(rows(source.table)).table.name == table_rows.table.name for source in category.sources):
        names.add("matches_api_total")
    for name in sorted(names):
        key = table_key(table_rows.table.name)
        yield dg.AssetCheckSpec(name, asset=key, blocking=True, description=_CHECKS[name])


def _check_results(checked: list[tuple[str, Check]]) -> dict[dg.AssetCheckKey, dg.AssetCheckResult]:
    """One result per check for all companies of the run; it fails if it fails for one of them."""
    by_check: dict[dg.AssetCheckKey, list[tuple[str, Check]]] = {}
    for slug, check in checked:
        by_check.setdefault(dg.AssetCheckKey(table_key(check.table), check.name), []).append((slug, check))
    results = {}
    for key, of_companies in by_check.items():
        bad = [f"{slug}: {check.problem}" for slug, check in of_companies if not check.passed]
        results[key] = dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=not bad,
            severity=dg.AssetCheckSeverity.ERROR,
            description="; ".join(bad) or None,
        )
    return results


def _metadata(done: Synced, table: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "dagster/row_count": done.rows[table],
        "requests": done.requests,
        "seconds": round(done.seconds, 3),
        "synced_at": dg.MetadataValue.timestamp(done.finished_at),
        "api_version": done.api_version,
        "source": done.origin,
    }
    if fields := [field for fields in done.drift.values() for field in fields]:
        metadata["undeclared_fields"] = ", ".join(fields)
    if done.notes:
        metadata["notes"] = "; ".join(done.notes)
    return metadata


staging_assets = {name: staging_asset(category) for name, category in CATEGORIES.items()}
