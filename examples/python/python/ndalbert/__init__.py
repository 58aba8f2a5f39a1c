"""ALBERT's pipelines, computed in Rust.

>>> import ndalbert
>>> classify = ndalbert.pipeline("text-classification", "directory", precision="int8")
>>> classify("the compiler shows an error")
[{'label': '...', 'score': 0.98}]

A pipeline is called with one input, a list of them, or an Arrow array. Other Python threads run while it computes.
"""

from ._native import instruction_set, set_num_threads
from ._pipeline import Pipeline, pipeline, shared_pipeline

__all__ = ["Pipeline", "instruction_set", "pipeline", "set_num_threads", "shared_pipeline"]
