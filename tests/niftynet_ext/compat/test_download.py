"""``net_download`` against a model zoo on this machine."""

import functools
import http.server
import os
import subprocess
import sys
import tarfile
import threading

import pytest


@pytest.fixture
def zoo(tmp_path):
    """Address of a server with one example, laid out like NiftyNet's model zoo."""
    root = tmp_path / "zoo"
    branch = root / "raw" / "5-reorganising-with-lfs"
    (branch / "toy").mkdir(parents=True)
    (branch / "README.md").write_text("a zoo")
    (tmp_path / "weights.txt").write_text("0.5")
    with tarfile.open(root / "toy.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "weights.txt", "weights.txt")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        (branch / "toy" / "main.ini").write_text(
            "[config]\nversion = 1.0\nmin_download_api = 1.0\nmin_niftynet = 0.2.1\n"
            f"[data]\naction = expand\nurl = {address}/toy.tar.gz\n"
            "destination = models\nlocal_id = toy\n"
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield address
        server.shutdown()


@pytest.mark.slow  # starts TensorFlow; nothing of this project is in it
def test_net_download_fetches_a_model_from_a_zoo(zoo, tmp_path):
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.ini").write_text(f"[global]\nhome = {home}\n")
    code = (
        "import sys, niftynet.utilities.download as download\n"
        "sys.argv = ['net_download', 'toy_model_zoo']\nsys.exit(download.main())"
    )
    env = {**os.environ, "niftynet_model_zoo": zoo, "niftynet_config_home": str(home / "config")}
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=env,
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert (home / "models" / "toy" / "weights.txt").read_text() == "0.5"
    assert "toy_model_zoo -- data: OK." in process.stdout
