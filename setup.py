"""Build script: the metadata is in setup.cfg; this file only makes the start-up hook's .pth file.

``niftynet_ext.pth`` must be at the top of site-packages, where the interpreter reads it at
start-up; neither ``packages`` nor ``data_files`` can put it there, so a build sub-command does.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import Command, setup
from setuptools.command.build import build

HOOK = Path("niftynet_ext/hook.py")
PTH = "niftynet_ext.pth"


class build_pth(Command):  # noqa: N801  (setuptools names commands in lower case)
    """Write the hook as a .pth file into the root of the wheel, editable or not."""

    description = "make the start-up hook"
    user_options: list[tuple[str, str, str]] = []

    def initialize_options(self) -> None:
        """Set the attributes that setuptools fills in."""
        self.build_lib: str | None = None
        self.editable_mode = False  # set by setuptools for `pip install -e`

    def finalize_options(self) -> None:
        """Take the folder of the build command."""
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self) -> None:
        """Write the file."""
        root = self.build_lib
        if self.editable_mode:  # files written here go into the editable wheel itself
            root = self.get_finalized_command("install").install_lib
        self.mkpath(root)
        # a .pth file executes single lines that begin with "import"
        line = f"import sys; exec({HOOK.read_text(encoding='utf-8')!r}, {{}})\n"
        Path(root, PTH).write_text(line, encoding="utf-8")

    def get_source_files(self) -> list[str]:
        """Return what a source distribution must contain."""
        return [str(HOOK)]

    def get_outputs(self) -> list[str]:
        """Return the files that the command writes."""
        return [] if self.editable_mode else [str(Path(self.build_lib, PTH))]

    def get_output_mapping(self) -> dict[str, str]:
        """Return no mapping: no file of an editable installation stays in the source folder."""
        return {}


build.sub_commands.append(("build_pth", None))
setup(cmdclass={"build_pth": build_pth})
