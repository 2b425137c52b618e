"""What is done to apps, so that doing it twice does it once: look, act, look again.

An action whose answer never came is settled by reading, never by repeating it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeGuard

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    IncompleteReadError,
    InvalidError,
    NotFoundError,
    OutcomeUnknownError,
    UnsupportedError,
)
from gusto_pipeline.provisioning.fields import same
from gusto_pipeline.provisioning.reading import chosen
from gusto_pipeline.provisioning.session import Session

LOOKS = (0, 1, 2, 4, 8)  # seconds before each look: some apps show a change only after a moment


@dataclass(frozen=True)
class Snapshot:
    """All accounts of an app at one moment. `requests`: how many it took."""

    tenant: Tenant
    accounts: tuple[Account, ...]
    read_at: datetime
    requests: int


@dataclass(frozen=True)
class Outcome:
    """`changed`: False when nothing was left to do. `account`: as read afterwards, None when it is gone."""

    changed: bool
    account: Account | None


def read_accounts(session: Session, tenant_id: str | None = None) -> Snapshot:
    """Every account of the connection's tenant, or nothing.

    tenant_id: the tenant it was connected to. Raises IncompleteReadError, saying how far it got, when the list ends
    early, names an account twice or comes from another tenant; any AppError when not even the tenant could be read.
    """
    app, before = session.app, session.requests
    started = session.clock()
    try:
        tenant = app.tenant(session)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise IncompleteReadError(f"{app.name} does not say whose accounts it lists ({error!r})") from error
    if tenant_id is not None and tenant.id != tenant_id:
        raise IncompleteReadError(
            f"{app.name} answers for {tenant.name} ({tenant.id}), but was connected to {tenant_id}: nothing was read. "
            f"Connect it again, run: gusto-pipeline connect {app.slug}"
        )
    accounts: dict[str, Account] = {}
    try:
        for account in app.accounts(session):
            if account.id in accounts:
                raise IncompleteReadError(f"account {account.id} is listed twice, so the pages overlap")
            accounts[account.id] = account
    except (AppError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = error if isinstance(error, AppError) else f"a record has not the shape expected ({error!r})"
        raise IncompleteReadError(
            f"the accounts of {app.name} could not be read whole: after {len(accounts)} accounts in "
            f"{session.requests - before} requests, {what}",
            status=getattr(error, "status", None),
        ) from error
    return Snapshot(tenant, tuple(accounts.values()), started, session.requests - before)


def create(session: Session, new: NewAccount) -> Outcome:
    """Makes or invites an account, in groups named by id or name, unless one with this address is there already, in
    whatever state, which is left as it is.

    Raises InvalidError that says what groups there are, or UnsupportedError where there are none, and makes nobody.
    """
    app = session.app
    there = app.find(session, new.email)
    if _lives(there):
        return Outcome(False, there)
    wanted = replace(new, groups=_groups(session, new.groups))
    trouble, made = _attempt(lambda: app.create(session, wanted), AlreadyExistsError)
    if isinstance(made, Account):
        return Outcome(True, made)
    there = _look(session, lambda: app.find(session, new.email), _lives)
    if not _lives(there):
        raise trouble or OutcomeUnknownError(
            f"{app.name} accepted an account for {new.email} and does not show it yet. Look there before trying again"
        )
    for group in () if app.creates_in_groups else wanted.groups:
        _membership(session, app.join, there, group, wanted=True)
        there = app.account(session, there.id) or there
    return Outcome(True, there)


def _groups(session: Session, names: Sequence[str]) -> tuple[str, ...]:
    app = session.app
    if not names:
        return ()
    if app.groups is None:
        raise UnsupportedError(f"{app.name} has no groups, so nobody was created. Name none of them in pipeline.yaml")
    there = app.groups(session)
    return tuple(dict.fromkeys(chosen(session, "group", name, there) for name in names))


def suspend(session: Session, account_id: str) -> Outcome:
    """Stops an account from signing in; an app that cannot raises UnsupportedError."""
    call = _able(session, session.app.suspend, "suspend accounts")
    return _change(session, account_id, call, lambda a: a is None or a.status in (Status.SUSPENDED, Status.DELETED))


def reactivate(session: Session, account_id: str) -> Outcome:
    """Lets a suspended account sign in again. Raises NotFoundError when it is gone."""
    call = _able(session, session.app.reactivate, "reactivate accounts")
    if session.app.account(session, account_id) is None:
        raise NotFoundError(f"{session.app.name} has no account {account_id} to reactivate")
    return _change(session, account_id, call, lambda a: a is not None and a.status in (Status.ACTIVE, Status.INVITED))


def remove(session: Session, account_id: str) -> Outcome:
    """Takes an account out in the app's own way (`App.removal`); an open invitation is cancelled."""
    app = session.app
    gone = {Status.DELETED, Status.SUSPENDED} if app.removal == "deactivates" else {Status.DELETED}

    def call(session: Session, account: Account) -> object:
        cancel = app.cancel_invitation if account.status is Status.INVITED else None
        return (cancel or app.remove)(session, account)

    return _change(session, account_id, call, lambda a: a is None or a.status in gone)


