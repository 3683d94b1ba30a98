"""tools/analyse_iou.py and tools/compare_drawings.py on tiny checkpoints."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from tests.tools.semi_checkpoints import call_tool, make_semi_checkpoint


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return make_semi_checkpoint(tmp_path_factory.mktemp("iou"))


def run(name, trained):
    return ["--run", name, *trained[1:]]


def numbers(out):
    return json.loads((out / "iou.json").read_text())


@pytest.fixture(scope="module")
def own_truth(trained, tmp_path_factory):
    """Options for a truth that an untrained teacher meets: its own boxes, moved."""
    root, config, weights = trained
    out = tmp_path_factory.mktemp("truth")
    call_tool("predict", config, weights, root / "val", "--out", out)
    content = json.loads((out / "predictions.json").read_text())
    for number, annotation in enumerate(content["annotations"]):
        annotation["bbox"][0] += (number % 4) * 0.06 * annotation["bbox"][2]
    path = out / "truth.json"
    path.write_text(json.dumps(content))
    keys = ("test_dataloader.dataset.ann_file", "test_evaluator.ann_file")
    return ["--cfg-options", *(f"{key}={path}" for key in keys)]


def test_the_mean_over_thresholds_is_the_test_tools_ap(
    trained, own_truth, tmp_path, capsys
):
    _, config, weights = trained
    out = tmp_path / "out"
    both = [*run("one", trained), *run("two", trained)]
    options = ["--rare", 2, "--score-thr", 0.3, *own_truth]
    call_tool("analyse_iou", *both, "--out", out, *options)
    shown = capsys.readouterr().out
    results = tmp_path / "results.json"
    call_tool(
        "test", config, weights, "--which", "teacher", "--out", results, *own_truth
    )
    (expected,) = (
        value
        for key, value in json.loads(results.read_text()).items()
        if key.endswith("coco/bbox_mAP")
    )
    one = numbers(out)["one"]
    assert expected > 0
    assert np.mean(one["ap"]) == pytest.approx(expected, abs=6e-4)
    assert numbers(out)["two"] == one
    assert one["ap"][0] > one["ap"][-1]
    assert one["precision"] == sorted(one["precision"], reverse=True)
    assert 0 < one["precision"][-1] < one["precision"][0]
    assert one["num_boxes"] > 0
    tables = (out / "iou.md").read_text()
    assert "The 2 rarest classes: class_" in tables
    assert "| one |" in tables
    assert "two" in shown
    assert cv2.imread(str(out / "iou.png")).shape[1] > 500


def test_withheld_truth_of_the_unlabelled_images(trained, tmp_path):
    root = trained[0]
    out = tmp_path / "out"
    options = [
        f"hidden_ann_file={root / 'annotations/instances_train.json'}",
    ]
    call_tool(
        "analyse_iou",
        *run("one", trained),
        *("--out", out, "--on", "unlabelled", "--score-thr", 0),
        *("--which", "student", "--cfg-options", *options),
    )
    one = numbers(out)["one"]
    assert one["num_images"] == 8
    assert one["truth"].endswith("instances_train.json")
    assert one["recall"][0] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "unlabelled"], "hidden_ann_file"),
        (["--score-thr", "2"], "--score-thr 2.0 must lie"),
        (["--rare", "9"], "--rare 9 must lie"),
    ],
)
def test_mistakes_get_one_line(trained, tmp_path, arguments, message, capsys):
    with pytest.raises(SystemExit):
        call_tool(
            "analyse_iou", *run("one", trained), "--out", tmp_path / "out", *arguments
        )
    assert message in capsys.readouterr().err


def test_runs_need_different_names(trained, tmp_path, capsys):
    with pytest.raises(SystemExit):
        call_tool(
            "analyse_iou",
            *run("one", trained),
            *run("one", trained),
            *("--out", tmp_path / "out"),
        )
    assert "different names" in capsys.readouterr().err


def test_drawings_side_by_side(trained, tmp_path, capsys):
    root = trained[0]
    out = tmp_path / "drawn"
    call_tool(
        "compare_drawings",
        root / "val",
        *run("left", trained),
        *run("right", trained),
        *("--out", out, "--score-thr", 0.3),
        *("--truth", root / "annotations/instances_val.json"),
    )
    assert "2 pictures" in capsys.readouterr().out
    rows = table_rows(out)
    assert list(rows) == ["left", "right"]
    for boxes, right, wrong, missed, precision, recall, iou in rows.values():
        assert int(boxes) == int(right) + int(wrong) > 0
        assert int(right) + int(missed) == num_objects(root)
        assert precision == f"{int(right) / int(boxes):.2f}"
        assert recall == f"{int(right) / num_objects(root):.2f}"
        assert (iou == "-") == (right == "0")
    picture = cv2.imread(str(out / "000001.jpg")).astype(int)
    height, width = cv2.imread(str(root / "val/000001.jpg")).shape[:2]
    assert picture.shape[:2] == (height + 20, 3 * width + 2 * 6)
    truth, left, right = (
        picture[22:, start : start + width] for start in (0, width + 6, 2 * (width + 6))
    )
    assert np.abs(left - right).mean() < 5
    assert np.abs(left - truth).mean() > 5


def table_rows(out):
    """Cells of table.md by the name of the model."""
    lines = (out / "table.md").read_text().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    return {name: rest for name, *rest in cells}


def num_objects(root):
    """Annotations of the validation images."""
    content = json.loads((root / "annotations/instances_val.json").read_text())
    return len(content["annotations"])


def test_right_boxes_are_counted(trained, own_truth, tmp_path, capsys):
    """Of boxes moved by 0, 6, 12 and 18 % of their width all are met."""
    root, out = trained[0], tmp_path / "drawn"
    truth = own_truth[1].split("=")[1]
    call_tool(
        *("compare_drawings", root / "val", *run("only", trained)),
        *("--out", out, "--score-thr", 0.3, "--truth", truth),
    )
    capsys.readouterr()
    _, right, *_, iou = table_rows(out)["only"]
    assert int(right) > 0
    assert 0.5 <= float(iou) <= 1


def test_no_truth_no_column(trained, tmp_path):
    root, out = trained[0], tmp_path / "drawn"
    call_tool(
        "compare_drawings",
        root / "val/000001.jpg",
        *run("only", trained),
        *("--out", out, "--score-thr", 0.3),
    )
    assert cv2.imread(str(out / "000001.jpg")).shape[1] == 128
    boxes, *rest = table_rows(out)["only"]
    assert int(boxes) > 0
    assert set(rest) == {"-"}
