"""Google Workspace: the users and groups of one company, by the Admin SDK's Directory, Data Transfer and License APIs.

A new user is a new mailbox; nothing is mailed, and where licences are not automatic one has to be named as
`product/sku` (`Google-Apps/1010020028`). Whoever has neither signed in nor agreed to the terms is shown as invited.
Deleted users stay in the bin for 20 days, where only their id is good, and keep their address. Google counts users
nowhere, so a page that lost some cannot be noticed. Not documented, and taken in either way: the words for the last
super administrator, and for how a transfer stands (anything but completed and failed is taken for under way).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Tenant
from gusto_pipeline.provisioning.app import App, distinct, filled, instant, instants, names, password, status_of, taken
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, awaited, by_cursor, found, one, post_new, with_id
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import OFFLINE, Consent, Field, json_key, oauth, signed_assertion

TRANSFERS = "https://admin.googleapis.com/admin/datatransfer/v1"
LICENSES = "https://licensing.googleapis.com/apps/licensing/v1"
TOKEN_URI = "https://oauth2.googleapis.com/token"
RIGHTS = [f"admin.{each}" for each in ("directory.user", "directory.user.security", "directory.group", "datatransfer")]
SCOPES = tuple(f"https://www.googleapis.com/auth/{each}" for each in (*RIGHTS, "apps.licensing"))
GRANT = {"aud": TOKEN_URI, "scope": " ".join(SCOPES)}
DELEGATE = "Under Security, API controls, Manage domain-wide delegation, allow the account's client id the scopes "
DOMAIN = "Use an address in a domain of this company, or connect as a super administrator"
BY_HAND = "Do it in the Admin console under Apps > Google Workspace > Drive and Docs > Transfer ownership"
ENDED = ("completed", "failed")
LOOKS = (5, 10, 20, 40, 80, 160)  # seconds between looks at a transfer, which may also take hours


def tenant(session: Session) -> Tenant:
    """The company, named by the domain of one of its super administrators."""
    user = session.get("/users", {"customer": "my_customer", "maxResults": 1, "query": "isAdmin=true"})["users"][0]
    return Tenant(user["customerId"], user["primaryEmail"].rpartition("@")[2])


def accounts(session: Session) -> Iterator[Account]:
    yield from _users(session)
    yield from _users(session, showDeleted="true")


def account(session: Session, account_id: str) -> Account | None:
    row = one(session, _path(account_id))
    return _account(row) if row else with_id(_users(session, showDeleted="true"), account_id)


def find(session: Session, email: str) -> Account | None:
    """By login or alias, then in the bin. An address in a foreign domain is refused like one that is forbidden."""
    with suppress(errors.NotFoundError, errors.MissingScopeError):
        return _account(session.get(_path(email)))
    return found(_users(session, showDeleted="true"), email)


def create(session: Session, new: NewAccount) -> None:
    """The password has to be changed at first sign-in; the personal address serves for recovery."""
    number, work = new.employee_number, filled({"title": new.title, "department": new.department})
    body = {
        "primaryEmail": new.email,
        "name": {"givenName": new.given_name, "familyName": new.family_name},
        "password": password(new),
        "changePasswordAtNextLogin": True,
        "recoveryEmail": new.personal_email,
        "externalIds": [{"type": "organization", "value": number}] if number else None,
        "organizations": [{"primary": True, **work}] if work else None,
    }
    post_new(session, "/users", filled(body), new.email)
    if new.licence:
        product, _, sku = new.licence.partition("/")
        session.send("POST", f"{LICENSES}/product/{product}/sku/{sku}/user", json={"userId": new.email})


def suspend(session: Session, account: Account) -> None:
    """Signs out as well, also when suspending went unanswered."""
    try:
        session.send("PATCH", _path(account.id), json={"suspended": True})
    finally:
        session.send("POST", f"{_path(account.id)}/signOut")


def reactivate(session: Session, account: Account) -> None:
    session.send("PATCH", _path(account.id), json={"suspended": False, "archived": False})


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", _path(account.id))


def restore(session: Session, account: Account) -> None:
    session.send("POST", f"{_path(account.id)}/undelete", json={"orgUnitPath": "/"})


def hand_over(session: Session, account: Account, to: Account) -> None:
    """All that Google can transfer (files, calendars and so on, no mail), awaited for some minutes.

    A transfer between the two that is under way already is joined. Raises OutcomeUnknownError while it goes on.
    """
    ends = {"oldOwnerUserId": account.id, "newOwnerUserId": to.id}
    rows = session.get(f"{TRANSFERS}/transfers", ends).get("dataTransfers", [])
    transfer = next((row for row in rows if _progress(row) not in ENDED), None)
    if transfer is None:
        every = session.get(f"{TRANSFERS}/applications")["applications"]
        parts = [{"applicationId": a["id"], "applicationTransferParams": a.get("transferParams", [])} for a in every]
        body = {**ends, "applicationDataTransfers": parts}
        transfer = session.json(session.send("POST", f"{TRANSFERS}/transfers", json=body))
    path = f"{TRANSFERS}/transfers/{transfer['id']}"
    progress = _progress(awaited(session, LOOKS, lambda: session.get(path), lambda row: _progress(row) in ENDED))
    if progress == "failed":
        raise errors.OwnsContentError(f"Google could not hand over what {account.id} owns to {to.id}. {BY_HAND}")
    if progress != "completed":
        raise errors.OutcomeUnknownError(f"Google still hands over what {account.id} owns. Keep the account for now")


def groups(session: Session) -> dict[str, str]:
    return {row["id"]: row["name"] for row in _rows(session, "groups", maxResults=200)}


def join(session: Session, account: Account, group: str) -> None:
    """`group` may be an address, too."""
    session.send("POST", f"/groups/{quote(group)}/members", json={"email": account.emails[0], "role": "MEMBER"})


def leave(session: Session, account: Account, group: str) -> None:
    session.send("DELETE", f"/groups/{quote(group)}/members/{account.id}")


def said(response: httpx.Response) -> str:
    error = response.json()["error"]
    reasons = [each.get("reason", "") for each in error.get("errors", [])]
    return f"{error['message']} ({reasons[0]})" if reasons else str(error["message"])


def _path(user: str) -> str:
    return f"/users/{quote(user, safe='@')}"


def _users(session: Session, **more: str) -> Iterator[Account]:
    return map(_account, _rows(session, "users", maxResults=500, orderBy="email", **more))


def _rows(session: Session, what: str, **query: object) -> Iterator[Row]:
    params = {"customer": "my_customer", **query}
    return by_cursor(session, f"/{what}", params, what, "pageToken", "nextPageToken", sparse=True)


def _progress(transfer: Row) -> str:
    return str(transfer.get("overallTransferStatusCode", "")).lower()


def _account(row: Row) -> Account:
    new = row.get("agreedToTerms") is False and not instant(row.get("lastLoginTime"))
    ended = row.get("suspended") or row.get("archived")
    name, work = row.get("name") or {}, _primary(row, "organizations")
    numbers = (each.get("value") for each in row.get("externalIds") or [] if each.get("type") == "organization")
    others = [each.get("address") for each in row.get("emails") or []]
    roles = (("isAdmin", "Super admin"), ("isDelegatedAdmin", "Delegated admin"), ("isGuestUser", "Guest"))
    return Account(
        id=row["id"],
        status=status_of(deleted=row.get("deletionTime"), suspended=ended, invited=new),
        user_name=row.get("primaryEmail"),
        emails=distinct((row.get("primaryEmail"), *(row.get("aliases") or ()), *others, row.get("recoveryEmail"))),
        **names(name.get("givenName"), name.get("familyName"), name.get("displayName") or name.get("fullName")),
        **instants(row, last_activity="lastLoginTime", created_at="creationTime"),
        role=next((role for flag, role in roles if row.get(flag)), "User"),
        admin=bool(row.get("isAdmin") or row.get("isDelegatedAdmin")),
        employee_number=next(numbers, None),
        phone=_primary(row, "phones").get("value"),
        **taken(work, title="title", department="department"),
        raw=row,
    )


def _primary(row: Row, what: str) -> Row:
    rows = row.get(what) or [{}]
    return next((each for each in rows if each.get("primary")), rows[0])


APP = App(
    module=__name__,
    slug="google_workspace",
    name="Google Workspace",
    base_url="https://admin.googleapis.com/admin/directory/v1",
    hosts=("https://licensing.googleapis.com", "https://accounts.google.com", "https://oauth2.googleapis.com"),
    sign_in=oauth(Consent(url="https://accounts.google.com/o/oauth2/v2/auth", scopes=SCOPES, extra=OFFLINE), TOKEN_URI),
    by_key=signed_assertion(
        TOKEN_URI,
        Field("json_key", "File of the service account's JSON key", secret=True, file=True),
        Field("administrator", "Address of a super administrator, as whom it acts"),
        key=lambda my: json_key(my["json_key"])["private_key"],
        claims=lambda my: {"iss": json_key(my["json_key"])["client_email"], "sub": my["administrator"]} | GRANT,
        advice=(
            ("unauthorized_client", DELEGATE + ",".join(SCOPES)),
            ("email or User ID", "{administrator} has to be an active super administrator of the company"),
            ("Signature|not found", "Make a new JSON key of the service account in the Cloud console"),
        ),
    ),
    removal="deletes",
    removal_note="mail and files can be restored for 20 days, then they are gone; hand files over before",
    rate_limit="2,400 requests a minute",
    identity_provider=True,
    creates_mailbox=True,
    refusals=(
        # It asks for longer and longer waits, and names none; so do users whose creation still goes on.
        Refusal(errors.RateLimitedError, r"\((userRateLimit|rateLimit|quota)Exceeded\)", status=[403], seconds=1),
        Refusal(errors.RateLimitedError, "creation is not complete", status=[412], seconds=1),
        Refusal(errors.DomainNotVerifiedError, "forbidden", DOMAIN, status=[403], call="^POST .*/users$"),
        Refusal(errors.MissingScopeError, "", "Connect as a super administrator", status=[403]),
        Refusal(errors.AlreadyExistsError, "", "Look there, also for an alias, a group or in the bin", status=[409]),
        Refusal(errors.LastOwnerError, "administrator", "It keeps the last one. Make somebody else one first"),
        Refusal(errors.NoSeatError, "limitExceeded|licen", "Buy or free one, and assign it in the Admin console"),
    ),
)
