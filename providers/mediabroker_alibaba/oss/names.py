"""Objects as MPS names them: `oss://bucket.oss-<region>.aliyuncs.com/key`, or bucket, location and an encoded key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from mediabroker.errors import InvalidJobError, UnsupportedError
from mediabroker.refs import MediaURI

__all__ = ["build_location", "build_url", "check_region", "parse_location"]


def build_url(uri: MediaURI, region: str) -> str:
    """As smart production takes it; the key is literal. Source: Alibaba Cloud MPS, "SubmitIProductionJob", Input."""
    return f"oss://{uri.bucket}.oss-{region}.aliyuncs.com/{uri.key}"


def build_location(uri: MediaURI, region: str) -> dict[str, Any]:
    """As the other operations take it; the key is URL-encoded inside the JSON. Source: MPS, "SubmitJobs", Input."""
    return {"Bucket": uri.bucket, "Location": f"oss-{region}", "Object": quote(uri.key, safe="")}


def parse_location(location: object) -> MediaURI | None:
    """The object that an answer names; None: it names none."""
    if not isinstance(location, Mapping):
        return None
    bucket, key = location.get("Bucket"), location.get("Object")
    if not isinstance(bucket, str) or not isinstance(key, str) or not key:
        return None
    try:
        return MediaURI(f"oss://{bucket}/{unquote(key)}")
    except InvalidJobError:
        return None


def check_region(field: str, uri: MediaURI, region: str) -> None:
    """Refuse an object whose name says that it lies in another region.

    Raises:
        UnsupportedError: names the field and both regions.
    """
    if uri.region not in (None, region):
        raise UnsupportedError(
            f"{field}: {uri} lies in {uri.region}; MPS in {region} reads and writes buckets of its own region only"
        )
