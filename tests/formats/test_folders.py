"""Folders of every format give the same COCO files, once, and name what is wrong."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.errors import UserError
from ssod_mm.formats import cache, collect, convert
from ssod_mm.formats.collect import held_out, part_word
from ssod_mm.formats.convert import coco_folder, coco_folder_or_none
from ssod_mm.formats.voc_xml import read_voc_xml
from ssod_mm.formats.yolo import read_yolo_label
from tests.data.coco_files import truncate, write_image
from tests.formats.folders import (
    BOXES,
    CLASSES,
    PARTS,
    SIZES,
    read_back,
    voc_xml,
    write_text,
    write_voc,
    write_yolo,
    yolo_line,
)
from tests.helpers import make_tiny_coco
from tests.outcomes import outcome

ROOT = Path(__file__).resolve().parents[2]
WRITERS = {
    "yolo with a yaml": write_yolo,
    "yolo by part": lambda root: write_yolo(root, "train/images"),
    "yolo with classes.txt": lambda root: write_yolo(root, yaml=False),
    "yolo by part with classes.txt": lambda root: write_yolo(
        root, "train/images", yaml=False
    ),
    "voc": write_voc,
}


@pytest.fixture(autouse=True)
def _home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def said(monkeypatch):
    """The lines for the user."""
    lines = []
    for module in (collect, convert):
        monkeypatch.setattr(module, "say", lines.append)
    return lines


def refused(root):
    with pytest.raises((UserError, FileNotFoundError)) as caught:
        coco_folder(root)
    return str(caught.value)


class TestSameBoxesInEveryFormat:
    @pytest.mark.parametrize("name", WRITERS)
    def test_images_sizes_parts_and_boxes(self, tmp_path, name):
        found = read_back(coco_folder(WRITERS[name](tmp_path / "fruit")))
        assert set(found) == set(BOXES)
        for image, (part, size, boxes) in found.items():
            assert (part, size) == (PARTS[image], SIZES[image])
            assert [label for label, _ in boxes] == [b[0] for b in BOXES[image]]
            for (_, box), (_, true) in zip(boxes, BOXES[image], strict=True):
                assert box == pytest.approx(true, abs=1e-9)

    def test_order_of_classes(self, tmp_path):
        # YOLO numbers them; VOC has names alone, which are sorted.
        yolo = coco_folder(write_yolo(tmp_path / "yolo")) / convert.TRAIN_JSON
        voc = coco_folder(write_voc(tmp_path / "voc")) / convert.TRAIN_JSON
        names = [
            [c["name"] for c in json.loads(path.read_text())["categories"]]
            for path in (yolo, voc)
        ]
        assert names == [["disc", "box"], ["box", "disc"]]

    def test_a_folder_in_our_layout_is_left_alone(self, tmp_path):
        root = make_tiny_coco(tmp_path / "coco", 2)
        assert coco_folder(root) == root
        assert coco_folder_or_none(root) is None
        assert not (root / cache.CACHE).exists()

    def test_roboflows_coco_export(self, tmp_path):
        tiny = make_tiny_coco(tmp_path / "coco", 4)
        root = tmp_path / "export"
        for part, folder in (("train", "train"), ("val", "valid")):
            shutil.copytree(tiny / part, root / folder)
            source = tiny / "annotations" / f"instances_{part}.json"
            shutil.copy(source, root / folder / "_annotations.coco.json")
        folder = coco_folder(root)
        for part in ("train", "val"):
            name = f"annotations/instances_{part}.json"
            old, new = (json.loads((r / name).read_text()) for r in (tiny, folder))
            assert new["annotations"] == old["annotations"]
            assert len(new["images"]) == len(old["images"]) > 0
            for image in new["images"]:
                assert (folder / part / image["file_name"]).is_file()

    def test_one_coco_json_for_all_images(self, tmp_path, said):
        tiny = make_tiny_coco(tmp_path / "coco", 10)
        root = tmp_path / "cvat"
        shutil.copytree(tiny / "train", root / "images")
        source = tiny / "annotations" / "instances_train.json"
        path = root / "annotations" / "instances_default.json"
        write_text(path, source.read_text())
        folder = coco_folder(root)
        parts = [
            json.loads((folder / name).read_text())
            for name in (convert.TRAIN_JSON, convert.VAL_JSON)
        ]
        assert [len(part["images"]) for part in parts] == [8, 2]
        boxes = sum(len(part["annotations"]) for part in parts)
        assert boxes == len(json.loads(path.read_text())["annotations"])
        assert any("2 of 10 images are held out" in line for line in said)

    @pytest.mark.parametrize(
        ("name", "folder"), [("labels.json", "."), ("result.json", "images")]
    )
    def test_one_coco_json_of_any_name(self, tmp_path, said, name, folder):
        """What ``ssod label`` writes beside its images, and Label Studio's export."""
        tiny = make_tiny_coco(tmp_path / "coco", 5)
        root = tmp_path / "mine"
        shutil.copytree(tiny / "train", root / folder)
        source = json.loads((tiny / "annotations/instances_train.json").read_text())
        for image in source["images"]:
            image["file_name"] = str(Path(folder, image["file_name"]))
        write_text(root / name, json.dumps(source))
        write_text(root / "notes.json", json.dumps({"images": 3}))
        converted = coco_folder(root)
        parts = [
            json.loads((converted / part).read_text())
            for part in (convert.TRAIN_JSON, convert.VAL_JSON)
        ]
        assert [len(part["images"]) for part in parts] == [4, 1]
        boxes = sum(len(part["annotations"]) for part in parts)
        assert boxes == len(source["annotations"])


