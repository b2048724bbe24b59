"""Smart production on this machine, through real workers: typed results, names with placeholders, early refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediabroker.errors import ProviderError, UnsupportedError
from mediabroker.jobs import JobSpec, SmartProduction
from mediabroker.production import (
    AudioMixing,
    CaptionExtraction,
    Cover,
    ImageCartoonize,
    MusicSegmentDetect,
    VideoDelogo,
    VideoGreenScreenMatting,
)
from mediabroker.results import CoverResult, ImagesResult, ProductionResult, SegmentsResult, VideoResult
from mediabroker.states import JobState
from tests.clips import make_audio_only, make_clip, picture
from tests.unit.local.rig import Workshop

_BOXES = ({"x": 0, "y": 0, "width": 0.3, "height": 0.3},)


def _opened(path: Path) -> tuple[str | None, tuple[int, int]]:
    with Image.open(path) as picture:
        return picture.format, picture.size


def test_covers_stand_under_their_names_with_their_scores(shop: Workshop) -> None:
    source = make_clip(shop.folder / "film.mp4", frames=50)
    spec = Cover(input=source, output=shop.folder / "{source}-{sequenceId}.jpg")
    seen = shop.wait(shop.submit(shop.driver(), spec))
    assert seen.state is JobState.SUCCEEDED, seen.error
    assert isinstance(seen.result, CoverResult)
    names = [output.uri.path.name for output in seen.result.outputs]
    assert names == [f"film-{number}.jpg" for number in range(1, len(names) + 1)]
    assert [cover.uri for cover in seen.result.covers] == [output.uri for output in seen.result.outputs]
    assert {_opened(cover.uri.path) for cover in seen.result.covers} == {("JPEG", (64, 48))}
    assert all(cover.score and 0 <= (cover.at_s or 0) < 2 for cover in seen.result.covers)


def test_a_removed_logo_gives_a_measured_video(shop: Workshop) -> None:
    spec = VideoDelogo(input=shop.clip, output=shop.folder / "clean.mp4", boxes=_BOXES)
    seen = shop.wait(shop.submit(shop.driver(), spec))
    assert seen.state is JobState.SUCCEEDED, seen.error
    assert isinstance(seen.result, VideoResult)
    assert (seen.result.width_px, seen.result.height_px, seen.result.frame_count) == (64, 48, 12)
    assert shop.products() == {"clean.mp4"}


def test_a_picture_is_drawn_and_measured(shop: Workshop) -> None:
    Image.fromarray(picture(0, 80, 60)).save(shop.folder / "in.png")
    spec = ImageCartoonize(input=shop.folder / "in.png", output=shop.folder / "drawn.png")
    seen = shop.wait(shop.submit(shop.driver(), spec))
    assert isinstance(seen.result, ImagesResult), seen.error
    assert (seen.result.width_px, seen.result.height_px) == (80, 60)


def test_what_is_heard_is_a_result_without_a_file(shop: Workshop) -> None:
    tone = make_audio_only(shop.folder / "tone.m4a", duration_s=9)
    seen = shop.wait(shop.submit(shop.driver(), MusicSegmentDetect(input=tone)))
    assert seen.state is JobState.SUCCEEDED, seen.error
    assert isinstance(seen.result, SegmentsResult)
    assert (seen.result.segments, seen.result.outputs) == ((), ())


def test_the_open_form_runs_the_same_functions_and_hands_back_plain_findings(shop: Workshop) -> None:
    spec = SmartProduction[ProductionResult](
        function="Cover", input=shop.clip, output=shop.folder / "c.gif", params={"Model": "gif"}
    )
    seen = shop.wait(shop.submit(shop.driver(), spec))
    assert isinstance(seen.result, ProductionResult), seen.error
    assert isinstance(seen.result.data, list) and len(seen.result.data) == 1
    assert _opened(shop.folder / "c.gif")[0] == "GIF"


def test_several_files_under_one_name_fail_and_leave_nothing(shop: Workshop) -> None:
    source = make_clip(shop.folder / "film.mp4", frames=50)
    spec = SmartProduction[ProductionResult](function="Cover", input=source, output=shop.folder / "c.jpg")
    seen = shop.wait(shop.submit(shop.driver(), spec))
    assert seen.state is JobState.FAILED
    assert seen.error is not None and "{sequenceId}" in seen.error.message
    assert shop.products() == {"film.mp4"}


def _refused(folder: Path) -> list[tuple[JobSpec[Any], str]]:
    clip, out = folder / "in.mp4", folder / "out.mp4"
    return [
        (CaptionExtraction(input=clip, output=folder / "out.srt"), "kind|caption_extraction"),
        (SmartProduction(function="ASR", input=clip, output=out), "function: .*'ASR'"),
        (SmartProduction(function="VideoClip", input=clip), "output: VideoClip writes a file"),
        (VideoDelogo(input=clip, output=out), "boxes"),
        (MusicSegmentDetect(input=clip, output=out), "output: MusicSegmentDetect writes no file"),
        (AudioMixing(input=clip, output=out, track="oss://bucket/k.mp3"), "track: .*oss://"),
        (VideoGreenScreenMatting(input=clip, output=out, background="https://h/b.png"), "background: .*https://"),
        (Cover(input=clip, output=folder / "{source}" / "{sequenceId}.jpg"), "{source} stands in a folder"),
    ]


@pytest.mark.parametrize("number", range(8))
def test_what_no_effect_can_do_is_refused_before_anything_starts(shop: Workshop, number: int) -> None:
    spec, named = _refused(shop.folder)[number]
    with pytest.raises(UnsupportedError, match=named):
        shop.driver().provider.check(spec, None)


def test_an_output_that_is_there_is_not_replaced(shop: Workshop) -> None:
    (shop.folder / "clean.mp4").write_bytes(b"mine")
    with pytest.raises(ProviderError, match=r"clean\.mp4"):
        shop.submit(shop.driver(), VideoDelogo(input=shop.clip, output=shop.folder / "clean.mp4", boxes=_BOXES))
    assert (shop.folder / "clean.mp4").read_bytes() == b"mine"
