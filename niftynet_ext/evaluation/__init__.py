"""Measures on arrays and ``spacing_mm`` only, with NumPy and SciPy (paper, section 4.2)."""
