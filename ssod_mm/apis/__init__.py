"""What a user calls beside training: prediction, export, analyses, drawings, timing.

The package itself imports nothing; its modules load torch.
"""
