"""How much memory a run needed at most."""

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MEBIBYTE = 2**20


ON_GPU = (
    "out of memory on the GPU: let fewer trials share one (a larger --gpus-per-trial, or auto, which measures it), "
    "or lower batch_dialogues and raise accumulate by as much"
)
ON_NODE = (
    "out of memory on its node: run fewer trials at a time (--concurrency), set memory aside for each "
    "(--memory-per-trial auto measures it), or lower batch_dialogues and raise accumulate by as much"
)


def out_of_memory(error: BaseException) -> str | None:
    """What to do where an error says that memory is short; None where it says something else."""
    if isinstance(error, torch.OutOfMemoryError):
        return ON_GPU
    text = str(error)
    if isinstance(error, RuntimeError) and "CUDA" in text and "out of memory" in text:
        return ON_GPU
    on_node = isinstance(error, MemoryError) or "DefaultCPUAllocator" in text  # torch's, which is a RuntimeError
    return ON_NODE if on_node or type(error).__name__ == "OutOfMemoryError" else None  # the last is Ray's own


class PeakMemory:
    """Watches from when it is made; what cannot be measured reads 0, for a measurement must never end a run.

    On a GPU the peak is what this process's tensors took of it: the model's, the optimiser's, those of a batch. On a
    CPU it is how much more physical memory the process held than at the beginning, when what earlier runs of a reused
    actor had left was given back; the first run of a process also pays some 50 MB for code that is loaded when it is
    first used. Where Linux does not let the high-water mark be reset, an earlier run's peak counts as this one's. Of a
    run that was resumed: since then.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device).type
        self._held = 0.0
        _give_back()
        with suppress(Exception):
            if self._device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            FORGET.write_text("5", encoding="ascii")  # sets VmHWM to what is resident now
        with suppress(Exception):
            self._held = _resident("VmRSS")

    def read(self) -> dict[str, Any]:
        """The peak so far in MB of 2**20 bytes, where it was measured, and the peak of the whole process."""
        process = on_gpu = 0.0
        with suppress(Exception):
            process = _resident("VmHWM")
        with suppress(Exception):
            on_gpu = torch.cuda.max_memory_allocated() if self._device == "cuda" else 0.0
        peak = on_gpu if self._device == "cuda" else max(0.0, process - self._held)
        return {
            "peak_mb": round(peak / MEBIBYTE, 1),
            "device": self._device,
            "process_mb": round(process / MEBIBYTE, 1),
        }


def _give_back() -> None:
    """Return to the system what is free: glibc keeps it for each thread that has ended, as a trial's has."""
    gc.collect()
    with suppress(Exception):  # other C libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)


def _resident(name: str) -> float:
    """Bytes of physical memory that this process holds (VmRSS) or held at most (VmHWM)."""
    if STATUS.is_file():
        lines = dict(line.split(":", 1) for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines())
        return 1024 * float(lines[name].split()[0])
    unit = 1 if sys.platform == "darwin" else 1024  # here only the most is known
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
