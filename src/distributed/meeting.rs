//! How the processes of a run meet: each connects to rank 0 and says what it would train, and all
//! begin, or none.

use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::console::words::listed;
use crate::distributed::frame::Frame;
use crate::distributed::gloo::Store;
use crate::distributed::place::Place;
use crate::error::bad_input;
use crate::system::host;

/// How long a process that has connected may take to say who it is.
const HELLO: Duration = Duration::from_secs(10);

/// How often it is looked whether another process came.
const POLL: Duration = Duration::from_millis(5);

/// Something that all processes must have the same of: what it is, and which.
pub type Fact = (String, String);

/// What a process says first.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Introduction {
    /// The number that rank 0 put into the store: it belongs to this run.
    token: String,
    rank: usize,
    host: String,
    facts: Vec<Fact>,
}

/// What rank 0 answers.
#[derive(Debug, Serialize, Deserialize)]
struct Welcome {
    /// Why none of them begins.
    refusal: Option<String>,
    /// Of each rank.
    hosts: Vec<String>,
    /// Of each rank, in the network.
    addresses: Vec<String>,
}

/// All have come, and would train the same.
pub struct Meeting {
    /// Of each rank.
    pub hosts: Vec<String>,
    /// This machine's address in the network of the others.
    pub address: String,
    /// Connections: on rank 0 to each of the others, there to rank 0.
    pub streams: Vec<(usize, TcpStream)>,
}

impl Meeting {
    /// Meets the others, which may take `limit` to come.
    ///
    /// # Errors
    /// [`BadInput`](crate::error::BadInput) if they have come to train something else, and others if
    /// one does not come.
    pub fn hold(
        place: &Place,
        store: &Store,
        facts: Vec<Fact>,
        limit: Duration,
    ) -> Result<Meeting> {
        let key = format!("{}/meeting", place.session);
        let mut own =
            Introduction { token: String::new(), rank: place.rank, host: host::name(), facts };
        if place.is_first() {
            let listener = listen().context("no port for the other ranks to connect to")?;
            own.token = token();
            store.set(&key, &format!("{} {}", listener.local_addr()?.port(), own.token))?;
            receive(place, &listener, own, limit)
        } else {
            let said = store.get(&key).with_context(|| {
                format!("rank {} of {}: no word of rank 0", place.rank, place.world)
            })?;
            let (port, token) = said.split_once(' ').context("rank 0 gave no port")?;
            own.token = token.to_string();
            let port = port.parse().context("rank 0 gave no port")?;
            join(place, port, &own, limit)
        }
    }
}

/// A port for connections from anywhere, by IPv6 and IPv4 where there is IPv6.
fn listen() -> io::Result<TcpListener> {
    TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"))
}

/// A number that no other run has.
fn token() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{:x}-{:x}", std::process::id(), since.map_or(0, |time| time.as_nanos()))
}

/// Ranks 2, 3 and 5.
fn named(ranks: &[usize]) -> String {
    let numbers: Vec<String> = ranks.iter().map(usize::to_string).collect();
    format!("{} {}", if ranks.len() == 1 { "rank" } else { "ranks" }, listed(&numbers))
}

/// Rank 0: waits for all others, and lets them begin, or not.
fn receive(
    place: &Place,
    listener: &TcpListener,
    own: Introduction,
    limit: Duration,
) -> Result<Meeting> {
    let deadline = Instant::now() + limit;
    listener.set_nonblocking(true)?;
    let mut come: Vec<Option<(Introduction, TcpStream)>> = (0..place.world).map(|_| None).collect();
    let mut twice = None;
    loop {
        let absent: Vec<usize> = (1..place.world).filter(|&rank| come[rank].is_none()).collect();
        if absent.is_empty() {
            break;
        }
        match listener.accept() {
            // One that is no rank of this run is let go.
            Ok((stream, _)) => {
                let Ok((other, stream)) = greeted(stream, &own.token, limit) else { continue };
                match come.get_mut(other.rank).filter(|_| other.rank > 0) {
                    Some(slot @ None) => *slot = Some((other, stream)),
                    _ => twice = Some(other),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() > deadline {
                    let twice = twice.map_or(String::new(), |other: Introduction| {
                        format!(", and two say that they are rank {}", other.rank)
                    });
                    bail!(
                        "rank 0 of {} (host {}): {} did not come within {} s{twice}; start all ranks with the same MASTER_ADDR and MASTER_PORT, at about the same time",
                        place.world,
                        own.host,
                        named(&absent),
                        limit.as_secs()
                    );
                }
                std::thread::sleep(POLL);
            }
            Err(error) => return Err(error).context("a connection of another rank"),
        }
    }
    let (others, mut streams): (Vec<Introduction>, Vec<TcpStream>) =
        come.into_iter().flatten().unzip();
    let addresses = addresses(&own, &others, &streams)?;
    let refusal = difference(&own, &others);
    let mut hosts = vec![own.host];
    hosts.extend(others.iter().map(|other| other.host.clone()));
    let welcome = Welcome { refusal, hosts, addresses };
    let answer = Frame::Data(serde_json::to_vec(&welcome)?);
    for (other, stream) in others.iter().zip(&mut streams) {
        answer.write(stream).with_context(|| {
            format!("rank {} of {} (host {}) went away", other.rank, place.world, other.host)
        })?;
    }
    let Welcome { refusal, hosts, addresses } = welcome;
    match refusal {
        Some(refusal) => Err(bad_input(refusal).into()),
        None => Ok(Meeting {
            hosts,
            address: addresses[0].clone(),
            streams: others.iter().map(|other| other.rank).zip(streams).collect(),
        }),
    }
}

/// Who has connected.
fn greeted(
    mut stream: TcpStream,
    token: &str,
    limit: Duration,
) -> Result<(Introduction, TcpStream)> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HELLO.min(limit)))?;
    stream.set_write_timeout(Some(limit))?;
    let Frame::Data(bytes) = Frame::read(&mut stream)? else { bail!("no introduction") };
    let other: Introduction = serde_json::from_slice(&bytes)?;
    if other.token != token {
        bail!("of another run");
    }
    stream.set_read_timeout(Some(limit))?;
    Ok((other, stream))
}

