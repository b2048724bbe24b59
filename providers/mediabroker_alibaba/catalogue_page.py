"""Writes the reference page of the smart-production catalogue from the code: `make docs`.

python -m mediabroker_alibaba.catalogue_page > docs/reference/smart-production.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from mediabroker.jobs import SmartProduction
from mediabroker.media.effects import EFFECTS
from mediabroker_alibaba.catalogue import FUNCTIONS, Function

__all__ = ["build_page"]

_SHARED = frozenset(SmartProduction.model_fields)
_STATUS = {"current": "", "queried": "only in the list of what can be queried", "old": "old: 2021's list"}
_HEAD = """\
# Smart production

Generated from `mediabroker_alibaba.catalogue` by `make docs`.

Each function is a class with typed parameters and a typed result, a kind of its own. Names and units are the same
wherever it runs; `params` goes along beside the typed fields, under the vendor's names. What has no class yet is
`SmartProduction(function=..., params=...)`, whose result is a `ProductionResult`.

An output's name may hold `{source}` (the input's name), `{timestamp}` (Unix time), `{sequenceId}` (a running number)
and `{resultType}` (what the file is). The result tells the real names.

Old functions are offered by `alibaba-mps` only with `old_functions = true`. *Simulated*: the sandbox really does it,
with ffmpeg; other functions fail there with a code that says so.

| class, kind | at MPS | fields → `JobParams` | result | output | simulated | known limits; *unverified* |
|---|---|---|---|---|---|---|
"""


def build_page() -> str:
    """The page as Markdown."""
    return _HEAD + "".join(f"| {' | '.join(_row(each))} |\n" for each in FUNCTIONS)


def _row(function: Function) -> Iterator[str]:
    yield f"`{function.leaf.__name__}`<br>`{function.kind}`"
    yield f"`{function.name}`"
    yield _fields(function)
    yield f"`{function.leaf.result_type.__name__}`"
    yield _output(function)
    yield "yes" if function.name in EFFECTS else ""
    unverified = f"*{function.unverified}*" if function.unverified else ""
    refused = f"not offered: {function.refused}" if function.refused else ""
    yield "; ".join(filter(None, (_STATUS[function.status], refused, function.limits, unverified)))


def _fields(function: Function) -> str:
    wired = [f"`{field}` → `{wire}`" for field, (wire, _) in function.fields.items()]
    others = [each for each in function.leaf.model_fields if each not in {*_SHARED, *function.fields}]
    return "<br>".join([*wired, *(f"`{each}` → `request_params`" for each in others)])


def _output(function: Function) -> str:
    if not function.writes:
        return "none"
    if function.needs:
        several = f"several with `{function.needs_with}`" if function.needs_with else "several"
        return f"{several}, needs {' or '.join(f'`{{{each}}}`' for each in function.needs)}"
    return "" if function.names_files else "a plain name"


if __name__ == "__main__":
    sys.stdout.write(build_page())
