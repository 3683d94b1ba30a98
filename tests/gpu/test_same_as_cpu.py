"""What a GPU computes is what the CPU computes."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from mmcv.ops import nms
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from ssod_mm.apis.step_costs import Phases, noted_waits
from ssod_mm.engine.amp import keep_detection_ops_in_float32
from ssod_mm.engine.speed import SpeedSettings, prepare_model
from ssod_mm.maths.clustering import nms_clusters
from ssod_mm.models.batched.proposals import joint_nms, nms_by_image
from tests.golden.steps import CASES, _batch
from tests.helpers import tiny_detector_cfg
from tests.models.builders import total

pytestmark = pytest.mark.usefixtures("mmdet_scope")
VARIANTS = [(method, name) for method, cases in CASES.items() for name in cases]


def random_boxes(*shape):
    corner = torch.rand(*shape, 2) * 80
    return torch.cat([corner, corner + 5 + torch.rand(*shape, 2) * 40], -1)


def test_nms(device):
    torch.manual_seed(0)
    boxes, scores = random_boxes(400), torch.rand(400)
    expected = nms(boxes, scores, 0.5)[1]
    assert 10 < len(expected) < 400
    assert torch.equal(nms(boxes.to(device), scores.to(device), 0.5)[1].cpu(), expected)


def test_nms_of_a_batch_in_one_call(device):
    torch.manual_seed(0)
    boxes, scores = random_boxes(3, 200), torch.rand(3, 200)
    groups, real = torch.arange(200) % 4, torch.rand(3, 200) > 0.2
    cfg = dict(type="nms", iou_threshold=0.6)
    rows, kept = nms_by_image(boxes, scores, groups, real, cfg, 40)
    on_device = (tensor.to(device) for tensor in (boxes, scores, groups))
    found, found_kept = joint_nms(*on_device, real.to(device), cfg, 40)
    for image in range(3):
        mine = found[image][found_kept[image]].cpu()
        assert torch.equal(mine, rows[image][kept[image]])
        assert len(mine) > 10


def test_clusters(device):
    torch.manual_seed(0)
    boxes, scores = random_boxes(300), torch.rand(300)
    groups = torch.randint(3, (300,))
    expected = nms_clusters(boxes, scores, groups, 0.5, 0.2)
    found = nms_clusters(
        boxes.to(device), scores.to(device), groups.to(device), 0.5, 0.2
    )
    for actual, other in zip(found, expected, strict=True):
        assert torch.equal(actual.cpu(), other)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_roi_align(device, order):
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(tiny_detector_cfg()))
    extractor = model.roi_head.bbox_roi_extractor
    keep_detection_ops_in_float32(model)
    levels = [torch.randn(2, 16, 32 // s, 32 // s) for s in (1, 2, 4)]
    image = torch.randint(2, (50, 1)).float()
    rois = torch.cat([image, random_boxes(50)], 1)
    expected = extractor(levels, rois)
    moved = [level.to(device, memory_format=order) for level in levels]
    found = extractor.to(device)(moved, rois.to(device))
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-4)


def moved(value, device):
    """Nested inputs and data samples on a device."""
    if isinstance(value, dict):
        return {key: moved(part, device) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [moved(part, device) for part in value]
    return value.to(device)


@pytest.mark.usefixtures("_same_draws")
@pytest.mark.parametrize(("method", "variant"), VARIANTS)
def test_losses_and_gradients_of_a_step(device, method, variant, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    model = CASES[method][variant]()
    twin = copy.deepcopy(model).to(device)
    prepare_model(twin, SpeedSettings())
    results = []
    for network, where in ((model, "cpu"), (twin, device)):
        torch.manual_seed(0)
        losses = network.loss(*moved(_batch(0), where))
        value = total(losses)
        value.backward()
        gradients = [p.grad.cpu() for p in network.parameters() if p.grad is not None]
        results.append((value.item(), gradients))
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-3)
    norms = [torch.stack([g.norm() for g in grads]) for _, grads in results]
    largest = norms[0].max().item()
    torch.testing.assert_close(norms[1], norms[0], rtol=1e-2, atol=1e-2 * largest)


@pytest.mark.parametrize("method", CASES)
def test_predicted_waits_are_those_that_happen(device, method):
    """More than were predicted, a tenth aside, means that the counter is blind."""
    from tests.models.test_step_costs import costs

    predicted = costs(method).waits.total()
    model, phases = CASES[method]["plain"]().to(device), Phases()
    inputs = moved(_batch(0), device)
    total(model.loss(*inputs)).backward()
    with noted_waits(phases):
        losses = model.loss(*inputs)
        total(losses).backward()
    found = phases.waits.total()
    assert found <= 1.1 * predicted + 2, phases.sites.most_common(20)


@pytest.mark.parametrize("method", CASES)
def test_teacher_on_its_own_stream_teaches_the_same(device, method):
    inputs, results = moved(_batch(0), device), []
    for stream in (False, True):
        model = CASES[method]["plain"]().to(device)
        model.settings = replace(model.settings, teacher_stream=stream)
        for _ in range(3):
            torch.manual_seed(0)
            losses = model.loss(*inputs)
            value = total(losses)
            value.backward()
            model.zero_grad()
        results.append({key: as_tensor(loss) for key, loss in losses.items()})
    assert results[0].keys() == results[1].keys()
    for key, value in results[0].items():
        torch.testing.assert_close(results[1][key], value, rtol=1e-4, atol=1e-5)


def as_tensor(loss):
    return sum(loss) if isinstance(loss, list) else loss
