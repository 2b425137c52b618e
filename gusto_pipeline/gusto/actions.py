"""What people in HR do in Gusto: look somebody up, take somebody on, change what is known of them.

Plain functions over a GustoClient. Each asks the token what it may (GET /v1/token_info) before it does anything, and
raises MissingScopeError naming what lacks; `SCOPES` lists what each needs. What is refused before anything was written
raises a GustoError; from then on, a result says what was done and what was not, with a warning per part that failed.
Records are Gusto's own, without social security numbers, account numbers and tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Literal
from uuid import uuid4

import httpx
from filelock import FileLock

from gusto_pipeline.gusto.call import endpoints, plan, problems_of, redacted
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import (
    ConflictError,
    GustoError,
    MalformedAnswerError,
    MissingScopeError,
    NotFoundError,
    NotSentError,
    ServerError,
    UnreachableError,
)

Record = dict[str, Any]
PaymentUnit = Literal["Hour", "Week", "Month", "Year", "Paycheck"]
FlsaStatus = Literal[
    "Exempt", "Salaried Nonexempt", "Nonexempt", "Owner", "Commission Only Exempt", "Commission Only Nonexempt"
]

PARTS = ("employee", "home_address", "work_address", "job", "compensation")

# By action; creating and updating also need what each part that is given needs.
SCOPES: dict[str, tuple[str, ...]] = {
    "list_employees": ("employees:read",),
    "get_employee": ("employees:read", "compensations:read"),
    "time_off": ("employees:read", "employee_time_off_activities:read", "time_off_requests:read"),
    "company": ("companies:read",),
    "locations": ("companies:read",),
    "create_employee": ("employees:read", "employees:manage"),
    "update_employee": ("employees:read",),
}
PART_SCOPES: dict[str, tuple[str, ...]] = {
    "employee": ("employees:write",),
    "home_address": ("employees:write",),
    "work_address": ("employees:manage", "companies:read"),
    "job": ("jobs:write",),
    "compensation": ("compensations:read", "compensations:write"),
}

_in_this_process = Lock()  # for creating with clients that share no folder with other processes

# After these nobody knows yet whether a write was carried out.
_UNKNOWN = (UnreachableError, ServerError, MalformedAnswerError)

_ADDRESS = ("street_1", "street_2", "city", "state", "zip")
# Fields that mean something only together: half of one change and half of another is a third thing nobody wanted.
_TOGETHER = (frozenset(_ADDRESS), frozenset({"rate", "payment_unit"}))
_PAY = ("rate", "payment_unit", "flsa_status", "title", "adjust_for_minimum_wage")
_WRITE_ONLY = frozenset({"ssn"})  # never shown, so it cannot be compared

# Not in Gusto's current description of what partner applications may use, though some may (see `create_employee`).
_JOB = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "hire_date": {"type": "string", "format": "date"},
        "two_percent_shareholder": {"type": "boolean"},
    },
}


class AlreadyEmployedError(NotSentError):
    """Nobody was created, because `employees` (uuids) have one of the e-mail addresses given."""

    def __init__(self, employees: tuple[str, ...]) -> None:
        super().__init__(
            f"there is an employee with this e-mail address already: {', '.join(employees)}. Update them, or rehire "
            "them if they have left; nobody was created"
        )
        self.employees = employees


class Status(StrEnum):
    """How an action ended: all of it, some of it, nothing."""

    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True)
class Warned:
    """What went wrong with one part, `kind` being the error's class. `text` may quote Gusto, `brief` never does."""

    part: str
    text: str
    kind: str = ""
    request_id: str | None = None

    def __str__(self) -> str:
        return f"{self.part}: {self.text}"

    @property
    def brief(self) -> str:
        """The part, the kind of error and Gusto's request id: nothing about anybody."""
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.part}: {self.kind}{request}"


@dataclass(frozen=True)
class Listing:
    """Rows of a list. `page` is None where all were read; `total` is how many there are, where Gusto says."""

    rows: list[Record]
    page: int | None
    total: int | None
    status: Status = Status.DONE
    warnings: tuple[Warned, ...] = ()


@dataclass(frozen=True)
class Person:
    """An employee, their current home address (None if none is known), and every compensation, oldest first."""

    employee: Record
    home_address: Record | None
    compensations: list[Record]
    status: Status = Status.DONE
    warnings: tuple[Warned, ...] = ()


