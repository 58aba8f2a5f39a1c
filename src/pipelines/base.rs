//! The parts that all pipelines share.

use std::path::Path;

use super::options::{PipelineOptions, TOKENS_PER_BATCH};
use super::resolve::directory;
use crate::checkpoint::{LoadOptions, LoadReport, PreTrainedModel, saved_type, stage_model};
use crate::error::{Error, Result};
use crate::files::{Staged, commit_all};
use crate::memory::MemoryFiles;
use crate::text::{AlbertTokenizer, Truncation, TruncationStrategy};

/// A model, its tokenizer, and how they are used.
#[derive(Debug)]
pub(super) struct Base<M> {
    pub model: M,
    pub tokenizer: AlbertTokenizer,
    pub tokens_per_batch: usize,
    pub report: Option<LoadReport>,
}

impl<M: PreTrainedModel> Base<M> {
    /// From a model and a tokenizer, whose encodings are truncated to the model's input length.
    pub fn new(model: M, tokenizer: AlbertTokenizer) -> Result<Self> {
        let tokenizer = fitted(tokenizer, model.config().max_position_embeddings)?;
        Ok(Self { model, tokenizer, tokens_per_batch: TOKENS_PER_BATCH, report: None })
    }

    pub fn load(name: &Path, options: &PipelineOptions) -> Result<Self> {
        let directory = directory(name, options)?;
        let tokenizer = AlbertTokenizer::from_pretrained(&directory)?;
        Self::assemble(tokenizer, options, |load| M::from_pretrained_with(&directory, load))
    }

    pub fn read(files: &MemoryFiles, options: &PipelineOptions) -> Result<Self> {
        let tokenizer = AlbertTokenizer::from_bytes(files)?;
        Self::assemble(tokenizer, options, |load| M::from_bytes_with(files, load))
    }

    fn assemble(
        mut tokenizer: AlbertTokenizer,
        options: &PipelineOptions,
        load: impl FnOnce(&LoadOptions) -> Result<(M, LoadReport)>,
    ) -> Result<Self> {
        if let Some(max_length) = options.max_length {
            tokenizer = tokenizer.with_max_length(max_length)?;
        }
        let (model, report) = load(&options.load)?;
        if let Some(missing) = report.newly_initialized.first()
            && !options.initialize_missing_head
        {
            let expected = format!("a tensor, which {} needs for its answers", M::NAME);
            let found = "none: this checkpoint was trained for something else";
            return Err(Error::tensor(&report.path, missing, expected, found));
        }
        let base = Self::new(model, tokenizer)?;
        let tokens_per_batch = options.tokens_per_batch;
        Ok(Self { tokens_per_batch, report: Some(report), ..base })
    }
}

impl<M: PreTrainedModel> Base<M> {
    /// Creates a directory if necessary, and writes the files of model and tokenizer to temporary
    /// files in it.
    pub fn stage(&self, directory: &Path) -> Result<Vec<Staged>> {
        let (config, parameters) = (self.model.config(), self.model.to_parameters());
        let model = stage_model::<M>(directory, config, &parameters, saved_type(&self.model))?;
        let tokenizer = self.tokenizer.stage(directory, Some(self.max_length()))?;
        Ok(model.into_iter().chain(tokenizer).collect())
    }

    pub fn save(&self, directory: &Path) -> Result<()> {
        commit_all(self.stage(directory)?)
    }
}

impl<M> Base<M> {
    /// How many tokens the model reads at a time, at most.
    pub fn max_length(&self) -> usize {
        self.tokenizer.truncation().map_or(usize::MAX, |truncation| truncation.max_length)
    }

    /// The same, but only the first text of a pair is truncated.
    pub fn cut_only_first(mut self) -> Result<Self> {
        if let Some(Truncation { max_length, .. }) = self.tokenizer.truncation() {
            let strategy = TruncationStrategy::OnlyFirst;
            self.tokenizer = self.tokenizer.with_truncation(Truncation { max_length, strategy })?;
        }
        Ok(self)
    }
}

/// The tokenizer, cutting texts to what it was set to, else to what it says the model is meant for,
/// and to no more than the model's positions.
fn fitted(tokenizer: AlbertTokenizer, positions: usize) -> Result<AlbertTokenizer> {
    let asked = tokenizer.truncation();
    let strategy = asked.map_or(TruncationStrategy::default(), |asked| asked.strategy);
    let said = asked.map(|asked| asked.max_length).or(tokenizer.model_max_length());
    let max_length = said.map_or(positions, |said| said.min(positions));
    tokenizer.with_truncation(Truncation { max_length, strategy })
}