BOX = st.tuples(*[st.floats(0, 1)] * 4).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)
SIZE = st.tuples(st.integers(1, 4000), st.integers(1, 4000))


class TestRoundTrip:
    @given(st.lists(st.tuples(st.integers(0, 1), BOX), max_size=5), SIZE)
    @settings(max_examples=100, deadline=None)
    def test_yolo(self, corners, size):
        height, width = size
        boxes = [
            (label, (x * width, y * height, (r - x) * width, (b - y) * height))
            for label, (x, y, r, b) in corners
        ]
        lines = [yolo_line(label, box, size) for label, box in boxes]
        found, faults = self.read(read_yolo_label, "\n".join(lines), size, 2)
        assert faults == []
        assert [label for label, _ in found] == [label for label, _ in boxes]
        for (_, box), (_, true) in zip(found, boxes, strict=True):
            assert box == pytest.approx(true, abs=1e-6)

    @given(st.lists(st.tuples(st.integers(0, 1), BOX), max_size=5), SIZE)
    @settings(max_examples=100, deadline=None)
    def test_voc(self, corners, size):
        height, width = size
        boxes = [
            (label, (x * width, y * height, (r - x) * width, (b - y) * height))
            for label, (x, y, r, b) in corners
            if (r - x) * width > 1e-6 and (b - y) * height > 1e-6
        ]
        found = self.read(read_voc_xml, voc_xml(boxes, size))
        assert found.faults == []
        assert found.size == size
        assert [o.name for o in found.objects] == [CLASSES[n] for n, _ in boxes]
        for item, (_, true) in zip(found.objects, boxes, strict=True):
            assert item.bbox == pytest.approx(true, abs=1e-6)

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path_factory):
        type(self).path = tmp_path_factory.mktemp("labels") / "a.txt"

    def read(self, reader, text, *arguments):
        self.path.write_text(text)
        return reader(self.path, *arguments)

    def test_a_polygon_counts_with_its_surrounding_box(self):
        text = "1 0.25 0.5 0.5 0.25 0.75 0.75\n"
        found, faults = self.read(read_yolo_label, text, (100, 200), 2)
        assert (found, faults) == ([(1, [50.0, 25.0, 100.0, 50.0])], [])

    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            ("0 0.5 0.5 0.1", "4 numbers; a line is"),
            ("0 0.5 0.5 0.1 0.1 0.9", "6 numbers; a line is"),
            ("2 0.5 0.5 0.1 0.1", "class 2 is none of the 2 classes, 0 to 1"),
            ("-1 0.5 0.5 0.1 0.1", "class -1 is none"),
            ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is none"),
            ("cat 0.5 0.5 0.1 0.1", "'cat 0.5 0.5 0.1 0.1' holds what is no number"),
            ("0 0.5 nan 0.1 0.1", "a number is not finite"),
            ("0 0.5 0.5 -0.1 0.1", "negative size, -0.1 x 0.1"),
            ("0 40 30 10 10", "40 is no part of the image's size"),
            ("0 -0.2 0.5 0.1 0.1", "-0.2 is no part of the image's size"),
        ],
    )
    def test_a_wrong_line_is_named(self, line, fault):
        text = f"0 0.5 0.5 0.1 0.1\n\n{line}\n"
        found, faults = self.read(read_yolo_label, text, (100, 100), 2)
        assert len(found) == len(faults) == 1
        assert faults[0].startswith("line 3: ")
        assert fault in faults[0]

    def test_rounded_boxes_are_cut_at_the_edge(self):
        found, faults = self.read(read_yolo_label, "0 0.5 0.5 1.004 1", (100, 200), 2)
        assert (found, faults) == ([(0, [0.0, 0.0, 200.0, 100.0])], [])

    def test_wrong_objects_are_named_by_line(self):
        text = voc_xml([(0, (1, 1, 5, 5)), (1, (50, 1, 5, 5))], (12, 16))
        found = self.read(read_voc_xml, text)
        assert len(found.objects) == 1
        assert found.faults == [
            "line 5: box [51.0, 2.0, 55.0, 6.0] of a box has no area inside the image "
            "of 16 x 12 pixels"
        ]