@dataclass(frozen=True)
class TimeOff:
    """Somebody's time off: `activities` by type (vacation, sick), `balances` by policy, `requests`."""

    activities: dict[str, list[Record]]
    balances: list[Record]
    requests: list[Record]
    status: Status
    warnings: tuple[Warned, ...]


@dataclass(frozen=True)
class Standing:
    """What the token is good for: whose it is, and which scopes each action still lacks (none: it can be used)."""

    environment: str
    company_uuid: str | None
    owner_type: str | None
    scopes: tuple[str, ...]
    lacking: dict[str, list[str]]
    status: Status
    warnings: tuple[Warned, ...]


@dataclass(frozen=True)
class Created:
    """How far taking somebody on has come. `todo` holds what is still to send, by part, so that it can be resumed.

    known: employees who were there before and could be mistaken for the new one. needs_ssn: a social security number
    was given that was not sent yet; it is never kept here.
    """

    status: Status
    company_uuid: str
    employee_uuid: str | None = None
    job_uuid: str | None = None
    done: tuple[str, ...] = ()
    todo: dict[str, Record] = field(default_factory=dict)
    warnings: tuple[Warned, ...] = ()
    known: tuple[str, ...] = ()
    needs_ssn: bool = False
    id: str = field(default_factory=lambda: str(uuid4()))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    @staticmethod
    def from_json(text: str) -> Created:
        """The result written by `to_json`. Raises NotSentError when it is none."""
        try:
            row = json.loads(text)
            row["status"] = Status(row["status"])
            row["warnings"] = tuple(Warned(**each) for each in row["warnings"])
            row["done"], row["known"] = tuple(row["done"]), tuple(row["known"])
            return Created(**row)
        except (ValueError, TypeError, KeyError):
            raise NotSentError("this is no result of creating an employee: nothing to resume") from None

    def keep(self, file: Path) -> bool:
        """Keep it in a private file as long as there is something to resume; afterwards the file is deleted.

        Gives whether it was kept. Raises OSError.
        """
        if self.status is Status.DONE:
            file.unlink(missing_ok=True)
            return False
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(self.to_json(), encoding="utf-8")
        return True


Progress = Callable[[Created], object]


@dataclass(frozen=True)
class Conflict:
    """A field that somebody else changed meanwhile: as it was, as they left it, and as we wanted it."""

    part: str
    field: str
    base: Any
    theirs: Any
    ours: Any


@dataclass(frozen=True)
class Updated:
    """What came of a change: the fields written, by part, and those left alone because others changed them too."""

    status: Status
    employee_uuid: str
    changed: dict[str, list[str]]
    conflicts: tuple[Conflict, ...]
    warnings: tuple[Warned, ...]


# -- looking ------------------------------------------------------------------------------------------------------


def list_employees(
    client: GustoClient,
    *,
    search: str | None = None,
    page: int | None = None,
    per: int = 100,
    location: str | None = None,
    **filters: Any,
) -> Listing:
    """Employees of the token's company: all of them, or one `page` of `per` (100 at most).

    search: in their names. location: uuid or name as for `find_location`. filters: Gusto's own (onboarded,
    onboarded_active, terminated, terminated_today, uuids, sort_by, include). Raises NotSentError for others.
    """
    company_uuid = _authorized(client, "list_employees", ("companies:read",) if location else ())
    query = {"search_term": search, **filters}
    if location:
        query["location_uuid"] = find_location(_all(client, f"/v1/companies/{company_uuid}/locations"), location)
    query = {name: value for name, value in query.items() if value is not None}
    path = plan("GET", "/v1/companies/{company_id}/employees", {"company_id": company_uuid, **query}).path
    if page is None:
        rows = _all(client, path, query, per=per)
        return Listing(redacted(rows), None, len(rows))
    answer = client.get(path, {**query, "page": page, "per": per})
    return Listing(redacted(json.loads(answer.body)), page, answer.total)


def get_employee(client: GustoClient, employee_uuid: str) -> Person:
    """One employee with current home address and all compensations, past and planned. Raises NotFoundError."""
    _authorized(client, "get_employee")
    return _person(client, employee_uuid)


