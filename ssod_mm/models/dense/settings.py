"""Settings of dense teacher guidance, one set per stage."""

from __future__ import annotations

from dataclasses import dataclass

from mmdet.models import BaseDetector
from mmdet.utils import OptConfigType

from ssod_mm.models.heads.quality import SCORE_FACTORS

MODES = ("dense", "sparse", "off")
BOX_TARGETS = ("kept", "own", "none")
BACKGROUNDS = ("partners", "all")
BACKGROUND_NORMS = ("foreground", "all")
LEVELS = ("floor", "nearest")
STAGES = ("rpn", "rcnn", "head")
_TAU = {"rpn": 0.9, "rcnn": 0.45, "head": 0.45}


@dataclass(frozen=True)
class DenseStage:
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

    mode: str = "dense"
    tau: float = 0.45
    iou_thr: float | None = None
    ignore_thr: float | None = None
    kept_by: str = "p"
    box_target: str = "kept"
    cls_weight: float = 1.0
    reg_weight: float = 1.0
    rank_weight: float = 3.0
    temperature: float = 1.0
    background: str = "partners"
    background_weight: float = 1.0
    background_norm: str = "foreground"
    min_foreground: float = 0.01
    max_proposals: int | None = None
    max_background: int | None = None
    base_size: float | None = None
    level: str = "floor"

    @classmethod
    def from_config(cls, cfg: OptConfigType, stage: str) -> DenseStage:
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
        cfg = {"tau": _TAU[stage], **(cfg or {})}
        if cfg["tau"] is None:
            cfg["tau"] = _TAU[stage]
        unknown = sorted(set(cfg) - set(cls.__dataclass_fields__))
        if unknown:
            known = sorted(cls.__dataclass_fields__)
            raise ValueError(f"{key} has unknown key(s) {unknown}; known: {known}.")
        made = cls(**cfg)
        made._check(key)
        return made

    def _check(self, key: str) -> None:
        for name, choices in (
            ("mode", MODES),
            ("box_target", BOX_TARGETS),
            ("background", BACKGROUNDS),
            ("background_norm", BACKGROUND_NORMS),
            ("kept_by", SCORE_FACTORS),
            ("level", LEVELS),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(
                    f"{key}.{name} must be one of {list(choices)}, not {value!r}."
                )
        if not 0 < self.tau < 1:
            raise ValueError(f"{key}.tau must lie in (0, 1), not {self.tau}.")
        if self.ignore_thr is not None and not 0 <= self.ignore_thr <= self.tau:
            raise ValueError(
                f"{key}.ignore_thr must lie in [0, tau = {self.tau}], not "
                f"{self.ignore_thr}; None makes all below tau background."
            )
        if self.iou_thr is not None and not 0 <= self.iou_thr < 1:
            raise ValueError(f"{key}.iou_thr must lie in [0, 1), not {self.iou_thr}.")
        for name in ("temperature", "max_proposals", "max_background", "base_size"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{key}.{name} must be positive, not {value}.")
        weights = [n for n in self.__dataclass_fields__ if n.endswith("_weight")]
        for name in (*weights, "min_foreground"):
            if getattr(self, name) < 0:
                raise ValueError(f"{key}.{name} must not be negative.")


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
        raise ValueError(
            f"model.dense has unknown stage(s) {unknown}; {type(detector).__name__} "
            f"has {list(names)}."
        )
    stages = {n: DenseStage.from_config(cfg.get(n), n) for n in names}
    for name, stage in stages.items():
        if name != "rcnn" and stage.kept_by != "p":
            raise ValueError(
                f"model.dense.{name}.kept_by={stage.kept_by!r} needs a localisation "
                "quality, which only box heads of the R-CNN stage know; set it to 'p'."
            )
        if name != "rcnn" and stage.max_background is not None:
            raise ValueError(
                f"model.dense.{name}.max_background has no use: every anchor's output "
                "is there anyway. Set it in model.dense.rcnn."
            )
    source = stages["rcnn"] if "rcnn" in stages else stages["head"]
    sparse = [n for n, stage in stages.items() if stage.mode == "sparse"]
    if sparse and score_thr < source.tau:
        raise ValueError(
            f"model.semi_train_cfg.score_thr={score_thr} selects the pseudo boxes of "
            f"the sparse stage(s) {sparse} among the teacher's kept boxes and must not "
            f"be below model.dense.{names[-1]}.tau={source.tau}."
        )
    return stages
