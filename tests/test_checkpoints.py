"""Checkpoints are read without running code, and refused in one line when wrong."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from mmengine.runner import load_checkpoint as mmengine_load
from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn

from ssod_mm import checkpoint_files
from ssod_mm.checkpoint_files import (
    fetch_weights,
    read_checkpoint,
    trust_checkpoints,
    write_safetensors,
)
from ssod_mm.checkpoints import (
    CheckedPretrainedInit,
    check_start_weights,
    load_weights,
    stored_classes,
)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def network(width: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))


def saved(path: Path, model: nn.Module | None = None, **content) -> Path:
    state = (model or network()).state_dict()
    torch.save({"meta": {}, "state_dict": state, **content}, path)
    return path


def initialised(path):
    module = BaseModule(init_cfg=dict(type="Pretrained", checkpoint=str(path)))
    module.layers = nn.Linear(3, 2)
    module.init_weights()


WAYS_TO_LOAD = {
    "our loader": read_checkpoint,
    "test, predict, export": lambda path: load_weights(network(), path, "teacher"),
    "load_from and resume": lambda path: _load_checkpoint(str(path), "cpu"),
    "mmengine.load_checkpoint": lambda path: mmengine_load(network(), str(path)),
    "init_cfg": initialised,
    "CheckpointLoader": lambda path: CheckpointLoader.load_checkpoint(str(path)),
}


@pytest.mark.parametrize("way", WAYS_TO_LOAD)
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_no_way_to_load_runs_the_files_code(tmp_path, way, form):
    path = tmp_path / "evil.pth"
    content = {"state_dict": network().state_dict(), "extra": Evil(tmp_path / "hit")}
    torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ValueError, match=r"evil\.pth holds more .*--trust-checkpoint"):
        WAYS_TO_LOAD[way](path)
    assert not (tmp_path / "hit").exists()


def test_a_trusted_file_is_read_in_full(tmp_path):
    path = saved(tmp_path / "own.pth", extra=Evil(tmp_path / "hit"))
    trust_checkpoints(True)
    try:
        read_checkpoint(path)
    finally:
        trust_checkpoints(False)
    assert (tmp_path / "hit").is_dir()


def test_what_training_writes_can_be_read(tmp_path):
    hub = MessageHub.get_instance("checkpoints-test")
    hub.update_scalar("train/loss", np.float32(0.5))
    hub.update_scalar("train/loss", torch.tensor(0.25))
    hub.update_info("keep_ckpt_ids", [1, 2])
    path = saved(
        tmp_path / "a.pth",
        message_hub=hub.state_dict(),
        numbers=[np.float64(0.5), np.int64(3), np.bool_(True), np.arange(3)],
    )
    content = read_checkpoint(path)
    buffer = content["message_hub"]["log_scalars"]["train/loss"]
    assert isinstance(buffer, HistoryBuffer)
    assert buffer.mean(2) == pytest.approx(0.375)
    assert content["numbers"][:3] == [0.5, 3, True]


def test_public_forms_can_be_read(tmp_path):
    """torchvision's plain state dict, old and new, and mmdet's with a config text."""
    state = network().state_dict()
    for form in (True, False):
        path = tmp_path / f"{form}.pth"
        torch.save(state, path, _use_new_zipfile_serialization=form)
        assert set(read_checkpoint(path)["state_dict"]) == set(state)
    meta = dict(CLASSES=("a", "b"), config="model = dict()", mmdet_version="2.0")
    torch.save(dict(state_dict=state, meta=meta), tmp_path / "mmdet.pth")
    assert stored_classes(read_checkpoint(tmp_path / "mmdet.pth")) == ("a", "b")


def test_safetensors_keep_weights_and_classes(tmp_path):
    model = network()
    meta = dict(dataset_meta=dict(classes=("a", "b")))
    write_safetensors(tmp_path / "a.safetensors", model.state_dict(), meta)
    other = network()
    classes = load_weights(other, tmp_path / "a.safetensors", "teacher")
    assert classes == ("a", "b")
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)
    (tmp_path / "b.safetensors").write_bytes(b"not at all")
    with pytest.raises(ValueError, match=r"b\.safetensors is damaged"):
        read_checkpoint(tmp_path / "b.safetensors")


def damage(path: Path, kind: str) -> None:
    data = path.read_bytes()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("<html>404: not found</html>")
    elif kind == "zeros":
        path.write_bytes(bytes(len(data)))
    elif kind == "json":
        path.write_text('{"state_dict": {}}')
    elif kind == "other zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "hello")
    elif kind == "flipped":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes(64) + data[middle + 64 :])
    else:
        path.write_bytes(data[: int(len(data) * float(kind))])


@pytest.mark.parametrize("way", WAYS_TO_LOAD)
@pytest.mark.parametrize(
    "kind",
    [
        *("empty", "text", "zeros", "json", "other zip", "flipped"),
        *("0.1", "0.5", "0.9", "0.99"),
    ],
)
def test_damaged_files_are_named(tmp_path, way, kind):
    path = saved(tmp_path / "a.pth")
    damage(path, kind)
    with pytest.raises(ValueError, match=r"a\.pth is damaged or no checkpoint"):
        WAYS_TO_LOAD[way](path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (dict(state_dict={}, meta={}), "its state_dict is empty"),
        ({}, "its state_dict is empty"),
        ([1, 2], "holds a list"),
        (torch.zeros(3), "holds a Tensor"),
        (dict(state_dict=None), "its state_dict is empty"),
    ],
)
def test_files_without_weights_are_named(tmp_path, content, message):
    torch.save(content, tmp_path / "a.pth")
    for way in ("our loader", "test, predict, export", "init_cfg"):
        with pytest.raises(ValueError, match=message):
            WAYS_TO_LOAD[way](tmp_path / "a.pth")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*a\.pth"):
        read_checkpoint(tmp_path / "a.pth")
    with pytest.raises(ValueError, match="is no file, so no checkpoint"):
        read_checkpoint(tmp_path)


def test_weights_of_another_network_are_refused_with_their_share(tmp_path):
    path = saved(tmp_path / "a.pth", nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 9)))
    message = r"4 of 7 weights .*\(43% fit\), such as 1\.weight, 1\.bias, 1\.running"
    with pytest.raises(ValueError, match=message):
        load_weights(network(), path, "teacher")
    with pytest.raises(ValueError, match=r"43% fit.*allow_partial_load=True"):
        check_start_weights(network(), read_checkpoint(path), path)
    many = nn.Sequential(*[nn.Linear(1, 1) for _ in range(9)])
    with pytest.raises(ValueError, match=r"\(0% fit\)") as error:
        load_weights(many, saved(tmp_path / "b.pth", network(7)), "teacher")
    assert str(error.value).count(".weight") + str(error.value).count(".bias") == 5


def test_pretrained_weights_of_another_network_are_refused(tmp_path):
    path = saved(tmp_path / "a.pth", nn.Sequential(nn.Linear(3, 5)))
    with pytest.raises(ValueError, match=r"init_cfg of Linear.*allow_partial=True"):
        CheckedPretrainedInit(str(path))(nn.Linear(3, 5))
    linear = nn.Linear(3, 5)
    CheckedPretrainedInit(str(path), prefix="0")(linear)
    want = read_checkpoint(path)["state_dict"]["0.weight"]
    assert torch.equal(linear.weight, want)
    CheckedPretrainedInit(str(path), allow_partial=True)(nn.Linear(3, 5))


def test_weights_that_cannot_be_fetched_say_where_to_put_them(tmp_path, monkeypatch):
    url = "http://127.0.0.1:9/r50.pth"  # nobody listens there
    with pytest.raises(ValueError, match=r"r50\.pth cannot be fetched.*put the file"):
        fetch_weights(url, model_dir=str(tmp_path))
    saved(tmp_path / "r50.pth")
    assert fetch_weights(url, model_dir=str(tmp_path))["state_dict"]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(ValueError, match=r"hub/checkpoints/r50\.pth"):
        read_checkpoint(url)


def test_mmengine_still_reads_through_our_loader():
    from mmengine.runner import checkpoint as module

    assert module._safe_torch_load is checkpoint_files.safe_load
    assert module.load_url is checkpoint_files.fetch_weights
    names = module.load_from_local.__code__.co_names
    assert "_safe_torch_load" in names
    assert "load_url" in module.load_from_http.__code__.co_names


def test_history_methods_are_the_only_getattr():
    with pytest.raises(pickle.UnpicklingError):
        checkpoint_files._history_method(HistoryBuffer, "__init__")
    with pytest.raises(pickle.UnpicklingError):
        checkpoint_files._history_method(os, "system")


@pytest.mark.parametrize("way", WAYS_TO_LOAD)
def test_no_line_speaks_of_backends(tmp_path, capfd, way):
    model = nn.Linear(3, 2) if way == "init_cfg" else network()
    state = {f"layers.{k}": v for k, v in model.state_dict().items()}
    path = saved(tmp_path / "a.pth", model)
    if way == "init_cfg":
        torch.save({"meta": {}, "state_dict": state}, path)
    WAYS_TO_LOAD[way](path)
    said = "".join(capfd.readouterr())
    assert "Loads checkpoint by" not in said
