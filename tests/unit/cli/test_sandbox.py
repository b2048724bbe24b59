"""`mediabroker sandbox`, and what it makes of the sandboxes that packages offer."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mediabroker import Broker, ConfigurationError, MissingDependencyError
from mediabroker.config import load_settings
from mediabroker.sandbox import Sandboxes, sandbox_names
from tests.unit.cli.conftest import Cli

_VENDORS = """
CLOSED = []

class Sandbox:
    facts = {{"answer": "42"}}
    environment = {{"{upper}_KEY": "a 'quoted' key"}}
    settings = {{"providers": {{"{table}": {{"type": "local"}}}}, "stores": {{"{scheme}": {{"region": "{vendor}"}}}}}}

    def __init__(self, folder):
        assert folder.is_dir()
        self.name = folder.name

    def close(self):
        CLOSED.append(self.name)
"""


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Packages `acme` and `zenith`, installed for one test; `zenith` wants acme's provider table when told so."""
    site = tmp_path / "site"
    for vendor, table in (("acme", "acme"), ("zenith", "zenith"), ("clash", "acme")):
        info = site / f"{vendor}_box-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {vendor}-box\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[mediabroker.sandboxes]\n{vendor} = {vendor}_box:Sandbox\n")
        text = _VENDORS.format(upper=vendor.upper(), vendor=vendor, table=table, scheme=vendor)
        (site / f"{vendor}_box.py").write_text(text)
    monkeypatch.syspath_prepend(str(site))
    yield site
    for vendor in ("acme", "zenith", "clash"):
        sys.modules.pop(f"{vendor}_box", None)


def test_sandboxes_of_two_vendors_share_one_configuration(offer: Path, tmp_path: Path) -> None:
    assert {"acme", "aws", "zenith"} <= set(sandbox_names())
    with Sandboxes(["acme", "zenith"], tmp_path / "box") as sandboxes:
        settings = load_settings(sandboxes.config_path)
        assert list(settings.providers) == ["acme", "zenith"]
        assert settings.stores == {"acme": {"region": "acme"}, "zenith": {"region": "zenith"}}
        with Broker.from_config(sandboxes.config_path) as broker:
            assert list(broker.list()) == []
        (store,) = (tmp_path / "box").glob("jobs-*.db")
        assert settings.store == f"sqlite:///{store}"
    assert sys.modules["acme_box"].CLOSED == ["acme"]
    assert sys.modules["zenith_box"].CLOSED == ["zenith"]


def test_a_sandbox_that_is_started_again_remembers_no_jobs(offer: Path, tmp_path: Path) -> None:
    stores = set()
    for _ in range(2):
        with Sandboxes(["acme"], tmp_path / "box") as sandboxes:
            stores.add(load_settings(sandboxes.config_path).store)
    assert len(stores) == 2


def test_environment_file_is_for_its_owner_and_survives_a_shell(offer: Path, tmp_path: Path) -> None:
    with Sandboxes(["acme"], tmp_path / "a box") as sandboxes:
        script = sandboxes.folder / "environment.sh"
        assert script.stat().st_mode & 0o077 == 0
        command = f'. {shlex.quote(str(script))}; printf "%s|%s" "$ACME_KEY" "$MEDIABROKER_CONFIG"'
        told = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert told == f"a 'quoted' key|{sandboxes.config_path}"


def test_a_process_is_in_the_sandbox_for_as_long_as_it_says(
    offer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "mine")
    with Sandboxes(["acme", "zenith"], tmp_path / "box") as sandboxes:
        with sandboxes.in_environment():
            assert (os.environ["ACME_KEY"], os.environ["ZENITH_KEY"]) == ("a 'quoted' key", "a 'quoted' key")
            assert load_settings().stores.keys() == {"acme", "zenith"}
        assert os.environ["ACME_KEY"] == "mine"
        assert "ZENITH_KEY" not in os.environ


def test_what_was_started_stops_when_another_one_cannot_start(offer: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"sandbox clash: providers\.acme is already another sandbox's"):
        Sandboxes(["acme", "clash"], tmp_path / "box")
    assert sys.modules["acme_box"].CLOSED == ["acme"]
    assert sys.modules["clash_box"].CLOSED == ["clash"]
    assert not (tmp_path / "box" / "mediabroker.toml").exists()


def test_a_sandbox_without_its_packages_names_the_extra(offer: Path, tmp_path: Path) -> None:
    (offer / "acme_box.py").write_text("import a_package_that_nobody_has")
    with pytest.raises(MissingDependencyError, match=r"pip install 'mediabroker\[sandbox\]'"):
        Sandboxes(["acme"], tmp_path / "box")


def test_an_unknown_vendor_is_a_configuration_error_that_names_the_nearest(cli: Cli) -> None:
    outcome = cli("sandbox", "awz")
    assert outcome.code == 3
    assert "no sandbox 'awz'; did you mean 'aws'?" in outcome.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_sandbox_of_aws_serves_until_a_signal_and_leaves_nothing_behind(number: int, tmp_path: Path) -> None:
    folder = tmp_path / "box"
    command = [sys.executable, "-m", "mediabroker", "sandbox", "aws", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = ""
        while "Ctrl-C stops it." not in told:
            line = process.stderr.readline()
            assert line, f"it ended: {told}"
            told += line
        settings = load_settings(folder / "mediabroker.toml")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.endswith("stopped\n")
    assert "Traceback" not in err
    assert out.rstrip() == (folder / "mediabroker.toml").read_text().rstrip()
    for url in (settings.providers["aws-batch"].own["endpoint_url"], settings.stores["s3"]["endpoint_url"]):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", urlsplit(url).port)) != 0
    assert os.environ.get("AWS_ACCESS_KEY_ID") is None
