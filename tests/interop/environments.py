"""Environments of the clients' own, below `build/interop`, made once, from where pip and npm get their packages."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

__all__ = ["MNS_SDK", "NotToBeHadError", "npm_folder", "oss2_source", "python_with"]

MNS_SDK = "aliyun-mns-sdk==1.3.0"
BUILD = Path(__file__).parents[2] / "build" / "interop"
_LIMIT_S = 120


class NotToBeHadError(Exception):
    """A package cannot be got here; the text says which and why."""


def python_with(name: str, *packages: str) -> Path:
    """The interpreter of an environment that has the packages."""
    folder = BUILD / name
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        _run([sys.executable, "-m", "venv", str(folder)], "venv")
        _run([str(python), "-m", "pip", "install", "-q", "--no-input", *packages], " ".join(packages))
        (folder / "complete").touch()
    return python


def npm_folder(*packages: str) -> Path:
    """A folder in which node finds the packages."""
    folder = BUILD / "npm"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
        _run(command, " ".join(packages))
        (folder / "complete").touch()
    return folder


def oss2_source(python: Path, version: str) -> Path:
    """oss2's source distribution, unpacked: only it holds the integration suite."""
    folder = BUILD / f"oss2-{version}"
    if not folder.exists():
        download = [str(python), "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(BUILD)]
        _run([*download, f"oss2=={version}"], f"oss2 {version}, source")
        with tarfile.open(BUILD / f"oss2-{version}.tar.gz") as archive:
            archive.extractall(BUILD, filter="data")
    return folder


def _run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHadError(f"{what}: {type(error).__name__}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NotToBeHadError(f"{what}: {last[:160]}")
