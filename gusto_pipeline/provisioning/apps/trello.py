"""Trello: the members of one Workspace, by its REST API v1. Their Atlassian accounts are not touched.

Trello hides addresses. An Enterprise sees those of the people it manages (and when they were last active): its id makes
accounts much easier to tell apart. Whose address is hidden is found by Trello's own search, when it names exactly one
member. How the Enterprise's list hands out its cursor is not documented; both an envelope and a bare list are read.
When somebody joined is read from the membership's id, whose first half is a time, as in all of Trello's ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Tenant
from gusto_pipeline.provisioning.app import App, distinct, instant, one_name, status_of
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, found
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, Record, api_key

PAID = (
    "Deactivating needs a paid Workspace, and people who are not managed in Atlassian's admin hub. Remove the member, "
    "or do it there"
)


def tenant(session: Session) -> Tenant:
    workspace = session.get(_path(session))
    return Tenant(workspace["id"], workspace.get("displayName") or workspace.get("name") or workspace["id"])


def accounts(session: Session) -> Iterator[Account]:
    managed = _managed(session)
    for row in _memberships(session):
        yield _account(row, managed.get(row["idMember"]))


def account(session: Session, account_id: str) -> Account | None:
    for row in _memberships(session):
        if row["idMember"] == account_id:
            return _account(row, _managed(session, row["member"].get("fullName")).get(account_id))
    return None


def find(session: Session, email: str) -> Account | None:
    managed = _managed(session, email)
    known = [_account(row, managed.get(row["idMember"])) for row in _memberships(session)]
    if there := found(known, email):
        return there
    here = {"idOrganization": tenant(session).id, "onlyOrgMembers": "true"}
    ids = [row["id"] for row in session.get("/search/members/", {"query": email, **here})]
    hidden = [account for account in known if [account.id] == ids and not account.emails]
    return replace(hidden[0], emails=(email,)) if hidden else None


def create(session: Session, new: NewAccount) -> None:
    """Invites. role: normal (the default) or admin."""
    invited = {"email": new.email, "fullName": new.display_name, "type": new.role or "normal"}
    session.send("PUT", f"{_path(session)}/members", params=invited)


def suspend(session: Session, account: Account) -> None:
    session.send("PUT", f"{_path(session)}/members/{account.id}/deactivated", params={"value": "true"})


def reactivate(session: Session, account: Account) -> None:
    session.send("PUT", f"{_path(session)}/members/{account.id}/deactivated", params={"value": "false"})


def remove(session: Session, account: Account) -> None:
    """From the Workspace's boards too: without `all`, they would go on seeing those they are on."""
    session.send("DELETE", f"{_path(session)}/members/{account.id}/all")


def said(response: httpx.Response) -> str:
    """Mostly plain text, sometimes JSON with a message."""
    try:
        return str(response.json()["message"])
    except (ValueError, LookupError, TypeError):
        return response.text[:200]


def _path(session: Session) -> str:
    return f"/organizations/{session.record['workspace']}"


def _memberships(session: Session) -> list[Row]:
    rows: list[Row] = session.get(f"{_path(session)}/memberships", {"filter": "all", "member": "true"})
    return rows


def _managed(session: Session, search: str | None = None) -> dict[str, Row]:
    """What the Enterprise knows, by member; nothing without one. search: how a name or address begins."""
    enterprise, known, cursor = session.record.get("enterprise"), dict[str, Row](), None
    while enterprise:
        query = {"search": search, "cursor": cursor}
        answer = session.get(f"/enterprises/{enterprise}/members/query", query)
        rows, cursor = (answer, None) if isinstance(answer, list) else (answer["members"], answer.get("cursor"))
        known |= {row["member"]["id"]: row for row in rows}
        if not cursor:
            break
    return known


def _account(row: Row, managed: Row | None) -> Account:
    member, more = row.get("member") or {}, managed or {}
    known = more.get("member") or {}
    invited = row.get("unconfirmed") or "ghost" in (row.get("memberType"), member.get("memberType"))
    return Account(
        id=row["idMember"],
        status=status_of(suspended=row.get("deactivated"), invited=invited),
        user_name=member.get("username"),
        emails=distinct((known.get("email") or member.get("email"),)),
        **one_name(member.get("fullName") or known.get("fullname")),
        last_activity=instant(known.get("dateLastImpression") or row.get("lastActive")),
        created_at=instant(int(row["id"][:8], 16)),
        role=row.get("memberType"),
        admin=row.get("memberType") == "admin",
        licence="Enterprise" if more.get("licensed") else None,
        raw=row,
    )


def _headers(record: Record) -> dict[str, str]:
    """Key and token could be in the query too, where logs would keep them."""
    return {"Authorization": f'OAuth oauth_consumer_key="{record["api_key"]}", oauth_token="{record["api_token"]}"'}


APP = App(
    module=__name__,
    slug="trello",
    name="Trello",
    base_url="https://api.trello.com/1",
    sign_in=api_key(
        Field("api_key", "API key of a Power-Up (trello.com/power-ups/admin)", secret=True),
        Field("api_token", "Token made with it by a Workspace admin (read, write)", secret=True),
        Field("workspace", "Workspace id or short name (after /w/ in its address)"),
        Field("enterprise", "Enterprise id, where there is one: it shows addresses", default=""),
        headers=_headers,
    ),
    plan="a paid Workspace, to suspend",
    removal="takes out",
    removal_note="out of the Workspace and its boards; their Atlassian account and their work stay",
    rate_limit="100 requests in 10 seconds",
    invites=True,
    refuses_with=[400, 401, 403],
    refusals=(
        # It counts in windows of 10 seconds and says no time.
        Refusal(errors.RateLimitedError, status=[429], seconds=10),
        Refusal(errors.SignInError, "invalid (key|token|app token)|expired token", "Make a token that does not expire"),
        Refusal(errors.LastOwnerError, "at least one admin|last admin", "Make somebody else admin of the Workspace"),
        Refusal(errors.NoSeatError, "limit|license|seat"),
        Refusal(errors.PlanTooLowError, "", PAID, status=[401, 403], call="/deactivated$"),
        Refusal(errors.MissingScopeError, "", "Make a token with read and write as an admin", status=[401, 403]),
    ),
)
