"""Faults that are Google's own; those any site has are in `sandbox.faults`.

drop-before, drop-after: the connection ends before, or after, the request took effect. partial: of the rows of a
values update half are kept, and the answer is 200 all the same. rate-limit: 429, `value` is its Retry-After in
seconds or nothing. server-error: `value` is the status. no-permission, api-disabled, rate-403: answers 403.
"""

from dataclasses import dataclass

from gusto_pipeline.sandbox.faults import Fault

REFUSALS = ("rate-limit", "server-error", "no-permission", "api-disabled", "rate-403")
KINDS = ("drop-before", "drop-after", "partial", *REFUSALS)


@dataclass
class GoogleFault(Fault):
    """A fault that lets the first `passing` requests through."""

    path: str | None = "/v4/"
    passing: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind!r}; there are {', '.join(KINDS)}")

    def strikes(self, path: str, is_api: bool) -> bool:
        if self.passing and self.path is not None and self.path in path:
            self.passing -= 1
            return False
        return super().strikes(path, is_api)
