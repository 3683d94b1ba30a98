"""Pixels and boxes of a view land where its homography says."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes

from ssod_mm.data.datasets import seeded_draw
from ssod_mm.data.views.geometry import (
    AFFINE_OPS,
    ViewGeometry,
    affine_matrix,
    render,
    to_pixel_centres,
)
from ssod_mm.data.views.random import RandomView

FILL = (114.0, 114.0, 114.0)
ANY_AFFINE = [
    dict(op="rotate", range=(0, 30)),
    dict(op=["shear_x", "shear_y"], range=(0, 30)),
    dict(op=["translate_x", "translate_y"], range=(0, 0.1)),
]
few = settings(max_examples=40, deadline=None, derandomize=True)


def smooth_blob(size, centre, sigma=4.0):
    """Grey image with a bright Gaussian blob at a continuous position (x, y)."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    bump = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))
    return np.rint(114 + 140 * np.repeat(bump[..., None], 3, 2)).astype(np.uint8)


def centroid(img):
    """Centre of mass (x, y) of what differs from the grey ground."""
    weight = np.abs(img.astype(np.float64) - 114).sum(2)
    y, x = np.mgrid[: img.shape[0], : img.shape[1]] + 0.5
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def move(matrix, point):
    """A point (x, y) through a homography."""
    moved = matrix @ [*point, 1.0]
    return moved[:2] / moved[2]


def well_inside(point, size, margin):
    """Whether a blob with this reach lies wholly within (height, width)."""
    return bool(
        np.all(point > margin) and np.all(point < np.array(size)[::-1] - margin)
    )


@few
@given(
    height=st.integers(80, 150),
    width=st.integers(80, 150),
    scale=st.floats(0.6, 1.7),
    flip=st.booleans(),
    op=st.sampled_from([None, *AFFINE_OPS]),
    magnitude=st.floats(-1, 1),
    about=st.sampled_from([None, "centre", "corner"]),
    place=st.tuples(st.floats(0.35, 0.65), st.floats(0.35, 0.65)),
)
def test_a_blob_moves_by_the_homography(
    height, width, scale, flip, op, magnitude, about, place
):
    size = round(height * scale), round(width * scale)
    affine, shift = np.eye(3), (0, 0)
    if op is not None:
        largest = 0.1 if op.startswith("translate") else 30.0
        affine = affine_matrix(op, magnitude * largest, size, about)
        shift = None
        if op.startswith("translate"):
            shift = int(affine[0, 2]), int(affine[1, 2])
    view = ViewGeometry((height, width), size, flip, affine, shift)
    centre = np.array([place[0] * width, place[1] * height])
    expected = move(view.matrix, centre)
    assume(well_inside(expected, size, 16 * max(scale, 1) * 1.6))

    img = render(smooth_blob((height, width), centre), view, FILL)

    assert img.shape == (*size, 3)
    np.testing.assert_allclose(centroid(img), expected, atol=0.06)


def test_the_general_and_the_cheap_way_agree():
    img = smooth_blob((60, 90), (41.3, 25.8))
    cheap = ViewGeometry(
        (60, 90), (60, 90), True, affine_matrix("translate_x", 0.1, (60, 90)), (9, 0)
    )
    general = ViewGeometry(cheap.source, cheap.size, True, cheap.affine, None)
    np.testing.assert_array_equal(render(img, cheap, FILL), render(img, general, FILL))


@pytest.mark.parametrize("shift", [(7, 0), (-7, 0), (0, 5), (0, -5)])
def test_a_translation_fills_what_it_uncovers(shift):
    img = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    affine = np.eye(3)
    affine[:2, 2] = shift
    out = render(img, ViewGeometry((20, 30), (20, 30), False, affine, shift), FILL)
    expected = np.full_like(img, 114)
    for y in range(20):
        for x in range(30):
            if 0 <= y - shift[1] < 20 and 0 <= x - shift[0] < 30:
                expected[y, x] = img[y - shift[1], x - shift[0]]
    np.testing.assert_array_equal(out, expected)


def test_a_view_that_changes_nothing_is_the_image_itself():
    img = smooth_blob((30, 40), (20, 15))
    assert render(img, ViewGeometry((30, 40), (30, 40)), FILL) is img


