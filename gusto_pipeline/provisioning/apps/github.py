"""GitHub: members and invitations of one organization, by its REST API (version 2022-11-28) and, for names and
addresses, its GraphQL API (docs.github.com).

A member shows only a login: addresses are those on the organization's verified domains, and the public one. Members
are known by GitHub's number for them, since a login can be given up and taken by somebody else; invitations by their
own number behind `invitation:`. Outside collaborators are no members and are not listed. A GitHub server that has
no GraphQL leaves members without names and addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, counted, distinct, found, instant, split_name
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
)
from gusto_pipeline.provisioning.session import Session, retry_after
from gusto_pipeline.provisioning.signin import Consent, Field, oauth

INVITATION = "invitation:"
INVITATION_LIFE = timedelta(days=7)
ROLES = {"direct_member": "Member", "admin": "Owner", "billing_manager": "Billing manager"}
PERSON = "databaseId name email organizationVerifiedDomainEmails(login: $org)"
MEMBERS = (
    "query($org: String!, $after: String) {organization(login: $org) {membersWithRole(first: 100, after: $after) "
    f"{{totalCount pageInfo {{hasNextPage endCursor}} nodes {{{PERSON}}}}}}}}}"
)
MEMBER = f"query($org: String!, $login: String!) {{user(login: $login) {{{PERSON}}}}}"


def tenant(session: Session) -> Tenant:
    response = session.send("GET", f"/orgs/{session.record['org']}")
    org, scopes = session.json(response), response.headers.get("x-oauth-scopes", "")
    return Tenant(str(org["id"]), org.get("name") or org["login"], tuple(filter(None, scopes.split(", "))))


def accounts(session: Session) -> Iterator[Account]:
    """Open invitations, members, and invitations that failed or lapsed unless the person was invited again or joined.

    Invitations come first because only an owner sees them: to anybody else GitHub lists some of the members.
    """
    seen: set[str] = set()
    for each in [*_invitations(session, "invitations"), *_members(session)]:
        seen.update(map(str.casefold, each.emails))
        yield each
    for each in _invitations(session, "failed_invitations"):
        if seen.isdisjoint(map(str.casefold, each.emails)):
            seen.update(map(str.casefold, each.emails))
            yield each


def account(session: Session, account_id: str) -> Account | None:
    if account_id.startswith(INVITATION):
        lists = ("invitations", "failed_invitations")
        return next((a for name in lists for a in _invitations(session, name) if a.id == account_id), None)
    try:
        user = session.get(f"/user/{account_id}")
        membership = session.get(f"/orgs/{session.record['org']}/memberships/{user['login']}")
    except NotFoundError:
        session.get(f"/orgs/{session.record['org']}/invitations", {"per_page": 1})  # proves that we would see them
        return None
    if membership["state"] != "active":
        return None  # listed as an invitation
    admins = _admins(session) if membership["role"] == "admin" else set()
    try:
        person = _graphql(session, MEMBER, login=user["login"])["user"] or {}
    except NotFoundError:
        person = {}
    return _member(user, person, admins)


def find(session: Session, email: str) -> Account | None:
    return found(accounts(session), email)


def create(session: Session, new: NewAccount) -> None:
    """Invites by address; role is `direct_member`, `admin` or `billing_manager`, groups are slugs of teams."""
    body: dict[str, Any] = {"email": new.email, "role": new.role or "direct_member"}
    if new.groups:
        ids = {team["slug"]: team["id"] for team in _pages(session, f"/orgs/{session.record['org']}/teams")}
        if unknown := set(new.groups) - ids.keys():
            raise InvalidError(
                f"GitHub has no team {', '.join(sorted(unknown))}: correct the groups of this connection"
            )
        body["team_ids"] = [ids[slug] for slug in new.groups]
    session.send("POST", f"/orgs/{session.record['org']}/invitations", json=body)


def invite_again(session: Session, account: Account) -> None:
    """GitHub cannot send one again: the old is cancelled and a new one, of another id, is made with the same role.

    Teams that the old one named are not known and have to be joined later.
    """
    with suppress(NotFoundError):  # one that has failed may need no cancelling
        cancel_invitation(session, account)
    if account.emails:
        body = {"email": account.emails[0], "role": account.raw["role"]}
        session.send("POST", f"/orgs/{session.record['org']}/invitations", json=body)
    else:  # invited by login
        role = {"role": "admin" if account.admin else "member"}
        session.send("PUT", f"/orgs/{session.record['org']}/memberships/{_login(account)}", json=role)


def cancel_invitation(session: Session, account: Account) -> None:
    number = account.id.removeprefix(INVITATION)
    session.send("DELETE", f"/orgs/{session.record['org']}/invitations/{number}")


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", f"/orgs/{session.record['org']}/memberships/{_login(account)}")


def groups(session: Session) -> dict[str, str]:
    """Teams, by slug."""
    return {team["slug"]: team["name"] for team in _pages(session, f"/orgs/{session.record['org']}/teams")}


def join(session: Session, account: Account, group: str) -> None:
    path = f"/orgs/{session.record['org']}/teams/{group}/memberships/{_login(account)}"
    session.send("PUT", path, json={"role": "member"})


def leave(session: Session, account: Account, group: str) -> None:
    session.send("DELETE", f"/orgs/{session.record['org']}/teams/{group}/memberships/{_login(account)}")


def refusal(response: httpx.Response) -> AppError | None:
    if response.is_success:
        return _graphql_refusal(_graphql_errors(response))
    body = _body(response)
    said = str(body.get("message", "no reason given"))
    if response.status_code == 403:
        if "x-github-sso" in response.headers:
            return MissingScopeError(
                "GitHub: the organization demands single sign-on and this connection is not authorized for it. "
                "Sign in to the organization in the browser, then run: gusto-pipeline connect github"
            )
        if "last" in said and ("owner" in said or "admin" in said):
            return LastOwnerError(f"GitHub: {said}. Make somebody else an owner of the organization first")
        wanted = response.headers.get("x-accepted-oauth-scopes")
        scopes = f" (it takes one of the scopes {wanted})" if wanted else ""
        return MissingScopeError(
            f"GitHub: {said}{scopes}. Connect as an owner of the organization, run: gusto-pipeline connect github"
        )
    if response.status_code == 422:
        errors = [error for error in body.get("errors") or [] if isinstance(error, dict)]
        said = "; ".join([said, *(str(error["message"]) for error in errors if error.get("message"))])
        if "seat" in said or any(error.get("code") == "no_seat" for error in errors):
            return NoSeatError(f"GitHub has no free seat: {said}. Buy one, or remove somebody")
        if "already" in said:
            return AlreadyExistsError(f"GitHub: {said}. Look for the login under People in the organization")
        return InvalidError(f"GitHub: {said}. Correct it, or invite the person by hand")
    return None


def wait(response: httpx.Response, now: datetime) -> float | None:
    """The hourly limit says when it ends, a secondary one how long to wait, or nothing: then a minute is due."""
    limited = any(error.get("type") == "RATE_LIMITED" for error in _graphql_errors(response))
    if response.status_code not in (403, 429) and not limited:
        return None
    if (seconds := retry_after(response, now)) is not None:
        return seconds
    end = instant(response.headers.get("x-ratelimit-reset"))
    if end and response.headers.get("x-ratelimit-remaining") == "0":
        return max(0.0, (end - now).total_seconds())
    return 60.0 if limited or "secondary rate limit" in str(_body(response).get("message")) else None


def _pages(session: Session, path: str, **query: str) -> Iterator[dict[str, Any]]:
    response = session.send("GET", path, params={"per_page": 100, **query})
    yield from session.json(response)
    while following := response.links.get("next"):
        response = session.send("GET", following["url"])
        yield from session.json(response)


def _admins(session: Session) -> set[int]:
    return {user["id"] for user in _pages(session, f"/orgs/{session.record['org']}/members", role="admin")}


def _members(session: Session) -> Iterable[Account]:
    admins, (people, total) = _admins(session), _people(session)
    rows = _pages(session, f"/orgs/{session.record['org']}/members")
    return counted("GitHub", (_member(row, people.get(row["id"], {}), admins) for row in rows), lambda: total)


def _invitations(session: Session, which: str) -> Iterator[Account]:
    return map(_invitation, _pages(session, f"/orgs/{session.record['org']}/{which}"))


def _people(session: Session) -> tuple[dict[int, dict[str, Any]], int | None]:
    """Who the members are, by their number, and how many there are."""
    people: dict[int, dict[str, Any]] = {}
    after = None
    while True:
        try:
            page = _graphql(session, MEMBERS, after=after)["organization"]["membersWithRole"]
        except NotFoundError:
            return {}, None
        people |= {node["databaseId"]: node for node in page["nodes"] if node}
        if not page["pageInfo"]["hasNextPage"]:
            return people, page["totalCount"]
        after = page["pageInfo"]["endCursor"]


def _graphql(session: Session, query: str, **variables: Any) -> dict[str, Any]:
    body = {"query": query, "variables": {"org": session.record["org"], **variables}}
    data: dict[str, Any] = session.json(session.send("POST", "/graphql", json=body, reads=True))["data"]
    return data


def _graphql_errors(response: httpx.Response) -> list[dict[str, Any]]:
    """GraphQL refuses with status 200."""
    if not response.is_success or not response.request.url.path.endswith("/graphql"):
        return []
    errors: list[dict[str, Any]] = _body(response).get("errors") or []
    return errors


def _graphql_refusal(errors: list[dict[str, Any]]) -> AppError | None:
    said = "; ".join(str(error.get("message")) for error in errors)
    kinds = {error.get("type") for error in errors}
    if kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES"}:
        return MissingScopeError(f"GitHub: {said} Grant it, run: gusto-pipeline connect github")
    return AppError(f"GitHub: {said}. Try again later") if errors else None


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _login(account: Account) -> str:
    if not account.user_name:
        raise InvalidError(f"GitHub: {account.id} has no login until it is accepted. Try again after that")
    return account.user_name


def _member(user: dict[str, Any], person: dict[str, Any], admins: set[int]) -> Account:
    name, admin = person.get("name") or user.get("name"), user["id"] in admins
    given, family = split_name(name)
    addresses = [*(person.get("organizationVerifiedDomainEmails") or []), person.get("email"), user.get("email")]
    return Account(
        id=str(user["id"]),
        status=Status.ACTIVE,
        user_name=user["login"],
        emails=distinct(addresses),
        given_name=given,
        family_name=family,
        display_name=name or user["login"],
        role="Owner" if admin else "Member",
        admin=admin,
        owner=admin and len(admins) == 1,
        bot=user.get("type") == "Bot",
        raw={**user, **person},
    )


def _invitation(row: dict[str, Any]) -> Account:
    at = instant(row.get("created_at"))
    role = row.get("role")
    return Account(
        id=f"{INVITATION}{row['id']}",
        status=Status.INVITED,
        user_name=row.get("login"),
        emails=(row["email"],) if row.get("email") else (),
        display_name=row.get("login"),
        invited_until=instant(row.get("failed_at")) or (at + INVITATION_LIFE if at else None),
        created_at=at,
        role=ROLES.get(role or "", role),
        admin=role == "admin",
        raw=row,
    )


APP = App(
    slug="github",
    name="GitHub",
    base_url="https://api.github.com",
    hosts=("https://github.com",),
    headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
    sign_in=oauth(
        Consent(url="https://github.com/login/oauth/authorize", scopes=("admin:org", "read:user")),
        "https://github.com/login/oauth/access_token",
        Field("org", "Organization, as in github.com/<organization>"),
    ),
    removal="takes out",
    removal_note=(
        "the person keeps their own GitHub account and its forks of public repositories; forks of private ones are "
        "deleted; the membership can be given back as it was for three months"
    ),
    rate_limit="5,000 requests an hour and fewer in bursts; 50 invitations a day, 500 in paid or older organizations",
    invites=True,
    invitation_life=INVITATION_LIFE,
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    remove=remove,
    invite_again=invite_again,
    cancel_invitation=cancel_invitation,
    groups=groups,
    join=join,
    leave=leave,
    refusal=refusal,
    wait=wait,
)
