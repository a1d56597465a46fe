"""Devices on several hosts, shared by a team and scheduled on Dask (docs/lab.md).

    from mobiledeploy.device_tests.lab.runs import benchmark_in_lab

    (measured,) = benchmark_in_lab(["kind:pixel8"], plan, scheduler="tcp://10.0.0.5:8786")

Nothing here loads Dask before a lab is opened.
"""
