"""``python -m data_prep``: preprocess, restore, segment, phantom, picture."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from data_prep import DataError, cohort, derived, structures


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command.

    :return: exit code: 0, 1 where nothing usable was left or a patient failed, 2 for wrong input.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (DataError, OSError, ValueError) as error:
        print(f"data_prep {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data_prep", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    one = commands.add_parser("preprocess", help="DICOM CT and RTSTRUCT to NIfTI for NiftyNet")
    one.add_argument("--dicom", type=Path, required=True, help="folder of the patients' files")
    one.add_argument("--out", type=Path, required=True, help="folder to write")
    default = cohort.Parameters()
    one.add_argument(
        "--roi", default=structures.DEFAULT_ROI, metavar="REGEX",
        help="whole name of the ROI, in any case (default: %(default)s)",
    )
    one.add_argument(
        "--reduce", type=int, default=default.reduce, metavar="N",
        help="in-plane factor (default: %(default)s, 512 to 256)",
    )
    one.add_argument(
        "--split", type=int, nargs=3, default=default.split, metavar="N",
        help="weights of Training, Validation, Inference (default: 260 40 40)",
    )
    one.add_argument("--seed", type=int, default=default.seed, help="of the split (default: 0)")
    one.add_argument(
        "--allow-unlabelled", action="store_true", help="take CTs without RTSTRUCT, for inference"
    )
    one.set_defaults(run=_preprocess)

    one = commands.add_parser("restore", help="NiftyNet's output to masks on the CTs' own grids")
    one.add_argument("--data", type=Path, required=True, help="folder that preprocess wrote")
    one.add_argument("--predictions", type=Path, required=True, help="NiftyNet's save_seg_dir")
    one.add_argument("--out", type=Path, required=True, help="folder to write")
    one.add_argument(
        "--postfix", default="_niftynet_out",
        help="NiftyNet's output_postfix (default: %(default)s)",
    )
    one.set_defaults(run=_restore)

    one = commands.add_parser("segment", help="a new patient: DICOM CT to DICOM SEG and RTSTRUCT")
    one.add_argument("--dicom", type=Path, required=True, help="folder of one patient's files")
    one.add_argument(
        "--model", nargs="+", required=True, metavar="DIR[@ITERATION]",
        help="model_dir of a training, at its last checkpoint or that named; the mean of several",
    )
    one.add_argument("--out", type=Path, required=True, help="folder to write")
    one.add_argument(
        "--label", default=derived.DEFAULT_LABEL, help="name of the ROI (default: %(default)s)"
    )
    one.add_argument("--series", default="", metavar="UID", help="which CT, if there are several")
    one.add_argument(
        "--reduce", type=int, default=default.reduce, metavar="N",
        help="in-plane factor of the training's preprocess (default: %(default)s)",
    )
    one.set_defaults(run=_segment)

    one = commands.add_parser("phantom", help="write a synthetic DICOM cohort")
    one.add_argument("--out", type=Path, required=True, help="folder to write")
    for name, value in (("patients", 10), ("matrix", 192), ("slices", 40), ("seed", 0)):
        one.add_argument(f"--{name}", type=int, default=value, help="default: %(default)s")
    one.set_defaults(run=_phantom)

    one = commands.add_parser("picture", help="draw CTs with reference and predicted outlines")
    one.add_argument("--data", type=Path, required=True, help="folder that preprocess wrote")
    one.add_argument("--masks", type=Path, required=True, help="folder that restore wrote")
    one.add_argument("--out", type=Path, required=True, help="PNG file to write")
    one.set_defaults(run=_picture)
    return parser


def _preprocess(options: argparse.Namespace) -> int:
    parameters = cohort.Parameters(
        roi=options.roi,
        reduce=options.reduce,
        split=tuple(options.split),
        seed=options.seed,
        allow_unlabelled=options.allow_unlabelled,
    )
    manifest = cohort.prepare_cohort(options.dicom, options.out, parameters)
    console = Console()
    cohort.report(manifest, console)
    usable = [record for record in manifest["patients"] if record["status"] == "ok"]
    if not usable:
        print(
            f"data_prep preprocess: none of {len(manifest['patients'])} patients is usable; the "
            f"reasons are in {options.out / 'manifest.json'}.",
            file=sys.stderr,
        )
        return 1
    labelled = any(record["roi"] for record in usable)
    print(
        f"{len(usable)} of {len(manifest['patients'])} patients are in {options.out}. "
        f"{_next_step(options.out.resolve(), labelled)}"
    )
    return 0


def _next_step(out_dir: Path, labelled: bool) -> str:
    """Return what to do with a folder that ``preprocess`` wrote, in a sentence or two."""
    keys = [f"csv_file of [CT] = {out_dir / 'ct.csv'}"]
    keys += [f"csv_file of [LABEL] = {out_dir / 'label.csv'}"] if labelled else []
    keys += [f"dataset_split_file of [SYSTEM] = {out_dir / 'split.csv'}"]
    ours = out_dir == Path("data").resolve()  # what the ini files name
    if not labelled:
        setting = "" if ours else f" Next: set in the ini file: {', '.join(keys)}."
        return f"No patient has a label: only inference is possible.{setting}"
    return "Next: make train" if ours else f"Next: set in the ini file: {', '.join(keys)}."


def _restore(options: argparse.Namespace) -> int:
    from data_prep import export

    result = export.restore_cohort(options.data, options.predictions, options.out, options.postfix)
    export.report(result, Console())
    print(f"{len(result['scores'])} masks and scores.csv are in {options.out}.")
    return 1 if result["failed"] else 0


def _segment(options: argparse.Namespace) -> int:
    from data_prep import segment

    choice = segment.Options(options.label, options.series, options.reduce)
    summary = segment.segment(options.dicom, options.model, options.out, choice)
    print(
        f"{summary['volume_ml']:.1f} mL of tumour (highest probability "
        f"{summary['max_probability']:.3f}). The mask is in {options.out}: {segment.SEG}, "
        f"{segment.RTSTRUCT}, {segment.NIFTI}; look at {segment.OVERLAY} first. "
        f"{summary['notice']}."
    )
    return 0


def _phantom(options: argparse.Namespace) -> int:
    from data_prep import phantom

    phantom.write_cohort(
        options.out, patients=options.patients, matrix=options.matrix, slices=options.slices,
        seed=options.seed,
    )
    print(
        f"{options.patients} synthetic patients are in {options.out}. Next: python -m data_prep "
        f"preprocess --dicom {options.out} --out DIR"
    )
    return 0


def _picture(options: argparse.Namespace) -> int:
    from data_prep import picture

    picture.draw_cohort(options.data, options.masks, options.out)
    print(f"The picture is {options.out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
