"""A detector without a fault has AP 1, whatever order, ids and EXIF data a file has.

It sees pixels alone: each class is a colour, each object a rectangle of it. So it finds
nothing where an image is turned otherwise than the boxes, and its labels are those of
its training set.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from PIL import Image

from ssod_mm.data.datasets import CocoSemiDataset
from ssod_mm.data.loading import LoadImage
from ssod_mm.engine.class_hook import number_labels_of
from ssod_mm.evaluation.coco_metric import FastCocoMetric
from ssod_mm.evaluation.voc07_metric import Voc07Metric

CLASSES = ("red", "green", "blue")  # as the detector was trained
WIDTH, HEIGHT, NUM_IMAGES = 96, 64, 3
ORIENTATION = 0x0112


def truth_boxes(image):
    """(label, x, y, width, height) of an image as it is seen."""
    return [(k, 8 + 28 * k, 8 * (image + k), 16 + image, 8 + 2 * k) for k in range(3)]


def stored(boxes):
    """The boxes in an image that EXIF orientation 6 turns by 90 degrees clockwise."""
    # A pixel (x, y) of the seen image is (y, WIDTH - x) in the stored one.
    return [(k, y, WIDTH - x - w, h, w) for k, x, y, w, h in boxes]


def write_data(folder, *, names=CLASSES, ids=(1, 2, 3), exif=False, json_is="seen"):
    """Images and val.json; ``json_is`` "seen" or "stored" pixels."""
    images, annotations = [], []
    id_of = dict(zip(names, ids, strict=True))
    for image in range(NUM_IMAGES):
        seen = truth_boxes(image)
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for label, x, y, w, h in seen:
            pixels[y : y + h, x : x + w, label] = 255
        picture, options = Image.fromarray(pixels), {}
        if exif:
            picture = picture.transpose(Image.Transpose.ROTATE_90)
            options["exif"] = Image.Exif()
            options["exif"][ORIENTATION] = 6
        picture.save(folder / f"{image}.png", **options)
        turned = exif and json_is == "stored"
        boxes = stored(seen) if turned else seen
        width, height = (HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT)
        images.append(
            dict(id=image, file_name=f"{image}.png", width=width, height=height)
        )
        annotations += [
            dict(
                id=len(annotations) + n,
                image_id=image,
                category_id=id_of[CLASSES[label]],
                bbox=box,
                area=box[2] * box[3],
                iscrowd=0,
            )
            for n, (label, *box) in enumerate(boxes, start=1)
        ]
    categories = [dict(id=i, name=n) for n, i in id_of.items()]
    path = folder / "val.json"
    path.write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=categories))
    )
    return path


def detect(inputs):
    """Boxes of the colours of a (3, H, W) BGR image, with labels of ``CLASSES``."""
    found = [np.nonzero(plane > 127) for plane in inputs.numpy()[::-1]]
    boxes = [[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in found]
    return dict(
        bboxes=torch.tensor(boxes, dtype=torch.float32),
        scores=torch.ones(3),
        labels=torch.arange(3),
    )


def measured(path):
    """COCO's AP and VOC's AP50 of the detector on a file."""
    dataset = CocoSemiDataset(
        ann_file=str(path),
        data_prefix=dict(img=str(path.parent)),
        test_mode=True,
        pipeline=[LoadImage(), LoadAnnotations(with_bbox=True), PackDetInputs()],
    )
    number_labels_of(dataset, CLASSES, "the training set")
    coco, voc = FastCocoMetric(ann_file=str(path)), Voc07Metric(str(path))
    for metric in (coco, voc):
        metric.dataset_meta = dataset.metainfo
    for number in range(len(dataset)):
        item = dataset[number]
        prediction = detect(item["inputs"])
        # What training and validation losses would see.
        given = item["data_samples"].gt_instances
        order = given.labels.argsort()
        assert given.labels[order].tolist() == [0, 1, 2]
        assert given.bboxes.tensor[order].tolist() == prediction["bboxes"].tolist()
        sample = dict(
            img_id=item["data_samples"].img_id,
            ori_shape=item["data_samples"].ori_shape,
            pred_instances=prediction,
        )
        coco.process({}, [sample])
        voc.process({}, [sample])
    coco_values, voc_values = coco.evaluate(NUM_IMAGES), voc.evaluate(NUM_IMAGES)
    return coco_values["coco/bbox_mAP"], voc_values["voc07/mAP_11points"]


@pytest.mark.parametrize(
    "changes",
    [
        dict(),
        dict(names=("blue", "red", "green")),
        dict(ids=(70, 0, 5)),
        dict(names=("green", "blue", "red"), ids=(3, 1, 2)),
        dict(exif=True, json_is="seen"),
        dict(exif=True, json_is="stored"),
        dict(exif=True, json_is="stored", names=("blue", "red", "green")),
    ],
    ids=str,
)
def test_a_detector_without_a_fault_has_ap_1(tmp_path, changes):
    assert measured(write_data(tmp_path, **changes)) == pytest.approx((1.0, 1.0))


def test_other_names_and_other_sizes_are_refused(tmp_path):
    path = write_data(tmp_path, names=("red", "green", "blue"))
    document = json.loads(path.read_text())
    document["categories"][2]["name"] = "violet"
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"red, green, blue.*red, green, violet"):
        measured(path)
    path = write_data(tmp_path)
    for image in tmp_path.glob("*.png"):
        Image.open(image).resize((WIDTH // 2, HEIGHT // 2)).save(image)
    with pytest.raises(ValueError, match=r"48 x 32 pixels.* 96 x 64"):
        measured(path)
