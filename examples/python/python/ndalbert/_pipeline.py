"""What callers see: one input, a list or an Arrow array in; dictionaries, NumPy or Arrow out."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from . import _native

if TYPE_CHECKING:
    import pyarrow as pa

_EMBEDDINGS = ("feature-extraction", "sentence-embedding")
_CLASSES = ("text-classification", "sentiment-analysis")


def pipeline(task: str, model: str | os.PathLike[str], **options: Any) -> Pipeline:
    """Loads a pipeline of a task from a checkpoint's directory.

    Tasks and their options, under transformers' names where it has them:

    - ``text-classification`` (``sentiment-analysis``): ``top_k``, ``function_to_apply``, ``exit``
    - ``zero-shot-classification``: ``candidate_labels``, ``hypothesis_template``, ``multi_label``, ``entailment_id``,
      ``exit``
    - ``token-classification`` (``ner``): ``aggregation_strategy``, ``ignore_labels``, ``stride``
    - ``question-answering``: ``top_k``, ``max_answer_len``, ``handle_impossible_answer``, ``align_to_words``,
      ``max_seq_len``, ``doc_stride``
    - ``fill-mask``: ``top_k``, ``targets``
    - ``feature-extraction`` (``sentence-embedding``), one vector for each text: ``pooling``, ``normalize``,
      ``truncate_dim``, ``prompt``, ``prompt_name``
    - ``multiple-choice``, ``sentence-order``: ``exit``

    All of them take ``precision`` (``"f32"``, ``"bf16"`` or ``"int8"``), ``max_length`` (of a text, in tokens) and
    ``tokens_per_batch``. ``exit`` lets inputs leave a model with exits early, ``exit="patience=3"`` say; answers then
    have ``layers``.

    Raises ValueError for an unknown task or a checkpoint that does not fit it, TypeError for an option that the task does
    not have, and OSError (FileNotFoundError and so on) for files that cannot be read.
    """
    return Pipeline(task, model, **options)


@functools.cache
def shared_pipeline(task: str, model: str | os.PathLike[str], **options: Any) -> Pipeline:
    """As `pipeline`, but loaded once in a process: the same call returns the same pipeline.

    For engines that keep a process and call a function in it again and again, such as Spark's workers. Options have to be
    hashable (a tuple of labels, not a list).
    """
    return Pipeline(task, model, **options)


class Pipeline:
    """A pipeline: call it with inputs. It is immutable, may be called from several threads at a time, and is pickled by
    its arguments: where it is unpickled, the checkpoint is loaded again."""

    def __init__(self, task: str, model: str | os.PathLike[str], **options: Any) -> None:
        self.task = task
        self.model = os.fspath(model)
        self.options = options
        self._native = _native.Pipeline(task, self.model, options)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"ndalbert.pipeline({self.task!r}, {self.model!r}{options})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self.task, self.model, self.options)

    def __call__(self, inputs: Any = None, **fields: Any) -> Any:
        """The answers.

        An input is a text, a pair of texts (a tuple), or a dictionary: ``text`` and ``text_pair`` for classes,
        ``sequence`` and ``candidate_labels`` for labels of one's own, ``question`` and ``context``, ``prompt`` and
        ``choices``, ``first`` and ``second``. Keyword arguments alone are one such dictionary.

        - One input: its answer, as transformers has it (a row ``[H]`` for an embedding).
        - A list: a list of answers (a matrix ``[N, H]`` for embeddings).
        - An Arrow array of strings or structs: an Arrow array of answers of a fixed type.

        Raises ValueError with the place of the first input that cannot be processed.
        """
        if inputs is None:
            inputs = fields
        elif fields:
            names = ", ".join(sorted(fields))
            raise TypeError(f"expected inputs or keyword arguments, found both ({names})")
        if hasattr(inputs, "__arrow_c_array__") or hasattr(inputs, "__arrow_c_stream__"):
            return self._arrow(inputs)
        if isinstance(inputs, (str, dict, tuple)):
            answers = self._native.run([inputs])
            if self.task in _CLASSES and isinstance(inputs, str):
                # As transformers: of a single text, always a list.
                return answers[0]
            return self._shown(answers)[0]
        return self._shown(self._run(list(inputs)))

    def _run(self, inputs: list[Any]) -> Any:
        """The native pipeline's answers. Of no texts, a matrix with no rows that is as wide as others."""
        if not inputs and self.task in _EMBEDDINGS:
            return self._native.run([""])[:0]
        return self._native.run(inputs)

    def _shown(self, answers: Any) -> Any:
        """Answers with lists of one opened where transformers opens them."""
        top_k = self.options.get("top_k", 1)
        if self.task in _CLASSES and "top_k" not in self.options:
            return [classes[0] for classes in answers]
        if self.task == "question-answering" and top_k == 1:
            return [found[0] if found else None for found in answers]
        if self.task == "fill-mask":
            return [masks[0] if len(masks) == 1 else masks for masks in answers]
        return answers

    def _arrow(self, inputs: Any) -> pa.Array:
        import pyarrow as pa

        is_stream = hasattr(inputs, "__arrow_c_stream__")
        if not isinstance(inputs, (pa.Array, pa.ChunkedArray)):
            inputs = pa.chunked_array(inputs) if is_stream else pa.array(inputs)
        answers = self._run(inputs.to_pylist())
        if self.task in _EMBEDDINGS:
            # The matrix's memory is the Arrow array's.
            values = pa.array(answers.reshape(-1))
            return pa.FixedSizeListArray.from_arrays(values, answers.shape[1])
        if self.task != "fill-mask":
            answers = self._shown(answers)
        return pa.array(answers, type=self.arrow_type())

    def arrow_type(self) -> pa.DataType:
        """The type of the Arrow arrays that this pipeline returns, which does not depend on what is in them.

        Raises TypeError for embeddings, whose type is a fixed-size list of as many floats as a vector has.
        """
        import pyarrow as pa

        score, text, count = ("score", pa.float32()), pa.string(), pa.int64()
        layers = [("layers", count)] if "exit" in self.options else []
        if self.task in _CLASSES:
            struct = pa.struct([("label", text), score, *layers])
            return pa.list_(struct) if "top_k" in self.options else struct
        if self.task == "zero-shot-classification":
            lists = [("labels", pa.list_(text)), ("scores", pa.list_(pa.float32()))]
            layers = [(name, pa.list_(kind)) for name, kind in layers]
            return pa.struct([("sequence", text), *lists, *layers])
        if self.task in ("token-classification", "ner"):
            span = [("word", text), ("start", count), ("end", count)]
            if self.options.get("aggregation_strategy", "none") == "none":
                return pa.list_(pa.struct([("entity", text), score, ("index", count), *span]))
            return pa.list_(pa.struct([("entity_group", text), score, *span]))
        if self.task == "question-answering":
            struct = pa.struct([score, ("start", count), ("end", count), ("answer", text)])
            return struct if self.options.get("top_k", 1) == 1 else pa.list_(struct)
        if self.task == "fill-mask":
            word = [score, ("token", count), ("token_str", text), ("sequence", text)]
            return pa.list_(pa.list_(pa.struct(word)))
        if self.task == "multiple-choice":
            choice = [("index", count), ("choice", text), score, ("logit", pa.float32())]
            return pa.list_(pa.struct([*choice, *layers]))
        if self.task == "sentence-order":
            order = [("in_order", pa.float32()), ("logits", pa.list_(pa.float32())), *layers]
            return pa.struct(order)
        raise TypeError(f"arrow_type: expected a task with dictionaries, found {self.task}")


def _load(task: str, model: str, options: dict[str, Any]) -> Pipeline:
    return Pipeline(task, model, **options)
