"""Ablation: localisation quality from the mean log variance, in (0, 1)."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

# These qualities are about twice the others: half the gains keep the losses' scale.
model = dict(
    detector=dict(roi_head=dict(bbox_head=dict(quality_on="log_variance"))),
    ler=dict(gain=0.125),
    prc=dict(gain=2.0),
)
