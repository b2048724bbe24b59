"""MNS requests understood: which operation, on what, with which words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mediabroker.markup import MarkupError, load_markup, local_name
from mediabroker_alibaba.documents import Tree
from mediabroker_alibaba.simulator.mns.refusals import MnsRefusedError
from mediabroker_alibaba.simulator.server import Request

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["Ask", "Said", "parse_ask", "texts", "tree"]

_ROUTES = tuple(
    (method, re.compile(path), needs, operation)
    for method, path, needs, operation in (
        ("GET", r"/", "accountmeta", "GetAccountAttributes"),
        ("PUT", r"/", "accountmeta", "SetAccountAttributes"),
        ("GET", r"/queues/?", None, "ListQueue"),
        ("PUT", r"/queues/([^/]+)", "metaoverride", "SetQueueAttributes"),
        ("PUT", r"/queues/([^/]+)", None, "CreateQueue"),
        ("GET", r"/queues/([^/]+)", None, "GetQueueAttributes"),
        ("DELETE", r"/queues/([^/]+)", None, "DeleteQueue"),
        ("POST", r"/queues/([^/]+)/messages", None, "SendMessage"),
        ("GET", r"/queues/([^/]+)/messages", "peekonly", "PeekMessage"),
        ("GET", r"/queues/([^/]+)/messages", None, "ReceiveMessage"),
        ("DELETE", r"/queues/([^/]+)/messages", "ReceiptHandle", "DeleteMessage"),
        ("DELETE", r"/queues/([^/]+)/messages", None, "BatchDeleteMessage"),
        ("PUT", r"/queues/([^/]+)/messages", None, "ChangeMessageVisibility"),
        ("GET", r"/topics/?", None, "ListTopic"),
        ("PUT", r"/topics/([^/]+)", "metaoverride", "SetTopicAttributes"),
        ("PUT", r"/topics/([^/]+)", None, "CreateTopic"),
        ("GET", r"/topics/([^/]+)", None, "GetTopicAttributes"),
        ("DELETE", r"/topics/([^/]+)", None, "DeleteTopic"),
        ("POST", r"/topics/([^/]+)/messages", None, "PublishMessage"),
        ("GET", r"/topics/([^/]+)/subscriptions/?", None, "ListSubscriptionByTopic"),
        ("PUT", r"/topics/([^/]+)/subscriptions/([^/]+)", "metaoverride", "SetSubscriptionAttributes"),
        ("PUT", r"/topics/([^/]+)/subscriptions/([^/]+)", None, "Subscribe"),
        ("GET", r"/topics/([^/]+)/subscriptions/([^/]+)", None, "GetSubscriptionAttributes"),
        ("DELETE", r"/topics/([^/]+)/subscriptions/([^/]+)", None, "Unsubscribe"),
    )
)
"""Method, path, the query parameter it takes, operation; the first that fits. Source: MNS, API reference."""


_NAMES = {name.lower(): name for name in ("ReceiptHandle", "VisibilityTimeout", "numOfMessages")}
"""Parameters that the SDK for Node writes in other capitals than the manual."""


@dataclass(frozen=True)
class Ask:
    """One request. `names` are those in its path, `headers` the `x-mns-` ones by lower-case name."""

    operation: str
    names: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    url: str
    body: bytes

    @property
    def name(self) -> str:
        """Of the queue or the topic."""
        return self.names[0]

    def document(self, *roots: str) -> Element:
        """The body's root element, which is one of `roots`."""
        try:
            root = load_markup(self.body)
        except MarkupError:
            raise MnsRefusedError("MalformedXML") from None
        if local_name(root) not in roots:
            raise MnsRefusedError("MalformedXML")
        return root

    def fields(self, root: str) -> dict[str, str]:
        """The texts of the body's elements; no body has none."""
        return texts(self.document(root)) if self.body else {}

    def number(self, name: str, least: int, most: int, *, default: int | None = None) -> int | None:
        """A number of the query."""
        if name not in self.query:
            return default
        given = self.query[name]
        if not given.isdecimal() or not least <= int(given) <= most:
            raise MnsRefusedError("InvalidArgument", f"The value of {name} should between {least} and {most}.")
        return int(given)


@dataclass(frozen=True)
class Said:
    """An answer: status, document, and where what was made can be found."""

    status: int
    document: bytes = b""
    location: str = ""


def parse_ask(request: Request) -> Ask:
    """What is asked for.

    Raises:
        MnsRefusedError: no operation has this form.
    """
    query = _parsed_query(request.query)
    for method, path, needs, operation in _ROUTES:
        fits = method == request.method and (needs is None or needs in query)
        if fits and (match := path.fullmatch(request.path)):
            own = {name.lower(): value for name, value in request.headers if name.lower().startswith("x-mns-")}
            url = f"http://{request.header('host')}{request.path}"
            return Ask(operation, tuple(unquote(each) for each in match.groups()), query, own, url, request.body)
    raise MnsRefusedError("InvalidRequestURL")


def _parsed_query(text: str) -> dict[str, str]:
    # Not as a form: `+` in a receipt is a plus.
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {_NAMES.get(unquote(name).lower(), unquote(name)): unquote(value) for name, _, value in pairs}


def texts(element: Element) -> dict[str, str]:
    """The texts of an element's children by their names."""
    return {local_name(each): each.text or "" for each in element}


def tree(element: Element) -> Tree:
    """An element's children as values that can be built again."""
    found: dict[str, list[str | Tree]] = {}
    for each in element:
        found.setdefault(local_name(each), []).append(tree(each) if len(each) else each.text or "")
    return dict(found)
