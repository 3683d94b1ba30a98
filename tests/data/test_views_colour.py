"""Colour edits against mmcv's slow ones, and what each must leave alone."""

import mmcv
import numpy as np
import pytest

from ssod_mm.data.views import colour as views_colour
from ssod_mm.data.views import jitter as views_jitter
from ssod_mm.data.views.colour import COLOUR_OPS, OneColour
from ssod_mm.data.views.jitter import ColourJitter, RandomBlur
from ssod_mm.data.views.random import RandomView


@pytest.fixture
def img():
    """Read-only image of soft structure whose channels have different ranges."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    img = mmcv.imresize(coarse, (96, 72), interpolation="bicubic")
    img = (img * [0.6, 0.9, 0.4] + [30, 5, 60]).astype(np.uint8)
    img.flags.writeable = False
    return img


def assert_close(actual, expected, levels):
    assert actual.dtype == np.uint8
    difference = np.abs(actual.astype(int) - expected.astype(int))
    assert difference.max() <= levels


# Where mmcv cuts off decimals we round, so they may differ by one grey level.
@pytest.mark.parametrize(
    ("name", "reference", "magnitudes", "levels"),
    [
        ("auto_contrast", lambda i: mmcv.auto_contrast(i), [()], 1),
        ("equalize", lambda i: mmcv.imequalize(i), [()], 0),
        ("posterize", mmcv.posterize, [(1,), (3,), (8,)], 0),
        ("solarize", mmcv.solarize, [(0.0,), (77.7,), (256.0,)], 0),
        ("brightness", mmcv.adjust_brightness, [(0.1,), (1.9,)], 1),
        ("contrast", mmcv.adjust_contrast, [(0.1,), (1.9,)], 1),
        ("colour", mmcv.adjust_color, [(0.1,), (1.9,)], 1),
        ("sharpness", mmcv.adjust_sharpness, [(0.1,), (1.9,)], 2),
    ],
)
def test_edits_equal_the_reference(img, name, reference, magnitudes, levels):
    for magnitude in magnitudes:
        actual = getattr(views_colour, name)(img, *magnitude)
        assert_close(actual, reference(img.copy(), *magnitude), levels)


@pytest.mark.parametrize("name", ["brightness", "contrast", "colour", "sharpness"])
def test_factor_one_changes_nothing(img, name):
    np.testing.assert_array_equal(getattr(views_colour, name)(img, 1.0), img)


@pytest.mark.parametrize("name", ["auto_contrast", "equalize"])
def test_a_plain_image_stays_as_it_is(name):
    plain = np.full((8, 8, 3), 77, np.uint8)
    np.testing.assert_array_equal(getattr(views_colour, name)(plain), plain)


def test_posterize_never_blackens_the_image(img):
    np.testing.assert_array_equal(
        views_colour.posterize(img, 0.0), views_colour.posterize(img, 1.0)
    )


def test_jitter_of_nothing_and_of_one_thing_at_a_time(img):
    same = views_jitter.jitter(img, 1, 1, 1, 0)
    assert_close(same, img, 0)
    bright = views_jitter.jitter(img, 1.3, 1, 1, 0)
    assert_close(bright, views_colour.brightness(img, 1.3), 1)
    flat = views_jitter.jitter(img, 1, 0.4, 1, 0)
    assert_close(flat, views_colour.contrast(img, 0.4), 1)
    grey = views_jitter.jitter(img, 1, 1, 0.2, 0)
    assert_close(grey, views_colour.colour(img, 0.2), 1)


def test_a_hue_turn_keeps_the_luma_and_a_full_turn_everything(img):
    matrix = views_jitter.hue_matrix(0.3)
    luma = np.array([0.114, 0.587, 0.299])
    np.testing.assert_allclose(luma @ matrix, luma, atol=1e-12)
    assert np.abs(matrix - np.eye(3)).max() > 0.3
    np.testing.assert_allclose(views_jitter.hue_matrix(1.0), np.eye(3), atol=1e-12)
    # A third of a turn takes red roughly to green: B, G, R order.
    assert np.argmax(views_jitter.hue_matrix(1 / 3) @ [0, 0, 255]) in (0, 1)


def test_blur_spreads_a_point_by_its_sigma():
    point = np.zeros((41, 41, 3), np.uint8)
    point[18:23, 18:23] = 255
    weight = views_jitter.blur(point, 2.0)[..., 0].astype(float)
    x = np.arange(41) - 20
    variance = (weight.sum(0) * x**2).sum() / weight.sum()
    # A uniform 5 px square has variance (25 - 1) / 12 = 2; the blur adds 2.0 squared.
    assert variance == pytest.approx(2 + 4, rel=0.08)


@pytest.mark.parametrize(
    "transform",
    [OneColour([op]) for op in COLOUR_OPS] + [ColourJitter(prob=1), RandomBlur(prob=1)],
    ids=[*COLOUR_OPS, "jitter", "blur"],
)
def test_no_edit_writes_into_its_input(img, transform):
    before = img.copy()
    np.random.seed(0)
    out = transform(dict(img=img))["img"]
    np.testing.assert_array_equal(img, before)
    assert out.shape == img.shape
    assert out.dtype == np.uint8


def test_each_op_is_drawn_and_magnitudes_are_continuous():
    np.random.seed(0)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    transform = OneColour(["identity", "solarize"])
    seen = [transform.draw().apply(ramp)[0, :, 0] for _ in range(400)]
    thresholds = [int(np.argmax(s != np.arange(256))) for s in seen]
    unchanged = sum(np.array_equal(s, np.arange(256)) for s in seen)
    assert 150 < unchanged < 250
    assert len(set(thresholds)) > 100


def test_a_given_range_is_kept_to():
    np.random.seed(0)
    transform = OneColour([dict(op="brightness", range=(0.5, 0.6))])
    grey = np.full((1, 1, 3), 200, np.uint8)
    values = [int(transform.draw().apply(grey)[0, 0, 0]) for _ in range(50)]
    assert 100 <= min(values) < max(values) <= 120


def test_prob_zero_switches_off(img):
    for transform in (ColourJitter(prob=0), RandomBlur(prob=0)):
        assert transform(dict(img=img))["img"] is img


@pytest.mark.parametrize(("scale", "first"), [((192, 144), True), ((48, 36), False)])
def test_pointwise_edits_run_where_there_are_fewer_pixels(img, scale, first):
    view = RandomView(scale, flip_prob=0, colour=dict(type="OneColour"))
    sizes = []

    def spy(image):
        sizes.append(image.shape[:2])
        return image

    view.colour.draw = lambda: views_colour.ColourEdit(spy)
    view(dict(img=img))
    view.colour.draw = lambda: views_colour.ColourEdit(spy, pointwise=False)
    view(dict(img=img))
    after = scale[::-1]
    assert sizes == [(72, 96) if first else after, after]


def test_the_fill_is_not_edited(img):
    view = RandomView(
        (96, 72),
        flip_prob=0,
        affine=[dict(op="translate_x", range=(0.1, 0.1))],
        colour=dict(type="OneColour", ops=[dict(op="brightness", range=(0.2, 0.2))]),
    )
    np.random.seed(1)
    out = view(dict(img=img))["img"]
    border = out[:, :8] if (out[:, :8] == 114).all() else out[:, -8:]
    assert (border == 114).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: OneColour([]), "OneColour.ops is empty"),
        (lambda: OneColour(["sepia"]), "'sepia' is none of"),
        (lambda: OneColour([dict(op="colour", to=3)]), "is none of"),
        (lambda: OneColour([dict(op="equalize", range=(0, 1))]), "no magnitude"),
        (lambda: OneColour([dict(op="colour", range=(2, 1))]), "reversed"),
        (lambda: ColourJitter(brightness=1.4), "ColourJitter"),
        (lambda: ColourJitter(hue=0.7), "ColourJitter"),
        (lambda: ColourJitter(prob=-1), "ColourJitter.prob"),
        (lambda: RandomBlur(sigma=(0, 1)), "RandomBlur.sigma"),
        (lambda: RandomBlur(prob=2), "RandomBlur.prob"),
    ],
)
def test_a_wrong_argument_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8)])
def test_only_uint8_colour_images_are_taken(image):
    with pytest.raises(ValueError, match="uint8 images of shape"):
        OneColour()(dict(img=image))


@pytest.mark.parametrize(
    ("op", "levels"), [("solarize", (0, 255)), ("posterize", (30, 100))]
)
def test_an_image_of_few_levels_is_not_wiped_out(op, levels):
    """Solarised, black on white is black; posterised to one bit, so are dark greys."""
    low, high = levels
    img = np.full((16, 16, 3), high, np.uint8)
    img[4:8, 4:8] = low
    noise = np.random.RandomState(0).randint(0, 256, img.shape, np.uint8)
    transform, changed = OneColour([op]), 0
    np.random.seed(0)
    for _ in range(50):
        edit = transform.draw()
        assert edit.apply(img).std() > 0.05 * img.std()
        changed += not np.array_equal(edit.apply(noise), noise)
    assert changed > 40  # other images are edited as ever
