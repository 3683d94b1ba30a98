import json

import numpy as np
import pytest
import torch
from mmdet.evaluation.metrics import CocoMetric
from mmengine.logging import MMLogger

from ssod_mm.evaluation import coco_metric
from ssod_mm.evaluation.coco_metric import FastCocoMetric, coco_evaluator

CLASSES = ("a", "b", "c")


def random_truth(generator, num_images=12):
    images, annotations = [], []
    for image_id in range(1, num_images + 1):
        images.append(dict(id=image_id, file_name=f"{image_id}", width=300, height=300))
        for _ in range(generator.integers(0, 6)):
            x, y, w, h = generator.uniform(1, 150, 4).tolist()
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=int(generator.integers(1, 4)),
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=int(generator.random() < 0.1),
                )
            )
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)]
    return dict(images=images, annotations=annotations, categories=categories)


def random_predictions(generator, truth):
    samples = []
    for image in truth["images"]:
        anns = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
        boxes = [
            np.array([*a["bbox"][:2], *np.add(a["bbox"][:2], a["bbox"][2:])])
            + generator.normal(0, 4, 4)
            for a in anns
            for _ in range(generator.integers(0, 3))
        ]
        labels = [
            int(generator.integers(0, 3)) if generator.random() < 0.2 else None
            for _ in boxes
        ]
        owners = [a["category_id"] - 1 for a in anns]
        labels = [
            owners[i % len(owners)] if label is None else label
            for i, label in enumerate(labels)
        ]
        # one decimal: ties between scores
        scores = generator.random(len(boxes)).round(1)
        samples.append(
            dict(
                img_id=image["id"],
                ori_shape=(300, 300),
                pred_instances=dict(
                    bboxes=torch.tensor(np.array(boxes).reshape(-1, 4)),
                    scores=torch.tensor(scores),
                    labels=torch.tensor(labels, dtype=torch.long),
                ),
            )
        )
    return samples


def evaluated(metric, samples):
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


@pytest.fixture
def case(tmp_path, request):
    generator = np.random.default_rng(getattr(request, "param", 0))
    truth = random_truth(generator)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    return str(path), random_predictions(generator, truth)


@pytest.mark.parametrize("case", range(6), indirect=True)
def test_numbers_are_those_of_pycocotools(case):
    path, samples = case
    assert coco_metric.FastCOCOeval is not None
    fast = evaluated(FastCocoMetric(ann_file=path, classwise=True), samples)
    stock = evaluated(CocoMetric(ann_file=path, classwise=True), samples)
    assert stock["coco/bbox_mAP"] > 0.05
    assert fast == stock


def test_without_the_fast_package_it_says_so_once_and_goes_on(case, monkeypatch):
    path, samples = case
    expected = evaluated(FastCocoMetric(ann_file=path), samples)
    said = []
    monkeypatch.setattr(coco_metric, "FastCOCOeval", None)
    monkeypatch.setattr(
        MMLogger.get_current_instance(), "info", lambda text: said.append(text)
    )
    metric = FastCocoMetric(ann_file=path)
    assert evaluated(metric, samples) == expected
    assert evaluated(metric, samples) == expected
    assert sum("faster-coco-eval is not installed" in text for text in said) == 1


def test_no_detection_at_all_gives_zeros_under_every_key(case):
    path, samples = case
    usual = evaluated(FastCocoMetric(ann_file=path), samples)
    empty = dict(
        bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0).long()
    )
    nothing = [dict(sample, pred_instances=empty) for sample in samples]
    assert evaluated(FastCocoMetric(ann_file=path), nothing) == dict.fromkeys(usual, 0)


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(metric=["bbox", "proposal"]),
        dict(metric="bbox", metric_items=["mAP", "mAP_50"]),
        dict(iou_thrs=[0.5]),
        dict(iou_thrs=0.5),
    ],
)
def test_result_names_are_the_keys(case, options):
    path, samples = case
    metric = FastCocoMetric(ann_file=path, **options)
    assert {f"coco/{name}" for name in metric.result_names} == set(
        evaluated(metric, samples)
    )


def test_stock_evaluator_is_put_back_after_an_error():
    from mmdet.evaluation.metrics import coco_metric as stock

    before = stock.COCOeval
    context = coco_evaluator(dict)
    context.__enter__()
    assert stock.COCOeval is dict
    assert not context.__exit__(RuntimeError, RuntimeError(), None)
    assert stock.COCOeval is before


