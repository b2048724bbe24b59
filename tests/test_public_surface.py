"""What the package shows, what importing it costs, and the rules of the house that no other tool watches."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import mediabroker

ROOT = Path(mediabroker.__file__).parents[1]
ROOMS = ["mediabroker", "neuron_worker", "providers"]
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
HEAVY = [
    "PIL", "aliyunsdkcore", "aliyunsdkmts", "av", "boto3", "botocore", "ffmpeg", "imageio_ffmpeg", "numpy", "onnx",
    "onnxruntime", "openvino", "oss2", "pytest", "torch",
]  # fmt: skip
MODULE_LINES, TEST_LINES, FUNCTION_LINES = 400, 500, 60


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def loaded_by(statement: str) -> set[str]:
    """The top-level names that a new interpreter has loaded after `statement`."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def parsed(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an invalid escape is a mistake, too
        return ast.parse(path.read_text(encoding="utf-8"))


def test_all_names_are_sorted_and_there() -> None:
    assert mediabroker.__all__ == sorted(mediabroker.__all__)
    for name in mediabroker.__all__:
        assert getattr(mediabroker, name) is not None


def test_nothing_public_is_left_out() -> None:
    classes = {name: value for name, value in vars(mediabroker).items() if inspect.isclass(value)}
    ours = {name for name, value in classes.items() if value.__module__.startswith("mediabroker")}
    assert ours <= set(mediabroker.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Brokr"):
        _ = mediabroker.Brokr


@pytest.mark.parametrize("statement", ["import mediabroker", "from mediabroker import Broker"])
def test_importing_it_loads_no_vendor_and_no_media_library(statement: str) -> None:
    assert loaded_by(statement) & set(HEAVY) == set()


def test_who_only_builds_specs_does_not_load_the_database_toolkit() -> None:
    assert loaded_by("from mediabroker import SuperResolution, JobSucceeded") & {"sqlalchemy", "typer", "rich"} == set()


def test_the_worker_and_the_vendors_do_not_come_along() -> None:
    assert loaded_by("from mediabroker import Broker") & {"neuron_worker", "mediabroker_local"} == set()


def test_every_module_of_the_product_declares_what_it_shows() -> None:
    for module in pkgutil.walk_packages(mediabroker.__path__, "mediabroker."):
        if module.ispkg or any(part.startswith("_") for part in module.name.split(".")):
            continue
        shown = importlib.import_module(module.name).__dict__.get("__all__")
        assert shown is not None, f"{module.name} has no __all__"
        missing = [name for name in shown if not hasattr(sys.modules[module.name], name)]
        assert not missing, f"{module.name}: {missing}"


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_modules_and_functions_stay_small(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MODULE_LINES, f"{lines} lines"
    for function in functions(parsed(path)):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= FUNCTION_LINES, f"{function.name} has {length} lines"


def test_tests_stay_readable() -> None:
    long = {short(path): path.read_text(encoding="utf-8").count("\n") for path in TESTS}
    assert {path: lines for path, lines in long.items() if lines > TEST_LINES} == {}


def test_no_room_is_called_utils_or_helpers() -> None:
    assert [short(path) for path in [*SOURCES, *TESTS] if path.stem in ("utils", "helpers", "common", "misc")] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [short(path) for path in SOURCES if path.read_text() and not ast.get_docstring(parsed(path))] == []


def test_cancelled_is_written_with_two_ls_in_our_names() -> None:
    names = {node.name for path in SOURCES for node in ast.walk(parsed(path)) if hasattr(node, "name") and node.name}
    assert [name for name in names if "canceled" in str(name).lower()] == []


def test_tests_are_named_after_promises_and_not_after_tickets() -> None:
    tests = [function.name for path in TESTS for function in functions(parsed(path)) if function.name[:5] == "test_"]
    assert [name for name in tests if re.search(r"(issue|bug|ticket|gh|pr)_?\d", name)] == []


FOLDERS = sorted({path.parent for path in SOURCES})


@pytest.mark.parametrize("folder", FOLDERS, ids=short)
def test_a_folder_holds_no_more_modules_than_a_reader_can_keep_in_view(folder: Path) -> None:
    modules = [path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "__main__")]
    assert len(modules) <= 18, "a group among them is a folder that is missing"
    prefixes = Counter(stem.partition("_")[0] for stem in modules if "_" in stem)
    assert [prefix for prefix, count in prefixes.items() if count > 2] == [], "files of one prefix are a folder"


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_looking_at_the_command_line_loads_neither_a_database_nor_the_comparison(option: str) -> None:
    code = f"import sys; from mediabroker.cli.app import run; run([{option!r}]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert {"sqlalchemy", "mediabroker.compare", "mediabroker.broker"} & set(done.stderr.split()) == set()
