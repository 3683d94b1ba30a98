"""The embedded dataset: same bytes, true boxes, a long tail, no half-written sets."""

from __future__ import annotations

import hashlib
import json
import sys

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from ssod_mm.data.shapes import ShapesSpec, is_complete, make_shapes
from ssod_mm.data.shapes.glyphs import CLASS_PALETTE, CLASSES, glyph_mask
from ssod_mm.data.shapes.paint import (
    FIELDS,
    coat_colours,
    contrasting_colour,
    paint,
)
from ssod_mm.data.shapes.scene import SceneSpec, draw_scene, visible_objects
from ssod_mm.errors import UserError

SMALL = ShapesSpec(num_train=12, num_val=3)


def file_hashes(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("shapes")
    assert make_shapes(root, SMALL, workers=1)
    return root


@pytest.fixture(scope="module")
def scenes():
    spec = SceneSpec()
    return [draw_scene(spec, np.random.default_rng([5, i])) for i in range(150)]


class TestDeterminism:
    def test_same_bytes_with_any_number_of_workers(self, small_set, tmp_path):
        make_shapes(tmp_path, SMALL, workers=2)
        assert file_hashes(tmp_path) == file_hashes(small_set)

    def test_an_image_does_not_depend_on_the_size_of_the_set(self, small_set, tmp_path):
        make_shapes(tmp_path, ShapesSpec(num_train=2, num_val=1), workers=1)
        expected = file_hashes(small_set)
        images = {k: v for k, v in file_hashes(tmp_path).items() if k.endswith("jpg")}
        assert len(images) == 3
        assert images.items() <= expected.items()

    def test_another_seed_gives_other_images(self, small_set, tmp_path):
        make_shapes(tmp_path, ShapesSpec(num_train=2, num_val=1, seed=1), workers=1)
        assert not set(file_hashes(tmp_path).values()) & set(
            file_hashes(small_set).values()
        )

    def test_train_and_val_share_no_image(self, small_set):
        hashes = file_hashes(small_set)
        train = {v for k, v in hashes.items() if k.startswith("train")}
        assert not train & {v for k, v in hashes.items() if k.startswith("val")}


class TestAnnotations:
    def test_json_is_coco_and_agrees_with_the_images(self, small_set):
        coco = COCO(str(small_set / "annotations" / "instances_train.json"))
        assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
        assert len(coco.getImgIds()) == SMALL.num_train
        for record in coco.loadImgs(coco.getImgIds()):
            image = cv2.imread(str(small_set / "train" / record["file_name"]))
            assert image.shape == (record["height"], record["width"], 3)
            annotations = coco.loadAnns(coco.getAnnIds(record["id"]))
            assert 1 <= len(annotations) <= 7
            for annotation in annotations:
                x, y, w, h = annotation["bbox"]
                assert x >= 0
                assert y >= 0
                assert w >= 6
                assert h >= 6
                assert x + w <= record["width"]
                assert y + h <= record["height"]
                assert 0 < annotation["area"] <= w * h

    def test_box_is_the_visible_extent_and_mostly_hidden_objects_have_none(self):
        # Object 0 is 10 x 10 at (2, 3); object 1 covers its columns 6 to 11.
        # Object 2 has 100 pixels, of which 21 can be seen: hidden by 79 %.
        owner = np.full((32, 40), -1, np.int16)
        owner[3:13, 2:12] = 0
        owner[0:20, 6:20] = 1
        owner[25:28, 30:37] = 2
        image = np.zeros((32, 40, 3), np.uint8)
        scene = visible_objects(image, owner, [4, 0, 7], [80, 280, 100], 0.7)
        # 4 of 10 columns are left: x 2..6, which is under 6 px wide: no box.
        np.testing.assert_array_equal(scene.boxes, [[6, 0, 14, 20]])
        owner[3:13, 6:9] = 0
        scene = visible_objects(image, owner, [4, 0, 7], [100, 280, 100], 0.7)
        np.testing.assert_array_equal(scene.boxes, [[2, 3, 7, 10], [6, 0, 14, 20]])
        np.testing.assert_array_equal(scene.labels, [4, 0])
        np.testing.assert_array_equal(scene.areas, [70, 250])
        np.testing.assert_allclose(scene.visibility, [0.7, 250 / 280])

    def test_boxes_lie_where_the_image_changes(self):
        # Same generator state, drawn with and without sensor noise and blur: the
        # boxes belong to the drawing, so the camera must not move them.
        plain = SceneSpec(noise=0, blur_px=0)
        for seed in range(5):
            noisy = draw_scene(SceneSpec(), np.random.default_rng(seed))
            clean = draw_scene(plain, np.random.default_rng(seed))
            np.testing.assert_array_equal(noisy.boxes, clean.boxes)
            assert (noisy.image != clean.image).any()


class TestDifficulty:
    def test_class_frequencies_fall_four_to_one(self, scenes):
        frequencies = SceneSpec().class_frequencies()
        assert frequencies.sum() == pytest.approx(1)
        assert frequencies[0] / frequencies[-1] == pytest.approx(4)
        ratios = frequencies[:-1] / frequencies[1:]
        np.testing.assert_allclose(ratios, ratios[0])
        counts = np.bincount(np.concatenate([s.labels for s in scenes]), minlength=8)
        # 150 images hold about 580 boxes: expected 131 of the first, 33 of the last.
        assert counts[0] > 2 * counts[-1] > 0

    def test_sizes_spread_and_objects_cover_each_other(self, scenes):
        boxes = np.concatenate([scene.boxes for scene in scenes])
        visibility = np.concatenate([scene.visibility for scene in scenes])
        longest = boxes[:, 2:].max(axis=1)
        assert longest.max() <= 82
        # Log-uniform from 20 to 80 px: a quarter under 28 px, a third above 50 px.
        assert (longest <= 28).mean() > 0.15
        assert (longest >= 50).mean() > 0.15
        assert visibility.min() >= 0.4
        assert 0.05 < (visibility < 0.85).mean() < 0.5

    def test_image_sizes_vary(self, scenes):
        assert {scene.image.shape[:2] for scene in scenes} == {
            (128, 160),
            (160, 128),
            (144, 144),
        }


class TestGlyphs:
    @pytest.mark.parametrize("name", CLASSES)
    def test_extent_is_the_asked_size_and_coverage_is_a_fraction(self, name):
        for seed in range(5):
            mask = glyph_mask(name, 40.0, np.random.default_rng(seed))
            assert mask.dtype == np.float32
            assert mask.min() >= 0
            assert mask.max() == 1
            _, _, w, h = cv2.boundingRect((mask > 0.5).astype(np.uint8))
            # Rounded corners may take a little off the tips.
            assert 33 <= max(w, h) <= 41

    def test_only_rings_have_a_hole(self):
        for name in CLASSES:
            mask = glyph_mask(name, 60.0, np.random.default_rng(3))
            solid = (mask > 0.5).astype(np.uint8)
            contours, _ = cv2.findContours(solid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            assert len(contours) == (2 if name == "ring" else 1), name

    def test_every_class_has_its_own_drawing_colour(self):
        assert len(set(CLASS_PALETTE)) == len(CLASSES) == 8


class TestPaint:
    @pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.__name__)
    def test_fields_stay_in_range_and_are_not_flat(self, field):
        for seed in range(4):
            values = field(48, 64, np.random.default_rng(seed))
            assert values.shape == (48, 64)
            assert values.min() >= 0
            assert values.max() <= 1
            assert values.std() > 0.02

    def test_paint_meets_its_colours_at_the_ends_and_between(self):
        colours = np.array([[0, 0, 0], [100, 50, 0], [200, 0, 255]], np.float32)
        painted = paint(np.array([[0.0, 1.0, 0.5]]), colours)
        np.testing.assert_allclose(painted[0, :2], colours[[0, 2]])
        np.testing.assert_allclose(painted[0, 2], colours[1], atol=1)

    def test_object_colour_stands_out(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            behind = rng.uniform(0, 255, 3)
            colour = contrasting_colour(behind, 28.0, rng)
            pair = np.stack([colour, behind])[None].astype(np.float32) / 255
            lab = cv2.cvtColor(pair, cv2.COLOR_BGR2LAB)[0]
            assert np.linalg.norm(lab[0] - lab[1]) > 25

    def test_coats_differ_but_neighbours_share_colours(self):
        coats = [{tuple(colour) for colour in coat_colours(k, 8)} for k in range(8)]
        assert all(len(coat) == 10 for coat in coats)
        assert not coats[0] & coats[4]  # red against cyan
        assert any(coats[k] & coats[(k + 1) % 8] for k in range(8))

    def test_an_object_wears_one_of_the_colours_asked_for(self):
        rng = np.random.default_rng(0)
        coat = np.array([[0, 0, 255], [40, 0, 200]], np.float32)
        for _ in range(10):
            colour = contrasting_colour(np.zeros(3), 20.0, rng, coat)
            # The noise on a colour has a standard deviation of 18.
            assert np.abs(colour - coat).max(axis=1).min() < 90


class TestRegeneration:
    def test_finished_set_is_kept(self, small_set):
        before = {p: p.stat().st_mtime_ns for p in small_set.rglob("*.jpg")}
        assert not make_shapes(small_set, SMALL, workers=1)
        assert {p: p.stat().st_mtime_ns for p in small_set.rglob("*.jpg")} == before

    def test_other_parameters_redraw(self, tmp_path):
        make_shapes(tmp_path, ShapesSpec(num_train=2, num_val=1), workers=1)
        other = ShapesSpec(num_train=1, num_val=1, num_unlabelled=2)
        assert make_shapes(tmp_path, other, workers=1)
        assert is_complete(tmp_path, other)
        assert len(list((tmp_path / "train").iterdir())) == 1
        assert len(list((tmp_path / "unlabelled").iterdir())) == 2

    def test_a_lost_image_redraws(self, tmp_path):
        spec = ShapesSpec(num_train=2, num_val=1)
        make_shapes(tmp_path, spec, workers=1)
        whole = file_hashes(tmp_path)
        (tmp_path / "train" / "000001.jpg").unlink()
        assert make_shapes(tmp_path, spec, workers=1)
        assert file_hashes(tmp_path) == whole

    def test_an_interrupted_set_is_drawn_again(self, small_set, tmp_path):
        def interrupt(part, done, total):
            if part == "val":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_shapes(tmp_path, SMALL, workers=1, progress=interrupt)
        assert not is_complete(tmp_path, SMALL)
        assert make_shapes(tmp_path, SMALL, workers=1)
        assert file_hashes(tmp_path) == file_hashes(small_set)


class TestBadInput:
    def test_a_folder_with_other_files_is_left_alone(self, tmp_path):
        (tmp_path / "train").mkdir()
        (tmp_path / "train" / "mine.jpg").write_text("precious")
        with pytest.raises(ValueError, match="not the shapes dataset"):
            make_shapes(tmp_path, SMALL)
        assert (tmp_path / "train" / "mine.jpg").read_text() == "precious"

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "data").write_text("")
        with pytest.raises(ValueError, match="is a file"):
            make_shapes(tmp_path / "data", SMALL)

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "data").write_text("")
        with pytest.raises(UserError, match="cannot create"):
            make_shapes(tmp_path / "data" / "shapes", SMALL)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (dict(num_train=0), "num_train"),
            (dict(num_val=0), "num_val"),
            (dict(seed=-1), "seed"),
            (dict(jpeg_quality=0), "jpeg_quality"),
        ],
    )
    def test_set_settings(self, settings, message):
        with pytest.raises(ValueError, match=message):
            ShapesSpec(**settings)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (dict(num_objects=(0, 3)), "num_objects"),
            (dict(num_objects=(4, 3)), "num_objects"),
            (dict(object_px=(2.0, 40.0)), "object_px"),
            (dict(object_px=(20.0, 200.0)), "object_px"),
            (dict(tail_ratio=0.5), "tail_ratio"),
            (dict(coat_share=1.5), "coat_share"),
        ],
    )
    def test_scene_settings(self, settings, message):
        with pytest.raises(ValueError, match=message):
            SceneSpec(**settings)

    def test_turns_stay_within_the_limit(self):
        # An unturned square fills its extent up to skew and stretch.
        upright = glyph_mask("square", 60, np.random.default_rng(0), max_turn=0.0)
        turned = [
            glyph_mask("square", 60, np.random.default_rng(seed), max_turn=180.0)
            for seed in range(20)
        ]
        assert (upright > 0.5).mean() > 0.75
        assert min((mask > 0.5).mean() for mask in turned) < 0.65


