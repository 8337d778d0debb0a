"""``net_lung demo``: synthetic patients through the whole path, in minutes."""

import argparse
import shlex
from pathlib import Path

from data_prep.core.exit_codes import ExitCode
from niftynet_ext.commands import parser as command_line

HELP = "run the whole path on synthetic patients, in minutes"
AFTER_INTERRUPT = "Run the same command again to resume."

STAGES = (("DiceForeground:700", ""), ("DiceForeground:700 Focal:1400", " --lr 0.0005"))
"""Plan and further flags of the two trainings: a lower learning rate calms the focal loss."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder to write (default: %(default)s)"
    )


def steps(out: Path) -> list[list[str]]:
    """Return the commands of the demo, as lists of words.

    :param out: folder of the demo.
    """
    folder = shlex.quote(str(out))
    lines = [
        f"net_lung phantom --out {folder}/dicom --patients 12 --matrix 128 --slices 28",
        f"net_lung preprocess --dicom {folder}/dicom --out {folder}/data --split 9 0 3",
        f"net_lung config demo --data {folder}/data --models {folder}/models "
        f"--out {folder}/demo.ini --overwrite",
        *(f"net_lung train -c {folder}/demo.ini --plan '{plan}'{flags}" for plan, flags in STAGES),
        f"net_segment inference -c {folder}/demo.ini",
        f"net_lung restore --data {folder}/data --predictions {folder}/models/demo/inference "
        f"--out {folder}/masks",
        f"net_lung picture --data {folder}/data --masks {folder}/masks --out {folder}/picture.png",
    ]
    return [shlex.split(line) for line in lines]


def run(options: argparse.Namespace) -> ExitCode:
    """Run the steps, each printed first; stop at the first that fails."""
    from niftynet_ext.study import rounds

    for words in steps(options.out):
        print(f"\n$ {shlex.join(words)}", flush=True)
        if words[0] == command_line.PROGRAM:
            code = command_line.main(words[1:])
        else:
            code = rounds.run_command(words, options.out / "inference.log")
        if code:
            return ExitCode(code) if code in set(ExitCode) else ExitCode.FAILED
    print(
        "\nThe demo is done. The table above is of three patients that the network never saw.\n"
        f"  {options.out}/picture.png   contours over the CT: look at it first\n"
        f"  {options.out}/masks/        a mask on each CT's own grid, and scores.csv\n"
        f"  {options.out}/models/demo/  checkpoints, logs, events for TensorBoard\n"
        "With real patients (CT and RTSTRUCT, e.g. NSCLC-Radiomics from TCIA):\n"
        "  net_lung preprocess --dicom <their folder> --out data\n"
        "  net_lung config densehighres3dnet_v1\n"
        "  net_lung train -c densehighres3dnet_v1.ini"
    )
    return ExitCode.OK