/// The address of each rank, as the others can reach it.
fn addresses(
    own: &Introduction,
    others: &[Introduction],
    streams: &[TcpStream],
) -> Result<Vec<String>> {
    let mut local = Vec::new();
    let mut remote = Vec::new();
    for stream in streams {
        local.push(stream.local_addr()?.ip().to_canonical());
        remote.push(stream.peer_addr()?.ip().to_canonical());
    }
    // Those on rank 0's machine may have come through the loopback device, where no other machine
    // finds them.
    let outward = local.iter().find(|address| !address.is_loopback()).or(local.first());
    let outward: IpAddr = *outward.context("no other rank")?;
    let reachable = |(other, address): (&Introduction, &IpAddr)| match other.host == own.host {
        true => outward.to_string(),
        false => address.to_string(),
    };
    Ok(std::iter::once(outward.to_string())
        .chain(others.iter().zip(&remote).map(reachable))
        .collect())
}

/// The first difference between rank 0 and another.
fn difference(own: &Introduction, others: &[Introduction]) -> Option<String> {
    let of = |facts: &[Fact], name: &str| {
        facts.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    };
    let value = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_string());
    for other in others {
        let names = own.facts.iter().chain(&other.facts).map(|(name, _)| name);
        for name in names {
            let (ours, theirs) = (of(&own.facts, name), of(&other.facts, name));
            if ours != theirs {
                return Some(format!(
                    "rank {} (host {}) has {name} {}, and rank 0 (host {}) {}: start all ranks with the same program, command and data",
                    other.rank,
                    other.host,
                    value(theirs),
                    own.host,
                    value(ours)
                ));
            }
        }
    }
    None
}

/// The others: connect to rank 0, and wait for its word.
fn join(place: &Place, port: u16, own: &Introduction, limit: Duration) -> Result<Meeting> {
    let whom = format!("rank {} of {} (host {})", place.rank, place.world, own.host);
    let mut stream = TcpStream::connect((place.host.as_str(), port)).with_context(|| {
        format!("{whom}: rank 0 at {} port {port} cannot be reached", place.host)
    })?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(limit))?;
    // Rank 0 waits for others as long.
    stream.set_read_timeout(Some(limit + HELLO))?;
    Frame::Data(serde_json::to_vec(own)?).write(&mut stream)?;
    let answer = Frame::read(&mut stream).with_context(|| {
        format!(
            "{whom}: rank 0 (host {}) ended, or not all ranks came within {} s",
            place.host,
            limit.as_secs()
        )
    })?;
    let Frame::Data(bytes) = answer else { return Err(anyhow!("{whom}: no answer of rank 0")) };
    let Welcome { refusal, hosts, addresses } = serde_json::from_slice(&bytes)?;
    if let Some(refusal) = refusal {
        return Err(bad_input(refusal).into());
    }
    stream.set_read_timeout(Some(limit))?;
    let address = addresses.get(place.rank).context("rank 0 gave no address")?.clone();
    Ok(Meeting { hosts, address, streams: vec![(0, stream)] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduction(rank: usize, facts: &[(&str, &str)]) -> Introduction {
        Introduction {
            token: String::new(),
            rank,
            host: format!("h{rank}"),
            facts: facts
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        }
    }

    #[test]
    fn the_first_difference_is_told_with_rank_host_and_both_values() {
        let own = introduction(0, &[("seed", "1"), ("batch_size", "64")]);
        let same = introduction(1, &[("seed", "1"), ("batch_size", "64")]);
        assert_eq!(difference(&own, std::slice::from_ref(&same)), None);
        let other = introduction(2, &[("seed", "1"), ("batch_size", "32")]);
        let told = difference(&own, &[same, other]).unwrap();
        assert!(told.starts_with("rank 2 (host h2) has batch_size 32, and rank 0 (host h0) 64"));
        let more = introduction(1, &[("seed", "1"), ("batch_size", "64"), ("weights", "f")]);
        assert!(
            difference(&own, &[more]).unwrap().contains("weights f, and rank 0 (host h0) nothing")
        );
    }

    #[test]
    fn ranks_are_listed_as_one_writes_them() {
        assert_eq!(named(&[3]), "rank 3");
        assert_eq!(named(&[1, 2, 4]), "ranks 1, 2 and 4");
    }
}
