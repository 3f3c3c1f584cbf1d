"""Read metrics of this machine for the demo."""

import os
import platform
import shutil

import psutil


def read_machine() -> dict[str, float]:
    """Return the current values of this machine's metrics by name.

    Values that only grow, such as bytes sent, are counters, which is detected automatically.
    """
    prefix = f"host.{platform.node().split('.')[0] or 'localhost'}"
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(os.sep)
    found = {
        "cpu.percent": psutil.cpu_percent(),
        "memory.used_percent": memory.percent,
        "memory.available_bytes": memory.available,
        "swap.used_percent": psutil.swap_memory().percent,
        "disk.used_bytes": disk.used,
        "disk.used_percent": 100 * disk.used / disk.total,
        "processes": len(psutil.pids()),
    }
    for minutes, load in zip((1, 5, 15), psutil.getloadavg(), strict=True):
        found[f"load{minutes}"] = load
    for name, busy in psutil.cpu_times()._asdict().items():
        found[f"cpu.{name}_seconds_total"] = busy
    disk_counters = psutil.disk_io_counters()
    if disk_counters is not None:
        for name in ("read_bytes", "write_bytes", "read_count", "write_count"):
            found[f"disk.{name}_total"] = getattr(disk_counters, name)
    network = psutil.net_io_counters()
    for name in ("bytes_sent", "bytes_recv", "packets_sent", "packets_recv"):
        found[f"network.{name}_total"] = getattr(network, name)
    return {f"{prefix}.{name}": float(value) for name, value in found.items()}
