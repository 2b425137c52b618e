"""Salesforce: the users of one org, by SOQL and sObjects of its REST API v59.0.

A user is known by their address, not by the login, which only looks like one and is unique among all orgs of the
world: where it is taken elsewhere, the org's own name is added. Nobody is ever deleted. Whoever has never logged in is
shown as invited, which is a guess, and whoever is frozen as suspended. Customers' and partners' users are left out;
processes and integrations are bots. The person who connects us needs "API Enabled" and "Manage Users". How Salesforce
words its refusal to deactivate somebody is not documented, so any refusal of values counts as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, counted, instant
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    OwnsContentError,
    PlanTooLowError,
)
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Consent, Field, oauth

FIELDS = (
    "Id,Username,Email,FirstName,LastName,Name,IsActive,UserType,ProfileId,Profile.Name,"
    "Profile.PermissionsModifyAllData,Profile.UserLicense.Name,UserRoleId,UserRole.Name,LastLoginDate,CreatedDate,"
    "EmployeeNumber,Title,Department,Phone,MobilePhone,FederationIdentifier"
)
STAFF = "UserType IN ('Standard','AutomatedProcess','CloudIntegrationUser')"


def tenant(session: Session) -> Tenant:
    row = _query(session, "SELECT Id,Name FROM Organization")[0]
    return Tenant(row["Id"], row["Name"])


def accounts(session: Session) -> Iterator[Account]:
    frozen = {row["UserId"] for row in _query(session, "SELECT Id,UserId FROM UserLogin WHERE IsFrozen = true")}
    first = session.get("/query", {"q": f"SELECT {FIELDS} FROM User WHERE {STAFF} ORDER BY Id"})
    rows = (_account(row, frozen) for row in _rows(session, first))
    yield from counted("Salesforce", rows, lambda: first["totalSize"])


def account(session: Session, account_id: str) -> Account | None:
    return next(iter(_users(session, f"Id = '{_quoted(account_id)}'")), None)


def find(session: Session, email: str) -> Account | None:
    """By address or login, rather somebody active."""
    there = _users(session, f"Email = '{_quoted(email)}' OR Username = '{_quoted(email)}'")
    return min(there, key=lambda a: a.status is Status.SUSPENDED, default=None)


def create(session: Session, new: NewAccount) -> None:
    """With the profile that `role` names, by id or name; a reset password then brings them a mail with a link."""
    wanted = new.role or session.record["profile"]
    profiles = _query(session, "SELECT Id,Name FROM Profile")
    profile = next((p["Id"] for p in profiles if wanted.lower() in (p["Id"].lower(), p["Name"].lower())), None)
    if profile is None:
        names = ", ".join(sorted(p["Name"] for p in profiles))
        raise InvalidError(f"Salesforce has no profile {wanted!r}; there are: {names}")
    optional = {"EmployeeNumber": new.employee_number, "Title": new.title, "Department": new.department}
    body = {
        "Username": new.email,
        "Email": new.email,
        "FirstName": new.given_name,
        "LastName": new.family_name,
        "Alias": re.sub(r"\W", "", f"{new.given_name[:1]}{new.family_name}")[:8].lower() or "user",
        "ProfileId": profile,
        "TimeZoneSidKey": session.record["time_zone"],
        "LocaleSidKey": session.record["locale"],
        "LanguageLocaleKey": session.record["locale"],
        "EmailEncodingKey": "UTF-8",
        **{name: value for name, value in optional.items() if value},
    }
    try:
        made = session.send("POST", "/sobjects/User", json=body)
    except AlreadyExistsError:
        if find(session, new.email):
            raise
        body["Username"] = f"{new.email}.{session.record['domain'].partition('.')[0]}"
        made = session.send("POST", "/sobjects/User", json=body)
    _reset_password(session, session.json(made)["id"])


def suspend(session: Session, account: Account) -> None:
    """Deactivates; freezes whom Salesforce does not let be deactivated, who then keeps the licence."""
    try:
        remove(session, account)
    except OwnsContentError:
        _freeze(session, account.id, True)


def reactivate(session: Session, account: Account) -> None:
    if not account.raw.get("IsActive"):
        session.send("PATCH", f"/sobjects/User/{account.id}", json={"IsActive": True})
    _freeze(session, account.id, False)


def remove(session: Session, account: Account) -> None:
    session.send("PATCH", f"/sobjects/User/{account.id}", json={"IsActive": False})


def invite_again(session: Session, account: Account) -> None:
    _reset_password(session, account.id)


def refusal(response: httpx.Response) -> AppError | None:
    if response.status_code not in (400, 403):
        return None
    code, said = _said(response)
    if code.startswith("DUPLICATE_USERNAME"):
        return AlreadyExistsError(f"Salesforce: {said}. Look there, or in another org of yours")
    if code == "LICENSE_LIMIT_EXCEEDED":
        return NoSeatError(f"Salesforce has no free licence: {said}. Buy one, or deactivate somebody")
    if code in ("API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "FUNCTIONALITY_NOT_ENABLED"):
        return PlanTooLowError(f"Salesforce: {said}. The edition needs API access: Enterprise, or Professional with it")
    if response.status_code == 403 or code.startswith("INSUFFICIENT_ACCESS"):
        return MissingScopeError(f'Salesforce: {said}. Connect as somebody with "API Enabled" and "Manage Users"')
    if "last" in said.lower() and "administrator" in said.lower():
        return LastOwnerError(f"Salesforce: {said}. Make somebody else an administrator first")
    if response.request.method == "PATCH":
        return OwnsContentError(
            f"Salesforce: {said}. Give that to somebody else in Setup first, and freeze them meanwhile"
        )
    return InvalidError(f"Salesforce: {said} ({code}). Put that right, in Setup or in Gusto, and try again")


def wait(response: httpx.Response, now: datetime) -> float | None:
    """The day's requests come back over hours, so nobody waits for them here; too many at once pass in seconds."""
    if response.status_code != 403:
        return None
    code, said = _said(response)
    if code != "REQUEST_LIMIT_EXCEEDED":
        return None
    return 3600.0 if "TotalRequests" in said else 5.0


