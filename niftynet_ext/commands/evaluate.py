"""``net_lung evaluate``: score predictions and print the paper's tables."""

import argparse
from pathlib import Path

from data_prep.commands.shared import add_json, print_json, results_console
from data_prep.core.exit_codes import ExitCode
from niftynet_ext.commands import shared

HELP = "score one or several models; print the paper's tables beside yours"
AFTER_INTERRUPT = "Run the same command again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    shared.add_references(parser)
    parser.add_argument(
        "--predictions",
        nargs="+",
        required=True,
        metavar=shared.MODEL_FORM,
        help="masks or probabilities, one folder for each model",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for CSV and JSON")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (default: 0)")
    parser.add_argument(
        "--compare",
        nargs="+",
        metavar="NAME[@ITERATION]",
        help="test only these models against each other (default: all pairs)",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Score the models, print the tables, write all numbers."""
    from niftynet_ext.study import tables
    from niftynet_ext.study.evaluate import evaluate
    from niftynet_ext.study.evaluation_record import read_evaluation
    from niftynet_ext.study.scoring import parse_model

    found = evaluate(
        [parse_model(text) for text in options.predictions],
        options.references,
        options.out,
        only_set=options.set,
        seed=options.seed,
        compare=options.compare,
    )
    if options.json:
        print_json(read_evaluation(options.out).as_json())
    else:
        tables.print_tables(found, results_console(shared.PAPER_WIDTH))
        print(f"CSV and JSON files (slices, patients, cohort) are in {options.out}.")
    return ExitCode.OK
