"""How the provider contract tests `alibaba-mps`: `pytest --pyargs mediabroker.testing.contract --provider alibaba-mps`.

The simulated MPS and OSS, spoken to by the vendor's real SDKs with signed requests. Only the tests load this module.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch
from uuid import uuid4

from pydantic import JsonValue

from mediabroker.errors import ProviderError
from mediabroker.jobs import JobSpec, Snapshot, Transcode
from mediabroker.spi import CancelOutcome
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Rig, Started, start, watch
from mediabroker_alibaba.mps.client import MpsClient
from mediabroker_alibaba.mps.requests import PROBE
from mediabroker_alibaba.options import MpsOptions
from mediabroker_alibaba.settings import MpsSettings
from mediabroker_alibaba.simulator.mps import MpsService, Outcome, ScriptedExecutor
from mediabroker_alibaba.simulator.mps.jobs import Job
from mediabroker_alibaba.simulator.oss import OssService, OssState
from mediabroker_alibaba.simulator.seams import InMemoryQueues
from mediabroker_alibaba.simulator.server import LoopbackServer
from mediabroker_alibaba.simulator.world import World

__all__ = ["PROPERTIES", "MpsRig"]

REGION = "cn-shanghai"
ACCOUNT = "1234567890123456"
BUCKET = "media"
QUEUE = "done"
_SECRET = "secret-of-the-rig"  # noqa: S105  of a simulator
_ENVIRONMENT = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIOfTheRig",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": _SECRET,
    "ALIBABA_CLOUD_SECURITY_TOKEN": "",
    "ALIBABA_CLOUD_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
}
PROPERTIES: dict[str, Any] = {
    "Width": "1280",
    "Height": "720",
    "Fps": "25",
    "Duration": "6.0",
    "Bitrate": "2000",
    "FileFormat": "mp4",
    "FileSize": "1500000",
    "Format": {"FormatName": "mov,mp4", "Duration": "6.0", "Size": "1500000", "Bitrate": "2000", "StartTime": "0.0"},
    "Streams": {
        "VideoStreamList": {
            "VideoStream": [
                {
                    "Index": "0",
                    "CodecName": "h264",
                    "Width": "1280",
                    "Height": "720",
                    "PixFmt": "yuv420p",
                    "AvgFPS": "25.0",
                    "NumFrames": "150",
                    "Duration": "6.0",
                    "Bitrate": "1870",
                    "Sar": "1:1",
                }
            ]
        },
        "AudioStreamList": {
            "AudioStream": [{"Index": "1", "CodecName": "aac", "Samplerate": "44100", "Channels": "2"}]
        },
    },
}
"""Of the rig's clip, as MPS writes them. Composed from "Parameter details", Properties."""
_SEGMENT: dict[str, Any] = {"start": 39.32, "end": 63.85, "title": "副歌"}
_DATA: Mapping[str, Any] = {
    "Cover": [{"Score": 8.27, "Time": "28278.25", "Url": "out/cover-00001.jpg"}],
    "MusicSegmentDetect": {"result": [_SEGMENT]},
    "VideoSplit": {"splitResult": [{"beginTime": 1.0, "endTime": 44.57, "title": "one"}]},
    "AudioQualityAssessment": {"score": 4.2},
}
_OUTPUTS = {"cover": "cover-{sequenceId}.jpg", "snapshot": "shot.jpg"}
_NO_OUTPUT = ("media_info", "music_segment_detect", "video_split", "audio_quality_assessment")


