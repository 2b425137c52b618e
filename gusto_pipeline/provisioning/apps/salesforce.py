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

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, filled, instant, names, status_of, taken
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, by_link, chosen
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Consent, Field, oauth

FIELDS = (
    "Id,Username,Email,FirstName,LastName,Name,IsActive,UserType,ProfileId,Profile.Name,"
    "Profile.PermissionsModifyAllData,Profile.UserLicense.Name,UserRoleId,UserRole.Name,LastLoginDate,CreatedDate,"
    "EmployeeNumber,Title,Department,Phone,MobilePhone,FederationIdentifier"
)
STAFF = "UserType IN ('Standard','AutomatedProcess','CloudIntegrationUser')"
EDITION = "The edition needs API access: Enterprise, or Professional with it"
HOLDS = "Give that to somebody else in Setup first, and freeze them meanwhile"
MANAGER = 'Connect as somebody with "API Enabled" and "Manage Users"'


def tenant(session: Session) -> Tenant:
    (row,) = _query(session, "SELECT Id,Name FROM Organization")
    return Tenant(row["Id"], row["Name"])


def accounts(session: Session) -> Iterator[Account]:
    frozen = {row["UserId"] for row in _query(session, "SELECT Id,UserId FROM UserLogin WHERE IsFrozen = true")}
    for row in _query(session, f"SELECT {FIELDS} FROM User WHERE {STAFF} ORDER BY Id"):
        yield _account(row, frozen)


def account(session: Session, account_id: str) -> Account | None:
    return next(iter(_users(session, f"Id = '{_quoted(account_id)}'")), None)


def find(session: Session, email: str) -> Account | None:
    """By address or login, rather somebody active."""
    there = _users(session, f"Email = '{_quoted(email)}' OR Username = '{_quoted(email)}'")
    return min(there, key=lambda a: a.status is Status.SUSPENDED, default=None)


def create(session: Session, new: NewAccount) -> None:
    """With the profile that `role` names, by id or name; a reset password then brings them a mail with a link."""
    profiles = {row["Id"]: row["Name"] for row in _query(session, "SELECT Id,Name FROM Profile")}
    body = {
        "Username": new.email,
        "Email": new.email,
        "FirstName": new.given_name,
        "LastName": new.family_name,
        "Alias": re.sub(r"\W", "", f"{new.given_name[:1]}{new.family_name}")[:8].lower() or "user",
        "ProfileId": chosen(session, "profile", new.role or session.record["profile"], profiles),
        "TimeZoneSidKey": session.record["time_zone"],
        "LocaleSidKey": session.record["locale"],
        "LanguageLocaleKey": session.record["locale"],
        "EmailEncodingKey": "UTF-8",
        **filled({"EmployeeNumber": new.employee_number, "Title": new.title, "Department": new.department}),
    }
    try:
        made = session.send("POST", "/sobjects/User", json=body)
    except errors.AlreadyExistsError:
        if find(session, new.email):
            raise
        body["Username"] = f"{new.email}.{session.record['domain'].partition('.')[0]}"
        made = session.send("POST", "/sobjects/User", json=body)
    _reset_password(session, session.json(made)["id"])


def suspend(session: Session, account: Account) -> None:
    """Deactivates; freezes whom Salesforce does not let be deactivated, who then keeps the licence."""
    try:
        remove(session, account)
    except errors.OwnsContentError:
        _freeze(session, account.id, True)


def reactivate(session: Session, account: Account) -> None:
    if not account.raw.get("IsActive"):
        session.send("PATCH", f"/sobjects/User/{account.id}", json={"IsActive": True})
    _freeze(session, account.id, False)


def remove(session: Session, account: Account) -> None:
    session.send("PATCH", f"/sobjects/User/{account.id}", json={"IsActive": False})


def invite_again(session: Session, account: Account) -> None:
    _reset_password(session, account.id)


def said(response: httpx.Response) -> str:
    error = response.json()[0]
    return f"{error['message'].rstrip('.')} ({error['errorCode']})"


def _query(session: Session, soql: str) -> Iterator[Row]:
    return by_link(session, "/query", {"q": soql}, "records", "nextRecordsUrl", total="totalSize")


def _users(session: Session, where: str) -> list[Account]:
    rows = list(_query(session, f"SELECT {FIELDS} FROM User WHERE {where}"))
    frozen = {login["UserId"] for login in _logins(session, *(row["Id"] for row in rows)) if login["IsFrozen"]}
    return [_account(row, frozen) for row in rows]


def _logins(session: Session, *account_ids: str) -> Iterator[Row]:
    ids = ",".join(f"'{account_id}'" for account_id in account_ids)
    return _query(session, f"SELECT Id,UserId,IsFrozen FROM UserLogin WHERE UserId IN ({ids})") if ids else iter(())


def _freeze(session: Session, account_id: str, frozen: bool) -> None:
    for login in _logins(session, account_id):
        if login["IsFrozen"] is not frozen:
            session.send("PATCH", f"/sobjects/UserLogin/{login['Id']}", json={"IsFrozen": frozen})


def _reset_password(session: Session, account_id: str) -> None:
    session.send("DELETE", f"/sobjects/User/{account_id}/password")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _account(row: Row, frozen: set[str]) -> Account:
    profile = row.get("Profile") or {}
    licence = (profile.get("UserLicense") or {}).get("Name")
    seen = instant(row.get("LastLoginDate"))
    return Account(
        id=row["Id"],
        status=status_of(suspended=not row["IsActive"] or row["Id"] in frozen, invited=not seen),
        **taken(row, user_name="Username", external_id="FederationIdentifier", employee_number="EmployeeNumber"),
        **taken(row, title="Title", department="Department"),
        emails=distinct((row.get("Email"),)),
        **names(row.get("FirstName"), row.get("LastName"), row.get("Name")),
        last_activity=seen,
        created_at=instant(row.get("CreatedDate")),
        role=", ".join(filter(None, (profile.get("Name"), (row.get("UserRole") or {}).get("Name")))) or None,
        admin=bool(profile.get("PermissionsModifyAllData")),
        bot=row.get("UserType", "Standard") != "Standard" or licence == "Salesforce Integration",
        licence=licence,
        phone=row.get("MobilePhone") or row.get("Phone"),
        raw=row,
    )


APP = App(
    module=__name__,
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
    refusals=(
        # The day's requests come back over hours, so nobody waits for them here; too many at once pass in seconds.
        Refusal(errors.RateLimitedError, "TotalRequests.*REQUEST_LIMIT_EXCEEDED", status=[403], seconds=3600),
        Refusal(errors.RateLimitedError, r"\(REQUEST_LIMIT_EXCEEDED\)", status=[403], seconds=5),
        Refusal(errors.AlreadyExistsError, r"\(DUPLICATE_USERNAME", "Look there, or in another org of yours"),
        Refusal(errors.NoSeatError, r"\(LICENSE_LIMIT_EXCEEDED\)", "Buy one, or deactivate somebody"),
        Refusal(errors.PlanTooLowError, r"\((API_(CURRENTLY_)?DISABLED|FUNCTIONALITY_NOT_ENABLED)", EDITION),
        Refusal(errors.MissingScopeError, "", MANAGER, status=[403]),
        Refusal(errors.MissingScopeError, r"\(INSUFFICIENT_ACCESS", MANAGER),
        Refusal(errors.LastOwnerError, "last.*administrator|administrator.*last"),
        Refusal(errors.OwnsContentError, "", HOLDS, status=[400], call="^PATCH"),
    ),
)
