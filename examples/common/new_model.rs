//! A model that has learnt nothing yet: a vocabulary made of text, and parameters drawn from a
//! seed.

use std::path::Path;

use ndalbert::text::{VocabularyOptions, train_vocabulary};
use ndalbert::train::TrainableModel;
use ndalbert::{AlbertConfig, AlbertTokenizer, ConfigFields};

use super::cli::Failure;

/// A small model, the size of whose vocabulary is still to be put in.
///
/// Its weights are drawn as wide as suits its width, 1/√H rather than the 0.02 of models of 768 and
/// more: it leaves the plateau of word frequencies sooner.
pub fn small(num_hidden_layers: usize) -> Result<AlbertConfig, Failure> {
    Ok(AlbertConfig::new(ConfigFields {
        embedding_size: 128,
        hidden_size: 128,
        num_hidden_layers,
        num_attention_heads: 4,
        intermediate_size: 512,
        initializer_range: 0.06,
        ..ConfigFields::default()
    })?)
}

/// Makes a vocabulary of text files.
pub fn new_tokenizer<P: AsRef<Path>>(
    files: &[P],
    options: &VocabularyOptions,
) -> Result<AlbertTokenizer, Failure> {
    let directory = tempfile::tempdir()?;
    train_vocabulary(files, options)?.save(&directory)?;
    Ok(AlbertTokenizer::from_pretrained(&directory)?)
}

/// The same model for another vocabulary.
pub fn with_words(
    config: &AlbertConfig,
    tokenizer: &AlbertTokenizer,
) -> Result<AlbertConfig, Failure> {
    let mut fields = config.to_fields();
    fields.vocab_size = tokenizer.vocab_size();
    fields.pad_token_id = Some(tokenizer.pad_token_id());
    Ok(AlbertConfig::new(fields)?)
}

/// New parameters. The two matrices of each layer that write into the residual are scaled: at small
/// batches a model that begins with small steps between its layers leaves the plateau of word
/// frequencies sooner.
pub fn draw<M: TrainableModel>(
    config: &AlbertConfig,
    seed: u64,
    residual_scale: f32,
) -> Result<M::Parameters, Failure> {
    let mut parameters = M::random_parameters(config, seed)?;
    let encoder = &mut parameters.albert.encoder;
    encoder.attentions.iter_mut().flatten().for_each(|block| block.dense.weight *= residual_scale);
    let blocks = encoder.feed_forwards.iter_mut().flatten();
    blocks.for_each(|block| block.ffn_output.weight *= residual_scale);
    Ok(parameters)
}
