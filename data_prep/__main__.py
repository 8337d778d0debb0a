"""``python -m data_prep``: from a download to masks in the clinic's DICOM, command by command."""

import argparse
import sys
from pathlib import Path

from data_prep.cohort import job
from data_prep.cohort import prepare as cohort
from data_prep.core import engine
from data_prep.core.errors import DataError
from data_prep.dicom_in import rois
from data_prep.dicom_out import sources as derived
from niftynet_ext.core import choices


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
    except KeyboardInterrupt:
        print(
            f"data_prep {options.command}: stopped. Run the same command again, it goes on.",
            file=sys.stderr,
        )
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data_prep", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    one = commands.add_parser("check", help="look at a folder of patients before training on it")
    one.add_argument("--dicom", type=Path, required=True, help="folder of the patients' files")
    one.add_argument("--out", type=Path, required=True, help="folder for check.json, contact.png")
    _add_reading(one)
    _add_engine(one)
    one.set_defaults(run=_check)

    one = commands.add_parser("preprocess", help="DICOM CT and RTSTRUCT to NIfTI for NiftyNet")
    one.add_argument("--dicom", type=Path, required=True, help="folder of the patients' files")
    one.add_argument("--out", type=Path, required=True, help="folder to write")
    default = job.Parameters()
    _add_reading(one)
    _add_resampling(one, "default: 2, 512 to 256", "default: cubic, as the release does")
    one.add_argument(
        "--split",
        type=float,
        nargs=3,
        default=default.split,
        metavar="N",
        help="Training, Validation, Inference: shares that sum to 1, or numbers of patients, and "
        "the rest is left out (default: shares as the paper's 260 40 40)",
    )
    one.add_argument("--seed", type=int, default=default.seed, help="of the split (default: 0)")
    _add_engine(one)
    one.set_defaults(run=_preprocess)

    one = commands.add_parser("download", help="CT, RTSTRUCT and SEG from the NCI's commons")
    one.add_argument("--out", type=Path, required=True, help="folder to write, or to complete")
    one.add_argument(
        "--patients", nargs="+", default=[], metavar="ID", help="only these (default: all)"
    )
    one.add_argument(
        "--collection", default="nsclc_radiomics", help="name in the index (default: %(default)s)"
    )
    one.add_argument("--yes", action="store_true", help="do not ask before the transfer")
    one.set_defaults(run=_download)

    one = commands.add_parser("lists", help="compare the ids of split.csv with the other lists")
    one.add_argument("--data", type=Path, required=True, help="folder that preprocess wrote")
    one.add_argument(
        "--split-file", type=Path, metavar="CSV", help="another split (default: split.csv there)"
    )
    one.set_defaults(run=_lists)

    one = commands.add_parser("restore", help="NiftyNet's output to masks on the CTs' own grids")
    one.add_argument("--data", type=Path, required=True, help="folder that preprocess wrote")
    one.add_argument("--predictions", type=Path, required=True, help="NiftyNet's save_seg_dir")
    one.add_argument("--out", type=Path, required=True, help="folder to write")
    one.add_argument(
        "--postfix",
        default="_niftynet_out",
        help="NiftyNet's output_postfix (default: %(default)s)",
    )
    one.set_defaults(run=_restore)

    one = commands.add_parser("segment", help="a new patient: DICOM CT to DICOM SEG and RTSTRUCT")
    one.add_argument("--dicom", type=Path, required=True, help="folder of one patient's files")
    one.add_argument(
        "--model",
        nargs="+",
        required=True,
        metavar="DIR[@ITERATION]",
        help="model_dir of a training, at its last checkpoint or that named; the mean of several",
    )
    one.add_argument("--out", type=Path, required=True, help="folder to write")
    one.add_argument(
        "--label", default=derived.DEFAULT_LABEL, help="name of the ROI (default: %(default)s)"
    )
    one.add_argument("--series", default="", metavar="UID", help="which CT, if there are several")
    _add_resampling(one, *["default: as noted in the model's folder"] * 2)
    one.add_argument(
        "--steps",
        default="",
        metavar="'STEP ...'",
        help="of post-processing, as of python -m niftynet_ext postprocess (default: none)",
    )
    one.add_argument(
        "--windows",
        choices=choices.INFERENCE_WINDOWS,
        default=choices.GAUSSIAN,
        help="inference_windows of net_segment inference (default: %(default)s)",
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


def _add_resampling(parser: argparse.ArgumentParser, grid: str, method: str) -> None:
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--reduce", type=int, metavar="N", help=f"in-plane factor ({grid})")
    size.add_argument(
        "--spacing",
        type=float,
        nargs=3,
        metavar="MM",
        dest="spacing_mm",
        help="voxel size of the output along x, y, z, in the place of --reduce",
    )
    parser.add_argument(
        "--method", choices=("cubic", "antialiased"), help=f"how the CT is resampled ({method})"
    )


def _resampling(options: argparse.Namespace) -> dict:
    """Return what of the resampling was given."""
    names = ("reduce", "spacing_mm", "method")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return {name: tuple(one) if isinstance(one, list) else one for name, one in given.items()}


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--roi",
        default="",
        metavar="REGEX|FILE.json",
        help="whole name of the ROI, in any case, or a rule file (default: GTV-1 in any spelling)",
    )
    parser.add_argument(
        "--policy",
        choices=rois.POLICIES,
        default="one",
        help="if several ROIs match: refuse, take the first, or their union (default: refuse)",
    )
    parser.add_argument(
        "--allow-unlabelled", action="store_true", help="take CTs without a ROI, for inference"
    )
    parser.add_argument(
        "--resample-oblique",
        action="store_true",
        help="bring tilted or oblique CTs on to an upright grid instead of refusing them",
    )