def perfect_samples(truth, classes):
    """The truth as predictions of a model whose labels are numbered as ``classes``."""
    names = {c["id"]: c["name"] for c in truth["categories"]}
    samples = []
    for image in truth["images"]:
        anns = [
            a
            for a in truth["annotations"]
            if a["image_id"] == image["id"] and not a["iscrowd"]
        ]
        boxes = torch.tensor([a["bbox"] for a in anns]).reshape(-1, 4)
        boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
        labels = [classes.index(names[a["category_id"]]) for a in anns]
        pred = dict(bboxes=boxes, scores=torch.ones(len(anns)))
        pred["labels"] = torch.tensor(labels).long()
        samples.append(
            dict(img_id=image["id"], ori_shape=(300, 300), pred_instances=pred)
        )
    return samples


def evaluate_truth(tmp_path, truth, classes, **keys):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    metric = FastCocoMetric(ann_file=str(path), metric="bbox", **keys)
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, perfect_samples(truth, classes))
    return metric.evaluate(len(truth["images"])), metric


@pytest.mark.parametrize("change", ["none", "order", "ids", "both", "spare"])
def test_categories_are_matched_by_name(tmp_path, change):
    truth = random_truth(np.random.default_rng(0))
    categories = truth["categories"]
    if change in ("ids", "both"):
        new = {1: 30, 2: 10, 3: 20}
        for category in categories:
            category["id"] = new[category["id"]]
        for annotation in truth["annotations"]:
            annotation["category_id"] = new[annotation["category_id"]]
    if change in ("order", "both"):
        truth["categories"] = [categories[i] for i in (2, 0, 1)]
    if change == "spare":
        truth["categories"] = [dict(id=9, name="nobody"), *categories]
    results, metric = evaluate_truth(tmp_path, truth, CLASSES)
    assert results["coco/bbox_mAP"] == 1.0
    assert set(metric.breakdown.per_class) == set(CLASSES)


def test_a_class_that_the_truth_lacks_is_an_error(tmp_path):
    truth = random_truth(np.random.default_rng(0))
    truth["categories"][1]["name"] = "z"
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    metric = FastCocoMetric(ann_file=str(path), metric="bbox")
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, perfect_samples(random_truth(np.random.default_rng(0)), CLASSES))
    with pytest.raises(ValueError, match=r"b is missing; .* a, b, c; .* a, z, c"):
        metric.evaluate(12)


@pytest.mark.parametrize("change", ["empty", "absent"])
def test_a_file_without_annotations_is_refused_at_once(tmp_path, change):
    truth = random_truth(np.random.default_rng(0))
    truth.pop("annotations") if change == "absent" else truth["annotations"].clear()
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    with pytest.raises(ValueError, match=r"truth\.json holds no annotation"):
        FastCocoMetric(ann_file=str(path), metric="bbox")


@pytest.mark.parametrize("fast", [True, False])
def test_difficult_objects_are_counted_or_ignored(tmp_path, fast):
    """Two easy objects found, one difficult missed, one difficult found."""
    boxes = [[10, 10, 30, 30], [60, 60, 30, 30], [120, 10, 30, 30], [120, 90, 30, 30]]
    anns = [
        dict(id=i, image_id=1, category_id=1, bbox=b, area=900, iscrowd=0)
        for i, b in enumerate(boxes, start=1)
    ]
    for ann in anns[2:]:
        ann["difficult"] = 1
    truth = dict(
        images=[dict(id=1, file_name="1", width=300, height=300)],
        annotations=anns,
        categories=[dict(id=1, name="a")],
    )
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    (sample,) = perfect_samples(truth, ("a",))
    kept = [0, 1, 3]
    pred = sample["pred_instances"]
    sample["pred_instances"] = {key: value[kept] for key, value in pred.items()}
    values = []
    for ignore in (True, False):
        metric = FastCocoMetric(
            fast=fast, ann_file=str(path), metric="bbox", ignore_difficult=ignore
        )
        metric.dataset_meta = dict(classes=("a",))
        metric.process({}, [sample])
        values.append(metric.evaluate(1)["coco/bbox_mAP"])
    # 3 of 4 found: precision 1 up to a recall of 0.75, which are 76 of 101 points.
    assert values == pytest.approx([1.0, 76 / 101], abs=1e-3)
