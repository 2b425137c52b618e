"""Slack: SCIM (in the module `slack_scim`), and the Web API's lists of members, bots among them.

The Web API fails with status 200 and `ok: false`. In `directory.extra`, for tests: `limited`, how many of its next
answers say so of the rate.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps import slack_scim
from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token
from gusto_pipeline.sandbox.gusto.world import Company

TEAM = "T0ACMETEA"
NO_ADDRESS = "users:read.email"


def routes(directory: Directory) -> list[Route]:
    def lets_in(token: str, path: str) -> bool:
        return not directory.faults.strike(path, "expired") and token == directory.secret["token"]

    def web(method: str, answer: Any, scope: str = "") -> Route:
        async def guarded(request: Request) -> Response:
            if not lets_in(bearer_token(request), request.url.path):
                return JSONResponse({"ok": False, "error": "invalid_auth"})
            if directory.extra.get("limited", 0):
                directory.extra["limited"] -= 1
                return JSONResponse({"ok": False, "error": "ratelimited"}, headers={"retry-after": "3"})
            if scope in directory.faults.missing_scopes():
                missing = {"ok": False, "error": "missing_scope", "needed": scope, "provided": "admin"}
                return JSONResponse(missing)
            answered: dict[str, Any] = answer(request)
            return JSONResponse(answered, headers={"x-oauth-scopes": "admin,users:read,users:read.email"})

        return Route(f"/api/{method}", guarded, methods=["GET", "POST"])

    def auth_test(request: Request) -> dict[str, Any]:
        who = {"url": "https://acmetea.slack.com/", "user": "admin", "user_id": "U0ADMIN001"}
        return {"ok": True, "team": directory.organization, "team_id": TEAM, **who}

    def users(request: Request) -> dict[str, Any]:
        rows = directory.listed(request.url.path, "active", "invited", "suspended", "deleted")
        members = [SLACKBOT, STRANGER, *map(_member, rows)]
        limit, start = int(request.query_params.get("limit") or len(members)), request.query_params.get("cursor") or "0"
        page, following = members[int(start) : int(start) + limit], int(start) + limit
        more = str(following) if following < len(members) else ""
        return {"ok": True, "members": page, "cache_ts": 1700000000, "response_metadata": {"next_cursor": more}}

    def info(request: Request) -> dict[str, Any]:
        member = directory.members.get(request.query_params.get("user", ""))
        return {"ok": True, "user": _member(member)} if member else {"ok": False, "error": "user_not_found"}

    def lookup(request: Request) -> dict[str, Any]:
        member = directory.by_email(request.query_params.get("email", ""), "active", "invited")
        return {"ok": True, "user": _member(member)} if member else {"ok": False, "error": "users_not_found"}

    return [
        web("auth.test", auth_test),
        web("users.list", users, "users:read"),
        web("users.info", info, "users:read"),
        web("users.lookupByEmail", lookup, NO_ADDRESS),
        *slack_scim.routes(directory, lets_in),
    ]


def _member(member: Member) -> dict[str, Any]:
    names = {"real_name": member.name, "display_name": member.name, "real_name_normalized": member.name}
    profile = {
        **names,
        "display_name_normalized": member.name,
        "first_name": member.given,
        "last_name": member.family,
        "title": member.title or "",
        "phone": member.phone or "",
        "skype": "",
        "status_text": "",
        "status_emoji": "",
        "avatar_hash": "g0123456789ab",
        "fields": [],
        "team": TEAM,
    }
    if member.bot:
        profile["bot_id"] = f"B{member.id[1:]}"
    else:
        profile["email"] = member.email
    row = {
        "id": member.id,
        "team_id": TEAM,
        "name": slack_scim.user_name(member),
        "real_name": member.name,
        "deleted": member.state in ("suspended", "deleted"),
        "profile": profile,
        "is_admin": member.role != "member",
        "is_owner": member.role == "owner",
        "is_primary_owner": member.role == "owner",
        "is_restricted": False,
        "is_ultra_restricted": False,
        "is_bot": member.bot,
        "is_app_user": False,
        "updated": int((member.changed_at or member.created_at).timestamp()),
    }
    return row | ({"is_invited_user": True} if member.state == "invited" else {})


SLACKBOT = _member(Member("USLACKBOT", "", "Slackbot", "", extra={"scim": {"userName": "slackbot"}}))

# Somebody of another organisation, who shares a channel.
STRANGER = {**_member(Member("U0STRANGER1", "sam@partner.example", "Sam", "Stranger")), "is_stranger": True}


def _too_many(seconds: float) -> Response:
    return JSONResponse({"ok": False, "error": "ratelimited"}, 429, {"retry-after": f"{seconds:g}"})


def prepare(directory: Directory, company: Company) -> None:
    titles = [row["title"] for row in company.departments.values()]
    directory.groups = {f"S1{n:09}": title for n, title in enumerate(titles)}


SIMULATOR = Simulator(
    slug="slack",
    record={"token": "xoxp-sandbox-token"},
    routes=routes,
    new_id=lambda n: f"U{n:010}",
    rate_limited=_too_many,
    prepare=prepare,
)
