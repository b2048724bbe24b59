"""One worker of a job: what it was told, and what it needs to do its part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from mediabroker.errors import MediaError
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from neuron_worker.fleet.claims import Claims
from neuron_worker.fleet.fetch import local_source
from neuron_worker.fleet.manifest import Manifest
from neuron_worker.fleet.scratch import Scratch
from neuron_worker.fleet.shelf import Shelf
from neuron_worker.job import Job
from neuron_worker.progress import Progress
from neuron_worker.video.plan import Plan

__all__ = ["PLAN", "Worker"]

PLAN = "plan.json"


@dataclass(frozen=True)
class Worker:
    """`shelf` is what it shares with the others, `scratch` its room on this machine.

    `on_progress` is told how far its own slices are; `stop` ends it within seconds.
    """

    stores: Stores
    manifest: Manifest
    shelf: Shelf
    claims: Claims
    scratch: Scratch
    runtime: str
    threads: int | None
    on_progress: Callable[[Progress], None]
    stop: Event

    def plan(self) -> Plan | None:
        """The plan that all workers obey, if one was made."""
        return self.shelf.read(PLAN, Plan)

    @contextmanager
    def open(self, plan: Plan | None) -> Iterator[Job]:
        """The job on this machine, its source fetched and its plan made, unless there is one.

        The first plan that is stored counts: a worker whose own comes second does as if it had never made it.

        Raises:
            MediaError: the source is not there, has changed, or cannot be upscaled as asked.
            ConfigurationError: the model or the runtime cannot be used here, or the plan was made with others.
            ProviderError: the store cannot be asked now.
            InterruptedWorkError: `stop` was set.
        """
        wanted, source = self.manifest.job, self.manifest.source
        with (
            local_source(self.stores, self.scratch, wanted.input, source, self.stop) as local,
            self.scratch.private() as folder,
        ):
            document = self.manifest.build_document(local.path, folder, runtime=self.runtime, threads=self.threads)
            with _by_their_names({local.path: wanted.input, document.job.output.path: wanted.output}):
                job = Job.open(document, self.stop, origin=local.origin, stored=plan)
                kept = None if plan else self.shelf.keep(PLAN, job.plan)
                if kept is not None and kept != job.plan:
                    job = Job.open(document, self.stop, origin=local.origin, stored=kept)
                yield job


@contextmanager
def _by_their_names(names: Mapping[Path, MediaURI]) -> Iterator[None]:
    """What goes wrong with a local copy is told of the object that it is a copy of."""
    try:
        yield
    except MediaError as error:
        message = error.error.message
        for path, uri in names.items():
            message = message.replace(str(path), str(uri))
        if message == error.error.message:
            raise
        raise MediaError(error.error.code, message) from error
