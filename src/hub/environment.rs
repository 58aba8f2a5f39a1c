//! Values of environment variables, as `huggingface_hub` reads them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{self, PathBuf};

#[cfg(unix)]
use crate::files::{MAX_JSON, read_small};

/// The value of a variable that is set to more than spaces.
pub(super) fn text_variable(name: &str) -> Option<String> {
    let value = env::var(name).ok()?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// Whether a variable is one of `huggingface_hub`'s words for yes.
pub(super) fn is_set(name: &str) -> bool {
    text_variable(name)
        .is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str()))
}

/// A path, in which `~` and `~user` at the beginning stand for home directories, and `$NAME` and
/// `${NAME}` for other variables.
pub(super) fn path_variable(name: &str) -> Option<PathBuf> {
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    Some(expanded(value, home_of, |name| env::var_os(name)))
}

/// Python's `os.path.expandvars(os.path.expanduser(value))`: users and variables that are not known
/// stay as they are, and what is put in is not looked at again, but for variables in the home
/// directory's path.
fn expanded(
    value: OsString,
    home_of: impl Fn(&str) -> Option<PathBuf>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> PathBuf {
    // What is not text has no names in it.
    let Some(text) = value.to_str() else { return value.into() };
    let (home, text) = with_home(text, home_of);
    let Some(home) = home else { return with_variables(text, variable).into() };
    let mut path = match home.to_str() {
        Some(home) => with_variables(home, &variable),
        None => home,
    };
    path.push(with_variables(text, variable));
    path.into()
}

/// The home directory that a path begins with, if it begins with one, and the rest of the path.
fn with_home(text: &str, home_of: impl Fn(&str) -> Option<PathBuf>) -> (Option<OsString>, &str) {
    let Some(rest) = text.strip_prefix('~') else { return (None, text) };
    let end = rest.find(path::is_separator).unwrap_or(rest.len());
    match home_of(&rest[..end]) {
        Some(home) => (Some(home.into_os_string()), &rest[end..]),
        None => (None, text),
    }
}

/// The home directory of a user; that of this process, if no name is given.
fn home_of(user: &str) -> Option<PathBuf> {
    if user.is_empty() {
        return env::home_dir();
    }
    #[cfg(unix)]
    {
        let users = read_small(path::Path::new("/etc/passwd"), MAX_JSON).ok()?;
        let users = String::from_utf8_lossy(&users).into_owned();
        let mut lines = users.lines().map(|line| line.split(':'));
        lines.find_map(|mut fields| {
            (fields.next() == Some(user)).then(|| fields.nth(4)).flatten().map(PathBuf::from)
        })
    }
    #[cfg(not(unix))]
    None
}

/// A text with the values of the variables that it names.
fn with_variables(text: &str, variable: impl Fn(&str) -> Option<OsString>) -> OsString {
    let mut expanded = OsString::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        expanded.push(before);
        let length = name_length(&from[1..]);
        let name = &from[1..=length];
        let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => expanded.push(value),
            None => expanded.push(&from[..=length]),
        }
        rest = &from[1 + length..];
    }
    expanded.push(OsStr::new(rest));
    expanded
}

/// How much of a text is the name of a variable, perhaps in braces.
fn name_length(text: &str) -> usize {
    if text.starts_with('{') {
        return text.find('}').map_or(0, |end| end + 1);
    }
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.find(|character| !is_word(character)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python 3 makes of these, with `HOME=/home/me`, `A=x`, `B=$A` and `EMPTY=` set, and a
    /// user `other`.
    #[test]
    fn paths_are_expanded_as_python_expands_them() {
        let home = |user: &str| match user {
            "" => Some(PathBuf::from("/home/me")),
            "other" => Some(PathBuf::from("/home/$A")),
            _ => None,
        };
        let variable = |name: &str| match name {
            "HOME" => Some("/home/me".into()),
            "A" => Some("x".into()),
            "B" => Some("$A".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        };
        for (value, expected) in [
            ("/plain/path", "/plain/path"),
            ("~", "/home/me"),
            ("~/hf", "/home/me/hf"),
            ("~other/hf", "/home/x/hf"),
            ("~nobody/hf", "~nobody/hf"),
            ("/a/~/b", "/a/~/b"),
            ("$HOME/hfc", "/home/me/hfc"),
            ("${HOME}/hfc", "/home/me/hfc"),
            ("${HOME}hfc", "/home/mehfc"),
            ("$HOMEhfc/b", "$HOMEhfc/b"),
            ("/a/$A.$A-${A}", "/a/x.x-x"),
            ("/a/$B", "/a/$A"),
            ("/a$EMPTY/b", "/a/b"),
            ("/a/$UNKNOWN/${UNKNOWN}", "/a/$UNKNOWN/${UNKNOWN}"),
            ("/a/$$A", "/a/$x"),
            ("/a/$", "/a/$"),
            ("/a/${", "/a/${"),
            ("/a/${}/b", "/a/${}/b"),
            ("/a/${A", "/a/${A"),
            ("/a/${{A}}", "/a/${{A}}"),
            ("/数/$A数", "/数/x数"),
        ] {
            let found = expanded(value.into(), home, variable);
            assert_eq!(found.to_str(), Some(expected), "{value}");
        }
    }
}
