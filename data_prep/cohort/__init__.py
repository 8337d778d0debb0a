"""A folder of patients: prepare, check, split, download, restore and draw it."""