def time_off(client: GustoClient, employee_uuid: str, *, start: str | None = None, end: str | None = None) -> TimeOff:
    """Activities, balances and requests (those with days from `start` to `end`, ISO dates) of one employee.

    Partial when some could not be read. Raises the GustoError if none could.
    """
    company_uuid = _authorized(client, "time_off")
    warnings: list[Warned] = []

    def read(part: str, path: str, **query: Any) -> Any:
        try:
            return _get(client, path, query)
        except GustoError as error:
            if len(warnings) == 3:
                raise
            warnings.append(_warned(part, error))
            return None

    of = f"/v1/employees/{employee_uuid}"
    activities = {
        kind: read(f"{kind} activities", f"{of}/time_off_activities", time_off_type=kind) or []
        for kind in ("vacation", "sick")
    }
    employee = read("balances", of) or {}
    requests = read("requests", f"/v1/companies/{company_uuid}/time_off_requests", start_date=start, end_date=end)
    return TimeOff(
        redacted(activities),
        redacted(employee.get("eligible_paid_time_off", [])),
        [redacted(row) for row in requests or () if (row.get("employee") or {}).get("uuid") == employee_uuid],
        Status.PARTIAL if warnings else Status.DONE,
        tuple(warnings),
    )


def company(client: GustoClient) -> Listing:
    """The token's company, as the only row; its uuid is in the field `uuid`."""
    return Listing([redacted(_get(client, f"/v1/companies/{_authorized(client, 'company')}"))], None, 1)


def locations(client: GustoClient) -> Listing:
    """The company's places of work."""
    rows = _all(client, f"/v1/companies/{_authorized(client, 'locations')}/locations")
    return Listing(rows, None, len(rows))


def find_location(rows: Iterable[Record], name: str) -> str:
    """The uuid of the active location with this uuid, street, city, or both: Gusto's locations have no other name.

    Raises NotSentError when there is none or several.
    """
    wanted = name.casefold().strip()
    rows = list(rows)
    for row in rows:
        if row["uuid"] == name:
            return name
    active = [row for row in rows if row.get("active", True)]
    found = [
        row
        for row in active
        if wanted in (str(row["street_1"]).casefold(), row["city"].casefold(), _place(row).casefold())
    ]
    if len(found) == 1:
        return str(found[0]["uuid"])
    several = "several locations are" if found else "no location is"
    listed = "; ".join(f"{_place(row)} ({row['uuid']})" for row in found or active) or "none"
    raise NotSentError(f"{several} called {name!r}: nothing was done. There are: {listed}")


def _place(row: Record) -> str:
    return f"{row['street_1']}, {row['city']}"


def environment(base_url: str) -> str:
    """`production`, `demo`, or the host of what else speaks the API."""
    host = httpx.URL(base_url).host
    return {"api.gusto.com": "production", "api.gusto-demo.com": "demo"}.get(host, host)


def validate(client: GustoClient, base_url: str, made_with: str | None = None) -> Standing:
    """Whose token it is and what it lacks for each action (GET /v1/token_info).

    base_url: where the client asks. made_with: where the connection was made. Where these are production and demo,
    nothing is asked and the standing is failed. Raises ReauthorizeError and, where the application's credentials are
    of the other environment, ClientCredentialsError.
    """
    here, there = environment(base_url), environment(made_with or base_url)
    if here != there:
        text = (
            f"the connection was made with Gusto's {there} ({made_with}), and GUSTO_BASE_URL is {here} ({base_url}): "
            "its tokens do not work there. Set GUSTO_BASE_URL back, or connect again: gusto-pipeline connect gusto"
        )
        return Standing(here, None, None, (), {}, Status.FAILED, (Warned("environment", text, "mismatch"),))
    info = client.token_info()
    needed = {name: {*scopes} for name, scopes in SCOPES.items()}
    needed["create_employee"].update(*PART_SCOPES.values())
    needed["update_employee"].update(*PART_SCOPES.values())
    lacking = {name: sorted(scopes - info.scopes) for name, scopes in needed.items()}
    warnings = [Warned(name, f"lacks {', '.join(missing)}", "scope") for name, missing in lacking.items() if missing]
    return Standing(
        here,
        info.company_uuid,
        info.owner_type,
        tuple(sorted(info.scopes)),
        lacking,
        Status.PARTIAL if warnings else Status.DONE,
        tuple(warnings),
    )


# -- taking somebody on -------------------------------------------------------------------------------------------


