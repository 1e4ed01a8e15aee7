//! Runs PTX as it is shipped, one thread after another up to each barrier: the part of PTX ISA 8.0 that our kernels use,
//! and an error for everything else.
//!
//! Memory is one space of 64-bit addresses: what the host gives from [`GLOBAL`] on, a block's shared variables from
//! [`SHARED`] on. Registers hold 64 bits, whatever their type; narrower results are cut off.

use std::collections::HashMap;

/// Where the host's memory begins.
pub const GLOBAL: u64 = 1 << 32;
const SHARED: u64 = 1 << 48;

/// A kernel, decoded.
pub struct Kernel {
    code: Vec<Instruction>,
    registers: usize,
    shared_bytes: usize,
}

struct Instruction {
    text: String,
    guard: Option<(usize, bool)>,
    /// The parts of its name: `setp`, `lt`, `u32`.
    name: Vec<String>,
    operands: Vec<Operand>,
}

#[derive(Clone, Debug)]
enum Operand {
    Register(usize),
    Number(u64),
    /// A register, or none, and what is added to it.
    Address(Option<usize>, u64),
    Vector(Vec<usize>),
    Target(usize),
    Special(Special),
}

#[derive(Clone, Copy, Debug)]
enum Special {
    Thread,
    BlockThreads,
    Block,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Ready,
    AtWarp,
    AtBlock,
    Done,
}

struct Thread {
    registers: Vec<u64>,
    at: usize,
    state: State,
}

impl Kernel {
    /// Decodes the kernel with a name.
    pub fn decode(ptx: &str, name: &str) -> Kernel {
        let start = ptx.find(&format!(".entry {name}(")).unwrap_or_else(|| panic!("no kernel {name}"));
        let body = &ptx[start..];
        let body = &body[body.find('{').expect("a body")..body.find("\n}").expect("its end")];
        Decoder::default().decode(body, name)
    }

    /// Runs `blocks` blocks of `threads` threads over `memory`, which lies at [`GLOBAL`].
    pub fn run(&self, blocks: u32, threads: u32, parameters: &[u64], memory: &mut [u8]) {
        for block in 0..blocks {
            let mut shared = vec![0xA5; self.shared_bytes];
            let mut all: Vec<Thread> = (0..threads)
                .map(|_| Thread { registers: vec![0; self.registers], at: 0, state: State::Ready })
                .collect();
            while all.iter().any(|thread| thread.state != State::Done) {
                for (number, thread) in all.iter_mut().enumerate() {
                    let place = [number as u64, u64::from(threads), u64::from(block)];
                    let mut machine = Machine { place, parameters, memory, shared: &mut shared };
                    while thread.state == State::Ready {
                        machine.step(&self.code[thread.at], thread);
                    }
                }
                let warps = all.chunks_mut(32).map(|warp| release(warp, State::AtWarp));
                let moved = warps.fold(false, |moved, released| moved | released);
                let left = all.iter().any(|thread| thread.state != State::Done);
                assert!(moved || release(&mut all, State::AtBlock) || !left, "a barrier that not all threads reach");
            }
        }
    }
}

/// Lets threads go on that all wait at the same barrier, but for those that are done.
fn release(threads: &mut [Thread], barrier: State) -> bool {
    let waiting = threads.iter().filter(|thread| thread.state == barrier).count();
    let left = threads.iter().filter(|thread| thread.state != State::Done).count();
    if waiting == 0 || waiting < left {
        return false;
    }
    threads.iter_mut().filter(|thread| thread.state == barrier).for_each(|thread| thread.state = State::Ready);
    true
}

#[derive(Default)]
struct Decoder {
    registers: HashMap<String, usize>,
    shared: HashMap<String, u64>,
    shared_bytes: usize,
    labels: HashMap<String, usize>,
}

