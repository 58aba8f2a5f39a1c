//! The pickle machine: a stack, a memo, and no way to call anything.
//!
//! It knows the instructions that `torch.save` writes (protocol 2) and those of later protocols that do the same. What
//! each does is described in Python's `Lib/pickletools.py`.

use std::collections::HashMap;

use super::Fault;
use super::bystanders::may_be_class;
use super::globals::{Described, Global, MAX_ARGUMENTS};
use super::input::{Input, MAX_LINE};
use super::value::{Id, Object, Value};

/// The most instructions of a pickle. ALBERT's have a few thousand. Each makes at most one value of some 100 bytes
/// apart from the text that it contains: no instruction copies a value, they all share it by its [`Id`], except for an
/// `OrderedDict` of a list, whose copies are counted (`globals.rs`). So this bounds the memory that the machine takes
/// whatever a file says.
const MAX_INSTRUCTIONS: u64 = 1 << 18;

/// Reads one pickle.
///
/// # Errors
///
/// A reason that names the byte of the file: for an instruction that files of tensors do not have, a name that is not
/// on the allow-list, operands that are not there or not of the right kind, an end without a STOP, and for a pickle of
/// more than [`MAX_INSTRUCTIONS`] or of more than [`MAX_PICKLE`](super::input::MAX_PICKLE) bytes.
pub(super) fn load(input: &mut Input<'_>) -> Result<Object, Fault> {
    input.begin_pickle();
    let mut machine = Machine::default();
    for _ in 0..MAX_INSTRUCTIONS {
        let position = input.position();
        let step = input.byte().and_then(|instruction| machine.step(instruction, input));
        if let Some(root) =
            step.map_err(|fault| fault.within(|| format!("pickle, byte {position}")))?
        {
            let Described { heap, storages, tensors, .. } = machine.described;
            return Ok(Object { heap, root, storages, tensors });
        }
    }
    Err(format!("the pickle has more than {MAX_INSTRUCTIONS} instructions").into())
}

