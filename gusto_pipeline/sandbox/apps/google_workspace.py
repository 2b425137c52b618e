"""Google's Admin SDK: users with their bin, groups, data transfers; and licences.

Empty lists have no key, never is 1970, limits are 403 or 429 without Retry-After. In `directory.extra`, for tests:
`lag`, seconds in which a new user is not found yet; `licences`, how many are left of each; `transfer_seconds`, how
long a transfer takes, and `transfer_ends`, how it ends; `delegated`, the scopes that the service account may have.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token, oauth_routes, pem, service_key, timely
from gusto_pipeline.sandbox.gusto.world import Company

ROOT = "/admin/directory/v1"
TRANSFERS = "/admin/datatransfer/v1"
CUSTOMER = "C03az79cb"
TOKEN_URI = "https://oauth2.googleapis.com/token"
SERVICE_ACCOUNT = "pipeline@sandbox-project.iam.gserviceaccount.com"
SCOPES = ("admin.directory.user", "admin.directory.user.security", "admin.directory.group", "admin.datatransfer",
          "apps.licensing")  # fmt: skip
BIN = timedelta(days=20)
APPLICATIONS = [
    {"id": "55656082996", "name": "Drive and Docs",
     "transferParams": [{"key": "PRIVACY_LEVEL", "value": ["PRIVATE", "SHARED"]}]},
    {"id": "435070579839", "name": "Calendar", "transferParams": [{"key": "RELEASE_RESOURCES", "value": ["TRUE"]}]},
]  # fmt: skip


def refused(code: int, reason: str, message: str, **more: str) -> JSONResponse:
    errors = [{"domain": "global", "reason": reason, "message": message}]
    return JSONResponse({"error": {"code": code, "message": message, "errors": errors, **more}}, code)


def no_token(error: str, description: str, status: int = 400) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status)


def routes(directory: Directory) -> list[Route]:
    def delegated(said: dict[str, Any]) -> Member | Response:
        """Domain-wide delegation: the service account acts as the user of the company that `sub` names."""
        if not said:
            return no_token("invalid_grant", "Invalid JWT Signature.")
        if said.get("iss") != SERVICE_ACCOUNT:
            return no_token("invalid_grant", "Invalid grant: account not found")
        if said.get("aud") != TOKEN_URI:
            text = f"Invalid JWT: Failed audience check. The right audience is {TOKEN_URI}"
            return no_token("invalid_grant", text)
        if not timely(said, directory):
            text = (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your "
                "iat and exp values in the JWT claim."
            )
            return no_token("invalid_grant", text)
        if not said.get("scope"):
            return no_token("invalid_scope", "Empty or missing scope not allowed.")
        allowed = {f"https://www.googleapis.com/auth/{scope}" for scope in directory.extra["delegated"]}
        if not set(said["scope"].split()) <= allowed:
            text = (
                "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any "
                "of the scopes requested."
            )
            return no_token("unauthorized_client", text, 401)
        member = directory.by_email(said.get("sub", ""), "active")
        return member or no_token("invalid_grant", "Invalid email or User ID")

    def api(path: str, answer: Any, method: str = "GET", scope: str = "admin.directory.user") -> Route:
        async def guarded(request: Request) -> Response:
            if not directory.accepts(bearer_token(request), request.url.path):
                return refused(401, "authError", "Invalid Credentials", status="UNAUTHENTICATED")
            if (holder := directory.holder(bearer_token(request))) and holder.role == "member":
                return refused(403, "forbidden", "Not Authorized to access this resource/api")
            if scope in directory.faults.missing_scopes():
                text = "Request had insufficient authentication scopes."
                return refused(403, "insufficientPermissions", text, status="PERMISSION_DENIED")
            body = (await request.json()) if await request.body() else {}
            answered: Response = answer(request, body)
            return answered

        return Route(path, guarded, methods=[method])

    def person(answer: Any) -> Any:
        """A call about a user who is not in the bin, by id or one of the addresses."""

        def with_member(request: Request, body: dict[str, Any]) -> Response:
            key = request.path_params["user"].casefold()
            if "@" in key and key.rpartition("@")[2] not in directory.extra["domains"]:
                return refused(403, "forbidden", "Not Authorized to access this resource/api")
            there = [m for m in directory.members.values() if m.state != "deleted"]
            member = next((m for m in there if key in (m.id, *map(str.casefold, _addresses(m)))), None)
            if member is None or (unfinished(member) and request.method == "GET"):
                return refused(404, "notFound", "Resource Not Found: userKey")
            if unfinished(member):
                return refused(412, "conditionNotMet", "User creation is not complete.")
            answered: Response = answer(request, body, member)
            return answered

        return with_member

    def unfinished(member: Member) -> bool:
        return bool(member.created_at + timedelta(seconds=directory.extra["lag"]) > directory.clock.now())

    def binned() -> list[Member]:
        oldest = directory.clock.now() - BIN
        return [
            m for m in directory.members.values() if m.state == "deleted" and m.changed_at and m.changed_at > oldest
        ]

    def last_owner(member: Member) -> bool:
        return [m for m in directory.members.values() if m.role == "owner" and m.state == "active"] == [member]

    def page(request: Request, what: str, rows: Sequence[dict[str, Any]], default: int, most: int) -> Response:
        query = request.query_params
        limit, token = int(query.get("maxResults", default)), query.get("pageToken")
        if query.get("customer") != "my_customer" and "domain" not in query:
            return refused(400, "badRequest", "Bad Request")
        if not 1 <= limit <= most:
            return refused(400, "invalid", "Invalid value for: maxResults")
        start = int(base64.urlsafe_b64decode(token)) if token else 0
        answer: dict[str, Any] = {"kind": f"admin#directory#{what}", "etag": '"sandbox"'}
        if shown := rows[start : start + limit]:
            answer[what] = list(shown)
        if start + limit < len(rows):
            answer["nextPageToken"] = base64.urlsafe_b64encode(str(start + limit).encode()).decode()
        return JSONResponse(answer)

    def users(request: Request, body: dict[str, Any]) -> Response:
        members = binned() if request.query_params.get("showDeleted") == "true" else directory.listed(request.url.path)
        if request.query_params.get("query") == "isAdmin=true":
            members = [m for m in members if m.role == "owner"]
        if request.query_params.get("orderBy") == "email":
            members = sorted(members, key=lambda m: m.email)
        return page(request, "users", [_user(m) for m in members], 100, 500)

    def insert(request: Request, body: dict[str, Any]) -> Response:
        email, name = str(body.get("primaryEmail", "")), body.get("name") or {}
        if not (name.get("givenName") and name.get("familyName")):
            return refused(400, "required", "Missing required field: name")
        if not 8 <= len(body.get("password", "")) <= 100 or not body["password"].isascii():
            return refused(400, "invalid", "Invalid Password")
        if email.rpartition("@")[2] not in directory.extra["domains"]:
            return refused(403, "forbidden", "Not Authorized to access this resource/api")
        there = [m for m in directory.members.values() if m.state != "deleted"] + binned()
        if any(email.casefold() in map(str.casefold, _addresses(m)) for m in there):
            return refused(409, "duplicate", "Entity already exists.")
        if directory.full():
            return refused(412, "limitExceeded", "Domain user limit reached.")
        work, numbers = (body.get("organizations") or [{}])[0], body.get("externalIds") or [{}]
        member = directory.add(
            email,
            name["givenName"],
            name["familyName"],
            state="invited",
            employee_number=numbers[0].get("value"),
            title=work.get("title"),
            department=work.get("department"),
        )
        member.extra["recoveryEmail"] = body.get("recoveryEmail")
        return JSONResponse(_user(member))

    def show(request: Request, body: dict[str, Any], member: Member) -> Response:
        return JSONResponse(_user(member))

    def patch(request: Request, body: dict[str, Any], member: Member) -> Response:
        if body.get("suspended") and last_owner(member):
            return refused(412, "conditionNotMet", "Cannot suspend the last super administrator.")
        if body.get("suspended") is not None:
            fresh = member.last_seen is None and "invited" in member.extra
            directory.change(member, "suspended" if body["suspended"] else "invited" if fresh else "active")
        if "archived" in body:
            member.extra["archived"] = body["archived"]
        return JSONResponse(_user(member))

    def delete(request: Request, body: dict[str, Any], member: Member) -> Response:
        if last_owner(member):
            return refused(412, "conditionNotMet", "Cannot delete the last super administrator.")
        directory.change(member, "deleted")
        return Response(status_code=204)

    def undelete(request: Request, body: dict[str, Any]) -> Response:
        member = next((m for m in binned() if m.id == request.path_params["user"]), None)
        if member is None:
            return refused(404, "notFound", "Resource Not Found: userKey")
        directory.change(member, "active")
        return Response(status_code=204)

    def sign_out(request: Request, body: dict[str, Any], member: Member) -> Response:
        member.extra["signed_out"] = directory.clock.now()
        return Response(status_code=204)

    def groups(request: Request, body: dict[str, Any]) -> Response:
        return page(request, "groups", [_group(directory, *each) for each in directory.groups.items()], 200, 200)

    def group_of(request: Request) -> str | None:
        rows = [_group(directory, *each) for each in directory.groups.items()]
        return next((row["id"] for row in rows if request.path_params["group"] in (row["id"], row["email"])), None)

    def add_member(request: Request, body: dict[str, Any]) -> Response:
        group, member = group_of(request), directory.by_email(str(body.get("email", "")))
        if group is None or member is None:
            return refused(404, "notFound", "Resource Not Found: " + ("memberKey" if group else "groupKey"))
        if group in member.groups:
            return refused(409, "duplicate", "Member already exists.")
        member.groups.append(group)
        row = {"kind": "admin#directory#member", "id": member.id, "email": member.email}
        return JSONResponse(row | {"role": body.get("role", "MEMBER"), "type": "USER", "status": "ACTIVE"})

    def drop_member(request: Request, body: dict[str, Any], member: Member) -> Response:
        group = group_of(request)
        if group not in member.groups:
            return refused(404, "notFound", "Resource Not Found: " + ("memberKey" if group else "groupKey"))
        member.groups.remove(group)
        return Response(status_code=204)

    def applications(request: Request, body: dict[str, Any]) -> Response:
        rows = [{"kind": "admin#datatransfer#ApplicationResource", **row} for row in APPLICATIONS]
        return JSONResponse({"kind": "admin#datatransfer#applicationsList", "applications": rows})

    def transferred(row: dict[str, Any]) -> dict[str, Any]:
        passed = directory.clock.now() - datetime.fromisoformat(row["requestTime"])
        over = passed >= timedelta(seconds=directory.extra["transfer_seconds"])
        return row | {"overallTransferStatusCode": directory.extra["transfer_ends"] if over else "inProgress"}

    def transfers(request: Request, body: dict[str, Any]) -> Response:
        asked = {k: v for k, v in request.query_params.items() if k in ("oldOwnerUserId", "newOwnerUserId")}
        rows = [row for row in map(transferred, directory.extra["transfers"].values()) if asked.items() <= row.items()]
        answer: dict[str, Any] = {"kind": "admin#datatransfer#dataTransfersList"}
        return JSONResponse(answer | ({"dataTransfers": rows} if rows else {}))

    def transfer(request: Request, body: dict[str, Any]) -> Response:
        if not {body.get("oldOwnerUserId"), body.get("newOwnerUserId")} <= directory.members.keys():
            return refused(400, "invalid", "Invalid owner user id")
        number = f"AKrEtIb{len(directory.extra['transfers']):08}"
        at = {"id": number, "requestTime": directory.clock.now().isoformat(), "overallTransferStatusCode": "new"}
        row = {"kind": "admin#datatransfer#DataTransfer", **body, **at}
        directory.extra["transfers"][number] = row
        return JSONResponse(row)

    def show_transfer(request: Request, body: dict[str, Any]) -> Response:
        row = directory.extra["transfers"].get(request.path_params["transfer"])
        return JSONResponse(transferred(row)) if row else refused(404, "notFound", "Not Found")

    def assign(request: Request, body: dict[str, Any]) -> Response:
        product, sku = request.path_params["product"], request.path_params["sku"]
        left, member = directory.extra["licences"].get(f"{product}/{sku}"), directory.by_email(str(body.get("userId")))
        if left is None or member is None:
            return refused(404, "notFound", "Not Found")
        if unfinished(member):
            return refused(412, "conditionNotMet", "User creation is not complete.")
        if not left:
            return refused(
                412, "conditionNotMet", "There aren't enough available licenses for the specified product-SKU pair."
            )
        directory.extra["licences"][f"{product}/{sku}"] -= 1
        row = {"kind": "licensing#licenseAssignment", "userId": member.email, "productId": product, "skuId": sku}
        return JSONResponse(row)

    user, group = f"{ROOT}/users/{{user}}", f"{ROOT}/groups/{{group}}/members"
    security, members, moving = "admin.directory.user.security", "admin.directory.group", "admin.datatransfer"
    licences = "/apps/licensing/v1/product/{product}/sku/{sku}/user"
    return [
        *oauth_routes(directory, "/o/oauth2/v2/auth", "/token", lifetime=3599, names_scope=True, assertion=delegated),
        api(f"{ROOT}/users", users),
        api(f"{ROOT}/users", insert, "POST"),
        api(user, person(show)),
        api(user, person(patch), "PATCH"),
        api(user, person(delete), "DELETE"),
        api(f"{user}/undelete", undelete, "POST"),
        api(f"{user}/signOut", person(sign_out), "POST", security),
        api(f"{ROOT}/groups", groups, scope=members),
        api(group, add_member, "POST", members),
        api(f"{group}/{{user}}", person(drop_member), "DELETE", members),
        api(f"{TRANSFERS}/applications", applications, scope=moving),
        api(f"{TRANSFERS}/transfers", transfers, scope=moving),
        api(f"{TRANSFERS}/transfers", transfer, "POST", moving),
        api(f"{TRANSFERS}/transfers/{{transfer}}", show_transfer, scope=moving),
        api(licences, assign, "POST", "apps.licensing"),
    ]


def _addresses(member: Member) -> list[str]:
    return [member.email, *member.extra.get("aliases", ())]


def _at(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z") if moment else "1970-01-01T00:00:00.000Z"


def _group(directory: Directory, group: str, name: str) -> dict[str, Any]:
    local = "".join(c if c.isalnum() else "-" for c in name.lower())
    members = sum(group in member.groups for member in directory.members.values())
    row = {"kind": "admin#directory#group", "id": group, "email": f"{local}@{directory.domain}", "name": name}
    return row | {"directMembersCount": str(members), "description": "", "adminCreated": True}


def _user(member: Member) -> dict[str, Any]:
    if member.state == "invited":
        member.extra["invited"] = True
    row: dict[str, Any] = {
        "kind": "admin#directory#user",
        "id": member.id,
        "primaryEmail": member.email,
        "name": {"givenName": member.given, "familyName": member.family, "fullName": member.name},
        "isAdmin": member.role == "owner",
        "isDelegatedAdmin": member.role == "admin",
        "lastLoginTime": _at(member.last_seen),
        "creationTime": _at(member.created_at),
        "agreedToTerms": member.state != "invited",
        "suspended": member.state == "suspended",
        "archived": member.extra.get("archived", False),
        "changePasswordAtNextLogin": member.last_seen is None,
        "emails": [{"address": member.email, "primary": True}, *({"address": a} for a in _addresses(member)[1:])],
        "customerId": CUSTOMER,
        "orgUnitPath": "/",
        "isMailboxSetup": True,
        "isEnrolledIn2Sv": False,
    }
    known = {
        "aliases": _addresses(member)[1:],
        "recoveryEmail": member.extra.get("recoveryEmail"),
        "phones": member.phone and [{"value": member.phone, "type": "work", "primary": True}],
        "externalIds": member.employee_number and [{"value": member.employee_number, "type": "organization"}],
        "organizations": member.title and [{"title": member.title, "department": member.department, "primary": True}],
        "suspensionReason": "ADMIN" if member.state == "suspended" else None,
        "deletionTime": _at(member.changed_at) if member.state == "deleted" else None,
    }
    return row | {name: value for name, value in known.items() if value}


def prepare(directory: Directory, company: Company) -> None:
    """Groups of the company's departments; its domains are those in use; one person has an alias."""
    titles = [row["title"] for row in company.departments.values()]
    directory.groups = {f"03qco8b4{n:07}": title for n, title in enumerate(titles)}
    members = list(directory.members.values())
    directory.extra = {
        "domains": {directory.domain, *(m.email.rpartition("@")[2] for m in members)},
        "lag": 0,
        "licences": {"Google-Apps/1010020028": 10},
        "transfers": {},
        "transfer_seconds": 60,
        "transfer_ends": "completed",
        "delegated": set(SCOPES),
    }
    members[1].extra["aliases"] = [f"{members[1].given}.alias@{directory.domain}".lower()]


