"""Mixed images: pixels, boxes and candidates follow their views."""

import pytest
import torch
from mmengine.structures import InstanceData

from ssod_mm.maths.boxes import warp_boxes
from ssod_mm.models.mixed_views import mixed_labelled
from ssod_mm.models.mixing import Mixing
from ssod_mm.models.rescoring import teacher_rois
from ssod_mm.structures import PseudoBoxes
from tests.models.builders import (
    DETECTORS,
    assert_whole_student_learns,
    batch,
    build_mean_teacher,
    sample,
    total,
)
from tests.models.dense_builders import BOTH, build_dense
from tests.models.gaussian_builders import build_lerprc, watch

pytestmark = pytest.mark.usefixtures("mmdet_scope")

ALL = dict(pseudo_mixup=1.0, pseudo_mosaic=1.0, labelled_mosaic=1.0)
SIZES = [(64, 96), (48, 80), (64, 70), (50, 96), (64, 96)]
# Original images are twice as large as the views, and every other view is flipped.
HALF = torch.tensor([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1.0]])


def homography(number):
    matrix = HALF.clone()
    if number % 2:
        matrix[0] = torch.tensor([-0.5, 0, SIZES[number][1]])
    return matrix


def coordinate_views(count=5):
    """Views whose pixels say where in the original image they come from."""
    inputs, samples = torch.zeros(count, 3, 64, 96), []
    for number in range(count):
        height, width = SIZES[number]
        y, x = torch.meshgrid(
            torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij"
        )
        points = torch.stack([x, y, torch.ones_like(x)])
        inverse = homography(number).inverse()
        original = torch.einsum("ij,jhw->ihw", inverse, points)
        original[2] = number + 1.0
        inputs[number, :, :height, :width] = original
        view = sample(200 + number, size=(height, width))
        view.set_metainfo(
            dict(
                homography_matrix=homography(number).numpy(),
                batch_input_shape=(64, 96),
            )
        )
        samples.append(view)
    return inputs, samples


def mixed_views(seed=0, count=5, branch="unsup_student", **settings):
    torch.manual_seed(seed)
    views = coordinate_views(count)
    return Mixing.from_config(settings)(branch, *views), views


def test_a_pixel_of_a_mosaic_lies_where_the_homography_says():
    mixed, _ = mixed_views(pseudo_mosaic=1.0)
    assert mixed.inputs.shape == (6, 3, 64, 96)
    origins = mixed.samples[5].mixed_from
    assert len({origin["img_id"] for origin in origins}) == 4
    seen = 0
    for origin in origins:
        number = origin["img_id"] - 200
        shown = mixed.inputs[5, 2] == number + 1
        v, u = shown.nonzero(as_tuple=True)
        # Edge pixels repeat the edge: the ramp ends there.
        inner = (v > v.min()) & (v < v.max()) & (u > u.min()) & (u < u.max())
        v, u = v[inner], u[inner]
        points = torch.stack([u + 0.5, v + 0.5, torch.ones(len(u))])
        original = origin["homography_matrix"].inverse() @ points
        torch.testing.assert_close(
            mixed.inputs[5, :2, v, u], original[:2], atol=2e-2, rtol=0
        )
        seen += len(u)
    assert seen > 64 * 96 * 0.4


def test_views_stay_beside_their_mosaic():
    mixed, (inputs, samples) = mixed_views(pseudo_mosaic=1.0)
    assert torch.equal(mixed.inputs[:5], inputs)
    for number in range(5):
        assert mixed.samples[number].img_shape == samples[number].img_shape
        (origin,) = mixed.samples[number].mixed_from
        torch.testing.assert_close(origin["homography_matrix"], homography(number))
    assert mixed.samples[5].img_shape == mixed.samples[5].pad_shape == (64, 96)
    assert "homography_matrix" not in mixed.samples[0]


