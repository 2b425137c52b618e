"""What can go wrong between us and an app, as exceptions that each have one next step.

Messages name the app, what happened and what to do. They carry paths without their query, account ids and addresses,
never a token and never a request's body.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar


class AppError(Exception):
    """The app did not do what was asked. status: its HTTP status, None when there was no answer.

    what: the kind in words, for a sentence that begins with the app's name. step: what to do next, unless the connector
    knows better. reconnects: then to connect again.
    """

    what: ClassVar[str] = ""
    step: ClassVar[str] = ""
    reconnects: ClassVar[bool] = False

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class UnreachableError(AppError):
    """No whole answer came. `sent` is False when the request provably never left."""

    sent = True


class OutcomeUnknownError(AppError):
    """A change was sent and no answer came: it may have been carried out. Read before trying again."""


class SignInError(AppError):
    """The app does not accept the connection's credentials: a person must connect again."""

    step = "Look them up again"
    reconnects = True


class MissingScopeError(AppError):
    """The connection is valid but may not do this; the message names the scope or role to grant."""

    step = "Connect as an administrator"
    reconnects = True


class PlanTooLowError(AppError):
    """The app's price plan does not include this call."""

    step = "Raise the plan, or do it by hand"


class NoSeatError(AppError):
    """No licence or seat is free."""

    what = " has no free seat"
    step = "Buy one, or remove somebody"


class DomainNotVerifiedError(AppError):
    """The address' domain does not belong to the organisation."""


class OwnsContentError(AppError):
    """The app refuses to remove someone who still owns content: it must be handed over first."""

    step = "Hand it over first"


class LastOwnerError(AppError):
    """The app refuses to lose its last owner, administrator or primary contact."""

    step = "Make somebody else an administrator first"


class AlreadyExistsError(AppError):
    """The app has an account for this address already."""

    step = "Nothing is left to do, if it is theirs: look there"


class NotFoundError(AppError):
    """No such account, or no permission to see it: the two look alike, so this alone never proves absence."""

    step = "Read its accounts again"


class InvalidError(AppError):
    """The app refuses the values that were sent."""

    step = "Correct it, or do it by hand"


class RateLimitedError(AppError):
    """Too many requests, also after waiting as asked."""


class ServerError(AppError):
    """The app failed (5xx)."""


class MalformedAnswerError(AppError):
    """The answer is not what the app promises."""


class UnsupportedError(AppError):
    """The app has no such action."""


class IncompleteReadError(AppError):
    """The list of accounts could not be read whole; the message says how far it got. Nothing may follow from it."""


# Statuses that are about what was asked. The others' meaning no words change: who asks (401), nothing there (404).
REFUSED = frozenset(range(400, 500)) - {401, 404, 429}


@dataclass(frozen=True)
class Refusal:
    """What an app says, and the error that it means. Of its refusals, then of COMMON, the first that fits counts.

    words: a regular expression in what it says, in any case; empty: whatever it says. step: what to do next, in place
    of what the error says itself. status: with which it comes, where that matters; else `App.refuses_with`. call: a
    regular expression in method and path of the request. seconds: how long to wait where a RateLimitedError does not
    say.
    """

    error: type[AppError]
    words: str = ""
    step: str = ""
    status: Collection[int] | None = None
    call: str = ""
    seconds: float | None = None


# What is refused alike everywhere, mostly in words that no app documents.
COMMON = (
    Refusal(LastOwnerError, r"\blast\b.*(owner|admin)|(owner|admin).*\blast\b"),
    Refusal(NoSeatError, r"(\b|_)seats?(\b|_)|\b(no|enough|available|maximum|exceeded|in use)\b.*licen[cs]e"),
    Refusal(NoSeatError, r"licen[cs]es?\b.*\b(limit|exceeded|in use)\b"),
    Refusal(AlreadyExistsError, "already"),
    Refusal(PlanTooLowError, status=[402]),
    Refusal(MissingScopeError, status=[403]),
    Refusal(AlreadyExistsError, status=[409]),
    Refusal(InvalidError),
)
