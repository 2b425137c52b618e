"""Persons: which of Gusto's records are one human being's, and what is known of them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gusto_pipeline.provisioning.account import Account, Status, Tenant
from gusto_pipeline.provisioning.decisions import Hr as State
from gusto_pipeline.provisioning.dismissal import hr_state
from gusto_pipeline.provisioning.links import HandDecisionError, answer_merge, lift_merge, refuse
from gusto_pipeline.provisioning.people import PeopleError, Person, load_people, refresh_people
from gusto_pipeline.provisioning.store import insert, store_accounts
from gusto_pipeline.sync import open_warehouse
from gusto_pipeline_tests.conftest import connected
from gusto_pipeline_tests.provisioning.hr import COMPANY, NOW, Hr
from gusto_pipeline_tests.provisioning.labelled import PEOPLE, employees, keys, score

TODAY = date(2026, 6, 15)
DAY = timedelta(days=1)
BORN = {"date_of_birth": "1990-02-03"}


HR = Hr()


@pytest.fixture
def hr() -> Hr:
    HR.clear()
    return HR


def people(hr: Hr, **options: Any) -> list[Person]:
    return load_people(hr.connection, COMPANY, **options)


def only(hr: Hr, **options: Any) -> Person:
    (person,) = people(hr, **options)
    return person


def employments(person: Person) -> list[tuple[str, str | None]]:
    return [
        (str(each.first_day), str(each.last_day) if each.last_day else None)
        for record in person.hr
        for each in record.employments
    ]


def questions(hr: Hr) -> list[tuple[str, str]]:
    return hr.query("SELECT record, other FROM provisioning.merge_questions WHERE same IS NULL ORDER BY ALL")


# -- what is known of one record --------------------------------------------------------------------------------------


def test_nobody_is_known_before_the_first_sync(hr):
    hr.stage("employees", [{"uuid": "e1", "first_name": "Ada", "last_name": "Moss"}])
    with pytest.raises(PeopleError, match="ever synced"):
        hr.refresh()


def test_a_person_has_the_facts_of_their_record(hr):
    boss = {"uuid": "e2", "first_name": "Bo", "last_name": "Ek"}
    hr.employees(
        {
            "uuid": "e1", "preferred_first_name": "Addie", "work_email": "Ada@Acme.example",
            "email": "ada@home.example", "department": "Kitchen", "title": "Cook", "employee_code": "000042",
            "manager_uuid": "e2",
        },
        boss,
    )  # fmt: skip
    place = {"uuid": "w1", "employee_uuid": "e1", "active": True, "city": "Austin", "state": "TX", "country": "USA"}
    hr.stage("work_addresses", [place])
    hr.refresh()
    ada, bo = people(hr)
    assert (ada.name, ada.given_name, ada.family_name, ada.worker_type) == ("Addie Moss", "Addie", "Moss", "employee")
    assert (ada.work_email, ada.personal_email) == ("Ada@Acme.example", "ada@home.example")
    assert (ada.department, ada.title, ada.employee_codes) == ("Kitchen", "Cook", ("000042",))
    assert (ada.location, ada.state, ada.manager_id) == ("Austin, TX", "TX", bo.id)
    assert (ada.first_day, ada.last_day, ada.out_of_scope, ada.vanished) == (date(2024, 1, 8), None, None, False)
    assert ada.hr[0].work_zone == "America/Denver"  # of the two in Texas the one whose day ends later


def test_a_phone_number_is_kept_in_its_international_form(hr):
    hr.employees({"uuid": "e1", "phone": "(415) 555-0132"}, {"uuid": "e2", "phone": "ext 7"})
    hr.refresh()
    assert sorted(hr.query("SELECT phones FROM provisioning.people")) == [([],), (["+14155550132"],)]


@pytest.mark.parametrize(
    ("request_", "on_leave"),
    [
        ({"policy_type": "parental_leave", "status": "approved"}, True),
        ({"policy_type": "parental_leave", "status": "consumed"}, True),
        ({"policy_type": "parental_leave", "status": "pending"}, False),
        ({"policy_type": "vacation", "status": "approved"}, False),
    ],
)
def test_a_leave_is_approved_time_off_of_a_leave_kind_around_today(hr, request_, on_leave):
    hr.employees({"uuid": "e1"})
    hr.stage("time_off", [{"uuid": "t1", "employee__uuid": "e1", **request_}])
    days = [{"time_off_request_uuid": "t1", "key": str(TODAY + n * DAY), "value": "8"} for n in (-3, 1)]
    hr.stage("time_off_days", days)  # no hours are taken on the weekend between
    hr.refresh()
    assert only(hr).on_leave is on_leave
    assert (hr_state(only(hr).hr, NOW) is State.LEAVE) is on_leave


def test_a_custom_policy_is_a_leave_by_its_name(hr):
    hr.employees({"uuid": "e1"})
    hr.stage("time_off", [{"uuid": "t1", "employee__uuid": "e1", "status": "approved", "policy_uuid": "p1"}])
    hr.stage("time_off_days", [{"time_off_request_uuid": "t1", "key": str(TODAY), "value": "8"}])
    hr.stage("time_off_policies", [{"uuid": "p1", "name": "Medical leave", "policy_type": "custom"}])
    hr.refresh()
    assert only(hr).on_leave


# -- times of work ----------------------------------------------------------------------------------------------------


def test_a_dismissal_ends_the_employment_on_its_last_day(hr):
    hr.employees({"uuid": "e1", "last_day": "2026-06-30"})
    hr.refresh()
    assert employments(only(hr)) == [("2024-01-08", "2026-06-30")]
    assert hr_state(only(hr).hr, NOW) is State.LEAVING


def test_a_further_start_without_an_end_before_it_does_not_begin_another_employment(hr):
    hr.employees({"uuid": "e1", "hired": "2025-03-01", "hired_at": "2024-01-08"})
    hr.refresh()
    assert employments(only(hr)) == [("2024-01-08", None)]


def test_an_old_dismissal_of_somebody_whom_gusto_does_not_call_dismissed_is_none(hr):
    hr.employees({"uuid": "e1"})
    hr.stage("terminations", [{"employee_uuid": "e1", "effective_date": "2026-05-31"}])
    hr.refresh()
    assert employments(only(hr)) == [("2024-01-08", None)]


def test_a_rehired_employee_has_two_employments(hr):
    hr.employees({"uuid": "e1", "hired": "2025-09-01"})
    hr.stage(
        "employment_history",
        [
            {"employee_uuid": "e1", "position": 1, "hire_date": "2022-01-10", "termination_date": "2023-05-31"},
            {"employee_uuid": "e1", "position": 2, "hire_date": "2025-09-01"},
        ],
    )
    hr.refresh()
    assert employments(only(hr)) == [("2022-01-10", "2023-05-31"), ("2025-09-01", None)]
    assert only(hr).first_day == date(2025, 9, 1)


def test_a_scheduled_return_is_a_coming_employment(hr):
    hr.employees({"uuid": "e1", "last_day": "2026-05-31"})
    hr.stage("rehires", [{"employee_uuid": "e1", "effective_date": "2026-08-01"}])
    hr.refresh()
    assert employments(only(hr)) == [("2024-01-08", "2026-05-31"), ("2026-08-01", None)]


def test_a_return_that_has_not_come_although_its_day_has_is_none(hr):
    hr.employees({"uuid": "e1", "last_day": "2026-05-31"})
    hr.stage("rehires", [{"employee_uuid": "e1", "effective_date": "2026-06-10"}])
    hr.refresh()
    assert employments(only(hr)) == [("2024-01-08", "2026-05-31")]


@pytest.mark.parametrize(("last_day", "expected"), [("2026-07-31", "2026-07-31"), (None, None)])
def test_the_list_outranks_a_history_from_before_a_dismissal_was_moved_or_called_off(hr, last_day, expected):
    hr.employees({"uuid": "e1", "last_day": last_day})
    old = {"employee_uuid": "e1", "position": 1, "hire_date": "2024-01-08", "termination_date": "2026-06-01"}
    hr.stage("employment_history", [old])
    hr.refresh()
    assert employments(only(hr)) == [("2024-01-08", expected)]


def test_who_was_dismissed_before_the_first_day_never_came(hr):
    hr.employees({"uuid": "e1", "hired": "2026-07-01", "last_day": "2026-06-10"})
    hr.refresh()
    assert hr_state(only(hr).hr, NOW) is State.ENDED


def test_a_dismissal_without_a_date_leaves_the_person_alone(hr):
    hr.employees({"uuid": "e1", "terminated": True}, {"uuid": "e2", "first_name": "Bo"})
    hr.stage("terminations", [])
    hr.stage("employment_history", [{"employee_uuid": "e1", "position": 1, "hire_date": "2024-01-08"}])
    hr.refresh()
    assert [person.name for person in people(hr)] == ["Bo Moss"]
    assert people(hr, out_of_scope=True)[0].out_of_scope == "Gusto says dismissed, and no last day"


def test_somebody_being_hired_has_no_dates_yet(hr):
    hr.employees({"uuid": "e1", "hired": None, "onboarded": False})
    hr.refresh()
    assert hr_state(only(hr).hr, NOW) is State.DRAFT


def test_a_contractor_who_comes_back_has_two_employments(hr):
    hr.contractors(
        {
            "uuid": "c1", "first_name": "Cy", "last_name": "Ord", "dismissal_date": "2026-03-31",
            "upcoming_employment__start_date": "2026-09-01",
        }
    )  # fmt: skip
    hr.refresh()
    assert employments(only(hr)) == [("2024-01-08", "2026-03-31"), ("2026-09-01", None)]


# -- who is out of scope ----------------------------------------------------------------------------------------------


def test_people_abroad_businesses_and_outside_admins_are_listed_with_the_reason(hr):
    hr.employees({"uuid": "e1", "current_home_address__country": "CAN"})
    hr.contractors(
        {"uuid": "c1", "first_name": "Cy", "last_name": "Ord", "address__country": "GBR"},
        {"uuid": "c2", "type": "Business", "business_name": "Ord Ltd"},
    )
    hr.admins({"uuid": "a1", "first_name": "Di", "last_name": "Fox", "email": "di@agency.example"})
    hr.refresh()
    assert people(hr) == []
    assert {person.name: person.out_of_scope for person in people(hr, out_of_scope=True)} == {
        "Ada Moss": "International employee",
        "Cy Ord": "International contractor",
        "Ord Ltd": "A business, not a person",
        "Di Fox": "Administers Gusto, and is neither employee nor contractor",
    }


def test_who_works_here_and_lives_abroad_is_in_scope(hr):
    hr.employees({"uuid": "e1", "current_home_address__country": "CAN"})
    hr.stage("work_addresses", [{"uuid": "w1", "employee_uuid": "e1", "active": True, "country": "USA"}])
    hr.refresh()
    assert only(hr).out_of_scope is None


def test_an_admin_who_is_employed_is_that_employee(hr):
    hr.employees({"uuid": "e1", "work_email": "ada@acme.example"})
    hr.admins({"uuid": "a1", "first_name": "Ada", "last_name": "Moss", "email": "ADA@acme.example"})
    hr.refresh()
    assert only(hr).records == ("admin/a1", "employee/e1")
    assert (only(hr).worker_type, only(hr).out_of_scope) == ("employee", None)


def test_a_dismissed_employee_who_works_on_from_abroad_is_left_alone(hr):
    known = {"email": "ada@home.example", "first_name": "Ada", "last_name": "Moss"}
    hr.employees({"uuid": "e1", "last_day": "2026-01-31", **known})
    hr.contractors({"uuid": "c1", "address__country": "GBR", "start_date": "2026-02-01", **known})
    hr.refresh()
    assert only(hr, out_of_scope=True).out_of_scope == "International contractor"


# -- one person's records ---------------------------------------------------------------------------------------------


def test_a_contractor_hired_as_an_employee_stays_one_person(hr):
    hr.contractors({"uuid": "c1", "first_name": "Bill", "last_name": "Moss", "email": "bill+gusto@home.example"})
    hr.refresh()
    before = only(hr).id
    hr.contractors(
        {
            "uuid": "c1", "first_name": "Bill", "last_name": "Moss", "email": "bill+gusto@home.example",
            "dismissal_date": "2026-05-31",
        }
    )  # fmt: skip
    hr.employees({"uuid": "e1", "first_name": "William", "hired": "2026-06-01", "email": "bill@home.example"})
    hr.refresh()
    person = only(hr)
    assert (person.id, person.worker_type) == (before, "employee")
    assert employments(person) == [("2024-01-08", "2026-05-31"), ("2026-06-01", None)]
    assert hr_state(person.hr, NOW) is State.ACTIVE


def test_who_is_rehired_under_another_id_is_known_by_name_and_birth_date(hr):
    hr.employees(
        {"uuid": "e1", "date_of_birth": "1990-02-03", "last_day": "2025-01-31"},
        {"uuid": "e2", "date_of_birth": "1990-02-03", "hired": "2026-03-01", "last_name": "Moss-Reed"},
    )
    hr.refresh()
    assert only(hr).records == ("employee/e1", "employee/e2")


def test_another_family_name_is_no_obstacle_where_given_name_and_address_are_the_same(hr):
    hr.employees({"uuid": "e1", "last_name": "Quirkington", "email": "ada@home.example"})
    hr.contractors({"uuid": "c1", "first_name": "Ada", "last_name": "Moss", "email": "ada@home.example"})
    hr.refresh()
    assert only(hr).name == "Ada Quirkington"


def test_a_slip_in_a_birth_date_is_forgiven_a_close_name_only(hr):
    first = {"uuid": "e1", "date_of_birth": "1990-02-03", "last_day": "2025-01-31"}
    again = {"uuid": "e2", "date_of_birth": "1990-03-02", "hired": "2026-03-01"}
    hr.employees(first, again)
    hr.refresh()
    assert len(people(hr)) == 1
    hr.clear()
    hr.employees(first, again | {"last_name": "Mossberger"})
    hr.refresh()
    assert len(people(hr)) == 2


@pytest.mark.parametrize(
    ("one", "two", "asked"),
    [
        # a name is no proof
        ({}, {}, True),
        ({}, {"first_name": "Bea"}, False),
        # nor is a name with another birth date
        (BORN, {"date_of_birth": "1990-04-05"}, False),
        # relatives
        (BORN | {"first_name": "Jon"}, BORN | {"first_name": "Jan"}, True),
        ({"email": "us@home.example"}, {"email": "us@home.example", "first_name": "Karl"}, True),
        # a leaver's address is given to the next one
        ({"work_email": "office@acme.example"}, {"work_email": "office@acme.example", "first_name": "Karl"}, False),
    ],
)  # fmt: skip
def test_less_than_a_name_with_a_birth_date_or_a_personal_address_is_for_a_person_to_say(hr, one, two, asked):
    hr.employees({"uuid": "e1", "last_day": "2025-01-31", **one}, {"uuid": "e2", "hired": "2026-03-01", **two})
    hr.refresh()
    assert len(people(hr)) == 2
    assert questions(hr) == ([("employee/e1", "employee/e2")] if asked else [])


def test_two_who_are_employed_at_the_same_time_are_two_people_until_a_person_says_otherwise(hr):
    hr.employees({"uuid": "e1", "date_of_birth": "1990-02-03"}, {"uuid": "e2", "date_of_birth": "1990-02-03"})
    hr.refresh()
    assert len(people(hr)) == 2
    assert "employed at the same time" in hr.query("SELECT sentence FROM provisioning.merge_questions")[0][0]


def test_records_that_would_only_fit_by_way_of_another_are_not_merged(hr):
    """The contractor shares the address with one, and so does a namesake of another birth date."""
    address = {"email": "moss@home.example"}
    hr.employees(
        {"uuid": "e1", "date_of_birth": "1990-02-03", "last_day": "2020-01-31", "hired": "2019-01-01", **address},
        {"uuid": "e2", "date_of_birth": "1961-09-30", "last_day": "2022-01-31", "hired": "2021-01-01", **address},
    )
    hr.contractors({"uuid": "c1", "first_name": "Ada", "last_name": "Moss", **address})
    hr.refresh()
    assert len(people(hr)) == 3
    assert questions(hr) == [("contractor/c1", "employee/e1"), ("contractor/c1", "employee/e2")]


@pytest.mark.parametrize("same", [True, False])
def test_an_answer_settles_the_question(hr, same):
    hr.employees({"uuid": "e1"})
    hr.contractors({"uuid": "c1", "first_name": "Ada", "last_name": "Moss"})
    hr.refresh()
    pair = ("employee/e1", "contractor/c1")
    answer_merge(hr.connection, COMPANY, *pair, same=same, who="Kim", why="asked her", now=NOW)
    for _ in range(2):
        hr.refresh()
        assert len(people(hr)) == (1 if same else 2)
        assert questions(hr) == []
    with pytest.raises(HandDecisionError, match="Kim has said"):
        answer_merge(hr.connection, COMPANY, *pair, same=not same, who="Lou", why="no", now=NOW)


def test_an_answer_that_they_are_two_outranks_later_evidence(hr):
    hr.employees({"uuid": "e1"})
    hr.contractors({"uuid": "c1", "first_name": "Ada", "last_name": "Moss"})
    hr.refresh()
    answer_merge(hr.connection, COMPANY, "contractor/c1", "employee/e1", same=False, who="Kim", why="twins", now=NOW)
    hr.employees({"uuid": "e1", "email": "moss@home.example"})
    hr.contractors({"uuid": "c1", "first_name": "Ada", "last_name": "Moss", "email": "moss@home.example"})
    hr.refresh()
    assert len(people(hr)) == 2


def test_an_open_question_keeps_the_day_it_was_asked(hr):
    hr.employees({"uuid": "e1"})
    hr.contractors({"uuid": "c1", "first_name": "Ada", "last_name": "Moss"})
    hr.refresh()
    hr.refresh(NOW + DAY)
    assert hr.query("SELECT asked_at FROM provisioning.merge_questions") == [(NOW,)]


def test_what_was_not_asked_cannot_be_answered(hr):
    hr.employees({"uuid": "e1"})
    hr.refresh()
    with pytest.raises(HandDecisionError, match="Nobody asked"):
        answer_merge(hr.connection, COMPANY, "employee/e1", "employee/e9", same=True, who="Kim", why="so", now=NOW)


# -- over time --------------------------------------------------------------------------------------------------------


def test_a_person_keeps_their_id_whatever_the_record_says_later(hr):
    hr.employees({"uuid": "e1", "email": "ada@home.example"})
    hr.refresh()
    before = only(hr).id
    hr.employees({"uuid": "e1", "first_name": "Adam", "last_name": "Reed", "email": "reed@home.example"})
    hr.refresh(NOW + DAY)
    after = only(hr)
    assert (after.id, after.name) == (before, "Adam Reed")


def test_two_known_persons_become_the_one_known_longer_with_links_and_refusals(hr):
    hr.contractors({"uuid": "c2", "first_name": "Ada", "last_name": "Moss", "dismissal_date": "2026-05-31"})
    hr.refresh()
    older = only(hr).id
    hr.employees({"uuid": "e1", "hired": "2026-06-01"})
    hr.refresh(NOW + DAY)
    (younger,) = {person.id for person in people(hr)} - {older}
    assert older > younger  # it is not the order of the ids that decides
    pair = {"company_uuid": COMPANY, "app": "slack"}
    links = [("a1", younger), ("a2", younger), ("a3", older)]
    insert(hr.connection, "links", [pair | {"account_id": a, "person_id": p} for a, p in links])
    refusals = [("a2", older), ("a3", younger)]
    insert(hr.connection, "refusals", [pair | {"account_id": a, "person_id": p} for a, p in refusals])
    answer_merge(hr.connection, COMPANY, "contractor/c2", "employee/e1", same=True, who="Kim", why="so", now=NOW)
    assert hr.refresh(NOW + 2 * DAY).merged == 1
    assert only(hr).id == older
    assert hr.query("SELECT merged_into FROM provisioning.people ORDER BY ALL") == [(older,), (None,)]
    assert hr.query("SELECT account_id, person_id FROM provisioning.links") == [("a1", older)]
    assert hr.query("SELECT account_id FROM provisioning.link_history WHERE event = 'unlinked' ORDER BY ALL") == [
        ("a2",), ("a3",),
    ]  # fmt: skip


ADA = {"uuid": "c1", "first_name": "Ada", "last_name": "Moss"}
MERGED = ("contractor/c1", "employee/e1")


def merged(hr: Hr) -> tuple[str, str]:
    """A contractor and an employee whom Kim has said to be one; gives the ids they had before."""
    hr.employees({"uuid": "e1"})
    hr.contractors(ADA)
    hr.refresh()
    contractor, employee = sorted(people(hr), key=lambda person: person.records)
    answer_merge(hr.connection, COMPANY, *MERGED, same=True, who="Kim", why="asked her", now=NOW)
    hr.refresh()
    assert only(hr).id in (contractor.id, employee.id)
    return contractor.id, employee.id


def test_an_answer_that_is_taken_back_makes_two_again_who_they_were_before(hr):
    before = merged(hr)
    lift_merge(hr.connection, COMPANY, *MERGED, who="Lou", why="a namesake", now=NOW + DAY)
    for _ in range(2):
        hr.refresh(NOW + DAY)
        assert {person.records: person.id for person in people(hr)} == {
            ("contractor/c1",): before[0],
            ("employee/e1",): before[1],
        }
        assert questions(hr) == [MERGED], "it is asked again"
    said = "SELECT event, who, why, happened_at FROM provisioning.link_history WHERE app IS NULL ORDER BY happened_at"
    assert hr.query(said) == [
        ("one person", "Kim", "contractor/c1 employee/e1 asked her", NOW),
        ("one person taken back", "Lou", "contractor/c1 employee/e1 a namesake", NOW + DAY),
    ]
    with pytest.raises(HandDecisionError, match="Nobody has said"):
        lift_merge(hr.connection, COMPANY, *MERGED, who="Lou", why="a namesake", now=NOW + DAY)


def test_after_it_was_taken_back_the_other_answer_can_be_given_at_once(hr):
    merged(hr)
    lift_merge(hr.connection, COMPANY, *MERGED, who="Lou", why="a namesake", now=NOW)
    answer_merge(hr.connection, COMPANY, *MERGED, same=False, who="Lou", why="a namesake", now=NOW)
    hr.refresh()
    assert len(people(hr)) == 2
    assert questions(hr) == []


def test_of_a_person_taken_back_evidence_joins_what_it_joined_before(hr):
    hr.employees({"uuid": "e1", **BORN}, {"uuid": "e0", "hired": "2020-01-06", "last_day": "2021-01-29", **BORN})
    hr.contractors(ADA)
    hr.refresh()
    for other in ("employee/e0", "employee/e1"):
        answer_merge(hr.connection, COMPANY, "contractor/c1", other, same=True, who="Kim", why="so", now=NOW)
    hr.refresh()
    only(hr)
    for other in ("employee/e0", "employee/e1"):
        lift_merge(hr.connection, COMPANY, "contractor/c1", other, who="Kim", why="no", now=NOW)
    hr.refresh()
    assert sorted(person.records for person in people(hr)) == [
        ("contractor/c1",),
        ("employee/e0", "employee/e1"),
    ]


def test_two_whom_evidence_made_one_can_be_said_to_be_two(hr):
    address = {"email": "moss@home.example"}
    hr.employees({"uuid": "e1", **address})
    hr.contractors(ADA | address)
    hr.refresh()
    once = only(hr).id
    answer_merge(hr.connection, COMPANY, *MERGED, same=False, who="Kim", why="twins", now=NOW)
    for _ in range(2):
        hr.refresh()
        assert len(people(hr)) == 2
    assert once in {person.id for person in people(hr)}
    lift_merge(hr.connection, COMPANY, *MERGED, who="Kim", why="no twins", now=NOW)
    hr.refresh()
    assert only(hr).id == once


def test_an_answer_that_contradicts_others_is_refused(hr):
    hr.employees({"uuid": "e1"})
    hr.contractors(ADA, {**ADA, "uuid": "c2"})
    hr.refresh()
    for other in ("contractor/c2", "employee/e1"):
        answer_merge(hr.connection, COMPANY, "contractor/c1", other, same=True, who="Kim", why="so", now=NOW)
    with pytest.raises(HandDecisionError, match=r"one and two at once.*--lift"):
        answer_merge(hr.connection, COMPANY, "contractor/c2", "employee/e1", same=False, who="Kim", why="so", now=NOW)


def test_what_was_ruled_out_for_one_before_is_not_ruled_out_for_the_other_after(hr):
    hr.employees({"uuid": "e1"})
    hr.contractors(ADA)
    hr.refresh()
    contractor, employee = (person.id for person in sorted(people(hr), key=lambda person: person.records))
    accounts = [Account(id=id, status=Status.ACTIVE) for id in ("a1", "a2")]
    store_accounts(hr.connection, COMPANY, "slack", Tenant("t1", "Acme"), accounts, NOW, 1)
    pairs = {("a1", contractor), ("a2", employee)}
    for account, person in sorted(pairs):
        refuse(hr.connection, COMPANY, "slack", account, person, who="Kim", why="asked", now=NOW)
    answer_merge(hr.connection, COMPANY, *MERGED, same=True, who="Kim", why="so", now=NOW)
    hr.refresh()
    lift_merge(hr.connection, COMPANY, *MERGED, who="Kim", why="no", now=NOW)
    hr.refresh()
    assert set(hr.query("SELECT account_id, person_id FROM provisioning.refusals")) == pairs


def test_who_is_no_longer_listed_has_vanished_and_is_remembered_as_last_seen(hr):
    hr.employees({"uuid": "e1"}, {"uuid": "e2", "first_name": "Bo"})
    hr.refresh()
    hr.employees({"uuid": "e1"}, at=NOW + DAY)
    assert hr.refresh(NOW + DAY).vanished == 1
    bo = next(person for person in people(hr) if person.given_name == "Bo")
    assert (bo.vanished, bo.last_seen, bo.first_day) == (True, NOW, date(2024, 1, 8))
    assert hr_state(bo.hr, NOW + DAY) is State.VANISHED
    hr.employees({"uuid": "e1"}, {"uuid": "e2", "first_name": "Bo"}, at=NOW + 2 * DAY)
    hr.refresh(NOW + 2 * DAY)
    back = next(person for person in people(hr) if person.given_name == "Bo")
    assert (back.id, back.vanished, back.last_seen) == (bo.id, False, NOW + 2 * DAY)


def test_last_seen_is_when_gusto_was_asked_not_when_we_looked(hr):
    hr.employees({"uuid": "e1"}, at=NOW - 3 * DAY)
    hr.refresh(NOW)
    assert only(hr).last_seen == NOW - 3 * DAY


def test_a_kind_that_was_never_synced_whole_lets_nobody_vanish(hr):
    hr.employees({"uuid": "e1"})
    hr.contractors({"uuid": "c1", "first_name": "Cy", "last_name": "Ord"})
    hr.refresh()
    hr.stage("contractors", [])
    hr.connection.execute("DELETE FROM meta.syncs WHERE category = 'contractors'")
    assert hr.refresh(NOW + DAY).vanished == 0


def test_an_old_record_that_ended_does_not_pass_for_a_vanished_one_of_somebody_at_work(hr):
    known = {"first_name": "Ada", "last_name": "Moss", "email": "ada@home.example"}
    hr.contractors({"uuid": "c1", "dismissal_date": "2025-05-31", **known})
    hr.employees({"uuid": "e1", "hired": "2025-06-01", **known})
    hr.refresh()
    hr.employees(at=NOW + DAY)
    hr.refresh(NOW + DAY)
    assert only(hr).vanished
    assert hr_state(only(hr).hr, NOW + DAY) is State.VANISHED


def test_companies_do_not_touch_each_other(hr):
    other = "c0000000-0000-4000-8000-000000000002"
    hr.employees({"uuid": "e1", "email": "ada@home.example"})
    hr.employees({"uuid": "e1", "email": "ada@home.example"}, company=other)
    hr.refresh()
    hr.refresh(company=other)
    hr.refresh()
    ids = {company: load_people(hr.connection, company)[0].id for company in (COMPANY, other)}
    assert ids[COMPANY] != ids[other]


def test_a_condition_over_the_people_chooses_among_them(hr):
    hr.employees({"uuid": "e1", "department": "Kitchen"}, {"uuid": "e2", "first_name": "Bo", "department": "Bar"})
    hr.refresh()
    assert [person.name for person in people(hr, where="department = 'Bar'")] == ["Bo Moss"]


RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "first_name": st.sampled_from(["Ada", "Addie", "Bo", "Jon", "Jan"]),
            "last_name": st.sampled_from(["Moss", "Moos", "Ek"]),
            "email": st.sampled_from([None, "a@home.example", "b@home.example"]),
            "date_of_birth": st.sampled_from([None, "1990-02-03", "1990-03-02", "1971-11-30"]),
            "hired": st.sampled_from(["2020-01-01", "2022-01-01", "2024-01-01"]),
            "last_day": st.sampled_from([None, "2021-01-01", "2025-01-01"]),
        }
    ),
    max_size=7,
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RECORDS, st.randoms(use_true_random=False))
def test_whose_record_is_whose_does_not_depend_on_their_order_and_holds(records, random):
    hr = HR
    named = [{"uuid": f"e{number}", **record} for number, record in enumerate(records)]
    found = []
    for _ in range(2):
        hr.clear()
        hr.employees(*named)
        first = hr.refresh()
        found.append(hr.query("SELECT record, person_id FROM provisioning.records ORDER BY ALL"))
        assert hr.refresh() == type(first)(first.people, 0, 0, 0, 0, first.questions)
        assert hr.query("SELECT record, person_id FROM provisioning.records ORDER BY ALL") == found[-1]
        random.shuffle(named)
    assert found[0] == found[1]
    assert len(hr.query("SELECT DISTINCT person_id FROM provisioning.records")) == first.people


# -- labelled people --------------------------------------------------------------------------------------------------


def test_of_ten_thousand_records_with_mistakes_none_is_merged_wrongly_and_most_are_found(hr):
    hr = Hr()
    hr.employees(*employees(hired="2020-01-01", last_day="2022-12-31"), *employees(copies=True, hired="2024-01-01"))
    hr.refresh()
    merged = hr.query("SELECT records FROM provisioning.people WHERE len(records) > 1")
    right, wrong = score(tuple(keys(records)) for (records,) in merged)
    assert wrong == 0
    assert right / PEOPLE >= 0.83


def test_from_gusto_over_the_warehouse_to_persons(tmp_path):
    with connected(tmp_path, employees=40) as pipeline:
        for category in ("employees", "contractors", "admins"):
            pipeline.sync(category)
        now = pipeline.sandbox.world.clock.now()
        with open_warehouse(pipeline.settings).write() as connection:
            first = refresh_people(connection, pipeline.company.uuid, now)
        with open_warehouse(pipeline.settings).write() as connection:
            again = refresh_people(connection, pipeline.company.uuid, now)
            found = load_people(connection, pipeline.company.uuid, out_of_scope=True)
        listed = sum(pipeline.count(table) for table in ("employees", "contractors", "admins"))
    assert first.new == first.people == again.people == len(found) > 40
    assert (again.new, again.merged, again.vanished) == (0, 0, 0)
    assert sum(len(person.records) for person in found) == listed
    states = {hr_state(person.hr, now) for person in found}
    assert {State.ACTIVE, State.LEAVING, State.ENDED} <= states
