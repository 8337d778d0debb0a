"""``net_lung segment``: a new patient's CT to DICOM SEG and RTSTRUCT."""

import argparse
import sys
from pathlib import Path

from data_prep.commands import shared
from data_prep.core.exit_codes import ExitCode
from data_prep.core.identity import DEFAULT_LABEL
from niftynet_ext.core import choices

HELP = "segment a new patient: DICOM CT to DICOM SEG, RTSTRUCT and NIfTI"
AFTER_INTERRUPT = "Nothing was written; run the same command again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--dicom", type=Path, required=True, help="folder of one patient's files")
    parser.add_argument(
        "--model",
        nargs="+",
        required=True,
        metavar="DIR[@ITERATION]",
        help="model_dir of a training, at its last checkpoint or at the one named; several models "
        "give the mean of their probabilities",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--label", default=DEFAULT_LABEL, help="name of the ROI (default: %(default)s)"
    )
    parser.add_argument(
        "--series", default="", metavar="UID", help="which CT series, if there are several"
    )
    shared.add_resampling(parser, *["default: as noted in the model's folder"] * 2)
    parser.add_argument(
        "--steps",
        default="",
        metavar="'STEP ...'",
        help="post-processing, as in net_lung postprocess (default: none)",
    )
    parser.add_argument(
        "--windows",
        choices=choices.INFERENCE_WINDOWS,
        default=choices.GAUSSIAN,
        help="inference_windows of net_segment inference (default: %(default)s)",
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Segment the patient and say what was found."""
    from niftynet_ext.study import segment

    chosen = segment.SegmentOptions(
        label=options.label,
        series_uid=options.series,
        steps=options.steps,
        windows=options.windows,
        **shared.resampling_options(options),
    )
    summary = segment.segment(options.dicom, options.model, options.out, chosen)
    for text in summary.warnings:
        print(f"warning: {text}", file=sys.stderr)
    if options.json:
        shared.print_json(summary.as_json())
    else:
        print(
            f"{summary.volume_ml:.1f} mL of tumour (highest probability "
            f"{summary.max_probability:.3f}). The mask is in {options.out}: {segment.SEG}, "
            f"{segment.RTSTRUCT}, {segment.NIFTI}; look at {segment.OVERLAY} first. "
            f"{summary.notice}."
        )
    return ExitCode.OK
