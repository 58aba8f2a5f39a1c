//! Metrics as lines of JSON.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::losses::named;
use super::{EvaluationMetrics, Event, StepMetrics};
use crate::error::{Error, Result};
use crate::files::{check_path, open_regular};

/// The longest line. Those that are written have a few hundred bytes.
const MAX_LINE: u64 = 1 << 20;

/// What every line begins with.
const START: &[u8] = b"{\"step\":";

/// A file with a JSON object per line for every step and every evaluation.
///
/// Lines of steps have `step`, `epoch`, `loss`, losses and accuracies of the parts of the loss, `grad_norm`, `learning_rate`, `tokens`,
/// `tokens_per_second`, and `skipped` for those without effect; lines of evaluations `step` and the metrics, with
/// `eval_` before their names. Non-finite numbers are `null`.
///
/// When training resumes from a checkpoint, lines of later steps are removed, so that no step occurs twice.
///
/// TensorBoard event files are not written: of the crates for them, `tensorboard-rs` depends on old versions of an image and a Protocol Buffers library, and `tfrecord` has no licence. JSON lines are easy to read, for example with `pandas.read_json(path, lines=True)`.
///
/// Pass it to a trainer as a hook:
///
/// ```no_run
/// use std::ops::ControlFlow;
///
/// use ndalbert::train::{Event, MetricsLog};
///
/// # fn main() -> ndalbert::Result<()> {
/// let mut log = MetricsLog::open("metrics.jsonl")?;
/// let hook = move |event: &Event<'_>| log.record(event).map(ControlFlow::<()>::Continue);
/// // trainer.on_event(hook)
/// # let _ = hook;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Opens or creates a log; its directory is created if necessary.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] if it cannot be read and written, or is no file.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        check_path(&path, "a log")?;
        if path.exists() {
            open_regular(&path)?;
        }
        let failed = |error| Error::io(&path, error);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        let options = File::options().read(true).append(true).create(true).open(&path);
        let file = options.map_err(failed)?;
        Ok(Self { path, file })
    }

    /// Writes the line of an event.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails; [`Error::Format`] if training begins and the file has lines that are not of a log.
    pub fn record(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Started { step } => self.cut_after(*step),
            Event::Step(step) => self.write(&step_line(step)),
            Event::Evaluation(evaluation) => self.write(&evaluation_line(evaluation)),
            // What is saved once more is no longer to be lost.
            Event::Checkpoint { .. } => {
                self.file.sync_data().map_err(|error| Error::io(&self.path, error))
            }
        }
    }

    fn write(&mut self, line: &Map<String, Value>) -> Result<()> {
        let mut bytes = serde_json::to_vec(line)
            .map_err(|error| Error::format(&self.path, format!("cannot be written: {error}")))?;
        bytes.push(b'\n');
        // At once: a process that is killed leaves no half of it, as a rule.
        self.file.write_all(&bytes).map_err(|error| Error::io(&self.path, error))
    }

    /// Cuts off the lines after those of a step, and a last line that was not written to its end.
    fn cut_after(&mut self, step: u64) -> Result<()> {
        let failed = |error| Error::io(&self.path, error);
        self.file.rewind().map_err(failed)?;
        let mut reader = BufReader::new(&self.file);
        let (mut end, mut line) = (0, Vec::new());
        for number in 1.. {
            line.clear();
            let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
            let length = read.map_err(failed)? as u64;
            if length == 0 || step_of(&self.path, number, &line)?.is_none_or(|other| other > step) {
                break;
            }
            end += length;
        }
        self.file.set_len(end).map_err(failed)
    }
}

/// The step of a line; none if it was not written to its end.
fn step_of(path: &Path, number: usize, line: &[u8]) -> Result<Option<u64>> {
    let is_cut = !line.ends_with(b"\n") && (line.len() as u64) < MAX_LINE;
    let start = line.len().min(START.len());
    if is_cut && line[..start] == START[..start] {
        return Ok(None);
    }
    let value = serde_json::from_slice::<Value>(line).ok();
    let step = value.as_ref().and_then(|value| value.get("step")?.as_u64());
    step.map(Some).ok_or_else(|| {
        let reason = format!("line {number}: expected metrics of a step as JSON");
        Error::format(path, reason)
    })
}

