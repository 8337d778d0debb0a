"""Code blocks and shell commands of the documentation, for the tests that run them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTS = sorted(
    [*ROOT.glob("docs/*.rst"), ROOT / "README.rst", ROOT / "CONTRIBUTING.rst"],
)


class CodeBlock(NamedTuple):
    """One ``.. code-block::``: where it stands, its language and its text."""

    path: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Return where it is, for the name of a test."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def code_blocks(path: Path) -> Iterator[CodeBlock]:
    """Yield the code blocks of a reStructuredText file.

    :param path: the file.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        match = re.fullmatch(r"( *)\.\. code-block:: (\w+)", line)
        if not match:
            continue
        margin = len(match[1]) + 3
        block = []
        for following in lines[number + 1 :]:
            if following.strip() and len(following) - len(following.lstrip()) < margin:
                break
            block.append(following[margin:])
        text = "\n".join(block).strip("\n") + "\n"
        yield CodeBlock(path, number + 1, match[2], text)


def blocks_of(language: str) -> list[CodeBlock]:
    """Return all code blocks of a language.

    :param language: as in ``.. code-block:: LANGUAGE``.
    """
    return [
        block for path in DOCUMENTS for block in code_blocks(path) if block.language == language
    ]


def commands(block: CodeBlock) -> list[str]:
    """Return the commands of a console block: what follows ``$``, with continued lines joined."""
    text = re.sub(r" *\\\n *", " ", block.text)
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]


def words(command: str) -> list[str]:
    """Split a command as a shell does, without its comment."""
    return shlex.split(command, comments=True)
