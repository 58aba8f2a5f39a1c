//! The globals that a pickle may name, and what calling them describes.
//!
//! Nothing is ever called. A name that is listed here stands for one of the descriptions below: all that torch loads
//! with `weights_only=True` (see `torch/_weights_only_unpickler.py`), and a few plain values of Python's and numpy's that training scripts store next to tensors (`bystanders.rs`). Any other name is rejected where it occurs, whether or not the pickle calls it, with one exception: classes of objects next to the tensors. Such an object is skipped and never constructed, and calling its class is rejected, too.

use std::rc::Rc;

use super::super::dtype::DType;
use super::bystanders;
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
    /// `collections.Counter`, and others that are a dictionary once they are loaded
    Counter,
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
    /// `torch._tensor._rebuild_from_type_v2(function, type, arguments, state)`
    RebuildFromType,
    /// `torch._utils._rebuild_device_tensor_from_cpu_tensor(tensor, dtype, device, requires_grad)`
    RebuildDeviceTensor,
    /// A function that creates a tensor without a plain array of elements, and its kind
    RebuildForeign(&'static str),
    /// `torch.Tensor`, `torch.FloatTensor` and their like
    Tensor,
    /// `torch.nn.parameter.Parameter`
    Parameter,
    /// A callable whose result no tensor needs, and that result
    Bystander(&'static str),
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
            ("collections", "Counter") => Self::Counter,
            ("torch", "Size") => Self::Size,
            ("torch", "device") => Self::Device,
            ("torch._utils", "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch._utils", "_rebuild_parameter_with_state") => Self::RebuildParameterWithState,
            ("torch._tensor", "_rebuild_from_type_v2") => Self::RebuildFromType,
            ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor") => Self::RebuildDeviceTensor,
            ("torch._utils", name) => Self::RebuildForeign(foreign(name)?),
            ("torch.nn.parameter", "Parameter" | "Buffer") => Self::Parameter,
            ("torch.storage" | "torch", "UntypedStorage") => Self::Storage(DType::U8),
            ("torch" | "torch.cuda", name) if is_tensor_class(name) => Self::Tensor,
            ("torch.sparse" | "torch.cuda.sparse", name) if is_tensor_class(name) => {
                Self::RebuildForeign("a sparse tensor")
            }
            ("torch" | "torch.cuda", name) => match DType::from_torch_storage(name) {
                Some(dtype) => Self::Storage(dtype),
                None => match DType::from_torch_dtype(name) {
                    Some(dtype) => Self::DType(dtype),
                    None => Self::Bystander(bystanders::find(module, name)?),
                },
            },
            _ => Self::Bystander(bystanders::find(module, name)?),
        })
    }
}

/// The kind of tensor that a function of `torch._utils` creates, if it has no plain array of elements.
fn foreign(function: &str) -> Option<&'static str> {
    Some(match function {
        "_rebuild_sparse_tensor" => "a sparse tensor",
        "_rebuild_qtensor" => "a quantized tensor",
        "_rebuild_meta_tensor_no_storage" => "a tensor without elements",
        "_rebuild_wrapper_subclass" => "a tensor of a subclass",
        "_rebuild_device_tensor_from_numpy" => "a tensor of another device",
        _ => return None,
    })
}

/// Whether `torch.<name>` is a class of tensors.
fn is_tensor_class(name: &str) -> bool {
    match name.strip_suffix("Tensor") {
        Some("") => true,
        Some(kind) => DType::from_torch_storage(&format!("{kind}Storage")).is_some(),
        None => false,
    }
}

