"""ffmpeg's progress lines as values, and its last words as codes."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker.errors import ErrorCode
from mediabroker.media.ffmpeg.failures import classify_exit, readable_tail, truncation
from mediabroker.media.ffmpeg.progress import Progress, ProgressParser


def _feed(parser: ProgressParser, *lines: str) -> Progress | None:
    last = None
    for line in lines:
        last = parser.feed(line) or last
    return last


def test_a_block_becomes_one_progress_with_its_share_of_the_total() -> None:
    parser = ProgressParser(total_s=10.0)
    assert parser.feed("frame=50") is None
    seen = _feed(parser, "fps=25.5", "total_size=4096", "out_time_us=2500000", "speed=1.5x", "progress=continue")
    assert seen == Progress(frames=50, out_time_s=2.5, size_bytes=4096, fps=25.5, speed=1.5, total_s=10.0)
    assert seen.fraction == 0.25


def test_unknown_total_gives_no_fraction_and_missing_values_stay() -> None:
    parser = ProgressParser()
    _feed(parser, "frame=7", "out_time_us=1000000", "total_size=10", "progress=continue")
    seen = _feed(parser, "frame=N/A", "out_time_us=N/A", "total_size=N/A", "speed=N/A", "progress=end")
    assert seen == Progress(frames=7, out_time_s=1.0, size_bytes=10)
    assert seen.fraction is None


def test_time_never_runs_backwards_and_the_fraction_stays_within_one() -> None:
    parser = ProgressParser(total_s=1.0)
    _feed(parser, "out_time_us=3000000", "progress=continue")
    seen = _feed(parser, "out_time_us=-9223372036854775807", "progress=continue")
    assert seen is not None
    assert (seen.out_time_s, seen.fraction) == (3.0, 1.0)


@given(st.lists(st.text(max_size=40), max_size=30))
def test_any_lines_are_survived(lines: list[str]) -> None:
    _feed(ProgressParser(5.0), *lines, "frame=inf", "fps=nan", "progress=end")


@pytest.mark.parametrize(
    ("exit_code", "stderr", "code"),
    [
        (1, "Error writing trailer: No space left on device", ErrorCode.OUT_OF_RESOURCES),
        (1, "av_interleaved_write_frame(): Disk quota exceeded", ErrorCode.OUT_OF_RESOURCES),
        (1, "Error while filtering: Cannot allocate memory", ErrorCode.OUT_OF_RESOURCES),
        (1, "[out#0/mp4] Error opening output out.mp4: Permission denied", ErrorCode.OUTPUT_DENIED),
        (1, "Error opening input files: No such file or directory", ErrorCode.INPUT_NOT_FOUND),
        (1, "moov atom not found", ErrorCode.MEDIA_CORRUPT),
        (1, "Format not on whitelist 'mov'", ErrorCode.MEDIA_UNSUPPORTED),
        (1, "Unknown encoder 'libx265'", ErrorCode.MEDIA_UNSUPPORTED),
        (69, "whatever", ErrorCode.MEDIA_CORRUPT),
        (255, "", ErrorCode.OUT_OF_RESOURCES),
        (-signal.SIGKILL, "", ErrorCode.OUT_OF_RESOURCES),
        (-signal.SIGXCPU, "", ErrorCode.OUT_OF_RESOURCES),
        (-signal.SIGSEGV, "", ErrorCode.WORKER_CRASHED),
        (7, "something new", ErrorCode.UNKNOWN),
    ],
)
def test_exit_codes_and_last_words_become_codes(exit_code: int, stderr: str, code: ErrorCode) -> None:
    error = classify_exit(exit_code, stderr).error
    assert error.code is code
    assert error.provider_code == f"exit {exit_code}"


def test_the_tail_is_bounded_and_holds_no_control_characters() -> None:
    tail = readable_tail("\n".join(f"\x1b[31mline {number}\x07" + "x" * 9999 for number in range(99)))
    assert len(tail.splitlines()) == 20
    assert max(map(len, tail.splitlines())) <= 500
    assert "\x1b" not in tail
    assert "\x07" not in tail


def test_truncation_finds_the_line_that_says_so() -> None:
    assert (
        truncation("a\n[mov] stream 1, offset 0x2408: partial file\nb") == "[mov] stream 1, offset 0x2408: partial file"
    )
    assert truncation("all is well") is None
