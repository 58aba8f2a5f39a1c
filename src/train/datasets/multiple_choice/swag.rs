//! SWAG (Zellers et al. 2018): which of four endings follows?

use std::path::Path;

use super::{ChoiceLabel, MultipleChoiceExample};
use crate::error::Result;
use crate::train::datasets::csv::CsvRecords;
use crate::train::datasets::examples::Examples;
use crate::train::datasets::features::shortened;
use crate::train::datasets::header::{Header, field};

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
        let names = records.next_record()?.unwrap_or_default();
        let (header, lines) = (Header::new(names), records.lines());
        let mut endings = [0; 4];
        for (column, name) in endings.iter_mut().zip(ENDINGS) {
            *column = header.column(name, lines)?;
        }
        Ok(Self {
            prompt: header.column("sent1", lines)?,
            begin: header.column("sent2", lines)?,
            endings,
            label: header.find("label"),
        })
    }

    fn example(&self, records: &CsvRecords, record: &[String]) -> Result<MultipleChoiceExample> {
        let lines = records.lines();
        let begin = field(record, self.begin, lines)?;
        let choice = |&column: &usize| Ok(format!("{begin} {}", field(record, column, lines)?));
        let label = |column| {
            let text = field(record, column, lines)?;
            let index = text.trim().parse().ok().filter(|&index| index < ENDINGS.len());
            index.map(ChoiceLabel::Index).ok_or_else(|| {
                let found = shortened(text);
                lines.error(format!("`label`: expected a number from 0 to 3, found {found:?}"))
            })
        };
        Ok(MultipleChoiceExample {
            prompt: field(record, self.prompt, lines)?.to_owned(),
            choices: self.endings.iter().map(choice).collect::<Result<_>>()?,
            label: self.label.map(label).transpose()?,
        })
    }
}

/// Reads the CSV files of SWAG by their header: `sent1` is the prompt, `sent2` with each of `ending0` to `ending3` a choice, as in
/// transformers' `run_swag`. Files without a column `label` give examples without; other columns are passed over.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::Format`](crate::Error::Format), which name file and line.
pub fn read_swag(path: impl AsRef<Path>) -> Result<Examples<MultipleChoiceExample>> {
    let mut records = CsvRecords::open(path.as_ref())?;
    let columns = Columns::find(&mut records)?;
    Ok(Examples::from_reader(move || {
        let Some(record) = records.next_record()? else { return Ok(None) };
        columns.example(&records, &record).map(Some)
    }))
}