/// More arguments than any function takes.
pub(super) const MAX_ARGUMENTS: usize = 9;

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
            (Global::Counter, []) => Ok(self.heap.add(Value::Dict(Vec::new()))),
            (Global::Counter, &[counts]) => match self.heap.get(counts) {
                Value::Dict(_) => Ok(counts),
                other => Err(format!("a Counter of {}", other.kind())),
            },
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
                let tensor = self.tensor(storage, offset, size, stride, None)?;
                Ok(self.viewed(tensor, metadata))
            }
            (Global::RebuildTensorV3, &[storage, offset, size, stride, _, _, dtype]) => {
                self.tensor(storage, offset, size, stride, Some(dtype))
            }
            (Global::RebuildTensorV3, &[storage, offset, size, stride, _, _, dtype, metadata]) => {
                let tensor = self.tensor(storage, offset, size, stride, Some(dtype))?;
                Ok(self.viewed(tensor, metadata))
            }
            (Global::RebuildParameter, &[tensor, _, _])
            | (Global::RebuildParameterWithState, &[tensor, _, _, _])
            | (Global::Parameter, &[tensor] | &[tensor, _]) => match self.heap.get(tensor) {
                Value::Tensor(_) | Value::Foreign(_) => Ok(tensor),
                other => Err(format!("a parameter made of {}", other.kind())),
            },
            (Global::RebuildFromType, &[function, class, arguments, _]) => {
                self.tensor_of_class(function, class, arguments)
            }
            (Global::RebuildDeviceTensor, &[tensor, dtype, _, _]) => {
                Ok(self.of_other_device(tensor, dtype))
            }
            (Global::RebuildForeign(kind), _) => Ok(self.heap.add(Value::Foreign(kind))),
            (Global::Tensor | Global::Parameter, []) => Ok(self.heap.add(Value::Blank)),
            (Global::Bystander(kind), _) => Ok(self.heap.add(Value::Object(kind.into()))),
            _ => Err(format!(
                "{global:?} with {} arguments, which it does not take",
                arguments.len()
            )),
        }
    }

    /// A tensor's reference to a storage, from the parts of its persistent id.
    pub fn storage(&mut self, parts: &[Id]) -> Result<Id, String> {
        let heap = &self.heap;
        let (class, key, elements, view) = match *parts {
            [tag, class, key, _location, elements, ref view @ ..] if is(heap, tag, "storage") => {
                (class, key, elements, view)
            }
            // In the old format, a class of modules with the text of its program.
            [tag, class, _, _]
                if is(heap, tag, "module") && matches!(heap.get(class), Value::Class(_)) =>
            {
                return Ok(class);
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

    /// The tensor, unless its metadata requires conjugating or negating its elements.
    fn viewed(&mut self, tensor: Id, metadata: Id) -> Id {
        match self.heap.get(metadata) {
            Value::None => tensor,
            Value::Dict(entries) if entries.is_empty() => tensor,
            _ => self.heap.add(Value::Foreign("a conjugated or negated tensor")),
        }
    }

    /// A tensor that has attributes, or is of a subclass, whose elements may mean anything.
    fn tensor_of_class(&mut self, function: Id, class: Id, arguments: Id) -> Result<Id, String> {
        let heap = &self.heap;
        let is_plain = matches!(heap.get(class), Value::Global(Global::Tensor | Global::Parameter));
        match (heap.get(function), heap.get(arguments)) {
            (Value::Global(Global::RebuildFromType), _) => {
                Err("a tensor made of a class within a class".into())
            }
            (&Value::Global(function), Value::Tuple(arguments)) => {
                let arguments: Vec<Id> = arguments.iter().copied().take(MAX_ARGUMENTS).collect();
                let tensor = self.call(function, &arguments)?;
                Ok(if is_plain {
                    tensor
                } else {
                    self.heap.add(Value::Foreign("a tensor of a subclass"))
                })
            }
            (function, arguments) => {
                Err(format!("a call of {} with {}", function.kind(), arguments.kind()))
            }
        }
    }

    /// A tensor that was copied from another device, if its elements are of the same type as there.
    fn of_other_device(&mut self, tensor: Id, dtype: Id) -> Id {
        let here = match self.heap.get(tensor) {
            &Value::Tensor(tensor) => self.tensors.get(tensor).map(|tensor| tensor.dtype),
            _ => None,
        };
        match self.heap.get(dtype) {
            &Value::Global(Global::DType(there)) if here == Some(there) => tensor,
            _ => self.heap.add(Value::Foreign("a tensor of another device")),
        }
    }

    /// The result of setting a tensor's state: before torch 0.2, the arguments of `Tensor.set_`.
    pub fn set_state(&mut self, object: Id, state: Id) -> Result<(), String> {
        let Value::Tuple(state) = self.heap.get(state) else { return Ok(()) };
        let &[storage, offset, shape, strides] = &state[..] else { return Ok(()) };
        let tensor = self.tensor(storage, offset, shape, strides, None)?;
        let value = match self.heap.get(tensor) {
            &Value::Tensor(tensor) => Value::Tensor(tensor),
            _ => return Ok(()),
        };
        self.heap.get_mut(object).map(|object| *object = value).ok_or("no object".into())
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
