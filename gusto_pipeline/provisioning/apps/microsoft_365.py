"""Microsoft 365: the users of one tenant, by Microsoft Graph v1.0, as an app that its administrator has registered.

The app needs these application permissions: User.ReadWrite.All, User.RevokeSessions.All, Organization.Read.All,
RoleManagement.Read.Directory, GroupMember.ReadWrite.All, and for last sign-ins, which also take Entra ID P1,
AuditLog.Read.All; to change administrators it needs a privileged role itself. Without the last three it reads on,
and shows nobody as an administrator, or no sign-ins; roles that come by a group are not seen. A mailbox comes with a
licence (by part number or id) that has Exchange in it. Deleted users stay for 30 days, their login changed by then.
Rooms and shared mailboxes look like people, mostly suspended ones.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any
from urllib.parse import quote

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, filled, instant, names
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import by_link, chosen, found, one
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, client_credentials

GRAPH = "https://graph.microsoft.com/v1.0"
PERMISSION = "Grant the app the permission; to change administrators it needs a privileged role"
DELETED = "/directory/deletedItems"
FIELDS = (
    "id,displayName,givenName,surname,mail,userPrincipalName,proxyAddresses,otherMails,accountEnabled,userType,"
    "externalUserState,createdDateTime,assignedLicenses,employeeId,jobTitle,department,mobilePhone,businessPhones,"
    "isResourceAccount,onPremisesImmutableId,onPremisesSyncEnabled"
)


def tenant(session: Session) -> Tenant:
    row = session.get("/organization", {"$select": "id,displayName"})["value"][0]
    return Tenant(row["id"], row["displayName"])


def accounts(session: Session) -> Iterator[Account]:
    """Pages are smaller with sign-ins, as Graph wants it."""
    skus, roles = _skus(session), _roles(session)
    rows = _rows(session, "/users", {"$select": f"{FIELDS},signInActivity", "$top": 120})
    try:
        first = list(islice(rows, 1))
    except (errors.MissingScopeError, errors.PlanTooLowError):
        first, rows = [], _rows(session, "/users", {"$select": FIELDS, "$top": 999})
    yield from (_account(row, skus, roles) for row in chain(first, rows))
    yield from (_account(row, skus, {}) for row in _deleted(session))


def account(session: Session, account_id: str) -> Account | None:
    try:
        return _live(session, account_id)
    except errors.NotFoundError:
        row = one(session, f"{DELETED}/{account_id}")
        return _account({"deletedDateTime": "unknown"} | row, _skus(session), {}) if row else None


def find(session: Session, email: str) -> Account | None:
    """By login, by any other address, then among the deleted."""
    with suppress(errors.NotFoundError):
        return _live(session, email)
    quoted = email.replace("'", "''")
    for clause in (f"mail eq '{quoted}'", f"proxyAddresses/any(a:a eq 'smtp:{quoted}')"):
        if rows := session.get("/users", {"$select": FIELDS, "$filter": clause})["value"]:
            return _live(session, rows[0]["id"])
    return found((_account(row, {}, {}) for row in _deleted(session)), email)


def create(session: Session, new: NewAccount) -> None:
    """The licence is looked for first: nobody is left without a mailbox. The password is to be changed at sign-in."""
    password = new.password or f"{secrets.token_urlsafe(24)}aA1-"  # three of Entra's four kinds for certain
    licence = _free_licence(session, new.licence) if new.licence else None
    body = {
        "accountEnabled": True,
        "displayName": new.display_name,
        "givenName": new.given_name,
        "surname": new.family_name,
        "userPrincipalName": new.email,
        "mailNickname": re.sub(r"[^A-Za-z0-9.\-]", "", new.email.partition("@")[0]) or "user",
        "usageLocation": session.record["usage_location"],
        "otherMails": [new.personal_email] if new.personal_email else [],
        "passwordProfile": {"password": password, "forceChangePasswordNextSignIn": True},
        **filled({"jobTitle": new.title, "department": new.department, "employeeId": new.employee_number}),
    }
    try:
        session.send("POST", "/users", json=body)
    except errors.OutcomeUnknownError:
        if not licence or not find(session, new.email):
            raise
    if licence:
        licences = {"addLicenses": [{"skuId": licence, "disabledPlans": []}], "removeLicenses": []}
        session.send("POST", f"{_path(new.email)}/assignLicense", json=licences)


def suspend(session: Session, account: Account) -> None:
    """Signs out as well, also when suspending went unanswered; access that was granted may last for an hour."""
    try:
        session.send("PATCH", _path(account.id), json={"accountEnabled": False})
    finally:
        session.send("POST", f"{_path(account.id)}/revokeSignInSessions")


def reactivate(session: Session, account: Account) -> None:
    session.send("PATCH", _path(account.id), json={"accountEnabled": True})


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", _path(account.id))


def restore(session: Session, account: Account) -> None:
    session.send("POST", f"{DELETED}/{account.id}/restore")


def groups(session: Session) -> dict[str, str]:
    """Those whose members are neither computed by a rule nor kept in Active Directory."""
    rows = _rows(session, "/groups", {"$select": "id,displayName,groupTypes,onPremisesSyncEnabled", "$top": 999})
    return {
        row["id"]: row["displayName"]
        for row in rows
        if "DynamicMembership" not in row.get("groupTypes", ()) and not row.get("onPremisesSyncEnabled")
    }


def join(session: Session, account: Account, group: str) -> None:
    member = {"@odata.id": f"{GRAPH}/directoryObjects/{account.id}"}
    with suppress(errors.AlreadyExistsError):
        session.send("POST", f"/groups/{group}/members/$ref", json=member)


def leave(session: Session, account: Account, group: str) -> None:
    with suppress(errors.NotFoundError):
        session.send("DELETE", f"/groups/{group}/members/{account.id}/$ref")


def said(response: httpx.Response) -> str:
    """Its words, and all its codes."""
    error = response.json()["error"]
    codes = [error["code"], *(each.get("code", "") for each in error.get("details") or ())]
    return f"{error['message']} ({' '.join(codes)})"


def _path(user: str) -> str:
    return f"/users/{quote(user, safe='@')}"


def _rows(session: Session, path: str, params: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    return by_link(session, path, params, "value", "@odata.nextLink")


def _deleted(session: Session) -> Iterator[dict[str, Any]]:
    return _rows(session, f"{DELETED}/microsoft.graph.user", {"$select": FIELDS})


def _live(session: Session, user: str) -> Account:
    row = session.get(_path(user), {"$select": FIELDS})
    return _account(row, _skus(session), _roles(session, row["id"]))


def _skus(session: Session) -> dict[str, str]:
    """Part numbers of the tenant's licences, by id."""
    return {row["skuId"]: row["skuPartNumber"] for row in session.get("/subscribedSkus")["value"]}


