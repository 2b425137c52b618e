"""Asana: the memberships of one workspace, by its REST API 1.0 (developers.asana.com).

Only memberships tell roles and who is still in; only full permission (scope `default`) may add and remove people. An
invited person looks like an active one. Whoever is removed leaves their work to the person who connected us.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, instant, one_name
from gusto_pipeline.provisioning.reading import Row, by_cursor, found, one, with_id
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Consent, Field, oauth

FIELDS = "user,user.name,user.email,is_active,is_admin,is_guest,is_view_only,created_at"


def tenant(session: Session) -> Tenant:
    workspace = session.get(_workspace(session))["data"]
    return Tenant(workspace["gid"], workspace["name"])


def accounts(session: Session) -> Iterator[Account]:
    return map(_account, _rows(session, "workspace_memberships", opt_fields=FIELDS))


def account(session: Session, account_id: str) -> Account | None:
    return with_id(_memberships(session, account_id), account_id)


def find(session: Session, email: str) -> Account | None:
    return found(_memberships(session, email), email)


def create(session: Session, new: NewAccount) -> None:
    """Invites by address; a name or role cannot be given. Outside the verified domains people become guests."""
    _post(session, f"{_workspace(session)}/addUser", new.email)


def remove(session: Session, account: Account) -> None:
    _post(session, f"{_workspace(session)}/removeUser", account.id)


def groups(session: Session) -> dict[str, str]:
    """Teams."""
    return {team["gid"]: team["name"] for team in _rows(session, "teams")}


def join(session: Session, account: Account, group: str) -> None:
    _post(session, f"/teams/{group}/addUser", account.id)


def leave(session: Session, account: Account, group: str) -> None:
    _post(session, f"/teams/{group}/removeUser", account.id)


def said(response: httpx.Response) -> str:
    return "; ".join(error["message"] for error in response.json()["errors"])


def _workspace(session: Session) -> str:
    return f"/workspaces/{session.record['workspace']}"


def _rows(session: Session, what: str, **query: str) -> Iterator[Row]:
    return by_cursor(
        session, f"{_workspace(session)}/{what}", {"limit": 100, **query}, "data", "offset", "next_page/offset"
    )


def _memberships(session: Session, user: str) -> list[Account]:
    """Those of one person, by gid or address; an unknown one is refused with 404."""
    query = {"user": user, "limit": 100, "opt_fields": FIELDS}
    page = one(session, f"{_workspace(session)}/workspace_memberships", query)
    return [_account(row) for row in page["data"]] if page else []


def _post(session: Session, path: str, user: str) -> None:
    session.send("POST", path, json={"data": {"user": user}})


def _account(row: Row) -> Account:
    user = row["user"]
    roles = (("is_admin", "Admin"), ("is_guest", "Guest"), ("is_view_only", "View only"))
    return Account(
        id=user["gid"],
        status=Status.ACTIVE if row["is_active"] else Status.DELETED,
        emails=distinct((user.get("email"),)),
        **one_name(user.get("name")),
        role=next((role for flag, role in roles if row.get(flag)), "Member"),
        admin=bool(row.get("is_admin")),
        created_at=instant(row.get("created_at")),
        raw=row,
    )


APP = App(
    module=__name__,
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
)
