"""The protocol's own client asks for answers, over both transports."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from gusto_pipeline.answers.callers import Caller, issue_token
from gusto_pipeline.clock import utcnow
from gusto_pipeline.mcp_server import http_server
from gusto_pipeline_tests.conftest import connected
from gusto_pipeline_tests.e2e.assistants import served


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    with connected(tmp_path_factory.mktemp("mcp")) as pipeline:
        pipeline.sync("employees")
        yield pipeline


@pytest.fixture(scope="module")
def callers(pipeline):
    rows = pipeline.query(
        "SELECT company_uuid, uuid FROM staging.employees WHERE onboarded AND NOT terminated ORDER BY uuid LIMIT 2"
    )
    return [Caller(*row) for row in rows]


@pytest.fixture(scope="module")
def url(pipeline):
    with served(lambda port: http_server(pipeline.settings, port)) as url:
        yield url


async def profile(transport):
    async with Client(transport) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        told = await client.call_tool("my_profile", {})
        return tools, str(told.content)


def over_http(url, secret):
    async def run():
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {secret}"}) as http:
            return await profile(streamable_http_client(url, http_client=http))

    return anyio.run(run)


def test_over_http_each_token_is_told_of_its_owner(pipeline, callers, url):
    for caller in callers:
        secret, _ = issue_token(pipeline.settings, caller, days=1)
        tools, told = over_http(url, secret)
        name = pipeline.query("SELECT last_name FROM staging.employees WHERE uuid = $1", caller.employee)[0][0]
        assert {"my_time_off", "who_is_out", "next_pay_day", "ask"} <= tools
        assert name in told


def test_over_http_wrong_and_expired_tokens_are_turned_away(pipeline, callers, url):
    expired, _ = issue_token(pipeline.settings, callers[0], days=1, clock=lambda: utcnow() - timedelta(days=2))
    for secret in ("gpa_wrong", expired):
        answer = httpx2.post(url, json={}, headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 401
    assert httpx2.post(url, json={}).status_code == 401


def test_over_stdio_the_caller_is_who_was_named(pipeline, callers):
    server = StdioServerParameters(
        command=sys.executable,
        args=["-c", "from gusto_pipeline.cli import main; main()", "mcp", "--as", callers[0].employee],
        env=dict(os.environ),
    )
    tools, told = anyio.run(lambda: profile(stdio_client(server)))
    assert "my_profile" in tools
    assert '"answered"' in told
