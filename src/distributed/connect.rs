//! Which library moves the tensors of a run, and which ranks exchange with which: what each rank
//! has is told to all, and all come to the same conclusion.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::distributed::control::Control;
use crate::distributed::exchange::Exchange;
use crate::distributed::gloo::{Gloo, Store};
use crate::distributed::levels::{self, Levels, Seat, ranks_per_machine};
use crate::distributed::nccl::{self, Nccl};
use crate::distributed::place::Place;
use crate::distributed::shared::STUCK;

/// What a rank tells the others of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Introduction {
    offer: Offer,
    local_rank: usize,
    local_world: Option<usize>,
}

/// What a rank could exchange tensors with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Offer {
    /// It trains on a CPU.
    Cpu,
    /// It trains on the GPU at `bus` of its machine, and has NCCL of this version.
    Nccl { version: String, bus: String },
    /// It trains on a GPU and has no NCCL, for this reason.
    NoNccl(String),
}

impl Offer {
    /// This rank's.
    fn of(device: Device) -> Offer {
        let Device::Cuda(index) = device else { return Offer::Cpu };
        let library = match nccl::library() {
            Ok(library) => library,
            Err(reason) => return Offer::NoNccl(reason),
        };
        match library.bus(index) {
            Ok(bus) => Offer::Nccl { version: library.version(), bus },
            Err(error) => Offer::NoNccl(format!("{error:#}")),
        }
    }
}

/// What moves the tensors of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Gloo, through main memory. On GPUs with the reason why not NCCL.
    Gloo(Option<String>),
    /// NCCL of this version, from GPU to GPU.
    Nccl(String),
}

impl Transport {
    /// The library, as records name it.
    pub fn name(&self) -> String {
        match self {
            Transport::Gloo(_) => "Gloo".to_string(),
            Transport::Nccl(version) => format!("NCCL {version}"),
        }
    }

    /// NCCL if all ranks have the same, each on a GPU of its own. `hosts` has each rank's.
    fn choose(offers: &[Offer], hosts: &[String]) -> Transport {
        let mut first = None;
        let mut users = HashMap::new();
        for (rank, (offer, host)) in offers.iter().zip(hosts).enumerate() {
            let without = |reason: &str| {
                Transport::Gloo(Some(format!("rank {rank} (host {host}): {reason}")))
            };
            let (version, bus) = match offer {
                Offer::Cpu => return Transport::Gloo(None),
                Offer::NoNccl(reason) => return without(reason),
                Offer::Nccl { version, bus } => (version, bus),
            };
            let expected: &String = first.get_or_insert(version);
            if version != expected {
                return without(&format!("NCCL {version}, and rank 0 has {expected}"));
            }
            if let Some(other) = users.insert((host, bus), rank) {
                return without(&format!(
                    "NCCL needs a GPU a rank, and rank {other} uses {bus} too"
                ));
            }
        }
        first.map_or(Transport::Gloo(None), |version| Transport::Nccl(version.clone()))
    }
}

/// The exchanges of a run.
pub struct Connections {
    /// What moves tensors.
    pub transport: Transport,
    /// Among all ranks.
    pub all: Box<dyn Exchange>,
    /// Within and between machines, where there are several with equally many ranks.
    pub levels: Option<Levels>,
}

impl Connections {
    /// The sum over all `groups` of a batch on rank `rank`, from the sums over its subtrees: on
    /// [`Exchange::device`], the same bits in one level and in two.
    pub fn sum(&self, groups: usize, rank: usize, own: &[Tensor]) -> Result<Tensor> {
        let in_two = self.levels.as_ref().and_then(|levels| levels.sum(groups, rank, own));
        in_two.unwrap_or_else(|| levels::sum(&*self.all, groups, own))
    }
}

/// Some ranks, as they count among themselves.
struct Circle {
    /// What no other circle is called.
    name: String,
    /// Which of them this is, and how many there are.
    member: (usize, usize),
    /// The first of them, as all ranks count.
    first: usize,
}

/// All ranks, of which this is `rank`; those of its machine, of which each has `each`; and those
/// with the same number on their machines.
fn circles(rank: usize, world: usize, each: usize) -> [Circle; 3] {
    let (machine, local) = (rank / each, rank % each);
    let circle = |name: String, member, first| Circle { name, member, first };
    [
        circle("all".to_string(), (rank, world), 0),
        circle(format!("machine-{machine}"), (local, each), machine * each),
        circle(format!("number-{local}"), (machine, world / each), local),
    ]
}

