from __future__ import annotations

import gc
import json
import pickle
import random

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from ssod_mm.data.datasets import CocoSemiDataset, SeededConcatDataset
from ssod_mm.data.draw_index import DrawIndex
from ssod_mm.data.image_folder import ImageFolderDataset
from ssod_mm.data.loading import num_skipped_images
from ssod_mm.data.split_files import split_documents
from ssod_mm.data.splits import seeded_split
from ssod_mm.errors import UserError
from tests.data.coco_files import (
    CLASSES,
    box,
    coco_document,
    truncate,
    write_coco,
    write_image,
)

pytestmark = pytest.mark.usefixtures("mmdet_scope")


@pytest.fixture(scope="module", autouse=True)
def _quick_garbage_collection():
    """Spare the imported modules: building a data set collects garbage each time."""
    gc.freeze()
    yield
    gc.unfreeze()


def labelled(root, document=None, **keys):
    """A training set over a document written to ``root``."""
    write_coco(root, document or coco_document())
    keys.setdefault("data_prefix", {"img": "img/"})
    keys.setdefault("ann_file", "train.json")
    keys.setdefault("filter_cfg", {"filter_empty_gt": True})
    return DATASETS.build({"type": "CocoSemiDataset", "data_root": str(root), **keys})


class TestCocoSemiDataset:
    def test_classes_come_from_the_file(self, tmp_path):
        dataset = labelled(tmp_path)
        assert dataset.metainfo["classes"] == CLASSES
        assert len(dataset) == 4
        info = dataset.get_data_info(0)
        assert info["img_path"].endswith("img/0001.jpg")
        instance = info["instances"][0]
        assert instance["bbox"] == [2, 2, 8, 7]
        assert (instance["bbox_label"], instance["ignore_flag"]) == (1, 0)

    def test_classes_are_known_without_loading_the_items(self, tmp_path):
        dataset = labelled(tmp_path, lazy_init=True)
        assert dataset.metainfo["classes"] == CLASSES

    def test_some_of_the_classes_may_be_chosen(self, tmp_path):
        dataset = labelled(tmp_path, metainfo={"classes": ["box"]})
        assert dataset.metainfo["classes"] == ("box",)
        assert dataset.box_counts.unused_class == 2
        labels = [dataset.get_cat_ids(i) for i in range(len(dataset))]
        assert labels == [[0], [0]]

    @pytest.mark.parametrize(
        ("classes", "message"),
        [
            (("person", "disc"), r"train\.json .*person is missing; .*has disc, box"),
            ("disc", r"metainfo.classes = 'disc' is a text.*\(\"disc\",\)"),
        ],
    )
    def test_classes_that_do_not_match(self, tmp_path, classes, message):
        with pytest.raises(ValueError, match=message):
            labelled(tmp_path, metainfo={"classes": classes})

    def test_labels_are_numbered_as_the_config_says(self, tmp_path):
        plain = labelled(tmp_path / "a")
        turned = labelled(tmp_path / "b", metainfo={"classes": ("box", "disc")})
        for number in range(len(plain)):
            swapped = [1 - label for label in plain.get_cat_ids(number)]
            assert turned.get_cat_ids(number) == swapped
        turned.use_classes(("disc", "box"), "the model")
        assert turned.metainfo["classes"] == ("disc", "box")
        assert turned.get_cat_ids(0) == plain.get_cat_ids(0)
        with pytest.raises(ValueError, match=r"the model has cat; .* has disc, box"):
            turned.use_classes(("cat",), "the model")

    def test_missing_files_are_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"none\.json \(ann_file\)"):
            labelled(tmp_path, ann_file="none.json")
        with pytest.raises(FileNotFoundError, match=r"t\.1@10\.json .*make_splits\.py"):
            labelled(tmp_path, ann_file="t.1@10.json")
        with pytest.raises(FileNotFoundError, match=r"photos.*data_prefix\.img"):
            labelled(tmp_path, data_prefix={"img": "photos/"})
        (tmp_path / "other").mkdir()
        with pytest.raises(FileNotFoundError, match=r"other/0001\.jpg.*data_prefix"):
            labelled(tmp_path, data_prefix={"img": "other/"})
        with pytest.raises(ValueError, match=r"data_prefix=dict\(img=...\)"):
            labelled(tmp_path, data_prefix={"img_path": "img/"})

    @pytest.mark.parametrize(
        "bbox",
        [[2, 2, -6, 5], [2, 2, 6, -0.5], [2, 2, 6], [], None, [2, 2, float("nan"), 5]],
        ids=str,
    )
    def test_malformed_boxes(self, tmp_path, bbox):
        document = coco_document()
        document["annotations"][1]["bbox"] = bbox
        with pytest.raises(
            ValueError,
            match=r"train\.json: annotation 102 of image 2 \(0002\.jpg\).*on_bad_box",
        ):
            labelled(tmp_path, document)
        dataset = labelled(tmp_path, document, on_bad_box="drop")
        assert dataset.box_counts.malformed == 1
        assert len(dataset) == 3

    def test_boxes_without_size_are_left_out(self, tmp_path):
        document = coco_document(2)
        document["annotations"] += [box(1, 1, (3, 3, 0, 4)), box(2, 2, (3, 3, 4, 0))]
        dataset = labelled(tmp_path, document)
        assert dataset.box_counts.zero_size == 2
        assert [len(dataset.get_cat_ids(i)) for i in range(2)] == [1, 1]

    def test_tiny_boxes_and_boxes_outside_are_counted(self, tmp_path):
        document = coco_document(4)
        document["annotations"] += [
            box(1, 1, (3, 3, 0.9, 4)),
            box(2, 1, (16, 3, 4, 4)),
            box(3, 1, (-5, 3, 5, 4)),
            box(4, 1, (-5, 3, 6, 4)),  # one pixel of it is inside
        ]
        counts = labelled(tmp_path, document).box_counts
        assert (counts.tiny, counts.outside) == (1, 2)
        assert "1 narrower than one pixel, 2 outside their image" in str(counts)

    def test_a_file_that_is_mostly_unusable_is_an_error(self, tmp_path):
        document = coco_document(4)
        for annotation in document["annotations"][:3]:
            annotation["bbox"] = [30, 3, 4, 4]
        with pytest.raises(
            ValueError, match=r"3 of its 4 annotations cannot .*outside"
        ):
            labelled(tmp_path, document)
        for annotation in document["annotations"]:
            annotation["bbox"] = [0.1, 0.2, 0.5, 0.75]
        with pytest.raises(ValueError, match=r"boxes lie between 0 and 1.*multiply"):
            labelled(tmp_path, document)

    def test_area_is_not_needed(self, tmp_path):
        document = coco_document(2)
        del document["annotations"][0]["area"]
        document["annotations"][1]["area"] = 0
        assert len(labelled(tmp_path, document)) == 2

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"category_id": 7}, "annotation 101 .*category_id 7, which is not in"),
            ({"id": 102}, "annotation 102 of image 2 has an id that occurs"),
        ],
    )
    def test_annotations_that_point_nowhere(self, tmp_path, change, message):
        document = coco_document()
        document["annotations"][0].update(change)
        with pytest.raises(ValueError, match=message):
            labelled(tmp_path, document)

    def test_annotations_of_absent_images_are_counted(self, tmp_path):
        document = coco_document()
        document["annotations"].append(box(1, 99))
        assert labelled(tmp_path, document).box_counts.unknown_image == 1

    @pytest.mark.parametrize("key", ["width", "file_name"])
    def test_incomplete_image_is_named(self, tmp_path, key):
        document = coco_document()
        write_coco(tmp_path, document)
        del document["images"][2][key]
        (tmp_path / "new.json").write_text(json.dumps(document))
        name = "None" if key == "file_name" else r"0003\.jpg"
        with pytest.raises(
            ValueError, match=rf"new\.json: image number 2 \({name}\) has no {key}"
        ):
            labelled(tmp_path, ann_file="new.json")

    @pytest.mark.parametrize(
        ("part", "message"),
        [
            ({"images": None}, r'new\.json has no list "images"'),
            ({"images": [coco_document()["images"][0]] * 2}, "image id 1 occurs more"),
            ({"categories": []}, r'new\.json: "categories" is empty'),
            (
                {"categories": [{"id": i, "name": "disc"} for i in (1, 2)]},
                "category name 'disc' occurs more than once",
            ),
        ],
    )
    def test_unusable_files(self, tmp_path, part, message):
        write_coco(tmp_path, coco_document())
        (tmp_path / "new.json").write_text(json.dumps({**coco_document(), **part}))
        with pytest.raises(ValueError, match=message):
            labelled(tmp_path, ann_file="new.json")

    def test_no_labelled_image_is_left(self, tmp_path):
        document = coco_document(3, annotations=[])
        with pytest.raises(
            ValueError, match=r"no image of .*train\.json.*3 images, 0 of them.*filter_"
        ):
            labelled(tmp_path, document)
        crowds = [box(i, i, iscrowd=1) for i in (1, 2, 3)]
        with pytest.raises(ValueError, match="no image of"):
            labelled(tmp_path, coco_document(3, annotations=crowds))
        with pytest.raises(ValueError, match="0 images"):
            labelled(tmp_path, coco_document(0), filter_cfg=None)

    def test_unlabelled_json_needs_no_annotations(self, tmp_path):
        document = coco_document(6)
        split = seeded_split(range(1, 7), 50, 1, 0)
        parts = split_documents(document, split)
        write_coco(tmp_path, document)
        for role in ("labelled", "unlabelled"):
            (tmp_path / f"{role}.json").write_text(json.dumps(parts[role]))
        keys = {"data_root": str(tmp_path), "data_prefix": {"img": "img/"}}
        sources = [
            CocoSemiDataset(ann_file=f"{role}.json", **keys)
            for role in ("labelled", "unlabelled")
        ]
        ids = [{s.get_data_info(i)["img_id"] for i in range(3)} for s in sources]
        assert ids == [set(split.labelled), set(split.unlabelled)]
        assert sources[1].get_data_info(0)["instances"] == []
        assert sources[0].metainfo == sources[1].metainfo

    @pytest.mark.parametrize(("choice", "flag"), [("ignore", 1), ("use", 0)])
    def test_difficult_objects(self, tmp_path, choice, flag):
        document = coco_document(1, [box(1, 1), box(2, 1, difficult=1)])
        dataset = labelled(tmp_path, document, difficult=choice)
        flags = [i["ignore_flag"] for i in dataset.get_data_info(0)["instances"]]
        assert flags == [0, flag]

    @pytest.mark.parametrize("keys", [{"on_bad_box": "skip"}, {"difficult": "drop"}])
    def test_unknown_choices_are_errors(self, keys):
        with pytest.raises(ValueError, match=f"CocoSemiDataset: {next(iter(keys))}"):
            CocoSemiDataset(**keys)

    def test_broken_image_in_training_is_replaced_and_counted(self, tmp_path):
        document = coco_document(8)
        pipeline = [{"type": "LoadImage", "on_error": "skip"}]
        dataset = labelled(tmp_path, document, pipeline=pipeline)
        truncate(tmp_path / "img" / "0003.jpg")
        (tmp_path / "img" / "0006.jpg").unlink()
        before = num_skipped_images()
        loader = DataLoader(
            dataset,
            batch_size=4,
            num_workers=1,
            collate_fn=pseudo_collate,
            multiprocessing_context="fork",
        )
        items = [item for batch in loader for item in batch["img_id"]]
        assert len(items) == 8
        assert not {3, 6} & set(items)
        assert num_skipped_images() >= before + 2

    def test_broken_image_in_a_test_is_an_error(self, tmp_path):
        pipeline = [{"type": "LoadImage", "on_error": "skip"}]
        dataset = labelled(tmp_path, pipeline=pipeline, test_mode=True)
        truncate(tmp_path / "img" / "0003.jpg")
        assert dataset[0]["img_id"] == 1
        with pytest.raises(UserError, match=r"0003\.jpg.*must not skip"):
            dataset[2]

    def test_images_all_gone_end_in_an_error(self, tmp_path):
        pipeline = [{"type": "LoadImage", "on_error": "skip"}]
        dataset = labelled(tmp_path, pipeline=pipeline)
        for path in (tmp_path / "img").iterdir():
            path.unlink()
        with pytest.raises(UserError, match="20 images in a row"):
            dataset[0]


