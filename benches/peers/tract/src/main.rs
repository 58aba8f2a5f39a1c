//! The ONNX export in tract, with fixed shapes. The protocol is that of `contestants.py`.

use std::io::{BufRead, Write};
use std::time::Instant;

use serde_json::{Value, json};
use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

fn send(message: Value) -> TractResult<()> {
    println!("{message}");
    Ok(std::io::stdout().flush()?)
}

fn main() -> TractResult<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, directory, case, threads] = arguments.as_slice() else { anyhow::bail!("DIRECTORY CASE THREADS") };
    let case: Value = serde_json::from_str(&std::fs::read_to_string(case)?)?;
    let sequences: Vec<Vec<i64>> = serde_json::from_value(case["ids"].clone())?;
    let pooled = case["output"] == "pooled";
    let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
    let shape = [sequences.len(), longest];
    let padded = sequences.iter().any(|sequence| sequence.len() < longest);
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for sequence in &sequences {
        ids.extend((0..longest).map(|at| sequence.get(at).copied().unwrap_or(0)));
        mask.extend((0..longest).map(|at| i64::from(at < sequence.len())));
    }
    let mut inputs: TVec<TValue> = tvec!(Tensor::from_shape(&shape, &ids)?.into());
    if padded {
        inputs.push(Tensor::from_shape(&shape, &mask)?.into());
    }
    set_default_executor(Executor::multithread(threads.parse()?));

    let started = Instant::now();
    let variant = if padded { "mask" } else { "nomask" };
    let mut model = tract_onnx::onnx().model_for_path(format!("{directory}/plain-{variant}.onnx"))?;
    for input in 0..inputs.len() {
        model = model.with_input_fact(input, i64::fact(shape).into())?;
    }
    let output = if pooled { "pooler_output" } else { "last_hidden_state" };
    let model = model.with_outputs_by_name([output])?.into_optimized()?.into_runnable()?;
    let load = started.elapsed().as_secs_f64();
    let timed = || -> TractResult<f64> {
        let started = Instant::now();
        model.run(inputs.clone())?;
        Ok(started.elapsed().as_secs_f64())
    };
    let (first, second) = (timed()?, timed()?);
    send(json!({"load_s": load, "compile_s": (first - second).max(0.0), "second_s": second, "note": "plain export"}))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("run", count)) => {
                let seconds = (0..count.parse()?).map(|_| timed()).collect::<TractResult<Vec<f64>>>()?;
                send(json!({ "seconds": seconds }))?;
            }
            Some(("dump", path)) => {
                let output = model.run(inputs.clone())?.remove(0);
                let values = output.to_plain_array_view::<f32>()?;
                let values = values.as_slice().expect("tract's outputs are contiguous");
                let rows = if pooled { 1 } else { longest };
                let width = values.len() / (sequences.len() * rows);
                let mut bytes = Vec::new();
                for (sequence, values) in sequences.iter().zip(values.chunks(rows * width)) {
                    let real = if pooled { 1 } else { sequence.len() };
                    bytes.extend(values[..real * width].iter().flat_map(|value| value.to_le_bytes()));
                }
                std::fs::write(path, bytes)?;
                send(json!({}))?;
            }
            _ => anyhow::bail!("what is {line:?}?"),
        }
    }
    Ok(())
}
