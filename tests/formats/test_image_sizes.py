"""Sizes of a folder's images are those of the files, and read once."""

from __future__ import annotations

import pytest

from ssod_mm.data.image_folder import ImageFolderDataset
from ssod_mm.formats import image_sizes as module
from ssod_mm.formats.cache import CACHE
from ssod_mm.formats.image_sizes import image_sizes
from tests.data.coco_files import write_image


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two images and a file that is none, where three are many."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "KEPT_FROM", 3)
    root = tmp_path / "images"
    write_image(root / "a.jpg", height=10, width=20)
    write_image(root / "b" / "c.jpg", height=7, width=5)
    (root / "d.jpg").write_text("none")
    return root


NAMES = ["a.jpg", "b/c.jpg", "d.jpg"]


def reads(monkeypatch):
    """Names of the files whose heads are read from now on."""
    names, read = [], module.image_size
    monkeypatch.setattr(
        module, "image_size", lambda path: names.append(path.name) or read(path)
    )
    return names


def test_many_are_read_once(folder, monkeypatch):
    names = reads(monkeypatch)
    first = image_sizes(folder, NAMES)
    assert first["a.jpg"] == [10, 20]
    assert first["b/c.jpg"] == [7, 5]
    assert "cannot identify" in first["d.jpg"]
    assert image_sizes(folder, NAMES) == first
    assert names == ["a.jpg", "c.jpg", "d.jpg"]


def test_a_change_is_seen(folder):
    image_sizes(folder, NAMES)
    write_image(folder / "a.jpg", 3, height=30, width=40)
    assert image_sizes(folder, NAMES)["a.jpg"] == [30, 40]


def test_few_leave_no_file(folder, monkeypatch):
    names = reads(monkeypatch)
    for _ in range(2):
        assert image_sizes(folder, NAMES[:2]) == {"a.jpg": [10, 20], "b/c.jpg": [7, 5]}
    assert names == ["a.jpg", "c.jpg"] * 2
    assert not (folder / CACHE).exists()


def test_without_a_place_they_are_read_each_time(folder, monkeypatch):
    (folder / CACHE).write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "a.jpg"))
    names = reads(monkeypatch)
    assert image_sizes(folder, NAMES) == image_sizes(folder, NAMES)
    assert len(names) == 6


def test_a_data_set_of_a_folder(folder, mmdet_scope):
    for _ in range(2):
        dataset = ImageFolderDataset(
            data_root=str(folder), read_sizes=True, pipeline=[dict(type="LoadImage")]
        )
        infos = [dataset.get_data_info(n) for n in range(len(dataset))]
        found = {info["img_id"]: (info["height"], info["width"]) for info in infos}
        assert found == {"a.jpg": (10, 20), "b/c.jpg": (7, 5)}
    assert len(list((folder / CACHE).glob("sizes-*.json"))) == 1
