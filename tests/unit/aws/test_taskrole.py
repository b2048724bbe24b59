"""A task role: credentials for who has the word, and for nobody else."""

from __future__ import annotations

import boto3
import httpx
import pytest

from mediabroker_aws.simulator.taskrole import TaskRole


def test_boto3_finds_the_roles_credentials_by_its_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with TaskRole("AKIDROLE", "secret-of-the-role") as role:
        assert "secret-of-the-role" not in "".join(role.environment.values())
        for name, value in role.environment.items():
            monkeypatch.setenv(name, value)
        found = boto3.session.Session().get_credentials()
        assert found is not None
        assert (found.access_key, found.secret_key) == ("AKIDROLE", "secret-of-the-role")
        assert found.method == "container-role"


def test_without_the_word_nothing_is_handed_out() -> None:
    with TaskRole("AKIDROLE", "secret-of-the-role") as role:
        answer = httpx.get(role.environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
    assert (answer.status_code, answer.content) == (401, b"")
