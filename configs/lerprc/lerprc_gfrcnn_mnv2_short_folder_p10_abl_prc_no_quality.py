"""Ablation: PRC by the teacher's probability alone."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

# Without a quality of at most a half, half of the gain.
model = dict(prc=dict(quality=False, gain=2.0))
