"""The commands on DICOM patients and prepared cohorts, one module each.

A command module has ``HELP`` (one line), ``add_arguments(parser)`` and ``run(options)``, which
returns an :class:`~data_prep.core.exit_codes.ExitCode`. It parses, calls and prints; it computes
nothing. Modules that are slow to import are imported in ``run``.
"""
