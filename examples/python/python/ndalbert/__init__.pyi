from collections.abc import Iterable
from os import PathLike
from typing import Any

__all__ = ["Pipeline", "instruction_set", "pipeline", "set_num_threads"]

class Pipeline:
    task: str
    model: str
    options: dict[str, Any]

    def __init__(self, task: str, model: str | PathLike[str], **options: Any) -> None: ...
    def __call__(self, inputs: str | dict[str, Any] | tuple[Any, ...] | Iterable[Any]) -> Any: ...

def pipeline(task: str, model: str | PathLike[str], **options: Any) -> Pipeline: ...
def instruction_set() -> str: ...
def set_num_threads(count: int) -> None: ...
