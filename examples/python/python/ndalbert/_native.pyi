"""The native half: lists in, lists out."""

import os
from typing import Any

def instruction_set() -> str:
    """The instruction set that pipelines use on this processor, such as ``avx512vnni``."""

def set_num_threads(count: int) -> None:
    """Sets how many threads compute, once and before the first pipeline is loaded.

    By default there is one for each core, or as many as the environment variable ``RAYON_NUM_THREADS`` says.

    Raises RuntimeError if the threads are running already.
    """

class Pipeline:
    """A loaded pipeline."""

    def __new__(
        cls, task: str, model: str | os.PathLike[str], options: dict[str, Any]
    ) -> "Pipeline": ...
    def run(self, inputs: list[Any]) -> Any:
        """The answers in order: a list, or an array of NumPy for embeddings."""
