"""Dynatrace's Account Management API for one account: users in one answer, groups, and tokens of five minutes.

Users are addressed by e-mail in the path; changes answer without a body; who was invited is PENDING. Too many requests
are refused without saying for how long.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token, oauth_routes
from gusto_pipeline.sandbox.gusto.world import Company

ACCOUNT = "3f6d0b3e-5f1c-4a54-9d6a-7b0f2e9c1a77"
ROOT = "/iam/v1/accounts/{account}"
STATUSES = {"active": "ACTIVE", "invited": "PENDING", "suspended": "INACTIVE"}
EVERYONE = "all-users"


def refused(status: int, message: str) -> JSONResponse:
    return JSONResponse({"code": status, "message": message, "errorsMap": {}}, status)


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Any, method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            if not directory.accepts(bearer_token(request), request.url.path):
                return refused(401, "The access token is missing or has expired")
            if request.path_params["account"] != ACCOUNT:
                return refused(403, "The client has no access to this account")
            body = await request.json() if await request.body() else None
            email = request.path_params.get("email")
            member = directory.by_email(email) if email else None
            if email and member is None:
                return refused(400, f"User {email} not found")
            answered: Response = answer(request, body, member)
            return answered

        return Route(ROOT + path, guarded, methods=[method])

    def users(request: Request, body: Any, member: None) -> Response:
        rows = [_user(each) | _login(each) for each in directory.listed(request.url.path)]
        return JSONResponse({"count": len(directory.there()), "items": rows})

    def create(request: Request, body: Any, member: None) -> Response:
        email = body["email"]
        if directory.by_email(email):
            return refused(400, f"User {email} already exists in the account")
        directory.add(email, "", "", state="invited", invited_at=directory.clock.now())
        directory.mails.append((email, "invitation"))
        return Response(status_code=201)

    def user(request: Request, body: Any, member: Member) -> Response:
        account = {"accountUUID": ACCOUNT, "accountName": directory.organization}
        rows = [_group(directory, key) for key in member.groups]
        named = [{**row, **account, "groupName": row["name"], "description": ""} for row in rows]
        groups = [{key: value for key, value in row.items() if key != "name"} for row in named]
        return JSONResponse(_user(member) | {"groups": groups})

    def remove(request: Request, body: Any, member: Member) -> Response:
        del directory.members[member.id]
        directory.changes += 1
        return Response(status_code=200)

    def groups(request: Request, body: Any, member: None) -> Response:
        rows = [_group(directory, key) for key in directory.groups]
        return JSONResponse({"count": len(rows), "items": rows})

    def editable(keys: list[str]) -> Response | None:
        if unknown := set(keys) - directory.groups.keys():
            return refused(400, f"Groups {', '.join(sorted(unknown))} not found")
        return refused(400, "Only local groups can be changed") if EVERYONE in keys else None

    def join(request: Request, body: Any, member: Member) -> Response:
        if no := editable(body):
            return no
        member.groups = list(dict.fromkeys([*member.groups, *body]))
        return Response(status_code=201)

    def leave(request: Request, body: Any, member: Member) -> Response:
        keys = request.query_params.getlist("group-uuid")
        if no := editable(keys):
            return no
        member.groups = [key for key in member.groups if key not in keys]
        return Response(status_code=200)

    return [
        *oauth_routes(directory, "/sso/oauth2/authorize", "/sso/oauth2/token", lifetime=300),
        api("/users", users),
        api("/users", create, "POST"),
        api("/users/{email}", user),
        api("/users/{email}", join, "POST"),
        api("/users/{email}", remove, "DELETE"),
        api("/users/{email}/groups", leave, "DELETE"),
        api("/groups", groups),
    ]


def _user(member: Member) -> dict[str, Any]:
    names = {"name": member.given, "surname": member.family} if member.name else {}
    row = {"uid": member.id, "email": member.email, "userStatus": STATUSES[member.state], "emergencyContact": False}
    return row | names


def _login(member: Member) -> dict[str, Any]:
    if member.last_seen is None:
        return {}
    facts: dict[str, Any] = {"successfulLoginCounter": 3, "failedLoginCounter": 0}
    seen, made = _time(member.last_seen), _time(member.created_at)
    facts |= {"lastSuccessfulLogin": seen, "lastFailedLogin": made, "createdAt": made, "updatedAt": seen}
    return {"userLoginMetadata": facts}


def _group(directory: Directory, key: str) -> dict[str, Any]:
    at, owner = "2021-05-01T15:11:00Z", "ALL_USERS" if key == EVERYONE else "LOCAL"
    return {"uuid": key, "name": directory.groups[key], "owner": owner, "createdAt": at, "updatedAt": at}


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def prepare(directory: Directory, company: Company) -> None:
    titles = [row["title"] for row in company.departments.values()]
    directory.groups = {f"5f2c1b6e-0000-4000-8000-{n:012}": title for n, title in enumerate(titles)}
    directory.groups[EVERYONE] = "All users"


SIMULATOR = Simulator(
    slug="dynatrace",
    record={"client_id": "dt0s02.SANDBOX", "client_secret": "dt0s02.SANDBOX.secret", "account_uuid": ACCOUNT},
    routes=routes,
    new_id=lambda n: f"8a1f0c44-0000-4000-8000-{n:012}",
    rate_limited=lambda seconds: refused(429, "Too many requests"),
    prepare=prepare,
    spared=("/sso", "/_sandbox"),
)
