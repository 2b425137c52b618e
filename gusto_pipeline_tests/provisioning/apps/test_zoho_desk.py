"""What is special to Zoho Desk: departments, pages of doubtful origin, two ways to delete, 204 for nobody."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.apps.zoho_desk import _account
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    MissingScopeError,
    NoSeatError,
    SignInError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of

DESK = app("zoho_desk")


def calls(simulated, method: str) -> list[str]:
    return [row.path for row in simulated.requests if row.method == method and "/agents" in row.path]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({"status": "ACTIVE", "isConfirmed": True}, Status.ACTIVE),
        ({"status": "ACTIVE", "isConfirmed": False}, Status.INVITED),
        ({"status": "IMPORTED", "isConfirmed": False}, Status.INVITED),
        ({"status": "DISABLED", "isConfirmed": True}, Status.SUSPENDED),
        ({"status": "DELETED", "isConfirmed": False}, Status.DELETED),
    ],
)
def test_what_an_agent_is(words, status):
    assert _account({"id": 7} | words).status is status


def test_an_account_has_departments_permission_and_whether_it_is_a_bot():
    with connected_to("zoho_desk") as (session, simulated):
        listed = {account.id: account for account in DESK.accounts(session)}
        departments = set(DESK.groups(session))
        for member in simulated.directory.members.values():
            account = listed[member.id]
            assert account.bot == member.bot
            assert account.admin == (member.role != "member")
            assert set(account.groups) < departments


@pytest.mark.parametrize("size", [199, 200, 400, 401])
def test_pages_that_overlap_or_end_full_lose_and_double_nobody(size):
    with connected_to("zoho_desk", size=size) as (session, _):
        assert len(actions.read_accounts(session).accounts) == size


def test_an_agent_comes_into_the_default_department_or_those_named():
    with connected_to("zoho_desk") as (session, _):
        first, *_, default = DESK.groups(session).items()
        made = actions.create(session, NEW).account
        assert (made.groups, made.role) == ((default[0],), "AgentPersonal")
        other = actions.create(session, replace(NEW, email="b@example.com", groups=(first[1],), role="Light")).account
        assert (other.groups, other.licence) == ((first[0],), "Light agent")


def test_an_open_invitation_is_sent_again_and_ended_by_its_own_call():
    with connected_to("zoho_desk") as (session, simulated):
        made = actions.create(session, NEW).account
        assert actions.invite_again(session, made.id).changed
        assert simulated.directory.mails.count((NEW.email, "invitation")) == 2
        assert actions.remove(session, made.id).changed
        assert calls(simulated, "POST")[-1].endswith("/agents/deleteUnconfirmed")
        assert calls(simulated, "DELETE") == []


def test_an_agent_is_deactivated_before_deleted():
    with connected_to("zoho_desk") as (session, simulated):
        account = next(a for a in DESK.accounts(session) if a.status is Status.ACTIVE)
        actions.remove(session, account.id)
        assert calls(simulated, "POST") == [f"/api/v1/agents/{account.id}/deactivate"]
        assert calls(simulated, "DELETE") == [f"/api/v1/agents/{account.id}"]


def test_open_work_is_handed_over_in_every_department():
    with connected_to("zoho_desk") as (session, simulated):
        account, to = [a for a in DESK.accounts(session) if a.status is Status.ACTIVE][:2]
        DESK.hand_over(session, account, to)
        assert simulated.directory.members[account.id].extra["reassignment"] == [
            {"departmentId": department, "taskNewOwner": to.id, "ticketNewOwner": to.id}
            for department in account.groups
        ]


def test_nobody_is_a_204():
    with connected_to("zoho_desk") as (session, _):
        assert DESK.find(session, "nobody+tag@example.com") is None
        assert DESK.account(session, "4009999999999") is None


def test_without_a_free_licence_nobody_is_added():
    with connected_to("zoho_desk", seats=1) as (session, _), pytest.raises(NoSeatError, match="Buy one"):
        actions.create(session, NEW)


def test_an_organization_that_the_connection_does_not_reach_is_named():
    with connected_to("zoho_desk") as (session, _):
        session.record["org_id"] = "1"
        with pytest.raises(SignInError, match=r"no organization 1.*connect zoho_desk"):
            DESK.tenant(session)


@pytest.mark.parametrize(
    ("status", "said", "kind", "advice"),
    [
        (422, {"errorCode": "INVALID_DATA", "errors": [{"errorType": "duplicate"}]}, AlreadyExistsError, "Nothing"),
        (403, {"errorCode": "SCOPE_MISMATCH", "message": "no"}, MissingScopeError, "connect zoho_desk"),
        (403, {"errorCode": "OAUTH_ORG_MISMATCH", "message": "no"}, SignInError, "organization"),
        (403, {"errorCode": "LICENSE_ACCESS_LIMITED", "message": "no"}, NoSeatError, "deactivate"),
    ],
)
def test_each_refusal_says_what_to_do(status, said, kind, advice):
    error = refusal_of(DESK, status, said)
    assert type(error) is kind
    assert advice in str(error)


def test_canada_has_its_own_domain():
    record = {"data_centre": "ca", "domain": "zohocloud"}
    assert httpx.URL(DESK.base_url.format_map(record)).host == "desk.zohocloud.ca"
