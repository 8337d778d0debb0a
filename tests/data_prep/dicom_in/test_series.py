import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  (its own abbreviation)
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from data_prep.core import geometry
from data_prep.core.errors import DataError
from data_prep.dicom_in.scan import scan
from data_prep.dicom_in.series import choose_series, read_volume
from tests.support.orientations import ORIENTATIONS, read


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_every_orthogonal_orientation_is_placed(patient, orientation):
    made = patient(orientation=orientation).write()
    volume = read(made)
    np.testing.assert_allclose(volume.affine_lps, made.affine_lps(), atol=1e-9)
    assert (volume.array == made.hu.transpose(2, 1, 0)).all()
    assert list(volume.sop_instance_uids) == [ct_slice.SOPInstanceUID for ct_slice in made.slices]


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_values_at_world_positions_equal_simpleitks(patient, orientation):
    made = patient(orientation=orientation).write()
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(made.folder)))
    image = reader.Execute()
    volume = read(made)
    for index in np.ndindex(3, 3, 3):
        index = 2 * np.array(index)
        place = (volume.affine_lps @ [*index, 1])[:3]
        there = image.TransformPhysicalPointToIndex(place.tolist())
        assert image[there] == volume.array[tuple(index)]


def test_rescale_differs_by_slice_and_stored_values_may_be_signed(patient):
    made = patient()
    made.slices[2].RescaleSlope, made.slices[2].RescaleIntercept = 0.5, -300.25
    made.slices[3].PixelRepresentation, made.slices[3].RescaleIntercept = 1, 0
    made.slices[3].PixelData = made.hu[3].astype("<i2").tobytes()
    volume = read(made.write())
    stored = made.hu[2] + 1024
    assert (volume.array[:, :, 2].T == np.rint(stored * 0.5 - 300.25)).all()
    assert (volume.array[:, :, 3].T == made.hu[3]).all()


@pytest.mark.parametrize("padding", [-2000, -2048, -3024])
@pytest.mark.parametrize("tagged", [False, True])
def test_padding_becomes_air_also_where_it_is_the_minimum(patient, padding, tagged):
    made = patient()
    for k, ct_slice in enumerate(made.slices):
        made.hu[k, :5] = padding
        ct_slice.PixelRepresentation, ct_slice.RescaleIntercept = 1, 0
        ct_slice.PixelData = made.hu[k].astype("<i2").tobytes()
        if tagged:
            ct_slice.PixelPaddingValue = padding
    volume = read(made.write())
    assert (volume.array[:, :5] == -1024).all()
    assert (volume.array[:, 5:] == made.hu.transpose(2, 1, 0)[:, 5:]).all()


def test_missing_rescale_is_a_warning(patient):
    made = patient()
    for ct_slice in made.slices:
        del ct_slice.RescaleSlope, ct_slice.RescaleIntercept
    volume = read(made.write())
    assert "6 slices without Rescale Slope" in volume.warnings[0]
    assert (volume.array == made.hu.transpose(2, 1, 0) + 1024).all()


def broken(made, change):
    change(made.slices[3])
    return made.write()


def _set(**values):
    def change(dataset):
        for name, value in values.items():
            setattr(dataset, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(ImagePositionPatient=None), r"no usable Image Position \(Patient\)"),
        (_set(ImageOrientationPatient=[1, 0, 0]), r"no usable Image Orientation \(Patient\)"),
        (_set(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), "expected two perpendicular directions"),
        (
            _set(ImageOrientationPatient=[1, 0, 0, 0.1, 1, 0]),
            "expected two perpendicular directions",
        ),
        (_set(PixelSpacing=None), "no usable Pixel Spacing"),
        (_set(PixelSpacing=[0, 1]), "expected at least 0.01"),
        (_set(PixelSpacing=[0.9, 1.1]), "slices differ in Pixel Spacing"),
        (_set(RescaleSlope=0), "Rescale Slope is 0"),
        (_set(Rows=60000, Columns=60000), "60000 x 60000, expected 1 to 4096"),
        (_set(Rows=2000), "bytes of pixel data missing"),
        (_set(Rows=12), "slices differ in Rows"),
        (_set(NumberOfFrames=2), "2 frames"),
        (_set(ImagePositionPatient=[-10, -20, 30]), "two slices at position 30.00 mm"),
        (_set(ImagePositionPatient=[-10, -20, 99]), "not evenly spaced.*35.00 to 40.00"),
        (_set(ImagePositionPatient=[-8, -20, 37.5]), "shifted sideways by 2.00 mm"),
        (_set(PixelData=b"\0" * 100), "bytes of pixel data missing|cannot be read"),
    ],
)
def test_each_fault_has_its_message(patient, change, message):
    made = broken(patient(), change)
    with pytest.raises(DataError, match=message) as caught:
        read(made)
    assert made.series_uid in str(caught.value) or str(made.folder) in str(caught.value)


