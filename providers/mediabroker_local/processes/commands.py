"""How this package starts its own processes: what they run, what they are told and what they inherit."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from mediabroker_local.processes.locks import FileLock

__all__ = ["build_environment", "start_supervisor", "start_worker"]

_DETACH = Path(__file__).with_name("detach.py")
_LAUNCH_S = 30.0
_WORKER = "mediabroker_local.processes.worker"
_PASSED_ON = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONHOME"})
_PASSED_ON_PREFIXES = ("LC_", "XDG_", "LD_", "DYLD_", "OMP_", "PYTHONWARN", "PYTHONFAULT", "IMAGEIO_", "MEDIABROKER_")
_KEPT_BACK_PREFIXES = ("MEDIABROKER_STORE", "MEDIABROKER_PROVIDERS__")
"""May hold the password of a database or the keys of another provider, which no worker needs."""


def build_environment() -> dict[str, str]:
    """The variables of a child: enough to find the same interpreter, packages and ffmpeg, and no secrets of others."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)) and not name.startswith(_KEPT_BACK_PREFIXES)
    }
    # Children start in "/", where a relative search path means something else; and they must run the same code.
    return {**kept, "PYTHONPATH": os.pathsep.join(_search_path())}


def _search_path() -> list[str]:
    roots = [str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    packages = [find_spec(name) for name in ("mediabroker", "mediabroker_local", "neuron_worker")]
    roots += [str(Path(each.origin).parents[1]) for each in packages if each is not None and each.origin]
    return list(dict.fromkeys(roots))


def start_supervisor(root: Path, slot: FileLock, *, max_attempts: int, grace_s: float) -> None:
    """Start the detached process that runs jobs one after another; it holds `slot` from now on.

    Raises:
        OSError, subprocess.SubprocessError: the machine starts no more processes.
    """
    python = sys.executable
    command = [python, "-m", "mediabroker_local.processes.runner", "--root", str(root), "--slot", str(slot.fd)]
    command += ["--max-attempts", str(max_attempts), "--grace-s", str(grace_s)]
    # -I -S: the launcher needs nothing but the standard library, and whoever submits waits for it.
    launcher = [python, "-I", "-S", str(_DETACH), str(root / "runner.log"), str(slot.fd)]
    subprocess.run(
        [*launcher, *command],
        check=True,
        timeout=_LAUNCH_S,
        pass_fds=(slot.fd,),
        env=build_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def start_worker(folder: Path, log_fd: int, held: tuple[int, int], *, grace_s: float) -> subprocess.Popen[bytes]:
    """Start the process that does one job, in a process group of its own. It shares the locks `held` (job, slot)."""
    return subprocess.Popen(
        [sys.executable, "-m", _WORKER, str(folder), "--lock", str(held[0]), "--grace-s", str(grace_s)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=log_fd,
        stderr=log_fd,
        start_new_session=True,
        pass_fds=held,
    )
