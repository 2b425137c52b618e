"""The endpoints that change people and places. Each change is an event; each PUT must name the version it saw."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import uuid4

from gusto_pipeline.sandbox.gusto import shapes
from gusto_pipeline.sandbox.gusto.api import Answer, Call, RefusalError, Routes, error, invalid, not_found, stale
from gusto_pipeline.sandbox.gusto.payrolls import settled_until
from gusto_pipeline.sandbox.gusto.reads import (
    NO_CONTENT,
    find_address,
    find_compensation,
    find_employee,
    find_job,
    one,
)
from gusto_pipeline.sandbox.gusto.world import Record

routes = Routes()

FLAGS = frozenset(
    {
        "two_percent_shareholder",
        "mailing_address",
        "filing_address",
        "courtesy_withholding",
        "adjust_for_minimum_wage",
        "run_termination_payroll",
        "file_new_hire_report",
        "is_active",
    }
)
PAYMENT_UNITS = ("Hour", "Week", "Month", "Year", "Paycheck")
FLSA_STATUSES = (
    "Exempt",
    "Salaried Nonexempt",
    "Nonexempt",
    "Owner",
    "Commission Only Exempt",
    "Commission Only Nonexempt",
)
EMPLOYMENT_STATUSES = ("part_time", "full_time", "part_time_eligible", "variable", "seasonal", "not_set")


def given(call: Call, kind: str) -> Record:
    """The writable attributes the body names. Raises RefusalError (422) for a value of the wrong type."""
    values = {name: call.body[name] for name in shapes.WRITABLE[kind] if name in call.body}
    for name, value in values.items():
        fits = isinstance(value, bool | None) if name in FLAGS else isinstance(value, str | None)
        if not fits and name != "minimum_wages":
            raise invalid(name, f"{_label(name)} is invalid")
        if name.endswith("_date") or name == "date_of_birth":
            _check_date(name, value)
    return values


def require(values: Record, names: Iterable[str]) -> None:
    """Raises RefusalError (422) naming every attribute that is missing or blank."""
    rows = [
        error(name, "invalid_attribute_value", f"{_label(name)} is required")
        for name in names
        if values.get(name) in (None, "")
    ]
    if rows:
        raise RefusalError(422, *rows)


def check_version(call: Call, current: str) -> None:
    """Raises RefusalError (409) when the body's `version` is missing or not the current one."""
    if call.body.get("version") != current:
        raise stale()


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _check_date(name: str, value: str | None) -> None:
    try:
        date.fromisoformat(value or "1970-01-01")
    except ValueError:
        raise invalid(name, f"{_label(name)} is not a valid date") from None


def _emit(call: Call, event_type: str, entity_type: str, uuid: str) -> None:
    call.world.emit(call.company, event_type, entity_type, uuid)


# -- employees ----------------------------------------------------------------------------------------------------


@routes.add("POST", "/v1/companies/{company}/employees", "employees:manage")
def create_employee(call: Call) -> Any:
    values = given(call, "employee")
    invited = call.body.get("self_onboarding") is True
    require(values, ["first_name", "last_name", *(["email"] if invited else [])])
    _check_person(call, values)
    uuid = str(uuid4())
    row: Record = {
        "uuid": uuid,
        "created_at": call.world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        **dict.fromkeys(shapes.WRITABLE["employee"]),
        "phone": None,
        "has_ssn": bool(call.body.get("ssn")),
        "manager_uuid": None,
        "department_uuid": None,
        "onboarding_status": "self_onboarding_pending_invite" if invited else "admin_onboarding_incomplete",
        "current_employment_status": None,
        "payment_method": "Check",
        "historical": False,
        "employee_code": uuid[:6],
        "two_percent_shareholder": False,
        "spells": [_new_spell(call.today.isoformat())],
        "jobs": [],
        "home_addresses": [],
        "work_addresses": [],
        "garnishments": [],
        "benefits": [],
        "custom_values": {},
        "balances": {},
        "invited": False,
    }
    call.company.employees[uuid] = row | values
    _emit(call, "employee.created", "Employee", uuid)
    return Answer(201, _employee(call, call.company.employees[uuid]))


