"""tools/analyse_quality.py on a tiny checkpoint with Gaussian boxes."""

from __future__ import annotations

import json

import cv2
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from tests.helpers import write_config
from tests.models.gaussian_builders import spread_variances, with_heads
from tests.tools.semi_checkpoints import CLASSES, call_tool, make_semi_checkpoint


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Images, config and checkpoint of a teacher that knows variances."""
    folder = tmp_path_factory.mktemp("quality")
    root, plain, _ = make_semi_checkpoint(folder)
    cfg = Config.fromfile(plain).to_dict()
    with_heads(cfg["model"]["detector"], type="GaussianBBoxHead")
    cfg["hidden_ann_file"] = str(root / "annotations/instances_train.json")
    cfg["unlabelled"] = dict(data_prefix=dict(img="train/"))
    config = write_config(cfg, folder / "gaussian.py")
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    model.init_weights()
    for detector in (model.teacher, model.student):
        torch.nn.init.normal_(detector.roi_head.bbox_head.fc_cls.weight, std=0.3)
        spread_variances(detector)
    weights = folder / "gaussian.pth"
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), weights)
    return plain, config, weights


def test_numbers_table_and_plot(trained, tmp_path, capsys):
    _, config, weights = trained
    out = tmp_path / "out"
    call_tool(
        "analyse_quality", config, weights, "--out", out, "--score-thr", 0, 0.5, 1
    )
    numbers = json.loads((out / "quality.json").read_text())
    assert set(numbers) == {"0", "0.5", "1"}
    every, sure, none = (numbers[key] for key in ("0", "0.5", "1"))
    assert every["num_boxes"] > sure["num_boxes"] > 0
    assert none["num_boxes"] == 0
    assert none["v"] == dict(pearson=None, spearman=None)
    for measure in ("p", "v", "p*v"):
        for value in every[measure].values():
            assert -1 <= value <= 1
    assert every["p"] != every["v"]
    assert 0 < every["mean_iou"] < 1
    picture = cv2.imread(str(out / "quality.png"))
    assert picture.shape[1] > 2.5 * picture.shape[0]
    shown = capsys.readouterr().out
    assert f"{every['v']['spearman']:.3f}" in shown
    assert f"{every['v']['spearman']:.3f}" in (out / "quality.md").read_text()


def test_the_test_set_and_the_student(trained, tmp_path):
    _, config, weights = trained
    options = ["--on", "test", "--which", "student", "--score-thr", 0]
    call_tool("analyse_quality", config, weights, "--out", tmp_path, *options)
    numbers = json.loads((tmp_path / "quality.json").read_text())
    assert numbers["0"]["num_boxes"] > 0


def test_mistakes_get_one_line(trained, tmp_path, capsys):
    plain, config, weights = trained
    with pytest.raises(SystemExit):
        call_tool(
            "analyse_quality", config, weights, "--out", tmp_path, "--score-thr", 2
        )
    assert "--score-thr 2.0 must lie" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        call_tool("analyse_quality", plain, weights, "--out", tmp_path, "--on", "test")
    assert "knows no localisation quality" in capsys.readouterr().err
