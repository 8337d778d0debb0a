"""``window_sampling = uniform_fast`` for NiftyNet's segmentation application.

Every run of ``net_segment`` imports this module at its start: imports that take time are inside
functions.
"""

import functools
import tempfile
from typing import Any

from niftynet_ext.core.choices import UNIFORM_FAST, VOLUME_MEMORY_GB

# NiftyNet is untyped: its objects (modules, application) are Any


def offer_sampler(module: Any) -> None:
    """Add the sampler to those of the application; NiftyNet's own stay as they are.

    :param module: ``niftynet.application.segmentation_application``
    """
    application = module.SegmentationApplication
    initialise = application.__init__

    @functools.wraps(initialise)
    def initialise_application(self: Any, *args: Any, **kwargs: Any) -> None:
        initialise(self, *args, **kwargs)
        _, *inference = self.SUPPORTED_SAMPLING["uniform"]
        self.SUPPORTED_SAMPLING[UNIFORM_FAST] = (
            functools.partial(initialise_sampler, self),
            *inference,
        )

    application.__init__ = initialise_application


def initialise_sampler(application: Any) -> None:
    """Do what NiftyNet's ``initialise_uniform_sampler`` does, with one store for all samplers.

    :param application: NiftyNet's segmentation application with its readers
    """
    from niftynet_ext.sampler import volumes, window_sampler  # Numba and SimpleITK: only if chosen

    training = application.action_param
    # a program that makes the application itself may have neither the keys nor the folder
    store = volumes.VolumeStore(
        getattr(training, "volume_memory_gb", VOLUME_MEMORY_GB) * volumes.GB,
        getattr(application, "model_dir", tempfile.gettempdir()),
    )
    share = getattr(training, "foreground_share", 0.0)
    application.sampler = [
        [
            window_sampler.DeformedWindowSampler(
                reader,
                store,
                foreground_share=share if number == 0 else 0.0,
                window_sizes=application.data_param,
                batch_size=application.net_param.batch_size,
                windows_per_image=training.sample_per_volume,
                queue_length=application.net_param.queue_length,
            )
            for number, reader in enumerate(application.readers)
        ]
    ]
