//! What the page asks of the crate: files in, answers out.

use ndalbert::pipelines::{FillMask, MultipleChoice, Pipeline, PipelineOptions};
use ndalbert::{Batch, MemoryFiles, OutputOptions, Precision};
use wasm_bindgen::prelude::wasm_bindgen;

/// Errors are texts, which become JavaScript's exceptions.
type Result<T> = std::result::Result<T, String>;

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// How models are loaded: their products in bytes.
fn options() -> PipelineOptions {
    PipelineOptions::new().precision(Precision::Int8)
}

/// A checkpoint's files, which the page has fetched or was given.
#[wasm_bindgen]
#[derive(Default)]
pub struct Files(MemoryFiles);

#[wasm_bindgen]
impl Files {
    /// No files.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file.
    pub fn add(&mut self, name: String, bytes: Vec<u8>) {
        self.0 = std::mem::take(&mut self.0).with(name, bytes);
    }
}

/// A model that ranks choices.
#[wasm_bindgen]
pub struct Chooser(MultipleChoice);

#[wasm_bindgen]
impl Chooser {
    /// Loads it; the files are given up, so that their memory can be used for the model.
    #[wasm_bindgen(constructor)]
    pub fn new(files: Files) -> Result<Self> {
        MultipleChoice::from_bytes_with(&files.0, &options()).map(Self).map_err(text)
    }

    /// The probability of each choice, in the order of the choices.
    pub fn scores(&self, prompt: String, choices: Vec<String>) -> Result<Vec<f32>> {
        let mut scores = vec![0.0; choices.len()];
        for ranked in self.0.run((prompt, choices)).map_err(text)? {
            scores[ranked.index] = ranked.score;
        }
        Ok(scores)
    }

    /// How much each token of a text attends to each other one.
    pub fn attention(&self, sentence: &str) -> Result<Attention> {
        let encoding = self.0.tokenizer().encode(sentence).map_err(text)?;
        let batch = Batch::from_encodings(std::slice::from_ref(&encoding)).map_err(text)?;
        let wanted = OutputOptions { attentions: true, ..OutputOptions::default() };
        let output = self.0.model().albert().forward_with(&batch, wanted).map_err(text)?;
        let layers = output.attentions.iter().map(|layer| layer.sequence(0));
        let values = layers.flat_map(|layer| layer.into_iter()).collect();
        let config = ndalbert::Model::config(self.0.model());
        Ok(Attention { tokens: encoding.tokens, heads: config.num_attention_heads, values })
    }
}

/// The attention of a sentence.
#[wasm_bindgen]
pub struct Attention {
    tokens: Vec<String>,
    heads: usize,
    values: Vec<f32>,
}

#[wasm_bindgen]
impl Attention {
    /// The sentence's tokens.
    #[wasm_bindgen(getter)]
    pub fn tokens(&self) -> Vec<String> {
        self.tokens.clone()
    }

    /// How many heads each layer has.
    #[wasm_bindgen(getter)]
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Probabilities by layer, head, asking token and token that is attended to.
    #[wasm_bindgen(getter)]
    pub fn values(&self) -> Vec<f32> {
        self.values.clone()
    }
}

/// A model that fills in masks.
#[wasm_bindgen]
pub struct Filler(FillMask);

#[wasm_bindgen]
impl Filler {
    /// Loads it; the files are given up, so that their memory can be used for the model.
    #[wasm_bindgen(constructor)]
    pub fn new(files: Files) -> Result<Self> {
        FillMask::from_bytes_with(&files.0, &options()).map(Self).map_err(text)
    }

    /// Five words for each mask, best first.
    pub fn fill(&self, sentence: &str) -> Result<Vec<Word>> {
        let masks = self.0.run(sentence).map_err(text)?;
        let word = |mask, found: ndalbert::pipelines::MaskPrediction| Word {
            mask,
            text: found.token_str,
            score: found.score,
        };
        let words = (0..)
            .zip(masks)
            .flat_map(|(mask, found)| found.into_iter().map(move |found| word(mask, found)));
        Ok(words.collect())
    }
}

/// A word for a mask.
#[wasm_bindgen(getter_with_clone)]
pub struct Word {
    /// Which mask of the sentence it is for.
    pub mask: usize,
    /// The word.
    pub text: String,
    /// Its probability.
    pub score: f32,
}
