"""URI schemes, message envelopes and triggers come from installed packages; the core has no list of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mediabroker import MediaURI
from mediabroker.callbacks import envelopes, parse_event
from mediabroker.config import load_settings
from mediabroker.errors import ConfigurationError, InvalidJobError
from mediabroker.refs import known_schemes
from mediabroker.storage import Stores

CLOUD = """
from mediabroker.messages import Envelope, Letter
from tests.stores import BucketFolders

def store(settings):
    return BucketFolders(settings["root"])

def _open(value):
    return Letter(value["parcel"].encode(), {"carrier": "mule"}) if "parcel" in value else None

ENVELOPES = (Envelope("parcel", open=_open),)
"""


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that brings the scheme `gs`, installed as pip would."""
    site = tmp_path / "site"
    metadata = site / "mb_cloud-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mb-cloud\nVersion: 1.0\n")
    points = "[mediabroker.stores]\ngs = mb_cloud:store\n[mediabroker.envelopes]\nmb-cloud = mb_cloud:ENVELOPES\n"
    (metadata / "entry_points.txt").write_text(points)
    (site / "mb_cloud.py").write_text(CLOUD)
    monkeypatch.syspath_prepend(site)
    envelopes._known.cache_clear()
    yield site
    envelopes._known.cache_clear()
    sys.modules.pop("mb_cloud", None)


def test_a_scheme_is_legal_where_a_store_is_installed_for_it(cloud: Path, tmp_path: Path) -> None:
    uri = MediaURI("gs://films/a/b%20c.mp4")
    assert (uri.scheme, uri.bucket, uri.key) == ("gs", "films", "a/b%20c.mp4")
    assert "gs" in known_schemes()
    with closing(Stores({"gs": {"root": tmp_path / "objects"}})) as stores:
        stores.of(uri).write(uri, iter([b"frames"]))
        assert b"".join(stores.of(uri).read(uri)) == b"frames"


def test_a_scheme_without_a_store_is_rejected_with_those_that_have_one() -> None:
    with pytest.raises(InvalidJobError, match=r"scheme 'gs'; use file, https, oss, s3"):
        MediaURI("gs://films/a.mp4")


@pytest.mark.parametrize("text", ["gs://films", "gs:///a.mp4", "gs://fi lms/a.mp4", "gs://user:pw@films/a.mp4"])
def test_a_uri_of_an_installed_scheme_without_bucket_or_key_is_rejected(cloud: Path, text: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        MediaURI(text)
    assert "pw" not in str(caught.value)


def test_a_route_of_an_unknown_scheme_is_rejected_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mediabroker.toml"
    path.write_text('[[routes]]\nproviders = ["local"]\ninput_schemes = ["gs"]\n')
    with pytest.raises(ConfigurationError, match="gs"):
        load_settings(path)


def test_envelopes_of_an_installed_package_are_taken_off(cloud: Path) -> None:
    notice = parse_event('{"parcel": "{\\"a\\": 1}"}')
    assert (notice.message, notice.envelopes, notice.attributes) == ({"a": 1}, ("parcel",), {"carrier": "mule"})