def create_employee(
    client: GustoClient,
    employee: Mapping[str, Any],
    *,
    home_address: Mapping[str, Any] | None = None,
    work_address: Mapping[str, Any] | None = None,
    job: Mapping[str, Any] | None = None,
    compensation: Mapping[str, Any] | None = None,
    progress: Progress = lambda made: None,
) -> Created:
    """Take somebody on, with what of the five parts is given. Fields are Gusto's; money is text ("70000.00").

    work_address: `location` (see `find_location`) or `location_uuid`, and `effective_date`. job: title, hire_date;
    Gusto lets only some applications write jobs, elsewhere that part stays to be done. compensation needs a job.

    Raises NotSentError when a field does not fit, and AlreadyEmployedError, also when another process with the client's
    state folder was faster. When a part fails, the others go on, the result is partial, and `resume` does the rest;
    when it is not known whether Gusto carried something out, it is looked up. progress: is told the result so far
    before the first write and after each; who keeps it can resume also after this process was killed.
    """
    sections = {
        "employee": employee,
        "home_address": home_address,
        "work_address": work_address,
        "job": job,
        "compensation": compensation,
    }
    company_uuid, todo, ssn = _prepared(client, sections)
    with _alone(client, company_uuid, todo["employee"]):
        known = _known(client, company_uuid, todo["employee"])
        state = Created(Status.FAILED, company_uuid, todo=todo, known=known, needs_ssn=ssn is not None)
        return _go_on(client, state, ssn, progress, again=False)


def check_creation(client: GustoClient, employee: Mapping[str, Any], **parts: Mapping[str, Any]) -> None:
    """All that `create_employee` checks and looks up before it writes. Raises what it raises then."""
    company_uuid, todo, _ = _prepared(client, {"employee": employee, **parts})
    _known(client, company_uuid, todo["employee"])


def _prepared(
    client: GustoClient, sections: Mapping[str, Mapping[str, Any] | None]
) -> tuple[str, dict[str, Record], str | None]:
    """The company's uuid, what there is to send, checked, and the social security number, which is not kept with it."""
    todo = {part: dict(body) for part, body in sections.items() if body is not None}
    if "compensation" in todo and "job" not in todo:
        raise NotSentError("a compensation belongs to a job: give the job too. Nothing was sent.")
    _check("POST", todo)
    company_uuid = _authorized(client, "create_employee", _scopes(set(todo) - {"employee"}))
    _place_work(client, company_uuid, todo)
    return company_uuid, todo, todo["employee"].pop("ssn", None)


def resume(
    client: GustoClient,
    result: Created,
    *,
    corrections: Mapping[str, Mapping[str, Any]] | None = None,
    ssn: str | None = None,
    progress: Progress = lambda made: None,
) -> Created:
    """Do what a creation left undone, first looking whether it was done after all: nobody is ever created twice.

    corrections: fields that Gusto refused, by part. ssn: once more, if nobody was created yet, because results do not
    keep it. Raises NotSentError when a correction does not fit, and when the token is another company's.
    """
    todo = {part: dict(body) for part, body in result.todo.items()}
    changed = {
        part: {name: value for name, value in body.items() if part not in todo or todo[part].get(name) != value}
        for part, body in (corrections or {}).items()
    }
    ssn = changed.get("employee", {}).pop("ssn", ssn)
    for part in [part for part, body in changed.items() if body]:
        if part not in todo:
            raise NotSentError(f"{part} is not left to do: change it by updating the employee. Nothing was sent.")
        todo[part] |= changed[part]
    _check("POST", todo)
    company_uuid = _authorized(client, "create_employee", _scopes(set(todo) - {"employee"}))
    if company_uuid != result.company_uuid:
        raise NotSentError(f"this result is of company {result.company_uuid}, the token of {company_uuid}")
    _place_work(client, company_uuid, todo)
    with _alone(client, company_uuid, todo.get("employee")):
        known = result.known
        if changed.get("employee"):
            if uuid := _newcomer(client, result, result.todo["employee"]):
                text = f"employee {uuid} was created after all: resume without changing them, then update them"
                raise NotSentError(text)
            known = _known(client, company_uuid, todo["employee"])
        return _go_on(client, replace(result, todo=todo, known=known), ssn, progress, again=True)


@contextmanager
def _alone(client: GustoClient, company_uuid: str, body: Record | None) -> Iterator[None]:
    """Nobody else takes on somebody with these addresses (without any, this name) between looking and creating."""
    keys = (_addresses(body) or {" ".join(_name(body))}) if body else ()
    # A few files for everybody, which name nobody; in order, so that two who wait for two never wait for each other.
    names = sorted({sha256(f"{company_uuid} {key}".encode()).hexdigest()[:2] for key in keys})
    with ExitStack() as locks:
        if client.state_folder is None:
            locks.enter_context(_in_this_process)
        else:
            for name in names:
                locks.enter_context(FileLock(client.state_folder / f"creating-{name}.lock", mode=0o600))
        yield


