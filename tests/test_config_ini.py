"""The shipped ini files: accepted by NiftyNet, with the paper's values, alike where they must."""

import configparser

import pytest

NAMES = {
    "densehighres3dnet_v1.ini": "densehighres3dnet_v1",
    "densehighres3dnet_v2.ini": "densehighres3dnet_v2",
    "highres3dnet_matched.ini": "highres3dnet_matched",
    "demo.ini": "densehighres3dnet_v1",
}


@pytest.fixture
def parsed(root, monkeypatch):
    """Function: an ini file through NiftyNet's own parser, as `net_segment train -c` does it."""
    import niftynet  # noqa: F401
    from niftynet.utilities import user_parameters_parser

    def parse(name, *flags):
        monkeypatch.chdir(root)
        words = ["net_segment", "train", "-c", f"config_ini/{name}", *flags]
        monkeypatch.setattr("sys.argv", words)
        return user_parameters_parser.run()

    return parse


@pytest.mark.parametrize("name", NAMES)
def test_niftynet_accepts_it(parsed, name):
    system, inputs = parsed(name)
    assert system["NETWORK"].name == NAMES[name]
    assert set(inputs) == {"CT", "LABEL"}
    assert inputs["CT"].spatial_window_size == inputs["LABEL"].spatial_window_size
    assert all(side % 8 == 0 for side in inputs["CT"].spatial_window_size)
    assert system["CUSTOM"].num_classes == 2 and system["CUSTOM"].output_prob


def test_values_of_the_paper(parsed):
    """Section 3.4, and the release's ini where the paper is silent."""
    system, inputs = parsed("densehighres3dnet_v1.ini")
    network, training = system["NETWORK"], system["TRAINING"]
    assert inputs["CT"].spatial_window_size == (192, 192, 48)
    assert (inputs["CT"].interp_order, inputs["LABEL"].interp_order) == (3, 0)
    assert (network.batch_size, network.decay, network.reg_type) == (2, 2e-4, "L2")
    assert network.whitening and not network.normalise_foreground_only
    assert (training.optimiser, training.lr) == ("adam", 3e-4)
    assert tuple(training.scaling_percentage) == (-10.0, 10.0)
    assert training.do_elastic_deformation and training.proportion_to_deform == 1.0
    assert (training.num_ctrl_points, training.deformation_sigma) == (4, 10)
    assert (training.sample_per_volume, network.queue_length) == (8, 40)
    assert system["INFERENCE"].border == (0, 0, 0)


@pytest.mark.parametrize("name", ["densehighres3dnet_v2.ini", "highres3dnet_matched.ini"])
def test_only_the_network_differs(root, name):
    """Paper 3.4: "All the settings are the same when training the baseline model"."""

    def read(path):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(root / "config_ini" / path)
        return {
            (section, key): value
            for section in parser.sections()
            for key, value in parser[section].items()
        }

    ours, v1 = read(name), read("densehighres3dnet_v1.ini")
    assert {key for key in ours | v1 if ours.get(key) != v1.get(key)} == {
        ("NETWORK", "name"),
        ("SYSTEM", "model_dir"),
    }


def test_flags_override_the_ini_file(parsed):
    system, _ = parsed(
        "densehighres3dnet_v1.ini",
        "--loss_type",
        "Focal",
        "--max_iter",
        "30000",
        "--starting_iter",
        "20000",
    )
    training = system["TRAINING"]
    assert (training.loss_type, training.starting_iter, training.max_iter) == (
        "Focal",
        20000,
        30000,
    )
