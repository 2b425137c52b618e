"""Okta: the people of one organisation, by the Core API's users, groups and roles (developer.okta.com).

Lists are asked for by `filter`: a plain list leaves out deactivated people, and `search` lags behind. A deactivated
person counts as deleted: their apps are gone, but until the second step, which nothing undoes, they can come back.
Suspending works from ACTIVE alone. Who is an administrator only a token of somebody who may see roles tells; without,
nobody is shown as one. A link to activate is good for seven days unless the organisation has set it otherwise. The
words of the refusal to lose the last super administrator are not documented.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, instant
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NotFoundError,
)
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, api_key

LINK_LIFE = timedelta(days=7)
EVERYBODY = 'lastUpdated gt "1970-01-01T00:00:00.000Z"'
STATUSES = {
    "STAGED": Status.INVITED,
    "PROVISIONED": Status.INVITED,
    "ACTIVE": Status.ACTIVE,
    "RECOVERY": Status.ACTIVE,
    "PASSWORD_EXPIRED": Status.ACTIVE,
    "LOCKED_OUT": Status.ACTIVE,
    "SUSPENDED": Status.SUSPENDED,
    "DEPROVISIONED": Status.DELETED,
}


def tenant(session: Session) -> Tenant:
    """An organisation is known by its domain, where alone its tokens are good; `me` is the token's owner."""
    session.get("/users/me")
    return Tenant(session.record["domain"], session.record["domain"])


def accounts(session: Session) -> Iterator[Account]:
    roles = {user_id: _roles(session, user_id) for user_id in _administrators(session)}
    for row in _pages(session, "/users", {"limit": 200, "filter": EVERYBODY}):
        yield _account(row, roles.get(row["id"], ()))


def account(session: Session, account_id: str) -> Account | None:
    """The path would take a login, too; a missing person counts as absent once the token has proved good."""
    try:
        row = session.get(f"/users/{quote(account_id, safe='')}")
    except NotFoundError:
        tenant(session)
        return None
    return _account(row, _roles(session, row["id"])) if row["id"] == account_id else None


def find(session: Session, email: str) -> Account | None:
    """By login, which is never late; then by either address, deactivated people last. Both ignore case."""
    try:
        row = session.get(f"/users/{quote(email, safe='')}")
    except NotFoundError:
        quoted = email.replace("\\", "\\\\").replace('"', '\\"')
        search = f'profile.login eq "{quoted}" or profile.email eq "{quoted}"'
        rows = session.get("/users", {"limit": 200, "search": search})
        row = min(rows, key=lambda row: STATUSES[row["status"]] is Status.DELETED, default=None)
    return _account(row, _roles(session, row["id"])) if row else None


def create(session: Session, new: NewAccount) -> None:
    """Okta mails a link to activate, or takes the password, which then has to be changed at first sign-in."""
    profile = {
        "login": new.email,
        "email": new.email,
        "firstName": new.given_name,
        "lastName": new.family_name,
        "secondEmail": new.personal_email,
        "employeeNumber": new.employee_number,
        "title": new.title,
        "department": new.department,
    }
    body: dict[str, Any] = {"profile": {name: value for name, value in profile.items() if value}}
    if new.groups:
        body["groupIds"] = list(new.groups)
    if new.password:
        body["credentials"] = {"password": {"value": new.password}}
    at_next = "changePassword" if new.password else None
    session.send("POST", "/users", params={"activate": True, "nextLogin": at_next}, json=body)


def suspend(session: Session, account: Account) -> None:
    """Signs out as well, also when suspending went unanswered.

    Okta suspends only who is ACTIVE. Whoever is locked out or has an expired password could be back in a minute, and is
    deactivated instead, which `restore` takes back.
    """
    active = account.raw.get("status") == "ACTIVE"
    try:
        _lifecycle(session, account, "suspend") if active else _lifecycle(session, account, "deactivate", mail=False)
    finally:
        session.send("DELETE", f"/users/{account.id}/sessions", params={"oauthTokens": True})


def reactivate(session: Session, account: Account) -> None:
    _lifecycle(session, account, "unsuspend")


def remove(session: Session, account: Account) -> None:
    """Deactivates, then deletes. Whoever is still being deactivated is not deleted by this, and stays deactivated."""
    if account.status is not Status.DELETED:
        _lifecycle(session, account, "deactivate", mail=False)
    session.send("DELETE", f"/users/{account.id}", params={"sendEmail": False})


def restore(session: Session, account: Account) -> None:
    _lifecycle(session, account, "activate", mail=True)


def invite_again(session: Session, account: Account) -> None:
    """Whoever is STAGED was never sent a link, and gets the first one."""
    _lifecycle(session, account, "activate" if account.raw.get("status") == "STAGED" else "reactivate", mail=True)


