"""The function that transcodes: one source, downloaded, encoded by `mediabroker.media`, uploaded, told of.

What it writes appears in this order: segments and variant playlists, the status `publishing`, the file that was asked
for. Whatever happens, its working folder is removed, and ffmpeg ends before Lambda ends the function.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from mediabroker.errors import ErrorCode, JobError, MediaError
from mediabroker.media.ffmpeg.limits import PROCESS_LIMITS
from mediabroker.media.publish import workplace
from mediabroker.media.transcode import TranscodeSettings, transcode
from mediabroker.objects import nameable
from mediabroker.refs import MediaURI
from mediabroker.results import VideoResult
from mediabroker_aws.functions.transcode.claim import Claim
from mediabroker_aws.functions.transcode.ends import EndTeller
from mediabroker_aws.functions.transcode.limits import TOO_LONG, check_fits
from mediabroker_aws.functions.transcode.settings import TranscoderSettings, load_settings
from mediabroker_aws.metadata import read_metadata
from mediabroker_aws.s3.store import S3Store
from mediabroker_aws.transcoder.status import StatusBoard
from mediabroker_aws.transcoder.wire import choose_renditions

__all__ = ["Worker", "handler"]

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
"""Lambda runs a failed asynchronous invocation twice more."""
_MARGIN = 0.1
"""Share of the function's time, but `_MARGIN_S` at most, that is kept for uploading and telling."""
_MARGIN_S = 60.0
_READ_BYTES = 1 << 20
_RENDITION = re.compile(r"[^/]+\.(m3u8|ts|m4s|mp4)")
"""What `mediabroker.media` puts into a ladder's folder."""
_CONTAINERS: dict[str, Literal["mp4", "hls"]] = {"mp4": "mp4", "m3u8": "hls"}


def handler(event: Any, context: Any) -> Any:
    """The Lambda function; see `Worker`."""
    return _worker()(event, context)


@cache
def _worker() -> Worker:
    return Worker(load_settings())