@routes.add("PUT", "/v1/employees/{employee}", "employees:write")
def update_employee(call: Call) -> Any:
    row = find_employee(call)
    check_version(call, shapes.employee_version(row))
    values = given(call, "employee")
    require(row | values, ["first_name", "last_name"])
    _check_person(call, values)
    row |= values
    row["has_ssn"] = row["has_ssn"] or bool(call.body.get("ssn"))
    _emit(call, "employee.updated", "Employee", row["uuid"])
    return _employee(call, row)


@routes.add("DELETE", "/v1/employees/{employee}", "employees:manage")
def delete_employee(call: Call) -> Any:
    row = find_employee(call)
    if shapes.onboarded(row):
        raise invalid("base", "Cannot delete onboarded employee", "invalid_operation")
    del call.company.employees[row["uuid"]]
    for other in call.company.employees.values():
        if other["manager_uuid"] == row["uuid"]:
            other["manager_uuid"] = None
    _emit(call, "employee.deleted", "Employee", row["uuid"])
    return NO_CONTENT


def _employee(call: Call, row: Record) -> Record:
    return shapes.employee(call.company, row, call.today, call.scopes)


def _check_person(call: Call, values: Record) -> None:
    for name in ("email", "work_email"):
        if values.get(name) and not re.fullmatch(r"[^@\s]+@[^@\s]+", values[name]):
            raise invalid(name, f"{_label(name)} is not a valid email address")
    if call.body.get("ssn") and not re.fullmatch(r"[0-9]{9}", str(call.body["ssn"])):
        raise invalid("ssn", "Ssn is invalid")


def _new_spell(hire_date: str) -> Record:
    return {
        "hire_date": hire_date,
        "termination_date": None,
        "run_termination_payroll": False,
        "file_new_hire_report": True,
        "two_percent_shareholder": False,
        "employment_status": "full_time",
        "work_location_uuid": None,
    }


# -- departments --------------------------------------------------------------------------------------------------


@routes.add("POST", "/v1/companies/{company}/departments", "departments:write")
def create_department(call: Call) -> Any:
    row = {"uuid": str(uuid4()), "title": _free_title(call, None)}
    call.company.departments[row["uuid"]] = row
    return Answer(201, shapes.department(call.company, row))


@routes.add("PUT", "/v1/departments/{department}", "departments:write")
def update_department(call: Call) -> Any:
    row = _versioned_department(call)
    row["title"] = _free_title(call, row)
    return shapes.department(call.company, row)


@routes.add("DELETE", "/v1/departments/{department}", "departments:write")
def delete_department(call: Call) -> Any:
    row = one(call.company.departments, call.params["department"])
    shown = shapes.department(call.company, row)
    if shown["employees"] or shown["contractors"]:
        message = "You cannot delete a department that has active team members. Please remove them first."
        raise invalid("base", message, "invalid_operation")
    del call.company.departments[row["uuid"]]
    call.company.department_schedules.pop(row["uuid"], None)
    return NO_CONTENT


@routes.add("PUT", "/v1/departments/{department}/add", "departments:write")
def add_to_department(call: Call) -> Any:
    row = _versioned_department(call)
    for person in _members(call):
        person["department_uuid"] = row["uuid"]
    return shapes.department(call.company, row)


@routes.add("PUT", "/v1/departments/{department}/remove", "departments:write")
def remove_from_department(call: Call) -> Any:
    row = _versioned_department(call)
    for person in _members(call):
        if person["department_uuid"] == row["uuid"]:
            person["department_uuid"] = None
    return shapes.department(call.company, row)


def _versioned_department(call: Call) -> Record:
    row = one(call.company.departments, call.params["department"])
    check_version(call, shapes.department(call.company, row)["version"])
    return row


def _free_title(call: Call, own: Record | None) -> str:
    title = call.body.get("title", own["title"] if own else None)
    if not isinstance(title, str) or not title.strip():
        raise invalid("title", "Title is required")
    if any(row["title"].casefold() == title.casefold() and row is not own for row in _departments(call)):
        raise invalid("title", "Department name has already been taken.")
    return title


