//! What a pickle may name, and what calling it describes.
//!
//! Nothing is ever called: a name that is not listed here is refused where it occurs, whether or not the pickle goes on
//! to call it, and one that is listed stands for one of the few descriptions below. Compare
//! `torch/_weights_only_unpickler.py`, whose list is longer; this one is what a dictionary of plain tensors is made of.

use std::rc::Rc;

use super::super::dtype::DType;
use super::value::{Heap, Id, RawTensor, StorageRef, Value};

/// The longest key of a storage: torch's are numbers. One string can be the key of many storages, so that a long one
/// would cost its length many times.
const MAX_KEY: usize = 64;

/// The most pairs that the dictionaries of one pickle are made of. An `OrderedDict` of a list copies it, which is the
/// one way to get more out of a pickle than its instructions put in: one list can be given to many.
const MAX_COPIED: usize = 1 << 18;

/// A name of the allow-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch.Size`
    Size,
    /// `torch.device`
    Device,
    /// `torch._utils._rebuild_tensor(storage, offset, size, stride)`, before torch 0.4
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v2(…, requires_grad, backward_hooks[, metadata])`
    RebuildTensorV2,
    /// `torch._utils._rebuild_tensor_v3(…, requires_grad, backward_hooks, dtype[, metadata])`
    RebuildTensorV3,
    /// `torch._utils._rebuild_parameter(tensor, requires_grad, backward_hooks)`
    RebuildParameter,
    /// `torch._utils._rebuild_parameter_with_state(…, state)`
    RebuildParameterWithState,
    /// A storage class: `torch.FloatStorage` and its like; `torch.storage.UntypedStorage`, counted in bytes
    Storage(DType),
    /// `torch.float32` and its like
    DType(DType),
}

impl Global {
    /// The name `module.name`, if a file of tensors may have it.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch", "Size") => Self::Size,
            ("torch", "device") => Self::Device,
            ("torch._utils", "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch._utils", "_rebuild_parameter_with_state") => Self::RebuildParameterWithState,
            ("torch.storage" | "torch", "UntypedStorage") => Self::Storage(DType::U8),
            ("torch" | "torch.cuda", name) => match DType::from_torch_storage(name) {
                Some(dtype) => Self::Storage(dtype),
                None => Self::DType(DType::from_torch_dtype(name)?),
            },
            _ => return None,
        })
    }
}

/// Where descriptions are kept while a pickle is read.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub heap: Heap,
    pub storages: Vec<StorageRef>,
    pub tensors: Vec<RawTensor>,
    /// How many pairs have been copied.
    copied: usize,
}

impl Described {
    /// What calling `global` with `arguments` describes.
    pub fn call(&mut self, global: Global, arguments: &[Id]) -> Result<Id, String> {
        match (global, arguments) {
            (Global::OrderedDict, []) => Ok(self.heap.add(Value::Dict(Vec::new()))),
            (Global::OrderedDict, &[pairs]) => self.ordered_dict(pairs),
            (Global::Size, []) => Ok(self.heap.add(Value::Tuple(Vec::new()))),
            (Global::Size, &[sizes]) => match self.heap.get(sizes) {
                Value::Tuple(_) => Ok(sizes),
                other => Err(format!("torch.Size of {}", other.kind())),
            },
            (Global::Device, _) => Ok(self.heap.add(Value::Other("a device"))),
            (Global::RebuildTensor, &[storage, offset, size, stride]) => {
                self.tensor(storage, offset, size, stride, None)
            }
            (Global::RebuildTensorV2, &[storage, offset, size, stride, _, _]) => {
                self.tensor(storage, offset, size, stride, None)
            }
            (Global::RebuildTensorV2, &[storage, offset, size, stride, _, _, metadata]) => {
                self.no_metadata(metadata)?;
                self.tensor(storage, offset, size, stride, None)
            }
            (Global::RebuildTensorV3, &[storage, offset, size, stride, _, _, dtype]) => {
                self.tensor(storage, offset, size, stride, Some(dtype))
            }
            (Global::RebuildTensorV3, &[storage, offset, size, stride, _, _, dtype, metadata]) => {
                self.no_metadata(metadata)?;
                self.tensor(storage, offset, size, stride, Some(dtype))
            }
            (Global::RebuildParameter, &[tensor, _, _])
            | (Global::RebuildParameterWithState, &[tensor, _, _, _]) => {
                match self.heap.get(tensor) {
                    Value::Tensor(_) => Ok(tensor),
                    other => Err(format!("a parameter made of {}", other.kind())),
                }
            }
            _ => Err(format!(
                "{global:?} with {} arguments, which it does not take",
                arguments.len()
            )),
        }
    }

    /// A tensor's reference to a storage, from the parts of its persistent id.
    pub fn storage(&mut self, parts: &[Id]) -> Result<Id, String> {
        let heap = &self.heap;
        let (class, key, elements, view) = match parts {
            &[tag, class, key, _location, elements, ref view @ ..] if is(heap, tag, "storage") => {
                (class, key, elements, view)
            }
            _ => return Err("a persistent id that is not that of a storage".into()),
        };
        let dtype = match heap.get(class) {
            Value::Global(Global::Storage(dtype)) => *dtype,
            other => return Err(format!("expected a storage class, found {}", other.kind())),
        };
        let key = match heap.get(key) {
            Value::Str(key) if key.len() <= MAX_KEY => Rc::clone(key),
            Value::Str(key) => {
                return Err(format!(
                    "expected a storage's key of at most {MAX_KEY} bytes, found {}",
                    key.len()
                ));
            }
            Value::Int(key) => key.to_string().into(),
            other => return Err(format!("expected a storage's key, found {}", other.kind())),
        };
        let elements = heap.size(elements, "a storage's number of elements")?;
        let view = match view {
            [] => None,
            &[view] => match heap.get(view) {
                Value::None => None,
                Value::Tuple(parts) => match parts[..] {
                    [_key, from, len] => Some((
                        heap.size(from, "a view's offset")?,
                        heap.size(len, "a view's size")?,
                    )),
                    _ => return Err("a storage view of other than three parts".into()),
                },
                other => return Err(format!("expected a storage view, found {}", other.kind())),
            },
            _ => return Err("a storage with more than six parts".into()),
        };
        self.storages.push(StorageRef { key, dtype, elements, view });
        Ok(self.heap.add(Value::Storage(self.storages.len() - 1)))
    }

    fn tensor(
        &mut self,
        storage: Id,
        offset: Id,
        shape: Id,
        strides: Id,
        dtype: Option<Id>,
    ) -> Result<Id, String> {
        let storage = match self.heap.get(storage) {
            Value::Storage(storage) => *storage,
            other => return Err(format!("expected a tensor's storage, found {}", other.kind())),
        };
        let dtype = match dtype.map(|dtype| self.heap.get(dtype)) {
            Some(Value::Global(Global::DType(dtype))) => *dtype,
            Some(other) => return Err(format!("expected a tensor's type, found {}", other.kind())),
            None => self.storages.get(storage).map(|storage| storage.dtype).ok_or("no storage")?,
        };
        let offset = self.heap.size(offset, "a tensor's offset")?;
        self.tensors.push(RawTensor { storage, dtype, offset, shape, strides });
        Ok(self.heap.add(Value::Tensor(self.tensors.len() - 1)))
    }

    /// Metadata says that a tensor is to be conjugated or negated, and is absent otherwise.
    fn no_metadata(&self, id: Id) -> Result<(), String> {
        match self.heap.get(id) {
            Value::None => Ok(()),
            Value::Dict(entries) if entries.is_empty() => Ok(()),
            _ => Err("a conjugated or negated tensor, which is not supported".into()),
        }
    }

    /// Python 2's way: a list of pairs.
    fn ordered_dict(&mut self, pairs: Id) -> Result<Id, String> {
        let (Value::List(pairs) | Value::Tuple(pairs)) = self.heap.get(pairs) else {
            return Err("an OrderedDict of something else than pairs".into());
        };
        self.copied = self.copied.saturating_add(pairs.len());
        if self.copied > MAX_COPIED {
            return Err(format!("the pickle copies more than {MAX_COPIED} pairs"));
        }
        let entries = pairs
            .iter()
            .map(|&pair| match self.heap.get(pair) {
                Value::List(pair) | Value::Tuple(pair) => match pair[..] {
                    [key, value] => Ok((key, value)),
                    _ => Err("an OrderedDict of something else than pairs".to_owned()),
                },
                _ => Err("an OrderedDict of something else than pairs".to_owned()),
            })
            .collect::<Result<_, _>>()?;
        Ok(self.heap.add(Value::Dict(entries)))
    }
}

/// Whether a value is the string `text`.
fn is(heap: &Heap, id: Id, text: &str) -> bool {
    matches!(heap.get(id), Value::Str(found) if &**found == text)
}
