import json
import os
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from ssod_mm.apis.inference import load_detector, predict_images
from ssod_mm.apis.predictions import image_files
from tests.tools.semi_checkpoints import CLASSES, call_tool, make_semi_checkpoint


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return make_semi_checkpoint(tmp_path_factory.mktemp("predict"))


@pytest.fixture
def images(trained, tmp_path):
    """Three images, one of them in a folder below, and one that is broken."""
    root = trained[0]
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    for name, target in (("000001", "a.jpg"), ("000002", "below/a.jpg")):
        shutil.copy(root / f"train/{name}.jpg", folder / target)
    cv2.imwrite(str(folder / "c.png"), np.zeros((40, 60, 3), np.uint8))
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def predicted(out):
    return json.loads((out / "predictions.json").read_text())


def test_drawings_and_json_of_a_folder(trained, images, tmp_path, capsys, monkeypatch):
    _, config, weights = trained
    warnings = []
    monkeypatch.setattr(
        "ssod_mm.apis.inference.print_log", lambda text, **_: warnings.append(text)
    )
    out = tmp_path / "out"
    call_tool("predict", config, weights, images, "--out", out, "--score-thr", 0.4)
    content = predicted(out)
    names = [image["file_name"] for image in content["images"]]
    assert names == ["a.jpg", "below/a.jpg", "c.png"]
    assert [c["name"] for c in content["categories"]] == list(CLASSES)
    assert content["annotations"]
    sizes = {image["id"]: image for image in content["images"]}
    for ann in content["annotations"]:
        assert ann["score"] >= 0.4
        x, y, width, height = ann["bbox"]
        assert ann["area"] == pytest.approx(width * height)
        image = sizes[ann["image_id"]]
        assert x >= -0.01
        assert x + width <= image["width"] + 0.01
        assert y + height <= image["height"] + 0.01
    for name in names:
        drawn, source = (cv2.imread(str(d / name)) for d in (out / "drawn", images))
        assert drawn.shape == source.shape
    assert (
        cv2.imread(str(out / "drawn/a.jpg")) != cv2.imread(str(images / "a.jpg"))
    ).any()
    said = capsys.readouterr().out
    (warning,) = warnings
    assert "broken.jpg" in warning
    assert "3 images" in said
    assert "1 images left out" in said


def test_which_and_threshold_change_the_answer(trained, images, tmp_path):
    _, config, weights = trained
    answers = {}
    for name, options in (
        ("teacher", []),
        ("student", ["--which", "student"]),
        ("sure", ["--score-thr", 1]),
    ):
        out = tmp_path / name
        call_tool("predict", config, weights, images / "a.jpg", "--out", out, *options)
        answers[name] = predicted(out)["annotations"]
    assert answers["teacher"]
    assert answers["teacher"] != answers["student"]
    assert answers["sure"] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(images="absent"), "no image or folder absent"),
        (dict(weights="absent.pth"), "no checkpoint absent.pth"),
        (dict(config="absent.py"), "no config absent.py"),
        (dict(options=["--score-thr", "2"]), "--score-thr 2.0"),
    ],
)
def test_mistakes_are_one_line(trained, images, tmp_path, capsys, changes, words):
    call = dict(config=trained[1], weights=trained[2], images=images, options=[])
    call.update(changes)
    with pytest.raises(SystemExit):
        call_tool(
            "predict",
            call["config"],
            call["weights"],
            call["images"],
            "--out",
            tmp_path / "out",
            *call["options"],
        )
    assert words in capsys.readouterr().err


def test_only_broken_images(trained, images, tmp_path, capsys):
    with pytest.raises(SystemExit):
        call_tool(
            "predict", *trained[1:], images / "broken.jpg", "--out", tmp_path / "out"
        )
    assert "none of the 1 images could be read" in capsys.readouterr().err