class TestImageFolderDataset:
    @pytest.fixture
    def folder(self, tmp_path):
        for number, name in enumerate(
            ("b.jpg", "a.PNG", "deep/er/c.jpeg", ".hidden.jpg", ".git/d.jpg")
        ):
            write_image(tmp_path / "photos" / name, number)
        (tmp_path / "photos" / "notes.txt").write_text("no image")
        return tmp_path

    def build(self, root, **keys):
        keys = {"data_prefix": {"img": "photos"}, **keys}
        return DATASETS.build(
            {"type": "ImageFolderDataset", "data_root": str(root), **keys}
        )

    def ids(self, dataset):
        return [dataset.get_data_info(i)["img_id"] for i in range(len(dataset))]

    def test_images_in_the_order_of_names(self, folder):
        dataset = self.build(folder, pipeline=[{"type": "LoadImage"}])
        assert self.ids(dataset) == ["a.PNG", "b.jpg", "deep/er/c.jpeg"]
        item = dataset[2]
        assert item["img"].shape == (12, 16, 3)
        assert item["img_path"] == str(folder / "photos" / "deep" / "er" / "c.jpeg")
        assert item["instances"] == []

    def test_choices_of_files(self, folder):
        assert self.ids(self.build(folder, recursive=False)) == ["a.PNG", "b.jpg"]
        assert self.ids(self.build(folder, extensions=(".png",))) == ["a.PNG"]

    def test_root_alone_is_enough(self, folder):
        dataset = ImageFolderDataset(data_root=str(folder / "photos"))
        assert len(dataset) == 3

    def test_labelled_images_can_be_left_out(self, folder):
        names = ["b.jpg", "deep/er/c.jpeg"]
        (folder / "names.txt").write_text("\n".join([*names, ""]))
        document = coco_document(2)
        for image, name in zip(document["images"], names, strict=True):
            image["file_name"] = name
        (folder / "train.json").write_text(json.dumps(document))
        for exclude in (names, "names.txt", "train.json"):
            assert self.ids(self.build(folder, exclude=exclude)) == ["a.PNG"]
        with pytest.raises(ValueError, match=r"photos: exclude leaves none of its 3"):
            self.build(folder, exclude=[*names, "a.PNG"])
        with pytest.raises(FileNotFoundError, match=r"none\.txt not found \(exclude"):
            self.build(folder, exclude="none.txt")

    def test_missing_and_empty_folders(self, folder):
        with pytest.raises(FileNotFoundError, match=r"nowhere not found.*data_prefix"):
            self.build(folder, data_prefix={"img": "nowhere"})
        with pytest.raises(ValueError, match=r"photos is empty: .*\.gif"):
            self.build(folder, extensions=[".gif"])
        with pytest.raises(ValueError, match="needs data_root or data_prefix"):
            ImageFolderDataset()

    def test_sizes_are_those_of_the_loaded_image(self, folder):
        turned = Image.new("RGB", (30, 20))
        exif = turned.getexif()
        exif[0x0112] = 6
        turned.save(folder / "photos" / "turned.jpg", exif=exif)
        (folder / "photos" / "broken.jpg").write_bytes(b"no image")
        dataset = self.build(folder, read_sizes=True, pipeline=[{"type": "LoadImage"}])
        assert "broken.jpg" not in self.ids(dataset)
        for item in dataset:
            assert item["img_shape"] == (item["height"], item["width"])
        assert item["img_shape"] == (30, 20)

    def test_circle_of_links_ends(self, folder):
        (folder / "photos" / "deep" / "again").symlink_to(folder / "photos")
        assert len(self.build(folder)) == 3


