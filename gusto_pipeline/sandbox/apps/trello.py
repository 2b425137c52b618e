"""Trello's REST API v1: a Workspace's memberships, and the Enterprise that it belongs to.

Parameters are in the query, also with PUT; refusals are plain text. Addresses are hidden but from the Enterprise, and
there for its own domain; search finds by them. Invited people are ghosts. The last admin stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator

ROOT = "/1"
WORKSPACE = "5f1e2d3c4b5a69788796a5b4"
ENTERPRISE = "5f1e2d3c4b5a69788796a5b5"
PROOF = re.compile(r'OAuth oauth_consumer_key="(.*)", oauth_token="(.*)"')


def refused(status: int, text: str) -> Response:
    return PlainTextResponse(text, status)


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Callable[[Request], Response], method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            sent = PROOF.fullmatch(request.headers.get("authorization", ""))
            key, token = sent.groups() if sent else ("", "")
            if key != directory.secret["api_key"]:
                return refused(401, "invalid key")
            if token != directory.secret["api_token"] or directory.faults.strike(request.url.path, "expired"):
                return refused(401, "invalid token")
            if request.path_params.get("id", WORKSPACE) not in (WORKSPACE, ENTERPRISE):
                return refused(404, "The requested resource was not found.")
            return answer(request)

        return Route(ROOT + path, guarded, methods=[method])

    def workspace(request: Request) -> Response:
        row = {"id": WORKSPACE, "name": "acmeteaco", "displayName": directory.organization}
        return JSONResponse(row | {"url": "https://trello.com/w/acmeteaco", "idEnterprise": ENTERPRISE})

    def memberships(request: Request) -> Response:
        return JSONResponse([_membership(member) for member in directory.listed(request.url.path)])

    def managed(member: Member) -> bool:
        return member.state != "invited" and member.email.endswith(f"@{directory.domain}")

    def enterprise(request: Request) -> Response:
        search, start = request.query_params.get("search", "").casefold(), int(request.query_params.get("cursor", 0))
        rows = [
            _known(member)
            for member in directory.members.values()
            if member.state != "deleted"
            and managed(member)
            and (member.email.casefold().startswith(search) or member.name.casefold().startswith(search))
        ]
        cursor = str(start + 100) if start + 100 < len(rows) else None
        return JSONResponse({"members": rows[start : start + 100], "cursor": cursor})

    def search(request: Request) -> Response:
        query = request.query_params["query"].casefold()
        rows = [
            _member(member)
            for member in directory.members.values()
            if member.state != "deleted" and (query == member.email.casefold() or query in member.name.casefold())
        ]
        return JSONResponse(rows[:8])

    def invite(request: Request) -> Response:
        email, name = (request.query_params.get(key, "") for key in ("email", "fullName"))
        if "@" not in email:
            return refused(400, "invalid value for email")
        if not name or name != name.strip():
            return refused(400, "invalid value for fullName")
        if request.query_params.get("type", "normal") not in ("normal", "admin"):
            return refused(400, "invalid value for type")
        if directory.by_email(email) is None:
            if directory.full():
                return refused(400, "Workspace has reached its collaborator limit")
            given, _, family = name.partition(" ")
            role = "admin" if request.query_params.get("type") == "admin" else "member"
            member = directory.add(email, given, family, state="invited", role=role)
            member.invited_at = directory.clock.now()
            directory.mails.append((email, "invitation"))
        return workspace(request)

    def known(request: Request) -> Member | None:
        member = directory.members.get(request.path_params["member"])
        return member if member and member.state != "deleted" else None

    def last_admin(member: Member) -> bool:
        return [m for m in directory.members.values() if m.role != "member" and m.state == "active"] == [member]

    def deactivate(request: Request) -> Response:
        member, off = known(request), request.query_params.get("value") == "true"
        if member is None:
            return refused(404, "model not found")
        if directory.extra.get("free"):
            return refused(403, "unauthorized permission requested")
        if off and last_admin(member):
            return JSONResponse({"message": "Must have at least one admin", "error": "ERROR"}, 400)
        directory.change(member, "suspended" if off else "active")
        return workspace(request)

    def drop(request: Request) -> Response:
        member = known(request)
        if member is None:
            return refused(404, "model not found")
        if last_admin(member):
            return JSONResponse({"message": "Must have at least one admin", "error": "ERROR"}, 400)
        member.extra["boards"] = not request.url.path.endswith("/all")
        directory.change(member, "deleted")
        return workspace(request)

    return [
        api("/organizations/{id}", workspace),
        api("/organizations/{id}/memberships", memberships),
        api("/organizations/{id}/members", invite, "PUT"),
        api("/organizations/{id}/members/{member}/deactivated", deactivate, "PUT"),
        api("/organizations/{id}/members/{member}", drop, "DELETE"),
        api("/organizations/{id}/members/{member}/all", drop, "DELETE"),
        api("/enterprises/{id}/members/query", enterprise),
        api("/search/members/", search),
    ]


def _member(member: Member) -> dict[str, Any]:
    ghost = member.state == "invited"
    return {
        "id": member.id,
        "fullName": member.name,
        "username": "" if ghost else re.sub(r"\W", "", member.email.partition("@")[0]) + member.id[-4:],
        "initials": f"{member.given[:1]}{member.family[:1]}",
        "memberType": "ghost" if ghost else "normal",
        "confirmed": not ghost,
        "email": None,
    }


def _membership(member: Member) -> dict[str, Any]:
    return {
        "id": f"{int(member.created_at.timestamp()):08x}{member.id[8:]}",
        "idMember": member.id,
        "memberType": "normal" if member.role == "member" else "admin",
        "unconfirmed": member.state == "invited",
        "deactivated": member.state == "suspended",
        "member": _member(member),
    }


def _known(member: Member) -> dict[str, Any]:
    seen = member.last_seen.isoformat(timespec="milliseconds").replace("+00:00", "Z") if member.last_seen else None
    row = _member(member)
    return {
        "managed": True,
        "licensed": member.state == "active",
        "admin": member.role == "owner",
        "deactivated": member.state == "suspended",
        "collaborator": False,
        "member": {
            "id": row["id"],
            "fullname": row["fullName"],
            "username": row["username"],
            "email": member.email,
            "dateLastImpression": seen,
            "memberType": "Admin" if member.role == "owner" else "Normal",
            "confirmed": row["confirmed"],
        },
    }


def rate_limited(seconds: float) -> Response:
    error = {"error": "API_TOKEN_LIMIT_EXCEEDED", "message": "Rate limit exceeded"}
    return JSONResponse(error, 429)


SIMULATOR = Simulator(
    slug="trello",
    record={
        "api_key": "1f5e7a9c3b2d4e6f8a0b1c2d3e4f5a6b",
        "api_token": "ATTA5d1f0c9e8b7a6d5c4b3a2f1e0d9c8b7a6f5e4d3c2b1a",
        "workspace": WORKSPACE,
        "enterprise": ENTERPRISE,
    },
    routes=routes,
    new_id=lambda n: f"5d0c1f2a{n:016x}",
    rate_limited=rate_limited,
)
