"""What a connector declares: one `App` per app, its facts as data; and its calls, the functions of these names.

An app can do what it has a function for; nothing else says so. A connector decides nothing.
"""

from __future__ import annotations

import dataclasses
import secrets
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx

from gusto_pipeline.provisioning.account import Account, CustomField, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.errors import REFUSED, Refusal
from gusto_pipeline.provisioning.reading import found, with_id
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
    invitation can be accepted, None when it does not lapse or the app does not say. new_per_day: how many
    accounts or invitations it takes in 24 hours, None for any number. rate_limit: in words.
    identity_provider: people sign in to other apps with it, so it goes first when someone leaves. creates_mailbox: a
    new account comes with an e-mail address. creates_in_groups: `create` puts it into its groups; else it joins them
    after. refusals: what its words mean, before what they mean everywhere (`errors.COMMON`); refuses_with: the statuses
    these come with.

    Calls, the functions of the connector's `module` with these names. Each takes the session first and raises an
    AppError; None where the app cannot:
    tenant: what the connection reaches, by one harmless request. accounts: every account, all pages, ended ones too
    if the app lists them; checks the app's own total with `counted` where there is one. account: one by id, None if
    there is provably none. find: the one whose login is this address, None if there is none. Without these two the
    whole list is gone through.
    create: makes or invites; returns nothing, since what counts is read back, or the account where the app will not
    show it. suspend, reactivate, remove, invite_again, cancel_invitation, restore (out of the bin): take the account as
    just read. hand_over: gives what an account owns to another (account, to), before removal. groups: id to name.
    join, leave: (account, group id). members: ids of the accounts in a group. update: (account, what changes:
    given_name, family_name, email, and custom `fields` by name). fields: the custom fields there are; values: what an
    account holds in them, as text by name.

    said: the words in an answer, for `refusals`; empty when nothing is wrong. It may stumble over what is no answer of
    the app. It sees successes too, where a refusal comes with their status.
    """

    module: str
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
    new_per_day: int | None = None
    identity_provider: bool = False
    creates_mailbox: bool = False
    creates_in_groups: bool = False
    refusals: tuple[Refusal, ...] = ()
    refuses_with: Collection[int] = REFUSED

    tenant: Callable[[Session], Tenant] = field(init=False)
    accounts: Callable[[Session], Iterator[Account]] = field(init=False)
    account: Callable[[Session, str], Account | None] = field(init=False)
    find: Callable[[Session, str], Account | None] = field(init=False)
    create: Callable[[Session, NewAccount], object] = field(init=False)
    remove: Callable[[Session, Account], object] = field(init=False)
    suspend: Callable[[Session, Account], object] | None = field(init=False)
    reactivate: Callable[[Session, Account], object] | None = field(init=False)
    invite_again: Callable[[Session, Account], object] | None = field(init=False)
    cancel_invitation: Callable[[Session, Account], object] | None = field(init=False)
    restore: Callable[[Session, Account], object] | None = field(init=False)
    hand_over: Callable[[Session, Account, Account], object] | None = field(init=False)
    groups: Callable[[Session], Mapping[str, str]] | None = field(init=False)
    join: Callable[[Session, Account, str], object] | None = field(init=False)
    leave: Callable[[Session, Account, str], object] | None = field(init=False)
    members: Callable[[Session, str], frozenset[str]] | None = field(init=False)
    update: Callable[[Session, Account, Mapping[str, Any]], object] | None = field(init=False)
    fields: Callable[[Session], tuple[CustomField, ...]] | None = field(init=False)
    values: Callable[[Account], Mapping[str, str]] | None = field(init=False)
    said: Callable[[httpx.Response], str] = field(init=False)

    def __post_init__(self) -> None:
        there = vars(sys.modules[self.module])
        for call in dataclasses.fields(self):
            if not call.init:
                listing = {"account": _by_id, "find": _by_address}
                object.__setattr__(self, call.name, there.get(call.name, listing.get(call.name)))

    def signs_in(self, record: Mapping[str, Any]) -> SignIn:
        """The way to sign in that a connection's record is made for: with its key, if it has one."""
        keys = [field.name for field in self.by_key.fields if field.secret] if self.by_key else []
        return self.by_key if self.by_key and any(record.get(key) for key in keys) else self.sign_in


def _by_id(session: Session, account_id: str) -> Account | None:
    return with_id(session.app.accounts(session), account_id)


def _by_address(session: Session, email: str) -> Account | None:
    return found(session.app.accounts(session), email)


def distinct(addresses: Iterable[str | None]) -> tuple[str, ...]:
    """The addresses in their order, each once as first spelled, whatever its case."""
    spelled: dict[str, str] = {}
    for address in addresses:
        if address:
            spelled.setdefault(address.casefold(), address)
    return tuple(spelled.values())


def names(given: str | None, family: str | None, display: str | None = None) -> dict[str, Any]:
    """An account's names; its display name is put together where the app has none."""
    together = " ".join(filter(None, (given, family)))
    return {"given_name": given or None, "family_name": family or None, "display_name": display or together or None}


def one_name(name: str | None) -> dict[str, Any]:
    """An account's names in an app that has one only, cut at the first space; a guess, for evidence."""
    given, _, family = (name or "").strip().partition(" ")
    return names(given, family.strip(), name)


def status_of(*, deleted: object = False, suspended: object = False, invited: object = False) -> Status:
    """How an account stands: the first of these that holds; else it is active."""
    held = {Status.DELETED: deleted, Status.SUSPENDED: suspended, Status.INVITED: invited}
    return next((status for status, holds in held.items() if holds), Status.ACTIVE)


def taken(row: Mapping[str, Any], **keys: str) -> dict[str, Any]:
    """Facts of an account as a record has them, each by its own name and the record's key for it."""
    return {fact: row.get(key) or None for fact, key in keys.items()}


def instants(row: Mapping[str, Any], **keys: str) -> dict[str, Any]:
    """The same for instants, read by `instant`."""
    return {fact: instant(row.get(key)) for fact, key in keys.items()}


def password(new: NewAccount) -> str:
    """The first one; where none is given, one that nobody knows, with every kind of character that apps ask for."""
    return new.password or f"{secrets.token_urlsafe(24)}aA1!"


def filled(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the facts that are known."""
    return {name: value for name, value in facts.items() if value}


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
