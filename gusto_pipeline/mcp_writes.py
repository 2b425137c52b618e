"""Tools that write to Gusto by the Model Context Protocol, where they are switched on, for those named as HR.

Each write takes two calls. The first checks everything, writes nothing, and says what would change, by field, with a
confirmation; the second, with the same arguments and that confirmation, carries it out. A confirmation is good once,
for ten minutes, for who got it. No answer repeats a value, and there is no field for a social security number. Each
call is recorded without its content, as `planned`, `refused`, `confirmed`, and how it ended.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from gusto_pipeline.answers.callers import Caller, find_caller, record
from gusto_pipeline.clock import Clock
from gusto_pipeline.config import Settings
from gusto_pipeline.gusto import actions
from gusto_pipeline.gusto.actions import Created, FlsaStatus, PaymentUnit, Person, Status, Warned
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import GustoError, MissingScopeError, NotFoundError, NotSentError, ReauthorizeError
from gusto_pipeline.sync import UnknownCompanyError, open_warehouse

Connect = Callable[[str], AbstractContextManager[GustoClient]]  # by the company's uuid

VALID = timedelta(minutes=10)
_WORDED_BY_US = (NotSentError, MissingScopeError, NotFoundError, ReauthorizeError)  # the others may quote values

_Day = Annotated[date | None, Field(description="Such as 2027-01-04")]
_From = Annotated[date | None, Field(description="From which day on; a new day makes a new entry")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Employee(_Part):
    """Who somebody is. What is left out stays, or is asked for by Gusto."""

    first_name: str | None = None
    last_name: str | None = None
    middle_initial: str | None = None
    preferred_first_name: str | None = None
    email: str | None = Field(None, description="Their own; needed for self-onboarding")
    work_email: str | None = None
    date_of_birth: _Day = None


class HomeAddress(_Part):
    """Where somebody lives."""

    street_1: str | None = None
    street_2: str | None = None
    city: str | None = None
    state: str | None = Field(None, description="Two letters")
    zip: str | None = None
    effective_date: _From = None


class WorkAddress(_Part):
    """Where somebody works."""

    location: str = Field(description="Street, city or uuid of one of the company's locations")
    effective_date: _From = None


class Job(_Part):
    """What somebody does, and since when."""

    title: str | None = None
    hire_date: _Day = None


class Compensation(_Part):
    """What somebody is paid."""

    rate: str | None = Field(None, pattern=r"^\d+(\.\d{1,2})?$", description="Money per unit, such as 61000.00")
    payment_unit: PaymentUnit | None = None
    flsa_status: FlsaStatus | None = None
    effective_date: _From = None


@dataclass(frozen=True)
class Write:
    """What came of a call. fields: by part, those that would be or were written. confirmation: for the second call."""

    state: Literal["planned", "refused", "done", "partial", "failed"]
    text: str
    employee: str | None = None
    fields: dict[str, list[str]] | None = None
    confirmation: str | None = None


@dataclass(frozen=True)
class _Planned:
    """What a confirmation was given for: by whom, the call, the person as they were then."""

    caller: Caller
    call: tuple[str, dict[str, Any]]
    until: datetime
    base: Person | None


def may_write(settings: Settings, caller: Caller | None, *, clock: Clock) -> bool:
    """Whether this is an employee of today whom pipeline.yaml names, and nobody else it could mean, as HR."""
    return caller is not None and any(
        find_caller(settings, named, clock=clock) == caller for named in settings.answers.hr
    )


def write_tools(settings: Settings, who: Callable[[], Caller | None], connect: Connect, clock: Clock) -> list[Tool]:
    """`create_employee` and `update_employee`. `connect` opens a client that uses a company's grant."""
    writes = _Writes(settings, connect, clock)

    def create_employee(
        employee: Employee,
        home_address: HomeAddress | None = None,
        work_address: WorkAddress | None = None,
        job: Job | None = None,
        compensation: Compensation | None = None,
        confirmation: str | None = None,
    ) -> Write:
        """Take somebody on in Gusto. First call without a confirmation: nothing is written, and you are told which
        fields would be. Show that to the person you work for; with their yes, call again with the same arguments and
        the confirmation."""
        given = {"employee": employee, "home_address": home_address, "work_address": work_address, "job": job}
        return writes.create(who(), _plain({**given, "compensation": compensation}), confirmation)

    def update_employee(
        employee_uuid: str,
        employee: Employee | None = None,
        home_address: HomeAddress | None = None,
        work_address: WorkAddress | None = None,
        job: Job | None = None,
        compensation: Compensation | None = None,
        confirmation: str | None = None,
    ) -> Write:
        """Change what Gusto knows of an employee; what is left out stays. First call without a confirmation: nothing is
        written, and you are told which fields would be. Show that to the person you work for; with their yes, call
        again with the same arguments and the confirmation. What others changed in between is left as they left it."""
        given = {"employee": employee, "home_address": home_address, "work_address": work_address, "job": job}
        return writes.update(who(), employee_uuid, _plain({**given, "compensation": compensation}), confirmation)

    return [_tool(create_employee, destroys=False), _tool(update_employee, destroys=True)]


def _tool(function: Callable[..., Write], *, destroys: bool) -> Tool:
    """The tool of a function; arguments that do not fit are refused without being repeated."""
    hints = ToolAnnotations(read_only_hint=False, destructive_hint=destroys, idempotent_hint=destroys)
    tool = Tool.from_function(function, annotations=hints)
    arguments = tool.fn_metadata.arg_model
    arguments.model_config["hide_input_in_errors"] = True
    arguments.model_rebuild(force=True)
    return tool


