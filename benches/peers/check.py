"""Do all settings and all ways to compute a batch in pieces give what one padded batch in PyTorch gives? See README.md.

    python check.py [--work DIR] [--model tiny] [--only NAMES] [--with candle,tract,rten] [--compiled]
"""

import argparse
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

import agreement
from cases import MODELS, ONE_BATCH, in_order, padded, random_ids, ways, write_ids
from processes import Failed, prepare
from run import REFERENCE, starters

# Not sorted, some alike. None of a single token: after one, OpenVINO 2026.4 with dynamic shapes is wrong from 16 tokens on.
LENGTHS = [9, 128, 5, 33, 33, 16, 70, 12, 90, 7, 33, 16]

NOT_MEANT = ("fewer pieces than threads", "too many shapes", "one shape only")


class Pieces(unittest.TestCase):
    def test_every_way_has_every_sequence_once_and_its_sizes(self):
        found = ways(LENGTHS)
        sizes = {name: [len(piece) for piece in pieces] for name, pieces in found.items()}
        self.assertEqual(sizes, {ONE_BATCH: [12], "buckets of 8": [8, 4], "buckets of 4": [4, 4, 4], "one by one": [1] * 12})
        for pieces in found.values():
            self.assertEqual(sorted(number for piece in pieces for number in piece), [*range(len(LENGTHS))])
            lengths = [LENGTHS[number] for piece in pieces for number in piece]
            self.assertEqual(lengths, sorted(lengths))

    def test_ways_that_come_to_the_same_are_left_out(self):
        self.assertEqual([*ways([7] * 9)], [ONE_BATCH, "one by one"])
        self.assertEqual([*ways([7, 8, 9, 9])], [ONE_BATCH, "one by one"])
        self.assertEqual([*ways([7])], [ONE_BATCH])

    def test_pieces_are_padded_to_their_own_longest(self):
        ids = random_ids(LENGTHS, 1000, 0)
        for piece in ways(LENGTHS)["buckets of 4"]:
            batch, mask = padded([ids[number] for number in piece])
            self.assertEqual(batch.shape, (4, max(LENGTHS[number] for number in piece)))
            self.assertEqual(mask.sum(), sum(LENGTHS[number] for number in piece))

    def test_rows_are_put_back_in_order(self):
        for pieces in ways(LENGTHS).values():
            longest = [max(LENGTHS[number] for number in piece) for piece in pieces]
            states = [np.full((len(piece), most, 2), np.reshape(piece, (-1, 1, 1))) for piece, most in zip(pieces, longest)]
            pooled = [np.full((len(piece), 2), np.reshape(piece, (-1, 1))) for piece in pieces]
            expected = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
            np.testing.assert_array_equal(in_order(states, pieces, LENGTHS)[:, 1], expected)
            np.testing.assert_array_equal(in_order(pooled, pieces, LENGTHS)[:, 1], np.arange(len(LENGTHS)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="tiny")
    parser.add_argument("--only", default="")
    parser.add_argument("--with", dest="extra", default="")
    parser.add_argument("--compiled", action="store_true", help="PyTorch's compiled settings, too, which take minutes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patience", type=float, default=60)
    parser.add_argument("--work", type=Path, help="where models are kept; default: a new temporary directory")
    parser.add_argument("--measure", help="command instead of this crate's example `measure`")
    return parser.parse_args()


def outcomes(options, directory, case):
    """Name, setting and way, and what is wrong (or None)."""
    reference, path = directory / f"{case}.reference.f32", directory / f"{case}.output.f32"
    for name, precision, starts in sorted(starters(options, directory), key=lambda entry: entry[0] != REFERENCE):
        for (setting, way), start in starts(case).items():
            if "compiled" in setting and not options.compiled:
                continue
            if reference.exists() and name == REFERENCE and options.only and not name.startswith(options.only):
                break  # It is there as the reference alone.
            what = ", ".join(filter(None, [case, name, setting, way]))
            try:
                process = start()
            except Failed as why:
                yield what, None if any(reason in str(why) for reason in NOT_MEANT) else str(why)
                continue
            process.dump(path if reference.exists() else reference)
            process.close()
            if path.exists():
                yield what, agreement.check(path, reference, MODELS[options.model]["hidden_size"], precision)[2]
                path.unlink()


def main():
    if not unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(Pieces)).wasSuccessful():
        sys.exit(1)
    options = arguments()
    work = options.work or Path(tempfile.mkdtemp(prefix="ndalbert-peers-"))
    directory = (work / options.model).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    prepare(directory, options.model, "checkpoint")
    wrong = 0
    for output in ("base", "pooled"):
        case = f"check-{output}"
        (directory / f"{case}.reference.f32").unlink(missing_ok=True)
        write_ids(directory, case, random_ids(LENGTHS, MODELS[options.model]["vocab_size"], 1), output)
        for what, why in outcomes(options, directory, case):
            print(f"{what}: {why or 'agrees'}", flush=True)
            wrong += why is not None
    if wrong:
        sys.exit(f"{wrong} disagree or do not run")


if __name__ == "__main__":
    main()
