"""What is special to Dropbox: unions, jobs, errors inside a success, devices that must not be wiped, the way back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import dropbox
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
    OutcomeUnknownError,
    PlanTooLowError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of

REMOVE = "/2/team/members/remove"


def test_all_that_dropbox_says_of_a_member_is_kept():
    with connected_to("dropbox") as (session, simulated):
        group = next(iter(simulated.directory.groups))
        member = simulated.directory.add(
            "ivy@acme-tea-co.example", "Ivy", "Irwin", role="owner", groups=[group],
            created_at=datetime(2024, 5, 6, 7, tzinfo=UTC),
        )  # fmt: skip
        others = [("ivy@example.com", True), ("i@example.com", False)]
        member.extra |= {
            "others": [{"email": email, "is_verified": verified} for email, verified in others],
            "external_id": "00u1",
        }
        account = dropbox.account(session, member.id)
        assert account.emails == ("ivy@acme-tea-co.example", "ivy@example.com")
        assert (account.given_name, account.family_name, account.display_name) == ("Ivy", "Irwin", "Ivy Irwin")
        assert (account.role, account.admin, account.licence, account.external_id) == (
            "Team admin",
            True,
            "full",
            "00u1",
        )
        assert (account.groups, account.created_at) == ((group,), datetime(2024, 5, 6, 7, tzinfo=UTC))


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("active", Status.ACTIVE),
        ("invited", Status.INVITED),
        ("suspended", Status.SUSPENDED),
        ("deleted", Status.DELETED),
    ],
)
def test_members_are_listed_in_every_state_also_removed(state, status):
    with connected_to("dropbox") as (session, simulated):
        member = simulated.directory.add("ivy@acme-tea-co.example", "Ivy", "Irwin")
        simulated.directory.change(member, state)
        listed = {account.id: account for account in dropbox.accounts(session)}
        assert listed[member.id].status is status
        assert dropbox.account(session, member.id) == listed[member.id]


@pytest.mark.parametrize("jobs", [False, True])
@pytest.mark.parametrize(("said", "wiped"), [("no", False), ("yes", True)])
def test_devices_are_wiped_only_if_the_connection_says_so(said, wiped, jobs):
    with connected_to("dropbox") as (session, simulated):
        simulated.directory.extra["jobs"] = jobs
        session.record["wipe_data"] = said
        made = actions.create(session, NEW).account
        simulated.accept(NEW.email)
        actions.suspend(session, made.id)
        actions.reactivate(session, made.id)
        actions.remove(session, made.id)
        assert simulated.directory.extra.get("wiped", []) == ([made.id] * 2 if wiped else [])


def test_a_job_that_never_ends_leaves_the_outcome_unknown():
    with connected_to("dropbox") as (session, simulated):
        simulated.directory.extra["jobs"] = "stuck"
        with pytest.raises(OutcomeUnknownError, match="Look there before trying again"):
            dropbox.create(session, NEW)


def test_who_was_removed_comes_back_within_seven_days():
    with connected_to("dropbox") as (session, simulated):
        account = next(a for a in dropbox.accounts(session) if a.status is Status.ACTIVE and not a.admin)
        gone = actions.remove(session, account.id).account
        with pytest.raises(AlreadyExistsError, match="restore the account"):
            dropbox.create(session, replace(NEW, email=account.emails[0]))
        simulated.advance(6 * 86400)
        assert actions.restore(session, gone).account.status is Status.ACTIVE
        actions.remove(session, account.id)
        simulated.advance(8 * 86400)
        with pytest.raises(InvalidError, match="Invite the person anew"):
            actions.restore(session, gone)


def test_an_invitation_is_mailed_again_and_can_be_withdrawn():
    with connected_to("dropbox") as (session, simulated):
        made = actions.create(session, NEW).account
        actions.invite_again(session, made.id)
        assert simulated.directory.mails == [(NEW.email, "invitation")] * 2
        with pytest.raises(InvalidError, match="remove the invitation instead"):
            actions.suspend(session, made.id)
        assert actions.remove(session, made.id).changed


def test_a_role_is_given_by_name_and_an_unknown_one_refused():
    with connected_to("dropbox") as (session, _):
        assert actions.create(session, replace(NEW, role="User management admin")).account.admin
        with pytest.raises(InvalidError, match="it has Team admin"):
            dropbox.create(session, replace(NEW, email="x@acme-tea-co.example", role="King"))


def test_groups_of_a_new_member_are_joined():
    with connected_to("dropbox") as (session, _):
        group = next(iter(dropbox.groups(session)))
        made = actions.create(session, replace(NEW, groups=(group,))).account
        assert made.groups == (group,)
        assert not actions.join(session, made.id, group).changed
        dropbox.leave(session, made, group)
        assert dropbox.account(session, made.id).groups == ()


def test_no_free_licence_is_said_inside_a_success():
    with connected_to("dropbox", seats=1) as (session, simulated):
        with pytest.raises(NoSeatError, match=NEW.email):
            actions.create(session, NEW)
        assert simulated.requests[-1].status == 200


@pytest.mark.parametrize(
    ("tag", "kind", "says"),
    [
        ("free_team_member_limit_reached", NoSeatError, "Buy one"),
        ("user_on_another_team", InvalidError, "leave that one first"),
        ("duplicate_external_member_id", InvalidError, "duplicate_external_member_id"),
    ],
)
def test_a_member_who_was_not_added_is_told_why(tag, kind, says):
    body = {".tag": "complete", "complete": [{".tag": tag, tag: NEW.email}]}
    error = refusal_of(dropbox.APP, 200, body)
    assert type(error) is kind
    assert says in str(error)


def test_the_last_team_admin_stays():
    with connected_to("dropbox") as (session, _):
        last = next(a for a in dropbox.accounts(session) if a.role == "Team admin")
        for action in (actions.suspend, actions.remove):
            with pytest.raises(LastOwnerError, match="Make somebody else a team admin first"):
                action(session, last.id)


def test_a_missing_scope_is_named():
    with connected_to("dropbox") as (session, simulated):
        simulated.fault("missing-scope=members.delete")
        account = next(a for a in dropbox.accounts(session) if not a.admin)
        with pytest.raises(MissingScopeError, match=r"scope members\.delete"):
            actions.remove(session, account.id)


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (409, {"error": {".tag": "user_not_found"}}, NotFoundError, "user_not_found"),
        (409, {"error": {".tag": "team_license_limit"}}, NoSeatError, "Buy one"),
        (409, {"error": {".tag": "transfer_admin_is_not_admin"}}, InvalidError, "Admin Console"),
        (409, {"error": {".tag": "invalid_cursor"}}, IncompleteReadError, "from the start"),
        (403, {"error": {".tag": "invalid_account_type"}}, PlanTooLowError, "Raise the plan"),
        (403, {"error": {".tag": "team_access_denied"}}, MissingScopeError, "as a team admin"),
        (400, "Error in call to API function: bad JSON", InvalidError, "bad JSON"),
        (409, "no JSON", InvalidError, "Correct it"),
    ],
)
def test_each_refusal_has_its_next_step(status, body, kind, says):
    error = refusal_of(dropbox.APP, status, body, path=REMOVE)
    assert type(error) is kind
    assert says in str(error)


def test_a_list_goes_on_by_cursor_with_reads_that_may_be_repeated():
    with connected_to("dropbox", size=1500) as (session, simulated):
        simulated.fault("5xx=503:once:/continue_v2")
        assert len(list(dropbox.accounts(session))) >= 1500
        assert [row.path for row in simulated.requests][-4:-1] == [
            "/2/team/members/list_v2",
            *["/2/team/members/list/continue_v2"] * 2,
        ]


def test_fewer_members_than_the_team_counts_are_refused():
    with connected_to("dropbox") as (session, simulated):
        simulated.fault("short-page=0.79")
        with pytest.raises(IncompleteReadError, match="Dropbox counts"):
            actions.read_accounts(session)
