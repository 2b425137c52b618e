"""Okta's Core API: users and their life cycle, groups, administrators.

Lists are bare arrays with `Link` headers; a plain one leaves out deactivated people, `filter` sees all at once and
minds case, `search` ignores case and lags behind; each step of the life cycle is refused from the wrong status.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import uuid4

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.clock import utcnow
from gusto_pipeline.sandbox.apps.directory import Directory, Member, State
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token
from gusto_pipeline.sandbox.gusto.world import Company

DOMAIN = "acme-tea.okta.com"
ROOT = "/api/v1"
LAG = timedelta(seconds=2)  # how long `search` does not know somebody new
EVERY: tuple[State, ...] = get_args(State)
STATUSES = {"active": "ACTIVE", "invited": "PROVISIONED", "suspended": "SUSPENDED", "deleted": "DEPROVISIONED"}
FINER = {"STAGED": "invited", "RECOVERY": "active", "PASSWORD_EXPIRED": "active", "LOCKED_OUT": "active"}
SUMMARIES = {
    "E0000003": "The request body was not well-formed.",
    "E0000006": "You do not have permission to perform the requested action",
    "E0000009": "Internal Server Error",
    "E0000011": "Invalid token provided",
    "E0000016": "Activation failed because the user is already active",
    "E0000038": "This operation is not allowed in the current user status.",
    "E0000047": "API call exceeded rate limit due to too many requests.",
}


def refused(status: int, code: str, summary: str | None = None, *causes: str, **headers: str) -> JSONResponse:
    body = {
        "errorCode": code,
        "errorSummary": summary or SUMMARIES[code],
        "errorLink": code,
        "errorId": f"oae{uuid4().hex[:20]}",
        "errorCauses": [{"errorSummary": cause} for cause in causes],
    }
    return JSONResponse(body, status, headers)


def too_many(seconds: float) -> JSONResponse:
    reset = math.ceil(utcnow().timestamp() + seconds)  # compared with the Date header, which has the real time
    limits = {"x-rate-limit-limit": "600", "x-rate-limit-remaining": "0", "x-rate-limit-reset": str(reset)}
    return refused(429, "E0000047", **limits)


def status(member: Member) -> str:
    finer = member.extra.get("status", "")
    return finer if FINER.get(finer) == member.state else STATUSES[member.state]


def login(member: Member) -> str:
    return str(member.extra.get("login", member.email))


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Any, method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            good = bearer_token(request, "SSWS") == directory.secret["api_token"]
            if directory.faults.strike(request.url.path, "expired") or not good:
                return refused(401, "E0000011")
            body = (await request.json()) if (await request.body()) else {}
            answered: Response = answer(request, body)
            return answered

        return Route(ROOT + path, guarded, methods=[method])

    def person(answer: Any) -> Any:
        """A call about one member, by id or login."""

        def with_member(request: Request, body: dict[str, Any]) -> Response:
            who = request.path_params["user"].casefold()
            everyone = directory.members.values()
            member = next((m for m in everyone if who in (m.id.casefold(), login(m).casefold())), None)
            if member is None:
                text = f"Not found: Resource not found: {request.path_params['user']} (User)"
                return refused(404, "E0000007", text)
            answered: Response = answer(request, body, member)
            return answered

        return with_member

    def step(*allowed: str, to: State, mail: bool = False) -> Any:
        def lifecycle(request: Request, body: dict[str, Any], member: Member) -> Response:
            name, now = request.url.path.rpartition("/")[2], status(member)
            if now not in allowed:
                if name == "suspend":
                    cause = "Cannot suspend a user that is not active"
                    return refused(400, "E0000001", "Api validation failed: suspendUser", cause)
                if name == "unsuspend":
                    cause = "Cannot unsuspend a user that is not suspended"
                    return refused(400, "E0000001", "Api validation failed: unsuspendUser", cause)
                return refused(403, "E0000016" if now == "ACTIVE" and name == "activate" else "E0000038")
            if name == "deactivate" and last_owner(member):
                return last_refused()
            member.extra.pop("status", None)
            if mail and request.query_params.get("sendEmail", "true" if name == "activate" else "false") == "true":
                directory.mails.append((member.email, "activation"))
            if name in ("activate", "reactivate"):
                member.invited_at = directory.clock.now()
            directory.change(member, to)
            return JSONResponse({})

        return person(lifecycle)

    def last_owner(member: Member) -> bool:
        owners = [m for m in directory.members.values() if m.role == "owner" and m.state == "active"]
        return owners == [member]

    def last_refused() -> Response:
        cause = "The last super admin in the org cannot be deactivated"
        return refused(400, "E0000001", "Api validation failed: deactivateUser", cause)

    def users(request: Request, body: dict[str, Any]) -> Response:
        query = request.query_params
        rows = directory.listed(request.url.path, *EVERY)
        if "search" in query:
            fresh = directory.clock.now() - LAG
            rows = [m for m in rows if m.created_at < fresh and _fits(m, query["search"], str.casefold)]
        elif "filter" in query:
            rows = [m for m in rows if _fits(m, query["filter"], str)]
        else:
            rows = [m for m in rows if m.state != "deleted"]
        return page(request, [_user(m) for m in rows], min(int(query.get("limit", 200)), 200))

    def page(request: Request, rows: Sequence[dict[str, Any]], limit: int) -> Response:
        after = request.query_params.get("after")
        start = next((n + 1 for n, row in enumerate(rows) if row["id"] == after), 0)
        own = httpx.URL(f"https://{DOMAIN}{request.url.path}", params=dict(request.query_params))
        response = JSONResponse(list(rows[start : start + limit]))
        response.headers.append("link", f'<{own}>; rel="self"')
        if start + limit < len(rows):
            following = own.copy_merge_params({"after": rows[start + limit - 1]["id"], "limit": limit})
            response.headers.append("link", f'<{following}>; rel="next"')
        return response

    def me(request: Request, body: dict[str, Any]) -> Response:
        owner = next(m for m in directory.members.values() if m.role != "member")
        return JSONResponse(_user(owner))

    def create(request: Request, body: dict[str, Any]) -> Response:
        profile = body.get("profile") or {}
        missing = [name for name in ("login", "email", "firstName", "lastName") if not profile.get(name)]
        if missing:
            causes = [f"{name}: The field cannot be left blank" for name in missing]
            return refused(400, "E0000001", f"Api validation failed: {missing[0]}", *causes)
        name = str(profile["login"])
        if any(login(m).casefold() == name.casefold() for m in directory.members.values()):
            cause = "login: An object with this field already exists in the current organization"
            return refused(400, "E0000001", "Api validation failed: login", cause)
        activated = request.query_params.get("activate", "true") == "true"
        password = ((body.get("credentials") or {}).get("password") or {}).get("value")
        member = directory.add(
            name,
            profile["firstName"],
            profile["lastName"],
            state="active" if password and activated else "invited",
            employee_number=profile.get("employeeNumber"),
            title=profile.get("title"),
            department=profile.get("department"),
            phone=profile.get("mobilePhone"),
            groups=[group for group in body.get("groupIds", []) if group in directory.groups],
            invited_at=directory.clock.now(),
        )
        member.extra["secondEmail"] = profile.get("secondEmail")
        if not activated:
            member.extra["status"] = "STAGED"
        elif not password:
            directory.mails.append((name, "activation"))
        elif request.query_params.get("nextLogin") == "changePassword":
            member.extra["status"] = "PASSWORD_EXPIRED"
        return JSONResponse(_user(member))

    def show(request: Request, body: dict[str, Any], member: Member) -> Response:
        return JSONResponse(_user(member))

    def delete(request: Request, body: dict[str, Any], member: Member) -> Response:
        if member.state != "deleted":
            if last_owner(member):
                return last_refused()
            directory.change(member, "deleted")
        else:
            del directory.members[member.id]
            directory.changes += 1
        return Response(status_code=204)

    def end_sessions(request: Request, body: dict[str, Any], member: Member) -> Response:
        member.extra["sessions_ended"] = directory.clock.now()
        return Response(status_code=204)

    def roles(request: Request, body: dict[str, Any], member: Member) -> Response:
        if "okta.roles.read" in directory.faults.missing_scopes():
            return refused(403, "E0000006")
        kinds = {"owner": ("SUPER_ADMIN", "Super Administrator"), "admin": ("USER_ADMIN", "Group Administrator")}
        found = [kinds[member.role]] if member.role in kinds else []
        row = {"status": "ACTIVE", "created": _at(member.created_at), "assignmentType": "USER"}
        return JSONResponse([row | {"id": f"ra1{member.id[3:]}", "type": t, "label": label} for t, label in found])

    def administrators(request: Request, body: dict[str, Any]) -> Response:
        if "okta.roles.read" in directory.faults.missing_scopes():
            return refused(403, "E0000006")
        value = [
            {"id": m.id, "orgId": "00o1acmetea0000000h7", "_links": _self(f"/users/{m.id}")}
            for m in directory.members.values()
            if m.role != "member" and m.state != "deleted"
        ]
        return JSONResponse({"value": value, "_links": {}})

    def groups(request: Request, body: dict[str, Any]) -> Response:
        rows = [_group(group, name) for group, name in directory.groups.items()]
        wanted = re.fullmatch(r'type eq "(\w+)"', request.query_params.get("filter", ""))
        rows = [row for row in rows if not wanted or row["type"] == wanted[1]]
        return page(request, rows, int(request.query_params.get("limit", 10000)))

    def membership(request: Request, body: dict[str, Any], member: Member) -> Response:
        group = request.path_params["group"]
        if group not in directory.groups:
            return refused(404, "E0000007", f"Not found: Resource not found: {group} (UserGroup)")
        if _group(group, directory.groups[group])["type"] != "OKTA_GROUP":
            return refused(403, "E0000006")
        member.groups = [g for g in member.groups if g != group] + ([group] if request.method == "PUT" else [])
        return Response(status_code=204)

    one = "/users/{user}"
    every = [*STATUSES.values(), *FINER]
    return [
        api("/users", users),
        api("/users", create, "POST"),
        api("/users/me", me),
        api(one, person(show)),
        api(one, person(delete), "DELETE"),
        api(f"{one}/lifecycle/suspend", step("ACTIVE", to="suspended"), "POST"),
        api(f"{one}/lifecycle/unsuspend", step("SUSPENDED", to="active"), "POST"),
        api(f"{one}/lifecycle/deactivate", step(*set(every) - {"DEPROVISIONED"}, to="deleted"), "POST"),
        api(f"{one}/lifecycle/activate", step("STAGED", "DEPROVISIONED", to="invited", mail=True), "POST"),
        api(f"{one}/lifecycle/reactivate", step("PROVISIONED", "RECOVERY", to="invited", mail=True), "POST"),
        api(f"{one}/sessions", person(end_sessions), "DELETE"),
        api(f"{one}/roles", person(roles)),
        api("/iam/assignees/users", administrators),
        api("/groups", groups),
        api("/groups/{group}/users/{user}", person(membership), "PUT"),
        api("/groups/{group}/users/{user}", person(membership), "DELETE"),
    ]


def _fits(member: Member, expression: str, spelled: Any) -> bool:
    """Whether one of the expression's terms, joined by `or`, holds."""
    values = {
        "status": status(member),
        "id": member.id,
        "lastUpdated": _at(member.changed_at or member.created_at),
        "profile.login": login(member),
        "profile.email": member.email,
    }
    terms = re.findall(r'([\w.]+) (?:(eq|gt) "((?:[^"\\]|\\.)*)"|pr\b)', expression)
    for name, operator, value in terms:
        had = values.get(name, "")
        value = re.sub(r"\\(.)", r"\1", value)
        if (
            (operator == "eq" and spelled(had) == spelled(value))
            or (operator == "gt" and (had or "") > value)
            or not operator
        ):
            return True
    return False


