//! Pieces of WordPiece by byte-pair encoding: the pair that is next to each other most often
//! becomes one piece, again and again.
//!
//! The rule is that of the `tokenizers` crate's `WordPieceTrainer`. That is not called because what
//! it gives depends on the order of maps with random seeds, and no run of it could be repeated.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// The mark of a piece that continues a word.
pub(super) const CONTINUES: &str = "##";

/// Two pieces by their ids.
type Pair = (u32, u32);

/// Words in pieces, and which pairs they have.
pub(super) struct Joining {
    pieces: Vec<String>,
    ids: HashMap<String, u32>,
    /// Each word, and how often it occurs.
    words: Vec<(Vec<u32>, u64)>,
    counts: HashMap<Pair, u64>,
    /// The words that have a pair, and maybe some that had it.
    places: HashMap<Pair, HashSet<usize>>,
    /// Pairs by their counts; of equal ones the earlier pieces first. Counts may be outdated.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Joining {
    /// Begins with these pieces and with words spelled in them. A word with another piece does not
    /// count.
    pub(super) fn new<W: IntoIterator<Item = String>>(
        pieces: Vec<String>,
        words: impl IntoIterator<Item = (W, u64)>,
    ) -> Self {
        let ids: HashMap<String, u32> = pieces.iter().cloned().zip(0..).collect();
        let spelled = |(word, count): (W, u64)| {
            let pieces = word.into_iter().map(|piece| ids.get(&piece).copied());
            Some((pieces.collect::<Option<Vec<u32>>>()?, count))
        };
        let words: Vec<_> = words.into_iter().filter_map(spelled).collect();
        let mut joining = Self {
            pieces,
            ids,
            words,
            counts: HashMap::new(),
            places: HashMap::new(),
            queue: BinaryHeap::new(),
        };
        (0..joining.words.len()).for_each(|word| joining.count(word));
        let counts = joining.counts.iter();
        joining.queue = counts.map(|(&pair, &count)| (count, Reverse(pair))).collect();
        joining
    }

    /// Joins until there are so many pieces, or no pair occurs that often.
    pub(super) fn join(mut self, size: usize, min_frequency: u64) -> Vec<String> {
        while self.pieces.len() < size {
            let Some(pair) = self.most_frequent(min_frequency.max(1)) else { break };
            let joined = self.piece_of(pair);
            let mut changed = HashSet::new();
            for word in self.places.remove(&pair).unwrap_or_default() {
                self.uncount(word);
                let (pieces, _) = &mut self.words[word];
                *pieces = replaced(pieces, pair, joined);
                changed.extend(pairs(pieces));
                self.count(word);
            }
            let counts = &self.counts;
            self.queue.extend(changed.into_iter().map(|pair| (counts[&pair], Reverse(pair))));
        }
        self.pieces
    }

    fn most_frequent(&mut self, min_frequency: u64) -> Option<Pair> {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            match self.counts.get(&pair).copied().unwrap_or(0) {
                now if now < min_frequency => {}
                now if now == count => return Some(pair),
                now => self.queue.push((now, Reverse(pair))),
            }
        }
        None
    }

    /// The piece that a pair becomes; two pairs may become the same one.
    fn piece_of(&mut self, (first, second): Pair) -> u32 {
        let (first, second) = (&self.pieces[first as usize], &self.pieces[second as usize]);
        let piece = format!("{first}{}", second.strip_prefix(CONTINUES).unwrap_or(second));
        let next = self.pieces.len() as u32;
        let id = *self.ids.entry(piece.clone()).or_insert(next);
        if id == next {
            self.pieces.push(piece);
        }
        id
    }

    fn count(&mut self, word: usize) {
        let (pieces, count) = &self.words[word];
        for pair in pairs(pieces) {
            *self.counts.entry(pair).or_default() += count;
            self.places.entry(pair).or_default().insert(word);
        }
    }

    fn uncount(&mut self, word: usize) {
        let (pieces, count) = &self.words[word];
        for pair in pairs(pieces) {
            *self.counts.entry(pair).or_default() -= count;
        }
    }
}

fn pairs(pieces: &[u32]) -> impl Iterator<Item = Pair> {
    pieces.windows(2).map(|pair| (pair[0], pair[1]))
}

/// The pieces with every occurrence of a pair joined, from the left.
fn replaced(pieces: &[u32], pair: Pair, joined: u32) -> Vec<u32> {
    let mut replaced = Vec::with_capacity(pieces.len());
    let mut rest = pieces;
    while let [first, after @ ..] = rest {
        let is_pair = after.first().is_some_and(|second| (*first, *second) == pair);
        replaced.push(if is_pair { joined } else { *first });
        rest = if is_pair { &after[1..] } else { after };
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Sennrich et al. (2016), section 3.2, in WordPiece's spelling.
    #[test]
    fn the_most_frequent_pair_first() {
        let words = [("low", 5), ("lower", 2), ("newest", 6), ("widest", 3)];
        let spell = |word: &str| -> Vec<String> {
            let spelled = word.chars().enumerate();
            spelled
                .map(|(i, char)| if i == 0 { char.into() } else { format!("##{char}") })
                .collect()
        };
        let words = words.map(|(word, count)| (spell(word), count));
        let mut pieces: Vec<String> = words.iter().flat_map(|(word, _)| word.clone()).collect();
        pieces.sort_unstable();
        pieces.dedup();
        let size = pieces.len();
        let joined = |more| {
            let pieces = Joining::new(pieces.clone(), words.clone()).join(size + more, 1);
            pieces[size..].to_vec()
        };
        // 9 × es, 9 × est, then of lo and ow, 7 times each, the one of earlier pieces.
        assert_eq!(joined(3), ["##es", "##est", "##ow"]);
        assert_eq!(joined(4)[3], "low");
        // In the end every word is a piece, and there is nothing left to join.
        let all = joined(1000);
        assert!(
            ["low", "lower", "newest", "widest"].iter().all(|word| all.iter().any(|p| p == word))
        );
        let frequent = Joining::new(pieces.clone(), words.clone()).join(1000, 7);
        assert_eq!(frequent[size..], ["##es", "##est", "##ow", "low"]);
    }

    #[test]
    fn overlapping_pairs_are_joined_from_the_left() {
        assert_eq!(replaced(&[1, 1, 1, 2, 1, 1], (1, 1), 5), [5, 1, 2, 5]);
        assert_eq!(replaced(&[1], (1, 1), 5), [1]);
    }
}
