"""Messages in: a hint at a job of ours, a job to adopt, or a case for the quarantine."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mediabroker import Broker, JobState, Transcode
from mediabroker.broker.events.ingesting import ingest
from mediabroker.errors import (
    ConfigurationError,
    InvalidJobError,
    JobNotFoundError,
    MediaBrokerError,
    MessageNotFoundError,
    StoreError,
    UnavailableError,
)
from mediabroker.messages import InboundMessage
from mediabroker.spi import Observation
from mediabroker.store.schema import inbox, members
from tests.ledger import LedgerProvider, notice
from tests.unit.broker.conftest import HandClock, MakeBroker, observe

FINAL = {"done": "SUCCEEDED", "broken": "FAILED"}


def message(body: bytes, *, count: int = 1, receipt: str = "r") -> InboundMessage:
    return InboundMessage(body, "queue", "m-1", receipt, {"SentTimestamp": "1"}, count)


def said(broker: Broker) -> list[str]:
    with broker._core.store.read() as tx:
        return list(tx.execute(select(inbox.c.outcome)).scalars())


def test_a_hint_makes_the_broker_ask_and_the_answer_counts(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    for each in ("job-0", "job-1"):
        vendor.ledger.say(each, "done")
    outcome = broker.ingest(message(notice(vendor.ledger, "job-1")))
    assert (outcome.outcome, outcome.jobs) == ("taken", (job.id,))
    assert job.done()
    assert job.state is JobState.SUCCEEDED


@pytest.mark.parametrize("word", ["done", "broken", "working"])
def test_X8_a_forged_word_changes_nothing_until_the_vendor_agrees(
    make_broker: MakeBroker, spec: Transcode, word: str
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    assert broker.ingest(message(notice(vendor.ledger, "job-1", word))).outcome == "taken"
    assert not job.done()
    assert job.state is JobState.QUEUED
    assert said(broker) == ["hint"]


@pytest.mark.parametrize(("first", "later"), [("done", "broken"), ("broken", "done")])
def test_the_first_evidenced_end_stays_when_the_vendor_contradicts_itself(
    make_broker: MakeBroker, spec: Transcode, first: str, later: str
) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    vendor.ledger.say("job-0", first)
    broker.ingest(message(notice(vendor.ledger, "job-0")))
    ended = job.refresh().state
    told = [event.type for event in job.events()]
    vendor.ledger.say("job-0", later)
    broker.ingest(message(notice(vendor.ledger, "job-0")))
    seen = Observation(native_id="job-0", state=JobState[FINAL[later]], vendor_attempt=9)
    observe(broker, job.id, {"job-0": seen})
    assert ended.is_terminal
    assert job.refresh().state is ended
    assert [event.type for event in job.events()] == told


def test_C1_a_duplicate_changes_nothing_also_days_later(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "done")
    body = notice(vendor.ledger, "job-0")
    for _ in range(3):
        assert broker.ingest(message(body)).outcome == "taken"
        clock.advance(86_400)
    assert [event.type for event in job.events()] == ["job_queued", "job_started", "job_succeeded"]
    assert said(broker).count("hint") == 1


def test_C3_a_message_that_beats_the_stored_id_finds_its_job_by_the_token(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    with broker._core.store.write() as tx:
        tx.execute(members.delete())
    assert broker.ingest(message(notice(vendor.ledger, "job-0"))).jobs == (job.id,)


def test_a_message_with_our_token_brings_the_job_to_a_store_that_never_saw_it(
    make_broker: MakeBroker, spec: Transcode, output: Path
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    elsewhere, _ = make_broker(store="other.db")
    assert elsewhere.ingest(message(notice(vendor.ledger, "job-0"))).jobs == (job.id,)
    adopted = elsewhere.get(job.id)
    assert (adopted.kind, adopted.user_data, adopted.spec) == ("transcode", {"asset": 42}, None)
    assert adopted.ref.members == job.ref.members, "all of the chain, not only the one the message names"
    for each in ("job-0", "job-1"):
        vendor.ledger.say(each, "done")
    assert elsewhere.ingest(message(notice(vendor.ledger, "job-1"))).jobs == (job.id,)
    assert str(adopted.result(5).outputs[0].uri) == f"file://{output}"
    assert [event.type for event in adopted.events()] == ["job_queued", "job_started", "job_succeeded"]


def test_a_forged_message_makes_an_adopting_store_replace_no_local_file(
    make_broker: MakeBroker, spec: Transcode, output: Path, tmp_path: Path
) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    victim = tmp_path / "victim.mp4"
    victim.write_bytes(b"the user's own")
    forged = json.loads(notice(vendor.ledger, "job-0"))
    forged["origin"] |= {"output": f"file://{output}", "deliver_to": f"file://{victim}", "overwrite": True}
    elsewhere, _ = make_broker(store="other.db", steps=("only",))
    assert elsewhere.ingest(message(json.dumps(forged).encode())).jobs == (job.id,)
    vendor.ledger.say("job-0", "done")
    result = elsewhere.get(job.id).result(5)
    assert victim.read_bytes() == b"the user's own"
    assert str(result.outputs[0].uri) == f"file://{output}", "the output stays where the vendor wrote it"


def test_a_chain_that_is_not_complete_yet_is_not_adopted(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(fault="merge:refuse")
    broker.submit(spec)
    elsewhere, _ = make_broker(store="other.db")
    assert elsewhere.ingest(message(notice(vendor.ledger, "job-0"))).outcome == "postponed"
    assert list(elsewhere.list()) == []


def test_a_token_that_does_not_fit_its_job_is_foreign(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    broker.submit(spec)
    forged: dict[str, Any] = json.loads(notice(vendor.ledger, "job-0"))
    forged["origin"]["job_id"] = "somebodyelses"
    elsewhere, _ = make_broker(store="other.db")
    assert elsewhere.ingest(message(json.dumps(forged).encode(), count=5)).outcome == "quarantined"
    assert list(elsewhere.list()) == []


GARBAGE = [
    (b"\x00\xff\xfe not even text", "not UTF-8"),
    (b'{"from": "a stranger"}', "no configured provider knows this raw message"),
    (b'{"from": "ledger", "id": "job-99", "word": "done"}', "no token of ours"),
    (b'{"from": "ledger", "id": 3}', "ledger could not parse it: ValidationError"),
]


@pytest.mark.parametrize(("body", "reason"), GARBAGE)
def test_C8_what_nobody_can_use_goes_back_and_is_quarantined_byte_for_byte_at_the_fifth_time(
    make_broker: MakeBroker, body: bytes, reason: str
) -> None:
    broker, _ = make_broker()
    for count in range(1, 5):
        assert broker.ingest(message(body, count=count)).outcome == "postponed"
        assert broker.quarantined() == []
    assert broker.ingest(message(body, count=5)).settled
    (kept,) = broker.quarantined()
    assert (kept.body, kept.source, kept.message_id, kept.received) == (body, "queue", "m-1", 5)
    assert kept.attributes == {"SentTimestamp": "1"}
    assert reason in kept.reason


def test_what_no_queue_would_bring_again_is_quarantined_at_once_and_counted(make_broker: MakeBroker) -> None:
    broker, _ = make_broker()
    for _ in range(3):
        assert broker.ingest(InboundMessage(b"garbage", "https://example.com/hook")).outcome == "quarantined"
    (kept,) = broker.quarantined()
    assert kept.received == 3


def test_replay_takes_a_message_out_of_the_quarantine_once_it_can_be_used(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker()
    other, _ = make_broker(store="other.db", fault="")
    job = other.submit(spec)
    forgetful = broker._core.fleet["ledger"]
    assert isinstance(forgetful, LedgerProvider)
    body = notice(vendor.ledger, "job-0")
    forgetful.parse = lambda message: None  # type: ignore[method-assign]  # a release that does not know the form yet
    outcome = broker.ingest(InboundMessage(body))
    assert outcome.quarantine_id
    assert broker.replay(outcome.quarantine_id).outcome == "quarantined"
    assert broker.quarantined()[0].received == 1, "a replay is no delivery"
    del forgetful.parse
    assert broker.replay(outcome.quarantine_id).jobs == (job.id,)
    assert broker.quarantined() == []
    with pytest.raises(MessageNotFoundError):
        broker.replay(outcome.quarantine_id)


def test_prune_forgets_messages_quarantined_long_ago_and_counts_them(make_broker: MakeBroker, clock: HandClock) -> None:
    broker, _ = make_broker()
    broker.ingest(InboundMessage(b"old garbage"))
    clock.advance(10 * 86_400)
    broker.ingest(InboundMessage(b"new garbage"))
    assert broker.prune(timedelta(days=9)).messages == 1
    assert [each.body for each in broker.quarantined()] == [b"new garbage"]


def test_a_vendor_that_cannot_be_asked_postpones_an_adoption_and_blames_no_message(
    make_broker: MakeBroker, spec: Transcode, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, vendor = make_broker()
    broker.submit(spec)
    elsewhere, there = make_broker(store="other.db")

    def down(*_: Any) -> Any:
        raise UnavailableError("out of order", retryable=False)

    monkeypatch.setattr(there, "recover", down)
    body = notice(vendor.ledger, "job-0")
    assert elsewhere.ingest(message(body, count=50)).outcome == "postponed"
    assert elsewhere.quarantined() == []


@pytest.mark.parametrize(
    ("error", "after_five"),
    [
        (UnavailableError("out of order", retryable=False), "postponed"),
        (ConfigurationError("no profile 'media'"), "postponed"),
        (InvalidJobError("a key with a tab"), "quarantined"),
        (JobNotFoundError("never heard of it"), "quarantined"),
        (KeyError("jobQueue"), "quarantined"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_message_whose_job_cannot_be_found_stops_no_other(
    make_broker: MakeBroker, spec: Transcode, monkeypatch: pytest.MonkeyPatch, error: Exception, after_five: str
) -> None:
    broker, vendor = make_broker()
    bad, good = broker.submit(spec), broker.submit(spec)
    elsewhere, there = make_broker(store="other.db")
    recover = there.recover

    def fail(seen: Observation) -> Any:
        if seen.origin is not None and seen.origin.job_id == bad.id:
            raise error
        return recover(seen)

    monkeypatch.setattr(there, "recover", fail)
    bodies = [notice(vendor.ledger, each) for each in ("job-0", "job-2")]
    taken = ingest(elsewhere._core, [message(each) for each in bodies])
    assert [each.outcome for each in taken] == ["postponed", "taken"]
    assert [each.id for each in elsewhere.list()] == [good.id]
    (again,) = ingest(elsewhere._core, [message(bodies[0], count=5)])
    assert again.outcome == after_five
    assert again.reason
    assert (str(error) if isinstance(error, MediaBrokerError) else "KeyError") in again.reason
    (hooked,) = ingest(elsewhere._core, [message(bodies[0], receipt="")])
    assert (hooked.outcome, hooked.reason) == ("quarantined", again.reason), "no queue would bring it again"


def test_a_defect_met_while_a_messages_job_is_looked_for_is_logged_with_its_traceback(
    make_broker: MakeBroker, spec: Transcode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker, vendor = make_broker()
    broker.submit(spec)
    elsewhere, there = make_broker(store="other.db")
    monkeypatch.setattr(there, "recover", lambda *_: {}["jobQueue"])
    elsewhere.ingest(message(notice(vendor.ledger, "job-0")))
    assert "Traceback" in caplog.text
    assert "KeyError: 'jobQueue'" in caplog.text


def test_a_store_that_cannot_be_written_takes_nothing_in(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(settings={"busy_timeout_s": 0.05})
    broker.submit(spec)
    other, _ = make_broker()
    with other._core.store.write(), pytest.raises(StoreError):
        broker.ingest(message(notice(vendor.ledger, "job-0")))
    assert said(broker) == []
