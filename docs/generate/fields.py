"""Print every field of every kind, result, event, error and setting.

`python -m docs.generate.fields > docs/reference/fields.md` writes the page.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Iterable
from enum import Enum
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mediabroker import config, errors, events, jobs, production, results
from mediabroker_alibaba import MpsOptions
from mediabroker_alibaba import settings as alibaba_settings
from mediabroker_aws import BatchOptions, LambdaOptions
from mediabroker_aws import settings as aws_settings
from mediabroker_local import LocalOptions
from mediabroker_local import settings as local_settings

_HEAD = """# Fields

Generated from the code by `make docs`. A default of `–` means that the field must be given.
"""
_ARGUMENT = re.compile(r"^ {4}(?:    )?(\w+): (.+?)(?=^ {4}(?:    )?\w+: |\Z)", re.MULTILINE | re.DOTALL)


def main() -> None:
    print(_HEAD)
    sections = {
        "Kinds": _models(jobs, jobs.JobSpec),
        "Parts of kinds": [jobs.VideoEncoder, jobs.Rendition],
        "Kinds of smart production": _models(production, jobs.JobSpec),
        "Results": _models(results, BaseModel),
        "Events": _models(events, BaseModel),
        "Errors of jobs": [errors.JobError],
        "Settings": [config.BrokerSettings, config.ProviderSettings, config.RouteSettings],
        "Settings of providers, stores and sources": [
            local_settings.LocalSettings,
            *_models(aws_settings, BaseModel),
            *_models(alibaba_settings, BaseModel),
        ],
        "Options of one job": [LocalOptions, BatchOptions, LambdaOptions, MpsOptions],
    }
    for title, models in sections.items():
        print(f"## {title}\n")
        for model in models:
            print(_section(model))
    print("## Error codes\n")
    print(_codes())


def _models(module: types.ModuleType, base: type) -> list[type[BaseModel]]:
    found = [getattr(module, name) for name in module.__all__]
    return [each for each in found if inspect.isclass(each) and issubclass(each, base) and each is not base]


def _section(model: type[BaseModel]) -> str:
    own = [(name, field) for name, field in model.model_fields.items() if not _inherited_spec(model, name)]
    rows = [f"| `{name}` | {_type(field)} | {_default(field)} | {_meaning(model, name)} |" for name, field in own]
    heading = f"### {model.__name__}\n\n{_summary(model)}\n"
    if not rows:
        return heading
    return "\n".join([heading, "| field | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _inherited_spec(model: type[BaseModel], name: str) -> bool:
    """Return whether the field is one that every job has, which is described once, at `JobSpec`."""
    return issubclass(model, jobs.JobSpec) and name in jobs.JobSpec.model_fields and name != "output"


def _summary(model: type[BaseModel]) -> str:
    return (inspect.getdoc(model) or "").split("\n\n")[0].replace("\n", " ")


def _type(field: FieldInfo) -> str:
    return f"`{_words(field.annotation)}`".replace("|", "\\|") + _bounds(field.metadata)


def _words(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return " | ".join(repr(each) for each in typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_words(each) for each in typing.get_args(annotation))
    if origin is typing.Annotated:
        return _words(typing.get_args(annotation)[0])
    if origin is not None:
        inner = ", ".join("..." if each is Ellipsis else _words(each) for each in typing.get_args(annotation))
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return "None" if annotation is type(None) else str(getattr(annotation, "__name__", annotation))


def _bounds(metadata: Iterable[Any]) -> str:
    words = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}", "multiple_of": "a multiple of {}",
             "min_length": "at least {} long", "max_length": "at most {} long"}  # fmt: skip
    said = [words[name].format(getattr(each, name)) for each in metadata for name in words if hasattr(each, name)]
    return f", {', '.join(said)}" if said else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "–"
    if field.default is PydanticUndefined:
        return "computed"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    return f"`{value!r}`".replace("|", "\\|") if not isinstance(value, BaseModel) else f"`{type(value).__name__}()`"


def _meaning(model: type[BaseModel], name: str) -> str:
    for each in model.__mro__:
        said = _attribute_words(each).get(name) or dict(_ARGUMENT.findall(inspect.getdoc(each) or "")).get(name)
        if said:
            return " ".join(said.split()).replace("|", "\\|")
    field = model.model_fields[name]
    return field.description or ""


def _attribute_words(model: type) -> dict[str, str]:
    """Return the strings that stand below a class's attributes."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    except (OSError, TypeError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    pairs = pairwise(body)
    return {
        first.target.id: second.value.value
        for first, second in pairs
        if isinstance(first, ast.AnnAssign) and isinstance(first.target, ast.Name)
        and isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant)
    }  # fmt: skip


def _codes() -> str:
    return "\n".join(
        ["| code | whose turn | retryable |", "|---|---|---|", *(_code(each) for each in errors.ErrorCode)]
    )


def _code(code: errors.ErrorCode) -> str:
    error = errors.JobError.of(code, "")
    return f"| `{code.value}` | {error.blame} | {'yes' if error.retryable else 'no'} |"


if __name__ == "__main__":
    main()
