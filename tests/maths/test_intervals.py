"""Box sides as intervals against loops over one side at a time."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.maths.intervals import (
    MIN_EXTENT_PX,
    decode_sides,
    encode_sides,
    interval_losses,
    interval_widths,
    localisation_certainty,
    offset_losses,
)

coordinates = st.floats(-50, 1400)
sides = st.floats(0, 900)
rows = st.tuples(coordinates, coordinates, sides, sides)
counts = st.sampled_from([1, 2, 4, 8, 20, 30, 40])
scales = st.sampled_from([0.5, 1.0, 1.5])


def to_boxes(drawn, dtype=torch.float64):
    return torch.tensor([[x, y, x + w, y + h] for x, y, w, h in drawn], dtype=dtype)


box_pairs = st.lists(st.tuples(rows, rows), min_size=1, max_size=4).map(
    lambda pairs: tuple(to_boxes(column) for column in zip(*pairs, strict=True))
)


def one_segment(box, side, count, scale):
    """Start and interval width of the segment across a side, in pixels."""
    axis = side % 2
    extent = max(float(box[2 + axis] - box[axis]), MIN_EXTENT_PX)
    length = scale * extent
    return float(box[side]) - length / 2, length / count


def slow_encode(box, target, count, scale):
    """Index and offset per side: walk along the segment, interval by interval."""
    indices, offsets = [], []
    for side in range(4):
        start, width = one_segment(box, side, count, scale)
        index = 0
        while index < count - 1 and float(target[side]) >= start + (index + 1) * width:
            index += 1
        centre = start + (index + 0.5) * width
        indices.append(index)
        offsets.append((float(target[side]) - centre) / width)
    return indices, offsets


def outputs_for(indices, offsets, count):
    """Logits and offsets of a network that predicts exactly this."""
    logits = torch.full((*indices.shape, count), -1.0, dtype=offsets.dtype)
    logits.scatter_(-1, indices[..., None], 1.0)
    filled = torch.full_like(logits, 77.0)
    return logits, filled.scatter_(-1, indices[..., None], offsets[..., None])


def away_from_an_edge(offsets):
    """Whether float error cannot change any index."""
    return bool(((offsets.abs() % 1 - 0.5).abs() > 1e-6).all())


@settings(max_examples=60, deadline=None)
@given(box_pairs, counts, scales)
def test_encoding_is_a_walk_along_the_segment(pair, count, scale):
    boxes, targets = pair
    indices, offsets = encode_sides(boxes, targets, count, scale)
    if not away_from_an_edge(offsets):
        return
    for row in range(len(boxes)):
        slow_indices, slow_offsets = slow_encode(boxes[row], targets[row], count, scale)
        assert indices[row].tolist() == slow_indices
        assert offsets[row].tolist() == pytest.approx(slow_offsets, rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(box_pairs, counts, scales, st.sampled_from([torch.float32, torch.float64]))
def test_decoding_gives_the_true_box_back(pair, count, scale, dtype):
    """Also where a side lies far outside its segment.

    The error is that of adding numbers of the coordinates' and the segment's size: a
    few units in the last place, far below half an interval.
    """
    boxes, targets = (side.to(dtype) for side in pair)
    indices, offsets = encode_sides(boxes, targets, count, scale)
    decoded = decode_sides(boxes, *outputs_for(indices, offsets, count), scale)
    size = max(boxes.abs().max(), targets.abs().max(), torch.tensor(1.0))
    bound = 8 * torch.finfo(dtype).eps * float(size) * max(scale, 1)
    assert float((decoded - targets).abs().max()) <= bound


@settings(max_examples=60, deadline=None)
@given(box_pairs, counts, scales)
def test_the_offset_is_half_an_interval_plus_the_distance_to_the_segment(
    pair, count, scale
):
    boxes, targets = pair
    indices, offsets = encode_sides(boxes, targets, count, scale)
    for row in range(len(boxes)):
        for side in range(4):
            start, width = one_segment(boxes[row], side, count, scale)
            value = float(targets[row, side])
            outside = max(0.0, start - value, value - start - count * width)
            offset = abs(float(offsets[row, side]))
            slack = 1e-9 * (1 + outside / width)
            if outside > slack * width:
                assert int(indices[row, side]) == (0 if value < start else count - 1)
                assert offset == pytest.approx(0.5 + outside / width, rel=1e-9)
            else:
                assert offset <= 0.5 + 2 * slack


def test_hand_worked_encoding():
    """A box 60 wide and 30 high, K = 30: intervals of 2 px and of 1 px.

    x1: 10 -> 13 is 1.5 intervals of 2 px right of the side, which lies on the border
    between intervals 14 and 15. So interval 16 (2 to 4 px right), at its centre.
    y1: 20 -> 20.25 is in interval 15, whose centre is 0.5 px below the side.
    x2: 70 -> 100 is the segment's end (70 + 30): the last interval, offset 1/2.
    y2: 50 -> 30 is 5 px beyond the segment's start 35: interval 0, offset -5.5.
    """
    box = torch.tensor([[10.0, 20, 70, 50]])
    target = torch.tensor([[13.0, 20.25, 100, 30]])
    indices, offsets = encode_sides(box, target, 30)
    assert indices.tolist() == [[16, 15, 29, 0]]
    assert offsets.tolist() == [pytest.approx([0.0, -0.25, 0.5, -5.5], abs=1e-5)]
    assert interval_widths(box, 30).tolist() == [[2.0, 1.0, 2.0, 1.0]]
    assert interval_widths(box, 30, scale=0.5).tolist() == [[1.0, 0.5, 1.0, 0.5]]


@settings(max_examples=30, deadline=None)
@given(box_pairs)
def test_one_interval_is_plain_regression(pair):
    boxes, targets = pair
    indices, offsets = encode_sides(boxes, targets, 1)
    extents = (boxes[:, 2:] - boxes[:, :2]).clamp(min=MIN_EXTENT_PX).repeat(1, 2)
    assert not indices.any()
    torch.testing.assert_close(offsets, (targets - boxes) / extents)
    moved = decode_sides(boxes, torch.zeros(len(boxes), 4, 1), offsets[..., None])
    torch.testing.assert_close(moved, targets)


@settings(max_examples=30, deadline=None)
@given(box_pairs, counts, st.integers(0, 1000), st.sampled_from([0.5, 1.0, 2.0]))
def test_expected_sides_against_a_loop(pair, count, seed, scale):
    boxes = pair[0]
    logits, offsets, _ = random_outputs(seed, count, len(boxes))
    found = decode_sides(boxes, logits, offsets, scale, "expected")
    for box, t, d, got in zip(boxes, logits, offsets, found, strict=True):
        sides = []
        for side in range(4):
            extent = max(float(box[side % 2 + 2] - box[side % 2]), MIN_EXTENT_PX)
            mass = place = 0.0
            for k in range(count):
                p = 1 / (1 + math.exp(-float(t[side, k])))
                mass += p
                place += p * (k - (count - 1) / 2 + float(d[side, k]))
            sides.append(float(box[side]) + place / mass * extent * scale / count)
        want = [min(sides[0], sides[2]), min(sides[1], sides[3])]
        want += [max(sides[0], sides[2]), max(sides[1], sides[3])]
        assert got.tolist() == pytest.approx(want, rel=1e-9, abs=1e-6)


def test_expected_side_between_two_intervals_does_not_jump():
    box = torch.tensor([[0.0, 0, 80, 80]], dtype=torch.float64)
    offsets = torch.zeros(1, 4, 8, dtype=torch.float64)
    offsets[..., 3], offsets[..., 4] = 0.5, -0.5
    for lead in (-0.01, 0.0, 0.01):
        logits = torch.full((1, 4, 8), -60.0, dtype=torch.float64)
        logits[..., 3], logits[..., 4] = 1.0, 1.0 + lead
        torch.testing.assert_close(
            decode_sides(box, logits, offsets, 1, "expected"), box
        )
    logits = torch.full((1, 4, 8), -900.0)
    assert decode_sides(box, logits, offsets, 1, "expected").isfinite().all()


@settings(max_examples=30, deadline=None)
@given(box_pairs, counts)
def test_sure_intervals_are_decoded_alike(pair, count):
    boxes, targets = pair
    indices, offsets = encode_sides(boxes, targets, count)
    logits, steps = outputs_for(indices, offsets, count)
    sure = torch.where(logits == logits.amax(-1, keepdim=True), 60.0, -60.0).double()
    by_mean = decode_sides(boxes, sure, steps, 1.0, "expected")
    torch.testing.assert_close(by_mean, decode_sides(boxes, sure, steps))


@settings(max_examples=30, deadline=None)
@given(box_pairs, counts, st.floats(0.2, 5), st.floats(-300, 300))
def test_scaling_and_shifting_the_image_changes_no_target(pair, count, zoom, shift):
    boxes, targets = pair
    boxes[:, 2:] += 6  # at any zoom wider than the narrowest segment
    indices, offsets = encode_sides(boxes, targets, count)
    if not away_from_an_edge(offsets):
        return
    moved = encode_sides(boxes * zoom + shift, targets * zoom + shift, count)
    assert moved[0].tolist() == indices.tolist()
    torch.testing.assert_close(moved[1], offsets, atol=1e-6, rtol=1e-6)


def test_crossed_sides_are_swapped():
    box = torch.tensor([[0.0, 0, 10, 10]])
    logits = torch.zeros(1, 4, 1)
    steps = torch.tensor([[[0.8], [0.0], [-0.6], [0.0]]])
    assert decode_sides(box, logits, steps).tolist() == [
        pytest.approx([4.0, 0.0, 8.0, 10.0])
    ]


@pytest.mark.parametrize("box", [[5.0, 5, 5, 5], [5.0, 5, 3, 9], [5.0, 5, 5.001, 90]])
def test_boxes_without_width_stay_finite(box):
    boxes = torch.tensor([box])
    target = torch.tensor([[0.0, 0, 1333, 800]])
    indices, offsets = encode_sides(boxes, target, 30)
    assert bool(offsets.isfinite().all())
    decoded = decode_sides(boxes, *outputs_for(indices, offsets, 30))
    torch.testing.assert_close(decoded, target, atol=1e-2, rtol=0)


def random_outputs(seed, count, num=3):
    generator = torch.Generator().manual_seed(seed)
    logits, offsets = torch.randn(2, num, 4, count, generator=generator).double()
    indices = torch.randint(count, (num, 4), generator=generator)
    return 3 * logits, offsets, indices


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), counts)
def test_certainty_is_the_mean_of_the_best_probabilities(seed, count):
    logits, _, _ = random_outputs(seed, count)
    for row, v in zip(logits, localisation_certainty(logits), strict=True):
        best = [max(1 / (1 + math.exp(-t)) for t in side.tolist()) for side in row]
        assert float(v) == pytest.approx(sum(best) / 4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), counts, st.booleans())
def test_interval_losses_are_binary_cross_entropies(seed, count, positive_only):
    logits, _, indices = random_outputs(seed, count)
    losses = interval_losses(logits, indices, positive_only)
    for row in range(len(logits)):
        for side in range(4):
            expected = 0.0
            for k in range(count):
                p = 1 / (1 + math.exp(-float(logits[row, side, k])))
                if k == int(indices[row, side]):
                    expected -= math.log(p)
                elif not positive_only:
                    expected -= math.log(1 - p)
            assert float(losses[row, side]) == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), counts, st.sampled_from([0.0, 0.1, 1.0]))
def test_offset_losses_are_smooth_l1_at_the_true_interval(seed, count, beta):
    _, offsets, indices = random_outputs(seed, count)
    targets = torch.linspace(-2, 2, 12).double().view(3, 4)
    losses = offset_losses(offsets, indices, targets, beta)
    for row in range(3):
        for side in range(4):
            d = float(offsets[row, side, indices[row, side]] - targets[row, side])
            expected = d * d / 2 / beta if abs(d) < beta else abs(d) - beta / 2
            assert float(losses[row, side]) == pytest.approx(expected)


def test_hand_worked_losses():
    """t = 0 everywhere, K = 3: -log(1/2) for each of the intervals that count."""
    logits, indices = torch.zeros(1, 4, 3), torch.zeros(1, 4, dtype=torch.long)
    both = interval_losses(logits, indices)
    assert both.tolist() == [[pytest.approx(3 * math.log(2))] * 4]
    printed = interval_losses(logits, indices, positive_only=True)
    assert printed.tolist() == [[pytest.approx(math.log(2))] * 4]
    assert localisation_certainty(logits).tolist() == [0.5]


def test_only_the_printed_loss_has_its_minimum_at_infinity():
    indices = torch.zeros(1, 4, dtype=torch.long)
    small, large = torch.zeros(1, 4, 3), torch.full((1, 4, 3), 20.0)
    assert (interval_losses(large, indices) > interval_losses(small, indices)).all()
    assert (interval_losses(large, indices, positive_only=True) < 1e-6).all()


@pytest.mark.parametrize("positive_only", [True, False])
def test_gradients_of_the_losses(positive_only):
    logits, offsets, indices = random_outputs(5, 4)
    targets = torch.linspace(-2, 2, 12).double().view(3, 4)
    assert torch.autograd.gradcheck(
        lambda t: interval_losses(t, indices, positive_only),
        logits.requires_grad_(),
    )
    assert torch.autograd.gradcheck(
        lambda o: offset_losses(o, indices, targets), offsets.requires_grad_()
    )
    assert torch.autograd.gradcheck(localisation_certainty, logits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_reduced_precision_is_lifted_first(dtype):
    logits = torch.randn(2, 4, 30, generator=torch.Generator().manual_seed(0))
    logits, indices = logits.to(dtype), torch.zeros(2, 4, dtype=torch.long)
    for values, exact in (
        (interval_losses(logits, indices), interval_losses(logits.float(), indices)),
        (localisation_certainty(logits), localisation_certainty(logits.float())),
    ):
        assert values.dtype == torch.float32
        assert values.tolist() == exact.tolist()
    box = torch.tensor([[1000.0, 0, 1003, 9]] * 2)
    exact = decode_sides(box, logits, torch.zeros(2, 4, 30))
    assert decode_sides(box, logits, torch.zeros(2, 4, 30, dtype=dtype)).equal(exact)


def test_large_logits_stay_finite():
    logits = torch.full((1, 4, 5), 1e4)
    logits[..., 1:] = -1e4
    far = interval_losses(logits, torch.ones(1, 4, dtype=torch.long))
    near = interval_losses(logits, torch.zeros(1, 4, dtype=torch.long))
    assert bool(far.isfinite().all())
    assert near.tolist() == [[0.0] * 4]


def test_empty_inputs_stay_empty():
    none, outputs = torch.zeros(0, 4), torch.zeros(0, 4, 30)
    indices, offsets = encode_sides(none, none, 30)
    assert indices.shape == offsets.shape == (0, 4)
    assert decode_sides(none, outputs, outputs).shape == (0, 4)
    assert localisation_certainty(outputs).shape == (0,)
    assert interval_losses(outputs, indices).shape == (0, 4)
    assert offset_losses(outputs, indices, offsets).shape == (0, 4)
