"""Checkpoints survive a kill at every moment of every write."""

from __future__ import annotations

import builtins
import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import save_checkpoint

from ssod_mm.checkpoint_files import read_checkpoint
from ssod_mm.durable import write_durably
from ssod_mm.engine import runtime
from ssod_mm.engine.checkpoint_hook import DurableCheckpointHook, newest_checkpoint
from ssod_mm.reporting.records import RunRecord, read_record

KEY = "coco/bbox_mAP"


class FakeHub:
    def __init__(self) -> None:
        self.runtime_info: dict = {}

    def update_info(self, key, value):
        self.runtime_info[key] = value

    def get_info(self, key, default=None):
        return self.runtime_info.get(key, default)


class FakeRunner:
    """What the hook needs of a runner; its checkpoints hold the iteration."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = str(work_dir)
        self.message_hub = FakeHub()
        self.logger = SimpleNamespace(info=lambda text: None, warning=print)
        self.iter, self.epoch, self.max_iters = 0, 0, 10

    def save_checkpoint(self, out_dir, filename, *args, meta, **kwargs):
        content = dict(
            state_dict={"weight": torch.full((50,), float(meta["iter"]))},
            meta=meta,
            optimizer={},
            message_hub=dict(self.message_hub.runtime_info),
        )
        save_checkpoint(content, os.path.join(out_dir, filename))


def hook_of(runner, keep):
    hook = DurableCheckpointHook(
        interval=1, by_epoch=False, max_keep_ckpts=keep, save_best=KEY, rule="greater"
    )
    hook.before_train(runner)
    return hook


def train(work_dir, keep=1, steps=4, resumed=None):
    """Iterations with a checkpoint and a better validation each."""
    runner = FakeRunner(work_dir)
    if resumed is not None:
        content = read_checkpoint(resumed)
        runner.message_hub.runtime_info = dict(content["message_hub"])
        runner.iter = content["meta"]["iter"]
    hook = hook_of(runner, keep)
    for iteration in range(runner.iter, runner.iter + steps):
        runner.iter = iteration
        hook._save_checkpoint(runner)
        runner.iter = iteration + 1
        hook._save_best_checkpoint(runner, {KEY: 0.1 * runner.iter})


def killed_at(moment: int, work) -> bool:
    """Run ``work`` in a child that dies at its n-th system call; whether it did."""
    child = os.fork()
    if child == 0:
        left = [moment]

        def deadly(call):
            def wrapped(*args, **kwargs):
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return call(*args, **kwargs)

            return wrapped

        for name in ("fsync", "replace", "remove", "unlink", "open"):
            setattr(os, name, deadly(getattr(os, name)))
        stock_open = builtins.open

        def half_written(file, mode="r", *args, **kwargs):
            opened = stock_open(file, mode, *args, **kwargs)
            if "w" in mode:
                opened.write = _half(opened.write, left)
            return opened

        Path.open = lambda self, mode="r", **kwargs: _Half(
            stock_open(self, mode, **kwargs), left
        )
        builtins.open = half_written
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def _half(write, left):
    def wrapped(data):
        if left[0] == 0:
            write(data[: len(data) // 2])
            os._exit(9)
        left[0] -= 1
        return write(data)

    return wrapped


class _Half:
    """A file whose process dies in the middle of a write."""

    def __init__(self, file, left) -> None:
        self.file, self.left = file, left

    def write(self, data):
        if self.left[0] == 0:
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            os._exit(9)
        self.left[0] -= 1
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("keep", [1, 2])
def test_no_moment_loses_the_newest_or_the_best_checkpoint(tmp_path, keep):
    base = tmp_path / "base"
    train(base, keep, steps=2)
    kills = 0
    while True:
        folder = tmp_path / f"kill{kills}"
        shutil.copytree(base, folder)
        start = newest_checkpoint(folder)
        assert start.name == "iter_2.pth"
        dead = killed_at(kills, lambda f=folder, s=start: train(f, keep, 1, s))
        for path in folder.glob("*.pth"):
            read_checkpoint(path)  # whatever has its final name is whole
        newest = newest_checkpoint(folder)
        assert read_checkpoint(newest)["meta"]["iter"] >= 2
        assert list(folder.glob("best_*.pth"))
        # A run that goes on from there ends as one that was never killed.
        train(folder, keep, 4 - read_checkpoint(newest)["meta"]["iter"], newest)
        names = {path.name for path in folder.glob("*.pth")}
        assert {"iter_4.pth", "best_coco_bbox_mAP_iter_4.pth"} <= names
        assert (folder / "last_checkpoint").read_text() == "iter_4.pth\n"
        shutil.rmtree(folder)
        if not dead:
            break
        kills += 1
    assert kills >= 20


def test_the_old_record_stays_until_the_new_one_is_whole(tmp_path):
    record = RunRecord(name="a", config_sha256="0" * 64)
    path = tmp_path / "record.json"
    record.write(path)
    record.max_iters = 7
    kills = 0
    while killed_at(kills, lambda: record.write(path)):
        assert read_record(path).max_iters != 7 or kills > 2
        kills += 1
    assert read_record(path).max_iters == 7
    assert kills >= 3


def test_without_kills_files_are_few_and_names_relative(tmp_path):
    train(tmp_path, keep=2, steps=5)
    names = sorted(path.name for path in tmp_path.iterdir())
    best = "best_coco_bbox_mAP_iter_5.pth"
    assert names == [best, "iter_4.pth", "iter_5.pth", "last_checkpoint"]
    infos = read_checkpoint(tmp_path / "iter_5.pth")["message_hub"]
    assert infos["best_ckpt"] == best
    assert infos["last_ckpt"] == "iter_5.pth"
    assert infos["keep_ckpt_ids"] == [4, 5]


def test_a_copied_folder_leaves_the_original_alone(tmp_path):
    train(tmp_path / "a", steps=2)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    before = {path.name for path in (tmp_path / "a").iterdir()}
    start = newest_checkpoint(tmp_path / "b")
    assert start.parent == tmp_path / "b"
    train(tmp_path / "b", steps=2, resumed=start)
    assert {path.name for path in (tmp_path / "a").iterdir()} == before
    assert (tmp_path / "b" / "iter_4.pth").is_file()


@pytest.mark.parametrize("pointer", [None, "", "/nowhere/iter_9.pth", "\0\0", "folder"])
def test_resume_does_not_need_the_pointer(tmp_path, pointer):
    train(tmp_path, keep=3, steps=3)
    (tmp_path / "last_checkpoint").unlink()
    if pointer == "folder":
        (tmp_path / "last_checkpoint").mkdir()
    elif pointer is not None:
        (tmp_path / "last_checkpoint").write_text(pointer)
    cfg = Config(dict(work_dir=str(tmp_path), resume=True, load_from=None))
    runtime._choose_checkpoint(cfg)
    assert cfg.resume
    assert cfg.load_from == str(tmp_path / "iter_3.pth")


def test_resume_takes_the_newest_that_reads_and_names_the_others(tmp_path, caplog):
    train(tmp_path, keep=3, steps=3)
    data = (tmp_path / "iter_3.pth").read_bytes()
    (tmp_path / "iter_3.pth").write_bytes(data[:1000])
    (tmp_path / "iter_9.pth").write_bytes(b"")
    (tmp_path / "iter_x.pth").write_bytes(b"")
    assert newest_checkpoint(tmp_path).name == "iter_2.pth"
    for number in (1, 2):
        (tmp_path / f"iter_{number}.pth").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"none of the 4 checkpoints in .*iter_9\.pth"):
        newest_checkpoint(tmp_path)
    assert newest_checkpoint(tmp_path / "empty") is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch, code):
    path = tmp_path / "a.txt"
    write_durably(path, "old")

    def full(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as error:  # noqa: PT011
        write_durably(path, "new")
    assert error.value.filename == str(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
