"""Write patients as DICOM files, and the truth about them as ``truth.json``."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    generate_uid,
)

from data_prep.core.errors import DataError
from data_prep.phantom.anatomy import (
    CANAL,
    CORD_RADIUS_MM,
    Phantom,
    draw_patient,
    lung_contact,
    lung_distance,
)
from data_prep.phantom.painting import PADDING_HU, render

TRUTH_FILE = "truth.json"
"""What is known of the patients, in the folder of the cohort."""

KIND = "phantom cohort"
"""Value of ``kind`` in ``truth.json``, by which a folder is recognised as a phantom cohort."""

RESCALE_INTERCEPT = -1024
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # retired, but planning systems still write it
_ROI_COLOURS = {
    "GTV-1": [255, 176, 0],
    "Lung-Left": [0, 180, 255],
    "Lung-Right": [0, 200, 120],
    "Spinal-Cord": [255, 255, 0],
}
Polygons = list[tuple[int, np.ndarray]]
"""Contours of an ROI: slice index, and ``(points, 2)`` LPS x and y in mm."""

_LIMITS = {"patients": (1, 999), "matrix": (32, 1024), "slices": (16, 400), "seed": (0, 2**63)}


def _lung_polygons(phantom: Phantom, points: int = 90) -> dict[str, Polygons]:
    """Return the outlines of the lungs, seen from the deepest point of each lung in each slice.

    What heart or hilum hides from that point is left out: these are organs to find by name, and
    not a truth to compare with.

    :return: contours by ROI name.
    """
    z_mm = phantom.axes_lps_mm()[2].ravel()
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)[:, None]
    reach = np.arange(0, 150, 1.0)
    polygons: dict[str, Polygons] = {"Lung-Left": [], "Lung-Right": []}
    for name, side in (("Lung-Left", 1), ("Lung-Right", -1)):
        grid = phantom.to_body(np.ix_(*[np.zeros(1)] * 2, z_mm))[2]
        x, y = np.float32(side * np.arange(20, 116, 4.0)), np.arange(-70, 70, 4, dtype=np.float32)
        depth = lung_distance((x[:, None, None], y[None, :, None], grid))
        for k, z in enumerate(grid.ravel()):
            i, j = np.unravel_index(np.argmin(depth[..., k]), depth.shape[:2])
            if depth[i, j, k] > -5:
                continue
            ray_x = (x[i] + reach * np.cos(angles)).astype(np.float32)
            ray_y = (y[j] + reach * np.sin(angles)).astype(np.float32)
            outside = lung_distance((ray_x, ray_y, np.array([[z]], np.float32)))
            last = np.maximum(np.argmax(outside > 0, axis=1), 1)  # first sample beyond the border
            rows = np.arange(points)
            before, after = outside[rows, last - 1], outside[rows, last]
            radius = (last - after / (after - before))[:, None]  # linear, steps of 1 mm
            border = np.hstack([x[i] + radius * np.cos(angles), y[j] + radius * np.sin(angles)])
            polygons[name].append((k, border * phantom.size[:2] + phantom.body_lps_mm[:2]))
    return polygons


def _polygons(phantom: Phantom) -> dict[str, Polygons]:
    """Return the contours of all ROIs, by ROI name."""
    z_mm = phantom.axes_lps_mm()[2].ravel()
    tumour = [(k, phantom.tumour.cross_section(z)) for k, z in enumerate(z_mm)]
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None]
    circle = np.add(CANAL[0][:2], CORD_RADIUS_MM * np.hstack([np.cos(turn), np.sin(turn)]))
    cord = circle * phantom.size[:2] + phantom.body_lps_mm[:2]
    return {
        "GTV-1": [(k, xy) for k, xy in tumour if xy is not None],
        **_lung_polygons(phantom),
        "Spinal-Cord": [(k, cord) for k in range(phantom.slices)],
    }


def _uid(phantom: Phantom, *parts: str | int) -> UID:
    """Return a UID that depends only on the seed of the cohort, the patient and ``parts``."""
    return generate_uid(entropy_srcs=[KIND, phantom.uid_seed, phantom.patient_id, *map(str, parts)])


def _item(**attributes: Any) -> Dataset:
    """Return a data set with these attributes, by keyword."""
    ds = Dataset()
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds


def _object(phantom: Phantom, sop_class: UID, sop_uid: UID, **attributes: Any) -> Dataset:
    """Return a DICOM object with the patient, study and equipment modules and ``attributes``."""
    common = dict(
        SpecificCharacterSet="ISO_IR 100",
        PatientID=phantom.patient_id,
        PatientName=phantom.patient_id,
        PatientBirthDate="",
        PatientSex="O",
        PatientIdentityRemoved="YES",
        DeidentificationMethod="synthetic: no person was imaged",
        StudyInstanceUID=_uid(phantom, "study"),
        StudyDate="20260101",
        StudyTime="090000",
        StudyID="1",
        AccessionNumber="",
        ReferringPhysicianName="",
        StudyDescription="Phantom thorax",
        Manufacturer="data_prep.phantom",
        FrameOfReferenceUID=_uid(phantom, "frame"),
        PositionReferenceIndicator="",
    )
    ds = _item(**common, **attributes)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop_class
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = sop_uid
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _ct_uid(phantom: Phantom, k: int) -> UID:
    return _uid(phantom, "ct", k)


def _write_ct(phantom: Phantom, folder: Path) -> None:
    """Write one CT Image file per slice; file names do not follow the positions."""
    hu = render(phantom)
    names = np.random.default_rng(phantom.seed).permutation(phantom.slices) + 1
    dx, dy, dz = phantom.spacing_mm
    attributes: dict[str, Any] = dict(
        Modality="CT",
        SeriesInstanceUID=_uid(phantom, "ct"),
        SeriesNumber=2,
        SeriesDescription="Chest",
        BodyPartExamined="CHEST",
        PatientPosition="HFS",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        AcquisitionNumber=1,
        SliceThickness=dz,
        KVP=120,
        ConvolutionKernel="B30f",
        ContentDate="20260101",
        ContentTime="090000",
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[dy, dx],
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=phantom.matrix,
        Columns=phantom.matrix,
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=1,
        RescaleIntercept=RESCALE_INTERCEPT,
        RescaleSlope=1,
        RescaleType="HU",
        WindowCenter=-400,
        WindowWidth=1500,
    )
    if phantom.padded:
        attributes["PixelPaddingValue"] = PADDING_HU - RESCALE_INTERCEPT
    for k in range(phantom.slices):
        ds = _object(phantom, CTImageStorage, _ct_uid(phantom, k), **attributes)
        x, y, z = phantom.origin_lps_mm
        ds.ImagePositionPatient = [x, y, round(z + k * dz, 3)]
        ds.SliceLocation = ds.ImagePositionPatient[2]
        ds.InstanceNumber = phantom.slices - k  # counted from the head down
        ds.PixelData = (hu[:, :, k].T - np.int16(RESCALE_INTERCEPT)).astype("<i2").tobytes()
        ds.save_as(folder / f"1-{names[k]:03d}.dcm", enforce_file_format=True)


def _image_item(phantom: Phantom, k: int) -> Dataset:
    """Return a reference to the CT image of slice ``k``."""
    return _item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=_ct_uid(phantom, k))


def _contour(phantom: Phantom, k: int, xy: np.ndarray) -> Dataset:
    """Return a closed planar contour of slice ``k`` that references the image it lies on."""
    z = f"{phantom.origin_lps_mm[2] + k * phantom.spacing_mm[2]:.3f}"
    return _item(
        ContourImageSequence=[_image_item(phantom, k)],
        ContourGeometricType="CLOSED_PLANAR",
        ContourNumber=k + 1,
        NumberOfContourPoints=len(xy),
        ContourData=[value for x, y in xy for value in (f"{x:.3f}", f"{y:.3f}", z)],
    )


def _write_structures(phantom: Phantom, folder: Path) -> None:
    """Write one RT Structure Set with all ROIs."""
    frame, study_uid = _uid(phantom, "frame"), _uid(phantom, "study")
    images = [_image_item(phantom, k) for k in range(phantom.slices)]
    series = _item(SeriesInstanceUID=_uid(phantom, "ct"), ContourImageSequence=images)
    study = _item(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=study_uid,
        RTReferencedSeriesSequence=[series],
    )
    ds = _object(
        phantom,
        RTStructureSetStorage,
        _uid(phantom, "rtstruct", 1),
        Modality="RTSTRUCT",
        SeriesInstanceUID=_uid(phantom, "rtstruct"),
        SeriesNumber=3,
        OperatorsName="",
        StructureSetLabel="PHANTOM",
        StructureSetDate="20260101",
        StructureSetTime="090000",
        ReferencedFrameOfReferenceSequence=[
            _item(FrameOfReferenceUID=frame, RTReferencedStudySequence=[study])
        ],
        StructureSetROISequence=[],
        ROIContourSequence=[],
        RTROIObservationsSequence=[],
        ApprovalStatus="UNAPPROVED",
    )
    for number, (name, polygons) in enumerate(_polygons(phantom).items(), 1):
        kind = "GTV" if name == "GTV-1" else "ORGAN"
        ds.StructureSetROISequence.append(
            _item(
                ROINumber=number,
                ReferencedFrameOfReferenceUID=frame,
                ROIName=name,
                ROIGenerationAlgorithm="AUTOMATIC",
            )
        )
        ds.ROIContourSequence.append(
            _item(
                ROIDisplayColor=_ROI_COLOURS[name],
                ReferencedROINumber=number,
                ContourSequence=[_contour(phantom, k, xy) for k, xy in polygons],
            )
        )
        ds.RTROIObservationsSequence.append(
            _item(
                ObservationNumber=number,
                ReferencedROINumber=number,
                RTROIInterpretedType=kind,
                ROIInterpreter="",
            )
        )
    ds.save_as(folder / "1-001.dcm", enforce_file_format=True)


def _truth(phantom: Phantom) -> dict[str, Any]:
    """Return what ``truth.json`` says about a patient."""
    tumour = phantom.tumour
    return {
        "id": phantom.patient_id,
        "size_voxels": [phantom.matrix, phantom.matrix, phantom.slices],
        "spacing_mm": list(phantom.spacing_mm),
        "origin_lps_mm": list(phantom.origin_lps_mm),
        "tumours": [
            {
                "roi": "GTV-1",
                "centre_lps_mm": list(tumour.centre_lps_mm),
                "radii_mm": list(tumour.radii_mm),
                # columns: directions of the radii
                "rotation": [list(row) for row in tumour.rotation],
                "volume_ml": tumour.volume_ml,
                "centroid_lps_mm": list(tumour.centre_lps_mm),
                "lung_contact": round(lung_contact(phantom), 3),
            }
        ],
    }


def _write_truth(out_dir: Path, parameters: dict[str, int], patients: list[dict[str, Any]]) -> None:
    """Write ``truth.json`` whole or not at all; without patients, the cohort is unfinished."""
    text = json.dumps({"kind": KIND, "parameters": parameters, "patients": patients}, indent=1)
    draft = out_dir / (TRUTH_FILE + ".part")
    draft.write_text(text + "\n", encoding="utf-8")
    os.replace(draft, out_dir / TRUTH_FILE)


def _clear(out_dir: Path) -> None:
    """Remove an older phantom cohort from ``out_dir``; refuse a folder with anything else."""
    out_dir.mkdir(parents=True, exist_ok=True)
    try:
        truth = json.loads((out_dir / TRUTH_FILE).read_text(encoding="utf-8"))
        is_phantom = truth["kind"] == KIND
    except (OSError, ValueError, KeyError, TypeError):
        is_phantom = False
    if not is_phantom and any(out_dir.iterdir()):
        raise DataError(
            f"{out_dir} is not empty and holds no {KIND} (it has no valid {TRUTH_FILE}): "
            "nothing was written; name a new or an empty folder"
        )
    for folder in out_dir.iterdir():
        if re.fullmatch(r"PHANTOM-\d{3}(\.part)?", folder.name):
            shutil.rmtree(folder)


def write_phantom_cohort(
    out_dir: str | os.PathLike[str],
    patients: int = 10,
    matrix: int = 192,
    slices: int = 40,
    seed: int = 0,
) -> Path:
    """Write ``PHANTOM-001/CT/*.dcm``, ``PHANTOM-001/RTSTRUCT/*.dcm``, ... and ``truth.json``.

    The same arguments give the same bytes; a patient does not depend on how many follow. An older
    phantom cohort in ``out_dir``, finished or not, is replaced. The patients are added to
    ``truth.json`` at the end.

    :param out_dir: the folder, created if necessary.
    :param patients: number of patients, 1-999.
    :param matrix: rows and columns of a slice, 32-1024.
    :param slices: slices per patient, 16-400, over 150-168 mm of chest.
    :param seed: at least 0.
    :return: ``out_dir``.
    :raises ValueError: a parameter is out of its range.
    :raises DataError: ``out_dir`` holds something else.
    """
    parameters = {"patients": patients, "matrix": matrix, "slices": slices, "seed": seed}
    for name, value in parameters.items():
        low, high = _LIMITS[name]
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
    folder, requested = Path(out_dir), {name: int(value) for name, value in parameters.items()}
    _clear(folder)
    _write_truth(folder, requested, [])
    truths = []
    for index in range(patients):
        rng = np.random.default_rng([seed, index])
        phantom = draw_patient(rng, index, matrix, slices, uid_seed=str(seed))
        draft = folder / f"{phantom.patient_id}.part"
        for kind, write in (("CT", _write_ct), ("RTSTRUCT", _write_structures)):
            (draft / kind).mkdir(parents=True)
            write(phantom, draft / kind)
        draft.rename(folder / phantom.patient_id)
        truths.append(_truth(phantom))
    _write_truth(folder, requested, truths)
    return folder