def groups(session: Session) -> dict[str, str]:
    """Okta's own ones: the members of the others come from elsewhere."""
    rows = _pages(session, "/groups", {"limit": 200, "filter": 'type eq "OKTA_GROUP"'})
    return {row["id"]: row["profile"]["name"] for row in rows}


def join(session: Session, account: Account, group: str) -> None:
    session.send("PUT", f"/groups/{group}/users/{account.id}")


def leave(session: Session, account: Account, group: str) -> None:
    session.send("DELETE", f"/groups/{group}/users/{account.id}")


def refusal(response: httpx.Response) -> AppError | None:
    if response.status_code not in (400, 403):
        return None
    code, said, causes = _said(response)
    if "super admin" in said.lower():
        return LastOwnerError(f"Okta keeps its last super administrator: {said}. Make somebody else one first")
    if code == "E0000006":
        return MissingScopeError(f"Okta: {said}. Connect with a token of an administrator who manages these people")
    if response.status_code == 403 and code != "E0000038":
        return None
    if any(cause.startswith("login:") and "already exists" in cause for cause in causes):
        return AlreadyExistsError("Okta has somebody with this login already, maybe deactivated. Look there")
    if response.request.url.path.endswith("/suspend"):
        return InvalidError(f"Okta suspends active people only: {said}. Deactivate them in Okta instead")
    return InvalidError(f"Okta: {said}. Put that right, in Okta or in Gusto, and try again")


def wait(response: httpx.Response, now: datetime) -> float | None:
    """Until the window ends, by Okta's own clock, and a second more."""
    reset, date = response.headers.get("x-rate-limit-reset"), response.headers.get("date")
    if response.status_code != 429 or not reset:
        return None
    answered = parsedate_to_datetime(date) if date else now
    return max(0.0, float(reset) - answered.timestamp()) + 1


def _lifecycle(session: Session, account: Account, step: str, *, mail: bool | None = None) -> None:
    session.send("POST", f"/users/{account.id}/lifecycle/{step}", params={"sendEmail": mail})


def _pages(session: Session, path: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    response = session.send("GET", path, params=params)
    while True:
        yield from session.json(response)
        if "next" not in response.links:
            return
        response = session.send("GET", response.links["next"]["url"])


def _administrators(session: Session) -> list[str]:
    path: str | None = "/iam/assignees/users"
    found: list[str] = []
    try:
        while path:
            page = session.get(path)
            found += (row["id"] for row in page["value"])
            path = ((page.get("_links") or {}).get("next") or {}).get("href")
    except MissingScopeError:
        return []
    return found


def _roles(session: Session, user_id: str) -> tuple[str, ...]:
    try:
        return tuple(role.get("label") or role["type"] for role in session.get(f"/users/{user_id}/roles"))
    except MissingScopeError:
        return ()


def _said(response: httpx.Response) -> tuple[str, str, list[str]]:
    try:
        answer = response.json()
        causes = [cause["errorSummary"] for cause in answer.get("errorCauses") or ()]
        return answer["errorCode"], "; ".join(causes) or answer["errorSummary"], causes
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", "no reason given", []


def _account(row: dict[str, Any], roles: tuple[str, ...]) -> Account:
    profile = row.get("profile") or {}
    sent = instant(row.get("statusChanged")) if row["status"] == "PROVISIONED" else None
    login, given, family = profile.get("login"), profile.get("firstName"), profile.get("lastName")
    addresses = (login if "@" in (login or "") else None, profile.get("email"), profile.get("secondEmail"))
    return Account(
        id=row["id"],
        status=STATUSES[row["status"]],
        user_name=login,
        emails=distinct(addresses),
        given_name=given,
        family_name=family,
        display_name=profile.get("displayName") or " ".join(filter(None, (given, family))) or None,
        invited_until=sent + LINK_LIFE if sent else None,
        last_activity=instant(row.get("lastLogin")),
        created_at=instant(row.get("created")),
        role=", ".join(roles) or None,
        admin=bool(roles),
        employee_number=profile.get("employeeNumber"),
        phone=profile.get("mobilePhone") or profile.get("primaryPhone"),
        title=profile.get("title"),
        department=profile.get("department"),
        raw=row,
    )


APP = App(
    slug="okta",
    name="Okta",
    base_url="https://{domain}/api/v1",
    sign_in=api_key(
        Field("domain", "Okta domain (as in acme.okta.com)"),
        Field("api_token", "API token (Security > API > Tokens)", secret=True),
        headers=lambda record: {"Authorization": f"SSWS {record['api_token']}"},
    ),
    removal="deletes",
    removal_note="first deactivated, by which they lose all apps, then deleted for good; nothing brings them back",
    rate_limit="about 600 requests a minute, fewer on small plans",
    invites=True,
    invitation_life=LINK_LIFE,
    identity_provider=True,
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    remove=remove,
    suspend=suspend,
    reactivate=reactivate,
    invite_again=invite_again,
    restore=restore,
    groups=groups,
    join=join,
    leave=leave,
    refusal=refusal,
    wait=wait,
)
