"""How many requests a grant may still send: 200 in a rolling 60 seconds, counted across processes.

A rolling log of its own in SQLite, in place of pyrate-limiter's: that one sleeps by itself (no clock or sleep can
be handed in), starts a thread that outlives its use, and has no place for what the server says in its headers, which
must reach every process that uses the grant. Four processes of four threads: 0.2 ms a request here, 1 to 1.7 ms there.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

from gusto_pipeline.clock import Clock

# One second more than Gusto's 60: a request counts there when it arrives, here when it leaves.
WINDOW = 61.0


class RateWindow:
    """Lets `per_minute - reserve` requests of `grant` through per window; `take()` waits for a free place.

    With a `folder`, all processes that use the same folder share the window; without one, it is this object's.
    Every request counts, whoever sends it; `reserve` are the places this user leaves to others.
    """

    def __init__(
        self,
        grant: str,
        *,
        per_minute: int,
        reserve: int,
        folder: Path | None,
        clock: Clock,
        sleep: Callable[[float], None],
    ) -> None:
        if not 0 <= reserve < per_minute:
            raise ValueError(f"reserve must be between 0 and the {per_minute} requests per minute, not {reserve}")
        self._allowed = per_minute - reserve
        self._reserve = reserve
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        file: Path | None = None
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = folder / f"{quote(grant, safe='')}.rate.sqlite"
        self._db = sqlite3.connect(file or ":memory:", timeout=30, isolation_level=None, check_same_thread=False)
        # Of several who make a file a write-ahead log at the same moment, SQLite tells some that it is locked.
        with FileLock(f"{file}.lock", poll_interval=0.005) if file else nullcontext():
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")  # losing the last minute to a power cut costs nothing
            self._db.execute("CREATE TABLE IF NOT EXISTS sent (at REAL NOT NULL)")
            self._db.execute("CREATE INDEX IF NOT EXISTS sent_at ON sent (at)")
            self._db.execute("CREATE TABLE IF NOT EXISTS closed (remaining INTEGER PRIMARY KEY, until REAL NOT NULL)")

    def take(self) -> None:
        """Takes a place in the window, waiting for one if need be."""
        now = self._clock().timestamp()
        while wait := self._try(now):
            self._sleep(wait)
            now = max(now + wait, self._clock().timestamp())

    def close_for(self, seconds: float, *, remaining: int = 0) -> None:
        """The server's word: `remaining` requests are left for the next `seconds`."""
        if remaining > self._reserve or seconds <= 0:
            return
        until = self._clock().timestamp() + min(seconds, WINDOW)
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO closed VALUES (?, ?)", (remaining, until))

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _try(self, now: float) -> float:
        """0 when a place was taken, else the seconds until one may be free."""
        with self._lock, self._db:  # commits at the end, and rolls back what is under way on an error
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM sent WHERE at <= ? OR at > ?", (now - WINDOW, now + WINDOW))
            closed = "SELECT max(until) FROM closed WHERE remaining <= ? AND until > ?"
            until = self._db.execute(closed, (self._reserve, now)).fetchone()[0]
            if until is not None and until <= now + WINDOW:
                return float(until - now)
            blocking = "SELECT at FROM sent ORDER BY at DESC LIMIT 1 OFFSET ?"
            oldest = self._db.execute(blocking, (self._allowed - 1,)).fetchone()
            if oldest is not None:
                return float(max(oldest[0] + WINDOW - now, 0.001))
            self._db.execute("INSERT INTO sent VALUES (?)", (now,))
            return 0.0
