"""Pins, ranges and imports agree; the set-up refuses in clear words."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
# Import names that differ from the name of their distribution.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "cv2": "opencv-python",
    "mmcv": "onedl-mmcv",
    "mmdet": "onedl-mmdetection",
    "mmengine": "onedl-mmengine",
    "faster_coco_eval": "faster-coco-eval",
}


def setup_argument(name):
    """A literal argument of the ``setup`` call, without running it."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup":
            for keyword in node.keywords:
                if keyword.arg == name:
                    return ast.literal_eval(keyword.value)
    raise KeyError(name)


def pins(name="requirements.txt"):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def ranges():
    extras = [
        item for group in setup_argument("extras_require").values() for item in group
    ]
    return [Requirement(item) for item in setup_argument("install_requires") + extras]


def test_every_requirement_is_pinned_exactly():
    for pin in [*pins(), *pins("requirements-docs.txt")]:
        (specifier,) = pin.specifier
        assert specifier.operator == "==", pin
        assert "*" not in specifier.version, pin


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12"])
def test_each_python_gets_one_version_inside_the_range(python):
    for wanted in ranges():
        versions = [
            next(iter(pin.specifier)).version
            for pin in pins()
            if pin.name == wanted.name
            and (not pin.marker or pin.marker.evaluate({"python_version": python}))
        ]
        assert len(versions) == 1, f"{wanted.name}: {versions}"
        assert wanted.specifier.contains(versions[0]), f"{wanted}: {versions[0]}"


def test_what_the_package_imports_is_declared():
    declared = {wanted.name for wanted in ranges()}
    imported = set()
    for path in (ROOT / "ssod_mm").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - {"ssod_mm"}
    assert {DISTRIBUTIONS.get(name, name) for name in third_party} <= declared


@pytest.mark.parametrize("python", ["no-such-python", "old-python"])
def test_setup_names_the_supported_pythons(python, tmp_path):
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.18\nexit 1\n')
    old.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", str(ROOT / "tools" / "setup_env.sh")],
        env={**os.environ, "PATH": path, "PYTHON": python, "VENV": str(tmp_path / "v")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert "Python 3.10, 3.11 or 3.12 is needed" in result.stderr
    assert "PYTHON=" in result.stderr
    assert (python == "old-python") == ("Python 3.9.18" in result.stderr)
    assert not (tmp_path / "v").exists()
