"""One more signal for NiftyNet's event handlers."""

from niftynet.engine.signal import NIFTYNET

#: Sent when the driver's run is over, however it ended, and every handler has heard SESS_FINISHED
RUN_ENDED = NIFTYNET.signal("run_ended", doc="emitted after the session is finished.")
