"""Checks of the ini file and the data, before NiftyNet builds its graph."""
