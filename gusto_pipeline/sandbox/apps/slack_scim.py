"""Slack's SCIM API v2: members as users, an identity provider's groups (RFC 7643, RFC 7644).

What it does its own way: a user needs an address, user names are normalised, a deleted user stays and is inactive,
owners cannot be deactivated, and whoever is not let in is answered in version 1's form.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import ValidationError
from scim2_models import (
    URN,
    AnyExtension,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    Context,
    EnterpriseUser,
    Error,
    ETag,
    Filter,
    ForbiddenException,
    Group,
    GroupMembership,
    ListResponse,
    Mutability,
    Name,
    NotFoundException,
    NotImplementedException,
    Patch,
    PatchOp,
    PhoneNumber,
    Required,
    Resource,
    ResourceType,
    ResponseParameters,
    Schema,
    SCIMException,
    ScimProvider,
    SearchRequest,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
    UniquenessException,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.apps.simulator import bearer_token

ROOT = "/scim/v2"
LOCATION = f"https://api.slack.com{ROOT}"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Address(ComplexAttribute):
    """An e-mail address."""

    value: Annotated[str | None, Required.true] = None
    type: str | None = None
    primary: bool | None = None


class User(Resource[AnyExtension]):
    """The attributes that Slack keeps of RFC 7643's user."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    name: Name | None = None
    display_name: str | None = None
    nick_name: str | None = None
    title: str | None = None
    user_type: str | None = None
    preferred_language: str | None = None
    locale: str | None = None
    timezone: Annotated[str | None, CaseExact.true] = None
    active: bool | None = None
    emails: Annotated[list[Address] | None, Required.true] = None
    phone_numbers: list[PhoneNumber] | None = None
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None


PERSON = User[EnterpriseUser]
SERVICE = ScimProvider(
    models=[User, EnterpriseUser, Group],
    resource_types=[ResourceType.from_resource(PERSON), ResourceType.from_resource(Group)],
    config=ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=Filter(supported=True, max_results=1000),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=False),
        etag=ETag(supported=False),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken, name="OAuth", description="A user token with admin"
            )
        ],
    ),
)


