//! What the compiler's log says: of each kernel, or of a mistake.

use anyhow::{Result, bail};

/// What a kernel needs of a multiprocessor, as the compiler reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The kernel's name in the machine code.
    pub name: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes that a thread stores to and loads from memory for want of registers, those of
    /// functions that are not inlined included.
    pub spilled_bytes: u32,
    /// Bytes of a thread's local memory for arrays that are not in registers, functions included.
    pub stack_bytes: u32,
    /// Shared memory of a block, without what a launch adds.
    pub shared_bytes: u32,
}

/// What the log of `--ptxas-options=-v` says of each kernel.
pub fn usages(log: &str) -> Result<Vec<Usage>> {
    let mut usages = Vec::new();
    for part in log.split("Compiling entry function '").skip(1) {
        let (name, said) = part.split_once('\'').unwrap_or((part, ""));
        let registers = said.split_once("Used ").and_then(|(_, rest)| number(rest));
        let told = ["bytes stack frame", "bytes spill stores", "bytes spill loads"];
        let told = told.map(|what| before(said, what));
        let (Some(registers), [Some(stack_bytes), Some(stores), Some(loads)]) = (registers, told)
        else {
            bail!("{name}: its registers and spills are not told");
        };
        let shared_bytes = before(said, "bytes smem").unwrap_or(0);
        let name = name.to_string();
        let spilled_bytes = stores + loads;
        usages.push(Usage { name, registers, spilled_bytes, stack_bytes, shared_bytes });
    }
    Ok(usages)
}

/// The sum of the numbers that stand before `what`, if it is there.
fn before(text: &str, what: &str) -> Option<u32> {
    let mut parts: Vec<&str> = text.split(what).collect();
    parts.pop();
    let numbers = parts.iter().map(|part| part.split_whitespace().last()?.parse::<u32>().ok());
    (!parts.is_empty()).then(|| numbers.sum())?
}

fn number(text: &str) -> Option<u32> {
    text.split_whitespace().next()?.parse().ok()
}

/// The first line of a log that tells of an error.
pub fn first_error(log: &str) -> Option<&str> {
    let is_error = |line: &&str| line.contains("error") && !line.contains("warning");
    log.lines().find(is_error).or_else(|| log.lines().find(|line| !line.is_empty()))
}