def hand_over(session: Session, account_id: str, to: str) -> None:
    """Gives what an account owns to the active one of this address; nothing to do when it is gone already.

    Raises InvalidError where there is no other such account, OutcomeUnknownError while it is still under way.
    """
    app = session.app
    if app.hand_over is None:
        raise UnsupportedError(f"{app.name} cannot hand over what an account owns")
    account = app.account(session, account_id)
    if account is None or account.status is Status.DELETED:
        return
    heir = app.find(session, to)
    if heir is None or heir.status is not Status.ACTIVE or heir.id == account.id:
        raise InvalidError(
            f"{app.name} has no account {to} that could be given what {account_id} owns, so that was not removed. Say "
            f"another in pipeline.yaml, provisioning.apps.{app.slug}.hand_over_to"
        )
    app.hand_over(session, account, heir)


def invite_again(session: Session, account_id: str) -> Outcome:
    """Sends an open or lapsed invitation again. Raises NotFoundError when it is gone."""
    call = _able(session, session.app.invite_again, "send an invitation again")
    account = session.app.account(session, account_id)
    if account is None:
        raise NotFoundError(f"{session.app.name} has no invitation {account_id} to send again")
    if account.status is not Status.INVITED:
        return Outcome(False, account)
    trouble, _ = _attempt(lambda: call(session, account), AlreadyExistsError)
    if isinstance(trouble, OutcomeUnknownError):
        raise trouble
    there = session.app.account(session, account_id)
    if there is None and account.emails:  # some apps make a new one, of another id
        there = session.app.find(session, account.emails[0])
    return Outcome(trouble is None, there)


def update(session: Session, account_id: str, changes: Mapping[str, Any]) -> Outcome:
    """Changes what is named of an account (see `App.update`), and reads back that it did.

    Raises NotFoundError when it is gone, OutcomeUnknownError when the app said yes and did nothing.
    """
    app = session.app
    if app.update is None:
        raise UnsupportedError(f"{app.name} cannot change accounts")
    change = app.update
    return _change(
        session,
        account_id,
        lambda session, account: change(session, account, changes),
        lambda account: account is not None and shows(app, account, changes),
    )


def shows(app: App, account: Account, changes: Mapping[str, Any]) -> bool:
    """Whether an account is as `changes` want it already; the case of addresses does not count."""
    values = app.values(account) if app.values else {}
    return (
        account.given_name == changes.get("given_name", account.given_name)
        and account.family_name == changes.get("family_name", account.family_name)
        and changes.get("email", "").casefold() in ("", *map(str.casefold, account.emails[:1]))
        and all(_alike(values.get(name, ""), value) for name, value in changes.get("fields", {}).items())
    )


