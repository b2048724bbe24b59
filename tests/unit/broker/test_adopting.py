"""Jobs of other stores: whose they are is the vendor's word, and where their output may go is a setting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, Job, JobState, Transcode
from mediabroker.config import BrokerSettings
from mediabroker.messages import InboundMessage
from mediabroker.refs import MediaURI, token_for
from mediabroker.results import JobResult
from mediabroker.store import attempts
from tests.ledger import LedgerProvider, notice
from tests.stores import BucketFolders
from tests.unit.broker.conftest import SHARED_KEY, HandClock, MakeBroker

TARGET = "oss://media/films/out.mp4"
STAGING = {"s3": "s3://staging/jobs/"}


class Place:
    """A vendor that reaches only s3://, and hosts with stores of their own that follow its jobs."""

    def __init__(self, folder: Path, clock: HandClock) -> None:
        self._folder, self._clock = folder, clock
        self.s3, self.oss = BucketFolders(folder / "s3"), BucketFolders(folder / "oss")
        self.s3.put("s3://media/in.mp4", b"input")
        self.vendor = self._vendor()
        self._opened: list[Broker] = []

    def _vendor(self) -> LedgerProvider:
        return LedgerProvider("ledger", {"folder": self._folder / "vendor", "schemes": ["s3"], "steps": ["only"]})

    def host(self, name: str, **settings: Any) -> Broker:
        given = {"token_key": SHARED_KEY, "staging": STAGING, **settings}
        chosen = BrokerSettings(store=f"sqlite:///{self._folder / name}.db", **given)
        stores: Any = {"s3": self.s3, "oss": self.oss}
        self._opened.append(Broker(chosen, providers={"ledger": self._vendor()}, stores=stores, clock=self._clock))
        return self._opened[-1]

    def submit(self, output: object = TARGET, **settings: Any) -> Job[Any]:
        spec = Transcode(input="s3://media/in.mp4", output=str(output), user_data={"asset": 42}, overwrite=True)
        return self.host("first", **settings).submit(spec)

    def make(self) -> str:
        """Have the vendor write its output, and return where that is."""
        (job,) = self.vendor.ledger.accepted()
        self.s3.put(job["output"], b"made by the vendor")
        self.vendor.ledger.say("job-0", "done")
        return str(job["output"])

    def message(self, **forged: Any) -> InboundMessage:
        body = json.loads(notice(self.vendor.ledger, "job-0"))
        body["origin"] |= forged
        return InboundMessage(json.dumps(body).encode(), "queue", "m-1", "r", {}, 1)

    def rewrite(self, **changed: Any) -> None:
        """Have the vendor keep another origin."""
        path = self._folder / "vendor" / "ledger.jsonl"
        job = json.loads(path.read_text())
        job["origin"] |= changed
        job["name"] = f"{job['origin']['token']}-only"
        path.write_text(json.dumps(job) + "\n")

    def close(self) -> None:
        for broker in self._opened:
            broker.close()


@pytest.fixture
def place(tmp_path: Path, clock: HandClock) -> Iterator[Place]:
    place = Place(tmp_path, clock)
    yield place
    place.close()


def ended(job: Job[Any]) -> tuple[str, str | None]:
    result = job.result(20)
    assert isinstance(result, JobResult)
    return str(result.outputs[0].uri), job.refresh().hold_reason


def test_an_adopted_job_is_delivered_where_the_settings_permit_it(place: Place) -> None:
    job = place.submit()
    host = place.host("other", adopt_to=["oss://media/films/"])
    place.make()
    assert host.ingest(place.message()).jobs == (job.id,)
    assert ended(host.get(job.id)) == (TARGET, None)
    assert place.oss.get(TARGET) == b"made by the vendor"


FORGED = {
    "kind": "super_resolution",
    "output": "s3://media/in.mp4",
    "deliver_to": "oss://media/films/victim.mp4",
    "overwrite": True,
    "user_data": "forged",
}


