"""Microsoft Graph v1.0: users with their bin, licences, directory roles, groups.

Fields come only when asked for, next links are absolute, changes answer 204. In `directory.extra`, for tests:
`premium`, whether the tenant has Entra ID P1; `privileged`, whether the app may change administrators; `lag`, seconds
in which a new user gets no licence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token, oauth_routes
from gusto_pipeline.sandbox.gusto.world import Company

TENANT = "7a3f2f6e-5b0c-4f53-9d2b-6a1f0c9be001"
GRAPH = "https://graph.microsoft.com/v1.0"
BIN = timedelta(days=30)
BUSINESS = {"skuId": "cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46", "skuPartNumber": "SPB"}
UNASKED = [
    *("id", "displayName", "givenName", "surname", "userPrincipalName", "mail", "jobTitle", "mobilePhone"),
    *("businessPhones", "officeLocation", "preferredLanguage"),
]
ROLES = {"owner": "Global Administrator", "admin": "User Administrator"}


def refused(code: int, error: str, message: str, target: str = "", conflict: str = "", **headers: str) -> JSONResponse:
    body: dict[str, Any] = {"code": error, "message": message}
    if conflict:
        body["details"] = [{"target": target, "code": conflict}]
    number = str(uuid4())
    inner = {"date": "2026-01-01T00:00:00", "request-id": number, "client-request-id": number}
    return JSONResponse({"error": {**body, "innerError": inner}}, code, headers)


def missing(what: str) -> JSONResponse:
    text = f"Resource '{what}' does not exist or one of its queried reference-property objects are not present."
    return refused(404, "Request_ResourceNotFound", text)


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Any, method: str = "GET", permission: str = "User.ReadWrite.All") -> Route:
        async def guarded(request: Request) -> Response:
            if not directory.accepts(bearer_token(request), request.url.path):
                return refused(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
            if permission in directory.faults.missing_scopes():
                return denied()
            body = (await request.json()) if await request.body() else {}
            answered: Response = answer(request, body)
            return answered

        return Route(f"/v1.0{path}", guarded, methods=[method])

    def denied() -> Response:
        text = "Insufficient privileges to complete the operation."
        return refused(403, "Authorization_RequestDenied", text)

    def person(answer: Any, *, changes: bool = True) -> Any:
        """A call about a user who is not deleted, by id or login."""

        def with_member(request: Request, body: dict[str, Any]) -> Response:
            who = request.path_params["user"].casefold()
            there = (m for m in directory.members.values() if m.state != "deleted")
            member = next((m for m in there if who in (m.id, m.email.casefold())), None)
            if member is None:
                return missing(request.path_params["user"])
            if changes and member.role != "member" and not directory.extra["privileged"]:
                return denied()
            answered: Response = answer(request, body, member)
            return answered

        return with_member

    def binned() -> list[Member]:
        oldest = directory.clock.now() - BIN
        return [
            m for m in directory.members.values() if m.state == "deleted" and m.changed_at and m.changed_at > oldest
        ]

    def page(request: Request, rows: Sequence[dict[str, Any]], most: int = 999) -> Response:
        query = request.query_params
        top, start = min(int(query.get("$top", 100)), most), int(query.get("$skiptoken", 0))
        answer: dict[str, Any] = {"@odata.context": f"{GRAPH}/$metadata#{request.url.path.rpartition('/')[2]}"}
        if start + top < len(rows):
            url = httpx.URL(f"https://graph.microsoft.com{request.url.path}", params=dict(query))
            answer["@odata.nextLink"] = str(url.copy_set_param("$skiptoken", start + top))
        return JSONResponse(answer | {"value": rows[start : start + top]})

    def selected(request: Request) -> list[str]:
        return request.query_params["$select"].split(",") if "$select" in request.query_params else UNASKED

    def organization(request: Request, body: dict[str, Any]) -> Response:
        return page(request, [{"id": TENANT, "displayName": directory.organization}])

    def users(request: Request, body: dict[str, Any]) -> Response:
        fields = selected(request)
        if "signInActivity" in fields and not directory.extra["premium"]:
            text = "Neither tenant is B2C or tenant doesn't have premium license"
            return refused(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", text)
        if "signInActivity" in fields and "AuditLog.Read.All" in directory.faults.missing_scopes():
            return denied()
        rows = [_user(m) for m in directory.listed(request.url.path)]
        if "$filter" in request.query_params:
            rows = [row for row in rows if _fits(row, request.query_params["$filter"])]
        rows = [{name: row.get(name) for name in fields} for row in rows]
        return page(request, rows, 120 if "signInActivity" in fields else 999)

    def create(request: Request, body: dict[str, Any]) -> Response:
        for name in ("accountEnabled", "displayName", "mailNickname", "userPrincipalName", "passwordProfile"):
            if name not in body:
                return refused(
                    400, "Request_BadRequest", f"A value is required for property '{name}' of resource 'User'."
                )
        login = str(body["userPrincipalName"])
        if login.rpartition("@")[2] not in directory.extra["domains"]:
            text = (
                "The domain portion of the userPrincipalName property is invalid. "
                "You must use one of the verified domain names in your organization."
            )
            return refused(400, "Request_BadRequest", text)
        password = body["passwordProfile"]["password"]
        if len(password) < 8 or sum(bool(re.search(kind, password)) for kind in ("[a-z]", "[A-Z]", r"\d", r"\W|_")) < 3:
            text = "The specified password does not comply with password complexity requirements."
            return refused(400, "Request_BadRequest", text)
        if directory.by_email(login):
            text = "Another object with the same value for property userPrincipalName already exists."
            return refused(400, "Request_BadRequest", text, "userPrincipalName", "ObjectConflict")
        member = directory.add(
            login,
            body.get("givenName") or body["displayName"],
            body.get("surname") or "",
            employee_number=body.get("employeeId"),
            title=body.get("jobTitle"),
            department=body.get("department"),
        )
        member.extra |= {"licences": [], "otherMails": body.get("otherMails", []), "usage": body.get("usageLocation")}
        row = _user(member)
        answer = {"@odata.context": f"{GRAPH}/$metadata#users/$entity"} | {name: row.get(name) for name in UNASKED}
        return JSONResponse(answer, 201)

    def show(request: Request, body: dict[str, Any], member: Member) -> Response:
        row = _user(member)
        context = {"@odata.context": f"{GRAPH}/$metadata#users/$entity"}
        return JSONResponse(context | {name: row.get(name) for name in selected(request)})

    def update(request: Request, body: dict[str, Any], member: Member) -> Response:
        if member.extra.get("synced"):
            text = (
                "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects "
                "currently undergoing migration."
            )
            return refused(400, "Request_BadRequest", text)
        if "accountEnabled" in body:
            directory.change(member, "active" if body["accountEnabled"] else "suspended")
        return Response(status_code=204)

    def delete(request: Request, body: dict[str, Any], member: Member) -> Response:
        directory.change(member, "deleted")
        return Response(status_code=204)

    def revoke(request: Request, body: dict[str, Any], member: Member) -> Response:
        member.extra["sessions_revoked"] = directory.clock.now()
        return JSONResponse({"@odata.context": f"{GRAPH}/$metadata#Edm.Boolean", "value": True})

    def license_user(request: Request, body: dict[str, Any], member: Member) -> Response:
        if member.created_at + timedelta(seconds=directory.extra["lag"]) > directory.clock.now():
            return missing(request.path_params["user"])
        if not member.extra.get("usage"):
            text = "License assignment cannot be done for user with invalid usage location."
            return refused(400, "Request_BadRequest", text)
        for each in body["addLicenses"]:
            if directory.extra["units"] <= consumed():
                text = f"Subscription with SKU {each['skuId']} does not have any available licenses."
                return refused(400, "Request_BadRequest", text)
            member.extra["licences"] = [*member.extra.get("licences", []), each["skuId"]]
        return show(request, body, member)

    def consumed() -> int:
        return sum(bool(m.extra.get("licences")) for m in directory.listed(""))

    def skus(request: Request, body: dict[str, Any]) -> Response:
        units = {"enabled": directory.extra["units"], "suspended": 0, "warning": 0}
        state = {"capabilityStatus": "Enabled", "appliesTo": "User", "consumedUnits": consumed(), "prepaidUnits": units}
        return page(request, [{"id": f"{TENANT}_{BUSINESS['skuId']}", **BUSINESS, **state, "servicePlans": []}])

    def deleted(request: Request, body: dict[str, Any]) -> Response:
        fields = [*selected(request), "deletedDateTime"]
        return page(request, [{name: _user(m).get(name) for name in fields} for m in binned()])

    def show_deleted(request: Request, body: dict[str, Any]) -> Response:
        member = next((m for m in binned() if m.id == request.path_params["user"]), None)
        if member is None:
            return missing(request.path_params["user"])
        kind, row = {"@odata.type": "#microsoft.graph.user"}, _user(member)
        return JSONResponse(kind | {name: row.get(name) for name in [*UNASKED, "deletedDateTime"]})

    def restore(request: Request, body: dict[str, Any]) -> Response:
        member = next((m for m in binned() if m.id == request.path_params["user"]), None)
        if member is None:
            return missing(request.path_params["user"])
        directory.change(member, "active")
        return JSONResponse({"@odata.type": "#microsoft.graph.user", "id": member.id})

    def assignments(request: Request, body: dict[str, Any]) -> Response:
        rows = [
            {"id": f"assignment-{m.id}", "principalId": m.id, "directoryScopeId": "/",
             "roleDefinition": {"displayName": ROLES[m.role]}}
            for m in directory.members.values() if m.role in ROLES
        ]  # fmt: skip
        return page(request, [row for row in rows if _fits(row, request.query_params.get("$filter", ""))])

    def groups(request: Request, body: dict[str, Any]) -> Response:
        rows = [
            {"id": group, "displayName": name, "groupTypes": ["DynamicMembership"] if name == "All staff" else [],
             "onPremisesSyncEnabled": None}
            for group, name in directory.groups.items()
        ]  # fmt: skip
        return page(request, rows)

    def join(request: Request, body: dict[str, Any]) -> Response:
        group, member = request.path_params["group"], directory.members.get(body["@odata.id"].rpartition("/")[2])
        if group not in directory.groups or member is None:
            return missing(group)
        if group in member.groups:
            text = "One or more added object references already exist for the following modified properties: 'members'."
            return refused(400, "Request_BadRequest", text)
        member.groups.append(group)
        return Response(status_code=204)

    def leave(request: Request, body: dict[str, Any], member: Member) -> Response:
        if request.path_params["group"] not in member.groups:
            return missing(member.id)
        member.groups.remove(request.path_params["group"])
        return Response(status_code=204)

    one, binning, members = "/users/{user}", "/directory/deletedItems", "/groups/{group}/members"
    return [
        *oauth_routes(directory, "/authorize", "/{tenant}/oauth2/v2.0/token", lifetime=3599),
        api("/organization", organization, permission="Organization.Read.All"),
        api("/subscribedSkus", skus, permission="Organization.Read.All"),
        api("/users", users),
        api("/users", create, "POST"),
        api(one, person(show, changes=False)),
        api(one, person(update), "PATCH"),
        api(one, person(delete), "DELETE"),
        api(f"{one}/revokeSignInSessions", person(revoke), "POST", "User.RevokeSessions.All"),
        api(f"{one}/assignLicense", person(license_user), "POST"),
        api(f"{binning}/microsoft.graph.user", deleted),
        api(f"{binning}/{{user}}", show_deleted),
        api(f"{binning}/{{user}}/restore", restore, "POST"),
        api("/roleManagement/directory/roleAssignments", assignments, permission="RoleManagement.Read.Directory"),
        api("/groups", groups),
        api(f"{members}/$ref", join, "POST"),
        api(f"{members}/{{user}}/$ref", person(leave, changes=False), "DELETE"),
    ]


def _fits(row: dict[str, Any], clause: str) -> bool:
    """Whether the one clause holds; case does not matter. No clause always does."""
    if match := re.fullmatch(r"(\w+)/any\(a:a eq '(.*)'\)", clause):
        return match[2].replace("''", "'").casefold() in map(str.casefold, row.get(match[1]) or ())
    if match := re.fullmatch(r"(\w+) eq '(.*)'", clause):
        return match[2].replace("''", "'").casefold() == str(row.get(match[1])).casefold()
    return not clause


def _at(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _user(member: Member) -> dict[str, Any]:
    binned = member.id.replace("-", "") if member.state == "deleted" else ""
    licences = member.extra.get("licences", [])
    return {
        "id": member.id,
        "displayName": member.name,
        "givenName": member.given,
        "surname": member.family or None,
        "mail": member.email if licences else None,
        "userPrincipalName": f"{binned}{member.email}",
        "proxyAddresses": [f"SMTP:{member.email}", *(f"smtp:{a}" for a in member.extra.get("aliases", ()))],
        "otherMails": member.extra.get("otherMails", []),
        "accountEnabled": member.state not in ("suspended",),
        "userType": "Guest" if member.state == "invited" else "Member",
        "externalUserState": "PendingAcceptance" if member.state == "invited" else None,
        "createdDateTime": _at(member.created_at),
        "assignedLicenses": [{"skuId": sku, "disabledPlans": []} for sku in licences],
        "employeeId": member.employee_number,
        "jobTitle": member.title,
        "department": member.department,
        "mobilePhone": member.phone,
        "businessPhones": [],
        "isResourceAccount": None,
        "onPremisesImmutableId": None,
        "onPremisesSyncEnabled": member.extra.get("synced"),
        "deletedDateTime": _at(member.changed_at) if binned else None,
        "signInActivity": {
            "lastSignInDateTime": _at(member.last_seen),
            "lastSuccessfulSignInDateTime": _at(member.last_seen),
        },
    }


def prepare(directory: Directory, company: Company) -> None:
    """Most people have a licence; groups of the company's departments, and one that a rule fills."""
    titles = ["All staff", *(row["title"] for row in company.departments.values())]
    directory.groups = {str(UUID(int=(0xA11CE << 96) + n, version=4)): title for n, title in enumerate(titles)}
    for member in directory.members.values():
        member.extra["licences"] = [] if member.bot else [BUSINESS["skuId"]]
    members = list(directory.members.values())
    members[1].extra["aliases"] = [f"{members[1].given}.alias@{directory.domain}".lower()]
    directory.extra = {
        "domains": {directory.domain, "acmetea.onmicrosoft.com"},
        "units": directory.seats if directory.seats is not None else 10_000,
        "premium": True,
        "privileged": True,
        "lag": 0,
    }


SIMULATOR = Simulator(
    slug="microsoft_365",
    record={
        "tenant": TENANT,
        "client_id": "0d4b1c6e-2f7a-4d57-8f53-2b3c1de9a001",
        "client_secret": "m365-sandbox-secret",
        "usage_location": "US",
    },
    routes=routes,
    new_id=lambda n: str(UUID(int=(0x5EED << 96) + n, version=4)),
    rate_limited=lambda seconds: refused(
        429, "TooManyRequests", "Too many requests", **{"retry-after": f"{seconds:g}"}
    ),
    failed=lambda status: refused(status, "serviceNotAvailable", "Service unavailable"),
    prepare=prepare,
    spared=(f"/{TENANT}/oauth2", "/_sandbox"),
)
