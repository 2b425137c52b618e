"""Planview LeanKit (now AgilePlace): the users of one account, by its REST "io" API.

It cannot send invitations by API, only list and revoke those that the connected administrator sent: they are read as
accounts of their own, with an id of their own kind, unless their person is in the list of users already. A new user
gets a password that nobody knows and signs in by single sign-on or by resetting it. Whether a repeated address is
answered with 409 or 422 is not documented; both are understood.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, counted, found, instant
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
)
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, api_key

INVITATION = "invitation/"  # begins the id of an open invitation; as the path of its calls does
ROLES = {"administrator": "administrator", "board creator": "boardCreator"}


def tenant(session: Session) -> Tenant:
    session.get("/user/me")
    account = session.record["account"]
    return Tenant(account, f"{account}.leankit.com")


def accounts(session: Session) -> Iterator[Account]:
    totals: list[int] = []
    there = set()
    for account in counted("Planview LeanKit", _users(session, totals), lambda: totals[-1]):
        there |= {email.casefold() for email in account.emails}
        yield account
    for account in _invitations(session):
        if there.isdisjoint(email.casefold() for email in account.emails):
            yield account


def account(session: Session, account_id: str) -> Account | None:
    if account_id.startswith(INVITATION):
        return next((account for account in _invitations(session) if account.id == account_id), None)
    try:
        return _user(session.get(f"/user/{account_id}"))
    except NotFoundError:
        tenant(session)  # it is the user that is not there, not the account
        return None


def find(session: Session, email: str) -> Account | None:
    return found(_users(session, [], search=email), email) or found(_invitations(session), email)


def create(session: Session, new: NewAccount) -> None:
    """role: Administrator or Board creator, none for others. licence: full, reader or focused."""
    if new.role and new.role.lower() not in ROLES:
        raise InvalidError(f"LeanKit has no role {new.role!r}; it has Administrator and Board creator. Correct `role`")
    user: dict[str, Any] = {
        "emailAddress": new.email,
        "firstName": new.given_name,
        "lastName": new.family_name,
        "password": new.password or f"{secrets.token_urlsafe(24)}aA1!",
        "enabled": True,
        "administrator": False,
        "boardCreator": False,
    }
    if new.role:
        user[ROLES[new.role.lower()]] = True
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


def refusal(response: httpx.Response) -> AppError | None:
    if response.is_success or response.status_code in (401, 404) or response.is_server_error:
        return None
    try:
        message = str(response.json()["message"]).rstrip(".")
    except (ValueError, LookupError, TypeError):
        message = "no reason given"
    words = message.lower()
    if response.status_code == 409 or "already" in words:
        return AlreadyExistsError(f"LeanKit: {message}. Nothing is left to do")
    if "owner" in words:
        return LastOwnerError(f"LeanKit: {message}. Have the account owner named anew in LeanKit first")
    if "licen" in words or "seat" in words:
        return NoSeatError(f"LeanKit has no free licence: {message}. Buy one, or remove somebody")
    if response.status_code == 403:
        return MissingScopeError(
            f"LeanKit: {message}. Use the token of an account administrator, "
            "run: gusto-pipeline connect planview_leankit"
        )
    return InvalidError(f"LeanKit: {message}. Correct it, or do it by hand in LeanKit")


def _pages(session: Session, path: str, rows: str, limit: int, totals: list[int], **query: Any) -> Iterator[Any]:
    offset = 0
    while True:
        page = session.get(path, {"offset": offset, "limit": limit, **query})
        yield from page[rows]
        meta = page["pageMeta"]
        totals.append(meta["totalRecords"])
        offset += meta.get("limit") or limit  # it may allow less than asked for
        if offset >= meta["totalRecords"]:
            return


def _users(session: Session, totals: list[int], **query: Any) -> Iterator[Account]:
    return map(_user, _pages(session, "/user", "users", 500, totals, **query))


def _invitations(session: Session) -> Iterator[Account]:
    for row in _pages(session, "/invitation", "invitations", 25, [], status="pending"):
        if not (row.get("acceptDate") or row.get("isExpired") or row.get("isRevoked")):
            yield Account(
                id=f"{INVITATION}{row['id']}",
                status=Status.INVITED,
                emails=(row["emailAddress"],),
                created_at=instant(row.get("creationDate")),
                raw=row,
            )


def _user(row: dict[str, Any]) -> Account:
    owner, admin = bool(row.get("accountOwner")), bool(row.get("administrator"))
    status = Status.ACTIVE if row["enabled"] else Status.SUSPENDED
    return Account(
        id=str(row["id"]),
        status=Status.DELETED if row.get("deleted") else status,
        user_name=row.get("username"),
        emails=(row["emailAddress"],) if row.get("emailAddress") else (),
        given_name=row.get("firstName"),
        family_name=row.get("lastName"),
        display_name=row.get("fullName"),
        last_activity=instant(row.get("lastAccess")),
        created_at=instant(row.get("createdOn")),
        role="Owner" if owner else "Administrator" if admin else row.get("licenseType"),
        admin=owner or admin,
        owner=owner,
        licence=row.get("licenseType"),
        external_id=row.get("externalUserName"),
        raw=row,
    )


APP = App(
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
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    suspend=suspend,
    reactivate=reactivate,
    remove=remove,
    cancel_invitation=cancel_invitation,
    refusal=refusal,
)
