from pathlib import Path

import pytest

from data_prep.core.errors import DataError
from data_prep.dicom_in import rois
from data_prep.dicom_in.rois import Candidate, RoiClass, RoiRule, choose, parse_rule, read_rule


def found(*names, source="RTSTRUCT", **options):
    return [
        Candidate(source, Path("rs.dcm"), number, name, **options)
        for number, name in enumerate(names, 1)
    ]


def names(rule, candidates):
    chosen, _ = choose(rule, candidates)
    return {value: [roi.name for roi in members] for value, members in chosen.items()}


@pytest.mark.parametrize("name", ["GTV-1", "gtv-1", "gtv1", "GTV_1", "gtv 1", "GTV01", "Gtv.1"])
def test_gtv_1_in_every_spelling(name):
    others = found("GTV", "GTV-10", "gtv-2", "GTV-1 margin", "gtv-pre-op", "PTV-1", "Heart")
    candidates = others + found(name)
    assert names(rois.DEFAULT_RULE, candidates) == {1: [name]}


def test_rtstruct_comes_before_seg_unless_the_rule_says_so():
    seg = found("Lesion", source="SEG", aliases=("Neoplasm, Primary",))
    both = found("GTV-1", "Neoplasm, Primary") + seg
    assert names(rois.DEFAULT_RULE, both) == {1: ["GTV-1"]}
    assert names(rois.DEFAULT_RULE, found("Heart") + seg) == {1: ["Lesion"]}
    assert names(RoiRule(rois.DEFAULT_RULE.classes, ("SEG",)), both) == {1: ["Lesion"]}


def test_exact_names_tell_cases_apart_and_the_first_name_found_decides():
    candidates = found("gtv", "GTV", "GTV-2")
    assert names(RoiRule((RoiClass(names=("GTV",)),)), candidates) == {1: ["GTV"]}
    assert names(RoiRule((RoiClass(names=("PTV", "GTV-2", "GTV")),)), candidates) == {1: ["GTV-2"]}


def test_policies():
    candidates = found("GTV-1", "Heart", "GTV-2")
    with pytest.raises(DataError, match="2 ROIs match 'gtv.*'.*rs.dcm: GTV-1, Heart, GTV-2"):
        choose(parse_rule("gtv.*"), candidates)
    assert names(parse_rule("gtv.*", "first"), candidates) == {1: ["GTV-1"]}
    assert names(parse_rule("gtv.*", "union"), candidates) == {1: ["GTV-1", "GTV-2"]}


def test_an_roi_without_contours_gives_way_to_one_that_has():
    candidates = found("GTV-1", empty=True) + found("gtv1")
    chosen, warnings = choose(rois.DEFAULT_RULE, candidates)
    assert chosen[1][0].name == "gtv1"
    assert warnings == ["Ignored ROIs without closed contours: GTV-1."]
    assert names(rois.DEFAULT_RULE, candidates[:1]) == {1: ["GTV-1"]}


def test_classes_of_a_rule_file(tmp_path):
    path = tmp_path / "lungs.json"
    path.write_text(
        '{"classes": [{"value": 2, "patterns": ["lung.*"], "policy": "union"},'
        ' {"value": 1, "names": ["GTV-1"]}, {"value": 7, "names": ["Cord"]}]}'
    )
    candidates = found("Lung-Left", "GTV-1", "Lung-Right")
    rule = parse_rule(str(path))
    assert names(rule, candidates) == {2: ["Lung-Left", "Lung-Right"], 1: ["GTV-1"]}
    assert choose(rule, candidates)[1] == ["No ROI matches 'Cord'."]
    assert rule.as_dict()["classes"][0]["policy"] == "union"
    with pytest.raises(DataError, match=r"No ROI matches 'lung\.\*'; 'GTV-1'; 'Cord'.*: Heart"):
        choose(rule, found("Heart"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is damaged"),
        ("[]", "expected a JSON object"),
        ("{}", "classes: Field required"),
        ('{"classes": {}}', "classes: Input should be a valid tuple"),
        ('{"classes": []}', "expected at least one"),
        ('{"classes": [{"value": 1}]}', "class 1: no name and no pattern"),
        ('{"classes": [{"value": 2, "names": ["a", ""]}]}', "class 2: no name and no pattern, or"),
        ('{"classes": [{"value": 1, "names": "a"}]}', r"classes\.0\.names: Input should be a"),
        ('{"classes": [{"value": "1", "names": ["a"]}]}', r"classes\.0\.value: Input should be a"),
        ('{"classes": [{"value": 1, "names": ["a"], "colour": "red"}]}', r"classes\.0\.colour: "),
        ('{"classes": [{"value": 0, "names": ["a"]}]}', "value is 0, expected 1 to 255"),
        ('{"classes": [{"value": 1, "patterns": ["("]}]}', "class 1: .* not a regular expression"),
        ('{"classes": [{"value": 3, "names": ["a"], "policy": "some"}]}', "class 3: policy is 'so"),
        ('{"classes": [{"names": ["a"]}], "sources": ["CT"]}', "sources are CT, expected one or"),
        ('{"classes": [{"names": ["a"]}], "sources": []}', "sources are none"),
        ('{"classes": [{"names": ["a"]}, {"names": ["b"]}]}', "each once"),
        ('{"classes": [{"names": ["a"]}], "policies": []}', "policies: Extra inputs"),
        (
            '{"schema_version": "1", "classes": [{"names": ["a"]}]}',
            "schema_version '1', expected 1",
        ),
    ],
)
def test_what_is_no_rule(tmp_path, text, message):
    path = tmp_path / "rule.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"rule\.json.*{message}") as caught:
        read_rule(path)
    assert 'Expected an ROI rule such as {"classes": ' in str(caught.value)


def test_a_rule_file_may_state_its_schema(tmp_path):
    path = tmp_path / "rule.json"
    path.write_text('{"schema_version": 1, "classes": [{"names": ["a"]}]}')
    assert read_rule(path) == RoiRule((RoiClass(1, ("a",)),))
    path.write_text('{"schema_version": 2, "classes": [{"label": 1}]}')
    with pytest.raises(DataError, match=r"rule\.json has schema_version 2, expected at most 1"):
        read_rule(path)


def test_an_absent_rule_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.json does not exist\. Expected an ROI rule"):
        parse_rule(str(tmp_path / "none.json"))
