"""Taking on who is in a file of new hires: a job, a sensor that watches the folder, and one that has apps planned.

The files stay where they are read: Dagster keeps their names and hashes, and how many people ended how.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from gusto_pipeline import onboarding
from gusto_pipeline.assets.companies import OWNERS, PROBLEMS, companies
from gusto_pipeline.automation.hr import company_called
from gusto_pipeline.automation.schedules import companies_with_apps
from gusto_pipeline.clock import utcnow
from gusto_pipeline.new_hires import HiresError
from gusto_pipeline.onboarding import Processed, Result
from gusto_pipeline.resources.pipeline import GustoResource, PipelineResource

NEW_HIRES = dg.AssetKey("new_hires")

new_hires = dg.AssetSpec(
    NEW_HIRES,
    group_name="onboarding",
    kinds={"gusto"},
    owners=OWNERS,
    partitions_def=companies,
    description="People whom files of new hires have created in Gusto: a materialization for each file that did, by "
    "the job onboard_new_hires, with how many rows ended how.",
)


class NewHiresFile(dg.Config):
    """A file of new hires, and whose they are."""

    file: str = Field(description="Its name in the folder of pipeline.yaml's section onboarding, or its path.")
    content: str = Field("", description="SHA-256 of it, so that running this again means the same content.")
    company: str = Field("", description="In place of pipeline.yaml's onboarding.company: short name, name or uuid.")


@dg.op(name="onboard", description="Creates everybody in the file whom nobody has created yet.")
def onboard(
    context: dg.OpExecutionContext, config: NewHiresFile, pipeline: PipelineResource, gusto: GustoResource
) -> None:
    settings = pipeline.settings()

    def tell(result: Result, of: int) -> None:
        said = "; ".join((str(result.outcome), *result.brief))
        context.log.info(f"row {result.row} ({of} in all): employee {result.employee_uuid or 'none'}: {said}")

    try:
        company = company_called(pipeline, config.company or settings.onboarding.company)
        file = onboarding.find_file(settings, config.file, config.content)
        done = onboarding.process(settings, company, file, lambda: gusto.client(company), on_result=tell)
    except HiresError as wrong:
        raise dg.Failure(wrong.said(20), allow_retries=False) from None
    except (*PROBLEMS, OSError) as problem:
        raise dg.Failure(
            f"{problem}. Execute this run again: it goes on where this one stopped", allow_retries=False
        ) from None
    metadata: dict[str, Any] = {"result": str(done.result_file), **done.counts()}
    context.add_output_metadata(metadata)
    if done.created:
        context.instance.add_dynamic_partitions("companies", [company.slug])
        context.log_event(dg.AssetMaterialization(NEW_HIRES, partition=company.slug, metadata=metadata))
    if done.unfinished:
        raise dg.Failure(_briefly(done), allow_retries=False)


@dg.job(
    name="onboard_new_hires",
    description="Take on everybody in a file of new hires, each once. Running it again does what was left undone.",
)
def onboard_new_hires() -> None:
    onboard()


@dg.sensor(
    job_name=onboard_new_hires.name,  # an object would be copied, with a warning about a beta parameter
    minimum_interval_seconds=60,
    description="Has every file that is put into the folder of new hires processed once, and again each hour while it "
    "lies there because Gusto could not be reached.",
)
def onboarding_folder(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> Iterator[Any]:
    settings = pipeline.settings()
    waiting = onboarding.waiting_files(settings, utcnow())
    for file in waiting:
        config = NewHiresFile(file=file.name, content=file.digest, company="")
        yield dg.RunRequest(run_key=file.key, run_config=dg.RunConfig({"onboard": config}))
    if not waiting:
        yield dg.SkipReason(f"no whole file lies in {settings.onboarding.folder}")


def new_hires_apps(job: Any) -> dg.SensorDefinition:
    """A sensor that has a company's accounts reconciled once people were created from a file."""

    @dg.sensor(
        name="new_hires_apps",
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Plans the apps of people who were created from a file; nothing is done to any account by this.",
    )
    def sensor(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SensorResult:
        after = int(context.cursor) if context.cursor else None
        made = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(NEW_HIRES, after_storage_id=after), limit=100, ascending=True
        ).records
        latest = {str(record.partition_key): record.storage_id for record in made}
        slugs = [slug for slug in companies_with_apps(pipeline) if slug in latest]
        requests = [dg.RunRequest(run_key=f"{slug}-{latest[slug]}", partition_key=slug) for slug in slugs]
        cursor = str(made[-1].storage_id) if made else context.cursor
        return dg.SensorResult(requests, cursor=cursor, skip_reason=None if requests else "nobody was created")

    return sensor


def _briefly(done: Processed) -> str:
    lines = [
        f"row {one.row}: employee {one.employee_uuid or '(none yet)'} is {one.outcome}: {'; '.join(one.brief)}"
        for one in done.unfinished
    ]
    more = f"; and {len(lines) - 20} more" if len(lines) > 20 else ""
    return f"{'; '.join(lines[:20])}{more}. What to do is in {done.result_file}; execute this run again to do the rest"
