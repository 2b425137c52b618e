"""Okta: the people of one organisation, by the Core API's users, groups and roles (developer.okta.com).

Lists are asked for by `filter`: a plain list leaves out deactivated people, and `search` lags behind. A deactivated
person counts as deleted: their apps are gone, but until the second step, which nothing undoes, they can come back.
Suspending works from ACTIVE alone. Who is an administrator only a token of somebody who may see roles tells; without,
nobody is shown as one. A link to activate is good for seven days unless the organisation has set it otherwise. The
words of the refusal to lose the last super administrator are not documented.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, filled, instant, instants, names, taken
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, by_link, one
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, api_key

MANAGER = "Connect with a token of an administrator who manages these people"
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
    for row in by_link(session, "/users", {"limit": 200, "filter": EVERYBODY}):
        yield _account(row, roles.get(row["id"], ()))


def account(session: Session, account_id: str) -> Account | None:
    """The path would take a login, too."""
    row = one(session, f"/users/{quote(account_id, safe='')}")
    return _account(row, _roles(session, row["id"])) if row and row["id"] == account_id else None


def find(session: Session, email: str) -> Account | None:
    """By login, which is never late; then by either address, deactivated people last. Both ignore case."""
    try:
        row = session.get(f"/users/{quote(email, safe='')}")
    except errors.NotFoundError:
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
    credentials = {"password": {"value": new.password}} if new.password else None
    body = {"profile": filled(profile), "groupIds": list(new.groups), "credentials": credentials}
    at_next = "changePassword" if new.password else None
    session.send("POST", "/users", params={"activate": True, "nextLogin": at_next}, json=filled(body))


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
    rows = by_link(session, "/groups", {"limit": 200, "filter": 'type eq "OKTA_GROUP"'})
    return {row["id"]: row["profile"]["name"] for row in rows}


def join(session: Session, account: Account, group: str) -> None:
    session.send("PUT", f"/groups/{group}/users/{account.id}")


def leave(session: Session, account: Account, group: str) -> None:
    session.send("DELETE", f"/groups/{group}/users/{account.id}")


def said(response: httpx.Response) -> str:
    answer = response.json()
    causes = [cause["errorSummary"] for cause in answer.get("errorCauses") or ()]
    return f"{'; '.join(causes) or answer['errorSummary']} ({answer['errorCode']})"


def _lifecycle(session: Session, account: Account, step: str, *, mail: bool | None = None) -> None:
    session.send("POST", f"/users/{account.id}/lifecycle/{step}", params={"sendEmail": mail})


def _administrators(session: Session) -> list[str]:
    try:
        return [row["id"] for row in by_link(session, "/iam/assignees/users", None, "value", "_links/next/href")]
    except errors.MissingScopeError:
        return []


def _roles(session: Session, user_id: str) -> tuple[str, ...]:
    try:
        return tuple(role.get("label") or role["type"] for role in session.get(f"/users/{user_id}/roles"))
    except errors.MissingScopeError:
        return ()


def _account(row: Row, roles: tuple[str, ...]) -> Account:
    profile = row.get("profile") or {}
    sent = instant(row.get("statusChanged")) if row["status"] == "PROVISIONED" else None
    login = profile.get("login")
    addresses = (login if "@" in (login or "") else None, profile.get("email"), profile.get("secondEmail"))
    return Account(
        id=row["id"],
        status=STATUSES[row["status"]],
        user_name=login,
        emails=distinct(addresses),
        **names(profile.get("firstName"), profile.get("lastName"), profile.get("displayName")),
        invited_until=sent + LINK_LIFE if sent else None,
        **instants(row, last_activity="lastLogin", created_at="created"),
        role=", ".join(roles) or None,
        admin=bool(roles),
        **taken(profile, employee_number="employeeNumber", title="title", department="department"),
        phone=profile.get("mobilePhone") or profile.get("primaryPhone"),
        raw=row,
    )


APP = App(
    module=__name__,
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
    creates_in_groups=True,
    invites=True,
    invitation_life=LINK_LIFE,
    identity_provider=True,
    refusals=(
        Refusal(errors.LastOwnerError, "super admin", "Make somebody else one first", status=[400, 403]),
        Refusal(errors.MissingScopeError, r"\(E0000006\)", MANAGER, status=[400, 403]),
        Refusal(errors.AlreadyExistsError, "login: .*already exists", "Look there: maybe deactivated", status=[400]),
        Refusal(errors.InvalidError, "", "Deactivate them in Okta instead", status=[400], call="/suspend$"),
        Refusal(errors.InvalidError, "", "Put that right, in Okta or in Gusto, and try again", status=[400]),
        Refusal(errors.InvalidError, r"\(E0000038\)", "Put that right, in Okta, and try again", status=[403]),
    ),
)
