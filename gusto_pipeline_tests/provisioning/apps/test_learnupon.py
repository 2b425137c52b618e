"""What is special to LearnUpon: header paging, invitations beside users, custom data, changes that have no effect."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    InvalidError,
    MalformedAnswerError,
    NoSeatError,
    NotFoundError,
    OutcomeUnknownError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of, wait

LEARNUPON = app("learnupon")
INVITED = replace(NEW, invite=True)


def test_users_and_open_invitations_are_one_list():
    with connected_to("learnupon") as (session, simulated):
        listed = {account.emails[0]: account for account in LEARNUPON.accounts(session)}
        for member in simulated.directory.members.values():
            account = listed[member.email]
            assert account.status is Status(member.state)
            if member.state != "invited":
                assert (account.given_name, account.family_name) == (member.given, member.family)
                assert account.admin == (member.role == "admin" or account.role == "admin")


def test_pages_are_read_while_the_header_says_that_another_follows():
    with connected_to("learnupon", size=1000) as (session, simulated):
        assert len(list(LEARNUPON.accounts(session))) == 1000
        users = [row.query for row in simulated.requests if row.path == "/api/v1/users"]
        assert users[:2] == ["page=1&per_page=500", "page=2&per_page=500"]
        assert len(users) == 2


@pytest.mark.parametrize("held", [{}, {"customDataFieldValues": None}, {"customDataFieldValues": []}])
def test_a_user_without_values_is_read(held):
    class Bare(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if not request.url.path.endswith("/users/7"):
                return super().handle_request(request)
            return httpx.Response(200, json={"user": [{"id": 7, "email": "ivy@acme.example", **held}]}, request=request)

    with connected_to("learnupon", transport=Bare()) as (session, _):
        assert LEARNUPON.values(LEARNUPON.account(session, "7")) == {}


def test_joining_that_had_no_effect_is_no_success():
    class Idle(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.method != "POST" or "memberships" not in request.url.path:
                return super().handle_request(request)
            return httpx.Response(200, json={}, request=request)

    with connected_to("learnupon", transport=Idle()) as (session, _):
        account = next(a for a in LEARNUPON.accounts(session) if a.status is Status.ACTIVE)
        with pytest.raises(MalformedAnswerError, match="does not say that it did"):
            actions.join(session, account.id, next(iter(LEARNUPON.groups(session))))


def test_a_search_that_gives_everybody_finds_nobody():
    with connected_to("learnupon") as (session, _):
        assert len(session.get("/users/search", {"mail": "nobody@example.com"})["user"]) > 10
        assert LEARNUPON.find(session, "nobody@example.com") is None


def test_a_request_without_body_says_nothing_of_a_body():
    with connected_to("learnupon") as (session, _):
        LEARNUPON.tenant(session)
        with pytest.raises(InvalidError, match="JSON"):
            session.send("GET", "/users", headers={"content-type": "application/json"})


@pytest.mark.parametrize(("welcomed", "mails"), [(True, [(NEW.email, "welcome")]), (False, [])])
def test_whether_a_new_learner_is_welcomed_by_mail_is_the_portals_setting(welcomed, mails):
    with connected_to("learnupon") as (session, simulated):
        simulated.directory.extra["welcome_mail"] = welcomed
        before = len(simulated.directory.mails)
        made = actions.create(session, NEW).account
        assert (made.status, made.role) == (Status.ACTIVE, "learner")
        assert simulated.directory.mails[before:] == mails


def test_a_password_is_changed_at_first_unless_nobody_needs_one():
    with connected_to("learnupon") as (session, simulated):
        actions.create(session, NEW)
        actions.create(session, replace(NEW, email="sso@acme-tea-co.example", single_sign_on=True))
        asked = [
            simulated.directory.by_email(e).extra["change_password"] for e in (NEW.email, "sso@acme-tea-co.example")
        ]
        assert asked == [True, False]


def test_an_invitation_is_mailed_once_and_withdrawn():
    with connected_to("learnupon") as (session, simulated):
        made = actions.create(session, INVITED)
        assert (made.changed, made.account.status) == (True, Status.INVITED)
        assert LEARNUPON.account(session, made.account.id).emails == (NEW.email,)
        assert not actions.create(session, INVITED).changed
        assert simulated.directory.mails.count((NEW.email, "invitation")) == 1
        assert actions.remove(session, made.account.id).changed
        assert LEARNUPON.find(session, NEW.email) is None


def test_an_invitation_that_the_portal_does_not_list_is_taken_at_its_word():
    with connected_to("learnupon") as (session, simulated):
        simulated.directory.extra["lists_portal_invites"] = False
        first = actions.create(session, INVITED)
        again = actions.create(session, INVITED)
        assert first.account.status is again.account.status is Status.INVITED
        assert simulated.directory.mails.count((NEW.email, "invitation")) == 1


def test_an_invitation_sent_again_replaces_the_first():
    with connected_to("learnupon") as (session, simulated):
        first = actions.create(session, INVITED).account
        again = actions.invite_again(session, first.id).account
        assert again.id != first.id
        assert [a.id for a in LEARNUPON.accounts(session) if NEW.email in a.emails] == [again.id]
        assert simulated.directory.mails.count((NEW.email, "invitation")) == 2


def test_whoever_is_a_learner_is_not_invited():
    with connected_to("learnupon") as (session, simulated):
        actions.create(session, NEW)
        mails = len(simulated.directory.mails)
        with pytest.raises(AlreadyExistsError):
            LEARNUPON.create(session, INVITED)
        assert len(simulated.directory.mails) == mails


def test_an_invitations_link_is_kept_nowhere():
    with connected_to("learnupon") as (session, _):
        made = actions.create(session, INVITED).account
        assert "accept_url" not in LEARNUPON.account(session, made.id).raw


def test_fields_tell_their_kind_and_choices():
    with connected_to("learnupon") as (session, _):
        fields = {field.name: field for field in LEARNUPON.fields(session)}
        assert fields["Office"].choices == ("San Francisco", "Denver", "Remote")
        assert (fields["Level"].kind, fields["Level"].choices) == ("integer", ("1", "2", "3"))
        assert (fields["Start date"].kind, fields["Start date"].choices) == ("date", None)


def test_name_address_and_fields_are_changed_without_a_mail():
    with connected_to("learnupon") as (session, simulated):
        made = actions.create(session, replace(NEW, fields={"Office": "Denver"})).account
        assert LEARNUPON.values(made) == {"Office": "Denver"}
        mails = len(simulated.directory.mails)
        changes = {"family_name": "Marr", "email": "nora.marr@acme-tea-co.example", "fields": {"Office": "Remote"}}
        after = actions.update(session, made.id, changes)
        assert (after.changed, after.account.family_name, after.account.emails) == (True, "Marr", (changes["email"],))
        assert LEARNUPON.values(after.account) == {"Office": "Remote"}
        assert not actions.update(session, made.id, changes).changed
        assert len(simulated.directory.mails) == mails


def test_a_change_that_has_no_effect_is_noticed():
    with connected_to("learnupon") as (session, simulated):
        made = actions.create(session, NEW).account
        simulated.directory.extra["deaf"] = True
        with pytest.raises(OutcomeUnknownError, match="does not show it"):
            actions.update(session, made.id, {"family_name": "Marr"})


def test_a_portal_that_takes_booleans_as_text_only_disables_too():
    with connected_to("learnupon") as (session, simulated):
        made = actions.create(session, NEW).account
        simulated.directory.extra["text_booleans"] = True
        assert actions.suspend(session, made.id).account.status is Status.SUSPENDED
        assert actions.reactivate(session, made.id).account.status is Status.ACTIVE


def test_removing_disables_and_deletes_nothing():
    with connected_to("learnupon") as (session, simulated):
        made = actions.create(session, NEW).account
        assert actions.remove(session, made.id).account.status is Status.SUSPENDED
        assert "DELETE" not in {row.method for row in simulated.requests}


def test_joining_and_leaving_a_group_twice_is_doing_it_once():
    with connected_to("learnupon") as (session, _):
        made = actions.create(session, NEW).account
        group = next(id for id, title in LEARNUPON.groups(session).items() if title == "New starters")
        assert actions.join(session, made.id, group).changed
        assert not actions.join(session, made.id, group).changed
        assert LEARNUPON.members(session, group) == {made.id}
        assert actions.leave(session, made.id, group).changed
        assert not actions.leave(session, made.id, group).changed
        assert LEARNUPON.members(session, group) == set()


def test_a_broken_connection_while_joining_is_settled_by_reading():
    with connected_to("learnupon") as (session, simulated):
        made = actions.create(session, NEW).account
        simulated.fault("drop-write:once")
        assert actions.join(session, made.id, "41").changed


def test_without_a_free_licence_nobody_is_added():
    with connected_to("learnupon", seats=1) as (session, _), pytest.raises(NoSeatError, match="Buy one"):
        actions.create(session, NEW)


@pytest.mark.parametrize(("headers", "seconds"), [({}, 30), ({"retry-after": "7"}, 7)])
def test_a_rate_limit_is_waited_for_as_asked_else_half_a_minute(headers, seconds):
    assert wait(LEARNUPON, httpx.Response(429, headers=headers), datetime(2026, 6, 15, tzinfo=UTC)) == seconds
    assert wait(LEARNUPON, httpx.Response(200), datetime(2026, 6, 15, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (422, {"message": "duplicate invite"}, AlreadyExistsError, "Nothing is left"),
        (400, {"error": "There was a problem in the JSON"}, InvalidError, "pipeline.yaml"),
        (404, {"response_type": "ERROR", "message": "Invalid user parameters provided"}, NotFoundError, "Invalid user"),
        (200, {"response_type": "ERROR", "message": "Office is not valid"}, InvalidError, "Office"),
        (200, {"id": 1}, type(None), ""),
        (401, {"message": "Invalid API credentials"}, type(None), ""),
    ],
)
def test_each_refusal_says_what_to_do(status, body, kind, words):
    error = refusal_of(LEARNUPON, status, body)
    assert type(error) is kind
    assert words in str(error)
