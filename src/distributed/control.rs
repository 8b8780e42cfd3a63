//! The connections between rank 0 and each of the others, over which they agree, and by which each
//! notices that another has ended or stands still.
//!
//! Threads of their own read them and send a sign of life each second. What goes wrong is told
//! once, by rank and host, to whoever waits for a message; a process whose training waits for
//! something else (an exchange of tensors, a GPU) ends a little later all the same.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::distributed::frame::{Frame, pack, unpack};
use crate::distributed::meeting::Meeting;
use crate::distributed::patience::Patience;
use crate::distributed::place::Place;
use crate::distributed::shared::{BEAT, GRACE, LastWords, STUCK, Shared, locked};

/// How long an exchange that failed waits to hear which rank is to blame.
const BLAME: Duration = Duration::from_secs(2);

/// How much longer ranks other than 0 wait, which cannot tell who is missing.
const DEFERENCE: Duration = Duration::from_secs(30);

/// A message, or the word that there will be no more.
enum Event {
    Data(usize, Vec<u8>),
    Failed,
}

/// Reads what rank `rank` sends until its connection ends.
fn listen(rank: usize, mut stream: TcpStream, sender: &Sender<Event>, shared: &Shared) {
    let reason = loop {
        match Frame::read(&mut stream) {
            Ok(Frame::Beat) => {}
            Ok(Frame::Data(bytes)) => {
                let _ = sender.send(Event::Data(rank, bytes));
            }
            Ok(Frame::Failed(reason)) => break reason,
            Err(error) => break lost(&shared.named(rank), &error, shared.limit),
        }
    };
    if shared.ended.load(Ordering::Relaxed) {
        return;
    }
    shared.decide(&reason);
    let _ = sender.send(Event::Failed);
    shared.end_soon();
}

/// What it means that a rank's messages end.
fn lost(named: &str, error: &io::Error, limit: Duration) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("{named} has not answered for {} s", limit.as_secs())
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => format!("{named} has ended unexpectedly"),
        _ => format!("{named} cannot be reached any more ({error})"),
    }
}

/// Shows rank `rank` that this one is alive, and ends it if its training waits too long.
fn beat(rank: usize, shared: &Shared) {
    let every = BEAT.min(shared.limit / 4);
    // A connection that ends is noticed by the reader.
    while shared.send(rank, &Frame::Beat).is_ok() {
        std::thread::sleep(every);
        if let Some(reason) = shared.stuck() {
            shared.decide(&reason);
            shared.end_soon();
        }
    }
}

/// Messages that have come.
struct Inbox {
    receiver: Receiver<Event>,
    /// Of each rank, those that are not asked for yet.
    waiting: Vec<VecDeque<Vec<u8>>>,
}

/// The connections of this rank.
pub struct Control {
    shared: Arc<Shared>,
    inbox: Mutex<Inbox>,
    readers: Vec<JoinHandle<()>>,
}

impl Control {
    /// Takes over the connections of a meeting. A rank that shows no sign of life for `limit` has
    /// gone.
    pub fn new(place: &Place, meeting: Meeting, limit: Duration) -> Result<Control> {
        let mut writers = Vec::new();
        for (rank, stream) in &meeting.streams {
            writers.push((*rank, Mutex::new(stream.try_clone()?)));
        }
        let shared = Arc::new(Shared {
            rank: place.rank,
            world: place.world,
            hosts: meeting.hosts,
            limit,
            verdict: Mutex::new(None),
            reached: Condvar::new(),
            ended: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            iteration: AtomicU64::new(0),
            patience: Patience::new(if place.is_first() { STUCK } else { STUCK + DEFERENCE }),
            writers,
            last_words: Mutex::new(None),
        });
        let (sender, receiver) = channel();
        let mut readers = Vec::new();
        for (rank, stream) in meeting.streams {
            let (sender, of_reader) = (sender.clone(), Arc::clone(&shared));
            let reader = move || listen(rank, stream, &sender, &of_reader);
            readers.push(std::thread::Builder::new().spawn(reader)?);
            let of_beat = Arc::clone(&shared);
            std::thread::Builder::new().spawn(move || beat(rank, &of_beat))?;
        }
        let waiting = (0..place.world).map(|_| VecDeque::new()).collect();
        Ok(Control { shared, inbox: Mutex::new(Inbox { receiver, waiting }), readers })
    }

    /// Of each rank.
    pub fn hosts(&self) -> &[String] {
        &self.shared.hosts
    }

