"""Tokens at rest: encrypted, private, whole after a crash, one key, one holder at a time."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from gusto_pipeline.connections.store import ConnectionStore, ConnectionStoreError

NAME = "gusto/acme-tea-co"
SECRET = {"access_token": "plain-words-of-the-token"}


@pytest.fixture
def store(tmp_path: Path) -> ConnectionStore:
    return ConnectionStore(tmp_path / "connections")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_written_connection_is_read_back_by_another_process_with_the_same_folder(store, tmp_path):
    store.write(NAME, SECRET)
    assert ConnectionStore(tmp_path / "connections").read(NAME) == SECRET


def test_an_unknown_connection_is_none_and_leaves_nothing_behind(store, tmp_path):
    assert store.read(NAME) is None
    assert store.names() == []
    assert not (tmp_path / "connections").exists()


def test_nothing_readable_is_on_disk_and_nobody_else_may_look(store, tmp_path):
    store.write(NAME, SECRET)
    folder = tmp_path / "connections"
    assert mode(folder) == 0o700
    files = list(folder.iterdir())
    assert {mode(file) for file in files} == {0o600}
    assert not any(b"plain-words" in file.read_bytes() for file in files)


def test_a_folder_that_was_open_to_others_is_closed(store, tmp_path):
    (tmp_path / "connections").mkdir(mode=0o755)
    store.write(NAME, SECRET)
    assert mode(tmp_path / "connections") == 0o700


def test_a_given_key_is_used_and_none_is_written(tmp_path):
    key = Fernet.generate_key().decode()
    ConnectionStore(tmp_path, key).write(NAME, SECRET)
    assert ConnectionStore(tmp_path, key).read(NAME) == SECRET
    assert not (tmp_path / "key").exists()


def test_another_key_is_refused_in_words(tmp_path):
    ConnectionStore(tmp_path, Fernet.generate_key().decode()).write(NAME, SECRET)
    with pytest.raises(ConnectionStoreError, match=r"gusto/acme-tea-co .* cannot be decrypted"):
        ConnectionStore(tmp_path, Fernet.generate_key().decode()).read(NAME)


def test_a_key_that_is_none_is_refused_with_how_to_make_one_and_without_the_key(tmp_path):
    with pytest.raises(ConnectionStoreError, match="generate_key") as caught:
        ConnectionStore(tmp_path, "correct horse")
    assert "correct horse" not in str(caught.value)


def test_a_lost_key_file_is_named_and_not_replaced(store, tmp_path):
    store.write(NAME, SECRET)
    (tmp_path / "connections" / "key").unlink()
    with pytest.raises(ConnectionStoreError, match="key is missing"):
        store.read(NAME)
    assert not (tmp_path / "connections" / "key").exists()


def test_a_damaged_file_is_named(store, tmp_path):
    store.write(NAME, SECRET)
    [file] = (tmp_path / "connections").glob("*.connection")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ConnectionStoreError, match=str(file)):
        store.read(NAME)


def test_a_crash_while_writing_leaves_the_old_value_and_no_litter(store, tmp_path, monkeypatch):
    store.write(NAME, SECRET)
    before = sorted((tmp_path / "connections").iterdir())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write(NAME, {"access_token": "new"})
    assert store.read(NAME) == SECRET
    assert sorted((tmp_path / "connections").iterdir()) == before


class Memory(KeyringBackend):
    """A keyring that forgets with its process; `locked` refuses."""

    priority = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("nobody unlocked it")
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise KeyringLocked("nobody unlocked it")
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.held[service, username]


@pytest.fixture
def memory() -> Iterator[Memory]:
    """The system's keyring, empty and open."""
    before = keyring.get_keyring()
    keyring.set_keyring(memory := Memory())
    yield memory
    keyring.set_keyring(before)


def test_with_a_keyring_the_key_is_there_and_not_on_disk(memory, store, tmp_path):
    store.write(NAME, SECRET)
    [((service, name), key)] = memory.held.items()
    assert Fernet(key)
    assert (tmp_path / "connections" / "key").read_text() == f"keyring:{name}"
    assert service == "gusto_pipeline"
    assert ConnectionStore(tmp_path / "connections").read(NAME) == SECRET


def test_a_folder_that_moves_keeps_its_key(memory, store, tmp_path):
    store.write(NAME, SECRET)
    (tmp_path / "connections").rename(tmp_path / "moved")
    assert ConnectionStore(tmp_path / "moved").read(NAME) == SECRET


def test_two_folders_have_two_keys(memory, tmp_path):
    for folder in ("a", "b"):
        ConnectionStore(tmp_path / folder).write(NAME, SECRET)
    assert len(set(memory.held.values())) == 2