def _departments(call: Call) -> Iterable[Record]:
    return call.company.departments.values()


def _members(call: Call) -> list[Record]:
    """The people of the body; all must be the company's."""
    found: list[Record] = []
    wrong: list[Record] = []
    for kind, people in (("employees", call.company.employees), ("contractors", call.company.contractors)):
        named = call.body.get(kind) or []
        try:
            found += [people[each["uuid"]] for each in named]
        except (KeyError, TypeError):
            wrong.append(error(kind, "invalid_attribute_value", f"{kind.capitalize()} must be valid"))
    if wrong:
        raise RefusalError(422, *wrong)
    return found


# -- locations, home and work addresses ---------------------------------------------------------------------------


@routes.add("POST", "/v1/companies/{company}/locations", "companies:write")
def create_location(call: Call) -> Any:
    now = call.world.clock.now().isoformat(timespec="milliseconds")
    row: Record = {
        "uuid": str(uuid4()),
        "street_2": None,
        "country": "USA",
        "mailing_address": False,
        "filing_address": False,
        "active": True,
        "created_at": now,
        "updated_at": now,
        "minimum_wages": [],
        **given(call, "location"),
    }
    _check_location(row)
    call.company.locations[row["uuid"]] = row
    _move_flags(call, row)
    _emit(call, "location.created", "Location", row["uuid"])
    return Answer(201, shapes.location(call.company, row))


@routes.add("PUT", "/v1/locations/{location}", "companies:write")
def update_location(call: Call) -> Any:
    row = one(call.company.locations, call.params["location"])
    check_version(call, shapes.location(call.company, row)["version"])
    # The flags can be taken only by another location, not given away.
    values = {name: value for name, value in given(call, "location").items() if value is not False}
    _check_location(row | values)
    row |= values
    row["updated_at"] = call.world.clock.now().isoformat(timespec="milliseconds")
    _move_flags(call, row)
    _emit(call, "location.updated", "Location", row["uuid"])
    return shapes.location(call.company, row)


def _check_location(row: Record) -> None:
    _check_address(row)
    if not re.fullmatch(r"\d{10}", row.get("phone_number") or ""):
        raise invalid("phone_number", "Phone number must be 10 digits")


def _check_address(row: Record) -> None:
    rows = []
    if not row.get("street_1"):
        rows.append(error("street_1", "invalid_attribute_value", "Must include a street address"))
    if not row.get("city"):
        rows.append(error("city", "invalid_attribute_value", "Must include a city"))
    if not re.fullmatch(r"[A-Z]{2}", row.get("state") or ""):
        rows.append(error("state", "invalid_attribute_value", "State is in the wrong format"))
    if not re.fullmatch(r"\d{5}(-\d{4})?", row.get("zip") or ""):
        rows.append(error("zip", "invalid_attribute_value", "Please enter a valid zip code"))
    if rows:
        raise RefusalError(422, *rows)


def _move_flags(call: Call, row: Record) -> None:
    for flag in ("mailing_address", "filing_address"):
        for other in call.company.locations.values():
            if row[flag] and other is not row:
                other[flag] = False


@routes.add("POST", "/v1/employees/{employee}/home_addresses", "employees:write")
def create_home_address(call: Call) -> Any:
    employee = find_employee(call)
    row: Record = {
        "uuid": str(uuid4()),
        "effective_date": call.today.isoformat() if employee["home_addresses"] else "1970-01-01",
        "courtesy_withholding": False,
        "street_2": None,
        "country": "USA",
        **given(call, "home_address"),
    }
    _check_address(row)
    employee["home_addresses"].append(row)
    _emit(call, "employee.home_address.created", "HomeAddress", row["uuid"])
    return Answer(201, shapes.home_address(employee, row, call.today))


@routes.add("PUT", "/v1/home_addresses/{address}", "employees:write")
def update_home_address(call: Call) -> Any:
    employee, row = find_address(call, "home_addresses")
    check_version(call, shapes.version("home_address", row))
    values = given(call, "home_address")
    _check_address(row | values)
    row |= values
    _emit(call, "employee.home_address.updated", "HomeAddress", row["uuid"])
    return shapes.home_address(employee, row, call.today)


