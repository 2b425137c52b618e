"""What is special to Okta: statuses, two lists that differ, the two steps of deleting, its rate limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import okta
from gusto_pipeline.provisioning.errors import AlreadyExistsError, InvalidError, LastOwnerError, MissingScopeError
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import read, wait


def answered(status: int, code: str, *causes: str, path: str = "/api/v1/users", **headers: str) -> httpx.Response:
    body = {"errorCode": code, "errorSummary": "summary", "errorCauses": [{"errorSummary": each} for each in causes]}
    request = httpx.Request("POST", f"https://acme.okta.com{path}")
    return httpx.Response(status, json=body, headers=headers, request=request)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("STAGED", Status.INVITED),
        ("PROVISIONED", Status.INVITED),
        ("ACTIVE", Status.ACTIVE),
        ("RECOVERY", Status.ACTIVE),
        ("PASSWORD_EXPIRED", Status.ACTIVE),
        ("LOCKED_OUT", Status.ACTIVE),
        ("SUSPENDED", Status.SUSPENDED),
        ("DEPROVISIONED", Status.DELETED),
    ],
)
def test_each_of_oktas_statuses_is_listed_as(said, meant):
    with connected_to("okta") as (session, simulated):
        member = next(m for m in simulated.directory.members.values() if m.role == "member")
        simulated.directory.change(member, meant.value)
        member.extra["status"] = said
        listed = {account.id: account for account in okta.accounts(session)}
        assert listed[member.id].raw["status"] == said
        assert listed[member.id].status is meant


def test_everything_okta_tells_of_a_person_is_taken():
    with connected_to("okta") as (session, simulated):
        actions.create(session, NEW)
        made = okta.find(session, NEW.email.upper())
        assert made.emails == (NEW.email, NEW.personal_email)
        assert (made.user_name, made.display_name) == (NEW.email, "Nora Newman")
        assert (made.employee_number, made.title, made.department) == ("E-9001", "Barista", "Retail")
        assert not made.admin
        assert simulated.directory.mails == [(NEW.email, "activation")]


def test_a_list_names_administrators_and_their_roles_as_a_single_account_does():
    with connected_to("okta") as (session, _):
        admins = [account for account in okta.accounts(session) if account.admin]
        assert {account.role for account in admins} >= {"Super Administrator", "Group Administrator"}
        assert [okta.account(session, admin.id) for admin in admins] == admins


def test_a_token_that_may_not_see_roles_still_lists_everybody():
    with connected_to("okta") as (session, simulated):
        everybody = {account.id for account in okta.accounts(session)}
        simulated.fault("missing-scope=okta.roles.read")
        listed = list(okta.accounts(session))
        assert {account.id for account in listed} == everybody
        assert not any(account.admin for account in listed)


def test_somebody_is_found_by_an_address_that_is_not_the_login():
    with connected_to("okta") as (session, simulated):
        member = next(m for m in simulated.directory.members.values() if m.role == "member")
        member.extra["login"] = "legacy-name"
        assert okta.find(session, member.email).user_name == "legacy-name"


def test_a_password_makes_an_active_account_whose_password_has_to_be_changed():
    with connected_to("okta") as (session, simulated):
        made = actions.create(session, replace(NEW, password="a-first-password")).account
        assert made.status is Status.ACTIVE
        assert made.raw["status"] == "PASSWORD_EXPIRED"
        assert simulated.directory.mails == []


def test_suspending_ends_the_sessions_even_when_it_went_unanswered():
    with connected_to("okta") as (session, simulated):
        for fault in ((), ("drop-write:once",)):
            active = next(a for a in okta.accounts(session) if a.raw["status"] == "ACTIVE" and not a.admin)
            simulated.fault(*fault)
            assert actions.suspend(session, active.id).changed
            assert "sessions_ended" in simulated.directory.members[active.id].extra


@pytest.mark.parametrize("said", ["LOCKED_OUT", "PASSWORD_EXPIRED", "RECOVERY"])
def test_whoever_cannot_be_suspended_is_deactivated_and_can_be_taken_back(said):
    with connected_to("okta") as (session, simulated):
        account = next(a for a in okta.APP.accounts(session) if a.raw["status"] == said)
        assert actions.suspend(session, account.id).changed
        assert simulated.directory.members[account.id].state == "deleted"
        assert actions.restore(session, account).changed


def test_removing_takes_two_steps_and_leaves_nothing():
    with connected_to("okta") as (session, simulated):
        leaver = actions.create(session, NEW).account
        assert actions.remove(session, leaver.id).account is None
        steps = [(row.method, row.path) for row in simulated.requests if row.method in ("POST", "DELETE")]
        path = f"/api/v1/users/{leaver.id}"
        assert steps[-2:] == [("POST", f"{path}/lifecycle/deactivate"), ("DELETE", path)]


def test_somebody_deactivated_can_come_back():
    with connected_to("okta") as (session, simulated):
        leaver = next(a for a in okta.accounts(session) if a.raw["status"] == "ACTIVE" and not a.admin)
        simulated.directory.change(simulated.directory.members[leaver.id], "deleted")
        assert actions.restore(session, leaver).account.status is Status.INVITED


def test_a_login_that_somebody_deactivated_still_has_is_not_taken_for_a_new_account():
    with connected_to("okta") as (session, simulated):
        leaver = next(a for a in okta.accounts(session) if a.raw["status"] == "ACTIVE" and not a.admin)
        simulated.directory.change(simulated.directory.members[leaver.id], "deleted")
        with pytest.raises(AlreadyExistsError, match="deactivated"):
            actions.create(session, replace(NEW, email=leaver.user_name))


def test_whoever_was_never_sent_a_link_gets_the_first_one():
    with connected_to("okta") as (session, simulated):
        invited = next(m for m in simulated.directory.members.values() if m.state == "invited")
        invited.extra["status"] = "STAGED"
        assert actions.invite_again(session, invited.id).account.raw["status"] == "PROVISIONED"
        assert simulated.directory.mails == [(invited.email, "activation")]


def test_a_link_to_activate_lapses_after_seven_days_and_a_new_one_after_seven_more():
    with connected_to("okta") as (session, simulated):
        made = actions.create(session, NEW).account
        assert made.invited_until - made.created_at == timedelta(days=7)
        simulated.advance(8 * 86400)
        again = actions.invite_again(session, made.id).account
        assert timedelta(days=6) < again.invited_until - simulated.directory.clock.now() <= timedelta(days=7)


def test_the_last_super_administrator_stays():
    with connected_to("okta") as (session, simulated):
        owner = next(m for m in simulated.directory.members.values() if m.role == "owner")
        with pytest.raises(LastOwnerError, match="Make somebody else one first"):
            actions.remove(session, owner.id)


def test_members_of_okta_groups_come_and_go():
    with connected_to("okta") as (session, simulated):
        person, groups = next(okta.accounts(session)), okta.groups(session)
        assert "Everyone" not in groups.values()
        okta.join(session, person, next(iter(groups)))
        assert simulated.directory.members[person.id].groups == [next(iter(groups))]
        okta.leave(session, person, next(iter(groups)))
        assert simulated.directory.members[person.id].groups == []


def test_the_rate_limit_is_waited_out_by_oktas_own_clock():
    reset = datetime(2030, 1, 1, 12, 0, 30, tzinfo=UTC)
    headers = {"x-rate-limit-reset": str(int(reset.timestamp())), "date": "Tue, 01 Jan 2030 12:00:00 GMT"}
    assert wait(okta.APP, answered(429, "E0000047", **headers), datetime(2030, 1, 1, 11, 59, tzinfo=UTC)) == 31
    assert wait(okta.APP, answered(429, "E0000047"), reset) is None


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (
            answered(400, "E0000001", "login: An object with this field already exists"),
            AlreadyExistsError,
            "Look there",
        ),
        (answered(400, "E0000001", "employeeNumber: An object with this field already exists"), InvalidError, "number"),
        (answered(403, "E0000006"), MissingScopeError, "administrator"),
        (answered(403, "E0000038"), InvalidError, "try again"),
        (httpx.Response(400, text="<html>", request=httpx.Request("GET", "https://a/b")), InvalidError, "no reason"),
    ],
)
def test_refusals_say_what_to_do(response, kind, words):
    error = read(okta.APP, response)
    assert type(error) is kind
    assert words.lower() in str(error).lower()
