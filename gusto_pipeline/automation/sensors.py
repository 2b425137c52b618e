"""What reacts: partitions follow the connected companies, and people are told how runs ended.

The two run sensors look at every run of this Dagster instance, also at those started from a terminal, so that whatever
heals a company is noticed. Dagster keeps how far each has come: no run is told twice.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from gusto_pipeline import notify
from gusto_pipeline.assets.companies import companies
from gusto_pipeline.assets.connections import GOOGLE, GUSTO, by_company, checked, shown
from gusto_pipeline.assets.spreadsheets import CHANGES, NEWS
from gusto_pipeline.automation.schedules import companies_with_apps, wanted_companies
from gusto_pipeline.clock import utcnow
from gusto_pipeline.config import Notify
from gusto_pipeline.google_connection import google_standing
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.lifecycle import last_good_sync, standings
from gusto_pipeline.reconcile import AGAIN, Late, late_removals, sweep_due
from gusto_pipeline.resources.pipeline import PipelineResource
from gusto_pipeline.warehouse.flatten import bind
from gusto_pipeline.warehouse.warehouse import WarehouseError

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the company partitions in step with the connected companies.",
)
def company_partitions(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SensorResult:
    known = set(context.instance.get_dynamic_partitions("companies"))
    missing = [slug for slug in wanted_companies(pipeline) if slug not in known]
    requests = [companies.build_add_request(missing)] if missing else []
    return dg.SensorResult(
        dynamic_partitions_requests=requests,
        skip_reason=None if missing else "every connected company has its partition",
    )


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Shows at the assets of group connections how each stands, whenever that changes. It asks nobody.",
)
def connections(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SensorResult:
    settings = pipeline.settings()
    sides = {
        GUSTO: by_company(standings(settings, pipeline.store())),
        GOOGLE: by_company([google_standing(settings)]),
    }
    before = json.loads(context.cursor or "{}")
    now = {
        side.path[-1]: {name: [one.state, str(one.since), one.why] for name, one in stands.items()}
        for side, stands in sides.items()
    }
    events: list[Any] = []
    for side, stands in sides.items():
        seen, known = now[side.path[-1]], before.get(side.path[-1])
        for name in stands.keys() - {name for name in known or () if known[name] == seen.get(name)}:
            partition = name if side == GUSTO else None
            events.append(dg.AssetMaterialization(side, metadata=shown(stands[name]), partition=partition))
        if seen != known:
            events.append(dg.AssetCheckEvaluation(**checked(side, stands)))
    return dg.SensorResult(asset_events=events, cursor=json.dumps(now))


def removals_due(job: Any) -> dg.SensorDefinition:
    """A sensor that has a company's accounts swept as soon as somebody's access ends, and again until it has."""

    @dg.sensor(
        name="removals_due",
        job=job,
        minimum_interval_seconds=60,
        description="Sweeps a company's accounts within minutes of the instant at which somebody's access ends, and "
        "every ten minutes while a removal is still to be done.",
    )
    def sensor(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> Iterator[dg.RunRequest]:
        now = utcnow()
        for slug in companies_with_apps(pipeline):
            if why := sweep_due(pipeline.settings(), pipeline.company(slug), now):
                context.log.info(f"{slug}: {why}")
                slot = int(now.timestamp() // AGAIN.total_seconds())
                yield dg.RunRequest(run_key=f"{slug}-{slot}", partition_key=slug)

    return sensor


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Says when an account of somebody who left has been open for 30 minutes, and again after 60.",
)
def open_access(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SensorResult:
    now, settings, told = utcnow(), pipeline.settings(), json.loads(context.cursor or "{}")
    seen: dict[str, dict[str, float]] = {}
    for slug in companies_with_apps(pipeline):
        late = late_removals(settings, pipeline.company(slug), now)
        seen[slug] = {_unnamed(one): one.alert.total_seconds() for one in late}
        if any(alert > told.get(slug, {}).get(key, 0) for key, alert in seen[slug].items()):
            spans = {app: [now - one.ended_at for one in late if one.app == app] for app in {one.app for one in late}}
            message = notify.open_access(slug, spans, noticed_at=now, zone=settings.zone)
            context.log.error(message.title)
            tell(context.log, settings.notify, message, "failure")
    return dg.SensorResult(cursor=json.dumps(seen), skip_reason="nothing runs for it")


def _unnamed(one: Late) -> str:
    """Names an account and its holder in a cursor, which Dagster keeps: an id may be an address."""
    return hashlib.sha256(f"{one.app} {one.account_id} {one.person_id}".encode()).hexdigest()[:16]


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    monitor_all_code_locations=True,
    description="Says which run failed, for which company, why and what to do next: one message each, and in the log.",
)
def failed_runs(context: dg.RunFailureSensorContext, pipeline: PipelineResource) -> None:
    run, settings = context.dagster_run, pipeline.settings()
    told = settings.notify_of(_job(run))
    for company, found in problems(context.instance, run, str(context.failure_event.message)).items():
        causes = "; ".join(dict.fromkeys(problem.text for problem in found))
        context.log.error(f"{run.job_name} failed for {company or 'no company in particular'}: {causes}")
        if told.on_failure:
            message = notify.failure(
                run.job_name,
                company,
                found,
                failed_at=_ended(context.instance, run),
                last_good=_last_good(pipeline, company),
                again=again(run.job_name, company),
                run_id=run.run_id,
                zone=settings.zone,
            )
            tell(context.log, told, message, "failure")


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    monitor_all_code_locations=True,
    description="Says once that a job is good again for a company after a run that failed; each good run if asked to.",
)
def good_runs(context: dg.RunStatusSensorContext, pipeline: PipelineResource) -> None:
    run, settings, instance = context.dagster_run, pipeline.settings(), context.instance
    good_at, told = _ended(instance, run), settings.notify_of(_job(run))
    for company in _companies(instance, run):
        news = _news(instance, run, company) if told.on_drift else []
        if news:
            message = notify.drift(
                run.job_name, company, news, noticed_at=good_at, run_id=run.run_id, zone=settings.zone
            )
            tell(context.log, told, message, "info")
        before = _run_before(instance, run, company)
        if before and company in problems(instance, before):
            context.log.info(f"{run.job_name} is good again for {company}")
            if told.on_recovery:
                message = notify.recovery(
                    run.job_name,
                    company,
                    failed_at=_ended(instance, before),
                    good_at=good_at,
                    run_id=run.run_id,
                    zone=settings.zone,
                )
                tell(context.log, told, message, "success")
        elif told.on_success or told.on_change:
            changed = _changed(instance, run, company)
            if not (changed or told.on_success):
                continue
            categories, rows, requests = _brought(pipeline, company, run.run_id)
            message = notify.success(
                run.job_name,
                company,
                changed,
                good_at=good_at,
                categories=categories,
                rows=rows,
                requests=requests,
                run_id=run.run_id,
                zone=settings.zone,
            )
            tell(context.log, told, message, "success")


def problems(instance: dg.DagsterInstance, run: dg.DagsterRun, otherwise: str = "") -> dict[str, list[notify.Problem]]:
    """Why `run` failed, by company; `otherwise` says it for a run that failed without a step. Empty if it did not."""
    if run.status != dg.DagsterRunStatus.FAILURE:
        return {}
    about = _companies(instance, run)
    found: dict[str, list[notify.Problem]] = {}
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        failure = event.step_failure_data if event else None
        said = failure.user_failure_data if failure else None
        if said and said.metadata and said.metadata.keys() <= set(about):
            # `assets.companies.finish` says it company by company.
            texts = {company: str(value.value) for company, value in said.metadata.items()}
        elif said and said.description:
            texts = dict.fromkeys(about, said.description)
        else:
            # Not written for people, and may quote what it stumbled over.
            error = failure.error if failure else None
            kind = (error.cause or error).cls_name if error else "unknown"
            text = f"an error nobody foresaw ({kind}). Its traceback is with the run in Dagster's UI"
            texts = dict.fromkeys(about, text)
        for company, text in texts.items():
            found.setdefault(company, []).append(notify.Problem(entry.step_key or "", text))
    return found or {company: [notify.Problem(run.job_name, otherwise)] for company in about}


def _job(run: dg.DagsterRun) -> str:
    """The flatten job of pipeline.yaml that `run` is of; another name if it is of none."""
    return run.job_name.removeprefix("flatten_")


def again(job: str, company: str) -> str:
    """How a person starts a run of this job at once."""
    kind, _, name = job.partition("_")
    name = name.removesuffix("_only") if kind == "sync" else name
    command = {
        ("flatten", name): f"flatten {name}",
        ("export", name): f"profiles {name}",
        ("sync", "everything"): "sync",
        ("sync", "learners"): "learners sync",
        **{("sync", category): f"sync {category}" for category in CATEGORIES},
    }.get((kind, name))
    if not company or not command:
        return "start the job again in Dagster's UI"
    return f"gusto-pipeline {command} --company {company}"


def _changed(instance: dg.DagsterInstance, run: dg.DagsterRun, company: str) -> list[notify.Changed]:
    """What the run's spreadsheets of a company say has changed in them, sheet by sheet."""
    found = []
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        made = entry.asset_materialization
        if made and made.partition == company and CHANGES in made.metadata:
            sheets: Any = made.metadata[CHANGES].value
            for sheet, counts in sheets.items():
                found.append(notify.Changed(f"{made.asset_key.path[-1]}, {sheet}", **counts))
    return found


