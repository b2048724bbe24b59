"""The command `mediabroker`: every capability of the broker from a terminal or a script.

The result goes to stdout, everything else (progress, notes, errors) to stderr. `--json` makes stdout one JSON document
(for `watch`: one event a line), errors included: `{"error": {"type", "message", "exit_code", ...}}`.

Exit codes:
    0    done as asked
    1    the job failed or was cancelled, or a file could not be read or written
    2    the request is wrong: arguments, job description, unsupported option, idempotency conflict
    3    configuration: a setting is wrong, or an optional package is missing
    4    no such job or message
    5    a provider refused the request or could not be reached
    6    the job store cannot be opened, or is busy
    7    the time to wait was over; the job goes on
    70   an internal error: a defect of mediabroker
    130  interrupted with Ctrl-C
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process and exit with its code."""
    from mediabroker.cli.app import run  # noqa: PLC0415  importing the package must stay light

    sys.exit(run(sys.argv[1:]))
