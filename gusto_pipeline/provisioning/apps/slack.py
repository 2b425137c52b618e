"""Slack: the members of one workspace or organisation, by its SCIM API v2; roles, bots and invitations by its Web API.

The token is a person's (`xoxp-`) whose scopes are admin, users:read and users:read.email, of an app that an owner has
installed. SCIM never deletes: removing and suspending are the same, and end all sessions. Slack changes user names to
its liking; its refusals are read in SCIM's two forms. Groups are those of an identity provider. On Enterprise Grid the
Web API may want a workspace that SCIM does not, and then says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Tenant
from gusto_pipeline.provisioning.app import App, distinct, filled, instant, names, status_of, taken
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, by_cursor, by_offset, found
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, api_key

WEB = "https://slack.com/api"
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ROLES = (
    ("is_primary_owner", "Primary owner"),
    ("is_owner", "Owner"),
    ("is_admin", "Admin"),
    ("is_ultra_restricted", "Single-channel guest"),
    ("is_restricted", "Multi-channel guest"),
    ("is_bot", "Bot"),
)
# The Web API's words for what is wrong; whatever is not here is a wrong value.
SIGN_IN = "^(invalid_auth|not_authed|token_revoked|token_expired|account_inactive)"
RIGHTS = "^(missing_scope|access_denied|no_permission|not_allowed_token_type|team_access_not_granted)"
FAULTS = "^(internal_error|fatal_error|request_timeout|service_unavailable)"
PLAN = "^(paid_only|paid_teams_only|feature_not_enabled|not_an_enterprise|upgrade_required)"
WEB_API = range(200, 500)  # statuses that it may refuse with
OWNER = "Connect with an owner's token that has the scopes admin, users:read and users:read.email"


def tenant(session: Session) -> Tenant:
    response = session.send("GET", f"{WEB}/auth.test")
    answer = session.json(response)
    granted = response.headers.get("x-oauth-scopes", "").replace(",", " ").split()
    return Tenant(answer.get("enterprise_id") or answer["team_id"], answer["team"], tuple(granted))


def accounts(session: Session) -> Iterator[Account]:
    """SCIM's members, with what the Web API adds; and whom only that has: bots, and guests of no organisation."""
    web = {row["id"]: row for row in _web_members(session)}
    for row in _resources(session, "/Users"):
        yield _account(row, web.pop(row["id"], {}))
    for row in web.values():
        yield _account({}, row)


def account(session: Session, account_id: str) -> Account | None:
    scim, web = {}, {}
    with suppress(errors.NotFoundError):
        scim = session.get(f"/Users/{account_id}")
    with suppress(errors.NotFoundError):
        web = session.get(f"{WEB}/users.info", {"user": account_id})["user"]
    return _account(scim, web) if scim or web else None


def find(session: Session, email: str) -> Account | None:
    """Slack looks up by address whoever is active; for the others the list has to be gone through."""
    try:
        return account(session, session.get(f"{WEB}/users.lookupByEmail", {"email": email})["user"]["id"])
    except errors.NotFoundError:
        there = found((_account(row, {}) for row in _resources(session, "/Users")), email)
        return account(session, there.id) if there else None


def create(session: Session, new: NewAccount) -> None:
    """The member is active at once, and gets a mail."""
    body = {
        "schemas": [CORE, ENTERPRISE],
        "userName": re.sub(r"[^a-z0-9._-]", "", new.email.partition("@")[0].lower())[:21],
        "name": {"givenName": new.given_name, "familyName": new.family_name},
        "displayName": new.display_name,
        "emails": [{"value": new.email, "type": "work", "primary": True}],
        "active": True,
        "title": new.title,
        ENTERPRISE: filled({"employeeNumber": new.employee_number, "department": new.department}),
    }
    session.send("POST", "/Users", json=filled(body))


def suspend(session: Session, account: Account) -> None:
    _patch(session, f"/Users/{account.id}", {"op": "replace", "path": "active", "value": False})


def reactivate(session: Session, account: Account) -> None:
    _patch(session, f"/Users/{account.id}", {"op": "replace", "path": "active", "value": True})


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", f"/Users/{account.id}")


def groups(session: Session) -> dict[str, str]:
    return {row["id"]: row["displayName"] for row in _resources(session, "/Groups")}