@routes.add("DELETE", "/v1/home_addresses/{address}", "employees:write")
def delete_home_address(call: Call) -> Any:
    employee, row = find_address(call, "home_addresses")
    _delete_address(call, employee["home_addresses"], row)
    _emit(call, "employee.home_address.destroyed", "HomeAddress", row["uuid"])
    return NO_CONTENT


@routes.add("POST", "/v1/employees/{employee}/work_addresses", "employees:manage")
def create_work_address(call: Call) -> Any:
    employee = find_employee(call)
    values = given(call, "work_address")
    _check_workplace(call, values.get("location_uuid"))
    row: Record = {"uuid": str(uuid4()), "effective_date": call.today.isoformat(), **values}
    employee["work_addresses"].append(row)
    _emit(call, "employee.work_address.created", "WorkAddress", row["uuid"])
    return Answer(201, shapes.work_address(call.company, employee, row, call.today))


@routes.add("PUT", "/v1/work_addresses/{address}", "employees:manage")
def update_work_address(call: Call) -> Any:
    employee, row = find_address(call, "work_addresses")
    check_version(call, shapes.version("work_address", row))
    values = given(call, "work_address")
    _check_workplace(call, values.get("location_uuid", row["location_uuid"]))
    row |= values
    _emit(call, "employee.work_address.updated", "WorkAddress", row["uuid"])
    return shapes.work_address(call.company, employee, row, call.today)


@routes.add("DELETE", "/v1/work_addresses/{address}", "employees:manage")
def delete_work_address(call: Call) -> Any:
    employee, row = find_address(call, "work_addresses")
    _delete_address(call, employee["work_addresses"], row)
    _emit(call, "employee.work_address.destroyed", "WorkAddress", row["uuid"])
    return NO_CONTENT


def _check_workplace(call: Call, location_uuid: str | None) -> None:
    if location_uuid not in call.company.locations:
        raise invalid("location_uuid", "Location not found")


def _delete_address(call: Call, rows: list[Record], row: Record) -> None:
    if row is shapes.in_effect(rows, call.today):
        raise invalid("base", "The active address cannot be deleted.", "invalid_operation")
    rows.remove(row)


# -- jobs ---------------------------------------------------------------------------------------------------------


@routes.add("POST", "/v1/employees/{employee}/jobs", "jobs:write")
def create_job(call: Call) -> Any:
    """Offered to some applications only. A new job has a compensation of nothing until somebody sets it."""
    _check_jobs_offered(call)
    employee = find_employee(call)
    values = {"two_percent_shareholder": False, **_given_job(call)}
    require(values, ["title", "hire_date"])
    if any(_title(call, job) == values["title"] for job in employee["jobs"]):
        raise invalid("title", "Employee cannot have two jobs with the same title.")
    title = values.pop("title")
    pay: Record = {
        "uuid": str(uuid4()),
        "rate": "0.00",
        "payment_unit": "Hour",
        "flsa_status": "Nonexempt",
        "title": title,
        "effective_date": values["hire_date"],
        "adjust_for_minimum_wage": False,
        "minimum_wages": [],
    }
    job: Record = {
        "uuid": str(uuid4()),
        "primary": not employee["jobs"],
        "state_wc_covered": None,
        "state_wc_class_code": None,
        **values,
        "compensations": [pay],
    }
    if job["primary"]:
        employee["spells"][-1]["hire_date"] = job["hire_date"]
    employee["jobs"].append(job)
    _emit(call, "employee_job_compensation.created", "Compensation", pay["uuid"])
    return Answer(201, _job(call, employee, job))


@routes.add("PUT", "/v1/jobs/{job}", "jobs:write")
def update_job(call: Call) -> Any:
    _check_jobs_offered(call)
    employee, job = find_job(call)
    check_version(call, shapes.job_version(job))
    values = _given_job(call)
    if title := values.pop("title", None):
        current = shapes.in_effect(job["compensations"], call.today)
        if current:
            current["title"] = title
    if values.get("hire_date") and job["primary"]:
        employee["spells"][-1]["hire_date"] = values["hire_date"]
    job |= values
    return _job(call, employee, job)


