"""Zoho Books' REST API v3: users of an organization and what is done to them.

Every call names the organization in its query. `code` is 0 for success; creation answers without the new id. Deleted
users stay in the list. The last active admin stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member, Role, State
from gusto_pipeline.sandbox.apps.simulator import Simulator
from gusto_pipeline.sandbox.apps.zoho import CLIENT, ORGANIZATION, accounts_server, signed_in

ROOT = "/books/v3"
ROLES = {"982000000006005": "admin", "982000000006008": "staff"}
FILTERS: dict[str, tuple[State, ...]] = {
    "Status.All": ("active", "invited", "suspended", "deleted"),
    "Status.Active": ("active",),
    "Status.Inactive": ("suspended",),
    "Status.Invited": ("invited",),
    "Status.Deleted": ("deleted",),
}


def refused(status: int, code: int, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status)


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Callable[[Request, Any], Response], method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            if not signed_in(directory, request):
                return refused(401, 14, "Invalid value passed for authtoken.")
            asked = {request.query_params.get("organization_id"), request.path_params.get("organization", ORGANIZATION)}
            if asked != {ORGANIZATION}:
                return refused(400, 6041, "This user is not associated with the CompanyID/CompanyName.")
            return answer(request, await request.json() if method == "POST" and await request.body() else None)

        return Route(ROOT + path, guarded, methods=[method])

    def organization(request: Request, body: Any) -> Response:
        row = {"organization_id": ORGANIZATION, "name": directory.organization, "is_default_org": True}
        return JSONResponse({"code": 0, "message": "success", "organization": row})

    def users(request: Request, body: Any) -> Response:
        page, per_page = (int(request.query_params.get(k, v)) for k, v in (("page", 1), ("per_page", 200)))
        wanted = FILTERS.get(request.query_params.get("filter_by", "Status.All"))
        if wanted is None or not 1 <= per_page <= 200:
            return refused(400, 2, "Invalid value passed for filter_by or per_page")
        rows = directory.listed(request.url.path, *wanted)
        shown = [_user(member) for member in rows[(page - 1) * per_page : page * per_page]]
        context = {"page": page, "per_page": per_page, "has_more_page": page * per_page < len(rows)}
        return JSONResponse({"code": 0, "message": "success", "users": shown, "page_context": context})

    def one(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["user"])
        if member is None:
            return nobody()
        row = _user(member) | {"email_ids": [{"email": member.email, "is_selected": True}], "is_employee": False}
        del row["email"], row["is_current_user"]
        row["created_time"] = member.created_at.date().isoformat()
        return JSONResponse({"code": 0, "message": "success", "user": row})

    def nobody() -> Response:
        return refused(404, 1002, "User does not exist.")

    def add(request: Request, body: Any) -> Response:
        for field in ("name", "email"):
            if not body.get(field):
                return refused(400, 4, f"Invalid value passed for {field}")
        if body.get("role_id") not in (None, *ROLES):
            return refused(400, 4, "Invalid value passed for role_id")
        if directory.by_email(body["email"]):
            return refused(400, 102001, "A user with this email address already exists in your organization.")
        if directory.full():
            return refused(400, 102025, "You have reached the maximum number of users for your plan.")
        given, _, family = body["name"].partition(" ")
        role: Role = "admin" if ROLES.get(body.get("role_id")) == "admin" else "member"
        invite(directory.add(body["email"], given, family, state="invited", role=role))
        return JSONResponse({"code": 0, "message": "Your invitation has been sent."}, 201)

    def invite(member: Member) -> None:
        member.invited_at = directory.clock.now()
        directory.mails.append((member.email, "invitation"))

    def act(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["user"])
        action = "delete" if request.method == "DELETE" else request.url.path.rpartition("/")[2]
        if member is None or member.state == "deleted":
            return nobody()
        if action == "invite":
            if member.state != "invited":
                return refused(400, 102006, "The user has already accepted the invitation.")
            invite(member)
            return JSONResponse({"code": 0, "message": "Your invitation has been sent."})
        state, said = ACTIONS[action]
        if member.state == state:
            return refused(400, 102005, f"The user is already {action}.")
        admins = [m for m in directory.members.values() if m.role != "member" and m.state == "active"]
        if state != "active" and admins == [member]:
            return refused(400, 102007, "The only admin of the organization cannot be removed.")
        if state == "active" and directory.full():
            return refused(400, 102025, "You have reached the maximum number of users for your plan.")
        directory.change(member, state)
        return JSONResponse({"code": 0, "message": said})

    return [
        *accounts_server(directory),
        api("/organizations/{organization}", organization),
        api("/users", users),
        api("/users", add, "POST"),
        api("/users/{user}", one),
        api("/users/{user}", act, "DELETE"),
        api("/users/{user}/invite", act, "POST"),
        api("/users/{user}/active", act, "POST"),
        api("/users/{user}/inactive", act, "POST"),
    ]


ACTIONS: dict[str, tuple[State, str]] = {
    "active": ("active", "The user has been marked as active."),
    "inactive": ("suspended", "The user has been marked as inactive."),
    "delete": ("deleted", "The user has been removed from your organization."),
}


def _user(member: Member) -> dict[str, Any]:
    role = "staff" if member.role == "member" else "admin"
    return {
        "user_id": member.id,
        "role_id": next(key for key, name in ROLES.items() if name == role),
        "name": member.name,
        "email": member.email,
        "user_role": role,
        "user_type": "zoho",
        "status": "inactive" if member.state == "suspended" else member.state,
        "is_current_user": member.role == "owner",
        "photo_url": f"https://contacts.zoho.com/file?ID={member.id}&fs=thumb",
    }


SIMULATOR = Simulator(
    slug="zoho_books",
    record={**CLIENT, "organization_id": ORGANIZATION},
    routes=routes,
    new_id=lambda n: f"982000{n:09}",
    rate_limited=lambda seconds: refused(429, 44, "For security reasons you have been blocked for some time as you "
                                         "have exceeded the maximum number of requests per minute."),
    failed=lambda status: refused(status, 1000, "Internal error"),
)  # fmt: skip
