"""What can go wrong between us and an app, as exceptions that each have one next step.

Messages name the app, what happened and what to do. They carry paths without their query, account ids and addresses,
never a token and never a request's body.
"""

from __future__ import annotations


class AppError(Exception):
    """The app did not do what was asked. status: its HTTP status, None when there was no answer."""

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


class MissingScopeError(AppError):
    """The connection is valid but may not do this; the message names the scope or role to grant."""


class PlanTooLowError(AppError):
    """The app's price plan does not include this call."""


class NoSeatError(AppError):
    """No licence or seat is free."""


class DomainNotVerifiedError(AppError):
    """The address' domain does not belong to the organisation."""


class OwnsContentError(AppError):
    """The app refuses to remove someone who still owns content: it must be handed over first."""


class LastOwnerError(AppError):
    """The app refuses to lose its last owner, administrator or primary contact."""


class AlreadyExistsError(AppError):
    """The app has an account for this address already."""


class NotFoundError(AppError):
    """No such account, or no permission to see it: the two look alike, so this alone never proves absence."""


class InvalidError(AppError):
    """The app refuses the values that were sent."""


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
