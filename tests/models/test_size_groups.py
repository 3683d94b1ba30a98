"""Images of unlike sizes pass a network in groups, and give what they give alone."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from torch import nn

from ssod_mm.models.batched import batch_heads
from ssod_mm.models.features import (
    joint_features,
    passes_by_size,
    replaced_method,
    takes_groups,
)
from ssod_mm.models.size_groups import GroupedFeatures, size_groups, sizes_in
from tests.golden.steps import CASES
from tests.helpers import tiny_detector_cfg
from tests.models.builders import batch, build_mean_teacher, sample, total

pytestmark = pytest.mark.usefixtures("mmdet_scope")
SIZES = [(32, 64), (64, 96), (32, 96), (64, 32)]


def pixels(sizes, groups):
    """Pixels of padded groups, by a loop over images."""
    count = 0
    for group in groups:
        height = max(sizes[i][0] for i in group)
        width = max(sizes[i][1] for i in group)
        for _ in group:
            count += height * width
    return count


def views(count, seed):
    """Sizes of views of photographs with a short side of 400 to 1200."""
    generator = torch.Generator().manual_seed(seed)
    sizes = []
    for _ in range(count):
        edge = int(torch.randint(400, 1201, (1,), generator=generator))
        ratio = (4 / 3, 3 / 2)[int(torch.randint(2, (1,), generator=generator))]
        scale = min(1.0, 1333 / (edge * ratio))
        sides = [-(-round(side * scale) // 32) * 32 for side in (edge, edge * ratio)]
        sizes.append(tuple(sides))
    return sizes


def test_grouping_is_as_good_as_any_other_in_the_mean():
    ratios = []
    for seed in range(25):
        sizes = views(5, seed)
        least = min(
            pixels(sizes, [[i for i in range(5) if of[i] == g] for g in set(of)])
            for of in product(range(3), repeat=5)
        )
        groups = size_groups(sizes, 0.0)
        assert sorted(i for group in groups for i in group) == list(range(5))
        assert groups == [sorted(group) for group in groups]
        ratios.append(pixels(sizes, groups) / least)
    assert min(ratios) >= 1
    assert sum(ratios) / len(ratios) < 1.005


def test_padding_of_random_views():
    """One batch of 1 + 4 views of 400 to 1200 against groups of it."""
    batches, own = [views(5, seed) for seed in range(60)], 0
    whole = grouped = 0
    for sizes in batches:
        own += sum(h * w for h, w in sizes)
        whole += pixels(sizes, [range(5)])
        grouped += pixels(sizes, size_groups(sizes, 0.1))
    assert whole / own > 1.3
    assert grouped / own < 1.1


def test_as_few_groups_as_the_share_of_padding_allows():
    sizes = [(100, 100), (100, 100), (100, 110), (200, 200)]
    assert size_groups([(64, 96)] * 4, 0.0) == [[0, 1, 2, 3]]
    assert size_groups(sizes, 2.0) == [[0, 1, 2, 3]]
    assert size_groups(sizes, 0.1) == [[0, 1, 2], [3]]
    assert size_groups(sizes, 0.0) == [[0, 1], [2], [3]]
    assert size_groups(sizes, 0.0, max_groups=2) == [[0, 1, 2], [3]]


def detector():
    """Frozen norms, so that an image's maps do not depend on what else there is."""
    torch.manual_seed(0)
    cfg = tiny_detector_cfg()
    cfg["backbone"]["norm_cfg"] = dict(type="BN")
    cfg["backbone"]["norm_eval"] = True
    built = MODELS.build(ConfigDict(cfg))
    batch_heads(built)
    return built.train()


