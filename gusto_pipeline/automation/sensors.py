"""What reacts: partitions follow the connected companies, failures are said aloud."""

import dagster as dg

from gusto_pipeline.assets.companies import companies
from gusto_pipeline.automation.launch import cause
from gusto_pipeline.automation.schedules import wanted_companies
from gusto_pipeline.resources.pipeline import PipelineResource


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


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Says in the log which run failed, for which company and why.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    company = context.dagster_run.tags.get("dagster/partition", "")
    causes = "; ".join(map(cause, context.get_step_failure_events())) or str(context.failure_event.message)
    context.log.error(f"{context.dagster_run.job_name} failed for {company or 'several companies'}: {causes}")
