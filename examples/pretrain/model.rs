//! The vocabulary and the model to begin with.

use ndalbert::text::VocabularyOptions;
use ndalbert::{
    AlbertConfig, AlbertForPreTraining, AlbertTokenizer, LoadOptions, Model, PreTrainedModel,
};

use super::Failure;
use super::new_model::{draw, new_tokenizer, small, with_words};
use super::options::{Begin, Options, Words};

type Parameters = <AlbertForPreTraining as Model>::Parameters;

/// How often the small model's layer is applied.
const LAYERS: usize = 4;

/// The tokenizer of a directory, or of a vocabulary made of the text; where training goes on, that
/// of the output directory.
pub fn tokenizer(options: &Options, goes_on: bool) -> Result<AlbertTokenizer, Failure> {
    if goes_on {
        return Ok(AlbertTokenizer::from_pretrained(options.output.path())?);
    }
    match &options.words {
        Words::Directory(directory) => Ok(AlbertTokenizer::from_pretrained(directory)?),
        Words::Train { size, kind } => {
            let of_text = VocabularyOptions {
                kind: *kind,
                vocab_size: *size,
                ..VocabularyOptions::default()
            };
            new_tokenizer(&options.text, &of_text)
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
        Begin::Small => small(LAYERS)?,
    };
    let config = with_words(&config, tokenizer)?;
    let parameters = draw::<AlbertForPreTraining>(&config, options.seed, options.residual_scale)?;
    Ok((config, parameters))
}
