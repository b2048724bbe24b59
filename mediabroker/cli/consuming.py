"""Commands about callbacks and events: `consume`, `serve`, and the quarantine."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mediabroker.cli.options import command
from mediabroker.cli.terminal import Terminal
from mediabroker.errors import (
    ConfigurationError,
    InvalidJobError,
    MediaBrokerError,
    MessageNotFoundError,
    MissingDependencyError,
)
from mediabroker.events import JobEvent

if TYPE_CHECKING:
    from mediabroker.store.quarantine import Quarantined

__all__ = ["add_consuming_commands"]

Urls = Annotated[list[str] | None, typer.Argument(metavar="[URL]...", help="Queues, as sqs://name; none: only ask.")]
MessageId = Annotated[str, typer.Argument(metavar="ID", help="As `quarantine list` shows it, or its unique beginning.")]


def add_consuming_commands(app: typer.Typer) -> None:
    """Register them in the order in which help lists them."""
    command(app, "consume")(_consume)
    command(app, "serve")(_serve)
    quarantine = typer.Typer(help="Messages that nobody could use.", no_args_is_help=True)
    command(quarantine, "list")(_list)
    command(quarantine, "show")(_show)
    command(quarantine, "replay")(_replay)
    app.add_typer(quarantine, name="quarantine")


def _consume(
    terminal: Terminal,
    urls: Urls = None,
    consumer: Annotated[str, typer.Option(help="Who acknowledges; processes of one name share the events.")] = "cli",
    timeout: Annotated[float | None, typer.Option(help="End after so many seconds without an event.", min=0)] = None,
) -> None:
    """Print events as they come; each counts as handled once printed. SIGTERM and Ctrl-C end it in good order.

    When --timeout has ended it and a queue cannot be received from, the exit code says so.
    """
    signalled: list[bool] = []
    with terminal.broker() as broker:
        with _refusing(urls or ()):
            stream = broker.events(*(urls or ()), consumer=consumer, idle_timeout=timeout)

        def stop() -> None:
            signalled.append(True)
            stream.stop()

        from mediabroker.broker.events.signals import ending_on_signals  # noqa: PLC0415  --help must not load the store

        with stream, ending_on_signals(stop):
            for event in stream:
                _print_event(terminal, event)
            if not signalled:
                _check_received(stream.troubles)


def _serve(terminal: Terminal, urls: Urls = None) -> None:
    """Receive callbacks and keep all live jobs up to date, until SIGTERM or Ctrl-C; events stay for their consumers."""
    with terminal.broker() as broker, _refusing(urls or ()):
        broker.serve(*(urls or ()), consumer=None)


def _list(
    terminal: Terminal,
    limit: Annotated[int, typer.Option(help="At most so many, the latest first.", min=1)] = 20,
) -> None:
    """List quarantined messages, the latest first."""
    with terminal.broker() as broker:
        found = broker.quarantined(limit=limit)
        terminal.show([_data(each) for each in found], _table(found) if found else Text("nothing", style="dim"))


def _show(terminal: Terminal, message_id: MessageId) -> None:
    """Show one message, its body byte for byte."""
    with terminal.broker() as broker:
        found = _find(broker.quarantined(), message_id)
        facts = _data(found)
        terminal.show({**facts, "body_base64": b64encode(found.body).decode()}, *_card(facts), _visible(found))


def _replay(terminal: Terminal, message_id: MessageId) -> None:
    """Try a message again; it leaves the quarantine if it can be used now."""
    with terminal.broker() as broker:
        outcome = broker.replay(_find(broker.quarantined(), message_id).id)
        jobs = f"taken in: job {', '.join(outcome.jobs)}"
        said = jobs if outcome.outcome == "taken" else f"it stays: {outcome.reason}"
        terminal.show(outcome.model_dump(mode="json"), said)
        if outcome.outcome != "taken":
            raise typer.Exit(1)


@contextmanager
def _refusing(urls: Sequence[str]) -> Iterator[None]:
    """What is wrong with a URL is wrong with the arguments, and no matter of the configuration."""
    try:
        yield
    except MissingDependencyError:
        raise
    except ConfigurationError as error:
        if any(repr(url) in str(error) for url in urls):
            raise InvalidJobError(str(error)) from error
        raise


def _check_received(troubles: Mapping[str, MediaBrokerError]) -> None:
    """That no event came must not mean that none could come."""
    for url, trouble in troubles.items():
        told = copy(trouble)
        told.args = (f"{url} cannot be received from: {trouble}",)
        raise told from trouble


def _print_event(terminal: Terminal, event: JobEvent) -> None:
    if terminal.json:
        terminal.json_line(event.model_dump(mode="json"))
        return
    error = getattr(event, "error", None)
    progress = getattr(event, "progress", None)
    more = f"  {error}" if error else f"  {progress:.0%}" if progress is not None else ""
    kind = event.type.removeprefix("job_")
    line = f"{event.occurred_at:%H:%M:%S}  {event.ref.job_id}  {event.ref.kind}  {kind}{more}"
    terminal.out.print(Text(_escaped(line)), soft_wrap=True)


def _find(messages: Any, message_id: str) -> Quarantined:
    found: list[Quarantined] = [each for each in messages if each.id.startswith(message_id)]
    if len(found) != 1:
        count = f"{len(found)} quarantined messages have" if found else "no quarantined message has"
        raise MessageNotFoundError(f"{count} an id that begins with {message_id!r}")
    return found[0]


def _data(message: Quarantined) -> dict[str, Any]:
    return {
        "id": message.id,
        "source": message.source,
        "message_id": message.message_id,
        "reason": message.reason,
        "received": message.received,
        "size_bytes": len(message.body),
        "first_at": message.first_at.isoformat(),
        "last_at": message.last_at.isoformat(),
        "attributes": dict(message.attributes),
    }


def _table(messages: Any) -> Table:
    table = Table("id", "last", "received", "bytes", "source", "reason", box=None, header_style="dim")
    for each in messages:
        last = f"{each.last_at:%Y-%m-%d %H:%M}"
        table.add_row(each.id[:12], last, str(each.received), str(len(each.body)), each.source, each.reason)
    return table


def _card(facts: dict[str, Any]) -> list[Text]:
    return [Text(_escaped(f"{name.replace('_', ' '):>12}  {value}")) for name, value in facts.items()]


def _visible(message: Quarantined) -> Text:
    return Text("\n" + _escaped(message.body.decode("utf-8", "backslashreplace")))


def _escaped(text: str) -> str:
    """Strangers' text must not move the cursor or ring the bell."""
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)
