"""The one way in which checkpoints are read: safely, checked, named when damaged.

A checkpoint is a pickle, and a pickle may run any program. Files are therefore read
with ``weights_only=True`` and a short list of harmless types that training writes
beside the weights. Importing this module lets mmengine read all its checkpoints in this
way, those of ``load_from``, ``resume`` and ``init_cfg`` included.
"""

from __future__ import annotations

import json
import pickle
import socket
import urllib.error
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import Tensor

from ssod_mm.errors import UserError
from ssod_mm.weights import FOLDER, WEIGHTS, located, torch_cache, weights_name

NETWORK_TIMEOUT_S = 30
# How torch and we say that a file asks for something that is not on the list.
SIGNS_OF_CODE = (
    "unsupported global",
    "allowed global",
    "unsupported class",
    "unrecognized function",
    "getattr of",
)
_TORCHS_ADVICE = ("weights only load", "please file", "check the doc", "(1)", "(2)")
_trusted = False


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The content of a checkpoint file, URL or model name that mmengine knows.

    Args:
        path: a file (``.pth`` or ``.safetensors``), ``https://...``,
            ``torchvision://...`` or ``open-mmlab://...``, or a name of
            :mod:`ssod_mm.weights`.
        map_location: as in ``torch.load``.

    Returns:
        A dict with at least ``state_dict``, which is not empty.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, holds no weights, cannot be fetched, or would run
            code when read in full.
    """
    path = located(path)
    if "://" not in path:
        if not Path(path).exists():
            raise FileNotFoundError(f"there is no checkpoint {path}")
        if not Path(path).is_file():
            raise UserError(f"{path} is no file, so no checkpoint")
    content = mmengine_checkpoint._load_checkpoint(path, map_location)
    return checked_content(content, path)


def checked_content(content: Any, path: str | Path) -> dict[str, Any]:
    """A checkpoint's content with the weights in ``state_dict``.

    Raises:
        ValueError: there are none.
    """
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path} holds a {type(content).__name__}, not the weights of a model"
        )
    state = content.get("state_dict", content)
    if not isinstance(state, Mapping) or not any(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise UserError(f"{path} holds no weights: its state_dict is empty")
    return dict(content) if "state_dict" in content else {"state_dict": state}


def trust_checkpoints(trust: bool) -> None:
    """Whether checkpoints are read in full from now on: only for files of one's own."""
    global _trusted
    _trusted = trust


def _history_method(owner: type, name: str) -> Any:
    """What mmengine's history pickles as ``getattr(HistoryBuffer, "mean")``."""
    if owner is not HistoryBuffer or name.startswith("_"):
        raise pickle.UnpicklingError(f"getattr of {owner!r}, {name!r}")
    return getattr(HistoryBuffer, name)


def _harmless_types() -> list[Any]:
    """What our checkpoints hold besides tensors and plain Python values."""
    core = np._core if hasattr(np, "_core") else np.core
    reconstruct, scalar = core.multiarray._reconstruct, core.multiarray.scalar
    kinds = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "u4", "?")}
    # Files name numpy's functions by the module of the numpy that wrote them.
    modules = ("numpy._core.multiarray", "numpy.core.multiarray")
    return [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *kinds,
        *[(reconstruct, f"{module}._reconstruct") for module in modules],
        *[(scalar, f"{module}.scalar") for module in modules],
        (_history_method, "builtins.getattr"),
    ]


