"""``net_lung select``: each model's best checkpoint by Dice3D on validation."""

import argparse
from pathlib import Path

from data_prep.commands.shared import add_json, print_json, results_console
from data_prep.core.errors import DataError
from data_prep.core.exit_codes import ExitCode
from niftynet_ext.commands import shared
from niftynet_ext.core.paper import PAPER_PLAN

HELP = "find each model's best checkpoint by Dice3D on the validation patients"
AFTER_INTERRUPT = "Run the same command again; finished inferences are kept."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    shared.add_references(parser, "Validation")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--predictions",
        nargs="+",
        metavar=shared.MODEL_FORM,
        help="one folder for each checkpoint",
    )
    which.add_argument(
        "-c",
        "--config",
        nargs="+",
        type=Path,
        metavar="INI",
        help="infer the checkpoints of these networks first, where that is not done yet",
    )
    parser.add_argument(
        "--iterations",
        nargs="+",
        type=int,
        metavar="N",
        help="checkpoints, with -c (default: the paper's: "
        f"{' '.join(str(stage.last) for stage in PAPER_PLAN)})",
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Compare the checkpoints and write the choice."""
    from niftynet_ext.study import select, tables
    from niftynet_ext.study.scoring import parse_model

    if options.iterations and not options.config:
        raise DataError(
            "--iterations belongs to -c: --predictions name checkpoints by their folder."
        )
    if options.config:
        models = select.infer_all(
            options.config,
            options.iterations or [stage.last for stage in PAPER_PLAN],
            options.references,
            options.set,
        )
    else:
        models = [parse_model(text) for text in options.predictions]
    selection = select.select_checkpoints(models, options.references, options.set, options.out)
    if options.json:
        print_json(selection.record.as_json())
    else:
        results_console(shared.PAPER_WIDTH).print(tables.dice_table(selection.summary, options.set))
        for best in selection.record.best:
            print(f"best of {best.model}: {best.label}, Dice3D {best.dice_3d:.3f}")
        print(f"The choice is in {options.out}.")
    return ExitCode.OK