    /// Says which iteration is begun, for messages.
    pub fn at(&self, iteration: u64) {
        self.shared.iteration.store(iteration, Ordering::Relaxed);
    }

    /// Has `last_words` called with the reason if the process must be ended while its training
    /// waits for something that does not come.
    pub fn before_the_end(&self, last_words: LastWords) {
        *locked(&self.shared.last_words) = Some(last_words);
    }

    /// Says that tensors are exchanged from now on, which takes until the next message of all, or
    /// until [`exchanged`](Self::exchanged).
    pub fn exchanging(&self) {
        self.shared.patience.begin();
    }

    /// Says that the others have taken part.
    pub fn exchanged(&self) {
        self.shared.patience.end();
    }

    /// Does what waits for a device that may wait for the other ranks.
    pub fn watched<T>(&self, work: impl FnOnce() -> T) -> T {
        self.exchanging();
        let result = work();
        self.exchanged();
        result
    }

    /// The next message of rank `rank`, waited for.
    fn receive(&self, rank: usize) -> Result<Vec<u8>> {
        self.shared.patience.is_for(rank);
        let mut inbox = locked(&self.inbox);
        loop {
            if let Some(message) = inbox.waiting[rank].pop_front() {
                return Ok(message);
            }
            match inbox.receiver.recv() {
                Ok(Event::Data(from, message)) => inbox.waiting[from].push_back(message),
                Ok(Event::Failed) | Err(_) => return Err(self.blame(anyhow!("no more messages"))),
            }
        }
    }

    fn send(&self, rank: usize, message: Vec<u8>) -> Result<()> {
        self.shared.send(rank, &Frame::Data(message)).map_err(|error| self.blame(error.into()))
    }

    /// The error of an exchange, or better, which rank is to blame for it.
    pub fn blame(&self, error: anyhow::Error) -> anyhow::Error {
        match self.shared.reason(BLAME) {
            Some(reason) => self.shared.failure(&reason),
            None => self.shared.failure(&format!("the ranks cannot go on ({error:#})")),
        }
    }

    /// The messages of all ranks, in their order, everywhere.
    pub fn share(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let shared = &self.shared;
        // Before the training, one rank may have much to do.
        if shared.iteration.load(Ordering::Relaxed) > 0 {
            shared.patience.begin();
        }
        let messages = self.collect(own);
        shared.patience.end();
        messages
    }

    fn collect(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let world = self.shared.world;
        if self.shared.rank > 0 {
            self.send(0, own)?;
            let packed = self.receive(0)?;
            return unpack(&packed)
                .filter(|messages| messages.len() == world)
                .context("rank 0 sent something else than what was agreed");
        }
        let mut messages = vec![own];
        for rank in 1..world {
            messages.push(self.receive(rank)?);
        }
        self.tell(&pack(&messages))?;
        Ok(messages)
    }

    /// From rank 0, to all others.
    fn tell(&self, message: &[u8]) -> Result<()> {
        (1..self.shared.world).try_for_each(|rank| self.send(rank, message.to_vec()))
    }

    /// What rank 0 says, everywhere; only there `own` is asked for.
    pub fn from_first(&self, own: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        // Rank 0 may take its time.
        self.shared.patience.end();
        if self.shared.rank > 0 {
            return self.receive(0);
        }
        let message = own()?;
        self.tell(&message)?;
        Ok(message)
    }

    /// Tells the other ranks why this one ends, unless they know of another reason.
    pub fn fail(&self, reason: &str) {
        if self.shared.ended.load(Ordering::Relaxed) {
            return;
        }
        let named = self.shared.named(self.shared.rank);
        self.shared.decide(&format!("{named} failed: {reason}"));
    }

    /// Waits until all ranks have come here, and ends the connections.
    pub fn end(&self) -> Result<()> {
        let shared = &self.shared;
        if shared.rank > 0 {
            self.share(Vec::new())?;
            shared.ended.store(true, Ordering::Relaxed);
            // Rank 0 waits for this.
            for (_, writer) in &shared.writers {
                let _ = locked(writer).shutdown(Shutdown::Write);
            }
            return Ok(());
        }
        shared.patience.begin();
        for rank in 1..shared.world {
            self.receive(rank)?;
        }
        shared.patience.end();
        // From here on the others may go.
        shared.ended.store(true, Ordering::Relaxed);
        self.tell(&pack(&vec![Vec::new(); shared.world]))?;
        // A process that ends with messages unread would take back what it sent last.
        let deadline = Instant::now() + GRACE;
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
