"""One Gusto grant is one company, and one company is one partition of every asset."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import dagster as dg

from gusto_pipeline.connections.store import ConnectionStoreError
from gusto_pipeline.gusto.errors import GustoError
from gusto_pipeline.gusto.fetch import DroppedFileError
from gusto_pipeline.provisioning.errors import AppError
from gusto_pipeline.provisioning.links import HandDecisionError
from gusto_pipeline.provisioning.people import PeopleError
from gusto_pipeline.provisioning.plans import PlanError
from gusto_pipeline.provisioning.reconciliation import RuleError
from gusto_pipeline.spreadsheets.writers import SpreadsheetError
from gusto_pipeline.sync import UnknownCompanyError
from gusto_pipeline.warehouse.load import LoadError
from gusto_pipeline.warehouse.warehouse import WarehouseError

OWNERS = ["team:people-data"]
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26))  # once a day, and two hours for it

companies = dg.DynamicPartitionsDefinition(name="companies")

# Everything that can go wrong with the outside world; anything else is a bug and shows its traceback.
PROBLEMS = (
    AppError,
    GustoError,
    HandDecisionError,
    PeopleError,
    PlanError,
    RuleError,
    LoadError,
    DroppedFileError,
    WarehouseError,
    ConnectionStoreError,
    SpreadsheetError,
    UnknownCompanyError,
)

Result = TypeVar("Result")


def each_company(
    context: dg.AssetExecutionContext, work: Callable[[str], Result], slugs: Iterable[str] | None = None
) -> tuple[dict[str, Result], dict[str, Exception]]:
    """Do `work` for every company of the run, or only for `slugs`; one company's problem never stops another.

    Gives results and problems by partition key.
    """
    results: dict[str, Result] = {}
    problems: dict[str, Exception] = {}
    for slug in context.partition_keys if slugs is None else slugs:
        try:
            results[slug] = work(slug)
        except PROBLEMS as problem:
            context.log.error(f"{slug}: {problem}")
            problems[slug] = problem
    return results, problems


def finish(
    context: dg.AssetExecutionContext,
    metadata: dict[dg.AssetKey, dict[str, dict[str, Any]]],
    problems: dict[str, Exception],
) -> Iterator[dg.MaterializeResult | dg.AssetMaterialization]:
    """Materialize what worked, with each company's own metadata, then fail the step naming what did not.

    `metadata` is by asset key and partition key. No step retries: the client has already retried what can pass.
    """
    if problems:
        for key, by_company in metadata.items():
            for slug, values in by_company.items():
                yield dg.AssetMaterialization(key, partition=slug, metadata=values)
        text = "; ".join(f"{slug}: {problem}" for slug, problem in problems.items())
        texts = {slug: str(problem) for slug, problem in problems.items()}
        raise dg.Failure(text, metadata=texts, allow_retries=False)
    for key, by_company in metadata.items():
        for slug, values in by_company.items():
            context.add_asset_metadata(values, asset_key=key, partition_key=slug)
        yield dg.MaterializeResult(asset_key=key)
