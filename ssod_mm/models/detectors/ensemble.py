"""Several detectors that answer as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.ops import batched_nms
from mmdet.models import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample, SampleList
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ssod_mm.checkpoints import load_weights
from ssod_mm.errors import UserError
from ssod_mm.maths.ensembles import mean_over_members, member_matches


@MODELS.register_module()
class EnsembleDetector(BaseDetector):
    """Detectors of one kind with weights of their own, whose detections are merged.

    All boxes together pass NMS per class; a kept box gets the mean of the detectors'
    scores for it, those of a detector that does not find the object being 0: what one
    of them is sure of and the other does not see is half as sure.

    Deviation: the certainty-aware paper (table 4) only says that the ensemble of two
    detectors labels the images and is evaluated.

    It predicts; its members are trained each for itself.

    Args:
        detector: config of each member.
        num_members: how many; may be left out with ``checkpoints``.
        checkpoints: a file of weights for each member, loaded when a training that
            holds the ensemble starts; of a file with teacher and student, ``which``.
        which: "teacher" or "student".
        iou_thr: boxes of a class with a larger IoU are one object.
        max_per_img: most detections of an image.
        data_preprocessor: as in mmdet's detectors.
        init_cfg: initialisation config.

    Raises:
        ValueError: neither number nor checkpoints, or both and they disagree.
    """

    def __init__(
        self,
        detector: ConfigType,
        num_members: int | None = None,
        checkpoints: Sequence[str] | None = None,
        which: str = "student",
        iou_thr: float = 0.5,
        max_per_img: int = 100,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        count = len(checkpoints) if num_members is None and checkpoints else num_members
        if not count or (checkpoints and len(checkpoints) != count):
            raise UserError(
                "EnsembleDetector needs num_members of at least 1, or a file of "
                f"weights for each in checkpoints; it has num_members={num_members} "
                f"and checkpoints={checkpoints}."
            )
        self.members = nn.ModuleList(MODELS.build(detector) for _ in range(count))
        self.checkpoints = tuple(checkpoints or ())
        self.which = which
        self.iou_thr = iou_thr
        self.max_per_img = max_per_img

    def init_weights(self) -> None:
        """Initialise, then load the members' own weights where they are named.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            ValueError: the weights are those of another detector.
        """
        super().init_weights()
        for member, checkpoint in zip(self.members, self.checkpoints, strict=False):
            load_member(member, checkpoint, self.which)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Joint detections.

        Args:
            batch_inputs: images (B, 3, H, W).
            batch_data_samples: their data samples.
            rescale: whether boxes are wanted in the original images.

        Returns:
            The data samples with ``pred_instances``.
        """
        answers = []
        for member in self.members:
            bare = [DetDataSample(metainfo=s.metainfo) for s in batch_data_samples]
            results = member.predict(batch_inputs, bare, rescale=rescale)
            answers.append([result.pred_instances for result in results])
        merged = [
            merge_detections(list(of_image), self.iou_thr, self.max_per_img)
            for of_image in zip(*answers, strict=True)
        ]
        return self.add_pred_to_datasample(batch_data_samples, merged)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict:
        """Refuse: the members are trained each for itself."""
        raise UserError(
            "EnsembleDetector only predicts: train its members each for itself and "
            "name their weights in checkpoints."
        )

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: SampleList | None = None
    ) -> tuple:
        """Raw outputs of every member."""
        return tuple(m._forward(batch_inputs, batch_data_samples) for m in self.members)

    def extract_feat(self, batch_inputs: Tensor) -> tuple:
        """Features of every member."""
        return tuple(member.extract_feat(batch_inputs) for member in self.members)


def load_member(member: nn.Module, checkpoint: str, which: str) -> None:
    """Fill a detector from a checkpoint of its own or of a teacher and a student.

    Args:
        member: the detector.
        checkpoint: file or URL.
        which: "teacher" or "student", where the file holds both.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the weights are those of another detector.
    """
    load_weights(member, checkpoint, which)


def merge_detections(
    answers: list[InstanceData], iou_thr: float, max_per_img: int
) -> InstanceData:
    """Joint detections of one image, see :class:`EnsembleDetector`.

    Args:
        answers: each detector's ``bboxes``, ``labels``, ``scores`` and, with all or
            none of them, ``cls_scores`` and ``loc_scores``.
        iou_thr: boxes of a class with a larger IoU are one object.
        max_per_img: most detections.

    Returns:
        Detections by falling score: ``scores`` and ``cls_scores`` are means over all
        detectors, ``loc_scores`` over those that found the object.
    """
    counts = [len(answer) for answer in answers]
    boxes = torch.cat([answer.bboxes.float() for answer in answers])
    labels = torch.cat([answer.labels for answer in answers])
    extra = [
        key
        for key in ("cls_scores", "loc_scores")
        if all(key in answer for answer in answers if len(answer))
    ]
    values = {
        key: torch.cat([answer[key].float() for answer in answers if len(answer)])
        if len(boxes)
        else boxes.new_zeros(0)
        for key in ("scores", *extra)
    }
    if len(boxes) == 0:
        return InstanceData(bboxes=boxes, labels=labels, **values)
    members = torch.arange(len(answers), device=boxes.device).repeat_interleave(
        torch.tensor(counts, device=boxes.device), output_size=sum(counts)
    )
    nms = dict(type="nms", iou_threshold=iou_thr)
    _, keep = batched_nms(boxes, values["scores"], labels, nms)
    index, matched = member_matches(
        bbox_overlaps(boxes[keep], boxes),
        labels[keep, None] == labels,
        values["scores"],
        members,
        len(answers),
        iou_thr,
    )
    merged = InstanceData(bboxes=boxes[keep], labels=labels[keep])
    for key, value in values.items():
        merged[key] = mean_over_members(value, index, matched, key != "loc_scores")
    return merged[merged.scores.argsort(descending=True)[:max_per_img]]
