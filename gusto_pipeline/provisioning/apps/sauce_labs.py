"""Sauce Labs: the users of one organization, by its Team Management API v1.

Nobody is ever deleted. A user does not say that they are pending, so the list is read once per status, pending first:
whether pending users count as active too is not documented. Lists are taken with or without the envelope of links and
count, of which the vendor's guide and its description differ. Invitations by mail exist in its own pages only.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, counted, found, instant
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    InvalidError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
    OutcomeUnknownError,
)
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, basic_auth

PAGE = 100
STATUSES = {"pending": Status.INVITED, "inactive": Status.SUSPENDED, "active": Status.ACTIVE}
ROLES = {"organization admin": 1, "team admin": 4, "member": 3}


def tenant(session: Session) -> Tenant:
    rows, _ = _unwrapped(session.get("/users/", {"limit": 1}))
    if not rows:
        raise MissingScopeError(
            "Sauce Labs shows no users to this one. Use the access key of an organization admin, "
            "run: gusto-pipeline connect sauce_labs"
        )
    return Tenant(rows[0]["organization"]["id"], rows[0]["organization"].get("name") or "Sauce Labs")


def accounts(session: Session) -> Iterator[Account]:
    seen: set[str] = set()
    for status in STATUSES:
        for account in _listed(session, status):
            if account.id not in seen:
                seen.add(account.id)
                yield account


def account(session: Session, account_id: str) -> Account | None:
    try:
        row = session.get(f"/users/{account_id}/")
    except NotFoundError:
        tenant(session)  # it is the user that is not there, not the organization
        return None
    pending = any(account.id == account_id for account in _listed(session, "pending", username=row["username"]))
    return _account(row, "pending" if pending else "active" if row["is_active"] else "inactive")


def find(session: Session, email: str) -> Account | None:
    return found(accounts(session), email)


def create(session: Session, new: NewAccount) -> None:
    """role: Organization admin, Team admin or Member (the default). The first of the groups becomes the team.

    User names are unique among all of Sauce Labs' customers: nora@acme.example becomes nora.acme.
    """
    role = (new.role or "member").lower()
    if role not in ROLES:
        raise InvalidError(f"Sauce Labs has no role {new.role!r}; it has {', '.join(ROLES)}. Correct `role`")
    local, _, domain = new.email.partition("@")
    user: dict[str, Any] = {
        "first_name": new.given_name,
        "last_name": new.family_name,
        "email": new.email,
        "username": f"{local}.{domain.partition('.')[0]}",
        "password": new.password or f"{secrets.token_urlsafe(24)}aA1!",
        "organization": tenant(session).id,
        "role": ROLES[role],
    }
    if new.groups:
        teams = groups(session)
        wanted = next((key for key, name in teams.items() if new.groups[0] in (key, name)), None)
        if wanted is None:
            there = ", ".join(teams.values())
            raise InvalidError(f"Sauce Labs has no team {new.groups[0]!r}; it has {there}. Correct `groups`")
        user["team"] = wanted
    session.send("POST", "/users/", json=user)


def suspend(session: Session, account: Account) -> None:
    session.send("POST", f"/users/{account.id}/deactivate/")


def reactivate(session: Session, account: Account) -> None:
    session.send("POST", f"/users/{account.id}/activate/")


def remove(session: Session, account: Account) -> None:
    """Resets the access key first, which may be in use where nobody remembers."""
    with suppress(OutcomeUnknownError):  # what matters is the deactivation
        session.send("POST", f"/users/{account.id}/reset-access-key/")
    suspend(session, account)


def groups(session: Session) -> dict[str, str]:
    """Teams."""
    rows, _ = _unwrapped(session.get("/teams/"))
    return {team["id"]: team["name"] for team in rows}


def join(session: Session, account: Account, group: str) -> None:
    session.send("POST", "/membership/", json={"user": account.id, "team": group})


def refusal(response: httpx.Response) -> AppError | None:
    if response.status_code not in (400, 403):
        return None
    message = _said(response)
    words = message.lower()
    if response.status_code == 403:
        return MissingScopeError(
            f"Sauce Labs: {message}. Use the access key of an organization admin, on a plan with user management, "
            "run: gusto-pipeline connect sauce_labs"
        )
    if "already" in words or "exists" in words or "taken" in words:
        return AlreadyExistsError(
            f"Sauce Labs: {message}. It may be another organization's: choose another address or name by hand"
        )
    if "seat" in words or "licen" in words or "limit" in words:
        return NoSeatError(f"Sauce Labs has no free seat: {message}. Buy one, or deactivate somebody")
    return InvalidError(f"Sauce Labs: {message}. Correct it, or do it by hand in Sauce Labs")


def _said(response: httpx.Response) -> str:
    """The lists of a refusal, by field."""
    try:
        said = response.json()
        said = {name: value for name, value in said.items() if name != "status_code"}
        lists = {name: value if isinstance(value, list) else [value] for name, value in said.items()}
    except (ValueError, AttributeError):
        return "no reason given"
    named = {"" if name in ("detail", "non_field_errors") else f"{name}: ": texts for name, texts in lists.items()}
    return "; ".join(f"{name}{text}".rstrip(".") for name, texts in named.items() for text in texts)


def _unwrapped(answer: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a list, and its envelope if it has one."""
    return (answer, {}) if isinstance(answer, list) else (answer["results"], answer)


def _listed(session: Session, status: str, **query: str) -> Iterator[Account]:
    total: list[int] = []

    def rows() -> Iterator[Account]:
        offset, more = 0, True
        while more:
            answer = session.get("/users/", {"status": status, "limit": PAGE, "offset": offset, **query})
            page, envelope = _unwrapped(answer)
            yield from (_account(row, status) for row in page)
            total.extend([envelope["count"]] if "count" in envelope else [])
            more = bool(envelope["links"].get("next")) if "links" in envelope else len(page) == PAGE
            offset += PAGE

    return counted("Sauce Labs", rows(), lambda: total[-1] if total else None)


def _account(row: dict[str, Any], status: str) -> Account:
    role: dict[str, Any] = next(iter(row.get("roles") or ()), {})
    return Account(
        id=row["id"],
        status=STATUSES[status],
        user_name=row.get("username"),
        emails=(row["email"],) if row.get("email") else (),
        given_name=row.get("first_name"),
        family_name=row.get("last_name"),
        display_name=" ".join(filter(None, (row.get("first_name"), row.get("last_name")))) or None,
        created_at=instant(row.get("created_at")),
        role=role.get("name"),
        admin=bool(row.get("is_organization_admin")) or role.get("role") == 1,
        groups=tuple(team["name"] for team in row.get("teams") or ()),
        raw=row,
    )


APP = App(
    slug="sauce_labs",
    name="Sauce Labs",
    base_url="https://api.{region}.saucelabs.com/team-management/v1",
    sign_in=basic_auth(
        Field("username", "User name of an organization admin"),
        Field("access_key", "Their access key", secret=True),
        Field("region", "Data center: us-west-1, us-east-4 or eu-central-1", default="us-west-1"),
    ),
    removal="deactivates",
    removal_note="their access key is reset, so that whatever tests with it stops; test results stay",
    rate_limit="10 requests a second, 3,500 an hour",
    plan="Enterprise",
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    suspend=suspend,
    reactivate=reactivate,
    remove=remove,
    groups=groups,
    join=join,
    refusal=refusal,
)
