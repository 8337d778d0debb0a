"""Small DICOM patients that the tests write."""

import hashlib

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    SegmentationStorage,
    generate_uid,
)

SIZE = 24


SPACING_MM = (0.8, 1.1)  # between rows (j), between columns (i): unequal, so a swap shows


STEP_MM = 2.5


class Patient:
    """One CT of ``slices`` slices and any number of structure sets, on disk."""

    def __init__(
        self,
        folder,
        patient_id,
        orientation=(1, 0, 0, 0, 1, 0),
        slices=6,
        origin=(-10, -20, 30),
        shape=(SIZE, SIZE + 4),
        spacing_mm=SPACING_MM,
        step_mm=STEP_MM,
    ):
        self.spacing_mm, self.step_mm = spacing_mm, step_mm
        self.folder, self.patient_id = folder, patient_id
        self.orientation = np.array(orientation, float)
        self.normal = np.cross(self.orientation[:3], self.orientation[3:])
        self.origin = np.array(origin, float)
        self.series_uid, self.frame_uid, self.study_uid = (generate_uid() for _ in range(3))
        rng = np.random.default_rng(1)
        self.hu = rng.integers(-900, 900, (slices, *shape))  # (slice, row, column)
        folder.mkdir(parents=True, exist_ok=True)
        self.slices = [self._slice(k) for k in range(slices)]

    def affine_lps(self):
        """Map (column, row, slice) to LPS mm, from the numbers chosen above alone."""
        affine = np.eye(4)
        affine[:3, 0] = self.orientation[:3] * self.spacing_mm[1]
        affine[:3, 1] = self.orientation[3:] * self.spacing_mm[0]
        affine[:3, 2] = self.normal * self.step_mm
        affine[:3, 3] = self.origin
        return affine

    def _slice(self, k):
        dataset = self._object(CTImageStorage, "CT", self.series_uid)
        dataset.FrameOfReferenceUID = self.frame_uid
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.ImageOrientationPatient = [float(v) for v in self.orientation]
        dataset.ImagePositionPatient = [
            float(v) for v in self.origin + k * self.step_mm * self.normal
        ]
        dataset.PixelSpacing = list(self.spacing_mm)
        dataset.Rows, dataset.Columns = self.hu.shape[1:]
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = (self.hu[k] + 1024).astype("<u2").tobytes()
        return dataset

    def _object(self, sop_class, modality, series_uid):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = Dataset()
        dataset.file_meta = meta
        dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
        meta.MediaStorageSOPClassUID = sop_class
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.Modality, dataset.PatientID = modality, self.patient_id
        dataset.PatientName, dataset.PatientBirthDate = "Secret^Name", "19500101"
        dataset.AccessionNumber = "ACC4711"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study_uid, series_uid
        return dataset

    def write(self, shuffled=True):
        """Write the slices under names that do not follow their order."""
        order = np.random.default_rng(2).permutation(len(self.slices))
        for number, k in enumerate(order if shuffled else range(len(self.slices))):
            self.slices[k].save_as(self.folder / f"{number:03d}", enforce_file_format=True)
        return self

    def write_multiframe(self):
        """Write one Enhanced CT file: frames in no order, every second with its own rescaling."""
        dataset = self._object(EnhancedCTImageStorage, "CT", self.series_uid)
        order = np.random.default_rng(4).permutation(len(self.slices))
        first = self.slices[0]
        for name in (
            "FrameOfReferenceUID",
            "ImageType",
            "Rows",
            "Columns",
            "BitsAllocated",
            "BitsStored",
            "HighBit",
            "PixelRepresentation",
            "SamplesPerPixel",
            "PhotometricInterpretation",
        ):
            setattr(dataset, name, getattr(first, name))
        dataset.NumberOfFrames = len(order)
        dataset.SharedFunctionalGroupsSequence = [
            _item(
                PlaneOrientationSequence=[
                    _item(ImageOrientationPatient=first.ImageOrientationPatient)
                ],
                PixelMeasuresSequence=[_item(PixelSpacing=list(self.spacing_mm))],
                PixelValueTransformationSequence=[_item(RescaleSlope=1, RescaleIntercept=-1024)],
            )
        ]
        stored, dataset.PerFrameFunctionalGroupsSequence = [], []
        for k in order:
            position = self.slices[k].ImagePositionPatient
            group = _item(PlanePositionSequence=[_item(ImagePositionPatient=position)])
            intercept = -1024
            if k % 2:
                intercept = -1000
                group.PixelValueTransformationSequence = [
                    _item(RescaleSlope=1, RescaleIntercept=intercept)
                ]
            stored.append(self.hu[k] - intercept)
            dataset.PerFrameFunctionalGroupsSequence.append(group)
        dataset.PixelData = np.array(stored).astype("<u2").tobytes()
        dataset.save_as(self.folder / "multi", enforce_file_format=True)
        return dataset

    def to_mm(self, points, k):
        """Return LPS mm of points (n, 2) in fractional (column, row) indices on slice k."""
        points = np.asarray(points, float)
        index = np.column_stack([points, np.full(len(points), k), np.ones(len(points))])
        return (index @ self.affine_lps().T)[:, :3]

    def structures(self, rois, name="rs.dcm", kind="CLOSED_PLANAR", image_uids=True):
        """Write a structure set; ``rois`` maps a name to a list of (slice index, points (n, 2))."""
        dataset = self.structure_set(rois, kind, image_uids)
        dataset.save_as(self.folder / name, enforce_file_format=True)
        return dataset

    def structure_set(self, rois, kind="CLOSED_PLANAR", image_uids=True):
        dataset = self._object(RTStructureSetStorage, "RTSTRUCT", generate_uid())
        series = Dataset()
        series.SeriesInstanceUID = self.series_uid
        series.ContourImageSequence = [_image(ct_slice) for ct_slice in self.slices]
        study = Dataset()
        study.RTReferencedSeriesSequence = [series]
        frame = Dataset()
        frame.FrameOfReferenceUID = self.frame_uid
        frame.RTReferencedStudySequence = [study]
        dataset.ReferencedFrameOfReferenceSequence = [frame]
        dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
        for number, (name, contours) in enumerate(rois.items(), 1):
            roi = Dataset()
            roi.ROINumber, roi.ROIName = number, name
            roi.ReferencedFrameOfReferenceUID = self.frame_uid
            dataset.StructureSetROISequence.append(roi)
            item = Dataset()
            item.ReferencedROINumber = number
            if contours is not None:
                item.ContourSequence = [
                    self._contour(k, points, kind, image_uids) for k, points in contours
                ]
            dataset.ROIContourSequence.append(item)
        return dataset

    def _contour(self, k, points, kind, image_uids):
        contour = Dataset()
        contour.ContourGeometricType = kind
        contour.NumberOfContourPoints = len(points)
        contour.ContourData = [round(float(v), 6) for v in self.to_mm(points, k).ravel()]
        if image_uids and float(k).is_integer() and 0 <= k < len(self.slices):
            contour.ContourImageSequence = [_image(self.slices[int(k)])]
        return contour

    def segmentation(self, segments, name="seg.dcm", kind="BINARY", meanings=None, **changes):
        """Write a DICOM SEG; ``segments`` maps a label to {slice index: array (rows, columns)}.

        Its frames are in no order; the maximum of a fractional segmentation is 200.
        """
        dataset = self._object(SegmentationStorage, "SEG", generate_uid())
        dataset.FrameOfReferenceUID, dataset.SegmentationType = self.frame_uid, kind
        dataset.ReferencedSeriesSequence = [_item(SeriesInstanceUID=self.series_uid)]
        dataset.SegmentSequence = [
            _item(
                SegmentNumber=number,
                SegmentLabel=label,
                SegmentedPropertyTypeCodeSequence=[_item(CodeMeaning=(meanings or {}).get(label))],
            )
            for number, label in enumerate(segments, 1)
        ]
        frames = [
            (number, k, array)
            for number, by_slice in enumerate(segments.values(), 1)
            for k, array in by_slice.items()
        ]
        frames = [frames[n] for n in np.random.default_rng(3).permutation(len(frames))]
        stack = np.array([array for _, _, array in frames])
        dataset.NumberOfFrames, dataset.Rows, dataset.Columns = stack.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.PixelRepresentation = 0
        if kind == "BINARY":
            dataset.BitsAllocated = dataset.BitsStored = 1
            dataset.HighBit = 0
            packed = np.packbits(stack.astype(bool).ravel(), bitorder="little").tobytes()
        else:
            dataset.BitsAllocated = dataset.BitsStored = 8
            dataset.HighBit, dataset.MaximumFractionalValue = 7, 200
            packed = stack.astype(np.uint8).tobytes()
        dataset.PixelData = packed + b"\0" * (len(packed) % 2)
        dataset.SharedFunctionalGroupsSequence = [
            _item(
                PlaneOrientationSequence=[
                    _item(ImageOrientationPatient=[float(v) for v in self.orientation])
                ],
                PixelMeasuresSequence=[_item(PixelSpacing=list(self.spacing_mm))],
            )
        ]
        dataset.PerFrameFunctionalGroupsSequence = [
            _item(
                SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)],
                PlanePositionSequence=[
                    _item(ImagePositionPatient=self.to_mm([(0, 0)], k)[0].tolist())
                ],
            )
            for number, k, _ in frames
        ]
        for tag, value in changes.items():
            setattr(dataset, tag, value)
        dataset.save_as(self.folder / name, enforce_file_format=True)
        return dataset


def _item(**values):
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def _image(dataset):
    item = Dataset()
    item.ReferencedSOPClassUID = dataset.SOPClassUID
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    return item


def square(low, high):
    """Return a square's corners (4, 2); sides between pixel centres where low and high are x.5."""
    return [(low, low), (high, low), (high, high), (low, high)]


def tree(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows(path):
    return [line.split(",") for line in path.read_text().splitlines()]
