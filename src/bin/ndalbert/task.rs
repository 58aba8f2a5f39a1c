//! A pipeline as a command: inputs in, answers out, each as soon as it is there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ndalbert::pipelines::{Pipeline, PipelineOptions};
use ndalbert::{Error, LoadReport};

use crate::Failure;
use crate::arguments::Common;
use crate::input::{Inputs, Raw, Shape};
use crate::models;
use crate::output::{Answer, Column, Output};

/// How often a bar is drawn.
const TICK: Duration = Duration::from_millis(200);

/// A command that runs a pipeline.
pub trait Task<const COLUMNS: usize> {
    type Pipeline: Pipeline<Input: Clone>;

    /// What an input is.
    const SHAPE: Shape;
    /// The columns of the table.
    const HEADER: [Column; COLUMNS];

    /// The texts of the arguments.
    fn texts(&self) -> &[String];

    /// The pipeline with the settings of the command line, and its load report.
    fn load(
        &self,
        directory: &std::path::Path,
        options: &PipelineOptions,
    ) -> Result<Self::Pipeline, Failure>;

    fn report<'a>(&self, pipeline: &'a Self::Pipeline) -> Option<&'a LoadReport>;

    /// The pipeline's input.
    fn input(&self, raw: Raw) -> Result<InputOf<Self::Pipeline>, String>;

    /// What is shown of an output. `line` is the input's.
    fn answer(
        &self,
        line: u64,
        input: &InputOf<Self::Pipeline>,
        output: OutputOf<Self::Pipeline>,
    ) -> Answer<COLUMNS>;
}

pub type InputOf<P> = <P as Pipeline>::Input;
pub type OutputOf<P> = <P as Pipeline>::Output;

/// Runs a command.
pub fn run<T: Task<COLUMNS>, const COLUMNS: usize>(
    common: &Common,
    task: &T,
) -> Result<(), Failure> {
    let inputs = Inputs::new(task.texts(), &common.in_out, T::SHAPE)?;
    let mut options =
        PipelineOptions::new().load(common.tensors.load().precision(common.precision));
    if let Some(tokens) = common.tokens_per_batch.or(inputs.is_interactive.then_some(1)) {
        options = options.tokens_per_batch(tokens);
    }
    if let Some(length) = common.max_length {
        options = options.max_length(length);
    }
    let directory = models::directory(&common.model, ndalbert::pipelines::Files::All)?;
    let pipeline = task.load(&directory, &options)?;
    if let Some(report) = task.report(&pipeline) {
        models::warn(report);
    }
    answer_all(common, task, &pipeline, inputs)
}

/// Answers all valid inputs; reports the others on standard error.
fn answer_all<T: Task<COLUMNS>, const COLUMNS: usize>(
    common: &Common,
    task: &T,
    pipeline: &T::Pipeline,
    inputs: Inputs,
) -> Result<(), Failure> {
    let bar = bar(&inputs);
    let (is_interactive, count, failed) = (inputs.is_interactive, Cell::new(0), Cell::new(0));
    // The numbers and inputs of lines that are on their way.
    let waiting = RefCell::new(VecDeque::new());
    let broken = RefCell::new(None);
    let fail = |line: u64, error: &dyn std::fmt::Display| {
        failed.set(failed.get() + 1);
        bar.suspend(|| eprintln!("error: line {line}: {error}"));
    };
    let lines = inputs.map_while(|line| {
        count.set(count.get() + 1);
        line.map_err(|error| *broken.borrow_mut() = Some(error)).ok()
    });
    let good = lines.filter_map(|(line, raw)| {
        let input = raw.and_then(|raw| task.input(raw)).map_err(|error| fail(line, &error)).ok()?;
        waiting.borrow_mut().push_back((line, input.clone()));
        Some(input)
    });
    let mut output = Output::new(common.in_out.to, T::HEADER);
    for result in pipeline.stream(good) {
        let Some((line, input)) = waiting.borrow_mut().pop_front() else { break };
        bar.inc(1);
        match result {
            Ok(result) => output.write(line, task.answer(line, &input, result), is_interactive)?,
            Err(Error::Item { error, .. }) => fail(line, &error),
            Err(error) => fail(line, &error),
        }
    }
    bar.finish_and_clear();
    output.flush()?;
    if let Some(error) = broken.take() {
        return Err(format!("the input cannot be read: {error}").into());
    }
    match failed.get() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} inputs could not be processed", count.get()).into()),
    }
}

/// A bar, if somebody looks at it and at nothing else.
fn bar(inputs: &Inputs) -> ProgressBar {
    let is_watched =
        io::stderr().is_terminal() && !io::stdout().is_terminal() && !inputs.is_interactive;
    let target =
        if is_watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(inputs.count.map(|count| count as u64), target);
    let style = ProgressStyle::with_template("{spinner} {human_pos} inputs, {per_sec}, {elapsed}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}