def test_half_pixel_shift_by_hand():
    # Doubling in continuous coordinates: the middle of pixel 0, at 0.5, goes to 1.0,
    # which is index 0.5 when pixels are counted from their middles.
    doubled = to_pixel_centres(np.diag([2.0, 2.0, 1.0]))
    np.testing.assert_allclose(doubled @ [0, 0, 1], [0.5, 0.5, 1])


def test_rotation_by_90_degrees_is_clockwise_about_the_centre():
    matrix = affine_matrix("rotate", 90, (40, 60))
    np.testing.assert_allclose(move(matrix, (30, 20)), (30, 20), atol=1e-12)
    np.testing.assert_allclose(move(matrix, (40, 20)), (30, 30), atol=1e-12)


def test_shears_by_hand():
    # tan(45 deg) = 1: x' = x + y about the corner, x' = x + (y - h/2) about the centre.
    corner = affine_matrix("shear_x", 45, (40, 60))
    centre = affine_matrix("shear_x", 45, (40, 60), "centre")
    np.testing.assert_allclose(move(corner, (10, 30)), (40, 30))
    np.testing.assert_allclose(move(centre, (10, 30)), (20, 30))
    vertical = affine_matrix("shear_y", 45, (40, 60))
    np.testing.assert_allclose(move(vertical, (10, 30)), (10, 40))


@few
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(60, 140),
    width=st.integers(60, 140),
    corners=st.tuples(
        st.integers(5, 25), st.integers(5, 25), st.integers(30, 55), st.integers(30, 55)
    ),
    affine=st.booleans(),
)
def test_boxes_follow_the_painted_pixels(seed, height, width, corners, affine):
    x1, y1, x2, y2 = corners
    img = np.full((height, width, 3), 114, np.uint8)
    img[y1:y2, x1:x2] = 250
    view = RandomView([(150, 60), (150, 120)], affine=ANY_AFFINE if affine else ())
    np.random.seed(seed)
    boxes = HorizontalBoxes(torch.tensor([corners], dtype=torch.float32))
    results = view(dict(img=img, gt_bboxes=boxes))

    # The hull of the four moved corners, clipped, computed without mmdet.
    matrix = results["homography_matrix"].astype(np.float64)
    points = [move(matrix, p) for p in [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]]
    new_h, new_w = results["img_shape"]
    hull = np.concatenate([np.min(points, 0), np.max(points, 0)])
    hull = np.clip(hull, 0, [new_w, new_h, new_w, new_h])
    box = results["gt_bboxes"].tensor[0].numpy()
    np.testing.assert_allclose(box, hull, atol=1e-3)
    assert boxes.tensor.tolist() == [list(corners)]

    assume(np.all(box[2:] - box[:2] > 8))
    rows, columns = np.nonzero(results["img"][..., 0] > 150)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    scale = min(results["scale_factor"])
    # Under an affine operation the hull's corners are thin wedges of the object.
    np.testing.assert_allclose(seen, box, atol=2.5 * max(scale, 1) if affine else 1.0)


def test_meta_information_of_a_view():
    np.random.seed(3)
    view = RandomView((60, 45), flip_prob=1.0)
    results = view(dict(img=np.zeros((90, 121, 3), np.uint8)))
    assert results["img"].shape[:2] == results["img_shape"] == (45, 60)
    assert results["scale_factor"] == (60 / 121, 45 / 90)
    assert results["flip"] is True
    assert results["flip_direction"] == "horizontal"
    assert results["homography_matrix"].dtype == np.float32
    np.testing.assert_allclose(
        results["homography_matrix"],
        [[-60 / 121, 0, 60], [0, 0.5, 0], [0, 0, 1]],
        rtol=1e-6,
    )


def test_two_views_in_a_row_compose():
    np.random.seed(0)
    img = smooth_blob((90, 120), (58.2, 47.9))
    results = dict(img=img)
    for scale in ((100, 75), (110, 90)):
        results = RandomView(scale, flip_prob=1.0)(results)
    assert results["flip"] is False
    assert results["flip_direction"] is None
    expected = move(results["homography_matrix"], (58.2, 47.9))
    np.testing.assert_allclose(centroid(results["img"]), expected, atol=0.06)
    height, width = results["img_shape"]
    np.testing.assert_allclose(results["scale_factor"], (width / 120, height / 90))


