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

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Tenant
from gusto_pipeline.provisioning.app import App, instants, one_name, status_of
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, counted, found
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, api_key

PAGE = 200
KEYS = "Admin Console > Advanced > Enterprise API"
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


def find(session: Session, email: str) -> Account | None:
    try:
        return found(_accounts(_read(session, {"username": email})), email)
    except errors.NotFoundError:
        return None


def create(session: Session, new: NewAccount) -> None:
    """Without a password the person gets a mail to activate the account. Answers without the new id."""
    person: Row = {"username": new.email, "fullname": new.display_name, "groups": list(new.groups)}
    if new.password:
        person |= {"password": new.password, "password_reset_required": True}
    _command(session, "batchadd", [person])


def suspend(session: Session, account: Account) -> None:
    _command(session, "disableuser", [account.user_name])


def reactivate(session: Session, account: Account) -> None:
    _command(session, "enableuser", [account.user_name])


def remove(session: Session, account: Account) -> None:
    _command(session, "deluser", {"username": account.user_name, "deleteaction": KEEP_VAULT})


def cancel_invitation(session: Session, account: Account) -> None:
    try:
        _command(session, "deluser", {"username": account.user_name, "deleteaction": WITHDRAW})
    except errors.InvalidError:  # they had accepted, and never logged in since
        remove(session, account)


def groups(session: Session) -> dict[str, str]:
    return {name: name for name in _read(session, {"pagesize": 1, "pageindex": 0}).get("Groups") or {}}


def join(session: Session, account: Account, group: str) -> None:
    _command(session, "batchchangegrp", [{"username": account.user_name, "add": [group]}])


def leave(session: Session, account: Account, group: str) -> None:
    _command(session, "batchchangegrp", [{"username": account.user_name, "del": [group]}])


def said(response: httpx.Response) -> str:
    """Failures, and partial successes with errors unless they say that it was so already."""
    if not response.text.lstrip().startswith("{"):
        return "Authorization Error" if "Authorization Error" in response.text else ""
    body = response.json()
    failed = str(body.get("status", "ok")).lower() not in ("ok", "success")
    error = body.get("error") or body.get("errors")
    text = "; ".join(map(str, error)) if isinstance(error, list) else str(error or "no reason given")
    return text if failed or (error and "already" not in text.lower()) else ""


def _read(session: Session, data: Row) -> Any:
    return session.json(_command(session, "getuserdata", data, reads=True))


def _command(session: Session, command: str, data: Any, *, reads: bool = False) -> httpx.Response:
    proof = {"cid": session.record["cid"], "provhash": session.record["provisioning_hash"]}
    body = {**proof, "apiuser": "gusto-pipeline", "cmd": command, "data": data}
    return session.send("POST", "/enterpriseapi.php", json=body, reads=reads)


def _accounts(answer: Row) -> Iterator[Account]:
    for key, row in (answer.get("Users") or {}).items():  # an empty one is a list
        yield _account(key, row)


def _account(key: str, row: Row) -> Account:
    admin = bool(row.get("admin"))
    return Account(
        id=key,
        status=status_of(suspended=row["disabled"], invited=row.get("neverloggedin")),
        user_name=row["username"],
        emails=(row["username"],),
        **one_name(row.get("fullname")),
        **instants(row, last_activity="last_login", created_at="created"),
        role="Admin" if admin else "User",
        admin=admin,
        groups=tuple(row.get("groups") or ()),
        raw=row,
    )


APP = App(
    module=__name__,
    slug="lastpass",
    name="LastPass",
    base_url="https://lastpass.com",
    sign_in=api_key(
        Field("cid", "Company number (Admin Console > Dashboard)"),
        Field("provisioning_hash", f"Provisioning hash ({KEYS})", secret=True),
        headers=lambda record: {},
    ),
    removal="takes out",
    removal_note="the person keeps a personal account with its vault; shared folders that they own go with them",
    rate_limit="not documented; one request at a time",
    creates_in_groups=True,
    plan="Business",
    invites=True,
    refuses_with=range(200, 300),
    refusals=(
        Refusal(errors.SignInError, "authorization error", f"Look company number and hash up under {KEYS}"),
        Refusal(errors.AlreadyExistsError, "already", "Nothing is left to do"),
        Refusal(errors.NotFoundError, "no such user"),
        Refusal(errors.NoSeatError, "licen|seat"),
        Refusal(errors.LastOwnerError, "(last|only) admin", "Make somebody else administrator first"),
        Refusal(errors.InvalidError, "", "Correct it, or do it by hand in the Admin Console"),
    ),
)
