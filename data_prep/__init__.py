"""DICOM CT, RTSTRUCT and SEG in, NIfTI for NiftyNet out; masks back on the CT's own grid.

Arrays are indexed ``(x, y, z)`` = (DICOM column, row, slice along the normal). A 4x4 affine maps a
voxel's index ``(i, j, k)`` to the voxel's *centre* in mm: LPS inside this package (DICOM PS3.3
C.7.6.2.1.1), RAS in every NIfTI file and in the manifest.
"""
