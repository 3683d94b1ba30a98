"""Both halves of a batch in one pass of the heads: the losses of each half alone."""

from __future__ import annotations

import copy
from unittest.mock import patch

import pytest
import torch
from torch.nn.functional import pad

from ssod_mm.models import DenseGuidanceTeacher, halves
from ssod_mm.models.batched import roi_heads
from ssod_mm.models.batched.anchor_heads import BatchedAnchorHead
from ssod_mm.models.batched.padding import PaddedBoxes, padded_boxes
from ssod_mm.models.batched.parts import heads_of_parts, losses_of_parts
from ssod_mm.models.batched.roi_heads import StandardRoIHead
from ssod_mm.models.detectors import mean_teacher
from tests.golden.steps import CASES, _batch
from tests.models.builders import build_mean_teacher, total
from tests.models.dense_builders import retina_cfg

pytestmark = pytest.mark.usefixtures("mmdet_scope")

BUILDERS = {
    f"{method}, {variant}": build
    for method, variants in CASES.items()
    for variant, build in variants.items()
    if (method, variant) != ("mean_teacher", "one-stage") and variant != "cascade"
}
BUILDERS["RetinaNet"] = lambda: build_mean_teacher(model=dict(detector=retina_cfg()))


def ranked_keys(_head, size, device):
    """The same keys in every image, so that a candidate keeps its key in any batch."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1000, generator=generator)[: size[1]].expand(size).to(device)


def widely_padded(instances, like):
    """Boxes padded to 40 an image: proposals stand in the same place in any batch."""
    given = padded_boxes(instances, like)
    more = 40 - given.boxes.shape[1]
    return PaddedBoxes(
        pad(given.boxes, (0, 0, 0, more)),
        pad(given.labels, (0, more)),
        pad(given.real, (0, more)),
    )


def losses_and_gradients(build, batch, together: bool):
    """Losses of a step, and the gradients of the student."""
    model = build()
    assert heads_of_parts(model.student)
    if hasattr(model.student, "rpn_head"):
        # All anchors: their numbers depend on the canvas, and so would their keys.
        model.student.rpn_head.sampler.num = 10_000
    known = heads_of_parts if together else lambda _student: None
    with (
        patch.object(mean_teacher, "heads_of_parts", known),
        patch.object(BatchedAnchorHead, "sampling_keys", ranked_keys),
        patch.object(StandardRoIHead, "sampling_keys", ranked_keys),
        patch.object(roi_heads, "padded_boxes", widely_padded),
        patch.object(halves, "losses_of_parts", wraps=losses_of_parts) as joint,
    ):
        losses = model.loss(*copy.deepcopy(batch))
    # DTG's losses are of its own: the halves share what the anchor head gives.
    is_dense = isinstance(model, DenseGuidanceTeacher)
    assert joint.call_count == (together and not is_dense)
    total(losses).backward()
    return losses, {n: p.grad for n, p in model.student.named_parameters()}


def value(loss) -> float:
    return (sum(loss) if isinstance(loss, list) else loss).item()


def without_true_boxes(inputs, samples):
    """The labelled images show nothing."""
    for sample in samples["sup"]:
        sample.gt_instances = sample.gt_instances[:0]
    return inputs, samples


def of_two_sizes(inputs, samples):
    """The labelled images are far smaller: they pass the network by themselves."""
    inputs["sup"] = inputs["sup"][..., :32, :64]
    for sample in samples["sup"]:
        shapes = dict(
            img_shape=(32, 64), pad_shape=(32, 64), batch_input_shape=(32, 64)
        )
        sample.set_metainfo(shapes)
        sample.gt_instances.bboxes.clamp_(max=32)
    return inputs, samples


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize(
    "change", [lambda *batch: batch, without_true_boxes, of_two_sizes]
)
def test_losses_and_gradients_are_those_of_each_half(name, change):
    batch = change(*_batch(0))
    build = BUILDERS[name]
    apart, gradients = losses_and_gradients(build, batch, False)
    joint, found = losses_and_gradients(build, batch, True)
    assert set(joint) == set(apart)
    for key, loss in apart.items():
        assert value(joint[key]) == pytest.approx(value(loss), rel=2e-5, abs=1e-6), key
    for parameter, gradient in gradients.items():
        assert (gradient is None) == (found[parameter] is None)
        if gradient is not None:
            scale = gradient.abs().max().item()
            torch.testing.assert_close(
                found[parameter], gradient, rtol=1e-3, atol=1e-4 * scale + 1e-8
            )
