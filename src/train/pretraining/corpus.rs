//! Text files → documents that can be read in any order.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ndarray_rand::rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::files::open_regular;
use crate::hash::Hash;
use crate::text::lines::Lines;

/// A document of more bytes than this is read in parts, cut between sentences.
const MAX_PART: u32 = 64 << 10;

/// Plain text: files with one sentence per line and a blank line between documents (the end of a file also ends a document).
///
/// Opening reads everything once, so that errors are found before training, and stores the position of each document: some thirty bytes each. Texts are read when they are needed.
///
/// A document of more than 64 KiB is split into several, at sentence boundaries.
#[derive(Debug)]
pub struct Corpus {
    files: Vec<PathBuf>,
    parts: Vec<Part>,
    num_documents: u32,
    num_sentences: u64,
    num_bytes: u64,
    has_pairs: bool,
}

/// A document, or as much of a long one as is treated at once.
#[derive(Debug)]
struct Part {
    offset: u64,
    /// Of its bytes.
    hash: u64,
    length: u32,
    file: u32,
    /// The number of the document that it is (a part of).
    document: u32,
}

impl Corpus {
    /// Reads files, in this order.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Format`], which names file and line, if a line is longer than 1 MiB or no UTF-8;
    /// [`Error::Input`] if there is no file or no sentence in any of them.
    pub fn open<P: AsRef<Path>>(files: &[P]) -> Result<Self> {
        let mut corpus = Self {
            files: files.iter().map(|path| path.as_ref().to_owned()).collect(),
            parts: Vec::new(),
            num_documents: 0,
            num_sentences: 0,
            num_bytes: 0,
            has_pairs: false,
        };
        for (file, path) in files.iter().enumerate() {
            corpus.scan(file as u32, path.as_ref())?;
        }
        if corpus.parts.is_empty() {
            let found = format!("none in {} files", files.len());
            return Err(Error::input("corpus", "at least one sentence", found));
        }
        if u32::try_from(corpus.parts.len()).is_err() {
            let found = corpus.parts.len().to_string();
            return Err(Error::input("corpus", "fewer than 2^32 documents", found));
        }
        Ok(corpus)
    }

    fn scan(&mut self, file: u32, path: &Path) -> Result<()> {
        let mut lines = Lines::open(path)?;
        let mut scan = Scan { file, document: self.num_documents, ..Scan::default() };
        while let Some(line) = lines.read_line()? {
            if line.is_blank() {
                scan.end_document(&mut self.parts);
                continue;
            }
            scan.add(line.offset, line.bytes);
            self.num_sentences += 1;
            self.num_bytes += line.bytes.len() as u64;
            self.has_pairs |= scan.sentences == 2;
            if scan.length >= MAX_PART {
                scan.end_part(&mut self.parts);
            }
        }
        scan.end_document(&mut self.parts);
        self.num_documents = scan.document;
        Ok(())
    }

    /// The number of documents.
    pub fn num_documents(&self) -> usize {
        self.num_documents as usize
    }

    /// The number of sentences: lines that are not blank.
    pub fn num_sentences(&self) -> u64 {
        self.num_sentences
    }

    /// The length of the text without blank lines, in bytes.
    pub fn num_bytes(&self) -> u64 {
        self.num_bytes
    }

    /// Whether any document has two sentences.
    pub(super) fn has_pairs(&self) -> bool {
        self.has_pairs
    }

    /// How many documents there are when long ones are cut.
    pub(super) fn num_parts(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn part_bytes(&self, part: usize) -> usize {
        self.parts[part].length as usize
    }

    /// The number of the document that a part is of.
    pub(super) fn document_of(&self, part: usize) -> u32 {
        self.parts[part].document
    }

    /// A part of another document than this one. Every other document is as likely, however long it is; there must be one.
    pub(super) fn draw_other(&self, document: u32, random: &mut ChaCha8Rng) -> usize {
        let drawn = random.random_range(0..self.num_documents - 1);
        let other = drawn + u32::from(drawn >= document);
        let before = |last| self.parts.partition_point(|part| part.document < last);
        random.random_range(before(other)..before(other + 1))
    }

    /// Of all texts in their order, wherever the files are.
    pub(super) fn hash(&self) -> u64 {
        let mut hash = Hash::new();
        for part in &self.parts {
            hash.add(&part.hash.to_le_bytes());
            hash.add(&part.document.to_le_bytes());
        }
        hash.finish()
    }

    /// The text of a part.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Format`] if it is not what it was when the corpus was opened.
    pub(super) fn read(&self, part: usize) -> Result<String> {
        let Part { offset, hash, length, file, .. } = self.parts[part];
        let path = &self.files[file as usize];
        let mut bytes = vec![0; length as usize];
        let mut file = open_regular(path)?;
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|error| Error::io(path, error))?;
        let changed = || {
            let place = format!("bytes {offset} to {}", offset + u64::from(length));
            let found = "another text: changed since the corpus was opened";
            Error::format(path, format!("{place}: expected what was there before, found {found}"))
        };
        if Hash::of(&bytes) != hash {
            return Err(changed());
        }
        String::from_utf8(bytes).map_err(|_| changed())
    }
}

