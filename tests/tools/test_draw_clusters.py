"""Pictures of clusters from a config and a checkpoint."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

from ssod_mm.apis.cluster_drawing import batch_pictures, draw_clusters
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.engine.runtime import import_custom_modules
from tests.config_runs import make_layouts, shrink
from tests.models.builders import batch
from tests.models.dense_builders import build_dense

CONFIG = "dtg/dtg_faster-rcnn_r18_shapes.py"


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    root = make_layouts(tmp_path_factory.mktemp("layouts"))
    options = {"data_root": str(root / "shapes")}
    loaded = resolve_config(load_config(CONFIG), cfg_options=options)
    return resolve_config(shrink(loaded), work_dir=str(root / "run"), fold=1)


def test_pictures_of_training_images(cfg, tmp_path, mmdet_scope):
    import_custom_modules(cfg)
    model = MODELS.build(cfg.model)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "weights.pth")
    files = draw_clusters(
        cfg, tmp_path / "weights.pth", tmp_path / "out", "cpu", num_images=3
    )
    assert [file.name for file in files] == [f"clusters_00{n}.png" for n in range(3)]
    for file in files:
        picture = cv2.imread(str(file))
        assert picture.shape[1] > 900  # two views of at least 480 px


def test_ranks_and_disagreements_are_drawn(mmdet_scope):
    model = build_dense(dict(rcnn=dict(tau=0.45))).eval()
    inputs, samples = batch()
    few, many = (batch_pictures(model, inputs, samples, n, 6)[0] for n in (1, 6))
    assert few.shape == many.shape
    assert 0 < np.mean(few != many) < 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(checkpoint="nowhere.pth"), "no checkpoint nowhere.pth"),
        (dict(num_images=0), "--images 0"),
        (dict(config="mean_teacher/mean_teacher_faster-rcnn_r18_shapes.py"), "dtg"),
    ],
)
def test_mistakes_are_named(cfg, tmp_path, change, message):
    made = dict(checkpoint=str(tmp_path / "w.pth"), num_images=1)
    torch.save({}, tmp_path / "w.pth")
    config = cfg
    if "config" in change:
        config = resolve_config(load_config(change.pop("config")), check_files=())
    made.update(change)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        draw_clusters(config, out=tmp_path, device="cpu", **made)
