"""Mixed precision on the CPU: what runs in which precision."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from torch import nn

from ssod_mm.engine import amp
from ssod_mm.engine.amp import (
    MixedPrecisionOptimWrapper,
    keep_detection_ops_in_float32,
    to_float32,
)
from tests.helpers import tiny_detector_cfg
from tests.models.builders import sample


def wrapper_for(model, **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return MixedPrecisionOptimWrapper(optimizer=optimizer, **kwargs)


def test_nested_outputs_become_float32():
    half = torch.ones(2, dtype=torch.bfloat16)
    value = to_float32(([half, None], {"a": half, "n": torch.ones(1).long()}))
    assert value[0][0].dtype == value[1]["a"].dtype == torch.float32
    assert value[0][1] is None
    assert value[1]["n"].dtype == torch.int64


def test_plain_module_trains_in_bfloat16_with_float32_weights():
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    wrapper = wrapper_for(model)
    inputs, target = torch.randn(64, 4), torch.randn(64, 1)
    losses = []
    for _ in range(20):
        with wrapper.optim_context(model):
            output = model(inputs)
            assert output.dtype == torch.bfloat16
            loss = (output.float() - target).square().mean()
        wrapper.update_params(loss)
        losses.append(loss.item())
    assert model.weight.dtype == torch.float32
    assert losses[-1] < losses[0]


def test_state_survives_a_round_trip():
    model = nn.Linear(2, 1)
    wrapper = wrapper_for(model)
    wrapper.load_state_dict(wrapper.state_dict())
    assert wrapper.get_lr()["lr"] == [0.1]


def test_float16_on_the_cpu_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(amp, "get_device", lambda: "cpu")
    with pytest.raises(ValueError, match="use 'bfloat16'"):
        wrapper_for(nn.Linear(1, 1), dtype="float16")


@pytest.mark.parametrize("is_fast", [False, True])
def test_a_cpu_that_computes_bfloat16_slowly_is_named(is_fast, monkeypatch):
    said = []
    monkeypatch.setattr(amp, "get_device", lambda: "cpu")
    monkeypatch.setattr(amp, "has_fast_bfloat16", lambda: is_fast)
    monkeypatch.setattr(amp, "print_log", lambda text, **_kwargs: said.append(text))
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    MixedPrecisionOptimWrapper(dtype="bfloat16", optimizer=optimizer)
    assert ["--amp" in text for text in said] == [True] * (not is_fast)


def test_unknown_dtype_is_refused():
    with pytest.raises(ValueError, match="float64"):
        wrapper_for(nn.Linear(1, 1), dtype="float64")


@pytest.mark.usefixtures("mmdet_scope")
def test_detector_predicts_close_to_float32_and_boxes_stay_float32():
    torch.manual_seed(0)
    cfg = ConfigDict(tiny_detector_cfg())
    cfg.test_cfg.rcnn.score_thr = 0.0
    model = MODELS.build(cfg).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        want = model.predict(images, [sample(0)], rescale=False)[0].pred_instances
        keep_detection_ops_in_float32(model)
        keep_detection_ops_in_float32(model)  # a second call adds no second hook
        assert len(model.rpn_head._forward_hooks) == 1
        with torch.autocast("cpu", torch.bfloat16):
            got = model.predict(images, [sample(0)], rescale=False)[0].pred_instances
    assert got.bboxes.dtype == got.scores.dtype == torch.float32
    assert len(got) > 0
    assert abs(got.scores.max() - want.scores.max()) < 0.05


@pytest.mark.usefixtures("mmdet_scope")
def test_channels_last_features_give_the_same_rois():
    """mmcv's RoIAlign alone misreads channels-last memory."""
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(tiny_detector_cfg()))
    extractor = model.roi_head.bbox_roi_extractor
    levels = [torch.randn(1, 16, 32 // s, 32 // s) for s in (1, 2, 4)]
    rois = torch.tensor([[0.0, 8, 8, 60, 90], [0.0, 20, 30, 200, 180]])
    want = extractor(levels, rois)
    keep_detection_ops_in_float32(model)
    last = [level.to(memory_format=torch.channels_last) for level in levels]
    torch.testing.assert_close(extractor(last, rois), want)
    half = [level.bfloat16() for level in last]
    assert extractor(half, rois).dtype == torch.float32