def _check_jobs_offered(call: Call) -> None:
    if not call.world.jobs_offered:
        raise not_found()


def _given_job(call: Call) -> Record:
    names = ("title", "hire_date", "two_percent_shareholder")
    values: Record = {name: call.body[name] for name in names if name in call.body}
    if not isinstance(values.get("hire_date", ""), str):
        raise invalid("hire_date", "Hire date is invalid")
    _check_date("hire_date", values.get("hire_date"))
    return values


def _title(call: Call, job: Record) -> str:
    return (shapes.in_effect(job["compensations"], call.today) or {}).get("title", "")


def _job(call: Call, employee: Record, job: Record) -> Record:
    return shapes.job(employee, job, call.today, pay="compensations:read" in call.scopes, every=False)


# -- compensations ------------------------------------------------------------------------------------------------


@routes.add("POST", "/v1/jobs/{job}/compensations", "compensations:write")
def create_compensation(call: Call) -> Any:
    employee, job = find_job(call)
    current = shapes.in_effect(job["compensations"], call.today)
    row: Record = {
        "uuid": str(uuid4()),
        "effective_date": call.today.isoformat(),
        "title": current["title"] if current else "",
        "adjust_for_minimum_wage": False,
        "minimum_wages": [],
        **given(call, "compensation"),
    }
    _check_compensation(job, row)
    job["compensations"].append(row)
    _emit(call, "employee_job_compensation.created", "Compensation", row["uuid"])
    return Answer(201, shapes.compensation(employee, job, row))


@routes.add("PUT", "/v1/compensations/{compensation}", "compensations:write")
def update_compensation(call: Call) -> Any:
    employee, job, row = find_compensation(call)
    check_version(call, shapes.version("compensation", row))
    changed = row | given(call, "compensation")
    _check_compensation(job, changed)
    _check_unsettled(call, employee, row)
    row |= changed
    _emit(call, "employee_job_compensation.updated", "Compensation", row["uuid"])
    return shapes.compensation(employee, job, row)


@routes.add("DELETE", "/v1/compensations/{compensation}", "compensations:write")
def delete_compensation(call: Call) -> Any:
    employee, job, row = find_compensation(call)
    _check_unsettled(call, employee, row)
    job["compensations"].remove(row)
    _emit(call, "employee_job_compensation.destroyed", "Compensation", row["uuid"])
    return NO_CONTENT


def _check_compensation(job: Record, row: Record) -> None:
    """A later date is a planned change; two on the same date would contradict each other. Rounds the rate."""
    require(row, ["rate", "payment_unit", "flsa_status"])
    if not re.fullmatch(r"\d+(\.\d+)?", row["rate"]):
        raise invalid("rate", "Rate is not a valid number")
    if row["payment_unit"] not in PAYMENT_UNITS:
        raise invalid("payment_unit", "Payment unit must be one of Hour, Week, Month, or Year")
    if row["flsa_status"] not in FLSA_STATUSES:
        raise invalid("flsa_status", "Flsa status is invalid")
    if any(other["effective_date"] == row["effective_date"] for other in _others(job, row)):
        raise invalid("effective_date", "There is already a compensation with this effective date")
    row["rate"] = f"{float(row['rate']):.2f}"


def _others(job: Record, row: Record) -> list[Record]:
    return [other for other in job["compensations"] if other["uuid"] != row["uuid"]]


def _check_unsettled(call: Call, employee: Record, row: Record) -> None:
    if row["effective_date"] <= settled_until(call.company, employee, call.today):
        raise invalid("base", "Compensation has already been processed on payroll.", "invalid_operation")


# -- terminations and rehires -------------------------------------------------------------------------------------


