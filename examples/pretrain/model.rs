//! The vocabulary and the model to begin with.

use ndalbert::text::{VocabularyOptions, train_vocabulary};
use ndalbert::{
    AlbertConfig, AlbertForPreTraining, AlbertTokenizer, LoadOptions, Model, PreTrainedModel,
};

use super::Failure;
use super::options::{self, Begin, Options, Words};
use super::tokenizer_files::copy_tokenizer;

type Parameters = <AlbertForPreTraining as Model>::Parameters;

/// The tokenizer of a directory, or of a vocabulary made of the text. The output directory gets its files.
pub fn tokenizer(options: &Options) -> Result<AlbertTokenizer, Failure> {
    match &options.words {
        Words::Directory(directory) => {
            let tokenizer = AlbertTokenizer::from_pretrained(directory)?;
            copy_tokenizer(directory, &options.output)?;
            Ok(tokenizer)
        }
        Words::Train { size, kind } => {
            let of_text = VocabularyOptions {
                kind: *kind,
                vocab_size: *size,
                ..VocabularyOptions::default()
            };
            train_vocabulary(&options.text, &of_text)?.save(&options.output)?;
            Ok(AlbertTokenizer::from_pretrained(&options.output)?)
        }
    }
}

/// Configuration and parameters: a checkpoint's, or new ones.
pub fn model(
    options: &Options,
    tokenizer: &AlbertTokenizer,
) -> Result<(AlbertConfig, Parameters), Failure> {
    let config = match &options.begin {
        Begin::Checkpoint(directory) => {
            let load = LoadOptions::new().seed(options.seed);
            let (config, parameters, report) =
                AlbertForPreTraining::load_parameters(directory, &load)?;
            if !report.is_clean() {
                eprintln!("{report}");
            }
            return Ok((config, parameters));
        }
        Begin::Preset(name) => AlbertConfig::from_preset(name)?,
        Begin::Config(path) => AlbertConfig::from_file(path)?,
        Begin::Small => options::small()?,
    };
    let config = with_words(&config, tokenizer)?;
    let mut parameters = AlbertForPreTraining::random_parameters(&config, options.seed)?;
    scale_residuals(&mut parameters, options.residual_scale);
    Ok((config, parameters))
}

/// The same model for another vocabulary.
fn with_words(config: &AlbertConfig, tokenizer: &AlbertTokenizer) -> Result<AlbertConfig, Failure> {
    let mut fields = config.to_fields();
    fields.vocab_size = tokenizer.vocab_size();
    fields.pad_token_id = Some(tokenizer.pad_token_id());
    Ok(AlbertConfig::new(fields)?)
}

/// Scales the two matrices of each layer that write into the residual: at small batches a model that begins with small
/// steps between its layers leaves the plateau of word frequencies sooner.
fn scale_residuals(parameters: &mut Parameters, factor: f32) {
    let encoder = &mut parameters.albert.encoder;
    encoder.attentions.iter_mut().flatten().for_each(|block| block.dense.weight *= factor);
    encoder.feed_forwards.iter_mut().flatten().for_each(|block| block.ffn_output.weight *= factor);
}