def _at(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z") if moment else None


def _self(path: str) -> dict[str, Any]:
    return {"self": {"href": f"https://{DOMAIN}{ROOT}{path}"}}


def _group(group: str, name: str) -> dict[str, Any]:
    kind = "BUILT_IN" if name == "Everyone" else "OKTA_GROUP"
    return {
        "id": group,
        "type": kind,
        "profile": {"name": name, "description": None},
        "_links": _self(f"/groups/{group}"),
    }


def _user(member: Member) -> dict[str, Any]:
    profile = {
        "login": login(member),
        "email": member.email,
        "firstName": member.given,
        "lastName": member.family,
        "secondEmail": member.extra.get("secondEmail"),
        "mobilePhone": member.phone,
    }
    known = {"employeeNumber": member.employee_number, "title": member.title, "department": member.department}
    return {
        "id": member.id,
        "status": status(member),
        "created": _at(member.created_at),
        "activated": _at(member.created_at) if member.state != "invited" else None,
        "statusChanged": _at(member.changed_at or member.created_at),
        "lastLogin": _at(member.last_seen),
        "lastUpdated": _at(member.changed_at or member.created_at),
        "passwordChanged": None,
        "type": {"id": "oty1acmeteadefault00"},
        "profile": profile | {name: value for name, value in known.items() if value is not None},
        "credentials": {"provider": {"type": "OKTA", "name": "OKTA"}},
        "_links": _self(f"/users/{member.id}"),
    }


def prepare(directory: Directory, company: Company) -> None:
    """Groups of the company's departments, and somebody in each finer status."""
    titles = ["Everyone", *(row["title"] for row in company.departments.values())]
    directory.groups = {f"00g1acmetea{n:07}h7": title for n, title in enumerate(titles)}
    for finer, state in FINER.items():
        plain = (m for m in directory.members.values() if m.state == state and m.role == "member" and not m.extra)
        if member := next(plain, None):
            member.extra["status"] = finer


SIMULATOR = Simulator(
    slug="okta",
    record={"domain": DOMAIN, "api_token": "00okta-sandbox-token"},
    routes=routes,
    new_id=lambda n: f"00u1acmetea{n:07}h7",
    rate_limited=too_many,
    failed=lambda status: refused(status, "E0000009"),
    prepare=prepare,
)
