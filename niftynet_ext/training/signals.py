"""One more signal for NiftyNet's event handlers."""

from niftynet.engine.signal import NIFTYNET

RUN_ENDED = NIFTYNET.signal("run_ended", doc="emitted after the session is finished.")
"""Sent when the driver's run has ended, however it ended, after every handler of SESS_FINISHED."""
