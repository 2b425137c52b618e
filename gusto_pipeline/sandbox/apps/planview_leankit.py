"""Planview LeanKit's "io" API: users, and the invitations that the connected administrator sent.

Ids are strings; lists come with `pageMeta`; invited people are no users yet. Retry-After is a date. The account's owner
stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.clock import utcnow
from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token
from gusto_pipeline.sandbox.gusto.world import Company

ROOT = "/io"
ORGANIZATION = "10113280894"
LICENCES = ("full", "reader", "focused")
REQUIRED = ("emailAddress", "firstName", "lastName", "password")


def refused(status: int, error: str, message: str, **headers: str) -> JSONResponse:
    return JSONResponse({"statusCode": status, "error": error, "message": message}, status, headers)


def too_many(seconds: float) -> Response:
    at = utcnow() + timedelta(seconds=seconds)  # compared with the Date header, which has the real time
    at = datetime.fromtimestamp(math.ceil(at.timestamp()), UTC)
    headers = {"retry-after": format_datetime(at, usegmt=True), "x-ratelimit-limit": "1000"}
    headers |= {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(at.timestamp()))}
    return refused(429, "Too Many Requests", "Rate limit exceeded", **headers)


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Callable[[Request, Any], Response], method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            expired = directory.faults.strike(request.url.path, "expired")
            if expired or bearer_token(request) != directory.secret["api_token"]:
                return refused(401, "Unauthorized", "Invalid token")
            return answer(request, await request.json() if method in ("POST", "PATCH") else None)

        return Route(ROOT + path, guarded, methods=[method])

    def page(request: Request, key: str, rows: list[dict[str, Any]], total: int, default: int, most: int) -> Response:
        offset, limit = int(request.query_params.get("offset", 0)), int(request.query_params.get("limit", default))
        limit = min(limit, most)
        shown = rows[offset : offset + limit]
        meta = {"totalRecords": total, "offset": offset, "limit": limit}
        meta |= {"startRow": offset + 1 if shown else 0, "endRow": offset + len(shown)}
        return JSONResponse({"pageMeta": meta, key: shown})

    def users(request: Request, body: Any) -> Response:
        rows = directory.listed(request.url.path, "active", "suspended")
        total = sum(member.state in ("active", "suspended") for member in directory.members.values())
        if search := request.query_params.get("search", "").casefold():
            rows = [member for member in rows if search in f"{member.email} {member.name}".casefold()]
            total = len(rows)
        return page(request, "users", [_user(member) for member in rows], total, 100, 1000)

    def me(request: Request, body: Any) -> Response:
        return JSONResponse(_user(next(m for m in directory.members.values() if m.role == "owner")))

    def known(request: Request) -> Member | None:
        member = directory.members.get(request.path_params["user"])
        return member if member and member.state in ("active", "suspended") else None

    def not_found() -> Response:
        return refused(404, "Not Found", "Resource not found")

    def one(request: Request, body: Any) -> Response:
        member = known(request)
        return JSONResponse(_user(member)) if member else not_found()

    def add(request: Request, body: Any) -> Response:
        if missing := [field for field in REQUIRED if not body.get(field)]:
            return refused(422, "Unprocessable Entity", f"{missing[0]} is required")
        if body.get("licenseType", "full") not in LICENCES:
            return refused(422, "Unprocessable Entity", f"licenseType must be one of {', '.join(LICENCES)}")
        if directory.by_email(body["emailAddress"], "active", "suspended"):
            return refused(409, "Conflict", "A user with this email address already exists")
        if directory.full():
            return refused(422, "Unprocessable Entity", "There are no licenses available")
        rights = {key: body.get(key) for key in ("boardCreator", "licenseType", "externalUserName")}
        member = directory.add(
            body["emailAddress"],
            body["firstName"],
            body["lastName"],
            state="active" if body.get("enabled", True) else "suspended",
            role="admin" if body.get("administrator") else "member",
            extra=rights,
        )
        return JSONResponse(_user(member))

    def change(request: Request, body: Any) -> Response:
        member = known(request)
        if member is None:
            return not_found()
        if member.role == "owner" and body.get("enabled") is False:
            return refused(403, "Forbidden", "The account owner cannot be disabled")
        if body.get("enabled") and member.state == "suspended" and directory.full():
            return refused(422, "Unprocessable Entity", "There are no licenses available")
        if "enabled" in body:
            directory.change(member, "active" if body["enabled"] else "suspended")
        return JSONResponse(_user(member))

    def drop(request: Request, body: Any) -> Response:
        member = known(request)
        if member is None:
            return not_found()
        if member.role == "owner":
            return refused(403, "Forbidden", "The account owner cannot be deleted")
        directory.change(member, "deleted")
        return Response(status_code=204)

    def invitations(request: Request, body: Any) -> Response:
        rows = [_invitation(member) for member in directory.members.values() if member.state == "invited"]
        return page(request, "invitations", rows, len(rows), 25, 100)

    def revoke(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["invitation"])
        if member is None or member.state != "invited":
            return not_found()
        if body.get("isRevoked"):
            directory.change(member, "deleted")
        return Response(status_code=204)

    return [
        api("/user", users),
        api("/user", add, "POST"),
        api("/user/me", me),
        api("/user/{user}", one),
        api("/user/{user}", change, "PATCH"),
        api("/user/{user}", drop, "DELETE"),
        api("/invitation", invitations),
        api("/invitation/{invitation}", revoke, "PATCH"),
    ]


def _when(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def _user(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "username": member.email,
        "firstName": member.given,
        "lastName": member.family,
        "fullName": member.name,
        "emailAddress": member.email,
        "lastAccess": _when(member.last_seen),
        "createdOn": _when(member.created_at),
        "enabled": member.state == "active",
        "deleted": False,
        "administrator": member.role != "member",
        "accountOwner": member.role == "owner",
        "boardCreator": bool(member.extra.get("boardCreator")) or member.role != "member",
        "licenseType": member.extra.get("licenseType") or "full",
        "externalUserName": member.extra.get("externalUserName"),
        "timeZone": "America/Los_Angeles",
        "dateFormat": "MM/dd/yyyy",
        "organizationId": ORGANIZATION,
    }


def _invitation(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "emailAddress": member.email,
        "emailSendStatus": "sent",
        "emailDateSent": _when(member.invited_at),
        "creationDate": _when(member.created_at),
        "acceptDate": None,
        "isExpired": False,
        "isRevoked": False,
        "invitedUser": None,
    }


def prepare(directory: Directory, company: Company) -> None:
    """Some have the lesser licence."""
    for number, member in enumerate(directory.members.values()):
        if number % 5 == 4 and member.role == "member":
            member.extra["licenseType"] = "reader"


SIMULATOR = Simulator(
    slug="planview_leankit",
    record={"account": "acme-tea-co", "api_token": "0f9e8d7c6b5a49382716"},
    routes=routes,
    new_id=lambda n: str(10_113_290_000 + n),
    rate_limited=too_many,
    prepare=prepare,
)
