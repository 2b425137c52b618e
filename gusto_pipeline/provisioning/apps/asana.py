"""Asana: the memberships of one workspace, by its REST API 1.0 (developers.asana.com).

Only memberships tell roles and who is still in; only full permission (scope `default`) may add and remove people. An
invited person looks like an active one. Whoever is removed leaves their work to the person who connected us.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, found, instant, split_name
from gusto_pipeline.provisioning.errors import AppError, MissingScopeError, NoSeatError, NotFoundError, PlanTooLowError
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Consent, Field, oauth

FIELDS = "user,user.name,user.email,is_active,is_admin,is_guest,is_view_only,created_at"


def tenant(session: Session) -> Tenant:
    workspace = session.get(f"/workspaces/{session.record['workspace']}")["data"]
    return Tenant(workspace["gid"], workspace["name"])


def accounts(session: Session) -> Iterator[Account]:
    path = f"/workspaces/{session.record['workspace']}/workspace_memberships"
    offset = None
    while True:
        page = session.get(path, {"limit": 100, "offset": offset, "opt_fields": FIELDS})
        yield from map(_account, page["data"])
        if not page.get("next_page"):
            return
        offset = page["next_page"]["offset"]


def account(session: Session, account_id: str) -> Account | None:
    return next((a for a in _memberships(session, account_id) if a.id == account_id), None)


def find(session: Session, email: str) -> Account | None:
    return found(_memberships(session, email), email)


def create(session: Session, new: NewAccount) -> None:
    """Invites by address; a name or role cannot be given. Outside the verified domains people become guests."""
    _post(session, "addUser", new.email)


def remove(session: Session, account: Account) -> None:
    _post(session, "removeUser", account.id)


def groups(session: Session) -> dict[str, str]:
    """Teams."""
    path, offset = f"/workspaces/{session.record['workspace']}/teams", None
    teams: dict[str, str] = {}
    while True:
        page = session.get(path, {"limit": 100, "offset": offset})
        teams |= {team["gid"]: team["name"] for team in page["data"]}
        if not page.get("next_page"):
            return teams
        offset = page["next_page"]["offset"]


def join(session: Session, account: Account, group: str) -> None:
    session.send("POST", f"/teams/{group}/addUser", json={"data": {"user": account.id}})


def leave(session: Session, account: Account, group: str) -> None:
    session.send("POST", f"/teams/{group}/removeUser", json={"data": {"user": account.id}})


def refusal(response: httpx.Response) -> AppError | None:
    if response.is_success or response.status_code not in (402, 403):
        return None
    said = _said(response)
    if response.status_code == 402:
        return PlanTooLowError(f"Asana's plan does not include this: {said}. Raise the plan, or do it by hand")
    if "seat" in said.lower() or "license" in said.lower():
        return NoSeatError(f"Asana has no free seat: {said}. Buy one, or remove somebody")
    return MissingScopeError(f"Asana: {said}. Connect as a workspace administrator, run: gusto-pipeline connect asana")


def _memberships(session: Session, user: str) -> list[Account]:
    """Those of one person, by gid or address; an unknown one is refused with 404, after the workspace was proven."""
    path = f"/workspaces/{session.record['workspace']}/workspace_memberships"
    try:
        page = session.get(path, {"user": user, "limit": 100, "opt_fields": FIELDS})
    except NotFoundError:
        tenant(session)
        return []
    return [_account(row) for row in page["data"]]


def _post(session: Session, action: str, user: str) -> None:
    session.send("POST", f"/workspaces/{session.record['workspace']}/{action}", json={"data": {"user": user}})


def _said(response: httpx.Response) -> str:
    try:
        return "; ".join(error["message"] for error in response.json()["errors"])
    except (ValueError, LookupError, TypeError):
        return "no reason given"


def _account(row: dict[str, Any]) -> Account:
    user = row["user"]
    given, family = split_name(user.get("name"))
    roles = (("is_admin", "Admin"), ("is_guest", "Guest"), ("is_view_only", "View only"))
    return Account(
        id=user["gid"],
        status=Status.ACTIVE if row["is_active"] else Status.DELETED,
        emails=(user["email"],) if user.get("email") else (),
        given_name=given,
        family_name=family,
        display_name=user.get("name"),
        role=next((role for flag, role in roles if row.get(flag)), "Member"),
        admin=bool(row.get("is_admin")),
        created_at=instant(row.get("created_at")),
        raw=row,
    )


APP = App(
    slug="asana",
    name="Asana",
    base_url="https://app.asana.com/api/1.0",
    sign_in=oauth(
        Consent(url="https://app.asana.com/-/oauth_authorize", scopes=("default",)),
        "https://app.asana.com/-/oauth_token",
        Field("workspace", "Workspace gid (its number in Asana's address)"),
    ),
    removal="takes out",
    removal_note="tasks go to whoever connected us; what only they could see stays out of reach",
    rate_limit="150 requests a minute, 1,500 on paid plans",
    invites=True,
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    remove=remove,
    groups=groups,
    join=join,
    leave=leave,
    refusal=refusal,
)
