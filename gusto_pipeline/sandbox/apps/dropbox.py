"""Dropbox's API v2 for one team: members, their jobs, groups.

POST only; unions carry `.tag`; a route's own errors come with 409; actions answer `null`. Removed members can be
recovered for seven days. `extra` of the directory: `jobs` makes adding and removing answer with a job, which
`stuck` never ends; `wiped` holds whose devices were wiped.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member, State
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token, oauth_routes
from gusto_pipeline.sandbox.gusto.world import Company

ROOT = "/2"
ROLES = {
    name: {"role_id": f"pid_dbtmr:{name}{'x' * 20}", "name": title, "description": f"{title} of the team"}
    for name, title in (("owner", "Team admin"), ("admin", "User management admin"))
}
RECOVERABLE = timedelta(days=7)


class RouteError(Exception):
    """A route refuses with this tag."""


def refused(status: int, error: dict[str, Any], **headers: str) -> JSONResponse:
    return JSONResponse(
        {"error_summary": f"{error.get('.tag', 'too_many_requests')}/..", "error": error}, status, headers
    )


def routes(directory: Directory) -> list[Route]:
    jobs: dict[str, list[dict[str, Any]]] = {}

    def api(path: str, scope: str, answer: Any) -> Route:
        async def guarded(request: Request) -> Response:
            if not directory.accepts(bearer_token(request), request.url.path):
                return refused(401, {".tag": "expired_access_token"})
            if scope in directory.faults.missing_scopes():
                return refused(401, {".tag": "missing_scope", "required_scope": scope})
            sent = await request.body()
            try:
                body = json.loads(sent) if sent else None
            except ValueError:
                text = f'Error in call to API function "{path[1:]}": request body: could not decode input as JSON'
                return PlainTextResponse(text, 400)
            try:
                return JSONResponse(answer(body))
            except RouteError as error:
                return refused(409, {".tag": str(error)})

        return Route(ROOT + path, guarded, methods=["POST"])

    def recoverable(member: Member) -> bool:
        gone = member.state == "deleted" and member.changed_at
        return bool(gone and directory.clock.now() < gone + RECOVERABLE)

    def selected(user: dict[str, str]) -> Member | None:
        if user[".tag"] == "email":
            email = user["email"]
            return directory.by_email(email) or directory.by_email(email, "deleted")
        return directory.members.get(user["team_member_id"])

    def member(user: dict[str, str], *states: str) -> Member:
        found = selected(user)
        if found is None:
            raise RouteError("user_not_found")
        if found.state not in (states or ("active", "invited", "suspended")):
            raise RouteError("user_not_in_team")
        return found

    def info(body: None) -> dict[str, Any]:
        return {
            "name": directory.organization,
            "team_id": "dbtid:AAFdgehTzw7WlXhZJsbGCLePe8RvQGYDr-I",
            "num_licensed_users": directory.seats or 5000,
            "num_provisioned_users": len(directory.there("active", "invited")),
            "num_used_licenses": len(directory.there()),
            "policies": POLICIES,
        }

    def page(path: str, rows: list[Any], start: int, limit: int, name: str, **more: Any) -> dict[str, Any]:
        cursor = base64.urlsafe_b64encode(json.dumps({"start": start + limit, "limit": limit, **more}).encode())
        shown = rows[start : start + limit]
        return {name: shown, "cursor": cursor.decode(), "has_more": start + limit < len(rows)}

    def place(cursor: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(cursor))
        except ValueError:
            raise RouteError("invalid_cursor") from None
        return found

    def members(body: dict[str, Any], start: int = 0) -> dict[str, Any]:
        removed = body.get("include_removed", False)
        states: tuple[State, ...] = ("active", "invited", "suspended", "deleted")
        rows = directory.listed(f"{ROOT}/team/members/list", *states[: 3 + removed])
        shown = [_info(member, recoverable(member)) for member in rows]
        limit = int(body.get("limit", 1000))
        return page("members", shown, start, limit, "members", include_removed=removed)

    def more_members(body: dict[str, Any]) -> dict[str, Any]:
        at = place(body["cursor"])
        return members(at, at["start"])

    def get_info(body: dict[str, Any]) -> dict[str, Any]:
        found = [(user, selected(user)) for user in body["members"]]
        return {
            "members_info": [
                {".tag": "member_info", **_info(one, recoverable(one))}
                if one
                else {".tag": "id_not_found", "id_not_found": user[user[".tag"]]}
                for user, one in found
            ]
        }

    def add_one(new: dict[str, Any]) -> dict[str, Any]:
        email = new["member_email"]
        removed = directory.by_email(email, "deleted")
        if directory.by_email(email) or (removed and recoverable(removed)):
            return {".tag": "user_already_on_team", "user_already_on_team": email}
        if directory.full():
            return {".tag": "team_license_limit", "team_license_limit": email}
        role = next((name for name, role in ROLES.items() if role["role_id"] in (new.get("role_ids") or [])), "member")
        given, family = new.get("member_given_name", ""), new.get("member_surname", "")
        now = directory.clock.now()
        made = directory.add(email, given, family, state="invited", invited_at=now, role=role)
        if new.get("send_welcome_email", True):
            directory.mails.append((email, "invitation"))
        return {".tag": "success", **_info(made)}

    def add(body: dict[str, Any]) -> dict[str, Any]:
        return launched({".tag": "complete", "complete": [add_one(new) for new in body["new_members"]]})

    def launched(done: dict[str, Any]) -> dict[str, Any]:
        if not directory.extra.get("jobs"):
            return done
        job = f"dbjid:{len(jobs)}"
        jobs[job] = [{".tag": "in_progress"}, *([] if directory.extra["jobs"] == "stuck" else [done])]
        return {".tag": "async_job_id", "async_job_id": job}

    def job_status(body: dict[str, Any]) -> dict[str, Any]:
        steps = jobs[body["async_job_id"]]
        return steps.pop(0) if len(steps) > 1 else steps[0]

    def last_admin(one: Member) -> bool:
        return one.role == "owner" and sum(m.role == "owner" for m in directory.there("active")) == 1

    def wipe(one: Member, body: dict[str, Any]) -> None:
        if body.get("wipe_data", True):
            directory.extra.setdefault("wiped", []).append(one.id)

    def suspend(body: dict[str, Any]) -> None:
        one = member(body["user"])
        if one.state != "active":
            raise RouteError("suspend_inactive_user")
        if last_admin(one):
            raise RouteError("suspend_last_admin")
        wipe(one, body)
        directory.change(one, "suspended")

    def unsuspend(body: dict[str, Any]) -> None:
        one = member(body["user"])
        if one.state != "suspended":
            raise RouteError("unsuspend_non_suspended_member")
        directory.change(one, "active")

    def remove(body: dict[str, Any]) -> dict[str, Any]:
        one = member(body["user"])
        if last_admin(one):
            raise RouteError("remove_last_admin")
        wipe(one, body)
        directory.change(one, "deleted")
        return launched({".tag": "complete"})

    def recover(body: dict[str, Any]) -> None:
        one = member(body["user"], "deleted")
        if not recoverable(one):
            raise RouteError("user_unrecoverable")
        if directory.full():
            raise RouteError("team_license_limit")
        directory.change(one, "active")

    def welcome(body: dict[str, Any]) -> None:
        one = member(body)
        if one.state == "invited":
            directory.mails.append((one.email, "invitation"))

    def roles(body: None) -> dict[str, Any]:
        return {"roles": list(ROLES.values())}

    def group(group_id: str) -> dict[str, Any]:
        count = sum(group_id in m.groups for m in directory.members.values())
        kind = {".tag": "company_managed"}
        return {"group_name": directory.groups[group_id], "group_id": group_id, "group_management_type": kind,
                "member_count": count}  # fmt: skip

    def groups(body: dict[str, Any], start: int = 0) -> dict[str, Any]:
        return page("groups", [group(each) for each in directory.groups], start, int(body.get("limit", 1000)), "groups")

    def more_groups(body: dict[str, Any]) -> dict[str, Any]:
        at = place(body["cursor"])
        return groups(at, at["start"])

    def changed(group_id: str) -> dict[str, Any]:
        return {"group_info": group(group_id) | {"created": 1447255518000}, "async_job_id": " "}

    def known(body: dict[str, Any]) -> str:
        group_id = str(body["group"]["group_id"])
        if group_id not in directory.groups:
            raise RouteError("group_not_found")
        return group_id

    def join(body: dict[str, Any]) -> dict[str, Any]:
        group_id, joining = known(body), [member(each["user"]) for each in body["members"]]
        if any(group_id in one.groups for one in joining):
            raise RouteError("duplicate_user")
        for one in joining:
            one.groups.append(group_id)
        return changed(group_id)

    def leave(body: dict[str, Any]) -> dict[str, Any]:
        group_id = known(body)
        for one in [member(each) for each in body["users"]]:
            if group_id not in one.groups:
                raise RouteError("member_not_in_group")
            one.groups.remove(group_id)
        return changed(group_id)

    return [
        *oauth_routes(directory, "/oauth2/authorize", "/oauth2/token", lifetime=14400),
        api("/team/get_info", "team_info.read", info),
        api("/team/members/list_v2", "members.read", members),
        api("/team/members/list/continue_v2", "members.read", more_members),
        api("/team/members/get_info_v2", "members.read", get_info),
        api("/team/members/get_available_team_member_roles", "members.read", roles),
        api("/team/members/add_v2", "members.write", add),
        api("/team/members/add/job_status/get_v2", "members.write", job_status),
        api("/team/members/send_welcome_email", "members.write", welcome),
        api("/team/members/suspend", "members.write", suspend),
        api("/team/members/unsuspend", "members.write", unsuspend),
        api("/team/members/remove", "members.delete", remove),
        api("/team/members/remove/job_status/get", "members.delete", job_status),
        api("/team/members/recover", "members.delete", recover),
        api("/team/groups/list", "groups.read", groups),
        api("/team/groups/list/continue", "groups.read", more_groups),
        api("/team/groups/members/add", "groups.write", join),
        api("/team/groups/members/remove", "groups.write", leave),
    ]


def _info(member: Member, recoverable: bool = False) -> dict[str, Any]:
    joined = member.state != "invited"
    status: dict[str, Any] = {".tag": "removed" if member.state == "deleted" else member.state}
    if member.state == "deleted":
        status |= {"is_recoverable": recoverable, "is_disconnected": False}
    name = {"given_name": member.given, "surname": member.family, "familiar_name": member.given}
    dates = {
        "joined_on": joined and member.created_at,
        "invited_on": not joined and member.invited_at,
        "suspended_on": member.state == "suspended" and member.changed_at,
    }
    return {
        "profile": {
            "team_member_id": member.id,
            "email": member.email,
            "email_verified": joined,
            "status": status,
            "name": name | {"display_name": member.name, "abbreviated_name": member.given[:1] + member.family[:1]},
            "membership_type": {".tag": "full"},
            "groups": member.groups,
            "member_folder_id": member.id[-8:],
            "root_folder_id": "3235641",
            **({"account_id": f"dbid:{member.id[-10:]:A>35}"} if joined else {}),
            **({"secondary_emails": member.extra["others"]} if member.extra.get("others") else {}),
            **({"external_id": member.extra["external_id"]} if member.extra.get("external_id") else {}),
            **{key: _time(at) for key, at in dates.items() if at},
        },
        "roles": [ROLES[member.role]] if member.role in ROLES else [],
    }


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


POLICIES = {
    "sharing": {
        "shared_folder_member_policy": {".tag": "team"},
        "shared_folder_join_policy": {".tag": "from_anyone"},
        "shared_link_create_policy": {".tag": "team_only"},
        "group_creation_policy": {".tag": "admins_only"},
        "shared_folder_link_restriction_policy": {".tag": "members"},
        "enforce_link_password_policy": {".tag": "optional"},
        "default_link_expiration_days_policy": {".tag": "none"},
        "shared_link_default_permissions_policy": {".tag": "default"},
    },
    "emm_state": {".tag": "disabled"},
    "office_addin": {".tag": "disabled"},
    "suggest_members_policy": {".tag": "enabled"},
    "top_level_content_policy": {".tag": "admin_only"},
}


def prepare(directory: Directory, company: Company) -> None:
    titles = [row["title"] for row in company.departments.values()]
    directory.groups = {f"g:e2db7665347abcd60000000000{n:06}": title for n, title in enumerate(titles)}


def too_many(seconds: float) -> Response:
    error = {"reason": {".tag": "too_many_requests"}, "retry_after": max(1, int(seconds))}
    return refused(429, error, **{"retry-after": f"{seconds:g}"})


SIMULATOR = Simulator(
    slug="dropbox",
    record={"client_id": "dropboxsandboxkey", "client_secret": "dropbox-sandbox-secret"},
    routes=routes,
    new_id=lambda n: f"dbmid:AAHhy7WsR0x-u4ZCqiDl5Fz5zvuL3kmspw{n:05}",
    rate_limited=too_many,
    prepare=prepare,
    spared=("/oauth2", "/_sandbox"),
)
