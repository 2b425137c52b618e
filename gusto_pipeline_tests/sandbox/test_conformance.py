"""Every answer to a GET has the shape the published API description gives it, and no field it does not name."""

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from gusto_pipeline.sandbox.gusto.world import Company
from gusto_pipeline.sandbox.server import GustoSandbox, running
from gusto_pipeline_tests.sandbox.conftest import TODAY, client, system_client

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="needs the published API description")

STRING = {"type": "string"}
STRING_OR_NULL = {"type": ["string", "null"]}

# Fields added to every version in 2026, which the description (2025-06-15) does not have yet.
ADDED: dict[str, dict[str, Any]] = {
    "Employee": {"company_name": STRING},
    "Contractor": {"work_email": STRING_OR_NULL, "company_name": STRING},
    "Contractor-Payment": {"invoice_number": STRING_OR_NULL, "memo": STRING_OR_NULL},
    "Pay-Schedule-Show": {"workweek_start_day": STRING},
    "Payroll": {"reversal_payroll_uuids": {"type": "array"}},
}


def amended(spec: dict[str, Any]) -> dict[str, Any]:
    """The description with what version 2026-06-15 changes, and its slips put right."""
    spec = copy.deepcopy(spec)
    schemas = spec["components"]["schemas"]
    for name, fields in ADDED.items():
        schemas[name]["properties"] |= fields
    # Every money field of a payroll is a string, PTO rows have an amount.
    base = schemas["Payroll-Employee-Compensations-Base-Type"]["properties"]
    for name in ("gross_pay", "net_pay", "check_amount"):
        base[name] = STRING_OR_NULL
    base["paid_time_off"]["items"]["properties"]["amount"] = STRING
    own = schemas["Payroll-Employee-Compensations-Type"]["allOf"][2]["properties"]
    included = schemas["Payroll-Employee-Compensations-Included"]["properties"]
    for rows in (own["deductions"], included["deductions"], included["taxes"], schemas["Payroll-Taxes-Type"]):
        rows["items"]["properties"]["amount"] = STRING
    for name in ("employee_deduction", "company_contribution"):
        included["benefits"]["items"]["properties"][name] = STRING
    # Off-cycle payrolls have no first check date and cannot be late.
    meta = schemas["Payroll-Payroll-Status-Meta-Type"]["properties"]
    meta["initial_check_date"] = STRING_OR_NULL
    meta["payroll_late"] = {"type": ["boolean", "null"]}
    # Slips: two values glued into one; a uuid typed as a number.
    history = schemas["Employment-History-List"]["items"]["properties"]["employment_status"]
    history["enum"] = ["part_time", "full_time", "part_time_eligible", "variable", "seasonal", "not_set"]
    summary = schemas["Contractor-Payment-Summary"]["properties"]["contractor_payments"]["items"]["properties"]
    summary["contractor_uuid"] = STRING
    # Gone in 2026-06-15.
    for name in ("id", "effective_from", "effective_to"):
        del schemas["Employee-Home-Address"]["properties"][name]
    del schemas["Pay-Schedule-Show"]["properties"]["auto_pilot"]
    return spec


def closed(schema: Any, *, whole: bool) -> Any:
    """The schema refusing fields it does not name. `whole`: it stands alone, not as one part of an allOf."""
    if not isinstance(schema, dict):
        return schema
    parts: dict[str, Any] = {
        key: [closed(each, whole=False) for each in schema[key]] for key in ("allOf", "anyOf", "oneOf") if key in schema
    }
    if isinstance(schema.get("properties"), dict):
        parts["properties"] = {name: closed(each, whole=True) for name, each in schema["properties"].items()}
    if "items" in schema:
        parts["items"] = closed(schema["items"], whole=True)
    names_fields = {"properties", "allOf", "anyOf", "oneOf", "$ref"} & set(schema)
    schema = {key: value for key, value in schema.items() if key != "additionalProperties"} | parts
    return schema | {"unevaluatedProperties": False} if whole and names_fields else schema


@cache
def description() -> tuple[dict[str, Any], Registry]:
    spec = amended(json.loads((SHARED / "gusto-openapi.json").read_text()))
    schemas = spec["components"]["schemas"]
    for name, schema in schemas.items():
        schemas[name] = closed(schema, whole=False)
    resource = Resource(contents=spec, specification=DRAFT202012)
    return spec, Registry().with_resource("urn:gusto", resource)


def validator(path: str, status: str = "200") -> Draft202012Validator:
    """For the answer to a GET of this path of the description."""
    spec, registry = description()
    content = spec["paths"][path]["get"]["responses"][status]["content"]["application/json"]
    content["schema"] = closed(content["schema"], whole=True)
    pointer = path.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    where = f"urn:gusto#/paths/{pointer}/get/responses/{status}/content/application~1json/schema"
    return Draft202012Validator({"$ref": where}, registry=registry)