def test_image_files(images, tmp_path):
    names = [name.as_posix() for _, name in image_files([images])]
    assert names == ["a.jpg", "below/a.jpg", "broken.jpg", "c.png"]
    with pytest.raises(ValueError, match="same output"):
        image_files([images / "a.jpg", images / "below/a.jpg"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no image"):
        image_files([tmp_path / "empty"])


def test_odd_images_are_left_out_named_and_counted(
    trained, images, tmp_path, capsys, monkeypatch
):
    _, config, weights = trained
    warnings = []
    monkeypatch.setattr(
        "ssod_mm.apis.inference.print_log", lambda text, **_: warnings.append(text)
    )
    cv2.imwrite(str(images / "flat.png"), np.zeros((1, 20000, 3), np.uint8))
    cv2.imwrite(str(images / "thin.png"), np.zeros((20000, 1, 3), np.uint8))
    os.mkfifo(images / "pipe.png")
    call_tool("predict", config, weights, images, "--out", tmp_path / "out")
    said = capsys.readouterr().out
    assert {"flat.png", "thin.png", "broken.jpg"} == {
        name for name in ("flat.png", "thin.png", "broken.jpg") if name in str(warnings)
    }
    assert "3 images left out" in said
    assert "teacher: " in said


def test_an_image_is_never_overwritten(trained, images, tmp_path, capsys):
    _, config, weights = trained
    before = (images / "a.jpg").read_bytes()
    shutil.copytree(images, tmp_path / "drawn")
    with pytest.raises(SystemExit):
        call_tool("predict", config, weights, tmp_path / "drawn", "--out", tmp_path)
    assert "would overwrite the image" in capsys.readouterr().err
    assert (tmp_path / "drawn" / "a.jpg").read_bytes() == before


def test_patterns_name_images(trained, images, tmp_path):
    names = [name.name for _, name in image_files([f"{images}/*.jpg"])]
    assert names == ["a.jpg", "broken.jpg"]
    with pytest.raises(FileNotFoundError, match=r"no image or folder .*\*\.gif"):
        image_files([f"{images}/*.gif"])


def test_every_frame_of_a_video_is_an_image(trained, images, tmp_path, capsys):
    _, config, weights = trained
    clip = tmp_path / "clip.avi"
    picture = cv2.imread(str(images / "a.jpg"))
    height, width = picture.shape[:2]
    code = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(clip), code, 10, (width, height))
    for _ in range(3):
        writer.write(picture)
    writer.release()
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    sources = clip, tmp_path / "broken.mp4"
    out = tmp_path / "out"
    call_tool("predict", config, weights, *sources, "--out", out, "--score-thr", 0.1)
    content = predicted(out)
    names = [image["file_name"] for image in content["images"]]
    assert names == [f"clip.avi/00000{number}" for number in (1, 2, 3)]
    assert {image["width"] for image in content["images"]} == {width}
    assert {a["image_id"] for a in content["annotations"]} == {1, 2, 3}
    drawn = cv2.VideoCapture(str(out / "drawn" / "clip.mp4"))
    frames = [drawn.read()[1] for _ in range(3)]
    assert all(frame.shape == picture.shape for frame in frames)
    assert np.abs(frames[0].astype(int) - picture).max() > 100  # boxes
    assert "1 images left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_a_failing_device_is_not_an_image_left_out(trained, images, error):
    _, config, weights = trained
    cfg = Config.fromfile(str(config))
    model = load_detector(cfg, weights, "teacher", "cpu")

    def fail(batch):
        raise error

    model.test_step = fail
    with pytest.raises(RuntimeError, match=str(error)[:20]):
        list(predict_images(model, cfg, [images / "a.jpg"]))


def test_a_picture_is_predicted_like_its_file(trained, images):
    _, config, weights = trained
    cfg = Config.fromfile(str(config))
    model = load_detector(cfg, weights, "teacher", "cpu")
    path = images / "a.jpg"
    of_file, of_picture = predict_images(model, cfg, [path, cv2.imread(str(path))])
    assert len(of_file.pred_instances)
    assert torch.equal(of_file.pred_instances.bboxes, of_picture.pred_instances.bboxes)
