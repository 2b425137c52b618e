"""What a connector declares: one `App` per app, its facts as data and its calls as functions.

An app can do what it has a function for; nothing else says so. A connector decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx

from gusto_pipeline.provisioning.account import Account, CustomField, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.errors import AppError, IncompleteReadError
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import SignIn


@dataclass(frozen=True, kw_only=True)
class App:
    """One app. URLs may hold `{field}`s of the connection's record.

    Facts:
    slug, name: for machines and for people. base_url, hosts: where it lives, and its further hosts (sign-in, second
    APIs). by_key: another way to sign in, with a service account's key. headers: what every request carries. plan: what
    must be bought for account management, in the vendor's words; empty when every plan has it. removal: what taking
    someone out does there; `removal_note` says the rest that an administrator must know. invitation_life: how long an
    invitation can be accepted, None when it does not lapse or the app does not say. rate_limit: in words.
    identity_provider: people sign in to other apps with it, so it goes first when someone leaves. creates_mailbox: a
    new account comes with an e-mail address.

    Calls, each taking the session first, raising an AppError, and None where the app cannot:
    tenant: what the connection reaches, by one harmless request. accounts: every account, all pages, ended ones too
    if the app lists them; checks the app's own total with `counted` where there is one. account: one by id, None if
    there is provably none. find: the one whose login is this address, None if there is none.
    create: makes or invites; returns nothing, since what counts is read back, or the account where the app will not
    show it. suspend, reactivate, remove, invite_again, cancel_invitation, restore (out of the bin): take the account as
    just read. hand_over: gives what an account owns to another (account, to), before removal. groups: id to name.
    join, leave: (account, group id). members: ids of the accounts in a group. update: (account, what changes:
    given_name, family_name, email, and custom `fields` by name). fields: the custom fields there are; values: what an
    account holds in them, as text by name.

    Answers:
    refusal: the error in an answer, in the vendor's words, None when there is none or the status says it all; sees
    successes too, for apps that fail with status 200. wait: seconds until a rate-limited request may be sent again,
    None when the answer is no rate limit beyond a plain 429 with Retry-After.
    """

    slug: str
    name: str
    base_url: str
    sign_in: SignIn
    by_key: SignIn | None = None
    removal: Literal["deletes", "deactivates", "takes out"]
    removal_note: str
    rate_limit: str
    hosts: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    plan: str = ""
    invites: bool = False
    invitation_life: timedelta | None = None
    identity_provider: bool = False
    creates_mailbox: bool = False

    tenant: Callable[[Session], Tenant]
    accounts: Callable[[Session], Iterator[Account]]
    account: Callable[[Session, str], Account | None]
    find: Callable[[Session, str], Account | None]
    create: Callable[[Session, NewAccount], object]
    remove: Callable[[Session, Account], object]
    suspend: Callable[[Session, Account], object] | None = None
    reactivate: Callable[[Session, Account], object] | None = None
    invite_again: Callable[[Session, Account], object] | None = None
    cancel_invitation: Callable[[Session, Account], object] | None = None
    restore: Callable[[Session, Account], object] | None = None
    hand_over: Callable[[Session, Account, Account], object] | None = None
    groups: Callable[[Session], Mapping[str, str]] | None = None
    join: Callable[[Session, Account, str], object] | None = None
    leave: Callable[[Session, Account, str], object] | None = None
    members: Callable[[Session, str], frozenset[str]] | None = None
    update: Callable[[Session, Account, Mapping[str, Any]], object] | None = None
    fields: Callable[[Session], tuple[CustomField, ...]] | None = None
    values: Callable[[Account], Mapping[str, str]] | None = None

    refusal: Callable[[httpx.Response], AppError | None] | None = None
    wait: Callable[[httpx.Response, datetime], float | None] | None = None

    def signs_in(self, record: Mapping[str, Any]) -> SignIn:
        """The way to sign in that a connection's record is made for: with its key, if it has one."""
        keys = [field.name for field in self.by_key.fields if field.secret] if self.by_key else []
        return self.by_key if self.by_key and any(record.get(key) for key in keys) else self.sign_in


def counted(name: str, accounts: Iterable[Account], total: Callable[[], int | None]) -> Iterator[Account]:
    """`accounts` passed on; when they end before the app's own `total` is reached, IncompleteReadError."""
    seen = 0
    for account in accounts:
        seen += 1
        yield account
    expected = total()
    if expected is not None and seen < expected:
        raise IncompleteReadError(f"{name} counts {expected} accounts and listed {seen}")


def found(accounts: Iterable[Account], email: str) -> Account | None:
    """The account with this address, whatever its case, rather one that is not deleted: for apps that list only."""
    wanted, deleted = email.casefold(), None
    for account in accounts:
        if wanted in (address.casefold() for address in account.emails):
            if account.status is not Status.DELETED:
                return account
            deleted = account
    return deleted


def distinct(addresses: Iterable[str | None]) -> tuple[str, ...]:
    """The addresses in their order, each once as first spelled, whatever its case."""
    spelled: dict[str, str] = {}
    for address in addresses:
        if address:
            spelled.setdefault(address.casefold(), address)
    return tuple(spelled.values())


def split_name(name: str | None) -> tuple[str | None, str | None]:
    """Given and family name of an app that has one name only, cut at the first space; a guess, for evidence."""
    given, _, family = (name or "").strip().partition(" ")
    return given or None, family.strip() or None


def instant(value: str | int | float | None) -> datetime | None:
    """An instant from ISO 8601 text (UTC when it names no zone) or Unix time in seconds or milliseconds.

    None for nothing, for the epoch itself and the year 1, which apps send for "never", and for what is no instant.
    """
    try:
        if isinstance(value, str) and not value.strip().isdecimal():
            at = datetime.fromisoformat(value.strip())
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
        elif value is None or value == "":
            return None
        else:
            number = float(value)
            at = datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None if at.timestamp() <= 0 else at
