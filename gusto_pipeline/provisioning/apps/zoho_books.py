"""Zoho Books: the users of one organization, by its REST API v3 (zoho.com/books/api/v3/users).

`code` tells success (0) from failure, whatever the HTTP status. The numbers of the failures are not documented for
users, so that a user who exists already and a seat that lacks are known by their words.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, found, instant, split_name
from gusto_pipeline.provisioning.apps import zoho
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
    SignInError,
)
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field

STATUS = {
    "active": Status.ACTIVE,
    "invited": Status.INVITED,
    "inactive": Status.SUSPENDED,
    "deleted": Status.DELETED,
}


def tenant(session: Session) -> Tenant:
    organization = _get(session, f"/organizations/{session.record['organization_id']}")["organization"]
    return Tenant(str(organization["organization_id"]), organization["name"])


def accounts(session: Session) -> Iterator[Account]:
    page, more = 1, True
    while more:
        answer = _get(session, "/users", filter_by="Status.All", page=page, per_page=200)
        yield from map(_account, answer["users"])
        page, more = page + 1, answer["page_context"]["has_more_page"]


def account(session: Session, account_id: str) -> Account | None:
    try:
        return _account(_get(session, f"/users/{account_id}")["user"])
    except NotFoundError:
        tenant(session)  # it is the user that is not there, not the organization
        return None


def find(session: Session, email: str) -> Account | None:
    return found(accounts(session), email)


def create(session: Session, new: NewAccount) -> None:
    """Invites. role: by name or id; only roles that somebody has can be named. Answers without the new id."""
    role = {"role_id": _role(session, new.role)} if new.role else {}
    _send(session, "POST", "/users", {"name": new.display_name, "email": new.email, **role})


def invite_again(session: Session, account: Account) -> None:
    _send(session, "POST", f"/users/{account.id}/invite")


def suspend(session: Session, account: Account) -> None:
    _send(session, "POST", f"/users/{account.id}/inactive")


def reactivate(session: Session, account: Account) -> None:
    _send(session, "POST", f"/users/{account.id}/active")


def remove(session: Session, account: Account) -> None:
    _send(session, "DELETE", f"/users/{account.id}")


def refusal(response: httpx.Response) -> AppError | None:
    said = zoho.body(response)
    if not said.get("code"):
        return None
    message = str(said.get("message", "no reason given")).rstrip(".")
    words = message.lower()
    if said["code"] == 57:
        return MissingScopeError(
            f"Zoho Books: {message}. Connect as an administrator of this organization, "
            "run: gusto-pipeline connect zoho_books"
        )
    if response.status_code == 401:
        return SignInError(f"Zoho Books: {message}. Connect it again, run: gusto-pipeline connect zoho_books")
    if response.status_code == 404 or "does not exist" in words or "not found" in words:
        return NotFoundError(f"Zoho Books: {message}. Read its accounts again")
    if "already" in words:
        return AlreadyExistsError(f"Zoho Books: {message}. Nothing is left to do")
    if "maximum" in words or "upgrade" in words or "user limit" in words:
        return NoSeatError(f"Zoho Books has no free seat: {message}. Buy one, or remove somebody")
    if "primary contact" in words or "only admin" in words or "last admin" in words:
        return LastOwnerError(f"Zoho Books: {message}. Make somebody else administrator first")
    if response.status_code < 500:
        return InvalidError(f"Zoho Books: {message}. Correct it, or do it by hand in Zoho Books")
    return None


def wait(response: httpx.Response, received_at: datetime) -> float | None:
    """It counts by the minute, and may say that the count is full with another status than 429."""
    full = response.is_error and "number of requests" in str(zoho.body(response).get("message"))
    return 60 if full else None


def _get(session: Session, path: str, **query: Any) -> Any:
    return session.get(path, {"organization_id": session.record["organization_id"], **query})


def _send(session: Session, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    try:
        session.send(method, path, params={"organization_id": session.record["organization_id"]}, json=body)
    except AlreadyExistsError:
        if path == "/users":  # of any other change, that it is so already is what was wanted
            raise


def _role(session: Session, wanted: str) -> str:
    roles = {account.raw["role_id"]: account.role or "" for account in accounts(session) if account.raw.get("role_id")}
    for role, name in roles.items():
        if wanted in (role, name):
            return str(role)
    there = ", ".join(sorted(roles.values()))
    raise InvalidError(f"nobody in Zoho Books has the role {wanted!r}; there are {there}. Correct `role`")


def _account(row: dict[str, Any]) -> Account:
    given, family = split_name(row.get("name"))
    others = sorted(row.get("email_ids") or (), key=lambda each: not each.get("is_selected"))
    emails = [row.get("email"), *(each["email"] for each in others)]
    return Account(
        id=str(row["user_id"]),
        status=STATUS[row["status"].lower()],
        emails=tuple(dict.fromkeys(filter(None, emails))),
        given_name=given,
        family_name=family,
        display_name=row.get("name"),
        created_at=instant(row.get("created_time")),
        role=row.get("user_role"),
        admin=row.get("user_role") == "admin",
        raw=row,
    )


APP = App(
    slug="zoho_books",
    name="Zoho Books",
    base_url=f"{zoho.APIS}/books/v3",
    hosts=(zoho.ACCOUNTS,),
    sign_in=zoho.sign_in(
        Field("organization_id", "Organization id (Settings > Organization profile)"),
        scopes=tuple(f"ZohoBooks.settings.{may}" for may in ("READ", "CREATE", "UPDATE", "DELETE")),
    ),
    removal="takes out",
    removal_note="out of this organization only; the Zoho account and what was entered stay",
    rate_limit="100 requests a minute, and 1,000 to 10,000 a day by plan",
    invites=True,
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    suspend=suspend,
    reactivate=reactivate,
    remove=remove,
    invite_again=invite_again,
    refusal=refusal,
    wait=wait,
)
