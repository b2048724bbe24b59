"""Where credentials are found, and that they are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediabroker.errors import AuthenticationError
from mediabroker_alibaba.credentials import Credentials, find_credentials

FILE = """
[default]
access_key_id = file-id
access_key_secret = file%secret

[tenant]
type = sts
access_key_id = sts-id
access_key_secret = sts-secret
security_token = token

[broken]
type = sts
access_key_id = x
access_key_secret = canary

[role]
type = ecs_ram_role
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "credentials"
    path.write_text(FILE)
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_FILE", str(path))
    return path


def test_the_environment_comes_first_and_a_named_profile_before_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_credentials() == Credentials("file-id", "file%secret")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "env-id")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "env-secret")
    assert find_credentials() == Credentials("env-id", "env-secret")
    monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "env-token")
    assert find_credentials() == Credentials("env-id", "env-secret", "env-token")
    assert find_credentials("tenant") == Credentials("sts-id", "sts-secret", "token")


def test_a_profile_may_be_named_by_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_PROFILE", "tenant")
    assert find_credentials().access_key_id == "sts-id"


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        ("nobody", r"write the profile \[nobody\]"),
        ("broken", "security_token is missing"),
        ("role", "type 'ecs_ram_role' is not supported; use access_key or sts"),
    ],
)
def test_what_is_missing_is_named(file: Path, profile: str, complaint: str) -> None:
    with pytest.raises(AuthenticationError, match=complaint) as caught:
        find_credentials(profile)
    assert "canary" not in repr(caught.value)


def test_a_file_that_cannot_be_read_is_not_quoted(file: Path) -> None:
    file.write_text("[default]\nsecret-canary\n")
    with pytest.raises(AuthenticationError) as caught:
        find_credentials()
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["none", "loop", "~nobody-of-this-name/file"])
def test_without_any_both_ways_are_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_FILE", name if name.startswith("~") else str(tmp_path / name))
    with pytest.raises(AuthenticationError, match=r"set ALIBABA_CLOUD_ACCESS_KEY_ID .* or write .* \[default\]"):
        find_credentials()


def test_printing_shows_the_id_only() -> None:
    assert repr(Credentials("id", "secret", "token")) == "Credentials(access_key_id='id')"
