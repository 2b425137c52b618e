"""What lists can be asked for, and what follows from dates and scopes."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from gusto_pipeline.sandbox.gusto import shapes
from gusto_pipeline.sandbox.gusto.world import Company, Record
from gusto_pipeline.sandbox.server import GustoSandbox, running
from gusto_pipeline_tests.sandbox.conftest import TODAY, client

DAY = TODAY.isoformat()


@pytest.fixture
def company(sandbox: GustoSandbox) -> Company:
    return sandbox.world.companies[0]


@pytest.fixture
def listed(api: httpx.Client, company: Company) -> Callable[..., Any]:
    """What a list of the first company answers to these query arguments."""

    def get(what: str = "employees", **query: str) -> Any:
        answer = api.get(f"/v1/companies/{company.uuid}/{what}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get


def uuids(rows: list[Record]) -> set[str]:
    return {row["uuid"] for row in rows}


def where(company: Company, test: Callable[[Record], bool]) -> set[str]:
    return {uuid for uuid, row in company.employees.items() if test(row)}


def left(row: Record) -> str | None:
    date: str | None = shapes.current_spell(row, TODAY)["termination_date"]
    return date


@pytest.mark.parametrize(
    ("flag", "test"),
    [
        ("onboarded", lambda row: row["onboarding_status"] == "onboarding_completed"),
        ("terminated", lambda row: left(row) is not None),
        ("terminated_today", lambda row: (left(row) or "9999") < DAY),
        (
            "onboarded_active",
            lambda row: (
                row["onboarding_status"] == "onboarding_completed"
                and row["spells"][0]["hire_date"] <= DAY <= (left(row) or "9999")
            ),
        ),
    ],
)
def test_employees_can_be_filtered(
    listed: Callable[..., Any], company: Company, flag: str, test: Callable[[Record], bool]
) -> None:
    kept, rest = listed(**{flag: "true"}), listed(**{flag: "false"})
    assert uuids(kept) == where(company, test)
    assert kept
    assert uuids(kept) | uuids(rest) == set(company.employees)


def test_a_scheduled_leaver_is_flagged_but_not_gone(listed: Callable[..., Any]) -> None:
    leaving = [row for row in listed() if row["terminations"] and row["terminations"][0]["effective_date"] > DAY]
    assert leaving
    for row in leaving:
        assert row["terminated"]
        assert not row["terminations"][0]["active"]
        assert row["terminations"][0]["cancelable"]


def test_employees_can_be_named(listed: Callable[..., Any], company: Company) -> None:
    some = list(company.employees)[3:6]
    assert uuids(listed(uuids=",".join([*some, "unknown"]))) == set(some)


def test_employees_can_be_searched(listed: Callable[..., Any]) -> None:
    assert [row["last_name"] for row in listed(search_term="garcia")] == ["Garcia", "Garcia"]


def test_employees_can_be_sorted(listed: Callable[..., Any], company: Company) -> None:
    names = [(row["last_name"], row["first_name"]) for row in listed(sort_by="name:desc")]
    assert names == sorted(names, reverse=True)
    created = [company.employees[row["uuid"]]["created_at"] for row in listed(sort_by="created_at")]
    assert created == sorted(created)


@pytest.mark.parametrize("query", [{"sort_by": "ssn"}, {"sort_by": "name", "search_term": "x"}])
def test_a_sort_that_is_not_offered_is_refused(api: httpx.Client, company: Company, query: dict[str, str]) -> None:
    answer = api.get(f"/v1/companies/{company.uuid}/employees", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["error_key"] == "sort_by"


def test_employees_can_be_asked_for_by_where_they_work(listed: Callable[..., Any], company: Company) -> None:
    by_location = [uuids(listed(location_uuid=uuid)) for uuid in company.locations]
    assert sorted(uuid for group in by_location for uuid in group) == sorted(company.employees)


def test_extras_come_only_when_asked_for(listed: Callable[..., Any]) -> None:
    plain = {name for row in listed() for name in row}
    extras = {
        "custom_fields",
        "current_home_address",
        "all_home_addresses",
        "company_name",
        "member_portal_invitation_status",
        "partner_portal_invitation_sent",
    }
    asked = "custom_fields,current_home_address,all_home_addresses,company_name,portal_invitations"
    assert not plain & extras
    assert {name for row in listed(include=asked) for name in row} == plain | extras


def test_without_all_compensations_only_the_current_one_comes(listed: Callable[..., Any]) -> None:
    for row in listed():
        for job in row["jobs"]:
            assert [pay["uuid"] for pay in job["compensations"]] == [job["current_compensation_uuid"]]
    counts = [len(job["compensations"]) for row in listed(include="all_compensations") for job in row["jobs"]]
    assert max(counts) > 1


def test_the_current_compensation_is_not_a_future_one(listed: Callable[..., Any]) -> None:
    planned = 0
    for row in listed(include="all_compensations"):
        for job in row["jobs"]:
            current = next(pay for pay in job["compensations"] if pay["uuid"] == job["current_compensation_uuid"])
            later = [pay for pay in job["compensations"] if pay["effective_date"] > DAY]
            planned += bool(later)
            assert current not in later or len(later) == len(job["compensations"])
            assert (current["rate"], current["title"]) == (job["rate"], job["title"])
    assert planned


def test_pay_is_hidden_without_its_scope(sandbox: GustoSandbox, company: Company) -> None:
    with client(sandbox, scopes=["employees:read"]) as http:
        rows = http.get(f"/v1/companies/{company.uuid}/employees?include=all_compensations").json()
    jobs = [job for row in rows for job in row["jobs"]]
    assert jobs
    assert not {"rate", "payment_unit", "current_compensation_uuid", "compensations"} & {k for j in jobs for k in j}


def test_a_social_security_number_never_comes(listed: Callable[..., Any]) -> None:
    assert {row["ssn"] for row in listed()} == {""}


def test_the_signatory_needs_its_own_scope(sandbox: GustoSandbox, company: Company, api: httpx.Client) -> None:
    url = f"/v1/companies/{company.uuid}"
    assert "primary_signatory" in api.get(url).json()
    with client(sandbox, scopes=["companies:read"]) as http:
        assert not {"primary_signatory", "primary_payroll_admin"} & set(http.get(url).json())


def test_someone_who_came_back_was_hired_anew(api: httpx.Client, company: Company) -> None:
    back = next(row for row in company.employees.values() if row["spells"][-1]["hire_date"] < DAY and row["spells"][1:])
    shown = api.get(f"/v1/employees/{back['uuid']}").json()
    history = api.get(f"/v1/employees/{back['uuid']}/employment_history").json()
    assert shown["jobs"][0]["hire_date"] == history[1]["hire_date"]
    assert shown["terminations"] == []
    assert history[0]["termination_date"] < history[1]["hire_date"]


def test_policies_tell_the_balances_the_employees_tell(listed: Callable[..., Any]) -> None:
    by_policy = {
        (policy["uuid"], member["uuid"], member["balance"])
        for policy in listed("time_off_policies")
        for member in policy["employees"]
    }
    by_employee = {
        (pto["policy_uuid"], row["uuid"], pto["accrual_balance"])
        for row in listed()
        for pto in row["eligible_paid_time_off"]
    }
    assert by_policy == by_employee != set()


def test_activities_add_up_to_the_balance(api: httpx.Client, company: Company) -> None:
    for uuid in company.employees:
        rows = api.get(f"/v1/employees/{uuid}/time_off_activities?time_off_type=sick").json()
        if rows:
            assert sum(Decimal(row["balance_change"]) for row in rows) == Decimal(rows[-1]["balance"])


@pytest.mark.parametrize("query", ["", "?time_off_type=jury_duty"])
def test_activities_exist_for_vacation_and_sick_leave_only(api: httpx.Client, company: Company, query: str) -> None:
    answer = api.get(f"/v1/employees/{next(iter(company.employees))}/time_off_activities{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == "Expected one of: vacation, sick"


def test_time_off_requests_can_be_limited_to_dates(listed: Callable[..., Any]) -> None:
    upcoming = listed("time_off_requests", start_date=DAY)
    assert 0 < len(upcoming) < len(listed("time_off_requests"))
    assert all(max(row["days"]) >= DAY for row in upcoming)


def test_a_payrolls_totals_are_the_sums_of_its_parts(api: httpx.Client, company: Company) -> None:
    url = f"/v1/companies/{company.uuid}/payrolls"
    uuid = api.get(f"{url}?include=totals").json()[-1]["uuid"]
    whole = api.get(f"{url}/{uuid}?include=taxes,benefits,deductions&page=1&per=100").json()
    rows = whole["employee_compensations"]
    assert rows
    for field in ("gross_pay", "net_pay", "check_amount"):
        assert sum(Decimal(row[field]) for row in rows) == Decimal(whole["totals"][field])
    for row in rows:
        paid = sum(Decimal(part["amount"]) for part in row["hourly_compensations"] + row["fixed_compensations"])
        withheld = (
            sum(Decimal(tax["amount"]) for tax in row["taxes"] if not tax["employer"])
            + sum(Decimal(part["employee_deduction"]) for part in row["benefits"])
            + sum(Decimal(part["amount"]) for part in row["deductions"])
        )
        repaid = sum(Decimal(part["amount"]) for part in row["reimbursements"])
        assert paid == Decimal(row["gross_pay"])
        assert paid - withheld + repaid == Decimal(row["net_pay"])


def test_a_payrolls_details_come_only_when_asked_for(api: httpx.Client, company: Company) -> None:
    url = f"/v1/companies/{company.uuid}/payrolls"
    row = api.get(f"{url}/{api.get(url).json()[0]['uuid']}").json()["employee_compensations"][0]
    assert not {"taxes", "benefits", "deductions"} & set(row)


def test_a_processed_payroll_stays_as_it_was(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    company = fresh.world.companies[0]
    url = f"/v1/companies/{company.uuid}/payrolls"
    before = fresh_api.get(f"{url}?include=totals").json()[0]
    for _, job in company.jobs():
        for pay in job["compensations"]:
            pay["rate"] = "1.00"
    assert fresh_api.get(f"{url}?include=totals").json()[0] == before


@pytest.mark.parametrize(
    ("query", "key", "message"),
    [
        ("end_date=2027-06-01", "end_date", "End date cannot be more than 3 months in future"),
        ("start_date=2024-01-01&end_date=2026-01-01", "start_date", "Date range too long, max 1 year"),
        ("start_date=soon", "start_date", "Invalid date: start_date"),
    ],
)
def test_payroll_dates_have_bounds(api: httpx.Client, company: Company, query: str, key: str, message: str) -> None:
    answer = api.get(f"/v1/companies/{company.uuid}/payrolls?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"error_key": key, "category": "invalid_parameter", "message": message}]


def test_employees_of_a_payroll_can_be_listed(listed: Callable[..., Any], api: httpx.Client, company: Company) -> None:
    payroll = listed("payrolls")[-1]["uuid"]
    paid = api.get(f"/v1/companies/{company.uuid}/payrolls/{payroll}?page=1&per=100").json()["employee_compensations"]
    assert uuids(listed(payroll_uuid=payroll)) == {row["employee_uuid"] for row in paid}


def test_everyone_with_a_job_is_on_exactly_one_schedule_each_period(listed: Callable[..., Any]) -> None:
    periods = [(row["pay_schedule_uuid"], row["start_date"]) for row in listed("pay_periods")]
    assert len(set(periods)) == len(periods) > 20


def test_job_applicants_are_not_offered_by_dated_versions(api: httpx.Client, company: Company) -> None:
    assert api.get(f"/v1/companies/{company.uuid}/job_applicants").status_code == 404


def test_job_applicants_can_be_switched_on() -> None:
    with running(employees=1, today=TODAY, applicants=True) as sandbox, client(sandbox) as http:
        url = f"/v1/companies/{sandbox.world.companies[0].uuid}/job_applicants"
        rows = http.get(url).json()
        assert len(rows) == 3
        assert http.get(f"{url}/{rows[1]['uuid']}").json() == rows[1]


def test_time_passing_changes_who_is_employed(fresh: GustoSandbox, fresh_api: httpx.Client) -> None:
    url = f"/v1/companies/{fresh.world.companies[0].uuid}/employees?terminated_today=true"
    before = len(fresh_api.get(url).json())
    fresh.advance(24 * 3600)
    with client(fresh) as http:
        assert len(http.get(url).json()) == before + 1