def safe_load(file: Any, map_location: Any = None, weights_only: Any = None) -> Any:
    """``torch.load`` that runs no code of the file, in mmengine's place.

    Args:
        file: path or open file.
        map_location: as in ``torch.load``.
        weights_only: not used: only ``--trust-checkpoint`` reads a file in full.

    Raises:
        ValueError: the file is damaged, or would run code.
    """
    if str(file).endswith(".safetensors"):
        return _read_safetensors(file)
    if _trusted:
        return torch.load(file, map_location=map_location, weights_only=False)
    try:
        with torch.serialization.safe_globals(_harmless_types()):
            return torch.load(file, map_location=map_location, weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file fails in many ways
        text = str(error)
        if any(sign in text.lower() for sign in SIGNS_OF_CODE):
            raise UserError(
                f"{file} holds more than weights ({_first_cause(text)}): reading it "
                "could run any program. If it is a file of your own, add "
                "--trust-checkpoint"
            ) from None
        raise UserError(
            f"{file} is damaged or no checkpoint ({_first_cause(text)}); use an "
            "earlier one"
        ) from None


def _first_cause(text: str) -> str:
    """The part of torch's message that names the cause."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [s for s in lines if s and not s.lower().startswith(_TORCHS_ADVICE)]
    return lines[0][:120] if lines else "it ends too early"


def _read_safetensors(path: str | Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt", device="cpu") as opened:
            meta = json.loads((opened.metadata() or {}).get("meta", "{}"))
            state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path} is damaged or no checkpoint ({error})") from None
    return {"meta": meta, "state_dict": state}


def write_safetensors(path: Path, state: Mapping[str, Tensor], meta: dict) -> None:
    """Write weights as safetensors, which hold no code.

    Args:
        path: the file.
        state: weights by name.
        meta: plain values; ``dataset_meta.classes`` among them.
    """
    from safetensors.torch import save_file

    tensors = {key: value.contiguous().clone() for key, value in state.items()}
    save_file(tensors, str(path), metadata={"meta": json.dumps(meta)})


def fetch_weights(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    **kwargs: Any,
) -> Any:
    """Weights behind a URL, kept in torch's cache, in the place of mmengine's loader.

    Raises:
        ValueError: they are neither in the cache nor can they be fetched; says where to
            put the file.
    """
    named = any(url == weights.url for weights in WEIGHTS.values())
    path = fetched(
        url,
        Path(model_dir or Path(torch.hub.get_dir(), "checkpoints")),
        kwargs.get("file_name") or Path(url.split("?")[0]).name,
        check_hash=named or kwargs.get("check_hash", False),
        progress=progress,
    )
    return safe_load(str(path), map_location)


def fetch_named(text: str) -> None:
    """Fetch the file that a name of weights stands for, where it is not here.

    Raises:
        UserError: as :func:`fetch_weights`.
    """
    url = located(text)
    if weights_name(text) is not None and "://" in url:
        fetched(url, torch_cache(), Path(url).name, check_hash=True)


def fetched(
    url: str, folder: Path, name: str, check_hash: bool, progress: bool = True
) -> Path:
    """The file behind a URL, in a folder, fetched where it is missing there.

    Raises:
        UserError: it cannot be fetched, or is another one than its name says.
    """
    path = folder / name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        checksum = torch.hub.HASH_REGEX.search(name) if check_hash else None
        patience = socket.getdefaulttimeout()
        socket.setdefaulttimeout(NETWORK_TIMEOUT_S)
        try:
            torch.hub.download_url_to_file(
                url, str(path), checksum.group(1) if checksum else None, progress
            )
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            reason = getattr(error, "reason", error)
            raise UserError(
                f"the weights {url} cannot be fetched ({reason}): put the file at "
                f"{path} or in {FOLDER}/, or name your own with --cfg-options "
                "pretrained=FILE (pretrained=none trains without)"
            ) from None
        finally:
            socket.setdefaulttimeout(patience)
    return path


# mmengine reads every checkpoint through these two: local files, URLs and those of
# model zoos, for load_from, resume, init_cfg and published models alike.
mmengine_checkpoint._safe_torch_load = safe_load
mmengine_checkpoint.load_url = fetch_weights
_stock_load = mmengine_checkpoint.CheckpointLoader.load_checkpoint


def _load_silently(filename: str, map_location: Any = None, logger: Any = None) -> Any:
    """Mmengine's loader without its line about backends: who asks names the file."""
    return _stock_load(filename, map_location, "silent")


mmengine_checkpoint.CheckpointLoader.load_checkpoint = staticmethod(_load_silently)
