"""`python -m neuron_worker`: one job document in, JSON lines out.

    run JOB.json                  the whole job
    plan JOB.json                 the steps one by one, each on any machine that sees the job's folder
    slice JOB.json --index K
    merge JOB.json
    work                          one task of a job on many machines, as the environment tells it
    upscale IN OUT --scale 2      a job without a document
    images IN_DIR OUT_DIR         a folder of pictures to PNG
    runtimes                      what can execute the networks here, and why not
    convert CHECKPOINT            a third-party model
    compile --tile HxW            graphs for AWS Inferentia

Each line on stdout is an object with `event`: `plan`, `progress`, `slice`, `picture`, `model`, `graph`, `result` or
`error`; `runtimes` prints a table. Exit codes: `neuron_worker.failures.Exit`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NoReturn

from mediabroker.errors import InvalidJobError
from mediabroker.media.publish import check_output, output_errors, own_folder
from neuron_worker.commands import add_commands
from neuron_worker.document import JobDocument, load_document, parse_document
from neuron_worker.failures import Exit, describe_failure, exit_code_of
from neuron_worker.progress import Progress, say
from neuron_worker.workspace import claim_folder, remove_claimed

if TYPE_CHECKING:
    from neuron_worker.video.plan import Plan

__all__ = ["main"]

_log = logging.getLogger("neuron_worker")

Command = Callable[[argparse.Namespace, Event], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        options = _parser().parse_args(arguments)
    except InvalidJobError as error:
        return _fail(error)
    level = logging.DEBUG if options.verbose else logging.WARNING
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(name)s: %(message)s")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    command: Command = options.command
    try:
        command(options, stop)
    except BaseException as error:
        _log.debug("the work ended", exc_info=error)
        return _fail(error)
    return Exit.OK


def _fail(error: BaseException) -> Exit:
    _tell("error", error=describe_failure(error).model_dump(mode="json"))
    return exit_code_of(error)


class _Parser(argparse.ArgumentParser):
    """Wrong words on the command line end as a wrong document does, with an event and its exit code."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise InvalidJobError(f"{self.prog}: {message}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m neuron_worker", description="Upscale a video.")
    parser.add_argument("--verbose", action="store_true", help="say on stderr what is going on")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, what in (
        ("run", _run, "the whole job"),
        ("plan", _plan, "make the plan"),
        ("slice", _slice, "make one slice"),
        ("merge", _merge, "merge and publish"),
    ):
        each = commands.add_parser(name, help=what)
        each.add_argument("document", type=Path, metavar="JOB.json")
        each.set_defaults(command=command)
        if name == "slice":
            each.add_argument("--index", type=int, required=True, help="counted from 0")
    commands.add_parser("work", help="one task of a job on many machines").set_defaults(command=_task)
    upscale = commands.add_parser("upscale", help="a job without a document")
    upscale.add_argument("input")
    upscale.add_argument("output")
    for name in ("scale", "model", "runtime", "threads", "work-dir"):
        upscale.add_argument(f"--{name}", default=None)
    upscale.add_argument("--overwrite", action="store_true", default=None)
    upscale.add_argument("--deinterlace", action="store_true", default=None)
    upscale.set_defaults(command=_upscale)
    add_commands(commands, _tell)
    return parser


def _run(options: argparse.Namespace, stop: Event) -> None:
    _work(load_document(options.document), stop)


def _work(document: JobDocument, stop: Event) -> None:
    from neuron_worker.video.pipeline import upscale_video  # noqa: PLC0415  a wrong document is told without loading av

    result = upscale_video(document, _tell_progress, stop, on_plan=_tell_plan)
    _tell("result", result=result.model_dump(mode="json"))


def _plan(options: argparse.Namespace, stop: Event) -> None:
    from neuron_worker.video.pipeline import plan_job  # noqa: PLC0415

    _tell_plan(plan_job(load_document(options.document), stop))


def _slice(options: argparse.Namespace, stop: Event) -> None:
    from neuron_worker.video.pipeline import make_slice  # noqa: PLC0415

    if options.index < 0:
        raise InvalidJobError(f"--index is {options.index}; slices are counted from 0")
    record = make_slice(load_document(options.document), options.index, on_progress=_tell_progress, stop=stop)
    _tell("slice", index=options.index, frames=record.frames if record else 0)


def _merge(options: argparse.Namespace, stop: Event) -> None:
    from neuron_worker.video.pipeline import merge_slices  # noqa: PLC0415

    _tell("result", result=merge_slices(load_document(options.document), stop).model_dump(mode="json"))


def _task(options: argparse.Namespace, stop: Event) -> None:
    from neuron_worker.fleet.tasks import end_in_time, read_order, work  # noqa: PLC0415

    del options
    ended = Event()
    end_in_time(stop, ended)
    try:
        work(read_order(os.environ), _tell, stop)
    finally:
        ended.set()


def _upscale(options: argparse.Namespace, stop: Event) -> None:
    names = ("input", "output", "scale", "model", "runtime", "threads", "overwrite", "deinterlace")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    numbers = {name: _number(given[name]) for name in ("scale", "threads") if name in given}
    document = parse_document(json.dumps({**given, **numbers, "work_dir": options.work_dir or "."}))
    if options.work_dir is not None:
        _work(document, stop)
        return
    output = document.job.output.path
    _work_in_own_folder(document.model_copy(update={"work_dir": output.with_name(_work_name(output))}), stop)


def _number(text: str) -> int | str:
    """Left as it is where it is no number: the document's format says best what is wrong with it."""
    return int(text) if text.isdecimal() and len(text) < 10 else text


def _work_in_own_folder(document: JobDocument, stop: Event) -> None:
    """Work in a folder that nobody has named, and that is not to stay.

    Only who holds it removes it: when the job is done, or is refused and nothing was in it before. Another process may
    be at work in it, or an earlier one have left slices there that the next can use.
    """
    folder = document.work_dir
    with output_errors(folder):
        try:
            own_folder(folder)
        except OSError:
            check_output(document.job.output.path, overwrite=True)
            raise
    with claim_folder(folder, f"{document.job.output}") as was_empty:
        try:
            _work(document, stop)
        except BaseException as error:
            if was_empty and exit_code_of(error).is_final:
                remove_claimed(folder)
            raise
        remove_claimed(folder)


def _work_name(output: Path) -> str:
    """The same for the same output, so that the work goes on where it was interrupted; never too long for a name."""
    digest = hashlib.sha256(os.fsencode(output.name)).hexdigest()
    return f".{output.stem[:40]}-{digest[:12]}.upscaling"


def _tell_plan(plan: Plan) -> None:
    _tell("plan", slices=len(plan.slices), frames=plan.frames, runtime=plan.runtime, variant=plan.variant)


def _tell_progress(progress: Progress) -> None:
    _tell("progress", **progress._asdict())


def _tell(event: str, **content: Any) -> None:
    say(json.dumps({"event": event, **content}))


if __name__ == "__main__":
    sys.exit(main())
