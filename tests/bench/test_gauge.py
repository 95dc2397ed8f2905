"""What is read off while a side runs."""

import time

import pytest
import torch

from peft_asr.bench.gauge import Gauge, count_trainable, peak_mb, reset_peak, resident_mb


def test_warm_up_is_not_counted_and_waiting_is():
    gauge = Gauge(warmup=1)

    def loader():
        for number in range(3):
            time.sleep(0.3 if number == 0 else 0.02)
            yield number

    gauge.start()
    for number in gauge.fed(loader()):
        time.sleep(0.02)
        gauge.stepped(float(number), utterances=2, audio_s=1.5)
    report = gauge.report(trainable=5, dtype="float32")
    assert (report["steps"], report["utterances"], report["audio_s"]) == (2, 4, 3.0)
    assert report["losses"] == [0.0, 1.0, 2.0] and report["finite"] and report["dtype"] == "float32"
    assert 0.04 <= report["step_s"] < 0.3
    assert 0.1 < report["wait_share"] < 0.9


def test_a_loss_that_is_not_finite_shows():
    gauge = Gauge(warmup=0)
    gauge.start()
    gauge.stepped(float("nan"), 1, 1.0)
    assert not gauge.report(1)["finite"]


def test_the_peak_is_of_what_came_after_the_reset():
    if not resident_mb():
        pytest.skip("this system does not tell a process's memory")
    large = torch.ones(64 * 2**20 // 4)
    assert peak_mb() >= resident_mb() > 64
    del large
    reset_peak()
    before = peak_mb()
    held = torch.ones(100 * 2**20 // 4)
    del held
    assert 60 < peak_mb() - before < 160


def test_only_what_trains_is_counted():
    layer = torch.nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    assert count_trainable(layer, torch.nn.Linear(1, 1)) == 8
