"""Lists in pages, with what lies below a delimiter folded into one prefix."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mediabroker_alibaba.documents import Tree
from mediabroker_alibaba.simulator.oss.answers import document, etag, iso_date, url_encoded
from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError
from mediabroker_alibaba.simulator.oss.requests import Ask
from mediabroker_alibaba.simulator.oss.state import Bucket, OssState, StoredObject
from mediabroker_alibaba.simulator.server import Response

__all__ = ["LISTING_OPERATIONS", "Page", "page_of"]

T = TypeVar("T")


@dataclass
class Page(Generic[T]):
    """A part of a list. `next_marker` is the last key or prefix in it when there is more."""

    items: list[T] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    next_marker: str = ""


def page_of(
    entries: Iterable[T], *, prefix: str, delimiter: str, most: int, key: Callable[[T], str], after: str = ""
) -> Page[T]:
    """The first `most` of sorted entries whose key has the prefix; a folded prefix counts as one.

    Args:
        after: the last key or prefix of the page before.
    """
    page: Page[T] = Page()
    last = ""
    for entry in entries:
        name = key(entry)
        if not name.startswith(prefix):
            continue
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        folded = name[: cut + len(delimiter)] if cut >= 0 else ""
        if folded and (folded == after or (page.prefixes and page.prefixes[-1] == folded)):
            continue
        if len(page.items) + len(page.prefixes) == most:
            page.truncated, page.next_marker = True, last
            break
        last = folded or name
        if folded:
            page.prefixes.append(folded)
        else:
            page.items.append(entry)
    return page


def _page(state: OssState, bucket: Bucket, ask: Ask, after: str) -> tuple[Page[StoredObject], int]:
    most = ask.number("max-keys", 1, 1000, 100)
    with state.lock:
        objects = sorted(bucket.objects.values(), key=lambda each: each.key.encode())
    page = page_of(
        (each for each in objects if each.key.encode() > after.encode()),
        prefix=ask.query.get("prefix", ""),
        delimiter=ask.query.get("delimiter", ""),
        most=most,
        key=lambda each: each.key,
        after=after,
    )
    return page, most


def _list(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    marker = ask.query.get("marker", "")
    page, most = _page(state, bucket, ask, marker)
    own = {"Marker": _encoded(ask, marker), "NextMarker": _encoded(ask, page.next_marker)}
    return document("ListBucketResult", _said(bucket, ask, page, most, own, with_owner=True))


def _list_v2(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    token, start = ask.query.get("continuation-token", ""), ask.query.get("start-after", "")
    page, most = _page(state, bucket, ask, _from_token(token) if token else start)
    own = {
        "StartAfter": _encoded(ask, start),
        "ContinuationToken": token,
        "KeyCount": str(len(page.items) + len(page.prefixes)),
        **({"NextContinuationToken": _to_token(page.next_marker)} if page.truncated else {}),
    }
    with_owner = ask.query.get("fetch-owner") == "true"
    return document("ListBucketResult", _said(bucket, ask, page, most, own, with_owner=with_owner))


def _to_token(marker: str) -> str:
    return "1" + base64.urlsafe_b64encode(marker.encode()).decode()


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token.removeprefix("1"), altchars=b"-_", validate=token.startswith("1")).decode()
    except ValueError:
        raise OssRefusedError("InvalidArgument", "The continuation token is not one that was given.") from None


def _said(
    bucket: Bucket, ask: Ask, page: Page[StoredObject], most: int, own: Mapping[str, str], *, with_owner: bool
) -> Tree:
    encoding = ask.query.get("encoding-type")
    owner: Tree = {"Owner": {"ID": bucket.owner, "DisplayName": bucket.owner}} if with_owner else {}
    return {
        "Name": bucket.name,
        "Prefix": _encoded(ask, ask.query.get("prefix", "")),
        "MaxKeys": str(most),
        "Delimiter": _encoded(ask, ask.query.get("delimiter", "")),
        **({"EncodingType": encoding} if encoding else {}),
        **own,
        "IsTruncated": str(page.truncated).lower(),
        "Contents": [{**_described(ask, each), **owner} for each in page.items],
        "CommonPrefixes": [{"Prefix": _encoded(ask, each)} for each in page.prefixes],
    }


def _described(ask: Ask, stored: StoredObject) -> Tree:
    return {
        "Key": _encoded(ask, stored.key),
        "LastModified": iso_date(stored.modified),
        "ETag": etag(stored),
        "Type": stored.kind,
        "Size": str(stored.blob.size_bytes),
        "StorageClass": "Standard",
    }


def _encoded(ask: Ask, text: str) -> str:
    return url_encoded(text, ask.query.get("encoding-type"))


LISTING_OPERATIONS = {"ListObjects": _list, "ListObjectsV2": _list_v2}
