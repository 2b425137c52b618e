"""The sandbox's SCIM services against the standard, as scim2-tester checks it; the vendors' ways apart are listed."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from scim2_client import BaseSyncSCIMClient
from scim2_tester import Status, check_server

from gusto_pipeline.sandbox.apps import running_apps

# What a vendor does against the standard or against what the tester expects, by check: what it then says, and why.
DEVIATIONS: dict[str, list[tuple[str, str, str]]] = {
    "slack": [
        ("object_deletion", r"User\S* object with id \w+ still exists", "deleting only deactivates a member"),
        ("check_remove_attribute", r"did not remove attribute 'active'", "a member is active or not, never neither"),
        ("check_replace_attribute", r"unexpected value for 'userName'", "user names are cut and cleaned"),
        ("check_(add|replace)_attribute", r"unexpected value for 'members'", "a member is shown under the own name"),
    ]
}


class Client(BaseSyncSCIMClient):
    """scim2-client over httpx."""

    def __init__(self, http: httpx.Client) -> None:
        super().__init__()
        self.http = http

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        return self.http.request(method, url, **options)

    def _parse_json(self, response: Any) -> Any:
        return response.json()

    def _stays_under_base_url(self, endpoint: str) -> bool:
        return str(self.http.build_request("GET", endpoint).url).startswith(str(self.http.base_url))


@pytest.mark.parametrize("slug", DEVIATIONS)
def test_a_simulated_service_speaks_scim_as_the_standard_has_it(slug):
    with running_apps(slug) as apps:
        headers = {"Authorization": f"Bearer {apps[slug].simulator.record['token']}"}
        with httpx.Client(base_url=f"{apps[slug].base_url}/scim/v2", headers=headers) as http:
            results = check_server(Client(http))
    failed = [result for result in results if result.status in (Status.ERROR, Status.CRITICAL, Status.DEVIATION)]
    known = DEVIATIONS[slug]
    unexplained = [
        f"{result.title} of {result.resource_type}: {result.reason}"
        for result in failed
        if not any(
            re.fullmatch(check, result.title or "") and re.search(says, result.reason or "") for check, says, _ in known
        )
    ]
    assert not unexplained, "\n".join(unexplained)
    assert sum(result.status is Status.SUCCESS for result in results) > 50
    for check, says, why in known:
        assert any(re.fullmatch(check, r.title or "") and re.search(says, r.reason or "") for r in failed), (
            f"no longer so: {why}"
        )