def _alike(held: str, wanted: str) -> bool:
    return any(same(held, wanted, kind) for kind in ("text", "decimal", "date"))


def join(session: Session, account_id: str, group: str) -> Outcome:
    """Puts an account into a group."""
    return _membership(session, session.app.join, _there(session, account_id), group, wanted=True)


def leave(session: Session, account_id: str, group: str) -> Outcome:
    """Takes an account out of a group."""
    return _membership(session, session.app.leave, _there(session, account_id), group, wanted=False)


def _membership(
    session: Session,
    call: Callable[[Session, Account, str], object] | None,
    account: Account,
    group: str,
    *,
    wanted: bool,
) -> Outcome:
    """The answer counts; the group is only read, which may take many pages, when there was none."""
    members = session.app.members
    if call is None:
        raise UnsupportedError(f"{session.app.name} cannot change who is in a group")
    trouble, _ = _attempt(lambda: call(session, account, group), AlreadyExistsError if wanted else NotFoundError)
    if isinstance(trouble, OutcomeUnknownError) and (
        members is None or (account.id in members(session, group)) is not wanted
    ):
        raise trouble
    return Outcome(not isinstance(trouble, AlreadyExistsError | NotFoundError), account)


def restore(session: Session, account: Account) -> Outcome:
    """Takes a deleted account out of the app's bin."""
    call = _able(session, session.app.restore, "restore deleted accounts")
    there = session.app.account(session, account.id)
    if _lives(there):
        return Outcome(False, there)
    trouble, _ = _attempt(lambda: call(session, there or account))
    there = _look(session, lambda: session.app.account(session, account.id), _lives)
    if _lives(there):
        return Outcome(True, there)
    raise trouble or OutcomeUnknownError(f"{session.app.name} does not show account {account.id} as restored yet")


def _change(
    session: Session,
    account_id: str,
    call: Callable[[Session, Account], object],
    settled: Callable[[Account | None], bool],
) -> Outcome:
    app = session.app
    account = app.account(session, account_id)
    if settled(account):
        return Outcome(False, account)
    if account is None:
        raise NotFoundError(f"{app.name} has no account {account_id}")
    trouble, _ = _attempt(lambda: call(session, account), NotFoundError, AlreadyExistsError, InvalidError)
    refused = isinstance(trouble, AlreadyExistsError | InvalidError)  # maybe since somebody else has just done it
    after = _look(session, lambda: app.account(session, account_id), settled, LOOKS[:1] if refused else LOOKS)
    if settled(after):
        return Outcome(not refused, after)
    raise trouble or OutcomeUnknownError(
        f"{app.name} accepted a change of account {account_id} and does not show it yet. Look there before trying again"
    )


def _there(session: Session, account_id: str) -> Account:
    account = session.app.account(session, account_id)
    if account is None:
        raise NotFoundError(f"{session.app.name} has no account {account_id}")
    return account


def _lives(account: Account | None) -> TypeGuard[Account]:
    return account is not None and account.status is not Status.DELETED


def _attempt(call: Callable[[], object], *settles: type[AppError]) -> tuple[AppError | None, object]:
    """Runs the call; gives the error that only reading can settle (an unknown outcome, or `settles`) and its result."""
    try:
        return None, call()
    except AppError as error:
        if not isinstance(error, (OutcomeUnknownError, *settles)):
            raise
        return error, None


def _look(
    session: Session,
    read: Callable[[], Account | None],
    settled: Callable[[Account | None], bool],
    looks: Sequence[float] = LOOKS,
) -> Account | None:
    for seconds in looks:
        if seconds:
            session.sleep(seconds)
        if settled(account := read()):
            break
    return account


def _able(
    session: Session, call: Callable[[Session, Account], object] | None, what: str
) -> Callable[[Session, Account], object]:
    if call is None:
        raise UnsupportedError(f"{session.app.name} cannot {what}")
    return call