def _known(client: GustoClient, company_uuid: str, body: Record) -> tuple[str, ...]:
    """Employees who could be mistaken for a new one. Raises AlreadyEmployedError for one with their address."""
    known = tuple(_alike(client, company_uuid, body))
    if known and _addresses(body):
        raise AlreadyEmployedError(known)
    return known


def _go_on(client: GustoClient, state: Created, ssn: str | None, progress: Progress, *, again: bool) -> Created:
    state = replace(state, warnings=())
    progress(state)
    for part in [part for part in PARTS if part in state.todo]:
        if part != "employee" and not state.employee_uuid:
            break
        try:
            if part == "compensation" and not state.job_uuid:
                raise NotSentError("waits for the job")
            find, make = _creation(client, state, part, ssn)
            uuid = _settled(find, make, again=again)
        except GustoError as error:
            state = replace(state, warnings=(*state.warnings, _warned(part, error)))
            continue
        todo = {name: body for name, body in state.todo.items() if name != part}
        state = replace(
            state,
            status=Status.PARTIAL if todo else Status.DONE,
            employee_uuid=uuid if part == "employee" else state.employee_uuid,
            job_uuid=uuid if part == "job" else state.job_uuid,
            done=(*state.done, part),
            todo=todo,
            needs_ssn=state.needs_ssn and part != "employee",
        )
        progress(state)
    return state


def _creation(
    client: GustoClient, state: Created, part: str, ssn: str | None
) -> tuple[Callable[[], str | None], Callable[[], str]]:
    """How a part is found if it is there already, and how it is made; both give its uuid."""
    body, of = state.todo[part], f"/v1/employees/{state.employee_uuid}"

    def post(path: str, body: Record) -> str:
        return str(_write(client, "POST", path, body)["uuid"])

    def hire() -> str:
        if state.needs_ssn and not ssn:
            raise NotSentError("nobody was created yet, and the social security number is not kept: give it once more")
        return post(f"/v1/companies/{state.company_uuid}/employees", body | ({"ssn": ssn} if ssn else {}))

    match part:
        case "employee":
            return lambda: _newcomer(client, state, body), hire
        case "job":
            title = {"title": body["title"]}  # no employee has two jobs of one title
            return lambda: _first_uuid(_get(client, of)["jobs"], title), lambda: post(f"{of}/jobs", body)
        case "compensation":
            pay = f"/v1/jobs/{state.job_uuid}/compensations"
            return lambda: _first_uuid(_every_pay(client, pay), body), lambda: _set_pay(client, pay, body)
    path = f"{of}/{part}es"
    return lambda: _first_uuid(_get(client, path), body), lambda: post(path, body)


def _settled(find: Callable[[], str | None], make: Callable[[], str], *, again: bool) -> str:
    """Make something once: look first when it was tried before, and when nobody knows whether it was carried out."""
    if again and (found := find()):
        return found
    try:
        return make()
    except _UNKNOWN as lost:
        try:
            found = find()
        except GustoError:
            raise lost from None
        if found:
            return found
        raise


def _newcomer(client: GustoClient, state: Created, body: Record) -> str | None:
    """The employee like `body` who was not there before."""
    found = [uuid for uuid in _alike(client, state.company_uuid, body) if uuid not in state.known]
    if len(found) > 1:
        raise NotSentError(f"several new employees could be the one: {', '.join(found)}. Delete what is too many")
    return found[0] if found else None


def _alike(client: GustoClient, company_uuid: str, body: Record) -> list[str]:
    """Employees with one of the e-mail addresses of `body`; where it has none, with the same name.

    All are read: Gusto can search names only, and does not say how.
    """
    rows = _all(client, f"/v1/companies/{company_uuid}/employees")
    if wanted := _addresses(body):
        return [row["uuid"] for row in rows if wanted & _addresses(row)]
    return [row["uuid"] for row in rows if _name(row) == _name(body)]


def _addresses(row: Record) -> set[str]:
    return {row[name].casefold() for name in ("email", "work_email") if row.get(name)}


def _name(row: Record) -> tuple[str, str]:
    return str(row["first_name"]).casefold(), str(row["last_name"]).casefold()