def whole(path: str, *queries: str) -> Callable[[Company], list[str]]:
    """URLs below the company."""
    return lambda company: [f"/v1/companies/{company.uuid}{path}{query}" for query in queries or ("",)]


def each(kind: str, path: str, *queries: str) -> Callable[[Company], list[str]]:
    """One URL per record of a kind of the company."""
    return lambda company: [path.format(uuid) + query for uuid in getattr(company, kind) for query in queries or ("",)]


def nested(kind: str, path: str) -> Callable[[Company], list[str]]:
    return lambda company: [path.format(row["uuid"]) for e in company.employees.values() for row in e[kind]]


def compensations(company: Company) -> list[str]:
    rows = [row for _, job in company.jobs() for row in job["compensations"]]
    return [f"/v1/compensations/{row['uuid']}" for row in rows]


EVERYTHING = "?include=all_compensations,all_home_addresses,current_home_address,custom_fields,company_name"
CASES: dict[str, Callable[[Company], list[str]]] = {
    "/v1/token_info": lambda _: ["/v1/token_info"],
    "/v1/companies/{company_id}": whole(""),
    "/v1/companies/{company_id}/admins": whole("/admins"),
    "/v1/companies/{company_id}/custom_fields": whole("/custom_fields"),
    "/v1/companies/{company_id}/locations": whole("/locations"),
    "/v1/locations/{location_id}": each("locations", "/v1/locations/{}"),
    "/v1/locations/{location_uuid}/minimum_wages": each("locations", "/v1/locations/{}/minimum_wages"),
    "/v1/companies/{company_id}/pay_schedules": whole("/pay_schedules"),
    "/v1/companies/{company_id}/pay_schedules/{pay_schedule_id}": lambda company: [
        f"/v1/companies/{company.uuid}/pay_schedules/{uuid}" for uuid in company.pay_schedules
    ],
    "/v1/companies/{company_id}/pay_schedules/assignments": whole("/pay_schedules/assignments"),
    "/v1/companies/{company_id}/pay_periods": whole("/pay_periods", "?end_date=2027-01-01"),
    "/v1/companies/{company_id}/pay_periods/unprocessed_termination_pay_periods": whole(
        "/pay_periods/unprocessed_termination_pay_periods"
    ),
    "/v1/companies/{company_id}/employees": whole("/employees", "", f"{EVERYTHING},portal_invitations"),
    "/v1/employees/{employee_id}": each("employees", "/v1/employees/{}"),
    "/v1/companies/{company_uuid}/departments": whole("/departments"),
    "/v1/departments/{department_uuid}": each("departments", "/v1/departments/{}"),
    "/v1/employees/{employee_id}/terminations": each("employees", "/v1/employees/{}/terminations"),
    "/v1/employees/{employee_id}/employment_history": each("employees", "/v1/employees/{}/employment_history"),
    "/v1/employees/{employee_id}/home_addresses": each("employees", "/v1/employees/{}/home_addresses"),
    "/v1/home_addresses/{home_address_uuid}": nested("home_addresses", "/v1/home_addresses/{}"),
    "/v1/employees/{employee_id}/work_addresses": each("employees", "/v1/employees/{}/work_addresses"),
    "/v1/work_addresses/{work_address_uuid}": nested("work_addresses", "/v1/work_addresses/{}"),
    "/v1/employees/{employee_id}/custom_fields": each("employees", "/v1/employees/{}/custom_fields"),
    "/v1/employees/{employee_uuid}/time_off_activities": each(
        "employees",
        "/v1/employees/{}/time_off_activities",
        "?time_off_type=vacation",
        "?time_off_type=sick",
    ),
    "/v1/jobs/{job_id}/compensations": nested("jobs", "/v1/jobs/{}/compensations?include=all_compensations"),
    "/v1/compensations/{compensation_id}": compensations,
    "/v1/companies/{company_id}/earning_types": whole("/earning_types"),
    "/v1/companies/{company_uuid}/contractors": whole("/contractors", "?include=company_name,portal_invitations"),
    "/v1/contractors/{contractor_uuid}": each("contractors", "/v1/contractors/{}"),
    "/v1/companies/{company_id}/payrolls": whole(
        "/payrolls",
        "?include=totals,payroll_status_meta,risk_blockers,reversals,taxes&per=100",
        "?payroll_types=off_cycle&include=payroll_status_meta,totals",
        "?processing_statuses=unprocessed&end_date=2027-01-01",
    ),
    "/v1/companies/{company_id}/contractor_payments": whole(
        "/contractor_payments", "?start_date=2026-01-01", "?start_date=2026-01-01&group_by_date=true"
    ),
    "/v1/employees/{employee_id}/garnishments": each("employees", "/v1/employees/{}/garnishments"),
    "/v1/garnishments/{garnishment_id}": nested("garnishments", "/v1/garnishments/{}"),
    "/v1/companies/{company_id}/company_benefits": whole("/company_benefits", "", "?enrollment_count=true&active=true"),
    "/v1/company_benefits/{company_benefit_id}/employee_benefits": each(
        "benefits", "/v1/company_benefits/{}/employee_benefits", "", "?include=all_benefits&page=1"
    ),
    "/v1/companies/{company_uuid}/time_off_policies": whole("/time_off_policies"),
    "/v1/time_off_policies/{time_off_policy_uuid}": each("policies", "/v1/time_off_policies/{}"),
    "/v1/companies/{company_id}/time_off_requests": whole("/time_off_requests"),
}