@routes.add("POST", "/v1/employees/{employee}/terminations", "employments:write")
def create_termination(call: Call) -> Any:
    row = find_employee(call)
    spell = shapes.current_spell(row, call.today)
    if shapes.dismissal_in_effect(row, call.today):
        raise invalid("base", "Employee has already been terminated", "invalid_operation")
    if spell["termination_date"]:
        raise invalid("base", "Employee may only have one termination", "invalid_operation")
    _set_termination(call, spell)
    _emit(call, "employee.terminated", "Employee", row["uuid"])
    if shapes.dismissal_in_effect(row, call.today):
        _emit(call, "employee.terminated_effective", "Employee", row["uuid"])
    return Answer(201, shapes.termination(row, spell, call.today))


@routes.add("PUT", "/v1/terminations/{employee}", "employments:write")
def update_termination(call: Call) -> Any:
    row = find_employee(call)
    spell = shapes.current_spell(row, call.today)
    if not spell["termination_date"]:
        raise not_found()
    check_version(call, shapes.termination(row, spell, call.today)["version"])
    if row["spells"][-1] is not spell:
        raise invalid("base", "Unable to modify a termination with a future rehire.", "invalid_operation")
    _set_termination(call, spell)
    _emit(call, "employee.updated", "Employee", row["uuid"])
    return shapes.termination(row, spell, call.today)


@routes.add("DELETE", "/v1/employees/{employee}/terminations", "employments:write")
def cancel_termination(call: Call) -> Any:
    row = find_employee(call)
    spell = shapes.current_spell(row, call.today)
    if not spell["termination_date"] or spell["termination_date"] <= call.today.isoformat():
        raise not_found()
    if spell["run_termination_payroll"]:
        raise invalid("base", "Cannot cancel a termination with a termination payroll", "invalid_operation")
    spell["termination_date"] = None
    _emit(call, "employee.termination_cancelled", "Employee", row["uuid"])
    return NO_CONTENT


def _set_termination(call: Call, spell: Record) -> None:
    effective = call.body.get("effective_date")
    require(call.body, ["effective_date"])
    if not isinstance(effective, str):
        raise invalid("effective_date", "Effective date is not a valid date")
    _check_date("effective_date", effective)
    spell["termination_date"] = effective
    spell["run_termination_payroll"] = call.body.get("run_termination_payroll") is True


@routes.add("POST", "/v1/employees/{employee}/rehire", "employments:write")
def create_rehire(call: Call) -> Any:
    row = find_employee(call)
    if not row["spells"][-1]["termination_date"]:
        raise invalid("effective_date", "Cannot rehire if employee has not been terminated")
    spell = _new_spell("") | _rehire_values(call, None)
    row["spells"].append(spell)
    _emit(call, "employee.rehired", "Employee", row["uuid"])
    if spell["hire_date"] <= call.today.isoformat():
        _emit(call, "employee.rehire_effective", "Employee", row["uuid"])
    return Answer(201, shapes.rehire(row, spell, call.today))


@routes.add("PUT", "/v1/employees/{employee}/rehire", "employments:write")
def update_rehire(call: Call) -> Any:
    row, spell = _rehired(call)
    check_version(call, shapes.rehire(row, spell, call.today)["version"])
    spell |= _rehire_values(call, spell)
    _emit(call, "employee.updated", "Employee", row["uuid"])
    return shapes.rehire(row, spell, call.today)


@routes.add("DELETE", "/v1/employees/{employee}/rehire", "employments:write")
def delete_rehire(call: Call) -> Any:
    row, spell = _rehired(call)
    if spell["hire_date"] <= call.today.isoformat():
        message = "Unable to delete the rehire that is already effective, please terminate the employee instead."
        raise invalid("base", message, "invalid_operation")
    row["spells"].remove(spell)
    _emit(call, "employee.rehire_cancelled", "Employee", row["uuid"])
    return NO_CONTENT


def _rehired(call: Call) -> tuple[Record, Record]:
    row = find_employee(call)
    if len(row["spells"]) == 1:
        message = "The employee does not have any future employment, please rehire the employee first."
        raise invalid("base", message, "invalid_operation")
    return row, row["spells"][-1]


