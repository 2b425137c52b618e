"""HubSpot: User Provisioning API v3 and what goes with it: account details, CRM search of users, owners.

Users carry no names; owners do. Deactivated users are in the list like all others, and only the CRM's search tells.
Access tokens live for 30 minutes. The last super admin stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token, oauth_routes
from gusto_pipeline.sandbox.gusto.world import Company

USERS = "/settings/v3/users"
PORTAL = 48210937
ROLES = {"170234": "Sales", "170235": "Marketing", "170236": "Service"}


def refused(status: int, category: str, message: str, **more: Any) -> JSONResponse:
    body = {"status": "error", "message": message, "correlationId": str(uuid4()), "category": category}
    return JSONResponse(body | more, status)


def rate_limited(seconds: float) -> Response:
    body = {
        "status": "error",
        "message": "You have reached your ten_secondly_rolling limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid4()),
        "policyName": "TEN_SECONDLY_ROLLING",
        "requestId": str(uuid4()),
    }
    headers = {"x-hubspot-ratelimit-max": "110", "x-hubspot-ratelimit-remaining": "0"}
    return JSONResponse(body, 429, headers | {"x-hubspot-ratelimit-interval-milliseconds": "10000"})


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Callable[[Request, Any], Response], method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            if not directory.accepts(bearer_token(request), request.url.path):
                message = "The OAuth token used to make this call expired. It needs to be refreshed."
                return refused(401, "EXPIRED_AUTHENTICATION", message)
            return answer(request, await request.json() if method in ("POST", "PUT") else None)

        return Route(path, guarded, methods=[method])

    def details(request: Request, body: Any) -> Response:
        row = {"portalId": PORTAL, "accountType": "STANDARD", "uiDomain": "app.hubspot.com", "timeZone": "US/Pacific"}
        return JSONResponse(row)

    def page(rows: list[dict[str, Any]], limit: int, after: str | None, link: str = "") -> Response:
        if not 1 <= limit <= 100:
            return refused(400, "VALIDATION_ERROR", "limit must be between 1 and 100")
        start = int(after or 0)
        body: dict[str, Any] = {"results": rows[start : start + limit]}
        if start + limit < len(rows):
            end = str(start + limit)
            body["paging"] = {"next": {"after": end, "link": f"https://api.hubapi.com{link}?limit={limit}&after={end}"}}
        return JSONResponse(body)

    def query(request: Request) -> tuple[int, str | None, str]:
        return int(request.query_params.get("limit", 100)), request.query_params.get("after"), request.url.path

    def users(request: Request, body: Any) -> Response:
        return page([_user(member) for member in directory.listed(request.url.path)], *query(request))

    def owners(request: Request, body: Any) -> Response:
        archived, email = request.query_params.get("archived") == "true", request.query_params.get("email")
        rows = [
            _owner(member)
            for member in directory.members.values()
            if member.state != "deleted" and (member.state == "suspended") == archived and email in (None, member.email)
        ]
        return page(rows, *query(request))

    def search(request: Request, body: Any) -> Response:
        wanted = {each["propertyName"]: each["value"] for each in body["filterGroups"][0]["filters"]}
        rows = [
            {"id": f"77{member.id}", "properties": {"hs_internal_user_id": member.id}}
            for member in directory.members.values()
            if member.state != "deleted"
            and (member.state == "suspended") == (wanted.get("hs_deactivated") == "true")
            and wanted.get("hs_internal_user_id", member.id) == member.id
        ]
        return page(rows, body.get("limit", 10), body.get("after"))

    def known(request: Request) -> Member | None:
        key = request.path_params["user"]
        if request.query_params.get("idProperty", "USER_ID") == "EMAIL":
            return directory.by_email(key)
        member = directory.members.get(key)
        return member if member and member.state != "deleted" else None

    def one(request: Request, body: Any) -> Response:
        member = known(request)
        return JSONResponse(_user(member)) if member else not_found()

    def not_found() -> Response:
        return refused(404, "OBJECT_NOT_FOUND", "User not found")

    def misplaced(body: Any) -> Response | None:
        teams = [body.get("primaryTeamId"), *body.get("secondaryTeamIds", [])]
        if body.get("roleId") and body["roleId"] not in ROLES:
            return refused(400, "VALIDATION_ERROR", "The role does not exist")
        if any(team and team not in directory.groups for team in teams):
            return refused(400, "VALIDATION_ERROR", "The team does not exist")
        return None

    def add(request: Request, body: Any) -> Response:
        if "@" not in body.get("email", ""):
            return refused(400, "VALIDATION_ERROR", "Invalid email address")
        if wrong := misplaced(body):
            return wrong
        if directory.by_email(body["email"]):
            return refused(409, "CONFLICT", "User already exists")
        if directory.full():
            return refused(400, "VALIDATION_ERROR", "There are no seats left to assign to this user")
        member = directory.add(body["email"], body.get("firstName", ""), body.get("lastName", ""))
        place(member, body)
        if body.get("sendWelcomeEmail"):
            directory.mails.append((member.email, "welcome"))
        return JSONResponse(_user(member) | {"sendWelcomeEmail": bool(body.get("sendWelcomeEmail"))}, 201)

    def place(member: Member, body: Any) -> None:
        member.extra["roleId"] = body.get("roleId", member.extra.get("roleId"))
        if "primaryTeamId" in body:
            member.groups = [body["primaryTeamId"], *member.groups[1:]]
        if body.get("secondaryTeamIds"):  # an empty list changes nothing
            member.groups = [*member.groups[:1], *body["secondaryTeamIds"]]

    def change(request: Request, body: Any) -> Response:
        member = known(request)
        if member is None:
            return not_found()
        if wrong := misplaced(body):
            return wrong
        place(member, body)
        return JSONResponse(_user(member))

    def drop(request: Request, body: Any) -> Response:
        member = known(request)
        if member is None:
            return not_found()
        admins = [m for m in directory.members.values() if m.role != "member" and m.state == "active"]
        if admins == [member]:
            return refused(400, "VALIDATION_ERROR", "The last super admin cannot be removed")
        directory.change(member, "deleted")
        return Response(status_code=204)

    def roles(request: Request, body: Any) -> Response:
        rows = [{"id": key, "name": name, "requiresBillingWrite": False} for key, name in ROLES.items()]
        return JSONResponse({"results": rows})

    def teams(request: Request, body: Any) -> Response:
        empty: dict[str, list[int]] = {"userIds": [], "secondaryUserIds": []}
        rows = [{"id": key, "name": name, **empty} for key, name in directory.groups.items()]
        return JSONResponse({"results": rows})

    return [
        *oauth_routes(directory, "/oauth/authorize", "/oauth/v1/token", lifetime=1800),
        api("/account-info/v3/details", details),
        api(f"{USERS}/", users),
        api(f"{USERS}/", add, "POST"),
        api(f"{USERS}/roles", roles),
        api(f"{USERS}/teams", teams),
        api(USERS + "/{user}", one),
        api(USERS + "/{user}", change, "PUT"),
        api(USERS + "/{user}", drop, "DELETE"),
        api("/crm/v3/objects/users/search", search, "POST"),
        api("/crm/v3/owners/", owners),
    ]


def _user(member: Member) -> dict[str, Any]:
    row: dict[str, Any] = {"id": member.id, "email": member.email, "superAdmin": member.role != "member"}
    if role := member.extra.get("roleId"):
        row |= {"roleId": role, "roleIds": [role]}
    if member.groups:
        row |= {"primaryTeamId": member.groups[0], "secondaryTeamIds": member.groups[1:]}
    return row


def _owner(member: Member) -> dict[str, Any]:
    archived = member.state == "suspended"
    return {
        "id": f"3{member.id}",
        "email": member.email,
        "type": "PERSON",
        "firstName": member.given,
        "lastName": member.family,
        "userId": None if archived else int(member.id),
        "userIdIncludingInactive": int(member.id),
        "createdAt": member.created_at.isoformat(),
        "archived": archived,
        "teams": [],
    }


def prepare(directory: Directory, company: Company) -> None:
    directory.groups = {str(9100000 + n): row["title"] for n, row in enumerate(company.departments.values())}


SIMULATOR = Simulator(
    slug="hubspot",
    record={"client_id": "c0ffee00-5a4d-4b0c-9d2e-000000000001", "client_secret": "hubspot-sandbox-secret"},
    routes=routes,
    new_id=lambda n: str(61000000 + n),
    rate_limited=rate_limited,
    failed=lambda status: refused(status, "INTERNAL_ERROR", "internal error"),
    prepare=prepare,
)
