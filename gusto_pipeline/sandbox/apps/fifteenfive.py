"""15Five's public REST API 1: people and groups, as Django REST framework answers.

Paths end with a slash; pages by number with an absolute next URL; creating takes an array and changes whoever is there
by address or employee id; nothing can be deleted. The key is taken bare or behind `Bearer`; with `extra["bearer"]` of
the directory only behind it.
"""

from __future__ import annotations

from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member, State
from gusto_pipeline.sandbox.apps.simulator import Simulator
from gusto_pipeline.sandbox.gusto.world import Company

ROOT = "/api/public"


def refused(status: int, detail: str, **headers: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)


def routes(directory: Directory) -> list[Route]:
    def api(path: str, **answers: Any) -> Route:
        async def guarded(request: Request) -> Response:
            if directory.faults.strike(request.url.path, "expired"):
                directory.extra["key_ended"] = True
            sent, key = request.headers.get("authorization", ""), directory.secret["api_key"]
            taken = [f"Bearer {key}"] if directory.extra.get("bearer") else [key, f"Bearer {key}"]
            if sent not in taken or directory.extra.get("key_ended"):
                return refused(401, "Invalid token.")
            if (answer := answers.get(request.method)) is None:
                return refused(405, f'Method "{request.method}" not allowed.')
            answered: Response = answer(request, await request.json() if await request.body() else None)
            return answered

        return Route(ROOT + path, guarded, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])

    def page(request: Request, rows: list[Any], total: int) -> Response:
        size, number = int(request.query_params.get("page_size", 100)), int(request.query_params.get("page", 1))
        if number > max(1, -(-len(rows) // size)):
            return refused(404, "Invalid page.")

        def to(other: int) -> str:
            url = httpx.URL(str(request.url)).copy_with(scheme="https", host="my.15five.com", port=None)
            return str(url.copy_merge_params({"page": other}))

        following = to(number + 1) if number * size < len(rows) else None
        body = {"count": total, "next": following, "previous": to(number - 1) if number > 1 else None}
        return JSONResponse(body | {"results": rows[(number - 1) * size : number * size]})

    def people(request: Request, body: Any) -> Response:
        query = request.query_params

        def wanted(member: Member) -> bool:
            active = {"true": True, "false": False}.get(query.get("is_active", "").lower())
            return (
                active in (None, member.state != "suspended")
                and query.get("email", member.email).casefold() == member.email.casefold()
                and query.get("employee_id", member.employee_number) == member.employee_number
            )

        rows = [_person(member) for member in directory.listed(request.url.path) if wanted(member)]
        return page(request, rows, sum(map(wanted, directory.there())))

    def bulk(request: Request, body: Any) -> Response:
        if not isinstance(body, list):
            return JSONResponse({"non_field_errors": ['Expected a list of items but got type "dict".']}, 400)
        if directory.full() and not all(map(same, body)):
            return JSONResponse({"non_field_errors": ["There are no licenses left for this company."]}, 400)
        return JSONResponse([_person(upsert(row)) for row in body])

    def same(row: dict[str, Any]) -> Member | None:
        employee = row.get("employee_id")
        return directory.by_email(row["email"]) or next(
            (m for m in directory.there() if employee and m.employee_number == employee), None
        )

    def upsert(row: dict[str, Any]) -> Member:
        member = same(row)
        if member is None:
            member = directory.add(row["email"], row["first_name"], row["last_name"], state="invited")
            if row.get("send_welcome_from_user_id"):
                directory.mails.append((member.email, "welcome"))
        else:
            directory.change(member, "active" if row.get("is_active", True) else "suspended")
        member.email, member.given, member.family = row["email"], row["first_name"], row["last_name"]
        member.employee_number = row.get("employee_id", member.employee_number)
        return member

    def person(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["person"])
        return JSONResponse(_person(member)) if member else refused(404, "Not found.")

    def update(request: Request, body: Any) -> Response:
        member = directory.members.get(request.path_params["person"])
        if member is None:
            return refused(404, "Not found.")
        if "is_active" in body:
            back: State = "active" if member.last_seen else "invited"
            directory.change(member, back if body["is_active"] else "suspended")
        if "company_groups_ids" in body:
            if unknown := {str(each) for each in body["company_groups_ids"]} - directory.groups.keys():
                said = [f'Invalid pk "{each}" - object does not exist.' for each in unknown]
                return JSONResponse({"company_groups_ids": said}, 400)
            member.groups = [str(each) for each in body["company_groups_ids"]]
        return JSONResponse(_person(member))

    def groups(request: Request, body: Any) -> Response:
        rows = [{"id": int(key), "name": name, "group_type": "Department"} for key, name in directory.groups.items()]
        return page(request, rows, len(rows))

    return [
        api("/user/", GET=people),
        api("/user/bulk/", POST=bulk),
        api("/user/{person}/", GET=person, PUT=update),
        api("/group/", GET=groups),
    ]


def _person(member: Member) -> dict[str, Any]:
    return {
        "id": int(member.id),
        "global_id": f"UserType:{member.id}",
        "email": member.email,
        "first_name": member.given,
        "last_name": member.family,
        "is_active": member.state != "suspended",
        "is_company_admin": member.role != "member",
        "is_reviewer": False,
        "is_reporter": True,
        "last_login_ts": member.last_seen.isoformat() if member.last_seen else None,
        "employee_id": member.employee_number,
        "title": member.title,
        "location": None,
        "company_groups_ids": [int(each) for each in member.groups],
        "create_ts": member.created_at.isoformat(),
        "update_ts": (member.changed_at or member.created_at).isoformat(),
    }


def prepare(directory: Directory, company: Company) -> None:
    directory.groups = {str(55100 + n): row["title"] for n, row in enumerate(company.departments.values())}


SIMULATOR = Simulator(
    slug="15five",
    record={"api_key": "0123456789abcdef0123456789abcdef"},
    routes=routes,
    new_id=lambda n: str(1_700_000 + n),
    rate_limited=lambda seconds: refused(
        429, f"Request was throttled. Expected available in {seconds:g} seconds.", **{"retry-after": f"{seconds:g}"}
    ),
    prepare=prepare,
    spared=("/_sandbox",),
)
