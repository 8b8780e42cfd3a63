//! libtorch's store, through which the processes of a run find one another, and its Gloo, which
//! moves tensors in main memory from one to another.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::time::Duration;

use anyhow::{Result, anyhow};
use tch::{Device, Tensor};

use crate::distributed::exchange::Exchange;
use crate::system::shared_library;

/// The longest value that is read from a store, in bytes.
const LONGEST: usize = 1024;

unsafe extern "C" {
    fn resnet_gloo_error() -> *const c_char;
    fn resnet_store_open(host: *const c_char, port: u16, serve: bool, limit_ms: i64)
    -> *mut c_void;
    fn resnet_store_set(store: *mut c_void, key: *const c_char, value: *const c_char) -> bool;
    fn resnet_store_get(
        store: *mut c_void,
        key: *const c_char,
        value: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn resnet_store_close(store: *mut c_void);
    fn resnet_gloo_join(
        store: *mut c_void,
        prefix: *const c_char,
        rank: c_int,
        world: c_int,
        limit_ms: i64,
        interface: *const c_char,
        address: *const c_char,
    ) -> *mut c_void;
    fn resnet_gloo_all_to_all(gloo: *mut c_void, output: *mut c_void, input: *mut c_void) -> bool;
    fn resnet_gloo_all_gather(gloo: *mut c_void, output: *mut c_void, input: *mut c_void) -> bool;
    fn resnet_gloo_leave(gloo: *mut c_void);
}

/// The first line of this thread's last error.
fn failure() -> anyhow::Error {
    // SAFETY: gloo.cpp keeps the text until this thread's next call.
    anyhow!(unsafe { shared_library::failure(resnet_gloo_error) })
}

fn checked(done: bool) -> Result<()> {
    if done { Ok(()) } else { Err(failure()) }
}

fn milliseconds(limit: Duration) -> i64 {
    i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)
}

/// Keys and values that all processes of a run see.
pub struct Store {
    handle: *mut c_void,
}

// SAFETY: the store has a lock of its own around each call.
unsafe impl Send for Store {}

impl Store {
    /// The store at `host:port`, as its server, or as a client that waits for the server at most
    /// `limit`.
    pub fn open(host: &str, port: u16, serve: bool, limit: Duration) -> Result<Store> {
        let host = CString::new(host)?;
        // SAFETY: the string lives until the call returns.
        let handle = unsafe { resnet_store_open(host.as_ptr(), port, serve, milliseconds(limit)) };
        if handle.is_null() { Err(failure()) } else { Ok(Store { handle }) }
    }

    /// Writes a value.
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (CString::new(key)?, CString::new(value)?);
        // SAFETY: the handle is a live store's, the strings live until the call returns.
        checked(unsafe { resnet_store_set(self.handle, key.as_ptr(), value.as_ptr()) })
    }

    /// The value of `key`, which is waited for.
    pub fn get(&self, key: &str) -> Result<String> {
        let key = CString::new(key)?;
        let mut value = vec![0u8; LONGEST];
        // SAFETY: the handle is a live store's, and the buffer has the length that is given.
        checked(unsafe {
            resnet_store_get(self.handle, key.as_ptr(), value.as_mut_ptr().cast(), LONGEST)
        })?;
        Ok(CStr::from_bytes_until_nul(&value)?.to_string_lossy().into_owned())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the handle is not used again.
        unsafe { resnet_store_close(self.handle) }
    }
}

/// This process among those that exchange tensors in main memory.
pub struct Gloo {
    handle: *mut c_void,
    world: usize,
}

impl Gloo {
    /// Joins the others, which find one another by keys that begin with `prefix`. They talk over
    /// the network interface that `GLOO_SOCKET_IFNAME` names, else over this machine's `address`.
    /// An exchange that takes longer than `limit` fails.
    pub fn join(
        store: &Store,
        prefix: &str,
        (rank, world): (usize, usize),
        limit: Duration,
        address: &str,
    ) -> Result<Gloo> {
        let prefix = CString::new(prefix)?;
        let interface = CString::new(std::env::var("GLOO_SOCKET_IFNAME").unwrap_or_default())?;
        let address = CString::new(address)?;
        // SAFETY: the store is live, and the strings live until the call returns.
        let handle = unsafe {
            resnet_gloo_join(
                store.handle,
                prefix.as_ptr(),
                c_int::try_from(rank)?,
                c_int::try_from(world)?,
                milliseconds(limit),
                interface.as_ptr(),
                address.as_ptr(),
            )
        };
        if handle.is_null() { Err(failure()) } else { Ok(Gloo { handle, world }) }
    }
}

impl Exchange for Gloo {
    fn world(&self) -> usize {
        self.world
    }

    fn device(&self) -> Device {
        Device::Cpu
    }

    fn all_to_all(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = input.empty_like();
        let input = input.as_ptr().cast_mut().cast();
        // SAFETY: live tensors of equal size.
        checked(unsafe { resnet_gloo_all_to_all(self.handle, output.as_mut_ptr().cast(), input) })?;
        Ok(output)
    }

    fn all_gather(&self, own: &Tensor) -> Result<Tensor> {
        let count = own.size()[0] * self.world as i64;
        let mut output = Tensor::empty([count], (own.kind(), own.device()));
        let own = own.as_ptr().cast_mut().cast();
        // SAFETY: live tensors, the output `world` times as long as the input.
        checked(unsafe { resnet_gloo_all_gather(self.handle, output.as_mut_ptr().cast(), own) })?;
        Ok(output)
    }

    fn wait(&self) -> Result<()> {
        // Each was waited for.
        Ok(())
    }
}

impl Drop for Gloo {
    fn drop(&mut self) {
        // SAFETY: the handle is not used again.
        unsafe { resnet_gloo_leave(self.handle) }
    }
}
