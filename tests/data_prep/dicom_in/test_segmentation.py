import dataclasses
import shutil
import tracemalloc

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813  (its own abbreviation)

from data_prep.core import geometry
from data_prep.core.errors import DataError
from data_prep.dicom_in import rois, segmentation, series
from data_prep.dicom_in.patient import ReadOptions, read_patient
from data_prep.dicom_in.scan import scan
from tests.support.dicom_patients import SIZE, square
from tests.support.orientations import ORIENTATIONS

SHAPE = (SIZE, SIZE + 4)  # rows, columns
FROM_SEG = rois.RoiRule(rois.DEFAULT_RULE.classes, ("SEG",))


def noise(seed):
    return np.random.default_rng(seed).random(SHAPE) < 0.4


def read(folder, rule=FROM_SEG, **options):
    patients, *_ = scan(folder)
    return read_patient(patients[0], rule, ReadOptions(**options))


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_frames_are_placed_by_position(patient, orientation):
    made = patient(orientation=orientation).write()
    frames = {4: noise(4), 1: noise(1), 2: noise(2)}
    made.segmentation({"Heart": {3: noise(9)}, "GTV-1": frames})
    data = read(made.folder)
    truth = np.zeros((6, *SHAPE), bool)
    for k, frame in frames.items():
        truth[k] = frame
    assert (data.label.T == truth).all()
    assert data.others == ("Heart",)
    assert data.warnings == ()
    assert (data.chosen[0].source, data.chosen[0].voxels) == ("SEG", truth.sum())


def test_the_collections_name_of_the_tumour_is_found(patient):
    made = patient().write()
    made.segmentation({"Lesion": {2: noise(2)}}, meanings={"Lesion": "Neoplasm, Primary"})
    made.structures({"Heart": [(2, square(3.5, 12.5))]})
    data = read(made.folder, rois.DEFAULT_RULE)
    assert data.label.sum() == noise(2).sum()
    assert (data.chosen[0].name, data.others) == ("Lesion", ("Heart",))


def test_fractional_from_half_the_maximum(patient):
    made = patient().write()
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 201
    made.segmentation({"GTV-1": {2: values}}, kind="FRACTIONAL")
    assert (read(made.folder).label[:, :, 2].T == (values >= 100)).all()


def test_a_labelmap_has_all_segments_in_each_frame(patient):
    made = patient().write()
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 3
    made.segmentation({"Heart": {2: values}, "GTV-1": {}}, kind="LABELMAP")
    assert (read(made.folder).label[:, :, 2].T == (values == 2)).all()


def test_a_frame_may_be_a_part_of_the_image_turned_and_flipped(patient):
    made = patient().write()
    part = noise(3)[5:17, 4:20]
    dataset = made.segmentation({"GTV-1": {2: np.flip(part.T, axis=0)}})
    groups = dataset.SharedFunctionalGroupsSequence[0]
    groups.PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, -1, 0, 0]
    groups.PixelMeasuresSequence[0].PixelSpacing = [1.1, 0.8]
    frame = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    frame.ImagePositionPatient = made.to_mm([(19, 5)], 2)[0].tolist()
    dataset.save_as(made.folder / "seg.dcm")
    truth = np.zeros(SHAPE, bool)
    truth[5:17, 4:20] = part
    assert (read(made.folder).label[:, :, 2].T == truth).all()


def test_what_reaches_beyond_the_image_is_counted(patient):
    made = patient().write()
    dataset = made.segmentation({"GTV-1": {2: np.ones(SHAPE), 20: np.ones(SHAPE)}})
    for group in dataset.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        position[0] += 3 * 1.1  # three columns to the left
    dataset.save_as(made.folder / "seg.dcm")
    data = read(made.folder)
    assert data.label.sum() == SHAPE[0] * (SHAPE[1] - 3)
    assert data.warnings == (
        "Segment GTV-1: left out 1 frame outside the CT's range of slices.",
        f"Segment GTV-1: left out {3 * SHAPE[0]} pixels outside the image.",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"FrameOfReferenceUID": "1.2.3"}, "frame of reference is 1.2.3, expected the CT's"),
        ({"FrameOfReferenceUID": ""}, "frame of reference is not given"),
        ({"NumberOfFrames": 7}, "7 frames of 28 x 24 pixels with 1 position,"),
        ({"Rows": 60000, "Columns": 60000}, "60000 x 60000"),
        ({"PixelData": b"\0\0"}, "2 bytes of pixel data, expected 84"),
        ({"SegmentSequence": []}, "No RTSTRUCT and no DICOM SEG"),
        ({"SharedFunctionalGroupsSequence": []}, "no usable position, orientation or pixel spac"),
    ],
)
def test_what_is_refused(patient, changes, message):
    made = patient().write()
    made.segmentation({"GTV-1": {2: noise(2)}}, **changes)
    with pytest.raises(DataError, match=message):
        read(made.folder)


def test_another_pixel_grid_is_refused(patient):
    made = patient().write()
    dataset = made.segmentation({"GTV-1": {2: noise(2)}})
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [0.8, 1.0]
    dataset.save_as(made.folder / "seg.dcm")
    with pytest.raises(DataError, match="its pixels are not those of the CT"):
        read(made.folder)


