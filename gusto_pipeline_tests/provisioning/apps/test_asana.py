"""What is special to Asana: only what is asked for comes, an invited person looks active, refusals in words of its own.

It has no table of refusals: what they mean is what they mean everywhere.
"""

from __future__ import annotations

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import asana
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
    PlanTooLowError,
    SignInError,
)
from gusto_pipeline.sandbox.apps import SimulatedApp
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of

PEOPLE = "/api/1.0/users"


def asked(simulated: SimulatedApp, path: str) -> httpx.Response:
    token = simulated.directory.new_token()
    return httpx.get(f"{simulated.base_url}{path}", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(
    ("flags", "role"),
    [
        ({"is_admin": True}, "Admin"),
        ({"is_guest": True}, "Guest"),
        ({"is_view_only": True}, "View only"),
        ({}, "Member"),
    ],
)
def test_all_that_asana_says_of_a_membership_is_kept(flags, role):
    user = {"gid": "12", "name": "Ivy van Irwin", "email": "ivy@acme.example"}
    row = {"gid": "77", "user": user, "is_active": True, "created_at": "2024-05-06T07:00:00.000Z", **flags}
    account = asana._account(row)
    assert (account.id, account.emails, account.role) == ("12", ("ivy@acme.example",), role)
    assert (account.given_name, account.family_name) == ("Ivy", "van Irwin")
    assert account.admin == bool(flags.get("is_admin"))
    assert account.created_at.isoformat() == "2024-05-06T07:00:00+00:00"


def test_who_was_taken_out_stays_in_the_list_and_comes_back_by_an_invitation():
    with connected_to("asana") as (session, _):
        made = actions.create(session, NEW).account
        assert made.status is Status.ACTIVE
        actions.remove(session, made.id)
        assert asana.account(session, made.id).status is Status.DELETED
        assert actions.create(session, NEW).account.id == made.id


def test_no_free_seat_is_said():
    with connected_to("asana", seats=1) as (session, _), pytest.raises(NoSeatError, match=r"no seats left.*Buy one"):
        actions.create(session, NEW)


@pytest.mark.parametrize(
    ("status", "message", "kind", "advice"),
    [
        (402, "This is only available to Premium workspaces", PlanTooLowError, "Raise the plan"),
        (403, "You must be an admin of the workspace", MissingScopeError, "connect asana"),
        (403, "You cannot remove the last admin", LastOwnerError, "somebody else an administrator"),
        (400, "Not enough licenses are available", NoSeatError, "Buy one"),
        (400, "License limit exceeded", NoSeatError, "Buy one"),
        (403, "You have exceeded your number of licenses", NoSeatError, "Buy one"),
        (400, "licenseType must be one of full, reader", InvalidError, "Correct it"),
        (400, "tom.seaton@acme.example: not a valid address", InvalidError, "Correct it"),
        (403, "The user is already a member", AlreadyExistsError, "Nothing is left to do"),
        (409, "Conflict", AlreadyExistsError, "Nothing is left to do"),
        (400, "user: Not an email", InvalidError, "Correct it"),
        (401, "Not Authorized", type(None), ""),
        (404, "user: Unknown object", type(None), ""),
    ],
)
def test_each_refusal_says_what_to_do(status, message, kind, advice):
    error = refusal_of(asana.APP, status, {"errors": [{"message": message}]})
    assert type(error) is kind
    assert advice in str(error)


def test_who_asks_and_what_is_not_there_are_told_by_the_status():
    with connected_to("asana") as (session, simulated):
        session.record["workspace"] = "99"
        with pytest.raises(NotFoundError, match="workspaces/99"):
            asana.tenant(session)
        simulated.directory.revoke()
        with pytest.raises(SignInError, match="connect asana"):
            asana.tenant(session)


def test_the_simulator_gives_no_address_that_was_not_asked_for():
    with connected_to("asana") as (_, simulated):
        place = f"/api/1.0/workspaces/{simulated.simulator.record['workspace']}/workspace_memberships?limit=1"
        (bare,), (whole,) = (
            asked(simulated, place + fields).json()["data"] for fields in ("", "&opt_fields=user.email")
        )
        assert bare.keys() == {"gid", "resource_type", "user"}
        assert ("email" in bare["user"], "email" in whole["user"]) == (False, True)


def test_the_simulator_lists_people_by_pages_of_a_workspace_only():
    with connected_to("asana") as (_, simulated):
        workspace = f"&workspace={simulated.simulator.record['workspace']}"
        assert asked(simulated, f"{PEOPLE}?limit=2").status_code == 400
        assert len(asked(simulated, f"{PEOPLE}?limit=2{workspace}").json()["data"]) == 2
        everybody = asked(simulated, PEOPLE).json()["data"]
        assert len(everybody) == len(simulated.directory.there("active", "invited"))
