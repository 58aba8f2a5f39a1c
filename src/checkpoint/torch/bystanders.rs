//! Names of plain values that occur in pickles next to tensors, and of classes whose objects are skipped.

/// Modules that torch never takes anything from (`_blocklisted_modules`), and the one that starts programs.
const NEVER: [&str; 5] = ["sys", "os", "posix", "nt", "subprocess"];

/// What the value is that calling `module.name` makes, if that is on the list.
///
/// torch loads the first group; it refuses the others, which are as harmless.
pub(super) fn find(module: &str, name: &str) -> Option<&'static str> {
    Some(match (module, name) {
        ("_codecs", "encode") => "bytes",
        ("builtins" | "__builtin__", "bytearray") => "a bytearray",
        ("builtins" | "__builtin__", "set") => "a set",
        ("builtins" | "__builtin__", "complex") => "a complex number",
        ("torch.serialization", "_get_layout") => "a layout",
        ("torch", "per_tensor_affine" | "per_tensor_symmetric")
        | ("torch", "per_channel_affine" | "per_channel_symmetric")
        | ("torch", "per_channel_affine_float_qparams") => "a quantization scheme",

        ("builtins" | "__builtin__", "frozenset") => "a frozenset",
        ("builtins" | "__builtin__", "range" | "xrange" | "slice") => "a range",
        // As the base of a class, or the factory of a `defaultdict`.
        ("builtins" | "__builtin__", "object" | "type" | "list" | "dict" | "tuple")
        | ("builtins" | "__builtin__", "int" | "long" | "float" | "bool")
        | ("builtins" | "__builtin__", "str" | "unicode" | "bytes") => "a plain value",
        ("copyreg" | "copy_reg", "_reconstructor") => "an object",
        ("collections", "defaultdict") => "a defaultdict",
        ("collections", "deque") => "a deque",
        ("datetime", "datetime" | "date" | "time" | "timedelta" | "timezone") => "a time",
        ("decimal", "Decimal") | ("fractions", "Fraction") => "a number",
        ("pathlib" | "pathlib._local", "Path" | "PosixPath" | "WindowsPath")
        | ("pathlib" | "pathlib._local", "PurePath" | "PurePosixPath" | "PureWindowsPath") => {
            "a path"
        }
        ("numpy", "dtype") => "a type of numpy's",
        ("numpy", "ndarray") => "an array of numpy's",
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => "a number of numpy's",
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct")
        | ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => "an array of numpy's",
        _ => return None,
    })
}

/// Whether a name is that of a class, as Python's are spelled, and may be the class of a skipped object.
pub(super) fn may_be_class(module: &str, name: &str) -> bool {
    let package = module.split('.').next().unwrap_or_default();
    let last = name.rsplit('.').next().unwrap_or_default();
    let first = last.trim_start_matches('_').chars().next();
    !NEVER.contains(&package) && first.is_some_and(char::is_uppercase)
}
