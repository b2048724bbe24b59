"""A second process on the same account: reads what to ask from standard input, prints what it sees.

    python -m mediabroker.testing.elsewhere <<< '{"type": "local", "settings": {}, "members": [{"role": …}]}'

The contract suite uses it to prove that a job needs nothing of the process that submitted it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from mediabroker.registry import create_provider
from mediabroker.spi import Member
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver

__all__ = ["query_elsewhere"]

_LIMIT_S = 60


def query_elsewhere(
    type_name: str, settings: Mapping[str, JsonValue], members: Sequence[Member]
) -> dict[str, JobState | None]:
    """The state of each member by its native id, as a new process sees it that makes the same provider."""
    question = {
        "type": type_name,
        "settings": dict(settings),
        "members": [member.model_dump(mode="json") for member in members],
    }
    answer = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(question),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    if answer.returncode != 0:
        raise AssertionError(f"the second process failed: {answer.stderr[-2000:]}")
    return {native_id: state and JobState(state) for native_id, state in json.loads(answer.stdout).items()}


def _answer() -> None:
    question = json.load(sys.stdin)
    members = [Member.model_validate(each) for each in question["members"]]
    provider = create_provider("elsewhere", question["type"], question["settings"])
    with Driver(provider) as driver:
        seen = driver.run(provider.query(members))
    json.dump({each.native_id: each.state for each in seen}, sys.stdout)


if __name__ == "__main__":
    _answer()