class _Writes:
    """The writes of one server, and the confirmations it has given that are still good."""

    def __init__(self, settings: Settings, connect: Connect, clock: Clock) -> None:
        self._settings, self._connect, self._clock = settings, connect, clock
        self._planned: dict[str, _Planned] = {}

    def create(self, caller: Caller | None, parts: dict[str, Any], confirmation: str | None) -> Write:
        others = {name: body for name, body in parts.items() if name != "employee"}

        def plan(client: GustoClient) -> tuple[dict[str, list[str]], None]:
            actions.check_creation(client, parts.get("employee", {}), **others)
            return {name: list(body) for name, body in parts.items()}, None

        def carry_out(client: GustoClient, base: Person | None) -> Write:
            made = actions.create_employee(client, parts.get("employee", {}), **others, progress=self._keep)
            more = f" To do the rest: gusto-pipeline employees resume {self._file(made)}" if self._keep(made) else ""
            fields = {name: list(parts[name]) for name in made.done}
            return Write(_state(made.status), _said(made.warnings) + more, made.employee_uuid, fields)

        return self._two_steps(caller, "create_employee", parts, None, confirmation, plan, carry_out)

    def update(self, caller: Caller | None, uuid: str, parts: dict[str, Any], confirmation: str | None) -> Write:
        others = {name: body for name, body in parts.items() if name != "employee"}

        def plan(client: GustoClient) -> tuple[dict[str, list[str]], Person]:
            return actions.planned_update(client, uuid, parts.get("employee"), **others)

        def carry_out(client: GustoClient, base: Person | None) -> Write:
            done = actions.update_employee(client, uuid, parts.get("employee"), **others, base=base)
            clashes = ", ".join(f"{conflict.part}.{conflict.field}" for conflict in done.conflicts)
            more = f" Others changed these meanwhile, and they were left so: {clashes}." if clashes else ""
            return Write(_state(done.status), _said(done.warnings) + more, uuid, done.changed)

        return self._two_steps(caller, "update_employee", parts, uuid, confirmation, plan, carry_out)

    def _two_steps(
        self,
        caller: Caller | None,
        tool: str,
        parts: dict[str, Any],
        uuid: str | None,
        confirmation: str | None,
        plan: Callable[[GustoClient], tuple[dict[str, list[str]], Person | None]],
        carry_out: Callable[[GustoClient, Person | None], Write],
    ) -> Write:
        def recorded(write: Write, outcome: str = "") -> Write:
            about = [write.employee] if write.employee else []
            with open_warehouse(self._settings).write() as connection:
                record(
                    connection, caller, via="mcp", topic=tool, about=about, outcome=outcome or write.state,
                    at=self._clock(),
                )  # fmt: skip
            return write

        if caller is None or not may_write(self._settings, caller, clock=self._clock):
            return recorded(Write("refused", "You are not named as HR, so you may not write to Gusto."))
        call = (tool, {"uuid": uuid, **parts})
        planned = self._planned.pop(confirmation, None) if confirmation else None
        if confirmation and not (planned and (planned.caller, planned.call) == (caller, call) and self._good(planned)):
            text = (
                "This confirmation is not good for this call, or no longer. Call without one to see what it would do."
            )
            return recorded(Write("refused", text, uuid))
        try:
            with self._connect(caller.company) as client:
                if planned:
                    recorded(Write("planned", "", uuid), "confirmed")
                    return recorded(carry_out(client, planned.base))
                fields, base = plan(client)
        except (GustoError, UnknownCompanyError) as error:
            return recorded(Write("failed" if planned else "refused", _brief(error), uuid))
        if not fields:
            return recorded(Write("refused", "Gusto says all of that already; nothing is to be written.", uuid))
        self._planned = {key: one for key, one in self._planned.items() if self._good(one)}
        key = secrets.token_urlsafe(16)
        self._planned[key] = _Planned(caller, call, self._clock() + VALID, base)
        text = "Nothing was written yet. With a person's yes, call again with the same arguments and this confirmation."
        return recorded(Write("planned", text, uuid, fields, key))

    def _good(self, planned: _Planned) -> bool:
        return self._clock() < planned.until

    def _keep(self, made: Created) -> bool:
        return made.keep(self._file(made))

    def _file(self, made: Created) -> Path:
        return self._settings.unfinished / f"{made.id}.json"


def _plain(parts: dict[str, _Part | None]) -> dict[str, Any]:
    """The parts that are given, as JSON has them, without what was left out."""
    given = {name: body.model_dump(mode="json", exclude_none=True) for name, body in parts.items() if body}
    return {name: body for name, body in given.items() if body}


def _state(status: Status) -> Literal["done", "partial", "failed"]:
    match status:
        case Status.DONE:
            return "done"
        case Status.PARTIAL:
            return "partial"
        case Status.FAILED:
            return "failed"


def _said(warnings: Iterable[Warned]) -> str:
    return "; ".join(warned.brief for warned in warnings) or "Gusto has it."


def _brief(error: GustoError | UnknownCompanyError) -> str:
    if isinstance(error, GustoError) and not isinstance(error, _WORDED_BY_US):
        return Warned("Gusto", "", type(error).__name__, error.request_id).brief
    return str(error)
