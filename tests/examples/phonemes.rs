//! `phoneme_states`: what a speech model's text encoder makes of phonemes.

use ndalbert::checkpoint::Checkpoint;

use crate::common::example::{fail, path, succeed};

#[test]
fn phonemes_have_states() {
    let run = succeed("phoneme_states", &[]);
    assert_eq!(run.stdout.lines().count(), 2 + 17, "{}", run.stdout);
    assert!(run.stdout.contains("ə"), "{}", run.stdout);
    assert_eq!(run.stderr, "");

    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("states.safetensors");
    let model = path("examples/data/phonemes-demo/phonemes-demo.pth");
    let arguments =
        ["--model", model.to_str().unwrap(), "--output", output.to_str().unwrap(), "nˈo12"];
    let run = succeed("phoneme_states", &arguments);
    assert!(run.stderr.contains("lacks them: 12"), "{}", run.stderr);
    let states = Checkpoint::open(&output).unwrap();
    assert_eq!(
        states.read("input_ids").unwrap().into_raw_vec_and_offset().0,
        [0.0, 56.0, 156.0, 57.0, 0.0]
    );
    assert_eq!(states.get("last_hidden_state").unwrap().shape(), [5, 32]);

    fail("phoneme_states", &["a", "b"], &["quotes", "--help"]);
    let long = "n".repeat(127);
    fail("phoneme_states", &[&long], &["128", "truncate"]);
}
