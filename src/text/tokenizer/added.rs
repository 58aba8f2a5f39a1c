//! Special and added tokens: who declares them, who wins, and in which order they get their ids.
//!
//! `transformers` gathers them from up to four files and from its own defaults; the order and the precedence below
//! are those of `PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend.__init__`.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use tokenizers::AddedToken;

use super::config_files::{Declared, JsonFile};
use super::pipeline::Family;
use crate::error::Result;
use crate::layout;
use crate::memory::Origin;

/// The seven names, in the order in which `transformers` walks them.
const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The files that are asked where the config has no `added_tokens_decoder`.
pub(super) const OTHERS: [&str; 2] = [layout::TOKENIZER[1], layout::TOKENIZER[2]];

/// Every token that the JSON files of a directory declare.
#[derive(Debug)]
pub(super) struct Declarations {
    /// Those of [`NAMES`], and any further key that ends in `_token`.
    named: Vec<(String, Declared)>,
    /// `extra_special_tokens`.
    extra: Option<Vec<Declared>>,
    /// `additional_special_tokens`, the older name, where `extra` is not there.
    additional: Option<Vec<Declared>>,
    by_id: BTreeMap<u64, AddedToken>,
    /// Whether `tokenizer_config.json` has its own `added_tokens_decoder`, and other files are not asked.
    is_complete: bool,
    /// The other files if they were asked, in the order of [`OTHERS`].
    pub files: Vec<JsonFile>,
}

impl Declarations {
    pub fn read(origin: Origin<'_>, directory: &Path, config: &JsonFile) -> Result<Self> {
        let mut all = Self {
            named: Vec::new(),
            extra: None,
            additional: config.tokens("additional_special_tokens", false)?,
            by_id: BTreeMap::new(),
            is_complete: config.get("added_tokens_decoder").is_some(),
            files: Vec::new(),
        };
        all.read_named(config, false)?;
        all.read_extra(config, false)?;
        if all.extra.as_ref().is_none_or(Vec::is_empty) {
            all.extra = all.additional.take().or(all.extra);
        }
        if all.is_complete {
            all.read_decoder(config)?;
        } else {
            let [map, added] =
                OTHERS.map(|name| JsonFile::read_if_there(origin, &directory.join(name)));
            all.read_special_tokens_map(map?)?;
            all.read_added_tokens(added?)?;
        }
        Ok(all)
    }

