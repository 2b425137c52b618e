"""GitHub's REST API for one organization, and as much of its GraphQL API as tells who the members are.

Bare arrays paged by the Link header, whose pages are under /organizations/<number>; members without names and
addresses; invitations by address show no login, lapse after a week and are then listed as failed; 404 for what one
may not see; two rate limits, of which the hourly one is `extra["rate"]` of the directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member, State
from gusto_pipeline.sandbox.apps.simulator import Simulator, bearer_token, oauth_routes
from gusto_pipeline.sandbox.gusto.world import Company

ORG = "acme-tea"
NUMBER = 9190001
HOST = "https://api.github.com"
DOCS = "https://docs.github.com/rest"
HOURLY = 5000
SCOPES = ("admin:org", "read:user")
IN: tuple[State, ...] = ("active", "suspended")  # it cannot suspend: who is elsewhere is simply there


def refused(status: int, message: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    body = {"message": message, **more, "documentation_url": DOCS}
    return JSONResponse(body | ({} if status == 422 else {"status": str(status)}), status, headers)


def unprocessable(said: str, /, **error: str) -> JSONResponse:
    return refused(422, said, errors=[{"resource": "OrganizationInvitation", **error}])


def routes(directory: Directory) -> list[Route]:
    rate = directory.extra.setdefault("rate", {"reset": 0, "left": 0})

    def api(path: str, answer: Any, *methods: str) -> list[Route]:
        async def guarded(request: Request) -> Response:
            now = directory.clock.now().timestamp()
            if now >= rate["reset"]:
                rate.update(reset=int(now) + 3600, left=HOURLY)
            limits = {"x-ratelimit-limit": str(HOURLY), "x-ratelimit-reset": str(rate["reset"])}
            if rate["left"] <= 0:
                return refused(403, "API rate limit exceeded for user ID 1.", limits | {"x-ratelimit-remaining": "0"})
            rate["left"] -= 1
            if not directory.accepts(bearer_token(request), request.url.path):
                return refused(401, "Bad credentials")
            if request.path_params.get("org", ORG).lower() not in (ORG, str(NUMBER)):
                return refused(404, "Not Found")
            body = await request.json() if await request.body() else {}
            answered: Response = answer(request, body)
            answered.headers.update(limits | {"x-ratelimit-remaining": str(rate["left"])})
            answered.headers["x-oauth-scopes"] = ", ".join(SCOPES)
            return answered

        return [Route(path, guarded, methods=list(methods or ("GET",)))]

    def page(request: Request, rows: Sequence[dict[str, Any]]) -> Response:
        query = request.query_params
        size, number = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
        last = max(1, -(-len(rows) // size))
        path = request.url.path.replace(f"/orgs/{ORG}", f"/organizations/{NUMBER}")

        def link(to: int, rel: str) -> str:
            others = "".join(f"{name}={value}&" for name, value in query.items() if name not in ("per_page", "page"))
            return f'<{HOST}{path}?{others}per_page={size}&page={to}>; rel="{rel}"'

        links = [link(number - 1, "prev")] if number > 1 else []
        links += [link(number + 1, "next"), link(last, "last")] if number < last else []
        headers = {"link": ", ".join(links)} if links else None
        return JSONResponse(rows[(number - 1) * size : number * size], headers=headers)

    def organization(request: Request, body: dict[str, Any]) -> Response:
        return JSONResponse(_organization() | {"name": directory.organization, "type": "Organization"})

    def members(request: Request, body: dict[str, Any]) -> Response:
        rows, role = directory.listed(request.url.path, *IN), request.query_params.get("role", "all")
        wanted = [m for m in rows if role == "all" or (m.role == "member") == (role == "member")]
        return page(request, [_user(member) for member in wanted])

    def lapsed(member: Member) -> bool:
        return bool(member.invited_at and directory.clock.now() >= member.invited_at + timedelta(days=7))

    def invitations(request: Request, body: dict[str, Any]) -> Response:
        failed = request.url.path.endswith("failed_invitations")
        rows = [m for m in directory.listed(request.url.path, "invited") if lapsed(m) == failed]
        return page(request, [_invitation(member, failed) for member in rows])

    def invite(request: Request, body: dict[str, Any]) -> Response:
        email, role = body["email"], body.get("role", "direct_member")
        there = directory.by_email(email)
        if there and not (there.state == "invited" and lapsed(there)):
            part = "already a part of" if there.state in IN else "already invited to"
            return unprocessable(
                "Validation Failed",
                code="unprocessable",
                field="data",
                message=f"A user with this email addresss is {part} this organization",
            )
        if unknown := set(body.get("team_ids", [])) - {team["id"] for team in teams_known().values()}:
            return unprocessable("Validation Failed", code="invalid", field="team_ids", message=f"{unknown}")
        if directory.full():
            return unprocessable(
                "You must purchase at least one more seat to add this user as a member.", code="no_seat", field="user"
            )
        now = directory.clock.now()
        member = directory.add(
            email, "", "", state="invited", invited_at=now, role="admin" if role == "admin" else "member"
        )
        member.extra["role"] = role
        member.groups = [slug for slug, team in teams_known().items() if team["id"] in body.get("team_ids", [])]
        directory.mails.append((email, "invitation"))
        return JSONResponse(_invitation(member, False), 201)

    def uninvite(request: Request, body: dict[str, Any]) -> Response:
        wanted = int(request.path_params["invitation"])
        member = next((m for m in directory.there("invited") if _invitation_id(m) == wanted), None)
        if member is None:
            return refused(404, "Not Found")
        del directory.members[member.id]
        directory.changes += 1
        return Response(status_code=204)

    def by_login(request: Request) -> Member | None:
        login = request.path_params["username"].lower()
        return next((m for m in directory.there(*IN) if _login(m).lower() == login), None)

    def membership(request: Request, body: dict[str, Any]) -> Response:
        member = by_login(request)
        if member is None:
            return refused(404, "Not Found")
        if request.method == "DELETE":
            if member.role != "member" and sum(m.role != "member" for m in directory.there(*IN)) == 1:
                return refused(403, "You cannot remove the last owner of the organization")
            directory.change(member, "deleted")
            return Response(status_code=204)
        row = {"state": "active", "role": "member" if member.role == "member" else "admin", "user": _user(member)}
        url, org = f"{HOST}/orgs/{ORG}/memberships/{_login(member)}", f"{HOST}/orgs/{ORG}"
        return JSONResponse(row | {"url": url, "organization_url": org, "organization": _organization()})

    def user(request: Request, body: dict[str, Any]) -> Response:
        member = directory.members.get(request.path_params["number"])
        if member is None or member.state == "invited":
            return refused(404, "Not Found")
        return JSONResponse(_user(member) | {"name": member.name, "email": _public_email(directory, member)})

    def teams_known() -> dict[str, dict[str, Any]]:
        return {slug: _team(n, slug, name) for n, (slug, name) in enumerate(directory.groups.items(), 1)}

    def teams(request: Request, body: dict[str, Any]) -> Response:
        return page(request, list(teams_known().values()))

    def team_member(request: Request, body: dict[str, Any]) -> Response:
        slug, member = request.path_params["slug"], by_login(request)
        if slug not in directory.groups or member is None:
            return refused(404, "Not Found")
        member.groups = [group for group in member.groups if group != slug]
        if request.method == "DELETE":
            return Response(status_code=204)
        member.groups.append(slug)
        return JSONResponse({"url": f"{HOST}{request.url.path}", "role": "member", "state": "active"})

    def graphql(request: Request, body: dict[str, Any]) -> Response:
        query, variables = body["query"], body["variables"]

        def node(member: Member) -> dict[str, Any]:
            verified = [member.email] if member.email.endswith(f"@{directory.domain}") else []
            facts = {
                "databaseId": int(member.id),
                "login": _login(member),
                "name": member.name or None,
                "email": _public_email(directory, member) or "",
                "organizationVerifiedDomainEmails": verified,
            }
            return {name: value for name, value in facts.items() if name in query}

        if "membersWithRole" in query:
            rows, start = directory.listed(request.url.path, *IN), int(variables.get("after") or 0)
            more = start + 100 < len(rows)
            connection = {
                "totalCount": len(directory.there(*IN)),
                "pageInfo": {"hasNextPage": more, "endCursor": str(start + 100) if more else None},
                "nodes": [node(member) for member in rows[start : start + 100]],
            }
            return JSONResponse({"data": {"organization": {"membersWithRole": connection}}})
        login = variables["login"]
        one = next((m for m in directory.members.values() if _login(m) == login), None)
        return JSONResponse({"data": {"user": node(one) if one else None}})

    org = "/orgs/{org}"
    paged = {"members": members, "invitations": invitations, "failed_invitations": invitations, "teams": teams}
    return [
        *oauth_routes(
            directory, "/login/oauth/authorize", "/login/oauth/access_token", lifetime=28800, rotates=True,
            extra={"scope": ",".join(SCOPES)},
        ),
        *api(f"{org}/invitations", invite, "POST"),
        *[route for name, answer in paged.items() for route in api(f"{org}/{name}", answer)],
        *[route for name, answer in paged.items() for route in api(f"/organizations/{{org}}/{name}", answer)],
        *api(org, organization),
        *api(f"{org}/invitations/{{invitation}}", uninvite, "DELETE"),
        *api(f"{org}/memberships/{{username}}", membership, "GET", "DELETE"),
        *api(f"{org}/teams/{{slug}}/memberships/{{username}}", team_member, "PUT", "DELETE"),
        *api("/user/{number}", user),
        *api("/graphql", graphql, "POST"),
    ]  # fmt: skip


def _login(member: Member) -> str:
    return f"{member.given or member.email.partition('@')[0]}-{member.family or 'x'}-{member.id[-5:]}".replace(" ", "")


def _public_email(directory: Directory, member: Member) -> str | None:
    """Some people show a private address to everybody, most show none."""
    private = not member.email.endswith(f"@{directory.domain}")
    return member.email if private and int(member.id) % 2 else None


def _invitation_id(member: Member) -> int:
    return int(member.id) + 40_000_000


def _user(member: Member) -> dict[str, Any]:
    login, url = _login(member), f"{HOST}/users/{_login(member)}"
    parts = ("followers", "following", "gists", "starred", "subscriptions", "organizations", "repos", "events")
    return {
        "login": login,
        "id": int(member.id),
        "node_id": f"U_{member.id}",
        "avatar_url": f"https://avatars.githubusercontent.com/u/{member.id}?v=4",
        "gravatar_id": "",
        "url": url,
        "html_url": f"https://github.com/{login}",
        **{f"{part}_url": f"{url}/{part}" for part in (*parts, "received_events")},
        "type": "Bot" if member.bot else "User",
        "site_admin": False,
    }


def _organization() -> dict[str, Any]:
    url = f"{HOST}/orgs/{ORG}"
    parts = ("repos", "events", "hooks", "issues", "members", "public_members")
    named = {f"{part}_url": f"{url}/{part}" for part in parts} | {"avatar_url": "", "description": ""}
    return {"login": ORG, "id": NUMBER, "node_id": f"O_{NUMBER}", "url": url, **named}


def _invitation(member: Member, failed: bool) -> dict[str, Any]:
    number, at = _invitation_id(member), member.invited_at or member.created_at
    inviter = Member(id="1", email="", given="org", family="owner")
    return {
        "id": number,
        "node_id": f"OI_{number}",
        "login": None,
        "email": member.email,
        "role": member.extra.get("role", "direct_member"),
        "created_at": _time(at),
        "failed_at": _time(at + timedelta(days=7)) if failed else None,
        "failed_reason": "Invitation expired. User did not accept this invite for 7 days." if failed else None,
        "inviter": _user(inviter),
        "team_count": len(member.groups),
        "invitation_teams_url": f"{HOST}/organizations/{NUMBER}/invitations/{number}/teams",
        "invitation_source": "member",
    }


def _team(number: int, slug: str, name: str) -> dict[str, Any]:
    url = f"{HOST}/organizations/{NUMBER}/team/{number}"
    named = {"url": url, "members_url": url + "/members{/member}", "repositories_url": f"{url}/repos"}
    about = {"description": None, "permission": "pull", "privacy": "closed", "parent": None, "type": "organization"}
    page = f"https://github.com/orgs/{ORG}/teams/{slug}"
    return {"id": number, "node_id": f"T_{number}", "name": name, "slug": slug, "html_url": page, **named, **about}


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def prepare(directory: Directory, company: Company) -> None:
    titles = [row["title"] for row in company.departments.values()]
    directory.groups = {title.lower().replace(" ", "-"): title for title in titles}


def too_many(seconds: float) -> Response:
    message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    return refused(403, message, {"retry-after": f"{seconds:g}"})


SIMULATOR = Simulator(
    slug="github",
    record={"client_id": "Iv1.sandbox", "client_secret": "github-sandbox-secret", "org": ORG},
    routes=routes,
    new_id=lambda n: str(58_000_000 + n),
    rate_limited=too_many,
    prepare=prepare,
    spared=("/login/oauth", "/_sandbox"),
)