class TestTool:
    def run(self, monkeypatch, *arguments):
        from tools import make_shapes as tool

        monkeypatch.setattr(sys, "argv", ["make_shapes.py", *map(str, arguments)])
        tool.main()

    def test_writes_set_splits_and_sheet(self, monkeypatch, capsys, tmp_path):
        out, sheet = tmp_path / "set", tmp_path / "sheet.png"
        sizes = ["--num-train", 20, "--num-val", 2, "--workers", 1]
        ratio = ["--percents", 10, "--folds", 1, 2]
        self.run(monkeypatch, "--out", out, *sizes, *ratio, "--sheet", sheet)
        assert "drawing train: 20/20" in capsys.readouterr().out
        assert cv2.imread(str(sheet)).ndim == 3
        semi = out / "annotations" / "semi"
        for fold in (1, 2):
            labelled = json.loads(
                (semi / f"instances_train.{fold}@10.json").read_text()
            )
            assert len(labelled["images"]) == 2
        self.run(monkeypatch, "--out", out, *sizes, *ratio)
        assert "already there, kept" in capsys.readouterr().out

    def test_says_what_is_wrong_in_one_line(self, monkeypatch, capsys, tmp_path):
        (tmp_path / "mine.txt").write_text("")
        with pytest.raises(SystemExit):
            self.run(monkeypatch, "--out", tmp_path)
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert "not the shapes dataset" in message
        assert message.count("\n") == 1