fn step_line(metrics: &StepMetrics) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("step".to_owned(), json!(metrics.step));
    line.insert("epoch".to_owned(), json!(metrics.epoch));
    line.extend(named(&metrics.loss).into_iter().map(|(name, value)| (name, json!(value))));
    for (name, value) in [
        ("grad_norm", metrics.gradient_norm),
        ("learning_rate", metrics.learning_rate),
        ("tokens_per_second", metrics.tokens_per_second()),
    ] {
        line.insert(name.to_owned(), json!(value));
    }
    line.insert("tokens".to_owned(), json!(metrics.tokens));
    if metrics.is_skipped {
        line.insert("skipped".to_owned(), json!(true));
    }
    line
}

fn evaluation_line(evaluation: &EvaluationMetrics) -> Map<String, Value> {
    let metrics = evaluation.metrics.iter();
    let step = std::iter::once(("step".to_owned(), json!(evaluation.step)));
    step.chain(metrics.map(|(name, value)| (format!("eval_{name}"), json!(value)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{LossOutput, LossTerm};

    const LINES: &str =
        "{\"step\":1,\"loss\":5.0}\n{\"step\":2}\n{\"step\":2,\"eval_loss\":null}\n{\"step\":3}\n";

    /// The part of a text that is kept when training resumes at a step.
    fn left(text: &str, step: u64) -> Result<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("runs/metrics.jsonl");
        let mut log = MetricsLog::open(&path).unwrap();
        fs::write(&path, text).unwrap();
        let result = log.record(&Event::Started { step });
        let left = fs::read_to_string(&path).unwrap();
        if result.is_err() {
            assert_eq!(left, text);
        }
        result.map(|()| left)
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn later_lines_are_cut_off() {
        let ends: Vec<_> = LINES.match_indices('\n').map(|(i, _)| i + 1).collect();
        for (step, lines) in [(0, 0), (1, 1), (2, 3), (3, 4), (9, 4)] {
            let end = if lines == 0 { 0 } else { ends[lines - 1] };
            assert_eq!(left(LINES, step).unwrap(), LINES[..end]);
        }
        assert_eq!(left("", 3).unwrap(), "");
    }

    /// Wherever it was interrupted.
    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn a_line_that_was_not_written_to_its_end_is_cut_off() {
        for end in 1..LINES.len() {
            let whole = LINES[..end].rfind('\n').map_or(0, |i| i + 1);
            assert_eq!(left(&LINES[..end], 9).unwrap(), LINES[..whole]);
        }
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn other_files_are_left_alone() {
        let long = format!("{{\"step\":1{}", " ".repeat(MAX_LINE as usize));
        for (text, line) in [
            ("weights", 1),
            ("name,score\na,1\n", 1),
            ("{\"step\":1}\n[]\n", 2),
            ("{\"step\":1}\n{\"loss\":1}\n{\"step\":2}\n", 2),
            ("{\"step\":1}\n\n", 2),
            (&long, 1),
        ] {
            let error = left(text, 5).unwrap_err().to_string();
            assert!(error.contains(&format!("metrics.jsonl: line {line}: expected")), "{error}");
        }
        let directory = tempfile::tempdir().unwrap();
        assert!(MetricsLog::open(directory.path()).is_err());
    }

    #[test]
    fn lines_say_what_happened() {
        let term =
            LossTerm { name: "masked_lm", loss: 2.0, correct: 1, count: 4, has_classes: true };
        let values = LossTerm { name: "loss", has_classes: false, ..term };
        let metrics = |terms, is_skipped| StepMetrics {
            step: 3,
            epoch: 0,
            loss: LossOutput { loss: 2.5, terms },
            gradient_norm: if is_skipped { f64::NAN } else { 0.5 },
            learning_rate: 0.1,
            is_skipped,
            tokens: 10,
            seconds: 4.0,
        };
        let line = |metrics| Value::Object(step_line(&metrics)).to_string();
        let rest = "\"learning_rate\":0.1,\"tokens_per_second\":2.5,\"tokens\":10";
        let expected = format!(
            "{{\"step\":3,\"epoch\":0,\"loss\":2.5,\"masked_lm_loss\":2.0,\"masked_lm_accuracy\":0.25,\"grad_norm\":0.5,{rest}}}"
        );
        assert_eq!(line(metrics(vec![term], false)), expected);
        let expected = format!(
            "{{\"step\":3,\"epoch\":0,\"loss\":2.5,\"grad_norm\":null,{rest},\"skipped\":true}}"
        );
        assert_eq!(line(metrics(vec![values], true)), expected);
        let metrics = [("f1".to_owned(), 0.5)].into_iter().collect();
        let line = evaluation_line(&EvaluationMetrics { step: 4, metrics });
        assert_eq!(Value::Object(line).to_string(), "{\"step\":4,\"eval_f1\":0.5}");
    }
}
