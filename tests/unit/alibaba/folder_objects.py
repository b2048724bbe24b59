"""Objects in a folder, for tests of what works on them without a store that speaks HTTP."""

from __future__ import annotations

import shutil
from pathlib import Path

from mediabroker_alibaba.simulator.seams import StorageRefusedError


class FolderObjects:
    """Buckets of one account in one region; fits `seams.Objects`."""

    def __init__(self, root: Path, account: str, region: str, *buckets: str) -> None:
        self.root, self.account, self.region = root, account, region
        for bucket in buckets:
            (root / bucket).mkdir(parents=True)

    def region_of(self, account: str, bucket: str) -> str | None:
        return self.region if account == self.account and (self.root / bucket).is_dir() else None

    def path(self, bucket: str, key: str) -> Path:
        return self.root / bucket / key.replace("/", "%2F")

    def fetch(self, account: str, bucket: str, key: str, target: Path) -> None:
        if self.region_of(account, bucket) is None:
            raise StorageRefusedError("NoSuchBucket", "The specified bucket does not exist.")
        if not self.path(bucket, key).exists():
            raise StorageRefusedError("NoSuchKey", "The specified key does not exist.")
        shutil.copyfile(self.path(bucket, key), target)

    def store(self, account: str, bucket: str, key: str, source: Path) -> None:
        if self.region_of(account, bucket) is None:
            raise StorageRefusedError("NoSuchBucket", "The specified bucket does not exist.")
        shutil.copyfile(source, self.path(bucket, key))

    def keys(self, bucket: str) -> list[str]:
        return sorted(path.name.replace("%2F", "/") for path in (self.root / bucket).iterdir())
