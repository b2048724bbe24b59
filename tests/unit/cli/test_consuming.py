"""`consume`, `serve` and the quarantine from the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from base64 import b64decode
from pathlib import Path

import pytest

from mediabroker import Broker, InboundMessage, MediaInfo
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


def test_consume_names_a_wrong_url_with_the_form_that_would_do(cli: Cli) -> None:
    outcome = cli("consume", "media-events")
    assert outcome.code == 3
    assert "sqs://queue-name" in outcome.err


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
