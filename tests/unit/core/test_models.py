"""Settings from a table: validated, and told without a value when they are wrong."""

from __future__ import annotations

import traceback

import pytest
from pydantic import SecretStr, model_validator
from typing_extensions import Self

from mediabroker.errors import ConfigurationError
from mediabroker.models import Value, build_settings


class Farm(Value, frozen=True):
    queue: str
    api_key: SecretStr | None = None

    @model_validator(mode="after")
    def _is_open(self) -> Self:
        if self.queue == "closed":
            raise ValueError("queue: it is closed, use 'open'")
        return self


def test_settings_are_built_from_a_table() -> None:
    assert build_settings(Farm, "providers.farm", {"queue": "open"}) == Farm(queue="open")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"queue": 3, "api_key": "hunter2"}, "providers.farm: queue: Input should be a valid string"),
        ({"queue": "closed", "api_key": "hunter2"}, "providers.farm: queue: it is closed, use 'open'"),
        ({"queue": "open", "api_keys": "hunter2"}, "providers.farm: api_keys: Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_named_and_no_value_of_them_is_in_any_traceback(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_settings(Farm, "providers.farm", given)
    assert str(caught.value) == said
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
