"""The endpoints that show people, places, time off and schedules."""

from collections.abc import Callable, Iterable
from typing import Any

from gusto_pipeline.sandbox.gusto import shapes
from gusto_pipeline.sandbox.gusto.api import Answer, Call, RefusalError, Routes, error, invalid, not_found
from gusto_pipeline.sandbox.gusto.payrolls import on_payroll
from gusto_pipeline.sandbox.gusto.world import Record

Test = Callable[[Record], bool]

routes = Routes()

NO_CONTENT = Answer(204)


def find_employee(call: Call) -> Record:
    """The employee named in the path. Raises RefusalError (404) as the finders below do."""
    return one(call.company.employees, call.params["employee"])


def find_address(call: Call, kind: str) -> tuple[Record, Record]:
    """The employee and the address (`home_addresses` or `work_addresses`) named in the path."""
    for employee in call.company.employees.values():
        for row in employee[kind]:
            if row["uuid"] == call.params["address"]:
                return employee, row
    raise not_found()


def find_job(call: Call) -> tuple[Record, Record]:
    for employee, job in call.company.jobs():
        if job["uuid"] == call.params["job"]:
            return employee, job
    raise not_found()


def find_compensation(call: Call) -> tuple[Record, Record, Record]:
    for employee, job in call.company.jobs():
        for row in job["compensations"]:
            if row["uuid"] == call.params["compensation"]:
                return employee, job, row
    raise not_found()


def one(rows: dict[str, Record], uuid: str) -> Record:
    """The record of that uuid. Raises RefusalError (404)."""
    if uuid not in rows:
        raise not_found()
    return rows[uuid]


# -- token and company --------------------------------------------------------------------------------------------


@routes.add("GET", "/v1/token_info")
def token_info(call: Call) -> Any:
    grant = call.token.grant
    scope = " ".join(sorted(call.scopes))
    if grant.company_uuid is None:
        application = {"type": "Oauth::Application", "uuid": grant.uuid}
        return {"scope": scope, "resource": application, "resource_owner": None}
    return {
        "scope": scope,
        "resource": {"type": "Company", "uuid": grant.company_uuid},
        "resource_owner": {"type": "CompanyAdmin", "uuid": grant.admin_uuid},
    }


@routes.add("GET", "/v1/companies/{company}", "companies:read")
def company(call: Call) -> Any:
    return shapes.company(call.company, call.scopes)


@routes.add("GET", "/v1/companies/{company}/admins", "company_admin:read")
def admins(call: Call) -> Any:
    return call.page(call.company.admins, dict)


@routes.add("GET", "/v1/companies/{company}/locations", "companies:read")
def locations(call: Call) -> Any:
    return call.page(call.company.locations.values(), lambda row: shapes.location(call.company, row))


@routes.add("GET", "/v1/locations/{location}", "companies:read")
def location(call: Call) -> Any:
    return shapes.location(call.company, one(call.company.locations, call.params["location"]))


@routes.add("GET", "/v1/locations/{location}/minimum_wages", "companies:read")
def minimum_wages(call: Call) -> Any:
    rows = one(call.company.locations, call.params["location"])["minimum_wages"]
    latest = call.query.get("effective_date")
    return [row for row in rows if latest is None or row["effective_date"] <= latest]


@routes.add("GET", "/v1/companies/{company}/departments", "departments:read")
def departments(call: Call) -> Any:
    return [shapes.department(call.company, row) for row in call.company.departments.values()]


@routes.add("GET", "/v1/departments/{department}", "departments:read")
def department(call: Call) -> Any:
    return shapes.department(call.company, one(call.company.departments, call.params["department"]))


@routes.add("GET", "/v1/companies/{company}/custom_fields", "companies:read")
def custom_fields(call: Call) -> Any:
    return {"custom_fields": call.page(call.company.custom_fields.values(), dict)}


@routes.add("GET", "/v1/companies/{company}/earning_types", "payrolls:read")
def earning_types(call: Call) -> Any:
    return call.company.earning_types


@routes.add("GET", "/v1/companies/{company}/job_applicants")
def applicants(call: Call) -> Any:
    """The undated beta's shape; no dated version has it."""
    if not call.world.applicants_offered:
        raise not_found()
    return call.company.applicants


@routes.add("GET", "/v1/companies/{company}/job_applicants/{applicant}")
def applicant(call: Call) -> Any:
    if not call.world.applicants_offered:
        raise not_found()
    return one({row["uuid"]: row for row in call.company.applicants}, call.params["applicant"])


# -- employees ----------------------------------------------------------------------------------------------------


@routes.add("GET", "/v1/companies/{company}/employees", "employees:read")
def employees(call: Call) -> Any:
    rows = _filtered(
        call, call.company.employees.values(), _employee_filters(call), ("created_at", "onboarding_status")
    )
    return call.page(rows, lambda row: _show_employee(call, row))


