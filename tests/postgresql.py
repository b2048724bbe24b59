"""A PostgreSQL server of a test run's own: an empty cluster on a unix socket, gone afterwards."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

__all__ = ["PostgresqlServer"]

_USER = "mediabroker"


class PostgresqlServer:
    """Started when it is made; `new_database()` gives the URL of an empty one."""

    def __init__(self) -> None:
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="mediabroker-pg-"))
        # The server refuses to run as root, and then runs as the packages' own user, or as nobody.
        self._account = _account() if os.geteuid() == 0 else None
        if self._account:
            shutil.chown(self._folder, self._account)
        self._data = self._folder / "data"
        self._numbers = itertools.count()
        self._run("initdb", "--auth=trust", f"--username={_USER}", "--encoding=UTF8", "--no-sync", self._data)
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}' -c fsync=off"
        self._run("pg_ctl", "--wait", "-D", self._data, "-l", self._folder / "log", "-o", options, "start")

    def kill(self) -> None:
        """End it as a loss of power does: without a word to anybody."""
        self._run("pg_ctl", "--wait", "-D", self._data, "-m", "immediate", "stop")

    def new_database(self) -> str:
        name = f"jobs{next(self._numbers)}"
        self._run("createdb", f"--host={self._folder}", f"--username={_USER}", name)
        return f"postgresql://{_USER}:canary@/{name}?host={self._folder}"

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        command = [self._programs / program, *map(str, arguments)]
        # No pipes: what is started in the background would keep them open.
        subprocess.run(
            command,
            user=self._account,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )


def _programs() -> Path:
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed")
    beside = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/pgsql").glob("*/bin")]
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(beside, reverse=True)
    if not folders:
        pytest.skip("PostgreSQL's server is not installed")
    return folders[0]


def _account() -> str:
    import pwd

    known = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
