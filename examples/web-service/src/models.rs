use crate::batcher::Batcher;
use serde::{Deserialize, Serialize};
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question { pub prompt: String, pub choices: Vec<String> }
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text { pub text: String }
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice { pub index: usize }
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Word { pub score: f32 }
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Embedding { pub embedding: Vec<f32> }
#[derive(Clone)]
pub struct Models {
    pub choose: Batcher<Question, Vec<Choice>>,
    pub fill_mask: Batcher<Text, Vec<Vec<Word>>>,
    pub embed: Batcher<Text, Embedding>,
}
