//! Hands kernels to a device: a GPU, or the emulator.

use std::ffi::{CStr, CString, c_char, c_int, c_longlong, c_void};

use anyhow::{Result, anyhow};

use crate::kernels::list::{Facts, Kernel};

/// Blocks of a launch: columns and rows.
pub type Grid = (u32, u32);

/// Takes kernels, in the order in which they are to run.
pub trait Launch: Send + Sync {
    /// Hands a kernel over. Does not wait for a GPU.
    ///
    /// # Errors
    /// The device's reason, in one line.
    ///
    /// # Safety
    /// `parameter` must point to what the kernel takes, whose addresses must be of memory on the
    /// device that stays until the kernel is done.
    unsafe fn launch_raw(&self, kernel: &Facts, grid: Grid, parameter: *const c_void)
    -> Result<()>;

    /// Whether the device can run it.
    fn has(&self, _kernel: &Facts) -> bool {
        true
    }

    /// Launches what nothing needs before [`join`](Self::join): it may run beside what is launched
    /// after it.
    ///
    /// # Errors
    /// Those of the launches.
    fn aside(&self, launches: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        launches()
    }

    /// Has what is launched next follow all that was launched aside.
    ///
    /// # Errors
    /// The device's reason, in one line.
    fn join(&self) -> Result<()> {
        Ok(())
    }
}

impl dyn Launch + '_ {
    /// The same with what the kernel takes.
    ///
    /// # Safety
    /// As [`Launch::launch_raw`].
    pub unsafe fn launch<P>(&self, kernel: &Kernel<P>, grid: Grid, parameter: &P) -> Result<()> {
        // SAFETY: of the right type; the caller answers for the addresses.
        unsafe { self.launch_raw(&kernel.facts, grid, std::ptr::from_ref(parameter).cast()) }
    }
}

unsafe extern "C" {
    fn resnet_emulator_parameter_bytes(name: *const c_char) -> usize;
    fn resnet_emulator_launch(
        name: *const c_char,
        columns: c_int,
        rows: c_int,
        shared_bytes: c_int,
        order: c_int,
        parameter: *const c_void,
        counts: *mut c_longlong,
    ) -> *const c_char;
}

/// In which order the emulator runs threads and blocks (emulate.h). A right kernel gives the same
/// bits in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Order {
    /// All warps in step; blocks first to last.
    InStep = 0,
    /// Each warp as far as it comes, first to last; blocks last to first.
    RunAhead = 1,
    /// The same, last to first; blocks mixed.
    RunBehind = 2,
}

impl Order {
    /// All of them.
    pub const ALL: [Order; 3] = [Order::InStep, Order::RunAhead, Order::RunBehind];
}

/// What the emulator counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of matrices, by warps.
    pub multiplications: i64,
    /// Of 8×8 matrices from shared memory.
    pub matrix_loads: i64,
    /// That these took over the banks.
    pub passes: i64,
}

/// Runs kernels on the CPU, to test them: some thousand times slower than a GPU.
#[derive(Debug, Clone, Copy)]
pub struct Emulator {
    /// Of threads and blocks.
    pub order: Order,
}

impl Emulator {
    /// Runs a kernel, and counts.
    ///
    /// # Errors
    /// What is wrong with the kernel.
    ///
    /// # Safety
    /// As [`Launch::launch_raw`].
    pub unsafe fn run(
        self,
        name: &str,
        grid: Grid,
        shared_bytes: u32,
        parameter: *const c_void,
    ) -> Result<Counts> {
        let text = CString::new(name)?;
        let mut counts = [0; 3];
        // SAFETY: the caller answers for the parameter; the message lives until this thread's next
        // launch.
        let failure = unsafe {
            let failure = resnet_emulator_launch(
                text.as_ptr(),
                grid.0 as c_int,
                grid.1 as c_int,
                shared_bytes as c_int,
                self.order as c_int,
                parameter,
                counts.as_mut_ptr(),
            );
            (!failure.is_null()).then(|| CStr::from_ptr(failure).to_string_lossy().into_owned())
        };
        match failure {
            Some(failure) => Err(anyhow!("emulated kernel {name}: {failure}")),
            None => {
                let [multiplications, matrix_loads, passes] = counts;
                Ok(Counts { multiplications, matrix_loads, passes })
            }
        }
    }

    /// Bytes of what a kernel takes, as the emulator's copy of it has it; 0 for no kernel.
    pub fn parameter_bytes(name: &str) -> usize {
        let text = CString::new(name).unwrap_or_default();
        // SAFETY: looks the name up.
        unsafe { resnet_emulator_parameter_bytes(text.as_ptr()) }
    }
}

impl Launch for Emulator {
    unsafe fn launch_raw(
        &self,
        kernel: &Facts,
        grid: Grid,
        parameter: *const c_void,
    ) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { self.run(kernel.name, grid, kernel.shared_bytes, parameter) }.map(|_| ())
    }
}
