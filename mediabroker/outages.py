"""How a loop lives through an outage: it pauses ever longer, and logs one line at the start and one at the end."""

from __future__ import annotations

import logging
import random

from mediabroker.errors import MediaBrokerError

__all__ = ["Outage"]

_CAP_S = 60.0


class Outage:
    """What one loop has met. For one thread.

    Args:
        log: where the two lines go.
        what: the subject of both, such as "events of consumer x".
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log, self._what = log, what
        self.failures = 0
        """How many tries have failed in a row."""

    def failed(self, error: BaseException) -> float:
        """Note a failed try; return how many seconds to pause before the next."""
        self.failures += 1
        if self.failures == 1:
            defect = None if isinstance(error, MediaBrokerError) else error
            self._log.warning("%s: out of order: %s; trying again", self._what, error, exc_info=defect)
        ceiling_s = min(2.0 ** min(self.failures - 1, 10), _CAP_S)
        return random.uniform(ceiling_s / 2, ceiling_s)  # noqa: S311  jitter is no secret

    def succeeded(self) -> None:
        """Note a try that succeeded."""
        if self.failures:
            self._log.warning("%s: in order again after %d failed tries", self._what, self.failures)
            self.failures = 0
