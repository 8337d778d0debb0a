"""NiftyNet's own command in the test's process, up to the point where the graph is built."""
import sys

import pytest


class GraphReached(Exception):  # noqa: N818  (nothing went wrong)
    """The checks found nothing to refuse; says at which iteration the training would start."""


@pytest.fixture
def main(tf, job, monkeypatch):
    """Function: `net_segment ACTION -c net.ini FLAGS` up to the point where the graph is built."""
    import niftynet
    from niftynet.application.base_application import SingletonApplication
    from niftynet.engine.application_driver import ApplicationDriver

    monkeypatch.chdir(job.folder)
    monkeypatch.syspath_prepend(job.folder)
    for name in ("toynet", "model"):  # NiftyNet takes model_dir for a module first, if it can
        monkeypatch.delitem(sys.modules, name, raising=False)

    def run(action="train", *flags):
        SingletonApplication.clear()
        monkeypatch.setattr("sys.argv", ["net_segment", action, "-c", "net.ini", *map(str, flags)])
        niftynet.main()

    def graph(self, application, graph=None):
        raise GraphReached(self.initial_iter)

    monkeypatch.setattr(ApplicationDriver, "run", graph)
    yield run
    SingletonApplication.clear()
