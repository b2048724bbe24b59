"""What the Python clients share. They run in environments of their own, where nothing of this project is installed."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

MPS, MNS, OSS = (os.environ[f"INTEROP_{each}"] for each in ("MPS", "MNS", "OSS"))
KEY_ID, SECRET, REGION = (os.environ[f"INTEROP_{each}"] for each in ("KEY_ID", "SECRET", "REGION"))
BUCKET, QUEUE = "media", "interop"


def run(*checks: Callable[[], None]) -> None:
    """Each check a line of the table."""
    for check in checks:
        try:
            check()
        except Exception:
            traceback.print_exc()
            sys.stdout.write(f"FAILED {check.__name__}\n")
        else:
            sys.stdout.write(f"ok {check.__name__}\n")
        sys.stdout.flush()


def refusal(call: Callable[[], object]) -> Exception:
    """What the call raises."""
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("it was not refused")
