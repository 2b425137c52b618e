"""Microsoft 365: the users of one tenant, by Microsoft Graph v1.0, as an app that its administrator has registered.

The app needs these application permissions: User.ReadWrite.All, User.RevokeSessions.All, Organization.Read.All,
RoleManagement.Read.Directory, GroupMember.ReadWrite.All, and for last sign-ins, which also take Entra ID P1,
AuditLog.Read.All; to change administrators it needs a privileged role itself. Without the last three it reads on,
and shows nobody as an administrator, or no sign-ins; roles that come by a group are not seen. A mailbox comes with a
licence (by part number or id) that has Exchange in it. Deleted users stay for 30 days, their login changed by then.
Rooms and shared mailboxes look like people, mostly suspended ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Tenant
from gusto_pipeline.provisioning.app import App, distinct, filled, instant, names, password, status_of, taken
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, by_link, chosen, found, one, post_new
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, client_credentials

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
    query: Row = {"$select": FIELDS, "$top": 999}
    with suppress(errors.MissingScopeError, errors.PlanTooLowError):
        session.get("/users", {"$select": "id,signInActivity", "$top": 1})
        query = {"$select": f"{FIELDS},signInActivity", "$top": 120}
    yield from (_account(row, skus, roles) for row in _rows(session, "/users", query))
    deleted = _rows(session, f"{DELETED}/microsoft.graph.user", {"$select": FIELDS})
    yield from (_account(row, skus, {}) for row in deleted)


def account(session: Session, account_id: str) -> Account | None:
    if row := one(session, f"/users/{account_id}", {"$select": FIELDS}):
        return _account(row, _skus(session), _roles(session))
    row = one(session, f"{DELETED}/{account_id}")
    return _account({"deletedDateTime": "unknown"} | row, _skus(session), {}) if row else None


def find(session: Session, email: str) -> Account | None:
    """By login, else among all, by any address; the deleted last."""
    row = one(session, f"/users/{quote(email, safe='')}", {"$select": FIELDS})
    return account(session, row["id"]) if row else found(accounts(session), email)


def create(session: Session, new: NewAccount) -> None:
    """The licence is looked for first: nobody is left without a mailbox. The password is to be changed at sign-in."""
    licence = _free_licence(session, new.licence) if new.licence else None
    body = {
        "accountEnabled": True,
        "displayName": new.display_name,
        "givenName": new.given_name,
        "surname": new.family_name,
        "userPrincipalName": new.email,
        "mailNickname": new.email.partition("@")[0],
        "usageLocation": session.record["usage_location"],
        "otherMails": [new.personal_email] if new.personal_email else [],
        "passwordProfile": {"password": password(new), "forceChangePasswordNextSignIn": True},
        **filled({"jobTitle": new.title, "department": new.department, "employeeId": new.employee_number}),
    }
    post_new(session, "/users", body, new.email)
    if licence:
        licences = {"addLicenses": [{"skuId": licence, "disabledPlans": []}], "removeLicenses": []}
        session.send("POST", f"/users/{quote(new.email)}/assignLicense", json=licences)


def suspend(session: Session, account: Account) -> None:
    """Signs out as well, also when suspending went unanswered; access that was granted may last for an hour."""
    try:
        session.send("PATCH", f"/users/{account.id}", json={"accountEnabled": False})
    finally:
        session.send("POST", f"/users/{account.id}/revokeSignInSessions")


def reactivate(session: Session, account: Account) -> None:
    session.send("PATCH", f"/users/{account.id}", json={"accountEnabled": True})


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", f"/users/{account.id}")


def restore(session: Session, account: Account) -> None:
    session.send("POST", f"{DELETED}/{account.id}/restore")


def groups(session: Session) -> dict[str, str]:
    """Those whose members are neither computed by a rule nor kept in Active Directory."""
    return {
        row["id"]: row["displayName"]
        for row in _rows(session, "/groups", {"$top": 999})
        if "DynamicMembership" not in row.get("groupTypes", ()) and not row.get("onPremisesSyncEnabled")
    }


def join(session: Session, account: Account, group: str) -> None:
    member = {"@odata.id": session.locate(f"/directoryObjects/{account.id}")}
    session.send("POST", f"/groups/{group}/members/$ref", json=member)


def leave(session: Session, account: Account, group: str) -> None:
    session.send("DELETE", f"/groups/{group}/members/{account.id}/$ref")


def said(response: httpx.Response) -> str:
    """Its words, and all its codes."""
    error = response.json()["error"]
    codes = [error["code"], *(each.get("code", "") for each in error.get("details") or ())]
    return f"{error['message']} ({' '.join(codes)})"


def _rows(session: Session, path: str, params: Row) -> Iterator[Row]:
    return by_link(session, path, params, "value", "@odata.nextLink")


def _skus(session: Session) -> dict[str, str]:
    """Part numbers of the tenant's licences, by id."""
    return {row["skuId"]: row["skuPartNumber"] for row in session.get("/subscribedSkus")["value"]}


