"""Group `provisioning`: the accounts in each connected app, whose they are, what should become of them, and the report.

Only connected apps have assets. An app that cannot be read fails its check and not its step, so that it holds up no
other app and the report can say so.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg

from gusto_pipeline.assets.companies import DAILY, OWNERS, companies, each_company, finish
from gusto_pipeline.assets.staging import table_key
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.reconcile import AppRead, Reconciled, carry_out, reconcile, refresh_accounts
from gusto_pipeline.reports import Report, write_report
from gusto_pipeline.resources.pipeline import GustoResource, PipelineResource

PEOPLE_FROM = ("employees", "contractors", "admins", "locations", "time_off")
PLAN = dg.AssetKey("provisioning_plan")
ACTIONS = dg.AssetKey("provisioning_actions")
REPORT = dg.AssetKey("provisioning_report")
PEOPLE = dg.AssetKey("people")


def accounts_key(slug: str) -> dg.AssetKey:
    return dg.AssetKey(["accounts", slug])


def reconciliation_key(slug: str) -> dg.AssetKey:
    return dg.AssetKey(["reconciliation", slug])


def provisioning_assets(slugs: list[str]) -> list[dg.AssetsDefinition]:
    """The assets for these connected apps; none at all without any."""
    if not slugs:
        return []
    return [accounts_assets(slugs), reconciliation_asset(slugs), actions_asset(), report_asset()]


def accounts_assets(slugs: list[str]) -> dg.AssetsDefinition:
    """The accounts of each app, as of its last complete list; one step, which reads the apps side by side."""

    @dg.multi_asset(
        name="read_accounts",
        partitions_def=companies,
        can_subset=True,
        specs=[_accounts_spec(slug) for slug in slugs],
        check_specs=[
            dg.AssetCheckSpec(
                "complete",
                asset=accounts_key(slug),
                description="All pages were read, of the tenant that was connected, each id once.",
            )
            for slug in slugs
        ],
    )
    def accounts(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Iterator[Any]:
        wanted = [slug for slug in slugs if accounts_key(slug) in context.selected_asset_keys]

        def read(company: str) -> dict[str, AppRead]:
            settings = pipeline.settings()
            found = refresh_accounts(settings, pipeline.store(), pipeline.company(company), wanted)
            return {one.slug: one for one in found}

        reads, problems = each_company(context, read)
        for slug in wanted:
            bad = {company: found[slug].problem for company, found in reads.items() if slug in found}
            said = [f"{company}: {problem}" for company, problem in bad.items() if problem]
            key = dg.AssetCheckKey(accounts_key(slug), "complete")
            if key in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    asset_key=key.asset_key,
                    check_name=key.name,
                    passed=not said and not problems,
                    severity=dg.AssetCheckSeverity.ERROR,
                    description="; ".join(said) or None,
                )
        metadata = {
            accounts_key(slug): {company: _read(found.get(slug)) for company, found in reads.items()} for slug in wanted
        }
        yield from finish(context, metadata, problems)

    return accounts


def _accounts_spec(slug: str) -> dg.AssetSpec:
    one = app(slug)
    return dg.AssetSpec(
        accounts_key(slug),
        group_name="provisioning",
        kinds={slug.replace("_", ""), "duckdb"},
        owners=OWNERS,
        description=f"Every account in {one.name}. Removing there {one.removal}: {one.removal_note}.",
        metadata={"dagster/table_name": "warehouse.provisioning.accounts"},
        freshness_policy=DAILY,
    )


def _read(one: AppRead | None) -> dict[str, Any]:
    if one is None:
        return {"connected": False}
    if one.problem:
        return {"problem": one.problem, "read_at": dg.MetadataValue.timestamp(one.read_at)}
    return {
        "dagster/row_count": one.accounts,
        **{str(status): count for status, count in sorted(one.counts.items())},
        "requests": one.requests,
        "tenant": one.tenant,
        "read_at": dg.MetadataValue.timestamp(one.read_at),
    }


def reconciliation_asset(slugs: list[str]) -> dg.AssetsDefinition:
    """People, what was decided in each app, and the plan: one step, since each stands on the one before."""
    people_from = [table_key(table.name) for name in PEOPLE_FROM for table in CATEGORIES[name].tables()]
    specs = [
        dg.AssetSpec(
            PEOPLE,
            deps=people_from,
            group_name="provisioning",
            kinds={"duckdb"},
            owners=OWNERS,
            description="Persons: Gusto's employee and contractor records, merged where they are one human being's.",
            metadata={"dagster/table_name": "warehouse.provisioning.people"},
        ),
        *(
            dg.AssetSpec(
                reconciliation_key(slug),
                deps=[accounts_key(slug), PEOPLE],
                group_name="provisioning",
                kinds={"duckdb"},
                owners=OWNERS,
                description=f"Who has access to {app(slug).name}, who should, and why: one decision for each person.",
                metadata={"dagster/table_name": "warehouse.provisioning.decisions"},
            )
            for slug in slugs
        ),
        dg.AssetSpec(
            PLAN,
            deps=[reconciliation_key(slug) for slug in slugs],
            group_name="provisioning",
            kinds={"json"},
            owners=OWNERS,
            description="What should be done to which account, now and in the next 14 days. Making it does nothing.",
        ),
    ]

    @dg.multi_asset(
        name="reconcile",
        partitions_def=companies,
        specs=specs,
        check_specs=[
            dg.AssetCheckSpec(
                "no_leaver_has_access",
                asset=reconciliation_key(slug),
                description="Nobody whose employment has ended can sign in.",
            )
            for slug in slugs
        ],
    )
    def decided(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Iterator[Any]:
        made, problems = each_company(
            context, lambda company: reconcile(pipeline.settings(), pipeline.store(), pipeline.company(company))
        )
        if not problems:
            for slug in slugs:
                live = {company: done.leavers_with_access(slug) for company, done in made.items()}
                said = [f"{company}: {count} leavers can sign in" for company, count in live.items() if count]
                yield dg.AssetCheckResult(
                    asset_key=reconciliation_key(slug),
                    check_name="no_leaver_has_access",
                    passed=not said,
                    severity=dg.AssetCheckSeverity.ERROR,
                    description="; ".join(said) or None,
                )
        metadata: dict[dg.AssetKey, dict[str, dict[str, Any]]] = {
            PEOPLE: {company: {"dagster/row_count": done.people} for company, done in made.items()},
            **{
                reconciliation_key(slug): {company: done.counts(slug) for company, done in made.items()}
                for slug in slugs
            },
            PLAN: {company: _plan(done) for company, done in made.items()},
        }
        yield from finish(context, metadata, problems)

    return decided


def _plan(done: Reconciled) -> dict[str, Any]:
    return {
        "plan": done.plan.id,
        "path": dg.MetadataValue.path(str(done.path)),
        "to_do": len(done.plan.items),
        "questions": len(done.plan.questions),
    }


def actions_asset() -> dg.AssetsDefinition:
    """The plan carried out as far as modes, approvals and brakes allow."""

    @dg.asset(
        key=ACTIONS,
        partitions_def=companies,
        deps=[PLAN],
        group_name="provisioning",
        kinds={"duckdb"},
        owners=OWNERS,
        description="What was done to accounts: of the plan just made, what pipeline.yaml's modes, people's approvals "
        "and the brakes allow. Every call is written down before and after.",
        metadata={"dagster/table_name": "warehouse.provisioning.intents"},
    )
    def actions(context: dg.AssetExecutionContext, pipeline: PipelineResource, gusto: GustoResource) -> Iterator[Any]:
        def one(slug: str) -> dict[str, Any]:
            settings, store, company = pipeline.settings(), pipeline.store(), pipeline.company(slug)
            made = reconcile(settings, store, company)
            applied = carry_out(
                settings, store, company, made.plan, who=f"run {context.run.run_id}",
                gusto=lambda: gusto.client(company), just_made=True,
            )  # fmt: skip
            counts = Counter(str(done.result) for done in applied.done)
            waits = Counter(gated.verdict.replace(" ", "_") for gated in applied.waiting)
            for done in applied.done:
                if done.problem:
                    context.log.warning(f"{slug}: {done.item.action} in {done.item.app}: {done.problem}")
            return {"state": applied.state, **counts, **waits}

        carried_out, problems = each_company(context, one)
        yield from finish(context, {context.asset_key: carried_out}, problems)

    return actions


def report_asset() -> dg.AssetsDefinition:
    """The report that an IT manager reads."""

    @dg.multi_asset(
        name="report",
        partitions_def=companies,
        specs=[
            dg.AssetSpec(
                REPORT,
                deps=[PLAN],
                group_name="provisioning",
                kinds={"excel", "html"},
                owners=OWNERS,
                freshness_policy=DAILY,
                description="Open risks, who has access to what, the next 14 days, questions, what was done: as a "
                "workbook and as a page.",
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "no_leaver_has_access",
                asset=REPORT,
                description="Nobody whose employment has ended can sign in anywhere.",
            ),
            dg.AssetCheckSpec("apps_were_read", asset=REPORT, description="Every connected app was read in full."),
        ],
    )
    def report(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Iterator[Any]:
        def one(slug: str) -> Report:
            return write_report(pipeline.settings(), pipeline.store(), pipeline.company(slug))

        made, problems = each_company(context, one)
        for name, bad in (
            ("no_leaver_has_access", {company: r.leavers_with_access for company, r in made.items()}),
            ("apps_were_read", {company: r.unread_apps for company, r in made.items()}),
        ):
            said = [f"{company}: {', '.join(found)}" for company, found in bad.items() if found]
            if not problems:
                yield dg.AssetCheckResult(
                    asset_key=REPORT,
                    check_name=name,
                    passed=not said,
                    severity=dg.AssetCheckSeverity.ERROR,
                    description="; ".join(said) or None,
                )
        metadata = {
            company: {
                "page": dg.MetadataValue.path(str(r.page)),
                "path": dg.MetadataValue.path(str(r.workbook)),
                **r.figures,
            }
            for company, r in made.items()
        }
        yield from finish(context, {REPORT: metadata}, problems)

    return report