def _set_pay(client: GustoClient, path: str, body: Record) -> str:
    """Gusto gives a new job a compensation of nothing, which then is the one to fill."""
    rows = _every_pay(client, path)
    wanted = body.get("effective_date")
    taken = [row for row in rows if _same("rate", row.get("rate"), "0") or row["effective_date"] == wanted]
    if not taken:
        return str(_write(client, "POST", path, body)["uuid"])
    row = taken[0]
    _write(client, "PUT", f"/v1/compensations/{row['uuid']}", {"version": row["version"], **body})
    return str(row["uuid"])


# -- changing what is known ---------------------------------------------------------------------------------------


def update_employee(
    client: GustoClient,
    employee_uuid: str,
    changes: Mapping[str, Any] | None = None,
    *,
    home_address: Mapping[str, Any] | None = None,
    work_address: Mapping[str, Any] | None = None,
    job: Mapping[str, Any] | None = None,
    compensation: Mapping[str, Any] | None = None,
    base: Person | None = None,
) -> Updated:
    """Change fields of an employee, their current addresses, primary job and current compensation; others stay.

    An `effective_date` that no address (compensation) has makes a new one from that day on. A job's title is its
    compensation's. base: what the changes were decided on (`get_employee` then); without it, what is there now.

    Fields that others changed since are never overwritten: they come back as conflicts, with both values. Fields that
    belong together (an address; rate and unit of pay) conflict together. The rest is written. Raises NotSentError when
    a field does not fit, NotFoundError when there is no such employee.
    """
    wanted = _wanted(client, changes, home_address, work_address, job, compensation)
    _get(client, f"/v1/employees/{employee_uuid}")
    changed: dict[str, list[str]] = {}
    conflicts: list[Conflict] = []
    warnings: list[Warned] = []
    for part, ours in wanted.items():
        try:
            written, clashing = _update(client, employee_uuid, part, ours, _base(base, part))
        except GustoError as error:
            warnings.append(_warned(part, error))
            continue
        conflicts += clashing
        if written:
            changed[part] = written
    unfinished = Status.PARTIAL if changed else Status.FAILED
    status = unfinished if conflicts or warnings else Status.DONE
    return Updated(status, employee_uuid, changed, tuple(conflicts), tuple(warnings))


def planned_update(
    client: GustoClient,
    employee_uuid: str,
    changes: Mapping[str, Any] | None = None,
    *,
    home_address: Mapping[str, Any] | None = None,
    work_address: Mapping[str, Any] | None = None,
    job: Mapping[str, Any] | None = None,
    compensation: Mapping[str, Any] | None = None,
) -> tuple[dict[str, list[str]], Person]:
    """What `update_employee` would write, the fields by part, and the person as they are now, for its `base`.

    A date that a change is to hold from counts as a change of its own. Nothing is written; raises what it raises.
    """
    wanted = _wanted(client, changes, home_address, work_address, job, compensation)
    person = _person(client, employee_uuid)
    planned = {}
    for part, ours in wanted.items():
        now = _base(person, part) or {}
        if fields := [name for name, value in ours.items() if not _same(name, now.get(name), value)]:
            planned[part] = fields
    return planned, person


def _wanted(
    client: GustoClient,
    changes: Mapping[str, Any] | None,
    home_address: Mapping[str, Any] | None,
    work_address: Mapping[str, Any] | None,
    job: Mapping[str, Any] | None,
    compensation: Mapping[str, Any] | None,
) -> dict[str, Record]:
    """The parts of a change, checked, with a location's uuid in place of its name. Raises NotSentError."""
    jobs, pay = dict(job or {}), dict(compensation or {})
    if "title" in jobs:
        pay.setdefault("title", jobs.pop("title"))
    sections: dict[str, Mapping[str, Any] | None] = {
        "employee": changes,
        "home_address": home_address,
        "work_address": work_address,
        "job": jobs,
        "compensation": pay,
    }
    wanted = {part: dict(body) for part, body in sections.items() if body}
    _check("PUT", wanted)
    company_uuid = _authorized(client, "update_employee", _scopes(wanted))
    _place_work(client, company_uuid, wanted)
    return wanted


