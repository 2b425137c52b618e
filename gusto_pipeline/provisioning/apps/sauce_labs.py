"""Sauce Labs: the users of one organization, by its Team Management API v1.

Nobody is ever deleted. A user does not say that they are pending, so the list is read once per status, pending first:
whether pending users count as active too is not documented. Lists are taken with or without the envelope of links and
count, of which the vendor's guide and its description differ. Invitations by mail exist in its own pages only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, instant, names, password
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, chosen, counted, one
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, basic_auth

PAGE = 100
STATUSES = {"pending": Status.INVITED, "inactive": Status.SUSPENDED, "active": Status.ACTIVE}
ROLES = {"1": "Organization admin", "4": "Team admin", "3": "Member"}
ADMIN = "Use the access key of an organization admin"


def tenant(session: Session) -> Tenant:
    rows, _ = _unwrapped(session.get("/users/", {"limit": 1}))
    if not rows:
        raise errors.MissingScopeError(
            f"Sauce Labs shows no users to this one. {ADMIN}, run: gusto-pipeline connect sauce_labs"
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
    row = one(session, f"/users/{account_id}/")
    if not row:
        return None
    pending = any(account.id == account_id for account in _listed(session, "pending", username=row["username"]))
    return _account(row, "pending" if pending else "active" if row["is_active"] else "inactive")


def create(session: Session, new: NewAccount) -> None:
    """role: Organization admin, Team admin or Member (the default). The first of the groups becomes the team.

    User names are unique among all of Sauce Labs' customers: nora@acme.example becomes nora.acme.
    """
    local, _, domain = new.email.partition("@")
    user: Row = {
        "first_name": new.given_name,
        "last_name": new.family_name,
        "email": new.email,
        "username": f"{local}.{domain.partition('.')[0]}",
        "password": password(new),
        "organization": tenant(session).id,
        "role": int(chosen(session, "role", new.role or "member", ROLES)),
    }
    if new.groups:
        user["team"] = new.groups[0]
    session.send("POST", "/users/", json=user)


def suspend(session: Session, account: Account) -> None:
    session.send("POST", f"/users/{account.id}/deactivate/")


def reactivate(session: Session, account: Account) -> None:
    session.send("POST", f"/users/{account.id}/activate/")


def remove(session: Session, account: Account) -> None:
    """Resets the access key first, which may be in use where nobody remembers."""
    with suppress(errors.OutcomeUnknownError):  # what matters is the deactivation
        session.send("POST", f"/users/{account.id}/reset-access-key/")
    suspend(session, account)


def groups(session: Session) -> dict[str, str]:
    """Teams."""
    rows, _ = _unwrapped(session.get("/teams/"))
    return {team["id"]: team["name"] for team in rows}


def join(session: Session, account: Account, group: str) -> None:
    session.send("POST", "/membership/", json={"user": account.id, "team": group})


def said(response: httpx.Response) -> str:
    """The lists of a refusal, by field."""
    lists = {name: what if isinstance(what, list) else [what] for name, what in response.json().items()}
    lists.pop("status_code", None)
    named = {"" if name in ("detail", "non_field_errors") else f"{name}: ": texts for name, texts in lists.items()}
    return "; ".join(f"{name}{text}".rstrip(".") for name, texts in named.items() for text in texts)


def _unwrapped(answer: Any) -> tuple[list[Row], Row]:
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


def _account(row: Row, status: str) -> Account:
    role: Row = next(iter(row.get("roles") or ()), {})
    return Account(
        id=row["id"],
        status=STATUSES[status],
        user_name=row.get("username"),
        emails=distinct((row.get("email"),)),
        **names(row.get("first_name"), row.get("last_name")),
        created_at=instant(row.get("created_at")),
        role=role.get("name"),
        admin=bool(row.get("is_organization_admin")) or role.get("role") == 1,
        groups=tuple(team["name"] for team in row.get("teams") or ()),
        raw=row,
    )


APP = App(
    module=__name__,
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
    creates_in_groups=True,
    plan="Enterprise",
    refusals=(
        Refusal(errors.MissingScopeError, "", f"{ADMIN}, on a plan with user management", status=[403]),
        Refusal(errors.AlreadyExistsError, "already|exists|taken", "It may be another organization's: choose another"),
        Refusal(errors.NoSeatError, "seat|licen|limit", "Buy one, or deactivate somebody"),
    ),
)
