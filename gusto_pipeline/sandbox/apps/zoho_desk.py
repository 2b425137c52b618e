"""Zoho Desk's REST API v1: agents, departments, organizations.

Every call needs the organization's id in a header. Nothing found is a 204. `from` counts from 1, and 0 is taken for 1.
Agents are deactivated one by one and activated by list; those who have not accepted are deleted by a call of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator
from gusto_pipeline.sandbox.apps.zoho import CLIENT, ORGANIZATION, accounts_server, signed_in
from gusto_pipeline.sandbox.gusto.world import Company

ROOT = "/api/v1"
PERMISSIONS = ("AgentPublic", "AgentPersonal", "AgentTeamPersonal", "Admin", "Custom", "Light")
NOTHING = 204


def refused(status: int, code: str, message: str, **more: Any) -> JSONResponse:
    return JSONResponse({"errorCode": code, "message": message, **more}, status)


def invalid(field: str, kind: str) -> JSONResponse:
    error = {"fieldName": field, "errorType": kind, "errorMessage": ""}
    return refused(422, "INVALID_DATA", "The data is invalid due to validation restrictions", errors=[error])


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Callable[[Request, Any], Response], method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            if not signed_in(directory, request):
                return refused(401, "INVALID_OAUTH", "The OAuth Token you provided is invalid.")
            if path != "/organizations" and request.headers.get("orgid") != ORGANIZATION:
                return refused(403, "OAUTH_ORG_MISMATCH", "The OAuth token does not belong to this organization.")
            return answer(request, await request.json() if await request.body() else None)

        return Route(ROOT + path, guarded, methods=[method])

    def organizations(request: Request, body: Any) -> Response:
        row = {"id": int(ORGANIZATION), "companyName": directory.organization, "portalName": "sandboxportal"}
        return JSONResponse({"data": [row]})

    def page(request: Request, rows: list[dict[str, Any]]) -> Response:
        start, limit = (int(request.query_params.get(k, v)) for k, v in (("from", 1), ("limit", 10)))
        if not 1 <= limit <= 200:
            return invalid("limit", "invalid")
        start = max(start, 1) - 1
        shown = rows[start : start + limit]
        return JSONResponse({"data": shown}) if shown else Response(status_code=NOTHING)

    def agents(request: Request, body: Any) -> Response:
        return page(request, [_agent(directory, member) for member in directory.listed(request.url.path)])

    def departments(request: Request, body: Any) -> Response:
        default = _default(directory)
        rows = [
            {"id": key, "name": name, "isDefault": key == default, "isEnabled": True}
            for key, name in directory.groups.items()
        ]
        return page(request, rows)

    def one(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["agent"])
        return JSONResponse(_agent(directory, member)) if member else not_found()

    def not_found() -> Response:
        return refused(404, "URL_NOT_FOUND", "The URL you are trying to access is not found.")

    def by_email(request: Request, body: Any) -> Response:
        member = directory.by_email(request.path_params["email"])
        return JSONResponse(_agent(directory, member)) if member else Response(status_code=NOTHING)

    def add(request: Request, body: Any) -> Response:
        for field in ("emailId", "lastName", "associatedDepartmentIds", "rolePermissionType"):
            if not body.get(field):
                return invalid(f"/{field}", "missing")
        if body["rolePermissionType"] not in PERMISSIONS:
            return invalid("/rolePermissionType", "invalid")
        if not {*map(str, body["associatedDepartmentIds"])} <= {*directory.groups}:
            return invalid("/associatedDepartmentIds", "invalid")
        if directory.by_email(body["emailId"]):
            return invalid("/emailId", "duplicate")
        if directory.full():
            return no_licence()
        member = directory.add(body["emailId"], body.get("firstName", ""), body["lastName"], state="invited")
        member.groups = list(map(str, body["associatedDepartmentIds"]))
        member.extra = {"rolePermissionType": body["rolePermissionType"]}
        invite(member)
        return JSONResponse(_agent(directory, member))

    def no_licence() -> Response:
        message = "You have reached the maximum number of agents for your edition."
        return refused(403, "LICENSE_ACCESS_LIMITED", message, maxAllowedEntity=directory.seats)

    def invite(member: Member) -> None:
        member.invited_at = directory.clock.now()
        directory.mails.append((member.email, "invitation"))

    def update(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["agent"])
        if member is None or member.state == "deleted":
            return not_found()
        if "associatedDepartmentIds" in body:
            wanted = list(map(str, body["associatedDepartmentIds"]))
            if not wanted or not {*wanted} <= {*directory.groups}:
                return invalid("/associatedDepartmentIds", "invalid")
            member.groups = wanted
        return JSONResponse(_agent(directory, member))

    def deactivate(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["agent"])
        if member is None or member.state == "deleted":
            return not_found()
        if member.state != "suspended":
            directory.change(member, "suspended")
        return Response(status_code=NOTHING)

    def named(body: Any, *states: str) -> list[Member]:
        """The members named in a body, empty when one of them is not in these states."""
        members = [directory.members.get(str(key)) for key in body["agentIds"]]
        found = [member for member in members if member and member.state in states]
        return found if len(found) == len(members) else []

    def activate(request: Request, body: Any) -> Response:
        members = named(body, "suspended", "active")
        if not members:
            return invalid("/agentIds", "invalid")
        for member in members:
            if member.state == "suspended":
                if directory.full():
                    return no_licence()
                directory.change(member, "active")
        return Response(status_code=NOTHING)

    def reinvite(request: Request, body: Any) -> Response:
        members = named(body, "invited")
        for member in members:
            invite(member)
        return Response(status_code=NOTHING) if members else invalid("/agentIds", "invalid")

    def delete_unconfirmed(request: Request, body: Any) -> Response:
        members = named(body, "invited")
        for member in members:
            directory.change(member, "deleted")
        return Response(status_code=NOTHING) if members else invalid("/agentIds", "invalid")

    def delete(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["agent"])
        if member is None or member.state == "deleted":
            return not_found()
        if member.state != "suspended":
            return refused(422, "UNPROCESSABLE_ENTITY", "Only agents who are deactivated can be deleted.", errors=[])
        directory.change(member, "deleted")
        return Response(status_code=NOTHING)

    def reassign(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["agent"])
        if member is None:
            return not_found()
        for move in body:
            if str(move["departmentId"]) not in directory.groups:
                return invalid("/departmentId", "invalid")
            if str(move["ticketNewOwner"]) not in directory.members:
                return invalid("/ticketNewOwner", "invalid")
        member.extra["reassignment"] = body
        return Response(status_code=NOTHING)

    return [
        *accounts_server(directory),
        api("/organizations", organizations),
        api("/departments", departments),
        api("/agents", agents),
        api("/agents", add, "POST"),
        api("/agents/activate", activate, "POST"),
        api("/agents/reinvite", reinvite, "POST"),
        api("/agents/deleteUnconfirmed", delete_unconfirmed, "POST"),
        api("/agents/email/{email}", by_email),
        api("/agents/{agent}", one),
        api("/agents/{agent}", update, "PATCH"),
        api("/agents/{agent}", delete, "DELETE"),
        api("/agents/{agent}/deactivate", deactivate, "POST"),
        api("/agents/{agent}/reassignment", reassign, "POST"),
    ]


def _default(directory: Directory) -> str:
    return list(directory.groups)[-1]


def _agent(directory: Directory, member: Member) -> dict[str, Any]:
    permission = member.extra.get("rolePermissionType") or ("AgentPublic" if member.role == "member" else "Admin")
    status = {"suspended": "DISABLED", "deleted": "DELETED"}
    return {
        "id": member.id,
        "zuid": None if member.state == "invited" else f"69{member.id[-9:]}",
        "name": member.name,
        "firstName": member.given,
        "lastName": member.family,
        "emailId": member.email,
        "status": status.get(member.state, "ACTIVE"),
        "isConfirmed": member.state != "invited",
        "isZiaAgent": member.bot,
        "roleId": "4000000008686",
        "profileId": "4000000008690",
        "rolePermissionType": permission,
        "associatedDepartmentIds": member.groups or [_default(directory)],
        "photoURL": None,
        "phone": member.phone,
        "timeZone": "America/Los_Angeles",
        "langCode": "en_US",
        "countryCode": "en_US",
    }


def prepare(directory: Directory, company: Company) -> None:
    directory.groups = {f"40000000{n:05}": row["title"] for n, row in enumerate(company.departments.values())}


SIMULATOR = Simulator(
    slug="zoho_desk",
    record={**CLIENT, "org_id": ORGANIZATION},
    routes=routes,
    new_id=lambda n: f"400000{n:07}",
    rate_limited=lambda seconds: refused(429, "TOO_MANY_REQUESTS", "You have made too many requests."),
    failed=lambda status: refused(status, "INTERNAL_SERVER_ERROR", "An internal server error occurred."),
    prepare=prepare,
)
