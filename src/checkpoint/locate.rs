//! Where in a file an ALBERT is.
//!
//! A file may have much else: an optimizer's state, a moving average of the weights, the other networks of a system for
//! speech. And what is in it stands under whatever prefix the training script's wrappers have made (`module.`,
//! `_orig_mod.`, `net.bert.`). So no prefix is known here. Each tensor's name is looked at from its end: if it ends in a
//! name of the table, what precedes that is where an ALBERT may begin. One begins where the encoder's names are found,
//! which no other model has.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;

use super::names;
use super::table::{self, Table};
use super::tensor::TensorInfo;
use crate::{Error, Result};

/// The most places that an error lists.
const SHOWN: usize = 12;

/// How many levels above the backbone heads are looked for.
const MAX_LEVELS: usize = 8;

/// The tensors of a file, from an ALBERT's point of view.
#[derive(Debug)]
pub(super) struct Located<'a> {
    /// What precedes the backbone's names: empty, or ending in a dot.
    pub backbone: &'a str,
    /// Canonical name → name in the file, for everything under the backbone's prefix, and for heads next to it.
    pub tensors: BTreeMap<String, &'a str>,
    /// The canonical names of heads that are where transformers does not put them: they may be another network's.
    pub doubtful: BTreeSet<String>,
    /// Whatever else is in the file.
    pub others: Vec<&'a str>,
}

/// Finds the ALBERT among tensors, which is under the dictionary or prefix `under` if that is given. One that
/// `may_be_incomplete` may lack all of its encoder.
///
/// # Errors
///
/// [`Error::Format`] if there is none, or more than one; [`Error::Tensor`] if two tensors are for the same parameter.
pub(super) fn locate<'a>(
    path: &Path,
    tensors: &'a BTreeMap<String, TensorInfo>,
    under: Option<&str>,
    may_be_incomplete: bool,
) -> Result<Located<'a>> {
    let table = Table::new()?;
    let candidates = candidates(&table, tensors, may_be_incomplete);
    let backbone = choose(&table, tensors, &candidates, under)
        .map_err(|reason| Error::format(path, reason))?;
    divide(path, &table, tensors, backbone)
}

/// The names of the table found under a prefix.
#[derive(Debug, Default)]
struct Candidate<'t> {
    names: BTreeSet<&'t str>,
    tensors: usize,
}

/// By prefix: empty, or ending in a dot.
type Candidates<'a, 't> = BTreeMap<&'a str, Candidate<'t>>;

/// Where an ALBERT may begin; if one may be incomplete, also where there is but a part that BERTs have, too.
fn candidates<'a, 't>(
    table: &'t Table,
    tensors: &'a BTreeMap<String, TensorInfo>,
    may_be_incomplete: bool,
) -> Candidates<'a, 't> {
    let mut candidates = Candidates::new();
    for name in tensors.keys() {
        if let Some((found, start)) = table.find(name) {
            let candidate = candidates.entry(name.get(..start).unwrap_or_default()).or_default();
            candidate.names.insert(found);
            candidate.tensors += 1;
        }
    }
    let has_encoder =
        |candidate: &Candidate<'_>| candidate.names.iter().any(|name| table::is_of_encoder(name));
    if candidates.values().any(has_encoder) || !may_be_incomplete {
        candidates.retain(|_, candidate| has_encoder(candidate));
    } else if candidates.is_empty() {
        candidates.insert("", Candidate::default());
    }
    candidates
}

/// The one candidate that is meant.
fn choose<'a>(
    table: &Table,
    tensors: &BTreeMap<String, TensorInfo>,
    candidates: &Candidates<'a, '_>,
    under: Option<&str>,
) -> std::result::Result<&'a str, String> {
    let mut prefixes: Vec<&str> = candidates.keys().copied().collect();
    if let Some(under) = under {
        prefixes = within(&prefixes, shown(under));
    }
    // Incomplete candidates next to a complete one are gradients, or averages of the trained part.
    let is_whole = |prefix: &&str| {
        let found = candidates.get(prefix).map(|candidate| &candidate.names);
        found.is_some_and(|names| table.essential().all(|name| names.contains(name)))
    };
    if prefixes.iter().any(is_whole) {
        prefixes.retain(is_whole);
    }
    match prefixes[..] {
        [] => Err(none(tensors, candidates, under)),
        [prefix] => Ok(prefix),
        // Two names for the same bytes are no two models.
        [first, ref others @ ..]
            if others.len() < SHOWN
                && others.iter().all(|other| is_same(tensors, first, other)) =>
        {
            Ok(first)
        }
        [first, ..] => Err(several(candidates, &prefixes, first)),
    }
}

/// The prefixes that mean exactly this place, or else those within it.
fn within<'a>(prefixes: &[&'a str], under: &str) -> Vec<&'a str> {
    let exact = |prefix: &&&str| {
        let path = shown(prefix);
        path == under || without_backbone(path) == Some(under)
    };
    let inside = |prefix: &&&str| {
        under.is_empty() || prefix.strip_prefix(under).is_some_and(|rest| rest.starts_with('.'))
    };
    let exactly: Vec<&str> = prefixes.iter().filter(exact).copied().collect();
    match exactly[..] {
        [_] => exactly,
        _ => prefixes.iter().filter(inside).copied().collect(),
    }
}

