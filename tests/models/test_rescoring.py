"""Student candidates in the teacher's view, against pixels, and their re-scoring."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mmdet.structures import DetDataSample

from ssod_mm.data.views.geometry import AFFINE_OPS, ViewGeometry, affine_matrix, render
from ssod_mm.models.rescoring import rescore, teacher_rois
from tests.data.test_views_geometry import FILL, centroid, smooth_blob, well_inside
from tests.models.builders import batch
from tests.models.gaussian_builders import build_lerprc

SIZE = (110, 140)
few = settings(max_examples=40, deadline=None, derandomize=True)


def view_sample(view: ViewGeometry) -> DetDataSample:
    """The data sample of a view of the one image that all tests look at."""
    meta = dict(img_id=7, img_shape=view.size, homography_matrix=view.matrix)
    return DetDataSample(metainfo=meta)


def views(weak_scale, strong_scale, weak_flip, strong_flip, op, magnitude):
    """A weak view (scale, flip) and a strong one (also an affine operation)."""
    sizes = [tuple(round(s * f) for s in SIZE) for f in (weak_scale, strong_scale)]
    affine = np.eye(3)
    if op is not None:
        largest = 0.1 if op.startswith("translate") else 30.0
        affine = affine_matrix(op, magnitude * largest, sizes[1])
    weak = ViewGeometry(SIZE, sizes[0], weak_flip)
    return weak, ViewGeometry(SIZE, sizes[1], strong_flip, affine, None)


def roi(*box):
    return torch.tensor([[0.0, *box]])


scales = st.floats(0.6, 1.6)


@few
@given(
    scales, scales, st.booleans(), st.booleans(), st.sampled_from([None, *AFFINE_OPS]),
    st.floats(-1, 1), st.tuples(st.floats(0.35, 0.65), st.floats(0.35, 0.65)),
)  # fmt: skip
def test_a_roi_on_a_blob_lands_on_the_blob(
    weak_scale, strong_scale, weak_flip, strong_flip, op, magnitude, place
):
    """Measured in the pixels of both views, whatever lies between them."""
    pair = views(weak_scale, strong_scale, weak_flip, strong_flip, op, magnitude)
    centre = np.array([place[0] * SIZE[1], place[1] * SIZE[0]])
    for view in pair:
        moved = (view.matrix @ [*centre, 1.0])[:2]
        assume(well_inside(moved, view.size, 16 * 1.6 * 1.6))
    seen = [centroid(render(smooth_blob(SIZE, centre), view, FILL)) for view in pair]
    x, y = seen[1]
    weak, strong = ([view_sample(view)] for view in pair)
    mapped, stats = teacher_rois(roi(x - 5, y - 3, x + 5, y + 3), weak, strong)
    got = (mapped[0, 1:3] + mapped[0, 3:5]) / 2
    np.testing.assert_allclose(got.numpy(), seen[0], atol=0.15)
    turned = op is not None and not op.startswith("translate")
    if not turned:
        assert stats["hull_growth"].item() == pytest.approx(1, abs=1e-4)
    assert stats["hull_growth"] >= 1 - 1e-4


@few
@given(scales, scales, st.booleans(), st.booleans(), st.floats(-1, 1))
def test_a_painted_box_lands_on_its_painted_pixels(
    weak_scale, strong_scale, weak_flip, strong_flip, shift
):
    """Without rotation and shear the mapped RoI is the object's extent."""
    pair = views(weak_scale, strong_scale, weak_flip, strong_flip, "translate_x", shift)
    img = np.full((*SIZE, 3), 114, np.uint8)
    img[40:80, 50:100] = 250
    extents = []
    for view in pair:
        rows, columns = np.nonzero(render(img, view, FILL)[..., 0] > 182)
        extents.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    weak, strong = ([view_sample(view)] for view in pair)
    mapped, _ = teacher_rois(roi(*map(float, extents[1])), weak, strong)
    # Half a pixel of either view at each side.
    slack = 0.6 + 0.6 * weak_scale / strong_scale
    np.testing.assert_allclose(mapped[0, 1:].numpy(), extents[0], atol=slack)


