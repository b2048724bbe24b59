"""The manifest: what a job on many machines consists of, as whoever submits it has written it down."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from mediabroker.errors import InvalidJobError
from mediabroker.jobs import SuperResolution
from mediabroker.models import Value, readable
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from neuron_worker.document import JobDocument
from neuron_worker.video.containers import container_of

__all__ = ["Manifest", "SourceVersion", "load_manifest"]

_LIMIT_BYTES = 1 << 20


class SourceVersion(Value, frozen=True, extra="ignore"):
    """The source as it was when the job was submitted. What else was noted of it then is not needed here."""

    size_bytes: int = Field(ge=0)
    version: str = Field(min_length=1)


class Manifest(Value, frozen=True):
    """What all workers of a job obey.

    Args:
        version: of this format.
        token: of the attempt that this is.
        work: the job's own folder, ending in `/`.
        slice_count: how many workers share the slices: worker k makes slice k, the last one also those after it.
        source: what `job.input` was when the slices were counted.
        job: what to do.
    """

    version: Literal[1]
    token: str
    work: MediaURI
    slice_count: int = Field(ge=1)
    source: SourceVersion
    job: SuperResolution

    def share(self, index: int, planned: int) -> range:
        """The slices of worker `index`, of those that the plan has; none is legal, for headers tell wrong durations."""
        last = index == self.slice_count - 1
        return range(index, planned if last else min(index + 1, planned))

    def build_document(self, source: Path, folder: Path, *, runtime: str, threads: int | None) -> JobDocument:
        """The same job with the source at `source` and everything else in `folder`, both on this machine.

        Raises:
            InvalidJobError: a setting is out of range.
        """
        # Refused here, where the output still has its own name.
        container_of(Path(self.job.output.name))
        output = MediaURI(folder / f"result{Path(self.job.output.name).suffix}")
        job = self.job.model_copy(update={"input": MediaURI(source), "output": output, "overwrite": True})
        try:
            return JobDocument(job=job, work_dir=folder / "work", runtime=runtime, threads=threads)
        except ValidationError as error:
            raise InvalidJobError(readable(error)) from error


def load_manifest(stores: Stores, uri: MediaURI) -> Manifest:
    """The manifest at `uri`.

    Raises:
        InvalidJobError: it breaks the format; the message names each field that does.
        MediaError: it is not there, or may not be read.
        ProviderError: its store cannot be asked now.
    """
    content = bytearray()
    for chunk in stores.of(uri).read(uri):
        content += chunk
        if len(content) > _LIMIT_BYTES:
            raise InvalidJobError(f"{uri} is larger than a manifest can be ({_LIMIT_BYTES} bytes)")
    try:
        return Manifest.model_validate_json(bytes(content))
    except ValidationError as error:
        raise InvalidJobError(f"{uri}: {readable(error)}") from error
