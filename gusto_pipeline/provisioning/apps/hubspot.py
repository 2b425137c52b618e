"""HubSpot: the users of one portal, by its User Provisioning API v3.

That API says neither who is deactivated (a search of the CRM's user records does) nor, in some versions, anybody's name
(the CRM's owners do), and nothing says whose invitation is open: they look active. Nobody can be deactivated by it.
What a repeated address is answered with is not documented; a 409 is taken for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from urllib.parse import quote

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, names
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, by_cursor, chosen, one
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Consent, oauth

USERS = "/settings/v3/users/"
DAY = 86_400.0
CRM = ("crm.objects.users.read", "crm.objects.owners.read")
AFTER = "paging/next/after"
Names = dict[str, tuple[str | None, str | None]]


def tenant(session: Session) -> Tenant:
    portal = str(session.get("/account-info/v3/details")["portalId"])
    return Tenant(portal, f"HubSpot portal {portal}")


def accounts(session: Session) -> Iterator[Account]:
    deactivated, roles = _deactivated(session), _roles(session)
    everybody = cache(lambda: _names(session))
    for row in by_cursor(session, USERS, {"limit": 100}, "results", "after", AFTER):
        yield _account(row, str(row["id"]) in deactivated, roles, {} if _named(row) else everybody())


def account(session: Session, account_id: str) -> Account | None:
    return _one(session, account_id, "USER_ID")


def find(session: Session, email: str) -> Account | None:
    return _one(session, email, "EMAIL")


def create(session: Session, new: NewAccount) -> None:
    """Adds and mails a welcome. role: by name or id; without one, the least rights. The first group: the main team."""
    person: Row = {
        "email": new.email,
        "firstName": new.given_name,
        "lastName": new.family_name,
        "sendWelcomeEmail": True,
    }
    if new.role:
        person["roleId"] = chosen(session, "role", new.role, _roles(session))
    if new.groups:
        person |= {"primaryTeamId": new.groups[0], "secondaryTeamIds": new.groups[1:]}
    session.send("POST", USERS, json=person)


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", f"{USERS}{account.id}", params={"idProperty": "USER_ID"})


def groups(session: Session) -> dict[str, str]:
    """Teams."""
    return {str(team["id"]): team["name"] for team in session.get(f"{USERS}teams")["results"]}


def join(session: Session, account: Account, group: str) -> None:
    _move(session, account, [*account.groups, group])


def leave(session: Session, account: Account, group: str) -> None:
    """The next team becomes the main one; the last team cannot be left."""
    teams = [team for team in account.groups if team != group]
    if not teams or group in _move(session, account, teams):
        raise errors.UnsupportedError(f"HubSpot's API does not take {account.id} out of team {group}: do it in HubSpot")


def said(response: httpx.Response) -> str:
    body = response.json()
    contexts = [each.get("context") or {} for each in body.get("errors") or ()]
    scopes = sorted({scope for context in contexts for wanted in context.values() for scope in wanted})
    kind, message = body.get("category") or body.get("policyName"), body.get("message")
    if kind == "MISSING_SCOPES":
        message = f"the connection lacks {', '.join(scopes) or 'a scope'}"
    return f"{message or 'no reason given'} ({kind})"


def _one(session: Session, key: str, kind: str) -> Account | None:
    row = one(session, f"{USERS}{quote(key)}", {"idProperty": kind})
    if not row:
        return None
    deactivated = str(row["id"]) in _deactivated(session, str(row["id"]))
    return _account(row, deactivated, _roles(session), {} if _named(row) else _names(session, row.get("email")))


def _roles(session: Session) -> dict[str, str]:
    return {str(role["id"]): role["name"] for role in session.get(f"{USERS}roles")["results"]}


def _deactivated(session: Session, user: str | None = None) -> set[str]:
    """The ids of all deactivated users, or of the one if it is."""
    filters = [{"propertyName": "hs_deactivated", "operator": "EQ", "value": "true"}]
    if user:
        filters.append({"propertyName": "hs_internal_user_id", "operator": "EQ", "value": user})
    search: Row = {
        "filterGroups": [{"filters": filters}],
        "properties": ["hs_internal_user_id"],
        "limit": 100,
    }
    found: set[str] = set()
    while True:
        page = session.json(session.send("POST", "/crm/v3/objects/users/search", json=search, reads=True))
        found |= {str(row["properties"]["hs_internal_user_id"]) for row in page["results"]}
        if not (following := (page.get("paging") or {}).get("next")):
            return found
        search["after"] = following["after"]


def _named(row: Row) -> bool:
    return bool(row.get("firstName") or row.get("lastName"))


def _names(session: Session, email: str | None = None) -> Names:
    """Given and family name by user id, of everybody or of one address; archived owners are deactivated users."""
    found: Names = {}
    for archived in ("true", "false"):
        query = {"limit": 100, "archived": archived, "email": email}
        for owner in by_cursor(session, "/crm/v3/owners/", query, "results", "after", AFTER):
            user = owner.get("userIdIncludingInactive") or owner.get("userId")
            found[str(user)] = (owner.get("firstName"), owner.get("lastName"))
    return found


def _move(session: Session, account: Account, teams: list[str]) -> list[str]:
    """Puts somebody into these teams; those that HubSpot then says."""
    main, *others = dict.fromkeys(teams)
    body = {"primaryTeamId": main, "secondaryTeamIds": others}
    answer = session.send("PUT", f"{USERS}{account.id}", params={"idProperty": "USER_ID"}, json=body)
    return _teams(session.json(answer))


def _teams(row: Row) -> list[str]:
    return list(map(str, filter(None, [row.get("primaryTeamId"), *(row.get("secondaryTeamIds") or ())])))


def _account(row: Row, deactivated: bool, roles: dict[str, str], known: Names) -> Account:
    role = next(iter(filter(None, [row.get("roleId"), *(row.get("roleIds") or ())])), None)
    admin = bool(row.get("superAdmin"))
    return Account(
        id=str(row["id"]),
        status=Status.SUSPENDED if deactivated else Status.ACTIVE,
        emails=distinct((row.get("email"),)),
        **names(*known.get(str(row["id"]), (row.get("firstName"), row.get("lastName")))),
        role="Super admin" if admin else roles.get(str(role)) or role,
        admin=admin,
        licence=", ".join(row.get("seatNames") or ()) or None,
        groups=tuple(_teams(row)),
        raw=row,
    )


APP = App(
    module=__name__,
    slug="hubspot",
    name="HubSpot",
    base_url="https://api.hubapi.com",
    hosts=("https://app.hubspot.com",),
    sign_in=oauth(
        Consent(
            url="https://app.hubspot.com/oauth/authorize",
            scopes=("oauth", *(f"settings.users.{may}" for may in ("read", "write", "teams.read")), *CRM),
        ),
        "https://api.hubapi.com/oauth/v1/token",
    ),
    removal="deletes",
    removal_note="what they owned is left without an owner, and does not come back with them",
    rate_limit="110 requests in 10 seconds, and 250,000 or more a day",
    creates_in_groups=True,
    invites=True,
    refusals=(
        # The window is 10 seconds, and a day for the other limit; Retry-After is not promised.
        Refusal(errors.RateLimitedError, r"\(DAILY", status=[429], seconds=DAY),
        Refusal(errors.RateLimitedError, status=[429], seconds=10),
        Refusal(errors.MissingScopeError, r"\(MISSING_SCOPES", "Add it to the app, and consent as a super admin"),
        Refusal(errors.LastOwnerError, "super admin", "Make somebody else super admin first"),
    ),
)
