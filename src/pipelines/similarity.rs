//! What vectors of texts are for: how alike they are, and which are the most alike.

use ndarray::{Array2, ArrayView2, Axis};
use serde::Serialize;

use super::ranking::best;
use super::{Pipeline, SentenceEmbedding, TextClassification, TextInput};
use crate::error::{Error, Result};
use crate::model::Model;

/// A text among several, and how well it matches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Match {
    /// Its place, counted from 0.
    pub index: usize,
    /// Its cosine similarity, from −1 to 1, or what a classifier of pairs says; more is better.
    pub score: f32,
}

/// The cosine similarities of the rows of `a` `[N, H]` and those of `b` `[M, H]`: `[N, M]`, as
/// `util.cos_sim` of sentence-transformers.
///
/// A row of zeros is like nothing: its similarities are 0.
///
/// # Errors
/// [`Error::Input`] if the rows are not of one length.
///
/// ```
/// use ndalbert::ndarray::array;
/// use ndalbert::pipelines::similarity;
///
/// let similarities = similarity(array![[3.0, 4.0]].view(), array![[4.0, 3.0], [-3.0, -4.0]].view())?;
/// assert!((similarities[[0, 0]] - 0.96).abs() < 1e-6);
/// assert!((similarities[[0, 1]] + 1.0).abs() < 1e-6);
/// # Ok::<(), ndalbert::Error>(())
/// ```
pub fn similarity(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
    if a.ncols() != b.ncols() {
        let expected = format!("rows of {} values", a.ncols());
        return Err(Error::input("vectors", expected, format!("rows of {}", b.ncols())));
    }
    Ok(unit_rows(a).dot(&unit_rows(b).t()))
}

/// For each row of `queries`, the `count` rows of `corpus` that are the most [alike](similarity),
/// best first, as `util.semantic_search` of sentence-transformers.
///
/// # Errors
/// As [`similarity`].
pub fn top_k(
    queries: ArrayView2<'_, f32>,
    corpus: ArrayView2<'_, f32>,
    count: usize,
) -> Result<Vec<Vec<Match>>> {
    let similarities = similarity(queries, corpus)?;
    let of_query = |scores: ndarray::ArrayView1<'_, f32>| matches(&scores.to_vec(), count);
    Ok(similarities.outer_iter().map(of_query).collect())
}

fn matches(scores: &[f32], count: usize) -> Vec<Match> {
    best(scores, count).into_iter().map(|index| Match { index, score: scores[index] }).collect()
}

fn unit_rows(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut rows = rows.to_owned();
    for mut row in rows.outer_iter_mut() {
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            row /= length;
        }
    }
    rows
}

impl SentenceEmbedding {
    /// The vectors of many texts, one in each row: `[N, H]`. Without a text, `[0, H]`.
    ///
    /// # Errors
    /// The first text's that has one: an [`Error::Item`] with its place.
    pub fn embed<T: Into<String>>(
        &self,
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Array2<f32>> {
        let mut vectors = Array2::zeros((0, self.dimension()));
        for vector in self.stream(texts.into_iter().map(Into::into)) {
            let vector = vector?;
            vectors.push_row(vector.view()).map_err(|_| {
                let expected = format!("{} values", self.dimension());
                Error::input("vector of a text", expected, vector.len().to_string())
            })?;
        }
        Ok(vectors)
    }

    /// The texts in the order of how like a query they are, best first.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn rank<T: Into<String>>(
        &self,
        query: impl Into<String>,
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Match>> {
        let query = self.run(query)?.insert_axis(Axis(0));
        let texts = self.embed(texts)?;
        Ok(top_k(query.view(), texts.view(), texts.nrows())?.remove(0))
    }
}

impl TextClassification {
    /// The texts in the order of how well they match a query, best first, by a classifier of pairs
    /// that has one label (a cross-encoder). Scores are what [`run`](Pipeline::run) gives for the
    /// pairs of the query and each text.
    ///
    /// # Errors
    /// [`Error::Input`] if the model has several labels, and an [`Error::Item`] with a text's place
    /// if it cannot be processed.
    pub fn rank<T: Into<String>>(
        &self,
        query: impl Into<String>,
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Match>> {
        let labels = self.base.model.config().num_labels();
        if labels != 1 {
            let expected = "a classifier of pairs with one label";
            return Err(Error::input("model to rank with", expected, format!("{labels} labels")));
        }
        let query = query.into();
        let pairs = texts.into_iter().map(|text| TextInput::from((query.clone(), text.into())));
        let scores: Vec<f32> =
            self.stream(pairs).map(|labels| Ok(labels?[0].score)).collect::<Result<_>>()?;
        Ok(matches(&scores, scores.len()))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_most_alike_come_first_and_length_does_not_matter() {
        let corpus = array![[0.0, 2.0], [5.0, 5.0], [0.1, 0.0], [0.0, 0.0]];
        let found = top_k(array![[3.0, 0.0]].view(), corpus.view(), 3).unwrap().remove(0);
        assert_eq!(found.iter().map(|found| found.index).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(found[0].score, 1.0);
        assert!((found[1].score - 0.5f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn rows_of_zeros_are_like_nothing_and_other_lengths_are_refused() {
        let zeros = array![[0.0, 0.0]];
        assert_eq!(similarity(zeros.view(), zeros.view()).unwrap()[[0, 0]], 0.0);
        assert!(similarity(zeros.view(), array![[1.0]].view()).is_err());
        assert_eq!(top_k(zeros.view(), zeros.view(), 0).unwrap(), [[]]);
    }
}
