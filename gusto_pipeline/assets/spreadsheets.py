"""Group `spreadsheets`: what people open. One asset per category, and the analysts' database."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from typing import Any

import dagster as dg

from gusto_pipeline.assets import connections
from gusto_pipeline.assets.companies import OWNERS, companies, each_company, finish
from gusto_pipeline.assets.staging import table_key
from gusto_pipeline.config import FlattenJob
from gusto_pipeline.gusto.catalog import CATEGORIES, COMPANY_CATEGORIES, Category
from gusto_pipeline.jobs import changes_of, flatten, job_tables
from gusto_pipeline.resources.pipeline import PipelineResource
from gusto_pipeline.spreadsheets.changes import Counts, load
from gusto_pipeline.spreadsheets.workbook import Subject, write_tables
from gusto_pipeline.spreadsheets.writers import Written
from gusto_pipeline.warehouse.flatten import rows
from gusto_pipeline.warehouse.publish import publish

CHANGES = "changes"
NEWS = "schema_changes"  # what has become new or gone in Gusto's answers, with the run that noticed it


def spreadsheet_asset(category: Category) -> dg.AssetsDefinition:
    """The asset that writes a category's workbook and files for a company."""
    tables = [table_rows for source in category.sources for table_rows in rows(source.table)]

    @dg.asset(
        key=["spreadsheets", category.name],
        partitions_def=companies,
        deps=[table_key(table_rows.table.name) for table_rows in tables],
        group_name="spreadsheets",
        kinds={"excel", "csv"},
        owners=OWNERS,
        description=f"{category.title} as spreadsheets. {category.comment}",
    )
    def spreadsheet(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Iterator[Any]:
        settings = pipeline.settings()

        def one(slug: str) -> dict[str, Any]:
            versions = settings.versions / slug / category.name
            before = load(versions)
            files = write_tables(
                pipeline.warehouse(),
                category.name,
                tables,
                pipeline.company(slug).uuid,
                settings.spreadsheets_folder / slug,
                formats=settings.spreadsheets.formats,
                timezone=settings.spreadsheets.timezone,
                subject=Subject(category.title, category.comment, [category.name], versions),
            )
            return _metadata(files, changes_of(before, load(versions), files))

        written, problems = each_company(context, one)
        yield from finish(context, {context.asset_key: written}, problems)

    return spreadsheet


def _metadata(files: list[Written], changes: dict[str, Counts]) -> dict[str, Any]:
    first = files[0]
    metadata: dict[str, Any] = {
        "path": dg.MetadataValue.path(str(first.path)),
        "dagster/row_count": next(iter(first.sheets.values()), 0),
        "sheets": len(first.sheets),
        "files": len(files),
        "bytes": sum(file.bytes for file in files),
        "sha256": first.sha256,
        "unchanged": all(file.unchanged for file in files),
        "unchanged_since": dg.MetadataValue.timestamp(max(file.since for file in files)),
    }
    if warnings := [warning for file in files for warning in file.warnings]:
        metadata["warnings"] = "; ".join(warnings)
    if first.news:
        metadata[NEWS] = "\n".join(first.news)
    return metadata | _changes(changes)


def _changes(changes: dict[str, Counts]) -> dict[str, Any]:
    """How much of which sheet is other than before; the run sensors tell people of it."""
    if not changes:
        return {}
    return {CHANGES: dg.MetadataValue.json({sheet: asdict(counts) for sheet, counts in changes.items()})}


def job_asset(job: FlattenJob) -> dg.AssetsDefinition:
    """The asset of a flatten job declared in pipeline.yaml. It reads the job anew at each run."""

    @dg.asset(
        key=["spreadsheets", job.name],
        partitions_def=companies,
        deps=[
            *(table_key(table_rows.table.name) for table_rows in job_tables(job)),
            *([connections.GOOGLE] if job.format == "google_sheets" else []),
        ],
        group_name="spreadsheets",
        kinds={"excel" if job.format == "xlsx" else job.format},
        owners=OWNERS,
        description=f"Job {job.name} of pipeline.yaml: {', '.join(job.categories)} as {job.format}, {job.frequency}.",
    )
    def flattened(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Iterator[Any]:
        settings = pipeline.settings()
        run = context.run.run_id
        made, problems = each_company(
            context, lambda slug: flatten(settings.job(job.name), pipeline.company(slug), settings, run=run)
        )
        metadata = {
            slug: {
                "path": dg.MetadataValue.url(done.place) if "://" in done.place else dg.MetadataValue.path(done.place),
                "dagster/row_count": next(iter(done.sheets.values()), 0),
                "sheets": len(done.sheets),
                "bytes": done.bytes,
                "unchanged": not done.changed,
                **({"unchanged_since": dg.MetadataValue.timestamp(done.since)} if done.since else {}),
                **({"warnings": "; ".join(done.warnings)} if done.warnings else {}),
                **_changes(done.changes),
                **({NEWS: "\n".join(done.news)} if done.news else {}),
            }
            for slug, done in made.items()
        }
        yield from finish(context, {context.asset_key: metadata}, problems)

    return flattened


spreadsheet_assets = {name: spreadsheet_asset(category) for name, category in CATEGORIES.items()}


@dg.asset(
    key="analytics",
    partitions_def=companies,
    deps=[table_key(table.name) for name in COMPANY_CATEGORIES for table in CATEGORIES[name].tables()],
    group_name="spreadsheets",
    kinds={"duckdb"},
    owners=OWNERS,
    description="The analysts' DuckDB file: staging and flat tables of every company without secret columns. It is "
    "replaced whole after a sync, so it is never locked by the pipeline and never half-written.",
)
def analytics(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Iterator[Any]:
    settings = pipeline.settings()

    @cache  # it holds every company
    def size() -> int:
        return publish(pipeline.warehouse(), settings.analytics)

    def one(slug: str) -> dict[str, Any]:
        return {"path": dg.MetadataValue.path(str(settings.analytics)), "bytes": size()}

    made, problems = each_company(context, one)
    yield from finish(context, {context.asset_key: made}, problems)
