"""Links by hand: what a person says holds, says who said it, and contradicts nothing said before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from gusto_pipeline.provisioning import links
from gusto_pipeline.provisioning.account import Account, Status, Tenant
from gusto_pipeline.provisioning.links import HandDecisionError, Mark
from gusto_pipeline.provisioning.matching import match
from gusto_pipeline.provisioning.store import store_accounts
from gusto_pipeline_tests.provisioning.hr import COMPANY, NOW, Hr

APP = "slack"
TABLES = ("links", "refusals", "marks", "link_history", "candidates", "done_by_hand")
HR = Hr()


@pytest.fixture
def hr() -> Hr:
    """Ada, whose account a1 has her address; Bo, of whom nothing is known; and account a2, which fits nobody."""
    HR.clear()
    HR.people({"uuid": "ada", "work_email": "ada@acme.example"}, {"uuid": "bo", "first_name": "Bo"})
    accounts = [
        Account(id="a1", status=Status.ACTIVE, emails=("ada@acme.example",)),
        Account(id="a2", status=Status.ACTIVE, emails=("guest@agency.example",)),
    ]
    store_accounts(HR.connection, COMPANY, APP, Tenant("t1", "Acme"), accounts, NOW, 1)
    return HR


def say(hr: Hr, what: Callable[..., None], *about: Any, who: str = "Kim", why: str = "asked her", **more: Any) -> None:
    what(hr.connection, COMPANY, APP, *about, **{"who": who, "why": why, "now": NOW} | more)


def found(hr: Hr) -> list[tuple[str, str | None, str]]:
    return [(m.account_id, m.person_id, str(m.outcome)) for m in hr.matches(APP)]


def contents(hr: Hr) -> list[list[tuple[Any, ...]]]:
    return [hr.query(f"FROM provisioning.{table} ORDER BY ALL") for table in TABLES]


def refused(hr: Hr, words: str, what: Callable[..., None], *about: Any, **more: Any) -> None:
    """It is an error that says these words, and nothing is done."""
    before = contents(hr)
    with pytest.raises(HandDecisionError, match=words):
        say(hr, what, *about, **more)
    assert contents(hr) == before


def test_a_match_by_hand_holds_from_that_moment_and_through_later_runs(hr):
    say(hr, links.match, "a2", "bo")
    assert ("a2", "bo", "linked") in found(hr)
    match(hr.connection, COMPANY, [APP], NOW)
    assert found(hr) == [("a1", "ada", "linked"), ("a2", "bo", "linked")]


def test_a_match_by_hand_outranks_evidence(hr):
    say(hr, links.match, "a1", "bo")
    match(hr.connection, COMPANY, [APP], NOW)
    assert found(hr)[0] == ("a1", "bo", "linked")


def test_a_match_by_hand_ends_a_dispute_at_once(hr):
    hr.people({"uuid": "ada", "work_email": "ada@acme.example"}, {"uuid": "bo", "work_email": "ada@acme.example"})
    match(hr.connection, COMPANY, [APP], NOW)
    assert found(hr)[:2] == [("a1", "ada", "disputed"), ("a1", "bo", "disputed")]
    say(hr, links.match, "a1", "ada")
    assert found(hr) == [("a1", "ada", "linked"), ("a2", None, "none")]


def test_a_match_by_hand_confirms_what_evidence_linked(hr):
    match(hr.connection, COMPANY, [APP], NOW)
    say(hr, links.match, "a1", "ada")
    assert hr.query("SELECT person_id, origin, who, why FROM provisioning.links") == [
        ("ada", "hand", "Kim", "asked her")
    ]


def test_a_person_may_be_given_a_second_account_by_hand(hr):
    say(hr, links.match, "a1", "ada")
    say(hr, links.match, "a2", "ada")
    assert found(hr) == [("a1", "ada", "linked"), ("a2", "ada", "linked")]


def test_an_unmatched_account_is_not_matched_to_the_same_person_by_the_next_run(hr):
    match(hr.connection, COMPANY, [APP], NOW)
    say(hr, links.unmatch, "a1")
    assert ("a1", "ada", "refused") in found(hr)
    match(hr.connection, COMPANY, [APP], NOW)
    assert hr.query("FROM provisioning.links") == []


def test_a_refused_candidate_is_gone_at_once(hr):
    hr.people({"uuid": "ada", "email": "ada@acme.example"})
    match(hr.connection, COMPANY, [APP], NOW)
    assert ("a1", "ada", "candidate") in found(hr)
    say(hr, links.refuse, "a1", "ada")
    assert [row for row in found(hr) if row[0] == "a1"] == [("a1", "ada", "refused"), ("a1", None, "none")]


def test_a_marked_account_is_asked_about_no_more(hr):
    hr.people({"uuid": "ada", "email": "ada@acme.example"})
    match(hr.connection, COMPANY, [APP], NOW)
    say(hr, links.mark, "a1", Mark.SHARED)
    assert found(hr)[0] == ("a1", None, "none")
    say(hr, links.lift_mark, "a1")
    match(hr.connection, COMPANY, [APP], NOW)
    assert found(hr)[0] == ("a1", "ada", "candidate")


def test_a_bot_may_be_somebodys(hr):
    say(hr, links.match, "a2", "bo")
    say(hr, links.mark, "a2", Mark.BOT)
    assert ("a2", "bo", "linked") in found(hr)


def test_an_external_account_is_marked_until_a_day_to_look_again(hr):
    refused(hr, "by when", links.mark, "a2", Mark.EXTERNAL)
    refused(hr, "has passed", links.mark, "a2", Mark.EXTERNAL, review_by=NOW.date())
    say(hr, links.mark, "a2", Mark.EXTERNAL, review_by=NOW.date() + timedelta(1))
    assert hr.query("SELECT mark, review_by, marked_at, who, why FROM provisioning.marks") == [
        ("external", date(2026, 6, 16), NOW, "Kim", "asked her")
    ]


def test_the_history_has_every_decision_with_who_when_and_why(hr):
    match(hr.connection, COMPANY, [APP], NOW)
    say(hr, links.unmatch, "a1", why="her old one")
    say(hr, links.lift_refusal, "a1", "ada", why="a mistake")
    say(hr, links.match, "a1", "ada")
    say(hr, links.refuse, "a2", "bo")
    say(hr, links.mark, "a2", Mark.IGNORE, who="Lou")
    say(hr, links.lift_mark, "a2", now=NOW + timedelta(1))
    assert hr.query("SELECT account_id, person_id, event, happened_at, who, why FROM provisioning.link_history") == [
        ("a1", "ada", "linked", NOW, "gusto_pipeline", "Same work e-mail (ada@acme.example)"),
        ("a1", "ada", "unmatched", NOW, "Kim", "her old one"),
        ("a1", "ada", "refusal lifted", NOW, "Kim", "a mistake"),
        ("a1", "ada", "matched", NOW, "Kim", "asked her"),
        ("a2", "bo", "refused", NOW, "Kim", "asked her"),
        ("a2", None, "marked ignore", NOW, "Lou", "asked her"),
        ("a2", None, "mark ignore lifted", NOW + timedelta(1), "Kim", "asked her"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ((links.match, "a1", "ada"), (links.match, "a1", "bo"), "matched to person ada already, by Kim. Unmatch it"),
        ((links.match, "a1", "ada"), (links.match, "a1", "ada"), "matched to person ada already, by Kim"),
        ((links.match, "a1", "ada"), (links.refuse, "a1", "ada"), "Unmatch it instead"),
        ((links.match, "a1", "ada"), (links.mark, "a1", Mark.ADMIN), "matched to person ada. Unmatch it first"),
        ((links.match, "a1", "ada"), (links.mark, "a1", Mark.IGNORE), "matched to person ada. Unmatch it first"),
        ((links.refuse, "a1", "ada"), (links.match, "a1", "ada"), "Kim ruled out on 2026-06-15 .* Lift that refusal"),
        ((links.refuse, "a1", "ada"), (links.refuse, "a1", "ada"), "was ruled out by Kim"),
        ((links.mark, "a1", Mark.IGNORE), (links.match, "a1", "ada"), "marked ignore by Kim. Lift that mark first"),
        ((links.mark, "a1", Mark.BOT), (links.mark, "a1", Mark.SHARED), "marked bot by Kim. Lift that mark first"),
        ((links.say_done, "a1"), (links.say_done, "a1"), "Kim said on 2026-06-15 .* The next complete reading"),
    ],
)
def test_what_contradicts_an_earlier_decision_is_refused(hr, first, second, words):
    say(hr, *first)
    refused(hr, words, *second)


@pytest.mark.parametrize("who_and_why", [{"who": " "}, {"why": ""}])
@pytest.mark.parametrize(
    "decision",
    [
        (links.match, "a1", "ada"),
        (links.unmatch, "a1"),
        (links.refuse, "a1", "ada"),
        (links.lift_refusal, "a1", "ada"),
        (links.mark, "a1", Mark.BOT),
        (links.lift_mark, "a1"),
        (links.say_done, "a1"),
    ],
)
def test_nobody_decides_without_name_and_reason(hr, decision, who_and_why):
    refused(hr, "Say who decides and why", *decision, **who_and_why)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ((links.match, "a9", "ada"), "slack listed no account 'a9'"),
        ((links.match, "", "ada"), "slack listed no account ''"),
        ((links.match, "a1", "eve"), "There is no person 'eve'"),
        ((links.match, "a1", ""), "There is no person ''"),
        ((links.refuse, "a9", "ada"), "no account 'a9'"),
        ((links.mark, "a9", Mark.BOT), "no account 'a9'"),
        ((links.unmatch, "a2"), "a2 is matched to nobody"),
        ((links.unmatch, ""), "matched to nobody"),
        ((links.lift_refusal, "a1", "ada"), "Nobody ruled out"),
        ((links.lift_mark, "a1"), "a1 carries no mark"),
        ((links.say_done, "a9"), "no account 'a9'"),
    ],
)
def test_a_decision_about_what_is_not_there_is_refused(hr, decision, words):
    say(hr, links.match, "a1", "ada")
    say(hr, links.mark, "a2", Mark.BOT)
    refused(hr, words, *decision)


def test_a_decision_about_somebody_who_was_merged_names_the_one_they_are_now(hr):
    hr.connection.execute("UPDATE provisioning.people SET merged_into = 'ada' WHERE person_id = 'bo'")
    refused(hr, "Person bo turned out to be person ada", links.match, "a2", "bo")


def test_an_account_that_is_in_the_bin_is_not_said_to_be_done(hr):
    binned = Account(id="a1", status=Status.DELETED)
    store_accounts(hr.connection, COMPANY, APP, Tenant("t1", "Acme"), [binned], NOW, 1)
    refused(hr, "a1 is deleted already", links.say_done, "a1")


def test_an_account_that_is_gone_can_still_be_unmatched(hr):
    match(hr.connection, COMPANY, [APP], NOW)
    store_accounts(hr.connection, COMPANY, APP, Tenant("t1", "Acme"), [], NOW, 1, accept_shrink=True)
    say(hr, links.unmatch, "a1")
    assert hr.query("FROM provisioning.links") == []
