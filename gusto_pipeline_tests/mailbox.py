"""A real mail server on this machine that keeps what it is sent, and the run sensors evaluated as the daemon does."""

from __future__ import annotations

import email
import email.policy
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import dagster as dg
from aiosmtpd.controller import Controller

from gusto_pipeline.automation.sensors import failed_runs, good_runs
from gusto_pipeline.definitions import defs

RUN_SENSORS = (failed_runs, good_runs)


@dataclass
class Mailbox:
    """Every mail received since it was last opened."""

    url: str
    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def open(self) -> list[EmailMessage]:
        """The mails, which are then gone."""
        mails, self.mails = self.mails, []
        return mails


def text(mail: EmailMessage) -> str:
    """What a person reads: subject and body."""
    return f"{mail['subject']}\n\n{mail.get_content()}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Plain SMTP on loopback."""
    port = free_port()
    mailbox = Mailbox(f"mailto://127.0.0.1:{port}?from=pipeline@example.com&to=it@example.com")
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


class RunSensors:
    """The run sensors, each with its cursor, as the daemon evaluates them. The first tick only notes where they are."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self.cursors: dict[str, str | None] = {sensor.name: None for sensor in RUN_SENSORS}
        self.tick()

    def tick(self) -> None:
        for sensor in RUN_SENSORS:
            for _ in range(20):  # a run each
                before = self.cursors[sensor.name]
                with dg.build_sensor_context(
                    instance=self._instance,
                    cursor=before,
                    repository_def=defs.get_repository_def(),
                    sensor_name=sensor.name,
                    resources=defs.resources,
                ) as context:
                    ticked = sensor.evaluate_tick(context)
                assert not [run for run in ticked.dagster_run_reactions or () if run.error]
                self.cursors[sensor.name] = ticked.cursor
                if ticked.cursor == before:
                    break