class MpsRig(Rig):
    """An account of its own: a simulated MPS whose jobs wait until they are nudged, with a pipeline that calls back."""

    type: ClassVar[str] = "alibaba-mps"
    kind: ClassVar[str] = "transcode"
    secret: ClassVar[str | None] = _SECRET
    has_callbacks: ClassVar[bool] = True
    uncancellable: ClassVar[Mapping[JobState, str]] = {JobState.RUNNING: "CancelJob takes jobs that wait only"}

    def __init__(self, folder: Path) -> None:
        self._environment = patch.dict(os.environ, _ENVIRONMENT)
        self._environment.start()
        self.world = World()
        self.account = self.world.tenants.add_account(
            ACCOUNT, access_key_id=_ENVIRONMENT["ALIBABA_CLOUD_ACCESS_KEY_ID"], access_key_secret=_SECRET
        )
        self.queues = InMemoryQueues()
        self.queues.create(ACCOUNT, REGION, QUEUE)
        self.executor = ScriptedExecutor(self._decide)
        self.oss = OssState(self.world, folder / "oss")
        self.oss.create_bucket(ACCOUNT, BUCKET, REGION)
        self._made_file = folder / "made"
        self._made_file.write_bytes(b"what a function has made")
        self.service = MpsService(self.world, self.executor, self.queues, self.oss)
        self.oss_server = LoopbackServer(OssService(self.oss, REGION).answer, clock=self.world.clock)
        self.server = LoopbackServer(self.service.answer(REGION), clock=self.world.clock)
        self.settings: dict[str, JsonValue] = {
            "region": REGION,
            "account": ACCOUNT,
            "endpoint_url": self.server.url,
            "oss_endpoint_url": self.oss_server.url,
            "settle_time_s": 0.0,
        }
        self.store_settings: dict[str, Any] = {"region": REGION, "endpoint_url": self.oss_server.url}
        """`[stores.oss]` of a broker that looks at the outputs."""
        self.settings["pipeline"] = self._add_pipeline()
        self.outcomes: dict[str, Outcome | None] = {}
        """How the jobs of a token end; None: they run until the executor is told to release them."""
        self._made = 0

    def _add_pipeline(self) -> str:
        client = MpsClient(MpsSettings.model_validate(self.settings))
        notify = json.dumps({"QueueName": QUEUE})
        pipeline = client.send("AddPipeline", {"Name": "rig", "NotifyConfig": notify})["Pipeline"]
        client.close()
        return str(pipeline["Id"])

    def _decide(self, job: Job) -> Outcome | None:
        for token, outcome in self.outcomes.items():
            if token in (job.user_data or ""):
                return outcome
        key = job.output.key.replace("{sequenceId}", "00001") if job.output else None
        if key is not None:
            self.oss.store(ACCOUNT, BUCKET, key, self._made_file)
        if job.kind in ("transcode", "media_info"):
            return Outcome(data=PROPERTIES)
        if job.kind == "snapshot" or key is None:
            return Outcome(data=_DATA.get(job.function))
        data: Any = _DATA.get(job.function, {"result": [{"file": key}]})
        return Outcome(data=data, keys=(key,))

    def spec(self, kind: str) -> JobSpec[Any]:
        self._made += 1
        fields: dict[str, Any] = {"kind": kind, "input": f"oss://{BUCKET}/in/a.mp4"}
        if kind not in _NO_OUTPUT:
            fields["output"] = f"oss://{BUCKET}/out/{self._made}/{_OUTPUTS.get(kind, 'a.mp4')}"
        if kind == "smart_production":
            fields["function"] = "VideoClip"
        if kind == "audio_mixing":
            fields["track"] = f"oss://{BUCKET}/in/b.mp3"
        return JobSpec.parse(fields)

    def arrange(self, driver: Driver, state: JobState) -> Started:
        started = start(driver, self.spec(self.kind))
        token = started.ctx.token
        if state is JobState.RUNNING:
            self.outcomes[token] = None
            watch(self, driver, started, until=lambda seen: seen is JobState.RUNNING)
        elif state is JobState.FAILED:
            self.outcomes[token] = Outcome("InvalidParameter.ResourceContentBad", "not a video")
        elif state is JobState.CANCELLED:
            assert driver.run(driver.provider.cancel(started.members)) is CancelOutcome.REQUESTED
        if state.is_terminal:
            watch(self, driver, started)
        return started

    def nudge(self, started: Started) -> None:  # noqa: ARG002  the simulated engine moves all jobs
        self.service.engine.step()

    def count_jobs(self) -> int:
        """Without media information that was answered at once: it is looked at, not started."""
        shelf = self.service.state.shelf(ACCOUNT, REGION, self.world.clock.now())
        return sum(each.user_data not in (None, PROBE) for each in shelf.jobs.values())

    def unknown_id(self) -> str:
        return uuid4().hex

    def inexpressible(self) -> Sequence[JobSpec[Any]]:
        source, output = f"oss://{BUCKET}/in/a.mp4", f"oss://{BUCKET}/out/a.mp4"
        production: dict[str, Any] = {"kind": "smart_production", "input": source}
        return [
            Transcode(input=f"oss://{BUCKET}.oss-cn-beijing.aliyuncs.com/a.mp4", output=output),
            Transcode(input=source, output=f"oss://{BUCKET}/out/{{FileName}}.mp4"),
            Transcode(input=source, output=output, user_data="x" * 1000),
            Transcode(input=source, output=output, encoder={"preset": "ultrafast"}),
            Snapshot(input=source, output=f"oss://{BUCKET}/out/a.png"),
            JobSpec.parse({**production, "function": "Cover", "output": f"oss://{BUCKET}/out/cover.jpg"}),
            JobSpec.parse({**production, "function": "VideoDelogo", "output": f"oss://{BUCKET}/out/{{timestamp}}.mp4"}),
            JobSpec.parse({**production, "function": "MusicSegmentDetect", "output": output}),
        ]

    def refusals(self, driver: Driver) -> Sequence[Callable[[], object]]:
        spec = self.spec(self.kind)
        ctx = start(driver, spec).ctx.model_copy(update={"token": "refused"})
        nobody, template = MpsOptions(pipeline="0" * 32), MpsOptions(template="f" * 32)
        return [
            lambda: driver.run(driver.provider.submit(spec, nobody, ctx)),
            lambda: driver.run(driver.provider.submit(spec, template, ctx)),
        ]

    def messages(self, started: Started) -> Sequence[Mapping[str, JsonValue]]:
        ids = {member.native_id for member in started.members}
        with suppress(ProviderError):
            self.service.engine.settle()
        posted = self.queues.posted[ACCOUNT, REGION, QUEUE]
        read = [json.loads(base64.b64decode(each, validate=True)) for each in posted]
        return [each for each in read if each["JobId"] in ids]

    def close(self) -> None:
        self.world.stopping.set()
        self.server.close()
        self.oss_server.close()
        self.service.engine.close()
        self._environment.stop()
