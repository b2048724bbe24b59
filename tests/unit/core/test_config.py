from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from mediabroker.config import BrokerSettings, ProviderSettings, data_folder, load_settings
from mediabroker.errors import ConfigurationError
from mediabroker.refs import MediaURI

FILE = """
store = "sqlite:////var/lib/mb/jobs.db"
lease_s = 12.5

[providers.farm]
type = "batch"
queue = "spot"

[providers.local]
max_parallel = 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_file_there_is_the_local_provider_and_a_store_in_the_data_folder(folder: Path) -> None:
    settings = load_settings()
    assert {name: each.type for name, each in settings.providers.items()} == {"local": "local"}
    assert settings.store == f"sqlite:///{data_folder() / 'jobs.db'}"


def test_the_data_folder_follows_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIABROKER_DATA_DIR", "/elsewhere")
    assert data_folder() == Path("/elsewhere")
    assert load_settings().store == "sqlite:////elsewhere/jobs.db"
    monkeypatch.setenv("MEDIABROKER_DATA_DIR", "")
    assert data_folder().name == "mediabroker"


def test_a_relative_data_folder_is_the_one_of_the_process_that_named_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIABROKER_DATA_DIR", "jobs")
    assert data_folder() == folder / "jobs"
    assert load_settings().store == f"sqlite:///{folder}/jobs/jobs.db"


def test_a_file_is_read_and_a_providers_type_defaults_to_its_name(folder: Path) -> None:
    settings = load_settings(write(folder / "my.toml", FILE))
    assert settings.store == "sqlite:////var/lib/mb/jobs.db"
    assert settings.lease_s == 12.5
    assert settings.providers["farm"].type == "batch"
    assert settings.providers["farm"].own == {"queue": "spot"}
    assert settings.providers["local"].type == "local"
    assert settings.providers["local"].own == {"max_parallel": 2}


def test_the_file_given_wins_over_the_environments_which_wins_over_the_folders(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "config" / "mediabroker" / "mediabroker.toml", "lease_s = 1")
    assert load_settings().lease_s == 1
    write(folder / "mediabroker.toml", "lease_s = 2")
    assert load_settings().lease_s == 2
    monkeypatch.setenv("MEDIABROKER_CONFIG", str(write(tmp_path / "env.toml", "lease_s = 3")))
    assert load_settings().lease_s == 3
    assert load_settings(write(tmp_path / "given.toml", "lease_s = 4")).lease_s == 4


def test_environment_variables_win_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "mediabroker.toml", FILE)
    monkeypatch.setenv("MEDIABROKER_STORE", "sqlite:////other.db")
    monkeypatch.setenv("MEDIABROKER_PROVIDERS__FARM__QUEUE", "on-demand")
    settings = load_settings()
    assert settings.store == "sqlite:////other.db"
    assert settings.providers["farm"].own == {"queue": "on-demand"}
    assert settings.providers["farm"].type == "batch"
    assert settings.providers["local"].own == {"max_parallel": 2}


def test_a_provider_can_be_configured_by_the_environment_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIABROKER_PROVIDERS__LOCAL__MAX_PARALLEL", "3")
    settings = load_settings()
    assert settings.providers["local"].type == "local"
    assert str(settings.providers["local"].own["max_parallel"]) == "3"


def test_an_empty_variable_is_no_setting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIABROKER_LEASE_S", "")
    assert load_settings().lease_s == BrokerSettings().lease_s


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("leese_s = 3", "leese_s"),
        ("lease_s = 0", "lease_s"),
        ('lease_s = "soon"', "lease_s"),
        ("key_retention_days = 0.5", "key_retention_days"),
        ("providers = 3", "providers"),
        ("[providers]\nlocal = 3", "providers.local"),
        ("[providers.local]\ntype = 3", "providers.local.type"),
        ("store = ", "my.toml"),
        ("\x00", "my.toml"),
    ],
)
def test_a_wrong_file_is_refused_by_its_name_and_the_settings(folder: Path, text: str, complaint: str) -> None:
    path = write(folder / "my.toml", text)
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)


def test_all_wrong_settings_are_named_at_once(folder: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write(folder / "my.toml", "lease_s = -1\nbusy_timeout_s = -1\ncolour = 1"))
    assert all(name in str(caught.value) for name in ("lease_s", "busy_timeout_s", "colour"))


def test_bytes_that_are_no_text_are_refused(folder: Path) -> None:
    path = folder / "my.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"my\.toml"):
        load_settings(path)


def test_a_named_file_that_is_missing_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        load_settings("nowhere.toml")
    monkeypatch.setenv("MEDIABROKER_CONFIG", "nowhere.toml")
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        load_settings()


def test_a_wrong_variable_is_refused_without_blaming_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIABROKER_LEASE_S", "soon")
    with pytest.raises(ConfigurationError, match="environment: lease_s"):
        load_settings()


@pytest.mark.parametrize("text", ['[providers.local]\ntype = 3\napi_key = "hunter2"', 'api_key = "hunter2"'])
def test_the_value_of_a_secret_setting_is_in_no_traceback(folder: Path, text: str) -> None:
    path = write(folder / "my.toml", text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_settings_that_may_be_secret_are_in_no_repr() -> None:
    settings = BrokerSettings(
        store="postgresql://u:hunter2@host/jobs",
        providers={"farm": ProviderSettings.model_validate({"type": "aws-lambda", "api_key": "hunter2"})},
        stores={"s3": {"secret_access_key": "hunter2"}},
        sources={"mns": {"access_key_secret": "hunter2"}},
    )
    assert "hunter2" not in f"{settings!r} {settings}"
    assert "aws-lambda" in repr(settings)
    assert settings.providers["farm"].own == {"api_key": "hunter2"}


@pytest.mark.parametrize(
    ("content", "setting"),
    [
        ("[providers.local]\nffmpeg = './evil'", "providers.local.ffmpeg"),
        ("[providers.aws]\napi_key = 'x'", "providers.aws.api_key"),
        ("[stores.s3]\nprofile = 'admin'", "stores.s3.profile"),
        ("[sources.mns]\naccess_key_secret = 'x'", "sources.mns.access_key_secret"),
        ("store = 'postgresql://user:pw@host/db'", "store"),
    ],
)
def test_a_file_found_in_the_working_directory_names_no_program_and_no_credentials(
    folder: Path, tmp_path: Path, content: str, setting: str
) -> None:
    found = write(folder / "mediabroker.toml", content)
    with pytest.raises(ConfigurationError, match=rf"working directory: {setting}: .*mediabroker.toml, or name"):
        load_settings()
    load_settings(found)
    found.unlink()
    write(tmp_path / "config" / "mediabroker" / "mediabroker.toml", content)
    load_settings()


@pytest.mark.parametrize(
    "target",
    ["file:///media/a.mp4", "s3://bucket/done-not/a.mp4", "s3://bucket/done/../a.mp4", "s3://other/done/a.mp4"],
)
def test_a_job_of_another_store_is_delivered_to_configured_folders_alone(target: str) -> None:
    settings = BrokerSettings(adopt_to=("s3://bucket/done",))
    assert settings.may_adopt_to(MediaURI("s3://bucket/done/a.mp4"))
    assert not settings.may_adopt_to(MediaURI(target))
    assert not BrokerSettings().may_adopt_to(MediaURI("s3://bucket/done/a.mp4")), "none is configured at first"


def test_local_folders_cannot_be_configured_for_jobs_of_another_store() -> None:
    with pytest.raises(ValueError, match="never delivered to file://"):
        BrokerSettings(adopt_to=("file:///media",))


def test_the_key_of_tokens_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "planted-" + "k" * 32
    monkeypatch.setenv("MEDIABROKER_TOKEN_KEY", key)
    settings = load_settings()
    assert settings.token_key is not None
    assert settings.token_key.get_secret_value() == key
    assert key not in repr(settings) + str(settings) + settings.model_dump_json()
    monkeypatch.delenv("MEDIABROKER_TOKEN_KEY")
    with pytest.raises(ValueError, match="token_key") as refused:
        BrokerSettings(token_key="planted-short")  # type: ignore[arg-type]  # text becomes a secret
    assert "planted-short" not in str(refused.value)
