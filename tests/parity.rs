//! The same answers as transformers 5.23, for every golden model and every run (see `tests/golden/README.md`).

mod common;

use common::compare::{Largest, assert_same_tensors, assert_zero_where_masked};
use common::golden::{self, Case};
use common::heads::{self, Computes};
use common::weights::{applications, build_changed, unroll};
use ndalbert::{AlbertConfig, AlbertForSentenceOrder, LoadReport, PreTrainedModel};

/// All cases, and every comparison counted: a directory that is empty or half read must not pass.
#[test]
fn every_run_of_every_golden_model_is_within_the_tolerance() {
    let (mut largest, mut cases, mut runs) = (Largest::default(), 0, 0);
    for case in golden::cases() {
        let (model, report) = heads::load(&case);
        assert_report(&case, &report);
        for run in &case.runs {
            let outputs = model.compute(&run.batch(), run);
            largest.assert_close(run, &outputs);
            assert_zero_where_masked(run, &outputs);
            runs += 1;
        }
        cases += 1;
    }
    println!("{cases} models, {runs} runs, {} tensors\n{largest}", largest.tensors);
    assert!(cases >= 45 && runs >= 111 && largest.tensors >= 412, "{cases} {runs}");
}

/// Old names and other element types are no occasion for a warning; heads and poolers too many or too few are.
fn assert_report(case: &Case, report: &LoadReport) {
    let (unexpected, new): (&[&str], &[&str]) = match case.name.as_str() {
        "base_no_pooler" | "long_512" => (&[], &["pooler.weight", "pooler.bias"]),
        "legacy_other_heads" => (
            &[
                "albert.pooler.bias",
                "albert.pooler.weight",
                "sop_classifier.classifier.bias",
                "sop_classifier.classifier.weight",
            ],
            &[],
        ),
        "legacy_all_at_once" => (
            &[
                "module.albert.pooler.bias",
                "module.albert.pooler.weight",
                "module.sop_classifier.classifier.bias",
                "module.sop_classifier.classifier.weight",
            ],
            &[],
        ),
        _ => (&[], &[]),
    };
    assert_eq!(report.unexpected, unexpected, "{}", case.name);
    assert_eq!(report.newly_initialized, new, "{}", case.name);
    assert!(report.mismatched.is_empty() && report.non_finite.is_empty(), "{}", case.name);
    let untied: &[&str] = match case.name.as_str() {
        "masked_lm_untied_bias" => &["predictions.decoder.bias"],
        "pretraining_untied_weight" => &["predictions.decoder.weight"],
        _ => &[],
    };
    assert!(report.untied.iter().map(|pair| &pair.name).eq(untied), "{}: {report}", case.name);
    let is_clean = unexpected.is_empty() && new.is_empty() && untied.is_empty();
    assert_eq!((report.is_clean(), report.to_string().is_empty()), (is_clean, is_clean));
}

/// Unpadded sequences give results bit-identical to padded ones with a mask.
#[test]
fn sequences_of_their_own_lengths_are_as_padded_ones() {
    let mut compared = 0;
    for case in golden::cases() {
        let (model, _) = heads::load(&case);
        for run in &case.runs {
            let Some(ragged) = run.ragged_batch() else { continue };
            let padded = model.compute(&run.batch(), run);
            let what = format!("{}/{}", case.name, run.name);
            assert_same_tensors(&what, &padded, &model.compute(&ragged, run));
            compared += 1;
        }
    }
    assert!(compared >= 40, "{compared}");
}

/// The class that transformers lacks reads the checkpoint of the one that it has, and agrees.
#[test]
fn sentence_order_alone_is_as_in_pretraining() {
    let case = golden::case("pretraining");
    let (both, _) = heads::load(&case);
    let (alone, report) = AlbertForSentenceOrder::from_pretrained(&case.directory).unwrap();
    assert!(report.unexpected.iter().all(|name| name.starts_with("predictions.")));
    assert_eq!((report.unexpected.len(), report.newly_initialized.len()), (5, 0));
    for run in &case.runs {
        let (both, alone) = (both.compute(&run.batch(), run), alone.compute(&run.batch(), run));
        assert_eq!(both["sop_logits"], alone["sop_logits"]);
    }
}

/// Shared layers written out one by one, without sharing, are bit-identical to the shared model; whatever is shared, and
/// whether or not the groups divide the layers.
#[test]
fn shared_layers_are_as_copies_of_them() {
    for case in golden::cases().iter().filter(|case| !case.is_copy) {
        let (shared, _) = heads::load(case);
        let config = AlbertConfig::from_pretrained(&case.directory).unwrap();
        let order = applications(&config);
        let copies = build_changed(case, &|fields, weights| unroll(fields, weights, &order));
        for run in &case.runs {
            let [expected, found] =
                [&shared, &copies].map(|model| model.compute(&run.batch(), run));
            assert_same_tensors(&format!("{}/{}", case.name, run.name), &expected, &found);
        }
    }
}
