//! A save happens wholly or not at all.

use std::fs;
use std::io;
use std::path::Path;

use ndalbert::Error;
use ndalbert::checkpoint::{
    Checkpoint, DType, write_atomically, write_safetensors, write_safetensors_as,
};
use ndarray::{ArrayD, IxDyn};

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_made_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    for content in ["first", "second, longer", "3"] {
        write_atomically(&path, |file| file.write_all(content.as_bytes())).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        assert_eq!(names(directory.path()), ["state"]);
    }
}

/// While it is written, the old file is there whole.
#[test]
fn the_old_file_stays_until_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    fs::write(&path, "old").unwrap();
    write_atomically(&path, |file| {
        file.write_all(&[1; 1 << 20])?;
        file.flush()?;
        assert_eq!(fs::read_to_string(&path)?, "old");
        assert_eq!(names(directory.path()).len(), 2);
        Ok(())
    })
    .unwrap();
    assert_eq!(fs::read(&path).unwrap(), [1; 1 << 20]);
}

#[test]
fn a_failed_write_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    fs::write(&path, "old").unwrap();
    let unchanged = || {
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(directory.path()), ["state"]);
    };
    let error = write_atomically(&path, |file| {
        file.write_all(&[1; 1 << 20])?;
        Err(io::Error::other("the disk is full"))
    });
    let Err(Error::Io { path: at, error: source }) = error else { panic!("{error:?}") };
    assert_eq!((at, source.to_string()), (path.clone(), "the disk is full".into()));
    unchanged();
    let panicked = std::panic::catch_unwind(|| {
        write_atomically(&path, |_| -> io::Result<()> { panic!("in the middle") })
    });
    assert!(panicked.is_err());
    unchanged();
}

#[test]
fn places_where_nothing_can_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let good = |file: &mut dyn io::Write| file.write_all(b"x");
    let none = directory.path().join("none/state");
    assert!(matches!(write_atomically(&none, good), Err(Error::Io { .. })));
    let taken = directory.path().join("taken");
    fs::create_dir(&taken).unwrap();
    let error = write_atomically(&taken, good).unwrap_err().to_string();
    assert!(error.contains("taken") && error.contains("directory"), "{error}");
    let file = directory.path().join("file");
    fs::write(&file, "old").unwrap();
    assert!(write_atomically(file.join("state"), good).is_err());
    assert_eq!(names(directory.path()), ["file", "taken"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
}

#[test]
fn names_that_cannot_be_saved() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    fs::write(&path, "old").unwrap();
    let array = ArrayD::zeros(IxDyn(&[2]));
    for names in [["a", "a"], ["__metadata__", "a"]] {
        let tensors = names.map(|name| (name, array.view()));
        assert!(matches!(write_safetensors(&path, tensors), Err(Error::Tensor { .. })));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// A new file is as readable as any other, a replaced one as it was.
    #[test]
    fn permissions() {
        let directory = tempfile::tempdir().unwrap();
        let (usual, path) = (directory.path().join("usual"), directory.path().join("state"));
        fs::write(&usual, "x").unwrap();
        write_atomically(&path, |_| Ok(())).unwrap();
        assert_eq!(mode(&path), mode(&usual));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write_atomically(&path, |_| Ok(())).unwrap();
        assert_eq!(mode(&path), 0o640);
    }

    /// What a link points to may belong to another checkpoint.
    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (blob, link) = (directory.path().join("blob"), directory.path().join("state"));
        fs::write(&blob, "old").unwrap();
        symlink(&blob, &link).unwrap();
        write_atomically(&link, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&blob).unwrap(), "old");
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");
        assert!(!link.symlink_metadata().unwrap().is_symlink());
    }

    /// Root may write everywhere, so there is nothing to see for it.
    #[test]
    fn a_directory_that_may_not_be_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("state"), "old").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o555)).unwrap();
        let privileged = fs::write(inner.join("probe"), "x").is_ok();
        let result = write_atomically(inner.join("state"), |file| file.write_all(b"new"));
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        if !privileged {
            assert!(matches!(result, Err(Error::Io { .. })));
            assert_eq!(fs::read_to_string(inner.join("state")).unwrap(), "old");
            assert_eq!(names(&inner), ["state"]);
        }
    }
}

/// Rounded as the `half` crate does, which is what PyTorch does.
#[test]
fn weights_are_written_in_half_precision_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    let values =
        [0.0, -0.0, 1.0, 1.0 / 3.0, -65504.0, 65519.0, 1e-7, 1e-40, f32::INFINITY, f32::NAN, 3.0e4];
    let matrix = ArrayD::from_shape_fn(IxDyn(&[values.len(), 130]), |index| values[index[0]]);
    let rounded = |dtype: DType, value: f32| match dtype {
        DType::F16 => half::f16::from_f32(value).to_f32(),
        DType::BF16 => half::bf16::from_f32(value).to_f32(),
        _ => value,
    };
    for dtype in [DType::F16, DType::BF16, DType::F32] {
        // Also one that is not in row-major order.
        let tensors = [("a", matrix.view()), ("b", matrix.t())];
        write_safetensors_as(&path, dtype, tensors).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.get("a").unwrap().dtype(), dtype);
        for (name, expected) in [("a", matrix.view()), ("b", matrix.t())] {
            let found = checkpoint.read(name).unwrap();
            // Not a number is not a number, whatever its bits.
            let bits = |value: f32| if value.is_nan() { None } else { Some(value.to_bits()) };
            let expected = expected.mapv(|value| bits(rounded(dtype, value)));
            assert_eq!(found.mapv(bits), expected, "{name} in {dtype}");
        }
        let bytes = fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("b").unwrap().shape(), [130, values.len()]);
    }
}

#[test]
fn what_a_type_cannot_hold_is_refused_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    for (dtype, value, words) in [
        (DType::F16, 65520.0, ["`a`", "values that f16 can hold", "65520"]),
        (DType::F16, -1e9, ["`a`", "f16", "-1000000000"]),
        (DType::BF16, f32::MAX, ["`a`", "values that bf16 can hold", "34028"]),
        (DType::I64, 1.0, ["f32, f16 or bf16", "i64", "model.safetensors"]),
    ] {
        let values = ArrayD::from_elem(IxDyn(&[2]), value);
        let error =
            write_safetensors_as(&path, dtype, [("a", values.view())]).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
