"""One HTML file that shows an evaluation: complete, nothing is fetched, everything is escaped."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from data_prep.core import files, predictions
from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.core.identity import RESEARCH_USE
from data_prep.pictures import panels, planes
from niftynet_ext.core import paper
from niftynet_ext.evaluation.patient_scores import DICE_3D, HD95_3D, MSD_3D
from niftynet_ext.evaluation.slices import DICE_2D, FP
from niftynet_ext.study import cases, charts, tables
from niftynet_ext.study.curves import Training, read_training
from niftynet_ext.study.evaluation_record import read_evaluation
from niftynet_ext.study.scoring import model_label
from niftynet_ext.study.select import select_best
from niftynet_ext.study.tables import EvaluationTables, whole_iteration

PATIENT_HEADS = {
    DICE_3D: "Dice3D",
    DICE_2D: "Dice2D",
    MSD_3D: "MSD 3D mm",
    HD95_3D: "95%HD 3D mm",
    "reference_ml": "reference mL",
    "predicted_ml": "predicted mL",
    "tp": "TP",
    "fn": "FN",
    "fp": "FP",
    "lesions": "lesions",
    "lesions_found": "found",
    "lesions_false": "false",
    "empty": "empty mask",
}
"""Columns of the table of patients that the report shows, and their heads."""


def write_report(evaluation_dir: str | PathLike[str], path: str | PathLike[str]) -> None:
    """Write the report on an evaluation.

    Learning curves are those of the model folders that contain the predictions. Overlays need the
    CTs: the references must be in the folder that ``preprocess`` wrote.

    :param evaluation_dir: folder of ``evaluation.json`` and its tables
    :param path: HTML file to write
    :raises DataError: there is no evaluation, or a file of it cannot be used
    """
    evaluation_dir = Path(evaluation_dir)
    record = read_evaluation(evaluation_dir)
    found = tables.read(evaluation_dir)
    # relative to the evaluation, wherever that is now
    references_dir = evaluation_dir / record.references
    folders = {label: evaluation_dir / folder for label, folder in record.predictions.items()}
    trainings = read_trainings(folders.values())
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            notice=RESEARCH_USE,
            software=record.software,
            definitions=record.definitions,
            curves=_uri(charts.learning_curves(trainings), "svg+xml") if trainings else "",
            measures=PATIENT_HEADS,
            sections=[
                section(found, group, references_dir, folders)
                for group in found.patients["set"].unique()
            ],
        )
    )
    files.write_bytes(Path(path), html.encode())


def read_trainings(folders: Iterable[Path]) -> dict[str, Training]:
    """Read the learning curves of the models that made some predictions.

    :param folders: of predictions
    :return: the curves by the name of the model, of each folder that is in a model folder with
        events
    """
    found: dict[str, Training] = {}
    for model_dir in dict.fromkeys(folder.resolve().parent for folder in folders):
        training = read_training(model_dir)
        if len(training.training.losses) or len(training.validation.losses):
            found[model_dir.name] = training
    return found


def section(
    found: EvaluationTables, group: str, references_dir: Path, folders: Mapping[str, Path]
) -> dict[str, Any]:
    """Prepare what the report shows of one set.

    :param found: the tables
    :param group: name of the set
    :param references_dir: folder of the references
    :param folders: folders of predictions by label of the model
    :return: values for the template
    """
    in_set = found.of_set(group)
    summary, patients = in_set.summary, in_set.patients
    best = select_best(summary)
    scored = in_set.slices[in_set.slices["kind"] != FP]
    top = best.iloc[int(best[f"{DICE_3D}_mean"].argmax())]
    overlays, fault = _overlays(_rows_of(patients, top), references_dir, folders)
    dice, distances = paper.DICE_TABLES.get(group, {}), paper.DISTANCE_TABLES.get(group, {})
    volumes = {_label(row): _volumes_ml(_rows_of(patients, row)) for _, row in best.iterrows()}
    of_patients = charts.boxes(_grouped(patients, DICE_3D), "Dice3D of patients")
    of_slices = charts.boxes(_grouped(scored, DICE_2D), "Dice2D of TP and FN slices")
    return {
        "name": group or "all patients",
        "patients": count_of(patients["id"].nunique(), "patient"),
        "dice": _with_paper(summary, tables.DICE_COLUMNS, dice),
        "distances": _with_paper(summary, tables.DISTANCE_COLUMNS, distances),
        "tests": in_set.tests.to_dict("records"),
        "boxes_3d": _uri(of_patients, "svg+xml"),
        "boxes_2d": _uri(of_slices, "svg+xml"),
        "agreement": _uri(charts.bland_altman(volumes), "svg+xml"),
        "shown": _label(top),
        "overlays": overlays,
        "fault": fault,
        "rows": patients.to_dict("records"),
    }


def worst_median_best(patients: pd.DataFrame) -> dict[str, str]:
    """Choose three patients of one model by Dice3D.

    :param patients: rows of one model, with ``id`` and ``dice_3d``
    :return: ids by "worst", "median", "best"; of fewer than three patients, only the ends
    """
    ranked = patients.sort_values([DICE_3D, "id"])["id"].tolist()
    places = {"worst": 0, "median": (len(ranked) - 1) // 2, "best": len(ranked) - 1}
    chosen: dict[str, str] = {}
    for name, place in places.items():
        if ranked[place] not in chosen.values():
            chosen[name] = ranked[place]
    return chosen


def _overlays(
    patients: pd.DataFrame, references_dir: Path, folders: Mapping[str, Path]
) -> tuple[list[dict[str, Any]], str]:
    """Draw the contours of three patients of one model.

    :param patients: the model's rows of the set
    :return: values for the template, and why patients are not drawn
    """
    model = _label(patients.iloc[0])
    if model not in folders:
        return [], f"no folder holds the masks of {model}"
    drawn, faults = [], []
    for place, patient_id in worst_median_best(patients).items():
        dice = patients[patients["id"] == patient_id].iloc[0][DICE_3D]
        try:
            case = _read_case(patient_id, references_dir, folders[model], dice)
            picture = _uri(panels.draw_panels([case]), "png")
        except (DataError, KeyError, OSError) as error:
            faults.append(f"{patient_id}: {error}")
            continue
        drawn.append({"name": place, "id": patient_id, "dice": dice, "picture": picture})
    return drawn, "; ".join(faults)


def _read_case(
    patient_id: str, references_dir: Path, predictions_dir: Path, dice: float
) -> panels.PanelRow:
    """Read CT, prediction and reference of a patient.

    :raises DataError: a file cannot be read, or there is no CT
    :raises KeyError: there is no such patient
    """
    reference = cases.find_references(references_dir)[0][patient_id]
    if reference.image is None:
        raise DataError(
            f"{references_dir} has no CT of {patient_id}. Give --references the folder that "
            "preprocess wrote."
        )
    prediction, mask, affine = cases.read_pair(
        predictions.find(predictions_dir)[patient_id], reference.path, reference.coarse
    )
    image = nib.load(reference.image)
    return panels.PanelRow(
        patient_id,
        planes.ShownVolume(np.asanyarray(image.dataobj), image.affine),
        planes.ShownVolume(prediction, affine),
        planes.ShownVolume(mask, affine),
        dice,
    )


def _label(row: Mapping[Any, Any] | pd.Series) -> str:
    return model_label(row["model"], row["iteration"])


def _rows_of(patients: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    """Return the patients of the model and iteration of a row of the summary."""
    of_model = [
        model_label(model, iteration) == _label(row)
        for model, iteration in zip(patients["model"], patients["iteration"], strict=True)
    ]
    return patients[of_model]


def _volumes_ml(patients: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return patients["predicted_ml"].to_numpy(), patients["reference_ml"].to_numpy()


def _grouped(table: pd.DataFrame, column: str) -> dict[tuple[str, int | None], np.ndarray]:
    """Return the values of a column by model and iteration, in the order of the table."""
    return {
        (str(model), whole_iteration(iteration)): rows[column].to_numpy()
        for (model, iteration), rows in table.groupby(
            ["model", "iteration"], dropna=False, sort=False
        )
    }


def _with_paper(
    summary: pd.DataFrame, columns: Sequence[str], published: "paper.Table"
) -> list[dict[str, Any]]:
    """Return the rows of a table, each with the iteration and numbers of the paper, or None.

    The values end with the bounds of the mean in the first column.
    """
    rows = []
    for _, row in summary.iterrows():
        model, iteration = row["model"], whole_iteration(row["iteration"])
        bounds = " to ".join(
            shown(row[f"{columns[0].removesuffix('_mean')}_{end}"]) for end in ("low", "high")
        )
        rows.append(
            {
                "name": paper.PAPER_NAMES.get(model, model),
                "iteration": iteration,
                "ours": [*(row[column] for column in columns), bounds],
                "paper": paper.row_of(published, model, iteration),
            }
        )
    return rows


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def shown(value: Any) -> str:
    """Write a value as the report shows it; undefined is a dash.

    :param value: of a table, or None
    """
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return "–"
    if isinstance(value, (float, np.floating)):
        return ("∞" if value > 0 else "-∞") if math.isinf(value) else f"{value:.3f}"
    return str(value)


def sort_key(value: Any) -> str:
    """Write a value as the script sorts it: numbers as JavaScript reads them, undefined as "".

    :param value: of a table, or None
    """
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return ""
    if isinstance(value, (float, np.floating)) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return str(value)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("niftynet_ext.study", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "sort_key": sort_key}
    return environment
