from __future__ import annotations

import gc
import importlib
import json
from pathlib import Path

import pytest

from ssod_mm.data.coco20 import VOC_TO_COCO, coco_name, filter_coco20
from ssod_mm.data.coco_layout import check_coco_layout
from ssod_mm.data.datasets import CocoSemiDataset
from ssod_mm.data.voc import VOC_CLASSES, parse_voc_xml, voc_to_coco
from tests.data.coco_files import box, coco_document, write_image

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module", autouse=True)
def _quick_garbage_collection():
    """Spare the imported modules: building a data set collects garbage each time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def run_tool(monkeypatch):
    """Run a script of tools/ with some arguments, in this process."""
    monkeypatch.syspath_prepend(str(TOOLS))

    def run(name, *arguments):
        monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, arguments)])
        importlib.import_module(name).main()

    return run


def voc_object(name="dog", corners=(3, 4, 10, 12), difficult=0, extra=""):
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    bndbox = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult>"
        f"<bndbox>{bndbox}</bndbox>{extra}</object>"
    )


def write_xml(path: Path, *objects: str, width=16, height=12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    path.write_text(f"<annotation>{size}{''.join(objects)}</annotation>")
    return path


def write_part(devkit: Path, year: int, image_set: str, xmls: dict[str, list[str]]):
    root = devkit / f"VOC{year}"
    for name, objects in xmls.items():
        write_xml(root / "Annotations" / f"{name}.xml", *objects)
        write_image(root / "JPEGImages" / f"{name}.jpg")
    list_file = root / "ImageSets" / "Main" / f"{image_set}.txt"
    list_file.parent.mkdir(parents=True, exist_ok=True)
    list_file.write_text("".join(f"{name}\n" for name in xmls))


@pytest.fixture
def devkit(tmp_path):
    """Two images of VOC2007 trainval, two of VOC2012, one of the 2007 test set."""
    write_part(
        tmp_path,
        2007,
        "trainval",
        {
            "000005": [voc_object("dog"), voc_object("cat", difficult=1)],
            "000007": [voc_object("tvmonitor", (1, 1, 16, 12))],
        },
    )
    write_part(
        tmp_path,
        2012,
        "trainval",
        {"2007_000005": [voc_object("person")], "2008_000002": [voc_object("sofa")]},
    )
    write_part(tmp_path, 2007, "test", {"000001": [voc_object("person")]})
    return tmp_path


class TestVocXml:
    def test_corners_count_pixels_from_one_and_belong_to_the_box(self, tmp_path):
        # Pixels 3 to 10 are 8 wide and begin at x = 2, where pixel 3 starts; the
        # whole image goes from 1 to its width.
        path = write_xml(
            tmp_path / "a.xml",
            voc_object(corners=(3, 4, 10, 12)),
            voc_object(corners=(1, 1, 16, 12)),
        )
        width, height, objects = parse_voc_xml(path)
        assert (width, height) == (16, 12)
        assert [o["bbox"] for o in objects] == [[2, 3, 8, 9], [0, 0, 16, 12]]
        assert [o["area"] for o in objects] == [72, 192]

    def test_fractions_and_body_parts(self, tmp_path):
        part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        path = write_xml(
            tmp_path / "a.xml",
            voc_object("person", ("3.5", "4", "10.25", "12"), extra=part),
        )
        assert [o["bbox"] for o in parse_voc_xml(path)[2]] == [[2.5, 3, 7.75, 9]]

    def test_boxes_are_clipped_to_the_image(self, tmp_path):
        path = write_xml(tmp_path / "a.xml", voc_object(corners=(0, 0, 17, 12)))
        assert parse_voc_xml(path)[2][0]["bbox"] == [0, 0, 16, 12]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (voc_object("unicorn"), "class 'unicorn' is not among the 20"),
            (voc_object(corners=(9, 4, 3, 12)), "of a dog has no area"),
            (voc_object(corners=(20, 4, 30, 12)), "of a dog has no area"),
            (voc_object(corners=("", 4, 30, 12)), "could not convert"),
            ("<object>", "mismatched tag"),
        ],
    )
    def test_unusable_file_is_named(self, tmp_path, text, message):
        path = write_xml(tmp_path / "a.xml", text)
        with pytest.raises(ValueError, match=rf"a\.xml is not usable: .*{message}"):
            parse_voc_xml(path)


class TestVocToCoco:
    def test_classes_and_files(self, devkit):
        coco = voc_to_coco(devkit, 2007, "trainval")
        assert [c["name"] for c in coco["categories"]] == list(VOC_CLASSES)
        assert [c["id"] for c in coco["categories"]] == list(range(1, 21))
        names = [VOC_CLASSES[a["category_id"] - 1] for a in coco["annotations"]]
        assert names == ["dog", "cat", "tvmonitor"]
        assert [i["id"] for i in coco["images"]] == [5, 7]
        for image in coco["images"]:
            assert (devkit / image["file_name"]).is_file()

    def test_ids_differ_between_the_years(self, devkit):
        ids = [
            image["id"]
            for year in (2007, 2012)
            for image in voc_to_coco(devkit, year, "trainval")["images"]
        ]
        assert ids == [5, 7, 2007000005, 2008000002]

    @pytest.mark.parametrize(
        ("difficult", "flags"),
        [
            ("flag", [(0, 0), (1, 0), (0, 0)]),
            ("crowd", [(0, 0), (1, 1), (0, 0)]),
            ("drop", [(0, 0), (0, 0)]),
        ],
    )
    def test_difficult_objects(self, devkit, difficult, flags):
        coco = voc_to_coco(devkit, 2007, "trainval", difficult)
        found = [(a["difficult"], a["iscrowd"]) for a in coco["annotations"]]
        assert found == flags
        assert [a["id"] for a in coco["annotations"]] == list(range(1, len(flags) + 1))

    def test_unknown_choice_is_an_error(self, devkit):
        with pytest.raises(ValueError, match="difficult = 'ignore', must be one of"):
            voc_to_coco(devkit, 2007, "trainval", "ignore")

    def test_missing_files_are_named(self, devkit):
        with pytest.raises(FileNotFoundError, match=r"missing .*val\.txt"):
            voc_to_coco(devkit, 2007, "val")
        (devkit / "VOC2012" / "Annotations" / "2008_000002.xml").unlink()
        with pytest.raises(FileNotFoundError, match=r"lacks 1 of the 2 .*000002\.xml"):
            voc_to_coco(devkit, 2012, "trainval")
        (devkit / "VOC2007" / "JPEGImages" / "000001.jpg").unlink()
        with pytest.raises(FileNotFoundError, match=r"JPEGImages lacks .*000001\.jpg"):
            voc_to_coco(devkit, 2007, "test")

    def test_empty_list_is_an_error(self, devkit):
        list_file = devkit / "VOC2007" / "ImageSets" / "Main" / "test.txt"
        list_file.write_text("\n")
        with pytest.raises(ValueError, match=r"test\.txt names no image"):
            voc_to_coco(devkit, 2007, "test")


class TestPrepareVoc:
    def test_files_train_as_data_sets(self, devkit, run_tool, capsys, mmdet_scope):
        run_tool("prepare_voc", "--root", devkit)
        folder = devkit / "annotations"
        assert {path.name for path in folder.iterdir()} == {
            "voc07_trainval.json",
            "voc07_test.json",
            "voc12_trainval.json",
            "voc12_trainval-unlabeled.json",
        }
        assert "voc07_test.json" in capsys.readouterr().out
        keys = {
            "data_root": str(devkit),
            "data_prefix": {"img": ""},
            "pipeline": [{"type": "LoadImage"}],
        }
        dataset = CocoSemiDataset(ann_file="annotations/voc07_trainval.json", **keys)
        assert dataset.metainfo["classes"] == VOC_CLASSES
        item = dataset[0]
        assert item["img"].shape == (12, 16, 3)
        assert [i["ignore_flag"] for i in item["instances"]] == [0, 1]
        unlabelled = CocoSemiDataset(
            ann_file="annotations/voc12_trainval-unlabeled.json", **keys
        )
        assert [item["instances"] for item in unlabelled] == [[], []]

    def test_everything_missing_is_named_at_once(self, devkit, run_tool, capsys):
        (devkit / "VOC2007" / "ImageSets" / "Main" / "test.txt").unlink()
        (devkit / "VOC2012" / "ImageSets" / "Main" / "trainval.txt").unlink()
        with pytest.raises(SystemExit) as caught:
            run_tool("prepare_voc", "--root", devkit)
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert "VOC2007/ImageSets/Main/test.txt" in error
        assert "VOC2012/ImageSets/Main/trainval.txt" in error
        assert not (devkit / "annotations").exists()


def coco80_document():
    """Six images; the categories are VOC's in COCO's names, shuffled, and "zebra"."""
    names = sorted([coco_name(n) for n in VOC_CLASSES] + ["zebra"])
    category_id = {name: 10 + number for number, name in enumerate(names)}
    annotations = [
        box(1, 1, category_id=category_id["airplane"]),
        box(2, 1, category_id=category_id["zebra"]),
        box(3, 2, category_id=category_id["zebra"]),
        box(4, 3, category_id=category_id["couch"], iscrowd=1),
        box(5, 4, category_id=category_id["person"]),
        box(6, 4, category_id=category_id["tv"], iscrowd=1),
        box(7, 5, category_id=category_id["dining table"]),
    ]
    document = coco_document(6, annotations)
    document["categories"] = [{"id": i, "name": n} for n, i in category_id.items()]
    return document


class TestCoco20:
    def test_names_cover_the_twenty_classes(self):
        assert len({coco_name(name) for name in VOC_CLASSES}) == 20
        assert set(VOC_TO_COCO) <= set(VOC_CLASSES)
        assert coco_name("motorbike") == "motorcycle"
        assert coco_name("person") == "person"

    def test_images_with_an_object_of_the_classes(self):
        document = coco80_document()
        filtered = filter_coco20(document)
        # 2 shows a zebra, 3 a crowd only, 6 nothing.
        assert [image["id"] for image in filtered["images"]] == [1, 4, 5]
        found = {a["id"]: a["category_id"] for a in filtered["annotations"]}
        assert {i: VOC_CLASSES[c - 1] for i, c in found.items()} == {
            1: "aeroplane",
            5: "person",
            6: "tvmonitor",
            7: "diningtable",
        }
        assert [c["name"] for c in filtered["categories"]] == list(VOC_CLASSES)
        assert document == coco80_document()

    def test_other_files_are_refused(self):
        with pytest.raises(ValueError, match="categories lack airplane, bicycle"):
            filter_coco20(coco_document())
        document = coco80_document()
        document["annotations"] = document["annotations"][2:4]
        with pytest.raises(ValueError, match="no image holds an object"):
            filter_coco20(document)


@pytest.fixture
def coco_root(tmp_path):
    document = coco80_document()
    for folder in ("train2017", "val2017", "unlabeled2017"):
        write_image(tmp_path / folder / "0001.jpg")
    files = {
        "instances_train2017": document,
        "instances_val2017": document,
        "image_info_unlabeled2017": {"images": document["images"][:2]},
    }
    (tmp_path / "annotations").mkdir()
    for name, content in files.items():
        (tmp_path / "annotations" / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


class TestPrepareCoco:
    def read(self, root, name):
        return json.loads((root / "annotations" / name).read_text())

    def test_all_files_are_made(self, coco_root, run_tool):
        arguments = ["--root", coco_root, "--coco20", "--percent", 20, 50]
        run_tool("prepare_coco", *arguments)
        unlabelled = self.read(coco_root, "instances_unlabeled2017.json")
        assert [image["id"] for image in unlabelled["images"]] == [1, 2]
        assert unlabelled["annotations"] == []
        assert unlabelled["categories"] == coco80_document()["categories"]
        splits = list((coco_root / "annotations" / "semi").iterdir())
        assert len(splits) == 2 * 5 * 3
        part = self.read(coco_root, "semi/instances_train2017.4@50.json")
        assert len(part["images"]) == 3
        stem = "instances_train2017_coco20"
        assert self.read(coco_root, f"{stem}-unlabeled.json")["annotations"] == []
        hidden = self.read(coco_root, f"{stem}-hidden.json")
        assert [a["id"] for a in hidden["annotations"]] == [1, 5, 6, 7]

    def test_missing_parts_are_named_at_once(self, coco_root):
        (coco_root / "annotations" / "instances_val2017.json").unlink()
        (coco_root / "val2017" / "0001.jpg").unlink()
        with pytest.raises(
            FileNotFoundError, match=r"lacks .*val2017/ .*instances_val2017\.json$"
        ):
            check_coco_layout(coco_root)
        with pytest.raises(FileNotFoundError, match=r"nowhere \(--root\) not found"):
            check_coco_layout(coco_root / "nowhere")

    def test_unlabeled2017_can_be_done_without(self, coco_root, run_tool, capsys):
        (coco_root / "annotations" / "image_info_unlabeled2017.json").unlink()
        arguments = ["--root", coco_root, "--percent", 50, "--fold", 1, "--no-hidden"]
        with pytest.raises(SystemExit):
            run_tool("prepare_coco", *arguments)
        assert "--no-unlabeled2017 does without it" in capsys.readouterr().err
        run_tool("prepare_coco", *arguments, "--no-unlabeled2017")
        assert len(list((coco_root / "annotations" / "semi").iterdir())) == 2
