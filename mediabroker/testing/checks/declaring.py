"""What a provider says of itself, and what it refuses before any call."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import ValidationError

from mediabroker.errors import UnsupportedError
from mediabroker.jobs import JobSpec
from mediabroker.refs import MediaURI
from mediabroker.registry import create_provider, provider_types
from mediabroker.spi import ProviderOptions
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Rig

__all__ = ["DeclaringChecks"]

_SOMEWHERE = {
    "file": "file:///nowhere/a.mp4",
    "s3": "s3://nowhere/a.mp4",
    "oss": "oss://nowhere/a.mp4",
    "https": "https://nowhere.invalid/a.mp4",
}


class UnheardOf(JobSpec[Any], frozen=True):
    """A kind that no provider runs."""

    kind: Literal["contract_unheard_of"] = "contract_unheard_of"


class DeclaringChecks:
    """Capabilities, and early refusal."""

    def test_capabilities_are_consistent_and_constant(self, driver: Driver) -> None:
        able = driver.provider.capabilities()
        assert able == driver.provider.capabilities(), "capabilities change between two looks"
        assert able.kinds, "a provider that runs no kind"
        assert len(set(able.kinds)) == len(able.kinds), f"a kind is listed twice: {able.kinds}"
        assert able.input_schemes, "a provider that reads from nowhere"
        assert able.flow_version >= 1
        assert able.query_batch >= 1
        assert able.poll_interval_s > 0
        assert able.settle_time_s is None or able.settle_time_s >= 0

    def test_type_is_the_name_of_its_entry_point(self, rig: Rig, driver: Driver) -> None:
        assert driver.provider.type == rig.type
        assert rig.type in provider_types(), f"no entry point {rig.type!r} in the group mediabroker.providers"
        made = create_provider(driver.provider.name, rig.type, rig.settings)
        assert isinstance(driver.provider, type(made)), f"the entry point makes {type(made).__name__}"

    def test_options_are_a_frozen_model_of_this_type(self, driver: Driver) -> None:
        options = driver.provider.capabilities().options
        if options is None:
            pytest.skip("this provider has no options of its own")
        assert issubclass(options, ProviderOptions)
        assert options.provider == driver.provider.type, "options name the provider type they belong to"
        with pytest.raises(ValidationError):
            options.model_validate({"a_misspelt_option": 1})

    def test_check_passes_every_kind_it_declares(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            spec = rig.spec(kind)
            assert spec.kind == kind, f"the rig made {spec.kind} for {kind}"
            driver.provider.check(spec, None)

    def test_an_unknown_kind_is_refused_without_a_call(self, rig: Rig, driver: Driver) -> None:
        known = rig.spec(rig.kind)
        with pytest.raises(UnsupportedError, match="contract_unheard_of"):
            driver.provider.check(UnheardOf(input=known.input, output=known.output), None)
        assert driver.calls() == []

    @pytest.mark.parametrize("end", ["input", "output"])
    def test_a_scheme_it_cannot_reach_is_refused_without_a_call(self, rig: Rig, driver: Driver, end: str) -> None:
        able = driver.provider.capabilities()
        reachable = able.input_schemes if end == "input" else able.output_schemes
        foreign = sorted(_SOMEWHERE.keys() - reachable)
        for kind in able.kinds:
            for scheme in foreign:
                spec = rig.spec(kind).model_copy(update={end: MediaURI(_SOMEWHERE[scheme])})
                with pytest.raises(UnsupportedError, match=scheme):
                    driver.provider.check(spec, None)
        assert driver.calls() == []

    def test_what_it_cannot_express_is_refused_without_a_call(self, rig: Rig, driver: Driver) -> None:
        for spec in rig.inexpressible():
            with pytest.raises(UnsupportedError):
                driver.provider.check(spec, None)
        assert driver.calls() == []
