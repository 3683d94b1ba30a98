from __future__ import annotations

import copy
import io
import os

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from ssod_mm.data.loading import (
    LoadImage,
    looks_truncated,
    num_skipped_images,
    num_unturned_images,
)
from ssod_mm.errors import UserError
from tests.data.coco_files import image_array, truncate, write_image


def encoded(ending: str, height: int = 60, width: int = 80) -> bytes:
    return cv2.imencode(ending, image_array(1, height, width))[1].tobytes()


def load(path, **keys):
    return LoadImage(**keys)({"img_path": str(path)})


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp"])
def test_pixels_and_shapes(tmp_path, ending):
    path = write_image(tmp_path / f"a{ending}", 1, height=60, width=80)
    results = load(path)
    np.testing.assert_array_equal(results["img"], cv2.imread(str(path)))
    assert results["img"].dtype == np.uint8
    assert results["img_shape"] == results["ori_shape"] == (60, 80)
    as_float = load(path, to_float32=True)["img"]
    assert as_float.dtype == np.float32
    np.testing.assert_array_equal(as_float, results["img"])


def test_each_file_is_read_once(tmp_path, monkeypatch):
    from mmengine import fileio

    path = write_image(tmp_path / "a.jpg")
    reads = []
    stock = fileio.get
    monkeypatch.setattr(fileio, "get", lambda p, **k: reads.append(p) or stock(p, **k))
    load(path)
    assert reads == [str(path)]


@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_files_are_recognised_without_decoding_by_cv2(ending, share):
    whole = encoded(ending)
    assert not looks_truncated(whole)
    assert looks_truncated(whole[: int(len(whole) * share)])


def test_bytes_after_the_end_are_no_damage(tmp_path):
    data = encoded(".jpg") + bytes(500)
    assert not looks_truncated(data)
    path = tmp_path / "padded.jpg"
    path.write_bytes(data)
    assert load(path)["img"].shape == (60, 80, 3)


def test_thumbnail_inside_does_not_hide_a_cut():
    """The end marker of an embedded preview lies at the front, not at the end."""
    thumbnail = encoded(".jpg", 12, 16)
    buffer = io.BytesIO()
    exif = b"Exif\x00\x00" + thumbnail
    Image.fromarray(image_array(2, 120, 160)).save(buffer, "JPEG", exif=exif)
    data = buffer.getvalue()
    assert data.count(b"\xff\xd9") >= 2
    assert looks_truncated(data[: len(data) - 100])


@pytest.fixture(params=["truncated", "truncated png", "text", "empty"])
def broken(request, tmp_path):
    """A file that is there but is no whole image, and what a message says of it."""
    if request.param.startswith("truncated"):
        name = "broken.png" if "png" in request.param else "broken.jpg"
        path = write_image(tmp_path / name, height=60, width=80)
        return truncate(path), "is truncated"
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"" if request.param == "empty" else b"no image at all")
    return path, "is an empty file" if request.param == "empty" else "be decoded"


def test_broken_file_is_named(broken):
    path, reason = broken
    with pytest.raises(ValueError, match=f"image {path} .*{reason}.*on_error"):
        load(path)


def test_missing_file_is_named(tmp_path):
    path = tmp_path / "absent.jpg"
    with pytest.raises(FileNotFoundError, match=r"absent\.jpg not found.*on_error"):
        load(path)


def test_folder_instead_of_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no regular file"):
        load(tmp_path)


def test_skipping_gives_none_and_counts(broken, tmp_path):
    path, _ = broken
    before = num_skipped_images()
    loader = LoadImage(on_error="skip")
    assert loader({"img_path": str(path)}) is None
    assert loader({"img_path": str(tmp_path / "absent.jpg")}) is None
    assert num_skipped_images() == before + 2
    # A copied pipeline counts in the same place.
    assert copy.deepcopy(loader)({"img_path": str(path)}) is None
    assert num_skipped_images() == before + 3


