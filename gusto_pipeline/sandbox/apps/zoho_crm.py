"""Zoho CRM's REST API v8: users, their count, profiles, roles, and the organization.

Users and refusals of one user are wrapped in `users`; nothing found is a 204. Deleted users are in no list and still
answer by id. The organization's primary contact stays. Whether the count has deleted users in it and the list has
unconfirmed ones is not documented: `directory.extra` says it, as the states that are `counted` and `listed`.
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

ROOT = "/crm/v8"
THERE = ("active", "invited", "suspended")
ROLES = {"554023000000026005": "CEO", "554023000000026008": "Manager"}
PROFILES = {"554023000000026011": "Administrator", "554023000000026014": "Standard"}


def refused(status: int, code: str, message: str, **details: Any) -> JSONResponse:
    """A refusal of the whole request."""
    return JSONResponse({"code": code, "details": details, "message": message, "status": "error"}, status)


def user_refused(code: str, message: str, **details: Any) -> JSONResponse:
    row = {"code": code, "details": details, "message": message, "status": "error"}
    return JSONResponse({"users": [row]}, 400)


def done(member: Member, what: str, status: int = 200) -> JSONResponse:
    row = {"code": "SUCCESS", "details": {"id": member.id}, "message": f"User {what}", "status": "success"}
    return JSONResponse({"users": [row]}, status)


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Callable[[Request, dict[str, Any]], Response], method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            if not signed_in(directory, request):
                return refused(401, "INVALID_TOKEN", "invalid oauth token")
            user = (await request.json())["users"][0] if method in ("POST", "PUT") else {}
            return answer(request, user)

        return Route(ROOT + path, guarded, methods=[method])

    def organization(request: Request, user: dict[str, Any]) -> Response:
        primary = next(m for m in directory.members.values() if m.role == "owner")
        row = {
            "id": "554023000000020005",
            "zgid": ORGANIZATION,
            "company_name": directory.organization,
            "primary_email": primary.email,
            "primary_zuid": _zuid(primary),
        }
        return JSONResponse({"org": [row]})

    def users(request: Request, user: dict[str, Any]) -> Response:
        page, per_page = (int(request.query_params.get(k, v)) for k, v in (("page", 1), ("per_page", 200)))
        if not 1 <= per_page <= 200:
            return refused(400, "PATTERN_NOT_MATCHED", "Please check whether the input values are correct",
                           api_name="per_page")  # fmt: skip
        rows = directory.listed(request.url.path, *directory.extra.get("listed", THERE))
        shown = rows[(page - 1) * per_page : page * per_page]
        if not shown:
            return Response(status_code=204)
        info = {"per_page": per_page, "count": len(shown), "page": page, "more_records": page * per_page < len(rows)}
        return JSONResponse({"users": [_user(member) for member in shown], "info": info})

    def count(request: Request, user: dict[str, Any]) -> Response:
        kinds = {"DeletedUsers": ["deleted"], "NotConfirmedUsers": ["invited"]}
        states = kinds.get(request.query_params.get("type", ""), directory.extra.get("counted", THERE))
        return JSONResponse({"count": str(len(directory.there(*states)))})

    def one(request: Request, user: dict[str, Any]) -> Response:
        member = directory.members.get(request.path_params["user"])
        if member is None:
            return refused(400, "INVALID_DATA", "the id given seems to be invalid", resource_path_index=0)
        info = {"per_page": 200, "count": 1, "page": 1, "more_records": False}
        return JSONResponse({"users": [_user(member)], "info": info})

    def add(request: Request, user: dict[str, Any]) -> Response:
        for name in ("last_name", "email", "role", "profile"):
            if not user.get(name):
                return user_refused("MANDATORY_NOT_FOUND", "required field not found", api_name=name)
        for name, there in (("role", ROLES), ("profile", PROFILES)):
            if user[name] not in there:
                return user_refused("INVALID_DATA", "the id given seems to be invalid", api_name=name)
        if directory.by_email(user["email"]):
            return user_refused("DUPLICATE_DATA", "Failed to add user since same email id is already present",
                                api_name="email", json_path="$.users[0].email")  # fmt: skip
        if directory.full():
            return user_refused(
                "LICENSE_LIMIT_EXCEEDED", "Request exceeds your license limit. Need to upgrade in order to add"
            )
        rights = {"role": user["role"], "profile": user["profile"]}
        member = directory.add(
            user["email"], user.get("first_name", ""), user["last_name"], state="invited", extra=rights
        )
        member.invited_at = directory.clock.now()
        directory.mails.append((member.email, "invitation"))
        return done(member, "added", 201)

    def change(request: Request, user: dict[str, Any]) -> Response:
        member = directory.members.get(request.path_params["user"])
        if member is None:
            return user_refused("INVALID_DATA", "the id given seems to be invalid", id=request.path_params["user"])
        if member.state == "deleted":
            return user_refused("CANNOT_UPDATE_DELETED_USER", "Deleted user cannot be updated")
        if user.get("status") == "inactive":
            if member.state == "suspended":
                return user_refused("ID_ALREADY_DEACTIVATED", "User is already deactivated", id=member.id)
            if member.role == "owner":
                return user_refused("INVALID_REQUEST", "Primary Contact cannot be deactivated", id=member.id)
            directory.change(member, "suspended")
        elif user.get("status") == "active":
            if member.state == "active":
                return user_refused("ID_ALREADY_ACTIVE", "User is already active", id=member.id)
            if directory.full():
                return user_refused(
                    "LICENSE_LIMIT_EXCEEDED", "Request exceeds your license limit. Need to upgrade in order to add"
                )
            directory.change(member, "active")
        return done(member, "updated")

    def drop(request: Request, user: dict[str, Any]) -> Response:
        member = directory.members.get(request.path_params["user"])
        if member is None:
            return user_refused("INVALID_DATA", "the id given seems to be invalid", id=request.path_params["user"])
        if member.state == "deleted":
            return user_refused("ID_ALREADY_DELETED", "User is already deleted", id=member.id)
        if member.role == "owner":
            return user_refused("INVALID_REQUEST", "Primary contact cannot be deleted", id=member.id)
        directory.change(member, "deleted")
        return done(member, "deleted")

    def roles(request: Request, user: dict[str, Any]) -> Response:
        rows = [
            {"id": key, "name": name, "display_label": name, "admin_user": name == "CEO"} for key, name in ROLES.items()
        ]
        return JSONResponse({"roles": rows})

    def profiles(request: Request, user: dict[str, Any]) -> Response:
        return JSONResponse({"profiles": [_profile(key, name) for key, name in PROFILES.items()]})

    return [
        *accounts_server(directory),
        api("/org", organization),
        api("/users", users),
        api("/users", add, "POST"),
        api("/users/actions/count", count),
        api("/users/{user}", one),
        api("/users/{user}", change, "PUT"),
        api("/users/{user}", drop, "DELETE"),
        api("/settings/roles", roles),
        api("/settings/profiles", profiles),
    ]


def _zuid(member: Member) -> str:
    return f"69{member.id[-9:]}"


def _user(member: Member) -> dict[str, Any]:
    status = {"active": "active", "invited": "active", "suspended": "inactive", "deleted": "deleted"}
    profile = member.extra.get("profile") or list(PROFILES)[member.role == "member"]
    role = member.extra.get("role") or list(ROLES)[member.role != "owner"]
    return {
        "id": member.id,
        "zuid": None if member.state == "invited" else _zuid(member),
        "full_name": member.name,
        "first_name": member.given,
        "last_name": member.family,
        "email": member.email,
        "alias": None,
        "phone": member.phone,
        "status": status[member.state],
        "status_reason__s": None,
        "confirm": member.state != "invited",
        "role": {"id": role, "name": ROLES[role]},
        "profile": {"id": profile, "name": PROFILES[profile]},
        "created_time": member.created_at.isoformat(timespec="seconds"),
        "Isonline": False,
        "category": "regular_user",
        "personal_account": False,
        "time_zone": None,
    }


def _profile(key: str, name: str) -> dict[str, Any]:
    by, at = {"name": "Zoho", "id": None}, "2023-01-01T00:00:00+00:00"
    return {
        "id": key,
        "name": name,
        "display_label": name,
        "description": f"The {name.lower()} profile",
        "permissions_details": [],
        "sections": [],
        "created_time": at,
        "modified_time": at,
        "created_by": by,
        "modified_by": by,
        "category": False,
        "custom": False,
        "type": "normal_profile",
    }


SIMULATOR = Simulator(
    slug="zoho_crm",
    record=CLIENT,
    routes=routes,
    new_id=lambda n: f"554023{n:012}",
    rate_limited=lambda seconds: refused(429, "TOO_MANY_REQUESTS", "Too many requests fired in one minute"),
    failed=lambda status: refused(status, "INTERNAL_SERVER_ERROR", "Internal Server Error"),
)
