"""Whose account is whose: what is linked without asking, and what never is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gusto_pipeline.provisioning import links
from gusto_pipeline.provisioning.account import Account, Status, Tenant
from gusto_pipeline.provisioning.links import Mark
from gusto_pipeline.provisioning.matching import Outcome, match
from gusto_pipeline.provisioning.store import store_accounts
from gusto_pipeline_tests.provisioning.hr import COMPANY, NOW, Hr, Match
from gusto_pipeline_tests.provisioning.labelled import score, workforce

APP = "slack"
HIRED = datetime(2024, 1, 8, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BY = {"who": "Kim", "why": "I know her", "now": NOW}


HR = Hr()


@pytest.fixture
def hr() -> Hr:
    HR.clear()
    return HR


def account(id: str = "a1", email: str = "", name: str = "", **more: Any) -> Account:
    emails = (email,) if email else ()
    return Account(**{"id": id, "status": Status.ACTIVE, "emails": emails, "display_name": name or None} | more)


def run(hr: Hr, *accounts: Account, **options: Any) -> Counter[str]:
    """One round: read the app, match; gives how many of its accounts came to which outcome."""
    store_accounts(hr.connection, COMPANY, APP, Tenant("t1", "Acme"), accounts, NOW, 1, accept_shrink=True)
    match(hr.connection, COMPANY, [APP], NOW, **options)
    there = {account.id for account in accounts}
    return Counter(outcome for id, outcome in {(m.account_id, str(m.outcome)) for m in matches(hr)} if id in there)


def matches(hr: Hr) -> list[Match]:
    return hr.matches(APP)


def names(hr: Hr) -> dict[str, str]:
    return dict(hr.query("SELECT person_id, name FROM provisioning.people"))


def found(hr: Hr) -> list[tuple[str, str | None, str]]:
    """Account, person's name and outcome of everything that is said."""
    known = names(hr)
    return sorted((m.account_id, known.get(m.person_id or ""), str(m.outcome)) for m in matches(hr))


def outcome(hr: Hr) -> Outcome:
    (one,) = matches(hr)
    return one.outcome


def person(hr: Hr, name: str = "Ada Moss") -> str:
    return next(id for id, known in names(hr).items() if known == name)


# -- what links without asking ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["ada@acme.example", "ADA@Acme.example", "ada+slack@acme.example"])
def test_the_work_address_links_however_it_is_written(hr, login):
    hr.people({"uuid": "e1", "work_email": " Ada@acme.example"})
    assert run(hr, account(email=login)) == {"linked": 1}
    assert found(hr) == [("a1", "Ada Moss", "linked")]


