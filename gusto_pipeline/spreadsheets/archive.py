"""A ZIP archive written front to back, its parts deflated on several cores.

A deflate stream may be flushed to a byte boundary and go on without reference to what came before (RFC 1951;
zlib's Z_FULL_FLUSH). So chunks are deflated independently, in threads, and concatenated. Times are fixed: equal
content gives equal bytes.
"""

import os
import struct
import zlib
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

LEVEL = 1  # a third of the time of zlib's usual level for a file one tenth larger
THREADS = min(4, os.cpu_count() or 1)
LIMIT = 0xFFFFFFFF  # from this size on, ZIP64 (PKWARE APPNOTE 4.5.3); below it Excel is happier without
FIRST_DAY = 1 << 5 | 1  # 1980-01-01, the earliest date a ZIP can say
LAST_BLOCK = b"\x03\x00"  # an empty deflate block that ends the stream


class Archive:
    """Adds parts one after the other to a seekable `file`; leaving the context writes the directory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._directory: list[bytes] = []
        self._pool = ThreadPoolExecutor(THREADS)

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        if failed is None:
            self._write_directory()

    def add(self, name: str, chunks: Iterable[bytes]) -> None:
        """Add the part `name` with the content `chunks`, best some MB each; holds a few of them at a time."""
        start = self._file.tell()
        crc = size = packed = 0
        self._file.write(_local_header(name, crc, packed, size))
        pending: deque[Future[bytes]] = deque()
        for chunk in chunks:
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
            pending.append(self._pool.submit(_deflated, chunk))
            if len(pending) > THREADS:
                packed += self._file.write(pending.popleft().result())
        for future in pending:
            packed += self._file.write(future.result())
        packed += self._file.write(LAST_BLOCK)
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(_local_header(name, crc, packed, size))
        self._file.seek(end)
        self._directory.append(_directory_entry(name, crc, packed, size, start))

    def _write_directory(self) -> None:
        start, entries, length = self._file.tell(), len(self._directory), sum(map(len, self._directory))
        self._file.write(b"".join(self._directory))
        if start + length >= LIMIT:
            end = start + length
            self._file.write(struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, length, start))
            self._file.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
            start = length = 0xFFFFFFFF
        self._file.write(struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, entries, entries, length, start, 0))


def _deflated(chunk: bytes) -> bytes:
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(chunk) + stream.flush(zlib.Z_FULL_FLUSH)


def _local_header(name: str, crc: int, packed: int, size: int) -> bytes:
    # Room for ZIP64 sizes is kept as a "growth hint", the padding that Office's own packages use (ECMA-376-2).
    extra = struct.pack("<HHHH12x", 0xA220, 16, 0xA028, 0)
    if large := max(packed, size) >= LIMIT:
        extra = struct.pack("<HHQQ", 1, 16, size, packed)
        packed = size = 0xFFFFFFFF
    return _fields(b"PK\3\4", b"", large, crc, packed, size, name, extra) + name.encode() + extra


def _directory_entry(name: str, crc: int, packed: int, size: int, start: int) -> bytes:
    extra = b""
    if large := max(packed, size, start) >= LIMIT:
        extra = struct.pack("<HHQQQ", 1, 24, size, packed, start)
        packed = size = start = 0xFFFFFFFF
    made_by = struct.pack("<H", 45)
    fields = _fields(b"PK\1\2", made_by, large, crc, packed, size, name, extra)
    return fields + struct.pack("<HHHLL", 0, 0, 0, 0, start) + name.encode() + extra


def _fields(
    signature: bytes, made_by: bytes, large: bool, crc: int, packed: int, size: int, name: str, extra: bytes
) -> bytes:
    """The fields that a part's local header and its directory entry share."""
    version, method, time = 45 if large else 20, zlib.DEFLATED, 0
    sizes = struct.pack("<HHHHHLLL", version, 0, method, time, FIRST_DAY, crc, packed, size)
    return signature + made_by + sizes + struct.pack("<HH", len(name), len(extra))