@TRANSFORMS.register_module()
class _Noise(BaseTransform):
    """Draw from all three generators."""

    def transform(self, results):
        results["noise"] = (
            random.random(),
            np.random.rand(),
            torch.rand(1).item(),
        )
        return results


class TestSeededConcatDataset:
    @pytest.fixture
    def dataset(self, tmp_path):
        pipeline = [{"type": "LoadImage"}, {"type": "_Noise"}]
        write_coco(tmp_path, coco_document(4))
        for number in range(3):
            write_image(tmp_path / "unlabelled" / f"{number}.jpg", number)
        return DATASETS.build(
            {
                "type": "SeededConcatDataset",
                "datasets": [
                    {
                        "type": "CocoSemiDataset",
                        "data_root": str(tmp_path),
                        "ann_file": "train.json",
                        "data_prefix": {"img": "img/"},
                        "pipeline": pipeline,
                    },
                    {
                        "type": "ImageFolderDataset",
                        "data_root": str(tmp_path),
                        "data_prefix": {"img": "unlabelled/"},
                        "pipeline": pipeline,
                    },
                ],
            }
        )

    def test_sources_side_by_side(self, dataset):
        assert len(dataset) == 7
        assert dataset.cumulative_sizes == [4, 7]
        assert [len(source) for source in dataset.datasets] == [4, 3]
        assert dataset[3]["img_id"] == 4
        assert dataset[4]["img_id"] == "0.jpg"

    def test_folder_takes_over_the_classes(self, dataset):
        assert dataset.metainfo["classes"] == CLASSES
        assert dataset.datasets[1].metainfo["classes"] == CLASSES

    def test_item_is_a_function_of_the_draw(self, dataset):
        draws = [DrawIndex(index, 1000 + index) for index in (5, 0, 6, 3, 5)]
        direct = [dataset[draw]["noise"] for draw in draws]
        assert len(set(direct)) == 4  # the same draw twice
        assert direct[0] == direct[4]
        assert dataset[DrawIndex(5, 7)]["noise"] != direct[0]
        reverse = [dataset[draw]["noise"] for draw in reversed(draws)]
        assert reverse[::-1] == direct
        for num_workers in (1, 2):
            loader = DataLoader(
                dataset,
                batch_size=1,
                sampler=draws,
                num_workers=num_workers,
                collate_fn=lambda items: items[0],
                multiprocessing_context="fork",
            )
            assert [item["noise"] for item in loader] == direct

    def test_main_process_keeps_its_randomness(self, dataset):
        def numbers():
            return random.random(), np.random.rand(), torch.rand(1).item()

        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        expected = numbers()
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        assert dataset[DrawIndex(0, 99)] is not None
        assert numbers() == expected

    def test_plain_index_is_not_seeded(self, dataset):
        assert dataset[0]["noise"] != dataset[0]["noise"]

    def test_different_classes_are_an_error(self, tmp_path, dataset):
        other = coco_document(2)
        other["categories"][1]["name"] = "sphere"
        second = labelled(tmp_path / "second", other)
        pattern = (
            r"train\.json and .*second.* different classes: disc, box and disc, sphere"
        )
        with pytest.raises(ValueError, match=pattern):
            SeededConcatDataset([dataset.datasets[0], second])

    def test_unknown_classes_are_an_error(self, tmp_path):
        write_image(tmp_path / "a.jpg")
        with pytest.raises(ValueError, match=r"none of .* knows its classes"):
            SeededConcatDataset([ImageFolderDataset(data_root=str(tmp_path))])
        with pytest.raises(ValueError, match="at least one"):
            SeededConcatDataset([])

    def test_wrapped_sources_are_taken(self, dataset):
        repeat = {"type": "RepeatDataset", "dataset": dataset.datasets[0], "times": 2}
        joined = SeededConcatDataset([repeat, dataset.datasets[1]])
        assert joined.cumulative_sizes == [8, 11]


def test_draw_index_is_an_integer_that_keeps_its_seed():
    draw = DrawIndex(5, seed=8)
    assert draw == 5
    assert [10, 11, 12, 13, 14, 15][draw] == 15
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps([draw], protocol))[0]
        assert (type(again), again, again.seed) == (DrawIndex, 5, 8)
