"""Erased patches and labelled boxes under them; packing of a view's pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.data.views import PackView
from ssod_mm.data.views.erasing import ErasePatches


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    low=st.floats(0, 0.5),
    high=st.floats(0.5, 1.0),
)
def test_recorded_patches_are_what_is_erased(seed, size, low, high):
    np.random.seed(seed)
    image = np.full((*size, 3), 7, np.uint8)
    results = ErasePatches(ratio=(low, high), fill=(1, 2, 3))(dict(img=image))
    patches = results["erased_patches"]
    assert patches.dtype == np.float32
    assert 1 <= len(patches) <= 5
    expected = np.full((*size, 3), 7)
    for x1, y1, x2, y2 in patches.astype(int):
        assert 0 <= x1 < x2 <= size[1]
        assert 0 <= y1 < y2 <= size[0]
        assert (x2 - x1) <= max(high * size[1] + 0.5, 1)
        expected[y1:y2, x1:x2] = (1, 2, 3)
    np.testing.assert_array_equal(results["img"], expected)


def test_patches_of_two_steps_are_all_recorded():
    np.random.seed(0)
    results = dict(img=np.zeros((40, 40, 3), np.uint8))
    for num in ((2, 2), (0, 0), (3, 3)):
        results = ErasePatches(num=num)(results)
    assert results["erased_patches"].shape == (5, 4)


def test_hidden_labelled_boxes_are_dropped():
    # One patch over the whole image but nothing beyond: every box is hidden.
    boxes = np.array([[2, 2, 9, 9], [0, 0, 20, 20]], dtype=np.float32)

    def results():
        return dict(
            img=np.zeros((20, 20, 3), np.uint8),
            gt_bboxes=boxes.copy(),
            gt_bboxes_labels=np.array([4, 5]),
            gt_ignore_flags=np.array([False, False]),
        )

    whole = dict(num=(1, 1), ratio=(1.0, 1.0))
    assert len(ErasePatches(**whole)(results())["gt_bboxes"]) == 2
    assert len(ErasePatches(**whole, max_hidden=0.9)(results())["gt_bboxes"]) == 0
    # A patch of half the sides hides at most a quarter of the large box.
    np.random.seed(1)
    half = ErasePatches(num=(1, 1), ratio=(0.5, 0.5), max_hidden=0.3)(results())
    assert 5 in half["gt_bboxes_labels"]
    assert len(half["gt_bboxes"]) == len(half["gt_ignore_flags"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(num=(3, 1)), "ErasePatches.num"),
        (dict(ratio=(0.3, 0.2)), "ErasePatches.ratio"),
        (dict(ratio=(0.3, 1.2)), "ErasePatches.ratio"),
        (dict(max_hidden=1.0), "ErasePatches.max_hidden"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ErasePatches(**arguments)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_packing_reorders_and_copies_the_pixels(channels):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 7, channels), dtype=np.uint8)
    for given_image in (image, image[:, ::-1]):
        packed = PackView()(dict(img=given_image))
        expected = np.moveaxis(given_image, 2, 0)
        np.testing.assert_array_equal(packed["inputs"].numpy(), expected)
        assert packed["inputs"].is_contiguous()
        np.testing.assert_array_equal(
            packed["data_samples"].homography_matrix, np.eye(3)
        )