def test_a_message_that_lies_of_the_origin_changes_nothing_of_the_job(place: Place) -> None:
    job = place.submit()
    place.oss.put("oss://media/films/victim.mp4", b"the user's own")
    host = place.host("other", adopt_to=["oss://media/films/"])
    place.make()
    assert host.ingest(place.message(**FORGED)).jobs == (job.id,)
    adopted = host.get(job.id)
    assert (adopted.kind, adopted.user_data) == ("transcode", {"asset": 42})
    assert ended(adopted) == (TARGET, None)
    assert place.oss.get("oss://media/films/victim.mp4") == b"the user's own"


@pytest.mark.parametrize("adopt_to", [[], ["oss://media/series/"]])
def test_a_delivery_that_is_not_permitted_leaves_the_output_and_says_why(place: Place, adopt_to: list[str]) -> None:
    job = place.submit()
    host = place.host("other", adopt_to=adopt_to)
    made = place.make()
    host.ingest(place.message())
    where, why = ended(host.get(job.id))
    assert where == made
    assert why is not None
    assert TARGET in why
    assert "adopt_to" in why
    assert place.oss.stat(MediaURI(TARGET)) is None


def test_an_output_that_its_own_host_has_delivered_is_reported_there(place: Place) -> None:
    job = place.submit()
    host = place.host("other")
    place.make()
    message = place.message()
    assert ended(job) == (TARGET, None)
    host.ingest(message)
    assert ended(host.get(job.id)) == (TARGET, None)


def test_no_job_of_another_store_is_delivered_to_a_local_file(place: Place, tmp_path: Path) -> None:
    victim = tmp_path / "victim.mp4"
    job = place.submit(victim)
    victim.write_bytes(b"the user's own")
    host = place.host("other", adopt_to=["oss://media/films/"])
    made = place.make()
    host.ingest(place.message())
    assert ended(host.get(job.id))[0] == made
    assert victim.read_bytes() == b"the user's own"


def test_a_token_of_the_form_without_a_key_is_followed_and_never_delivered(place: Place) -> None:
    job = place.submit()
    place.rewrite(token=token_for(job.id, 1))
    host = place.host("other", adopt_to=["oss://media/films/"])
    made = place.make()
    assert host.ingest(place.message()).jobs == (job.id,)
    where, why = ended(host.get(job.id))
    assert where == made
    assert why is not None
    assert "without the key" in why


def test_an_output_outside_of_the_staging_place_is_not_copied(place: Place) -> None:
    job = place.submit()
    place.s3.put("s3://foreign/out.mp4", b"of somebody else")
    place.rewrite(output="s3://foreign/out.mp4")
    host = place.host("other", adopt_to=["oss://media/films/"])
    place.vendor.ledger.say("job-0", "done")
    host.ingest(place.message())
    where, why = ended(host.get(job.id))
    assert where == "s3://foreign/out.mp4"
    assert why is not None
    assert "staging place" in why
    assert place.oss.stat(MediaURI(TARGET)) is None


def test_a_store_with_another_key_takes_no_job_from_a_message(place: Place) -> None:
    place.submit()
    host = place.host("other", token_key=None)
    assert host.ingest(place.message()).outcome == "postponed"
    assert list(host.list()) == []


def test_a_job_that_the_vendor_does_not_know_or_calls_another_is_not_adopted(place: Place) -> None:
    job = place.submit()
    host = place.host("other")
    message = place.message()
    place.rewrite(job_id="another", token=token_for("another", 1))
    assert host.ingest(message).outcome == "postponed"
    place.rewrite(job_id=job.id, token="v" + "a" * 26)
    assert host.ingest(message).outcome == "postponed"
    assert list(host.list()) == []


def test_a_job_adopted_by_its_reference_keeps_the_token_that_the_vendor_tells(place: Place) -> None:
    job = place.submit(token_key=None)
    host = place.host("other")
    host.get(job.ref)
    with host._core.store.read() as tx:
        (row,) = attempts.all_of(tx, job.id)
    assert row.token == place.vendor.ledger.accepted()[0]["origin"]["token"]


def test_a_stored_attempt_settles_by_its_token_whatever_the_key_is_by_now(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    later, _ = make_broker(steps=("only",), settings={"token_key": "another key of thirty-two or more"})
    vendor.ledger.say("job-0", "done")
    assert later.ingest(InboundMessage(notice(vendor.ledger, "job-0"), "q", "m", "r", {}, 1)).jobs == (job.id,)
    assert later.get(job.id).refresh().state is JobState.SUCCEEDED