def _reading(options: argparse.Namespace) -> dict:
    names = ("roi", "policy", "allow_unlabelled", "resample_oblique")
    return {name: getattr(options, name) for name in names}


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one a core, 1 for few)"
    )
    parser.add_argument(
        "--memory",
        type=float,
        default=engine.MEMORY_GB,
        metavar="GB",
        help="bound of each worker, of the only one too (default: %(default)s)",
    )
    parser.add_argument(
        "--scheduler", metavar="tcp://HOST:PORT", help="use an existing Dask cluster instead"
    )


def _engine(options: argparse.Namespace) -> engine.Engine:
    return engine.Engine(options.workers, options.memory, options.scheduler)


def _check(options: argparse.Namespace) -> int:
    from data_prep.cohort import check, check_table

    parameters = job.Parameters(**_reading(options))
    result = check.check_cohort(options.dicom, options.out, parameters, _engine(options))
    check_table.report(result, _console())
    print(
        f"Look at {options.out / check.SHEET}; all numbers are in {options.out / check.REPORT}. "
        f"Next: python -m data_prep preprocess --dicom {options.dicom} --out data"
    )
    return 0 if result["verdicts"]["refused"] < len(result["patients"]) else 1


def _preprocess(options: argparse.Namespace) -> int:
    parameters = job.Parameters(
        **_reading(options),
        **_resampling(options),
        split=tuple(options.split),
        seed=options.seed,
    )
    manifest = cohort.prepare_cohort(options.dicom, options.out, parameters, _engine(options))
    cohort.report(manifest, _console())
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


def _console():
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140)  # a table in a log stays a table


def _lists(options: argparse.Namespace) -> int:
    from data_prep.cohort import split

    split_path = options.split_file or options.data / "split.csv"
    lists = [options.data / name for name in ("ct.csv", "label.csv")]
    lacking = split.missing_ids(split_path, lists)
    for name, ids in lacking.items():
        more = f" and {len(ids) - 20} more" if len(ids) > 20 else ""
        print(f"{name} lacks {len(ids)} ids: {', '.join(ids[:20])}{more}")
    if not lacking:
        print(f"{split_path.name}, ct.csv and label.csv list the same patients.")
    return 1 if lacking else 0


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


def _download(options: argparse.Namespace) -> int:
    from data_prep.cohort import download
    from data_prep.core import progress

    series = download.of_patients(download.read_index(options.collection), options.patients)
    total = sum(one.size_bytes for one in series)
    there = sum(download.on_disk(one, options.out)[1] for one in series)
    for modality in download.MODALITIES:
        sizes = [one.size_bytes for one in series if one.modality == modality]
        print(f"{modality:9} {len(sizes):4} series {sum(sizes) / 1e9:7.2f} GB")
    print(
        f"licence   {', '.join(sorted({one.licence for one in series}))}; to be cited: "
        f"{', '.join(sorted({'doi:' + one.doi for one in series}))}"
    )
    missing = max(0, total - there)
    print(f"to fetch  {missing / 1e9:.2f} of {total / 1e9:.2f} GB, into {options.out}")
    if not options.yes and missing and not _agreed():
        return 1
    with progress.Progress("Downloading", total, "B") as bar:
        left = download.download(series, options.out, download.ENDPOINT, bar.update)
    for line in left:
        print(line, file=sys.stderr)
    if left:
        print(
            "Not all is there: run the same command again, it fetches what is missing. A series "
            "with too many files: remove its folder first.",
            file=sys.stderr,
        )
        return 1
    print(
        f"All {len(series)} series are whole. Next: python -m data_prep check --dicom "
        f"{options.out} --out check"
    )
    return 0


def _agreed() -> bool:
    """Ask on the terminal.

    :raises DataError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise DataError("no terminal to ask on; give --yes to start the transfer.")
    return input("Fetch it? [y/N] ").strip().lower() in ("y", "yes")


def _restore(options: argparse.Namespace) -> int:
    from data_prep.cohort import restore as export

    result = export.restore_cohort(options.data, options.predictions, options.out, options.postfix)
    export.report(result, _console())
    print(f"{len(result['scores'])} masks and scores.csv are in {options.out}.")
    return 1 if result["failed"] else 0


def _segment(options: argparse.Namespace) -> int:
    from niftynet_ext.study import segment

    choice = segment.Options(
        options.label, options.series, _resampling(options), options.steps, options.windows
    )
    summary = segment.segment(options.dicom, options.model, options.out, choice)
    for text in summary["warnings"]:
        print(f"warning: {text}", file=sys.stderr)
    print(
        f"{summary['volume_ml']:.1f} mL of tumour (highest probability "
        f"{summary['max_probability']:.3f}). The mask is in {options.out}: {segment.SEG}, "
        f"{segment.RTSTRUCT}, {segment.NIFTI}; look at {segment.OVERLAY} first. "
        f"{summary['notice']}."
    )
    return 0


def _phantom(options: argparse.Namespace) -> int:
    from data_prep import phantom

    phantom.write_phantom_cohort(
        options.out,
        patients=options.patients,
        matrix=options.matrix,
        slices=options.slices,
        seed=options.seed,
    )
    print(
        f"{options.patients} synthetic patients are in {options.out}. Next: python -m data_prep "
        f"preprocess --dicom {options.out} --out DIR"
    )
    return 0


def _picture(options: argparse.Namespace) -> int:
    from data_prep.cohort import picture

    picture.draw_cohort(options.data, options.masks, options.out)
    print(f"The picture is {options.out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
