"""The mean-teacher frame: supervised loss, teacher guidance, student loss.

A method overrides :meth:`MeanTeacher.teacher_guidance` (what the teacher says about
the weak views) and :meth:`MeanTeacher.guided_loss` (how the student learns from it on
the strong views); the frame owns burn-in, the weight alpha and its ramp, what happens
to batches without pseudo labels, the geometry between the views and the shared backbone
pass. As it stands the class is the plain pseudo-label baseline for any mmdet detector
with ``loss`` and ``predict``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from mmdet.models.detectors.semi_base import SemiBaseDetector
from mmdet.models.utils import rename_loss_dict
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample, SampleList
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from ssod_mm.errors import UserError
from ssod_mm.models.batched import batch_heads
from ssod_mm.models.batched.padding import uploaded
from ssod_mm.models.batched.parts import heads_of_parts
from ssod_mm.models.class_balance import build_class_balance
from ssod_mm.models.detectors.semi_settings import SemiTrainConfig, scaled_losses
from ssod_mm.models.features import (
    BatchFeatures,
    Features,
    SharedSamples,
    anchor_head,
    joint_canvas,
    joint_features,
    on_canvas,
    passes_by_size,
    use_features,
)
from ssod_mm.models.geometry import ViewMap
from ssod_mm.models.graph import (
    anchor_empty_losses,
    averages_over_processes,
    zero_through_parameters,
)
from ssod_mm.models.halves import Halves
from ssod_mm.models.heads.answers import tells_pseudo_labels
from ssod_mm.models.mixed_views import MixedViews, mixed_labelled
from ssod_mm.models.mixing import Mixing
from ssod_mm.models.preprocessor import prepare_views
from ssod_mm.models.pseudo_labels import (
    above_threshold,
    detections,
    pseudo_labelled,
    teaching_stats,
)
from ssod_mm.models.roi_losses import (
    RoILoss,
    pseudo_label_loss,
    roi_losses,
)
from ssod_mm.models.size_groups import sizes_in
from ssod_mm.models.streams import SideStream
from ssod_mm.structures import GuidedLosses, PseudoBoxes, TeachingStep


@MODELS.register_module()
class MeanTeacher(SemiBaseDetector):
    """Plain pseudo labels from a mean teacher, and the frame for other methods.

    Args:
        detector: config of the detector that teacher and student are.
        semi_train_cfg: see :class:`SemiTrainConfig`; None takes its defaults.
        semi_test_cfg: ``predict_on``, ``"teacher"`` (default) or ``"student"``.
        data_preprocessor: an mmdet ``MultiBranchDataPreprocessor``.
        init_cfg: initialisation config.
        class_balance: thresholds and loss weights of each class in place of one
            ``score_thr``, see :class:`ClassBalance`; None does without.
        mixing: mosaics and mixup of the images that the student learns from, see
            :class:`Mixing`; None does without.
        batched_heads: let the detector's heads treat all images of a batch at once
            (see :func:`batch_heads`): the same losses and detections in a fraction of
            the operations. False keeps mmdet's own.

    Attributes:
        iteration: 0-based training iteration, set by ``MeanTeacherEMAHook``.
        last_step: the latest :class:`TeachingStep`, for hooks; None in burn-in.
        keeps_images: whether ``last_step`` keeps the images of the next iteration;
            whoever draws them sets it before each one.
        wants_figures: whether losses come with figures that take many operations;
            ``LossInfoHook`` says so before each iteration, true where it is logged.
    """

    groups_by_size = True
    """Whether images of like size may share a pass, whatever their half of the batch.

    A method that reads the maps of the anchor head itself says False: beyond the
    images of a group they hold no prediction.
    """

    def __init__(
        self,
        detector: ConfigType,
        semi_train_cfg: OptConfigType = None,
        semi_test_cfg: OptConfigType = None,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
        class_balance: OptConfigType = None,
        mixing: OptConfigType = None,
        batched_heads: bool = True,
    ) -> None:
        settings = SemiTrainConfig.from_config(semi_train_cfg)
        # mmdet's own constructor builds both detectors from one config, which the
        # DETRs change while they are built.
        super(SemiBaseDetector, self).__init__(
            data_preprocessor=data_preprocessor, init_cfg=init_cfg
        )
        self.student, self.teacher = (
            MODELS.build(copy.deepcopy(detector)) for _ in range(2)
        )
        self.semi_train_cfg = semi_train_cfg or {}
        self.semi_test_cfg = semi_test_cfg or {"predict_on": "teacher"}
        if self.semi_train_cfg.get("freeze_teacher", True) is True:
            self.freeze(self.teacher)
        prepare_views(self.data_preprocessor)
        if batched_heads:
            batch_heads(self)
        self.settings = settings
        self.mixing = Mixing.from_config(mixing)
        self.class_balance = None
        if class_balance is not None:
            self.class_balance = build_class_balance(
                class_balance, self.student, settings.score_thr
            )
        self.iteration = 0
        self.last_step: TeachingStep | None = None
        self.keeps_images = False
        self.wants_figures = True
        self._halves: Halves | None = None
        self._stream: SideStream | None = None
        self.needs_whole_batches = averages_over_processes(self.student)

    @property
    def num_guided_parts(self) -> int:
        """How many parts :meth:`guided_loss` gives."""
        return 1

    def train(self, mode: bool = True) -> nn.Module:
        """Set the student's mode; the teacher always stays in eval mode.

        Args:
            mode: train (true) or eval.

        Returns:
            The module itself.
        """
        super().train(mode)
        self.teacher.eval()
        return self

    def loss(
        self,
        multi_batch_inputs: dict[str, Tensor],
        multi_batch_data_samples: dict[str, SampleList],
    ) -> dict[str, Tensor]:
        """Losses of one step: labelled, and after burn-in unlabelled ones.

        Args:
            multi_batch_inputs: image batches (B, 3, H, W) of the branches ``sup``,
                ``unsup_teacher`` and ``unsup_student``; a branch without images in
                this batch is left out.
            multi_batch_data_samples: their data samples, in the same order.

        Returns:
            ``sup_*`` and ``unsup_*`` losses, and diagnostics without ``loss`` in
            their names.

        Raises:
            ValueError: the batch lacks a branch, and the other processes would wait
                for ever for this one's part in a loss that they average.
        """
        inputs, samples = multi_batch_inputs, multi_batch_data_samples
        if self.needs_whole_batches and get_world_size() > 1:
            self._check_whole(inputs)
        weight = self.settings.unsup_weight_at(self.iteration)
        learnt = ("sup", "unsup_student") if weight > 0 else ("sup",)
        learnt = [branch for branch in learnt if branch in inputs]
        mixed = {branch: self._mixed(branch, inputs, samples) for branch in learnt}
        asked, side = None, self._side_stream(inputs) if weight > 0 else None
        if side is not None:
            side.mark()
        maps, canvas = self._features(inputs, samples, mixed)
        features = dict(zip(learnt, maps, strict=True))
        labelled = self._labelled(samples, mixed, canvas)
        self._halves = None
        if len(maps) == 2 and maps.whole is not None and heads_of_parts(self.student):
            self._halves = Halves(maps, labelled)
        self._begin_step()
        if side is not None and "unsup_student" in features:
            with side.beside():
                asked = self.ask_teacher(inputs, samples)
        shares = self.settings.branch_shares(inputs)
        losses, taught = {}, None
        if "unsup_student" in features:
            taught = self.unsupervised_loss(
                features["unsup_student"],
                inputs,
                samples,
                weight * shares["unsup_student"],
                mixed["unsup_student"],
                asked,
                canvas,
            )
        if "sup" in features:
            losses = self.supervised_loss(features["sup"], labelled)
            losses = scaled_losses(losses, shares["sup"])
        self._halves = None
        if taught is not None:
            return {**losses, **taught}
        self.last_step = None
        if weight > 0:
            self.join_reductions()
        if not losses:
            losses = {"sup_loss_cls": zero_through_parameters(self.student)}
        like = next(iter(inputs.values()))
        return {**losses, **teaching_stats(0.0, None, 0, like)}

    def _features(
        self,
        inputs: dict[str, Tensor],
        samples: dict[str, SampleList],
        mixed: dict[str, MixedViews | None],
    ) -> tuple[BatchFeatures, tuple[int, int] | None]:
        """Features of the images of each branch that the student learns from.

        Also height and width of what all images were padded to; None where each branch
        has its own.
        """
        batches, sizes = [], []
        for branch, views in mixed.items():
            images = inputs[branch] if views is None else views.inputs
            shown = samples[branch] if views is None else views.samples
            batches.append(images)
            sizes.append(sizes_in(images, shown))
        waste = self.settings.max_waste
        grouped = sizes if self.groups_by_size else None
        maps = joint_features(self.student, batches, waste, grouped)
        return maps, joint_canvas(batches, waste)

    def _labelled(
        self,
        samples: dict[str, SampleList],
        mixed: dict[str, MixedViews | None],
        canvas: tuple[int, int] | None,
    ) -> SampleList:
        """Data samples of the labelled images that the student learns from, if any."""
        if "sup" not in mixed:
            return []
        labelled = samples["sup"]
        if mixed["sup"] is not None:
            labelled = mixed_labelled(mixed["sup"], self.settings.min_box_wh)
        return on_canvas(labelled, canvas)

    def _begin_step(self) -> None:
        """Change the assigner of a head that has another one in its first epochs.

        Training by iterations knows one epoch, of number 0: TOOD would never leave
        its first assigner. Here that holds during the burn-in.
        """
        head = getattr(self.student, "bbox_head", None)
        if hasattr(head, "initial_epoch"):
            head.initial_epoch = int(self.iteration < self.settings.burn_in)

    def _side_stream(self, inputs: dict[str, Tensor]) -> SideStream | None:
        """The teacher's own stream, where it has one."""
        device = next(iter(inputs.values())).device
        if not self.settings.teacher_stream or device.type != "cuda":
            return None
        if self._stream is None:
            self._stream = SideStream(device)
        return self._stream

    def _mixed(
        self, branch: str, inputs: dict[str, Tensor], samples: dict[str, SampleList]
    ) -> MixedViews | None:
        varies = self.settings.weight_by_images
        return self.mixing(branch, inputs[branch], samples[branch], varies)

    def _check_whole(self, inputs: dict[str, Tensor]) -> None:
        absent = sorted({"sup", "unsup_student"} - set(inputs))
        if absent:
            raise UserError(
                f"This process has a batch without {absent[0]!r} images, and losses of "
                f"{type(self.student).__name__} are averaged over all processes, which "
                "would wait for it: set train_dataloader.sampler.source_ratio to "
                "[1, 1] or another ratio of two, or train on one process."
            )

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> SampleList:
        """Detections of the model that ``predict_on`` names, see mmdet's method.

        Args:
            batch_inputs: images (B, 3, H, W); those of like size share a pass.
            batch_data_samples: their data samples.

        Returns:
            The samples with ``pred_instances``.
        """
        student = self.semi_test_cfg.get("predict_on", "teacher") == "student"
        asked = self.student if student else self.teacher
        sizes = sizes_in(batch_inputs, batch_data_samples)
        with passes_by_size(asked, sizes, self.settings.max_waste):
            return super().predict(batch_inputs, batch_data_samples)

    def join_reductions(self) -> None:
        """Take part in what other processes sum up over their unlabelled images."""
        if self.class_balance is not None:
            self.class_balance.observe([])
        self.join_guided_loss()
        self.empty_factors([0] * self.num_guided_parts)

    def join_guided_loss(self) -> None:
        """Take part in what other processes sum up in :meth:`guided_loss`."""

    def empty_factors(self, num_targets: Sequence[int]) -> Tensor:
        """Factors on the unlabelled losses: ``empty_weight`` where nothing is taught.

        Whether something is taught is decided for the images of all processes
        together, so that a step does not depend on how images are shared out.

        Args:
            num_targets: for each part of the student the pseudo labels that this
                process has for it.

        Returns:
            (parts,) float32: 1, or ``empty_weight``.
        """
        device = next(self.student.parameters()).device
        counts = uploaded(torch.tensor(num_targets, dtype=torch.float32), device)
        all_reduce(counts)
        return torch.where(counts > 0, 1.0, self.settings.empty_weight)

    def unsupervised_loss(
        self,
        features: Features,
        inputs: dict[str, Tensor],
        samples: dict[str, SampleList],
        weight: float,
        mixed: MixedViews | None = None,
        asked: tuple[PseudoBoxes, int] | None = None,
        canvas: tuple[int, int] | None = None,
    ) -> dict[str, Tensor]:
        """Let the teacher label the weak views and the student learn in the strong.

        Args:
            features: feature maps of the strong views, or of the mixed ones.
            inputs: image batches of the branches.
            samples: their data samples.
            weight: weight of the unlabelled loss in this iteration.
            mixed: the images that the student learns from, where they are not the
                strong views themselves.
            asked: what :meth:`ask_teacher` gave, if it was asked before.
            canvas: height and width that the images were padded to for a pass with
                the labelled ones; None for a pass of their own.

        Returns:
            ``unsup_*`` losses and diagnostics.
        """
        weak, strong = samples["unsup_teacher"], samples["unsup_student"]
        kept, num_detected = asked or self.ask_teacher(inputs, samples)
        guidance = self.to_student_view(kept, weak, strong)
        learnt, taught = strong, guidance
        if mixed is not None:
            learnt, taught = mixed.samples, self.to_mixed_views(guidance, mixed)
        parts = self.guided_loss(features, on_canvas(learnt, canvas), taught)
        shown = inputs if self.keeps_images else {}
        self.keeps_images = False
        self.last_step = TeachingStep(
            inputs_weak=shown.get("unsup_teacher"),
            inputs_strong=shown.get("unsup_student"),
            samples_weak=weak,
            samples_strong=strong,
            labels_weak=kept.bare(),
            labels_strong=guidance.bare(),
        )
        stats = teaching_stats(weight, guidance, num_detected, inputs["unsup_student"])
        return {**self.weighted(parts, weight), **stats}

    @torch.no_grad()
    def ask_teacher(
        self, inputs: dict[str, Tensor], samples: dict[str, SampleList]
    ) -> tuple[PseudoBoxes, int]:
        """What the teacher says about the weak views.

        Args:
            inputs: image batches of the branches.
            samples: their data samples.

        Returns:
            Pseudo labels in weak-view pixels, and the number of boxes from which they
            were chosen.
        """
        images, weak = inputs["unsup_teacher"], samples["unsup_teacher"]
        sizes = sizes_in(images, weak)
        waste = self.settings.max_waste if self.groups_by_size else -1.0
        with passes_by_size(self.teacher, sizes, waste):
            detected = self.teacher_guidance(images, weak)
        if self.class_balance is not None:
            self.class_balance.observe(detected.instances)
        return self.select(detected), detected.num_boxes

    def weighted(
        self, parts: Sequence[GuidedLosses], weight: float
    ) -> dict[str, Tensor]:
        """Losses as they are summed up and logged, from what :meth:`guided_loss` gave.

        Args:
            parts: losses of each part of the student.
            weight: alpha of this iteration.

        Returns:
            ``unsup_*`` losses times alpha, ``empty_weight`` where it applies and
            ``unsup_loss_weights``; and the figures.
        """
        losses, figures = {}, {}
        factors = weight * self.empty_factors([part.num_targets for part in parts])
        for part, factor in zip(parts, factors, strict=True):
            losses.update(scaled_losses(part.losses, factor))
            figures.update(part.figures)
        losses = self.settings.weigh_unsup_losses(losses)
        return {**rename_loss_dict("unsup_", losses), **figures}

    def supervised_loss(
        self, features: Features, samples: SampleList
    ) -> dict[str, Tensor]:
        """Student's losses on labelled images, named ``sup_*``.

        Args:
            features: feature maps of the labelled images.
            samples: their data samples with ``gt_instances``.

        Returns:
            Weighted losses.
        """
        losses = scaled_losses(
            self.student_loss(features, samples), self.settings.sup_weight
        )
        return rename_loss_dict("sup_", losses)

    def teacher_guidance(self, inputs: Tensor, samples: SampleList) -> PseudoBoxes:
        """The teacher's detections in the weak views; called under no_grad.

        Args:
            inputs: weak views (B, 3, H, W).
            samples: their data samples; not changed.

        Returns:
            Boxes, ``scores``, class probabilities ``cls_scores``, localisation
            qualities ``loc_scores`` (1 where the head knows none) and labels in
            weak-view pixels, float32, above the detector's own test threshold. What a
            method finds beyond boxes goes into ``extra``.
        """
        bare = [DetDataSample(metainfo=sample.metainfo) for sample in samples]
        results = self.teacher.predict(inputs, bare, rescale=False)
        return PseudoBoxes([detections(result.pred_instances) for result in results])

    def select(self, detected: PseudoBoxes) -> PseudoBoxes:
        """Pseudo labels among the teacher's detections, by score.

        Args:
            detected: what ``teacher_guidance`` gave.

        Returns:
            Those with a class probability of at least ``score_thr``, or the
            threshold of their class where there is a class balance; as ``ignored``
            those between ``ignore_thr`` and that, where it is set. All, where the
            teacher itself has chosen.
        """
        if detected.chosen:
            return detected
        thr = self.settings.score_thr
        if self.class_balance is not None:
            thr = self.class_balance.thresholds()
        chosen = above_threshold(detected, thr, self.settings.ignore_thr)
        return replace(chosen, extra=detected.extra)

    def to_student_view(
        self, guidance: PseudoBoxes, weak: SampleList, strong: SampleList
    ) -> PseudoBoxes:
        """Guidance in the student's strong views, clipped, hidden boxes dropped.

        Args:
            guidance: in weak-view pixels.
            weak: data samples of the weak views.
            strong: data samples of the strong views, in the same image order.

        Returns:
            Boxes in strong-view pixels.
        """
        views = ViewMap(
            weak,
            strong,
            guidance.instances[0].bboxes.device,
            min_box_wh=self.settings.min_box_wh,
            min_visible=self.settings.min_visible,
            hull=self.settings.box_hull,
        )
        extra = guidance.extra and guidance.extra.to_student_view(views)
        seen = extra and extra.seen_boxes
        return replace(views.guidance(guidance, seen), extra=extra)

    def to_mixed_views(self, guidance: PseudoBoxes, mixed: MixedViews) -> PseudoBoxes:
        """Guidance in the images that show several strong views.

        Args:
            guidance: boxes in strong-view pixels.
            mixed: where the strong views are in the mixed images.

        Returns:
            Boxes in mixed-image pixels; those that became too small are dropped.
        """
        min_box_wh = self.settings.min_box_wh
        extra = guidance.extra and guidance.extra.to_mixed_views(mixed, min_box_wh)
        return replace(mixed.carry(guidance, min_box_wh), extra=extra)

    def guided_loss(
        self, features: Features, samples: SampleList, guidance: PseudoBoxes
    ) -> list[GuidedLosses]:
        """Student's losses on strong views; alpha is the frame's.

        Args:
            features: feature maps of the strong views.
            samples: their data samples.
            guidance: pseudo labels, and ``extra``, in strong-view pixels.

        Returns:
            The losses, in as many parts as have targets of their own (see
            ``num_guided_parts``); here one. Every trainable parameter of the student
            is in the graph, with pseudo labels or without.
        """
        labelled = pseudo_labelled(samples, guidance)
        losses = self.student_loss(features, labelled, self.pseudo_roi_loss)
        return [GuidedLosses(losses, guidance.num_boxes)]

    @property
    def pseudo_roi_loss(self) -> RoILoss | None:
        """RoI losses of pseudo labels; None where they are those of true boxes."""
        return pseudo_label_loss if tells_pseudo_labels(self.student) else None

    @property
    def class_weights(self) -> Tensor | None:
        """Weights (C,) of the foreground candidates of each class; None for all 1."""
        if self.class_balance is None or not self.class_balance.g2:
            return None
        return self.class_balance.weights()

    def student_loss(
        self,
        features: Features,
        samples: SampleList,
        roi_loss: RoILoss | None = None,
    ) -> dict:
        """The detector's own losses from features already computed.

        Args:
            features: feature maps of the images.
            samples: their data samples with ``gt_instances``.
            roi_loss: takes the place of the box head's loss; None leaves it.

        Returns:
            mmdet's loss dict; losses that mmdet leaves out when no RoI is sampled
            are there, as zeros that keep the parameters in the graph. A class
            balance weights the foreground candidates of each class.
        """
        student, weights = self.student, self.class_weights
        if self._halves is not None:
            args = (student, features, samples, roi_loss, weights)
            losses = self._halves.losses(*args)
            if losses is not None:
                return losses
        with (
            use_features(student, features),
            self._known_maps(features),
            roi_losses(student, roi_loss, weights),
        ):
            losses = student.loss(None, SharedSamples(samples))
        return anchor_empty_losses(losses, student)

    def anchor_maps(self, features: Features) -> tuple[list[Tensor], ...]:
        """What the student's anchor head gives for images that pseudo labels teach.

        Where they shared a backbone pass with the labelled images, the head sees both
        at once, and :meth:`student_loss` of the labelled ones takes it from there.

        Args:
            features: their feature maps.

        Returns:
            The head's outputs, each a list of maps by level.
        """
        head = anchor_head(self.student)
        if self._halves is None:
            return head(features)
        return self._halves.anchor_maps(head, features)

    def roi_outputs(self, features: Features, rois: Tensor) -> dict[str, Tensor]:
        """What the student's RoI head gives for images that pseudo labels teach.

        Where they shared a backbone pass with the labelled images, one pass of the head
        sees the RoIs of both, and the labelled losses are computed here.

        Args:
            features: their feature maps.
            rois: (P, 5), image and xyxy in pixels.

        Returns:
            ``cls_score`` and ``bbox_pred``, as of mmdet's heads.
        """
        head, halves = self.student.roi_head, self._halves
        if halves is None or features is not halves.features[1]:
            return head._bbox_forward(features, rois)
        known = (halves.features[0], halves.labelled)
        return halves.roi_outputs(head, rois, lambda: self.student_loss(*known))

    def _known_maps(self, features: Features) -> AbstractContextManager[None]:
        if self._halves is None:
            return nullcontext()
        return self._halves.known_maps(anchor_head(self.student), features)
