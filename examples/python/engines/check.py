"""Whether embeddings of a corpus are all there, each once, and the same bits as another run's.

    python check.py INPUT OUTPUT REFERENCE
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

corpus, output, reference = (ds.dataset(Path(argument)) for argument in sys.argv[1:4])
ids = np.sort(corpus.to_table(columns=["id"])["id"].to_numpy())


def vectors(dataset: ds.Dataset) -> np.ndarray:
    """The vectors in the order of their ids, which have to be the corpus's, each once."""
    table = dataset.to_table(columns=["id", "embedding"]).sort_by("id")
    found = table["id"].to_numpy()
    lost, doubled = np.setdiff1d(ids, found), len(found) - len(np.unique(found))
    if len(lost) or doubled or not np.array_equal(found, ids):
        raise SystemExit(f"{len(lost)} texts lost, {doubled} doubled")
    column = table["embedding"].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    return column.flatten().to_numpy().reshape(len(ids), -1).view(np.uint32)


found, expected = vectors(output), vectors(reference)
different = int((found != expected).any(axis=1).sum())
if different:
    raise SystemExit(f"{different} of {len(ids)} vectors differ")
print(f"{len(ids)} texts, none lost, none doubled; vectors of {found.shape[1]} are bit-identical")
