"""Queue URLs in the forms in which the vendor's console, SDKs and manuals write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mediabroker.errors import ConfigurationError

__all__ = ["QueueAddress", "build_notify_url", "parse_queue_url"]

_QUEUE = r"(?P<queue>[A-Za-z0-9][A-Za-z0-9-]{0,255})"
_URL = re.compile(rf"(?P<scheme>mns|https?)://(?P<host>[A-Za-z0-9.-]+(?::\d{{1,5}})?)/queues/{_QUEUE}/?")
_VENDOR_HOST = re.compile(
    # "oss-" in place of "mns." is a slip of the manual page of SubmitIProductionJob that people copy.
    r"(?P<account>\d+)\.(?:mns\.|(?:mns\.)?oss-)(?P<region>[a-z]{2}(?:-[a-z0-9]+)+?)"
    r"(?P<network>-internal-vpc|-internal|-vpc)?\.aliyuncs\.com"
)
_LOOPBACK = ("127.0.0.1", "localhost")
_FORMS = "mns://<account>.mns.<region>.aliyuncs.com/queues/<queue>, or the same with https://"


@dataclass(frozen=True)
class QueueAddress:
    """One queue. `endpoint` is what is spoken to, `account` and `region` are known for the vendor's own hosts."""

    endpoint: str
    queue: str
    account: str | None = None
    region: str | None = None


def parse_queue_url(url: str, *, endpoint_url: str | None = None) -> QueueAddress:
    """The queue that a URL names.

    `mns://` means HTTPS, and HTTP on this machine. Internal and VPC host names are kept: they are other addresses of
    the same queue.

    Args:
        endpoint_url: another address to speak to; the URL then only names the queue.

    Raises:
        ConfigurationError: the URL has none of the forms.

    Source: MNS, API reference, "Endpoints"; MPS, `SubmitIProductionJob`, parameter `NotifyUrl`.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ConfigurationError(f"queue URL {url!r}: write {_FORMS}")
    host, scheme = match["host"], match["scheme"]
    vendor = _VENDOR_HOST.fullmatch(host)
    if vendor is None and scheme != "mns" and not endpoint_url and not _is_local(host):
        raise ConfigurationError(f"queue URL {url!r}: {host} is no MNS endpoint; write {_FORMS}")
    if vendor is not None:
        host = f"{vendor['account']}.mns.{vendor['region']}{vendor['network'] or ''}.aliyuncs.com"
    if scheme == "mns":
        scheme = "http" if _is_local(host) else "https"
    return QueueAddress(
        endpoint=(endpoint_url or f"{scheme}://{host}").rstrip("/"),
        queue=match["queue"],
        account=vendor["account"] if vendor else None,
        region=vendor["region"] if vendor else None,
    )


def build_notify_url(url: str) -> str:
    """The queue's URL as MPS is told it; the form with `oss-` in place of `mns.`, which names no queue, is corrected.

    Raises:
        ConfigurationError: the URL has none of the forms.

    Source: MPS, `SubmitIProductionJob`, parameter `NotifyUrl`, as the API comments of the official SDKs write it.
    """
    address = parse_queue_url(url)
    return f"mns://{address.endpoint.partition('://')[2]}/queues/{address.queue}"


def _is_local(host: str) -> bool:
    return host.partition(":")[0] in _LOOPBACK
