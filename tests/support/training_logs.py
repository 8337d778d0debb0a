"""Logs of a training, as TensorBoard has them."""

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter


def log(model_dir, phase, losses, clock, run="0"):
    """Write losses by iteration as NiftyNet does, beside the loss with weight decay."""
    writer = EventFileWriter(str(model_dir / "logs" / run / phase), filename_suffix=f".{clock}")
    for step, loss in losses.items():
        values = [
            Summary.Value(tag=f"worker_0/{tag}", simple_value=value)
            for tag, value in (("total_loss", 9.0), ("loss", loss))
        ]
        writer.add_event(Event(wall_time=clock + step, step=step, summary=Summary(value=values)))
    writer.close()
