"""Build script: metadata lives in setup.cfg; this file only places the start-up hook.

``niftynet_ext.pth`` has to lie at the top of site-packages, where the interpreter reads it at
start-up; neither ``packages`` nor ``data_files`` can put it there, so a build sub-command does.
"""
from pathlib import Path

from setuptools import Command, setup
from setuptools.command.build import build

PTH = Path("niftynet_ext/compat/niftynet_ext.pth")


class build_pth(Command):  # noqa: N801  (setuptools names commands in lower case)
    """Copy the hook's .pth file to the root of the wheel, editable or not."""

    description = "place the start-up hook at the top of site-packages"
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
        self.copy_file(str(PTH), str(Path(root, PTH.name)), preserve_mode=False)

    def get_source_files(self):
        return [str(PTH)]

    def get_outputs(self):
        return [] if self.editable_mode else [str(Path(self.build_lib, PTH.name))]

    def get_output_mapping(self):
        return {}


build.sub_commands.append(("build_pth", None))
setup(cmdclass={"build_pth": build_pth})
