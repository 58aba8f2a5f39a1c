//! What holds of all optimizers, and what `tests/optimizers.rs` is too small for.

use approx::assert_relative_eq;
use ndarray::{Array1, Array2, ShapeBuilder, array};

use super::*;
use crate::nn::Linear;

/// A rate at which a step of every optimizer changes every weight of order 1.
const RATE: f64 = 0.1;

fn ungrouped(options: AdamOptions) -> AdamOptions {
    AdamOptions { groups: Vec::new(), ..options }
}

/// All three, without groups.
fn optimizers<P: Parameters + Send + 'static>(zeros: fn() -> P) -> [Box<dyn Optimizer<P>>; 3] {
    let (torch, google) = (ungrouped(AdamOptions::torch()), ungrouped(AdamOptions::google()));
    [
        Box::new(AdamW::new(torch, zeros).unwrap()),
        Box::new(AdamWeightDecay::new(google.clone(), zeros).unwrap()),
        Box::new(Lamb::new(google, zeros).unwrap()),
    ]
}

fn zeros() -> Linear {
    Linear::zeros(2, 2)
}

fn weights() -> Linear {
    Linear { weight: array![[1.0, -2.0], [0.5, 4.0]], bias: array![0.25, -1.0] }
}

fn gradients() -> Linear {
    Linear { weight: array![[0.1, 0.2], [-0.3, 1e-4]], bias: array![-0.5, 0.01] }
}

