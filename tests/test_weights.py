"""Weights by name: found in their folders, checked, fetched, or refused in one line."""

from __future__ import annotations

import hashlib
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from mmengine.config import Config
from torch import nn

from ssod_mm import weights
from ssod_mm.checkpoint_files import read_checkpoint
from ssod_mm.checkpoints import CheckedPretrainedInit
from ssod_mm.cli.data_files import check_data_files, named_weights
from ssod_mm.errors import UserError
from ssod_mm.weights import WEIGHTS, Weights, check_weights, located


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """A folder, and the URL under which it is served."""
    folder = tmp_path / "server"
    folder.mkdir()
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.fixture
def tiny(tmp_path, server, monkeypatch):
    """A name whose file is the weights of one layer; returns their content."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch" / "hub"))
    source = tmp_path / "source.pth"
    torch.save({"state_dict": nn.Linear(2, 3).state_dict()}, source)
    content = source.read_bytes()
    letters = hashlib.sha256(content).hexdigest()[:8]
    folder, address = server
    (folder / f"tiny-{letters}.pth").write_bytes(content)
    url = f"{address}/tiny-{letters}.pth"
    monkeypatch.setitem(WEIGHTS, "tiny", Weights(url, "none", ("zoo://tiny",)))
    return content


def test_the_list():
    for name, entry in WEIGHTS.items():
        assert re.search(r"-[0-9a-f]{8}\.pth$", entry.file), name
        assert entry.licence
        for alias in entry.aliases:
            assert weights.weights_name(alias) == name


def test_places_are_searched_in_their_order(tiny):
    file = WEIGHTS["tiny"].file
    assert located("tiny") == located("zoo://tiny") == WEIGHTS["tiny"].url
    for place in (weights.torch_cache() / file, weights.Path("weights", file)):
        place.parent.mkdir(parents=True)
        place.write_bytes(tiny)
        assert located("tiny") == str(place)
    weights.Path("tiny").write_bytes(tiny)
    assert located("tiny") == "tiny"  # a file of that name goes first
    assert located("elsewhere.pth") == "elsewhere.pth"


def test_a_file_under_the_short_name_is_taken_as_it_is(tiny):
    place = weights.Path("weights", "tiny.pth")
    place.parent.mkdir()
    place.write_bytes(b"of one's own")
    assert located("tiny") == str(place)


def test_a_damaged_file_is_refused(tiny):
    place = weights.Path("weights", WEIGHTS["tiny"].file)
    place.parent.mkdir()
    place.write_bytes(tiny[:-1])
    with pytest.raises(UserError, match=r"weights/tiny-.* is damaged: its SHA-256"):
        located("tiny")


def test_a_name_is_fetched_once_and_trains(tiny, monkeypatch):
    layer = nn.Linear(2, 3)
    CheckedPretrainedInit("tiny")(layer)
    state = read_checkpoint("tiny")["state_dict"]
    assert torch.equal(layer.weight, state["weight"])
    cached = weights.torch_cache() / WEIGHTS["tiny"].file
    assert cached.read_bytes() == tiny
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)
    assert torch.equal(read_checkpoint("zoo://tiny")["state_dict"]["bias"], layer.bias)


def test_what_is_fetched_is_checked(tiny, server):
    (server[0] / WEIGHTS["tiny"].file).write_bytes(tiny[:-1])
    with pytest.raises(UserError, match=r"invalid hash.*put the file at .* or in weig"):
        read_checkpoint("tiny")
    assert not (weights.torch_cache() / WEIGHTS["tiny"].file).exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere.pth", "no file of weights nowhere.pth (key); give a file, or one of"),
        ("tiny.pth", "(key); pretrained=tiny finds or fetches that file"),
    ],
)
def test_what_is_not_there_is_one_line(tiny, text, message):
    with pytest.raises(FileNotFoundError) as caught:
        check_weights(text, "key")
    assert message in str(caught.value)
    assert check_weights("tiny", "key") is check_weights("https://x/y", "key") is None


def test_a_config_is_checked_for_its_weights(tiny):
    init = dict(type="Pretrained", checkpoint="nowhere.pth")
    model = dict(parts=[dict(init_cfg=init)], init_cfg=dict(type="Normal"))
    keys = [*named_weights(model, "model")]
    assert keys == [("model.parts.0.init_cfg.checkpoint", "nowhere.pth")]
    with pytest.raises(FileNotFoundError, match=r"model\.parts\.0\.init_cfg\.checkp"):
        check_data_files(Config(dict(model=model)), ("train",))
    check_data_files(Config(dict(model=model)), ("test",))
