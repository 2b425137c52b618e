"""Files that change all at once or not at all, private to their owner, untouched when nothing changed."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from gusto_pipeline.spreadsheets.sheets import SpreadsheetError, Written
from gusto_pipeline.warehouse.warehouse import is_full


def replace_file(path: Path, fill: Callable[[Path], tuple[dict[str, int], tuple[str, ...]]]) -> Written:
    """Let `fill` write a draft beside `path`, then put it in the place of `path` in one step.

    `fill` returns the rows of each sheet and its warnings. A `path` that holds exactly the draft's bytes is left
    alone. Files are created with mode 0600, folders with 0700. On any failure the earlier file stays and
    the draft is removed. Raises SpreadsheetError for everything the operating system refuses.
    """
    draft = None
    try:
        if path.is_dir():
            raise SpreadsheetError(f"{path} is a folder; choose a file name that is free or remove the folder")
        create_private_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:40]}.", suffix=".tmp")
        os.close(handle)
        draft = Path(name)
        sheets, warnings = fill(draft)
        size, digest = draft.stat().st_size, sha256_of(draft)
        if path.is_file() and path.stat().st_size == size and sha256_of(path) == digest:
            return Written(path, sheets, size, digest, True, warnings, written_at(path))
        _sync(draft, os.O_RDWR)
        draft.replace(path)
        if os.name == "posix":
            _sync(path.parent, os.O_RDONLY)
        return Written(path, sheets, size, digest, False, warnings, written_at(path))
    except (OSError, duckdb.IOException) as error:
        raise not_written(path, error) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def create_private_folder(folder: Path) -> None:
    """Create a folder and those above it that are missing, for their owner alone."""
    if not folder.exists():
        create_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def written_at(path: Path) -> datetime:
    """When a file got its content."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def not_written(path: Path, error: OSError | duckdb.IOException) -> SpreadsheetError:
    """The error that says why the operating system did not let `path` be written, and what to do."""
    return SpreadsheetError(f"{path} was not written: {_reason(path, error)}")


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(path: Path, error: OSError | duckdb.IOException) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if is_full(error):
        return "the disk is full; free some space and run again"
    if isinstance(error, PermissionError) or code == errno.EROFS:
        return f"permission denied; close the program that has it open, or make {path.parent} writable"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a part of its folder's path is a file; choose another folder"
    words = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
    return f"{words}; choose another place for it or repair this one"