def _update(
    client: GustoClient, employee_uuid: str, part: str, ours: Record, base: Record | None
) -> tuple[list[str], list[Conflict]]:
    """The fields of one part that were written, and those that clash with what others did."""
    of = f"/v1/employees/{employee_uuid}"
    if part == "employee":
        return _merge(part, ours, base, lambda: _get(client, of), lambda _, body: _write(client, "PUT", of, body))
    if part == "job":
        return _merge(
            part,
            ours,
            base,
            lambda: _primary(_get(client, of)),
            lambda row, body: _write(client, "PUT", f"/v1/jobs/{row['uuid']}", body),
        )
    if part == "compensation":
        held = _primary(_get(client, of))
        path, kept = f"/v1/jobs/{held['uuid']}/compensations", [*_PAY]
        own = "/v1/compensations"
        rows, current = _every_pay(client, path), held.get("current_compensation_uuid")
    else:
        path, own = f"{of}/{part}es", f"/v1/{part}es"
        kept = [*_ADDRESS, "courtesy_withholding"] if part == "home_address" else []
        rows = _get(client, path)
        current = next((row["uuid"] for row in rows if row.get("active")), None)
    dated = next((row["uuid"] for row in rows if row["effective_date"] == ours.get("effective_date")), None)
    target = dated if "effective_date" in ours else current
    if target is None:
        before = next((row for row in rows if row["uuid"] == current), {})
        new = {name: before[name] for name in kept if before.get(name) is not None} | ours
        _settled(
            lambda: _first_uuid(_every_pay(client, path) if part == "compensation" else _get(client, path), ours),
            lambda: str(_write(client, "POST", path, new)["uuid"]),
            again=False,
        )
        return list(ours), []
    own = f"{own}/{target}"
    if base and base.get("uuid") != target:
        base = None  # it was another one then: what was decided on says nothing of this one
    return _merge(part, ours, base, lambda: _get(client, own), lambda _, body: _write(client, "PUT", own, body))


def _merge(
    part: str,
    ours: Record,
    base: Record | None,
    read: Callable[[], Record],
    put: Callable[[Record, Record], Any],
) -> tuple[list[str], list[Conflict]]:
    """Write those of our fields that nobody else changed since `base`, under the version they were read with.

    Once more with a new version if somebody was faster; a second time raises ConflictError.
    """
    theirs = read()
    base = base or theirs

    def attempt(theirs: Record) -> tuple[list[str], list[Conflict]]:
        conflicts = list(_conflicts(part, base, theirs, ours))
        clashing = {conflict.field for conflict in conflicts}
        free = {
            name: value
            for name, value in ours.items()
            if name not in clashing and (name in _WRITE_ONLY or not _same(name, theirs.get(name), value))
        }
        try:
            if free:
                put(theirs, {"version": theirs["version"], **free})
        except _UNKNOWN as lost:
            try:
                now = read()
            except GustoError:
                raise lost from None
            if not all(name not in _WRITE_ONLY and _same(name, now.get(name), free[name]) for name in free):
                raise
        return list(free), conflicts

    try:
        return attempt(theirs)
    except ConflictError:
        return attempt(read())


def _conflicts(part: str, base: Record, theirs: Record, ours: Record) -> Iterable[Conflict]:
    """Fields we and they changed to different values, with what belongs to them."""
    changed = {name for name in {*base} & {*theirs} if not _same(name, base[name], theirs[name])}
    wanted = {name for name in ours if not _same(name, theirs.get(name), ours[name])} - _WRITE_ONLY
    clashing = changed & wanted
    for group in _TOGETHER:
        if changed & group and wanted & group:
            clashing |= (changed | wanted) & group
    for name in sorted(clashing):
        yield Conflict(part, name, base.get(name), theirs.get(name), ours.get(name))


def _base(base: Person | None, part: str) -> Record | None:
    if base is None:
        return None
    match part:
        case "employee":
            return base.employee
        case "home_address":
            return base.home_address
        case "job":
            return _primary(base.employee)
        case "compensation":
            current = _primary(base.employee).get("current_compensation_uuid")
            return next((row for row in base.compensations if row["uuid"] == current), None)
    return None


# -- what the actions share ---------------------------------------------------------------------------------------


def _authorized(client: GustoClient, action: str, also: Iterable[str] = ()) -> str:
    """The uuid of the token's company. Raises MissingScopeError when the token lacks a scope of the action."""
    info = client.token_info()
    missing = sorted({*SCOPES[action], *also} - info.scopes)
    if missing:
        scopes = f"scope{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        error = MissingScopeError(
            f"the connection lacks the {scopes}, which {action} needs; nothing was done. Ask Gusto to add what lacks "
            "to your application, then run: gusto-pipeline reconnect gusto"
        )
        error.scope = missing[0]
        raise error
    if info.company_uuid is None:
        raise NotSentError("the token is the application's own and speaks for no company")
    return info.company_uuid


