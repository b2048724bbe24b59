"""The transcoding service's request and names: what is read, what is refused, where outputs go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mediabroker_aws.transcoder.wire import Names, TranscodeRequest, build_entry, choose_renditions

MANUAL: dict[str, Any] = {
    "bucket": "ottcloud",
    "contentprovider": "publicspace",
    "dst": "publicspace/videos/dst/test/",
    "src": "publicspace/videos/src/2016.04.20/",
    "testflag": "test",
    "time": "20160426000001",
    "type": "mp4",
    "v_bitrate": 2700000,
    "v_height": 720,
}
"""Source: the original service's manual, "Request format"."""


def request(**changes: Any) -> TranscodeRequest:
    return TranscodeRequest.model_validate({**MANUAL, **changes})


def names(key: str, **changes: Any) -> Names:
    found = Names.of(request(**changes), key)
    assert found is not None
    return found


def test_the_manuals_request_is_read_and_names_the_manuals_answer() -> None:
    folder = {"dst": "publicspace/videos/dst/", "type": "m3u8"}
    found = names("publicspace/videos/src/2016.04.20/clips/2015.mp4", **folder)
    assert build_entry(found, "transcode", "no") == {
        "dst": "publicspace/videos/dst/clips/2015_20160426000001/2015.m3u8",
        "error": "no",
        "keyoutpath": "publicspace/videos/dst/clips/",
        "output_key": "2015",
        "src": "publicspace/videos/src/2016.04.20/clips/2015.mp4",
        "status": "transcode",
    }


def test_a_file_goes_straight_below_dst() -> None:
    assert names("in/deep/a.mp4", src="in/deep/a.mp4", dst="out/").dst == "out/a_20160426000001/a.mp4"


def test_dst_gets_its_final_slash() -> None:
    assert request(dst="out/deep").dst == "out/deep/"


def test_only_the_folder_itself_is_taken_off_not_what_looks_like_it() -> None:
    found = names("a/b/a/b/x.mp4", src="a/b/", dst="out/")
    assert found.path == "out/a/b/"  # the original replaced the first match, wherever it was


@pytest.mark.parametrize("key", ["a.mkv", "a.MP4", "a", ".mp4", "mp4", "a.mp4.txt"])
def test_other_files_are_no_mp4(key: str) -> None:
    assert Names.of(request(src=key), key) is None


@pytest.mark.parametrize("key", ["in/../x.mp4", "in//x.mp4", "in/./x.mp4"])
def test_a_name_that_would_leave_its_folder_is_refused_for_that_file(key: str) -> None:
    with pytest.raises(ValueError, match="part"):
        Names.of(request(src="in/"), key)


def test_an_output_name_beyond_what_s3_allows_is_refused_for_that_file() -> None:
    with pytest.raises(ValueError, match="legal name"):
        Names.of(request(src="in/"), f"in/{'ä' * 400}.mp4")


@pytest.mark.parametrize("kind", ["mp4", "m3u8"])
def test_a_source_in_the_folder_of_its_own_output_is_refused(kind: str) -> None:
    key = "x/a_20160426000001/a.mp4"
    with pytest.raises(ValueError, match="own output"):
        Names.of(request(src=key, dst="x/", type=kind), key)


def test_each_type_of_a_source_is_a_work_of_its_own() -> None:
    assert len({names("in/a.mp4", src="in/", type=kind).work for kind in ("mp4", "m3u8")}) == 2


@pytest.mark.parametrize("key", ["in/a b.mp4", "in/a'\"b.mp4", "in/a#b%20c?.mp4", "in/ä…日本.mp4", "in/a..b.mp4"])
def test_awkward_names_are_kept_as_they_are(key: str) -> None:
    stem = key.removeprefix("in/").removesuffix(".mp4")
    found = names(key, src="in/", dst="out/")
    assert found.dst == f"out/{stem}_20160426000001/{stem}.mp4"
    assert (found.source.key, found.output.key) == (key, found.dst)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("bucket", "No_Bucket", "bucket name"),
        ("bucket", None, "bucket"),
        ("src", "", "src"),
        ("src", "/in/", "begins with a slash"),
        ("src", "in/\n", "control character"),
        ("dst", "", "dst"),
        ("dst", "/", "begins with a slash"),
        ("dst", "out/../../other/", "'..' part"),
        ("dst", "out//x/", "empty"),
        ("dst", "out\\x/", "backslash"),
        ("time", "2016", "time"),
        ("time", "2016042600000\u0661", "time"),
        ("type", "avi", "mp4"),
        ("v_height", 500, "not 480p 720p 1080p"),
        ("v_height", "tall", "v_height"),
        ("v_bitrate", 0, "v_bitrate"),
        ("scale", 2, "scale"),
    ],
)
def test_a_wrong_field_is_refused_by_name(field: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        request(**{field: value})
    assert field in str(refusal.value)
    assert said in str(refusal.value)


@pytest.mark.parametrize("field", ["bucket", "src", "dst", "time", "type"])
def test_a_missing_field_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        TranscodeRequest.model_validate({name: value for name, value in MANUAL.items() if name != field})


def test_digits_in_strings_and_the_coded_1080_are_understood() -> None:
    read = request(v_height="1088", v_bitrate="2700000")
    assert (read.v_height, read.v_bitrate) == (1080, 2_700_000)


@pytest.mark.parametrize(
    ("kind", "height", "bitrate", "made"),
    [
        ("m3u8", 480, 9_000_000, ["480@0800"]),
        ("m3u8", 720, 1_199_999, ["480@0800"]),
        ("m3u8", 720, 1_200_000, ["480@0800", "720@1600"]),
        ("m3u8", 1080, 1_000_000, ["480@0800"]),
        ("m3u8", 1080, 1_999_999, ["480@0800", "720@1600"]),
        ("m3u8", 1080, 2_000_000, ["480@0800", "720@1600", "1080@2500"]),
        ("m3u8", 1080, 4_000_000, ["480@0800", "720@1600", "1080@2500", "1080@4000"]),
        ("mp4", 480, 1, ["480@0800"]),
        ("mp4", 720, 1, ["720@2000"]),
        ("mp4", 1080, 1, ["1080@4000"]),
    ],
)
def test_the_ladder_follows_height_and_bitrate(kind: Any, height: int, bitrate: int, made: list[str]) -> None:
    rungs = choose_renditions(kind, height, bitrate)
    assert [f"{rung.height_px}@{rung.video_bitrate_bps // 1000:04d}" for rung in rungs] == made


KEYS = st.text(min_size=1, max_size=60)


@given(st.text(max_size=30), st.text(max_size=30), KEYS)
def test_whatever_is_asked_an_output_lies_in_its_folder_below_dst_or_nothing_does(
    src: str, dst: str, rest: str
) -> None:
    try:
        read = request(src=f"{src}/", dst=dst)
        found = Names.of(read, f"{src}/{rest}.mp4")
    except ValueError:
        return
    if found is not None:
        assert found.dst.startswith(read.dst)
        assert found.dst.startswith(found.folder)
        assert found.folder.startswith(found.path)
        assert not {"", ".", ".."} & set(found.dst.split("/"))
        assert found.work == f"s3://{read.bucket}/{found.folder}status-{read.type}.json"


JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.just({})


@given(st.dictionaries(st.sampled_from([*MANUAL, "origin", "other"]), JSON))
def test_no_request_does_anything_but_be_read_or_refused(fields: dict[str, Any]) -> None:
    try:
        read = TranscodeRequest.model_validate({**MANUAL, **fields})
    except ValidationError:
        return
    assert TranscodeRequest.model_validate(read.fields()) == read
