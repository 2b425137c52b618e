"""Asana's REST API 1.0: workspace memberships, adding and removing, teams.

Bodies are wrapped in `data`, errors in `errors`; fields beyond gid and name come only when asked for (`opt_fields`);
pages by an offset token; invited and active people look alike.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token, oauth_routes
from gusto_pipeline.sandbox.gusto.world import Company

WORKSPACE = "1200000000000001"
ROOT = "/api/1.0"


def refused(status: int, message: str, **headers: str) -> JSONResponse:
    return JSONResponse(
        {"errors": [{"message": message, "help": "For more information on API status codes and how to handle them, "
                     "read the docs on errors: https://developers.asana.com/docs/errors"}]}, status, headers
    )  # fmt: skip


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Any, method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            if not directory.accepts(bearer_token(request), request.url.path):
                return refused(401, "Not Authorized")
            if request.path_params.get("workspace", WORKSPACE) != WORKSPACE:
                return refused(404, f"workspace: Not a recognized ID: {request.path_params['workspace']}")
            body = (await request.json())["data"] if method == "POST" else {}
            answered: Response = answer(request, body)
            return answered

        return Route(ROOT + path, guarded, methods=[method])

    def workspace(request: Request, body: dict[str, Any]) -> Response:
        row = {"gid": WORKSPACE, "resource_type": "workspace", "name": directory.organization}
        return JSONResponse({"data": row})

    def users(request: Request, body: dict[str, Any]) -> Response:
        asked = request.query_params
        if "limit" in asked and asked.get("workspace") != WORKSPACE:
            return refused(400, "workspace: Missing input")
        fields = set(asked.get("opt_fields", "").split(","))
        return page(
            request, [_user(member, fields) for member in directory.listed(request.url.path, "active", "invited")]
        )

    def memberships(request: Request, body: dict[str, Any]) -> Response:
        fields = set(filter(None, request.query_params.get("opt_fields", "").split(",")))
        rows = directory.listed(request.url.path, "active", "invited", "deleted")
        if who := request.query_params.get("user"):
            rows = [member for member in rows if who in (member.id, member.email)]
            if not rows:
                return refused(404, f"user: Unknown object: {who}")
        return page(request, [_membership(member, fields) for member in rows])

    def page(request: Request, rows: Sequence[dict[str, Any]]) -> Response:
        limit, offset = int(request.query_params.get("limit", 0)), request.query_params.get("offset")
        if "limit" in request.query_params and not 1 <= limit <= 100:
            return refused(400, "limit: Must be between 1 and 100")
        start = int(base64.urlsafe_b64decode(offset)) if offset else 0
        following, token = None, base64.urlsafe_b64encode(str(start + limit).encode()).decode()
        if limit and start + limit < len(rows):
            path = f"{request.url.path.removeprefix(ROOT)}?limit={limit}&offset={token}"
            following = {"offset": token, "path": path, "uri": f"https://app.asana.com{ROOT}{path}"}
        shown = rows[start : start + limit] if limit else rows
        return JSONResponse({"data": list(shown), "next_page": following})

    def add(request: Request, body: dict[str, Any]) -> Response:
        email = str(body["user"])
        member = directory.by_email(email, "active", "invited")
        if member is None:
            if directory.full():
                return refused(403, "There are no seats left on your plan to add this user")
            if member := directory.by_email(email, "deleted"):
                directory.change(member, "invited")
            else:
                member = directory.add(email, email.partition("@")[0], "", state="invited")
            member.invited_at = directory.clock.now()
            directory.mails.append((email, "invitation"))
        return JSONResponse({"data": _user(member, {"user.name", "user.email"})})

    def drop(request: Request, body: dict[str, Any]) -> Response:
        who = str(body["user"])
        member = next((m for m in directory.members.values() if who in (m.id, m.email)), None)
        if member is None or member.state == "deleted":
            return refused(404, f"user: Unknown object: {who}")
        directory.change(member, "deleted")
        return JSONResponse({"data": {}})

    def teams(request: Request, body: dict[str, Any]) -> Response:
        return page(request, [_team(gid, name) for gid, name in directory.groups.items()])

    def team_member(request: Request, body: dict[str, Any]) -> Response:
        team, member = request.path_params["team"], directory.members.get(str(body["user"]))
        if team not in directory.groups or member is None:
            return refused(404, f"team: Unknown object: {team}")
        if request.url.path.endswith("removeUser"):
            member.groups = [gid for gid in member.groups if gid != team]
            return JSONResponse({"data": {}})
        member.groups = [*{*member.groups, team}]
        user = _user(member, {"user.name"})
        membership = {"gid": f"{team}{member.id}", "resource_type": "team_membership", "user": user}
        return JSONResponse({"data": membership | {"team": _team(team, directory.groups[team])}})

    return [
        *oauth_routes(directory, "/-/oauth_authorize", "/-/oauth_token"),
        api("/workspaces/{workspace}", workspace),
        api("/users", users),
        api("/workspaces/{workspace}/workspace_memberships", memberships),
        api("/workspaces/{workspace}/addUser", add, "POST"),
        api("/workspaces/{workspace}/removeUser", drop, "POST"),
        api("/workspaces/{workspace}/teams", teams),
        api("/teams/{team}/addUser", team_member, "POST"),
        api("/teams/{team}/removeUser", team_member, "POST"),
    ]


def _team(gid: str, name: str) -> dict[str, Any]:
    return {"gid": gid, "resource_type": "team", "name": name}


def _user(member: Member, fields: set[str]) -> dict[str, Any]:
    user = {"gid": member.id, "resource_type": "user", "name": member.name}
    return user | ({"email": member.email} if "user.email" in fields else {})


def _membership(member: Member, fields: set[str]) -> dict[str, Any]:
    facts = {
        "is_active": member.state != "deleted",
        "is_admin": member.role != "member",
        "is_guest": False,
        "is_view_only": False,
        "created_at": member.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    row = {"gid": f"77{member.id}", "resource_type": "workspace_membership", "user": _user(member, fields)}
    return row | {name: value for name, value in facts.items() if name in fields}


def prepare(directory: Directory, company: Company) -> None:
    directory.groups = {f"13000000000000{n:02}": row["title"] for n, row in enumerate(company.departments.values())}


SIMULATOR = Simulator(
    slug="asana",
    record={"client_id": "1199999999999999", "client_secret": "asana-sandbox-secret", "workspace": WORKSPACE},
    routes=routes,
    new_id=lambda n: str(1210000000000000 + n),
    rate_limited=lambda seconds: refused(429, "You have made too many requests recently. Please, be chill.",
                                         **{"retry-after": f"{seconds:g}"}),
    prepare=prepare,
    spared=("/-/oauth", "/_sandbox"),
)  # fmt: skip