def routes(directory: Directory, lets_in: Callable[[str, str], bool]) -> list[Route]:
    """SCIM's paths. lets_in: whether a token is good for a path."""

    def scim(path: str, answer: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
        async def guarded(request: Request) -> Response:
            if not lets_in(bearer_token(request), request.url.path):
                return JSONResponse({"Errors": {"description": "invalid_authentication", "code": 401}}, 401)
            if "admin" in directory.faults.missing_scopes():
                return JSONResponse({"Errors": {"description": "missing_scope: admin", "code": 403}}, 403)
            try:
                return await answer(request)
            except SCIMException as error:
                return refused(error.to_error())
            except ValidationError as error:
                return refused(Error.from_validation_error(error.errors()[0]))

        return Route(ROOT + path, guarded, methods=list(methods) or ["GET"])

    # -- users --------------------------------------------------------------------------------------------------

    def person(member: Member) -> Any:
        return PERSON.model_validate(user(directory, member))

    def of(request: Request) -> Member:
        member = directory.members.get(request.path_params["id"])
        if member is None or member.bot:
            raise NotFoundException(detail="user_not_found")
        return member

    def keep(member: Member | None, resource: Any) -> Member:
        """Writes a user as asked for into the directory."""
        record = resource.model_dump()
        address = next((e["value"] for e in record["emails"] if e.get("primary")), record["emails"][0]["value"])
        record["userName"] = re.sub(r"[^a-z0-9._-]", "", record["userName"].lower())[:21]
        for other in (m for m in directory.members.values() if m is not member and not m.bot):
            if other.email.casefold() == address.casefold() or user_name(other) == record["userName"]:
                raise UniquenessException(detail="username_or_email_taken")
        name, work = record.get("name") or {}, record.get(ENTERPRISE) or {}
        if member is None:
            member = directory.add(address, "", "")
            directory.mails.append((address, "welcome"))
        active = record.pop("active", True)
        if not active and member.role == "owner":
            raise ForbiddenException(detail="An owner cannot be deactivated")
        member.email, member.given, member.family = address, name.get("givenName", ""), name.get("familyName", "")
        member.title, member.department = record.get("title"), work.get("department")
        member.employee_number = work.get("employeeNumber")
        member.extra["scim"] = {key: value for key, value in record.items() if key not in ("id", "meta", "groups")}
        there = member.state not in ("suspended", "deleted")
        directory.change(member, member.state if active == there else "active" if active else "suspended")
        return member

    async def users(request: Request) -> Response:
        rows = [m for m in directory.listed(request.url.path, "active", "invited", "suspended", "deleted") if not m.bot]
        total = sum(not m.bot for m in directory.members.values())
        return listed(request, PERSON, [user(directory, m) for m in rows], total)

    async def create(request: Request) -> Response:
        asked = PERSON.model_validate(await request.json(), scim_ctx=Context.RESOURCE_CREATION_REQUEST)
        member = keep(None, asked)
        shown = person(member).model_dump(scim_ctx=Context.RESOURCE_CREATION_RESPONSE)
        return JSONResponse(shown, 201, {"location": f"{LOCATION}/Users/{member.id}"})

    async def show(request: Request) -> Response:
        return shown(request, PERSON, user(directory, of(request)))

    async def replace(request: Request) -> Response:
        member = of(request)
        asked = PERSON.model_validate(await request.json(), scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST)
        asked.replace(person(member))
        return shown(request, PERSON, user(directory, keep(member, asked)))

    async def modify(request: Request) -> Response:
        member = of(request)
        asked = PatchOp[PERSON].model_validate(await request.json(), scim_ctx=Context.RESOURCE_PATCH_REQUEST)
        resource = person(member)
        asked.patch(resource)
        return shown(request, PERSON, user(directory, keep(member, resource)))

    async def deactivate(request: Request) -> Response:
        member = of(request)
        if member.role == "owner":
            raise ForbiddenException(detail="An owner cannot be deactivated")
        directory.change(member, "suspended")
        return Response(status_code=204)

    # -- groups -------------------------------------------------------------------------------------------------

    def group(number: str) -> dict[str, Any]:
        if number not in directory.groups:
            raise NotFoundException(detail="group_not_found")
        members = [
            {"value": m.id, "$ref": f"{LOCATION}/Users/{m.id}", "type": "User", "display": m.name}
            for m in directory.members.values() if number in m.groups
        ]  # fmt: skip
        meta = {"resourceType": "Group", "location": f"{LOCATION}/Groups/{number}"}
        extra = directory.extra.get(number, {})
        return {**extra, "id": number, "displayName": directory.groups[number], "members": members, "meta": meta}

    def keep_group(number: str, resource: Any) -> dict[str, Any]:
        wanted = {each.value for each in resource.members or ()}
        directory.groups[number] = resource.display_name
        directory.extra[number] = {"externalId": resource.external_id} if resource.external_id else {}
        for member in directory.members.values():
            member.groups = [g for g in member.groups if g != number] + ([number] if member.id in wanted else [])
        return group(number)

    async def groups(request: Request) -> Response:
        rows = [group(number) for number in directory.groups]
        return listed(request, Group, rows, len(rows))

    async def create_group(request: Request) -> Response:
        asked = Group.model_validate(await request.json(), scim_ctx=Context.RESOURCE_CREATION_REQUEST)
        directory.extra["groups_made"] = directory.extra.get("groups_made", 0) + 1
        number = f"S0{directory.extra['groups_made']:09}"
        made = Group.model_validate(keep_group(number, asked))
        return JSONResponse(made.model_dump(scim_ctx=Context.RESOURCE_CREATION_RESPONSE), 201)

    async def show_group(request: Request) -> Response:
        return shown(request, Group, group(request.path_params["id"]))

    async def replace_group(request: Request) -> Response:
        number = request.path_params["id"]
        asked = Group.model_validate(await request.json(), scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST)
        asked.replace(Group.model_validate(group(number)))
        return shown(request, Group, keep_group(number, asked))

    async def modify_group(request: Request) -> Response:
        number = request.path_params["id"]
        asked = PatchOp[Group].model_validate(await request.json(), scim_ctx=Context.RESOURCE_PATCH_REQUEST)
        resource = Group.model_validate(group(number))
        asked.patch(resource)
        return shown(request, Group, keep_group(number, resource))

    async def delete_group(request: Request) -> Response:
        number = request.path_params["id"]
        group(number)
        del directory.groups[number]
        for member in directory.members.values():
            member.groups = [g for g in member.groups if g != number]
        return Response(status_code=204)

    # -- what the service says of itself --------------------------------------------------------------------------

    async def config(request: Request) -> Response:
        assert SERVICE.config
        return JSONResponse(SERVICE.config.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE))

    def published(kind: type[Resource[Any]], rows: tuple[Any, ...]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            context = Context.RESOURCE_QUERY_RESPONSE
            wanted = request.path_params.get("id")
            if wanted is None:
                every = ListResponse[kind](total_results=len(rows), resources=list(rows))  # type: ignore[valid-type]
                return JSONResponse(every.model_dump(scim_ctx=context))
            one = next((row for row in rows if str(row.id).casefold() == wanted.casefold()), None)
            if one is None:
                raise NotFoundException(detail=f"{wanted} not found")
            return JSONResponse(one.model_dump(scim_ctx=context))

        return answer

    async def search(request: Request) -> Response:
        raise NotImplementedException(detail="Searching by POST is not supported")

    async def nothing(request: Request) -> Response:
        raise NotFoundException(detail=f"{request.url.path} not found")

    kinds, schemas = published(ResourceType, SERVICE.resource_types), published(Schema, SERVICE.schemas)
    return [
        scim("/Users", users),
        scim("/Users", create, "POST"),
        scim("/Users/{id}", show),
        scim("/Users/{id}", replace, "PUT"),
        scim("/Users/{id}", modify, "PATCH"),
        scim("/Users/{id}", deactivate, "DELETE"),
        scim("/Groups", groups),
        scim("/Groups", create_group, "POST"),
        scim("/Groups/{id}", show_group),
        scim("/Groups/{id}", replace_group, "PUT"),
        scim("/Groups/{id}", modify_group, "PATCH"),
        scim("/Groups/{id}", delete_group, "DELETE"),
        scim("/ServiceProviderConfig", config),
        scim("/ResourceTypes", kinds),
        scim("/ResourceTypes/{id}", kinds),
        scim("/Schemas", schemas),
        scim("/Schemas/{id}", schemas),
        scim("/.search", search, "POST"),
        scim("/{rest:path}", nothing),
    ]


def user_name(member: Member) -> str:
    local = member.email.partition("@")[0].lower()
    return str(member.extra.get("scim", {}).get("userName", re.sub(r"[^a-z0-9._-]", "", local)[:21]))


def user(directory: Directory, member: Member) -> dict[str, Any]:
    """A member as SCIM shows it."""
    kept: dict[str, Any] = member.extra.get("scim") or {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "userName": user_name(member),
        "name": {"givenName": member.given, "familyName": member.family},
        "displayName": member.name,
        "emails": [{"value": member.email, "type": "work", "primary": True}],
        ENTERPRISE: {"employeeNumber": member.employee_number, "department": member.department},
    }
    return {
        **kept,
        "id": member.id,
        "active": member.state not in ("suspended", "deleted"),
        "groups": [{"value": group, "display": directory.groups[group]} for group in member.groups],
        "meta": {
            "resourceType": "User",
            "created": _at(member.created_at),
            "location": f"{LOCATION}/Users/{member.id}",
        },
    }


def listed(request: Request, model: Any, rows: list[dict[str, Any]], total: int) -> Response:
    """A page of a list (RFC 7644 section 3.4.2), 1,000 at most. `total` as counted before anything got lost."""
    asked = SearchRequest[model].model_validate(dict(request.query_params), scim_ctx=Context.SEARCH_REQUEST)
    if asked.filter:
        rows = [row for row in rows if asked.filter.match(model.model_validate(row))]
        total = len(rows)
    start = asked.start_index_0 or 0
    page = rows[start : start + min(1000, asked.count if asked.count is not None else 1000)]
    if asked.attributes or asked.excluded_attributes:
        page = [_shaped(model, row, asked) for row in page]
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": total}
    return JSONResponse(body | {"itemsPerPage": len(page), "startIndex": start + 1, "Resources": page})


def shown(request: Request, model: Any, row: dict[str, Any]) -> Response:
    asked = ResponseParameters[model].model_validate(dict(request.query_params), scim_ctx=Context.SEARCH_REQUEST)
    return JSONResponse(_shaped(model, row, asked))


def refused(error: Error) -> Response:
    return JSONResponse(error.model_dump(), error.status or 400)


def _shaped(model: Any, row: dict[str, Any], asked: ResponseParameters[Any]) -> dict[str, Any]:
    made: dict[str, Any] = model.model_validate(row).model_dump(
        scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=asked
    )
    return made


def _at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
