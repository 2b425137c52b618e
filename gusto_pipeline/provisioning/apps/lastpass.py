"""LastPass: the people of one company, by its Enterprise (provisioning) API.

One address takes commands as JSON, with company number and provisioning hash in the body of each; it answers 200 to
nearly everything and calls JSON text/xml. There is no invitation: whoever never logged in counts as invited. Times name
no zone and are taken for UTC. The words of failures are not documented, nor what adding somebody twice says: text that
something is so already is taken for success.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, counted, found, instant, split_name
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    InvalidError,
    LastOwnerError,
    NoSeatError,
    NotFoundError,
    SignInError,
)
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, api_key

PAGE = 200
KEEP_VAULT, WITHDRAW = 1, 3  # deleteaction; 2 would erase the vault, which no one can take back


def tenant(session: Session) -> Tenant:
    _read(session, {"pagesize": 1, "pageindex": 0})
    company = session.record["cid"]
    return Tenant(company, f"LastPass company {company}")


def accounts(session: Session) -> Iterator[Account]:
    totals: list[int] = []

    def listed() -> Iterator[Account]:
        page = 0
        while not totals or page * PAGE < totals[-1]:
            answer = _read(session, {"pagesize": PAGE, "pageindex": page})
            totals.append(int(answer["total"]))
            yield from _accounts(answer)
            page += 1

    return counted("LastPass", listed(), lambda: totals[-1])


def account(session: Session, account_id: str) -> Account | None:
    """It cannot be asked for an id."""
    return next((account for account in accounts(session) if account.id == account_id), None)


def find(session: Session, email: str) -> Account | None:
    try:
        return found(_accounts(_read(session, {"username": email})), email)
    except NotFoundError:
        return None


def create(session: Session, new: NewAccount) -> None:
    """Without a password the person gets a mail to activate the account. Answers without the new id."""
    person: dict[str, Any] = {"username": new.email, "fullname": new.display_name, "groups": list(new.groups)}
    if new.password:
        person |= {"password": new.password, "password_reset_required": True}
    _write(session, "batchadd", [person])


def suspend(session: Session, account: Account) -> None:
    _write(session, "disableuser", [account.user_name])


def reactivate(session: Session, account: Account) -> None:
    _write(session, "enableuser", [account.user_name])


def remove(session: Session, account: Account) -> None:
    _write(session, "deluser", {"username": account.user_name, "deleteaction": KEEP_VAULT})


def cancel_invitation(session: Session, account: Account) -> None:
    try:
        _write(session, "deluser", {"username": account.user_name, "deleteaction": WITHDRAW})
    except InvalidError:  # they had accepted, and never logged in since
        remove(session, account)


def groups(session: Session) -> dict[str, str]:
    return {name: name for name in _read(session, {"pagesize": 1, "pageindex": 0}).get("Groups") or {}}


def join(session: Session, account: Account, group: str) -> None:
    _write(session, "batchchangegrp", [{"username": account.user_name, "add": [group]}])


def leave(session: Session, account: Account, group: str) -> None:
    _write(session, "batchchangegrp", [{"username": account.user_name, "del": [group]}])


def refusal(response: httpx.Response) -> AppError | None:
    if not response.is_success:
        return None
    try:
        said = response.json()
    except ValueError:
        said = {"status": "FAIL", "error": response.text} if "Authorization Error" in response.text else {}
    failed = str(said.get("status", "ok")).lower() not in ("ok", "success")
    error = said.get("error") or said.get("errors")
    message = "; ".join(map(str, error)) if isinstance(error, list) else str(error or "no reason given")
    words = message.lower()
    if not failed and (not error or "already" in words):
        return None
    if "authorization error" in words:
        return SignInError(
            "LastPass does not accept company number and provisioning hash. Look them up in the Admin Console under "
            "Advanced > Enterprise API, then run: gusto-pipeline connect lastpass"
        )
    if "already" in words:
        return AlreadyExistsError(f"LastPass: {message}. Nothing is left to do")
    if "no such user" in words:
        return NotFoundError(f"LastPass: {message}. Read its accounts again")
    if "licen" in words or "seat" in words:
        return NoSeatError(f"LastPass has no free licence: {message}. Buy one, or remove somebody")
    if "last admin" in words or "only admin" in words:
        return LastOwnerError(f"LastPass: {message}. Make somebody else administrator first")
    return InvalidError(f"LastPass: {message}. Correct it, or do it by hand in the Admin Console")


def _read(session: Session, data: dict[str, Any]) -> Any:
    return session.json(_command(session, "getuserdata", data, reads=True))


def _write(session: Session, command: str, data: Any) -> None:
    _command(session, command, data, reads=False)


def _command(session: Session, command: str, data: Any, *, reads: bool) -> httpx.Response:
    proof = {"cid": session.record["cid"], "provhash": session.record["provisioning_hash"]}
    body = {**proof, "apiuser": "gusto-pipeline", "cmd": command, "data": data}
    return session.send("POST", "/enterpriseapi.php", json=body, reads=reads)


def _accounts(answer: dict[str, Any]) -> Iterator[Account]:
    for key, row in (answer.get("Users") or {}).items():  # an empty one is a list
        yield _account(key, row)


def _account(key: str, row: dict[str, Any]) -> Account:
    given, family = split_name(row.get("fullname"))
    admin = bool(row.get("admin"))
    status = Status.INVITED if row.get("neverloggedin") else Status.ACTIVE
    return Account(
        id=key,
        status=Status.SUSPENDED if row["disabled"] else status,
        user_name=row["username"],
        emails=(row["username"],),
        given_name=given,
        family_name=family,
        display_name=row.get("fullname"),
        last_activity=instant(row.get("last_login")),
        created_at=instant(row.get("created")),
        role="Admin" if admin else "User",
        admin=admin,
        groups=tuple(row.get("groups") or ()),
        raw=row,
    )


APP = App(
    slug="lastpass",
    name="LastPass",
    base_url="https://lastpass.com",
    sign_in=api_key(
        Field("cid", "Company number (Admin Console > Dashboard)"),
        Field("provisioning_hash", "Provisioning hash (Admin Console > Advanced > Enterprise API)", secret=True),
        headers=lambda record: {},
    ),
    removal="takes out",
    removal_note="the person keeps a personal account with its vault; shared folders that they own go with them",
    rate_limit="not documented; one request at a time",
    plan="Business",
    invites=True,
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    suspend=suspend,
    reactivate=reactivate,
    remove=remove,
    cancel_invitation=cancel_invitation,
    groups=groups,
    join=join,
    leave=leave,
    refusal=refusal,
)