@routes.add("GET", "/v1/employees/{employee}", "employees:read")
def employee(call: Call) -> Any:
    return _show_employee(call, find_employee(call))


def _show_employee(call: Call, row: Record) -> Record:
    return shapes.employee(call.company, row, call.today, call.scopes, call.include())


def _employee_filters(call: Call) -> list[Test]:
    """One test per filter in the query."""
    today = call.today
    tests: dict[str, Test] = {
        "onboarded": shapes.onboarded,
        "onboarded_active": lambda e: shapes.onboarded(e) and shapes.employed(e, today),
        "terminated": lambda e: shapes.current_spell(e, today)["termination_date"] is not None,
        "terminated_today": lambda e: shapes.dismissal_in_effect(e, today),
    }
    wanted = _flagged(call, tests)
    if place := call.query.get("location_uuid"):
        wanted.append(lambda e: (shapes.in_effect(e["work_addresses"], today) or {}).get("location_uuid") == place)
    if call.query.get("uuids"):
        uuids = frozenset(call.query["uuids"].split(","))
        wanted.append(lambda e: e["uuid"] in uuids)
    if call.query.get("payroll_uuid"):
        paid = on_payroll(call.company, call.query["payroll_uuid"], today)
        wanted.append(lambda e: e["uuid"] in paid)
    return wanted


def _flagged(call: Call, tests: dict[str, Test]) -> list[Test]:
    """The tests whose true/false argument is in the query, turned round for false."""

    def bound(test: Test, flag: bool) -> Test:
        return lambda row: test(row) is flag

    flags = {name: call.flag(name) for name in tests}
    return [bound(tests[name], flag) for name, flag in flags.items() if flag is not None]


def _filtered(call: Call, rows: Iterable[Record], tests: list[Test], sortable: tuple[str, ...]) -> list[Record]:
    """Rows passing every test and `search_term`, in the order `sort_by` asks for."""
    term, sort_by = call.query.get("search_term"), call.query.get("sort_by")
    if term and sort_by:
        raise invalid("sort_by", "sort_by cannot be used with search_term.", "invalid_parameter")
    if term:
        tests = [*tests, lambda row: term.casefold() in shapes.full_name(row).casefold()]
    kept = [row for row in rows if all(test(row) for test in tests)]
    for part in reversed(sort_by.split(",") if sort_by else []):
        name, _, direction = part.partition(":")
        if name not in (*sortable, "name") or direction not in ("", "asc", "desc"):
            raise invalid("sort_by", f"Invalid sort_by: {part}", "invalid_parameter")
        key = _by_name if name == "name" else lambda row, name=name: row[name]
        kept.sort(key=key, reverse=direction == "desc")
    return kept


def _by_name(row: Record) -> tuple[str, str]:
    return row.get("business_name") or row["last_name"] or "", row["first_name"] or ""


@routes.add("GET", "/v1/employees/{employee}/custom_fields", "employees:read")
def employee_custom_fields(call: Call) -> Any:
    return {"custom_fields": call.page(shapes.custom_values(call.company, find_employee(call)), dict)}


@routes.add("GET", "/v1/employees/{employee}/home_addresses", "employees:read")
def home_addresses(call: Call) -> Any:
    row = find_employee(call)
    return [shapes.home_address(row, each, call.today) for each in row["home_addresses"]]


@routes.add("GET", "/v1/home_addresses/{address}", "employees:read")
def home_address(call: Call) -> Any:
    return shapes.home_address(*find_address(call, "home_addresses"), call.today)


@routes.add("GET", "/v1/employees/{employee}/work_addresses", "employees:read")
def work_addresses(call: Call) -> Any:
    row = find_employee(call)
    return [shapes.work_address(call.company, row, each, call.today) for each in row["work_addresses"]]


@routes.add("GET", "/v1/work_addresses/{address}", "employees:read")
def work_address(call: Call) -> Any:
    return shapes.work_address(call.company, *find_address(call, "work_addresses"), call.today)


@routes.add("GET", "/v1/jobs/{job}/compensations", "compensations:read")
def compensations(call: Call) -> Any:
    employee_row, job = find_job(call)
    rows = job["compensations"]
    if "all_compensations" not in call.include():
        rows = list(filter(None, [shapes.in_effect(rows, call.today)]))
    return call.page(rows, lambda row: shapes.compensation(employee_row, job, row))


@routes.add("GET", "/v1/compensations/{compensation}", "compensations:read")
def compensation(call: Call) -> Any:
    return shapes.compensation(*find_compensation(call))


@routes.add("GET", "/v1/employees/{employee}/garnishments", "garnishments:read")
def garnishments(call: Call) -> Any:
    row = find_employee(call)
    return call.page(row["garnishments"], lambda each: shapes.garnishment(row, each))


