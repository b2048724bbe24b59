"""The local provider: `start`, `describe`, `cancel` and `forget` as conversations with this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

from pydantic import JsonValue

from mediabroker.errors import (
    ConfigurationError,
    JobError,
    MediaError,
    MissingDependencyError,
    ProviderError,
    UnsupportedError,
)
from mediabroker.jobs import JobSpec, SuperResolution, Transcode
from mediabroker.spi import (
    Call,
    CancelOutcome,
    Capabilities,
    Flow,
    Member,
    Observation,
    Provider,
    ProviderOptions,
    Reply,
    SubmitContext,
    Submitted,
    Transport,
    ask,
)
from mediabroker_local.jobs.verdicts import parse_observation, refusal_error
from mediabroker_local.machine import Machine
from mediabroker_local.options import LocalOptions
from mediabroker_local.production import KINDS as PRODUCTION_KINDS
from mediabroker_local.production import check_production
from mediabroker_local.settings import build_settings

__all__ = ["LocalProvider"]

_SERVICE = "machine"
_STEP = "run"

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "super_resolution": ("av", "numpy", "onnxruntime"),
    "transcode": ("av", "ffmpeg"),
    "snapshot": ("av", "PIL"),
    "media_info": ("av",),
    **dict.fromkeys(PRODUCTION_KINDS, ("av", "numpy", "ffmpeg", "PIL")),
}
"""Import names that a kind cannot do without; all come with the extra `local`."""


class LocalProvider(Provider):
    """Runs jobs on this machine, in processes that outlive the one that submitted them.

    At most `max_parallel` jobs run at a time across all processes with the same root folder, the others wait in the
    order of their submission. Any process of the same user can query and cancel them.
    """

    type: ClassVar[str] = "local"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(name, settings)
        self._settings = build_settings(name, settings)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kinds=tuple(_NEEDS),
            input_schemes=frozenset({"file"}),
            output_schemes=frozenset({"file"}),
            options=LocalOptions,
            settle_time_s=0.0,
            poll_interval_s=0.25,
            query_batch=100,
            lost_after_s=1.0,
            limits={"jobs at a time": str(self._settings.max_parallel)},
        )

    def connect(self, service: str) -> Transport:  # noqa: ARG002  there is one
        return Machine(self.name, self._settings)

    def check(self, spec: JobSpec[Any], options: ProviderOptions | None) -> None:
        """See `Provider.check`.

        Raises:
            UnsupportedError: also for `extra` options, as there is no request that they could be merged into, for
                transcodes of or into folders, and for smart production that no effect here can do.
            MissingDependencyError: names the command that installs what the kind needs.
        """
        super().check(spec, options)
        if options is not None and options.extra:
            raise UnsupportedError(f"options.extra: {self.name} knows nothing beyond its typed options")
        _refuse_folders(self.name, spec)
        check_production(self.name, spec)
        if isinstance(spec, SuperResolution):
            _refuse_upscaling(spec)
        if missing := [name for name in _NEEDS[spec.kind] if find_spec(name) is None]:
            raise MissingDependencyError(
                f"{spec.kind} on this machine needs {', '.join(missing)}: pip install 'mediabroker[local]'"
            )

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        placed = spec.model_copy(update={"input": ctx.input, "output": ctx.output})
        params: dict[str, JsonValue] = {
            "token": ctx.token_of(_STEP),
            "spec": placed.model_dump(mode="json"),
            "options": (options or LocalOptions()).model_dump(mode="json"),
        }
        create = Call(
            service=_SERVICE,
            operation="start",
            params=params,
            effect="create",
            step=_STEP,
            read=lambda reply: _read_job(reply, ctx.token_of(_STEP)),
            stand_in={"job": ctx.token_of(_STEP)},
        )
        token = yield from ask(create)
        return Submitted(members=(Member(role=_STEP, native_id=token, output=ctx.output),))

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        return (yield from ask(_describe([member.native_id for member in members])))

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        jobs: list[JsonValue] = [member.native_id for member in members]
        return (
            yield from ask(
                Call(service=_SERVICE, operation="cancel", params={"jobs": jobs}, effect="cancel", read=_read_outcome)
            )
        )

    def forget(self, members: Sequence[Member]) -> Flow[None]:
        jobs: list[JsonValue] = [member.native_id for member in members]
        yield from ask(Call(service=_SERVICE, operation="forget", params={"jobs": jobs}, effect="cancel"))

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
        token = ctx.token_of(call.step)
        observations = yield from ask(_describe([token]))
        return [{"job": each.native_id} for each in observations if not each.not_found]

    def classify(self, failure: ProviderError) -> JobError:
        return refusal_error(failure)


def _refuse_upscaling(spec: SuperResolution) -> None:
    """Refuse a container or a model that the engine does not have, before anything is stored or read."""
    if find_spec("numpy") is None:
        return  # the missing packages are named next
    from neuron_worker.runtimes.weights import load_card  # noqa: PLC0415  loads numpy
    from neuron_worker.video.containers import container_of  # noqa: PLC0415

    try:
        container_of(spec.output.path)
        load_card(spec.model, spec.scale)
    except MediaError as error:
        raise UnsupportedError(f"output: {error.error.message}") from None
    except ConfigurationError as error:
        raise UnsupportedError(f"model: {error}") from None


def _refuse_folders(name: str, spec: JobSpec[Any]) -> None:
    if isinstance(spec, Transcode):
        for end, uri in (("input", spec.input), ("output", spec.output)):
            if uri.is_folder:
                raise UnsupportedError(f"{end}: {uri} is a folder; {name} transcodes one file to a name of your choice")


def _describe(tokens: Sequence[str]) -> Call[list[Observation]]:
    jobs: list[JsonValue] = list(tokens)
    return Call(service=_SERVICE, operation="describe", params={"jobs": jobs}, read=_read_jobs)


def _read_job(reply: Reply, token: str) -> str:
    if reply.get("job") != token:
        raise ValueError(f"the machine answered with {reply.get('job')!r} instead of the job {token}")
    return token


def _read_jobs(reply: Reply) -> list[Observation]:
    entries: Any = reply["jobs"]
    return [parse_observation(entry) for entry in entries]


def _read_outcome(reply: Reply) -> CancelOutcome:
    outcomes: Any = reply["outcomes"]
    found = {CancelOutcome(outcome) for outcome in outcomes.values()}
    order = (CancelOutcome.REQUESTED, CancelOutcome.CANCELLED)
    return next((outcome for outcome in order if outcome in found), CancelOutcome.TOO_LATE)