#[derive(Debug, Default)]
struct Machine {
    described: Described,
    stack: Vec<Id>,
    /// How high the stack was at each MARK.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine {
    /// Does one instruction; the result of the pickle if it is STOP.
    fn step(&mut self, instruction: u8, input: &mut Input<'_>) -> Result<Option<Id>, Fault> {
        match instruction {
            // PROTO, FRAME: nothing to do.
            0x80 => drop(input.byte()?),
            0x95 => drop(input.array::<8>()?),
            b'.' => return Ok(Some(self.pop()?)),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'q' => self.remember(u32::from(input.byte()?))?,
            b'r' => self.remember(u32::from_le_bytes(input.array()?))?,
            0x94 => self.remember(u32::try_from(self.memo.len()).unwrap_or(u32::MAX))?,
            b'h' => self.recall(u32::from(input.byte()?))?,
            b'j' => self.recall(u32::from_le_bytes(input.array()?))?,
            b'c' => {
                let (module, name) = (input.line()?, input.line()?);
                self.global(&module, &name)?;
            }
            0x93 => self.stack_global()?,
            b'R' => self.call()?,
            0x81 => self.new_object()?,
            b'b' => self.build()?,
            b'Q' => self.persistent()?,
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item], "append to")?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.extend(items, "append to")?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(&items)?;
            }
            _ => {
                let value = self.value(instruction, input)?;
                self.push(value);
            }
        }
        Ok(None)
    }

    /// The instructions that push a new value.
    fn value(&mut self, instruction: u8, input: &mut Input<'_>) -> Result<Value, Fault> {
        Ok(match instruction {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(input.array()?).into()),
            b'K' => Value::Int(input.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(input.array()?).into()),
            0x8a => {
                let len = input.byte()?;
                long(&input.bytes(len.into())?)
            }
            0x8b => {
                let len = u64::try_from(i32::from_le_bytes(input.array()?));
                long(&input.bytes(len.map_err(|_| "an integer of negative length")?)?)
            }
            b'G' => {
                input.array::<8>()?;
                Value::Other("a float")
            }
            0x8c => {
                let len = input.byte()?;
                text(input.bytes(len.into())?)?
            }
            b'X' => {
                let len = u32::from_le_bytes(input.array()?);
                text(input.bytes(len.into())?)?
            }
            0x8d => {
                let len = u64::from_le_bytes(input.array()?);
                text(input.bytes(len)?)?
            }
            // The strings of Python 2, which are names if they are text.
            b'U' => {
                let len = input.byte()?;
                text(input.bytes(len.into())?).unwrap_or(Value::Other("bytes"))
            }
            b'T' => {
                let len = u64::try_from(i32::from_le_bytes(input.array()?));
                let bytes = input.bytes(len.map_err(|_| "a string of negative length")?)?;
                text(bytes).unwrap_or(Value::Other("bytes"))
            }
            b'C' => {
                let len = input.byte()?;
                bytes(input, len.into())?
            }
            b'B' => {
                let len = u32::from_le_bytes(input.array()?);
                bytes(input, len.into())?
            }
            0x8e | 0x96 => {
                let len = u64::from_le_bytes(input.array()?);
                bytes(input, len)?
            }
            b')' => Value::Tuple(Vec::new()),
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' => Value::Tuple(self.pop_to_mark()?),
            b']' => Value::List(Vec::new()),
            b'l' => Value::List(self.pop_to_mark()?),
            0x8f => Value::List(Vec::new()),
            0x91 => {
                self.pop_to_mark()?;
                Value::Other("a frozenset")
            }
            b'}' => Value::Dict(Vec::new()),
            b'd' => {
                let items = self.pop_to_mark()?;
                Value::Dict(pairs(&items)?)
            }
            other => {
                return Err(format!(
                    "the instruction 0x{other:02x}, which files of tensors do not have"
                )
                .into());
            }
        })
    }

    fn push(&mut self, value: Value) {
        let id = self.described.heap.add(value);
        self.stack.push(id);
    }

    /// How much of the stack lies below the last MARK, where no instruction may reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Fault> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => Err("an instruction that needs a value where the stack has none".into()),
        }
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let mark =
            self.marks.pop().ok_or("an instruction that needs a MARK where there is none")?;
        if mark > self.stack.len() {
            return Err("a MARK above the stack".into());
        }
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, len: usize) -> Result<Value, Fault> {
        let mut items = (0..len).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        Ok(Value::Tuple(items))
    }

    fn remember(&mut self, key: u32) -> Result<(), Fault> {
        let id = self.top()?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), Fault> {
        let id = self.memo.get(&key).ok_or_else(|| format!("no value was kept as {key}"))?;
        self.stack.push(*id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        match Global::find(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None if may_be_class(module, name) => {
                self.push(Value::Class(format!("{module}.{name}").into()));
            }
            None => return Err(refused(&format!("{module}.{name}"))),
        }
        Ok(())
    }

    fn stack_global(&mut self) -> Result<(), Fault> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (self.described.heap.get(module), self.described.heap.get(name)) {
            // As long as a line may be; an error would show it with each byte escaped.
            (Value::Str(module), Value::Str(name)) if module.len().max(name.len()) > MAX_LINE => {
                Err(format!("a name of more than {MAX_LINE} bytes").into())
            }
            (Value::Str(module), Value::Str(name)) => {
                let (module, name) = (module.clone(), name.clone());
                self.global(&module, &name)
            }
            _ => Err("a name that is not two strings".into()),
        }
    }

    fn call(&mut self) -> Result<(), Fault> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        self.call_with(function, arguments)
    }

    /// An object of a class that is not on the list is skipped; for others, the class is treated as called.
    fn new_object(&mut self) -> Result<(), Fault> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        if let Value::Class(name) = self.described.heap.get(class) {
            let object = Value::Object(name.clone());
            self.push(object);
            return Ok(());
        }
        self.call_with(class, arguments)
    }

    fn call_with(&mut self, function: Id, arguments: Id) -> Result<(), Fault> {
        let heap = &self.described.heap;
        let (global, arguments) = match (heap.get(function), heap.get(arguments)) {
            (Value::Global(global), Value::Tuple(arguments)) => (*global, arguments),
            (Value::Class(name), _) => return Err(refused(name)),
            (function, arguments) => {
                return Err(
                    format!("a call of {} with {}", function.kind(), arguments.kind()).into()
                );
            }
        };
        // A longer tuple is not copied.
        let arguments: Vec<Id> = arguments.iter().copied().take(MAX_ARGUMENTS).collect();
        let described = self.described.call(global, &arguments)?;
        self.stack.push(described);
        Ok(())
    }

    /// Attributes, such as the `_metadata` of a state_dict, are dropped.
    fn build(&mut self) -> Result<(), Fault> {
        let state = self.pop()?;
        let object = self.top()?;
        match self.described.heap.get(object) {
            Value::Dict(_) | Value::Tensor(_) | Value::Foreign(_) | Value::Object(_) => Ok(()),
            Value::Blank => Ok(self.described.set_state(object, state)?),
            other => Err(format!("attributes of {}", other.kind()).into()),
        }
    }

    fn persistent(&mut self) -> Result<(), Fault> {
        let id = self.pop()?;
        let parts = match self.described.heap.get(id) {
            // Six are the most; a longer tuple is not copied.
            Value::Tuple(parts) => parts.iter().copied().take(7).collect::<Vec<_>>(),
            other => return Err(format!("a persistent id that is {}", other.kind()).into()),
        };
        let storage = self.described.storage(&parts)?;
        self.stack.push(storage);
        Ok(())
    }

    fn extend(&mut self, items: Vec<Id>, what: &str) -> Result<(), Fault> {
        let list = self.top()?;
        match self.described.heap.get_mut(list) {
            Some(Value::List(list)) => {
                list.extend(items);
                Ok(())
            }
            Some(Value::Object(_)) => Ok(()),
            Some(other) => Err(format!("an instruction to {what} {}", other.kind()).into()),
            None => Err("no list".into()),
        }
    }

    fn insert(&mut self, items: &[Id]) -> Result<(), Fault> {
        let items = pairs(items)?;
        let dict = self.top()?;
        match self.described.heap.get_mut(dict) {
            Some(Value::Dict(dict)) => {
                dict.extend(items);
                Ok(())
            }
            Some(Value::Object(_)) => Ok(()),
            Some(other) => Err(format!("an instruction to set an item of {}", other.kind()).into()),
            None => Err("no dict".into()),
        }
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Fault> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a key without a value".into());
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}

