"""Box's Content API 2.0: the users of an enterprise, their content as a number of bytes, groups.

Only the fields asked for come back; pages by marker, or by offset up to 10,000; a refresh token works once; deleting is
refused while somebody owns content. A move of content takes `extra["move_seconds"]` of the directory.
"""

from __future__ import annotations

import base64
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token, oauth_routes
from gusto_pipeline.sandbox.gusto.world import Company

ROOT = "/2.0"
ENTERPRISE = "11446498"
ROLES = {"owner": "admin", "admin": "coadmin", "member": "user"}
MINI = ("id", "type", "name", "login")
STANDARD = (
    *MINI, "created_at", "modified_at", "language", "timezone", "space_amount", "space_used", "max_upload_size",
    "status", "job_title", "phone", "address", "avatar_url", "notification_email",
)  # fmt: skip


def refused(status: int, code: str, message: str, **headers: str) -> JSONResponse:
    body = {"type": "error", "status": status, "code": code, "message": message, "request_id": "abcdef123456"}
    more = {"help_url": "http://developers.box.com/docs/#errors", "context_info": {}}
    return JSONResponse(body | more, status, headers)


def routes(directory: Directory) -> list[Route]:
    memberships: dict[str, tuple[str, str]] = directory.extra.setdefault("memberships", {})

    def api(path: str, answer: Any, method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            if not directory.accepts(bearer_token(request), request.url.path):
                return Response(status_code=401, headers={"www-authenticate": 'Bearer realm="Service"'})
            who = request.path_params.get("user")
            if who and who not in directory.members:
                return refused(404, "not_found", "Not Found")
            answered: Response = answer(request, await request.json() if await request.body() else {})
            return answered

        return Route(ROOT + path, guarded, methods=[method])

    def asked(request: Request) -> tuple[str, ...]:
        fields = request.query_params.get("fields")
        return (*MINI[:2], *fields.split(",")) if fields else STANDARD

    def me(request: Request, body: dict[str, Any]) -> Response:
        admin = next(member for member in directory.members.values() if member.role == "owner")
        return JSONResponse(_user(directory, admin, asked(request)))

    def listing(request: Request, body: dict[str, Any]) -> Response:
        query = request.query_params
        limit, offset = min(int(query.get("limit", 100)), 1000), int(query.get("offset", 0))
        if offset > 10_000:
            return refused(400, "bad_request", "The offset is too high")
        rows = directory.listed(request.url.path)
        if term := query.get("filter_term", "").lower():
            rows = [m for m in rows if m.name.lower().startswith(term) or m.email.lower().startswith(term)]
        if query.get("usemarker") != "true":
            shown = rows[offset : offset + limit]
            more: dict[str, Any] = {"offset": offset, "total_count": len(rows)}
        else:
            start = int(base64.b64decode(query["marker"])) if query.get("marker") else 0
            shown, end = rows[start : start + limit], start + limit
            more = {"next_marker": base64.b64encode(str(end).encode()).decode()} if end < len(rows) else {}
        return JSONResponse({"entries": [_user(directory, m, asked(request)) for m in shown], "limit": limit, **more})

    def one(request: Request, body: dict[str, Any]) -> Response:
        return JSONResponse(_user(directory, directory.members[request.path_params["user"]], asked(request)))

    def create(request: Request, body: dict[str, Any]) -> Response:
        if not body.get("name") or not body.get("login"):
            return refused(400, "bad_request", "Bad Request")
        if directory.by_email(body["login"]):
            return refused(409, "user_login_already_used", "User with the specified login already exists")
        if directory.full():
            return refused(400, "bad_request", "You have no user licenses left in your enterprise")
        given, _, family = body["name"].partition(" ")
        title, phone = body.get("job_title"), body.get("phone")
        role = "admin" if body.get("role") == "coadmin" else "member"
        member = directory.add(body["login"], given, family, role=role, title=title, phone=phone)
        directory.mails.append((member.email, "set password"))
        return JSONResponse(_user(directory, member, asked(request)), 201)

    def update(request: Request, body: dict[str, Any]) -> Response:
        member = directory.members[request.path_params["user"]]
        if member.role == "owner":
            return refused(403, "access_denied_insufficient_permissions", "Access denied - insufficient permission")
        if status := body.get("status"):
            directory.change(member, "suspended" if status == "inactive" else "active")
        return JSONResponse(_user(directory, member, asked(request)))

    def delete(request: Request, body: dict[str, Any]) -> Response:
        member = directory.members[request.path_params["user"]]
        if member.role == "owner":
            return refused(403, "access_denied_insufficient_permissions", "Access denied - insufficient permission")
        if member.extra.get("space_used") and request.query_params.get("force") != "true":
            return refused(409, "conflict", "User still owns content, move it or use force")
        del directory.members[member.id]
        directory.changes += 1
        return Response(status_code=204)

    def sign_out(request: Request, body: dict[str, Any]) -> Response:
        if not isinstance(body.get("user_ids"), list) or not isinstance(body.get("user_logins"), list):
            return refused(400, "bad_request", "Bad Request")
        directory.extra.setdefault("signed_out", []).extend(body["user_ids"])
        return JSONResponse({"message": "Request is successful, please check the admin events"}, 202)

    def move(request: Request, body: dict[str, Any]) -> Response:
        member, to = directory.members[request.path_params["user"]], directory.members.get(body["owned_by"]["id"])
        if to is None:
            return refused(404, "not_found", "Not Found")
        directory.clock.advance(directory.extra.get("move_seconds", 0))
        to.extra["space_used"] = to.extra.get("space_used", 0) + member.extra.pop("space_used", 0)
        folder = {
            "id": f"9{member.id}",
            "type": "folder",
            "name": f"{member.email} - {member.name}'s Files and Folders",
        }
        return JSONResponse(folder | {"owned_by": _user(directory, to, MINI)})

    def page(request: Request, rows: list[dict[str, Any]]) -> Response:
        limit, offset = int(request.query_params.get("limit", 100)), int(request.query_params.get("offset", 0))
        shown = rows[offset : offset + limit]
        return JSONResponse({"entries": shown, "limit": limit, "offset": offset, "total_count": len(rows)})

    def group(group_id: str) -> dict[str, Any]:
        return {"id": group_id, "type": "group", "name": directory.groups[group_id], "group_type": "managed_group"}

    def groups(request: Request, body: dict[str, Any]) -> Response:
        return page(request, [group(group_id) for group_id in directory.groups])

    def membership(membership_id: str) -> dict[str, Any]:
        user, group_id = memberships[membership_id]
        row = {"id": membership_id, "type": "group_membership", "role": "member", "group": group(group_id)}
        return row | {"user": _user(directory, directory.members[user], MINI)}

    def of_user(request: Request, body: dict[str, Any]) -> Response:
        user = request.path_params["user"]
        return page(request, [membership(each) for each, (who, _) in memberships.items() if who == user])

    def join(request: Request, body: dict[str, Any]) -> Response:
        pair = (body["user"]["id"], body["group"]["id"])
        if pair[0] not in directory.members or pair[1] not in directory.groups:
            return refused(404, "not_found", "Not Found")
        if pair in memberships.values():
            return refused(409, "conflict", "User is already in the group")
        memberships[membership_id := f"77{pair[0]}{pair[1]}"] = pair
        return JSONResponse(membership(membership_id), 201)

    def leave(request: Request, body: dict[str, Any]) -> Response:
        found = memberships.pop(request.path_params["membership"], None)
        return Response(status_code=204) if found else refused(404, "not_found", "Not Found")

    return [
        *oauth_routes(directory, "/api/oauth2/authorize", "/oauth2/token", rotates=True),
        api("/users/me", me),
        api("/users/terminate_sessions", sign_out, "POST"),
        api("/users", listing),
        api("/users", create, "POST"),
        api("/users/{user}", one),
        api("/users/{user}", update, "PUT"),
        api("/users/{user}", delete, "DELETE"),
        api("/users/{user}/folders/0", move, "PUT"),
        api("/users/{user}/memberships", of_user),
        api("/groups", groups),
        api("/group_memberships", join, "POST"),
        api("/group_memberships/{membership}", leave, "DELETE"),
    ]


def _user(directory: Directory, member: Member, fields: tuple[str, ...]) -> dict[str, Any]:
    bot = member.bot
    facts = {
        "id": member.id,
        "type": "user",
        "name": member.name,
        "login": f"AppUser_{member.id}_{member.id}@boxdevedition.com" if bot else member.email,
        "created_at": member.created_at.isoformat(timespec="seconds"),
        "modified_at": (member.changed_at or member.created_at).isoformat(timespec="seconds"),
        "language": "en",
        "timezone": "America/Los_Angeles",
        "space_amount": 999999999999999,
        "space_used": member.extra.get("space_used", 0),
        "max_upload_size": 5368709120,
        "status": "inactive" if member.state == "suspended" else "active",
        "job_title": member.title or "",
        "phone": member.phone or "",
        "address": "",
        "avatar_url": f"https://app.box.com/api/avatar/large/{member.id}",
        "notification_email": member.extra.get("notification_email"),
        "role": ROLES[member.role],
        "is_platform_access_only": bot,
        "enterprise": {"type": "enterprise", "id": ENTERPRISE, "name": directory.organization},
    }
    return {name: facts[name] for name in fields if name in facts}


def prepare(directory: Directory, company: Company) -> None:
    directory.groups = {str(1744000 + n): row["title"] for n, row in enumerate(company.departments.values())}
    for member in directory.members.values():
        if member.role != "member" or member.state == "suspended":
            member.extra["space_used"] = 1_237_009_912


SIMULATOR = Simulator(
    slug="box",
    record={"client_id": "boxsandboxclient", "client_secret": "box-sandbox-secret"},
    routes=routes,
    new_id=lambda n: str(22_000_000_000 + n),
    rate_limited=lambda seconds: refused(
        429, "rate_limit_exceeded", "Request rate limit exceeded", **{"retry-after": f"{seconds:g}"}
    ),
    prepare=prepare,
    spared=("/oauth2", "/api/oauth2", "/_sandbox"),
)
