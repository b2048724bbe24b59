"""Why an ffmpeg child failed, from its exit code and the end of its messages.

Source of the sentences: FFmpeg 9.0 and 8.1, seen on files made to fail, and its fftools and libavutil/error.c; of the
exit code 69: ffmpeg manual, `-max_error_rate`.
"""

from __future__ import annotations

import re
import signal

from mediabroker.errors import ErrorCode, MediaError

__all__ = ["classify_exit", "readable_tail", "truncation"]

_TOO_MANY_ERRORS = 69
_TOLD_TO_STOP = 255
"""ffmpeg catches the polite signals, the one for spent processor time among them, and ends with this."""

_SENTENCES: tuple[tuple[str, ErrorCode, str], ...] = (
    (r"No space left on device|Disk quota exceeded", ErrorCode.OUT_OF_RESOURCES, "the disk is full"),
    (r"Cannot allocate memory|Out of memory|malloc.*failed", ErrorCode.OUT_OF_RESOURCES, "memory ran out"),
    (r"Too many open files", ErrorCode.OUT_OF_RESOURCES, "too many files are open"),
    (r"File too large", ErrorCode.OUT_OF_RESOURCES, "the output is larger than a file may be"),
    (
        r"opening output.*Permission denied|Read-only file system",
        ErrorCode.OUTPUT_DENIED,
        "the output may not be written",
    ),
    (r"opening input.*Permission denied", ErrorCode.INPUT_DENIED, "the input may not be read"),
    (r"opening input.*No such file", ErrorCode.INPUT_NOT_FOUND, "the input does not exist"),
    (r"not on whitelist", ErrorCode.MEDIA_UNSUPPORTED, "the input points at another file"),
    (r"[Pp]icture size .* is invalid", ErrorCode.MEDIA_UNSUPPORTED, "the picture is too large"),
    (r"Decoder .*not found|no decoder|Unknown decoder", ErrorCode.MEDIA_UNSUPPORTED, "no decoder knows the codec"),
    (r"Unknown encoder|Encoder not found", ErrorCode.MEDIA_UNSUPPORTED, "this ffmpeg lacks the encoder"),
    (
        r"Invalid data found|moov atom not found|partial file|ended prematurely|could not find codec parameters",
        ErrorCode.MEDIA_CORRUPT,
        "the input is damaged or incomplete",
    ),
)
_SIGNALS: dict[int, tuple[ErrorCode, str]] = {
    signal.SIGXCPU: (ErrorCode.OUT_OF_RESOURCES, "it used up its processor time"),
    signal.SIGXFSZ: (ErrorCode.OUT_OF_RESOURCES, "the output is larger than a file may be"),
    signal.SIGKILL: (ErrorCode.OUT_OF_RESOURCES, "the system killed it, most likely for memory"),
}
_TRUNCATED = re.compile(r"partial file|ended prematurely|[Tt]runcat")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def classify_exit(exit_code: int, stderr: str) -> MediaError:
    """The error for a child that ended with `exit_code` (negative: killed by that signal) after saying `stderr`."""
    tail = readable_tail(stderr)
    details = {"provider_code": f"exit {exit_code}", "raw": {"exit_code": exit_code, "stderr": tail}}
    if exit_code == _TOO_MANY_ERRORS:
        return MediaError(ErrorCode.MEDIA_CORRUPT, "the input is damaged: too many frames cannot be decoded", **details)
    for pattern, code, reason in _SENTENCES:
        if re.search(pattern, stderr):
            return MediaError(code, f"ffmpeg failed: {reason}. {_last_line(tail)}".strip(), **details)
    if -exit_code in _SIGNALS:
        code, reason = _SIGNALS[-exit_code]
        return MediaError(code, f"ffmpeg was stopped: {reason}", **details)
    if exit_code == _TOLD_TO_STOP:
        reason = "its processor time is used up, or the machine is stopping"
        return MediaError(ErrorCode.OUT_OF_RESOURCES, f"ffmpeg was told to stop: {reason}", **details)
    if exit_code < 0:
        return MediaError(ErrorCode.WORKER_CRASHED, f"ffmpeg crashed with signal {-exit_code}", **details)
    return MediaError(ErrorCode.UNKNOWN, f"ffmpeg ended with {exit_code}. {_last_line(tail)}".strip(), **details)


def truncation(stderr: str) -> str | None:
    """The line in which ffmpeg says that the input breaks off. It then ends with exit code 0 and a short output."""
    return next((line for line in readable_tail(stderr).splitlines() if _TRUNCATED.search(line)), None)


def readable_tail(stderr: str, *, lines: int = 20) -> str:
    """The last lines, without control characters: they are shown on terminals and kept in logs."""
    return "\n".join(_CONTROL.sub("", line)[:500] for line in stderr.splitlines()[-lines:])


def _last_line(tail: str) -> str:
    return tail.rstrip().rpartition("\n")[2]
