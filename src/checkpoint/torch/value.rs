//! What a pickle builds.

use std::borrow::Cow;
use std::rc::Rc;

use super::super::dtype::DType;
use super::super::tensor::MAX_DIMS;
use super::globals::Global;

/// A value's place in its [`Heap`].
///
/// Pickles share values and nest them, thousands deep if someone means harm, or in circles. As places in one arena they
/// are copied for nothing and dropped without recursion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id(usize);

/// A value of Python's, as far as a file of tensors has use for it.
#[derive(Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i128),
    Str(Rc<str>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name of the allow-list.
    Global(Global),
    /// An index into [`Object::storages`].
    Storage(usize),
    /// An index into [`Object::tensors`].
    Tensor(usize),
    /// A tensor that cannot be read, by what kind it is.
    Foreign(&'static str),
    /// A tensor that is yet to be given its state.
    Blank,
    /// The name of a class that is not on the list: nothing may call it.
    Class(Rc<str>),
    /// An object of such a class, or another that no tensor needs; its contents are skipped.
    Object(Rc<str>),
    /// Something harmless that no tensor needs, by its type's name.
    Other(&'static str),
}

impl Value {
    /// What to call it in a message.
    pub fn kind(&self) -> Cow<'static, str> {
        let kind = match self {
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an int",
            Self::Str(_) => "a string",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dict",
            Self::Global(_) => "a class or function",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) | Self::Blank => "a tensor",
            Self::Foreign(kind) | Self::Other(kind) => kind,
            Self::Class(name) => return format!("the class {}", name.escape_debug()).into(),
            Self::Object(name) => return format!("an object ({})", name.escape_debug()).into(),
        };
        kind.into()
    }
}

/// All values of one pickle.
#[derive(Debug, Default)]
pub(super) struct Heap {
    values: Vec<Value>,
}

impl Heap {
    /// Keeps a value.
    pub fn add(&mut self, value: Value) -> Id {
        self.values.push(value);
        Id(self.values.len() - 1)
    }

    /// The value at a place.
    pub fn get(&self, id: Id) -> &Value {
        self.values.get(id.0).unwrap_or(&Value::None)
    }

    /// The value at a place, to be changed.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut Value> {
        self.values.get_mut(id.0)
    }

    /// How many sizes or strides there are, if it is a tuple of them.
    pub fn dimensions(&self, id: Id) -> usize {
        match self.get(id) {
            Value::Tuple(sizes) => sizes.len(),
            _ => 0,
        }
    }

    /// A tuple of sizes or of strides.
    pub fn sizes(&self, id: Id, what: &str) -> Result<Vec<usize>, String> {
        match self.get(id) {
            Value::Tuple(sizes) if sizes.len() <= MAX_DIMS => {
                sizes.iter().map(|&size| self.size(size, what)).collect()
            }
            Value::Tuple(sizes) => Err(format!(
                "expected {what} of at most {MAX_DIMS} dimensions, found {}",
                sizes.len()
            )),
            other => Err(format!("expected {what} to be a tuple, found {}", other.kind())),
        }
    }

    /// An integer that is a size, a stride, an offset or a count.
    pub fn size<T: TryFrom<i128>>(&self, id: Id, what: &str) -> Result<T, String> {
        match self.get(id) {
            &Value::Int(value) => T::try_from(value).map_err(|_| {
                format!("expected {what} that is neither negative nor too large, found {value}")
            }),
            other => Err(format!("expected {what}, found {}", other.kind())),
        }
    }
}

/// A tensor's reference to a storage: `('storage', type, key, location, elements[, view])`.
#[derive(Debug)]
pub(super) struct StorageRef {
    pub key: Rc<str>,
    pub dtype: DType,
    pub elements: u64,
    /// In old files, the first element and the number of elements that are meant.
    pub view: Option<(u64, u64)>,
}

/// A tensor as the pickle describes it.
#[derive(Debug)]
pub(super) struct RawTensor {
    /// An index into [`Object::storages`].
    pub storage: usize,
    pub dtype: DType,
    pub offset: u64,
    /// The tuples of sizes and of strides, which many tensors may share: not copied before a tensor is wanted.
    pub shape: Id,
    pub strides: Id,
}

/// What one pickle describes.
#[derive(Debug)]
pub(super) struct Object {
    pub heap: Heap,
    pub root: Id,
    pub storages: Vec<StorageRef>,
    pub tensors: Vec<RawTensor>,
}