def problems(http: httpx.Client, path: str, url: str) -> list[str]:
    answer = http.get(url)
    assert answer.status_code == 200, (url, answer.text)
    return [f"{url} {error.json_path}: {error.message[:200]}" for error in validator(path).iter_errors(answer.json())]


@pytest.mark.parametrize("path", CASES)
def test_answers_have_the_published_shape(path: str, sandbox: GustoSandbox, api: httpx.Client) -> None:
    urls = CASES[path](sandbox.world.companies[0])
    assert urls
    assert [problem for url in urls for problem in problems(api, path, url)] == []


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_every_kind_of_pay_schedule_assignment_has_the_published_shape(position: int) -> None:
    path = "/v1/companies/{company_id}/pay_schedules/assignments"
    with running(companies=4, employees=8, today=TODAY) as sandbox, client(sandbox, company=position) as http:
        assert problems(http, path, CASES[path](sandbox.world.companies[position])[0]) == []


@pytest.mark.parametrize("which", ["?processing_statuses=processed", "?processing_statuses=unprocessed", "off_cycle"])
def test_single_payrolls_have_the_published_shape(which: str, sandbox: GustoSandbox, api: httpx.Client) -> None:
    company = f"/v1/companies/{sandbox.world.companies[0].uuid}"
    query = "?payroll_types=off_cycle" if which == "off_cycle" else which
    uuid = api.get(f"{company}/payrolls{query}&end_date=2026-12-15&start_date=2026-08-01").json()[0]["uuid"]
    url = f"{company}/payrolls/{uuid}?include=benefits,deductions,taxes,payroll_taxes,payroll_status_meta"
    assert problems(api, "/v1/companies/{company_id}/payrolls/{payroll_id}", url) == []


def test_a_contractor_payment_has_the_published_shape(sandbox: GustoSandbox, api: httpx.Client) -> None:
    payments = f"/v1/companies/{sandbox.world.companies[0].uuid}/contractor_payments"
    listed = api.get(f"{payments}?start_date=2026-01-01").json()["contractor_payments"][0]["payments"][0]
    path = "/v1/companies/{company_id}/contractor_payments/{contractor_payment_id}"
    assert problems(api, path, f"{payments}/{listed['uuid']}") == []


def test_a_rehire_has_the_published_shape_and_none_is_no_content(sandbox: GustoSandbox, api: httpx.Client) -> None:
    employees = sandbox.world.companies[0].employees
    back = [uuid for uuid, row in employees.items() if len(row["spells"]) > 1]
    path = "/v1/employees/{employee_id}/rehire"
    assert [problem for uuid in back for problem in problems(api, path, f"/v1/employees/{uuid}/rehire")] == []
    first = next(iter(employees))
    assert api.get(f"/v1/employees/{first}/rehire").status_code == 204


def test_a_termination_has_the_published_shape(sandbox: GustoSandbox, api: httpx.Client) -> None:
    gone = [row for row in sandbox.world.companies[0].employees.values() if row["spells"][0]["termination_date"]]
    urls = [f"/v1/terminations/{row['uuid']}" for row in gone if len(row["spells"]) == 1]
    assert urls
    assert [problem for url in urls for problem in problems(api, "/v1/terminations/{employee_id}", url)] == []


def test_events_have_the_published_shape(sandbox: GustoSandbox) -> None:
    with system_client(sandbox) as http:
        assert problems(http, "/v1/events", "/v1/events") == []


def test_webhook_health_has_the_published_shape(sandbox: GustoSandbox) -> None:
    with system_client(sandbox) as http:
        assert problems(http, "/v1/webhooks/health_check", "/v1/webhooks/health_check") == []


def test_a_field_the_description_does_not_name_would_be_noticed() -> None:
    """The checks above can fail."""
    rows = [{"uuid": "u", "first_name": "A", "last_name": "B", "frist_name": "A"}]
    assert list(validator("/v1/companies/{company_id}/employees").iter_errors(rows))
    rows = [{"uuid": "u", "first_name": "A", "last_name": "B", "jobs": [{"uuid": "j", "titel": ""}]}]
    assert list(validator("/v1/companies/{company_id}/employees").iter_errors(rows))