def test_a_copy_of_a_segmentation_is_no_second_match(patient):
    made = patient().write()
    made.segmentation({"GTV-1": {2: noise(2)}})
    shutil.copy(made.folder / "seg.dcm", made.folder / "copy.dcm")
    assert read(made.folder).label.sum() == noise(2).sum()
    made.segmentation({"GTV-1": {3: noise(2)}})
    with pytest.raises(DataError, match=r"2 ROIs match.*GTV-1 \(copy.dcm\), GTV-1 \(seg.dcm\)"):
        read(made.folder)


def test_a_truncated_segmentation_is_named(patient):
    made = patient().write()
    made.segmentation({"GTV-1": {2: noise(2)}})
    path = made.folder / "seg.dcm"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"SEG .*seg.dcm, segment GTV-1: damaged DICOM \(it ends"):
        read(made.folder)


def test_an_empty_segment_is_refused(patient):
    made = patient().write()
    made.segmentation({"GTV-1": {2: np.zeros(SHAPE)}})
    with pytest.raises(DataError, match="no pixel of the CT marked in 1 frame"):
        read(made.folder)


def test_dice_of_rtstruct_against_seg(patient):
    made = patient().write()
    made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    frame = np.zeros(SHAPE)
    frame[4:13, 4:10] = 1
    made.segmentation({"GTV-1": {2: frame}})
    data = read(made.folder, rois.DEFAULT_RULE, compare_sources=True)
    assert data.dice_rtstruct_seg == pytest.approx(2 * 54 / (81 + 54))
    assert data.label.sum() == 81
    assert read(made.folder, rois.DEFAULT_RULE).dice_rtstruct_seg is None
    made.segmentation({"Heart": {2: frame}})
    data = read(made.folder, rois.DEFAULT_RULE, compare_sources=True)
    assert data.dice_rtstruct_seg is None
    assert "RTSTRUCT and SEG were not compared: No ROI matches" in data.warnings[0]


def test_published_segmentation_equals_its_nrrd(real_data):
    folder = real_data / "dicom_seg_3slice"
    data = read(folder, rois.parse_rule("liver"))
    image = sitk.ReadImage(str(folder / "liver_seg.nrrd"))
    truth = sitk.GetArrayFromImage(image).T > 0
    affine = np.diag([*image.GetSpacing(), 1.0])
    affine[:3, 3] = image.GetOrigin()
    assert geometry.same_grid(data.volume.affine_lps, affine, truth.shape)
    assert truth.sum() > 0
    assert (data.label == truth).all()


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_what_highdicom_writes(patient, kind):
    seg = pytest.importorskip("highdicom.seg")
    made = patient()
    for number, ct_slice in enumerate(made.slices, 1):
        (
            ct_slice.InstanceNumber,
            ct_slice.StudyID,
            ct_slice.SeriesNumber,
            ct_slice.SliceThickness,
        ) = number, "1", 1, 2.5
        for name in ("PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName"):
            setattr(ct_slice, name, "")
    made.write()
    code = pydicom.sr.coding.Code
    descriptions = [
        seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=code("49755003", "SCT", "Morphologically Abnormal"),
            segmented_property_type=code("86049000", "SCT", "Neoplasm, Primary"),
            algorithm_type="MANUAL",
        )
        for number, label in ((1, "GTV-2"), (2, "GTV-1"))
    ]
    masks = np.random.default_rng(8).random((6, *SHAPE, 2)) < 0.3
    masks[0] = masks[5] = False  # frames without a pixel are not stored
    written = seg.Segmentation(
        source_images=made.slices,
        pixel_array=masks.astype(float),
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid="1.2.3",
        series_number=9,
        sop_instance_uid="1.2.3.4",
        instance_number=1,
        manufacturer="A",
        manufacturer_model_name="B",
        software_versions="1",
        device_serial_number="1",
    )
    written.save_as(made.folder / "seg.dcm")
    data = read(made.folder)
    assert (data.label.T == masks[..., 1]).all()
    assert data.others == ("GTV-2",)


def test_a_thousand_frames_on_one_plane_are_held_one_by_one(patient):
    made = patient().write()
    dataset = made.segmentation({"GTV-1": {2: noise(2), 3: noise(3)}})
    patients, *_ = scan(made.folder)
    volume = series.read_volume(next(iter(patients[0].series.values())))
    size, count = 256, 1000
    volume = dataclasses.replace(volume, array=np.zeros((size, size, 6), np.int16, order="F"))
    frames = np.zeros((count, size, size), bool)
    frames[np.arange(count), 7, np.arange(count) % 200] = True  # row 7, a column for each frame
    dataset.Rows = dataset.Columns = size
    dataset.NumberOfFrames = count
    dataset.PixelData = np.packbits(frames, bitorder="little").tobytes()
    groups = [dataset.PerFrameFunctionalGroupsSequence[0]] * count
    dataset.PerFrameFunctionalGroupsSequence = groups
    position = groups[0].PlanePositionSequence[0]
    position.ImagePositionPatient = made.to_mm([(0, 0)], 2)[0].tolist()
    listed = segmentation.list_segments(made.folder / "seg.dcm")
    vars(listed)["content"] = (dataset, "")
    tracemalloc.start()
    mask, warnings = segmentation.build_mask(volume, listed, listed.candidates[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    truth = np.zeros((size, size, 6), bool)
    truth[:200, 7, 2] = True
    assert (mask == truth).all() and warnings == []
    assert peak < 8 * 2**20  # all masks together have 66 MB