/// Tells the others what this rank has for tensors on `device`, and connects it with them. `address`
/// is this machine's in the network of the others.
///
/// # Errors
/// If a connection cannot be made, on all ranks.
pub fn connect(
    place: &Place,
    control: &Control,
    store: &Store,
    address: &str,
    device: Device,
) -> Result<Connections> {
    let (offer, local_rank, local_world) = (Offer::of(device), place.local_rank, place.local_world);
    let own = serde_json::to_vec(&Introduction { offer, local_rank, local_world })?;
    let mut offers = Vec::new();
    let mut seats = Vec::new();
    for (bytes, host) in control.share(own)?.iter().zip(control.hosts()) {
        let Introduction { offer, local_rank, local_world } =
            serde_json::from_slice(bytes).context("what a rank offers")?;
        offers.push(offer);
        seats.push(Seat { host: host.clone(), local_rank, local_world });
    }
    let transport = Transport::choose(&offers, control.hosts());
    let join = |circle: &Circle| -> Result<Box<dyn Exchange>> {
        match (&transport, device) {
            (Transport::Nccl(_), Device::Cuda(index)) => {
                Ok(Box::new(join_nccl(circle, control, index)?))
            }
            _ => {
                let prefix = format!("{}/gloo/{}", place.session, circle.name);
                Ok(Box::new(Gloo::join(store, &prefix, circle.member, STUCK, address)?))
            }
        }
    };
    let joined = |circle: &Circle| join(circle).map_err(|error| control.blame(error));
    let each = ranks_per_machine(&seats);
    let [all, machine, number] = circles(place.rank, place.world, each.unwrap_or(place.world));
    let all = joined(&all)?;
    let levels = match each {
        Some(_) => Some(Levels { within: joined(&machine)?, between: joined(&number)? }),
        None => None,
    };
    Ok(Connections { transport, all, levels })
}

/// Joins a circle of GPUs; all ranks do so at the same time, each with its own circle.
fn join_nccl(circle: &Circle, control: &Control, device: usize) -> Result<Nccl> {
    let library = nccl::library().map_err(anyhow::Error::msg)?;
    let own = if circle.member.0 == 0 { library.id()?.to_vec() } else { Vec::new() };
    let ids = control.share(own)?;
    let id = ids[circle.first].as_slice().try_into().context("no id of a communicator")?;
    control.exchanging();
    let joined = Nccl::join(library, id, circle.member, device);
    control.exchanged();
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nccl(version: &str, bus: &str) -> Offer {
        Offer::Nccl { version: version.to_string(), bus: bus.to_string() }
    }

    fn chosen(offers: &[(&str, Offer)]) -> Transport {
        let (hosts, offers): (Vec<String>, Vec<Offer>) =
            offers.iter().map(|(host, offer)| (host.to_string(), offer.clone())).unzip();
        Transport::choose(&offers, &hosts)
    }

    fn reason(offers: &[(&str, Offer)]) -> String {
        match chosen(offers) {
            Transport::Gloo(Some(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nccl_is_used_where_all_ranks_have_the_same_and_a_gpu_each() {
        let (first, second) = (nccl("2.28.9", "0:1"), nccl("2.28.9", "0:2"));
        let both = [("a", first.clone()), ("a", second.clone())];
        assert_eq!(chosen(&both), Transport::Nccl("2.28.9".to_string()));
        assert_eq!(chosen(&both).name(), "NCCL 2.28.9");
        // Of another machine, at the same place.
        assert!(matches!(chosen(&[("a", first.clone()), ("b", first)]), Transport::Nccl(_)));
    }

    #[test]
    fn ranks_meet_those_of_their_machine_and_those_of_their_number() {
        let [all, machine, number] = circles(5, 8, 4);
        assert_eq!((all.member, all.first), ((5, 8), 0));
        assert_eq!((machine.member, machine.first, &*machine.name), ((1, 4), 4, "machine-1"));
        assert_eq!((number.member, number.first, &*number.name), ((1, 2), 1, "number-1"));
    }

    #[test]
    fn otherwise_all_use_gloo_and_are_told_which_rank_is_the_reason() {
        let first = nccl("2.28.9", "0:1");
        let cpus = [("a", Offer::Cpu), ("b", Offer::Cpu)];
        assert_eq!(chosen(&cpus), Transport::Gloo(None));
        assert_eq!(chosen(&cpus).name(), "Gloo");
        let missing = Offer::NoNccl("run scripts/build-cuda-graph".to_string());
        let told = reason(&[("a", first.clone()), ("b", missing)]);
        assert_eq!(told, "rank 1 (host b): run scripts/build-cuda-graph");
        let told = reason(&[("a", first.clone()), ("b", nccl("2.27.0", "0:1"))]);
        assert!(told.contains("NCCL 2.27.0, and rank 0 has 2.28.9"), "{told}");
        let told = reason(&[("a", first.clone()), ("a", first)]);
        assert!(told.contains("rank 0 uses 0:1 too"), "{told}");
    }
}
