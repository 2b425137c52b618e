"""Salesforce's REST API v59.0: SOQL over users, their logins, profiles and the org; users made and changed.

Errors are arrays, also when the day's requests are used up (403); logins are unique among all orgs; nothing of a user
is deleted but the password. In `directory.extra`, for tests: `elsewhere`, logins that other orgs have; `owners`, ids
of those who own something that keeps them from being deactivated.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token, oauth_routes
from gusto_pipeline.sandbox.gusto.world import Company

DOMAIN = "acme-tea.my.salesforce.com"
ROOT = "/services/data/v59.0"
ORGANIZATION = "00D5f0000ACMETEAEA"
PROFILES = {"member": "Standard User", "admin": "System Administrator", "owner": "System Administrator"}
PROFILE_IDS = {"Standard User": "00e5f000001StdUAA1", "System Administrator": "00e5f000001SysAAA1"}
REQUIRED = (
    *("Username", "Email", "LastName", "Alias", "ProfileId"),
    *("TimeZoneSidKey", "LocaleSidKey", "EmailEncodingKey", "LanguageLocaleKey"),
)
BATCH = 2000


def refused(status: int, code: str, message: str, *fields: str) -> JSONResponse:
    return JSONResponse([{"message": message, "errorCode": code, **({"fields": fields} if fields else {})}], status)


def limited(seconds: float) -> JSONResponse:
    """Too many requests at once, which passes, or too many a day."""
    what = "ConcurrentPerOrgLongTxn" if seconds < 60 else "TotalRequests"
    return refused(403, "REQUEST_LIMIT_EXCEEDED", f"{what} Limit exceeded.")


def routes(directory: Directory) -> list[Route]:
    def api(path: str, answer: Any, method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            if not directory.accepts(bearer_token(request), request.url.path):
                return refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
            body = (await request.json()) if await request.body() else {}
            answered: Response = answer(request, body)
            answered.headers["sforce-limit-info"] = "api-usage=18/5000"
            return answered

        return Route(ROOT + path, guarded, methods=[method])

    def query(request: Request, body: dict[str, Any]) -> Response:
        soql = re.fullmatch(
            r"SELECT (?P<fields>\S+) FROM (?P<what>\w+)(?: WHERE (?P<where>.+?))?(?: ORDER BY (?P<order>\w+))?",
            request.query_params.get("q", ""),
        )
        if soql is None or soql["what"] not in ("User", "UserLogin", "Profile", "Organization"):
            return refused(400, "MALFORMED_QUERY", "unexpected token")
        rows, total = table(soql["what"], request.url.path, soql["where"] or "")
        fields = soql["fields"].split(",")
        if unknown := [f for f in fields if rows and f.split(".")[0] not in rows[0]]:
            return refused(400, "INVALID_FIELD", f"No such column '{unknown[0]}' on entity '{soql['what']}'")
        rows = sorted(rows, key=lambda row: row[soql["order"] or "Id"])
        made = [_projected(row, fields, soql["what"]) for row in rows]
        directory.extra["cursors"].append((made, total))
        return batch(len(directory.extra["cursors"]) - 1, 0)

    def table(what: str, path: str, where: str) -> tuple[list[dict[str, Any]], int]:
        """The rows that fit, and how many there were before any got lost."""
        if what == "Organization":
            return [{"Id": ORGANIZATION, "Name": directory.organization}], 1
        if what == "Profile":
            return [{"Id": number, "Name": name} for name, number in PROFILE_IDS.items()], len(PROFILE_IDS)
        made = _user if what == "User" else _login
        everyone = [row for m in directory.members.values() if _fits(row := made(m), where)]
        if what == "UserLogin":
            return everyone, len(everyone)
        kept = {m.id for m in directory.listed(path, "active", "invited", "suspended")}
        return [row for row in everyone if row["Id"] in kept], len(everyone)

    def batch(cursor: int, start: int) -> Response:
        rows, total = directory.extra["cursors"][cursor]
        answer = {"totalSize": total, "done": start + BATCH >= len(rows), "records": rows[start : start + BATCH]}
        if not answer["done"]:
            answer["nextRecordsUrl"] = f"{ROOT}/query/01g{cursor:015}-{start + BATCH}"
        return JSONResponse(answer)

    def more(request: Request, body: dict[str, Any]) -> Response:
        locator = re.fullmatch(r"01g(\d{15})-(\d+)", request.path_params["locator"])
        if locator is None or int(locator[1]) >= len(directory.extra["cursors"]):
            return refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return batch(int(locator[1]), int(locator[2]))

    def create(request: Request, body: dict[str, Any]) -> Response:
        if missing := [name for name in REQUIRED if not body.get(name)]:
            text = f"Required fields are missing: [{', '.join(missing)}]"
            return refused(400, "REQUIRED_FIELD_MISSING", text, *missing)
        if len(body["Alias"]) > 8:
            return refused(400, "STRING_TOO_LONG", "Alias: data value too large (max length=8)", "Alias")
        login = str(body["Username"]).lower()
        if login in directory.extra["elsewhere"] or any(_username(m) == login for m in directory.members.values()):
            text = (
                "Duplicate Username.<br>The username already exists in this or another Salesforce organization. "
                "Usernames must be unique across all Salesforce organizations."
            )
            return refused(400, "DUPLICATE_USERNAME", text, "Username")
        if directory.full():
            return refused(400, "LICENSE_LIMIT_EXCEEDED", "License Limit Exceeded")
        if body["ProfileId"] not in PROFILE_IDS.values():
            return refused(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", "ProfileId")
        member = directory.add(
            body["Email"],
            body.get("FirstName") or "",
            body["LastName"],
            state="invited",
            role="admin" if body["ProfileId"] == PROFILE_IDS["System Administrator"] else "member",
            employee_number=body.get("EmployeeNumber"),
            title=body.get("Title"),
            department=body.get("Department"),
            phone=body.get("MobilePhone"),
        )
        member.extra["username"] = login
        return JSONResponse({"id": member.id, "success": True, "errors": []}, 201)

    def update(request: Request, body: dict[str, Any]) -> Response:
        member = directory.members.get(request.path_params["id"])
        if member is None:
            return refused(404, "NOT_FOUND", "The requested resource does not exist")
        if body.get("IsActive") is False:
            if [m for m in directory.members.values() if m.role != "member" and m.state == "active"] == [member]:
                return refused(400, "FIELD_INTEGRITY_EXCEPTION", "You can't deactivate the last System Administrator")
            if member.id in directory.extra["owners"]:
                text = "You can't deactivate this user because they're the default lead owner"
                return refused(400, "FIELD_INTEGRITY_EXCEPTION", text, "IsActive")
            directory.change(member, "suspended")
        elif body.get("IsActive") and member.state == "suspended":
            if directory.full():
                return refused(400, "LICENSE_LIMIT_EXCEEDED", "License Limit Exceeded")
            directory.change(member, "active")
        return Response(status_code=204)

    def freeze(request: Request, body: dict[str, Any]) -> Response:
        members = directory.members.values()
        member = next((m for m in members if _login(m)["Id"] == request.path_params["id"]), None)
        if member is None:
            return refused(404, "NOT_FOUND", "The requested resource does not exist")
        member.extra["frozen"] = body["IsFrozen"]
        directory.changes += 1
        return Response(status_code=204)

    def no_delete(request: Request, body: dict[str, Any]) -> Response:
        text = "HTTP Method 'DELETE' not allowed. Allowed are HEAD,GET,PATCH"
        return refused(405, "METHOD_NOT_ALLOWED", text)

    def reset_password(request: Request, body: dict[str, Any]) -> Response:
        member = directory.members.get(request.path_params["id"])
        if member is None:
            return refused(404, "NOT_FOUND", "The requested resource does not exist")
        directory.mails.append((member.email, "password reset"))
        return JSONResponse({"NewPassword": "sandbox-new-password"})

    return [
        *oauth_routes(
            directory,
            "/services/oauth2/authorize",
            "/services/oauth2/token",
            lifetime=None,
            extra={"instance_url": f"https://{DOMAIN}", "id": f"https://login.salesforce.com/id/{ORGANIZATION}/x"},
        ),
        api("/query", query),
        api("/query/{locator}", more),
        api("/sobjects/User", create, "POST"),
        api("/sobjects/User/{id}", update, "PATCH"),
        api("/sobjects/User/{id}", no_delete, "DELETE"),
        api("/sobjects/User/{id}/password", reset_password, "DELETE"),
        api("/sobjects/UserLogin/{id}", freeze, "PATCH"),
    ]


def _fits(row: dict[str, Any], where: str) -> bool:
    """Whether one of the conditions, joined by OR, holds; case does not matter. No condition always does."""
    conditions = re.findall(r"(\w+) (?:= (true|false|'(?:[^'\\]|\\.)*')|IN \(([^)]*)\))", where)
    for name, single, several in conditions:
        wanted = [re.sub(r"\\(.)", r"\1", each.strip("'")).casefold() for each in (several or single).split(",")]
        if str(row[name]).casefold() in wanted:
            return True
    return not conditions


def _projected(row: dict[str, Any], fields: list[str], what: str) -> dict[str, Any]:
    """The fields asked for, those of related objects nested."""
    made: dict[str, Any] = {"attributes": {"type": what, "url": f"{ROOT}/sobjects/{what}/{row['Id']}"}}
    nested: dict[str, list[str]] = {}
    for field in fields:
        name, _, rest = field.partition(".")
        if rest:
            nested.setdefault(name, []).append(rest)
        else:
            made[name] = row[name]
    for name, inner in nested.items():
        made[name] = _projected(row[name], inner, name) if row[name] else None
    return made


def _at(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000") if moment else None


def _username(member: Member) -> str:
    return str(member.extra.get("username", member.email)).lower()


def _login(member: Member) -> dict[str, Any]:
    frozen = bool(member.extra.get("frozen"))
    return {"Id": f"0Yw{member.id[3:]}", "UserId": member.id, "IsFrozen": frozen, "IsPasswordLocked": False}


def _user(member: Member) -> dict[str, Any]:
    profile = PROFILES[member.role]
    license = {"Id": "1005f000001LicAAA1", "Name": "Salesforce"}
    admin = member.role != "member"
    return {
        "Id": member.id,
        "Username": _username(member),
        "Email": member.email,
        "FirstName": member.given or None,
        "LastName": member.family,
        "Name": member.name,
        "IsActive": member.state in ("active", "invited"),
        "UserType": "AutomatedProcess" if member.bot else "Standard",
        "ProfileId": PROFILE_IDS[profile],
        "Profile": {
            "Id": PROFILE_IDS[profile],
            "Name": profile,
            "PermissionsModifyAllData": admin,
            "UserLicense": license,
        },
        "UserRoleId": None,
        "UserRole": None,
        "LastLoginDate": _at(member.last_seen),
        "CreatedDate": _at(member.created_at),
        "EmployeeNumber": member.employee_number,
        "Title": member.title,
        "Department": member.department,
        "Phone": None,
        "MobilePhone": member.phone,
        "FederationIdentifier": None,
    }


def prepare(directory: Directory, company: Company) -> None:
    directory.extra = {"elsewhere": set(), "owners": set(), "cursors": []}


SIMULATOR = Simulator(
    slug="salesforce",
    record={
        "domain": DOMAIN,
        "client_id": "3MVG9sandbox",
        "client_secret": "salesforce-sandbox-secret",
        "profile": "Standard User",
        "time_zone": "America/Los_Angeles",
        "locale": "en_US",
    },
    routes=routes,
    new_id=lambda n: f"0055f{n:010}AAA",
    rate_limited=limited,
    failed=lambda status: refused(status, "UNKNOWN_EXCEPTION", "An unexpected error occurred"),
    prepare=prepare,
    spared=("/services/oauth2", "/_sandbox"),
)