/// A name that is not on the list, where it occurs or where it is called.
fn refused(name: &str) -> Fault {
    format!(
        "refused: it asks for `{}`, which is not on the list of what tensors need. Nothing of it was run. \
         If you trust the file, load it with torch and save its state_dict",
        name.escape_debug()
    )
    .into()
}

fn text(bytes: Vec<u8>) -> Result<Value, Fault> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Value::Str(text.into())),
        Err(error) if has_surrogates(error.as_bytes()) => Ok(Value::Other("a string")),
        Err(_) => Err("a string that is not UTF-8".into()),
    }
}

/// Whether bytes are UTF-8 but for surrogates, which Python's strings may have and no tensor's name does.
fn has_surrogates(mut bytes: &[u8]) -> bool {
    while let Err(error) = std::str::from_utf8(bytes) {
        match bytes.get(error.valid_up_to()..) {
            Some([0xed, 0xa0..=0xbf, 0x80..=0xbf, rest @ ..]) => bytes = rest,
            _ => return false,
        }
    }
    true
}

fn bytes(input: &mut Input<'_>, len: u64) -> Result<Value, Fault> {
    input.bytes(len)?;
    Ok(Value::Other("bytes"))
}

/// An integer, little-endian in two's complement; no tensor needs one of more than sixteen bytes.
fn long(bytes: &[u8]) -> Value {
    let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; 16];
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Value::Int(i128::from_le_bytes(wide))
        }
        None => Value::Other("a large int"),
    }
}