/// The part that is being read.
#[derive(Default)]
struct Scan {
    file: u32,
    document: u32,
    offset: u64,
    length: u32,
    hash: Option<Hash>,
    /// Sentences of the part so far.
    sentences: u32,
    /// Whether an earlier part of the document is finished.
    has_earlier: bool,
}

impl Scan {
    fn add(&mut self, offset: u64, line: &[u8]) {
        let hash = self.hash.get_or_insert_with(|| {
            self.offset = offset;
            Hash::new()
        });
        hash.add(line);
        self.length += line.len() as u32;
        self.sentences += 1;
    }

    fn end_part(&mut self, parts: &mut Vec<Part>) {
        let Some(hash) = self.hash.take() else { return };
        let Self { offset, length, file, document, .. } = *self;
        parts.push(Part { offset, hash: hash.finish(), length, file, document });
        (self.length, self.sentences, self.has_earlier) = (0, 0, true);
    }

    fn end_document(&mut self, parts: &mut Vec<Part>) {
        self.end_part(parts);
        self.document += u32::from(self.has_earlier);
        self.has_earlier = false;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray_rand::rand::SeedableRng;

    use super::*;

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn documents_and_their_texts() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| directory.path().join(name));
        fs::write(&first, "\u{FEFF}\r\none\r\ntwo\r\n\r\n \u{3000}\r\nthree").unwrap();
        fs::write(&second, "four\n\n").unwrap();
        let corpus = Corpus::open(&[first, second]).unwrap();
        assert_eq!((corpus.num_documents(), corpus.num_sentences()), (3, 4));
        assert!(corpus.has_pairs());
        let texts: Vec<String> = (0..3).map(|part| corpus.read(part).unwrap()).collect();
        assert_eq!(texts, ["one\r\ntwo\r\n", "three", "four\n"]);
        assert_eq!(corpus.num_bytes(), 20);
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn a_long_document_comes_in_parts_of_whole_sentences() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("long");
        let sentence = format!("{}\n", "a".repeat(999));
        fs::write(&path, sentence.repeat(200) + "\n" + &sentence).unwrap();
        let corpus = Corpus::open(&[path]).unwrap();
        let lengths: Vec<_> = (0..corpus.num_parts()).map(|part| corpus.part_bytes(part)).collect();
        assert_eq!(lengths, [66_000, 66_000, 66_000, 2_000, 1_000]);
        let documents: Vec<_> = (0..5).map(|part| corpus.document_of(part)).collect();
        assert_eq!(documents, [0, 0, 0, 0, 1]);
        assert_eq!(corpus.num_documents(), 2);
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn other_documents_are_as_likely_whatever_their_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("text");
        let long = format!("{}\n", "a".repeat(999)).repeat(100);
        fs::write(&path, format!("one\n\n{long}\nthree\n\nfour\n")).unwrap();
        let corpus = Corpus::open(&[path]).unwrap();
        assert_eq!((corpus.num_parts(), corpus.num_documents()), (5, 4));
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for (own, expected) in [
            (0, [0, 500, 500, 1000, 1000]),
            (1, [1000, 0, 0, 1000, 1000]),
            (3, [1000, 500, 500, 1000, 0]),
        ] {
            let mut counts = [0_i64; 5];
            (0..3000).for_each(|_| counts[corpus.draw_other(own, &mut random)] += 1);
            for (count, mean) in counts.into_iter().zip(expected) {
                // Three standard deviations of 3,000 draws of a third are 77.
                assert!((count - mean).abs() < 77 && (count == 0) == (mean == 0), "{counts:?}");
            }
        }
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn a_file_that_changes_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("text");
        fs::write(&path, "one\n\ntwo\n").unwrap();
        let corpus = Corpus::open(&[&path]).unwrap();
        fs::write(&path, "one\n\ntwx\n").unwrap();
        assert_eq!(corpus.read(0).unwrap(), "one\n");
        let error = corpus.read(1).unwrap_err().to_string();
        assert!(error.contains("text: bytes 5 to 9: expected what was there"), "{error}");
        fs::write(&path, "one\n\ntw").unwrap();
        assert!(matches!(corpus.read(1).unwrap_err(), Error::Io { .. }));
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn no_text_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("text");
        fs::write(&path, "\n \n\n").unwrap();
        let error = Corpus::open(&[&path]).unwrap_err().to_string();
        assert_eq!(error, "corpus: expected at least one sentence, found none in 1 files");
        assert!(Corpus::open::<&Path>(&[]).is_err());
        assert!(matches!(Corpus::open(&[directory.path()]).unwrap_err(), Error::Io { .. }));
    }
}
