"""No secret leaves: unique values in every setting, jobs through all vendors at DEBUG, and a search of what is left."""

from __future__ import annotations

import io
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from mediabroker import Broker, MediaURI, RedactingFilter, Snapshot, SuperResolution, Transcode
from mediabroker.config import BrokerSettings, load_settings
from mediabroker.errors import JobFailedError, MediaBrokerError
from mediabroker.jobs import JobSpec
from mediabroker.sandbox import Sandboxes
from mediabroker.storage import Stores
from tests.clips import make_clip

TOKEN_KEY = "canary-token-key-0f4be21c77d95a0836ef"
SESSION = "canary-session-token-51d0aa9c42"
PASSWORD = "canary-password-93ce"
SIGNATURE = "canarysignature0b8e6a4d19f27c53"
BUCKET = "oss://media.oss-cn-shanghai.aliyuncs.com"


class Watch:
    """Everything that leaves this process, and the secrets that must not be in it."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        environment = sandboxes.environment
        self.canaries = {
            "session token": SESSION,
            "token key": TOKEN_KEY,
            "password": PASSWORD,
            "signature": SIGNATURE,
            "AWS secret": environment["AWS_SECRET_ACCESS_KEY"],
            "Alibaba secret": environment["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
            "API key": sandboxes.facts["aws"]["x-api-key"],
        }
        self.texts: dict[str, list[str]] = {}
        self.log = io.StringIO()
        self._stop = Event()
        self._thread = Thread(target=self._read_command_lines)
        self._thread.start()

    def keep(self, source: str, *values: object) -> None:
        for value in values:
            self.texts.setdefault(source, []).extend((repr(value), str(value)))

    def keep_error(self, error: BaseException) -> None:
        self.keep("exceptions", error, "".join(traceback.format_exception(error)))
        self.keep("pickles", pickle.dumps(error))

    def _read_command_lines(self) -> None:
        while not self._stop.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.texts.setdefault("command lines", []).append(path.read_text(errors="replace"))
                except OSError:
                    continue  # it has ended meanwhile

    def found(self) -> set[tuple[str, str]]:
        """Return the pairs of a place and the secret that is in it."""
        self._stop.set()
        self._thread.join()
        self.texts["logs"] = [self.log.getvalue()]
        return {
            (place, name)
            for place, texts in self.texts.items()
            for name, value in self.canaries.items()
            if any(value in text for text in texts)
        }


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandboxes]:
    with Sandboxes(["aws", "alibaba"], tmp_path_factory.mktemp("sandbox")) as sandboxes:
        yield sandboxes


@pytest.fixture
def watch(sandboxes: Sandboxes) -> Iterator[Watch]:
    """Every logger at DEBUG, on a handler that bears the shipped filter."""
    watch = Watch(sandboxes)
    handler = logging.StreamHandler(watch.log)
    handler.addFilter(RedactingFilter())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield watch
    root.setLevel(level)
    root.removeHandler(handler)
    watch.found()


@pytest.fixture
def settings(sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokerSettings]:
    """The sandboxes' own configuration, but for the transcoder, which is called over HTTP with an API key."""
    facts = sandboxes.facts["aws"]
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION)
    monkeypatch.setenv("MEDIABROKER_TOKEN_KEY", TOKEN_KEY)
    monkeypatch.setenv("MEDIABROKER_PROVIDERS__KEYED__TYPE", "aws-lambda")
    monkeypatch.setenv("MEDIABROKER_PROVIDERS__KEYED__URL", f"{facts['REST API']}/videoTranscode")
    monkeypatch.setenv("MEDIABROKER_PROVIDERS__KEYED__API_KEY", facts["x-api-key"])
    monkeypatch.setenv("MEDIABROKER_PROVIDERS__KEYED__S3_ENDPOINT_URL", facts["S3, SQS, SNS, EventBridge"])
    with sandboxes.in_environment():
        yield load_settings(sandboxes.config_path)


def upload(settings: BrokerSettings, clip: Path) -> None:
    stores = Stores(settings.stores)
    for place in ("s3://media/in.mp4", f"{BUCKET}/in.mp4"):
        stores.copy(MediaURI(str(clip)), MediaURI(place), overwrite=True)
    stores.close()


def follow(watch: Watch, broker: Broker, spec: JobSpec[Any], provider: str) -> None:
    """Run the job, and keep all that the broker says of it."""
    watch.keep("plans", broker.plan(spec, provider=provider))  # before the output is there
    job = broker.submit(spec, provider=provider)
    watch.keep("jobs", job, job.ref)
    for event in job.events():
        watch.keep("events", event, event.model_dump_json())
    try:
        watch.keep("results", job.result(timeout=60))
    except JobFailedError as error:
        watch.keep_error(error)
    watch.keep("calls", job.calls, job.raw, job.attempts)


def refused(watch: Watch, broker: Broker, source: str) -> None:
    with pytest.raises(MediaBrokerError) as caught:
        broker.submit(Snapshot(input=source, output="s3://media/x.png"))
    watch.keep_error(caught.value)


def test_no_secret_is_in_logs_errors_events_stores_pickles_or_command_lines(
    watch: Watch, settings: BrokerSettings, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=6)
    upload(settings, clip)
    watch.keep("settings", settings, settings.providers)
    for each in (settings, *settings.providers.values()):
        with pytest.raises(TypeError, match="load it in the other process"):
            pickle.dumps(each)
    mute = settings.model_copy(update={"store": f"postgresql://user:{PASSWORD}@127.0.0.1:9/none"})
    watch.keep("settings", mute)
    with pytest.raises(MediaBrokerError) as caught:
        Broker(mute)
    watch.keep_error(caught.value)
    with Broker(settings) as broker:
        follow(watch, broker, SuperResolution(input="s3://media/in.mp4", output="s3://media/sr.mp4"), "aws-batch")
        follow(watch, broker, Transcode(input="s3://media/in.mp4", output="s3://media/keyed/"), "keyed")
        follow(watch, broker, Transcode(input=f"{BUCKET}/in.mp4", output=f"{BUCKET}/mps.mp4"), "alibaba-mps")
        follow(watch, broker, Snapshot(input=f"{BUCKET}/none.mp4", output=f"{BUCKET}/none.jpg"), "alibaba-mps")
        refused(watch, broker, f"https://user:{PASSWORD}@127.0.0.1:9/a.mp4")
        refused(watch, broker, f"https://127.0.0.1:9/a.mp4?X-Amz-Signature={SIGNATURE}")
    for path in Path(settings.store.removeprefix("sqlite:///")).parent.glob("jobs-*.db*"):
        watch.texts.setdefault("store", []).append(path.read_bytes().decode("latin-1"))
    assert len(watch.log.getvalue()) > 10_000
    assert {"store", "events", "calls", "command lines"} <= watch.texts.keys()
    assert watch.found() == set()
