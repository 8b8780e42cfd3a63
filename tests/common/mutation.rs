//! A seeded mutator, and what became of its inputs.
#![allow(dead_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// No input may take longer: of this process's time on the cores, which others may share.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nor longer by the clock.
const HANG: Duration = Duration::from_secs(600);

/// How many inputs: RESNET_REPRO_MUTATIONS, or `usual`.
pub fn count(usual: usize) -> usize {
    let count = std::env::var("RESNET_REPRO_MUTATIONS").ok();
    count.map_or(usual, |count| count.parse().expect("a whole number"))
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// One to four changes of the kinds that find most.
    pub fn mutated(&mut self, original: &[u8]) -> Vec<u8> {
        const EXTREMES: [&[u8]; 9] = [
            b"\0\0",
            b"\xff\xff",
            b"\x7f\xff",
            b"\xff\xff\xff\xff",
            b"\0\0\0\0\0\0\0\0",
            b"18446744073709551615",
            b"-1",
            b"../",
            b"\n",
        ];
        let mut bytes = original.to_vec();
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len());
            match self.below(7) {
                0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 if !bytes.is_empty() => bytes[at] = self.next() as u8,
                3 => bytes.truncate(at),
                4 => {
                    let extreme = self.of(&EXTREMES);
                    let end = (at + extreme.len()).min(bytes.len());
                    bytes.splice(at..end, extreme.iter().copied());
                }
                5 => {
                    let part = bytes[at..(at + self.below(64)).min(bytes.len())].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, part);
                }
                _ => {
                    let end = (at + self.below(64)).min(bytes.len());
                    bytes.drain(at..end);
                }
            }
        }
        bytes
    }

    /// A changed text whose form mostly holds: other values, lines twice, elsewhere or gone; and one
    /// in four with changes of any kind.
    pub fn mutated_text(&mut self, original: &str) -> Vec<u8> {
        const VALUES: [&str; 24] = [
            "0",
            "-1",
            "1",
            "1e308",
            "-1e308",
            "1e-320",
            "nan",
            "inf",
            "-inf",
            "NaN",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "99999999999999999999999999",
            "\"\"",
            "\"\\u0000\"",
            "[]",
            "{}",
            "true",
            "null",
            "resnet-9998",
            "10000000",
            "1970-01-01T00:00:00Z",
            "é",
        ];
        if self.below(4) == 0 {
            return self.mutated(original.as_bytes());
        }
        let mut text = original.to_string();
        for _ in 0..1 + self.below(3) {
            if self.below(3) > 0 {
                let value = self.of(&VALUES);
                self.replace_word(&mut text, value);
                continue;
            }
            let mut lines: Vec<&str> = text.lines().collect();
            let (from, to) = (self.below(lines.len()), self.below(lines.len()));
            match self.below(4) {
                _ if lines.is_empty() => {}
                0 => lines.insert(to, lines[from]),
                1 => drop(lines.remove(from)),
                2 => lines.swap(from, to),
                _ => {
                    // Several megabytes at most: a line may be one of those made so.
                    let most = (1 << 22) / (lines[from].len() + 1);
                    let part = lines[from].repeat(1 + self.below(2000).min(most));
                    text = [&lines[..to].join("\n"), &part[..], &lines[to..].join("\n")].join("\n");
                    continue;
                }
            }
            text = lines.join("\n") + "\n";
        }
        // Depth that a reader which calls itself for each level does not survive.
        if self.below(50) == 0 {
            let at = self.below(text.len());
            let at = (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            let open = self.of(&["[", "{\"a\":", "[[", "{a=", "(", "a."]);
            text.insert_str(at, &open.repeat(20_000));
        }
        text.into_bytes()
    }

    /// Puts `value` in place of one of the words between separators.
    fn replace_word(&mut self, text: &mut String, value: &str) {
        let is_end = |letter: char| " ,=:[]{}\n\"".contains(letter);
        let words: Vec<(usize, &str)> = text
            .split(is_end)
            .map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
            .filter(|(_, word)| !word.is_empty())
            .collect();
        if words.is_empty() {
            return;
        }
        let (start, word) = words[self.below(words.len())];
        let range = start..start + word.len();
        text.replace_range(range, value);
    }
}

/// When an input began, in this process's time on the cores.
#[derive(Clone, Copy)]
pub struct Start(Duration);

impl Start {
    pub fn now() -> Start {
        Start(time_on_cores())
    }
}

fn time_on_cores() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to a value that lives.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What happened to the mutations of one kind.
#[derive(Default)]
pub struct Outcome {
    pub read: usize,
    pub refused: usize,
    pub slowest: Duration,
}

impl Outcome {
    /// Notes how an input was taken; a refusal must be one line.
    pub fn add<T, E: std::fmt::Display>(&mut self, start: Start, result: Result<T, E>) {
        match result {
            Ok(_) => self.read += 1,
            Err(error) => {
                check_line(&format!("{error:#}"));
                self.refused += 1;
            }
        }
        self.slowest = self.slowest.max(time_on_cores() - start.0);
        assert!(self.slowest < PATIENCE, "{:?}", self.slowest);
    }

    /// Says how many inputs there were.
    pub fn tell(&self, what: &str) {
        let Outcome { read, refused, slowest } = self;
        println!("{what}: {read} read, {refused} refused, the slowest in {slowest:.1?}");
        assert!(*refused > 0, "{what}: nothing was refused");
    }
}

/// One line, and not one that only a program's author understands.
pub fn check_line(text: &str) {
    let is_line = !text.trim().is_empty() && !text.contains(['\n', '\r', '\x1b']);
    assert!(is_line && text.len() < 4000, "{text:?}");
}

/// Ends the test if an input takes too long, and holds its memory to `bytes` more than it takes now:
/// an allocation past that ends it as well. Either leaves the input in its folder.
pub struct Watch {
    /// When the input in progress began, in milliseconds since the watch was set.
    started: &'static AtomicU64,
    set: Instant,
}

impl Watch {
    pub fn set(bytes: u64) -> Watch {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let used = status.lines().find_map(|line| {
            line.strip_prefix("VmData:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
        });
        if let Some(used) = used {
            let most = used * 1024 + bytes;
            let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
            // SAFETY: sets a limit of this process from a value that lives.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) }, 0);
        }
        let watch = Watch { started: Box::leak(Box::new(AtomicU64::new(0))), set: Instant::now() };
        let (started, set) = (watch.started, watch.set);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(500));
                let now = set.elapsed().as_millis() as u64;
                let since = now.saturating_sub(started.load(Ordering::Relaxed));
                if since > HANG.as_millis() as u64 {
                    eprintln!("an input takes more than {HANG:?}");
                    std::process::abort();
                }
            }
        });
        watch
    }

    /// No input is in progress.
    pub fn rest(&self) {
        self.started.store(u64::MAX, Ordering::Relaxed);
    }

    /// The next input begins.
    pub fn next(&self) -> Start {
        self.started.store(self.set.elapsed().as_millis() as u64, Ordering::Relaxed);
        Start::now()
    }
}
