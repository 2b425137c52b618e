"""Zoho Books: the users of one organization, by its REST API v3 (zoho.com/books/api/v3/users).

`code` tells success (0) from failure, whatever the HTTP status. The numbers of the failures are not documented for
users, so that a user who exists already and a seat that lacks are known by their words.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, instant, one_name
from gusto_pipeline.provisioning.apps import zoho
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, by_number, chosen, one
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field


def tenant(session: Session) -> Tenant:
    answer = session.get(f"/organizations/{session.record['organization_id']}", _here(session))
    return Tenant(str(answer["organization"]["organization_id"]), answer["organization"]["name"])


def accounts(session: Session) -> Iterator[Account]:
    query = {**_here(session), "filter_by": "Status.All", "per_page": 200}
    return map(_account, by_number(session, "/users", query, "users", "page_context/has_more_page"))


def account(session: Session, account_id: str) -> Account | None:
    answer = one(session, f"/users/{account_id}", _here(session))
    return _account(answer["user"]) if answer else None


def create(session: Session, new: NewAccount) -> None:
    """Invites. role: by name or id; only roles that somebody has can be named. Answers without the new id."""
    user = {"name": new.display_name, "email": new.email}
    if new.role:
        people = [account for account in accounts(session) if account.raw.get("role_id")]
        roles = {str(account.raw["role_id"]): account.role or "" for account in people}
        user["role_id"] = chosen(session, "role", new.role, roles)
    _send(session, "POST", "/users", user)


def invite_again(session: Session, account: Account) -> None:
    _send(session, "POST", f"/users/{account.id}/invite")


def suspend(session: Session, account: Account) -> None:
    _send(session, "POST", f"/users/{account.id}/inactive")


def reactivate(session: Session, account: Account) -> None:
    _send(session, "POST", f"/users/{account.id}/active")


def remove(session: Session, account: Account) -> None:
    _send(session, "DELETE", f"/users/{account.id}")


def said(response: httpx.Response) -> str:
    body = response.json()
    return f"{body.get('message') or 'no reason given'} ({body['code']})" if body.get("code") else ""


def _here(session: Session) -> Row:
    return {"organization_id": session.record["organization_id"]}


def _send(session: Session, method: str, path: str, body: Row | None = None) -> None:
    session.send(method, path, params=_here(session), json=body)


def _account(row: Row) -> Account:
    others = sorted(row.get("email_ids") or (), key=lambda each: not each.get("is_selected"))
    emails = [row.get("email"), *(each["email"] for each in others)]
    return Account(
        id=str(row["user_id"]),
        status=Status.SUSPENDED if (status := row["status"].lower()) == "inactive" else Status(status),
        emails=tuple(dict.fromkeys(filter(None, emails))),
        **one_name(row.get("name")),
        created_at=instant(row.get("created_time")),
        role=row.get("user_role"),
        admin=row.get("user_role") == "admin",
        raw=row,
    )


APP = App(
    module=__name__,
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
    refuses_with=zoho.ANY,
    refusals=(
        # It counts by the minute, and may say that the count is full with another status than 429.
        Refusal(errors.RateLimitedError, "number of requests", status=range(400, 600), seconds=60),
        Refusal(errors.MissingScopeError, r"\(57\)$", "Connect as an administrator of this organization"),
        Refusal(errors.SignInError, ".", "Connect again", status=[401]),
        Refusal(errors.NotFoundError, "does not exist|not found"),
        Refusal(errors.NotFoundError, ".", status=[404]),
        Refusal(errors.NoSeatError, "maximum|upgrade|user limit"),
        Refusal(errors.LastOwnerError, "primary contact|(only|last) admin", "Make somebody else administrator first"),
    ),
)
