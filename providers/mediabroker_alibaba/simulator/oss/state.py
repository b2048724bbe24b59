"""Buckets, objects and unfinished uploads; bytes on disk, all else in memory."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import RLock

from mediabroker_alibaba.simulator.oss.blobs import Blob, Blobs
from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError
from mediabroker_alibaba.simulator.seams import StorageRefusedError
from mediabroker_alibaba.simulator.world import World

__all__ = ["Bucket", "OssState", "Part", "StoredObject", "Upload"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class StoredObject:
    """One object. `headers` are those that it was stored with and is given out with; `kind` as `x-oss-object-type`."""

    key: str
    blob: Blob
    etag: str
    modified: datetime
    headers: Mapping[str, str]
    kind: str = "Normal"
    acl: str = "default"
    link: str = ""


@dataclass(frozen=True)
class Part:
    """A part of an unfinished upload."""

    number: int
    blob: Blob
    modified: datetime


@dataclass
class Upload:
    """An unfinished upload."""

    id: str
    key: str
    headers: Mapping[str, str]
    initiated: datetime
    acl: str
    parts: dict[int, Part] = field(default_factory=dict)


@dataclass
class Bucket:
    """Its names are one space over all accounts and regions."""

    name: str
    owner: str
    region: str
    created: datetime
    acl: str = "private"
    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)

    def object(self, key: str) -> StoredObject:
        """The object of that key."""
        if key not in self.objects:
            raise OssRefusedError("NoSuchKey", more={"Key": key})
        return self.objects[key]

    def upload(self, key: str, upload_id: str) -> Upload:
        """The unfinished upload to that key."""
        found = self.uploads.get(upload_id)
        if found is None or found.key != key:
            raise OssRefusedError("NoSuchUpload", more={"UploadId": upload_id})
        return found


class OssState:
    """All that is stored in one simulated cloud, in every region; fits `seams.Objects`. Hold `lock` to change it.

    Args:
        folder: where the bytes lie.
    """

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.blobs = Blobs(folder)
        self.lock = RLock()
        self.buckets: dict[str, Bucket] = {}

    def create_bucket(self, account: str, name: str, region: str, *, acl: str | None = None) -> Bucket:
        """Make a bucket, or find the account's own.

        Raises:
            OssRefusedError: the name is invalid, or somebody else's, or in another region.
        """
        if not _NAME.fullmatch(name):
            raise OssRefusedError("InvalidBucketName", more={"BucketName": name})
        with self.lock:
            made = Bucket(name, account, region, self.world.clock.now())
            bucket = self.buckets.setdefault(name, made)
            if (bucket.owner, bucket.region) != (account, region):
                raise OssRefusedError("BucketAlreadyExists", more={"BucketName": name})
            bucket.acl = acl or bucket.acl
            return bucket

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name, whosever it is."""
        if name not in self.buckets:
            raise OssRefusedError("NoSuchBucket", more={"BucketName": name})
        return self.buckets[name]

    def put(self, bucket: Bucket, stored: StoredObject, *, forbid_overwrite: bool = False) -> None:
        """Let the object appear, in one step; the one that was there is gone."""
        with self.lock:
            if forbid_overwrite and stored.key in bucket.objects:
                stored.blob.path.unlink(missing_ok=True)
                raise OssRefusedError("FileAlreadyExists")
            if self.buckets.get(bucket.name) is not bucket:
                raise OssRefusedError("NoSuchBucket", more={"BucketName": bucket.name})
            before = bucket.objects.get(stored.key)
            bucket.objects[stored.key] = stored
        if before is not None and before.blob.path != stored.blob.path:
            before.blob.path.unlink(missing_ok=True)  # who has it open reads on

    def remove(self, bucket: Bucket, key: str) -> None:
        """Let the object disappear, if it is there."""
        with self.lock:
            before = bucket.objects.pop(key, None)
        if before is not None:
            before.blob.path.unlink(missing_ok=True)

    def begin_upload(self, bucket: Bucket, key: str, headers: Mapping[str, str], acl: str) -> Upload:
        """Begin an upload in parts."""
        upload = Upload(secrets.token_hex(16).upper(), key, headers, self.world.clock.now(), acl)
        with self.lock:
            bucket.uploads[upload.id] = upload
        return upload

    def end_upload(self, bucket: Bucket, upload: Upload) -> None:
        """Forget an upload and the parts that nobody needs."""
        with self.lock:
            bucket.uploads.pop(upload.id, None)
        for part in upload.parts.values():
            part.blob.path.unlink(missing_ok=True)

    def region_of(self, account: str, bucket: str) -> str | None:
        """See `seams.Objects`."""
        found = self.buckets.get(bucket)
        return found.region if found is not None and found.owner == account else None

    def fetch(self, account: str, bucket: str, key: str, target: Path) -> None:
        """See `seams.Objects`."""
        found = self._found(account, bucket)
        with self.lock:
            if (stored := found.objects.get(key)) is None:
                raise StorageRefusedError("NoSuchKey", f"{bucket}/{key} does not exist.")
            source = stored.blob.path.open("rb")  # whoever replaces it meanwhile does not disturb us
        with source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)

    def store(self, account: str, bucket: str, key: str, source: Path) -> None:
        """See `seams.Objects`."""
        found = self._found(account, bucket)
        with source.open("rb") as file:
            blob = self.blobs.receive(file)
        try:
            self.put(found, StoredObject(key, blob, blob.md5, self.world.clock.now(), {}))
        except OssRefusedError as refused:
            raise StorageRefusedError(refused.code, refused.message) from None

    def _found(self, account: str, bucket: str) -> Bucket:
        found = self.buckets.get(bucket)
        if found is None:
            raise StorageRefusedError("NoSuchBucket", f"The bucket {bucket} does not exist.")
        if found.owner != account:
            raise StorageRefusedError("AccessDenied", f"The bucket {bucket} belongs to somebody else.")
        return found