def _rehire_values(call: Call, old: Record | None) -> Record:
    """The body as a spell's attributes; what is left out stays as in `old`, or is missed if there is none."""
    body = {"effective_date": old["hire_date"]} | old if old else {}
    body = body | {name: value for name, value in call.body.items() if name != "version"}
    rows = []
    if not body.get("effective_date"):
        rows.append(error("effective_date", "invalid_attribute_value", "Effective date is required"))
    if body.get("work_location_uuid") not in call.company.locations:
        rows.append(error("work_location_uuid", "invalid_attribute_value", "Work location not found"))
    if not isinstance(body.get("file_new_hire_report"), bool):
        rows.append(error("file_new_hire_report", "invalid_attribute_value", "File new hire report is required"))
    if rows:
        raise RefusalError(422, *rows)
    _check_date("effective_date", str(body["effective_date"]))
    status = body.get("employment_status")
    return {
        "hire_date": str(body["effective_date"]),
        "file_new_hire_report": body["file_new_hire_report"],
        "work_location_uuid": body["work_location_uuid"],
        "employment_status": status if status in EMPLOYMENT_STATUSES else "not_set",
        "two_percent_shareholder": body.get("two_percent_shareholder") is True,
    }


# -- contractors --------------------------------------------------------------------------------------------------


@routes.add("POST", "/v1/companies/{company}/contractors", "contractors:manage")
def create_contractor(call: Call) -> Any:
    invited = call.body.get("self_onboarding") is True
    row: Record = {
        "uuid": str(uuid4()),
        "created_at": call.world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        **dict.fromkeys(shapes.WRITABLE["contractor"]),
        "is_active": True,
        "has_ssn": bool(call.body.get("ssn")),
        "work_email": None,
        "address": None,
        "onboarding_status": "self_onboarding_not_invited" if invited else "admin_onboarding_incomplete",
        "payment_method": None,
        "department_uuid": None,
        "dismissal_date": None,
        "rehire_date": None,
    }
    row |= given(call, "contractor")
    _check_contractor(row, invited=invited)
    row["hourly_rate"] = row["hourly_rate"] or "0.00"
    row["ein"] = _masked(row["ein"])
    call.company.contractors[row["uuid"]] = row
    _emit(call, "contractor.created", "Contractor", row["uuid"])
    return Answer(201, shapes.contractor(call.company, row, call.today))


@routes.add("PUT", "/v1/contractors/{contractor}", "contractors:write")
def update_contractor(call: Call) -> Any:
    row = one(call.company.contractors, call.params["contractor"])
    check_version(call, shapes.version("contractor", row))
    values = given(call, "contractor")
    _check_contractor(row | values, invited=False)
    active = values.get("is_active", row["is_active"])
    if row["is_active"] and not active:
        if row["dismissal_date"]:
            message = (
                "Cannot deactivate while a dismissal is scheduled. "
                "Use the cancel termination endpoint to remove the pending dismissal first."
            )
            raise invalid("is_active", message)
        row["dismissal_date"] = call.today.isoformat()
    if active and not row["is_active"]:
        if row["rehire_date"]:
            message = (
                "Cannot reactivate while a rehire is scheduled. "
                "Use the cancel rehire endpoint to remove the pending rehire first."
            )
            raise invalid("is_active", message)
        row["dismissal_date"] = None
    row |= values
    row["ein"] = _masked(row["ein"])
    row["has_ssn"] = row["has_ssn"] or bool(call.body.get("ssn"))
    _emit(call, "contractor.updated", "Contractor", row["uuid"])
    return shapes.contractor(call.company, row, call.today)


def _check_contractor(row: Record, *, invited: bool) -> None:
    names = ["first_name", "last_name"] if row["type"] == "Individual" else ["business_name"]
    if row["wage_type"] == "Hourly":
        names.append("hourly_rate")
    if invited:
        names.append("email")
    require(row, ["type", "wage_type", "start_date", *names])
    if row["type"] not in ("Individual", "Business"):
        raise invalid("type", "Type must be either Individual or Business")
    if row["wage_type"] not in ("Fixed", "Hourly"):
        raise invalid("wage_type", "Wage type must be either Fixed or Hourly")


def _masked(ein: str | None) -> str | None:
    """Gusto shows the last four digits only."""
    return f"XX-XXX{ein[-4:]}" if ein else None
