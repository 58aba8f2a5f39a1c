//! Products, attention and packing at random shapes, on every instruction set that the processor
//! has. What they must be is computed here in double precision, and how far off they may be follows
//! from the rounding of each operation.

use ndalbert::internals::{Attention, Encoder, InstructionSet, Matrix, weight_gradient};
use ndalbert::{Albert, AlbertConfig, ConfigFields, Model, Parameters, Precision};
use quickcheck::{Arbitrary, Gen, QuickCheck};

/// The unit roundoff of single precision.
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

/// How many cases there are of each property, and the largest dimension. Miri has time for few and
/// small ones.
const CASES: u64 = if cfg!(miri) { 3 } else { 200 };
const LARGEST: usize = if cfg!(miri) { 12 } else { 150 };

/// A dimension: small ones are as likely as large ones, since tiles end within both.
#[derive(Clone, Copy, Debug)]
struct Size(usize);

impl Arbitrary for Size {
    fn arbitrary(g: &mut Gen) -> Self {
        let most = *g.choose(&[8, 40, LARGEST]).unwrap_or(&LARGEST);
        Self(1 + usize::arbitrary(g) % most.min(LARGEST))
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().filter(|&size| size > 0).map(Self))
    }
}

fn holds<P: quickcheck::Testable>(property: P) {
    QuickCheck::new().tests(CASES).quickcheck(property);
}

/// Values in ±1, from a multiplicative congruential generator.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = (2 * seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn product(isa: InstructionSet, precision: Precision, x: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    let matrix = Matrix::new(isa, precision, w, k);
    let mut encoder = Encoder::default();
    let mut out = vec![f32::NAN; x.len() / k * (w.len() / k)];
    matrix.multiply(encoder.encode(&matrix, x), &mut out);
    out
}

/// Σ a·b and Σ |a·b|.
fn dot(a: &[f32], b: &[f32]) -> (f64, f64) {
    let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
    products.fold((0.0, 0.0), |(sum, size), product| (sum + product, size + product.abs()))
}

/// Rounded to bfloat16, ties to even.
fn rounded(values: &[f32]) -> Vec<f32> {
    let round = |&value: &f32| {
        let bits = value.to_bits();
        f32::from_bits((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF_0000)
    };
    values.iter().map(round).collect()
}

/// By how much values may differ from what bytes stand for. Activations have at least seven bits
/// between their extremes or 0, and a zero point that is rounded, too; weights have eight bits, and
/// a sign.
fn steps(x: &[f32], w: &[f32]) -> (f64, f64) {
    let least = x.iter().copied().fold(0.0, f32::min);
    let greatest = x.iter().copied().fold(0.0, f32::max);
    let weight = w.iter().map(|w| w.abs()).fold(0.0, f32::max);
    (f64::from(greatest - least) / 127.0, f64::from(weight) / 127.0 / 2.0)
}

#[test]
fn products_are_what_rounding_allows() {
    fn property(rows: Size, n: Size, k: Size, seed: u64) {
        let (rows, n, k, seed) = (rows.0, n.0, k.0, seed >> 8);
        let (x, w) = (noise(rows * k, seed), noise(n * k, seed + 1));
        for isa in InstructionSet::available() {
            for precision in Precision::ALL {
                let found = product(isa, precision, &x, &w, k);
                let (x, w) = match precision {
                    Precision::Bf16 => (rounded(&x), rounded(&w)),
                    _ => (x.clone(), w.clone()),
                };
                for (index, &found) in found.iter().enumerate() {
                    let x = &x[index / n * k..][..k];
                    let w = &w[index % n * k..][..k];
                    let (expected, size) = dot(x, w);
                    let mut tolerance = (k + 2) as f64 * UNIT * size;
                    if precision == Precision::Int8 {
                        let (of_x, of_w) = steps(x, w);
                        let sum =
                            |values: &[f32]| values.iter().map(|x| f64::from(x.abs())).sum::<f64>();
                        tolerance += of_x * sum(w) + of_w * sum(x) + k as f64 * of_x * of_w;
                    }
                    let error = (f64::from(found) - expected).abs();
                    assert!(
                        error <= tolerance,
                        "{} {precision:?} [{rows}, {k}] · [{n}, {k}]: element {index} is {found}, expected {expected} ± {tolerance:e}",
                        isa.name()
                    );
                }
            }
        }
    }
    holds(property as fn(Size, Size, Size, u64));
}

#[test]
fn a_row_is_the_same_alone_and_among_others() {
    fn property(rows: Size, n: Size, k: Size, seed: u64) {
        let (rows, n, k, seed) = (rows.0.min(20), n.0, k.0, seed >> 8);
        let (x, w) = (noise(rows * k, seed), noise(n * k, seed + 1));
        for isa in InstructionSet::available() {
            for precision in Precision::ALL {
                let all = product(isa, precision, &x, &w, k);
                for (row, together) in x.chunks(k).zip(all.chunks(n)) {
                    let alone = product(isa, precision, row, &w, k);
                    assert_eq!(bits(&alone), bits(together), "{} {precision:?}", isa.name());
                }
            }
        }
    }
    holds(property as fn(Size, Size, Size, u64));
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn gradients_of_weights_are_what_rounding_allows() {
    fn property(rows: Size, n: Size, k: Size, seed: u64) {
        let (rows, n, k, seed) = (rows.0, n.0, k.0, seed >> 8);
        let (d, x) = (noise(rows * n, seed), noise(rows * k, seed + 1));
        let column = |values: &[f32], width: usize, at: usize| -> Vec<f32> {
            values.iter().skip(at).step_by(width).copied().collect()
        };
        for isa in InstructionSet::available() {
            for precision in isa.activation_precisions() {
                let mut gradient = vec![0.0; n * k];
                weight_gradient(isa, precision, &[(&d, &x)], (n, k), &mut gradient);
                let (d, x) = match precision {
                    Precision::Bf16 => (rounded(&d), rounded(&x)),
                    _ => (d.clone(), x.clone()),
                };
                for (index, &found) in gradient.iter().enumerate() {
                    let (expected, size) =
                        dot(&column(&d, n, index / k), &column(&x, k, index % k));
                    let error = (f64::from(found) - expected).abs();
                    let tolerance = (rows + 2) as f64 * UNIT * size;
                    assert!(
                        error <= tolerance,
                        "{} {precision:?} [{rows}, {n}]ᵀ · [{rows}, {k}]: element {index} is {found}, expected {expected} ± {tolerance:e}",
                        isa.name()
                    );
                }
            }
        }
    }
    holds(property as fn(Size, Size, Size, u64));
}

/// The context of one head's query among `tokens`, and nothing else.
struct Head<'a> {
    qkv: &'a [f32],
    /// A·D.
    width: usize,
    /// Where the head begins, and D.
    at: usize,
    size: usize,
}

impl Head<'_> {
    fn part(&self, token: usize, which: usize) -> &[f32] {
        &self.qkv[(3 * token + which) * self.width + self.at..][..self.size]
    }

    fn context(&self, query: usize, tokens: std::ops::Range<usize>) -> Vec<f64> {
        let scale = 1.0 / (self.size as f64).sqrt();
        let score = |key| dot(self.part(query, 0), self.part(key, 1)).0 * scale;
        let scores: Vec<f64> = tokens.clone().map(score).collect();
        let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - greatest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut context = vec![0.0; self.size];
        for (token, weight) in tokens.zip(weights) {
            for (sum, &value) in context.iter_mut().zip(self.part(token, 2)) {
                *sum += weight / total * f64::from(value);
            }
        }
        context
    }
}

