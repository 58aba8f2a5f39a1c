//! What fine-tuning begins with: a checkpoint or, to show that it works, a small model that has learnt nothing.

use std::io::{BufWriter, Write};

use ndalbert::text::VocabularyOptions;
use ndalbert::train::TrainableModel;
use ndalbert::{AlbertConfig, AlbertTokenizer, ConfigFields, LoadOptions, PreTrainedModel};

use super::new_model::{draw, new_tokenizer, small, with_words};
use super::{Failure, Options, ranks};

/// Of a new model: how often its layer is applied, ...
const LAYERS: usize = 3;
/// ... how many words it has at most, ...
const WORDS: usize = 2000;
/// ... its dropout, as it has little to learn from, ...
const DROPOUT: f64 = 0.1;
/// ... and how small its layers' steps are at first.
const RESIDUAL_SCALE: f32 = 0.3;

impl Options {
    /// The checkpoint's tokenizer or, without one, that of a vocabulary made of `texts`. Makes the
    /// output directory, if there is to be a model.
    pub fn tokenizer<'a>(
        &self,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<AlbertTokenizer, Failure> {
        let goes_on = !self.only_evaluates() && ranks::once(|| self.output.make(self.resume))?;
        let tokenizer = match &self.model {
            _ if goes_on => AlbertTokenizer::from_pretrained(self.output.path())?,
            Some(model) => AlbertTokenizer::from_pretrained(model)?,
            None => {
                let mut file = BufWriter::new(tempfile::NamedTempFile::new()?);
                for text in texts {
                    writeln!(file, "{text}")?;
                }
                let file = file.into_inner()?;
                let options = VocabularyOptions { vocab_size: WORDS, ..Default::default() };
                new_tokenizer(&[file.path()], &options)?
            }
        };
        Ok(tokenizer.with_max_length(self.max_length)?)
    }

    /// The labels that the checkpoint says it has.
    #[allow(dead_code)] // Not every task has labels.
    pub fn labels(&self) -> Result<Vec<String>, Failure> {
        let model = self.model.as_ref().ok_or("a new model has no labels")?;
        Ok(AlbertConfig::from_pretrained(model)?.labels.clone())
    }

    /// Configuration and parameters, the checkpoint's or new ones, the former with the dropout that is wanted and what
    /// `change` does: a classifier's labels, and what they are for.
    pub fn load<M: TrainableModel + PreTrainedModel>(
        &self,
        tokenizer: &AlbertTokenizer,
        change: impl FnOnce(&mut ConfigFields),
    ) -> Result<(AlbertConfig, M::Parameters), Failure> {
        let (config, dropout) = match &self.model {
            Some(model) => (AlbertConfig::from_pretrained(model)?, self.dropout),
            None => {
                let config = with_words(&small(LAYERS)?, tokenizer)?;
                (config, Some(self.dropout.unwrap_or(DROPOUT)))
            }
        };
        let mut fields = config.to_fields();
        if let Some(rate) = dropout {
            (fields.hidden_dropout_prob, fields.attention_probs_dropout_prob) = (rate, rate);
        }
        change(&mut fields);
        let exits = self.exits.layers(fields.num_hidden_layers);
        if let (None, Some(layers)) = (&self.model, &exits) {
            fields.exit_layers.clone_from(layers);
        }
        let config = AlbertConfig::new(fields)?;
        let Some(model) = &self.model else {
            let parameters = draw::<M>(&config, self.seed, RESIDUAL_SCALE)?;
            return Ok((config, parameters));
        };
        let mut load = LoadOptions::new().seed(self.seed).labels(&config.labels);
        if let Some(layers) = exits {
            load = load.exit_layers(layers);
        }
        let (loaded, parameters, report) = M::load_parameters(model, &load)?;
        if !report.is_clean() {
            eprintln!("{report}");
        }
        // Also those that a checkpoint has without saying so.
        let exit_layers = loaded.exit_layers.clone();
        let config = AlbertConfig::new(ConfigFields { exit_layers, ..config.to_fields() })?;
        Ok((config, parameters))
    }
}
