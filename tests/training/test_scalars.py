import threading

import numpy as np
import pytest

from hmrlab.training.scalars import BackgroundWriter


class Sink:
    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []
        self.images: list[tuple[str, tuple[int, ...], int]] = []
        self.threads: set[str] = set()
        self.closed = False

    def add_scalar(self, tag, value, step):
        self.threads.add(threading.current_thread().name)
        self.scalars.append((tag, value, step))

    def add_image(self, tag, image, step, dataformats):
        self.images.append((tag, image.shape, step))

    def close(self):
        self.closed = True


def test_everything_queued_is_written_by_another_thread_before_close_returns():
    sink = Sink()
    writer = BackgroundWriter(sink)
    for step in range(50):
        writer.scalars({"a": step * 1.0, "b": 2.0}, step)
    assert writer.picture("people", lambda: np.zeros((4, 6, 3), np.uint8), 50)
    writer.close()
    assert [row for row in sink.scalars if row[0] == "a"] == [
        ("a", step * 1.0, step) for step in range(50)
    ]
    assert sink.images == [("people", (4, 6, 3), 50)]
    assert sink.closed
    assert threading.current_thread().name not in sink.threads


def test_a_full_queue_drops_the_picture_and_does_not_wait():
    gate = threading.Event()

    class Slow(Sink):
        def add_scalar(self, tag, value, step):
            gate.wait(5)

    writer = BackgroundWriter(Slow(), capacity=1)
    writer.scalars({"a": 1.0}, 0)
    queued = [writer.picture("p", lambda: np.zeros((1, 1, 3), np.uint8), 0) for _ in range(3)]
    gate.set()
    writer.close()
    assert queued[-1] is False


def test_a_failure_in_the_thread_is_told_at_the_end_not_lost():
    class Broken(Sink):
        def add_scalar(self, tag, value, step):
            raise OSError("disk full")

    writer = BackgroundWriter(Broken())
    for step in range(1000):
        writer.scalars({"a": 1.0}, step)
    with pytest.raises(RuntimeError, match="disk full"):
        writer.close()


def test_tensorboard_can_read_what_is_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = BackgroundWriter.to_folder(tmp_path)
    writer.scalars({"loss/total": 3.5}, 7)
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    [event] = events.Scalars("loss/total")
    assert (event.step, event.value) == (7, 3.5)