def _query(session: Session, soql: str) -> list[dict[str, Any]]:
    return list(_rows(session, session.get("/query", {"q": soql})))


def _rows(session: Session, page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        yield from page["records"]
        if page.get("done", True):
            return
        page = session.get(f"https://{session.record['domain']}{page['nextRecordsUrl']}")


def _users(session: Session, where: str) -> list[Account]:
    rows = _query(session, f"SELECT {FIELDS} FROM User WHERE {where}")
    ids = ",".join(f"'{row['Id']}'" for row in rows)
    logins = _query(session, f"SELECT Id,UserId,IsFrozen FROM UserLogin WHERE UserId IN ({ids})") if rows else []
    frozen = {login["UserId"] for login in logins if login["IsFrozen"]}
    return [_account(row, frozen) for row in rows]


def _freeze(session: Session, account_id: str, frozen: bool) -> None:
    for login in _query(session, f"SELECT Id,UserId,IsFrozen FROM UserLogin WHERE UserId IN ('{account_id}')"):
        if login["IsFrozen"] is not frozen:
            session.send("PATCH", f"/sobjects/UserLogin/{login['Id']}", json={"IsFrozen": frozen})


def _reset_password(session: Session, account_id: str) -> None:
    session.send("DELETE", f"/sobjects/User/{account_id}/password")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _said(response: httpx.Response) -> tuple[str, str]:
    try:
        error = response.json()[0]
        return error["errorCode"], error["message"].rstrip(".")
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", "no reason given"


def _account(row: dict[str, Any], frozen: set[str]) -> Account:
    profile = row.get("Profile") or {}
    licence = (profile.get("UserLicense") or {}).get("Name")
    seen = instant(row.get("LastLoginDate"))
    ended = not row["IsActive"] or row["Id"] in frozen
    return Account(
        id=row["Id"],
        status=Status.SUSPENDED if ended else Status.ACTIVE if seen else Status.INVITED,
        user_name=row.get("Username"),
        emails=(row["Email"],) if row.get("Email") else (),
        given_name=row.get("FirstName"),
        family_name=row.get("LastName"),
        display_name=row.get("Name"),
        last_activity=seen,
        created_at=instant(row.get("CreatedDate")),
        role=", ".join(filter(None, (profile.get("Name"), (row.get("UserRole") or {}).get("Name")))) or None,
        admin=bool(profile.get("PermissionsModifyAllData")),
        bot=row.get("UserType", "Standard") != "Standard" or licence == "Salesforce Integration",
        licence=licence,
        external_id=row.get("FederationIdentifier"),
        employee_number=row.get("EmployeeNumber"),
        phone=row.get("MobilePhone") or row.get("Phone"),
        title=row.get("Title"),
        department=row.get("Department"),
        raw=row,
    )


APP = App(
    slug="salesforce",
    name="Salesforce",
    base_url="https://{domain}/services/data/v59.0",
    sign_in=oauth(
        Consent(url="https://{domain}/services/oauth2/authorize", scopes=("api", "refresh_token"), pkce=True),
        "https://{domain}/services/oauth2/token",
        Field("domain", "My Domain (as in acme.my.salesforce.com)"),
        Field("profile", "Profile of new users", default="Standard User"),
        Field("time_zone", "Time zone of new users", default="America/Los_Angeles"),
        Field("locale", "Language and region of new users", default="en_US"),
    ),
    plan="Enterprise, Performance, Unlimited or Developer edition, or Professional with API access",
    removal="deactivates",
    removal_note="records stay with their owner, and the licence is free; whoever cannot be deactivated yet is frozen",
    rate_limit="a number of requests a day, by edition and licences",
    invites=True,
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    remove=remove,
    suspend=suspend,
    reactivate=reactivate,
    invite_again=invite_again,
    refusal=refusal,
    wait=wait,
)
