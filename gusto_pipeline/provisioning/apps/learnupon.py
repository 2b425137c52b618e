"""LearnUpon: the learners of one portal, by its REST API version 1.

A portal has learners, listed as users, and invitations, listed apart and without names or dates. Whether an invitation
into the portal (rather than into a group) is listed at all is not documented: where it is not, the answer to sending it
is all there is. Whether a new learner gets a welcome mail is the portal's own setting; no call can say it. Some changes
are answered with success and have no effect, among them `enabled` as a JSON boolean in some portals; it is then sent
as text. Nothing here deletes a learner, because the learning record would go as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, CustomField, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, filled, instants, names, password, taken
from gusto_pipeline.provisioning.errors import REFUSED, Refusal
from gusto_pipeline.provisioning.reading import Row, and_invited, found, one, with_id
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, basic_auth

INVITATION = "invitation/"  # begins the id of an invitation
PAGE = 500
LEARNER = {"enabled": True, "user_type": "learner"}
# By type_id of a custom user data field; 4 to 6 are drop-downs.
KINDS: dict[int, Any] = {2: "decimal", 3: "integer", 5: "decimal", 6: "integer", 7: "date"}


def tenant(session: Session) -> Tenant:
    session.get("/users/customuserdata")
    return Tenant(session.record["portal"], f"{session.record['portal']}.learnupon.com")


def accounts(session: Session) -> Iterator[Account]:
    return and_invited(map(_user, _pages(session, "/users", "user")), _invitations(session))


def account(session: Session, account_id: str) -> Account | None:
    if account_id.startswith(INVITATION):
        return with_id(_invitations(session), account_id)
    if not (rows := (one(session, f"/users/{account_id}") or {}).get("user")):
        return None
    named = {field.id: field.name for field in fields(session)}
    held = rows[0].get("customDataFieldValues") or ()
    data = {named.get(str(each["definition_id"]), ""): each["value"] for each in held}
    return _user({"CustomData": data} | rows[0])


def find(session: Session, email: str) -> Account | None:
    """The search ignores what it does not know and then gives everybody, so what it gives is compared."""
    users = map(_user, session.get("/users/search", {"email": email}).get("user") or ())
    return found(users, email) or found(_invitations(session), email)


def create(session: Session, new: NewAccount) -> Account | None:
    """role: learner, and nothing else. invite: the person has to accept before they are a learner."""
    data = filled({"CustomData": dict(new.fields)})
    person = {"email": new.email, "first_name": new.given_name, "last_name": new.family_name, **data}
    if new.invite:
        return _invite(session, person)
    learner = {**LEARNER, "password": password(new), "change_password_on_first_login": not new.single_sign_on}
    session.send("POST", "/users", json={"User": person | learner})
    return None


def suspend(session: Session, account: Account) -> None:
    _enable(session, account, False)


remove = suspend


def reactivate(session: Session, account: Account) -> None:
    _enable(session, account, True)


def cancel_invitation(session: Session, account: Account) -> None:
    session.send("DELETE", f"/group_invites/{account.id.removeprefix(INVITATION)}")


def invite_again(session: Session, account: Account) -> None:
    """A second invitation is refused while there is one, so that one goes first."""
    cancel_invitation(session, account)
    _invite(session, {"email": account.emails[0]})


def update(session: Session, account: Account, changes: Mapping[str, Any]) -> None:
    keys = {"given_name": "first_name", "family_name": "last_name", "email": "email"}
    user: Row = {keys[name]: value for name, value in changes.items() if name in keys}
    user |= filled({"CustomData": dict(changes.get("fields") or ())})
    session.send("PUT", f"/users/{account.id}", json={"User": user})


def fields(session: Session) -> tuple[CustomField, ...]:
    """Custom user data fields."""
    return tuple(map(_field, session.get("/users/customuserdata").get("customDataFieldDefinitions") or ()))


def values(account: Account) -> dict[str, str]:
    return {str(k): str(v) for k, v in (account.raw.get("CustomData") or {}).items() if v is not None and v != ""}


def groups(session: Session) -> dict[str, str]:
    return {str(row["id"]): row.get("title") or "" for row in _pages(session, "/groups", "groups")}


def members(session: Session, group: str) -> frozenset[str]:
    return frozenset(str(row["user_id"]) for row in _memberships(session, group))


def join(session: Session, account: Account, group: str) -> None:
    if account.id.startswith(INVITATION):
        return  # nobody is a member before they have accepted
    membership = {"group_id": int(group), "user_id": int(account.id)}
    made = session.json(session.send("POST", "/group_memberships", json={"GroupMembership": membership}))
    if not (made or {}).get("id"):
        raise errors.MalformedAnswerError(f"LearnUpon put {account.id} into group {group} and does not say that it did")


def leave(session: Session, account: Account, group: str) -> None:
    mine = [row for row in _memberships(session, group) if str(row["user_id"]) == account.id]
    if not mine:
        raise errors.NotFoundError(f"LearnUpon: {account.id} is not in group {group}")
    session.send("DELETE", f"/group_memberships/{mine[0]['id']}")


def said(response: httpx.Response) -> str:
    body = response.json()
    wrong = response.is_error or body.get("response_type") == "ERROR"
    return str(body.get("message") or body.get("error") or "no reason given") if wrong else ""


def _pages(session: Session, path: str, rows: str, **query: str) -> Iterator[Row]:
    """All rows; a page says in a header whether another follows. Without the header a full page has another."""
    number, follows = 1, "true"
    while follows.strip().lower() == "true":
        response = session.send("GET", path, params={"page": number, "per_page": PAGE, **query})
        page = (session.json(response) or {}).get(rows) or []
        yield from page
        number, follows = number + 1, response.headers.get("lu-has-next-page", str(len(page) >= PAGE))


def _invitations(session: Session) -> Iterator[Account]:
    for row in _pages(session, "/group_invites", "group_invite"):
        if str(row.get("invite_status")).lower() == "sent" and row.get("invite_email_address"):
            yield _invited(row["id"], row["invite_email_address"], row)


def _invited(key: object, email: str, raw: Row) -> Account:
    kept = {name: value for name, value in raw.items() if name != "accept_url"}  # whoever has it may accept
    return Account(id=f"{INVITATION}{key}", status=Status.INVITED, emails=(email,), raw=kept)


def _memberships(session: Session, group: str) -> Iterator[Row]:
    return _pages(session, "/group_memberships", "group_memberships", group_id=group)


def _invite(session: Session, person: Row) -> Account:
    email, invite = person["email"], {**person, "portal_membership_type_id": 1}  # a learner
    try:
        made = session.json(session.send("POST", "/portal_invite", json={"Invite": invite})) or {}
    except errors.AlreadyExistsError as error:
        there = found(_invitations(session), email)
        if there is None and "invite" not in str(error).lower():
            raise  # it is a learner already
        return there or _invited(email, email, {})
    return _invited(made["id"], made.get("email") or email, made)


def _enable(session: Session, account: Account, enabled: bool) -> None:
    for sent in (enabled, str(enabled).lower()):
        session.send("PUT", f"/users/{account.id}", json={"User": {"enabled": sent}})
        if bool(session.get(f"/users/{account.id}")["user"][0]["enabled"]) is enabled:
            return


def _field(row: Row) -> CustomField:
    choices = tuple(map(str, row.get("predefined_values") or ())) or None
    return CustomField(str(row["id"]), row["label"], KINDS.get(row["type_id"], "text"), choices)


def _user(row: Row) -> Account:
    return Account(
        id=str(row["id"]),
        status=Status.ACTIVE if str(row.get("enabled", True)).lower() == "true" else Status.SUSPENDED,
        emails=distinct((row.get("email"),)),
        **names(row.get("first_name"), row.get("last_name")),
        **instants(row, last_activity="last_sign_in_at", created_at="created_at"),
        role=row.get("user_type") or "learner",
        admin=row.get("user_type") == "admin",
        **taken(row, user_name="username", licence="membership_type"),
        raw=row,
    )


APP = App(
    module=__name__,
    slug="learnupon",
    name="LearnUpon",
    base_url="https://{portal}.learnupon.com/api/v1",
    sign_in=basic_auth(
        Field("username_key", "Username key (Settings > Integrations > API Keys)"),
        Field("password_key", "Password key", secret=True),
        Field("portal", "Portal (what stands before .learnupon.com)"),
    ),
    removal="deactivates",
    removal_note="the learner is disabled and their learning record stays; in sub-portals they are disabled as well",
    rate_limit="by minute and week, for each portal",
    invites=True,
    invitation_life=timedelta(hours=72),
    refuses_with={*range(200, 300), *REFUSED},
    refusals=(
        Refusal(errors.RateLimitedError, status=[429], seconds=30),
        Refusal(errors.NotFoundError, ".", status=[404]),
        Refusal(errors.AlreadyExistsError, "already|duplicate|has been taken", "Nothing is left to do"),
        Refusal(errors.NoSeatError, "licen|seat|user limit", "Buy one, or disable somebody"),
        Refusal(errors.InvalidError, "", "Correct it in Gusto or in pipeline.yaml, section learners"),
    ),
)
