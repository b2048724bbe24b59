"""The vendor's own words: kept whole where they belong, and files that it does not name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, JobFailed, JobState, JobSucceeded, SmartProduction, Transcode, Unrecognised
from mediabroker.config import BrokerSettings
from mediabroker.errors import InvalidJobError, ProviderError
from mediabroker.results import JobResult
from mediabroker.spi import Capabilities, Member
from tests.ledger import LedgerProvider
from tests.unit.broker.conftest import HandClock, MakeBroker


def test_events_and_errors_carry_the_vendors_payload(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "working", detail="half")
    job.refresh()
    vendor.ledger.say("job-0", "broken", detail="why")
    job.wait(5)
    told = list(job.events(follow=False))
    assert [each.raw for each in told][1] == {"id": "job-0", "word": "working", "detail": "half"}
    assert isinstance(told[-1], JobFailed)
    assert told[-1].raw == told[-1].error.raw == {"id": "job-0", "word": "broken", "detail": "why"}
    assert job.raw == told[-1].raw


def test_a_refusals_payload_is_the_errors_and_every_answer_is_readable_on_the_job(
    make_broker: MakeBroker, spec: Transcode, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    assert [(each.operation, each.step, dict(each.reply or {}), each.sends) for each in job.calls] == [
        ("SubmitJob", "array", {"jobId": "job-0"}, 1),
        ("SubmitJob", "merge", {"jobId": "job-1"}, 1),
    ]

    def refuse(call: Any, fault: str) -> Any:
        raise ProviderError("no", raw={"Code": "NoSuchQueue"}, request_id="r-7")

    monkeypatch.setattr(vendor.ledger, "start", refuse)
    refused = broker.submit(spec)
    assert refused.error is not None
    assert (refused.error.raw, refused.error.request_id) == ({"Code": "NoSuchQueue"}, "r-7")


def test_a_word_in_no_table_is_reported_once_with_its_payload(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "pondering")
    for _ in range(3):
        job.refresh()
    (told,) = [each for each in job.events(follow=False) if isinstance(each, Unrecognised)]
    assert told.raw == {"id": "job-0", "word": "pondering"}


class Studio(LedgerProvider):
    """Runs smart production, and names no file that it has made."""

    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"kinds": ("smart_production",)})

    def _observe(self, member: Member, job: dict[str, Any] | None) -> Any:
        seen = super()._observe(member, job)
        return seen.model_copy(update={"result": JobResult()}) if seen.result is not None else seen


@pytest.mark.parametrize("made", [(), ("in-1700000000-1.srt", "in-1700000000-2.srt")])
def test_a_pattern_cannot_be_missing_its_files_are_found_or_the_result_says_that_they_are_unverified(
    tmp_path: Path, clock: HandClock, made: Sequence[str]
) -> None:
    vendor = Studio("ledger", {"folder": tmp_path / "vendor", "steps": ["only"]})
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    pattern = tmp_path / "out" / "{source}-{timestamp}-{sequenceId}.srt"
    pattern.parent.mkdir()
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        job = broker.submit(SmartProduction[Any](function="ImageCartoonize", input=__file__, output=str(pattern)))
        for name in (*made, "other.srt", "foreign\n.srt"):  # others may write into the caller's own folder
            (pattern.parent / name).write_text("1")
        vendor.ledger.say("job-0", "done")
        outputs = job.result(5).outputs
        assert job.state is JobState.SUCCEEDED
        last = list(job.events(follow=False))[-1]
    assert [(each.uri.name, each.verified) for each in outputs] == (
        [(name, True) for name in made] or [(pattern.name, False)]
    )
    assert isinstance(last, JobSucceeded)
    assert last.result.outputs == outputs


def test_params_in_a_form_that_yaml_twists_are_refused_with_the_right_one() -> None:
    with pytest.raises(InvalidJobError, match=r"is no name of a parameter; write JSON, such as \{\"mode\": \"gif\"\}"):
        SmartProduction[Any](function="Cover", input="/a.mp4", params={'mode:"gif"': None})
