//! SWAG (Zellers et al. 2018): which of four endings follows?

use std::path::Path;

use super::{ChoiceLabel, MultipleChoiceExample};
use crate::error::Result;
use crate::train::datasets::csv::CsvRecords;
use crate::train::datasets::examples::Examples;
use crate::train::datasets::features::shortened;
use crate::train::datasets::header::{Header, field};
use crate::train::datasets::record::Fault;

const ENDINGS: [&str; 4] = ["ending0", "ending1", "ending2", "ending3"];

/// Where in a record what is needed stands.
struct Columns {
    prompt: usize,
    begin: usize,
    endings: [usize; 4],
    label: Option<usize>,
}

impl Columns {
    fn find(records: &mut CsvRecords) -> Result<Self> {
        let header = records.next_record().map_err(Fault::into_error)?;
        let (place, names) = header.unwrap_or_else(|| (records.place(), Vec::new()));
        let header = Header::new(names);
        let mut endings = [0; 4];
        for (column, name) in endings.iter_mut().zip(ENDINGS) {
            *column = header.column(name, &place)?;
        }
        Ok(Self {
            prompt: header.column("sent1", &place)?,
            begin: header.column("sent2", &place)?,
            endings,
            label: header.find("label"),
        })
    }

    fn example(&self, record: &[String]) -> Result<MultipleChoiceExample, String> {
        let begin = field(record, self.begin)?;
        let choice = |&column: &usize| Ok(format!("{begin} {}", field(record, column)?));
        let label = |column| {
            let text = field(record, column)?;
            let index = text.trim().parse().ok().filter(|&index| index < ENDINGS.len());
            index.map(ChoiceLabel::Index).ok_or_else(|| {
                let found = shortened(text);
                format!("`label`: expected a number from 0 to 3, found {found:?}")
            })
        };
        Ok(MultipleChoiceExample {
            prompt: field(record, self.prompt)?.to_owned(),
            choices: self.endings.iter().map(choice).collect::<Result<_, String>>()?,
            label: self.label.map(label).transpose()?,
        })
    }
}

/// Reads the CSV files of SWAG by their header: `sent1` is the prompt, `sent2` with each of `ending0` to `ending3` a choice, as in
/// transformers' `run_swag`. Files without a column `label` yield examples without labels; other columns are ignored.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::Format`](crate::Error::Format), which name file and line.
pub fn read_swag(path: impl AsRef<Path>) -> Result<Examples<MultipleChoiceExample>> {
    let mut records = CsvRecords::open(path.as_ref())?;
    let columns = Columns::find(&mut records)?;
    Ok(Examples::from_reader(Box::new(move |queue| {
        let Some((place, record)) = records.next_record()? else { return Ok(false) };
        queue.add(place, columns.example(&record));
        Ok(true)
    })))
}
