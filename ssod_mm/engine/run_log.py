"""A run's log: what a user reads, in place of all that mmengine has to say."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import mmdet
import torch
from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import LoggerHook
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmengine.utils.dl_utils import collect_env

from ssod_mm.engine.class_hook import ClassCountHook
from ssod_mm.version import __version__

ENVIRONMENT = "environment.txt"
FIRST_WEIGHTS = "first_weights.txt"
EARLY = (1, 10)
"""Iterations after the start of a training that are logged beside every n-th."""

_NO_NEWS = (
    "Hooks will be executed in the following order",
    "Distributed training is not used, all SyncBatchNorm",
    "LR is set based on batch size",  # build_runner says it
    "Checkpoints will be saved to",  # the output folder
    "Exp name: ",
    "Evaluating bbox...",  # the results follow by name
    "bbox_mAP_copypaste: ",
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias of',
    "paramwise_options -- ",  # one line for every weight; the config says it in one
)
_NO_NEWS_OF_A_WEIGHT = (
    " is skipped since its requires_grad=False",
    " is skipped since bypass_duplicate=True",
)


_WEIGHTS_HEADING = "Name of parameter - Initialization information"


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line of mmengine tells a user anything."""
    text = record.getMessage()
    return not (text.startswith(_NO_NEWS) or text.endswith(_NO_NEWS_OF_A_WEIGHT))


def ignore_known_warnings() -> None:
    """Leave out warnings about calls inside mmdet, which a user cannot change."""
    for message in (
        "torch.meshgrid: in an upcoming",
        "DeprecationWarning: `num_anchors` is deprecated",  # GFL asks for it
    ):
        warnings.filterwarnings("ignore", message=message)


class NewsFilter:
    """Keeps lines of mmengine that tell a user anything, each once in succession.

    Student and teacher are built alike and would say the same.
    """

    def __init__(self) -> None:
        self._last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is kept."""
        text = record.getMessage()
        if text == self._last or not is_news(record):
            return False
        self._last = text
        return True


@HOOKS.register_module()
class EarlyLoggerHook(LoggerHook):
    """``LoggerHook`` that also logs the first and the tenth iteration after a start.

    A wrong setting then shows within seconds, whatever the interval is.
    """

    _start = 0

    def before_train(self, runner: Runner) -> None:
        """Note where this training starts."""
        super().before_train(runner)
        self._start = runner.iter

    def is_early(self, runner: Runner) -> bool:
        """Whether this iteration is logged beside every n-th."""
        return runner.iter + 1 - self._start in EARLY

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Log, see mmengine."""
        interval = self.interval
        if self.is_early(runner):
            self.interval = 1
        super().after_train_iter(runner, *args, **kwargs)
        self.interval = interval


class TerseRunner(Runner):
    """mmengine's runner that keeps long lists out of the log.

    The config is in the output folder; the environment and how each weight was drawn
    are beside the log.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger, see mmengine; without lines that are no news."""
        logger = super().build_logger(*args, **kwargs)
        if not any(isinstance(known, NewsFilter) for known in logger.filters):
            logger.addFilter(NewsFilter())
        ignore_known_warnings()
        return logger

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load a checkpoint, see mmengine.

        It prints which weights differ. ``ClassCountHook`` has refused those of the
        networks by then; what is left are statistics of a method that begin anew.
        """
        is_checked = any(isinstance(hook, ClassCountHook) for hook in self.hooks)
        is_checked = is_checked and not self.cfg.get("allow_partial_load")
        with contextlib.redirect_stdout(io.StringIO() if is_checked else sys.stdout):
            return super().load_checkpoint(*args, **kwargs)

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register the default hooks, see mmengine; with ``EarlyLoggerHook``."""
        hooks = dict(hooks or {})
        logger = hooks.get("logger", {})
        if (
            isinstance(logger, dict)
            and logger.get("type", "LoggerHook") == "LoggerHook"
        ):
            hooks["logger"] = {**logger, "type": "EarlyLoggerHook"}
        super().register_default_hooks(hooks)

    def dump_config(self) -> None:
        """Save the config: in the output folder, or that of a test beside its log.

        A test may have a run's folder as its own, and options that the run had not.
        """
        if self._train_loop is None:
            name = Path(self.cfg.filename or "config.py").name
            self.cfg.dump(Path(self.log_dir, name))
        else:
            super().dump_config()

    def _init_model_weights(self) -> None:
        """Draw the first weights; how goes to a file, what was logged to the log."""
        files = [h for h in self.logger.handlers if isinstance(h, logging.FileHandler)]
        streams = [handler.stream for handler in files]
        for handler in files:
            handler.stream = io.StringIO()
        try:
            super()._init_model_weights()
        finally:
            for handler, stream in zip(files, streams, strict=True):
                text = handler.stream.getvalue()
                handler.stream = stream
                logged, heading, weights = text.partition(_WEIGHTS_HEADING)
                stream.write(logged)
                if heading:
                    path = Path(self.log_dir, FIRST_WEIGHTS)
                    path.write_text(heading + weights, encoding="utf-8")

    def _log_env(self, env_cfg: dict) -> None:
        """Write the environment to a file, and one line about it to the log."""
        device = "CPU"
        if torch.cuda.is_available():
            device = torch.cuda.get_device_name()
        path = Path(self.log_dir, ENVIRONMENT)
        if is_main_process():
            seen = {**collect_env(), **env_cfg, **self._randomness_cfg}
            lines = "".join(f"{key}: {value}\n" for key, value in seen.items())
            path.write_text(lines, encoding="utf-8")
        self.logger.info(
            f"ssod_mm {__version__}, torch {torch.__version__}, mmdet "
            f"{mmdet.__version__}; {device}, processes: {self._world_size}, seed: "
            f"{self._seed}; more in {path}"
        )