def edit(path, old, new):
    def change(root):
        file = root / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return change


def several(*changes):
    def change(root):
        for part in changes:
            part(root)

    return change


def remove(path):
    return lambda root: (root / path).unlink()


def create(path, text):
    return lambda root: write_text(root / path, text)


FAULTS = [
    (
        write_yolo,
        edit("data.yaml", "val: images/val", "val: images/other"),
        "no images/other",
    ),
    (
        write_yolo,
        edit("data.yaml", "['disc', 'box']", "['disc', 'disc']"),
        "'disc' is there more than once",
    ),
    (
        write_yolo,
        edit("data.yaml", "['disc', 'box']", "{0: disc, 2: box}"),
        "must count from 0",
    ),
    (write_yolo, edit("data.yaml", "['disc', 'box']", "7"), "must list the classes"),
    (write_yolo, edit("data.yaml", "names: [", "names: [["), "is no valid yaml"),
    (
        write_yolo,
        edit("labels/train/b.txt", "1 ", "7 "),
        "labels/train/b.txt: line 1: class 7",
    ),
    (
        write_yolo,
        lambda r: truncate(r / "images/train/a.jpg").write_bytes(b"x"),
        "a.jpg: no readable image",
    ),
    (
        write_yolo,
        lambda r: (r / "labels/train/a.txt").write_bytes(b"\xff\xfe\x00"),
        "a.txt: no text in UTF-8",
    ),
    (
        write_yolo,
        lambda r: shutil.copy(r / "images/train/a.jpg", r / "images/train/a.png"),
        "it belongs to several images",
    ),
    (write_yolo, remove("data.yaml"), "no data.yaml or classes.txt"),
    (
        write_voc,
        edit("Annotations/a.xml", "<width>16", "<width>17"),
        "a.xml: it says 17 x 12 pixels, the image has 16 x 12",
    ),
    (
        write_voc,
        edit("Annotations/a.xml", "</annotation>", ""),
        "a.xml: no readable xml",
    ),
    (
        write_voc,
        edit("Annotations/a.xml", "<xmin>3.0", "<xmin>"),
        "a.xml: line 4: bndbox/xmin",
    ),
    (
        write_voc,
        edit("Annotations/a.xml", "disc", ""),
        "a.xml: line 4: an object has no name",
    ),
    (
        write_voc,
        create("ImageSets/Main/train.txt", "a\nq\n"),
        "train.txt: line 2: no image is named q",
    ),
    (
        write_voc,
        create("ImageSets/Main/val.txt", "a\n"),
        "val.txt: line 1: a is in the list for training too",
    ),
    (
        write_voc,
        several(
            create("ImageSets/Main/train.txt", "a"),
            create("ImageSets/Main/val.txt", ""),
        ),
        "training and validation need one each",
    ),
]


