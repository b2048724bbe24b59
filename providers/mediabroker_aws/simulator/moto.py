"""S3 on loopback: moto's server in a process of its own, which ends with this one."""

from __future__ import annotations

import subprocess
import sys

from typing_extensions import Self

__all__ = ["MotoServer"]


class MotoServer:
    """Serves S3, SQS, SNS and EventBridge at `url`.

    Raises:
        RuntimeError: it does not start; `moto[server]` may be missing.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mediabroker_aws.simulator.moto_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for its owner, who ends it when it may
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port:
            self.close()
            raise RuntimeError("moto's server does not start: pip install 'mediabroker[sandbox]'")
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait()
