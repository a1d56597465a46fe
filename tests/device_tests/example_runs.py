"""Runs to store: made up, but of the shape that devices give."""

from __future__ import annotations

import numpy as np

from mobiledeploy.contract import Preprocessing
from mobiledeploy.device_tests.accuracy_run import AccuracyRun, Prediction
from mobiledeploy.device_tests.conditions import Conditions, CoreState
from mobiledeploy.device_tests.facts import Battery, Core, DeviceFacts, Unread, Zone
from mobiledeploy.device_tests.latency_run import EngineUsed, LatencyRun, Launch, ModelFile
from mobiledeploy.runtimes.runner.report import OpTime
from mobiledeploy.runtimes.runner.request import Timing


def facts(name: str = "Pixel 6", emulated: bool = False) -> DeviceFacts:
    return DeviceFacts(
        kind="android",
        manufacturer="Google",
        model=name,
        soc="Google Tensor",
        cores=tuple(Core(index, part="0x41:0xd05", name="Cortex-A55") for index in range(8)),
        abis=("arm64-v8a", "armeabi-v7a"),
        features=("asimd", "asimddp"),
        os="Android 14",
        build="google/oriole/oriole:14/AP1A",
        kernel="Linux 5.10.0",
        memory_total=8_000_000_000,
        memory_available=4_000_000_000,
        battery=Battery(80, False, 29.5, 4100),
        thermal_status="none",
        zones=(Zone("soc", 41.5),),
        folder="/data/local/tmp/mobiledeploy",
        free_bytes=10**10,
        emulated=emulated,
        emulated_sign="virt" if emulated else None,
        unread=(Unread("governor", "no permission"),),
    )


def conditions(time: str) -> Conditions:
    return Conditions(
        time=time,
        cores=(CoreState(0, True, "performance", 1_800_000, 300_000, 1_800_000),),
        thermal_status="none",
        zones=(Zone("soc", 41.5),),
        battery=Battery(80, False, 29.5, 4100),
        power_save=False,
        screen=None,
        airplane=True,
        busy=0.03,
        memory_available=4_000_000_000,
    )


def latency_run(
    *,
    milliseconds: float = 12.3,
    started: str = "2026-03-01T12:00:00+00:00",
    device: str = "adb:0A041FDD4003XK",
    model: str = "mobilenet_v2_int8.tflite",
    sha256: str = "ab" * 32,
    threads: int = 4,
    clock: str = "monotonic",
    complete: bool = True,
    launches: int = 2,
    samples: int = 20,
    name: str = "Pixel 6",
    seed: int = 0,
) -> LatencyRun:
    random = np.random.default_rng(seed)
    times = random.normal(milliseconds * 1e6, milliseconds * 2e4, (launches, samples)).astype(int)
    return LatencyRun(
        device=device,
        facts=facts(name, clock != "monotonic"),
        model=ModelFile(model, "tflite", sha256, 3_600_000, "full-integer"),
        engine=EngineUsed("LiteRT", "2.1.0", "cd" * 32, "runner 1", "ef" * 32, "XNNPACK", 66, 66),
        threads=threads,
        affinity=(4, 5, 6, 7),
        timing=Timing(),
        clock=clock,
        before=conditions(started),
        after=conditions(started),
        launches=tuple(
            Launch(
                order=order,
                started=started,
                load_ns=None,
                init_ns=2_000_000 + order,
                first_ns=20_000_000,
                warmup_ns=(13_000_000,),
                samples_ns=tuple(row.tolist()),
                starts_ns=tuple(np.cumsum(row).tolist()),
                memory_before=10_000_000,
                memory_peak=30_000_000 + order,
                digest="01" * 32,
                steady=True,
                complete=complete,
                energy_uj=None,
            )
            for order, row in enumerate(times)
        ),
        ops=(OpTime("features/0/conv", "CONV_2D", 1_000_000, 10),),
        controlled=("governor performance",),
        uncontrolled=(Unread("temperature", "the device tells none"),),
        harness="0.1.0",
        started=started,
    )


def accuracy_run(images: int = 10) -> AccuracyRun:
    mean, std = (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)
    return AccuracyRun(
        file="mobilenet_v2.onnx",
        sha256="12" * 32,
        engine="ONNX Runtime 1.32.0",
        preprocessing=Preprocessing(224, 224, resize_to=256, mean=mean, std=std),
        label_offset=0,
        classes=1000,
        seconds=2.5,
        workers=2,
        predictions=tuple(
            Prediction(f"n{index}/photo.jpg", index, (index if index % 3 else 999, 1, 2, 3, 4), False)
            for index in range(images)
        ),
        device="local",
    )
