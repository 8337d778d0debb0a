"""Code in the documentation is real: it compiles, parses, or runs."""

import ast
import configparser
import doctest
import importlib
import importlib.util
import json
import re
import subprocess

import docutils.core
import docutils.utils
import pytest

from data_prep.dicom_in.rois import read_rule
from niftynet_ext import registry
from niftynet_ext.checks import ini_keys
from niftynet_ext.commands.parser import COMMANDS, build_parser
from tests.support.documents import DOCUMENTS, ROOT, blocks_of, commands, words

OURS = ("data_prep", "niftynet_ext")
HEAVY = ("tensorflow", "niftynet")


def blocks(language):
    """Parametrise a test by the code blocks of a language."""
    found = blocks_of(language)
    assert found
    return pytest.mark.parametrize("block", found, ids=[block.name for block in found])


def exists(module, name):
    """Tell whether a module has a name; a public one may be loaded when it is first used."""
    return (
        name in getattr(module, "__all__", ())
        or name in vars(module)
        or importlib.util.find_spec(f"{module.__name__}.{name}") is not None
    )


@blocks("python")
def test_python_compiles_and_imports_what_exists(block):
    tree = ast.parse(block.text, block.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in OURS:
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert exists(module, alias.name), f"{node.module} has no {alias.name}"


@blocks("ini")
def test_ini_parses(block):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.text)
    assert parser.sections()


@blocks("json")
def test_json_parses_and_roi_rules_are_accepted(block, tmp_path):
    content = json.loads(block.text)
    if "classes" in content:
        path = tmp_path / "rule.json"
        path.write_text(block.text, encoding="utf-8")
        assert len(read_rule(path).classes) == len(content["classes"])


@pytest.fixture(scope="module")
def parser():
    return build_parser()


def check_accepted(parser, arguments):
    """The parser takes these words; only a command that passes flags on may leave some."""
    options, unknown = parser.parse_known_args(arguments)
    module = importlib.import_module(COMMANDS[options.command])
    if not getattr(module, "PASSES_ON", False):
        assert not unknown


def net_lung_commands(lines):
    """Return the arguments of the lines that call net_lung with a command."""
    found = [words(line) for line in lines]
    return [
        call[1:]
        for call in found
        if call[0].endswith("net_lung") and not {"--help", "--version"} & set(call)
    ]


@blocks("console")
def test_commands_are_accepted(block, parser):
    for arguments in net_lung_commands(commands(block)):
        check_accepted(parser, arguments)


def make_targets():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):(?!=)", text, re.MULTILINE))


@blocks("console")
def test_make_targets_exist(block):
    for call in map(words, commands(block)):
        if call[0] == "make":
            targets = [word for word in call[1:] if "=" not in word]
            assert targets and set(targets) <= make_targets() | {"help"}


def make_calls(*words_of_make):
    """Return the arguments of the net_lung calls that make would run."""
    shown = subprocess.run(
        ["make", "-n", "-o", ".venv/.ready-cpu", *words_of_make],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    lines = [line for line in shown.splitlines() if "net_lung" in line]
    return net_lung_commands(line.rpartition("&& ")[2] for line in lines)


def test_make_calls_are_accepted(parser):
    calls = make_calls("DICOM=dicom", "demo", "download", "check", "preprocess", "train", "restore")
    calls += make_calls("select", "report", "reproduce", "postprocess", "STEPS=largest")
    calls += make_calls("PREDICTIONS=a b", "evaluate", "ensemble")
    calls += make_calls("DICOM=dicom", "MODEL=a,b", "OUT=out", "segment")
    assert len(calls) == 14
    for arguments in calls:
        check_accepted(parser, arguments)


def test_every_command_has_its_section():
    text = (ROOT / "docs/commands.rst").read_text(encoding="utf-8")
    assert sorted(re.findall(r":path: (\w+)", text)) == sorted(COMMANDS)


def test_every_name_and_key_of_the_ini_file_is_described():
    text = (ROOT / "docs/ini_keys.rst").read_text(encoding="utf-8")
    described = set(re.findall(r"``([\w.]+)``", text))
    names = {*registry.NETWORKS, *registry.SEGMENTATION_LOSSES, *registry.EVENT_HANDLERS}
    names |= set(registry.EVALUATIONS)
    assert not names - described
    for add_keys in (
        ini_keys.add_system_keys,
        ini_keys.add_network_keys,
        ini_keys.add_training_keys,
        ini_keys.add_inference_keys,
    ):
        assert not ini_keys.keys_of(add_keys) - {"window_sampling"} - described


def test_every_public_name_is_listed():
    text = (ROOT / "docs/api.rst").read_text(encoding="utf-8")
    for package in OURS:
        for name in importlib.import_module(package).__all__:
            assert name == "__version__" or f"`{name} <" in text, f"{package}.{name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_named_documents_exist(path):
    for name in re.findall(r"``(docs/\w+\.\w+)``", path.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("name", ["README.rst", "CHANGELOG.rst", "CONTRIBUTING.rst"])
def test_renders_without_sphinx(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    # as on PyPI: a role or a directive of Sphinx is an error there
    docutils.core.publish_string(
        text, writer="html5", settings_overrides={"halt_level": 2, "report_level": 2}
    )


def test_readme_is_short():
    assert len((ROOT / "README.rst").read_text(encoding="utf-8").splitlines()) <= 180


def with_doctests(paths):
    return [path for path in paths if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", with_doctests(DOCUMENTS), ids=lambda path: path.name)
def test_doctests_of_documents(path):
    result = doctest.testfile(str(path), module_relative=False)
    assert result.attempted and not result.failed


def modules_with_doctests():
    """Return the modules of both packages that have doctests and start without TensorFlow."""
    found = []
    for path in with_doctests([path for name in OURS for path in (ROOT / name).rglob("*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            name.partition(".")[0]
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
        }
        if not imported & set(HEAVY):
            found.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


@pytest.mark.parametrize("name", modules_with_doctests())
def test_doctests_of_modules(name):
    result = doctest.testmod(importlib.import_module(name.removesuffix(".__init__")))
    assert result.attempted and not result.failed