@few
@given(
    st.sampled_from(["rotate", "shear_x", "shear_y"]), st.floats(-1, 1), scales,
    st.booleans(), st.sampled_from(["rectangle", "ellipse"]),
)  # fmt: skip
def test_a_painted_shape_keeps_its_extent_when_turned(
    op, magnitude, weak_scale, flip, shape
):
    """The hull is the extent in pixels of what the RoI encloses: all, or an ellipse."""
    size = tuple(round(s * weak_scale) for s in SIZE)
    turned = affine_matrix(op, magnitude * 30.0, size)
    pair = ViewGeometry(SIZE, size, flip, turned, None), ViewGeometry(SIZE, SIZE)
    img = np.full((*SIZE, 3), 114, np.uint8)
    if shape == "rectangle":
        img[40:70, 50:90] = 250
    else:
        y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
        img[((x - 70) / 20) ** 2 + ((y - 55) / 15) ** 2 <= 1] = 250
    rows, columns = np.nonzero(render(img, pair[0], FILL)[..., 0] > 182)
    want = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    weak, strong = ([view_sample(view)] for view in pair)
    hull = "corners" if shape == "rectangle" else "ellipse"
    mapped, _ = teacher_rois(roi(50.0, 40.0, 90.0, 70.0), weak, strong, hull)
    # A sharp corner covers too little of its last pixels to be seen there.
    slack = 0.6 + 0.6 * weak_scale
    np.testing.assert_allclose(mapped[0, 1:].numpy(), want, atol=slack)


@pytest.mark.parametrize(("degrees", "growth"), [(10, 1.342), (30, 1.866)])
def test_growth_of_a_rotated_square_is_told(degrees, growth):
    pair = views(1.0, 1.0, False, False, "rotate", degrees / 30)
    weak, strong = ([view_sample(view)] for view in pair)
    rois = roi(60, 45, 80, 65)
    _, stats = teacher_rois(rois, weak, strong, growth_thr=1.5)
    assert stats["hull_growth"].item() == pytest.approx(growth, abs=2e-3)
    assert stats["hull_grown"].item() == float(growth > 1.5)
    _, stats = teacher_rois(rois, weak, strong, hull="ellipse")
    assert stats["hull_growth"].item() == pytest.approx(1, abs=1e-3)


def test_every_roi_uses_its_own_image_and_is_clipped():
    flip = np.array([[-1.0, 0, 140], [0, 1, 0], [0, 0, 1]])
    plain = ViewGeometry(SIZE, SIZE)
    weak = [view_sample(plain), view_sample(plain)]
    strong = [view_sample(plain), view_sample(plain)]
    strong[1].set_metainfo(dict(homography_matrix=flip))
    rois = torch.tensor(
        [[1.0, 10, 5, 30, 25], [0.0, 10, 5, 30, 25], [0.0, -9, 100, 150, 300]]
    )
    mapped, _ = teacher_rois(rois, weak, strong)
    want = [[1, 110, 5, 130, 25], [0, 10, 5, 30, 25], [0, 0, 100, 140, 110]]
    torch.testing.assert_close(mapped, torch.tensor(want).float(), atol=1e-4, rtol=0)


def test_no_roi_and_rois_without_area():
    weak = strong = [view_sample(ViewGeometry(SIZE, SIZE))]
    mapped, stats = teacher_rois(torch.zeros(0, 5), weak, strong)
    assert mapped.shape == (0, 5)
    assert stats["hull_growth"].item() == 0
    _, stats = teacher_rois(roi(5, 5, 5, 9), weak, strong)
    assert stats["hull_growth"].item() == 0


@pytest.mark.usefixtures("mmdet_scope")
@pytest.mark.parametrize("detector", ["faster", "cascade"])
def test_rescoring_is_the_heads_own_answer(detector):
    """One RoI at a time, from the images, against one call on stored features."""
    model = build_lerprc(detector)
    inputs, _ = batch()
    images = inputs["unsup_teacher"]
    rois = torch.tensor([[0.0, 3, 5, 40, 50], [1.0, 20, 10, 60, 60], [1.0, 0, 0, 9, 9]])
    teacher = model.teacher.eval()
    stage = 1 if detector == "cascade" else 0
    features = teacher.extract_feat(images)
    probs, bbox_pred = rescore(teacher.roi_head, stage, features, rois)
    assert not probs.requires_grad
    torch.testing.assert_close(probs.sum(1), torch.ones(3))
    head = teacher.roi_head.bbox_head
    head = head[stage] if detector == "cascade" else head
    extractor = teacher.roi_head.bbox_roi_extractor
    extractor = extractor[stage] if detector == "cascade" else extractor
    for row, roi in enumerate(rois):
        alone = teacher.extract_feat(images[int(roi[0])][None])
        here = torch.cat([roi.new_zeros(1), roi[1:]])[None]
        cls_score, boxes = head(extractor(alone[: extractor.num_inputs], here))
        torch.testing.assert_close(
            probs[row], cls_score[0].softmax(0), atol=1e-5, rtol=1e-4
        )
        torch.testing.assert_close(bbox_pred[row], boxes[0], atol=1e-4, rtol=1e-4)