class Worker:
    """Does each work once, however often it is invoked for it: `{"work": <URI of its status>}`."""

    def __init__(self, settings: TranscoderSettings) -> None:
        self._settings = settings
        self._teller = EndTeller(settings)
        self._store = S3Store({})
        self._board = StatusBoard(self._store)

    def __call__(self, event: Any, context: Any) -> dict[str, JsonValue]:
        """How the work has ended, or that it is not this invocation's.

        Raises:
            ProviderError: S3 cannot be used now; Lambda is to try again.
        """
        work = str(event["work"])
        claim = Claim.take(self._board, work, context.aws_request_id)
        if claim is None:
            return {"id": work, "state": "not mine"}
        try:
            with claim.kept():
                ended = self._done(claim, context)
        except MediaError as error:
            ended = self._failed(claim, error.error)
        except Exception as error:
            if claim.status.state == "publishing":
                raise  # the output may be there; whoever comes next finds out
            if claim.status.attempts - claim.status.earlier < _ATTEMPTS:
                claim.move(state="queued")
                raise
            _log.exception("the last attempt failed (work %s)", work, extra={"work": work})
            ended = self._failed(claim, JobError.of(ErrorCode.PROVIDER_INTERNAL, f"{type(error).__name__}: {error}"))
        return {"id": work, "state": ended}

    def _done(self, claim: Claim, context: Any) -> str:
        status = claim.status
        if status.state == "publishing" and self._store.stat(status.output) is not None:
            return self._succeeded(claim)  # only the last word was not said
        self._clear(claim)
        asked = status.request
        if problem := self._settings.misplaced(asked.bucket, asked.src, asked.dst):
            raise MediaError(ErrorCode.INPUT_DENIED, problem)
        renditions = choose_renditions(asked.type, asked.v_height, asked.v_bitrate)
        check_fits(read_metadata(self._store, status.source), renditions, self._settings)
        with workplace(Path(tempfile.gettempdir()) / "mediabroker-transcode") as folder:
            source, made = folder / "source.mp4", folder / "made"
            made.mkdir()
            self._download(status.source, source, claim)
            settings = TranscodeSettings(container=_CONTAINERS[asked.type], renditions=renditions)
            final = made / f"video.{asked.type}"
            result = self._transcode(source, final, settings, claim, context)
            self._publish(claim, final, result)
        return self._succeeded(claim)

    def _download(self, source: MediaURI, path: Path, claim: Claim) -> None:
        with path.open("wb") as file:
            for chunk in self._store.read(source):
                file.write(chunk)
                _refuse_lost(claim)

    def _transcode(
        self, source: Path, final: Path, settings: TranscodeSettings, claim: Claim, context: Any
    ) -> VideoResult:
        left_s = context.get_remaining_time_in_millis() / 1000
        wall_s = left_s - min(_MARGIN_S, _MARGIN * self._settings.worker_timeout_s)
        if wall_s <= 0:
            raise MediaError(ErrorCode.OUT_OF_RESOURCES, f"{TOO_LONG}: the time was over before the work began")

        def note(progress: Any) -> None:
            claim.progress = progress.fraction

        limits = PROCESS_LIMITS.model_copy(update={"wall_s": wall_s})
        try:
            return transcode(source, final, settings, on_progress=note, cancel=claim.lost, limits=limits)
        except MediaError as error:
            if error.error.code is ErrorCode.TIMEOUT and "took longer" in error.error.message:
                message = f"{TOO_LONG}: it was not done after {wall_s:.0f} s"
                raise MediaError(ErrorCode.OUT_OF_RESOURCES, message) from error
            raise

    def _publish(self, claim: Claim, final: Path, result: VideoResult) -> None:
        """Upload everything but the file that was asked for, pass the point of no return, upload that one.

        What may have to be removed again is written down before it is there.
        """
        folders = sorted(path.name for path in final.parent.iterdir() if path.is_dir())
        claim.move(folders=(*claim.status.folders, *folders))
        _refuse_lost(claim)
        targets = {path: _target(claim, final, path) for path in sorted(final.parent.rglob("*")) if path.is_file()}
        for path, uri in targets.items():
            if path != final:
                self._store.write(uri, _chunks(path), overwrite=True)
                _refuse_lost(claim)
        outputs = tuple(each.model_copy(update={"uri": targets[each.uri.path]}) for each in result.outputs)
        claim.move(state="publishing", progress=1.0, result=result.model_copy(update={"outputs": outputs}))
        _refuse_lost(claim)
        self._store.write(targets[final], _chunks(final))

    def _succeeded(self, claim: Claim) -> str:
        claim.move(state="succeeded")
        return self._tell(claim)

    def _failed(self, claim: Claim, error: JobError) -> str:
        if claim.lost.is_set() or not claim.move(state="failed", error=error):
            seen = self._board.read(claim.work)
            if seen is None or seen.status.state != "cancelled":
                return "not mine"  # another worker has taken over, and uses the folder
            self._clear(claim)
            return self._tell(claim, cancelled=True)
        self._clear(claim)
        return self._tell(claim)

    def _clear(self, claim: Claim) -> None:
        """Remove the renditions that workers of this work have begun to upload; the output's folder is everybody's."""
        for name in claim.status.folders:
            folder = MediaURI(f"{claim.status.home}{name}/")
            for uri in nameable(self._store.list(folder)):
                if _RENDITION.fullmatch(uri.key.removeprefix(folder.key)):
                    self._store.delete(uri)

    def _tell(self, claim: Claim, *, cancelled: bool = False) -> str:
        status = claim.status.model_copy(update={"state": "cancelled"}) if cancelled else claim.status
        self._teller.tell(claim.work, status)
        return status.state


def _target(claim: Claim, final: Path, path: Path) -> MediaURI:
    if path == final:
        return claim.status.output
    return MediaURI(f"{claim.status.home}{path.relative_to(final.parent).as_posix()}")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            yield chunk


def _refuse_lost(claim: Claim) -> None:
    if claim.lost.is_set():
        raise MediaError(ErrorCode.CANCELLED, "the work was cancelled, or taken over")