def test_mixup_shows_both_views():
    mixed, (inputs, samples) = mixed_views(pseudo_mixup=1.0, mixup_share=0.25)
    assert len(mixed.inputs) == 5
    partners = set()
    for number, view in enumerate(mixed.samples):
        own, other = (origin["img_id"] - 200 for origin in view.mixed_from)
        assert own == number != other
        partners.add(other)
        want = 0.25 * inputs[number] + 0.75 * inputs[other]
        torch.testing.assert_close(mixed.inputs[number], want)
        shapes = samples[number].img_shape, samples[other].img_shape
        largest = tuple(max(pair) for pair in zip(*shapes, strict=True))
        assert view.img_shape == view.pad_shape == largest
    assert len(partners) == 5


def pseudo_boxes(count=5, ignored=False):
    """One to five boxes of each view, every one with a number of its own."""
    instances, number = [], 0
    for view in range(count):
        corner = torch.tensor([[2.0, 3.0]]) + 7 * torch.arange(view)[:, None]
        side = torch.tensor([[10.0, 4.0]]) + torch.arange(view)[:, None]
        boxes = InstanceData(bboxes=torch.cat([corner, corner + side], 1))
        boxes.labels = torch.full((view,), view)
        boxes.mark = torch.arange(number, number + view)
        number += view
        instances.append(boxes)
    return PseudoBoxes(instances, instances[::-1] if ignored else None)


@pytest.mark.parametrize("least", [1.0, 3.0])
def test_boxes_follow_their_views(least):
    mixed, _ = mixed_views(pseudo_mixup=0.5, pseudo_mosaic=1.0, seed=2)
    boxes = pseudo_boxes(ignored=True)
    carried = mixed.carry(boxes, (least, least))
    places = 0
    for target, got in enumerate(carried.instances):
        want = []
        for origin in mixed.samples[target].mixed_from:
            view = origin["img_id"] - 200
            to_mixed = origin["homography_matrix"] @ homography(view).inverse()
            for box, mark in zip(
                boxes.instances[view].bboxes, boxes.instances[view].mark, strict=True
            ):
                moved = warp_boxes(box[None], to_mixed)[0]
                if (moved[2:] - moved[:2]).min() >= least:
                    want.append((int(mark), moved))
            places += 1
        assert got.mark.tolist() == [mark for mark, _ in want]
        for box, (_, moved) in zip(got.bboxes, want, strict=True):
            torch.testing.assert_close(box, moved, atol=1e-3, rtol=0)
    assert places == len(mixed.sources) > 9
    in_mosaic = len(carried.instances[5])
    assert in_mosaic > 0
    if least > 1:
        whole = mixed.carry(boxes, (1.0, 1.0))
        assert in_mosaic < len(whole.instances[5])
    assert len(carried.ignored) == 6
    assert carried.ignored[0].mark[:4].tolist() == boxes.instances[4].mark.tolist()


def test_no_boxes_anywhere():
    mixed, _ = mixed_views(pseudo_mosaic=1.0)
    empty = PseudoBoxes([instances[:0] for instances in pseudo_boxes().instances])
    carried = mixed.carry(empty)
    assert [len(instances) for instances in carried.instances] == [0] * 6
    assert carried.instances[5].bboxes.shape == (0, 4)


def test_labelled_mosaics_have_the_boxes_of_their_images():
    mixed, (_, samples) = mixed_views(branch="sup", labelled_mosaic=1.0)
    labelled = mixed_labelled(mixed, (1.0, 1.0))
    assert [len(sample.gt_instances) for sample in labelled] == [2] * 5 + [8]
    boxes = labelled[5].gt_instances
    for row, origin in enumerate(mixed.samples[5].mixed_from):
        view = origin["img_id"] - 200
        to_mixed = origin["homography_matrix"] @ homography(view).inverse()
        want = warp_boxes(samples[view].gt_instances.bboxes, to_mixed)
        own = slice(2 * row, 2 * row + 2)
        torch.testing.assert_close(boxes.bboxes[own], want, atol=1e-3, rtol=0)
        assert boxes.labels[own].tolist() == samples[view].gt_instances.labels.tolist()
    assert torch.equal(labelled[0].gt_instances.bboxes, samples[0].gt_instances.bboxes)


