"""Providers that are wrong, each in one way. The contract suite has to notice every one of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acme_vault import VaultProvider, copy_id
from acme_vault.rig import VaultRig
from acme_vault.wire import VaultTransport

from mediabroker.errors import ErrorCode, JobError, ProviderError
from mediabroker.results import VideoResult
from mediabroker.spi import (
    Call,
    CancelOutcome,
    Flow,
    Member,
    MemberStatus,
    Observation,
    Provider,
    ProviderOptions,
    Reply,
    SubmitContext,
    Submitted,
    ask,
)
from mediabroker.states import JobState

__all__ = ["BrokenRig"]


class _Wrong(VaultProvider):
    """Submits with whatever `_wanted` asks for, and shows what `_shown` makes of each observation."""

    def _wanted(self, ctx: SubmitContext) -> dict[str, Any]:
        return {"token": ctx.token_of("copy"), "source": ctx.input, "target": ctx.output}

    def _shown(self, seen: Observation) -> Observation:
        return seen

    def _create(self, wanted: dict[str, Any]) -> Call[str]:
        return Call("vault", "POST /copies", wanted, "create", "copy", copy_id, {"copy": "<copy.id>", **wanted})

    def submit(self, spec: Any, options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        native_id = yield from ask(self._create(self._wanted(ctx)))
        return Submitted(members=(Member(role="copy", native_id=native_id, output=ctx.output),))

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        return [self._shown(each) for each in (yield from super().query(members))]


class DropsRunning(_Wrong):
    def _shown(self, seen: Observation) -> Observation:
        return seen.model_copy(update={"state": JobState.QUEUED}) if seen.state is JobState.RUNNING else seen


class SwapsIds(_Wrong):
    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        seen = yield from super().query(members)
        return [each.model_copy(update={"native_id": "fv-000000"}) for each in seen]


class InventsUnknownJobs(_Wrong):
    def _shown(self, seen: Observation) -> Observation:
        return Observation(native_id=seen.native_id, state=JobState.QUEUED, raw={}) if seen.not_found else seen


class LosesRaw(_Wrong):
    def _shown(self, seen: Observation) -> Observation:
        return seen.model_copy(update={"raw": None})


class ForgetsWhy(_Wrong):
    def _shown(self, seen: Observation) -> Observation:
        return seen.model_copy(update={"error": None})


class ProgressRunsBack(_Wrong):
    def _shown(self, seen: Observation) -> Observation:
        return seen.model_copy(update={"progress": None if seen.progress is None else 1 - seen.progress})


class WrongResultType(_Wrong):
    def _shown(self, seen: Observation) -> Observation:
        return seen.model_copy(update={"result": VideoResult()}) if seen.result else seen


class StartsTwice(_Wrong):
    def _wanted(self, ctx: SubmitContext) -> dict[str, Any]:
        return {**super()._wanted(ctx), "token": f"{ctx.token}-{secrets.token_hex(4)}"}


class SendsNoToken(_Wrong):
    def _wanted(self, ctx: SubmitContext) -> dict[str, Any]:
        return {**super()._wanted(ctx), "token": f"{ctx.output}"}


class SendsTheClock(_Wrong):
    def _wanted(self, ctx: SubmitContext) -> dict[str, Any]:
        return {**super()._wanted(ctx), "sent_at": int(time.time())}


class SendsTheKey(_Wrong):
    def _wanted(self, ctx: SubmitContext) -> dict[str, Any]:
        return {**super()._wanted(ctx), "auth": self.settings["api_key"]}


class SignsInTheFlow(_Wrong):
    def _wanted(self, ctx: SubmitContext) -> dict[str, Any]:
        return {**super()._wanted(ctx), "link": "https://h/a?X-Amz-Signature=ab"}


class AcceptsAnything(_Wrong):
    def _create(self, wanted: dict[str, Any]) -> Call[str]:
        return Call(
            "vault", "POST /copies", wanted, "create", "copy", lambda reply: str(reply.get("copy")), {"copy": "<id>"}
        )


class PlansRealIds(_Wrong):
    def _create(self, wanted: dict[str, Any]) -> Call[str]:
        return Call("vault", "POST /copies", wanted, "create", "copy", copy_id, {"copy": "fv-000000"})


class DoesIoInTheFlow(_Wrong):
    def submit(self, spec: Any, options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        ctx.input.path.read_bytes()
        return (yield from super().submit(spec, options, ctx))


class HidesACreateAsARead(_Wrong):
    def _create(self, wanted: dict[str, Any]) -> Call[str]:
        return Call("vault", "POST /copies", wanted, read=copy_id)


class RemembersInMemory(_Wrong):
    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(name, settings)
        self._started: set[str] = set()

    def submit(self, spec: Any, options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        submitted = yield from super().submit(spec, options, ctx)
        self._started.add(submitted.members[0].native_id)
        return submitted

    def _shown(self, seen: Observation) -> Observation:
        return seen if seen.native_id in self._started else Observation(native_id=seen.native_id, not_found=True)


class AsksOneByOne(_Wrong):
    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        seen = []
        for member in members:
            seen += yield from super().query([member])
        return seen


class SaysCancelled(_Wrong):
    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        yield from ask(Call("vault", "GET /copies", {"ids": members[0].native_id}))
        return CancelOutcome.CANCELLED


class NeverTooLate(_Wrong):
    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        yield from super().cancel(members)
        return CancelOutcome.REQUESTED


class FindsTheWrongJob(_Wrong):
    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
        yield from ask(Call("vault", "GET /copies", {"token": ctx.token}))
        return [{"copy": "fv-000777"}]


class ParseRaises(_Wrong):
    def parse(self, message: Mapping[str, Any]) -> list[Observation] | None:
        return super().parse(message) if message["from"] == "acme-vault" else None


class TakesStrangersMessages(_Wrong):
    def parse(self, message: Mapping[str, Any]) -> list[Observation] | None:
        return super().parse(message) or []


class RunsAnyKind(_Wrong):
    def check(self, spec: Any, options: ProviderOptions | None) -> None:
        """Let everything pass."""


class RetriesNothing(_Wrong):
    def classify(self, failure: ProviderError) -> JobError:
        return JobError.of(ErrorCode.UNKNOWN, str(failure))


class FoldsToSuccess(_Wrong):
    def fold(self, members: Sequence[MemberStatus]) -> Observation:
        return super().fold(members).model_copy(update={"state": JobState.SUCCEEDED})


class TalkativeTransport(VaultTransport):
    def __init__(self, provider: str, endpoint: str, api_key: str) -> None:
        super().__init__(provider, endpoint, api_key)
        self._api_key = api_key

    def perform(self, call: Call[Any]) -> Reply:
        try:
            return super().perform(call)
        except ProviderError as error:
            raise ProviderError(f"{error} (sent with {self._api_key})", provider="v", operation="o") from None


class TellsTheKey(_Wrong):
    def connect(self, service: str) -> VaultTransport:
        return TalkativeTransport(self.name, self.settings["endpoint"], self.settings["api_key"])


class BrokenRig(VaultRig):
    """The vault's rig, with a provider that has one defect."""

    patience_s = 0.5

    def __init__(self, folder: Path, defect: str) -> None:
        super().__init__(folder)
        self._defect = defect

    def open(self) -> Provider:
        broken: type[Provider] = globals()[self._defect]
        return broken("broken", self.settings)
