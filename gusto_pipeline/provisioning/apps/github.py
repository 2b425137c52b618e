"""GitHub: members and invitations of one organization, by its REST API; names and addresses by its GraphQL API.

A member shows only a login: addresses are those on the organization's verified domains, and the public one. Members
are known by GitHub's number for them, since a login can be given up and taken by somebody else; invitations by their
own number behind `invitation:`. Outside collaborators are no members and are not listed. A GitHub server that has
no GraphQL leaves members without names and addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import chain

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, instant, one_name
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, and_invited, by_link, counted
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Consent, Field, oauth

INVITATION = "invitation:"
INVITATION_LIFE = timedelta(days=7)
ROLES = {"direct_member": "Member", "admin": "Owner", "billing_manager": "Billing manager"}
PERSON = "databaseId name email organizationVerifiedDomainEmails(login: $org)"
MEMBER = f"query($org: String!, $login: String!) {{user(login: $login) {{{PERSON}}}}}"
MEMBERS = (
    "query($org: String!, $after: String) {organization(login: $org) {membersWithRole(first: 100, after: $after) "
    f"{{totalCount pageInfo {{hasNextPage endCursor}} nodes {{{PERSON}}}}}}}}}"
)


def tenant(session: Session) -> Tenant:
    response = session.send("GET", _org(session))
    org, scopes = session.json(response), response.headers.get("x-oauth-scopes", "")
    return Tenant(str(org["id"]), org.get("name") or org["login"], tuple(filter(None, scopes.split(", "))))


def accounts(session: Session) -> Iterator[Account]:
    """Open invitations, members, and invitations that failed or lapsed unless the person was invited again or joined.

    Invitations come first because only an owner sees them: to anybody else GitHub lists some of the members.
    """
    invited, failed = _invitations(session)
    return and_invited(chain(invited, _members(session)), failed)


def account(session: Session, account_id: str) -> Account | None:
    if account_id.startswith(INVITATION):
        return next((one for one in chain(*_invitations(session)) if one.id == account_id), None)
    try:
        user = session.get(f"/user/{account_id}")
        membership = session.get(f"{_org(session)}/memberships/{user['login']}")
    except errors.NotFoundError:
        session.get(f"{_org(session)}/invitations", {"per_page": 1})  # proves that we would see them
        return None
    if membership["state"] != "active":
        return None  # listed as an invitation
    admins = _admins(session) if membership["role"] == "admin" else set()
    return _member(user, (_graphql(session, MEMBER, login=user["login"]) or {}).get("user") or {}, admins)


def create(session: Session, new: NewAccount) -> None:
    """Invites by address; role is `direct_member`, `admin` or `billing_manager`."""
    body: Row = {"email": new.email, "role": new.role or "direct_member"}
    if new.groups:
        body["team_ids"] = [team["id"] for team in _rows(session, "teams") if team["slug"] in new.groups]
    session.send("POST", f"{_org(session)}/invitations", json=body)


def invite_again(session: Session, account: Account) -> None:
    """GitHub cannot send one again: the old is cancelled and a new one, of another id, is made with the same role.

    Teams that the old one named are not known and have to be joined later.
    """
    with suppress(errors.NotFoundError):  # one that has failed may need no cancelling
        cancel_invitation(session, account)
    if account.emails:
        body = {"email": account.emails[0], "role": account.raw["role"]}
        session.send("POST", f"{_org(session)}/invitations", json=body)
    else:  # invited by login
        body = {"role": "admin" if account.admin else "member"}
        session.send("PUT", f"{_org(session)}/memberships/{_login(account)}", json=body)


def cancel_invitation(session: Session, account: Account) -> None:
    session.send("DELETE", f"{_org(session)}/invitations/{account.id.removeprefix(INVITATION)}")


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", f"{_org(session)}/memberships/{_login(account)}")


def groups(session: Session) -> dict[str, str]:
    """Teams, by slug."""
    return {team["slug"]: team["name"] for team in _rows(session, "teams")}


def join(session: Session, account: Account, group: str) -> None:
    session.send("PUT", _membership(session, account, group), json={"role": "member"})


def leave(session: Session, account: Account, group: str) -> None:
    session.send("DELETE", _membership(session, account, group))


def said(response: httpx.Response) -> str:
    """With what headers say; GraphQL refuses with status 200."""
    body, headers = response.json(), response.headers
    rows = [error for error in body.get("errors") or () if isinstance(error, dict)]
    said = ((row.get("message") or row.get("field"), row.get("type") or row.get("code")) for row in rows)
    parts = [body.get("message"), *(f"{what} ({kind})" for what, kind in said)]
    if "retry-after" in headers or (headers.get("x-ratelimit-remaining") == "0" and not response.is_success):
        parts.append("rate limit")
    if "x-github-sso" in headers:
        parts.append("the organization demands single sign-on, and this connection is not authorized for it")
    if response.status_code == 403 and (wanted := headers.get("x-accepted-oauth-scopes")):
        parts.append(f"it takes one of the scopes {wanted}")
    return "; ".join(filter(None, parts))


def _org(session: Session) -> str:
    return f"/orgs/{session.record['org']}"


def _membership(session: Session, account: Account, team: str) -> str:
    return f"{_org(session)}/teams/{team}/memberships/{_login(account)}"


def _rows(session: Session, what: str, **query: str) -> Iterator[Row]:
    return by_link(session, f"{_org(session)}/{what}", {"per_page": 100, **query})


def _members(session: Session) -> Iterator[Account]:
    people, total = _people(session)
    admins = _admins(session)
    members = (_member(row, people.get(row["id"], {}), admins) for row in _rows(session, "members"))
    yield from counted("GitHub", members, lambda: total)


def _admins(session: Session) -> set[int]:
    return {user["id"] for user in _rows(session, "members", role="admin")}


def _invitations(session: Session) -> tuple[Iterator[Account], Iterator[Account]]:
    """The open ones, and those that failed."""
    open_, failed = (map(_invitation, _rows(session, name)) for name in ("invitations", "failed_invitations"))
    return open_, failed


def _people(session: Session) -> tuple[dict[int, Row], int | None]:
    """Who the members are, by their number, and how many there are."""
    people, after = dict[int, Row](), None
    while data := _graphql(session, MEMBERS, after=after):
        page = data["organization"]["membersWithRole"]
        people |= {node["databaseId"]: node for node in page["nodes"] if node}
        if not page["pageInfo"]["hasNextPage"]:
            return people, page["totalCount"]
        after = page["pageInfo"]["endCursor"]
    return {}, None


def _graphql(session: Session, query: str, **variables: str | None) -> Row | None:
    """None where the server has no GraphQL."""
    body = {"query": query, "variables": {"org": session.record["org"], **variables}}
    try:
        data: Row = session.json(session.send("POST", "/graphql", json=body, reads=True))["data"]
    except errors.NotFoundError:
        return None
    return data


def _login(account: Account) -> str:
    if not account.user_name:
        raise errors.InvalidError(f"GitHub: {account.id} has no login until it is accepted. Try again after that")
    return account.user_name


def _member(user: Row, person: Row, admins: set[int]) -> Account:
    name, admin = person.get("name") or user.get("name"), user["id"] in admins
    addresses = [*(person.get("organizationVerifiedDomainEmails") or []), person.get("email"), user.get("email")]
    return Account(
        id=str(user["id"]),
        status=Status.ACTIVE,
        user_name=user["login"],
        emails=distinct(addresses),
        **one_name(name) | {"display_name": name or user["login"]},
        role="Owner" if admin else "Member",
        admin=admin,
        owner=admin and len(admins) == 1,
        bot=user.get("type") == "Bot",
        raw={**user, **person},
    )


def _invitation(row: Row) -> Account:
    at, role = instant(row.get("created_at")), row.get("role")
    return Account(
        id=f"{INVITATION}{row['id']}",
        status=Status.INVITED,
        user_name=row.get("login"),
        emails=distinct((row.get("email"),)),
        invited_until=instant(row.get("failed_at")) or (at + INVITATION_LIFE if at else None),
        created_at=at,
        role=ROLES.get(role or "", role),
        admin=role == "admin",
        raw=row,
    )


APP = App(
    module=__name__,
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
    new_per_day=50,  # 500 in paid or older organizations, which it does not say
    rate_limit="5,000 requests an hour and fewer in bursts; 50 invitations a day, 500 in paid or older organizations",
    creates_in_groups=True,
    invites=True,
    invitation_life=INVITATION_LIFE,
    refusals=(
        Refusal(errors.RateLimitedError, "rate limit", status=[403, 429], seconds=60),
        Refusal(errors.RateLimitedError, "RATE_LIMITED", status=[200], call="/graphql$", seconds=60),
        Refusal(errors.MissingScopeError, r"FORBIDDEN|INSUFFICIENT_SCOPES", "Grant it", status=[200], call="/graphql$"),
        Refusal(errors.AppError, "", "Try again later", status=[200], call="/graphql$"),
        Refusal(errors.MissingScopeError, "single sign-on", "Sign in to the organization in the browser", status=[403]),
        Refusal(errors.LastOwnerError, "last.*(owner|admin)", "Make somebody else an owner first", status=[403]),
        Refusal(errors.MissingScopeError, "", "Connect as an owner of the organization", status=[403]),
    ),
)