def test_oblique_is_refused(patient):
    turn = np.radians(2)
    orientation = (np.cos(turn), np.sin(turn), 0, -np.sin(turn), np.cos(turn), 0)
    with pytest.raises(DataError, match="oblique"):
        read(patient(orientation=orientation).write())


def test_one_slice_is_refused(patient):
    with pytest.raises(DataError, match="at least 2 slices, found 1"):
        read(patient(slices=1).write())


def test_copies_of_a_slice_are_left_out(patient):
    made = patient().write()
    shutil.copy(made.folder / "000", made.folder / "copy")
    volume = read(made)
    assert volume.array.shape[2] == 6
    assert "Left out 1 file with the same content as others." in volume.warnings[0]


def test_series_are_chosen_by_reference_then_frame(patient):
    first, second = patient("P1").write(), patient("P1/again").write()
    second.folder.parent.mkdir(exist_ok=True)
    patients, *_ = scan(first.folder)
    series = list(patients[0].series.values()) + list(patients[1].series.values())
    by_series = choose_series(series, frozenset([second.series_uid]))
    by_image = choose_series(series, sop_uids=frozenset([first.slices[2].SOPInstanceUID]))
    by_frame = choose_series(series, frozenset(["9.9"]), frame_uid=second.frame_uid)
    found = [series.series_uid for series in (by_series, by_image, by_frame)]
    assert found == [second.series_uid, first.series_uid, second.series_uid]
    with pytest.raises(DataError, match="Ambiguous") as caught:
        choose_series(series)
    assert first.series_uid in str(caught.value)
    assert second.series_uid in str(caught.value)


def test_scan_groups_by_patient_id_across_folders_and_skips_what_is_not_dicom(patient, tmp_path):
    patient("A").write()
    made = patient("A_more")
    for ct_slice in made.slices:
        ct_slice.PatientID = "A"
    made.write()
    made.structures({"GTV-1": None})
    root = made.folder.parent
    (root / "A" / "empty.dcm").touch()
    (root / "A" / "random.dcm").write_bytes(np.random.default_rng(0).bytes(4000))
    (root / "A" / "notes.txt").write_text("hello")
    whole = (root / "A" / "000").read_bytes()
    (root / "A" / "cut.dcm").write_bytes(whole[:150])
    (root / "A" / ".hidden").write_text("x")
    for name in ("LICENSE", "metadata.csv", "truth.json", "notes"):
        (root / name).write_text("hello")
    (root / "A" / "empty.txt").touch()
    (root / "A" / "scan.txt").write_bytes(whole[:150])
    (root / "A" / "1.2.840.99").touch()
    patients, unreadable, others = scan(root)
    assert [person.name for person in patients] == ["A", "A_more"]
    assert len(patients[0].series) == 2
    assert len(patients[1].structure_paths) == 1
    assert [line.split(":")[0] for line in unreadable] == [
        "notes",
        "A/1.2.840.99",
        "A/cut.dcm",
        "A/empty.dcm",
        "A/random.dcm",
        "A/scan.txt",
    ]
    assert patients[0].unreadable == unreadable[1:]
    assert others == 5  # LICENSE, metadata.csv, truth.json, notes.txt, empty.txt


def test_without_a_patient_id_the_folder_is_the_patient(patient):
    for name in ("one", "two"):
        made = patient(name)
        for ct_slice in made.slices:
            ct_slice.PatientID = ""
        made.write()
    patients, *_ = scan(made.folder.parent)
    assert [person.name for person in patients] == ["one", "two"]


