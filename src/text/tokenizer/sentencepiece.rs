//! `spiece.model`: a SentencePiece protobuf → Unigram.

use std::collections::HashSet;
use std::path::Path;

use prost::Message;
use tokenizers::AddedToken;
use tokenizers::models::unigram::Unigram;

use super::charsmap;
use super::config_files::Declared;
use super::load::VocabularyFile;
use super::pipeline::{self, Draft, Family};
use crate::error::{Error, Result};

/// The part of `sentencepiece_model.proto` that matters here.
#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
}

/// `SentencePiece.Type`: never found in a text, only put there.
const CONTROL: i32 = 3;
/// `SentencePiece.Type`: always one piece, whatever is around it.
const USER_DEFINED: i32 = 4;

pub(super) fn read(file: &VocabularyFile<'_>) -> Result<Draft> {
    let &VocabularyFile { path, bytes, settings, declared } = file;
    let model = ModelProto::decode(bytes).map_err(|error| {
        Error::format(path, format!("expected a SentencePiece model (protobuf), found {error}"))
    })?;
    check_algorithm(path, &model)?;
    let vocabulary = vocabulary(path, &model)?;
    let unknown = declared.content("unk_token", Family::SentencePiece);
    let unigram = unigram(path, vocabulary, &unknown)?;
    let charsmap = match charsmap_of(&model) {
        Some(bytes) => Some(charsmap::precompiled(path, bytes)?),
        None => None,
    };
    let tokenizer = pipeline::sentencepiece(unigram, charsmap, settings)?;
    Ok(Draft {
        pieces: Some(fixed_pieces(&model)),
        ..Draft::new(path, tokenizer, Family::SentencePiece)
    })
}

/// The specifications follow the pieces, so a file that was cut between two pieces has none.
fn check_algorithm(path: &Path, model: &ModelProto) -> Result<()> {
    let (Some(trainer), Some(_)) = (&model.trainer_spec, &model.normalizer_spec) else {
        let found =
            format!("{} pieces and no trainer and normalizer specification", model.pieces.len());
        return Err(Error::format(
            path,
            format!("expected a whole SentencePiece model, found {found}: cut off?"),
        ));
    };
    let found = match trainer.model_type {
        None | Some(1) => return Ok(()),
        Some(2) => "2 (BPE)".to_owned(),
        Some(3) => "3 (word)".to_owned(),
        Some(4) => "4 (char)".to_owned(),
        Some(other) => other.to_string(),
    };
    Err(Error::format(path, format!("model_type: expected 1 (unigram), found {found}")))
}

fn vocabulary(path: &Path, model: &ModelProto) -> Result<Vec<(String, f64)>> {
    let mut seen = HashSet::with_capacity(model.pieces.len());
    let mut vocabulary = Vec::with_capacity(model.pieces.len());
    for (id, piece) in model.pieces.iter().enumerate() {
        let wrong = |what: String| Error::format(path, format!("piece {id}: {what}"));
        let text = piece.piece.as_deref().unwrap_or("");
        let score = piece.score.unwrap_or(0.0);
        if !seen.insert(text) {
            return Err(wrong(format!(
                "expected a text of its own, found {text:?} for the second time"
            )));
        }
        if !score.is_finite() {
            return Err(wrong(format!("expected a finite score, found {score}")));
        }
        vocabulary.push((text.to_owned(), f64::from(score)));
    }
    Ok(vocabulary)
}

/// A Unigram model in which `unknown` stands for what no piece covers.
///
/// `transformers` takes id 1 for that, whatever is there; the two agree on every ALBERT vocabulary.
pub(super) fn unigram(
    path: &Path,
    vocabulary: Vec<(String, f64)>,
    unknown: &str,
) -> Result<Unigram> {
    // The search for the best pieces would not end.
    if let Some(id) = vocabulary.iter().position(|(piece, _)| piece.is_empty()) {
        return Err(Error::format(path, format!("piece {id}: expected a text, found none")));
    }
    let place = vocabulary.iter().position(|(piece, _)| piece == unknown);
    let missing = || {
        let found = format!("{} pieces and none of them that", vocabulary.len());
        Error::format(path, format!("expected the unknown token {unknown:?}, found {found}"))
    };
    let place = place.ok_or_else(missing)?;
    Unigram::from(vocabulary, Some(place), false)
        .map_err(|error| Error::format(path, error.to_string()))
}

fn charsmap_of(model: &ModelProto) -> Option<&[u8]> {
    let charsmap = model.normalizer_spec.as_ref()?.precompiled_charsmap.as_deref()?;
    (!charsmap.is_empty()).then_some(charsmap)
}

fn fixed_pieces(model: &ModelProto) -> Vec<Declared> {
    let fixed = |piece: &Piece| {
        let kind = piece.kind.filter(|kind| [CONTROL, USER_DEFINED].contains(kind))?;
        let token = AddedToken::from(piece.piece.as_deref()?, kind == CONTROL).normalized(false);
        Some(Declared::full(token))
    };
    model.pieces.iter().filter_map(fixed).collect()
}
