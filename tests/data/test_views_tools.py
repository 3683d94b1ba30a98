"""The tools that look at views: browsing and timing."""

import importlib.util
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers import make_tiny_coco

ROOT = Path(__file__).parents[2]


def load_tool(name):
    """Module of a tool, imported from its file."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config_path(tmp_path):
    """Config whose two sources are a labelled and an unlabelled json."""
    root = make_tiny_coco(tmp_path / "tiny", 4)
    content = json.loads((root / "annotations/instances_train.json").read_text())
    content["annotations"] = []
    (root / "annotations/unlabelled.json").write_text(json.dumps(content))
    source = (
        'dict(type="CocoSemiDataset", data_root={root!r}, ann_file="annotations/'
        '{ann}.json", data_prefix=dict(img="train/"), pipeline={kind!r})'
    )
    sources = [
        source.format(root=str(root), ann=ann, kind=kind)
        for ann, kind in (("instances_train", "labelled"), ("unlabelled", "unlabelled"))
    ]
    path = tmp_path / "browse.py"
    path.write_text(
        f"""views = dict(preset="soft_teacher", scale=(304, 228), ratio=(0.75, 1.25))
model = dict(detector=None)
seed = 0
hidden_ann_file = {str(root / "annotations/instances_train.json")!r}
train_dataloader = dict(
    batch_size=2,
    dataset=dict(type="SeededConcatDataset", datasets=[{", ".join(sources)}]),
)
"""
    )
    return path


def green_pixels(path):
    """How many pixels have the colour of true boxes."""
    img = cv2.imread(str(path)).astype(int)
    return int((np.abs(img - (80, 200, 0)).max(2) < 8).sum())


def test_browsing_draws_every_source(config_path, tmp_path, monkeypatch):
    out = tmp_path / "pictures"
    arguments = ["browse_views.py", str(config_path), "--num", "2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    load_tool("browse_views").main()
    names = sorted(path.name for path in out.iterdir())
    assert [name.split("_")[0] for name in names] == ["source0"] * 2 + ["source1"] * 2
    assert all(green_pixels(out / name) > 200 for name in names)
    labelled, unlabelled = (cv2.imread(str(out / names[i])) for i in (0, 2))
    assert unlabelled.shape[1] > 1.5 * labelled.shape[1]
    first = [(out / name).read_bytes() for name in names]
    load_tool("browse_views").main()
    assert first == [(out / name).read_bytes() for name in names]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--num", "0"], "--num 0 must be at least 1"),
        (["--hidden", "missing.json"], "missing.json does not exist"),
    ],
)
def test_browsing_names_a_mistake(config_path, monkeypatch, capsys, changes, message):
    monkeypatch.setattr(sys, "argv", ["browse_views.py", str(config_path), *changes])
    with pytest.raises(SystemExit):
        load_tool("browse_views").main()
    assert message in capsys.readouterr().err


def test_timing_prints_both_rates_and_their_ratio(monkeypatch, capsys, tmp_path):
    tool = load_tool("benchmark_pipeline")
    arguments = ["benchmark_pipeline.py", "--num", "1", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    tool.main()
    printed = capsys.readouterr().out
    assert "640 x 480 JPEG" in printed
    assert "352 x 264 JPEG" in printed
    assert "ratio (spread)" in printed
    with pytest.raises(FileNotFoundError, match="--images"):
        tool.find_images(tmp_path, 3)