def _scopes(parts: Iterable[str]) -> set[str]:
    return {scope for part in parts for scope in PART_SCOPES[part]}


def _check(method: str, bodies: Mapping[str, Record]) -> None:
    """Raises NotSentError naming every field that does not fit Gusto's description."""
    paths = {
        ("POST", "employee"): "/v1/companies/{company_id}/employees",
        ("PUT", "employee"): "/v1/employees/{employee_id}",
        ("POST", "home_address"): "/v1/employees/{employee_id}/home_addresses",
        ("PUT", "home_address"): "/v1/home_addresses/{home_address_uuid}",
        ("POST", "work_address"): "/v1/employees/{employee_id}/work_addresses",
        ("PUT", "work_address"): "/v1/work_addresses/{work_address_uuid}",
        ("POST", "compensation"): "/v1/jobs/{job_id}/compensations",
        ("PUT", "compensation"): "/v1/compensations/{compensation_id}",
    }
    schemas = {(each.method, each.path): each.body or {} for each in endpoints()}
    problems = []
    for part, body in bodies.items():
        schema = _JOB if part == "job" else schemas[method, paths[method, part]]
        required = [name for name in schema.get("required", ()) if name != "version"]
        if (method, part) == ("POST", "job"):
            required = ["title", "hire_date"]
        sent = {"location_uuid" if name == "location" else name: value for name, value in body.items()}
        problems += problems_of({**schema, "required": required}, sent, f"the {part.replace('_', ' ')}")
    if problems:
        raise NotSentError(f"nothing was sent: {'; '.join(problems)}")


def _place_work(client: GustoClient, company_uuid: str, bodies: dict[str, Record]) -> None:
    """Puts the uuid in place of a location's name."""
    body = bodies.get("work_address", {})
    if name := body.pop("location", None):
        rows = _all(client, f"/v1/companies/{company_uuid}/locations")
        body["location_uuid"] = find_location(rows, name)


def _person(client: GustoClient, employee_uuid: str) -> Person:
    include = ["all_compensations", "current_home_address"]
    employee = redacted(_get(client, f"/v1/employees/{employee_uuid}", {"include": include}))
    pay = [row for job in employee.get("jobs", ()) for row in job.get("compensations", ())]
    pay.sort(key=lambda row: (row["job_uuid"], row["effective_date"]))
    return Person(employee, employee.get("current_home_address"), pay)


def _primary(employee: Record) -> Record:
    jobs = sorted(employee.get("jobs", ()), key=lambda job: not job.get("primary"))
    if not jobs:
        raise NotSentError(f"employee {employee['uuid']} has no job yet")
    return dict(jobs[0])


def _every_pay(client: GustoClient, path: str) -> list[Record]:
    return _all(client, path, {"include": "all_compensations"})


def _all(client: GustoClient, path: str, query: Mapping[str, Any] | None = None, per: int = 100) -> list[Record]:
    return [row for answer in client.pages(path, query, per=per) for row in json.loads(answer.body)]


def _get(client: GustoClient, path: str, query: Mapping[str, Any] | None = None) -> Any:
    return json.loads(client.get(path, query).body)


def _write(client: GustoClient, method: str, path: str, body: Record) -> Record:
    try:
        return dict(json.loads(client.request(method, path, json=body).body))
    except NotFoundError as error:
        if "/jobs" not in path or path.endswith("/compensations"):
            raise
        text = f"{error}. Gusto lets only some applications write jobs: enter this one in Gusto's own pages"
        raise NotFoundError(text, status=404, request_id=error.request_id, path=path) from error


def _first_uuid(rows: Iterable[Record], like: Record) -> str | None:
    """The uuid of the first row that has all values of `like`."""
    for row in rows:
        if all(_same(name, row.get(name), value) for name, value in like.items()):
            return str(row["uuid"])
    return None


def _same(name: str, one: Any, other: Any) -> bool:
    """Whether two values of a field say the same: "" is nothing, and money is a number."""
    if name == "rate":
        try:
            return Decimal(one or 0) == Decimal(other or 0)
        except InvalidOperation:
            return False
    return (one or None) == (other or None) or one == other


def _warned(part: str, error: GustoError) -> Warned:
    return Warned(part, str(error), type(error).__name__, error.request_id)