def test_without_preamble_and_with_localizer(patient):
    made = patient()
    made.slices[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    made.write()
    for path in made.folder.iterdir():
        path.write_bytes(path.read_bytes()[132:])
    volume = read(made)
    assert volume.array.shape[2] == 5


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_bare_dataset_without_file_meta(patient, syntax):
    made = patient()
    for k, ct_slice in enumerate(made.slices):
        del ct_slice.file_meta
        implicit = syntax == ImplicitVRLittleEndian
        ct_slice.save_as(made.folder / str(k), implicit_vr=implicit, little_endian=True)
    assert (read(made).array == made.hu.transpose(2, 1, 0)).all()


def test_multi_frame(patient):
    made = patient()
    made.write_multiframe()
    volume = read(made)
    np.testing.assert_allclose(volume.affine_lps, made.affine_lps(), atol=1e-9)
    assert (volume.array == made.hu.transpose(2, 1, 0)).all()


def test_multi_frame_with_too_few_positions(patient):
    made = patient()
    dataset = made.write_multiframe()
    del dataset.PerFrameFunctionalGroupsSequence[3]
    dataset.save_as(made.folder / "multi")
    _, [line], _ = scan(made.folder)
    assert "Number of Frames is 6, with functional groups of 5 frames" in line


def test_missing_slices_are_interpolated_and_the_real_ones_kept(patient):
    made = patient(slices=9)
    del made.slices[6], made.slices[3:5]  # leaves 0 1 2 5 7 8
    volume = read(made.write())
    np.testing.assert_allclose(volume.affine_lps, made.affine_lps(), atol=1e-9)
    hu = made.hu.transpose(2, 1, 0)
    real = [0, 1, 2, 5, 7, 8]
    assert volume.array.shape[2] == 9
    assert np.flatnonzero(~volume.interpolated).tolist() == real
    assert (volume.array[:, :, real] == hu[:, :, real]).all()
    thirds = np.rint(hu[:, :, 2] + (hu[:, :, 5] - hu[:, :, 2]) / 3)
    assert np.abs(volume.array[:, :, 3] - thirds).max() <= 1
    assert np.abs(volume.array[:, :, 6] - (hu[:, :, 5] + hu[:, :, 7]) / 2).max() <= 0.5
    assert volume.gaps == [(35.0, 42.5), (42.5, 47.5)]
    assert volume.warnings == (
        "3 slices missing, at 35.00 to 42.50 mm, 42.50 to 47.50 mm: interpolated there, which "
        "gives 9 slices of 2.5 mm from 6.",
    )


def test_mixed_steps_are_interpolated_to_the_median(patient):
    made = patient(slices=8)
    z = np.array([0, 2, 4, 6, 8, 11, 14, 17.0])
    for k, ct_slice in enumerate(made.slices):
        ct_slice.ImagePositionPatient = [-10, -20, 30 + z[k]]
        ct_slice.PixelData = np.full(made.hu.shape[1:], 1024 + 50 * z[k]).astype("<u2").tobytes()
    volume = read(made.write())
    assert volume.array.shape[2] == 9 or volume.array.shape[2] == 10
    grid = volume.layout.step_mm * np.arange(volume.array.shape[2])
    assert np.abs(volume.array[3, 4] - 50 * np.minimum(grid, 17)).max() <= 0.5
    assert "Slice steps are mixed (38.00 to 41.00 mm" in volume.warnings[0]


def test_a_stray_localizer_is_left_out_with_or_without_its_name(patient):
    made = patient(slices=8)
    made.slices[3].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    extra = made.slices.pop(3)
    made.slices[2].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    made.slices.append(extra)
    volume = read(made.write())
    assert volume.layout.size == 8
    assert np.flatnonzero(volume.interpolated).tolist() == [2, 3]
    assert "Left out 1 slice of another orientation (localizers)." in volume.warnings[0]


def test_link_to_itself_ends(patient):
    made = patient().write()
    (made.folder / "loop").symlink_to(made.folder, target_is_directory=True)
    patients, *_ = scan(made.folder)
    assert len(patients[0].series[made.series_uid].slices) == 6


@pytest.mark.parametrize(
    ("dicom", "published"),
    [
        ("ibsi_ct_phantom/dicom", "ibsi_ct_phantom/nifti/image/phantom.nii.gz"),
        ("ibsi_STS_001/dicom", "ibsi_STS_001/nifti/CT_image.nii.gz"),
    ],
)
def test_ct_equals_the_published_nifti_by_world_position(real_data, dicom, published):
    patients, *_ = scan(real_data / dicom)
    volume = read_volume(choose_series(list(patients[0].series.values())))
    reference = nib.load(real_data / published)
    index = np.indices(volume.array.shape[:3])[:, ::3, ::3].reshape(3, -1)
    place = geometry.lps_to_ras(volume.affine_lps) @ np.vstack([index, np.ones(index.shape[1])])
    there = (np.linalg.inv(reference.affine) @ place)[:3]
    assert np.abs(there - there.round()).max() < 0.01
    values = reference.get_fdata()[tuple(there.round().astype(int))]
    assert (values == volume.array[tuple(index)]).all()