/// The path in which a backbone named as transformers names it is.
fn without_backbone(path: &str) -> Option<&str> {
    let rest = path.strip_suffix(names::BACKBONE)?;
    if rest.is_empty() { Some("") } else { rest.strip_suffix('.') }
}

/// Whether all tensors behind two prefixes are the same bytes in the same order.
fn is_same(tensors: &BTreeMap<String, TensorInfo>, first: &str, second: &str) -> bool {
    let (first, second) = (behind(tensors, first), behind(tensors, second));
    first.len() == second.len()
        && first.iter().zip(&second).all(|((name, tensor), (other_name, other))| {
            name == other_name && tensor.is_same_place(other)
        })
}

/// The tensors behind a prefix, by the rest of their names.
fn behind<'a>(
    tensors: &'a BTreeMap<String, TensorInfo>,
    prefix: &str,
) -> Vec<(&'a str, &'a TensorInfo)> {
    tensors
        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .map_while(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)))
        .collect()
}

/// A prefix as users write it.
fn shown(prefix: &str) -> &str {
    prefix.strip_suffix('.').unwrap_or(prefix)
}

fn several(candidates: &Candidates<'_, '_>, prefixes: &[&str], first: &str) -> String {
    let count = |prefix: &&str| candidates.get(prefix).map_or(0, |candidate| candidate.tensors);
    let list =
        prefixes.iter().map(|prefix| format!("{:?} ({} tensors)", shown(prefix), count(prefix)));
    let (found, list, first) = (prefixes.len(), listed(list), shown(first));
    format!(
        "expected one ALBERT, found {found}: under {list}. Choose one with \
         `LoadOptions::tensors_under({first:?})`, on the command line with `--tensors-under {first:?}`"
    )
}

fn none(
    tensors: &BTreeMap<String, TensorInfo>,
    candidates: &Candidates<'_, '_>,
    under: Option<&str>,
) -> String {
    let place = under.map(|under| format!(" under {under:?}")).unwrap_or_default();
    if !candidates.is_empty() {
        let list = candidates.keys().map(|prefix| format!("under {:?}", shown(prefix)));
        return format!("no ALBERT{place}; there is one {}", listed(list));
    }
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in tensors.keys() {
        *parts.entry(name.split('.').next().unwrap_or_default()).or_default() += 1;
    }
    let list = parts.iter().map(|(part, count)| format!("`{part}` ({count})"));
    format!(
        "no ALBERT{place}: no tensor is named like one of its encoder, such as \
         `encoder.embedding_hidden_mapping_in.weight`. The names of the {} tensors begin with {}",
        tensors.len(),
        listed(list),
    )
}

/// Some of a list, separated by commas.
fn listed(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(SHOWN);
    let text = items.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// Says of every tensor whether it is of the ALBERT whose backbone begins behind a prefix.
fn divide<'a>(
    path: &Path,
    table: &Table,
    tensors: &'a BTreeMap<String, TensorInfo>,
    backbone: &'a str,
) -> Result<Located<'a>> {
    let mut located = Located {
        backbone,
        tensors: BTreeMap::new(),
        doubtful: BTreeSet::new(),
        others: Vec::new(),
    };
    for name in tensors.keys() {
        match name.strip_prefix(backbone) {
            Some(rest) => located.add(path, table.canonical(rest), name)?,
            None => located.others.push(name),
        }
    }
    // Heads are at the backbone's own level, where this crate accepts them, or at the next one above that has any.
    let transformers = without_backbone(shown(backbone));
    let mut level = shown(backbone);
    for _ in 0..MAX_LEVELS {
        if level.is_empty() || located.tensors.keys().any(|name| table.is_head(name)) {
            break;
        }
        level = level.rsplit_once('.').map_or("", |(above, _)| above);
        let prefix = if level.is_empty() { String::new() } else { format!("{level}.") };
        for name in std::mem::take(&mut located.others) {
            let canonical = name.strip_prefix(&prefix).map(|rest| table.canonical(rest));
            match canonical.filter(|canonical| table.is_head(canonical)) {
                Some(canonical) => {
                    if transformers != Some(level) {
                        located.doubtful.insert(canonical.clone().into_owned());
                    }
                    located.add(path, canonical, name)?;
                }
                None => located.others.push(name),
            }
        }
    }
    Ok(located)
}

impl<'a> Located<'a> {
    fn add(&mut self, path: &Path, canonical: Cow<'_, str>, name: &'a str) -> Result<()> {
        match self.tensors.insert(canonical.into_owned(), name) {
            None => Ok(()),
            Some(other) => {
                let expected = "one tensor for this parameter";
                Err(Error::tensor(path, name, expected, format!("`{other}` too")))
            }
        }
    }
}
