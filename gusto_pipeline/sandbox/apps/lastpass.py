"""LastPass' Enterprise API: one address, commands in the body, status 200 and text/xml for everything.

Company number and hash are in each body; a wrong one is answered in plain text. Users are an object by their id, groups
one by name; what is so already is `OK` with an `error`. A new person is never named by id.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member, State
from gusto_pipeline.sandbox.apps.simulator import Simulator
from gusto_pipeline.sandbox.gusto.world import Company

PATH = "/enterpriseapi.php"
WHEN = "%Y-%m-%d %H:%M:%S"
Json = dict[str, Any]


class CommandError(Exception):
    """What a command refuses with."""


def routes(directory: Directory) -> list[Route]:
    async def command(request: Request) -> Response:
        body = await request.json()
        proof = {"cid": str(body.get("cid")), "provisioning_hash": body.get("provhash")}
        if proof != directory.secret or directory.faults.strike(PATH, "expired"):
            return Response("Authorization Error", media_type="text/xml")
        try:
            answer = COMMANDS[body["cmd"]](directory, body.get("data"))
        except KeyError:
            answer = {"status": "FAIL", "error": f"Unknown command: {body.get('cmd')}"}
        except CommandError as failure:
            answer = {"status": "FAIL", "error": str(failure)}
        return Response(json.dumps(answer), media_type="text/xml")

    return [Route(PATH, command, methods=["POST"])]


def users(directory: Directory, data: Json | None) -> Json:
    data = data or {}
    rows = directory.listed(PATH)
    total = sum(member.state != "deleted" for member in directory.members.values())
    if "username" in data:
        rows = [member for member in rows if member.email.casefold() == data["username"].casefold()]
        total = len(rows)
    if "pagesize" in data:
        start = data["pagesize"] * data.get("pageindex", 0)
        rows = rows[start : start + data["pagesize"]]
    shown = {member.id: _user(member) for member in rows}
    groups = {
        name: [m.email for m in directory.members.values() if name in m.groups and m.state != "deleted"]
        for name in directory.groups
    }
    return {"total": total, "count": len(shown), "Users": shown or [], "Groups": groups or []}


def add(directory: Directory, data: list[Json]) -> Json:
    for person in data:
        if directory.by_email(person["username"]):
            raise CommandError(f"User already exists: {person['username']}")
        if directory.full():
            raise CommandError("There are no licenses left")
        given, _, family = person.get("fullname", "").partition(" ")
        member = directory.add(
            person["username"], given, family, state="invited", groups=list(person.get("groups", []))
        )
        if not person.get("password"):
            directory.mails.append((member.email, "activation"))
    return {"status": "OK"}


def disable(directory: Directory, data: list[str]) -> Json:
    return _turn(directory, data, "suspended", "disabled")


def enable(directory: Directory, data: list[str]) -> Json:
    return _turn(directory, data, "active", "enabled")


def _turn(directory: Directory, emails: list[str], state: State, word: str) -> Json:
    changed, unchanged = [], []
    for member in [_known(directory, email) for email in emails]:
        if (member.state == "suspended") == (state == "suspended"):
            unchanged.append(member.email)
            continue
        _keep_an_admin(directory, member)
        directory.change(member, state)
        changed.append(member.email)
    if not unchanged:
        return {"status": "success", f"{word}_users": changed}
    return {"status": "OK", "error": f"User already {word}: {', '.join(unchanged)}", "unchanged_users": unchanged}


def delete(directory: Directory, data: Json) -> Json:
    member, action = _known(directory, data["username"]), data.get("deleteaction", 0)
    if action == 3 and member.state != "invited":
        raise CommandError(f"User has no pending invitation: {member.email}")
    _keep_an_admin(directory, member)
    directory.change(member, "deleted" if action else "suspended")
    return {"status": "OK"}


def regroup(directory: Directory, data: list[Json]) -> Json:
    for row in data:
        member = _known(directory, row["username"])
        kept = [name for name in member.groups if name not in row.get("del", [])]
        member.groups = [*kept, *row.get("add", [])]
        directory.groups |= {name: name for name in row.get("add", [])}
    return {"status": "OK"}


COMMANDS: dict[str, Callable[[Directory, Any], Json]] = {
    "getuserdata": users,
    "batchadd": add,
    "disableuser": disable,
    "enableuser": enable,
    "deluser": delete,
    "batchchangegrp": regroup,
}


def _known(directory: Directory, email: str) -> Member:
    if member := directory.by_email(email):
        return member
    raise CommandError(f"No such user: {email}")


def _keep_an_admin(directory: Directory, member: Member) -> None:
    if [m for m in directory.members.values() if m.role != "member" and m.state == "active"] == [member]:
        raise CommandError("This is the last admin of the company")


def _user(member: Member) -> Json:
    return {
        "username": member.email,
        "fullname": member.name,
        "mpstrength": "100",
        "created": member.created_at.strftime(WHEN),
        "last_pw_change": "",
        "last_login": member.last_seen.strftime(WHEN) if member.last_seen else "",
        "neverloggedin": member.last_seen is None,
        "disabled": member.state == "suspended",
        "admin": member.role != "member",
        "totalscore": None,
        "multifactor": "",
        "duousername": member.email,
        "password_reset_required": False,
        "sites": 0,
        "notes": 0,
        "formfills": 0,
        "applications": 0,
        "groups": member.groups,
    }


def prepare(directory: Directory, company: Company) -> None:
    directory.groups = {row["title"]: row["title"] for row in company.departments.values()}


SIMULATOR = Simulator(
    slug="lastpass",
    record={"cid": "8771312", "provisioning_hash": "359fdfbc93bc6b8f1963c84e9db3539a5d3d688f394bd536"},
    routes=routes,
    new_id=lambda n: str(101000000 + n),
    rate_limited=lambda seconds: Response("Too Many Requests", 429, {"retry-after": f"{seconds:g}"}),
    prepare=prepare,
)
