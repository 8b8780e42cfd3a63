//! A terminal of a given width, and what a program draws on it.

use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A program at work on a terminal of its own.
pub struct OnTerminal {
    pub child: Child,
    written: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl OnTerminal {
    /// Starts `command` with stdout and stderr on a terminal of so many columns.
    pub fn start(mut command: Command, columns: u16) -> OnTerminal {
        let (mut ours, mut theirs) = (0, 0);
        let size = libc::winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: both places take a file descriptor, which is owned from here on.
        let (ours, theirs) = unsafe {
            let opened = libc::openpty(
                &mut ours,
                &mut theirs,
                std::ptr::null_mut(),
                std::ptr::null(),
                &size,
            );
            assert_eq!(opened, 0, "no terminal can be opened");
            (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
        };
        // SAFETY: a flag of a file descriptor that is open. The program must not inherit our end.
        unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
        let child = command.spawn().unwrap();
        // The command holds the other end open as long as it lives here.
        drop(command);
        let written = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&written);
        let mut ours = std::fs::File::from(ours);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal that nobody writes to any more ends in an error.
            while let Ok(count @ 1..) = ours.read(&mut buffer) {
                kept.lock().unwrap().extend(&buffer[..count]);
            }
        });
        OnTerminal { child, written, reader }
    }

    /// Waits for the end: how the program ended, and all that it wrote.
    pub fn finish(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        let written = self.written.lock().unwrap();
        (status, String::from_utf8_lossy(&written).into_owned())
    }
}

/// The lines that were drawn on a terminal of so many columns, in order, without colours: what
/// stands between line breaks and movements of the cursor. A line that is full ends there.
pub fn drawn_lines(text: &str, columns: u16) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' | '\n' => lines.push(String::new()),
            '\x1b' => {
                // "ESC [ 1 ; 2 m": up to the letter that names what is done.
                let what = letters.by_ref().find(char::is_ascii_alphabetic);
                if what != Some('m') {
                    lines.push(String::new());
                }
            }
            letter => {
                if lines.last().unwrap().chars().count() == usize::from(columns) {
                    lines.push(String::new());
                }
                lines.last_mut().unwrap().push(letter);
            }
        }
    }
    lines.iter().map(|line| line.trim_end().to_string()).filter(|line| !line.is_empty()).collect()
}
