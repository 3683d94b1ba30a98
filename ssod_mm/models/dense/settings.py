"""Settings of dense teacher guidance, one set per stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmdet.models import BaseDetector
from mmdet.utils import OptConfigType

from ssod_mm.errors import UserError
from ssod_mm.models.heads.quality import SCORE_FACTORS
from ssod_mm.settings import Settings, choice, number, whole

MODES = ("dense", "sparse", "off")
BOX_TARGETS = ("kept", "own", "none")
BACKGROUNDS = ("partners", "all")
BACKGROUND_NORMS = ("foreground", "all")
LEVELS = ("floor", "nearest")
STAGES = ("rpn", "rcnn", "head")
_TAU = {"rpn": 0.9, "rcnn": 0.45, "head": 0.45}


@dataclass(frozen=True)
class DenseStage(Settings):
    """Keys of ``model.dense.rpn``, ``.rcnn`` (two-stage) and ``.head`` (one-stage).

    Attributes:
        mode: ``"dense"``: the teacher's clusters teach; ``"sparse"``: pseudo boxes
            (``semi_train_cfg.score_thr``) and label assignment; ``"off"``: the stage
            learns nothing from unlabelled images.
        tau: least class score of a candidate in the teacher's NMS; others are
            background. None takes 0.9 for the RPN and 0.45 elsewhere.
        iou_thr: of the teacher's NMS; None takes the detector's ``test_cfg``.
        ignore_thr: candidates with a score from here to ``tau`` teach nothing in
            place of background; None, as in the paper, is background.
        kept_by: what ranks the teacher's candidates in NMS, ``"p"``, or with a box
            head that knows a localisation quality v ``"p*v"`` or ``"sqrt(p*v)"``;
            ``tau`` is always compared with p.
        box_target: ``"kept"``: a cluster's candidates learn its kept box; ``"own"``:
            each learns the teacher's box of the same candidate; ``"none"``.
        cls_weight: weight of the classification loss, times the head's own
            ``loss_cls.loss_weight``.
        reg_weight: weight of the box loss.
        rank_weight: beta, weight of rank matching; 0 switches it off.
        temperature: T of rank matching.
        background: of anchors, what is background: ``"partners"``, as in the paper,
            of the teacher's anchors below ``tau``; or ``"all"`` that are no partner of
            a candidate, also those that are no partner at all.
        background_weight: factor on the background part of the classification loss.
        background_norm: the background part is divided by the number of
            ``"foreground"`` candidates, or of ``"all"``.
        min_foreground: least share of all candidates that counts as foreground in
            that division, so that few clusters do not blow up the background part.
        max_proposals: RoIs per image that the teacher hands on, by their objectness;
            None for all that the detector's ``train_cfg.rpn_proposal`` gives.
        max_background: of the R-CNN stage, background RoIs per image that the student
            is trained on, drawn at random and counting for all of the image; None for
            all.
        base_size: S in pixels that chooses the pyramid level of an anchor; None takes
            the smallest anchor of level 0 (32 for the usual anchors, as in the paper),
            or with ``level="nearest"`` the mean one.
        level: how an anchor's size is rounded to a level, ``"floor"`` or
            ``"nearest"``, see :func:`~ssod_mm.maths.anchors.anchor_levels`.
    """

    mode: str = choice("dense", MODES)
    tau: float = number(0.45, above=0, below=1)
    iou_thr: float | None = number(None, at_least=0, below=1, optional=True)
    ignore_thr: float | None = number(None, at_least=0, at_most=1, optional=True)
    kept_by: str = choice("p", SCORE_FACTORS)
    box_target: str = choice("kept", BOX_TARGETS)
    cls_weight: float = number(1.0, at_least=0)
    reg_weight: float = number(1.0, at_least=0)
    rank_weight: float = number(3.0, at_least=0)
    temperature: float = number(1.0, above=0)
    background: str = choice("partners", BACKGROUNDS)
    background_weight: float = number(1.0, at_least=0)
    background_norm: str = choice("foreground", BACKGROUND_NORMS)
    min_foreground: float = number(0.01, at_least=0)
    max_proposals: int | None = whole(None, at_least=1, optional=True)
    max_background: int | None = whole(None, at_least=1, optional=True)
    base_size: float | None = number(None, above=0, optional=True)
    level: str = choice("floor", LEVELS)

    @classmethod
    def for_stage(cls, cfg: OptConfigType, stage: str) -> DenseStage:
        """Checked settings of one stage.

        Args:
            cfg: the dict ``model.dense.<stage>``, or None for the defaults.
            stage: one of ``STAGES``.

        Returns:
            The settings.

        Raises:
            ValueError: for an unknown key or a bad value; names the key.
        """
        key = f"model.dense.{stage}"
        if cfg is None or isinstance(cfg, Mapping):
            cfg = {"tau": None, **(cfg or {})}
            if cfg["tau"] is None:
                cfg["tau"] = _TAU[stage]
        return cls.from_config(cfg, key)

    def check(self, key: str) -> None:
        """Check every value, see :meth:`Settings.check`."""
        super().check(key)
        if self.ignore_thr is not None and self.ignore_thr > self.tau:
            raise UserError(
                f"{key}.ignore_thr must lie in [0, tau = {self.tau}], not "
                f"{self.ignore_thr}; None makes all below tau background."
            )


def stage_settings(
    cfg: OptConfigType, detector: BaseDetector, score_thr: float
) -> dict[str, DenseStage]:
    """Settings of the detector's stages.

    Args:
        cfg: the dict ``model.dense``, or None.
        detector: the student.
        score_thr: ``semi_train_cfg.score_thr``, for sparse stages.

    Returns:
        ``rpn`` and ``rcnn`` of a two-stage detector, ``head`` of a one-stage one.

    Raises:
        ValueError: for a stage that the detector lacks, for a detector that dense
            guidance cannot read, or for settings that contradict each other.
    """
    cfg = dict(cfg or {})
    names = ("rpn", "rcnn") if hasattr(detector, "roi_head") else ("head",)
    unknown = sorted(set(cfg) - set(names))
    if unknown:
        raise UserError(
            f"model.dense has unknown stage(s) {unknown}; {type(detector).__name__} "
            f"has {list(names)}."
        )
    stages = {n: DenseStage.for_stage(cfg.get(n), n) for n in names}
    for name, stage in stages.items():
        if name != "rcnn" and stage.kept_by != "p":
            raise UserError(
                f"model.dense.{name}.kept_by={stage.kept_by!r} needs a localisation "
                "quality, which only box heads of the R-CNN stage know; set it to 'p'."
            )
        if name != "rcnn" and stage.max_background is not None:
            raise UserError(
                f"model.dense.{name}.max_background has no use: every anchor's output "
                "is there anyway. Set it in model.dense.rcnn."
            )
    source = stages["rcnn"] if "rcnn" in stages else stages["head"]
    sparse = [n for n, stage in stages.items() if stage.mode == "sparse"]
    if sparse and score_thr < source.tau:
        raise UserError(
            f"model.semi_train_cfg.score_thr={score_thr} selects the pseudo boxes of "
            f"the sparse stage(s) {sparse} among the teacher's kept boxes and must not "
            f"be below model.dense.{names[-1]}.tau={source.tau}."
        )
    return stages