def _free_licence(session: Session, wanted: str) -> str:
    rows = {row["skuId"]: row for row in session.get("/subscribedSkus")["value"]}
    licence = chosen(session, "licence", wanted, {sku: row["skuPartNumber"] for sku, row in rows.items()})
    if rows[licence]["prepaidUnits"]["enabled"] <= rows[licence]["consumedUnits"]:
        raise errors.NoSeatError(f"Microsoft 365 has no free {wanted}. Buy one, or free one, and try again")
    return licence


def _roles(session: Session) -> dict[str, list[str]]:
    """Names of directory roles, by user; none when the app may not see them."""
    roles: dict[str, list[str]] = {}
    with suppress(errors.MissingScopeError):
        for row in _rows(session, "/roleManagement/directory/roleAssignments", {"$expand": "roleDefinition"}):
            name = (row.get("roleDefinition") or {}).get("displayName", "Role")
            roles.setdefault(row["principalId"], []).append(name)
    return roles


def _account(row: Row, skus: dict[str, str], roles: dict[str, list[str]]) -> Account:
    # What was deleted has its id, without dashes, before the login; a guest's login is no address.
    login = (row.get("userPrincipalName") or "").removeprefix(row["id"].replace("-", ""))
    aliases = [a[5:] for a in row.get("proxyAddresses") or () if a.lower().startswith("smtp:")]
    addresses = ("" if "#EXT#" in login else login, row.get("mail"), *aliases, *(row.get("otherMails") or ()))
    seen, assigned = row.get("signInActivity") or {}, row.get("assignedLicenses") or ()
    ended, pending = row.get("accountEnabled") is False, row.get("externalUserState") == "PendingAcceptance"
    return Account(
        id=row["id"],
        status=status_of(deleted=row.get("deletedDateTime"), suspended=ended, invited=pending),
        user_name=login or None,
        emails=distinct(addresses),
        **names(row.get("givenName"), row.get("surname"), row.get("displayName")),
        last_activity=instant(seen.get("lastSuccessfulSignInDateTime") or seen.get("lastSignInDateTime")),
        created_at=instant(row.get("createdDateTime")),
        role=", ".join(roles.get(row["id"], ())) or row.get("userType"),
        admin=row["id"] in roles,
        bot=bool(row.get("isResourceAccount")),
        licence=", ".join(skus.get(sku, sku) for each in assigned if (sku := each.get("skuId"))) or None,
        **taken(row, employee_number="employeeId", title="jobTitle", department="department"),
        external_id=row.get("onPremisesImmutableId"),
        phone=row.get("mobilePhone") or next(iter(row.get("businessPhones") or ()), None),
        raw=row,
    )


APP = App(
    module=__name__,
    slug="microsoft_365",
    name="Microsoft 365",
    base_url="https://graph.microsoft.com/v1.0",
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
    refusals=(
        # A new user may not be known everywhere at once.
        Refusal(errors.RateLimitedError, status=[404], call="/assignLicense$", seconds=2),
        Refusal(errors.PlanTooLowError, "premium", "Buy Entra ID P1 for it", status=[403]),
        Refusal(errors.MissingScopeError, "", "Grant the app the permission, or a privileged role", status=[403]),
        Refusal(errors.AlreadyExistsError, "ObjectConflict|already exist", "Look there, among the deleted users too"),
        Refusal(errors.DomainNotVerifiedError, "domain", "Verify the domain in the admin center, or use another"),
        Refusal(errors.InvalidError, "on-premises mastered", "They come from Active Directory: change them there"),
    ),
)