impl Decoder {
    fn decode(mut self, body: &str, kernel: &str) -> Kernel {
        let mut lines = Vec::new();
        for line in body.lines().map(|line| line.split("//").next().unwrap_or_default().trim()) {
            if let Some(label) = line.strip_suffix(':') {
                self.labels.insert(label.to_owned(), lines.len());
            } else if line.starts_with(".shared") {
                self.declare_shared(line);
            } else if !line.is_empty() && line != "{" && !line.starts_with('.') {
                lines.push(line.trim_end_matches(';'));
            }
        }
        let code = lines.iter().map(|line| self.instruction(line, kernel)).collect();
        Kernel { code, registers: self.registers.len(), shared_bytes: self.shared_bytes }
    }

    /// `.shared .align 8 .b8 name[1024];`
    fn declare_shared(&mut self, line: &str) {
        let (head, length) = line.trim_end_matches("];").rsplit_once('[').expect("an array of bytes");
        let name = head.rsplit(' ').next().expect("a name");
        self.shared_bytes = self.shared_bytes.next_multiple_of(8);
        self.shared.insert(name.to_owned(), SHARED + self.shared_bytes as u64);
        self.shared_bytes += length.parse::<usize>().expect("a length");
    }

    fn instruction(&mut self, line: &str, kernel: &str) -> Instruction {
        let (guard, rest) = match line.strip_prefix('@') {
            Some(guarded) => {
                let (predicate, rest) = guarded.split_once(' ').expect("an instruction behind its guard");
                let register = self.register(predicate.trim_start_matches('!'));
                (Some((register, !predicate.starts_with('!'))), rest.trim())
            }
            None => (None, line),
        };
        let (name, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let operands = split_operands(operands).iter().map(|text| self.operand(text, kernel)).collect();
        Instruction { text: line.to_owned(), guard, name: name.split('.').map(str::to_owned).collect(), operands }
    }

    fn register(&mut self, name: &str) -> usize {
        let next = self.registers.len();
        *self.registers.entry(name.to_owned()).or_insert(next)
    }

    fn operand(&mut self, text: &str, kernel: &str) -> Operand {
        match text {
            "%tid.x" => return Operand::Special(Special::Thread),
            "%ntid.x" => return Operand::Special(Special::BlockThreads),
            "%ctaid.x" => return Operand::Special(Special::Block),
            _ => {}
        }
        if let Some(inside) = text.strip_prefix('[') {
            return self.address(inside.trim_end_matches(']'), kernel);
        }
        if let Some(inside) = text.strip_prefix('{') {
            let names = inside.trim_end_matches('}').split(',');
            return Operand::Vector(names.map(|name| self.register(name.trim())).collect());
        }
        if text.starts_with('%') {
            return Operand::Register(self.register(text));
        }
        if let Some(target) = self.labels.get(text) {
            return Operand::Target(*target);
        }
        match self.shared.get(text) {
            Some(address) => Operand::Number(*address),
            None => Operand::Number(number(text)),
        }
    }

    fn address(&mut self, text: &str, kernel: &str) -> Operand {
        if let Some(index) = text.strip_prefix(&format!("{kernel}_param_")) {
            return Operand::Number(index.parse().expect("a parameter's number"));
        }
        let (base, offset) = text.split_once('+').unwrap_or((text, "0"));
        match self.shared.get(base) {
            Some(address) => Operand::Address(None, address.wrapping_add(number(offset))),
            None => Operand::Address(Some(self.register(base)), number(offset)),
        }
    }
}

/// At the commas that do not stand in braces.
fn split_operands(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(|c| {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn number(text: &str) -> u64 {
    let parsed = if let Some(digits) = text.strip_prefix("0d") {
        u64::from_str_radix(digits, 16).ok()
    } else if let Some(digits) = text.strip_prefix("0x") {
        u64::from_str_radix(digits, 16).ok()
    } else {
        text.parse::<i64>().ok().map(|number| number as u64)
    };
    parsed.unwrap_or_else(|| panic!("no number: {text}"))
}

/// What a thread sees beside its registers.
struct Machine<'a> {
    place: [u64; 3],
    parameters: &'a [u64],
    memory: &'a mut [u8],
    shared: &'a mut [u8],
}

impl Machine<'_> {
    fn step(&mut self, instruction: &Instruction, thread: &mut Thread) {
        thread.at += 1;
        if let Some((register, wanted)) = instruction.guard
            && (thread.registers[register] != 0) != wanted
        {
            return;
        }
        let name: Vec<&str> = instruction.name.iter().map(String::as_str).collect();
        match (name[0], &instruction.operands[..]) {
            ("ret", _) => thread.state = State::Done,
            ("bar", _) => thread.state = if name[1] == "warp" { State::AtWarp } else { State::AtBlock },
            ("bra", [Operand::Target(target)]) => thread.at = *target,
            ("ld", [to, Operand::Number(index)]) if name[1] == "param" => {
                set(thread, to, self.parameters[*index as usize], 64);
            }
            ("ld", [to, from]) => self.load(instruction, thread, to, from),
            ("st", [to, from]) => {
                let (address, value) = (self.address(thread, to), self.value(thread, from));
                let bytes = width(name.last().expect("a type")) / 8;
                self.slice(address, bytes).copy_from_slice(&value.to_le_bytes()[..bytes]);
            }
            (_, [to, from @ ..]) => {
                let values: Vec<u64> = from.iter().map(|operand| self.value(thread, operand)).collect();
                let (result, bits) =
                    compute(&name, &values).unwrap_or_else(|| panic!("not known: {}", instruction.text));
                set(thread, to, result, bits);
            }
            _ => panic!("not known: {}", instruction.text),
        }
    }

    fn load(&mut self, instruction: &Instruction, thread: &mut Thread, to: &Operand, from: &Operand) {
        let address = self.address(thread, from);
        let bytes = width(instruction.name.last().expect("a type")) / 8;
        let mut read = |address: u64| {
            let mut word = [0; 8];
            word[..bytes].copy_from_slice(self.slice(address, bytes));
            u64::from_le_bytes(word)
        };
        match to {
            Operand::Register(register) => thread.registers[*register] = read(address),
            Operand::Vector(registers) => {
                for (register, at) in registers.iter().zip((address..).step_by(bytes)) {
                    thread.registers[*register] = read(at);
                }
            }
            _ => panic!("not known: {}", instruction.text),
        }
    }

    /// Memory at an address that is a multiple of its length.
    fn slice(&mut self, address: u64, bytes: usize) -> &mut [u8] {
        assert!(address.is_multiple_of(bytes as u64), "{bytes} bytes at {address:#x}");
        let (space, base) = if address >= SHARED { (&mut *self.shared, SHARED) } else { (&mut *self.memory, GLOBAL) };
        let start = address.checked_sub(base).expect("an address of ours") as usize;
        space.get_mut(start..start + bytes).unwrap_or_else(|| panic!("{bytes} bytes outside, at {address:#x}"))
    }

    fn address(&self, thread: &Thread, operand: &Operand) -> u64 {
        match operand {
            Operand::Address(base, offset) => base.map_or(0, |base| thread.registers[base]).wrapping_add(*offset),
            _ => panic!("no address: {operand:?}"),
        }
    }

    fn value(&self, thread: &Thread, operand: &Operand) -> u64 {
        match operand {
            Operand::Register(register) => thread.registers[*register],
            Operand::Number(number) => *number,
            Operand::Special(special) => self.place[*special as usize],
            _ => panic!("no value: {operand:?}"),
        }
    }
}

fn set(thread: &mut Thread, to: &Operand, value: u64, bits: usize) {
    let Operand::Register(register) = to else { panic!("no register: {to:?}") };
    thread.registers[*register] = cut(value, bits);
}

fn cut(value: u64, bits: usize) -> u64 {
    if bits == 64 { value } else { value & ((1 << bits) - 1) }
}

fn signed(value: u64, bits: usize) -> i64 {
    (value << (64 - bits)) as i64 >> (64 - bits)
}

/// Bits of a type: `u32`, `b64`, `pred`.
fn width(kind: &str) -> usize {
    if kind == "pred" { 1 } else { kind[1..].parse().unwrap_or_else(|_| panic!("no type: {kind}")) }
}

/// The result of an instruction on values, and how many bits of it count.
fn compute(name: &[&str], v: &[u64]) -> Option<(u64, usize)> {
    let kind = *name.last()?;
    let bits = width(kind);
    let f = |at: usize| f64::from_bits(v[at]);
    let float = |value: f64| Some((value.to_bits(), 64));
    match (name[0], kind, v) {
        ("fma", "f64", [..]) => float(f(0).mul_add(f(1), f(2))),
        ("mul", "f64", [..]) => float(f(0) * f(1)),
        ("add", "f64", [..]) => float(f(0) + f(1)),
        ("sub", "f64", [..]) => float(f(0) - f(1)),
        ("neg", "f64", [..]) => float(-f(0)),
        // Of two numbers the smaller; neither is a NaN here.
        ("min", "f64", [..]) => float(if f(0) < f(1) { f(0) } else { f(1) }),
        ("cvt", "u64", [..]) if name[1..] == ["rn", "f64", "u64"] => float(v[0] as f64),
        // To the first type, from the second.
        ("cvt", _, [a]) => Some((cut(*a, bits), width(name[1]))),
        ("mov" | "cvta", _, [a]) => Some((*a, bits)),
        ("add", _, [a, b]) => Some((a.wrapping_add(*b), bits)),
        ("sub", _, [a, b]) => Some((a.wrapping_sub(*b), bits)),
        ("neg", _, [a]) => Some((a.wrapping_neg(), bits)),
        ("mul", _, [a, b]) if name[1] == "lo" => Some((a.wrapping_mul(*b), bits)),
        ("mul", "u32", [a, b]) if name[1] == "wide" => Some((cut(*a, 32) * cut(*b, 32), 64)),
        ("mad", _, [a, b, c]) if name[1] == "lo" => Some((a.wrapping_mul(*b).wrapping_add(*c), bits)),
        ("and", _, [a, b]) => Some((a & b, bits)),
        ("or", _, [a, b]) => Some((a | b, bits)),
        ("xor", _, [a, b]) => Some((a ^ b, bits)),
        ("shl", _, [a, b]) => Some((if *b < bits as u64 { a << b } else { 0 }, bits)),
        ("shr", "u16" | "u32" | "u64", [a, b]) => Some((if *b < bits as u64 { cut(*a, bits) >> b } else { 0 }, bits)),
        // The upper half of the pair, shifted left.
        ("shf", "b32", [a, b, c]) if name[1..3] == ["l", "wrap"] => {
            Some(((cut(*b, 32) << 32 | cut(*a, 32)) << (c & 31) >> 32, 32))
        }
        ("bfi", "b64", [a, b, at, length]) => {
            let mask = cut(u64::MAX, *length as usize) << at;
            Some((b & !mask | (a << at) & mask, 64))
        }
        ("selp", _, [a, b, p]) => Some((if *p != 0 { *a } else { *b }, bits)),
        ("setp", _, [a, b]) => {
            let order = match kind.as_bytes()[0] {
                b's' => signed(*a, bits).cmp(&signed(*b, bits)),
                _ => cut(*a, bits).cmp(&cut(*b, bits)),
            };
            let holds = match name[1] {
                "eq" => order.is_eq(),
                "ne" => order.is_ne(),
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                "ge" => order.is_ge(),
                _ => return None,
            };
            Some((holds.into(), 1))
        }
        _ => None,
    }
}