def padded_batch(sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(
        len(sizes), 3, *(max(side) for side in zip(*sizes, strict=True))
    )
    for image, (height, width) in zip(images, sizes, strict=True):
        image[:, :height, :width] = torch.randn(3, height, width, generator=generator)
    return images


def test_each_image_has_the_maps_of_its_group():
    model, images = detector(), padded_batch(SIZES)
    groups = size_groups(SIZES, 0.0)
    assert len(groups) == 3
    labelled, unlabelled = images[:2], images[2:]
    first, second = joint_features(
        model, [labelled, unlabelled], 0.0, [SIZES[:2], SIZES[2:]]
    )
    rpn = model.rpn_head
    logits = [rpn(first), rpn(second)]
    for group in groups:
        height = max(SIZES[i][0] for i in group)
        width = max(SIZES[i][1] for i in group)
        alone = model.extract_feat(images[group, :, :height, :width])
        maps_alone = rpn(alone)
        for place, number in enumerate(group):
            features = (first, second)[number // 2]
            for level, expected in zip(features, alone, strict=True):
                expected = expected[place]
                h, w = expected.shape[-2:]
                found = level[number % 2]
                torch.testing.assert_close(found[:, :h, :w], expected)
                assert (found[:, h:, :w] == expected[:, -1:]).all()
                assert (found[:, :h, w:] == expected[:, :, -1:]).all()
            found, beyond = logits[number // 2], (-1e4, 0.0)
            for kind in (0, 1):
                for level, expected in zip(found[kind], maps_alone[kind], strict=True):
                    h, w = expected.shape[-2:]
                    one = level[number % 2]
                    torch.testing.assert_close(one[:, :h, :w], expected[place])
                    assert (one[:, h:] == beyond[kind]).all()
                    assert (one[:, :, w:] == beyond[kind]).all()


def test_proposals_of_a_group_are_those_of_its_images_alone():
    model, images = detector(), padded_batch(SIZES)
    samples = [sample(number, size) for number, size in enumerate(SIZES)]
    with torch.no_grad(), passes_by_size(model, SIZES, 0.0):
        found = model.rpn_head.predict(model.extract_feat(images), samples, False)
    for number, (height, width) in enumerate(SIZES):
        group = next(g for g in size_groups(SIZES, 0.0) if number in g)
        if len(group) > 1:
            continue
        with torch.no_grad():
            alone = model.extract_feat(images[number : number + 1, :, :height, :width])
            expected = model.rpn_head.predict(alone, [samples[number]], False)[0]
        mine = found[number]
        top = min(len(expected), 10)
        torch.testing.assert_close(mine.scores[:top], expected.scores[:top])
        torch.testing.assert_close(mine.bboxes[:top], expected.bboxes[:top])


@pytest.mark.parametrize("method", CASES)
def test_methods_learn_from_images_of_unlike_sizes(method):
    model = CASES[method]["plain"]()
    inputs, samples = batch(num_sup=1, num_unsup=3)
    for branch, images in inputs.items():
        for row, (view, size) in enumerate(zip(samples[branch], SIZES, strict=False)):
            view.set_metainfo(dict(img_shape=size, pad_shape=size))
            images[row, :, size[0] :] = 0
            images[row, :, :, size[1] :] = 0
            boxes = view.gt_instances.bboxes
            view.gt_instances.bboxes = boxes.clamp(max=min(size))
    calls = []
    for who in (model.student, model.teacher):
        who.backbone.register_forward_hook(
            lambda _m, inputs, _o, who=who: calls.append((who, inputs[0].shape))
        )
    losses = model.loss(inputs, samples)
    total(losses).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.student.parameters())
    seen = [
        sum(who is call for call, _ in calls) for who in (model.student, model.teacher)
    ]
    if not model.groups_by_size:  # its own losses read the anchor head's maps
        assert seen[1] == 1
        return
    assert seen[0] > 1 or seen[1] > 1
    computed = sum(shape[0] * shape[2] * shape[3] for _, shape in calls)
    assert computed < sum(images[:, 0].numel() for images in inputs.values())


@pytest.mark.parametrize("which", ["teacher", "student"])
def test_detections_of_a_batch_are_those_of_its_images_alone(which):
    cfg = tiny_detector_cfg()
    cfg["backbone"].update(norm_cfg=dict(type="BN"), norm_eval=True)
    cfg["test_cfg"]["rcnn"]["score_thr"] = 0.0
    model = build_mean_teacher(
        model=dict(detector=cfg, semi_test_cfg=dict(predict_on=which)),
        joint_forward=0.0,
    ).eval()
    images, passes = padded_batch(SIZES[1:]), []
    sizes = SIZES[1:]
    asked = getattr(model, which)
    handle = asked.backbone.register_forward_hook(lambda *_: passes.append(1))
    samples = [sample(number, size) for number, size in enumerate(sizes)]
    with torch.no_grad():
        found = model(images, samples, mode="predict")
        assert len(passes) == 3
        handle.remove()
        for number, (height, width) in enumerate(sizes):
            one = images[number : number + 1, :, :height, :width]
            alone = [sample(number, sizes[number])]
            expected = model(one, alone, mode="predict")[0].pred_instances
            best = min(5, len(expected))
            mine = found[number].pred_instances
            assert best > 0
            torch.testing.assert_close(mine.scores[:best], expected.scores[:best])
            torch.testing.assert_close(mine.bboxes[:best], expected.bboxes[:best])


def test_who_takes_groups():
    assert takes_groups(detector())
    assert not takes_groups(build_mean_teacher("fcos").student)
    model = build_mean_teacher(model=dict(batched_heads=False))
    assert not takes_groups(model.student)
    trained = detector()
    trained.backbone.bn1.train()
    assert isinstance(trained.backbone.bn1, nn.BatchNorm2d)
    assert not takes_groups(trained)


def test_one_size_is_one_plain_pass():
    model, images = detector(), padded_batch([(32, 64)] * 3)
    (features,) = joint_features(model, [images], 0.1, [[(32, 64)] * 3])
    assert not isinstance(features, GroupedFeatures)
    for level, expected in zip(features, model.extract_feat(images), strict=True):
        torch.testing.assert_close(level, expected)


def test_nothing_to_do_is_no_pass():
    assert joint_features(detector(), [], 0.1, []) == []


def test_size_of_an_image_is_what_its_sample_says():
    samples = [sample(0, (32, 64)), sample(1, (200, 300)), sample(2)]
    images = torch.zeros(3, 3, 64, 96)
    assert sizes_in(images, samples) == [(32, 64), (64, 96), (64, 96)]


def test_replaced_methods_may_be_nested():
    module = nn.Linear(1, 1)
    with replaced_method(module, "forward", lambda _: "outer"):
        with replaced_method(module, "forward", lambda _: "inner"):
            assert module(0) == "inner"
        assert module(0) == "outer"
    assert "forward" not in vars(module)
