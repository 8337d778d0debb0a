"""Configuration of Sphinx: ``make docs`` builds the HTML, and a warning is an error."""

import os
import shutil
import sys
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# the start-up hook would patch what autodoc mocks: off, also when its own module is documented
os.environ["NIFTYNET_EXT_HOOK"] = "0"
sys.meta_path[:] = [
    finder for finder in sys.meta_path if getattr(finder, "__name__", "") != "NiftyNetFinder"
]

from data_prep.core.identity import VERSION  # noqa: E402  (needs the path above)

project = "niftynet_ext"
author = "niftynet_ext developers"
copyright = "niftynet_ext developers. Apache-2.0"
version = release = VERSION

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinxarg.ext",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "py:obj"
smartquotes = False  # "--option" must stay two hyphens

# what the plugins import; the build neither needs nor loads it
autodoc_mock_imports = ["tensorflow", "niftynet", "tensorboard", "distributed", "idc_index_data"]


class MockedOnly:
    """Finder that refuses the modules above where autodoc does not mock them.

    autodoc puts the finder of its mocks in front of this one, but looks for the source code of
    mocked classes without it.
    """

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        """Refuse a module that is mocked elsewhere."""
        if fullname.partition(".")[0] in autodoc_mock_imports:
            raise ModuleNotFoundError(f"{fullname} is mocked", name=fullname)


sys.meta_path.insert(0, MockedOnly)
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    # settings of Pydantic; patterns that docutils would read as links
    "exclude-members": "model_config, PatientId, FileName",
}
autosummary_generate = True
# the page of a module that was removed or renamed would be a warning
shutil.rmtree(Path(__file__).with_name("generated"), ignore_errors=True)
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"niftynet_ext {release}"
html_static_path = ["_static"]
html_css_files = ["wide_tables.css"]
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

TITLES = {"Positional Arguments": "Arguments", "Named Arguments": "Options"}


def name_options(app, doctree):
    """Replace the titles that sphinx-argparse gives, and show usage as plain text."""
    if app.env.docname != "commands":
        return
    for title in doctree.findall(nodes.title):
        if title.astext() in TITLES:
            title[:] = [nodes.Text(TITLES[title.astext()])]
    for block in doctree.findall(nodes.literal_block):
        block.setdefault("language", "text")


def setup(app):
    """Connect the function above, before Sphinx collects the titles."""
    app.connect("doctree-read", name_options, priority=400)
