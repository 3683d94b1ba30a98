"""Operations and waits of a training step, by phase and by place."""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Step = Callable[[], None]
_PACKAGES = ("ssod_mm", "mmdet", "mmcv", "mmengine")
# What reads numbers that lie on the host, with CUDA too: counters of steps and sizes of
# images. mmdet's focal loss reads labels on a CPU alone.
_ON_THE_HOST = (
    *("/torch/optim/", "/mmengine/model/utils.py"),
    "/mmdet/models/losses/focal_loss.py",
)
# Operations whose result a GPU's host must have before it can go on.
_WAITS = {
    *("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim"),
    *("unique_consecutive", "bincount", "equal", "is_nonzero"),
}
# What is done otherwise on a CPU than on a GPU, and what it says on a GPU.
_AS_ON_A_GPU = {
    "ssod_mm.models.batched.proposals.in_one_call": True,
    "ssod_mm.models.batched.roi_levels.pooled_as_rows": False,
}
_BY_INDEX = ("index", "index_put", "index_put_", "_index_put_impl_")


def wait_for_device() -> None:
    """Let the host wait until the device has done all that was started."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def call_site() -> tuple[str, str] | None:
    """Where Python is: file and line of the innermost package, and of this one.

    None where only numbers of the host are read.
    """
    inner, frame = "", sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not inner and any(place in path for place in _ON_THE_HOST):
            return None
        for package in _PACKAGES:
            _, separator, rest = path.rpartition(f"/{package}/")
            if not separator or rest.startswith("apis/"):
                continue
            place = f"{package}/{rest}:{frame.f_lineno}"
            inner = inner or place
            if package == "ssod_mm":
                return inner, place
        frame = frame.f_back
    return inner, ""


class Phases:
    """Costs by phase, each without what phases inside it cost.

    Attributes:
        seconds: by phase; the device is waited for at each border if ``timed``.
        calls: how often each phase began.
        operations: operations that are no views, about one kernel each.
        waits: times that the host waits for the device.
        sites: the same by place, see :func:`call_site`.
    """

    def __init__(self, timed: bool = False) -> None:
        self.timed = timed
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.operations: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.sites: Counter[tuple[str, str]] = Counter()
        self._stack = ["rest"]
        self._last = 0.0

    @property
    def current(self) -> str:
        """The phase that is running."""
        return self._stack[-1]

    def add_wait(self, times: int = 1) -> None:
        """Note that the host waits here."""
        site = call_site()
        if site is not None:
            self.waits[self.current] += times
            self.sites[site] += times

    def _mark(self) -> None:
        if self.timed:
            wait_for_device()
        now = time.perf_counter()
        if self._last:
            self.seconds[self.current] += now - self._last
        self._last = now

    def begin(self, name: str) -> None:
        """Enter a phase."""
        self._mark()
        self._stack.append(name)
        self.calls[name] += 1

    def end(self) -> None:
        """Leave the phase."""
        self._mark()
        self._stack.pop()

    def run(self, step: Step) -> None:
        """Do a step; what is in no phase is the rest."""
        self._last = 0.0
        self._mark()
        step()
        self._mark()

    @contextmanager
    def watching(self, parts: Mapping[str, tuple[Any, str | None]]) -> Iterator[None]:
        """Count calls of some objects' methods as phases.

        Args:
            parts: for each phase an object and the name of its method; None for the
                calls of a module itself.
        """
        with ExitStack() as stack:
            for name, (owner, method) in parts.items():
                if method is not None:
                    call = self._as_phase(name, getattr(owner, method))
                    stack.enter_context(patch.object(owner, method, call))
                    continue
                before = owner.register_forward_pre_hook(
                    lambda _module, _args, name=name: self.begin(name)
                )
                after = owner.register_forward_hook(
                    lambda _module, _args, _output: self.end(), always_call=True
                )
                stack.callback(before.remove)
                stack.callback(after.remove)
            yield

    def _as_phase(self, name: str, method: Callable) -> Callable:
        def run(*args: Any, **kwargs: Any) -> Any:
            self.begin(name)
            try:
                return method(*args, **kwargs)
            finally:
                self.end()

        return run


class CountedOperations(TorchDispatchMode):
    """Counts operations, and those for which a GPU's host would wait, by phase.

    Batched heads call NMS and RoIAlign as they do on a GPU.

    Args:
        phases: where they are noted.
    """

    def __init__(self, phases: Phases) -> None:
        super().__init__()
        self.phases = phases
        self._fetches = ExitStack()

    def __enter__(self) -> CountedOperations:
        for name in ("tolist", "cpu"):
            fetch = self._as_wait(getattr(Tensor, name))
            self._fetches.enter_context(patch.object(Tensor, name, fetch))
        for name, answer in _AS_ON_A_GPU.items():
            on_a_gpu = patch(name, return_value=answer)
            self._fetches.enter_context(on_a_gpu)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        self._fetches.close()
        super().__exit__(*error)

    def _as_wait(self, fetch: Callable) -> Callable:
        def fetched(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            self.phases.add_wait()
            return fetch(tensor, *args, **kwargs)

        return fetched

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        self.phases.operations[self.phases.current] += not func.is_view
        waits = int(name in _WAITS)
        if name in _BY_INDEX:
            masks = [i for i in args[1] if i is not None and i.dtype == torch.bool]
            constant = name != "index" and args[2].numel() == 1
            waits = 0 if constant else len(masks)
        if waits:
            self.phases.add_wait(waits)
        return func(*args, **(kwargs or {}))


@contextmanager
def noted_waits(phases: Phases) -> Iterator[None]:
    """Note each wait for a CUDA device that PyTorch warns of."""

    def note(message: Any, *_args: Any, **_kwargs: Any) -> None:
        if "synchronizing CUDA operation" in str(message):
            phases.add_wait()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with patch("warnings.showwarning", note):
            torch.cuda.set_sync_debug_mode("warn")
            try:
                yield
            finally:
                torch.cuda.set_sync_debug_mode("default")
