"""Write masks as DICOM SEG and RTSTRUCT objects of the CT that they belong to."""
