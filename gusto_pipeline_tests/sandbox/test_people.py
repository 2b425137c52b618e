"""The companies: the same every time, and with everything in them that real ones have."""

import json
from dataclasses import asdict
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.sandbox.gusto import shapes
from gusto_pipeline.sandbox.gusto.world import Company, Record
from gusto_pipeline.sandbox.people import UNFINISHED_ONBOARDING, make_companies
from gusto_pipeline_tests.sandbox.conftest import TODAY


@pytest.fixture(scope="module")
def company() -> Company:
    return make_companies(1, employees=120, contractors=12, today=TODAY)[0]


@pytest.fixture(scope="module")
def people(company: Company) -> list[Record]:
    return list(company.employees.values())


def test_the_same_arguments_give_the_same_companies() -> None:
    once, again = (make_companies(2, employees=60, seed=3, today=TODAY) for _ in range(2))
    assert [asdict(each) for each in once] == [asdict(each) for each in again]


def test_another_seed_gives_other_people() -> None:
    one, other = (make_companies(1, employees=20, seed=seed, today=TODAY)[0] for seed in (1, 2))
    assert not set(one.employees) & set(other.employees)


def test_a_company_does_not_depend_on_how_many_stand_beside_it() -> None:
    assert asdict(make_companies(1, employees=20, today=TODAY)[0]) == asdict(
        make_companies(3, employees=20, today=TODAY)[0]
    )


@given(st.integers(0, 45), st.integers(0, 7), st.dates(date(2024, 1, 1), date(2030, 12, 31)))
def test_any_size_on_any_day_gives_a_company(employees: int, contractors: int, today: date) -> None:
    company = make_companies(1, employees=employees, contractors=contractors, today=today)[0]
    assert (len(company.employees), len(company.contractors)) == (employees, contractors)
    json.dumps(asdict(company))


def test_slugs_are_distinct() -> None:
    slugs = [company.slug for company in make_companies(40, employees=0, today=TODAY)]
    assert slugs[0] == "acme-tea-co"
    assert len(set(slugs)) == 40


def test_about_seven_in_ten_work_there_today(people: list[Record]) -> None:
    working = [row for row in people if shapes.onboarded(row) and shapes.employed(row, TODAY)]
    assert 0.65 <= len(working) / len(people) <= 0.8


def test_every_onboarding_status_occurs(people: list[Record]) -> None:
    assert {row["onboarding_status"] for row in people} == {*UNFINISHED_ONBOARDING, "onboarding_completed"}


def test_dismissals_lie_in_the_past_today_and_in_the_future(people: list[Record]) -> None:
    dates = {shapes.current_spell(row, TODAY)["termination_date"] for row in people} - {None}
    assert min(dates) < TODAY.isoformat() < max(dates)
    assert TODAY.isoformat() in dates


def test_some_start_later_some_came_back_and_some_will(people: list[Record]) -> None:
    day = TODAY.isoformat()
    back = [row for row in people if len(row["spells"]) == 2]
    assert any(row["spells"][0]["hire_date"] > day and shapes.onboarded(row) for row in people)
    assert any(row["spells"][1]["hire_date"] < day for row in back)
    assert any(row["spells"][1]["hire_date"] > day for row in back)
    assert all(row["spells"][0]["termination_date"] < row["spells"][1]["hire_date"] for row in back)


def test_two_different_people_share_a_name(people: list[Record]) -> None:
    twins = [row for row in people if shapes.full_name(row) == "Maria Garcia"]
    assert len({row["uuid"] for row in twins}) == 2
    assert len({row["work_email"] for row in twins}) == 2


@pytest.mark.parametrize(
    "name", ["José", "Björn", "伟", "Łukasz", '=HYPERLINK("http://example.com","x")', "Anne-Marie"]
)
def test_names_that_trip_software_up_occur(people: list[Record], name: str) -> None:
    assert any(row["first_name"] == name for row in people)


def test_addresses_of_mail_are_plain_and_unique_where_there_are_any(people: list[Record]) -> None:
    for field in ("email", "work_email"):
        filled = [row[field] for row in people if row[field]]
        assert len(set(filled)) == len(filled) < len(people)
        assert all(address.isascii() for address in filled)
    assert any(not row["email"] and not row["work_email"] for row in people)


def test_zips_and_codes_begin_with_zero_for_some(people: list[Record]) -> None:
    assert any(home["zip"] == "02108" for row in people for home in row["home_addresses"])
    assert any(row["employee_code"].startswith("00") for row in people)
    assert len({row["employee_code"] for row in people}) == len(people)
    assert {len(row["employee_code"]) for row in people} == {6}


def test_pay_has_a_past_and_for_some_a_future(people: list[Record]) -> None:
    jobs = [job for row in people for job in row["jobs"]]
    assert any(len(job["compensations"]) > 2 for job in jobs)
    assert any(job["compensations"][-1]["effective_date"] > TODAY.isoformat() for job in jobs)
    for job in jobs:
        days = [row["effective_date"] for row in job["compensations"]]
        assert days == sorted(set(days))


def test_some_hold_two_jobs_some_none_and_one_has_no_title(people: list[Record]) -> None:
    assert {len(row["jobs"]) for row in people} == {0, 1, 2}
    assert any(job["compensations"][0]["title"] == "" for row in people for job in row["jobs"])
    doubled = [job for row in people if len(row["jobs"]) > 1 for job in row["jobs"]]
    assert {job["compensations"][0]["payment_unit"] for job in doubled} == {"Hour"}


def test_managers_are_colleagues_and_lead_to_one_who_has_none(company: Company) -> None:
    for employee in company.employees.values():
        row, steps = employee, 0
        while row["manager_uuid"]:
            row, steps = company.employees[row["manager_uuid"]], steps + 1
            assert steps < 5
    assert next(iter(company.employees.values()))["manager_uuid"] is None


def test_time_off_requests_occur_in_every_status_with_days(company: Company) -> None:
    assert {row["status"] for row in company.time_off_requests} == {"pending", "approved", "declined", "consumed"}
    assert all(row["days"] for row in company.time_off_requests)


def test_custom_fields_occur_in_every_type_and_one_was_emptied(company: Company, people: list[Record]) -> None:
    assert {row["type"] for row in company.custom_fields.values()} == {"text", "currency", "number", "date", "radio"}
    assert any(value["value"] == "" for row in people for value in row["custom_values"].values())


def test_contractors_are_people_and_firms_active_and_dismissed(company: Company) -> None:
    rows = company.contractors.values()
    assert {row["type"] for row in rows} == {"Individual", "Business"}
    assert {row["is_active"] for row in rows} == {True, False}
    assert all(bool(row["business_name"]) == (row["type"] == "Business") for row in rows)


def test_schedules_are_assigned_in_every_way() -> None:
    kinds = {company.assignment_type for company in make_companies(4, employees=0, today=TODAY)}
    assert kinds == {"by_department", "by_employee", "hourly_salaried", "single"}


def test_who_leaves_today_still_works_today(people: list[Record]) -> None:
    leaver = next(row for row in people if row["spells"][-1]["termination_date"] == TODAY.isoformat())
    assert not shapes.dismissal_in_effect(leaver, TODAY)
    assert shapes.dismissal_in_effect(leaver, TODAY + timedelta(days=1))
