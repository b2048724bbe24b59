"""Jobs that run to their end: every kind, one token, the order, the limit."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mediabroker.jobs import JobSpec, MediaInfo, Snapshot
from mediabroker.results import ImagesResult, MediaInfoResult, VideoResult
from mediabroker.states import JobState
from mediabroker.testing.driver import new_context
from tests.unit.local.rig import Workshop, until


def test_media_info_describes_the_input_and_keeps_it_where_asked(shop: Workshop) -> None:
    spec = MediaInfo(input=shop.clip, output=shop.folder / "info.json")
    member = shop.submit(shop.driver(), spec)
    seen = shop.wait(member)
    assert seen.state is JobState.SUCCEEDED, seen.error
    assert isinstance(seen.result, MediaInfoResult)
    assert seen.result.media is not None
    assert seen.result.media.video[0].width_px == 64
    assert json.loads((shop.folder / "info.json").read_text())["video"][0]["width_px"] == 64


def test_transcode_publishes_one_file_and_measures_it(shop: Workshop) -> None:
    member = shop.submit(shop.driver(), shop.transcode())
    seen = shop.wait(member)
    assert seen.state is JobState.SUCCEEDED, seen.error
    assert isinstance(seen.result, VideoResult)
    assert seen.result.frame_count == 12
    assert seen.progress == 1.0
    (output,) = seen.result.outputs
    content = output.uri.path.read_bytes()
    assert (output.uri.path, output.size_bytes) == (shop.folder / "out.mp4", len(content))
    assert output.sha256 == hashlib.sha256(content).hexdigest()


def test_ladder_is_published_with_all_that_its_playlist_names(shop: Workshop) -> None:
    member = shop.submit(shop.driver(), shop.transcode("film.m3u8", container="hls"))
    seen = shop.wait(member)
    assert seen.state is JobState.SUCCEEDED, seen.error
    assert seen.result is not None
    assert seen.result.outputs[0].uri.path == shop.folder / "film.m3u8"
    assert all(output.uri.path.is_file() for output in seen.result.outputs)
    named = [line for line in (shop.folder / "film.m3u8").read_text().splitlines() if not line.startswith("#")]
    assert named
    assert all((shop.folder / name).is_file() for name in named)


def test_snapshots_come_in_the_order_of_their_times(shop: Workshop) -> None:
    spec = Snapshot(input=shop.clip, output=shop.folder / "shot-{index}.png", at_s=(0.0, 0.2))
    seen = shop.wait(shop.submit(shop.driver(), spec))
    assert isinstance(seen.result, ImagesResult), seen.error
    assert [output.uri.path.name for output in seen.result.outputs] == ["shot-1.png", "shot-2.png"]
    assert all(output.uri.path.read_bytes().startswith(b"\x89PNG") for output in seen.result.outputs)


@pytest.mark.parametrize("debug", [False, True])
def test_nothing_but_the_output_is_left_beside_it(shop: Workshop, *, debug: bool) -> None:
    member = shop.submit(shop.driver(), shop.transcode(debug=debug))
    assert shop.wait(member).state is JobState.SUCCEEDED
    assert shop.products() == {"out.mp4"}


def test_the_same_token_twice_is_one_job(shop: Workshop) -> None:
    driver, spec = shop.gated(), shop.transcode()
    first, second = (shop.submit(driver, spec, token="twin") for _ in range(2))
    assert first == second
    assert len(list((shop.root / "jobs").iterdir())) == 1
    shop.open_gate()
    assert shop.wait(first).state is JobState.SUCCEEDED
    # Also after its end, although the output is there by now.
    assert shop.submit(driver, spec, token="twin") == first
    assert shop.look(first).state is JobState.SUCCEEDED


def test_two_processes_with_one_token_start_one_job(shop: Workshop) -> None:
    code = (
        "import sys\n"
        f"root, clip, folder = {str(shop.root)!r}, {str(shop.clip)!r}, {str(shop.folder)!r}\n"
        "from mediabroker.jobs import Transcode\n"
        "from mediabroker.testing.driver import Driver, new_context\n"
        "from mediabroker_local import LocalProvider\n"
        "spec = Transcode(input=clip, output=folder + '/out.mp4')\n"
        "driver = Driver(LocalProvider('local', {'root': root}))\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "flow = driver.provider.submit(spec, None, new_context(spec, token='raced'))\n"
        "print(driver.run(flow).members[0].native_id)\n"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    answers = {racer.communicate("go\n", timeout=30)[0].strip() for racer in racers}
    assert answers == {"raced-run"}
    driver = shop.driver()
    (reply,) = driver.run(driver.provider.find(new_context(shop.transcode(), token="raced"), _create(shop)))
    assert reply == {"job": "raced-run"}
    assert shop.wait(shop.submit(driver, shop.transcode(), token="raced")).state is JobState.SUCCEEDED
    assert [path.name for path in (shop.root / "jobs").iterdir()] == ["raced-run"]


def _create(shop: Workshop) -> Any:
    return next(shop.driver().provider.submit(shop.transcode(), None, new_context(shop.transcode())))


def test_jobs_wait_in_the_order_of_their_submission(shop: Workshop) -> None:
    driver = shop.gated(max_parallel=1)
    members = [shop.submit(driver, shop.transcode(f"{name}.mp4")) for name in ("zebra", "ant", "moose")]
    shop.wait(members[0], JobState.RUNNING)
    assert [shop.look(member).state for member in members[1:]] == [JobState.QUEUED] * 2
    assert [shop.look(member).phase for member in members[1:]] == ["queued, 1 ahead", "queued, 2 ahead"]
    assert len(shop.pids("mediabroker_local.processes.runner")) == 1
    shop.open_gate()
    for member in members:
        assert shop.wait(member).state is JobState.SUCCEEDED
    ends = [(shop.root / "jobs" / member.native_id / "state.json").stat().st_mtime_ns for member in members]
    assert ends == sorted(ends)


def test_as_many_jobs_run_at_a_time_as_are_allowed(shop: Workshop) -> None:
    driver = shop.gated(max_parallel=2)
    members = [shop.submit(driver, shop.transcode(f"{index}.mp4")) for index in range(3)]
    shop.wait_at_gate(2)
    assert [shop.look(member).state for member in members[:2]] == [JobState.RUNNING] * 2
    assert shop.look(members[2]).state is JobState.QUEUED
    shop.open_gate()
    assert {shop.wait(member).state for member in members} == {JobState.SUCCEEDED}


def test_supervisors_end_when_nothing_is_queued(shop: Workshop) -> None:
    assert shop.wait(shop.submit(shop.driver(), MediaInfo(input=shop.clip))).state is JobState.SUCCEEDED
    shop.wait_gone("mediabroker_local")


def test_damaged_input_fails_with_what_the_file_is_accused_of(shop: Workshop) -> None:
    broken = shop.folder / "broken.mp4"
    broken.write_bytes(shop.clip.read_bytes()[:3000])
    spec: JobSpec[Any] = MediaInfo(input=broken)
    seen = shop.wait(shop.submit(shop.driver(), spec))
    assert seen.state is JobState.FAILED
    assert seen.error is not None
    assert (seen.error.code.value, seen.error.blame, seen.vendor_attempt) == ("MEDIA_CORRUPT", "media", 0)


def test_forgotten_jobs_are_unknown_and_live_ones_stay(shop: Workshop) -> None:
    driver = shop.gated()
    ended = shop.submit(driver, MediaInfo(input=shop.clip))
    shop.wait(ended)
    live = shop.submit(driver, shop.transcode())
    until(lambda: not driver.run(driver.provider.forget([ended, live])) and shop.look(ended).not_found, "oblivion")
    assert shop.look(live).state in (JobState.QUEUED, JobState.RUNNING)
    shop.open_gate()
    assert shop.wait(live).state is JobState.SUCCEEDED


def test_no_secret_of_the_submitter_is_on_a_childs_command_line_or_in_a_job_folder(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
    for name in (*names, "MEDIABROKER_TRANSCODE_API_KEY"):
        monkeypatch.setenv(name, f"canary-{name}")
    member = shop.submit(shop.gated(), shop.transcode())
    shop.wait_at_gate()
    children = ("mediabroker_local.processes.runner", "mediabroker_local.processes.worker", "gated-ffmpeg")
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for each in children for pid in shop.pids(each)]
    assert len(lines) >= len(children)
    shop.open_gate()
    assert shop.wait(member).state is JobState.SUCCEEDED
    files = [file.read_bytes() for file in shop.root.rglob("*") if file.is_file()]
    assert files
    assert not [each for each in (*lines, *files) if b"canary-" in each]