class TestFaults:
    @pytest.mark.parametrize(("write", "change", "message"), FAULTS)
    def test_one_line_names_the_file(self, tmp_path, said, write, change, message):
        root = write(tmp_path / "fruit")
        change(root)
        found = refused(root)
        assert message in found
        assert str(root) in found
        assert "\n" not in found or "yaml" in message
        assert not list(root.glob(f"{cache.CACHE}/*/fruit"))

    def test_all_faults_are_shown(self, tmp_path, said):
        root = write_yolo(tmp_path / "fruit")
        write_text(root / "labels" / "train" / "a.txt", "0 1\n9 0.5 0.5 0.1 0.1\n")
        write_text(root / "labels" / "val" / "d.txt", "0 0 0 0 0\nx\n")
        assert "(and 2 more faults" in refused(root)
        assert [line.split(": ")[1] for line in said] == ["line 1", "line 2", "line 2"]

    def test_images_alone_and_nothing(self, tmp_path):
        write_image(tmp_path / "images" / "a.jpg")
        message = refused(tmp_path)
        assert "holds 1 images without labels" in message
        assert "--unlabelled, or let a trained model label it (ssod label" in message
        assert coco_folder_or_none(tmp_path) is None
        (tmp_path / "images" / "a.jpg").unlink()
        assert "holds no data in a known form: COCO json" in refused(tmp_path)
        assert "no data folder" in refused(tmp_path / "nowhere")
        assert coco_folder_or_none(tmp_path / "nowhere") is None


class TestWhatIsCounted:
    def test_images_without_a_label_file_are_unlabelled(self, tmp_path, said):
        root = write_yolo(tmp_path / "fruit")
        (root / "labels" / "train" / "b.txt").unlink()
        folder = coco_folder(root)
        assert set(read_back(folder)) == {"a", "c", "d"}
        coco = json.loads((folder / convert.UNLABELLED_JSON).read_text())
        assert [i["file_name"] for i in coco["images"]] == ["images/train/b.jpg"]
        assert coco["annotations"] == []
        assert any("1 images have no label file and count as" in line for line in said)

    def test_stray_labels_and_repeated_lines(self, tmp_path, said):
        root = write_yolo(tmp_path / "fruit")
        write_text(root / "labels" / "train" / "q.txt", "0 0.5 0.5 0.1 0.1")
        path = root / "labels" / "train" / "b.txt"
        path.write_text(f"{path.read_text()}\n{path.read_text()}\n")
        assert len(read_back(coco_folder(root))["b"][2]) == 1
        text = "\n".join(said)
        assert "1 label files have no image, such as" in text
        assert "1 lines that stand twice" in text

    def test_without_a_part_for_validation_a_fifth_is_held_out(self, tmp_path, said):
        found = read_back(coco_folder(write_voc(tmp_path / "fruit", lists=False)))
        kept = held_out(f"JPEGImages/{name}.jpg" for name in BOXES)
        parts = {f"JPEGImages/{n}.jpg": part for n, (part, *_) in found.items()}
        assert {name for name, part in parts.items() if part == "val"} == kept
        assert any("1 of 4 are held out" in line for line in said)

    def test_difficult_objects_keep_their_flag(self, tmp_path):
        root = write_voc(tmp_path / "fruit")
        write_text(root / "Annotations/b.xml", voc_xml(BOXES["b"], SIZES["b"], 1))
        coco = json.loads((coco_folder(root) / convert.TRAIN_JSON).read_text())
        assert [a.get("difficult", 0) for a in coco["annotations"]] == [0, 0, 1]


@pytest.mark.parametrize(
    ("write", "path"),
    [
        (write_yolo, "data.yaml"),
        (write_yolo, "labels/train/a.txt"),
        (write_yolo, "images/train/a.jpg"),
        (lambda root: write_yolo(root, yaml=False), "classes.txt"),
        (write_voc, "Annotations/a.xml"),
        (write_voc, "ImageSets/Main/train.txt"),
    ],
)
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, said, write, path):
    root = write(tmp_path / "fruit")
    file = root / path
    whole = file.read_bytes()
    chance = random.Random(0)
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data))
            if chance.random() < 0.5:
                data[place] = chance.choice(b"\x00\xff\n -:[]{}<>&9.eN\"'*!|%@")
            else:
                del data[place : place + chance.randint(1, 20)]
            data = data or bytearray(b" ")
        file.write_bytes(data)
        outcome(lambda: str(coco_folder(root)))  # a traceback is an error here


