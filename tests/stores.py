"""An object store whose buckets are folders: real files, shared by processes, with a hook where a test may strike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mediabroker.objects import ObjectStat
from mediabroker.refs import MediaURI
from mediabroker.storage.file import FileStore

Hook = Callable[[str, MediaURI], None]


class BucketFolders:
    """`s3://bucket/key` is the file `<root>/bucket/key`.

    `hook` is called with "read" and "write" before each chunk, and with "written" and "deleted" after the effect.
    """

    chunk_bytes = 4

    def __init__(self, root: Path, hook: Hook = lambda moment, uri: None) -> None:
        self._root = root
        self._files = FileStore()
        self.hook = hook

    def _file(self, uri: MediaURI) -> MediaURI:
        return MediaURI(f"{self._root}/{uri.bucket}/{uri.key}")

    def stat(self, uri: MediaURI) -> ObjectStat | None:
        return self._files.stat(self._file(uri))

    def read(self, uri: MediaURI, *, start: int = 0) -> Iterator[bytes]:
        body = b"".join(self._files.read(self._file(uri), start=start))
        for at in range(0, len(body), self.chunk_bytes):
            self.hook("read", uri)
            yield body[at : at + self.chunk_bytes]

    def write(
        self, uri: MediaURI, chunks: Iterator[bytes], *, overwrite: bool = False, if_version: str | None = None
    ) -> ObjectStat:
        path = self._file(uri).path
        path.parent.mkdir(parents=True, exist_ok=True)

        def noticed() -> Iterator[bytes]:
            for chunk in chunks:
                self.hook("write", uri)
                yield chunk

        written = self._files.write(self._file(uri), noticed(), overwrite=overwrite, if_version=if_version)
        self.hook("written", uri)
        return written

    def delete(self, uri: MediaURI) -> None:
        self._files.delete(self._file(uri))
        self.hook("deleted", uri)

    def list(self, folder: MediaURI) -> Iterator[MediaURI]:
        base = self._file(folder).path
        for each in self._files.list(self._file(folder)):
            yield MediaURI(f"{folder}{each.path.relative_to(base)}")

    def close(self) -> None:
        """Nothing stays open between calls."""

    def put(self, uri: str, body: bytes) -> None:
        self.write(MediaURI(uri), iter([body]), overwrite=True)

    def get(self, uri: str) -> bytes:
        return self._file(MediaURI(uri)).path.read_bytes()

    def names(self, bucket: str) -> list[str]:
        """Every key in a bucket."""
        base = self._root / bucket
        return sorted(str(path.relative_to(base)) for path in base.rglob("*") if path.is_file())
