from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mediabroker.errors import ConfigurationError, MissingDependencyError
from mediabroker.registry import PROVIDER_GROUP, create_provider, provider_types
from tests.acme import installed

THIRD_PARTY = installed()


class Plugins:
    """Installs distributions that offer provider types, as pip would: a folder on the path, metadata beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, points: str, **modules: str) -> None:
        metadata = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{PROVIDER_GROUP}]\n{points}\n")
        for name, source in modules.items():
            (self.folder / f"{name}.py").write_text(source)


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return Plugins(folder)


def test_types_are_listed_without_loading_them(plugins: Plugins) -> None:
    plugins.install("mb-farm", "farm = mb_farm_module:Farm", mb_farm_module="raise SystemExit('loaded')")
    assert provider_types()["farm"].value == "mb_farm_module:Farm"
    assert "mb_farm_module" not in sys.modules


def test_the_embedded_default_is_listed() -> None:
    assert provider_types()["local"].value == "mediabroker_local:LocalProvider"


def test_a_misspelt_type_is_answered_with_the_nearest(plugins: Plugins) -> None:
    with pytest.raises(ConfigurationError, match=r"providers\.mine: no provider type 'locla'; did you mean 'local'\?"):
        create_provider("mine", "locla", {})


def test_an_unknown_type_is_answered_with_those_installed(plugins: Plugins) -> None:
    plugins.install("mb-farm", "farm = mb_farm_module:Farm")
    with pytest.raises(ConfigurationError, match=r"installed are .*farm.*local"):
        create_provider("mine", "qqqqqq", {})


def test_one_name_offered_by_two_packages_is_refused_with_both(plugins: Plugins) -> None:
    plugins.install("mb-farm", "farm = mb_farm_one:Farm")
    plugins.install("mb-farm-too", "farm = mb_farm_two:Farm")
    with pytest.raises(ConfigurationError, match="offered twice") as caught:
        provider_types()
    assert "mb_farm_one:Farm" in str(caught.value)
    assert "mb_farm_two:Farm" in str(caught.value)


def test_one_package_seen_twice_on_the_path_is_one(plugins: Plugins, tmp_path: Path) -> None:
    plugins.install("mb-farm", "farm = mb_farm_module:Farm")
    twin = Plugins(tmp_path / "site" / "..")
    twin.install("mb-farm", "farm = mb_farm_module:Farm")
    sys.path.append(str(twin.folder))  # taken back with the fixture's own path entry
    try:
        assert provider_types()["farm"].value == "mb_farm_module:Farm"
    finally:
        sys.path.remove(str(twin.folder))


def test_a_missing_package_is_answered_with_the_command_that_installs_it(plugins: Plugins) -> None:
    plugins.install("mb-farm", "farm-batch = mb_farm_lame:Farm", mb_farm_lame="import no_such_vendor_sdk")
    with pytest.raises(MissingDependencyError, match="no_such_vendor_sdk") as caught:
        create_provider("mine", "farm-batch", {})
    assert "pip install 'mediabroker[farm]'" in str(caught.value)
    assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize("source", ["Farm = 3", "class Farm: pass", "def Farm(name, settings): pass"])
def test_what_is_no_provider_class_is_refused(plugins: Plugins, source: str) -> None:
    plugins.install("mb-farm", "farm = mb_farm_odd:Farm", mb_farm_odd=source)
    try:
        with pytest.raises(ConfigurationError, match="mb_farm_odd:Farm is not a Provider class"):
            create_provider("mine", "farm", {})
    finally:
        sys.modules.pop("mb_farm_odd", None)


def test_a_third_partys_provider_is_found_by_its_metadata_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(THIRD_PARTY)
    provider = create_provider("archive", "acme-vault", {"endpoint": "http://127.0.0.1:9", "api_key": "k"})
    assert (provider.name, provider.type) == ("archive", "acme-vault")
