"""Write a mask as a DICOM Segmentation (PS3.3 A.51), on the slices of its CT."""

from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from data_prep.core.identity import MANUFACTURER, RESEARCH_USE
from data_prep.dicom_out.sources import (
    Algorithm,
    check_mask,
    copy_patient,
    new_uid,
    without_patient,
    write_dicom,
)

_CATEGORY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
_NEOPLASM = Code("86049000", "SCT", "Neoplasm, Primary")
_LUNG = Code("39607008", "SCT", "Lung")
"""Codes that the SEG of NSCLC-Radiomics has for the GTV (contexts 7150, 7159 and 4 of PS3.16)."""


def write_seg(
    path: Path, mask: np.ndarray, sources: list[Dataset], label: str, algorithm: Algorithm
) -> None:
    """Write a binary segmentation with one segment, "Neoplasm, Primary" of the lung.

    Each frame lies on one slice of the CT, references it and has its position; slices without
    tumour have no frame, unless the whole mask is empty.

    :param mask: bool (x, y, z), z in the order of ``sources``.
    :param sources: the CT's headers, from :func:`~data_prep.dicom_out.sources.read_sources`.
    :param label: name of the segment, at most 64 characters.
    :param algorithm: what drew the mask.
    :raises ValueError: the mask is not on the CT's grid.
    """
    check_mask(mask, sources)
    segment = SegmentDescription(
        segment_number=1,
        segment_label=label,
        segmented_property_category=_CATEGORY,
        segmented_property_type=_NEOPLASM,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm.name[:64],
            family=codes.cid7162.ArtificialIntelligence,
            version=algorithm.version,
            source=MANUFACTURER,
            parameters={"model_sha256": algorithm.model_sha256},
        ),
        tracking_uid=new_uid(),
        tracking_id=label,
        anatomic_regions=[_LUNG],
    )
    segment.SegmentDescription = RESEARCH_USE
    seg = hd.seg.Segmentation(
        source_images=[without_patient(sources[0]), *sources[1:]],
        pixel_array=np.ascontiguousarray(mask.T, np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=new_uid(),
        series_number=1,
        sop_instance_uid=new_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=algorithm.name[:64],
        software_versions=algorithm.version,
        device_serial_number=algorithm.model_sha256[:16],
        content_label="TUMOUR",
        content_description=RESEARCH_USE,
        series_description=RESEARCH_USE,
        omit_empty_frames=bool(mask.any()),
    )
    copy_patient(sources[0], seg)  # unchanged: highdicom refuses, or warns of, unusual values
    write_dicom(path, seg)
