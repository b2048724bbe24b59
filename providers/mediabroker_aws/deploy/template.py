"""The template as data, and what CloudFormation would make of it with given parameters.

Source: AWS CloudFormation User Guide, "Intrinsic function reference", "Condition functions", "Pseudo parameters".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from mediabroker.errors import ConfigurationError

__all__ = ["NO_VALUE", "Template", "load_template", "template_text"]

NO_VALUE = object()
"""What `AWS::NoValue` is: the property is left out."""
_MARK = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")

Lookup = Callable[[str, str | None], Any]
"""What a resource is called, `(name, None)`, or one of its attributes, `(name, attribute)`."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """YAML with CloudFormation's short forms."""


def _construct(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        value = value.split(".", 1) if suffix == "GetAtt" else value
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct)


def template_text() -> str:
    """The template as it is given to CloudFormation."""
    return files("mediabroker_aws.deploy").joinpath("template.yaml").read_text(encoding="utf-8")


@cache
def load_template() -> Mapping[str, Any]:
    """The template as data, short forms written out."""
    loaded: dict[str, Any] = yaml.load(template_text(), _Loader)  # noqa: S506  a SafeLoader
    return loaded


def _unknown(name: str, attribute: str | None) -> Any:
    return f"<{name}.{attribute}>" if attribute else f"<{name}>"


class Template:
    """The template with values for its parameters.

    Args:
        given: by parameter; the others have their defaults.
        lookup: names and attributes of resources; default: placeholders, as `<Bucket.Arn>`.

    Raises:
        ConfigurationError: a parameter is missing, unknown, or not allowed; the message names it and what would do.
    """

    def __init__(
        self,
        given: Mapping[str, str],
        *,
        pseudo: Mapping[str, str] | None = None,
        lookup: Lookup = _unknown,
        content: Mapping[str, Any] | None = None,
    ) -> None:
        self.content = content or load_template()
        self.parameters = _choose(self.content["Parameters"], given)
        self._pseudo = {
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::Region": "<region>",
            "AWS::AccountId": "<account>",
            "AWS::StackName": "mediabroker",
            **(pseudo or {}),
        }
        self._lookup = lookup
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.holds,
            "Fn::GetAtt": lambda argument: lookup(*argument),
            "Fn::Base64": lambda argument: base64.b64encode(str(self.evaluate(argument)).encode()).decode(),
            "Fn::Sub": lambda argument: _MARK.sub(lambda at: str(self._named(at[1])), argument),
            "Fn::If": lambda argument: self.evaluate(argument[1 if self.holds(argument[0]) else 2]),
            "Fn::Equals": self._equals,
            "Fn::Not": lambda argument: not self.evaluate(argument[0]),
        }
        for rule in self.content.get("Rules", {}).values():
            self._assert(rule)

    def resources(self) -> dict[str, Any]:
        """The resources that are made, by logical name."""
        return {name: each for name, each in self.content["Resources"].items() if self.holds(each.get("Condition"))}

    def properties(self, name: str) -> dict[str, Any]:
        """The properties of a resource, evaluated."""
        properties: dict[str, Any] = self.evaluate(self.content["Resources"][name].get("Properties", {}))
        return properties

    def holds(self, condition: str | None) -> bool:
        """Whether a condition of the template is true; no condition always is."""
        return condition is None or bool(self.evaluate(self.content["Conditions"][condition]))

    def evaluate(self, value: Any) -> Any:
        """A part of the template with its functions replaced by what they give.

        Raises:
            ValueError: a function that this evaluation does not know.
        """
        if isinstance(value, list):
            return [each for each in map(self.evaluate, value) if each is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (next(iter(value)) in ("Ref", "Condition") or next(iter(value)).startswith("Fn::")):
            return self._function(*next(iter(value.items())))
        evaluated = {name: self.evaluate(each) for name, each in value.items()}
        return {name: each for name, each in evaluated.items() if each is not NO_VALUE}

    def _function(self, name: str, argument: Any) -> Any:
        if name not in self._functions:
            raise ValueError(f"{name} is not evaluated here")
        return self._functions[name](argument)

    def _equals(self, argument: Sequence[Any]) -> bool:
        first, second = self.evaluate(argument)
        return str(first) == str(second)

    def _named(self, name: str) -> Any:
        resource, _, attribute = name.partition(".")
        return self._lookup(resource, attribute) if attribute else self._ref(name)

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        for known in (self.parameters, self._pseudo):
            if name in known:
                return known[name]
        return self._lookup(name, None)

    def _assert(self, rule: Mapping[str, Any]) -> None:
        if self.evaluate(rule["RuleCondition"]):
            for each in rule["Assertions"]:
                if not self.evaluate(each["Assert"]):
                    raise ConfigurationError(each["AssertDescription"])


def _choose(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    if unknown := sorted(set(given) - set(declared)):
        raise ConfigurationError(f"no parameter {unknown[0]!r}; there are {', '.join(declared)}")
    chosen: dict[str, Any] = {}
    for name, parameter in declared.items():
        value = given.get(name, parameter.get("Default"))
        if value is None:
            raise ConfigurationError(f"parameter {name} is needed: {parameter['Description']}")
        chosen[name] = _checked(name, parameter, str(value))
    return chosen


def _checked(name: str, parameter: Mapping[str, Any], value: str) -> Any:
    """The value as the template's functions see it."""
    allowed = [str(each) for each in parameter.get("AllowedValues", ())]
    if allowed and value not in allowed:
        raise ConfigurationError(f"parameter {name} is {value!r}; it may be {', '.join(allowed)}")
    pattern = parameter.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, value):
        raise ConfigurationError(f"parameter {name} is {value!r}: {parameter['Description']}")
    if parameter["Type"] == "Number":
        return _number(name, parameter, value)
    return value.split(",") if parameter["Type"].startswith("List<") else value


def _number(name: str, parameter: Mapping[str, Any], value: str) -> int:
    low, high = parameter.get("MinValue", 0), parameter.get("MaxValue")
    if not value.isdecimal() or int(value) < low or (high is not None and int(value) > high):
        raise ConfigurationError(f"parameter {name} is {value!r}; it must be a number from {low} to {high or 'any'}")
    return int(value)
