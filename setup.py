"""Build script: metadata lives in setup.cfg; here is what setuptools cannot do from there.

``niftynet_ext.pth`` has to lie at the top of site-packages, where the interpreter reads it at
start-up; neither ``packages`` nor ``data_files`` can put it there. The ini files lie in
``config_ini/``, where people look for them, and go into the package ``niftynet_ext`` of a wheel.
"""

from pathlib import Path

from setuptools import Command, setup
from setuptools.command.build import build

HOOK = Path("niftynet_ext/hook.py")
PTH = "niftynet_ext.pth"
INI_FILES = Path("config_ini")
PACKAGED_INI_FILES = Path("niftynet_ext/ini_files")


class _BuildFiles(Command):
    """Base of the two commands: where setuptools wants files, editable or not."""

    user_options: list[tuple[str, str, str]] = []

    def initialize_options(self) -> None:
        self.build_lib: str | None = None
        self.editable_mode = False  # set by setuptools for `pip install -e`

    def finalize_options(self) -> None:
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class build_pth(_BuildFiles):  # noqa: N801  (setuptools names commands in lower case)
    """Write the hook as a .pth file into the root of the wheel, editable or not."""

    description = "make the start-up hook"

    def run(self) -> None:
        root = self.build_lib
        if self.editable_mode:  # files written here go into the editable wheel itself
            root = self.get_finalized_command("install").install_lib
        self.mkpath(root)
        # a .pth file executes single lines that begin with "import"
        line = f"import sys; exec({HOOK.read_text(encoding='utf-8')!r}, {{}})\n"
        Path(root, PTH).write_text(line, encoding="utf-8")

    def get_source_files(self) -> list[str]:
        return [str(HOOK)]

    def get_outputs(self) -> list[str]:
        return [] if self.editable_mode else [str(Path(self.build_lib, PTH))]


class build_ini_files(_BuildFiles):  # noqa: N801
    """Copy the ini files into the package; an editable install reads them where they are."""

    description = "copy config_ini into the package"

    def run(self) -> None:
        for source, target in zip(self.get_source_files(), self.get_outputs(), strict=True):
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def get_source_files(self) -> list[str]:
        return [] if self.editable_mode else sorted(map(str, INI_FILES.glob("*.ini")))

    def get_outputs(self) -> list[str]:
        folder = Path(self.build_lib, PACKAGED_INI_FILES)
        return [str(folder / Path(source).name) for source in self.get_source_files()]


build.sub_commands += [("build_pth", None), ("build_ini_files", None)]
setup(cmdclass={"build_pth": build_pth, "build_ini_files": build_ini_files})
