"""The commands of `python -m neuron_worker` that are about pictures, models and runtimes."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from mediabroker.errors import ErrorCode, InvalidJobError, MediaError
from neuron_worker.document import MOST_THREADS
from neuron_worker.progress import say

__all__ = ["Tell", "add_commands"]


class Tell(Protocol):
    """Prints one event."""

    def __call__(self, event: str, **content: Any) -> None: ...


Command = Callable[[argparse.Namespace, Event], None]


def add_commands(commands: Any, tell: Tell) -> None:
    """Add `runtimes`, `images`, `convert` and `compile` to a parser's subcommands; results go to `tell`."""

    def add(name: str, what: str, command: Callable[[argparse.Namespace, Event, Tell], None]) -> Any:
        parser = commands.add_parser(name, help=what)
        parser.set_defaults(command=lambda options, stop: command(options, stop, tell))
        return parser

    runtimes = add("runtimes", "what can run here, and why not", _runtimes)
    runtimes.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    images = add("images", "upscale a folder of pictures to PNG", _images)
    images.add_argument("input", type=Path, metavar="IN_DIR")
    images.add_argument("output", type=Path, metavar="OUT_DIR")
    images.add_argument("--scale", type=int, choices=(2, 4), default=2)
    images.add_argument("--model", default="fast")
    images.add_argument("--runtime", default="auto")
    images.add_argument("--threads", type=int, default=None, help="pictures at the same time; default: processors")
    images.add_argument("--overwrite", action="store_true", help="also replace what this program did not write")
    convert = add("convert", "make a third-party checkpoint a model of this engine", _convert)
    convert.add_argument("input", type=Path, metavar="CHECKPOINT", help=".pth or .safetensors")
    convert.add_argument("--sha256", default=None, help="the file's digest as its publisher states it")
    convert.add_argument("--name", default=None, help="of the model; default: from the file's name")
    convert.add_argument("--out", type=Path, default=None, help="default: the user's models folder")
    compiling = add("compile", "compile a model for an accelerator's fixed tiles", _compile)
    compiling.add_argument("--scale", type=int, choices=(2, 4), default=2)
    compiling.add_argument("--tile", required=True, metavar="HxW", help="in pixels of the source, even")
    compiling.add_argument("--model", default="fast")
    compiling.add_argument("--batch", type=int, default=1, help="tiles computed at a time")
    compiling.add_argument("--toolchain", default="torch-neuron", help="torch-neuron, torch-neuronx or standin")
    compiling.add_argument("--out", type=Path, default=None, help="default: where the runtimes look")


def _runtimes(options: argparse.Namespace, stop: Event, tell: Tell) -> None:
    from neuron_worker.runtimes import survey  # noqa: PLC0415

    del stop, tell
    found = survey()
    if options.json:
        say(json.dumps({name: finding._asdict() for name, finding in found.items()}))
        return
    for name, finding in found.items():
        say(f"{name:10} {'yes' if finding.usable else 'no':4} {finding.detail}")


def _images(options: argparse.Namespace, stop: Event, tell: Tell) -> None:
    if options.threads is not None and not 1 <= options.threads <= MOST_THREADS:
        raise InvalidJobError(f"--threads is {options.threads}; from 1 to {MOST_THREADS} are possible")
    from neuron_worker.pictures.images import Item, upscale_pictures  # noqa: PLC0415
    from neuron_worker.runtimes import load_card  # noqa: PLC0415

    def on_item(item: Item, done: int, total: int) -> None:
        error = {"error": item.error.model_dump(mode="json")} if item.error else {}
        tell(
            "picture",
            source=str(item.source),
            output=str(item.output),
            state=item.state,
            done=done,
            total=total,
            **error,
        )

    items = upscale_pictures(
        options.input,
        options.output,
        load_card(options.model, options.scale),
        on_item,
        stop,
        runtime=options.runtime,
        workers=options.threads,
        overwrite=options.overwrite,
    )
    counts = Counter(item.state for item in items)
    tell("result", **{state: counts[state] for state in ("done", "exists", "failed")})
    if counts["failed"]:
        raise MediaError(ErrorCode.PARTIAL, f"{counts['failed']} of {len(items)} pictures failed")


def _convert(options: argparse.Namespace, stop: Event, tell: Tell) -> None:
    from neuron_worker.converting import convert  # noqa: PLC0415

    del stop
    made = convert(options.input, options.sha256, name=options.name, folder=options.out)
    tell("model", **{name: str(value) if isinstance(value, Path) else value for name, value in made._asdict().items()})


def _compile(options: argparse.Namespace, stop: Event, tell: Tell) -> None:
    from neuron_worker.compiling import Order, compile_model, parse_tile  # noqa: PLC0415

    del stop
    order = Order(options.model, options.scale, parse_tile(options.tile), options.batch)
    path, manifest = compile_model(order, options.toolchain, options.out)
    tell("graph", manifest=str(path), key=manifest.key, toolchain_version=manifest.toolchain_version)
