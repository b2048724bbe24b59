"""The deployed super-resolution service as plain HTTP clients see it, and what lies behind it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from mediabroker.clock import Clock
from mediabroker_aws.simulator.rigs.service import API_KEY, ServiceRig


class Service:
    """Its URL is the original manual's: a stage without a slash at the end."""

    def __init__(self, folder: Path, *, clock: Clock | None = None, **changed: Any) -> None:
        self.rig = ServiceRig(folder, clock=clock, **changed)
        self.account, self.clip = self.rig.account, folder / "clip.mp4"
        self.url = f"{self.rig.front.url}/prod"
        self._client = httpx.Client(headers={"x-api-key": API_KEY}, timeout=60)

    def post(self, body: Any = None, *, key: str | None = None, **more: Any) -> httpx.Response:
        """`body` as JSON; bytes as they are."""
        headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
        sent: Mapping[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        return self._client.post(self.url, headers=headers, **sent, **more)

    def get(self, path: str, **query: str) -> httpx.Response:
        return self._client.get(f"{self.url}{path}", params=query or None)

    def delete(self, path: str) -> httpx.Response:
        return self._client.delete(f"{self.url}{path}")

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._client.request(method, f"{self.url}{path}", **more)

    def steps(self) -> list[str]:
        """Which steps Batch has accepted, in order."""
        return [job.name.rpartition("-")[2] for job in self.account.simulator.jobs()]

    def ids(self) -> set[str]:
        """Of all jobs that the service has written down."""
        listed = self.account.s3.list_objects_v2(Bucket=self.account.bucket, Prefix="wip/requests/")
        return {each["Key"].split("/")[2] for each in listed.get("Contents", ())} - {"names"}

    def advance(self, steps: int = 12) -> None:
        for _ in range(steps):
            self.account.simulator.advance()

    def put(self, key: str, body: bytes | Path) -> None:
        content = body if isinstance(body, bytes) else body.read_bytes()
        self.account.s3.put_object(Bucket=self.account.bucket, Key=key, Body=content)

    def spoil(self, fault: Any, step: str, times: int = 1) -> None:
        self.account.simulator.faults.add(
            "SubmitJob", fault, times=times, when=lambda params: params["jobName"].endswith(step)
        )

    def close(self) -> None:
        self._client.close()
        with suppress(httpx.HTTPError):
            self.rig.close()


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The refusal in an answer."""
    error: dict[str, Any] = answer.json()["error"]
    return error
