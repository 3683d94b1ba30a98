"""Labels from a model to people and back into the labelled images."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from ssod_mm.apis.labelling import merge_labels
from ssod_mm.cli.run_folders import run_files
from ssod_mm.coco_boxes import clean_annotations
from ssod_mm.coco_json import check_images, read_coco_json
from ssod_mm.errors import UserError
from tests.data.coco_files import CLASSES, box, coco_document, write_image
from tests.tools.semi_checkpoints import call_tool, make_semi_checkpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The output folder of a training."""
    root = tmp_path_factory.mktemp("label")
    _, config, weights = make_semi_checkpoint(root)
    folder = root / "run"
    folder.mkdir()
    shutil.copy(config, folder / "tiny.py")
    shutil.copy(weights, folder / "iter_2.pth")
    return folder


@pytest.fixture
def places(tmp_path):
    """A data folder with four labelled images, and a folder of three others."""
    data, more = tmp_path / "data", tmp_path / "more"
    document = coco_document()
    for image in document["images"]:
        write_image(data / "train" / image["file_name"], image["id"])
    (data / "annotations").mkdir()
    path = data / "annotations" / "instances_train.json"
    path.write_text(json.dumps(document))
    for number, name in enumerate(("a.jpg", "b.jpg", "deep/c.jpg"), start=10):
        write_image(more / name, number)
    return data, more


def corrected_document():
    """As a labelling tool exports it: its own ids, order of classes and keys."""
    return {
        "images": [
            {"id": 0, "file_name": "a.jpg", "width": 16, "height": 12},
            {"id": 1, "file_name": "deep/c.jpg", "width": 16, "height": 12},
        ],
        "annotations": [
            box(0, 0, bbox=(1, 2, 3, 4), category_id=0, segmentation=[], score=0.7),
            box(1, 0, bbox=(5.5, 2, 3, 4), category_id=1),
        ],
        "categories": [{"id": 0, "name": "box"}, {"id": 1, "name": "disc"}],
    }


def saved(document, folder):
    path = folder / "corrected.json"
    path.write_text(json.dumps(document))
    return path


def test_a_model_labels_a_folder(run, places, tmp_path, capsys):
    _, more = places
    out = tmp_path / "deep" / "labels.json"
    options = "--model", run, "--out", out, "--score-thr", 0.2, "--device", "cpu"
    call_tool("label", more, *options)
    document = read_coco_json(out)
    check_images(document, "labels.json")
    names = [image["file_name"] for image in document["images"]]
    assert names == ["a.jpg", "b.jpg", "deep/c.jpg"]
    assert {(i["width"], i["height"]) for i in document["images"]} == {(16, 12)}
    for annotation in document["annotations"]:
        assert 0.2 <= annotation["score"] <= 1
        assert annotation["segmentation"] == []
    said = capsys.readouterr().out
    assert "teacher: " in said
    assert "at least 0.2 on 3 images" in said


def test_labels_go_out_and_come_back(run, places, tmp_path):
    """What the model wrote is accepted as it stands, as if all of it was right."""
    data, more = places
    path = data / "annotations" / "instances_train.json"
    document = json.loads(path.read_text())
    names = [f"class_{number}" for number in range(3)]
    document["categories"] = [{"id": n, "name": name} for n, name in enumerate(names)]
    for annotation in document["annotations"]:
        annotation["category_id"] = 0
    path.write_text(json.dumps(document))
    out = tmp_path / "labels.json"
    call_tool("label", more, "--model", run, "--out", out, "--score-thr", 0.2)
    merged = merge_labels(out, more, data)
    assert merged.num_images == 3
    whole = read_coco_json(path)
    assert len(whole["images"]) == 7
    assert len(whole["annotations"]) == 4 + merged.num_boxes


def test_corrected_labels_are_added(places, tmp_path, capsys):
    data, more = places
    path = data / "annotations" / "instances_train.json"
    before = path.read_bytes()
    file = saved(corrected_document(), tmp_path)
    call_tool("label", more, "--corrected", file, "--into", data)
    assert "2 images with 2 boxes are added" in capsys.readouterr().out
    backup = path.with_name("instances_train.before_1.json")
    assert backup.read_bytes() == before
    whole = read_coco_json(path)
    check_images(whole, str(path))
    old = json.loads(before)
    assert whole["images"][:4] == old["images"]
    assert whole["annotations"][:4] == old["annotations"]
    assert whole["categories"] == old["categories"]
    assert [i["file_name"] for i in whole["images"][4:]] == [
        "../../more/a.jpg",
        "../../more/deep/c.jpg",
    ]
    assert all((data / "train" / i["file_name"]).is_file() for i in whole["images"])
    first, second = whole["annotations"][4:]
    assert (first["image_id"], second["image_id"]) == (5, 5)  # the other shows nothing
    assert (first["bbox"], first["area"]) == ([1, 2, 3, 4], 12)
    by_id = {entry["id"]: entry["name"] for entry in whole["categories"]}
    assert [by_id[a["category_id"]] for a in (first, second)] == ["box", "disc"]
    assert "score" not in first
    kept, counts = clean_annotations(whole, str(path), CLASSES)
    assert (len(kept["annotations"]), counts.unusable) == (6, 0)


