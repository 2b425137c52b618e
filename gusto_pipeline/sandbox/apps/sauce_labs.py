"""Sauce Labs' Team Management API v1: users, their activation, teams.

Paths end in a slash. Who is pending shows only in the list's filter. Passwords have rules, wrong values are answered
with lists by field, and nothing deletes a user.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member, State
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token
from gusto_pipeline.sandbox.gusto.world import Company

ROOT = "/team-management/v1"
ORGANIZATION = "7fb25570b4064716b9b6daae1a846790"
ROLES = {1: "Organization Admin", 4: "Team Admin", 3: "Member"}
STATES: dict[str, State] = {"active": "active", "pending": "invited", "inactive": "suspended"}
# At least 8 characters, of each kind one, no space.
PASSWORD = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[^\w\s]|.*_)\S{8,}")


def detail(status: int, text: str) -> JSONResponse:
    return JSONResponse({"detail": text}, status)


def wrong(**fields: str) -> JSONResponse:
    return JSONResponse({field: [text] for field, text in fields.items()}, 400)


def no_seat() -> JSONResponse:
    errors = ["The organization's seat limit is reached."]
    return JSONResponse({"status_code": 400, "non_field_errors": errors}, 400)


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Callable[[Request, Any], Response], method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            pair = base64.b64decode(bearer_token(request, "Basic")).decode()
            good = f"{directory.secret['username']}:{directory.secret['access_key']}"
            if pair != good or directory.faults.strike(request.url.path, "expired"):
                return detail(401, "Invalid username/password.")
            return answer(request, await request.json() if await request.body() else {})

        return Route(ROOT + path, guarded, methods=[method])

    def listing(request: Request, rows: list[dict[str, Any]], total: int) -> Response:
        limit, offset = (int(request.query_params.get(k, v)) for k, v in (("limit", 20), ("offset", 0)))
        limit = min(limit, 100)
        url = f"https://api.us-west-1.saucelabs.com{request.url.path}?limit={limit}&offset="
        links = {
            "next": f"{url}{offset + limit}" if offset + limit < len(rows) else None,
            "previous": f"{url}{max(0, offset - limit)}" if offset else None,
            "first": f"{url}0",
            "last": f"{url}{max(0, (len(rows) - 1) // limit * limit)}",
        }
        return JSONResponse({"links": links, "count": total, "results": rows[offset : offset + limit]})

    def users(request: Request, body: Any) -> Response:
        asked = request.query_params.get("status")
        states = (STATES[asked],) if asked else tuple(STATES.values())
        name = request.query_params.get("username")

        def fits(member: Member) -> bool:
            return member.state in states and name in (None, _name(member))

        rows = [_user(directory, member) for member in directory.listed(request.url.path) if fits(member)]
        return listing(request, rows, sum(map(fits, directory.members.values())))

    def one(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["user"])
        return JSONResponse(_user(directory, member)) if member else detail(404, "Not found.")

    def add(request: Request, body: Any) -> Response:
        for field in ("first_name", "last_name", "email", "username", "password", "organization", "role"):
            if not body.get(field):
                return wrong(**{field: "This field is required."})
        if body["organization"] != ORGANIZATION:
            return wrong(organization="Object does not exist.")
        if body["role"] not in ROLES:
            return wrong(role=f'"{body["role"]}" is not a valid choice.')
        if body.get("team", next(iter(directory.groups))) not in directory.groups:
            return wrong(team="Object does not exist.")
        if not PASSWORD.fullmatch(body["password"]):
            return wrong(password="The password does not meet the rules.")
        if any(_name(member) == body["username"] for member in directory.members.values()):
            return wrong(username="A user with that username already exists.")
        if any(member.email.casefold() == body["email"].casefold() for member in directory.members.values()):
            return wrong(email="A user with that email already exists.")
        if directory.full():
            return JSONResponse(
                {"status_code": 400, "non_field_errors": ["The organization's seat limit is reached."]}, 400
            )
        member = directory.add(
            body["email"],
            body["first_name"],
            body["last_name"],
            role="admin" if body["role"] == 1 else "member",
            groups=[body["team"]] if "team" in body else [],
            extra={"username": body["username"], "role": body["role"]},
        )
        return JSONResponse(_user(directory, member), 201)

    def act(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["user"])
        if member is None:
            return detail(404, "Not found.")
        match request.url.path.rstrip("/").rpartition("/")[2]:
            case "deactivate" if member.state != "suspended":
                directory.change(member, "suspended")
            case "activate" if member.state == "suspended":
                if directory.full():
                    return no_seat()
                directory.change(member, "active")
            case "reset-access-key":
                member.extra["keys"] = member.extra.get("keys", 0) + 1
        return JSONResponse(_user(directory, member))

    def teams(request: Request, body: Any) -> Response:
        rows = [_team(directory, key) | {"org_uuid": ORGANIZATION, "user_count": 0} for key in directory.groups]
        return listing(request, rows, len(rows))

    def membership(request: Request, body: Any) -> Response:
        member = directory.members.get(body["user"])
        if member is None or body["team"] not in directory.groups:
            return wrong(team="Object does not exist.")
        member.groups = [body["team"]]
        return JSONResponse({"id": "1", "user": member.id, "team": body["team"]}, 201)

    return [
        api("/users/", users),
        api("/users/", add, "POST"),
        api("/users/{user}/", one),
        api("/users/{user}/activate/", act, "POST"),
        api("/users/{user}/deactivate/", act, "POST"),
        api("/users/{user}/reset-access-key/", act, "POST"),
        api("/teams/", teams),
        api("/membership/", membership, "POST"),
    ]


def _name(member: Member) -> str:
    return member.extra.get("username") or member.email.partition("@")[0]


def _team(directory: Directory, key: str) -> dict[str, Any]:
    return {"id": key, "name": directory.groups[key], "is_default": key == next(iter(directory.groups))}


def _user(directory: Directory, member: Member) -> dict[str, Any]:
    role = member.extra.get("role") or (3 if member.role == "member" else 1)
    return {
        "id": member.id,
        "username": _name(member),
        "email": member.email,
        "first_name": member.given,
        "last_name": member.family,
        "is_active": member.state != "suspended",
        "created_at": member.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": (member.changed_at or member.created_at).isoformat().replace("+00:00", "Z"),
        "teams": [_team(directory, key) for key in member.groups or [next(iter(directory.groups))]],
        "roles": [{"role": role, "name": ROLES[role]}],
        "user_type": "subaccount",
        "organization": {"id": ORGANIZATION, "name": directory.organization},
        "is_organization_admin": role == 1,
        "is_team_admin": role == 4,
        "is_staff": False,
        "is_superuser": False,
    }


def prepare(directory: Directory, company: Company) -> None:
    directory.groups = {f"{n:032x}": row["title"] for n, row in enumerate(company.departments.values(), 0x80D69D16)}


SIMULATOR = Simulator(
    slug="sauce_labs",
    record={"username": "org-admin", "access_key": "3b1f7c6e-5d2a-4c8b-9e0f-a1b2c3d4e5f6"},
    routes=routes,
    new_id=lambda n: f"{0x9F7E3B40 + n:032x}",
    rate_limited=lambda seconds: detail(429, "Request was throttled."),
    prepare=prepare,
)
