"""Compare the numbers of a patient with limits: what was expected, found, and what to do."""

from data_prep.cohort.check_report import CheckedPatient
from data_prep.core.console import count_of

LARGEST_STEP_MM = 5.0
"""Thicker slices cut a tumour of 1 mL into two or three; NSCLC-Radiomics has 3 mm."""

AIR_BELOW_HU, BONE_ABOVE_HU = -800, 200
"""A CT of the chest has lung and air below the first and bone above the second; stored values that
were never rescaled, or rescaled twice, do not."""

VOLUME_ML = (0.1, 1000.0)
"""A tumour of another volume is more likely a wrong ROI: 0.1 mL is a ball of 6 mm; Lung-Left alone
is above 1000."""

AGREEMENT = 0.95
"""Dice of RTSTRUCT and DICOM SEG below which they are not two copies of one contour."""


def findings(entry: CheckedPatient) -> list[str]:
    """Return a sentence or two for each number beyond its limits."""
    return _ct_findings(entry) + (_label_findings(entry) if entry.volume_ml is not None else [])


def _ct_findings(entry: CheckedPatient) -> list[str]:
    texts = []
    if entry.gaps_mm:
        texts.append(
            f"{count_of(len(entry.gaps_mm), 'gap')} between slices: found {entry.slices_found} of "
            f"{entry.slices_expected}. What lies between is interpolated. Fetch the series again "
            "if the archive has more."
        )
    if entry.spacing_mm and entry.spacing_mm[2] > LARGEST_STEP_MM:
        texts.append(
            f"Slices are {entry.spacing_mm[2]:g} mm apart, expected at most {LARGEST_STEP_MM:g}."
            " Take a thinner reconstruction if there is one."
        )
    low, high = entry.hu_range or (AIR_BELOW_HU, BONE_ABOVE_HU)
    if low > AIR_BELOW_HU or high < BONE_ABOVE_HU:
        texts.append(
            f"Hounsfield units run from {low} to {high}, expected below {AIR_BELOW_HU} to above "
            f"{BONE_ABOVE_HU}. Check Rescale Slope and Intercept of the series."
        )
    return texts


def _label_findings(entry: CheckedPatient) -> list[str]:
    texts = []
    low, high = VOLUME_ML
    if entry.volume_ml is not None and not low <= entry.volume_ml <= high:
        texts.append(
            f"The label's volume is {entry.volume_ml:g} mL, expected "
            f"{low:g} to {high:g}. Check that "
            f"{', '.join(entry.roi)} is the ROI you want (--roi)."
        )
    if entry.in_lung_box is False:
        texts.append(
            "The label's centroid lies outside the box around the lungs. Look at the contact "
            "sheet; the structure set may belong to another CT."
        )
    if entry.label_at_end:
        texts.append(
            "The label reaches the first or last slice of the CT and may be cut there. Fetch the "
            "whole series, or accept a cut label."
        )
    agreement = entry.dice_rtstruct_seg
    if agreement is not None and agreement < AGREEMENT:
        texts.append(
            f"RTSTRUCT and DICOM SEG differ: Dice {agreement:.3f}, expected at least {AGREEMENT}. "
            "Look at both, and name the one to use in the sources of a rule file (--roi)."
        )
    return texts