def _news(instance: dg.DagsterInstance, run: dg.DagsterRun, company: str) -> list[str]:
    """What has become new or gone in Gusto's answers for a company, as the steps of a run say it."""
    found = []
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        made = entry.asset_materialization
        if made and made.partition == company and NEWS in made.metadata:
            found += str(made.metadata[NEWS].value).splitlines()
    return list(dict.fromkeys(found))


def _companies(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """The companies a run is about; one empty name for a run about none."""
    if "dagster/partition" in run.tags:
        return [run.tags["dagster/partition"]]
    ends = [run.tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end")]
    known = list(instance.get_dynamic_partitions("companies"))
    if not all(end in known for end in ends):
        return [""]
    first, last = (known.index(str(end)) for end in ends)
    return known[first : last + 1]


def _run_before(instance: dg.DagsterInstance, run: dg.DagsterRun, company: str) -> dg.DagsterRun | None:
    """The run of the same job for `company` that was started before `run` and has ended."""
    record = instance.get_run_record_by_id(run.run_id)
    if record is None:
        return None
    # A run per company and tick: the one before is not further back than two rounds.
    limit = 2 * len(instance.get_dynamic_partitions("companies")) + 20
    wanted = dg.RunsFilter(job_name=run.job_name, statuses=ENDED, created_before=record.create_timestamp)
    earlier = (found.dagster_run for found in instance.get_run_records(wanted, limit=limit))
    return next((found for found in earlier if company in _companies(instance, found)), None)


def _ended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> datetime:
    record = instance.get_run_record_by_id(run.run_id)
    if record and record.end_time:
        return datetime.fromtimestamp(record.end_time, UTC)
    return record.update_timestamp if record else datetime.min.replace(tzinfo=UTC)


def _last_good(pipeline: PipelineResource, company: str) -> datetime | None:
    try:
        return last_good_sync(pipeline.warehouse(), company)
    except WarehouseError:
        return None


def _brought(pipeline: PipelineResource, company: str, run_id: str) -> tuple[int, int, int]:
    """Categories, rows and requests of a run."""
    with pipeline.warehouse().read() as connection:
        row: tuple[int, int, int] = bind(
            connection,
            "SELECT count(*), coalesce(sum(rows), 0)::BIGINT, coalesce(sum(requests), 0)::BIGINT "
            "FROM meta.syncs JOIN meta.companies USING (company_uuid) WHERE company = $1 AND run_id = $2",
            [company, run_id],
        ).fetchall()[0]
    return row


def tell(log: logging.Logger, told: Notify, message: notify.Message, kind: str) -> None:
    """Send a message to whom `told` names; where it did not arrive, the log says so."""
    try:
        notify.send(message, {variable: os.environ.get(variable, "") for variable in told.to}, kind)
    except notify.NotifyError as trouble:
        log.warning(str(trouble))
