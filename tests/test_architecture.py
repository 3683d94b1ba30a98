"""The parts of the package depend on each other in one direction only.

The rules are read off the syntax trees, imports inside functions included, so nothing
is imported here. Each rule is also shown to catch a planted violation.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "ssod_mm"

# Part -> the other parts that it may import, or what of them.
ALLOWED_PARTS = {
    "__init__": {"version"},
    "version": set(),
    "errors": set(),
    "structures": {"maths"},
    "maths": set(),
    "mmdet_datasets": set(),
    "coco_json": {"mmdet_datasets"},
    "coco_boxes": {"coco_json"},
    "durable": set(),
    "settings": set(),
    "weights": set(),
    "checkpoint_files": {"weights"},
    "checkpoints": {"checkpoint_files", "weights"},
    "__main__": {"cli"},
    "formats": {"durable"},
    "cli": {"settings", "version", "formats", "weights"},
    "data": {
        "structures",
        "maths",
        "coco_boxes",
        "coco_json",
        "formats",
        "mmdet_datasets",
    },
    "models": {"structures", "maths", "checkpoints", "settings"},
    "evaluation": {"structures", "maths", "coco_boxes", "coco_json", "mmdet_datasets"},
    "reporting": set(),
    "engine": {
        "settings",
        "structures",
        "maths",
        "data",
        "models.batched",
        "evaluation",
        "cli",
        "coco_boxes",
        "coco_json",
        "mmdet_datasets",
        "checkpoint_files",
        "checkpoints",
        "durable",
        "reporting",
        "version",
    },
    "apis": {
        "coco_boxes",
        "coco_json",
        "formats",
        "cli",
        "sweep",
        "structures",
        "data",
        "evaluation",
        "engine",
        "checkpoint_files",
        "checkpoints",
        "durable",
        "reporting",
        "version",
    },
    "sweep": {"cli", "reporting"},
}
# Part -> the only third-party packages that it may import; absent: any.
ALLOWED_THIRD_PARTY = {
    "__init__": set(),
    "version": set(),
    "errors": set(),
    "__main__": set(),
    "maths": {"torch"},
    "formats": {"PIL", "yaml"},
    "cli": {"mmengine"},
    "settings": set(),
    "weights": set(),
    "reporting": {"matplotlib", "terminaltables", "plotly", "scipy", "jinja2"},
    "sweep": {"mmengine", "rich", "submitit"},
    "configs": set(),
}


def imported_modules(source):
    """(dotted name, relative level) of every import statement."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module == PACKAGE and node.level == 0:
                # "from ssod_mm import models" names the part after the keyword.
                yield from ((f"{PACKAGE}.{alias.name}", 0) for alias in node.names)
            else:
                yield module, node.level


def violations(part, source):
    """Broken rules of one file; ``part`` as in ``ALLOWED_PARTS``, or "configs"."""
    found = []
    for module, level in imported_modules(source):
        top, *rest = module.split(".")
        if level:
            found.append(f"relative import of {'.' * level}{module}")
        elif part == "configs":
            found.append(f"a config imports {module}")
        elif top == PACKAGE:
            other = rest[0] if rest else "__init__"
            allowed = ALLOWED_PARTS[part] | {part, "errors", "__version__"}
            if not {other, ".".join(rest[:2])} & allowed:
                found.append(f"{part} imports {module}")
        elif top in {"tools", "tests", "configs"}:
            found.append(f"{part} imports {module}")
        elif top not in sys.stdlib_module_names:
            allowed = ALLOWED_THIRD_PARTY.get(part)
            if allowed is not None and top not in allowed:
                found.append(f"{part} imports {module}")
    return found


def package_files():
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        yield path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py"), path


def all_files():
    yield from package_files()
    yield from (("configs", path) for path in sorted((ROOT / "configs").rglob("*.py")))


def test_every_part_has_a_rule():
    assert {part for part, _ in package_files()} == set(ALLOWED_PARTS)


