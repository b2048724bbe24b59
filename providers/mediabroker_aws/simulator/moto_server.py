"""moto's server, with the rules of S3 that moto leaves out: `python -m mediabroker_aws.simulator.moto_server`.

Prints its port, and serves until its standard input is closed.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["check_completion"]

_NAMED = re.compile(rb"<Checksum(CRC32|CRC32C|CRC64NVME|SHA1|SHA256)>")


def check_completion(body: bytes, algorithm: str | None, kind: str | None) -> str | None:
    """Return why S3 refuses to complete an upload, or None.

    Args:
        body: of `CompleteMultipartUpload`.
        algorithm: `ChecksumAlgorithm` of the upload's `CreateMultipartUpload`, if it named one.
        kind: its `ChecksumType`.

    Source: Amazon S3 API Reference, "CompleteMultipartUpload" (InvalidPart, InvalidRequest) and "CreateMultipartUpload"
    (ChecksumType: composite where none is named), read 2026.
    """
    named = {each.decode() for each in _NAMED.findall(body)}
    if named - {algorithm}:
        return "InvalidPart"
    if algorithm and algorithm != "CRC64NVME" and kind != "FULL_OBJECT" and not named:
        return "InvalidRequest"
    return None


def _refuse_completions(response: Any, exceptions: Any) -> None:
    name = "_key_response_post"  # moto has no public place for such a rule
    plain: Callable[..., Any] = getattr(response, name)

    def checked(self: Any, request: Any, body: bytes, *where: Any) -> Any:
        bucket, query, _ = where
        if upload_id := (query.get("uploadId") or [""])[0]:
            _check_version(self, bucket, where[2], exceptions)
            upload = self.backend.get_bucket(bucket).multiparts.get(upload_id)
            about = upload.metadata if upload is not None else {}
            declared = about.get("x-amz-checksum-algorithm"), about.get("x-amz-checksum-type")
            if upload is not None and (code := check_completion(body, *declared)):
                raise exceptions.S3ClientError(code, "the checksums are not those that the upload has announced")
        return plain(self, request, body, *where)

    setattr(response, name, checked)


def _check_version(response: Any, bucket: str, key: str, exceptions: Any) -> None:
    """Reject the completion of an upload that is to replace another version than the one that is there.

    Source: Amazon S3 API Reference, "CompleteMultipartUpload" (If-Match); User Guide, "Conditional writes".
    """
    wanted = response.headers.get("If-Match")
    if wanted is None:
        return
    found = response.backend.get_object(bucket, key)
    if found is None:
        raise exceptions.MissingKey
    if found.etag.strip('"') != wanted.strip('"'):
        raise exceptions.PreconditionFailed("If-Match")


def serve() -> None:
    """Serve on a free port of loopback."""
    from moto.s3 import exceptions  # noqa: PLC0415  it takes a second to import
    from moto.s3.responses import S3Response  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _refuse_completions(S3Response, exceptions)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)  # noqa: T201  what the parent reads
    sys.stdin.read()


if __name__ == "__main__":
    serve()
