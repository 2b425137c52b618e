"""DocuSign's eSignature REST API 2.1 for one account: users, groups, permission profiles; and its sign-in server.

Numbers are text, truths "True" and "False", the next page a URI relative to the account. What goes wrong with one user
comes in `errorDetails` inside a success. Closed users are listed only when asked for; whoever is added again with the
same name and address gets the closed membership back. The hourly limit is `extra["rate"]` of the directory, and
`extra["consented"]` who has let the integration act as them. How it words a JWT that is late is not documented.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member, State
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token, oauth_routes, pem, service_key, timely
from gusto_pipeline.sandbox.gusto.world import Company

ACCOUNT = "f636f297-4f7c-4a42-8b55-3b2d6e1a9f01"
BASE_URI = "https://na3.docusign.net"
ROOT = f"/restapi/v2.1/accounts/{ACCOUNT}"
PROFILES = {"2301414": "DocuSign Sender", "2301415": "Account Administrator", "2301416": "DocuSign Viewer"}
STATUSES = {"invited": "ActivationSent", "active": "Active", "suspended": "Disabled", "deleted": "Closed"}
HOURLY = 3000
CLIENT = "7c2b8d7e-6f4b-4f3a-9f0e-2c8f5d1e0a11"
SIGN_IN_HOST = "account.docusign.com"


def refused(status: int, code: str, message: str, **headers: str) -> JSONResponse:
    return JSONResponse({"errorCode": code, "message": message}, status, headers)


def failing(code: str, message: str) -> dict[str, Any]:
    return {"errorDetails": {"errorCode": code, "message": message}}


def routes(directory: Directory) -> list[Route]:
    rate = directory.extra.setdefault("rate", {"reset": 0, "left": 0})

    def granted(said: dict[str, Any]) -> Member | Response:
        """JWT grant: the integration acts as the user that `sub` names, who has consented to that once."""

        def no_token(description: str) -> Response:
            return JSONResponse({"error": "invalid_grant", "error_description": description}, 400)

        if not said:
            return no_token("no_valid_keys_or_signatures")
        if said.get("iss") != CLIENT or said.get("aud") != SIGN_IN_HOST:
            return no_token("issuer_not_found")
        if not timely(said, directory):
            return no_token("expired_or_not_yet_valid")
        member = directory.members.get(said.get("sub", ""))
        if member is None or member.state != "active":
            return no_token("user_not_found")
        if member.id not in directory.extra["consented"] or "impersonation" not in said.get("scope", "").split():
            return JSONResponse({"error": "consent_required"}, 400)
        return member

    def api(path: str, answer: Any, method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            now = directory.clock.now().timestamp()
            if now >= rate["reset"]:
                rate.update(reset=int(now) // 3600 * 3600 + 3600, left=HOURLY)
            limits = {"x-ratelimit-limit": str(HOURLY), "x-ratelimit-reset": str(rate["reset"])}
            if not directory.accepts(bearer_token(request), request.url.path):
                return refused(401, "AUTHORIZATION_INVALID_TOKEN", "The access token provided is expired, revoked.")
            if rate["left"] <= 0:
                said = "The maximum number of hourly API invocations has been exceeded."
                return refused(400, "HOURLY_APIINVOCATION_LIMIT_EXCEEDED", said, **limits)
            rate["left"] -= 1
            answered: Response = answer(request, await request.json() if await request.body() else {})
            answered.headers.update(limits | {"x-ratelimit-remaining": str(rate["left"])})
            return answered

        return Route(path, guarded, methods=[method])

    def userinfo(request: Request, body: dict[str, Any]) -> Response:
        account = {"account_id": ACCOUNT, "is_default": True, "account_name": directory.organization}
        owner = _me(directory)
        me = {"sub": owner.id, "name": owner.name, "email": owner.email}
        return JSONResponse(me | {"accounts": [account | {"base_uri": BASE_URI}]})

    def page(request: Request, name: str, rows: list[Any], total: int) -> Response:
        query = request.query_params
        count, start = int(query.get("count", 100)), int(query.get("start_position", 0))
        if not 1 <= count <= 100:
            return refused(400, "INVALID_REQUEST_PARAMETER", "The request contained at least one invalid parameter.")
        shown, path = rows[start : start + count], request.url.path.removeprefix(ROOT)
        sizes = {"resultSetSize": len(shown), "totalSetSize": total, "startPosition": start}
        body = {name: shown} | {key: str(size) for key, size in sizes.items()}
        body["endPosition"] = str(start + len(shown) - 1)
        if start + count < len(rows):
            others = "".join(
                f"&{key}={value}" for key, value in query.items() if key not in ("count", "start_position")
            )
            body["nextUri"] = f"{path}?start_position={start + count}&count={count}{others}"
        return JSONResponse(body)

    def users(request: Request, body: dict[str, Any]) -> Response:
        query = request.query_params
        asked = set(query.get("status", "ActivationRequired,ActivationSent,Active,Disabled").split(","))

        def wanted(member: Member) -> bool:
            email = query.get("email", member.email)
            return STATUSES[member.state] in asked and member.email.casefold() == email.casefold()

        everyone: tuple[State, ...] = ("active", "invited", "suspended", "deleted")
        rows = [member for member in directory.listed(request.url.path, *everyone) if wanted(member)]
        total = sum(wanted(member) for member in directory.members.values())
        whole = query.get("additional_info") == "true"
        return page(request, "users", [_user(directory, member, whole) for member in rows], total)

    def user(request: Request, body: dict[str, Any]) -> Response:
        member = directory.members.get(request.path_params["user"])
        if member is None:
            said = "A requested user does not exist in the system."
            return refused(400, "USER_DOES_NOT_EXIST_IN_SYSTEM", said)
        return JSONResponse(_user(directory, member, True))

    def add_one(new: dict[str, Any]) -> dict[str, Any]:
        name, email = new.get("userName"), new.get("email")
        if not name or not email:
            return failing("INVALID_REQUEST_PARAMETER", "User name and email are required.")
        if there := directory.by_email(email):
            said = "Username and email combination already exists for this account."
            return _brief(there, "0001-01-01T08:00:00.0000000Z") | failing("USER_ALREADY_EXISTS_IN_ACCOUNT", said)
        if directory.full():
            return {"email": email} | failing("ACCOUNT_SEAT_LIMIT", "The account has no available seats.")
        member = directory.by_email(email, "deleted")
        if member and member.name == name:
            directory.change(member, "invited")
        else:
            given, family = new.get("firstName", name), new.get("lastName", "")
            member = directory.add(email, given, family, state="invited", title=new.get("jobTitle"))
        member.invited_at, member.last_seen = directory.clock.now(), None
        profile = new.get("permissionProfileId", "2301414")
        member.role = "admin" if profile == "2301415" else "member"
        member.groups = [group["groupId"] for group in new.get("groupList", [])]
        directory.mails.append((email, "invitation"))
        return _brief(member, _time(directory.clock.now()))

    def add(request: Request, body: dict[str, Any]) -> Response:
        return JSONResponse({"newUsers": [add_one(new) for new in body["newUsers"]]}, 201)

    def close_one(user_id: str) -> dict[str, Any]:
        member = directory.members.get(user_id)
        if member is None:
            return {"userId": user_id} | failing("USER_DOES_NOT_EXIST_IN_SYSTEM", "The user does not exist.")
        if member is _me(directory):
            said = "You cannot close your own membership."
            return {"userId": user_id} | failing("INVALID_REQUEST_PARAMETER", said)
        directory.change(member, "deleted")
        member.groups = []
        return {"userId": user_id, "userStatus": "Closed"}

    def close(request: Request, body: dict[str, Any]) -> Response:
        return JSONResponse({"users": [close_one(each["userId"]) for each in body["users"]]})

    def groups(request: Request, body: dict[str, Any]) -> Response:
        rows = [
            {"groupId": key, "groupName": name, "groupType": "customGroup"} for key, name in directory.groups.items()
        ]
        return page(request, "groups", rows, len(rows))

    def group_users(request: Request, body: dict[str, Any]) -> Response:
        group = request.path_params["group"]
        if group not in directory.groups:
            return refused(400, "GROUP_DOES_NOT_EXIST", "The group does not exist.")
        answers = []
        for each in body["users"]:
            member = directory.members[each["userId"]]
            member.groups = [other for other in member.groups if other != group]
            member.groups += [group] if request.method == "PUT" else []
            answers.append({"userId": member.id, "userName": member.name, "email": member.email})
        return JSONResponse({"users": answers})

    def profiles(request: Request, body: dict[str, Any]) -> Response:
        rows = [{"permissionProfileId": key, "permissionProfileName": name} for key, name in PROFILES.items()]
        return JSONResponse({"permissionProfiles": rows})

    return [
        *oauth_routes(directory, "/oauth/auth", "/oauth/token", lifetime=28800, assertion=granted),
        api("/oauth/userinfo", userinfo),
        api(f"{ROOT}/users", users),
        api(f"{ROOT}/users", add, "POST"),
        api(f"{ROOT}/users", close, "DELETE"),
        api(f"{ROOT}/users/{{user}}", user),
        api(f"{ROOT}/groups", groups),
        api(f"{ROOT}/groups/{{group}}/users", group_users, "PUT"),
        api(f"{ROOT}/groups/{{group}}/users", group_users, "DELETE"),
        api(f"{ROOT}/permission_profiles", profiles),
    ]


def _me(directory: Directory) -> Member:
    return next(member for member in directory.members.values() if member.role == "owner")


def _brief(member: Member, created: str) -> dict[str, Any]:
    return {
        "userId": member.id,
        "uri": f"/users/{member.id}",
        "email": member.email,
        "userName": member.name,
        "userStatus": STATUSES[member.state],
        "createdDateTime": created,
    }


def _user(directory: Directory, member: Member, whole: bool) -> dict[str, Any]:
    profile = "2301415" if member.role != "member" else "2301414"
    user = _brief(member, _time(member.created_at)) | {
        "isAdmin": str(member.role != "member"),
        "userType": "CompanyUser",
        "permissionProfileId": profile,
        "permissionProfileName": PROFILES[profile],
        "sendActivationOnInvalidLogin": "false",
    }
    if not whole:
        return user
    groups = [{"groupId": each, "groupName": directory.groups[each]} for each in member.groups]
    more = {"firstName": member.given, "lastName": member.family, "groupList": groups, "jobTitle": member.title or ""}
    return user | more | ({"lastLogin": _time(member.last_seen)} if member.last_seen else {})


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def prepare(directory: Directory, company: Company) -> None:
    directory.groups = {str(8213000 + n): row["title"] for n, row in enumerate(company.departments.values())}
    directory.extra["consented"] = {_me(directory).id}


def too_many(seconds: float) -> Response:
    limits = {"x-burstlimit-limit": "500", "x-burstlimit-remaining": "0"}
    said = "The maximum number of API invocations in a burst has been exceeded."
    return refused(429, "BURST_APIINVOCATION_LIMIT_EXCEEDED", said, **limits)


def key_record(directory: Directory) -> dict[str, str]:
    account = {"client_id": CLIENT, "account_id": ACCOUNT, "base_uri": BASE_URI}
    return account | {"user_id": _me(directory).id, "private_key": pem(service_key())}


SIMULATOR = Simulator(
    slug="docusign",
    key_record=key_record,
    record={
        "client_id": CLIENT,
        "client_secret": "docusign-sandbox-secret",
        "account_id": ACCOUNT,
        "base_uri": BASE_URI,
    },
    routes=routes,
    new_id=lambda n: f"18f3be12-0000-4000-8000-{n:012}",
    rate_limited=too_many,
    prepare=prepare,
    spared=("/oauth/auth", "/oauth/token", "/_sandbox"),
)
