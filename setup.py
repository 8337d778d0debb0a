"""Build script: metadata lives in setup.cfg; this file only makes the start-up hook's .pth file.

``niftynet_ext.pth`` has to lie at the top of site-packages, where the interpreter reads it at
start-up; neither ``packages`` nor ``data_files`` can put it there, so a build sub-command does.
"""

from pathlib import Path

from setuptools import Command, setup
from setuptools.command.build import build

HOOK = Path("niftynet_ext/hook.py")
PTH = "niftynet_ext.pth"


class build_pth(Command):  # noqa: N801  (setuptools names commands in lower case)
    """Write the hook as a .pth file into the root of the wheel, editable or not."""

    description = "make the start-up hook"
    user_options = []

    def initialize_options(self):
        self.build_lib = None
        self.editable_mode = False  # set by setuptools for `pip install -e`

    def finalize_options(self):
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self):
        root = self.build_lib
        if self.editable_mode:  # files written here go into the editable wheel itself
            root = self.get_finalized_command("install").install_lib
        self.mkpath(root)
        # a .pth file executes single lines that begin with "import"
        line = f"import sys; exec({HOOK.read_text(encoding='utf-8')!r}, {{}})\n"
        Path(root, PTH).write_text(line, encoding="utf-8")

    def get_source_files(self):
        return [str(HOOK)]

    def get_outputs(self):
        return [] if self.editable_mode else [str(Path(self.build_lib, PTH))]

    def get_output_mapping(self):
        return {}


build.sub_commands.append(("build_pth", None))
setup(cmdclass={"build_pth": build_pth})
