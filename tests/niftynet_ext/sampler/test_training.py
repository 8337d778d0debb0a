"""``window_sampling = uniform_fast`` under NiftyNet's own command."""

import pytest

from tests.support.toy import losses

ITERATIONS = 12


# compiles the loops of the sampler in each process; test_window_sampler.py does so once
@pytest.mark.slow
def test_fast_sampling_gives_the_same_losses_for_any_threads_and_memory(job):
    """The same windows with any number of threads and wherever the volumes are kept."""
    job.set("CT", interp_order=3)
    job.set("NETWORK", window_sampling="uniform_fast")
    job.set(
        "TRAINING",
        do_elastic_deformation=True,
        num_ctrl_points=4,
        deformation_sigma=2,
        proportion_to_deform=0.5,
        foreground_share=0.3,
        volume_memory_gb=1,
    )

    def run(*flags):
        code, text = job.net_segment("train", "--max_iter", ITERATIONS, "--seed", 7, *flags)
        assert code == 0
        return losses(text) + losses(text, "validation")

    once, files = run("--num_threads", 1), set(job.model.iterdir())
    assert len(once) == ITERATIONS + ITERATIONS // 2
    assert (
        run("--num_threads", 3, "--volume_memory_gb", 0, "--window_sampling", "uniform_fast")
        == once
    )
    assert set(job.model.iterdir()) == files  # the volumes' file is gone
    code, _ = job.net_segment("inference")
    assert code == 0 and list((job.folder / "model/segmentation").glob("*006*.nii.gz"))
