"""What is special to GitHub: invitations with ids of their own, addresses from GraphQL, two rate limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import github
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    RateLimitedError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import read, refusal_of, wait

WEEK = timedelta(days=7)


def answered(status: int, message: str, path: str = "/orgs/acme-tea/members", **headers: str) -> httpx.Response:
    request = httpx.Request("GET", f"https://api.github.com{path}")
    return httpx.Response(status, json={"message": message}, headers=headers, request=request)


def test_members_are_owners_or_members_with_names_and_addresses_on_the_verified_domain():
    with connected_to("github") as (session, simulated):
        listed = {account.id: account for account in github.accounts(session)}
        owner = next(m for m in simulated.directory.members.values() if m.role == "owner")
        assert (listed[owner.id].role, listed[owner.id].admin, listed[owner.id].owner) == ("Owner", True, False)
        assert listed[owner.id].display_name == owner.name
        assert listed[owner.id].emails == (owner.email,)
        assert listed[owner.id].user_name
        assert all(listed[m.id].bot == m.bot for m in simulated.directory.members.values() if m.state == "active")


def test_one_member_looks_as_in_the_list():
    with connected_to("github") as (session, _):
        for listed in list(github.accounts(session))[:8]:
            assert github.account(session, listed.id) == listed


@pytest.mark.parametrize(("name", "shown"), [("Ivy Irwin", "Ivy Irwin"), (None, "ivy-tea")])
def test_who_gives_no_name_is_shown_by_login(name, shown):
    person = {"name": name, "email": "ivy@acme.example"}
    account = github._member({"id": 7, "login": "ivy-tea", "type": "User"}, person, set())
    assert (account.display_name, account.user_name, account.emails) == (shown, "ivy-tea", ("ivy@acme.example",))


def test_the_only_owner_is_marked():
    with connected_to("github") as (session, simulated):
        for member in simulated.directory.members.values():
            member.role = "owner" if member.role == "owner" else "member"
        assert sum(account.owner for account in github.accounts(session)) == 1


def test_a_server_without_graphql_leaves_members_without_addresses():
    class RestOnly(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/graphql":
                return httpx.Response(404, json={"message": "Not Found"}, request=request)
            return super().handle_request(request)

    with connected_to("github", transport=RestOnly()) as (session, _):
        members = [a for a in actions.read_accounts(session).accounts if a.status is Status.ACTIVE]
        assert members
        assert all(member.user_name and not member.emails for member in members[:3])
        assert github.account(session, members[0].id)


def test_a_missing_graphql_scope_is_named():
    said = "Your token has not been granted the required scopes. The 'email' field requires ['read:user']."
    request = httpx.Request("POST", "https://api.github.com/graphql")
    body = {"errors": [{"type": "INSUFFICIENT_SCOPES", "message": said}]}
    error = read(github.APP, httpx.Response(200, json=body, request=request))
    assert isinstance(error, MissingScopeError)
    assert "read:user" in str(error)
    assert "gusto-pipeline connect github" in str(error)


def test_what_is_wrong_with_a_value_is_said_by_field_where_there_is_no_message():
    wrong = {"resource": "OrganizationInvitation", "field": "role", "code": "invalid"}
    error = refusal_of(github.APP, 422, {"message": "Validation Failed", "errors": [wrong]})
    assert type(error) is InvalidError
    assert "Validation Failed; role (invalid). " in str(error)


def test_an_invitation_is_an_account_of_its_own_that_lapses_after_a_week():
    with connected_to("github") as (session, simulated):
        made = actions.create(session, NEW).account
        assert made.id.startswith("invitation:")
        assert made.user_name is None
        assert made.invited_until == made.created_at + WEEK
        simulated.advance(WEEK.total_seconds() + 60)
        lapsed = github.APP.find(session, NEW.email)
        assert (lapsed.id, lapsed.status, lapsed.invited_until) == (made.id, Status.INVITED, made.invited_until)
        assert lapsed.raw["failed_reason"]


@pytest.mark.parametrize("days", [1, 8])
def test_an_open_or_lapsed_invitation_is_sent_again_as_a_new_one(days):
    with connected_to("github") as (session, simulated):
        made = actions.create(session, replace(NEW, role="admin")).account
        simulated.advance(days * 86400)
        again = actions.invite_again(session, made.id).account
        assert again.id != made.id
        assert (again.role, again.invited_until > simulated.directory.clock.now()) == ("Owner", True)
        assert simulated.directory.mails.count((NEW.email, "invitation")) == 2
        assert [a.id for a in github.accounts(session) if NEW.email in a.emails] == [again.id]


def test_a_failed_invitation_of_someone_invited_again_by_hand_is_not_listed():
    with connected_to("github") as (session, simulated):
        actions.create(session, NEW)
        simulated.advance(8 * 86400)
        github.create(session, NEW)
        assert len([a for a in github.accounts(session) if NEW.email in a.emails]) == 1


def test_removing_an_invited_person_cancels_the_invitation():
    with connected_to("github") as (session, simulated):
        made = actions.create(session, NEW).account
        assert actions.remove(session, made.id).account is None
        path = f"/orgs/acme-tea/invitations/{made.id.removeprefix('invitation:')}"
        assert [row.path for row in simulated.requests if row.method == "DELETE"] == [path]


def test_an_invitation_names_teams_by_number():
    with connected_to("github") as (session, simulated):
        slug = next(iter(simulated.directory.groups))
        actions.create(session, replace(NEW, groups=(slug,)))
        assert simulated.directory.by_email(NEW.email).groups == [slug]


def test_who_has_not_accepted_cannot_join_a_team():
    with connected_to("github") as (session, _):
        made = actions.create(session, NEW).account
        with pytest.raises(InvalidError, match="no login until it is accepted"):
            github.join(session, made, "retail")


def test_an_address_that_is_in_already_is_said():
    with connected_to("github") as (session, _):
        github.create(session, NEW)
        with pytest.raises(AlreadyExistsError, match="already invited to this organization"):
            github.create(session, NEW)


def test_no_free_seat_is_said():
    with connected_to("github", seats=1) as (session, _), pytest.raises(NoSeatError, match="purchase at least one"):
        actions.create(session, NEW)


def test_the_last_owner_stays():
    with connected_to("github") as (session, simulated):
        for member in simulated.directory.members.values():
            member.role = "owner" if member.role == "owner" else "member"
        owner = next(account for account in github.accounts(session) if account.owner)
        with pytest.raises(LastOwnerError, match="Make somebody else an owner"):
            actions.remove(session, owner.id)


def test_single_sign_on_and_missing_rights_have_different_next_steps():
    barred = read(github.APP, answered(403, "Resource protected", **{"x-github-sso": "required; url=https://secret"}))
    assert "single sign-on" in str(barred)
    assert "secret" not in str(barred)
    low = read(github.APP, answered(403, "Must have admin rights", **{"x-accepted-oauth-scopes": "admin:org"}))
    assert isinstance(low, MissingScopeError)
    assert "admin:org" in str(low)
    assert "as an owner" in str(low)


def test_the_hourly_limit_is_waited_out_until_its_reset():
    with connected_to("github") as (session, simulated):
        whole = actions.read_accounts(session).accounts
        start = simulated.directory.clock.now()
        simulated.directory.extra["rate"].update(left=2, reset=int(start.timestamp()) + 120)
        assert actions.read_accounts(session).accounts == whole
        assert 119 <= (simulated.directory.clock.now() - start).total_seconds() < 125


def test_a_secondary_limit_that_names_no_time_is_waited_for_a_minute():
    with connected_to("github") as (session, simulated):
        now = simulated.directory.clock.now()
        limited = answered(403, "You have exceeded a secondary rate limit. Please wait a few minutes.")
        assert wait(github.APP, limited, now) == 60
        assert wait(github.APP, answered(403, "Must have admin rights"), now) is None
        simulated.fault("429=7200")
        with pytest.raises(RateLimitedError):
            github.tenant(session)


def test_fewer_members_than_github_counts_are_refused():
    with connected_to("github") as (session, simulated):
        simulated.fault("short-page=0.79")
        with pytest.raises(IncompleteReadError, match="GitHub counts"):
            actions.read_accounts(session)
