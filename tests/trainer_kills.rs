//! Training as a process of its own, which is killed, or finds the disk full.
//!
//! The process is this test program once more, which then runs [`train`] alone.
#![cfg(unix)]

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::random::numbers;
use common::training::{Synthetic, Trained, files, names, new_trainer, saving_options};
use ndalbert::train::{Interval, MetricsLog, TrainerOptions, latest_checkpoint};
use ndalbert::{AlbertForPreTraining, Precision};
use serde_json::Value;
use tempfile::tempdir;

/// The variables that tell [`train`] where to, and how many steps in all.
const DIRECTORY: &str = "NDALBERT_TEST_OUTPUT_DIR";
const STEPS: &str = "NDALBERT_TEST_STEPS";

/// What the process runs: training with a checkpoint after every step, from the last one on.
#[test]
#[ignore = "run by the others"]
fn train() {
    let variable = |name| std::env::var(name).expect("set by those who run this");
    let directory = variable(DIRECTORY);
    let directory = Path::new(&directory);
    let mut log = MetricsLog::open(directory.join("metrics.jsonl")).unwrap();
    let options = TrainerOptions {
        evaluate: Interval::Epoch,
        save_total_limit: Some(3),
        ..saving_options(variable(STEPS).parse().unwrap(), 1, &directory.join("run"))
    };
    let evaluation = Synthetic::new(1, AlbertForPreTraining::batch);
    let mut trainer = new_trainer::<AlbertForPreTraining>(Precision::F32, options)
        .evaluate_on(evaluation)
        .unwrap()
        .on_event(move |event| log.record(event).map(ControlFlow::Continue));
    trainer.resume().unwrap();
    if let Err(error) = trainer.train() {
        panic!("{error}");
    }
}

/// The command that runs [`train`], behind another command if need be.
fn command(before: &[&str], directory: &Path, steps: u64) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match before {
        [] => Command::new(program),
        [shell, arguments @ ..] => {
            let mut command = Command::new(shell);
            command.args(arguments).arg(program);
            command
        }
    };
    command.args(["train", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    // Threads would make the process slower to start and the steps no faster.
    command.env("RAYON_NUM_THREADS", "1").env(DIRECTORY, directory).env(STEPS, steps.to_string());
    command
}

/// The log's lines, without what differs from run to run.
fn log(directory: &Path) -> Vec<Value> {
    let text = fs::read_to_string(directory.join("metrics.jsonl")).unwrap();
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("tokens_per_second");
    }
    lines
}

/// Kills the process after a while. Whether it had not ended by itself.
fn kill_after(mut child: Child, delay: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < delay {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// At least fifty runs are killed, each at another moment, many of them while a checkpoint is written. Each is gone on from, and what
/// comes out in the end is, to the byte, what comes out if nothing is killed.
#[test]
fn killed_runs_end_where_unbroken_ones_do() {
    const TOTAL: u64 = 20;
    const KILLS: usize = 50;
    let unbroken = tempdir().unwrap();
    let start = Instant::now();
    assert!(command(&[], unbroken.path(), TOTAL).output().unwrap().status.success());
    let time = start.elapsed();
    let last = format!("run/checkpoint-{TOTAL}");
    let expected = files(&unbroken.path().join(&last));
    let (mut kills, mut leftovers) = (0, 0);
    let mut random = numbers(7, 1000).map(|number| f64::from(number) / 1000.0);
    while kills < KILLS {
        let broken = tempdir().unwrap();
        let run = broken.path().join("run");
        // Up to a third of the time that all of it takes; longer if that turns out to be too short to get on.
        let mut longest = time / 3;
        loop {
            let mut command = command(&[], broken.path(), TOTAL);
            let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
            if !kill_after(child, longest.mul_f64(random.next().unwrap())) {
                break;
            }
            kills += 1;
            longest = longest.mul_f64(1.05);
            let left = if run.exists() { names(&run) } else { Vec::new() };
            leftovers += left.iter().filter(|name| name.ends_with(".tmp")).count();
            // Whatever stands under a checkpoint's name is whole.
            let latest = latest_checkpoint(&run).unwrap();
            assert!(latest.passed_over.is_empty(), "{latest:?}");
        }
        assert!(files(&broken.path().join(&last)) == expected, "after {kills} kills");
        assert_eq!(names(&run), names(&unbroken.path().join("run")));
        assert_eq!(log(broken.path()), log(unbroken.path()));
    }
    // Without any, no run would have been killed while saving.
    assert!(leftovers > 0, "none of {kills} kills was in a save");
    println!("{kills} kills, {leftovers} of them while a checkpoint was written or removed");
}

/// Files may not be longer than a few KB, as on a disk that is full: the save fails, what was saved is as it was, and with room again
/// training goes on.
#[test]
fn a_full_disk_is_an_error_and_nothing_is_lost() {
    let directory = tempdir().unwrap();
    let run = directory.path().join("run");
    assert!(command(&[], directory.path(), 3).output().unwrap().status.success());
    let contents = || names(&run).into_iter().map(|name| (name.clone(), files(&run.join(name))));
    let before: Vec<_> = contents().collect();
    assert_eq!(before.len(), 3);
    // Written beyond the limit, a file is an error only for who ignores the signal.
    let limited = ["sh", "-c", r#"trap "" XFSZ; ulimit -f 8; exec "$0" "$@""#];
    let output = command(&limited, directory.path(), 6).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("step 4: "), "{text}");
    assert!(text.contains("checkpoint-4/model.safetensors: File too large"), "{text}");
    assert!(contents().collect::<Vec<_>>() == before);
    assert!(command(&[], directory.path(), 6).output().unwrap().status.success());
    let unbroken = tempdir().unwrap();
    assert!(command(&[], unbroken.path(), 6).output().unwrap().status.success());
    let last = |directory: &Path| files(&directory.join("run/checkpoint-6"));
    assert!(last(directory.path()) == last(unbroken.path()));
    assert_eq!(log(directory.path()), log(unbroken.path()));
}