def test_sizes_stay_within_both_limits_and_vary():
    view = RandomView([(133, 40), (133, 120)])
    np.random.seed(0)
    sizes = [view.draw((48, 64)).size for _ in range(200)]
    shorts = [min(size) for size in sizes]
    assert min(shorts) >= 40
    assert max(max(size) for size in sizes) <= 133
    assert len(set(shorts)) > 30
    factors = RandomView((100, 75), ratio=(0.5, 1.5))
    sides = [factors.draw((75, 100)).size[1] for _ in range(200)]
    assert 50 <= min(sides) < 60
    assert 140 < max(sides) <= 150


def test_one_scale_for_the_images_of_a_batch():
    views = [
        RandomView([(1333, 400), (1333, 1200)], scale_of_batch=name)
        for name in ("weak", "strong")
    ]
    sides = []
    for of_batch in range(200):
        drawn = set()
        for seed in range(3):
            with seeded_draw(seed, of_batch):
                drawn.add(tuple(min(view.draw((480, 640)).size) for view in views))
        assert len(drawn) == 1
        sides.append(drawn.pop())
    weak, strong = np.array(sides).T
    assert abs(np.corrcoef(weak, strong)[0, 1]) < 0.25
    # Short sides of 400 to 1200, but none above 1000, where the long one has 1333:
    # 3 / 4 * 700 + 1 / 4 * 1000.
    assert abs(weak.mean() - 775) < 50
    with seeded_draw(0):  # no batch: a scale of its own
        first, second = (views[0].draw((480, 640)).size for _ in range(2))
    assert first != second


@pytest.mark.parametrize("op", AFFINE_OPS)
def test_magnitudes_are_continuous_and_of_both_signs(op):
    translates = op.startswith("translate")
    high = 0.1 if translates else 30.0
    view = RandomView((1000, 1000), affine=[dict(op=op, range=(0, high))])
    np.random.seed(0)
    maps = [view.draw((1000, 1000)).affine for _ in range(300)]
    if translates:
        amounts = np.array([m[0, 2] + m[1, 2] for m in maps])
        limit = 100
        assert np.all(amounts == np.rint(amounts))
    else:
        entry = (1, 0) if op in ("rotate", "shear_y") else (0, 1)
        inverse = np.arcsin if op == "rotate" else np.arctan
        amounts = np.rad2deg(inverse([m[entry] for m in maps]))
        limit = 30
    assert np.abs(amounts).max() <= limit
    assert (amounts > 0.5 * limit).any()
    assert (amounts < -0.5 * limit).any()
    # A uniform magnitude: each tenth of the range holds about 30 of 300 draws.
    counts = np.histogram(np.abs(amounts) / limit, 10, (0, 1))[0]
    assert counts.min() > 10
    assert len(np.unique(amounts)) > 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(scale=(100,)), "RandomView.scale"),
        (dict(scale=[(9, 9), (9, 9), (9, 9)]), "RandomView.scale"),
        (dict(scale=(100, -5)), "RandomView.scale"),
        (dict(scale=[(9, 9), (9, 9)], ratio=(0.5, 1.0)), "RandomView.ratio"),
        (dict(scale=(9, 9), ratio=(1.5, 1.0)), "RandomView.ratio"),
        (dict(scale=(9, 9), flip_prob=1.2), "RandomView.flip_prob"),
        (dict(scale=(9, 9), affine=[dict(op="twist", range=(0, 1))]), "with op among"),
        (dict(scale=(9, 9), affine=[dict(op="rotate")]), "needs range"),
        (dict(scale=(9, 9), affine=[dict(op="translate_x", range=(0, 30))]), "0.9"),
        (
            dict(scale=(9, 9), affine=[dict(op=["rotate", "shear_x"], range=(0, 9))]),
            "one kind",
        ),
        (
            dict(scale=(9, 9), affine=[dict(op="rotate", range=(0, 9), about="top")]),
            "about",
        ),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomView(**arguments)


def test_masks_are_refused_rather_than_left_behind():
    results = dict(img=np.zeros((9, 9, 3), np.uint8), gt_masks=object())
    with pytest.raises(ValueError, match="gt_masks"):
        RandomView((9, 9))(results)
