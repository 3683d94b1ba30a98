"""Bad input ends in one clear line, in a count, or in the right result.

Each row damages a tiny, valid data set in one place and reads it the way the tools do.
What may be accepted without a word is listed: all else must be refused or counted.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from unittest import mock

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import LoadAnnotations
from PIL import Image

from ssod_mm.data.datasets import CocoSemiDataset
from ssod_mm.data.image_folder import ImageFolderDataset
from ssod_mm.data.loading import LoadImage
from ssod_mm.data.split_files import make_splits
from ssod_mm.evaluation.coco_metric import FastCocoMetric
from ssod_mm.evaluation.hidden_truth import HiddenTruth
from ssod_mm.evaluation.voc07_metric import Voc07Metric
from tests.data.coco_files import CLASSES, box, coco_document, image_array, write_image
from tests.outcomes import outcome

ABSENT = object()
VALUES = {
    "absent": ABSENT,
    "null": None,
    "text": "text",
    "empty text": "",
    "number as text": "3",
    "negative": -3,
    "zero": 0,
    "fraction": 1.5,
    "true": True,
    "list": [],
    "object": {},
    "nan": float("nan"),
    "infinite": float("inf"),
    "huge": 2**70,
}
FIELDS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "iscrowd"),
    "categories": ("id", "name"),
}


# --- annotation files -----------------------------------------------------------------


def as_training_set(path):
    """Read every item; what the log says of boxes that are left out."""
    dataset = CocoSemiDataset(
        ann_file=str(path),
        data_prefix=dict(img=str(path.parent / "img")),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[LoadImage(), LoadAnnotations(with_bbox=True)],
    )
    for number in range(len(dataset)):
        item = dataset[number]
        boxes = item["gt_bboxes"].tensor
        assert np.isfinite(boxes.numpy()).all()
        assert (item["gt_bboxes_labels"] < len(dataset.metainfo["classes"])).all()
    return str(dataset.box_counts)


def as_split(path):
    with mock.patch("ssod_mm.data.split_files.print_log") as log:
        make_splits(path, path.parent / "semi", [50], [1], force=True)
    return log.called


def as_truth(path):
    metric = FastCocoMetric(ann_file=str(path), metric="bbox")
    metric.dataset_meta = dict(classes=CLASSES)
    one = dict(
        bboxes=torch.ones(1, 4), scores=torch.ones(1), labels=torch.zeros(1).long()
    )
    for image in range(1, 5):
        sample = dict(img_id=image, ori_shape=(12, 16), pred_instances=one)
        metric.process({}, [sample])
    value = metric.evaluate(4)["coco/bbox_mAP"]
    assert 0 <= value <= 1


def as_voc_truth(path):
    metric = Voc07Metric(ann_file=str(path))
    metric.dataset_meta = dict(classes=CLASSES)
    one = dict(
        bboxes=torch.ones(1, 4), scores=torch.ones(1), labels=torch.zeros(1).long()
    )
    for image in range(1, 5):
        metric.process({}, [dict(img_id=image, pred_instances=one)])
    assert 0 <= metric.evaluate(4)["voc07/mAP_11points"] <= 1


def as_hidden_truth(path):
    truth = HiddenTruth(path, CLASSES, "custom_hooks.0.ann_file")
    for number in range(1, 5):
        truth.find(f"{number:04d}.jpg")


READERS = dict(
    training=as_training_set,
    split=as_split,
    truth=as_truth,
    voc=as_voc_truth,
    hidden=as_hidden_truth,
)

# (part, field, value): harmless, or used as it stands.
HARMLESS = {
    ("annotations", "id", "absent"),
    *(("annotations", "id", value) for value in ("negative", "zero", "huge")),
    *(("annotations", "area", value) for value in VALUES),
    *(("annotations", "iscrowd", value) for value in ("absent", "zero", "true")),
    *(("categories", "name", value) for value in ("text", "number as text")),
    *(("images", "id", value) for value in ("negative", "zero", "huge")),
    *(("categories", "id", value) for value in ("negative", "zero", "huge")),
}


@pytest.fixture
def folder(tmp_path):
    for number in range(1, 5):
        write_image(tmp_path / "img" / f"{number:04d}.jpg", number)
    return tmp_path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("part", FIELDS)
def test_every_field_of_every_part(folder, part, reader):
    path = folder / "train.json"
    path.write_text(json.dumps(coco_document()))
    assert outcome(READERS[reader], path) == "accepted"
    silent = []
    for field in FIELDS[part]:
        for name, value in VALUES.items():
            document = coco_document()
            if value is ABSENT:
                del document[part][1][field]
            else:
                document[part][1][field] = value
            path.write_text(json.dumps(document))
            found = outcome(READERS[reader], path)
            harmless = (part, field, name) in HARMLESS
            # Only training opens the images.
            harmless |= reader != "training" and field == "file_name"
            if found == "accepted" and not harmless:
                silent.append((field, name))
    assert silent == []


def whole_files():
    valid = coco_document()
    text = json.dumps(valid)
    yield "empty", b""
    yield "cut", text[:200].encode()
    yield "no json", b"<html>404</html>"
    yield "binary", bytes(range(256))
    yield "deep", b"[" * 100_000
    for name, value in dict(null=None, list=[], text="a", number=3, object={}).items():
        yield name, json.dumps(value).encode()
        for part in FIELDS:
            yield f"{part} {name}", json.dumps({**valid, part: value}).encode()
            entries = [*valid[part][:1], value]
            yield f"{part} with {name}", json.dumps({**valid, part: entries}).encode()
    for part in FIELDS:
        doubled = [*valid[part], valid[part][0]]
        yield f"{part} doubled", json.dumps({**valid, part: doubled}).encode()
        yield (
            f"no {part}",
            json.dumps({k: v for k, v in valid.items() if k != part}).encode(),
        )


@pytest.mark.parametrize("reader", READERS)
def test_boxes_in_parts_of_the_image(folder, reader):
    annotations = [box(i, i, bbox=(0.1, 0.1, 0.5, 0.5)) for i in range(1, 5)]
    path = folder / "train.json"
    path.write_text(json.dumps(coco_document(annotations=annotations)))
    assert "between 0 and 1" in outcome(READERS[reader], path)


@pytest.mark.parametrize("reader", ["training", "split", "hidden"])
def test_an_image_that_occurs_twice(folder, reader):
    document = coco_document()
    document["images"][1]["file_name"] = document["images"][0]["file_name"]
    path = folder / "train.json"
    path.write_text(json.dumps(document))
    assert "file names occur more than once" in outcome(READERS[reader], path)


@pytest.mark.parametrize("reader", READERS)
def test_whole_files(folder, reader):
    path = folder / "train.json"
    for name, data in whole_files():
        path.write_bytes(data)
        found = outcome(READERS[reader], path)
        assert found != "accepted", name


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_read(folder, reader, encoding):
    document = coco_document()
    document["info"]["description"] = "Größe"
    path = folder / "train.json"
    path.write_bytes(json.dumps(document, ensure_ascii=False).encode(encoding))
    assert outcome(READERS[reader], path) == "accepted"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_no_file(folder, reader, kind):
    path = folder / "train.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    assert outcome(READERS[reader], path).startswith("refused")


# --- images ---------------------------------------------------------------------------


def encoded(ending, array=None, **options):
    sink = io.BytesIO()
    array = image_array(1)[..., ::-1] if array is None else array
    Image.fromarray(array).save(sink, format=ending, **options)
    return sink.getvalue()


def bomb():
    """A PNG that claims 60,000 x 60,000 pixels and has none."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    body = struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + body + b"\0\0\0\0IEND\xaeB`\x82"


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return encoded("JPEG", exif=data)


JPEG, PNG = encoded("JPEG", quality=95), encoded("PNG")
GREY = image_array(1)[..., 0]
RIGHT, WRONG = "accepted", "refused"
IMAGES = {
    "jpeg": (JPEG, RIGHT),
    "png": (PNG, RIGHT),
    "bmp": (encoded("BMP"), RIGHT),
    "tiff": (encoded("TIFF"), RIGHT),
    "webp": (encoded("WEBP"), RIGHT),
    "progressive": (encoded("JPEG", progressive=True), RIGHT),
    "grey jpeg": (encoded("JPEG", GREY), RIGHT),
    "grey png": (encoded("PNG", GREY), RIGHT),
    "16 bit": (cv2.imencode(".png", GREY.astype(np.uint16) * 256)[1].tobytes(), RIGHT),
    "alpha": (encoded("PNG", np.dstack([image_array(1), GREY])), RIGHT),
    "two colours": (encoded("PNG", GREY > 100), RIGHT),
    **{f"exif {number}": (exif(number), RIGHT) for number in range(1, 9)},
    "bytes after the end": (JPEG + bytes(100), RIGHT),
    "empty": (b"", WRONG),
    "zeros": (bytes(500), WRONG),
    "text": (b"not an image", WRONG),
    "html": (b"<html>404: not found</html>", WRONG),
    "json": (b'{"images": []}', WRONG),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', WRONG),
    "pdf": (b"%PDF-1.4\n%%EOF", WRONG),
    "zip": (b"PK\x05\x06" + bytes(18), WRONG),
    "jpeg start": (JPEG[:2], WRONG),
    "jpeg head": (JPEG[:20], WRONG),
    "jpeg 50 %": (JPEG[: len(JPEG) // 2], WRONG),
    "jpeg 90 %": (JPEG[: len(JPEG) * 9 // 10], WRONG),
    "jpeg without start": (JPEG[2:], WRONG),
    "png head": (PNG[:30], WRONG),
    "png 50 %": (PNG[: len(PNG) // 2], WRONG),
    "png 90 %": (PNG[: len(PNG) * 9 // 10], WRONG),
    "bomb": (bomb(), WRONG),
    "half the size": (encoded("JPEG", image_array(1, 6, 8)), WRONG),
    "other shape": (encoded("PNG", image_array(1, 12, 17)), WRONG),
    "one pixel": (encoded("PNG", image_array(1, 1, 1)), WRONG),
    "flat": (encoded("PNG", image_array(1, 1, 2000)), WRONG),
}


def read_image(path):
    results = LoadImage()(dict(img_path=str(path), height=12, width=16))
    assert results["img"].shape == (12, 16, 3)
    assert results["img"].dtype == np.uint8


@pytest.mark.parametrize("name", IMAGES)
def test_images(tmp_path, name):
    data, expected = IMAGES[name]
    for ending in (".jpg", ".png"):  # the content counts, not the name
        path = tmp_path / f"a{ending}"
        path.write_bytes(data)
        found = outcome(read_image, path)
        assert found.startswith(expected), found
        if expected == WRONG:
            assert path.name in found


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "dead link", "loop"])
def test_paths_that_are_no_image(tmp_path, kind):
    path = tmp_path / "a.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "dead link":
        path.symlink_to(tmp_path / "nothing")
    elif kind == "loop":
        path.symlink_to(path)
    found = outcome(read_image, path)
    assert found.startswith("refused")
    assert "a.png" in found


@pytest.mark.parametrize(
    "name", ["a b.png", "ü.png", "a#%3F.png", "a\nb.png", "-x.png"]
)
def test_odd_file_names(tmp_path, name):
    (tmp_path / name).write_bytes(PNG)
    assert outcome(read_image, tmp_path / name) == "accepted"


# --- folders of unlabelled images -----------------------------------------------------


def read_folder(root, **keys):
    dataset = ImageFolderDataset(
        data_root=str(root),
        metainfo=dict(classes=CLASSES),
        pipeline=[LoadImage(on_error="skip")],
        **keys,
    )
    for number in range(len(dataset)):
        dataset[number]


FOLDERS = {
    "images": (lambda root: None, {}, RIGHT),
    "sizes": (lambda root: None, dict(read_sizes=True), RIGHT),
    "below": (lambda root: write_image(root / "x" / "y.jpg"), {}, RIGHT),
    "a broken image": (lambda root: (root / "b.jpg").write_bytes(b"no"), {}, RIGHT),
    "a pipe": (lambda root: os.mkfifo(root / "b.jpg"), {}, RIGHT),
    "a pipe, sizes": (
        lambda root: os.mkfifo(root / "b.jpg"),
        dict(read_sizes=True),
        RIGHT,
    ),
    "a dead link": (lambda root: (root / "b.jpg").symlink_to(root / "c"), {}, RIGHT),
    "a folder named as an image": (lambda root: (root / "b.jpg").mkdir(), {}, RIGHT),
    "a circle of links": (lambda root: (root / "up").symlink_to(root), {}, RIGHT),
    "only text": (lambda root: (root / "0.jpg").rename(root / "0.txt"), {}, WRONG),
    "only hidden": (lambda root: (root / "0.jpg").rename(root / ".0.jpg"), {}, WRONG),
    "nothing": (lambda root: (root / "0.jpg").unlink(), {}, WRONG),
    "all excluded": (lambda root: None, dict(exclude=["0.jpg"]), WRONG),
    "no exclude file": (lambda root: None, dict(exclude="no.txt"), WRONG),
    "a number to exclude": (lambda root: None, dict(exclude=3), WRONG),
    "numbers to exclude": (lambda root: None, dict(exclude=[3]), WRONG),
    "endings as one text": (lambda root: None, dict(extensions=".jpg"), WRONG),
    "a number as ending": (lambda root: None, dict(extensions=3), WRONG),
    "a binary exclude file": (
        lambda root: (root / "e.txt").write_bytes(bytes(range(256))),
        dict(exclude="e.txt"),
        WRONG,
    ),
    "an exclude file in UTF-16": (
        lambda root: (root / "e.txt").write_bytes("0.jpg".encode("utf-16")),
        dict(exclude="e.txt"),
        WRONG,
    ),
    "an exclude file with BOM": (  # it takes out the one image
        lambda root: (root / "e.txt").write_bytes("0.jpg".encode("utf-8-sig")),
        dict(exclude="e.txt"),
        WRONG,
    ),
    "a pipe as exclude file": (
        lambda root: os.mkfifo(root / "e.txt"),
        dict(exclude="e.txt"),
        WRONG,
    ),
    "an exclude json without names": (
        lambda root: (root / "e.json").write_text('{"images": [{"id": 1}]}'),
        dict(exclude="e.json"),
        WRONG,
    ),
    "an exclude json of images": (
        lambda root: (root / "e.json").write_text('{"images": [{"file_name": "a"}]}'),
        dict(exclude="e.json"),
        RIGHT,
    ),
    "a bad exclude file": (
        lambda root: (root / "e.json").write_text("{"),
        dict(exclude="e.json"),
        WRONG,
    ),
    "only a broken image, sizes": (
        lambda root: (root / "0.jpg").write_bytes(b"no"),
        dict(read_sizes=True),
        WRONG,
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_of_unlabelled_images(tmp_path, name):
    change, keys, expected = FOLDERS[name]
    root = tmp_path / "images"
    write_image(root / "0.jpg")
    change(root)
    found = outcome(lambda: read_folder(root, **keys))
    assert found.startswith(expected), found


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_no_folder_of_unlabelled_images(tmp_path, kind):
    root = tmp_path / "images"
    if kind == "file":
        root.write_bytes(PNG)
    assert outcome(read_folder, root).startswith("refused")


def test_the_table_is_long_enough():
    fields = sum(len(names) for names in FIELDS.values()) * len(VALUES)
    files = len(list(whole_files())) + 4 + 3
    rows = len(READERS) * (fields + files) + 2 * len(IMAGES) + 10 + len(FOLDERS) + 2
    assert rows >= 298
    assert 2 * len(IMAGES) >= 30