def test_names_of_label_studio_are_known(places, tmp_path):
    data, more = places
    document = corrected_document()
    document["images"][0]["file_name"] = "images/1f2e3d4c-a.jpg"
    document["images"][1]["file_name"] = "images/c.jpg"
    merged = merge_labels(saved(document, tmp_path), more, data)
    names = [i["file_name"] for i in read_coco_json(merged.path)["images"][4:]]
    assert names == ["../../more/a.jpg", "../../more/deep/c.jpg"]


def test_old_splits_are_told(places, tmp_path):
    data, more = places
    (data / "annotations" / "semi").mkdir()
    split = data / "annotations" / "semi" / "instances_train.1@10.json"
    split.write_text("{}")
    merged = merge_labels(saved(corrected_document(), tmp_path), more, data)
    assert "ssod split --force" in str(merged)


def without_annotations(document):
    del document["categories"][1]


def unknown_class(document):
    document["categories"][0]["name"] = "cat"


def another_size(document):
    document["images"][0]["width"] = 17


def malformed_box(document):
    document["annotations"][0]["bbox"] = [1, 2, -3, 4]


def missing_image(document):
    document["images"][0]["file_name"] = "z.jpg"


def same_file(document):
    document["images"][1]["file_name"] = "elsewhere/a.jpg"


BAD = [
    (without_annotations, "category_id 1"),
    (unknown_class, "class 'cat', which .*instances_train.json does not have"),
    (another_size, "a.jpg is 17 x 12 there, but 16 x 12"),
    (malformed_box, "bbox"),
    (missing_image, "its image z.jpg is not in"),
    (same_file, "are the same file"),
]


@pytest.mark.parametrize(("damage", "words"), BAD, ids=[d.__name__ for d, _ in BAD])
def test_a_bad_file_changes_nothing(places, tmp_path, damage, words):
    data, more = places
    document = corrected_document()
    damage(document)
    before = (data / "annotations" / "instances_train.json").read_bytes()
    with pytest.raises((UserError, FileNotFoundError), match=words):
        merge_labels(saved(document, tmp_path), more, data)
    assert [p.name for p in (data / "annotations").iterdir()] == [
        "instances_train.json"
    ]
    assert (data / "annotations" / "instances_train.json").read_bytes() == before


def test_labels_are_taken_once(places, tmp_path):
    data, more = places
    file = saved(corrected_document(), tmp_path)
    merge_labels(file, more, data)
    with pytest.raises(UserError, match=r"2 images are labelled .* already"):
        merge_labels(file, more, data)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("more",), "one of the arguments --model --corrected is required"),
        (("more", "--corrected", "a.json"), "go together"),
        (("more", "--model", "absent"), "no output folder or checkpoint absent"),
        (("absent", "--model", "run"), "there is no folder absent"),
        (("more", "--model", "run", "--score-thr", "2"), "must lie in"),
        (("more", "--corrected", "absent", "--into", "data"), "absent .*not found"),
    ],
)
def test_mistakes_are_one_line(places, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    with pytest.raises(SystemExit) as caught:
        call_tool("label", *words)
    assert caught.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert re.search(message, lines[-1])


def test_a_run_gives_its_best_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no config"):
        run_files(tmp_path)
    (tmp_path / "a.py").touch()
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        run_files(tmp_path)
    for name in ("iter_5.pth", "iter_10.pth"):
        (tmp_path / name).touch()
    assert run_files(tmp_path) == (tmp_path / "a.py", tmp_path / "iter_10.pth")
    (tmp_path / "best_teacher_iter_5.pth").touch()
    assert run_files(tmp_path)[1].name == "best_teacher_iter_5.pth"
    assert run_files(tmp_path / "iter_5.pth")[1].name == "iter_5.pth"
    (tmp_path / "b.py").touch()
    with pytest.raises(UserError, match=r"several configs: a\.py, b\.py"):
        run_files(tmp_path)
