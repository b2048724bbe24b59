"""`consume`, `serve` and the quarantine from the command line."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from mediabroker import AuthenticationError, Broker, InboundMessage, MediaInfo, outages
from mediabroker.broker.events import consuming
from mediabroker.callbacks import receive
from tests.unit.cli.conftest import Cli

BODY = b'{"a":\x1b[31m\x00\xff'


@pytest.fixture
def message_id() -> str:
    with Broker() as broker:
        kept = broker.ingest(InboundMessage(BODY, "https://example.com/hook")).quarantine_id
    assert kept
    return kept


def test_consume_prints_each_event_once_as_json_lines(cli: Cli, clip: Path) -> None:
    with Broker() as broker:
        job = broker.submit(MediaInfo(input=clip))
        job.wait(60)
    lines = [json.loads(line) for line in cli("consume", "--timeout", 0.1, "--json").out.splitlines()]
    assert [each["type"] for each in lines][-1] == "job_succeeded"
    assert {each["ref"]["job_id"] for each in lines} == {job.id}
    assert cli("consume", "--timeout", 0.1, "--json").out == ""
    again = cli("consume", "--timeout", 0.1, "--consumer", "another").out
    assert f"{job.id}  media_info  succeeded" in again


class Troubled:
    """A queue whose first `failures` polls are refused, and that is empty afterwards."""

    url = "sqs://nope"

    def __init__(self, failures: float) -> None:
        self._failures = failures

    def receive(self, *, wait_s: float) -> list[InboundMessage]:
        self._failures -= 1
        if self._failures >= 0:
            raise AuthenticationError("no such queue", provider="sqs", provider_code="E1")
        time.sleep(wait_s)
        return []

    def close(self) -> None:
        pass


@pytest.fixture
def troubled(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def give(failures: float) -> None:
        monkeypatch.setattr(consuming, "open_source", lambda *_: Troubled(failures))
        monkeypatch.setattr(outages, "_CAP_S", 0.02)
        monkeypatch.setattr(receive, "_LONG_POLL_S", 0.02)

    return give


def test_consume_says_when_a_queue_could_not_be_received_from(cli: Cli, troubled: Callable[[float], None]) -> None:
    troubled(math.inf)
    refused = cli("consume", "sqs://nope", "--timeout", 0.5)
    assert refused.code == 5
    assert refused.err.splitlines()[-1] == "mediabroker: sqs://nope cannot be received from: no such queue"
    error = cli("consume", "sqs://nope", "--timeout", 0.5, "--json").data["error"]
    assert (error["type"], error["provider_code"], error["exit_code"]) == ("AuthenticationError", "E1", 5)


def test_consume_forgives_trouble_that_is_over(cli: Cli, troubled: Callable[[float], None]) -> None:
    troubled(2)
    assert cli("consume", "sqs://nope", "--timeout", 1).code == 0


def test_consume_forgives_trouble_while_the_next_long_poll_is_under_way(
    cli: Cli, troubled: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    troubled(1)
    monkeypatch.setattr(receive, "_LONG_POLL_S", 3.0)
    assert cli("consume", "sqs://nope", "--timeout", 1).code == 0


def test_wrong_settings_of_a_queue_are_configuration_and_no_argument(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "mediabroker.toml"
    config.write_text("[sources.sqs]\nregoin = 'x'\n")
    assert cli("consume", "sqs://media-events", "--config", config).code == 3


def test_quarantine_lists_and_shows_a_message_byte_for_byte_and_harmless(cli: Cli, message_id: str) -> None:
    assert message_id[:12] in cli("quarantine", "list").out
    (listed,) = cli("quarantine", "list", "--json").data
    assert (listed["id"], listed["size_bytes"]) == (message_id, len(BODY))
    shown = cli("quarantine", "show", message_id[:8]).out
    assert "\x1b" not in shown
    assert "\\x1b[31m\\x00\\xff" in shown
    assert b64decode(cli("quarantine", "show", message_id, "--json").data["body_base64"]) == BODY


def test_quarantine_replay_says_why_a_message_stays(cli: Cli, message_id: str) -> None:
    assert "it stays: the message is not UTF-8" in cli("quarantine", "replay", message_id).out
    assert cli("quarantine", "replay", message_id, "--json").data["outcome"] == "quarantined"


def test_an_unknown_message_is_exit_code_4(cli: Cli) -> None:
    outcome = cli("quarantine", "show", "nothing")
    assert outcome.code == 4
    assert "no quarantined message" in outcome.err


@pytest.mark.parametrize("arguments", [["serve"], ["consume", "--json"]])
def test_sigterm_ends_a_consumer_in_good_order(arguments: list[str], clip: Path) -> None:
    with Broker() as broker:
        job = broker.submit(MediaInfo(input=clip))
        command = [sys.executable, "-m", "mediabroker", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            if arguments[0] == "consume":
                assert process.stdout is not None
                assert json.loads(process.stdout.readline())["type"] == "job_queued"
            else:
                _wait_until_ended(broker, job.id)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")


def _wait_until_ended(broker: Broker, job_id: str) -> None:
    """Only looks at the store: it is `serve` that asks the provider."""
    while not broker.get(job_id).state.is_terminal:
        time.sleep(0.05)
