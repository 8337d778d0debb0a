"""Read DICOM: CT series, structure sets and segmentations, as arrays on the CT's grid."""
