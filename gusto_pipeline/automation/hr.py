"""Jobs that write to Gusto: take an employee on, or change one. What to write is typed into Dagster's launchpad.

What is typed there is the run's configuration: Dagster keeps it with the run and shows it to whoever may see runs.
Beyond it, nothing but ids gets into logs and metadata. A social security number is no field here for that reason:
`gusto-pipeline employees update UUID --ask-ssn` sends one without a trace, and self-onboarding asks the person.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field

from gusto_pipeline.gusto import actions
from gusto_pipeline.gusto.actions import Created, Status
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import GustoError
from gusto_pipeline.resources.pipeline import GustoResource, PipelineResource
from gusto_pipeline.sync import Company, UnknownCompanyError, connected_companies


class PaymentUnit(Enum):
    """What the rate is for."""

    HOUR = "Hour"
    WEEK = "Week"
    MONTH = "Month"
    YEAR = "Year"
    PAYCHECK = "Paycheck"


class FlsaStatus(Enum):
    """How the Fair Labor Standards Act sees the job."""

    EXEMPT = "Exempt"
    SALARIED_NONEXEMPT = "Salaried Nonexempt"
    NONEXEMPT = "Nonexempt"
    OWNER = "Owner"
    COMMISSION_ONLY_EXEMPT = "Commission Only Exempt"
    COMMISSION_ONLY_NONEXEMPT = "Commission Only Nonexempt"


COMPANY = Field("", description="The company's short name, legal name or uuid; not needed if there is only one.")
LOCATION = Field(description="Street, city or uuid of one of the company's locations.")
FROM = Field(None, description="From which day on, such as 2027-01-04. A new day makes a new entry.")
RATE = Field(description="Money per payment unit, such as 61000.00.")


class HomeAddress(dg.Config):
    """Where somebody lives."""

    street_1: str
    street_2: str | None = None
    city: str
    state: str = Field(description="Two letters.")
    zip: str
    effective_date: str | None = FROM


class WorkAddress(dg.Config):
    """Where somebody works."""

    location: str = LOCATION
    effective_date: str | None = FROM


class Job(dg.Config):
    """What somebody does, and since when. Gusto lets only some applications write jobs."""

    title: str
    hire_date: str = Field(description="Such as 2027-01-04.")


class Compensation(dg.Config):
    """What somebody is paid."""

    rate: str = RATE
    payment_unit: PaymentUnit
    flsa_status: FlsaStatus
    effective_date: str | None = FROM


class NewEmployee(dg.Config):
    """Somebody to take on, with what of the other parts is known."""

    company: str = COMPANY
    first_name: str
    last_name: str
    middle_initial: str | None = None
    preferred_first_name: str | None = None
    email: str | None = Field(None, description="Their own; needed for self-onboarding.")
    work_email: str | None = None
    date_of_birth: str | None = Field(None, description="Such as 1990-12-10.")
    self_onboarding: bool | None = Field(None, description="Let Gusto ask the person for the rest.")
    home_address: HomeAddress | None = None
    work_address: WorkAddress | None = None
    job: Job | None = None
    compensation: Compensation | None = None


class ChangedHomeAddress(dg.Config):
    """What changes of where somebody lives."""

    street_1: str | None = None
    street_2: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    effective_date: str | None = FROM


class ChangedJob(dg.Config):
    """What changes of somebody's primary job."""

    title: str | None = None
    hire_date: str | None = None


class ChangedCompensation(dg.Config):
    """What changes of somebody's pay."""

    rate: str | None = Field(None, description="Money per payment unit, such as 61000.00.")
    payment_unit: PaymentUnit | None = None
    flsa_status: FlsaStatus | None = None
    effective_date: str | None = FROM


class ChangedEmployee(dg.Config):
    """What changes of an employee; what is left out stays."""

    company: str = COMPANY
    employee_uuid: str
    first_name: str | None = None
    last_name: str | None = None
    middle_initial: str | None = None
    preferred_first_name: str | None = None
    email: str | None = None
    work_email: str | None = None
    date_of_birth: str | None = None
    home_address: ChangedHomeAddress | None = None
    work_address: WorkAddress | None = None
    job: ChangedJob | None = None
    compensation: ChangedCompensation | None = None