def test_candidates_find_the_weak_view_of_their_own_image():
    """PRC: mixed image -> strong view -> weak view is one map, box by box."""
    mixed, (_, strong) = mixed_views(pseudo_mosaic=1.0, seed=1)
    weak = [sample(view.img_id, size=(128, 192)) for view in strong]
    rois, want, views = [], [], []
    for target, view in enumerate(mixed.samples):
        for origin in view.mixed_from:
            number = origin["img_id"] - 200
            height, width = SIZES[number]
            inside = torch.tensor([[8.0, 6.0, width - 20, height - 9]])
            to_mixed = origin["homography_matrix"] @ homography(number).inverse()
            box = warp_boxes(inside, to_mixed)
            rois.append(torch.cat([torch.tensor([[float(target)]]), box], 1))
            want.append(warp_boxes(box, origin["homography_matrix"].inverse()))
            views.append(number)
    found = mixed.views_of(torch.cat(rois))
    assert found[:, 0].tolist() == views
    assert len(set(views)) == 5 < len(views)
    # The weak views are the original images.
    moved, _ = teacher_rois(found, weak, strong)
    torch.testing.assert_close(moved[:, 1:], torch.cat(want), atol=1e-2, rtol=0)
    assert moved[:, 0].tolist() == views


def test_a_candidate_across_tiles_is_cut_to_the_one_that_holds_its_centre():
    mixed, _ = mixed_views(pseudo_mosaic=1.0)
    whole = torch.tensor([[5.0, 0.0, 0.0, 96.0, 64.0], [5.0, 0.0, 0.0, 60.0, 44.0]])
    found = mixed.views_of(whole)
    for row in found:
        height, width = SIZES[int(row[0])]
        assert row[1] >= 0
        assert row[2] >= 0
        assert row[3] <= width
        assert row[4] <= height
    first = mixed.samples[5].mixed_from[0]["img_id"] - 200
    assert found[1, 0] == first  # its centre (30, 22) is left of and above the cross


@pytest.mark.parametrize("detector", list(DETECTORS))
@pytest.mark.parametrize("score_thr", [0.0, 1.0])
def test_a_step_with_everything_mixed(detector, score_thr):
    model = build_mean_teacher(
        detector, model=dict(mixing=ALL), score_thr=score_thr, empty_weight=1.0
    )
    seen = []
    model.student.backbone.register_forward_hook(
        lambda _m, args, _o: seen.append(len(args[0]))
    )
    losses = model.loss(*batch(num_sup=4, num_unsup=5))
    assert sum(seen) == 4 + 1 + 5 + 1
    assert_whole_student_learns(model, losses)
    # Hooks that log and draw see the views as they were.
    step = model.last_step
    assert len(step.samples_strong) == len(step.labels_strong) == 5


def test_labels_of_mixed_images_are_those_that_are_taught():
    model = build_mean_teacher(model=dict(mixing=dict(pseudo_mixup=1.0)))
    inputs, samples = batch(num_unsup=3)
    taught = []
    guided_loss = model.guided_loss
    model.guided_loss = lambda f, s, g: taught.append(g) or guided_loss(f, s, g)
    model.loss(inputs, samples)
    alone = [len(instances) for instances in model.last_step.labels_strong.instances]
    both = [len(instances) for instances in taught[0].instances]
    assert sum(both) == 2 * sum(alone) > 0


def test_mixing_off_changes_nothing():
    results = []
    for mixing in (None, {}, dict(mixup_share=0.3)):
        model = build_mean_teacher(model=dict(mixing=mixing))
        torch.manual_seed(1)
        results.append(total(model.loss(*batch(num_sup=4, num_unsup=4))).item())
    assert results[0] == results[1] == results[2]


