"""A config file and a checkpoint of teacher and student, for the tests of tools."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import torch

from tests.engine.semi_runs import build_semi_model, make_semi_coco, semi_cfg
from tests.helpers import write_config

TOOLS = Path(__file__).resolve().parents[2] / "tools"
CLASSES = ("class_0", "class_1", "class_2")


def make_semi_checkpoint(folder: Path) -> tuple[Path, Path, Path]:
    """Images, ``tiny.py`` and ``tiny.pth``, whose teacher and student differ."""
    root = make_semi_coco(folder / "data")
    cfg = semi_cfg(root, folder / "work").to_dict()
    cfg["custom_imports"] = dict(
        imports=[f"ssod_mm.{part}" for part in ("data", "models", "engine")],
        allow_failed_imports=False,
    )
    cfg["test_dataloader"] = cfg["val_dataloader"]
    cfg["test_evaluator"] = cfg["val_evaluator"]
    cfg["test_cfg"] = dict(type="BothModelsTestLoop")
    config = write_config(cfg, folder / "tiny.py")
    torch.manual_seed(0)
    model = build_semi_model()
    for name, scale in (("teacher", 0.3), ("student", 0.4)):
        head = getattr(model, name).roi_head.bbox_head.fc_cls
        torch.nn.init.normal_(head.weight, std=scale)
    weights = folder / "tiny.pth"
    torch.save(
        dict(
            meta=dict(dataset_meta=dict(classes=CLASSES)),
            state_dict=model.state_dict(),
        ),
        weights,
    )
    return root, config, weights


def call_tool(name: str, *arguments: object) -> None:
    """Run a tool in this process."""
    path, before = str(TOOLS / f"{name}.py"), sys.argv
    sys.argv = [path, *map(str, arguments)]
    try:
        runpy.run_path(path, run_name="__main__")
    finally:
        sys.argv = before
