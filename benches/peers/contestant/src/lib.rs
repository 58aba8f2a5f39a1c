//! What the contestants written in Rust have in common: the case, and the protocol of
//! `contestants.py`.

use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// What is to be computed, from the command line.
pub struct Case {
    /// Where the models are.
    pub directory: String,
    /// A setting of the contestant.
    pub setting: String,
    pub threads: usize,
    /// The pooled output is wanted, and not the last hidden states.
    pub pooled: bool,
    pub pieces: Vec<Piece>,
}

/// Sequences that are computed together.
pub struct Piece {
    /// The place of each among all sequences.
    numbers: Vec<usize>,
    lengths: Vec<usize>,
    /// Sequences, and tokens of the longest.
    pub shape: [usize; 2],
    /// `[B, S]`, padded with zeros.
    pub ids: Vec<i64>,
    /// `[B, S]`: 1 for tokens, 0 for padding.
    pub mask: Vec<i64>,
}

/// A library with a model.
pub trait Contestant: Sized {
    type Output;

    fn load(case: &Case) -> Result<Self>;

    /// Computes the piece of this number.
    fn run(&self, case: &Case, piece: usize) -> Result<Self::Output>;

    /// The values of an output, `[B, S, H]`, or `[B, H]` if it is pooled.
    fn values(output: Self::Output) -> Result<Vec<f32>>;
}

impl Case {
    fn from_arguments() -> Result<Self> {
        let arguments: Vec<String> = std::env::args().collect();
        let [_, setting, directory, case, way, threads] = arguments.as_slice() else {
            bail!("SETTING DIRECTORY CASE WAY THREADS")
        };
        let case: Value = serde_json::from_str(&std::fs::read_to_string(case)?)?;
        let sequences: Vec<Vec<i64>> = serde_json::from_value(case["ids"].clone())?;
        let pieces: Vec<Vec<usize>> = serde_json::from_value(case["ways"][way].clone())?;
        Ok(Self {
            directory: directory.clone(),
            setting: setting.clone(),
            threads: threads.parse()?,
            pooled: case["output"] == "pooled",
            pieces: pieces.into_iter().map(|numbers| Piece::new(&sequences, numbers)).collect(),
        })
    }

    /// The path of an ONNX export, with a mask where something is padded.
    pub fn graph(&self, name: &str, masked: bool) -> String {
        let variant = if masked { "mask" } else { "nomask" };
        format!("{}/{name}-{variant}.onnx", self.directory)
    }

    /// The rows of real tokens, in the order of the sequences, as bytes.
    fn real_rows(&self, outputs: Vec<Vec<f32>>) -> Vec<u8> {
        let mut rows = Vec::new();
        for (piece, values) in self.pieces.iter().zip(&outputs) {
            let each = values.len() / piece.numbers.len();
            for ((values, &number), &length) in
                values.chunks(each).zip(&piece.numbers).zip(&piece.lengths)
            {
                let real = if self.pooled { each } else { each / piece.shape[1] * length };
                rows.push((number, &values[..real]));
            }
        }
        rows.sort_by_key(|&(number, _)| number);
        rows.into_iter()
            .flat_map(|(_, values)| values)
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }
}

impl Piece {
    fn new(sequences: &[Vec<i64>], numbers: Vec<usize>) -> Self {
        let lengths: Vec<usize> = numbers.iter().map(|&number| sequences[number].len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for &number in &numbers {
            let sequence = &sequences[number];
            ids.extend((0..longest).map(|at| sequence.get(at).copied().unwrap_or(0)));
            mask.extend((0..longest).map(|at| i64::from(at < sequence.len())));
        }
        Self { shape: [numbers.len(), longest], numbers, lengths, ids, mask }
    }

    pub fn is_padded(&self) -> bool {
        self.mask.contains(&0)
    }
}

fn send(message: Value) -> Result<()> {
    println!("{message}");
    Ok(std::io::stdout().flush()?)
}

/// Loads a contestant and does what standard input says, line by line.
pub fn compete<C: Contestant>() -> Result<()> {
    let case = Case::from_arguments()?;
    let started = Instant::now();
    let model = C::load(&case)?;
    let load = started.elapsed().as_secs_f64();
    let run =
        || (0..case.pieces.len()).map(|piece| model.run(&case, piece)).collect::<Result<Vec<_>>>();
    let timed = || -> Result<f64> {
        let started = Instant::now();
        let outputs = run()?;
        let seconds = started.elapsed().as_secs_f64();
        drop(outputs);
        Ok(seconds)
    };
    let (first, second) = (timed()?, timed()?);
    send(json!({"load_s": load, "compile_s": (first - second).max(0.0), "second_s": second}))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ').with_context(|| format!("what is {line:?}?"))? {
            ("run", count) => {
                let seconds = (0..count.parse()?).map(|_| timed()).collect::<Result<Vec<f64>>>()?;
                send(json!({ "seconds": seconds }))?;
            }
            ("dump", path) => {
                let outputs =
                    (0..case.pieces.len()).map(|piece| C::values(model.run(&case, piece)?));
                std::fs::write(path, case.real_rows(outputs.collect::<Result<_>>()?))?;
                send(json!({}))?;
            }
            _ => bail!("what is {line:?}?"),
        }
    }
    Ok(())
}
