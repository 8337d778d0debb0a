"""Draw CTs with their masks: a row for each patient, or one tile for each patient of a cohort."""
