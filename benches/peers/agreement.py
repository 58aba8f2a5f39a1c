"""Do all compute the same? Everybody is compared with PyTorch's f32 eager result, at real tokens."""

import numpy as np

# Precision: largest absolute difference and least mean cosine per token that are accepted. Hidden states are layer norms' outputs:
# of the order of 1, up to 5 or so. In f32, contestants differ by the order of their sums; bf16 has 8 bits of precision; with 8-bit
# integers, what counts is the direction. A wrong mask, activation, position or layer gives a cosine well below these.
BOUNDS = {"f32": (5e-5, 0.999999), "bf16": (0.5, 0.999), "int8": (1.0, 0.99)}


def compare(rows, reference):
    """Largest absolute difference, and mean cosine of rows; both are flat f32 files' contents, packed rows."""
    difference = float(np.abs(rows - reference).max())
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(reference, axis=1)
    return difference, float(((rows * reference).sum(1) / lengths).mean())


def check(path, reference_path, hidden, precision):
    """The two figures, and what is wrong with them (or None)."""
    reference = np.fromfile(reference_path, "<f4").astype(np.float64).reshape(-1, hidden)
    rows = np.fromfile(path, "<f4").astype(np.float64)
    if rows.size != reference.size:
        return None, None, f"{rows.size} values instead of {reference.size}"
    difference, cosine = compare(rows.reshape(-1, hidden), reference)
    most, least = BOUNDS[precision]
    if not (difference <= most and cosine >= least):  # also where it is not a number
        return difference, cosine, f"difference {difference:.3g} (bound {most}), cosine {cosine:.6f} (bound {least})"
    return difference, cosine, None
