"""Vendors simulated on this machine: what a vendor's package offers, and several behind one configuration.

with Sandboxes(["aws"], Path("sandbox")) as sandbox:
    os.environ.update(sandbox.environment)             # credentials that are good for nothing else
    with Broker.from_config(sandbox.config_path) as broker: ...
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import Self

from mediabroker.errors import ConfigurationError, MissingDependencyError
from mediabroker.plugins import load_plugin, offered

__all__ = ["SANDBOX_GROUP", "Sandbox", "Sandboxes", "sandbox_names"]

SANDBOX_GROUP = "mediabroker.sandboxes"
_WHAT, _EXTRA = "sandbox", "sandbox"
_OWNER_ONLY = 0o600


class Sandbox(Protocol):
    """One vendor simulated on loopback, from when it is made until it is closed.

    A factory `(folder) -> Sandbox` is offered in the entry-point group `mediabroker.sandboxes` under the vendor's
    name. `folder` exists and is the sandbox's own. A factory that raises leaves nothing running.
    """

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Tables of a `mediabroker.toml` that point here: `providers`, `stores` and `sources`, each by name."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that this vendor's tools and SDKs need to find their way here, fake credentials among them."""
        ...

    @property
    def facts(self) -> Mapping[str, str]:
        """What a person wants to know: addresses, buckets, queues, keys."""
        ...

    def close(self) -> None:
        """Stop everything, also jobs that run."""
        ...


class Sandboxes:
    """Sandboxes of several vendors, started together; what was started is stopped when one of them fails.

    Args:
        folder: made if needed; holds `mediabroker.toml`, `environment.sh`, a job store, and a folder a vendor.

    Raises:
        ConfigurationError: no sandbox has that name, or two want the same table.
        MissingDependencyError: one needs an extra; the message names the `pip install`.
    """

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self.folder = folder.absolute()
        self.config_path = self.folder / "mediabroker.toml"
        self.environment: dict[str, str] = {"MEDIABROKER_CONFIG": str(self.config_path)}
        self.facts: dict[str, Mapping[str, str]] = {}
        # A store of its own for each start: these vendors know nothing of the jobs of earlier ones.
        self.settings: dict[str, Any] = {"store": f"sqlite:///{self.folder / f'jobs-{secrets.token_hex(4)}.db'}"}
        factories = {name: load_plugin(SANDBOX_GROUP, name, what=_WHAT, where=name, extra=_EXTRA) for name in names}
        with ExitStack() as stack:
            for name, factory in factories.items():
                own = self.folder / name
                own.mkdir(parents=True, exist_ok=True)
                sandbox: Sandbox = factory(own)
                stack.callback(sandbox.close)
                self._take(name, sandbox)
            self._write()
            self._stack = stack.pop_all()

    def _take(self, name: str, sandbox: Sandbox) -> None:
        for table, entries in sandbox.settings.items():
            taken = self.settings.setdefault(table, {})
            if twice := sorted(set(taken) & set(entries)):
                raise ConfigurationError(f"sandbox {name}: {table}.{twice[0]} is already another sandbox's")
            taken.update(entries)
        self.environment.update(sandbox.environment)
        self.facts[name] = dict(sandbox.facts)

    def _write(self) -> None:
        exports = (f"export {name}={shlex.quote(value)}\n" for name, value in self.environment.items())
        for path, text in (
            (self.config_path, self.config_text()),
            (self.folder / "environment.sh", "".join(exports)),
        ):
            path.touch(_OWNER_ONLY)
            path.write_text(text, encoding="utf-8")

    def config_text(self) -> str:
        """The `mediabroker.toml` that points at the sandboxes."""
        try:
            import tomlkit  # noqa: PLC0415  an extra's package
        except ImportError as error:
            raise MissingDependencyError("the sandbox needs tomlkit: pip install 'mediabroker[sandbox]'") from error
        return tomlkit.dumps(self.settings)

    @contextmanager
    def in_environment(self) -> Iterator[None]:
        """This process, and what it starts, find their way here while the body runs: through `os.environ`."""
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all of them, the last one first."""
        self._stack.close()


def sandbox_names() -> list[str]:
    """The vendors that can be simulated here.

    Raises:
        ConfigurationError: two packages offer the same name.
    """
    return sorted(offered(SANDBOX_GROUP, _WHAT))
