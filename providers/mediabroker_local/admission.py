"""What is refused before anything is started, because its end is certain.

The files can change between this look and the run; the worker and the publishing step decide again, for good.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.jobs import JobSpec, MediaInfo, SmartProduction, Snapshot
from mediabroker.media.publish import check_output
from mediabroker.media.sniff import sniff
from mediabroker_local.jobs.folder import JobFolder

__all__ = ["admit_files", "claimed_output", "refuse_taken_output"]


def admit_files(spec: JobSpec[Any]) -> None:
    """Look at input and output where they lie.

    Raises:
        MediaError: the input is no media file or cannot be read, or the output cannot or must not be written there.
    """
    sniff(spec.input.path, images=isinstance(spec, MediaInfo | SmartProduction))
    if spec.output is not None:
        for output in _outputs(spec, spec.output.path):
            check_output(output, overwrite=spec.overwrite, source=spec.input.path)


def claimed_output(spec: JobSpec[Any]) -> str | None:
    """The one spelling of the output's place, whatever links lead to its folder."""
    if spec.output is None:
        return None
    path: Path = spec.output.path
    return str(Path(os.path.realpath(path.parent), path.name))  # Path.resolve would follow the name itself too


def refuse_taken_output(claim: str | None, unfinished: Iterable[JobFolder]) -> None:
    """Refuse what would write where an unfinished job writes.

    Raises:
        MediaError: `OUTPUT_EXISTS`; names the other job.
    """
    for other in unfinished:
        if claim is not None and other.document()["claim"] == claim and not other.has_ended():
            message = f"{claim} is already the output of the unfinished job {other.token}"
            raise MediaError(ErrorCode.OUTPUT_EXISTS, message)


def _outputs(spec: JobSpec[Any], output: Path) -> list[Path]:
    if isinstance(spec, Snapshot):
        return [output.with_name(output.name.replace("{index}", str(index + 1))) for index in range(len(spec.at_s))]
    return [output]
