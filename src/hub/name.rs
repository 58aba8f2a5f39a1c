//! Names: of models, of their revisions, of their files.

#[cfg(feature = "hub")]
use crate::error::{Error, Result};

/// The revision that is meant where none is named.
#[cfg(feature = "hub")]
const MAIN: &str = "main";

/// The longest owner or model, as `huggingface_hub` has it.
const MAX_PART: usize = 96;

/// The longest revision; a file of this name records its commit.
const MAX_REVISION: usize = 200;

/// A model of the Hub, at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository {
    name: String,
    revision: Option<String>,
}

impl Repository {
    /// Of `owner/model`, `model` (some old ones have no owner), or either of them with `@revision`; nothing if it cannot be a name.
    ///
    /// What `huggingface_hub` refuses is none: so it contains no path but the one slash.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (text, None),
        };
        let is_name = match name.split_once('/') {
            Some((owner, model)) => is_part(owner) && is_part(model),
            None => is_part(name),
        };
        let is_name = is_name && !name.ends_with(".git") && revision.is_none_or(is_revision);
        is_name.then(|| Self { name: name.to_owned(), revision: revision.map(str::to_owned) })
    }
}

#[cfg(feature = "hub")]
impl Repository {
    /// `owner/model`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A branch, a tag, or a commit.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }

    /// Names the revision, which the name must not have done.
    ///
    /// # Errors
    /// [`Error::Input`] if it did, and for what cannot be a revision.
    pub fn set_revision(&mut self, revision: &str) -> Result<()> {
        if let Some(first) = &self.revision {
            let expected = format!("one revision of {}", self.name);
            return Err(Error::input("revision", expected, format!("{first} and {revision}")));
        }
        if !is_revision(revision) {
            let expected = "a branch, a tag or a commit";
            return Err(Error::input("revision", expected, format!("{revision:?}")));
        }
        self.revision = Some(revision.to_owned());
        Ok(())
    }
}

fn is_part(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = part.as_bytes();
    (1..=MAX_PART).contains(&bytes.len())
        && bytes.iter().all(|&byte| is_word(byte) || matches!(byte, b'-' | b'.'))
        && bytes.first().is_some_and(|&byte| is_word(byte))
        && bytes.last().is_some_and(|&byte| is_word(byte))
        && !part.contains("--")
        && !part.contains("..")
}

/// Whether git could have a branch or tag of this name, and a directory could have a file of it: each step of a path begins with a letter,
/// a digit or `_`.
fn is_revision(revision: &str) -> bool {
    (1..=MAX_REVISION).contains(&revision.len()) && is_relative(revision)
}

/// Whether a path stays within the directory that it begins in, on every system.
pub(crate) fn is_relative(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+=@".contains(&byte);
    path.split('/').all(|step| {
        step.bytes().all(is_plain)
            && step.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !step.ends_with('.')
    })
}

/// Whether a server's text can be the name of a file: an ETag, a commit.
#[cfg(feature = "hub")]
pub(super) fn is_plain(name: &str) -> bool {
    name.len() <= MAX_REVISION && !name.contains(['/', '@', '=', '+']) && is_relative(name)
}

/// Whether it is the full name of a commit (SHA-1, or SHA-256 as git's newer format has it).
#[cfg(feature = "hub")]
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Escapes what has a meaning in a URL; also slashes, unless they part a path.
#[cfg(feature = "hub")]
pub(super) fn escaped(text: &str, keep: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let character = char::from(byte);
        if character.is_ascii_alphanumeric()
            || "-_.~".contains(character)
            || keep.contains(character)
        {
            escaped.push(character);
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models() {
        for name in
            ["voidful/albert_chinese_small", "albert-base-v2", "a/b.c", "a/b@main", "a/b@refs/pr/1"]
        {
            assert!(Repository::parse(name).is_some(), "{name}");
        }
        for name in [
            "",
            "/",
            "a/",
            "/a",
            "a/b/c",
            "./a",
            "../a",
            "a/..",
            "a/.b",
            "~/a",
            "a\\b",
            "C:a",
            "a b",
            "a--b/c",
            "-a/b",
            "a/b.git",
            "a/b@",
            "a/b@../x",
            "a/b@x/../y",
            "a/b@/x",
            "a/b@x/",
            "a/b@.x",
            "a/b@x:y",
            "a/b@x\0",
            "数/据",
        ] {
            assert!(Repository::parse(name).is_none(), "{name}");
        }
        assert!(Repository::parse(&format!("a/{}", "b".repeat(97))).is_none());
    }

    #[cfg(feature = "hub")]
    #[test]
    fn what_a_server_says_is_a_name_only_if_it_is_plain() {
        for name in ["", ".", "..", "a/b", "../a", "/a", "a\\b", "a:b", ".a", "a\n", "a.", "é"] {
            assert!(!is_plain(name), "{name}");
        }
        assert!(is_plain("a4c8f5d1-25"));
        assert!(is_commit(&"0a".repeat(20)) && !is_commit(&"0A".repeat(20)) && !is_commit("main"));
        assert_eq!(escaped("refs/pr/1", ""), "refs%2Fpr%2F1");
        assert_eq!(escaped("a b/c", "/"), "a%20b/c");
    }
}