def test_names_in_other_encodings(tmp_path):
    root = write_voc(tmp_path / "fruit", lists=False)
    for folder, ending in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
        old = root / folder / f"a{ending}"
        old.rename(root / folder / os.fsdecode(b"a\xff" + ending.encode()))
    found = read_back(coco_folder(root))
    assert set(found) == {os.fsdecode(b"a\xff"), "b", "c", "d"}


def test_a_fifth_is_held_out_and_stays_so():
    names = [f"{number}.jpg" for number in range(100)]
    kept = held_out(names)
    assert len(kept) == 20
    assert held_out(reversed(names)) == kept
    assert len(kept & held_out([*names, "new.jpg"])) >= 19


def test_words_for_parts():
    words = ["train2017", "Valid", "VAL_1", "testing", "unlabeled2017", "trains", "x"]
    assert [*map(part_word, words)] == [
        "train",
        "val",
        "val",
        "test",
        "unlabelled",
        None,
        None,
    ]


class TestCache:
    def test_converted_once(self, tmp_path, said):
        root = write_yolo(tmp_path / "fruit")
        folder = coco_folder(root)
        assert folder.parent.parent == root / cache.CACHE
        assert folder.name == "fruit"
        num_said = len(said)
        before = (folder / convert.TRAIN_JSON).stat()
        assert coco_folder(root) == folder
        assert (folder / convert.TRAIN_JSON).stat() == before
        assert len(said) == num_said > 0

    @pytest.mark.parametrize("what", ["label", "class", "image", "new image"])
    def test_a_change_renews_it(self, tmp_path, what):
        root = write_yolo(tmp_path / "fruit")
        before = coco_folder(root)
        if what == "label":
            path = root / "labels" / "train" / "c.txt"
            os.utime(path, ns=(1, 1))
        elif what == "class":
            edit("data.yaml", "disc", "ring")(root)
        elif what == "image":
            path = root / "images" / "train" / "c.jpg"
            write_image(path, 7, height=10, width=31)
        else:
            write_image(root / "images" / "train" / "e.jpg")
        after = coco_folder(root)
        assert after != before
        # What an earlier run reads is still there.
        assert (before / convert.TRAIN_JSON).is_file()
        if what == "image":
            assert read_back(after)["c"][1] == (10, 31)

    def test_a_moved_folder_keeps_it(self, tmp_path):
        first = coco_folder(write_yolo(tmp_path / "fruit"))
        (tmp_path / "there").mkdir()
        (tmp_path / "fruit").rename(tmp_path / "there" / "fruit")
        moved = coco_folder(tmp_path / "there" / "fruit")
        assert moved == tmp_path / "there" / first.relative_to(tmp_path)
        assert set(read_back(moved)) == set(BOXES)

    def test_a_folder_that_cannot_be_written_to(self, tmp_path):
        root = write_yolo(tmp_path / "fruit")
        (root / cache.CACHE).write_text("")  # root may write everywhere: no folder
        folder = coco_folder(root)
        assert folder.is_relative_to(os.environ["XDG_CACHE_HOME"])
        assert set(read_back(folder)) == set(BOXES)
        assert coco_folder(root) == folder

    def test_no_place_to_write(self, tmp_path, monkeypatch):
        root = write_yolo(tmp_path / "fruit")
        (root / cache.CACHE).write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(root / "data.yaml"))
        assert "set XDG_CACHE_HOME to a folder of yours" in refused(root)

    def test_a_killed_conversion_leaves_nothing_that_is_read(
        self, tmp_path, monkeypatch
    ):
        root = write_yolo(tmp_path / "fruit")

        def killed(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(convert.os, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            coco_folder(root)
        assert [p.name for p in (root / cache.CACHE).iterdir()] == [".lock"]
        monkeypatch.undo()
        assert set(read_back(coco_folder(root))) == set(BOXES)

    def test_several_processes_at_once(self, tmp_path):
        root = write_yolo(tmp_path / "fruit")
        code = (
            "import sys\n"
            "from ssod_mm.formats.convert import coco_folder\n"
            "print(coco_folder(sys.argv[1]), 'torch' in sys.modules)"
        )
        running = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(root)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            for _ in range(3)
        ]
        said = [process.communicate(timeout=60) for process in running]
        assert {out for out, _ in said} == {f"{coco_folder(root)} False\n"}
        # One converts and says so.
        assert sorted("converted to" in err for _, err in said) == [False, False, True]
        assert set(read_back(coco_folder(root))) == set(BOXES)
