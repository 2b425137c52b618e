"""What is special to Slack: two APIs for one member, failures with status 200, and that removing only deactivates."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import slack
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NotFoundError,
    PlanTooLowError,
    ServerError,
    SignInError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import read


def answered(path: str, status: int, body: object) -> httpx.Response:
    return httpx.Response(status, json=body, request=httpx.Request("GET", f"https://api.slack.com{path}"))


def test_each_member_says_what_both_apis_know():
    with connected_to("slack") as (session, simulated):
        listed = {account.id: account for account in slack.accounts(session)}
        members = simulated.directory.members
        assert listed.keys() == members.keys()
        for account in listed.values():
            member = members[account.id]
            assert account.bot == member.bot
            assert account.owner == (member.role == "owner")
            assert account.status.value == member.state
            assert account == slack.account(session, account.id)
        assert {account.role for account in listed.values()} == {"Primary owner", "Admin", "Member", "Bot"}


def test_everything_slack_tells_of_a_person_is_taken():
    with connected_to("slack") as (session, simulated):
        made = actions.create(session, NEW).account
        slack.join(session, made, next(iter(simulated.directory.groups)))
        made = slack.account(session, made.id)
        assert (made.emails, made.user_name, made.display_name) == ((NEW.email,), "nora.newman", "Nora Newman")
        assert (made.given_name, made.family_name) == ("Nora", "Newman")
        assert (made.employee_number, made.title, made.department) == ("E-9001", "Barista", "Retail")
        assert made.groups == (next(iter(simulated.directory.groups.values())),)
        assert made.created_at


def test_people_of_other_organisations_and_slackbot_are_no_members():
    with connected_to("slack") as (session, _):
        told = {row["id"] for row in session.get(f"{slack.WEB}/users.list")["members"]}
        listed = {account.id for account in slack.accounts(session)}
        assert told - listed == {"USLACKBOT", "U0STRANGER1"}


def test_the_token_says_what_it_may_do():
    with connected_to("slack") as (session, _):
        assert slack.tenant(session).granted == ("admin", "users:read", "users:read.email")


def test_a_list_shorter_than_slacks_own_count_is_refused():
    with connected_to("slack") as (session, simulated):
        simulated.fault("short-page=0.79:/scim")
        with pytest.raises(IncompleteReadError, match=r"counts \d+ at /Users and listed \d+"):
            actions.read_accounts(session)


def test_a_deactivated_member_is_found_by_address_and_not_created_again():
    with connected_to("slack") as (session, simulated):
        member = next(m for m in simulated.directory.members.values() if m.state == "suspended")
        there = actions.create(session, replace(NEW, email=member.email))
        assert not there.changed
        assert there.account.status is Status.SUSPENDED


def test_removing_leaves_a_deactivated_member_who_can_come_back():
    with connected_to("slack") as (session, _):
        made = actions.create(session, NEW).account
        assert actions.remove(session, made.id).account.status is Status.SUSPENDED
        assert actions.reactivate(session, made.id).account.status is Status.ACTIVE


def test_a_user_name_that_somebody_else_has_is_not_taken_for_the_same_person():
    with connected_to("slack") as (session, _):
        actions.create(session, NEW)
        with pytest.raises(AlreadyExistsError, match="user name already"):
            actions.create(session, replace(NEW, email="nora.newman@other.example"))


def test_owners_stay():
    with connected_to("slack") as (session, simulated):
        owner = next(m for m in simulated.directory.members.values() if m.role == "owner")
        for action in (actions.suspend, actions.remove):
            with pytest.raises(LastOwnerError, match="Transfer the ownership"):
                action(session, owner.id)


def test_members_of_groups_come_and_go_and_twice_is_once():
    with connected_to("slack") as (session, simulated):
        person, group = slack.account(session, "U0000000001"), next(iter(slack.groups(session)))
        member = simulated.directory.members[person.id]
        slack.join(session, person, group)
        slack.join(session, person, group)
        assert member.groups == [group]
        slack.leave(session, person, group)
        slack.leave(session, person, group)
        assert member.groups == []


@pytest.mark.parametrize("scope", ["admin", "users:read"])
def test_a_scope_that_is_missing_is_named(scope):
    with connected_to("slack") as (session, simulated):
        simulated.fault(f"missing-scope={scope}")
        with pytest.raises(MissingScopeError, match=scope):
            list(slack.accounts(session))


def test_a_rate_limit_with_status_200_is_waited_out():
    with connected_to("slack") as (session, simulated):
        simulated.directory.extra["limited"] = 2
        before = simulated.directory.clock.now()
        slack.tenant(session)
        assert (simulated.directory.clock.now() - before).total_seconds() >= 6


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("token_revoked", SignInError),
        ("no_permission", MissingScopeError),
        ("paid_only", PlanTooLowError),
        ("user_not_found", NotFoundError),
        ("internal_error", ServerError),
        ("invalid_arg_name", InvalidError),
    ],
)
def test_what_the_web_api_says_with_status_200(code, kind):
    error = read(slack.APP, answered("/api/users.list", 200, {"ok": False, "error": code}))
    assert type(error) is kind
    assert code in str(error)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (409, {"Errors": {"code": 409, "description": "taken"}}, AlreadyExistsError),
        (409, {"detail": "taken", "status": "409"}, AlreadyExistsError),
        (403, {"Errors": {"code": 403, "description": "not on this plan"}}, PlanTooLowError),
        (403, {"Errors": {"code": 403, "description": "missing_scope"}}, MissingScopeError),
        (403, "no object", MissingScopeError),
        (400, {"detail": "emails is missing"}, InvalidError),
    ],
)
def test_what_scim_says_in_either_form(status, body, kind):
    assert type(read(slack.APP, answered("/scim/v2/Users", status, body))) is kind
