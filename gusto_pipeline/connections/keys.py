"""The store's key in the system's keyring: macOS Keychain, Windows Credential Locker, Secret Service, KWallet."""

from __future__ import annotations

import secrets
from contextlib import suppress

SERVICE = "gusto_pipeline"


class KeyringError(Exception):
    """The keyring does not give a key; says why."""


def keep(key: str) -> str | None:
    """Puts a key into the system's keyring under a new name and gives that; None where there is no usable keyring."""
    import keyring  # takes a moment, which a store with a key file need not wait for

    if keyring.get_keyring().priority < 1:  # below that is none, one that keeps nothing, or one in plain text
        return None
    name = secrets.token_hex(8)
    try:
        keyring.set_password(SERVICE, name, key)
        return name if keyring.get_password(SERVICE, name) == key else None
    except Exception:  # each backend has exceptions of its own; a locked or half-installed one is no use
        return None


def fetch(name: str) -> str:
    """The key under `name`. Raises KeyringError."""
    import keyring

    try:
        key = keyring.get_password(SERVICE, name)
    except Exception as error:  # each backend has exceptions of its own
        raise KeyringError(f"{type(error).__name__}: {error}") from error
    if key is None:
        raise KeyringError("it is not there")
    return key


def forget(name: str) -> None:
    """Deletes the key under `name`, if it is there."""
    import keyring
    from keyring.errors import KeyringError as Refused

    with suppress(Refused):
        keyring.delete_password(SERVICE, name)
