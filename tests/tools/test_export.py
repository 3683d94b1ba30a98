import json
import subprocess
import sys

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config

from ssod_mm.apis.inference import load_detector, plain_detector_cfg, predict_images
from ssod_mm.apis.stock_export import (
    own_types,
    stock_config,
    stock_pipeline,
    with_stock_assigners,
)
from tests.helpers import write_config
from tests.models.gaussian_builders import with_heads
from tests.tools.semi_checkpoints import CLASSES, call_tool, make_semi_checkpoint

STOCK_PROGRAM = """
import sys
sys.modules["ssod_mm"] = None  # any import of it fails
import json
import mmdet
from mmdet.apis import inference_detector, init_detector
config, weights, image = sys.argv[1:]
model = init_detector(config, weights, device="cpu")
found = inference_detector(model, image).pred_instances
answer = dict(
    boxes=found.bboxes.tolist(),
    scores=found.scores.tolist(),
    labels=found.labels.tolist(),
    classes=model.dataset_meta["classes"],
)
assert not any(name.startswith("ssod_mm.") for name in sys.modules)
print("ANSWER" + json.dumps(answer))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return make_semi_checkpoint(tmp_path_factory.mktemp("export"))


def test_stock_mmdet_gives_equal_predictions_without_this_package(trained, tmp_path):
    root, config, weights = trained
    call_tool(
        "export_detector", config, weights, "--which", "student", "--out", tmp_path
    )
    exported = [tmp_path / f"tiny_student.{ending}" for ending in ("py", "pth")]
    assert "ssod_mm" not in exported[0].read_text()
    image = root / "train/000001.jpg"
    process = subprocess.run(
        [sys.executable, "-c", STOCK_PROGRAM, *map(str, exported), str(image)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answer = json.loads(process.stdout.split("ANSWER")[1])
    cfg = Config.fromfile(str(config))
    (expected,) = predict_images(
        load_detector(cfg, weights, "student", "cpu"), cfg, [image]
    )
    found = expected.pred_instances
    assert len(answer["scores"]) > 3
    assert answer["labels"] == found.labels.tolist()
    torch.testing.assert_close(torch.tensor(answer["boxes"]), found.bboxes)
    torch.testing.assert_close(torch.tensor(answer["scores"]), found.scores)
    assert tuple(answer["classes"]) == CLASSES


def test_detector_is_the_half_that_was_asked_for(trained):
    root, config, weights = trained
    cfg = Config.fromfile(str(config))
    image = [root / "train/000001.jpg"]
    scores = {}
    semi = MODELS.build(cfg.model)
    semi.load_state_dict(torch.load(weights, weights_only=False)["state_dict"])
    semi.eval()
    for name in ("teacher", "student"):
        detector = load_detector(cfg, weights, name, "cpu")
        (prediction,) = predict_images(detector, cfg, image)
        scores[name] = prediction.pred_instances.scores
        # On a plain image all scores tie, and the order of ties means nothing.
        noise = torch.Generator().manual_seed(1)
        inputs = torch.randn(1, 3, 96, 128, generator=noise)
        sample = DetDataSample(
            metainfo=dict(img_shape=(96, 128), ori_shape=(96, 128), scale_factor=(1, 1))
        )
        with torch.no_grad():
            got = detector.predict(inputs, [sample.clone()])[0].pred_instances
            half = getattr(semi, name).predict(inputs, [sample])[0].pred_instances
        torch.testing.assert_close(got.bboxes, half.bboxes)
    assert scores["teacher"].shape != scores["student"].shape or not torch.equal(
        scores["teacher"], scores["student"]
    )


def test_without_a_wish_it_is_the_half_that_the_config_evaluates(trained):
    _, config, weights = trained
    cfg = Config.fromfile(str(config))
    for name in ("teacher", "student"):
        cfg.model.semi_test_cfg = dict(predict_on=name)
        found = load_detector(cfg, weights, None, "cpu").state_dict()
        asked = load_detector(cfg, weights, name, "cpu").state_dict()
        assert all(torch.equal(found[key], asked[key]) for key in asked)


def test_pretrained_weights_are_not_asked_for(trained):
    cfg = Config.fromfile(str(trained[1]))
    cfg.model.detector.backbone.init_cfg = dict(type="Pretrained", checkpoint="x.pth")
    plain = plain_detector_cfg(cfg)
    assert "init_cfg" not in plain.backbone
    assert cfg.model.detector.backbone.init_cfg.checkpoint == "x.pth"
    assert plain.data_preprocessor.type == "DetDataPreprocessor"


def test_loading_transform_becomes_the_stock_one(mmdet_scope):
    steps = [
        dict(type="LoadImage", on_error="skip", to_float32=True),
        dict(type="Resize", scale=(8, 8)),
    ]
    stock = stock_pipeline(steps)
    assert stock[0] == dict(type="LoadImageFromFile", to_float32=True)
    assert stock[1] == steps[1]
    assert steps[0]["type"] == "LoadImage"


def test_foreign_transform_is_named(mmdet_scope):
    with pytest.raises(ValueError, match="PackView"):
        stock_pipeline([dict(type="LoadImage"), dict(type="PackView")])


def test_detector_with_own_parts_needs_consent(trained):
    cfg = Config.fromfile(str(trained[1]))
    cfg.model.detector.neck = dict(type="MeanTeacher")
    with pytest.raises(ValueError, match=r"MeanTeacher.*--keep-custom"):
        stock_config(cfg, CLASSES, keep_custom=False)
    kept = stock_config(cfg, CLASSES, keep_custom=True)
    assert kept.custom_imports.imports == ["ssod_mm.models"]
    assert list(own_types(cfg.model, [MODELS])) == ["MeanTeacher", "MeanTeacher"]


def test_dataset_of_this_package_becomes_a_coco_dataset(trained):
    cfg = Config.fromfile(str(trained[1]))
    cfg.test_dataloader.dataset.update(type="CocoSemiDataset", difficult="use")
    dataset = stock_config(cfg, CLASSES, keep_custom=False).test_dataloader.dataset
    assert dataset.type == "CocoDataset"
    assert "difficult" not in dataset
    assert dataset.metainfo.classes == CLASSES


def test_checkpoint_of_another_model(trained, tmp_path, capsys):
    other = tmp_path / "other.pth"
    content = torch.load(trained[2], weights_only=False)
    content["state_dict"] = {
        key: value
        for key, value in content["state_dict"].items()
        if "fc_cls" not in key
    }
    torch.save(content, other)
    with pytest.raises(SystemExit):
        call_tool("export_detector", trained[1], other, "--out", tmp_path / "out")
    error = capsys.readouterr().err
    assert "does not fit" in error
    assert "fc_cls" in error
    assert not (tmp_path / "out").exists()


def test_training_assigners_become_stock_ones():
    model = dict(
        train_cfg=dict(
            rpn=dict(assigner=dict(type="IgnoringMaxIoUAssigner", ignore_iof_thr=0.5)),
            rcnn=[dict(assigner=dict(type="MaxIoUAssigner"))],
        )
    )
    stock = with_stock_assigners(model)
    assert stock.train_cfg.rpn.assigner.type == "MaxIoUAssigner"
    assert stock.train_cfg.rpn.assigner.ignore_iof_thr == 0.5
    assert stock.train_cfg.rcnn[0].assigner.type == "MaxIoUAssigner"
    assert model["train_cfg"]["rpn"]["assigner"]["type"] == "IgnoringMaxIoUAssigner"


@pytest.mark.parametrize("keep", [False, True])
def test_gaussian_boxes_become_stock_boxes(trained, tmp_path, keep):
    root, config, _ = trained
    cfg = Config.fromfile(str(config)).to_dict()
    with_heads(cfg["model"]["detector"], type="GaussianBBoxHead", quality_on="variance")
    config = write_config(cfg, tmp_path / "gaussian.py")
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    model.init_weights()
    torch.nn.init.normal_(model.teacher.roi_head.bbox_head.fc_cls.weight, std=0.3)
    weights = tmp_path / "gaussian.pth"
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), weights)
    options = ["--keep-custom"] if keep else []
    call_tool("export_detector", config, weights, "--out", tmp_path / "out", *options)

    exported = Config.fromfile(tmp_path / "out/gaussian_teacher.py")
    kind = "GaussianBBoxHead" if keep else "Shared2FCBBoxHead"
    assert exported.model.roi_head.bbox_head.type == kind
    assert ("custom_imports" in exported) == keep
    stock = MODELS.build(exported.model)
    state = torch.load(tmp_path / "out/gaussian_teacher.pth", weights_only=False)
    stock.load_state_dict(state["state_dict"])
    stock.dataset_meta = state["meta"]["dataset_meta"]
    image = [root / "train/000001.jpg"]
    plain_cfg = Config.fromfile(config)
    detector = load_detector(plain_cfg, weights, "teacher", "cpu")
    (want,) = predict_images(detector, plain_cfg, image)
    (got,) = predict_images(stock.eval(), exported, image)
    assert len(want.pred_instances) > 3
    for field in ("bboxes", "scores", "labels"):
        torch.testing.assert_close(
            got.pred_instances[field], want.pred_instances[field]
        )


def test_gaussian_boxes_ranked_by_quality_need_consent(trained):
    cfg = Config.fromfile(str(trained[1]))
    with_heads(cfg.model.detector, type="GaussianBBoxHead", score_factor="p*v")
    with pytest.raises(ValueError, match=r"GaussianBBoxHead.*--keep-custom"):
        stock_config(cfg, CLASSES, keep_custom=False)
