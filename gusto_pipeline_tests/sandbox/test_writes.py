"""Changing people and places: versions, refusals in the documented words, and the events that follow."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from gusto_pipeline.sandbox.gusto import shapes
from gusto_pipeline.sandbox.gusto.world import Company, Record
from gusto_pipeline.sandbox.server import GustoSandbox
from gusto_pipeline_tests.sandbox.conftest import TODAY, client, system_client

TOMORROW = (TODAY + timedelta(days=1)).isoformat()
NEXT_MONTH = (TODAY + timedelta(days=30)).isoformat()
LONG_AGO = "2020-01-15"


@pytest.fixture
def company(fresh: GustoSandbox) -> Company:
    return fresh.world.companies[0]


@pytest.fixture
def settled(sandbox: GustoSandbox) -> Company:
    """The first company of the shared sandbox, for what is refused: that leaves it as it is."""
    return sandbox.world.companies[0]


def active(company: Company) -> Record:
    """Someone who works here and neither leaves nor came back."""
    return list(company.employees.values())[1]


def draft(company: Company) -> Record:
    return next(row for row in company.employees.values() if not shapes.onboarded(row))


def gone(company: Company) -> Record:
    rows = company.employees.values()
    return next(row for row in rows if shapes.dismissal_in_effect(row, TODAY) and len(row["spells"]) == 1)


def messages(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(row["error_key"], row["message"]) for row in answer.json()["errors"]]


def event_types(sandbox: GustoSandbox) -> list[str]:
    return [row["event_type"] for row in sandbox.world.events if row["event_type"] != "company.provisioned"]


# -- versions -----------------------------------------------------------------------------------------------------

VERSIONED: dict[str, tuple[Callable[[Company], str], Record]] = {
    "employee": (lambda c: f"/v1/employees/{active(c)['uuid']}", {"preferred_first_name": "Pepe"}),
    "department": (lambda c: f"/v1/departments/{next(iter(c.departments))}", {"title": "Research"}),
    "location": (lambda c: f"/v1/locations/{next(iter(c.locations))}", {"street_1": "1 New Street"}),
    "home address": (
        lambda c: f"/v1/home_addresses/{active(c)['home_addresses'][0]['uuid']}",
        {"street_1": "1 New Street"},
    ),
    "work address": (
        lambda c: f"/v1/work_addresses/{active(c)['work_addresses'][0]['uuid']}",
        {"effective_date": "2021-02-03"},
    ),
    "contractor": (lambda c: f"/v1/contractors/{next(iter(c.contractors))}", {"start_date": "2021-02-03"}),
    "termination": (lambda c: f"/v1/terminations/{gone(c)['uuid']}", {"effective_date": "2026-10-01"}),
}


@pytest.mark.parametrize("kind", VERSIONED)
def test_a_change_needs_the_current_version_and_makes_a_new_one(
    company: Company, fresh_api: httpx.Client, kind: str
) -> None:
    find, change = VERSIONED[kind]
    url = find(company)
    before = fresh_api.get(url).json()
    for wrong in ({}, {"version": "0" * 32}):
        refused = fresh_api.put(url, json=change | wrong)
        assert refused.status_code == 409
        assert refused.json()["errors"][0]["category"] == "invalid_resource_version"
    after = fresh_api.put(url, json=change | {"version": before["version"]})
    assert after.status_code == 200, after.text
    assert re.fullmatch(r"[0-9a-f]{32}", after.json()["version"])
    changed = {name for name in before if before[name] != after.json()[name]}
    assert changed == {*change, "version"} | ({"updated_at"} if kind == "location" else set())
    assert fresh_api.get(url).json() == after.json()


def test_what_cannot_be_written_does_not_move_the_version(company: Company, fresh_api: httpx.Client) -> None:
    row = active(company)
    before = fresh_api.get(f"/v1/employees/{row['uuid']}").json()
    row["phone"] = "6175550111"
    after = fresh_api.get(f"/v1/employees/{row['uuid']}").json()
    assert before["phone"] != after["phone"]
    assert before["version"] == after["version"]


def test_a_change_of_pay_moves_the_employees_version(company: Company, fresh_api: httpx.Client) -> None:
    row = active(company)
    before = fresh_api.get(f"/v1/employees/{row['uuid']}").json()["version"]
    row["jobs"][0]["compensations"][0]["rate"] = "1.00"
    assert fresh_api.get(f"/v1/employees/{row['uuid']}").json()["version"] != before


# -- employees ----------------------------------------------------------------------------------------------------


def test_a_new_employee_is_a_draft_without_a_job(
    fresh: GustoSandbox, company: Company, fresh_api: httpx.Client
) -> None:
    body = {"first_name": "Ada", "last_name": "King", "ssn": "123456789", "date_of_birth": "1990-12-10"}
    made = fresh_api.post(f"/v1/companies/{company.uuid}/employees", json=body)
    assert made.status_code == 201
    row = made.json()
    assert (row["onboarding_status"], row["jobs"], row["has_ssn"]) == ("admin_onboarding_incomplete", [], True)
    assert "123456789" not in made.text
    assert fresh_api.get(f"/v1/employees/{row['uuid']}").json() == row
    assert event_types(fresh) == ["employee.created"]


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ({}, ["first_name", "last_name"]),
        ({"first_name": "A", "last_name": "B", "self_onboarding": True}, ["email"]),
        ({"first_name": "A", "last_name": "B", "email": "nobody"}, ["email"]),
        ({"first_name": "A", "last_name": "B", "date_of_birth": "soon"}, ["date_of_birth"]),
        ({"first_name": "A", "last_name": "B", "ssn": "12"}, ["ssn"]),
        ({"first_name": 1, "last_name": "B"}, ["first_name"]),
    ],
)
def test_an_employee_that_cannot_be_is_refused(
    settled: Company, api: httpx.Client, body: Record, keys: list[str]
) -> None:
    answer = api.post(f"/v1/companies/{settled.uuid}/employees", json=body)
    assert [key for key, _ in messages(answer)] == keys
    assert len(settled.employees) == 40


def test_a_draft_can_be_deleted_an_employee_cannot(company: Company, fresh_api: httpx.Client) -> None:
    uuid = draft(company)["uuid"]
    assert fresh_api.delete(f"/v1/employees/{uuid}").status_code == 204
    assert fresh_api.get(f"/v1/employees/{uuid}").status_code == 404
    refused = fresh_api.delete(f"/v1/employees/{active(company)['uuid']}")
    assert messages(refused) == [("base", "Cannot delete onboarded employee")]


# -- departments --------------------------------------------------------------------------------------------------


def test_people_move_between_departments(company: Company, fresh_api: httpx.Client) -> None:
    url = f"/v1/companies/{company.uuid}/departments"
    made = fresh_api.post(url, json={"title": "Research"}).json()
    members = {
        "employees": [{"uuid": active(company)["uuid"]}],
        "contractors": [{"uuid": next(iter(company.contractors))}],
    }
    one = f"/v1/departments/{made['uuid']}"
    added = fresh_api.put(f"{one}/add", json=members | {"version": made["version"]}).json()
    assert {kind: added[kind] for kind in members} == members
    assert fresh_api.get(f"/v1/employees/{active(company)['uuid']}").json()["department"] == "Research"
    full = fresh_api.delete(one)
    assert messages(full)[0][1].startswith("You cannot delete a department that has active team members.")
    removed = fresh_api.put(f"{one}/remove", json=members | {"version": added["version"]}).json()
    assert (removed["employees"], removed["contractors"]) == ([], [])
    assert fresh_api.delete(one).status_code == 204


@pytest.mark.parametrize("wrong", [[{"uuid": "unknown"}], ["x"], [{}], 7, [{"uuid": []}]])
def test_only_the_companys_people_can_join_a_department(settled: Company, api: httpx.Client, wrong: Any) -> None:
    one = f"/v1/departments/{next(iter(settled.departments))}"
    version = api.get(one).json()["version"]
    answer = api.put(f"{one}/add", json={"version": version, "employees": wrong, "contractors": wrong})
    assert messages(answer) == [("employees", "Employees must be valid"), ("contractors", "Contractors must be valid")]


def test_two_departments_cannot_have_the_same_name(settled: Company, api: httpx.Client) -> None:
    answer = api.post(f"/v1/companies/{settled.uuid}/departments", json={"title": "engineering"})
    assert messages(answer) == [("title", "Department name has already been taken.")]


# -- places -------------------------------------------------------------------------------------------------------


PLACE = {"street_1": "1 Main St", "city": "Salem", "state": "MA", "zip": "01970"}


def test_a_location_without_an_address_is_refused(settled: Company, api: httpx.Client) -> None:
    answer = api.post(f"/v1/companies/{settled.uuid}/locations", json={"state": "Mass."})
    assert [key for key, _ in messages(answer)] == ["street_1", "city", "state", "zip"]


def test_a_new_filing_address_takes_the_flag_from_the_old_one(
    fresh: GustoSandbox, company: Company, fresh_api: httpx.Client
) -> None:
    url = f"/v1/companies/{company.uuid}/locations"
    made = fresh_api.post(url, json=PLACE | {"phone_number": "6175550111", "filing_address": True})
    assert made.status_code == 201
    assert [row["uuid"] for row in fresh_api.get(url).json() if row["filing_address"]] == [made.json()["uuid"]]
    assert event_types(fresh) == ["location.created"]


def test_a_planned_move_leaves_the_present_home_active(
    fresh: GustoSandbox, company: Company, fresh_api: httpx.Client
) -> None:
    url = f"/v1/employees/{active(company)['uuid']}/home_addresses"
    made = fresh_api.post(url, json=PLACE | {"effective_date": NEXT_MONTH})
    assert (made.status_code, made.json()["active"]) == (201, False)
    present = next(row for row in fresh_api.get(url).json() if row["active"])
    assert messages(fresh_api.delete(f"/v1/home_addresses/{present['uuid']}"))
    assert fresh_api.delete(f"/v1/home_addresses/{made.json()['uuid']}").status_code == 204
    assert event_types(fresh) == ["employee.home_address.created", "employee.home_address.destroyed"]


def test_a_work_address_is_a_location_of_the_company(company: Company, fresh_api: httpx.Client) -> None:
    url = f"/v1/employees/{active(company)['uuid']}/work_addresses"
    place = list(company.locations.values())[2]
    made = fresh_api.post(url, json={"location_uuid": place["uuid"], "effective_date": TODAY.isoformat()})
    assert (made.status_code, made.json()["city"], made.json()["active"]) == (201, place["city"], True)
    assert messages(fresh_api.post(url, json={"location_uuid": "unknown"}))[0][0] == "location_uuid"


# -- pay ----------------------------------------------------------------------------------------------------------

RAISE = {"rate": "123456.7", "payment_unit": "Year", "flsa_status": "Exempt", "effective_date": NEXT_MONTH}


def test_a_raise_can_be_planned_changed_and_dropped(
    fresh: GustoSandbox, company: Company, fresh_api: httpx.Client
) -> None:
    job = active(company)["jobs"][0]
    url = f"/v1/jobs/{job['uuid']}/compensations"
    made = fresh_api.post(url, json=RAISE)
    assert (made.status_code, made.json()["rate"]) == (201, "123456.70")
    assert [row["uuid"] for row in fresh_api.get(url).json()] != [made.json()["uuid"]]
    one = f"/v1/compensations/{made.json()['uuid']}"
    changed = fresh_api.put(one, json={"version": made.json()["version"], "rate": "130000"})
    assert changed.json()["rate"] == "130000.00"
    assert fresh_api.delete(one).status_code == 204
    verbs = ("created", "updated", "destroyed")
    assert event_types(fresh) == [f"employee_job_compensation.{verb}" for verb in verbs]


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"rate": "lots"}, "rate", "Rate is not a valid number"),
        ({"payment_unit": "Day"}, "payment_unit", "Payment unit must be one of Hour, Week, Month, or Year"),
        ({"flsa_status": ""}, "flsa_status", "Flsa status is required"),
        ({"effective_date": "soon"}, "effective_date", "Effective date is not a valid date"),
    ],
)
def test_pay_that_cannot_be_is_refused(
    settled: Company, api: httpx.Client, change: Record, key: str, message: str
) -> None:
    url = f"/v1/jobs/{active(settled)['jobs'][0]['uuid']}/compensations"
    assert messages(api.post(url, json=RAISE | change)) == [(key, message)]


def test_two_compensations_cannot_start_on_the_same_day(settled: Company, api: httpx.Client) -> None:
    job = active(settled)["jobs"][0]
    same = RAISE | {"effective_date": job["compensations"][0]["effective_date"]}
    assert messages(api.post(f"/v1/jobs/{job['uuid']}/compensations", json=same))[0][0] == "effective_date"


def test_pay_that_was_paid_stays(settled: Company, api: httpx.Client) -> None:
    paid = active(settled)["jobs"][0]["compensations"][0]["uuid"]
    refused = api.delete(f"/v1/compensations/{paid}")
    assert messages(refused) == [("base", "Compensation has already been processed on payroll.")]


# -- leaving and coming back --------------------------------------------------------------------------------------


def test_a_dismissal_is_scheduled_and_cancelled(fresh: GustoSandbox, company: Company, fresh_api: httpx.Client) -> None:
    url = f"/v1/employees/{active(company)['uuid']}/terminations"
    made = fresh_api.post(url, json={"effective_date": NEXT_MONTH})
    assert (made.status_code, made.json()["active"], made.json()["cancelable"]) == (201, False, True)
    twice = fresh_api.post(url, json={"effective_date": NEXT_MONTH})
    assert messages(twice) == [("base", "Employee may only have one termination")]
    assert fresh_api.delete(url).status_code == 204
    assert fresh_api.get(url).json() == []
    assert fresh_api.delete(url).status_code == 404
    assert event_types(fresh) == ["employee.terminated", "employee.termination_cancelled"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Effective date is required"),
        ({"effective_date": "soon"}, "Effective date is not a valid date"),
        ({"effective_date": 7}, "Effective date is not a valid date"),
    ],
)
def test_a_dismissal_needs_a_date(settled: Company, api: httpx.Client, body: Record, message: str) -> None:
    answer = api.post(f"/v1/employees/{active(settled)['uuid']}/terminations", json=body)
    assert messages(answer) == [("effective_date", message)]


def test_who_is_gone_cannot_be_dismissed(settled: Company, api: httpx.Client) -> None:
    answer = api.post(f"/v1/employees/{gone(settled)['uuid']}/terminations", json={"effective_date": TOMORROW})
    assert messages(answer) == [("base", "Employee has already been terminated")]


def test_a_dismissal_with_its_own_payroll_cannot_be_cancelled(company: Company, fresh_api: httpx.Client) -> None:
    url = f"/v1/employees/{active(company)['uuid']}/terminations"
    fresh_api.post(url, json={"effective_date": NEXT_MONTH, "run_termination_payroll": True})
    answer = fresh_api.delete(url)
    assert messages(answer) == [("base", "Cannot cancel a termination with a termination payroll")]


def test_a_rehire_is_scheduled_changed_and_dropped(
    fresh: GustoSandbox, company: Company, fresh_api: httpx.Client
) -> None:
    url = f"/v1/employees/{gone(company)['uuid']}/rehire"
    place = next(iter(company.locations))
    body = {"effective_date": NEXT_MONTH, "work_location_uuid": place, "file_new_hire_report": True}
    made = fresh_api.post(url, json=body | {"employment_status": "odd"})
    assert (made.status_code, made.json()["active"], made.json()["employment_status"]) == (201, False, "not_set")
    assert fresh_api.put(url, json={"file_new_hire_report": False}).status_code == 409
    changed = fresh_api.put(url, json={"file_new_hire_report": False, "version": made.json()["version"]}).json()
    assert (changed["file_new_hire_report"], changed["effective_date"]) == (False, NEXT_MONTH)
    assert fresh_api.get(url.replace("rehire", "terminations")).json()[0]["active"]
    assert fresh_api.delete(url).status_code == 204
    assert fresh_api.get(url).status_code == 204
    assert event_types(fresh) == ["employee.rehired", "employee.updated", "employee.rehire_cancelled"]


def test_a_rehire_names_all_that_is_missing(settled: Company, api: httpx.Client) -> None:
    answer = api.post(f"/v1/employees/{gone(settled)['uuid']}/rehire", json={})
    assert messages(answer) == [
        ("effective_date", "Effective date is required"),
        ("work_location_uuid", "Work location not found"),
        ("file_new_hire_report", "File new hire report is required"),
    ]


def test_only_who_was_dismissed_can_be_rehired(settled: Company, api: httpx.Client) -> None:
    url = f"/v1/employees/{active(settled)['uuid']}/rehire"
    assert messages(api.post(url, json={}))[0][1] == "Cannot rehire if employee has not been terminated"
    assert messages(api.delete(url))[0][1].startswith("The employee does not have any future employment")


def test_a_rehire_in_effect_cannot_be_dropped(settled: Company, api: httpx.Client) -> None:
    day = TODAY.isoformat()
    back = next(row for row in settled.employees.values() if row["spells"][1:] and row["spells"][1]["hire_date"] < day)
    answer = api.delete(f"/v1/employees/{back['uuid']}/rehire")
    assert messages(answer)[0][1].startswith("Unable to delete the rehire that is already effective")


def test_a_dismissal_before_a_rehire_cannot_be_changed(settled: Company, api: httpx.Client) -> None:
    day = TODAY.isoformat()
    row = next(row for row in settled.employees.values() if row["spells"][1:] and row["spells"][1]["hire_date"] > day)
    url = f"/v1/terminations/{row['uuid']}"
    version = api.get(url).json()["version"]
    answer = api.put(url, json={"version": version, "effective_date": day})
    assert messages(answer) == [("base", "Unable to modify a termination with a future rehire.")]


def test_dates_that_come_are_events(fresh: GustoSandbox) -> None:
    fresh.advance(45 * 24 * 3600)
    assert {"employee.terminated_effective", "employee.rehire_effective"} <= set(event_types(fresh))


# -- contractors --------------------------------------------------------------------------------------------------


def test_a_contractor_is_a_person_or_a_firm(fresh: GustoSandbox, company: Company, fresh_api: httpx.Client) -> None:
    url = f"/v1/companies/{company.uuid}/contractors"
    firm = {"type": "Business", "wage_type": "Fixed", "start_date": LONG_AGO, "ein": "123456789"}
    assert messages(fresh_api.post(url, json=firm)) == [("business_name", "Business name is required")]
    made = fresh_api.post(url, json=firm | {"business_name": "Moss Ltd"})
    assert (made.status_code, made.json()["ein"], made.json()["hourly_rate"]) == (201, "XX-XXX6789", "0.00")
    person = {"type": "Individual", "wage_type": "Hourly", "start_date": LONG_AGO, "first_name": "A", "last_name": "B"}
    assert messages(fresh_api.post(url, json=person)) == [("hourly_rate", "Hourly rate is required")]
    assert event_types(fresh) == ["contractor.created"]


def test_a_contractor_with_a_dismissal_ahead_cannot_be_deactivated(company: Company, fresh_api: httpx.Client) -> None:
    row = next(iter(company.contractors.values()))
    row["dismissal_date"] = NEXT_MONTH
    url = f"/v1/contractors/{row['uuid']}"
    version = fresh_api.get(url).json()["version"]
    answer = fresh_api.put(url, json={"version": version, "is_active": False})
    assert messages(answer)[0][1].startswith("Cannot deactivate while a dismissal is scheduled.")


def test_writing_needs_its_own_scope(fresh: GustoSandbox, company: Company) -> None:
    with client(fresh, scopes=["employees:read", "employees:write"]) as http:
        answer = http.post(f"/v1/companies/{company.uuid}/employees", json={"first_name": "A", "last_name": "B"})
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["metadata"] == {"missing_scope_name": "employees:manage"}


def test_the_events_of_a_change_can_be_read(fresh: GustoSandbox, company: Company, fresh_api: httpx.Client) -> None:
    row = draft(company)
    fresh_api.delete(f"/v1/employees/{row['uuid']}")
    with system_client(fresh) as http:
        event = http.get("/v1/events", params={"event_type": "employee.*"}).json()[0]
    assert event["event_type"] == "employee.deleted"
    assert (event["entity_type"], event["entity_uuid"]) == ("Employee", row["uuid"])
    assert (event["resource_type"], event["resource_uuid"]) == ("Company", company.uuid)


def test_jobs_cannot_be_written_unless_switched_on(company: Company, fresh_api: httpx.Client) -> None:
    url = f"/v1/employees/{active(company)['uuid']}/jobs"
    assert fresh_api.post(url, json={"title": "Mixer", "hire_date": NEXT_MONTH}).status_code == 404


def test_a_new_job_starts_with_a_compensation_of_nothing(
    fresh: GustoSandbox, company: Company, fresh_api: httpx.Client
) -> None:
    fresh.world.jobs_offered = True
    url = f"/v1/employees/{active(company)['uuid']}/jobs"
    made = fresh_api.post(url, json={"title": "Mixer", "hire_date": NEXT_MONTH})
    assert (made.status_code, made.json()["title"], made.json()["rate"]) == (201, "Mixer", "0.00")
    again = fresh_api.post(url, json={"title": "Mixer", "hire_date": NEXT_MONTH})
    assert messages(again) == [("title", "Employee cannot have two jobs with the same title.")]


def test_a_job_changes_under_its_version(fresh: GustoSandbox, company: Company, fresh_api: httpx.Client) -> None:
    fresh.world.jobs_offered = True
    job = fresh_api.get(f"/v1/employees/{active(company)['uuid']}").json()["jobs"][0]
    body = {"version": job["version"], "hire_date": LONG_AGO, "title": "Blender"}
    changed = fresh_api.put(f"/v1/jobs/{job['uuid']}", json=body).json()
    assert (changed["hire_date"], changed["title"]) == (LONG_AGO, "Blender")
    assert fresh_api.put(f"/v1/jobs/{job['uuid']}", json=body).status_code == 409