#[test]
fn attention_is_what_rounding_allows_and_sees_its_own_sequence_alone() {
    fn property(lengths: Vec<Size>, count: Size, size: Size, seed: u64) {
        let lengths: Vec<usize> = lengths.iter().take(4).map(|length| length.0).collect();
        let (count, size, seed) = (1 + count.0 % 4, size.0, seed >> 8);
        let (tokens, width) = (lengths.iter().sum::<usize>(), count * size);
        let qkv = noise(tokens * 3 * width, seed);
        let longest = lengths.iter().copied().max().unwrap_or(0) as f64;
        // Scores are off by that much at most, weights by the double of it, and sums by a rounding
        // for each key.
        let scores = (size + 4) as f64 * UNIT * (size as f64).sqrt();
        let tolerance = 2.0 * scores + 2.0 * (longest + 8.0) * UNIT;
        for isa in InstructionSet::available() {
            let run = |qkv: &[f32], lengths: &[usize]| {
                let mut context = vec![f32::NAN; qkv.len() / 3];
                Attention::new(isa, Precision::F32, lengths, (count, size)).run(qkv, &mut context);
                context
            };
            let found = run(&qkv, &lengths);
            let mut start = 0;
            for &length in &lengths {
                let own = start..start + length;
                let alone = run(&qkv[3 * width * start..3 * width * own.end], &[length]);
                assert_eq!(
                    bits(&alone),
                    bits(&found[width * start..width * own.end]),
                    "{}",
                    isa.name()
                );
                for (query, head) in
                    own.clone().flat_map(|query| (0..count).map(move |head| (query, head)))
                {
                    let head = Head { qkv: &qkv, width, at: head * size, size };
                    let found = &found[query * width + head.at..][..size];
                    for (&found, expected) in found.iter().zip(head.context(query, own.clone())) {
                        let error = (f64::from(found) - expected).abs();
                        assert!(
                            error <= tolerance,
                            "{} lengths {lengths:?}, {count} heads of {size}: {found}, expected {expected} ± {tolerance:e}",
                            isa.name()
                        );
                    }
                }
                start += length;
            }
        }
    }
    holds(property as fn(Vec<Size>, Size, Size, u64));
}

#[test]
fn a_packed_model_is_unpacked_to_the_bit() {
    fn property(vocabulary: Size, embedding: Size, head: Size, intermediate: Size, seed: u64) {
        let heads = 1 + (seed % 3) as usize;
        let config = AlbertConfig::new(ConfigFields {
            vocab_size: 5 + vocabulary.0,
            embedding_size: embedding.0,
            hidden_size: heads * head.0,
            num_attention_heads: heads,
            intermediate_size: intermediate.0,
            num_hidden_layers: 2,
            max_position_embeddings: 8,
            pad_token_id: None,
            ..ConfigFields::default()
        });
        let config = config.expect("sizes that fit each other");
        let parameters = Albert::random_parameters(&config, seed).expect("a standard deviation");
        let expected = all_bits(&parameters);
        let model =
            Albert::from_parameters(config, parameters).expect("parameters of these shapes");
        assert!(all_bits(&model.to_parameters()) == expected, "other bits than were packed");
    }
    holds(property as fn(Size, Size, Size, Size, u64));
}

/// Names and bits of all arrays.
fn all_bits(parameters: &impl Parameters) -> Vec<(String, Vec<u32>)> {
    let mut found = Vec::new();
    parameters.visit("", &mut |name, values| {
        found.push((name.to_owned(), values.iter().map(|value| value.to_bits()).collect()));
    });
    found
}
