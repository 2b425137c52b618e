"""What is special to Box: fields on request, content that keeps a user from deletion, single-use refresh tokens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import box
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    OutcomeUnknownError,
    OwnsContentError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import read


def answered(status: int, code: str, message: str, method: str = "POST", path: str = "/2.0/users") -> httpx.Response:
    body = {"type": "error", "status": status, "code": code, "message": message}
    return httpx.Response(status, json=body, request=httpx.Request(method, f"https://api.box.com{path}"))


def test_all_fields_are_asked_for_and_kept():
    with connected_to("box") as (session, simulated):
        member = simulated.directory.add(
            "ivy@acme-tea-co.example", "Ivy", "Irwin", role="admin", title="Taster", phone="+1 555 0100",
            created_at=datetime(2024, 5, 6, 7, tzinfo=UTC),
        )  # fmt: skip
        member.extra["notification_email"] = {"email": "ivy@example.com", "is_confirmed": True}
        account = box.account(session, member.id)
        assert (account.emails, account.role) == (("ivy@acme-tea-co.example", "ivy@example.com"), "Co-admin")
        assert (account.given_name, account.family_name, account.display_name) == ("Ivy", "Irwin", "Ivy Irwin")
        assert (account.title, account.phone) == ("Taster", "+1 555 0100")
        assert account.created_at == datetime(2024, 5, 6, 7, tzinfo=UTC)
        assert (account.admin, account.owner, account.bot) == (True, False, False)


def test_an_address_that_nobody_confirmed_is_not_taken():
    row = {"id": "1", "status": "active", "notification_email": {"email": "x@example.com", "is_confirmed": False}}
    assert box._account(row).emails == ()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("active", Status.ACTIVE),
        ("inactive", Status.SUSPENDED),
        ("cannot_delete_edit", Status.ACTIVE),
        ("cannot_delete_edit_upload", Status.ACTIVE),
    ],
)
def test_each_of_boxs_statuses_is_listed_as(said, meant):
    assert box._account({"id": "1", "status": said}).status is meant


def test_app_users_are_bots_and_the_primary_admin_is_an_owner():
    with connected_to("box") as (session, simulated):
        listed = {account.id: account for account in box.accounts(session)}
        for member in simulated.directory.members.values():
            assert (listed[member.id].bot, listed[member.id].owner) == (member.bot, member.role == "owner")


def test_a_marker_is_followed_beyond_where_offsets_end():
    with connected_to("box", size=10_500) as (session, _):
        assert len(actions.read_accounts(session).accounts) >= 10_500


def test_someone_who_owns_content_is_deleted_only_after_it_was_handed_over():
    with connected_to("box") as (session, simulated):
        leaver = next(m for m in simulated.directory.members.values() if m.role == "member")
        leaver.extra["space_used"] = 5
        with pytest.raises(OwnsContentError, match="Hand the content over first"):
            actions.remove(session, leaver.id)
        assert leaver.id in simulated.directory.members

        heir = next(account for account in box.accounts(session) if account.owner)
        before = simulated.directory.members[heir.id].extra["space_used"]
        box.hand_over(session, box.account(session, leaver.id), heir)
        assert simulated.directory.members[heir.id].extra["space_used"] == before + 5
        assert actions.remove(session, leaver.id).changed


def test_a_move_that_goes_on_in_the_background_is_not_taken_for_done():
    with connected_to("box") as (session, simulated):
        simulated.directory.extra["move_seconds"] = 601
        account, heir = list(box.accounts(session))[:2]
        with pytest.raises(OutcomeUnknownError, match="still moving the content"):
            box.hand_over(session, account, heir)


def test_the_primary_admin_stays():
    with connected_to("box") as (session, simulated):
        owner = next(account for account in box.accounts(session) if account.owner)
        with pytest.raises(LastOwnerError, match="primary admin"):
            actions.remove(session, owner.id)
        assert owner.id in simulated.directory.members


def test_who_is_suspended_is_signed_out():
    with connected_to("box") as (session, simulated):
        member = next(m for m in simulated.directory.members.values() if m.role == "member" and m.state == "active")
        actions.suspend(session, member.id)
        assert simulated.directory.extra["signed_out"] == [member.id]


def test_groups_of_a_new_account_are_joined_and_left_again():
    with connected_to("box") as (session, simulated):
        group = next(iter(box.groups(session)))
        made = actions.create(session, replace(NEW, groups=(group,))).account
        assert list(simulated.directory.extra["memberships"].values()) == [(made.id, group)]
        assert not actions.join(session, made.id, group).changed
        box.leave(session, made, group)
        assert not simulated.directory.extra["memberships"]


def test_no_free_licence_is_said():
    with connected_to("box", seats=1) as (session, _), pytest.raises(NoSeatError, match="no user licenses left"):
        actions.create(session, NEW)


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (answered(403, "insufficient_scope", "Low"), MissingScopeError, "admin or co-admin who may manage users"),
        (answered(409, "user_login_already_used", "Taken"), AlreadyExistsError, "invite it in the Admin Console"),
        (answered(400, "terms_of_service_required", "Terms"), InvalidError, "terms_of_service_required"),
        (
            answered(400, "bad_request", "Has items", "DELETE", "/2.0/users/1"),
            OwnsContentError,
            "Has items (bad_request). Hand the content over",
        ),
        (answered(403, "forbidden", "No", "DELETE", "/2.0/users/1"), MissingScopeError, "gusto-pipeline connect box"),
    ],
)
def test_each_refusal_has_its_next_step(answer, kind, says):
    error = read(box.APP, answer)
    assert type(error) is kind
    assert says in str(error)


def test_a_refresh_token_that_was_used_is_replaced_before_the_next_request():
    with connected_to("box") as (session, simulated):
        first = session.record["refresh_token"]
        box.tenant(session)
        assert not simulated.directory.refreshes(first, once=False)
        simulated.advance(3700)
        assert box.tenant(session).id == "11446498"