def _free_licence(session: Session, wanted: str) -> str:
    rows = {row["skuId"]: row for row in session.get("/subscribedSkus")["value"]}
    licence = chosen(session, "licence", wanted, {sku: row["skuPartNumber"] for sku, row in rows.items()})
    if rows[licence]["prepaidUnits"]["enabled"] <= rows[licence]["consumedUnits"]:
        raise errors.NoSeatError(f"Microsoft 365 has no free {wanted}. Buy one, or free one, and try again")
    return licence


def _roles(session: Session, user_id: str | None = None) -> dict[str, list[str]]:
    """Names of directory roles, by user; none when the app may not see them."""
    params = {"$expand": "roleDefinition", "$filter": f"principalId eq '{user_id}'" if user_id else None}
    roles: dict[str, list[str]] = {}
    with suppress(errors.MissingScopeError):
        for row in _rows(session, "/roleManagement/directory/roleAssignments", params):
            name = (row.get("roleDefinition") or {}).get("displayName", "Role")
            roles.setdefault(row["principalId"], []).append(name)
    return roles


def _account(row: dict[str, Any], skus: dict[str, str], roles: dict[str, list[str]]) -> Account:
    # What was deleted has its id, without dashes, before the login; a guest's login is no address.
    login = (row.get("userPrincipalName") or "").removeprefix(row["id"].replace("-", ""))
    aliases = [a[5:] for a in row.get("proxyAddresses") or () if a.lower().startswith("smtp:")]
    addresses = ("" if "#EXT#" in login else login, row.get("mail"), *aliases, *(row.get("otherMails") or ()))
    seen, assigned = row.get("signInActivity") or {}, row.get("assignedLicenses") or ()
    pending = row.get("userType") == "Guest" and row.get("externalUserState") == "PendingAcceptance"
    status = Status.SUSPENDED if row.get("accountEnabled") is False else Status.INVITED if pending else Status.ACTIVE
    return Account(
        id=row["id"],
        status=Status.DELETED if row.get("deletedDateTime") else status,
        user_name=login or None,
        emails=distinct(addresses),
        **names(row.get("givenName"), row.get("surname"), row.get("displayName")),
        last_activity=instant(seen.get("lastSuccessfulSignInDateTime") or seen.get("lastSignInDateTime")),
        created_at=instant(row.get("createdDateTime")),
        role=", ".join(roles.get(row["id"], ())) or row.get("userType"),
        admin=row["id"] in roles,
        bot=bool(row.get("isResourceAccount")),
        licence=", ".join(skus.get(sku, sku) for each in assigned if (sku := each.get("skuId"))) or None,
        external_id=row.get("onPremisesImmutableId"),
        employee_number=row.get("employeeId"),
        phone=row.get("mobilePhone") or next(iter(row.get("businessPhones") or ()), None),
        title=row.get("jobTitle"),
        department=row.get("department"),
        raw=row,
    )


APP = App(
    module=__name__,
    slug="microsoft_365",
    name="Microsoft 365",
    base_url=GRAPH,
    hosts=("https://login.microsoftonline.com",),
    sign_in=client_credentials(
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        Field("tenant", "Directory (tenant) id"),
        Field("usage_location", "Country in which licences are used (two letters)", default="US"),
        form=lambda record: {"scope": "https://graph.microsoft.com/.default"},
    ),
    removal="deletes",
    removal_note="user, mail and files can be restored for 30 days, then they are gone; the licence is free at once",
    rate_limit="Microsoft names none; it says how long to wait",
    identity_provider=True,
    creates_mailbox=True,
    refuses_with=[400, 403],
    refusals=(
        # A new user may not be known everywhere at once.
        Refusal(errors.RateLimitedError, status=[404], call="/assignLicense$", seconds=2),
        Refusal(errors.PlanTooLowError, "premium", "Buy Entra ID P1 for it", status=[403]),
        Refusal(errors.MissingScopeError, "", PERMISSION, status=[403]),
        Refusal(errors.AlreadyExistsError, "ObjectConflict|already exist", "Look there, among the deleted users too"),
        Refusal(errors.DomainNotVerifiedError, "domain", "Verify the domain in the admin center, or use another"),
        Refusal(errors.NoSeatError, "available licenses", "Buy or free one, and assign it in the admin center"),
        Refusal(errors.InvalidError, "on-premises mastered", "They come from Active Directory: change them there"),
        Refusal(errors.InvalidError, "", "Put that right, in the admin center or in Gusto, and try again"),
    ),
)
