"""Rules of the house that a syntax tree can tell: one word for one thing."""

import ast
from collections import defaultdict

import pytest

SAME_MEANING = {
    "HELP": "of every command module",
    "AFTER_INTERRUPT": "of every command module",
    "WINDOW_MULTIPLE": "of every module of networks",
}
"""Constants that several modules have on purpose: they mean the same for each."""

TWINS = {"__init__", "__main__", "errors"}
"""Modules of one name and one purpose in several rooms; a command is called like what it runs."""


@pytest.fixture(scope="module")
def trees(root):
    paths = [*root.glob("data_prep/**/*.py"), *root.glob("niftynet_ext/**/*.py")]
    assert len(paths) > 100
    return {path.relative_to(root): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def several(found):
    return {name: sorted(map(str, places)) for name, places in found.items() if len(places) > 1}


def test_no_identifier_is_called_one(trees):
    words = {"one", "ones"}
    bad = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            named = getattr(node, "id", None) or getattr(node, "arg", None)
            if isinstance(named, str) and named in words:
                bad.append(f"{path}:{node.lineno}")
    assert bad == []


def test_no_class_is_defined_twice(trees):
    found = defaultdict(set)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                found[node.name].add(path)
    assert several(found) == {}


def constants(tree):
    for node in tree.body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        for target in targets if isinstance(node, ast.Assign | ast.AnnAssign) else ():
            for item in target.elts if isinstance(target, ast.Tuple) else (target,):
                if isinstance(item, ast.Name) and item.id.isupper() and item.id[0] != "_":
                    yield item.id


def test_no_public_constant_is_defined_twice(trees):
    found = defaultdict(set)
    for path, tree in trees.items():
        for name in set(constants(tree)) - set(SAME_MEANING):
            found[name].add(path)
    assert several(found) == {}


def test_no_module_name_means_two_things(trees):
    found = defaultdict(set)
    for path in trees:
        if path.stem not in TWINS and "commands" not in path.parts:
            found[path.stem].add(path)
    assert several(found) == {}


def test_no_test_module_is_imported(root):
    bad = []
    for path in root.glob("tests/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                assert node.level == 0, path
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            bad += [f"{path}: {name}" for name in names if ".test_" in name or ".conftest" in name]
    assert bad == []


@pytest.mark.parametrize("package", ["data_prep", "niftynet_ext"])
def test_packages_say_that_they_are_typed(root, package):
    assert (root / package / "py.typed").is_file()
