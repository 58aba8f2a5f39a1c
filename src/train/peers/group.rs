//! Messages from all ranks to all, and sums over ranks, made of exchanges between two.

use std::mem::take;
use std::ops::Range;

use half::bf16;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{GradientPrecision, Peers};
use crate::error::{Error, Result};

/// The ranks that train together, as one of them sees them. On its own, a rank exchanges nothing.
#[derive(Default)]
pub(in crate::train) struct Group<'a> {
    peers: Option<Box<dyn Peers + 'a>>,
    precision: GradientPrecision,
    /// Whether all ranks know of an error: no rank answers afterwards.
    has_failed: bool,
    /// Room for what is exchanged.
    sent: Vec<u8>,
    received: Vec<u8>,
}

/// The first byte of a message: whether the rest is a value or the text of an error.
const FINE: u8 = 0;
const ERROR: u8 = 1;

impl<'a> Group<'a> {
    /// # Errors
    /// [`Error::Input`] if `size` is no power of two, or the rank is not below it.
    pub(in crate::train) fn new(
        peers: Box<dyn Peers + 'a>,
        precision: GradientPrecision,
    ) -> Result<Self> {
        let (rank, size) = (peers.rank(), peers.size());
        if !size.is_power_of_two() {
            return Err(Error::input("number of ranks", "1, 2, 4, 8, …", size.to_string()));
        }
        if rank >= size {
            return Err(Error::input("rank", format!("less than {size}"), rank.to_string()));
        }
        Ok(Self { peers: Some(peers), precision, ..Self::default() })
    }

    pub(in crate::train) fn rank(&self) -> usize {
        self.peers.as_ref().map_or(0, |peers| peers.rank())
    }

    pub(in crate::train) fn size(&self) -> usize {
        self.peers.as_ref().map_or(1, |peers| peers.size())
    }

    pub(in crate::train) fn precision(&self) -> GradientPrecision {
        self.precision
    }

    /// Which of a step's batches are this rank's.
    pub(in crate::train) fn share(&self, batches: usize) -> Range<usize> {
        let each = batches / self.size();
        self.rank() * each..(self.rank() + 1) * each
    }

    /// The values that all ranks give, in the order of ranks.
    ///
    /// # Errors
    /// On every rank, its own error, or that of the first rank that has one. A rank with an error
    /// calls this, too.
    pub(in crate::train) fn gather<T: Serialize + DeserializeOwned>(
        &mut self,
        own: Result<T>,
    ) -> Result<Vec<T>> {
        if self.size() == 1 || self.has_failed {
            return own.map(|own| vec![own]);
        }
        let (status, body) = match &own {
            Ok(own) => (FINE, serde_json::to_vec(own).map_err(unreadable)?),
            Err(error) => (ERROR, error.to_string().into_bytes()),
        };
        let message = [&[status], &body[..]].concat();
        let messages = self.gather_messages(message).inspect_err(|_| self.has_failed = true)?;
        let failed = messages.iter().position(|message| message.first() != Some(&FINE));
        self.has_failed = failed.is_some();
        match (own, failed) {
            // The error itself rather than its text.
            (Err(error), _) => Err(error),
            (_, Some(rank)) => {
                let text = String::from_utf8_lossy(messages[rank].get(1..).unwrap_or_default());
                Err(Error::input(format!("rank {rank}"), "no error", text.into_owned()))
            }
            (Ok(_), None) => messages
                .iter()
                .map(|message| serde_json::from_slice(&message[1..]).map_err(unreadable))
                .collect(),
        }
    }

    /// # Errors
    /// On every rank, the first difference between a rank's description and that of rank 0.
    pub(in crate::train) fn check_alike(&mut self, own: Map<String, Value>) -> Result<()> {
        let all = self.gather(Ok(own))?;
        let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
        for (rank, other) in all.iter().enumerate() {
            let names = all[0].keys().chain(other.keys());
            if let Some(name) = names.into_iter().find(|&name| all[0].get(name) != other.get(name))
            {
                self.has_failed = true;
                let (expected, found) = (shown(all[0].get(name)), shown(other.get(name)));
                let expected = format!("that of rank 0, {expected}");
                return Err(Error::input(format!("{name} of rank {rank}"), expected, found));
            }
        }
        Ok(())
    }

