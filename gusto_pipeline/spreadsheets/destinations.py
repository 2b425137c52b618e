"""Where finished files go: a local folder, or any filesystem fsspec knows (s3, gs, abfs, sftp, ftp, webdav …).

A file is complete here before any of it is sent, goes over under another name and is moved into place, so the target
is always the old file or the new one. Which content lies there is remembered beside the local copy; the same content is
not sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import fsspec

from gusto_pipeline.spreadsheets.writers import SpreadsheetError, Written


def is_remote(destination: str) -> bool:
    """Whether a destination is a URL rather than a folder of this machine."""
    return "://" in destination


def send(written: Written, destination: str, options: Mapping[str, Any]) -> bool:
    """Put a finished local file under the URL `destination`; gives whether it was sent or was there already.

    `options` are the filesystem's storage options (keys, host, user …). Raises SpreadsheetError.
    """
    name = written.path.name
    remembered = written.path.with_name(f".{name}.sent")
    mark = f"{destination} {written.sha256}"
    try:
        filesystem, folder = fsspec.url_to_fs(destination, **options)
        target, draft = f"{folder.rstrip('/')}/{name}", f"{folder.rstrip('/')}/.{name}.part"
        if remembered.exists() and remembered.read_text() == mark and filesystem.exists(target):
            return False
        filesystem.makedirs(folder, exist_ok=True)
        filesystem.put_file(str(written.path), draft)
        if filesystem.size(draft) != written.bytes:
            raise SpreadsheetError(f"{_shown(destination)}/{name}: only part of it arrived; the old file is untouched")
        filesystem.mv(draft, target)
    except SpreadsheetError:
        raise
    except Exception as error:  # each filesystem has exceptions of its own
        raise SpreadsheetError(
            f"{_shown(destination)}/{name} was not written: {type(error).__name__}: {str(error).splitlines()[0]}. "
            "Check the address and the credentials of this destination."
        ) from error
    remembered.write_text(mark)
    return True


def _shown(destination: str) -> str:
    """A destination without user and password."""
    parts = urlsplit(destination)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}".rstrip("/")
