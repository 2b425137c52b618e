"""The current time, as an argument: functions that need it take a `Clock`, tests pass their own.

And whether the clock of this machine can be believed: servers that answer say what time it is with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

Clock = Callable[[], datetime]

AHEAD = timedelta(minutes=10)
"""So much later than a server's may this machine's clock be. A slow network and a clock that is rarely set come to a
minute or two; a wrong time zone or date to half an hour and more."""


def utcnow() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)


def http_date(value: str) -> datetime | None:
    """The instant of an HTTP date (RFC 9110 section 5.6.7); None for anything else."""
    try:
        at = parsedate_to_datetime(value)
        return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class ServerTime:
    """What servers say about this machine's clock. An instance is a response hook for httpx.

    ahead: that the clock is, in a sentence for people; empty while the last answer does not speak against it.
    machine: the clock itself, also where another one stands in for it to tell of another day.
    """

    def __init__(self, machine: Clock = utcnow) -> None:
        self._machine = machine
        self.ahead = ""

    def __call__(self, response: httpx.Response) -> None:
        """Compare with `Date` and `Age`, how long a cache kept the answer (RFC 9110 section 6.6.1, RFC 9111 section
        5.1). An answer without a date changes nothing.
        """
        said, age = http_date(response.headers.get("date", "")), response.headers.get("age", "")
        if said is None:
            return
        now, self.ahead = self._machine(), ""
        if now - said - timedelta(seconds=int(age) if re.fullmatch("[0-9]{1,9}", age) else 0) > AHEAD:
            self.ahead = (
                f"this machine's clock says {now:%Y-%m-%d %H:%M %Z}, and {response.url.host} says "
                f"{said:%Y-%m-%d %H:%M %Z}: the clock is ahead, so what is due cannot be told, and accounts are left "
                "alone. Set it right"
            )
