"""Bad input of the tools that prepare data, and of predict: one clear line each."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from ssod_mm.data.coco_layout import unlabelled_with_categories
from ssod_mm.data.split_files import make_splits
from ssod_mm.data.voc import voc_to_coco
from tests.data.coco_files import coco_document, write_image
from tests.outcomes import outcome
from tests.tools.semi_checkpoints import call_tool, make_semi_checkpoint

RIGHT, WRONG = "accepted", "refused"


# --- make_splits ----------------------------------------------------------------------

INDEX_LISTS = {
    "good": (b'{"50": {"1": [0, 1]}}', RIGHT),
    "UTF-16": ('{"50": {"1": [0, 1]}}'.encode("utf-16"), RIGHT),
    "empty": (b"", WRONG),
    "cut": (b'{"50": {"1": [0', WRONG),
    "deep": (b"[" * 100_000, WRONG),
    "binary": (bytes(range(256)), WRONG),
    "object": (b"{}", WRONG),
    "list": (b"[]", WRONG),
    "null": (b"null", WRONG),
    "number": (b"3", WRONG),
    "text for a percentage": (b'{"a": {"1": [0, 1]}}', WRONG),
    "NaN for a percentage": (b'{"nan": {"1": [0, 1]}}', WRONG),
    "text for a fold": (b'{"50": {"x": [0, 1]}}', WRONG),
    "fraction for a fold": (b'{"50": {"1.5": [0, 1]}}', WRONG),
    "another fold": (b'{"50": {"2": [0, 1]}}', WRONG),
    "null for indices": (b'{"50": {"1": null}}', WRONG),
    "folds as a list": (b'{"50": [[0, 1]]}', WRONG),
    "no index": (b'{"50": {"1": []}}', WRONG),
    "truth values": (b'{"50": {"1": [true, false]}}', WRONG),
    "fractions": (b'{"50": {"1": [0.5, 1.5]}}', WRONG),
    "texts": (b'{"50": {"1": ["0", "1"]}}', WRONG),
    "negative": (b'{"50": {"1": [-1, 0]}}', WRONG),
    "huge": (b'{"50": {"1": [0, 1180591620717411303424]}}', WRONG),
    "repeated": (b'{"50": {"1": [0, 0]}}', WRONG),
    "too many": (b'{"50": {"1": [0, 1, 2]}}', WRONG),
}
NUMBERS = [
    *(dict(percents=[v]) for v in (float("nan"), float("inf"), 0, -1, 101, 1e-12)),
    *(dict(folds=[v]) for v in (-1, 2**32, 2**70)),
    *(dict(seed=v) for v in (-1, 2**32, 2**70)),
]


@pytest.fixture
def train_json(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(coco_document()))
    return path


def split(path, out, **options):
    make_splits(path, out, **{"percents": [50], "folds": [1], **options})


@pytest.mark.parametrize("name", INDEX_LISTS)
def test_index_lists(tmp_path, train_json, name):
    data, expected = INDEX_LISTS[name]
    lists = tmp_path / "list.txt"
    lists.write_bytes(data)
    found = outcome(lambda: split(train_json, tmp_path / "out", index_list=lists))
    assert found.startswith(expected), found
    assert (tmp_path / "out").exists() == (expected == RIGHT)


@pytest.mark.parametrize("options", NUMBERS, ids=str)
def test_numbers_out_of_range(tmp_path, train_json, options):
    found = outcome(lambda: split(train_json, tmp_path / "out", **options))
    assert found.startswith(WRONG), found


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["file", "below a file", "folder for a file"])
def test_places_that_cannot_be_written(tmp_path, train_json, kind, force):
    out = tmp_path / "out"
    if kind == "folder for a file":
        (out / "train.1@50.json").mkdir(parents=True)
    else:
        out.write_text("x")
        out = out if kind == "file" else out / "below"
    found = outcome(lambda: split(train_json, out, force=force))
    assert found.startswith(WRONG), found
    assert str(tmp_path / "out") in found


# --- prepare_coco ---------------------------------------------------------------------

INFO = b'{"images": [{"id": 1, "file_name": "a.jpg", "height": 3, "width": 4}]}'
IMAGE_INFOS = {
    "good": (INFO, RIGHT),
    "BOM": (b"\xef\xbb\xbf" + INFO, RIGHT),
    "UTF-16": (INFO.decode().encode("utf-16"), RIGHT),
    "empty": (b"", WRONG),
    "cut": (INFO[:30], WRONG),
    "null": (b"null", WRONG),
    "list": (b"[]", WRONG),
    "text": (b'"a"', WRONG),
    "text for images": (b'{"images": "a"}', WRONG),
    "null for an image": (b'{"images": [null]}', WRONG),
    "no images": (b'{"images": []}', WRONG),
    "no size": (b'{"images": [{"id": 1, "file_name": "a.jpg"}]}', WRONG),
    "size as text": (INFO.replace(b"4", b'"4"'), WRONG),
}


@pytest.mark.parametrize("name", IMAGE_INFOS)
def test_image_infos(tmp_path, train_json, name):
    data, expected = IMAGE_INFOS[name]
    info = tmp_path / "info.json"
    info.write_bytes(data)
    found = outcome(lambda: unlabelled_with_categories(info, train_json) and None)
    assert found.startswith(expected), found


# --- prepare_voc ----------------------------------------------------------------------

XML = (
    "<annotation><size><width>{width}</width><height>12</height></size><object>"
    "<name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{xmin}</xmin>"
    "<ymin>1</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>"
)
FIELDS = dict(width="16", name="dog", difficult="0", xmin="2")
NO_NUMBER = ("a", "nan", "inf", "-inf", "1e400")
VOC_VALUES = [
    *(("width", value, WRONG) for value in ("", "-3", "0", *NO_NUMBER)),
    *(("name", value, WRONG) for value in ("", "unicorn")),
    *(("xmin", value, WRONG) for value in ("", "100", *NO_NUMBER)),
    *(("difficult", value, WRONG) for value in NO_NUMBER),
    *(("difficult", value, RIGHT) for value in ("", "1")),
    ("name", " cow ", RIGHT),
]
GOOD_XML = XML.format(**FIELDS)
VOC_FILES = {
    "empty": (b"", WRONG),
    "cut": (GOOD_XML[:60].encode(), WRONG),
    "binary": (bytes(range(256)), WRONG),
    "json": (b"{}", WRONG),
    "no size": (b"<annotation></annotation>", WRONG),
    "UTF-16": (
        f'<?xml version="1.0" encoding="utf-16"?>{GOOD_XML}'.encode("utf-16"),
        RIGHT,
    ),
}
VOC_LISTS = {
    "BOM": (b"\xef\xbb\xbf000001\n", RIGHT),
    "empty": (b"", WRONG),
    "blank": (b" \n\n", WRONG),
    "binary": (bytes(range(128, 256)), WRONG),
    "UTF-16": ("000001\n".encode("utf-16"), WRONG),
    "a name": (b"cat\n", WRONG),
    "absent": (b"000002\n", WRONG),
    "twice": (b"000001\n000001\n", WRONG),
}


@pytest.fixture
def voc(tmp_path):
    root = tmp_path / "VOC2007"
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets/Main").mkdir(parents=True)
    write_image(root / "JPEGImages/000001.jpg")
    (root / "Annotations/000001.xml").write_text(GOOD_XML)
    (root / "ImageSets/Main/trainval.txt").write_text("000001\n")
    return root


def convert(root):
    json.dumps(voc_to_coco(root.parent, 2007, "trainval"), allow_nan=False)


@pytest.mark.parametrize(("field", "value", "expected"), VOC_VALUES)
def test_values_in_a_voc_file(voc, field, value, expected):
    xml = XML.format(**{**FIELDS, field: value})
    (voc / "Annotations/000001.xml").write_text(xml)
    found = outcome(convert, voc)
    assert found.startswith(expected), found
    assert expected == RIGHT or "000001.xml" in found


@pytest.mark.parametrize("name", VOC_FILES)
def test_voc_files(voc, name):
    data, expected = VOC_FILES[name]
    (voc / "Annotations/000001.xml").write_bytes(data)
    found = outcome(convert, voc)
    assert found.startswith(expected), found


@pytest.mark.parametrize("name", VOC_LISTS)
def test_voc_lists(voc, name):
    data, expected = VOC_LISTS[name]
    (voc / "ImageSets/Main/trainval.txt").write_bytes(data)
    found = outcome(convert, voc)
    assert found.startswith(expected), found


def test_a_folder_in_place_of_a_voc_file(voc):
    (voc / "Annotations/000001.xml").unlink()
    (voc / "Annotations/000001.xml").mkdir()
    assert outcome(convert, voc).startswith(WRONG)


# --- predict --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return make_semi_checkpoint(tmp_path_factory.mktemp("bad_predict"))


PREDICT = {
    "good": (lambda root: None, ["images"], "", None),
    "absent": (lambda root: None, ["nowhere"], "no image or folder", 2),
    "a pipe": (lambda root: os.mkfifo(root / "p.png"), ["p.png"], "no image", 2),
    "a dead link": (lambda root: (root / "p").symlink_to("x"), ["p"], "no image", 2),
    "a text": (lambda root: (root / "a.txt").write_text("x"), ["a.txt"], "none of", 2),
    "an empty folder": (lambda root: (root / "e").mkdir(), ["e"], "holds no image", 2),
    "twice": (lambda root: None, ["images", "images/a.png"], "same output", 2),
    "the output is a file": (lambda root: (root / "out").write_text("x"), None, "", 2),
    "a circle": (
        lambda root: (root / "images/up").symlink_to(root / "images"),
        ["images"],
        "",
        None,
    ),
    "a line break": (
        lambda root: shutil.copy(root / "images/a.png", root / "images/b\nc.png"),
        ["images"],
        "",
        None,
    ),
    "one odd pixel": (
        lambda root: write_image(root / "images/p.png", height=1, width=1),
        ["images"],
        "",
        None,
    ),
}


@pytest.mark.parametrize("name", PREDICT)
def test_inputs_of_predict(trained, tmp_path, capsys, monkeypatch, name):
    change, sources, words, code = PREDICT[name]
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "images/a.png")
    change(tmp_path)

    def predict():
        try:
            call_tool("predict", *trained[1:], *(sources or ["images"]), "--out", "out")
        except SystemExit as end:
            return end.code
        return None

    assert outcome(predict) == ("accepted" if code is None else "counted")
    said = capsys.readouterr()
    if code is None:
        content = json.loads((tmp_path / "out/predictions.json").read_text())
        assert "a.png" in {image["file_name"] for image in content["images"]}
    else:
        lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        assert words in lines[0]
        assert "Traceback" not in said.err
    again = write_image(tmp_path / "again.png")
    assert (tmp_path / "images/a.png").read_bytes() == again.read_bytes()