    /// Sums values over all ranks, in a binary tree over ranks; all ranks get the same bits.
    ///
    /// In the first half, every exchange halves the values that a rank is responsible for
    /// (reduce-scatter); in the second half, ranks exchange the sums (all-gather). A rank sends
    /// `2·(1 − 1/size)` times the values. (Rabenseifner, 2004.)
    pub(in crate::train) fn sum(&mut self, values: &mut [f32]) -> Result<()> {
        let (rank, size, precision) = (self.rank(), self.size(), self.precision);
        if size == 1 {
            return Ok(());
        }
        let mut own = 0..values.len();
        let mut halvings = Vec::new();
        for distance in distances(size) {
            let peer = rank ^ distance;
            let middle = own.start + own.len() / 2;
            let (lower, upper) = (own.start..middle, middle..own.end);
            let (kept, given) = if rank < peer { (lower, upper) } else { (upper, lower) };
            let received = self.exchange_values(peer, &values[given.clone()], kept.len())?;
            precision.decode(received, &mut values[kept.clone()], |own, other| own + other);
            halvings.push((peer, kept.clone(), given));
            own = kept;
        }
        if precision != GradientPrecision::F32 {
            // Others get these sums as they are sent.
            precision.encode(&values[own.clone()], &mut self.sent);
            precision.decode(&self.sent, &mut values[own], |_, rounded| rounded);
        }
        for (peer, kept, given) in halvings.into_iter().rev() {
            let received = self.exchange_values(peer, &values[kept], given.len())?;
            precision.decode(received, &mut values[given], |_, sum| sum);
        }
        Ok(())
    }

    /// Sends values to a peer, and returns the bytes of those that it sends: as many as `count`.
    fn exchange_values(&mut self, peer: usize, values: &[f32], count: usize) -> Result<&[u8]> {
        let (mut sent, mut received) = (take(&mut self.sent), take(&mut self.received));
        self.precision.encode(values, &mut sent);
        received.resize(count * self.precision.bytes(), 0);
        let result = self.exchange(peer, &sent, &mut received);
        (self.sent, self.received) = (sent, received);
        result.map(|()| &self.received[..])
    }

    /// All ranks' messages by recursive doubling: after each exchange, a rank knows those of twice
    /// as many.
    fn gather_messages(&mut self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let (rank, size) = (self.rank(), self.size());
        let mut known = vec![own];
        for distance in distances(size) {
            let peer = rank ^ distance;
            let lengths: Vec<u8> =
                known.iter().flat_map(|message| (message.len() as u64).to_le_bytes()).collect();
            let mut theirs = vec![0; lengths.len()];
            self.exchange(peer, &lengths, &mut theirs)?;
            let (lengths, _) = theirs.as_chunks::<8>();
            let lengths: Vec<usize> =
                lengths.iter().map(|&length| u64::from_le_bytes(length) as usize).collect();
            let total = lengths.iter().fold(0usize, |sum, &length| sum.saturating_add(length));
            if total > MAX_MESSAGES {
                let expected = format!("at most {MAX_MESSAGES} bytes");
                return Err(Error::input(
                    format!("messages of rank {peer}"),
                    expected,
                    total.to_string(),
                ));
            }
            let mut bytes = vec![0; total];
            self.exchange(peer, &known.concat(), &mut bytes)?;
            let mut rest = &bytes[..];
            let others: Vec<Vec<u8>> = lengths
                .into_iter()
                .map(|length| {
                    let (message, after) = rest.split_at(length);
                    rest = after;
                    message.to_owned()
                })
                .collect();
            known = if rank < peer { [known, others].concat() } else { [others, known].concat() };
        }
        Ok(known)
    }

    fn exchange(&mut self, peer: usize, sent: &[u8], received: &mut [u8]) -> Result<()> {
        let Some(peers) = &mut self.peers else { return Ok(()) };
        peers.exchange(peer, sent, received).map_err(|error| {
            self.has_failed = true;
            Error::input(format!("rank {peer}"), "an answer", error.to_string())
        })
    }
}

/// Far more than the messages of a step have together.
const MAX_MESSAGES: usize = 1 << 30;

/// The distances between peers: first neighbours, then pairs of them, and so on, as in the tree
/// over batches.
fn distances(size: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1), |distance| Some(2 * distance)).take_while(move |&d| d < size)
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::input("message of a rank", "JSON of the expected kind", error.to_string())
}

impl GradientPrecision {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// Makes `bytes` those of the values.
    fn encode(self, values: &[f32], bytes: &mut Vec<u8>) {
        bytes.resize(values.len() * self.bytes(), 0);
        match self {
            Self::F32 => {
                let words = bytes.as_chunks_mut().0.iter_mut().zip(values);
                words.for_each(|(word, value)| *word = value.to_le_bytes());
            }
            Self::Bf16 => {
                let words = bytes.as_chunks_mut().0.iter_mut().zip(values);
                words.for_each(|(word, &value)| *word = bf16::from_f32(value).to_le_bytes());
            }
        }
    }

    /// Makes each value what `combine` makes of it and of the one in `bytes`.
    fn decode(self, bytes: &[u8], values: &mut [f32], combine: impl Fn(f32, f32) -> f32) {
        match self {
            Self::F32 => {
                let words = bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word));
                values.iter_mut().zip(words).for_each(|(own, other)| *own = combine(*own, other));
            }
            Self::Bf16 => {
                let words = bytes.as_chunks().0.iter().map(|&word| bf16::from_le_bytes(word));
                let values = values.iter_mut().zip(words);
                values.for_each(|(own, other)| *own = combine(*own, other.to_f32()));
            }
        }
    }
}