def join(session: Session, account: Account, group: str) -> None:
    _patch(session, f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": account.id}]})


def leave(session: Session, account: Account, group: str) -> None:
    _patch(session, f"/Groups/{group}", {"op": "remove", "path": f'members[value eq "{account.id}"]'})


def said(response: httpx.Response) -> str:
    """The Web API says it with `ok`, whatever the status, SCIM in either of two forms."""
    answer = response.json()
    if not response.request.url.path.startswith("/api/"):
        return "" if response.is_success else str(answer.get("detail") or answer["Errors"]["description"])
    if answer.get("ok") is not False:
        return ""
    needed = answer.get("needed")
    return f"{answer.get('error', 'unknown_error')}{f', needed is {needed}' if needed else ''}"


def _patch(session: Session, path: str, operation: Row) -> None:
    session.send("PATCH", path, json={"schemas": [PATCH], "Operations": [operation]})


def _resources(session: Session, path: str) -> Iterator[Row]:
    """All pages (RFC 7644 section 3.4.2.4), whole by Slack's own count."""
    return by_offset(session, path, {"count": 1000}, "Resources", "startIndex", "totalResults", first=1)


def _web_members(session: Session) -> Iterator[Row]:
    """Without Slack's own bot, and without people of other organisations who share a channel."""
    at = "response_metadata/next_cursor"
    for row in by_cursor(session, f"{WEB}/users.list", {"limit": 200}, "members", "cursor", at):
        if row["id"] != "USLACKBOT" and not row.get("is_stranger"):
            yield row


def _account(scim: Row, web: Row) -> Account:
    """From SCIM's record and the Web API's, of which one may be empty."""
    name, profile, work = scim.get("name") or {}, web.get("profile") or {}, scim.get(ENTERPRISE) or {}
    ended = scim.get("active") is False or web.get("deleted") is True
    emails = sorted(scim.get("emails") or (), key=lambda each: not each.get("primary"))
    phones = [each.get("value") for each in scim.get("phoneNumbers") or ()]
    return Account(
        id=scim.get("id") or web["id"],
        status=status_of(suspended=ended, invited=web.get("is_invited_user")),
        user_name=scim.get("userName") or web.get("name"),
        emails=distinct([*(each.get("value") for each in emails), profile.get("email")]),
        **names(
            name.get("givenName") or profile.get("first_name"),
            name.get("familyName") or profile.get("last_name"),
            scim.get("displayName") or profile.get("real_name") or web.get("real_name"),
        ),
        created_at=instant((scim.get("meta") or {}).get("created")),
        role=next((role for flag, role in ROLES if web.get(flag)), "Member"),
        admin=bool(web.get("is_admin") or web.get("is_owner")),
        owner=bool(web.get("is_owner") or web.get("is_primary_owner")),
        bot=bool(web.get("is_bot")),
        groups=tuple(each.get("display") or each["value"] for each in scim.get("groups") or ()),
        external_id=scim.get("externalId"),
        **taken(work, employee_number="employeeNumber", department="department"),
        phone=next(filter(None, (*phones, profile.get("phone"))), None),
        title=scim.get("title") or profile.get("title") or None,
        raw={"scim": scim, "web": web},
    )


APP = App(
    module=__name__,
    slug="slack",
    name="Slack",
    base_url="https://api.slack.com/scim/v2",
    hosts=("https://slack.com",),
    sign_in=api_key(
        Field("token", "User OAuth token (xoxp-…)", secret=True),
        headers=lambda record: {"Authorization": f"Bearer {record['token']}"},
    ),
    plan="Business+ or Enterprise",
    removal="deactivates",
    removal_note="messages and files stay, and so does the deactivated member, who can be reactivated",
    rate_limit="SCIM: 1,000 reads and 180 changes of members a minute",
    refusals=(
        Refusal(errors.RateLimitedError, "^ratelimited", status=[200], call="/api/", seconds=30),
        Refusal(errors.SignInError, SIGN_IN, "Make a new token", status=WEB_API, call="/api/"),
        Refusal(errors.MissingScopeError, RIGHTS, OWNER, status=WEB_API, call="/api/"),
        Refusal(errors.PlanTooLowError, PLAN, status=WEB_API, call="/api/"),
        Refusal(errors.NotFoundError, "^users?_not_(found|visible)", status=WEB_API, call="/api/"),
        Refusal(errors.ServerError, FAULTS, "Nothing to do here but to try later", status=[200], call="/api/"),
        Refusal(errors.InvalidError, status=[200], call="/api/"),
        Refusal(errors.AlreadyExistsError, "", "Somebody has this address or user name already: look", status=[409]),
        Refusal(errors.LastOwnerError, "owner", "Transfer the ownership in Slack first", status=[402, 403]),
        Refusal(errors.PlanTooLowError, "plan|paid", "SCIM needs the Business+ or Enterprise plan", status=[403]),
        Refusal(errors.MissingScopeError, "", OWNER, status=[403]),
    ),
)