/// Step and moments, to be compared.
fn copy<P: Parameters + Clone>(optimizer: &dyn Optimizer<P>) -> (u64, Vec<P>) {
    let state = optimizer.state();
    (state.step, state.moments.into_iter().map(|(_, moment)| moment.clone()).collect())
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let torch = || ungrouped(AdamOptions::torch());
    for (options, word) in [
        (AdamOptions { beta1: 1.0, ..torch() }, "beta1"),
        (AdamOptions { beta1: -0.1, ..torch() }, "beta1"),
        (AdamOptions { beta2: f64::NAN, ..torch() }, "beta2"),
        (AdamOptions { eps: 0.0, ..torch() }, "eps"),
        (AdamOptions { eps: -1e-8, ..torch() }, "eps"),
        (AdamOptions { eps: 1e-50, ..torch() }, "eps"),
        (AdamOptions { eps: f64::INFINITY, ..torch() }, "eps"),
        (AdamOptions { eps: f64::NAN, ..torch() }, "eps"),
        (AdamOptions { weight_decay: -0.01, ..torch() }, "weight decay"),
        (AdamOptions { weight_decay: f64::NAN, ..torch() }, "weight decay"),
        (AdamOptions { weight_decay: 1e300, ..torch() }, "weight decay"),
        (AdamOptions { groups: vec![ParameterGroup::frozen(["wait"])], ..torch() }, "wait"),
    ] {
        let error = AdamW::new(options, zeros).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_step_that_is_refused_changes_nothing() {
    for mut optimizer in optimizers(zeros) {
        let mut parameters = weights();
        optimizer.update(&mut parameters, &gradients(), RATE).unwrap();
        let (before, state) = (parameters.clone(), copy(optimizer.as_ref()));
        let wide = Linear { bias: Array1::zeros(3), ..gradients() };
        for (gradients, rate, words) in [
            (&wide, RATE, "gradients: parameter `bias`: expected [2], found [3]"),
            (&gradients(), -RATE, "learning rate"),
            (&gradients(), f64::NAN, "learning rate"),
            (&gradients(), f64::INFINITY, "learning rate"),
        ] {
            let error = optimizer.update(&mut parameters, gradients, rate).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        let mut tall = Linear { weight: Array2::zeros((3, 2)), ..weights() };
        let error = optimizer.update(&mut tall, &gradients(), RATE).unwrap_err().to_string();
        assert_eq!(error, "parameters: parameter `weight`: expected [2, 2], found [3, 2]");
        assert_eq!((parameters, copy(optimizer.as_ref())), (before, state));
    }
}

#[test]
fn states_of_something_else_are_refused() {
    let nan = || Linear { bias: array![0.0, f32::NAN], ..zeros() };
    let negative = || Linear { weight: array![[0.0, 0.0], [-1e-9, 0.0]], ..zeros() };
    for mut optimizer in optimizers(zeros) {
        let mut parameters = weights();
        optimizer.update(&mut parameters, &gradients(), RATE).unwrap();
        let state = copy(optimizer.as_ref());
        let names: Vec<&str> = optimizer.state().moments.iter().map(|(name, _)| *name).collect();
        let (mean, square) = (names[0], names[1]);
        for (moments, words) in [
            (vec![(mean, zeros())], "moments"),
            (vec![(square, zeros()), (mean, zeros())], "moments"),
            (vec![("momentum", zeros()), (square, zeros())], "momentum"),
            (vec![(mean, zeros()), (square, Linear::zeros(3, 2))], "`weight`: expected [2, 2]"),
            (vec![(mean, nan()), (square, zeros())], "`bias`: expected finite numbers"),
            (vec![(mean, zeros()), (square, nan())], "found NaN"),
            (vec![(mean, zeros()), (square, negative())], "`weight`: expected finite numbers"),
        ] {
            let error = optimizer.restore(7, moments).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(copy(optimizer.as_ref()), state);
        optimizer.restore(7, vec![(mean, negative()), (square, zeros())]).unwrap();
        assert_eq!(copy(optimizer.as_ref()), (7, vec![negative(), zeros()]));
    }
}

#[test]
fn frozen_parameters_and_their_moments_stay() {
    let groups = vec![ParameterGroup::frozen(["weight"])];
    let options = AdamOptions { groups, ..AdamOptions::google() };
    let optimizers: [Box<dyn Optimizer<Linear>>; 3] = [
        Box::new(AdamW::new(options.clone(), zeros).unwrap()),
        Box::new(AdamWeightDecay::new(options.clone(), zeros).unwrap()),
        Box::new(Lamb::new(options, zeros).unwrap()),
    ];
    for mut optimizer in optimizers {
        let mut parameters = weights();
        for _ in 0..3 {
            optimizer.update(&mut parameters, &gradients(), RATE).unwrap();
        }
        assert_eq!(parameters.weight, weights().weight);
        assert!(parameters.bias.iter().zip(&weights().bias).all(|(found, old)| found != old));
        let (step, moments) = copy(optimizer.as_ref());
        assert_eq!(step, 3);
        for moment in moments {
            assert_eq!(moment.weight, zeros().weight);
            assert!(moment.bias.iter().all(|&value| value != 0.0));
        }
    }
}

#[test]
fn gradients_of_frozen_parameters_are_cleared_and_no_others() {
    for (pattern, expected) in [
        ("weight", Linear { weight: zeros().weight, ..gradients() }),
        ("bias", Linear { bias: zeros().bias, ..gradients() }),
    ] {
        let groups = vec![ParameterGroup::frozen([pattern]), ParameterGroup::new(["*"])];
        let options = AdamOptions { groups, ..AdamOptions::google() };
        let optimizers: [Box<dyn Optimizer<Linear>>; 3] = [
            Box::new(AdamW::new(options.clone(), zeros).unwrap()),
            Box::new(AdamWeightDecay::new(options.clone(), zeros).unwrap()),
            Box::new(Lamb::new(options, zeros).unwrap()),
        ];
        for optimizer in optimizers {
            let mut cleared = gradients();
            match pattern {
                "weight" => cleared.weight[[1, 0]] = f32::NAN,
                _ => cleared.bias[1] = f32::INFINITY,
            }
            optimizer.clear_frozen(&mut cleared);
            assert_eq!(cleared, expected);
        }
    }
}

#[test]
fn groups_have_rates_and_decays_of_their_own() {
    let slow = ParameterGroup {
        learning_rate_factor: 0.25,
        weight_decay: Some(0.5),
        ..ParameterGroup::new(["bias"])
    };
    let with = |options| AdamOptions { groups: vec![slow.clone()], ..options };
    let alone = |options| AdamOptions { weight_decay: 0.5, ..ungrouped(options) };
    let grouped: [Box<dyn Optimizer<Linear>>; 2] = [
        Box::new(AdamW::new(with(AdamOptions::torch()), zeros).unwrap()),
        Box::new(Lamb::new(with(AdamOptions::google()), zeros).unwrap()),
    ];
    let ungrouped: [Box<dyn Optimizer<Linear>>; 2] = [
        Box::new(AdamW::new(alone(AdamOptions::torch()), zeros).unwrap()),
        Box::new(Lamb::new(alone(AdamOptions::google()), zeros).unwrap()),
    ];
    for (mut grouped, mut ungrouped) in grouped.into_iter().zip(ungrouped) {
        let (mut found, mut slower) = (weights(), weights());
        grouped.update(&mut found, &gradients(), RATE).unwrap();
        ungrouped.update(&mut slower, &gradients(), RATE / 4.0).unwrap();
        assert_eq!(found.bias, slower.bias);
        assert!(found.weight.iter().zip(&slower.weight).all(|(found, other)| found != other));
    }
}

#[test]
fn moments_begin_at_zero_whatever_they_are_made_of() {
    for (mut from_ones, mut from_zeros) in optimizers(weights).into_iter().zip(optimizers(zeros)) {
        let (mut found, mut expected) = (weights(), weights());
        from_ones.update(&mut found, &gradients(), RATE).unwrap();
        from_zeros.update(&mut expected, &gradients(), RATE).unwrap();
        assert_eq!(found, expected);
    }
}

#[test]
fn lambs_ratio_is_one_where_a_norm_is_zero() {
    let google = AdamOptions { weight_decay: 0.0, ..ungrouped(AdamOptions::google()) };
    let step = |weights: Array1<f32>, gradients: Array1<f32>| {
        let mut weights = weights;
        let mut lamb = Lamb::new(google.clone(), || Array1::zeros(2)).unwrap();
        lamb.update(&mut weights, &gradients, RATE).unwrap();
        weights
    };
    // One step from nothing is m/(√v + ε) = 0.1/√0.001 long in each direction.
    let length = 0.1 / 0.001f32.sqrt();
    let from_zero = step(array![0.0, 0.0], array![1.0, -1.0]);
    assert_relative_eq!(from_zero[0], -0.1 * length, max_relative = 1e-4);
    assert_relative_eq!(from_zero[1], 0.1 * length, max_relative = 1e-4);
    assert_eq!(step(array![3.0, 4.0], array![0.0, 0.0]), array![3.0, 4.0]);
    // Otherwise, it is as long as the weights, times the rate.
    let moved = step(array![3.0, 4.0], array![1.0, 0.0]);
    assert_relative_eq!(moved[0], 3.0 - 0.1 * 5.0, max_relative = 1e-6);
    assert_eq!(moved[1], 4.0);
}

fn many(seed: usize) -> Array2<f32> {
    Array2::from_shape_fn((301, 257), |(i, j)| {
        (((i * 257 + j) * 7919 + seed) % 1013) as f32 / 997.0 - 0.5
    })
}

fn by_columns(rows: &Array2<f32>) -> Array2<f32> {
    let mut columns = Array2::zeros(rows.dim().f());
    columns.assign(rows);
    columns
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "needs threads")]
fn many_values_are_updated_alike_by_any_number_of_threads_and_in_any_layout() {
    type Rows = Array2<f32>;
    let by_rows: fn() -> Rows = || Array2::zeros((301, 257));
    let columns: fn() -> Rows = || Array2::zeros((301, 257).f());
    let run =
        |mut optimizer: Box<dyn Optimizer<Rows>>, threads, mut weights, gradients: &[Rows]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for gradients in gradients {
                pool.install(|| optimizer.update(&mut weights, gradients, 0.01)).unwrap();
            }
            (weights, copy(optimizer.as_ref()))
        };
    let gradients = [many(1), many(2), many(3)];
    let other = gradients.each_ref().map(by_columns);
    let optimizers = optimizers(by_rows)
        .into_iter()
        .zip(optimizers(by_rows))
        .zip(optimizers(by_rows).into_iter().zip(optimizers(columns)));
    for ((one, three), (foreign, moments)) in optimizers {
        let expected = run(one, 1, many(0), &gradients);
        assert_ne!(expected.0, many(0));
        assert_eq!(run(three, 3, many(0), &gradients), expected);
        assert_eq!(run(foreign, 2, by_columns(&many(0)), &other), expected);
        assert_eq!(run(moments, 2, many(0), &gradients), expected);
    }
}

#[test]
fn lambs_ratio_is_that_of_a_whole_parameter() {
    let options = ungrouped(AdamOptions::google());
    let mut found = many(0);
    let mut lamb = Lamb::new(options, || Array2::zeros((301, 257))).unwrap();
    lamb.update(&mut found, &many(1), 0.01).unwrap();
    let (weights, gradients) = (many(0).mapv(f64::from), many(1).mapv(f64::from));
    let update = gradients.mapv(|g| 0.1 * g / ((0.001 * g * g).sqrt() + 1e-6)) + &weights * 0.01;
    let norm = |values: &Array2<f64>| values.mapv(|value| value * value).sum().sqrt();
    let expected = &weights - &update * (0.01 * norm(&weights) / norm(&update));
    for (&found, &expected) in found.iter().zip(&expected) {
        assert_relative_eq!(f64::from(found), expected, epsilon = 1e-7, max_relative = 1e-6);
    }
}
