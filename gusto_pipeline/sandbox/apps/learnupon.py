"""LearnUpon's portal API, version 1: users, custom user data, invitations, groups and memberships.

Pages are announced by headers; invited people are no users; a body without its wrapper is answered with 404. What a
portal's administrator can set is in `Directory.extra`: `welcome_mail` (new users get one), `lists_portal_invites`,
`text_booleans` (JSON booleans are taken and have no effect), `deaf` (changes of users are taken and have no effect).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token
from gusto_pipeline.sandbox.gusto.world import Company

ROOT = "/api/v1"
LIFE = timedelta(hours=72)
KINDS = {"learner": "member", "instructor": "member", "manager": "member", "admin": "admin"}


def refused(status: int, message: str, **headers: str) -> JSONResponse:
    return JSONResponse({"response_type": "ERROR", "response_code": status, "message": message}, status, headers)


def too_many(seconds: float) -> Response:
    return refused(429, "Rate limit exceeded", **{"retry-after": f"{seconds:.0f}"})


def routes(directory: Directory) -> list[Route]:
    state = directory.extra
    left = {"x-lu-rate-limit-remaining-minute": "299", "x-lu-rate-limit-remaining-week": "499000"}

    def api(path: str, answer: Callable[[Request, Any], Response], method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            sent = base64.b64decode(bearer_token(request, "Basic") or "Og==").decode()
            keys = f"{directory.secret['username_key']}:{directory.secret['password_key']}"
            if directory.faults.strike(request.url.path, "expired") or sent != keys:
                return refused(401, "Invalid API credentials")
            body = await request.body()
            if not body and "content-type" in request.headers:
                return refused(400, "There was a problem in the JSON you submitted")
            found = answer(request, await request.json() if body else None)
            if found.status_code < 300:
                found.headers.update(left)
            return found

        return Route(ROOT + path, guarded, methods=[method])

    def page(request: Request, key: str, rows: Sequence[Any], shown: Callable[[Any], Any], **more: Any) -> Response:
        number = max(1, int(request.query_params.get("page", 1)))
        size = min(500, int(request.query_params.get("per_page", 500)))
        there = rows[(number - 1) * size : number * size]
        headers = {
            "lu-has-next-page": str(number * size < len(rows)).lower(),
            "lu-current-page": str(number),
            "lu-records-per-page": str(size),
        }
        return JSONResponse(more | {key: [shown(row) for row in there]}, headers=headers)

    def people() -> list[Member]:
        return directory.there("active", "suspended")

    def users(request: Request, body: Any) -> Response:
        rows = directory.listed(request.url.path, "active", "suspended")
        # The vendor's own spelling.
        return page(request, "user", rows, _user, customDataFieldDefintions=state["fields"])

    def search(request: Request, body: Any) -> Response:
        for name in ("email", "username"):
            if wanted := request.query_params.get(name, "").casefold():
                return JSONResponse({"user": [_user(m) for m in people() if m.email.casefold() == wanted]})
        return page(request, "user", people(), _user)  # whatever else is asked is ignored

    def definitions(request: Request, body: Any) -> Response:
        return JSONResponse({"customDataFieldDefinitions": state["fields"]})

    def known(request: Request) -> Member | None:
        member = directory.members.get(request.path_params["user"])
        return member if member and member.state in ("active", "suspended") else None

    def one(request: Request, body: Any) -> Response:
        member = known(request)
        if member is None:
            return refused(404, "User not found")
        shown = {key: value for key, value in _user(member).items() if key != "CustomData"}
        ids = {field["label"]: field["id"] for field in state["fields"]}
        held = [{"value": v, "definition_id": ids[k]} for k, v in member.extra.get("custom", {}).items()]
        return JSONResponse({"user": [shown | {"customDataFieldValues": held}]})

    def custom(given: dict[str, Any]) -> tuple[dict[str, str], str]:
        """Values by label, and what is wrong with them; labels that do not exist are ignored."""
        by_id = given.pop("use_definition_ids", None)
        taken = {}
        for name, value in given.items():
            field = next((f for f in state["fields"] if name in (str(f["id"]) if by_id else f["label"],)), None)
            if field is None:
                continue
            if field["type_id"] in (4, 5, 6) and str(value) not in map(str, field["predefined_values"]):
                return {}, f"{field['label']} is not one of the predefined values"
            taken[field["label"]] = str(value)
        return taken, ""

    def add(request: Request, body: Any) -> Response:
        user = (body or {}).get("User")
        if not isinstance(user, dict):
            return refused(404, "Invalid user parameters provided")
        if len(user.get("password") or "") < 6:
            return refused(422, "Password is too short (minimum is 6 characters)")
        if directory.by_email(user.get("email") or "", "active", "suspended"):
            return refused(422, "Email has already been taken")
        taken, wrong = custom(dict(user.get("CustomData") or {}))
        if wrong:
            return refused(422, wrong)
        if directory.full():
            return refused(422, "Your portal has reached its user limit")
        kind = user.get("user_type") or "learner"
        member = directory.add(
            user["email"], user.get("first_name") or "", user.get("last_name") or "",
            state="active" if user.get("enabled", True) else "suspended", role=KINDS[kind],
            extra={"kind": kind, "custom": taken, "change_password": bool(user.get("change_password_on_first_login"))},
        )  # fmt: skip
        if state["welcome_mail"]:
            directory.mails.append((member.email, "welcome"))
        return JSONResponse({"id": int(member.id)})

    def change(request: Request, body: Any) -> Response:
        user = (body or {}).get("User")
        if not isinstance(user, dict):
            return refused(404, "Invalid user parameters provided")
        member = known(request)
        if request.path_params["user"] == "0":
            member = directory.by_email(user.get("email") or "", "active", "suspended")
            user = {"email": user.get("new_email") or user.get("email"), **user} if member else user
        if member is None:
            return refused(404, "User not found")
        email = user.get("email") or member.email
        other = directory.by_email(email, "active", "suspended")
        if other not in (None, member):
            return refused(422, "Email has already been taken")
        taken, wrong = custom(dict(user.get("CustomData") or {}))
        if wrong:
            return refused(422, wrong)
        if state["deaf"]:
            return JSONResponse({"id": int(member.id)})
        member.email = email
        member.given, member.family = user.get("first_name", member.given), user.get("last_name", member.family)
        member.extra.setdefault("custom", {}).update(taken)
        enabled = user.get("enabled")
        if enabled is not None and not (state["text_booleans"] and isinstance(enabled, bool)):
            on = str(enabled).lower() == "true"
            if on and member.state == "suspended" and directory.full():
                return refused(422, "Your portal has reached its user limit")
            directory.change(member, "active" if on else "suspended")
        return JSONResponse({"id": int(member.id)})

    def drop(request: Request, body: Any) -> Response:
        if (member := known(request)) is None:
            return refused(404, "User not found")
        directory.change(member, "deleted")
        return JSONResponse({})

    def invite(email: str, given: str, family: str, custom: dict[str, str], group: str | None) -> Member | Response:
        if directory.by_email(email, "active", "suspended"):
            return refused(422, f"{email} is already a user of this portal")
        if directory.by_email(email, "invited"):
            return refused(422, f"{email} has already been invited")
        if directory.full():
            return refused(422, "Your portal has reached its user limit")
        more = {"state": "invited", "invited_at": directory.clock.now()}
        extra = {"kind": "learner", "custom": custom, "group": group}
        member = directory.add(email, given, family, **more, extra=extra)
        directory.mails.append((email, "invitation"))
        return member

    def invite_to_portal(request: Request, body: Any) -> Response:
        wanted = (body or {}).get("Invite")
        if not isinstance(wanted, dict):
            return refused(404, "Invalid invite parameters provided")
        taken, wrong = custom(dict(wanted.get("CustomData") or {}))
        if wrong:
            return refused(422, wrong)
        names = (wanted.get("first_name") or "", wanted.get("last_name") or "")
        made = invite(wanted["email"], *names, taken, wanted.get("group_id"))
        return made if isinstance(made, Response) else JSONResponse({"id": int(made.id), "email": made.email})

    def invite_to_group(request: Request, body: Any) -> Response:
        wanted = (body or {}).get("GroupInvite")
        if not isinstance(wanted, dict) or str(wanted.get("group_id")) not in directory.groups:
            return refused(404, "Invalid group invite parameters provided")
        for email in wanted["email_addresses"].split(","):
            made = invite(email.strip(), "", "", {}, str(wanted["group_id"]))
            if isinstance(made, Response):
                return made
        return JSONResponse({})

    def invitations(request: Request, body: Any) -> Response:
        asked = request.query_params.get("group_id")
        rows = [
            member
            for member in directory.members.values()
            if member.invited_at
            and (state["lists_portal_invites"] or member.extra.get("group"))
            and asked in (None, member.extra.get("group"))
        ]
        return page(request, "group_invite", rows, _invitation)

    def withdraw(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["invite"])
        if member is None or member.state != "invited":
            return refused(404, "Group invite not found")
        directory.change(member, "deleted")
        return JSONResponse({})

    def groups(request: Request, body: Any) -> Response:
        def shown(group: tuple[str, str]) -> dict[str, Any]:
            count = sum(group[0] in member.groups for member in people())
            return {"id": int(group[0]), "title": group[1], "number_of_members": count}

        return page(request, "groups", list(directory.groups.items()), shown)

    def memberships(request: Request, body: Any) -> Response:
        asked = request.query_params.get("group_id")
        rows = [(m, group) for m in people() for group in m.groups if asked in (None, group)]
        return page(request, "group_memberships", rows, lambda row: _membership(*row))

    def add_member(request: Request, body: Any) -> Response:
        wanted = (body or {}).get("GroupMembership") or {}
        group, member = str(wanted.get("group_id")), directory.members.get(str(wanted.get("user_id")))
        if group not in directory.groups or member is None or member.state not in ("active", "suspended"):
            return refused(404, "Invalid group membership parameters provided")
        if group in member.groups:
            return refused(422, "User is already a member of this group")
        member.groups.append(group)
        directory.changes += 1
        return JSONResponse({"id": _membership(member, group)["id"]})

    def drop_member(request: Request, body: Any) -> Response:
        for member in people():
            for group in member.groups:
                if str(_membership(member, group)["id"]) == request.path_params["membership"]:
                    member.groups.remove(group)
                    directory.changes += 1
                    return JSONResponse({})
        return refused(404, "Group membership not found")

    return [
        api("/users", users),
        api("/users", add, "POST"),
        api("/users/search", search),
        api("/users/customuserdata", definitions),
        api("/users/{user}", one),
        api("/users/{user}", change, "PUT"),
        api("/users/{user}", drop, "DELETE"),
        api("/portal_invite", invite_to_portal, "POST"),
        api("/group_invites", invitations),
        api("/group_invites", invite_to_group, "POST"),
        api("/group_invites/{invite}", withdraw, "DELETE"),
        api("/groups", groups),
        api("/group_memberships", memberships),
        api("/group_memberships", add_member, "POST"),
        api("/group_memberships/{membership}", drop_member, "DELETE"),
    ]


def _when(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if at else None


def _user(member: Member) -> dict[str, Any]:
    return {
        "id": int(member.id),
        "first_name": member.given,
        "last_name": member.family,
        "email": member.email,
        "username": None,
        "locale": "en",
        "created_at": _when(member.created_at),
        "last_sign_in_at": _when(member.last_seen),
        "sign_in_count": 1 if member.last_seen else 0,
        "account_expires": None,
        "enabled": member.state == "active",
        "user_type": member.extra.get("kind") or ("learner" if member.role == "member" else "admin"),
        "membership_type": "Learner" if member.role == "member" else "Admin",
        "number_of_enrollments": 0,
        "number_of_enrollments_accessed": 0,
        "CustomData": dict(member.extra.get("custom", {})),
    }


def _invitation(member: Member) -> dict[str, Any]:
    states = {"invited": "sent", "active": "accepted", "suspended": "accepted", "deleted": "canceled"}
    return {
        "id": int(member.id),
        "invite_status": states[member.state],
        "invite_email_address": member.email,
        "accept_url": f"https://portal.learnupon.com/invites/{member.id}a7c1",
        "group_id": member.extra.get("group"),
    }


def _membership(member: Member, group: str) -> dict[str, Any]:
    return {"id": int(member.id) * 1000 + int(group), "group_id": int(group), "user_id": int(member.id)}


def lapsed(member: Member, now: datetime) -> bool:
    """Whether an invitation's link has ended."""
    return bool(member.invited_at and member.state == "invited" and member.invited_at + LIFE <= now)


def prepare(directory: Directory, company: Company) -> None:
    """Three fields, one of them a drop-down, and two groups."""
    directory.groups |= {"41": "All staff", "42": "New starters"}
    directory.extra |= {
        "welcome_mail": False,
        "lists_portal_invites": True,
        "text_booleans": False,
        "deaf": False,
        "fields": [
            {"id": 231, "type_id": 4, "label": "Office", "predefined_values": ["San Francisco", "Denver", "Remote"]},
            {"id": 232, "type_id": 1, "label": "Job title", "predefined_values": []},
            {"id": 233, "type_id": 7, "label": "Start date", "predefined_values": []},
            {"id": 234, "type_id": 6, "label": "Level", "predefined_values": [1, 2, 3]},
        ],
    }


SIMULATOR = Simulator(
    slug="learnupon",
    record={"username_key": "u7d0c5a1e9", "password_key": "p3f8b2c6d40e", "portal": "acme-tea-co"},
    routes=routes,
    new_id=lambda n: str(880_000 + n),
    rate_limited=too_many,
    prepare=prepare,
)
