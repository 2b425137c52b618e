"""Credentials at rest: one encrypted file per connection. Nothing here knows what a connection is for."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from cryptography.fernet import Fernet, InvalidToken
from filelock import FileLock

from gusto_pipeline.connections import keys

_SUFFIX = ".connection"
_KEY_FILE = "key"
_IN_KEYRING = "keyring:"  # what a key file begins with that names a key in the system's keyring
_KEY_HELP = (
    "a key is 32 bytes in URL-safe base64; make one with: "
    'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
)


class ConnectionStoreError(Exception):
    """A stored connection cannot be read; the message says which, why and what to do."""


class ConnectionStore:
    """Tokens at rest: one Fernet-encrypted file per connection, 0600, in a 0700 folder.

    `key` is a Fernet key. Without one, the first write makes one and puts it into the system's keyring, or, where there
    is none to use, into a file (0600) in the folder; a store goes on with the key it began with. Names are like
    `gusto/acme-tea-co`: not empty, at most one "/".
    """

    def __init__(self, folder: Path, key: str | None = None) -> None:
        self._folder = Path(folder)
        self._given_key = _fernet(key, "the key given (GUSTO_PIPELINE_KEY)") if key else None
        self._fetched: dict[str, str] = {}  # keys by their names in the keyring, which is slow to ask
        self._locks: dict[str, tuple[threading.RLock, FileLock]] = {}
        self._locks_guard = threading.Lock()

    def read(self, name: str) -> dict[str, Any] | None:
        """The stored value, or None when there is no such connection.

        Raises ConnectionStoreError when the key does not fit or the file is damaged.
        """
        path = self._path(name)
        try:
            sealed = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        fernet = self._given_key or self._own_key(make=False)
        if fernet is None:
            raise ConnectionStoreError(
                f"connection {name} is stored in {path}, but its key {self._folder / _KEY_FILE} is missing: "
                "restore the key file, or set GUSTO_PIPELINE_KEY, or connect again"
            )
        try:
            value = json.loads(fernet.decrypt(sealed))
        except (InvalidToken, ValueError) as error:
            raise ConnectionStoreError(
                f"connection {name} in {path} cannot be decrypted: either the key is not the one it was "
                "written with, or the file is damaged. Restore the key (GUSTO_PIPELINE_KEY or "
                f"{self._folder / _KEY_FILE}) or the file, or connect again"
            ) from error
        if not isinstance(value, dict):
            raise ConnectionStoreError(f"connection {name} in {path} holds no record: connect again")
        return value

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Stores a JSON object. After a crash the file holds the old value or the new one, whole."""
        path = self._path(name)
        self._make_folder()
        fernet = self._given_key or self._own_key(make=True)
        assert fernet is not None
        self._put(path, fernet.encrypt(json.dumps(value).encode()), replace=True)

    def delete(self, name: str) -> None:
        """Forgets a connection; one that is not there is no error."""
        self._path(name).unlink(missing_ok=True)

    def names(self, prefix: str = "") -> list[str]:
        """Names of the stored connections that start with `prefix`, sorted."""
        found = (unquote(path.name.removesuffix(_SUFFIX)) for path in self._folder.glob(f"*{_SUFFIX}"))
        return sorted(name for name in found if name.startswith(prefix))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Holds the connection for this thread: re-entrant within it, exclusive across threads and processes."""
        path = self._path(name)
        self._make_folder()
        with self._locks_guard:
            # The thread lock spares waiting threads the file lock's polling.
            threads, processes = self._locks.setdefault(
                name, (threading.RLock(), FileLock(path.with_suffix(".lock"), mode=0o600))
            )
        with threads, processes:
            yield

    def _path(self, name: str) -> Path:
        file_name = quote(name, safe="") + _SUFFIX
        if not name or name.count("/") > 1 or not all(name.split("/")) or len(file_name) > 200:
            raise ValueError(f"{name!r} is no connection name: expected app or app/company, 200 characters at most")
        return self._folder / file_name

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_mode & 0o077:
            self._folder.chmod(0o700)

    def _own_key(self, make: bool) -> Fernet | None:
        path = self._folder / _KEY_FILE
        if make and not path.exists():
            self._make_key(path)
        try:
            held = path.read_text("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        if held.startswith(_IN_KEYRING):
            return _fernet(self._from_keyring(held.removeprefix(_IN_KEYRING)), "the key in the system's keyring")
        return _fernet(held, f"the key in {path}")

    def _make_key(self, path: Path) -> None:
        key = Fernet.generate_key().decode()
        name = keys.keep(key)
        if not self._put(path, (_IN_KEYRING + name if name else key).encode(), replace=False) and name:
            keys.forget(name)

    def _from_keyring(self, name: str) -> str:
        if name not in self._fetched:
            try:
                self._fetched[name] = keys.fetch(name)
            except keys.KeyringError as error:
                raise ConnectionStoreError(
                    f"the key of {self._folder} is in the system's keyring of whoever connected first, under "
                    f"{keys.SERVICE} {name}, and cannot be had here ({error}). Run this as the same user with the "
                    f"keyring unlocked, or set GUSTO_PIPELINE_KEY to what `keyring get {keys.SERVICE} {name}` prints "
                    "there, or delete the folder and connect again"
                ) from error
        return self._fetched[name]

    def _put(self, path: Path, content: bytes, replace: bool) -> bool:
        """Writes a file whole; gives False if another was there already that is not to be replaced."""
        descriptor, temporary = tempfile.mkstemp(prefix=".", dir=self._folder)  # made 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                Path(temporary).replace(path)
            else:
                # Whoever links first decides; two processes starting together end up with one key.
                try:
                    path.hardlink_to(temporary)
                except FileExistsError:
                    return False
        finally:
            Path(temporary).unlink(missing_ok=True)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True


def _fernet(key: str, whose: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise ConnectionStoreError(f"{whose} is not a valid key: {_KEY_HELP}") from None
