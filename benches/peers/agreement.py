"""Do all compute the same? Everybody is compared with PyTorch's f32 eager result, at real tokens."""

import numpy as np

# Precision: largest absolute difference and least mean cosine per token that are accepted. Hidden states are layer norms' outputs:
# of the order of 1, up to 5 or so. In f32, contestants differ by the order of their sums; bf16 has 8 bits of precision; with 8-bit
# integers, what counts is the direction. A wrong mask, activation, position or layer gives a cosine well below these.
BOUNDS = {"f32": (5e-5, 0.999999), "bf16": (0.5, 0.999), "int8": (1.0, 0.99)}


def compare(rows, reference):
    """Largest absolute difference, and the cosine of each row."""
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(reference, axis=1)
    return float(np.abs(rows - reference).max()), (rows * reference).sum(1) / lengths


def read(path, hidden):
    """The rows of a file of packed f32."""
    return np.fromfile(path, "<f4").astype(np.float64).reshape(-1, hidden)


def check(path, reference_path, hidden, precision):
    """The two figures, and what is wrong with them (or None)."""
    rows, reference = read(path, hidden), read(reference_path, hidden)
    if rows.shape != reference.shape:
        return None, None, f"{rows.size} values instead of {reference.size}"
    difference, cosines = compare(rows, reference)
    cosine = float(cosines.mean())
    most, least = BOUNDS[precision]
    if not (difference <= most and cosine >= least):  # also where it is not a number
        return difference, cosine, f"difference {difference:.3g} (bound {most}), cosine {cosine:.6f} (bound {least})"
    return difference, cosine, None