@routes.add("GET", "/v1/garnishments/{garnishment}", "garnishments:read")
def garnishment(call: Call) -> Any:
    for row in call.company.employees.values():
        for each in row["garnishments"]:
            if each["uuid"] == call.params["garnishment"]:
                return shapes.garnishment(row, each)
    raise not_found()


# -- benefits -----------------------------------------------------------------------------------------------------


@routes.add("GET", "/v1/companies/{company}/company_benefits", "company_benefits:read")
def company_benefits(call: Call) -> Any:
    active, counted = call.flag("active"), call.flag("enrollment_count") is True
    rows = [row for row in call.company.benefits.values() if active in (None, row["active"])]
    return [shapes.company_benefit(call.company, row, counted=counted) for row in rows]


@routes.add("GET", "/v1/company_benefits/{benefit}/employee_benefits", "employee_benefits:read")
def employee_benefits(call: Call) -> Any:
    benefit = one(call.company.benefits, call.params["benefit"])
    rows = shapes.enrollments(call.company, benefit["uuid"])
    if "all_benefits" not in call.include():
        today = call.today.isoformat()
        rows = [
            (employee_row, row)
            for employee_row, row in rows
            if row["effective_date"] <= today <= (row["expiration_date"] or "9999")
        ]
    return call.page(rows, lambda pair: shapes.employee_benefit(*pair))


# -- employment ---------------------------------------------------------------------------------------------------


@routes.add("GET", "/v1/employees/{employee}/terminations", "employments:read")
def terminations(call: Call) -> Any:
    row = find_employee(call)
    spell = shapes.current_spell(row, call.today)
    return [shapes.termination(row, spell, call.today)] if spell["termination_date"] else []


@routes.add("GET", "/v1/terminations/{employee}", "employments:read")
def termination(call: Call) -> Any:
    rows = terminations(call)
    if not rows:
        raise not_found()
    return rows[0]


@routes.add("GET", "/v1/employees/{employee}/rehire", "employments:read")
def rehire(call: Call) -> Any:
    row = find_employee(call)
    if len(row["spells"]) == 1:
        return NO_CONTENT
    return shapes.rehire(row, row["spells"][-1], call.today)


@routes.add("GET", "/v1/employees/{employee}/employment_history", "employments:read")
def employment_history(call: Call) -> Any:
    return shapes.employment_history(find_employee(call))


# -- contractors --------------------------------------------------------------------------------------------------


@routes.add("GET", "/v1/companies/{company}/contractors", "contractors:read")
def contractors(call: Call) -> Any:
    today = call.today
    tests: dict[str, Test] = {
        "onboarded": shapes.onboarded,
        "onboarded_active": lambda row: shapes.onboarded(row) and row["is_active"],
        "terminated": lambda row: row["dismissal_date"] is not None,
        "terminated_today": lambda row: row["dismissal_date"] is not None and row["dismissal_date"] < str(today),
    }
    rows = _filtered(
        call, call.company.contractors.values(), _flagged(call, tests), ("created_at", "type", "onboarding_status")
    )
    return call.page(rows, lambda row: shapes.contractor(call.company, row, today, call.include()))


@routes.add("GET", "/v1/contractors/{contractor}", "contractors:read")
def contractor(call: Call) -> Any:
    row = one(call.company.contractors, call.params["contractor"])
    return shapes.contractor(call.company, row, call.today, call.include())


# -- time off -----------------------------------------------------------------------------------------------------


@routes.add("GET", "/v1/companies/{company}/time_off_policies", "time_off_policies:read")
def policies(call: Call) -> Any:
    return [shapes.policy(call.company, row) for row in call.company.policies.values()]


@routes.add("GET", "/v1/time_off_policies/{policy}", "time_off_policies:read")
def policy(call: Call) -> Any:
    return shapes.policy(call.company, one(call.company.policies, call.params["policy"]))


@routes.add("GET", "/v1/companies/{company}/time_off_requests", "time_off_requests:read")
def time_off_requests(call: Call) -> Any:
    first, last = call.query.get("start_date", ""), call.query.get("end_date", "9999")
    return [
        shapes.time_off_request(call.company, row)
        for row in call.company.time_off_requests
        if any(first <= day <= last for day in row["days"])
    ]


@routes.add("GET", "/v1/employees/{employee}/time_off_activities", "employee_time_off_activities:read")
def time_off_activities(call: Call) -> Any:
    kind = call.query.get("time_off_type")
    row = find_employee(call)
    if kind not in ("vacation", "sick"):
        raise RefusalError(422, error("base", "invalid_parameter", "Expected one of: vacation, sick"))
    return shapes.time_off_activities(call.company, row, kind, call.world.clock.now())
