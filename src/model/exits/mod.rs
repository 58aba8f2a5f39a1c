//! Early exits: models whose depth adapts to the input.
//!
//! A model with exits has a classifier after several of its layers (the configuration's
//! [`exit_layers`](crate::ConfigFields::exit_layers)), all on the same pooler. An input passes through the layers until an [`ExitPolicy`] lets it leave, so easy inputs cost a few layers and hard ones all of them.
//!
//! Other implementations do this for one input at a time, because the inputs of a batch leave at
//! different layers. This implementation works at any batch size. Since all layers share their weights, the sequences of a group need not be at the same depth: when one leaves, the rest is compacted, and the next waiting one takes its place. If layers do not share all weights, groups are compacted but not refilled. An input's result and the layer where it leaves are bit-identical
//! alone and in any batch, on any number of threads.
//!
//! ```
//! use ndalbert::exits::Patience;
//! use ndalbert::{AlbertConfig, AlbertForSequenceClassification, Batch, ConfigFields, Model};
//!
//! let config = AlbertConfig::new(ConfigFields {
//!     vocab_size: 100,
//!     embedding_size: 16,
//!     hidden_size: 32,
//!     num_attention_heads: 4,
//!     num_hidden_layers: 6,
//!     intermediate_size: 64,
//!     exit_layers: vec![1, 2, 3, 4, 5, 6],
//!     ..ConfigFields::default()
//! })?;
//! let model = AlbertForSequenceClassification::from_config(config, 1)?;
//! let batch = Batch::from_sequences(&[vec![2, 17, 5, 3], vec![2, 8, 3]])?;
//!
//! let early = model.forward_until(&batch, &Patience::new(2))?;
//! assert_eq!(early.output.logits.dim(), (2, 2));
//! println!("layers that each sequence took: {:?}", early.layers);
//! assert!(early.layers.iter().all(|layers| (3..=6).contains(layers)));
//! # Ok::<(), ndalbert::Error>(())
//! ```
//!
//! Pipelines take a policy with their method `exit`
//! ([`TextClassification::exit`](crate::pipelines::TextClassification::exit)), and the command line
//! as `--exit patience=3`. Exits are trained like other classifiers, with a combined loss ([`TrainingOptions`](crate::train::TrainingOptions)). PABEE checkpoints load unchanged.

mod agreement;
mod confidence;
mod engine;
mod group;
mod patience;
mod policy;

pub use agreement::Agreement;
pub use confidence::Confidence;
pub(super) use engine::{Exits, Outcome, Predict, Run};
pub use patience::Patience;
pub use policy::{ExitPolicy, Predictions, parse};

/// The output of a model whose inputs left at the exits selected by a policy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EarlyExit<O> {
    /// The output, each row from the exit where its input left.
    pub output: O,
    /// The number of layers that each input used. One number per sequence or, in multiple choice, per prompt.
    pub layers: Vec<usize>,
}