def test_domains_that_mean_the_same_mailbox_do(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    login = account(email="ada@acme.test")
    assert run(hr, login)["none"] == 1
    assert run(hr, login, domains=[["acme.example", "Acme.test"]])["linked"] == 1


def test_the_user_name_is_the_login_where_it_is_an_address(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    assert run(hr, account(user_name="ada@acme.example", email="ada@home.example"))["linked"] == 1


@pytest.mark.parametrize(
    "name",
    ["ada  MOSS", "Moss, Ada", "Ada Moss (Contractor)", "Addie Moss", "Ada M. Moss", "Áda Möss", "Dr. Ada Moss, Ph.D.",
     "Ada Moss-Reed"],
)  # fmt: skip
def test_a_personal_address_and_a_name_link_however_the_name_is_written(hr, name):
    hr.people({"uuid": "e1", "preferred_first_name": "Addie", "email": "xyz77@home.example"})
    run(hr, account(email="xyz77@home.example", name=name))
    assert outcome(hr) is Outcome.LINKED


def test_a_nickname_is_the_name(hr):
    hr.people({"uuid": "e1", "first_name": "William", "email": "xyz77@home.example"})
    run(hr, account(email="xyz77@home.example", name="Bill Moss"))
    assert outcome(hr) is Outcome.LINKED


def test_a_name_and_the_day_of_the_start_link(hr):
    hr.people({"uuid": "e1"})
    run(hr, account(name="Ada Moss", created_at=HIRED + 14 * DAY))
    assert outcome(hr) is Outcome.LINKED


def test_a_name_and_a_phone_number_link(hr):
    hr.people({"uuid": "e1", "phone": "+14155550132"})
    run(hr, account(name="Ada Moss", phone="+1 (415) 555 0132"))
    assert outcome(hr) is Outcome.LINKED


def test_gustos_id_links_whatever_the_name(hr):
    hr.people({"uuid": "e1-Uuid"})
    run(hr, account(name="A. Reed", external_id="E1-uuid", created_at=HIRED - 90 * DAY))
    assert outcome(hr) is Outcome.LINKED


def test_the_employee_code_links_unless_the_name_differs(hr):
    hr.people({"uuid": "e1", "employee_code": "000042"})
    run(hr, account(employee_number="000042", name="Ada Moss"))
    assert outcome(hr) is Outcome.LINKED
    hr.clear()
    hr.people({"uuid": "e1", "employee_code": "000042"})
    run(hr, account(employee_number="000042", name="Zoltan Quirk"))
    assert outcome(hr) is Outcome.CANDIDATE


def test_the_employee_code_alone_may_be_a_number_of_another_system(hr):
    hr.people({"uuid": "e1", "employee_code": "000042"})
    run(hr, account(external_id="000042"))
    assert outcome(hr) is Outcome.CANDIDATE


def test_a_single_word_is_a_user_name_and_contradicts_nothing(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    run(hr, account(email="ada@acme.example", name="skywalker"))
    assert outcome(hr) is Outcome.LINKED


def test_a_user_name_counts_beside_the_name_where_the_company_gave_it_out(hr):
    hr.people(
        {"uuid": "e1"},
        {"uuid": "e2", "first_name": "Bo", "work_email": "bo@acme.example"},
        {"uuid": "e3", "first_name": "Cy", "work_email": "cy@acme.example"},
    )
    run(hr, account(email="ada.moss@acme.example", name="Ada Moss"))
    assert found(hr) == [("a1", "Ada Moss", "linked")]


# -- what does not -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        account(name="Ada Moss"),
        account(name="Ada Moss", user_name="amoss"),
        account(name="Ada Moss", email="ada.moss@home.example"),
        account(name="Ada Moss", created_at=HIRED + 15 * DAY),
        account(email="ada@own.example"),
        account(email="ada.moss@own.example"),
        account(email="ada.moss@own.example", user_name="ada.moss@own.example"),
    ],
)
def test_one_kind_of_evidence_is_a_candidate(hr, given):
    """A name, a user name made of it, and the address in which that stands, are one kind."""
    hr.people({"uuid": "e1", "email": "ada@own.example", "phone": "+14155550132"})
    run(hr, given)
    assert outcome(hr) is Outcome.CANDIDATE


def test_an_address_at_the_company_does_not_count_for_somebody_who_has_another_there(hr):
    hr.people(
        {"uuid": "e1", "work_email": "amoss@acme.example"},
        {"uuid": "e2", "first_name": "Bo", "work_email": "bo@acme.example"},
    )
    run(hr, account(email="ada.moss@acme.example", name="Ada Moss"))
    assert outcome(hr) is Outcome.CANDIDATE


@pytest.mark.parametrize("domain", ["gmail.com", "own.example"])
def test_a_domain_that_one_person_entered_or_that_everybody_may_use_is_not_the_companys(hr, domain):
    hr.people(
        {"uuid": "e1"},
        {"uuid": "e2", "first_name": "Bo", "work_email": "bo@gmail.com"},
        {"uuid": "e3", "first_name": "Cy", "work_email": "cy@gmail.com"},
        {"uuid": "e4", "first_name": "Di", "work_email": "di@own.example"},
    )
    run(hr, account(email=f"ada.moss@{domain}", name="Ada Moss"))
    assert outcome(hr) is Outcome.CANDIDATE


def test_the_name_in_an_address_that_is_theirs_is_no_second_kind(hr):
    hr.people({"uuid": "e1", "email": "ada.moss@home.example"})
    run(hr, account(email="ada.moss@home.example"))
    assert outcome(hr) is Outcome.CANDIDATE


def test_a_number_alone_is_nothing_against_another_name(hr):
    hr.people({"uuid": "e1", "phone": "+14155550132"})
    run(hr, account("a1", phone="+14155550132", name="Zoltan Quirk"))
    assert outcome(hr) is Outcome.NONE
    run(hr, account("a1", phone="+14155550132"))
    assert outcome(hr) is Outcome.CANDIDATE


def test_a_contradicting_name_outweighs_the_address(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    run(hr, account(email="ada@acme.example", name="Zoltan Quirk"))
    assert outcome(hr) is Outcome.CANDIDATE
    assert "the names differ" in matches(hr)[0].sentence


def test_another_first_name_contradicts_but_a_married_name_does_not(hr):
    hr.people(
        {"uuid": "e1", "first_name": "John", "work_email": "jmoss@acme.example"},
        {"uuid": "e2", "first_name": "Jane", "work_email": "jane@acme.example"},
    )
    run(hr, account("a1", "jmoss@acme.example", "Mary Moss"), account("a2", "jane@acme.example", "Jane Forrester"))
    assert found(hr) == [("a1", "John Moss", "candidate"), ("a2", "Jane Moss", "linked")]


@pytest.mark.parametrize(("days", "expected"), [(-31, Outcome.CANDIDATE), (-30, Outcome.LINKED)])
def test_an_account_from_long_before_the_first_day_may_be_an_earlier_bearers(hr, days, expected):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    run(hr, account(email="ada@acme.example", created_at=HIRED + days * DAY))
    assert outcome(hr) is expected


def test_an_account_made_after_somebody_left_may_be_the_next_bearers(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example", "last_day": "2025-03-31"})
    run(hr, account(email="ada@acme.example", created_at=datetime(2025, 6, 1, tzinfo=UTC)))
    assert outcome(hr) is Outcome.CANDIDATE


def test_empty_ids_are_nobodys(hr):
    hr.people({"uuid": "e1", "employee_code": "", "phone": "", "work_email": "", "email": ""})
    run(
        hr,
        account(external_id="", employee_number=" ", phone="", user_name="", email=" ", given_name="", family_name=""),
    )
    assert outcome(hr) is Outcome.NONE


@pytest.mark.parametrize("field", ["phone", "employee_number"])
def test_a_number_that_several_have_says_nothing(hr, field):
    hr.people({"uuid": "e1", "phone": "+14155550132", "employee_code": "000042"})
    number = {"phone": "+14155550132", "employee_number": "000042"}[field]
    run(hr, account("a1", **{field: number}), account("a2", **{field: number}))
    assert [m.outcome for m in matches(hr)] == [Outcome.NONE] * 2


def test_leading_zeros_matter(hr):
    hr.people({"uuid": "e1", "employee_code": "000042"})
    run(hr, account(employee_number="42"))
    assert outcome(hr) is Outcome.NONE


# -- several people, several accounts ---------------------------------------------------------------------------------


def test_an_address_that_several_people_have_is_disputed(hr):
    hr.people(
        {"uuid": "e1", "work_email": "office@acme.example"},
        {"uuid": "e2", "first_name": "Bo", "work_email": "office@acme.example"},
    )
    run(hr, account(email="office@acme.example", name="Ada Moss"))
    assert ("a1", "Ada Moss", "disputed") in found(hr)
    assert not hr.query("FROM provisioning.links")


def test_an_account_that_only_bears_the_name_of_namesakes_is_disputed_between_them(hr):
    hr.people({"uuid": "e1", "first_name": "Bill"}, {"uuid": "e2", "first_name": "William", "hired": "2020-01-06"})
    run(hr, account(name="William Moss"))
    assert {m.outcome for m in matches(hr)} == {Outcome.DISPUTED}
    assert len(matches(hr)) == 2


def test_namesakes_are_not_told_apart_by_a_first_day(hr):
    hr.people({"uuid": "e1"}, {"uuid": "e2", "hired": "2020-01-06"})
    run(hr, account(name="Ada Moss", created_at=HIRED))
    assert not hr.query("FROM provisioning.links")


def test_namesakes_are_told_apart_by_their_addresses(hr):
    hr.people(
        {"uuid": "e1", "work_email": "ada@acme.example"},
        {"uuid": "e2", "work_email": "ada2@acme.example"},
    )
    run(hr, account("a1", "ada@acme.example", "Ada Moss"), account("a2", "ada2@acme.example", "Ada Moss"))
    linked = [(m.account_id, m.person_id, str(m.outcome)) for m in matches(hr)]
    assert linked == [("a1", "e1", "linked"), ("a2", "e2", "linked")]


def test_two_who_both_fit_are_asked_about(hr):
    hr.people(
        {"uuid": "e1", "work_email": "ada@acme.example"},
        {"uuid": "e2", "first_name": "Bo", "employee_code": "000042"},
    )
    run(hr, account(email="ada@acme.example", employee_number="000042"))
    assert found(hr) == [("a1", "Ada Moss", "disputed"), ("a1", "Bo Moss", "disputed")]


def test_a_leavers_address_as_an_alias_of_the_managers_account_takes_nothing_from_the_manager(hr):
    hr.people(
        {"uuid": "e1", "work_email": "ada@acme.example"},
        {
            "uuid": "e2",
            "first_name": "Bo",
            "last_name": "Ek",
            "work_email": "bo@acme.example",
            "last_day": "2026-01-31",
        },
    )
    run(hr, account(emails=("ada@acme.example", "bo@acme.example"), name="Ada Moss"))
    assert found(hr) == [("a1", "Ada Moss", "linked")]


@pytest.mark.parametrize(
    "given",
    [
        account(email="support@acme.example"),
        account(email="svc-ada@acme.example"),
        account(email="ada@acme.example", bot=True),
    ],
)
def test_an_account_of_a_role_or_a_machine_is_never_linked_by_evidence(hr, given):
    hr.people({"uuid": "e1", "work_email": given.emails[0]})
    run(hr, given)
    assert outcome(hr) is Outcome.DISPUTED


def test_two_accounts_that_fit_one_person_alike_are_asked_about(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    run(hr, account("a1", "ada@acme.example"), account("a2", "ada+2@acme.example"))
    assert [m.outcome for m in matches(hr)] == [Outcome.CANDIDATE] * 2


def test_an_account_in_the_apps_bin_does_not_stand_in_the_way_of_the_living_one(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    run(hr, account("a1", "ada@acme.example", status=Status.DELETED), account("a2", "ada@acme.example"))
    assert found(hr) == [("a1", "Ada Moss", "candidate"), ("a2", "Ada Moss", "linked")]


def test_a_further_account_of_somebody_who_has_one_is_a_candidate(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example", "email": "xyz77@home.example"})
    run(hr, account("a1", "ada@acme.example", "Ada Moss"), account("a2", "xyz77@home.example", "Ada Moss"))
    assert found(hr) == [("a1", "Ada Moss", "linked"), ("a2", "Ada Moss", "candidate")]
    assert "they have account a1" in matches(hr)[1].sentence


def test_somebody_out_of_scope_keeps_others_from_their_account(hr):
    hr.people(
        {"uuid": "e1"},
        {"uuid": "c1", "first_name": "Cy", "work_email": "cy@acme.example", "out_of_scope": "International contractor"},
    )
    run(hr, account(email="cy@acme.example", name="Cy Moss"))
    assert found(hr) == [("a1", "Cy Moss", "linked")]


def test_an_account_that_fits_nobody_is_nobodys(hr):
    hr.people({"uuid": "e1"})
    assert run(hr, account(email="guest@agency.example", name="Zoltan Quirk"))["none"] == 1
    assert found(hr) == [("a1", None, "none")]


# -- from run to run --------------------------------------------------------------------------------------------------


def test_a_link_outlives_what_it_was_made_of(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    run(hr, account(email="ada@acme.example"))
    hr.people({"uuid": "e1", "work_email": "ada@acme.test", "first_name": "Adam", "last_name": "Reed"})
    assert run(hr, account(email="moss@home.example", name="Zoltan Quirk"))["linked"] == 1
    assert run(hr)["linked"] == 0  # gone from the app, and still known to have been theirs
    assert found(hr) == [("a1", "Adam Reed", "linked")]


def test_a_link_by_evidence_is_disputed_by_somebody_who_fits_as_well(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    run(hr, account(email="ada@acme.example"))
    hr.people(
        {"uuid": "e1", "work_email": "old@acme.example"},
        {"uuid": "e2", "first_name": "Bo", "work_email": "ada@acme.example"},
    )
    run(hr, account(email="ada@acme.example"))
    assert found(hr) == [("a1", "Ada Moss", "linked"), ("a1", "Bo Moss", "disputed")]


def test_a_link_by_hand_is_not_disputed(hr):
    hr.people({"uuid": "e1"}, {"uuid": "e2", "first_name": "Bo", "work_email": "bo@acme.example"})
    bo = account(email="bo@acme.example", name="Bo Moss")
    store_accounts(hr.connection, COMPANY, APP, Tenant("t1", "Acme"), [bo], NOW, 1)
    links.match(hr.connection, COMPANY, APP, "a1", person(hr), **BY)
    run(hr, bo)
    assert found(hr) == [("a1", "Ada Moss", "linked")]


def test_the_account_that_follows_one_that_is_gone_takes_its_place(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    run(hr, account("a1", "ada@acme.example"))
    run(hr, account("a2", "ada@acme.example"))
    assert found(hr) == [("a2", "Ada Moss", "linked")]
    assert hr.query("SELECT account_id, event FROM provisioning.link_history ORDER BY ALL") == [
        ("a1", "linked"), ("a1", "replaced"), ("a2", "linked"),
    ]  # fmt: skip


def test_what_was_refused_by_hand_is_not_linked_again_and_leaves_the_account_to_others(hr):
    hr.people(
        {"uuid": "e1", "work_email": "moss@acme.example"},
        {"uuid": "e2", "first_name": "Bo", "email": "moss@acme.example"},
    )
    given = account(email="moss@acme.example", name="Bo Moss")
    run(hr, given)
    links.refuse(hr.connection, COMPANY, APP, "a1", person(hr), **BY)
    run(hr, given)
    assert found(hr) == [("a1", "Ada Moss", "refused"), ("a1", "Bo Moss", "linked")]


def test_a_lifted_refusal_leaves_it_to_evidence_again(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    given = account(email="ada@acme.example")
    run(hr, given)
    links.unmatch(hr.connection, COMPANY, APP, "a1", **BY)
    assert run(hr, given)["linked"] == 0
    links.lift_refusal(hr.connection, COMPANY, APP, "a1", person(hr), **BY)
    assert run(hr, given)["linked"] == 1


def split(hr: Hr, *accounts: Account, by_hand: str = "") -> list[tuple[str, str, str]]:
    """A contractor who has left and an employee of the same name were said to be one person, and matched; now they are
    two. Gives account, kind of the person's record and outcome of all that is said after that."""
    hr.employees({"uuid": "e1", "work_email": "ada@acme.example"})
    hr.contractors(
        {"uuid": "c1", "first_name": "Ada", "last_name": "Moss", "work_email": "moss@acme.example"}
        | {"dismissal_date": "2026-05-29", "is_active": False}
    )
    hr.refresh()
    pair = ("contractor/c1", "employee/e1")
    links.answer_merge(hr.connection, COMPANY, *pair, same=True, **BY)
    hr.refresh()
    run(hr, *accounts)
    if by_hand:
        (merged,) = (id for (id,) in hr.query("SELECT person_id FROM provisioning.people WHERE merged_into IS NULL"))
        links.match(hr.connection, COMPANY, APP, by_hand, merged, **BY)
    assert all(m.outcome == Outcome.LINKED for m in matches(hr))
    links.lift_merge(hr.connection, COMPANY, *pair, **BY)
    hr.refresh()
    for _ in range(2):
        run(hr, *accounts)
    kinds = dict(hr.query("SELECT person_id, worker_type FROM provisioning.people"))
    return sorted((m.account_id, kinds[m.person_id or ""], str(m.outcome)) for m in matches(hr))


def test_an_account_of_a_person_who_is_two_goes_to_whom_evidence_says_if_they_are_here(hr):
    assert split(hr, account("a1", "ada@acme.example")) == [("a1", "employee", "linked")]


def test_an_account_of_a_person_who_is_two_is_asked_about_where_a_leaver_would_lose_it(hr):
    assert split(hr, account("a1", "moss@acme.example")) == [
        ("a1", "contractor", "candidate"),
        ("a1", "employee", "disputed"),
    ]


def test_a_match_by_hand_to_a_person_who_is_two_is_asked_about_until_it_is_said_again(hr):
    said = split(hr, account("a1", "x9@agency.example"), by_hand="a1")
    assert said == [("a1", "contractor", "disputed"), ("a1", "employee", "disputed")]
    (employee,) = hr.query("SELECT person_id FROM provisioning.people WHERE worker_type = 'employee'")[0]
    links.match(hr.connection, COMPANY, APP, "a1", employee, **BY)
    run(hr, account("a1", "x9@agency.example"))
    assert [(m.person_id, m.outcome) for m in matches(hr)] == [(employee, Outcome.LINKED)]


def test_what_was_matched_by_hand_to_a_person_who_is_two_goes_to_neither_by_evidence(hr):
    said = split(hr, account("a1", "ada@acme.example"), by_hand="a1")
    assert said == [("a1", "contractor", "disputed"), ("a1", "employee", "candidate")]


@pytest.mark.parametrize(("given_on", "outcome"), [(2, Outcome.LINKED), (3, Outcome.CANDIDATE)])
def test_accounts_that_would_get_another_owner_are_asked_about_when_there_are_too_many(hr, given_on, outcome):
    names = [("Ada", "Moss"), ("Bo", "Reed"), ("Cy", "Lark")]
    old = [
        {"uuid": f"p{n}", "first_name": given, "last_name": family, "work_email": f"{given}@acme.example".lower()}
        for n, (given, family) in enumerate(names)
    ]
    accounts = [account(f"a{n}", one["work_email"]) for n, one in enumerate(old)]
    hr.people(*old)
    run(hr, *accounts)
    for one in accounts[:given_on]:
        links.unmatch(hr.connection, COMPANY, APP, one.id, **BY)
    hr.people(*({**one, "uuid": f"new-{one['uuid']}"} for one in old))
    run(hr, *accounts)
    said = {m.account_id: m.outcome for m in matches(hr) if m.outcome != Outcome.REFUSED and m.person_id[:3] == "new"}
    assert [said[one.id] for one in accounts[:given_on]] == [outcome] * given_on


@pytest.mark.parametrize("mark", [Mark.BOT, Mark.SHARED, Mark.ADMIN, Mark.IGNORE])
def test_a_marked_account_is_not_linked_by_evidence(hr, mark):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    given = account(email="ada@acme.example")
    store_accounts(hr.connection, COMPANY, APP, Tenant("t1", "Acme"), [given], NOW, 1)
    links.mark(hr.connection, COMPANY, APP, "a1", mark, **BY)
    assert run(hr, given)["none"] == 1


def test_every_finding_says_what_it_stands_on(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"}, {"uuid": "e2", "first_name": "Bo"})
    run(
        hr,
        account("a1", "ada@acme.example", "Ada Moss", created_at=HIRED),
        account("a2", name="Bo Moss", created_at=HIRED - 100 * DAY),
    )
    first, second = matches(hr)
    assert first.sentence == "Same work e-mail (ada@acme.example), name (ada moss) and first day (2024-01-08)"
    assert first.evidence == {
        "kinds": {"work_email": "ada@acme.example", "name": "ada moss", "start": "2024-01-08"},
        "against": [],
    }
    assert second.sentence == (
        "Same name (bo moss), but the account is from 2023-09-30, long before the first day 2024-01-08; "
        "that is one kind of evidence"
    )
    assert (first.score, second.score) == (102, 75)


def test_apps_and_companies_do_not_touch_each_other(hr):
    hr.people({"uuid": "e1", "work_email": "ada@acme.example"})
    run(hr, account(email="ada@acme.example"))
    store_accounts(hr.connection, COMPANY, "zoom", Tenant("t2", "Acme"), [account(email="ada@acme.example")], NOW, 1)
    match(hr.connection, "another", [APP, "zoom"], NOW)
    match(hr.connection, COMPANY, ["zoom"], NOW)
    assert hr.query("SELECT company_uuid, app, person_id FROM provisioning.links ORDER BY app") == [
        (COMPANY, APP, "e1"),
        (COMPANY, "zoom", "e1"),
    ]


def test_several_apps_at_once_are_matched_as_each_alone(hr):
    people, accounts = workforce(60)
    apps = {"slack": accounts[:40], "zoom": accounts[20:], "asana": accounts[::2]}
    for slug, some in apps.items():
        store_accounts(hr.connection, COMPANY, slug, Tenant("t", "Acme"), some, NOW, 1)
    hr.employees(*people)
    hr.refresh()
    match(hr.connection, COMPANY, [*apps], NOW)
    together = [hr.matches(slug) for slug in apps]
    hr.connection.execute("DELETE FROM provisioning.links; DELETE FROM provisioning.candidates")
    for slug in apps:
        match(hr.connection, COMPANY, [slug], NOW)
    assert together == [hr.matches(slug) for slug in apps]
    assert all(any(m.outcome is Outcome.LINKED for m in found) for found in together)


# -- whatever comes ---------------------------------------------------------------------------------------------------

ADDRESSES = [None, "ada@acme.example", "ada.moss@acme.example", "moss@home.example", "bo@acme.example"]
WORKERS = st.lists(
    st.fixed_dictionaries(
        {
            "first_name": st.sampled_from(["Ada", "Addie", "Bo", "William"]),
            "last_name": st.sampled_from(["Moss", "Ek"]),
            "work_email": st.sampled_from(ADDRESSES),
            "email": st.sampled_from(ADDRESSES),
            "phone": st.sampled_from([None, "+14155550132", "+14155550133"]),
            "hired": st.sampled_from(["2020-01-06", "2024-01-08"]),
        }
    ),
    max_size=4,
)
ACCOUNTS = st.lists(
    st.fixed_dictionaries(
        {
            "emails": st.lists(st.sampled_from(ADDRESSES[1:]), max_size=2, unique=True).map(tuple),
            "display_name": st.sampled_from([None, "Ada Moss", "Bo Moss", "Bill Ek", "Zoltan Quirk"]),
            "phone": st.sampled_from([None, "+14155550132"]),
            "user_name": st.sampled_from([None, "amoss", "adamoss"]),
            "external_id": st.sampled_from([None, "e0", "e1"]),
            "created_at": st.sampled_from([None, HIRED, HIRED - 900 * DAY]),
            "status": st.sampled_from([Status.ACTIVE, Status.DELETED]),
        }
    ),
    max_size=4,
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(WORKERS, ACCOUNTS, st.randoms(use_true_random=False))
def test_links_are_one_to_one_proven_and_the_same_whatever_the_order(workers, records, random):
    hr = HR
    people = [{"uuid": f"e{number}", **worker} for number, worker in enumerate(workers)]
    accounts = [Account(id=f"a{number}", **record) for number, record in enumerate(records)]
    seen = []
    for _ in range(2):
        hr.clear()
        hr.people(*people)
        first = run(hr, *accounts)
        seen.append(matches(hr))
        linked = [m for m in seen[-1] if m.outcome is Outcome.LINKED]
        living = {a.id for a in accounts if a.status is not Status.DELETED}
        assert len({m.account_id for m in linked}) == len(linked) == first["linked"]
        assert len({m.person_id for m in linked if m.account_id in living}) == len(
            [m for m in linked if m.account_id in living]
        )
        for m in linked:
            kinds = set(m.evidence["kinds"])
            assert kinds - {"name", "user_name"} or kinds == {"name", "user_name"}  # the company's own address
            assert m.evidence["against"] == []
        assert {m.account_id for m in seen[-1]} == {a.id for a in accounts}
        history = hr.query("FROM provisioning.link_history")
        match(hr.connection, COMPANY, [APP], NOW)
        assert matches(hr) == seen[-1]
        assert hr.query("FROM provisioning.link_history") == history
        random.shuffle(people)
        random.shuffle(accounts)
    assert seen[0] == seen[1]
    for m in [m for m in seen[1] if m.outcome is Outcome.LINKED][:1]:
        links.unmatch(hr.connection, COMPANY, APP, m.account_id, **BY)
        match(hr.connection, COMPANY, [APP], NOW)
        assert (m.account_id, m.person_id) not in hr.query("SELECT account_id, person_id FROM provisioning.links")


def test_of_labelled_accounts_none_is_linked_wrongly_and_most_are_found(hr):
    people, accounts = workforce(1000)
    hr.employees(*people)
    hr.refresh()
    run(hr, *accounts)
    linked = hr.query(
        "SELECT split_part(records[1], '/', 2), account_id FROM provisioning.links "
        "JOIN provisioning.people USING (company_uuid, person_id)"
    )
    right, wrong = score(linked)
    assert wrong == 0
    assert right / 1000 >= 0.8
