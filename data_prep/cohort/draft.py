"""What is known of a patient while it is prepared, until it becomes a record of the manifest."""

from dataclasses import dataclass, field

import numpy as np

from data_prep.cohort.manifest import (
    CtRecord,
    GridRecord,
    PatientFilesRecord,
    PatientRecord,
    RoiClassRecord,
    RoiRecord,
    Status,
)
from data_prep.core import geometry
from data_prep.dicom_in.patient import PatientData
from data_prep.dicom_in.series import Volume


@dataclass
class Draft:
    """A record in the making; the fields are those of :class:`PatientRecord`.

    ``files`` has the names of the written files by kind.
    """

    patient_id: str
    source: str
    warnings: list[str]
    status: Status = Status.OK
    reason: str = ""
    roi: RoiRecord | None = None
    files: dict[str, str] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    voxels: int | None = None
    volume_ml: float | None = None
    ct: CtRecord | None = None
    native: GridRecord | None = None
    coarse: GridRecord | None = None
    seconds: float | None = None

    def end(self, status: Status, reason: str) -> None:
        """Note why the patient cannot be used; whatever was written does not count."""
        self.status, self.reason = status, reason
        self.files, self.outputs = {}, {}

    def note_label(self, data: PatientData) -> None:
        """Note the warnings of reading, the ROIs that were chosen, and the size of the label."""
        self.warnings += data.warnings
        if data.label is None:
            return
        self.roi = RoiRecord(
            chosen=", ".join(roi.name for roi in data.chosen),
            classes=tuple(
                RoiClassRecord(value=roi.value, name=roi.name, source=roi.source, voxels=roi.voxels)
                for roi in data.chosen
            ),
            others=data.others,
        )
        self.voxels = int(np.count_nonzero(data.label))
        self.volume_ml = round(self.voxels * geometry.voxel_volume_ml(data.volume.affine_lps), 3)

    def note_ct(self, volume: Volume) -> None:
        """Note the CT series and its grid."""
        native = geometry.lps_to_ras(volume.affine_lps)
        self.native = GridRecord.of(volume.array.shape, native)
        self.ct = CtRecord(
            series_uid=volume.series_uid,
            slices=len(volume.slice_positions_mm),
            interpolated_slices=tuple(np.flatnonzero(volume.interpolated).tolist()),
            spacing_mm=tuple(geometry.spacing_mm(native).round(6).tolist()),
            first_slice_mm=float(volume.slice_positions_mm[0]),
            last_slice_mm=float(volume.slice_positions_mm[-1]),
        )

    def record(self) -> PatientRecord:
        """Return the record; its phase is not known yet."""
        return PatientRecord(
            id=self.patient_id,
            source=self.source,
            status=self.status,
            reason=self.reason,
            warnings=tuple(self.warnings),
            phase=None,
            roi=self.roi,
            files=PatientFilesRecord(**self.files),
            inputs=tuple(self.inputs),
            outputs=self.outputs,
            voxels=self.voxels,
            volume_ml=self.volume_ml,
            ct=self.ct,
            native=self.native,
            coarse=self.coarse,
            seconds=self.seconds,
        )
