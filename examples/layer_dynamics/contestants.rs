//! The models whose layers are compared, and how far these move what passes through.

use std::path::Path;

use ndalbert::ndarray::{ArrayView1, Zip};
use ndalbert::{
    Albert, AlbertConfig, AlbertTokenizer, Batch, Model, OutputOptions, ParameterSharing,
};

use super::backbone;
use super::cli::Failure;
use super::random::Random;

/// How many texts go through a model at a time.
const BATCH: usize = 16;

/// A model and what goes through it.
pub struct Contestant {
    name: String,
    albert: Albert,
    sequences: Vec<Vec<u32>>,
}

/// Means over all tokens, one per layer.
pub struct Moves {
    pub name: String,
    pub distances: Vec<f64>,
    /// In degrees.
    pub angles: Vec<f64>,
}

impl Contestant {
    /// A checkpoint, with texts in its own tokens; its layers are applied `layers` times, or as
    /// often as it says.
    pub fn checkpoint(
        directory: &Path,
        layers: Option<usize>,
        texts: &[String],
    ) -> Result<Self, Failure> {
        let (config, parameters) = backbone::load(directory)?;
        let config = with_layers(&config, layers)?;
        let sequences = encode(directory, &config, texts)?;
        let albert = Albert::from_parameters(config, parameters)?;
        Ok(Self { name: name_of(directory), albert, sequences })
    }

    /// A checkpoint's shape with random weights: shared by all layers, and by none.
    pub fn untrained(
        directory: &Path,
        layers: Option<usize>,
        texts: &[String],
        seed: u64,
    ) -> Result<[Self; 2], Failure> {
        let config = with_layers(&AlbertConfig::from_pretrained(directory)?, layers)?;
        let sequences = encode(directory, &config, texts)?;
        let contestant = |name: &str, parameter_sharing| {
            let mut fields = config.to_fields();
            (fields.parameter_sharing, fields.num_hidden_groups) = (parameter_sharing, 1);
            let albert = Albert::from_config(AlbertConfig::new(fields)?, seed)?;
            let name = format!("{}: untrained, {name}", name_of(directory));
            Ok::<_, Failure>(Self { name, albert, sequences: sequences.clone() })
        };
        let shared = contestant("one shared layer", ParameterSharing::All)?;
        Ok([shared, contestant("nothing shared", ParameterSharing::None)?])
    }

    /// A published shape with random weights, which has no words: random tokens, as many as there
    /// are characters.
    pub fn preset(preset: &str, texts: &[String], seed: u64) -> Result<Self, Failure> {
        let config = AlbertConfig::from_preset(preset)?;
        let mut ids: Vec<u32> = (0..config.vocab_size as u32).collect();
        Random::new(seed).shuffle(&mut ids);
        let mut ids = ids.into_iter().cycle();
        let lengths = texts.iter().map(|text| text.chars().count());
        let lengths = lengths.map(|length| length.clamp(1, config.max_position_embeddings));
        let sequences = lengths.map(|length| ids.by_ref().take(length).collect()).collect();
        let name = format!("{preset}: untrained, on random tokens");
        Ok(Self { name, albert: Albert::from_config(config, seed)?, sequences })
    }

    /// Sends everything through, and measures.
    pub fn moves(self) -> Result<Moves, Failure> {
        let Self { name, albert, sequences } = self;
        let layers = albert.config().num_applications();
        let (mut distances, mut angles) = (vec![0.0; layers], vec![0.0; layers]);
        let tokens: usize = sequences.iter().map(Vec::len).sum();
        let states = OutputOptions { hidden_states: true, ..OutputOptions::default() };
        for chunk in sequences.chunks(BATCH) {
            let output = albert.forward_with(&Batch::from_sequences(chunk)?, states)?;
            for (layer, pair) in output.hidden_states.windows(2).enumerate() {
                Zip::from(pair[0].rows().rows()).and(pair[1].rows().rows()).for_each(
                    |input, output| {
                        distances[layer] += distance(input, output) / tokens as f64;
                        angles[layer] += angle(input, output) / tokens as f64;
                    },
                );
            }
        }
        Ok(Moves { name, distances, angles })
    }
}

/// The same model, applying its layers so many times.
fn with_layers(config: &AlbertConfig, layers: Option<usize>) -> Result<AlbertConfig, Failure> {
    let mut fields = config.to_fields();
    fields.num_hidden_layers = layers.unwrap_or(fields.num_hidden_layers);
    Ok(AlbertConfig::new(fields)?)
}

/// The tokens of texts. Those that are longer than the model takes are cut.
fn encode(
    directory: &Path,
    config: &AlbertConfig,
    texts: &[String],
) -> Result<Vec<Vec<u32>>, Failure> {
    let tokenizer = AlbertTokenizer::from_pretrained(directory)?;
    let tokenizer = tokenizer.with_max_length(config.max_position_embeddings)?;
    let encodings = tokenizer.encode_batch(texts)?;
    Ok(encodings.into_iter().map(|encoding| encoding.ids).collect())
}

fn name_of(directory: &Path) -> String {
    let name = directory.file_name().unwrap_or(directory.as_os_str());
    name.to_string_lossy().into_owned()
}

fn distance(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    let squares = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    squares.sum::<f64>().sqrt()
}

fn angle(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    let dot = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    cosine.clamp(-1.0, 1.0).acos().to_degrees()
}
