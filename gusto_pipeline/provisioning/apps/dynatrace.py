"""Dynatrace: the users of one account, by its Account Management API (docs.dynatrace.com).

It invites and removes; suspending is for SCIM, from an identity provider. A user is known by their uid, every change is
addressed by e-mail. A new user sees nothing before being in a group. Groups and administrators are told per user only,
and service users, who are no people, are left out. Who is not found may come as 400 or 404: the words tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, instants, names
from gusto_pipeline.provisioning.errors import REFUSED, Refusal
from gusto_pipeline.provisioning.reading import Row, counted
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, client_credentials

SCOPES = "account-idm-read account-idm-write"
STATUSES = {
    "ACTIVE": Status.ACTIVE,
    "PENDING": Status.INVITED,
    "INACTIVE": Status.SUSPENDED,
    "ECUSTOMS_MANUALLY_BLOCKED": Status.SUSPENDED,
    "DELETED": Status.DELETED,
}


def tenant(session: Session) -> Tenant:
    """The API has no call for the account itself: its groups prove that it can be reached."""
    session.get("/groups")
    return Tenant(session.record["account_uuid"], f"Dynatrace account {session.record['account_uuid']}")


def accounts(session: Session) -> Iterator[Account]:
    """One answer, without service users."""
    answer = session.get("/users", {"service-users": "false"})
    return counted("Dynatrace", map(_account, answer["items"]), lambda: answer.get("count"))


def create(session: Session, new: NewAccount) -> None:
    """Invites by mail; a name cannot be given."""
    session.send("POST", "/users", json={"email": new.email})


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", _path(account.emails[0]))


def groups(session: Session) -> dict[str, str]:
    """Those that are managed in Dynatrace; others belong to an identity provider."""
    return {group["uuid"]: group["name"] for group in session.get("/groups")["items"] if group["owner"] == "LOCAL"}


def join(session: Session, account: Account, group: str) -> None:
    session.send("POST", _path(account.emails[0]), json=[group])


def leave(session: Session, account: Account, group: str) -> None:
    session.send("DELETE", f"{_path(account.emails[0])}/groups", params={"group-uuid": group})


def said(response: httpx.Response) -> str:
    """The message, wherever it is: gateways wrap it."""
    body = response.json()
    return str(body.get("message") or body["error"]["message"])


def _path(email: str) -> str:
    return f"/users/{quote(email, safe='')}"


def _account(row: Row) -> Account:
    login = row.get("userLoginMetadata") or {}
    return Account(
        id=row["uid"],
        status=STATUSES[row.get("userStatus", "ACTIVE")],
        user_name=row["email"],
        emails=(row["email"],),
        **names(row.get("name"), row.get("surname")),
        **instants(login, last_activity="lastSuccessfulLogin", created_at="createdAt"),
        raw=row,
    )


APP = App(
    module=__name__,
    slug="dynatrace",
    name="Dynatrace",
    base_url="https://api.dynatrace.com/iam/v1/accounts/{account_uuid}",
    hosts=("https://sso.dynatrace.com",),
    sign_in=client_credentials(
        "https://sso.dynatrace.com/sso/oauth2/token",
        Field("account_uuid", "Account UUID (Account Management: Identity & access management, OAuth clients)"),
        form=lambda record: {"scope": SCOPES, "resource": f"urn:dtaccount:{record['account_uuid']}"},
    ),
    removal="takes out",
    removal_note=(
        "what the person set up stays, their personal tokens end; whom an identity provider fills in comes back with "
        "its next sync"
    ),
    rate_limit="not published",
    invites=True,
    refuses_with={404, *REFUSED},
    refusals=(
        Refusal(errors.MissingScopeError, "", f"Give the OAuth client the scopes {SCOPES}", status=[403]),
        Refusal(errors.NotFoundError, "not found"),
        Refusal(errors.NotFoundError, status=[404]),
        Refusal(errors.AlreadyExistsError, "already", "Look under User management in Account Management"),
    ),
)
