"""The transport to this machine: job folders are its database, detached supervisors its hands."""

from __future__ import annotations

import errno
import logging
import re
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue

from mediabroker.errors import ErrorCode, InvalidJobError, MediaError, ProviderError
from mediabroker.jobs import JobSpec
from mediabroker.spi import Call, CancelOutcome, Reply
from mediabroker_local.admission import admit_files, claimed_output, refuse_taken_output
from mediabroker_local.jobs.folder import JobFolder
from mediabroker_local.jobs.spool import Spool
from mediabroker_local.processes.commands import start_supervisor
from mediabroker_local.processes.locks import LockTimeoutError, try_lock
from mediabroker_local.settings import LocalSettings

__all__ = ["Machine"]

_log = logging.getLogger(__name__)

_TOKEN = re.compile(r"[a-z0-9][a-z0-9\-]{0,127}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class _RefusedError(Exception):
    """This machine's code for a refusal, and the sentence."""


class Machine:
    """Performs `start`, `describe`, `cancel` and `forget` on the folders under `settings.root`. Thread-safe."""

    def __init__(self, name: str, settings: LocalSettings) -> None:
        self._name = name
        self._settings = settings
        self._spool = Spool(settings.root)
        self._operations: Mapping[str, Callable[[Mapping[str, Any]], Reply]] = {
            "start": self._start,
            "describe": self._describe,
            "cancel": self._cancel,
            "forget": self._forget,
        }

    def close(self) -> None:
        """Nothing stays open between calls."""

    def perform(self, call: Call[Any]) -> Reply:
        """See `Transport.perform`; whatever is raised, the call had no effect."""
        try:
            self._spool.prepare()
            return self._operations[call.operation](call.params)
        except LockTimeoutError as error:
            raise self._refusal(call, "Busy", str(error), retryable=True) from error
        except OSError as error:
            code = "NoSpace" if error.errno in _FULL else "FolderUnusable"
            message = f"the job folder {self._settings.root} cannot be used: {error.strerror or error}"
            raise self._refusal(call, code, message) from error
        except MediaError as error:
            raise self._refusal(call, error.error.code.value, error.error.message) from error
        except _RefusedError as error:
            raise self._refusal(call, *error.args) from None

    def _refusal(self, call: Call[Any], code: str, message: str, *, retryable: bool = False) -> ProviderError:
        return ProviderError(
            message, provider=self._name, operation=call.operation, provider_code=code, retryable=retryable
        )

    def _start(self, params: Mapping[str, Any]) -> Reply:
        token = params["token"]
        if not _TOKEN.fullmatch(token):
            raise _RefusedError("InvalidToken", f"{token!r} cannot name a job folder")
        folder = self._spool.folder(token)
        if not folder.exists():
            spec = _parse(params["spec"])
            admit_files(spec)
            self._add(folder, {**params, "claim": claimed_output(spec)})
        self._run_waiting()
        return {"job": token}

    def _add(self, folder: JobFolder, document: dict[str, Any]) -> None:
        own = self._settings.model_dump(mode="json", include={"ffmpeg", "media_limits", "process_limits"})
        with self._spool.locked():
            if folder.exists():
                return
            refuse_taken_output(document["claim"], self._spool.unfinished())
            try:
                self._spool.add(folder.token, {**document, "settings": own})
            except OSError:
                if not folder.exists():  # once the folder stands, the job is accepted, whatever failed after that
                    raise

    def _describe(self, params: Mapping[str, Any]) -> Reply:
        positions = self._spool.positions()
        entries = [self._entry(token, positions) for token in params["jobs"]]
        if positions:
            self._run_waiting()
        return {"jobs": entries}

    def _entry(self, token: str, positions: Mapping[str, int]) -> JsonValue:
        folder = self._spool.folder(token)
        try:
            if _TOKEN.fullmatch(token):
                kind = folder.document()["spec"]["kind"]
                return {"job": token, "kind": kind, "ahead": positions.get(token), **folder.state()}
        except FileNotFoundError:
            pass  # never there, or forgotten just now
        return {"job": token, "state": None}

    def _cancel(self, params: Mapping[str, Any]) -> Reply:
        outcomes: dict[str, JsonValue] = {token: str(self._cancel_one(token)) for token in params["jobs"]}
        return {"outcomes": outcomes}

    def _cancel_one(self, token: str) -> CancelOutcome:
        folder = self._spool.folder(token)
        if not _TOKEN.fullmatch(token) or not folder.exists():
            raise _RefusedError("UnknownJob", f"there is no job {token} on this machine")
        if not folder.has_ended():
            folder.request_cancel()
            with self._spool.locked():
                if (lock := try_lock(folder.lock_path)) is None:
                    return CancelOutcome.REQUESTED  # it runs: its worker and its supervisor see the mark
                with lock:
                    self._spool.settle(folder)
        return CancelOutcome.CANCELLED if folder.state()["state"] == "CANCELLED" else CancelOutcome.TOO_LATE

    def _forget(self, params: Mapping[str, Any]) -> Reply:
        folders = [self._spool.folder(token) for token in params["jobs"] if _TOKEN.fullmatch(token)]
        with self._spool.locked():
            forgotten: list[JsonValue] = [folder.token for folder in folders if self._spool.forget(folder)]
            self._spool.sweep()
        return {"forgotten": forgotten}

    def _run_waiting(self) -> None:
        """Start supervisors for waiting jobs as far as slots are free; heals whatever was killed before."""
        try:
            with self._spool.locked():
                self._fill_slots(self._settings.max_parallel)
        except (OSError, subprocess.SubprocessError) as error:
            # What was asked of this call is done; the jobs stay queued, and the next call tries again.
            _log.warning("no supervisor could be started: %s", error, extra={"root": str(self._settings.root)})

    def _fill_slots(self, limit: int) -> None:
        waiting: int | None = None
        for index in range(limit):
            if (slot := self._spool.try_slot(index)) is None:
                continue
            with slot:
                waiting = self._spool.waiting(limit) if waiting is None else waiting - 1
                if waiting <= 0:
                    return
                start_supervisor(
                    self._settings.root,
                    slot,
                    max_attempts=self._settings.max_worker_attempts,
                    grace_s=self._settings.cancel_grace_s,
                )


def _parse(fields: Mapping[str, Any]) -> JobSpec[Any]:
    try:
        return JobSpec.parse(fields)
    except InvalidJobError as error:
        # Untyped, it would pass for a call whose end nobody knows.
        raise _RefusedError(ErrorCode.INVALID_SPEC.value, str(error)) from None
