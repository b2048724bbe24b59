"""How a client's script tells what works: one JSON line a check. Runs in environments without this project."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

KEY_ID, SECRET = os.environ["KEY_ID"], os.environ["KEY_SECRET"]
MPS, MNS, OSS, BUCKET = (os.environ[name] for name in ("MPS_URL", "MNS_URL", "OSS_URL", "BUCKET"))
ACCOUNT, REGION, PIPELINE = (os.environ[name] for name in ("ACCOUNT", "REGION", "PIPELINE"))


def check(name: str, work: Callable[[], Any]) -> Any:
    """Do it, and tell what came of it; what it returns, or None when it failed."""
    try:
        found = work()
    except Exception as error:
        told, found = f"{type(error).__name__}: {error}"[:300], None
    else:
        told = "ok"
    sys.stdout.write(json.dumps({"check": name, "outcome": told}) + "\n")
    return found


def refused(work: Callable[[], Any], kind: type[BaseException], code: str) -> None:
    """The call fails with that exception, and it names the code."""
    try:
        work()
    except kind as error:
        if code not in f"{getattr(error, 'type', '')} {error}":
            raise AssertionError(f"refused, but as {error}") from error
        return
    raise AssertionError(f"not refused as {code}")