@pytest.mark.parametrize(
    ("part", "path"),
    [pytest.param(*file, id=str(file[1].relative_to(ROOT))) for file in all_files()],
)
def test_file_keeps_the_rules(part, path):
    assert violations(part, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("maths", "import numpy as np"),
        ("maths", "from mmdet.structures.bbox import bbox_overlaps"),
        ("maths", "from ssod_mm.structures import PseudoBoxes"),
        ("maths", "def f():\n    import mmcv.ops"),
        ("structures", "from ssod_mm.models import MeanTeacher"),
        ("data", "from ssod_mm.models.detectors import MeanTeacher"),
        ("data", "from ssod_mm.engine.runtime import build_runner"),
        ("data", "import ssod_mm.evaluation"),
        ("data", "from ssod_mm import engine"),
        ("data", "def f():\n    from ssod_mm.models import features"),
        ("models", "from ssod_mm.data import splits"),
        ("models", "from ssod_mm.evaluation import FastCocoMetric"),
        ("models", "from ssod_mm.engine import runtime"),
        ("evaluation", "from ssod_mm.data.datasets import CocoSemiDataset"),
        ("evaluation", "import ssod_mm.models.features as features"),
        ("evaluation", "from ssod_mm.engine.loops import BothModelsValLoop"),
        ("engine", "from ssod_mm.models.detectors import MeanTeacher"),
        ("engine", "from tools.train import main"),
        ("engine", "from ssod_mm.apis.inference import load_detector"),
        ("cli", "from ssod_mm.engine.runtime import build_runner"),
        ("cli", "import torch"),
        ("version", "import importlib.metadata, torch"),
        ("__init__", "from ssod_mm.models import MeanTeacher"),
        ("__init__", "import mmdet"),
        ("data", "from .splits import seeded_split"),
        ("models", "from . import features"),
        ("configs", "from ssod_mm.models import MeanTeacher"),
        ("configs", "import os"),
        ("configs", "def f():\n    import torch"),
    ],
)
def test_planted_violation_is_caught(part, line):
    assert len(violations(part, line)) == 1


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (
            "maths",
            "import math\nimport torch.nn.functional as F\nfrom torch import Tensor",
        ),
        ("maths", "from ssod_mm.maths.boxes import warp_boxes"),
        ("data", "import numpy\nfrom ssod_mm.maths.boxes import warp_boxes"),
        ("engine", "from ssod_mm.data.splits import LabelSplit\nimport mmengine"),
        ("engine", "from ssod_mm import __version__"),
        ("configs", "_base_ = ['../_base_/runtime.py']"),
    ],
)
def test_legal_imports_pass(part, line):
    assert violations(part, line) == []


def plain_errors(source):
    """Lines that raise a ValueError or RuntimeError without a type of its own."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and getattr(node.exc.func, "id", "") in ("ValueError", "RuntimeError")
    ]


# Mistakes of whoever calls a function, not of a user: they keep their traceback.
BUGS = {"ssod_mm/maths/boxes.py": 1, "ssod_mm/sweep/slurm_job.py": 2}


def test_checks_raise_user_errors():
    """Otherwise a user would see a traceback: raise ssod_mm.errors.UserError."""
    paths = [*(ROOT / PACKAGE).rglob("*.py"), *(ROOT / "tools").glob("*.py")]
    counts = {
        str(path.relative_to(ROOT)): len(plain_errors(path.read_text(encoding="utf-8")))
        for path in paths
    }
    assert {name: number for name, number in counts.items() if number} == BUGS


def test_a_plain_error_is_seen():
    assert plain_errors("def f():\n    raise ValueError('x') from None") == [2]
    assert plain_errors("raise UserError('x')\nraise error") == []


def modules_after(statement, search_path):
    """Names in ``sys.modules`` after a statement in a fresh interpreter."""
    code = f"import sys; {statement}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=search_path,
        env={"PYTHONPATH": str(search_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(result.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    loaded = modules_after("import ssod_mm; ssod_mm.__version__", ROOT)
    assert "ssod_mm.version" in loaded
    assert not loaded & {"torch", "numpy", "cv2", "mmcv", "mmengine", "mmdet"}


def test_a_heavy_package_import_would_be_seen(tmp_path):
    (tmp_path / "torch.py").write_text("")
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy" / "__init__.py").write_text("import torch")
    assert "torch" in modules_after("import heavy", tmp_path)


def test_variables_say_what_they_hold():
    """``found`` and ``made`` say where a value comes from, not what it is."""
    script = ROOT / "tools" / "profile_gpu.py"  # of one measurement
    files = {*(ROOT / PACKAGE).rglob("*.py"), *(ROOT / "tools").glob("*.py")}
    unclear = {
        (path.name, name)
        for path in files - {script}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (getattr(node, "id", ""), getattr(node, "arg", ""))
        if name in ("found", "made")
    }
    assert not unclear