def key_record(directory: Directory) -> dict[str, str]:
    """The JSON file that the Cloud console hands out, and an administrator."""
    key = {
        "type": "service_account",
        "project_id": "sandbox-project",
        "private_key_id": "sandbox-key",
        "private_key": pem(service_key()),
        "client_email": SERVICE_ACCOUNT,
        "client_id": "100000000000000000001",
        "token_uri": TOKEN_URI,
    }
    admin = next(member for member in directory.members.values() if member.role == "owner")
    return {"json_key": json.dumps(key), "administrator": admin.email}


def limited(seconds: float) -> Response:
    """One person's limit, which passes, or the project's by the minute."""
    if seconds < 60:
        return refused(403, "userRateLimitExceeded", "User Rate Limit Exceeded")
    return refused(429, "rateLimitExceeded", "Quota exceeded for quota metric 'Queries'", status="RESOURCE_EXHAUSTED")


SIMULATOR = Simulator(
    slug="google_workspace",
    key_record=key_record,
    record={"client_id": "1033.apps.googleusercontent.com", "client_secret": "GOCSPX-sandbox-secret"},
    routes=routes,
    new_id=lambda n: f"1{n:020}",
    rate_limited=limited,
    failed=lambda status: refused(status, "backendError", "Service unavailable. Please try again"),
    prepare=prepare,
    spared=("/o/oauth2", "/token", "/_sandbox"),
)
