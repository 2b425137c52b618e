"""Planview LeanKit (now AgilePlace): the users of one account, by its REST "io" API.

It cannot send invitations by API, only list and revoke those that the connected administrator sent: they are read as
accounts of their own, with an id of their own kind, unless their person is in the list of users already. A new user
gets a password that nobody knows and signs in by single sign-on or by resetting it. Whether a repeated address is
answered with 409 or 422 is not documented; both are understood.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, instant, instants, names, password, status_of, taken
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, and_invited, by_offset, chosen, found, one, with_id
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, api_key

INVITATION = "invitation/"  # begins the id of an open invitation; as the path of its calls does
ROLES = {"administrator": "Administrator", "boardCreator": "Board creator"}


def tenant(session: Session) -> Tenant:
    session.get("/user/me")
    account = session.record["account"]
    return Tenant(account, f"{account}.leankit.com")


def accounts(session: Session) -> Iterator[Account]:
    return and_invited(_users(session), _invitations(session))


def account(session: Session, account_id: str) -> Account | None:
    if account_id.startswith(INVITATION):
        return with_id(_invitations(session), account_id)
    row = one(session, f"/user/{account_id}")
    return _user(row) if row else None


def find(session: Session, email: str) -> Account | None:
    return found(_users(session, search=email), email) or found(_invitations(session), email)


def create(session: Session, new: NewAccount) -> None:
    """role: Administrator or Board creator, none for others. licence: full, reader or focused."""
    user: Row = {
        "emailAddress": new.email,
        "firstName": new.given_name,
        "lastName": new.family_name,
        "password": password(new),
        "enabled": True,
        "administrator": False,
        "boardCreator": False,
    }
    if new.role:
        user[chosen(session, "role", new.role, ROLES)] = True
    if new.licence:
        user["licenseType"] = new.licence
    session.send("POST", "/user", json=user)


def suspend(session: Session, account: Account) -> None:
    session.send("PATCH", f"/user/{account.id}", json={"enabled": False})


def reactivate(session: Session, account: Account) -> None:
    session.send("PATCH", f"/user/{account.id}", json={"enabled": True})


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", f"/user/{account.id}")


def cancel_invitation(session: Session, account: Account) -> None:
    session.send("PATCH", f"/{account.id}", json={"isRevoked": True})


def said(response: httpx.Response) -> str:
    return str(response.json()["message"])


def _users(session: Session, **query: str) -> Iterator[Account]:
    params = {"limit": 500, **query}
    return map(_user, by_offset(session, "/user", params, "users", "offset", "pageMeta/totalRecords"))


def _invitations(session: Session) -> Iterator[Account]:
    params, total = {"limit": 25, "status": "pending"}, "pageMeta/totalRecords"
    for row in by_offset(session, "/invitation", params, "invitations", "offset", total):
        if not (row.get("acceptDate") or row.get("isExpired") or row.get("isRevoked")):
            yield Account(
                id=f"{INVITATION}{row['id']}",
                status=Status.INVITED,
                emails=(row["emailAddress"],),
                created_at=instant(row.get("creationDate")),
                raw=row,
            )


def _user(row: Row) -> Account:
    owner, admin = bool(row.get("accountOwner")), bool(row.get("administrator"))
    return Account(
        id=str(row["id"]),
        status=status_of(deleted=row.get("deleted"), suspended=not row["enabled"]),
        **taken(row, user_name="username", licence="licenseType", external_id="externalUserName"),
        emails=distinct((row.get("emailAddress"),)),
        **names(row.get("firstName"), row.get("lastName"), row.get("fullName")),
        **instants(row, last_activity="lastAccess", created_at="createdOn"),
        role="Owner" if owner else "Administrator" if admin else row.get("licenseType"),
        admin=owner or admin,
        owner=owner,
        raw=row,
    )


APP = App(
    module=__name__,
    slug="planview_leankit",
    name="Planview LeanKit",
    base_url="https://{account}.leankit.com/io",
    sign_in=api_key(
        Field("account", "Account (what stands before .leankit.com)"),
        Field("api_token", "Token of an account administrator (profile > My API Tokens)", secret=True),
        headers=lambda record: {"Authorization": f"Bearer {record['api_token']}"},
    ),
    removal="deletes",
    removal_note="cards keep their history, and lose the assignment",
    rate_limit="points in windows of a minute",
    refusals=(
        Refusal(errors.LastOwnerError, "owner", "Have the account owner named anew in LeanKit first"),
        Refusal(errors.MissingScopeError, "", "Use the token of an account administrator", status=[403]),
    ),
)