def test_warning_names_the_file(tmp_path, monkeypatch):
    from ssod_mm.data import loading

    lines = []
    monkeypatch.setattr(loading, "print_log", lambda text, **_: lines.append(text))
    load(tmp_path / "absent.jpg", on_error="skip")
    assert len(lines) == 1
    assert lines[0].startswith(f"skipped: image {tmp_path / 'absent.jpg'} not found")


def test_many_skips_in_a_row_are_an_error(tmp_path):
    good = {"img_path": str(write_image(tmp_path / "a.jpg"))}
    bad = {"img_path": str(tmp_path / "absent.jpg")}
    loader = LoadImage(on_error="skip", max_skips_in_a_row=3)
    for _ in range(5):  # a good image in between starts the count anew
        assert loader(dict(bad)) is None
        assert loader(dict(bad)) is None
        assert loader(dict(good)) is not None
    assert loader(dict(bad)) is None
    assert loader(dict(bad)) is None
    with pytest.raises(UserError, match=r"3 images in a row .*absent\.jpg"):
        loader(dict(bad))


@pytest.mark.parametrize(
    "keys", [{"on_error": "ignore"}, {"max_skips_in_a_row": 0}], ids=str
)
def test_unknown_choices_are_errors(keys):
    with pytest.raises(ValueError, match=f"LoadImage: {next(iter(keys))}"):
        LoadImage(**keys)


class _Missing(Dataset):
    def __init__(self):
        self.load = LoadImage(on_error="skip", max_skips_in_a_row=100)

    def __len__(self):
        return 12

    def __getitem__(self, index):
        assert self.load({"img_path": f"nowhere/{index}.jpg"}) is None
        return torch.tensor(index)


def test_main_process_sees_what_workers_skip():
    before = num_skipped_images()
    loader = DataLoader(
        _Missing(), batch_size=3, num_workers=2, multiprocessing_context="fork"
    )
    assert len(list(loader)) == 4
    assert num_skipped_images() == before + 12


def write_turned(path, orientation=6, height=12, width=16):
    """A JPEG whose EXIF data asks for a turn; returns its stored pixels."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    array = image_array(1, height, width)
    Image.fromarray(array[..., ::-1]).save(path, exif=exif, quality=95)
    return cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_an_exif_turn_is_done_or_not_as_the_json_means(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    stored = write_turned(path, orientation)
    before = num_unturned_images()
    sizes = {"as_stored": (12, 16), "as_seen": (16, 12)}
    for name, (height, width) in sizes.items():
        results = LoadImage()(dict(img_path=str(path), height=height, width=width))
        assert results["img_shape"] == results["ori_shape"] == (height, width), name
        if name == "as_stored":
            np.testing.assert_array_equal(results["img"], stored)
        else:
            np.testing.assert_array_equal(results["img"], cv2.imread(str(path)))
    assert num_unturned_images() == before + 1


def test_an_image_of_another_size_is_an_error_or_resized(tmp_path):
    path = write_image(tmp_path / "a.png", 1, height=6, width=8)
    sample = dict(img_path=str(path), height=12, width=16)
    message = r"a\.png has 8 x 6 pixels, but .* 16 x 12.*on_other_size=\"resize\""
    with pytest.raises(ValueError, match=message):
        LoadImage()(dict(sample))
    before = num_skipped_images()
    assert LoadImage(on_error="skip")(dict(sample)) is None
    assert num_skipped_images() == before + 1
    results = LoadImage(on_other_size="resize")(dict(sample))
    assert results["img"].shape == (12, 16, 3)
    assert results["ori_shape"] == (12, 16)
    with pytest.raises(ValueError, match="on_other_size = 'crop'"):
        LoadImage(on_other_size="crop")


def test_a_pipe_does_not_hang(tmp_path):
    path = tmp_path / "a.png"
    os.mkfifo(path)
    with pytest.raises(UserError, match=r"a\.png is no regular file"):
        LoadImage()(dict(img_path=str(path)))