/// Implements what all pipelines have for a struct with a field `base`, given what a pipeline is
/// made of its base.
macro_rules! impl_construction {
    ($pipeline:ident, $model:ident, |$base:ident| $build:expr) => {
        $crate::pipelines::base::impl_construction!(
            $pipeline,
            $model,
            |$base| $build,
            |name, options| {
                let $base = $crate::pipelines::base::Base::<$crate::$model>::load(name, options)?;
                $build
            },
            |files, options| {
                let $base = $crate::pipelines::base::Base::<$crate::$model>::read(files, options)?;
                $build
            }
        );

        impl $pipeline {
            /// Writes model (in single precision) and tokenizer to a directory, which is created if
            /// necessary. This pipeline and transformers can load it.
            ///
            /// The tokenizer's `model_max_length` becomes the length at which this pipeline
            /// truncates texts. Its other settings are not saved, as in transformers. All files are
            /// written to temporary files before the first one is replaced.
            ///
            /// # Errors
            /// As [`PreTrainedModel::save_pretrained`](crate::PreTrainedModel::save_pretrained) and
            /// [`AlbertTokenizer::save_pretrained`](crate::AlbertTokenizer::save_pretrained).
            pub fn save_pretrained(
                &self,
                directory: impl AsRef<std::path::Path>,
            ) -> $crate::Result<()> {
                self.base.save(directory.as_ref())
            }
        }
    };
    (
        $pipeline:ident, $model:ident,
        |$base:ident| $build:expr,
        |$name:ident, $options:ident| $load:expr,
        |$files:ident, $with:ident| $read:expr
    ) => {
        impl $pipeline {
            /// Loads model and tokenizer from the directory of a checkpoint.
            ///
            /// # Errors
            /// As [`from_pretrained_with`](Self::from_pretrained_with).
            pub fn from_pretrained(name: impl AsRef<std::path::Path>) -> $crate::Result<Self> {
                Self::from_pretrained_with(name, &$crate::pipelines::PipelineOptions::new())
            }

            /// As [`from_pretrained`](Self::from_pretrained), with options.
            ///
            /// # Errors
            /// Those of [`resolve`](crate::pipelines::resolve), of
            /// [`PreTrainedModel::from_pretrained`](crate::PreTrainedModel::from_pretrained) and of
            /// [`AlbertTokenizer::from_pretrained`](crate::AlbertTokenizer::from_pretrained);
            /// [`Error::Tensor`](crate::Error::Tensor) if the checkpoint lacks a parameter that is
            /// needed for answers, unless the options allow it.
            pub fn from_pretrained_with(
                name: impl AsRef<std::path::Path>,
                options: &$crate::pipelines::PipelineOptions,
            ) -> $crate::Result<Self> {
                let ($name, $options) = (name.as_ref(), options);
                $load
            }

            /// Of a checkpoint's files in memory, its tokenizer's among them. Answers are those of
            /// [`from_pretrained`](Self::from_pretrained) for a directory of these files.
            ///
            /// # Errors
            /// As [`from_pretrained_with`](Self::from_pretrained_with).
            pub fn from_bytes(files: &$crate::MemoryFiles) -> $crate::Result<Self> {
                Self::from_bytes_with(files, &$crate::pipelines::PipelineOptions::new())
            }

            /// As [`from_bytes`](Self::from_bytes), with options.
            ///
            /// # Errors
            /// As [`from_pretrained_with`](Self::from_pretrained_with).
            pub fn from_bytes_with(
                files: &$crate::MemoryFiles,
                options: &$crate::pipelines::PipelineOptions,
            ) -> $crate::Result<Self> {
                let ($files, $with) = (files, options);
                $read
            }

            /// Of a model and its tokenizer. Texts are cut to the length that the tokenizer is set
            /// to or, if it is set to none, to the one that it says the model is meant for; and
            /// never to more than the model takes.
            ///
            /// # Errors
            /// [`Error::Input`](crate::Error::Input) if this leaves no room for special tokens.
            pub fn new(
                model: $crate::$model,
                tokenizer: $crate::AlbertTokenizer,
            ) -> $crate::Result<Self> {
                let $base = $crate::pipelines::base::Base::new(model, tokenizer)?;
                $build
            }

            /// The model.
            pub fn model(&self) -> &$crate::$model {
                &self.base.model
            }

            /// The tokenizer, which truncates texts to the model's input length.
            pub fn tokenizer(&self) -> &$crate::AlbertTokenizer {
                &self.base.tokenizer
            }

            /// The report of loading the checkpoint; `None` if the pipeline was created from a
            /// model.
            pub fn load_report(&self) -> Option<&$crate::LoadReport> {
                self.base.report.as_ref()
            }
        }
    };
}
pub(super) use impl_construction;

/// Implements `exit` for a pipeline whose model may have exits.
macro_rules! impl_exit {
    ($pipeline:ident, |$config:ident| $problem:expr) => {
        impl $pipeline {
            /// Lets each input leave the model at the first exit that `policy` selects, which saves
            /// the layers after it; see [`exits`](crate::exits). Each output has the number of
            /// layers used.
            ///
            /// # Errors
            /// [`Error::Input`](crate::Error::Input) if the model has no exits, or the policy does
            /// not apply to its predictions.
            pub fn exit(
                mut self,
                policy: impl $crate::exits::ExitPolicy + 'static,
            ) -> $crate::Result<Self> {
                let $config = self.base.model.config();
                $crate::model::heads::check_exits($config, &policy, $problem)?;
                self.exit = Some(std::sync::Arc::new(policy));
                Ok(self)
            }
        }
    };
}
pub(super) use impl_exit;
