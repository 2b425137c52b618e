"""What an app tells of an account, in one form for all apps, and what is asked of it for a new one.

Names follow SCIM's core schema (RFC 7643 section 4.1) where it has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal


class Status(StrEnum):
    """`invited`: asked to join, not there yet. `suspended`: there, but cannot sign in. `deleted`: in the app's bin."""

    ACTIVE = "active"
    INVITED = "invited"
    SUSPENDED = "suspended"
    DELETED = "deleted"


@dataclass(frozen=True, kw_only=True)
class Account:
    """One account. `id` is the key the app's calls take, never reused for another person.

    emails: the login's first, as the app spells them. invited_until: when an open invitation lapses, if the app says.
    owner: the app refuses to remove it, or must not lose it (last owner, primary contact). bot: a service or shared
    account by the app's own word. licence: what it is billed as. groups: names, or ids where the app gives no names.
    external_id: what an identity provider or HR system called the person. raw: the record as received.
    None and empty mean that the app does not say.
    """

    id: str
    status: Status
    user_name: str | None = None
    emails: tuple[str, ...] = ()
    given_name: str | None = None
    family_name: str | None = None
    display_name: str | None = None
    invited_until: datetime | None = None
    last_activity: datetime | None = None
    created_at: datetime | None = None
    role: str | None = None
    admin: bool = False
    owner: bool = False
    bot: bool = False
    licence: str | None = None
    groups: tuple[str, ...] = ()
    external_id: str | None = None
    employee_number: str | None = None
    phone: str | None = None
    title: str | None = None
    department: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class NewAccount:
    """Whom to create or invite. `email` becomes the login; `personal_email` is where someone without it is reached.

    role and licence are the app's own ids or names, as the connection's settings give them; groups are ids once
    `actions.create` has looked for them. password: the
    first one, where the app wants one; without it a random one is set that nobody knows, to be reset at first use.
    fields: values of the app's custom fields, by name. invite: ask them to join instead of making the account at once,
    where the app can do both. single_sign_on: they never need a password.
    """

    email: str
    given_name: str
    family_name: str
    personal_email: str | None = None
    employee_number: str | None = None
    title: str | None = None
    department: str | None = None
    start_date: date | None = None
    role: str | None = None
    licence: str | None = None
    groups: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)
    fields: Mapping[str, str] = field(default_factory=dict)
    invite: bool = False
    single_sign_on: bool = False

    @property
    def display_name(self) -> str:
        return f"{self.given_name} {self.family_name}".strip()


@dataclass(frozen=True)
class CustomField:
    """A field of accounts that the app's administrator made up. choices: all values it takes; None: any of its kind."""

    id: str
    name: str
    kind: Literal["text", "decimal", "integer", "date"] = "text"
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Tenant:
    """The organisation, workspace or portal that a connection reaches. `granted`: what it may do, if the app says."""

    id: str
    name: str
    granted: tuple[str, ...] = ()
