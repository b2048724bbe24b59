"""mypy and pyright, as a user runs them: without our settings or plugins, over right and wrong programs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = ["right.py", "wrong.py"]
WRONG_LINES = {
    number
    for number, line in enumerate((HERE / "wrong.py").read_text().splitlines(), start=1)
    if line.endswith("# wrong")
}
Findings = dict[str, dict[int, str]]
"""Messages by program and line."""


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)


def with_mypy(folder: Path) -> Findings:
    (folder / "mypy.ini").write_text("[mypy]\nstrict = True\n")
    settings = ["--config-file", "mypy.ini", "--cache-dir", str(ROOT / ".mypy_cache" / "users"), "--no-error-summary"]
    done = run([sys.executable, "-m", "mypy", *settings, *PROGRAMS], folder)
    findings: Findings = {program: {} for program in PROGRAMS}
    for program, line, text in re.findall(r"^(\w+\.py):(\d+): error: (.*)", done.stdout, re.MULTILINE):
        findings[program][int(line)] = text
    assert done.returncode == 1, done.stdout + done.stderr  # 2 would be a crash
    return findings


def with_pyright(folder: Path) -> Findings:
    if shutil.which("node") is None:
        pytest.skip("pyright needs node, and none is on PATH")
    settings = {"include": PROGRAMS, "extraPaths": [str(ROOT)], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = run([sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable], folder)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        pytest.skip(f"pyright cannot run here: {(done.stderr or done.stdout).strip()[-300:]}")
    assert told["summary"]["filesAnalyzed"] == len(PROGRAMS), done.stdout
    findings: Findings = {program: {} for program in PROGRAMS}
    for each in told["generalDiagnostics"]:
        if each["severity"] == "error":
            findings[Path(each["file"]).name][each["range"]["start"]["line"] + 1] = each["message"]
    return findings


@pytest.fixture(scope="module", params=[with_mypy, with_pyright], ids=["mypy", "pyright"])
def findings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("user")
    for program in PROGRAMS:
        shutil.copy(HERE / program, folder)
    found: Findings = request.param(folder)
    return found


def test_a_right_program_is_passed(findings: Findings) -> None:
    assert findings["right.py"] == {}


def test_every_mistake_is_reported_and_nothing_else(findings: Findings) -> None:
    assert findings["wrong.py"].keys() == WRONG_LINES, findings["wrong.py"]
