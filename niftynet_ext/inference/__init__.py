"""Inference without seams: the whole volume at once, or overlapping windows that are blended."""
