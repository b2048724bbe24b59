"""One execution environment, served until stdin ends.

`python -m mediabroker_aws.simulator.functions.runtime module.function` starts it.

Each line of stdin is one invocation, each line of stdout its outcome; what the handler prints goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

from mediabroker_aws.simulator.functions.function import Context, Handler, call_handler, failure

__all__ = ["main"]


def _load(name: str) -> Handler:
    module, _, attribute = name.rpartition(".")
    handler: Handler = getattr(importlib.import_module(module), attribute)
    return handler


def main(name: str) -> None:
    """Serve invocations of the handler `module.function`."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as replies:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        try:
            handler = _load(name)
        except (ImportError, AttributeError) as error:
            missing = failure("Runtime.ImportModuleError", f"Unable to import module '{name}': {error}")
            handler = None
        for line in sys.stdin:
            asked = json.loads(line)
            context = Context(**asked["context"])
            outcome = call_handler(handler, asked["payload"].encode(), context) if handler else missing
            answer = {"payload": outcome.payload.decode(), "function_error": outcome.function_error}
            print(json.dumps(answer), file=replies, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
