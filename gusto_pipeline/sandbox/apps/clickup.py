"""ClickUp's API 2: one Workspace ("team") with its members in one answer, its plan, seats and groups.

The token stands bare in its header; times are milliseconds as text; who is invited has no name; `extra["plan"]` of the
directory is the plan, and other than Enterprise it neither invites nor removes.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.clock import utcnow
from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator
from gusto_pipeline.sandbox.gusto.world import Company

ROOT = "/api/v2"
TEAM = "9013400001"
ROLES = {"owner": 1, "admin": 2, "member": 3}


def refused(status: int, err: str, code: str, **headers: str) -> JSONResponse:
    return JSONResponse({"err": err, "ECODE": code}, status, headers)


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Any, method: str = "GET", *, plan: str = "") -> Route:
        async def guarded(request: Request) -> Response:
            if directory.faults.strike(request.url.path, "expired"):
                directory.extra["token_ended"] = True
            sent = request.headers.get("authorization")
            if not sent:
                return refused(401, "Authorization header required", "OAUTH_017")
            if sent != directory.secret["api_token"] or directory.extra.get("token_ended"):
                return refused(401, "Token invalid", "OAUTH_025")
            if request.path_params.get("team", TEAM) != TEAM:
                return refused(401, "Team not authorized", "OAUTH_027")
            if plan and directory.extra["plan"] != plan:
                return refused(403, "This feature is not available on your plan", "ACCESS_999")
            answered: Response = answer(request, await request.json() if await request.body() else {})
            return answered

        return Route(ROOT + path, guarded, methods=[method])

    def team(members: list[Member]) -> dict[str, Any]:
        rows = [_row(member) for member in members]
        return {"id": TEAM, "name": directory.organization, "color": "#000000", "avatar": None, "members": rows}

    def teams(request: Request, body: dict[str, Any]) -> Response:
        return JSONResponse({"teams": [team(directory.listed(request.url.path))]})

    def invite(request: Request, body: dict[str, Any]) -> Response:
        email = body["email"]
        if directory.by_email(email):
            return refused(400, "User already invited or in the Workspace", "TEAM_110")
        if directory.full():
            return refused(400, "Could not invite", "TEAM_100")
        role = "admin" if body["admin"] else "member"
        made = directory.add(email, "", "", state="invited", invited_at=directory.clock.now(), role=role)
        if custom := body.get("custom_role_id"):
            made.extra["custom_role"] = {"id": custom, "name": f"Custom role {custom}"}
        directory.mails.append((email, "invitation"))
        return JSONResponse({"team": team(directory.there()) | {"roles": []}})

    def remove(request: Request, body: dict[str, Any]) -> Response:
        member = directory.members.get(request.path_params["user"])
        guest = request.url.path.split("/")[-2] == "guest"
        if member is None or bool(member.extra.get("guest")) != guest:
            return refused(404, "User not found", "TEAM_028")
        if member.role == "owner":
            return refused(400, "Owner cannot be removed", "TEAM_029")
        del directory.members[member.id]
        directory.changes += 1
        return JSONResponse({"team": team(directory.there())})

    def plan(request: Request, body: dict[str, Any]) -> Response:
        return JSONResponse({"plan_name": directory.extra["plan"], "plan_id": 4})

    def seats(request: Request, body: dict[str, Any]) -> Response:
        total, filled = directory.seats or 5000, len(directory.there())
        member = {
            "filled_members_seats": filled,
            "total_member_seats": total,
            "empty_member_seats": max(0, total - filled),
        }
        return JSONResponse({"members": member, "guests": {"filled_guest_seats": 0, "total_guest_seats": 10,
                                                           "empty_guest_seats": 10}})  # fmt: skip

    def group(key: str) -> dict[str, Any]:
        members = [_user(member) for member in directory.there() if key in member.groups]
        return {"id": key, "team_id": TEAM, "name": directory.groups[key], "handle": key, "members": members}

    def groups(request: Request, body: dict[str, Any]) -> Response:
        if request.query_params.get("team_id") != TEAM:
            return refused(401, "Team not authorized", "OAUTH_027")
        return JSONResponse({"groups": [group(key) for key in directory.groups]})

    def update_group(request: Request, body: dict[str, Any]) -> Response:
        key = request.path_params["group"]
        if key not in directory.groups:
            return refused(404, "Group not found", "GROUP_001")
        for user in body["members"].get("rem", []):
            member = directory.members[str(user)]
            member.groups = [other for other in member.groups if other != key]
        for user in body["members"].get("add", []):
            directory.members[str(user)].groups.append(key)
        return JSONResponse(group(key))

    return [
        api("/team", teams),
        api("/team/{team}/plan", plan),
        api("/team/{team}/seats", seats),
        api("/team/{team}/user", invite, "POST", plan="Enterprise"),
        api("/team/{team}/user/{user}", remove, "DELETE", plan="Enterprise"),
        api("/team/{team}/guest/{user}", remove, "DELETE", plan="Enterprise"),
        api("/group", groups),
        api("/group/{group}", update_group, "PUT"),
    ]


def _user(member: Member) -> dict[str, Any]:
    joined = member.state != "invited"
    return {
        "id": int(member.id),
        "username": member.name if joined else None,
        "email": member.email,
        "color": "#ffffff",
        "profilePicture": None,
        "initials": f"{member.given[:1]}{member.family[:1]}".upper() or None,
        "role": 4 if member.extra.get("guest") else ROLES[member.role],
        "custom_role": member.extra.get("custom_role"),
        "last_active": _milliseconds(member.last_seen),
        "date_joined": _milliseconds(member.created_at) if joined else None,
        "date_invited": _milliseconds(member.invited_at or member.created_at),
    }


def _row(member: Member) -> dict[str, Any]:
    return {"user": _user(member), "invited_by": {"id": 1, "username": "Owner", "email": "owner@example.com"}}


def _milliseconds(at: datetime | None) -> str | None:
    return str(int(at.timestamp() * 1000)) if at else None


def prepare(directory: Directory, company: Company) -> None:
    directory.extra["plan"] = "Enterprise"
    titles = [row["title"] for row in company.departments.values()]
    directory.groups = {f"c7a2b6a0-0000-4000-8000-{n:012}": title for n, title in enumerate(titles)}


def too_many(seconds: float) -> Response:
    reset = math.ceil(utcnow().timestamp() + seconds)  # compared with the Date header, which has the real time
    limits = {"x-ratelimit-limit": "10000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
    return refused(429, "Rate limit reached", "APP_002", **limits)


SIMULATOR = Simulator(
    slug="clickup",
    record={"api_token": "pk_1_SANDBOXSANDBOXSANDBOXSANDBOX", "team": TEAM},
    routes=routes,
    new_id=lambda n: str(81_000_000 + n),
    rate_limited=too_many,
    prepare=prepare,
    spared=("/_sandbox",),
)