def test_what_is_drawn_follows_the_seed():
    draws = [mixed_views(seed, **ALL)[0].inputs for seed in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(
    ("settings", "count", "message"),
    [
        (dict(pseudo_mosaic=1.0), 3, "pseudo_mosaic needs 4 unlabelled images.*has 3"),
        (dict(pseudo_mixup=1.0), 1, "pseudo_mixup needs 2 unlabelled images.*has 1"),
    ],
)
def test_too_few_images_are_told(settings, count, message):
    with pytest.raises(ValueError, match=message):
        mixed_views(count=count, **settings)
    mixing = Mixing.from_config(settings)
    assert mixing("unsup_student", *coordinate_views(count), varies=True) is None


def test_batches_of_the_union_may_lack_images():
    model = build_mean_teacher(model=dict(mixing=ALL), weight_by_images=True)
    losses = model.loss(*batch(num_sup=1, num_unsup=1))
    assert torch.isfinite(total(losses))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(mosaic=1.0), "unknown key.*mosaic"),
        (dict(pseudo_mixup=1.5), "pseudo_mixup must be a number from 0 to 1"),
        (dict(labelled_mosaic=True), "labelled_mosaic must be a number"),
        (dict(pseudo_mosaic=float("nan")), "pseudo_mosaic must be a number"),
        (dict(mosaic_cross=0.5), "mosaic_cross must be 2 numbers"),
        (dict(mosaic_cross=(0.6, 0.4)), "0 < least <= largest < 1"),
    ],
)
def test_wrong_settings_name_their_key(settings, message):
    with pytest.raises(ValueError, match=f"model.mixing.*{message}"):
        Mixing.from_config(settings)


def test_the_teacher_rescores_candidates_of_a_mosaic_in_its_own_views():
    model = build_lerprc(model=dict(mixing=dict(pseudo_mosaic=1.0)))
    inputs, samples = batch(num_unsup=4)
    flip = torch.tensor([[-1.0, 0, 96], [0, 1, 0], [0, 0, 1]])
    for view in samples["unsup_student"]:
        view.set_metainfo(dict(homography_matrix=flip.numpy()))
    seen, asked = watch(model), []
    head = model.teacher.roi_head
    forward = head._bbox_forward
    head._bbox_forward = lambda x, rois: asked.append(rois) or forward(x, rois)
    losses = model.loss(inputs, samples)
    assert torch.isfinite(total(losses))
    (guidance, candidates, _) = seen[0]
    assert len(guidance.instances) == 5
    in_mosaic = 0
    for roi, got in zip(candidates.rois, asked[-1], strict=True):
        image, box = int(roi[0]), roi[1:]
        centre = torch.tensor([*(box[:2] + box[2:]) / 2, 1.0])
        inside = []
        for origin in guidance.extra.mixed.samples[image].mixed_from:
            back = origin["homography_matrix"].inverse()
            point = back @ centre
            if 0 <= point[0] <= 96 and 0 <= point[1] <= 64:
                inside.append((origin["img_id"] - 100, warp_boxes(box[None], back)[0]))
        if image == 4:
            in_mosaic += len(inside)
        if not inside:  # in the margin of the mosaic
            continue
        ((view, want),) = inside
        limit = torch.tensor([96.0, 64.0, 96.0, 64.0])
        want = want.clamp(min=0).minimum(limit)
        torch.testing.assert_close(got[1:], want, atol=1e-2, rtol=0)
        assert got[0] == view
    assert in_mosaic > 10


def test_dtg_refuses_mixup():
    with pytest.raises(ValueError, match=r"model.mixing.pseudo_mixup must be 0 .*DTG"):
        build_dense(BOTH, mixing=dict(pseudo_mixup=0.5))


def test_prc_refuses_mixup_and_ler_does_not():
    mixup = dict(mixing=dict(pseudo_mixup=1.0))
    with pytest.raises(ValueError, match=r"model.mixing.pseudo_mixup must be 0 .*PRC"):
        build_lerprc(model=mixup)
    model = build_lerprc(model=dict(mixup, prc=None))
    assert_whole_student_learns(model, model.loss(*batch(num_unsup=2)))