@dg.op(name="take_on", description="Creates an employee, or goes on where the run that is executed again stopped.")
def take_on(
    context: dg.OpExecutionContext, config: NewEmployee, pipeline: PipelineResource, gusto: GustoResource
) -> None:
    employee, parts = _parts(config)
    first_run = context.run.tags.get("dagster/root_run_id", context.run_id)  # of those that executed it again
    unfinished = pipeline.settings().unfinished / f"{first_run}.json"
    with _connected(pipeline, gusto, config.company) as client:
        if unfinished.exists():
            left = Created.from_json(unfinished.read_text(encoding="utf-8"))
            given = {"employee": employee, **parts}  # may have been corrected since
            corrections = {part: body for part, body in given.items() if part in left.todo}
            made = actions.resume(client, left, corrections=corrections, progress=lambda now: now.keep(unfinished))
        else:
            made = actions.create_employee(client, employee, **parts, progress=lambda now: now.keep(unfinished))
    made.keep(unfinished)  # with its warnings
    context.add_output_metadata(
        {"employee_uuid": made.employee_uuid or "", "status": str(made.status), "done": ", ".join(made.done)}
    )
    context.log.info(f"{made.status}: employee {made.employee_uuid or 'none'}, done: {', '.join(made.done) or 'none'}")
    if made.status is not Status.DONE:
        raise dg.Failure(
            f"employee {made.employee_uuid or '(none yet)'} is {made.status}: {_briefly(made.warnings)}. Execute this "
            f"run again to do the rest, or see why: gusto-pipeline employees resume {unfinished}",
            allow_retries=False,
        )


@dg.op(name="change", description="Changes an employee; what others changed meanwhile is left as they left it.")
def change(
    context: dg.OpExecutionContext, config: ChangedEmployee, pipeline: PipelineResource, gusto: GustoResource
) -> None:
    uuid = config.employee_uuid
    employee, parts = _parts(config)
    with _connected(pipeline, gusto, config.company) as client:
        done = actions.update_employee(client, uuid, employee, **parts)
    changed = "; ".join(f"{part}: {', '.join(fields)}" for part, fields in done.changed.items())
    context.add_output_metadata({"employee_uuid": uuid, "status": str(done.status), "changed": changed})
    context.log.info(f"{done.status}: employee {uuid}, changed: {changed or 'nothing'}")
    if done.status is not Status.DONE:
        clashes = ", ".join(f"{conflict.part}.{conflict.field}" for conflict in done.conflicts)
        told = [f"changed by others too, and left alone: {clashes}"] if clashes else []
        told += [_briefly(done.warnings)] if done.warnings else []
        raise dg.Failure(f"employee {uuid} is changed in part only: {'; '.join(told)}", allow_retries=False)


@dg.job(
    name="create_employee",
    description="Take somebody on in Gusto, with addresses, job and pay. Dagster keeps what is typed in with the run.",
)
def create_employee() -> None:
    take_on()


@dg.job(
    name="update_employee",
    description="Change what Gusto knows of an employee; what is left out stays. Dagster keeps what is typed in with "
    "the run.",
)
def update_employee() -> None:
    change()


hr_jobs = [create_employee, update_employee]


def _parts(config: NewEmployee | ChangedEmployee) -> tuple[dict[str, Any], dict[str, Any]]:
    """The employee's own fields, and the other parts, without what was left out."""
    given = config.model_dump(mode="json", exclude_none=True, exclude={"company", "employee_uuid"})
    parts = {name: given.pop(name) for name in actions.PARTS if name in given}
    return given, parts


@contextmanager
def _connected(pipeline: PipelineResource, gusto: GustoResource, name: str) -> Iterator[GustoClient]:
    """A client for the company of that name, or the only one. What goes wrong fails the run in its own words."""
    try:
        with gusto.client(company_called(pipeline, name), reserve=0) as client:
            yield client
    except (GustoError, UnknownCompanyError) as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def company_called(pipeline: PipelineResource, name: str) -> Company:
    """The connected company of this name; without one, the only there is. Raises UnknownCompanyError."""
    if name:
        return pipeline.company(name)
    companies = connected_companies(pipeline.store())
    if len(companies) == 1:
        return companies[0]
    listed = ", ".join(company.slug for company in companies) or "none"
    raise UnknownCompanyError(f"Which company? Fill in company. Connected: {listed}.")


def _briefly(warnings: tuple[actions.Warned, ...]) -> str:
    return "; ".join(warned.brief for warned in warnings)
