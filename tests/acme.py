"""The example provider's package, installed as its author would install it."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "examples/acme-provider"


@cache
def installed() -> Path:
    """Return a folder for `sys.path` that holds the package and its metadata; it is removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="acme-provider-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source = folder / "source"  # hatchling writes beside what it builds
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(folder / "site"), str(source)]
    subprocess.run([*pip, *options], check=True, capture_output=True, timeout=120)
    return folder / "site"