def test_a_store_that_began_with_a_key_file_goes_on_with_it(store, tmp_path, request):
    store.write(NAME, SECRET)
    memory = request.getfixturevalue("memory")
    store.write("slack", SECRET)
    assert not memory.held
    assert ConnectionStore(tmp_path / "connections").read(NAME) == SECRET


def test_a_given_key_is_used_before_the_keyrings(memory, tmp_path):
    key = Fernet.generate_key().decode()
    ConnectionStore(tmp_path, key).write(NAME, SECRET)
    assert not memory.held


def test_a_keyring_that_is_locked_from_the_start_is_not_used(memory, store, tmp_path):
    memory.locked = True
    store.write(NAME, SECRET)
    assert ConnectionStore(tmp_path / "connections").read(NAME) == SECRET
    assert Fernet((tmp_path / "connections" / "key").read_text())


def test_a_keyring_that_is_locked_later_is_named_with_what_to_do(memory, store, tmp_path):
    store.write(NAME, SECRET)
    memory.locked = True
    with pytest.raises(ConnectionStoreError, match=r"nobody unlocked it.*GUSTO_PIPELINE_KEY"):
        ConnectionStore(tmp_path / "connections").read(NAME)
    [key] = memory.held.values()
    assert ConnectionStore(tmp_path / "connections", key).read(NAME) == SECRET


def test_a_keyring_that_lost_the_key_is_told_and_the_store_left_as_it_is(memory, store, tmp_path):
    store.write(NAME, SECRET)
    before = {file: file.read_bytes() for file in (tmp_path / "connections").iterdir()}
    memory.held.clear()
    fresh = ConnectionStore(tmp_path / "connections")
    for use in (lambda: fresh.read(NAME), lambda: fresh.write(NAME, SECRET)):
        with pytest.raises(ConnectionStoreError, match="it is not there"):
            use()
    assert {file: file.read_bytes() for file in (tmp_path / "connections").iterdir()} == before


def test_two_starting_at_once_with_a_keyring_leave_one_key_in_it(memory, tmp_path):
    at_once(tmp_path)
    assert len(memory.held) == 1


def test_a_deleted_connection_is_gone_and_deleting_again_is_fine(store):
    store.write(NAME, SECRET)
    store.delete(NAME)
    store.delete(NAME)
    assert store.read(NAME) is None


def test_names_are_listed_sorted_and_by_prefix(store):
    for name in ("slack", "gusto/zed", "gusto/acme-tea-co"):
        store.write(name, SECRET)
    assert store.names() == ["gusto/acme-tea-co", "gusto/zed", "slack"]
    assert store.names("gusto/") == ["gusto/acme-tea-co", "gusto/zed"]


@pytest.mark.parametrize("name", ["", "/", "a/", "/a", "a/b/c", "x" * 300])
def test_what_is_no_name_is_refused(store, name):
    with pytest.raises(ValueError, match="no connection name"):
        store.read(name)


@given(st.lists(st.text(min_size=1, max_size=7).filter(lambda part: "/" not in part), min_size=1, max_size=2))
def test_any_name_stays_in_the_folder_and_comes_back_as_it_was(tmp_path_factory, parts):
    name = "/".join(parts)
    folder = tmp_path_factory.getbasetemp() / "any-name"
    store = ConnectionStore(folder, "0" * 43 + "=")
    try:
        store.write(name, SECRET)
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    [file] = folder.glob("*.connection")
    assert file.parent == folder
    assert store.names() == [name]
    store.delete(name)


def test_two_starting_at_once_end_up_with_one_key(tmp_path):
    at_once(tmp_path)
    assert [ConnectionStore(tmp_path).read(f"gusto/{number}") for number in range(8)] == [
        {"number": number} for number in range(8)
    ]


def at_once(tmp_path: Path) -> None:
    """Eight stores in one folder write at the same moment."""
    stores = [ConnectionStore(tmp_path) for _ in range(8)]
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        stores[number].write(f"gusto/{number}", {"number": number})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_lock_is_reentrant_within_a_thread_and_exclusive_between_threads(store):
    entered = threading.Event()

    def other() -> None:
        with store.lock(NAME):
            entered.set()

    with store.lock(NAME), store.lock(NAME):
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.05)
    thread.join(5)
    assert entered.is_set()


def test_the_lock_is_exclusive_between_processes_and_ends_with_its_process(store, tmp_path):
    program = (
        "import sys; from pathlib import Path; from gusto_pipeline.connections.store import ConnectionStore\n"
        f"with ConnectionStore(Path({str(tmp_path / 'connections')!r})).lock({NAME!r}):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    entered = threading.Event()

    def other() -> None:
        with store.lock(NAME):
            entered.set()

    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.1)
        process.kill()
    thread.join(5)
    assert entered.is_set()