    fn read_named(&mut self, file: &JsonFile, is_special: bool) -> Result<()> {
        for (key, value) in &file.entries {
            let is_known = NAMES.contains(&key.as_str());
            let may_be =
                key.ends_with("_token") && (value.is_string() || value.get("content").is_some());
            if (is_known && !value.is_null()) || may_be {
                self.set(key, file.as_token(key, value, is_special)?);
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, token: Declared) {
        match self.named.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = token,
            None => self.named.push((key.to_owned(), token)),
        }
    }

    /// A list of tokens, or an object of named ones.
    fn read_extra(&mut self, file: &JsonFile, is_special: bool) -> Result<()> {
        let key = "extra_special_tokens";
        if let Some(named) = file.get(key).and_then(|value| value.as_object()) {
            for (name, value) in named {
                self.set(name, file.as_token(name, value, is_special)?);
            }
        } else if let Some(tokens) = file.tokens(key, is_special)? {
            let known = self.extra.get_or_insert_default();
            for token in tokens {
                if !known.contains(&token) {
                    known.push(token);
                }
            }
        }
        Ok(())
    }

    fn read_decoder(&mut self, config: &JsonFile) -> Result<()> {
        let key = "added_tokens_decoder";
        for (id, value) in config.object(key)?.into_iter().flatten() {
            let bad_id = || config.wrong(key, "ids as keys", &id.as_str().into());
            let id = id.parse().map_err(|_| bad_id())?;
            self.by_id.insert(id, config.as_token(key, value, false)?.token);
        }
        Ok(())
    }

    fn read_special_tokens_map(&mut self, map: JsonFile) -> Result<()> {
        self.read_named(&map, true)?;
        self.read_extra(&map, true)?;
        if let Some(tokens) = map.tokens("additional_special_tokens", true)? {
            self.additional = Some(tokens);
        }
        self.files.push(map);
        Ok(())
    }

    fn read_added_tokens(&mut self, file: JsonFile) -> Result<()> {
        for (content, id) in &file.entries {
            let number = id.as_u64().ok_or_else(|| file.wrong(content, "an id", id))?;
            let is_special = self.declares_special(content);
            self.by_id.insert(number, AddedToken::from(content, is_special));
        }
        self.files.push(file);
        Ok(())
    }

    fn declares_special(&self, content: &str) -> bool {
        let named = self.named.iter().filter(|(name, _)| NAMES.contains(&name.as_str()));
        let mut special = named.map(|(_, token)| token).chain(self.extra.iter().flatten());
        special.any(|token| token.content() == content)
    }

    /// Takes the added tokens of a `tokenizer.json`, unless the config lists its own.
    pub fn add_from_tokenizer_json(&mut self, tokens: Vec<(u64, AddedToken)>) {
        if !self.is_complete {
            self.by_id.extend(tokens);
        }
    }

    /// The token that the directory gives the name `key`, with the flags it has in the list by id if it is there.
    fn explicit(&self, key: &str) -> Option<Declared> {
        let (_, token) = self.named.iter().find(|(name, _)| name == key)?;
        let mut listed = self.by_id.values().rev();
        let listed = listed.find(|listed| listed.content == token.content());
        Some(listed.map_or_else(|| token.clone(), |listed| Declared::full(listed.clone())))
    }

    /// The text of the token named `key`, by the files or else by the family's default.
    pub fn content(&self, key: &str, family: Family) -> String {
        let token = self.explicit(key).or_else(|| default_token(key, family));
        token.map(|token| token.token.content).unwrap_or_default()
    }

    /// Whether `content` is listed with an id of its own.
    pub fn lists(&self, content: &str) -> bool {
        self.by_id.values().any(|token| token.content == content)
    }

    /// All tokens to add, in the order in which new ones get ids.
    ///
    /// `existing` are added already; `pieces` are the control and user-defined symbols of a SentencePiece model.
    /// Of tokens with the same text the last one decides the flags, which is how the library adds them.
    pub fn in_order(
        &self,
        defaults: Option<Family>,
        existing: HashSet<String>,
        pieces: Option<Vec<Declared>>,
    ) -> Vec<AddedToken> {
        let named = self.all_named(defaults);
        let mut added: Vec<Declared> = self.by_id.values().cloned().map(Declared::full).collect();
        let mut known = existing;
        known.extend(added.iter().map(|token| token.content().to_owned()));
        let additional = pieces.as_ref().or(self.additional.as_ref());
        let extra = self.extra.as_ref().or(additional).into_iter().flatten();
        for token in named.iter().chain(extra) {
            if !known.contains(token.content()) && !added.contains(token) {
                added.push(token.clone());
            }
        }
        let is_named =
            |token: &AddedToken| named.iter().any(|name| name.content() == token.content);
        let tokens = added.into_iter().map(|declared| declared.token);
        tokens
            .map(|token| AddedToken { special: token.special || is_named(&token), ..token })
            .collect()
    }

    fn all_named(&self, defaults: Option<Family>) -> Vec<Declared> {
        let default = |key| defaults.and_then(|family| default_token(key, family));
        let fixed = NAMES.iter().filter_map(|key| self.explicit(key).or_else(|| default(key)));
        let further = self.named.iter().filter(|(name, _)| !NAMES.contains(&name.as_str()));
        fixed.chain(further.map(|(_, token)| token.clone())).collect()
    }
}

/// What `AlbertTokenizer` and `BertTokenizer` call a token when no file says.
fn default_token(key: &str, family: Family) -> Option<Declared> {
    let content = match (key, family) {
        ("bos_token", Family::SentencePiece) => "[CLS]",
        ("eos_token", Family::SentencePiece) => "[SEP]",
        ("unk_token", Family::SentencePiece) => "<unk>",
        ("pad_token", Family::SentencePiece) => "<pad>",
        ("unk_token", Family::WordPiece) => "[UNK]",
        ("pad_token", Family::WordPiece) => "[PAD]",
        ("cls_token", _) => "[CLS]",
        ("sep_token", _) => "[SEP]",
        ("mask_token", _) => "[MASK]",
        _ => return None,
    };
    Some(Declared::plain(content))
}
